package import CordonModel
internal import SQLite

// Hits on their way to other regions. A commit that takes rows out of a table for another region puts them here in the
// same transaction, so that they are in the one place or the other whatever happens.
extension Catalog {
    static let outgoingLayout = """
        CREATE TABLE outgoing (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            table_name TEXT NOT NULL, destination TEXT NOT NULL, hits INTEGER NOT NULL,
            bytes BLOB NOT NULL) STRICT;
        """

    static func insert(
        _ batches: [OutgoingBatch], _ table: String, _ connection: Connection
    ) throws {
        guard !batches.isEmpty else { return }
        let row = try connection.prepare(
            "INSERT INTO outgoing (id, table_name, destination, hits, bytes) VALUES (?, ?, ?, ?, ?)"
        )
        for batch in batches {
            try row.bind(1, batch.id)
            try row.bind(2, table)
            try row.bind(3, batch.destination)
            try row.bind(4, batch.hits)
            try row.bind(5, batch.bytes)
            try row.run()
        }
    }

    /// The batches that left first, at most `max`; no marks.
    package func outgoing(table: String, max: Int) throws -> [OutgoingBatch] {
        try withConnection { connection in
            let rows = try connection.prepare(
                """
                SELECT id, destination, hits, bytes FROM outgoing
                WHERE table_name = ? AND hits > 0 ORDER BY number LIMIT ?
                """)
            try rows.bind(1, table)
            try rows.bind(2, max)
            var batches: [OutgoingBatch] = []
            while try rows.step() {
                batches.append(
                    OutgoingBatch(
                        id: rows.text(0) ?? "", destination: rows.text(1) ?? "",
                        hits: Int(rows.int64(2)), bytes: rows.bytes(3)))
            }
            return batches
        }
    }

    /// The names of the marks.
    package func outgoingMarks(table: String) throws -> [String] {
        try texts(
            "SELECT id FROM outgoing WHERE table_name = ? AND hits = 0 ORDER BY number", table)
    }

    /// How many hits are on their way, and how many batches and marks.
    package func outgoingHits(table: String) throws -> (batches: Int, hits: Int) {
        try withConnection { connection in
            let row = try connection.prepare(
                "SELECT count(*), coalesce(sum(hits), 0) FROM outgoing WHERE table_name = ?")
            try row.bind(1, table)
            return try row.step() ? (Int(row.int64(0)), Int(row.int64(1))) : (0, 0)
        }
    }

    /// Forgets batches that have arrived, and leaves no copy of them in the file or its log.
    package func removeOutgoing(_ ids: [String], table: String) throws {
        try change(
            "DELETE FROM outgoing WHERE id = ?1 AND table_name = ?2", ids, table, erasing: true)
    }

    /// Whatever hits have besides pseudonyms.
    static let outgoingRest = Rest(
        .outgoing, HitBatch.columns.subtracting(["visitor", "user", "key_epoch"]))
}
