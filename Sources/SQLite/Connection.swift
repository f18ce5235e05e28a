internal import CSQLite
internal import Glibc

/// SQLite connections, statements and transactions behind classes that own their handle, with typed
/// errors.
///
/// The only importer of `CSQLite`; it sets no policy (journal mode and synchronous level are the
/// caller's) and knows no schema. Arguments never appear in error texts. A connection and its
/// statements are used by one thread at a time. Start at ``Connection/prepare(_:)``.
@safe package final class Connection {
    let handle: OpaquePointer

    /// How a database is opened.
    package enum Mode: Sendable {
        /// Made, readable by its owner alone, when it is not there.
        case readWriteCreate
        case readWrite
        case readOnly

        fileprivate var flags: Int32 {
            switch self {
            case .readWriteCreate: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
            case .readWrite: SQLITE_OPEN_READWRITE
            case .readOnly: SQLITE_OPEN_READONLY
            }
        }
    }

    /// How a transaction takes its lock.
    package enum TransactionKind: String, Sendable {
        /// On first use; a read that turns into a write may fail with `SQLITE_BUSY`.
        case deferred = "DEFERRED"
        /// The write lock at once.
        case immediate = "IMMEDIATE"
        case exclusive = "EXCLUSIVE"
    }

    /// Opens a database (`sqlite3_open_v2`).
    ///
    /// - Parameters:
    ///   - path: file name, or `:memory:`.
    ///   - busyTimeoutMilliseconds: how long an operation waits for another connection's lock.
    package init(
        path: String, mode: Mode = .readWriteCreate, busyTimeoutMilliseconds: Int32 = 5000
    ) throws(SQLiteError) {
        if mode == .readWriteCreate, path != ":memory:" { Self.createPrivate(path) }
        var handle: OpaquePointer?
        let status = unsafe sqlite3_open_v2(path, &handle, mode.flags, nil)
        guard status == SQLITE_OK, let opened = unsafe handle else {
            let extended = unsafe handle.map { unsafe sqlite3_extended_errcode($0) } ?? status
            unsafe sqlite3_close_v2(handle)
            throw SQLiteError(extendedCode: extended, operation: "open")
        }
        unsafe self.handle = opened
        unsafe sqlite3_extended_result_codes(opened, 1)
        unsafe sqlite3_busy_timeout(opened, busyTimeoutMilliseconds)
    }

    deinit { unsafe sqlite3_close_v2(handle) }

    /// How long an operation waits for another connection's lock from now on (`sqlite3_busy_timeout`).
    package func setBusyTimeout(milliseconds: Int32) {
        unsafe sqlite3_busy_timeout(handle, milliseconds)
    }

    /// Makes the file with mode 0600 when it is missing: SQLite would make it readable for all, and it
    /// gives its write-ahead log the mode of the database. Only a file made here is closed here,
    /// since closing another descriptor would drop the locks of this process on it. When making it fails,
    /// SQLite meets the same obstacle and reports it.
    private static func createPrivate(_ path: String) {
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 { close(descriptor) }
    }

    /// Runs one or more statements without arguments, dropping their rows (`sqlite3_exec`).
    package func execute(_ sql: String) throws(SQLiteError) {
        let status = unsafe sqlite3_exec(handle, sql, nil, nil, nil)
        if status != SQLITE_OK { throw failure(status, "execute", quoting: status == SQLITE_ERROR) }
    }

    /// Compiles one statement (`sqlite3_prepare_v3`); it may be kept and run again.
    package func prepare(_ sql: String) throws(SQLiteError) -> Statement {
        var statement: OpaquePointer?
        let status = unsafe sqlite3_prepare_v3(
            handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard status == SQLITE_OK else { throw failure(status, "prepare", quoting: true) }
        guard let compiled = unsafe statement else {
            throw SQLiteError(
                extendedCode: SQLITE_MISUSE, operation: "prepare", detail: "no statement in text")
        }
        return unsafe Statement(compiled, of: self)
    }

    /// The first column of the first row of `sql` as an integer; nil without a row or when it is null.
    package func integer(_ sql: String) throws(SQLiteError) -> Int64? {
        let statement = try prepare(sql)
        guard try statement.step(), !statement.isNull(0) else { return nil }
        return statement.int64(0)
    }

    /// Runs `body` in a transaction: committed when it returns, rolled back when it or the commit throws.
    package func transaction<Result>(
        _ kind: TransactionKind = .immediate, _ body: () throws -> Result
    ) throws -> Result {
        try execute("BEGIN \(kind.rawValue)")
        do {
            let result = try body()
            try execute("COMMIT")
            return result
        } catch {
            // Some failures (full disk, I/O) have rolled back already; then there is nothing to undo,
            // and the first error is the one to report.
            if isInTransaction { try? execute("ROLLBACK") }
            throw error
        }
    }

    /// Whether a transaction is open (`sqlite3_get_autocommit`).
    package var isInTransaction: Bool { unsafe sqlite3_get_autocommit(handle) == 0 }

    /// Rows that the last INSERT, UPDATE or DELETE changed.
    package var changes: Int64 { unsafe sqlite3_changes64(handle) }

    package var lastInsertRowID: Int64 { unsafe sqlite3_last_insert_rowid(handle) }

    func failure(_ status: Int32, _ operation: String, quoting: Bool = false) -> SQLiteError {
        // SAFETY: the handle is open; the message is copied before the next call.
        let detail = quoting ? unsafe String(cString: sqlite3_errmsg(handle)) : nil
        let extended = unsafe sqlite3_extended_errcode(handle)
        return SQLiteError(
            extendedCode: extended & 0xFF == status & 0xFF ? extended : status,
            operation: operation, detail: detail)
    }
}
