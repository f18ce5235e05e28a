package import CordonModel
import SQLite
import Synchronization

/// The catalog of one region. Any thread may call it; calls wait for each other, and for those of other processes.
package final class Catalog: Sendable {
    /// Raised with each change of the tables below.
    package static let layoutVersion: Int64 = 4
    /// A writer holds the lock for milliseconds; longer means that something is wrong.
    private static let busyTimeoutMilliseconds: Int32 = 10_000

    // Protected by the mutex: a connection serves one thread at a time.
    private let connection: Mutex<Connection>

    /// One table as the catalog knows it.
    package struct Table: Hashable, Sendable {
        /// Such as `pixels.hits`.
        package let name: String
        /// URI of the current metadata file.
        package let metadataLocation: String
        /// Number of the last journal batch that is in the table.
        package let deliveredThrough: Int64
        /// How many commits there were.
        package let version: Int64
        package let updatedAt: Timestamp
    }

    /// A batch, or a part of one, that could not be delivered.
    package struct DeadLetter: Hashable, Sendable {
        package let id: Int64
        package let batch: Int64
        /// Why, in words that hold no value.
        package let reason: String
        /// The batch as the journal held it: after the edge's transforms.
        package let bytes: [UInt8]
        /// When its hits became one, also of what was left when others of its batch could be read.
        package let at: Timestamp
    }

    /// Opens the catalog, made when it is not there.
    package init(path: String) throws {
        let opened = try Connection(
            path: path, busyTimeoutMilliseconds: Self.busyTimeoutMilliseconds)
        try Self.prepare(opened)
        connection = Mutex(opened)
    }

    private static func prepare(_ connection: Connection) throws {
        try connection.execute(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")
        try connection.transaction(.immediate) {
            let version = try connection.integer("PRAGMA user_version") ?? 0
            guard version <= layoutVersion else { throw CatalogError.unsupportedVersion(version) }
            if version < 1 { try connection.execute(pipelineLayout) }
            if version < 2 { try connection.execute(clientTablesLayout) }
            if version < 3 { try connection.execute(outgoingLayout) }
            if version < 4 { try connection.execute(watermarksLayout) }
            if version < layoutVersion {
                try connection.execute("PRAGMA user_version = \(layoutVersion)")
            }
        }
    }

    private static let pipelineLayout = """
        CREATE TABLE tables (
            name TEXT PRIMARY KEY, metadata_location TEXT NOT NULL,
            delivered_through INTEGER NOT NULL, version INTEGER NOT NULL,
            updated_at INTEGER NOT NULL) STRICT;
        CREATE TABLE written_files (path TEXT PRIMARY KEY, table_name TEXT NOT NULL) STRICT;
        CREATE TABLE unreferenced_files (path TEXT PRIMARY KEY, table_name TEXT NOT NULL) STRICT;
        CREATE TABLE dead_letters (
            id INTEGER PRIMARY KEY AUTOINCREMENT, table_name TEXT NOT NULL,
            batch INTEGER NOT NULL, reason TEXT NOT NULL, bytes BLOB NOT NULL) STRICT;
        """

    /// Runs `body` while no other thread uses the connection.
    func withConnection<Result: Sendable>(
        _ body: @Sendable (Connection) throws -> Result
    ) throws -> Result {
        try connection.withLock { connection in try body(connection) }
    }

    /// All tables by name.
    package func tables() throws -> [Table] {
        try connection.withLock { connection in
            let statement = try connection.prepare(
                """
                SELECT name, metadata_location, delivered_through, version, updated_at
                FROM tables ORDER BY name
                """)
            var tables: [Table] = []
            while try statement.step() {
                tables.append(
                    Table(
                        name: statement.text(0) ?? "", metadataLocation: statement.text(1) ?? "",
                        deliveredThrough: statement.int64(2), version: statement.int64(3),
                        updatedAt: Timestamp(microseconds: statement.int64(4))))
            }
            return tables
        }
    }

    /// Where a table stands; nil when there is no such table.
    package func tableHead(
        _ table: String
    ) throws -> (metadataLocation: String, deliveredThrough: Int64)? {
        try connection.withLock { connection in
            let statement = try connection.prepare(
                "SELECT metadata_location, delivered_through FROM tables WHERE name = ?")
            try statement.bind(1, table)
            guard try statement.step() else { return nil }
            return (statement.text(0) ?? "", statement.int64(1))
        }
    }
}

extension Catalog {
    /// Moves a table's pointer, and with it all that must change at the same moment.
    ///
    /// - Parameters:
    ///   - expected: where the pointer must stand; nil for a table that must not exist yet.
    ///   - deliveredThrough: the journal's last batch that is now in the table; nil leaves it.
    ///   - committed: files that the new state references; they are no longer merely written.
    ///   - unreferenced: files that no kept state references; they are to be deleted.
    ///   - deadLetters: batches that could not be delivered.
    ///   - resolved: ids of dead letters that are in the table now.
    ///   - outgoing: hits that this change takes out of the table for other regions.
    /// - Throws: ``CatalogError/conflict(table:)`` when the pointer stands elsewhere; then nothing has changed.
    package func commit(
        table: String, expecting expected: String?, new location: String, deliveredThrough: Int64?,
        committed: [String], unreferenced: [String],
        deadLetters: [DeadBatch], resolved: [Int64] = [], outgoing: [OutgoingBatch] = [],
        at time: Timestamp
    ) throws {
        try connection.withLock { connection in
            try connection.transaction(.immediate) {
                try Self.movePointer(
                    connection, table, from: expected, to: location, deliveredThrough, at: time)
                let settle = try connection.prepare("DELETE FROM written_files WHERE path = ?")
                for path in committed {
                    try settle.bind(1, path)
                    try settle.run()
                }
                let doom = try connection.prepare(
                    "INSERT OR IGNORE INTO unreferenced_files (path, table_name) VALUES (?, ?)")
                for path in unreferenced {
                    try doom.bind(1, path)
                    try doom.bind(2, table)
                    try doom.run()
                }
                let keep = try connection.prepare(
                    "INSERT INTO dead_letters (table_name, batch, reason, bytes, at) VALUES (?, ?, ?, ?, ?)"
                )
                for letter in deadLetters {
                    try keep.bind(1, table)
                    try keep.bind(2, letter.batch)
                    try keep.bind(3, letter.reason)
                    try keep.bind(4, letter.bytes)
                    try keep.bind(5, (letter.since ?? time).microseconds)
                    try keep.run()
                }
                try Self.insert(outgoing, table, connection)
                try Self.delete(resolved, of: table, connection)
            }
            if !resolved.isEmpty {
                _ = try connection.emptyLog(attemptsMax: Self.logAttemptsMax)
            }
        }
    }

    private static func movePointer(
        _ connection: Connection, _ table: String, from expected: String?, to location: String,
        _ deliveredThrough: Int64?, at time: Timestamp
    ) throws {
        let statement: Statement
        if let expected {
            statement = try connection.prepare(
                """
                UPDATE tables SET metadata_location = ?2, updated_at = ?3, version = version + 1,
                    delivered_through = coalesce(?4, delivered_through)
                WHERE name = ?1 AND metadata_location = ?5
                """)
            try statement.bind(5, expected)
        } else {
            statement = try connection.prepare(
                """
                INSERT INTO tables (name, metadata_location, updated_at, delivered_through, version)
                VALUES (?1, ?2, ?3, coalesce(?4, 0), 1) ON CONFLICT DO NOTHING
                """)
        }
        try statement.bind(1, table)
        try statement.bind(2, location)
        try statement.bind(3, time.microseconds)
        if let deliveredThrough { try statement.bind(4, deliveredThrough) }
        try statement.run()
        guard connection.changes == 1 else { throw CatalogError.conflict(table: table) }
    }
}

extension Catalog {
    /// Notes files that are about to be written. Until a commit settles them they belong to nobody, and whoever
    /// opens the table next deletes them.
    package func noteWriting(_ paths: [String], table: String) throws {
        try change(
            "INSERT OR IGNORE INTO written_files (path, table_name) VALUES (?1, ?2)", paths, table)
    }

    /// Files that were noted and that no commit has settled.
    package func writtenFiles(table: String) throws -> [String] {
        try texts("SELECT path FROM written_files WHERE table_name = ? ORDER BY path", table)
    }

    /// Files that a commit made unreferenced and that may still be on disk.
    package func unreferencedFiles(table: String) throws -> [String] {
        try texts("SELECT path FROM unreferenced_files WHERE table_name = ? ORDER BY path", table)
    }

    /// Notes files that no state of the table refers to; whoever opens the table next deletes them.
    package func noteUnreferenced(_ paths: [String], table: String) throws {
        try change(
            "INSERT OR IGNORE INTO unreferenced_files (path, table_name) VALUES (?1, ?2)", paths,
            table)
    }

    /// Says that these files are gone from the disk for good.
    package func forgetFiles(_ paths: [String], table: String) throws {
        try change(
            "DELETE FROM written_files WHERE path = ?1 AND table_name = ?2", paths, table)
        try change(
            "DELETE FROM unreferenced_files WHERE path = ?1 AND table_name = ?2", paths, table)
    }

}

extension Catalog {
    /// Runs a statement for each of `names` (?1) of a table (?2), all or none.
    ///
    /// - Parameter erasing: whether no byte of what it deletes may stay on disk.
    func change(
        _ sql: String, _ names: [String], _ table: String, erasing: Bool = false
    ) throws {
        guard !names.isEmpty else { return }
        try connection.withLock { connection in
            try connection.transaction(.immediate) {
                let statement = try connection.prepare(sql)
                for name in names {
                    try statement.bind(1, name)
                    try statement.bind(2, table)
                    try statement.run()
                }
            }
            if erasing { try Self.scrub(connection) }
        }
    }

    /// Leaves no copy of a removed dead letter or of a hit that has left in the file or its log.
    private static func scrub(_ connection: Connection) throws {
        try connection.scrub(attemptsMax: logAttemptsMax)
    }

    /// How often emptying the log and scrubbing are tried while others are in the way; each waits up to the busy timeout.
    private static let logAttemptsMax = 3

    /// The texts that a query of a table (?) has in its first column.
    func texts(_ sql: String, _ table: String) throws -> [String] {
        try connection.withLock { connection in
            let statement = try connection.prepare(sql)
            try statement.bind(1, table)
            var texts: [String] = []
            while try statement.step() { if let text = statement.text(0) { texts.append(text) } }
            return texts
        }
    }
}

extension Catalog {
    package func deadLetterCount(table: String) throws -> Int {
        try connection.withLock { connection in
            let statement = try connection.prepare(
                "SELECT count(*) FROM dead_letters WHERE table_name = ?")
            try statement.bind(1, table)
            return try statement.step() ? Int(statement.int64(0)) : 0
        }
    }

    /// The dead letters behind `id`, oldest first, at most `max`.
    package func deadLetters(table: String, after id: Int64, max: Int) throws -> [DeadLetter] {
        try connection.withLock { connection in
            let statement = try connection.prepare(
                """
                SELECT id, batch, reason, bytes, at FROM dead_letters
                WHERE table_name = ? AND id > ? ORDER BY id LIMIT ?
                """)
            try statement.bind(1, table)
            try statement.bind(2, id)
            try statement.bind(3, max)
            var letters: [DeadLetter] = []
            while try statement.step() {
                letters.append(
                    DeadLetter(
                        id: statement.int64(0), batch: statement.int64(1),
                        reason: statement.text(2) ?? "", bytes: statement.bytes(3),
                        at: Timestamp(microseconds: statement.int64(4))))
            }
            return letters
        }
    }

    /// The ids of the dead letters, oldest first; of those from before `time` when that is given.
    package func deadLetterIDs(table: String, before time: Timestamp?) throws -> [Int64] {
        try connection.withLock { connection in
            let statement = try connection.prepare(
                "SELECT id FROM dead_letters WHERE table_name = ?1 AND (?2 IS NULL OR at < ?2) ORDER BY id"
            )
            try statement.bind(1, table)
            if let time { try statement.bind(2, time.microseconds) }
            var ids: [Int64] = []
            while try statement.step() { ids.append(statement.int64(0)) }
            return ids
        }
    }

    /// One dead letter; nil when there is none of that id any more.
    package func storedDeadLetter(
        _ id: Int64, table: String
    ) throws -> (batch: Int64, bytes: [UInt8], at: Timestamp)? {
        let next = try deadLetters(table: table, after: id - 1, max: 1).first
        return next.flatMap { $0.id == id ? ($0.batch, $0.bytes, $0.at) : nil }
    }

    /// Removes dead letters, and leaves no copy of them, or of those removed before, in the file or its log.
    package func removeDeadLetters(_ ids: [Int64], table: String) throws {
        try connection.withLock { connection in
            try connection.transaction(.immediate) { try Self.delete(ids, of: table, connection) }
            try Self.scrub(connection)
        }
    }

    private static func delete(
        _ deadLetters: [Int64], of table: String, _ connection: Connection
    ) throws {
        let statement = try connection.prepare(
            "DELETE FROM dead_letters WHERE id = ? AND table_name = ?")
        for id in deadLetters {
            try statement.bind(1, id)
            try statement.bind(2, table)
            try statement.run()
        }
    }
}

extension Catalog: RestingWriter {
    package static let rests = [Rest(.deadLetters, HitBatch.columns), outgoingRest]
}
