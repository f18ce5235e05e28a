package import CordonModel
import SQLite

/// Up to which day something was seen to have ended, such as a field's age.
package struct Watermark: Hashable, Sendable {
    /// What ended.
    package let name: String
    /// What was due on this day or before was seen to be gone.
    package let asOf: Day
    /// When it was seen.
    package let at: Timestamp

    package init(name: String, asOf: Day, at: Timestamp) {
        self.name = name
        self.asOf = asOf
        self.at = at
    }
}

extension Catalog {
    /// What the catalog of the third version did not have.
    static let watermarksLayout = """
        CREATE TABLE watermarks (
            name TEXT PRIMARY KEY, as_of INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;
        ALTER TABLE dead_letters ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
        UPDATE dead_letters SET at = CAST(strftime('%s', 'now') AS INTEGER) * 1000000;
        """

    /// All watermarks by name.
    package func watermarks() throws -> [Watermark] {
        try withConnection { connection in
            let statement = try connection.prepare(
                "SELECT name, as_of, at FROM watermarks ORDER BY name")
            var marks: [Watermark] = []
            while try statement.step() {
                marks.append(
                    Watermark(
                        name: statement.text(0) ?? "",
                        asOf: Day(number: Int32(clamping: statement.int64(1))),
                        at: Timestamp(microseconds: statement.int64(2))))
            }
            return marks
        }
    }

    /// Moves watermarks on; none is ever moved back.
    package func raise(_ marks: [Watermark]) throws {
        try withConnection { connection in
            try connection.transaction(.immediate) {
                let statement = try connection.prepare(
                    """
                    INSERT INTO watermarks (name, as_of, at) VALUES (?1, ?2, ?3)
                    ON CONFLICT (name) DO UPDATE SET as_of = ?2, at = ?3 WHERE as_of <= ?2
                    """)
                for mark in marks {
                    try statement.bind(1, mark.name)
                    try statement.bind(2, Int64(mark.asOf.number))
                    try statement.bind(3, mark.at.microseconds)
                    try statement.run()
                }
            }
        }
    }

    /// Forgets the watermarks that are not among these: what they stood for is no longer there.
    package func keepWatermarks(_ names: Set<String>) throws {
        let gone = try watermarks().map(\.name).filter { !names.contains($0) }
        guard !gone.isEmpty else { return }
        try withConnection { connection in
            try connection.transaction(.immediate) {
                let statement = try connection.prepare("DELETE FROM watermarks WHERE name = ?")
                for name in gone {
                    try statement.bind(1, name)
                    try statement.run()
                }
            }
        }
    }
}
