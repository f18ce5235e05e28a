internal import CSQLite

extension Connection {
    /// Bytes of rows up to which ``scrub(attemptsMax:)`` works in memory; more of them pass through an unlinked file in
    /// SQLite's folder for temporary files.
    package static let scrubMemoryBytesMax: Int64 = 128 << 20

    /// Folds the write-ahead log into the file and cuts it to nothing (`PRAGMA wal_checkpoint(TRUNCATE)`).
    ///
    /// - Parameter attemptsMax: how often it is tried while readers are in the way; each waits up to the busy timeout.
    /// - Returns: whether it is cut.
    package func emptyLog(attemptsMax: Int) throws(SQLiteError) -> Bool {
        for _ in 0..<attemptsMax {
            let checkpoint = try prepare("PRAGMA wal_checkpoint(TRUNCATE)")
            let isDone = try checkpoint.step() && checkpoint.int64(0) == 0
            checkpoint.reset()
            if isDone { return true }
        }
        return false
    }

    /// Leaves nothing in the file and its write-ahead log but the rows that are there now, by writing the file anew
    /// (`VACUUM`) and emptying the log.
    ///
    /// `PRAGMA secure_delete` is not enough. It zeroes a row's bytes where the row lies; but when SQLite moves rows
    /// between the pages of a tree, the page that they left keeps copies in its unallocated space, and these outlive the
    /// rows. Among some thousand rows in random order a few do.
    ///
    /// Other connections' writes wait meanwhile; their statements are compiled anew by themselves. A failure, a full disk
    /// too, leaves the file as it was. Not within a transaction, nor while a statement of this connection is at a row.
    ///
    /// - Parameter attemptsMax: how often it is tried while others are in the way; each waits up to the busy timeout.
    /// - Throws: `SQLITE_BUSY` when others were in the way all the time; then it is to be done again.
    package func scrub(attemptsMax: Int) throws(SQLiteError) {
        let pages = try integer("PRAGMA page_count") ?? 0
        let freePages = try integer("PRAGMA freelist_count") ?? 0
        let bytes = (pages - freePages) * (try integer("PRAGMA page_size") ?? 0)
        let store = try integer("PRAGMA temp_store") ?? 0
        try execute("PRAGMA temp_store = \(bytes <= Self.scrubMemoryBytesMax ? "MEMORY" : "FILE")")
        defer { try? execute("PRAGMA temp_store = \(store)") }
        try vacuum(attemptsMax)
        guard try emptyLog(attemptsMax: attemptsMax) else {
            throw SQLiteError(extendedCode: SQLITE_BUSY, operation: "checkpoint")
        }
    }

    private func vacuum(_ attemptsMax: Int) throws(SQLiteError) {
        for attempt in 1...attemptsMax {
            do throws(SQLiteError) {
                return try execute("VACUUM")
            } catch {
                guard error.isBusy, attempt < attemptsMax else { throw error }
            }
        }
    }
}
