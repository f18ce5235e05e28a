internal import CSQLite

/// A compiled statement: bind, step through the rows, reset, again. Keeps its connection open.
///
/// Parameters are numbered from 1 and columns from 0, as in SQLite. Arguments stay bound over
/// ``reset()``.
@safe package final class Statement {
    private let handle: OpaquePointer
    private let connection: Connection

    init(_ handle: OpaquePointer, of connection: Connection) {
        unsafe self.handle = handle
        self.connection = connection
    }

    deinit { unsafe sqlite3_finalize(handle) }

    /// Moves to the next row (`sqlite3_step`); false at the end. After an error the statement is reset.
    package func step() throws(SQLiteError) -> Bool {
        let status = unsafe sqlite3_step(handle)
        switch status {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default:
            let error = connection.failure(status, "step")
            reset()
            throw error
        }
    }

    /// Runs a statement whose rows do not matter, and makes it ready to run again.
    package func run() throws(SQLiteError) {
        while try step() {}
        reset()
    }

    /// Makes the statement ready to run again (`sqlite3_reset`) and lets go of its read lock. Its
    /// status repeats the failure that ``step()`` has thrown already.
    package func reset() { unsafe sqlite3_reset(handle) }

    private func check(_ status: Int32) throws(SQLiteError) {
        if status != SQLITE_OK { throw connection.failure(status, "bind") }
    }
}

extension Statement {
    package func bind(_ index: Int, _ value: Int64) throws(SQLiteError) {
        try check(unsafe sqlite3_bind_int64(handle, Int32(index), value))
    }

    package func bind(_ index: Int, _ value: Int) throws(SQLiteError) {
        try bind(index, Int64(value))
    }

    package func bind(_ index: Int, _ value: Double) throws(SQLiteError) {
        try check(unsafe sqlite3_bind_double(handle, Int32(index), value))
    }

    package func bind(_ index: Int, _ value: String) throws(SQLiteError) {
        try check(
            unsafe csqlite_bind_text_copy(
                handle, Int32(index), value, Int32(clamping: value.utf8.count)))
    }

    package func bind(_ index: Int, _ value: [UInt8]) throws(SQLiteError) {
        let status = unsafe value.withUnsafeBytes { bytes in
            unsafe bind(index, copying: bytes)
        }
        try check(status)
    }

    /// Binds a copy of `bytes`.
    package func bind(_ index: Int, _ bytes: RawSpan) throws(SQLiteError) {
        let status = unsafe bytes.withUnsafeBytes { bytes in
            unsafe bind(index, copying: bytes)
        }
        try check(status)
    }

    private func bind(_ index: Int, copying bytes: UnsafeRawBufferPointer) -> Int32 {
        guard let start = bytes.baseAddress else {
            return unsafe sqlite3_bind_zeroblob(handle, Int32(index), 0)
        }
        guard let count = Int32(exactly: bytes.count) else { return SQLITE_TOOBIG }
        return unsafe csqlite_bind_blob_copy(handle, Int32(index), start, count)
    }

    /// Binds `bytes` without a copy.
    ///
    /// - Important: `bytes` stays valid and unchanged until the parameter is bound anew or the statement goes.
    @unsafe
    package func bind(_ index: Int, borrowing bytes: UnsafeRawBufferPointer) throws(SQLiteError) {
        guard let start = bytes.baseAddress else {
            return try check(unsafe sqlite3_bind_zeroblob(handle, Int32(index), 0))
        }
        guard let count = Int32(exactly: bytes.count) else { return try check(SQLITE_TOOBIG) }
        try check(unsafe csqlite_bind_blob_borrowed(handle, Int32(index), start, count))
    }

    package func bindNull(_ index: Int) throws(SQLiteError) {
        try check(unsafe sqlite3_bind_null(handle, Int32(index)))
    }

    /// Sets every parameter to null (`sqlite3_clear_bindings`).
    package func clearBindings() { unsafe sqlite3_clear_bindings(handle) }
}

extension Statement {
    package var columnCount: Int { Int(unsafe sqlite3_column_count(handle)) }

    package func isNull(_ column: Int) -> Bool {
        unsafe sqlite3_column_type(handle, Int32(column)) == SQLITE_NULL
    }

    /// The column as an integer; 0 when it is null.
    package func int64(_ column: Int) -> Int64 {
        unsafe sqlite3_column_int64(handle, Int32(column))
    }

    /// The column as a number; 0 when it is null.
    package func double(_ column: Int) -> Double {
        unsafe sqlite3_column_double(handle, Int32(column))
    }

    /// The column as text; nil when it is null.
    package func text(_ column: Int) -> String? {
        guard let text = unsafe sqlite3_column_text(handle, Int32(column)) else { return nil }
        let count = Int(unsafe sqlite3_column_bytes(handle, Int32(column)))
        // SAFETY: SQLite holds `count` bytes at `text` until the next call on this row.
        return unsafe String(
            decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self)
    }

    /// A copy of the column's bytes; empty when it is null.
    package func bytes(_ column: Int) -> [UInt8] {
        unsafe withBytes(column) { unsafe Array($0) }
    }

    /// Calls `body` with the column's bytes where they lie; empty when it is null.
    package func withBytes<Result>(
        _ column: Int, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        let start = unsafe sqlite3_column_blob(handle, Int32(column))
        let count = Int(unsafe sqlite3_column_bytes(handle, Int32(column)))
        // SAFETY: SQLite holds `count` bytes at `start` until the next call on this row.
        return try unsafe body(
            UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count))
    }
}
