internal import LinuxIO
package import SQLite

/// Why the journal could not do what was asked. Nothing is half-done when one is thrown.
package struct JournalError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        /// Another connection held the lock for longer than the busy timeout.
        case locked
        /// The disk or the bound on the file's size is full.
        case full
        /// The suppression list is not the one that the batches were made under.
        case suppressionChanged = "suppression-changed"
        /// The file is damaged, or no journal, or one of a later version.
        case unreadable
        /// A batch with that number is not in the journal.
        case unknownBatch = "unknown-batch"
        /// Any other failure of the store.
        case store
    }

    package let code: Code
    /// The extended SQLite result code; 0 when SQLite had no part in it.
    package let storeCode: Int32

    /// Whether the system failed a read, write or sync (`SQLITE_IOERR`).
    package var isInputOutput: Bool { storeCode & 0xFF == 10 }

    package init(_ code: Code, storeCode: Int32 = 0) {
        self.code = code
        self.storeCode = storeCode
    }

    package init(_ error: SQLiteError) {
        storeCode = error.extendedCode
        if error.isBusy {
            code = .locked
        } else if error.isFull {
            code = .full
        } else if error.isCorrupt {
            code = .unreadable
        } else {
            code = .store
        }
    }

    /// Any error that a transaction of the journal let through.
    init(wrapping error: any Error) {
        if let error = error as? JournalError {
            self = error
        } else if let error = error as? SQLiteError {
            self.init(error)
        } else if let error = error as? LinuxError, error.isFull {
            self.init(.full)
        } else {
            self.init(.store)
        }
    }

    package var description: String {
        let text =
            switch code {
            case .locked: "the journal is locked by another process"
            case .full: "the journal's disk is full"
            case .suppressionChanged: "the suppression list has changed"
            case .unreadable: "the journal file is damaged or not a journal of this version"
            case .unknownBatch: "the journal has no batch of that number"
            case .store: "the journal's store failed"
            }
        return storeCode == 0 ? text : "\(text) (sqlite code \(storeCode))"
    }
}
