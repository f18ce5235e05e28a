internal import CSQLite

/// Why SQLite refused an operation. Holds no argument of a statement, so it may be logged.
package struct SQLiteError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The primary result code, such as `SQLITE_BUSY` (5).
    package let code: Int32
    /// The extended result code, such as `SQLITE_IOERR_FSYNC` (1034).
    package let extendedCode: Int32
    /// What was tried, such as `open` or `step`.
    package let operation: String
    /// SQLite's own words for a statement that could not be prepared; it quotes SQL, never an argument.
    package let detail: String?

    init(extendedCode: Int32, operation: String, detail: String? = nil) {
        code = extendedCode & 0xFF
        self.extendedCode = extendedCode
        self.operation = operation
        self.detail = detail
    }

    /// Another connection holds the lock and the busy timeout has passed.
    package var isBusy: Bool { code == SQLITE_BUSY || code == SQLITE_LOCKED }
    /// The disk, or the bound on the database's size, is full.
    package var isFull: Bool { code == SQLITE_FULL }
    /// A `UNIQUE`, `NOT NULL`, `CHECK` or foreign key constraint refused a row.
    package var isConstraint: Bool { code == SQLITE_CONSTRAINT }
    /// The file is damaged or is no database.
    package var isCorrupt: Bool { code == SQLITE_CORRUPT || code == SQLITE_NOTADB }

    package var description: String {
        // SAFETY: `sqlite3_errstr` returns a static string for every code.
        let meaning = unsafe String(cString: sqlite3_errstr(extendedCode))
        let base = "sqlite \(operation): \(meaning) (code \(extendedCode))"
        return detail.map { base + ": " + $0 } ?? base
    }
}
