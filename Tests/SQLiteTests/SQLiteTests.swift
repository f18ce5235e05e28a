import Foundation
import SQLite
import TestSupport
import Testing

@Suite struct `SQLite connections` {
    let directory: TemporaryDirectory
    init() throws { directory = try TemporaryDirectory() }

    private func made() throws -> Connection {
        let connection = try Connection(path: directory.file("a.sqlite"))
        try connection.execute(
            "CREATE TABLE t(i INTEGER PRIMARY KEY, r REAL, s TEXT, b BLOB UNIQUE)")
        return connection
    }

    @Test func `values of every type come back as they were bound`() throws {
        let connection = try made()
        let insert = try connection.prepare("INSERT INTO t(r, s, b) VALUES (?, ?, ?)")
        try insert.bind(1, 1.5)
        try insert.bind(2, "größe\u{0}日本")
        try insert.bind(3, [0, 255, 7] as [UInt8])
        try insert.run()
        #expect(connection.lastInsertRowID == 1)
        #expect(connection.changes == 1)
        try insert.bindNull(1)
        try insert.bind(2, "")
        try insert.bind(3, [] as [UInt8])
        try insert.run()

        let select = try connection.prepare("SELECT i, r, s, b FROM t ORDER BY i")
        #expect(try select.step())
        #expect(select.columnCount == 4)
        #expect(select.int64(0) == 1)
        #expect(select.double(1) == 1.5)
        #expect(select.text(2) == "größe\u{0}日本")
        #expect(select.bytes(3) == [0, 255, 7])
        #expect(try select.step())
        #expect(select.isNull(1))
        #expect(select.text(1) == nil)
        #expect(select.text(2) == "")
        #expect(!select.isNull(3))
        #expect(select.bytes(3) == [])
        #expect(try !select.step())
    }

    @Test func `borrowed and span bytes are stored like copied ones`() throws {
        let connection = try made()
        let insert = try connection.prepare("INSERT INTO t(b) VALUES (?)")
        let bytes = [UInt8](repeating: 9, count: 100_000)
        try bytes.withUnsafeBytes {
            try insert.bind(1, borrowing: $0)
            try insert.run()
            insert.clearBindings()
        }
        let shorter = Array(bytes.dropLast())
        try insert.bind(1, shorter.span.bytes)
        try insert.run()
        #expect(try connection.integer("SELECT sum(length(b)) FROM t") == 199_999)
        #expect(try connection.integer("SELECT i FROM t WHERE i = 77") == nil)
    }

    @Test func `a transaction that throws leaves nothing behind`() throws {
        struct Stop: Error {}
        let connection = try made()
        #expect(throws: Stop.self) {
            try connection.transaction {
                try connection.execute("INSERT INTO t(s) VALUES ('x')")
                throw Stop()
            }
        }
        #expect(try connection.integer("SELECT count(*) FROM t") == 0)
        let kept = try connection.transaction(.immediate) {
            try connection.execute("INSERT INTO t(s) VALUES ('x')")
            return connection.lastInsertRowID
        }
        #expect(kept == 1)
        #expect(!connection.isInTransaction)
    }

    @Test func `an error names code and operation and no argument`() throws {
        let connection = try made()
        let insert = try connection.prepare("INSERT INTO t(b) VALUES (?)")
        try insert.bind(1, Array("secret value".utf8))
        try insert.run()
        let error = #expect(throws: SQLiteError.self) { try insert.run() }
        #expect(error?.isConstraint == true)
        #expect(error?.extendedCode == 2067)
        #expect(error?.operation == "step")
        #expect(error?.description.contains("secret") == false)
        let syntax = #expect(throws: SQLiteError.self) { try connection.prepare("SELEC 1") }
        #expect(syntax?.description.contains("SELEC") == true)
        #expect(throws: SQLiteError.self) { try connection.prepare(" -- nothing") }
        #expect(throws: SQLiteError.self) { try insert.bind(2, 1) }
    }

    @Test func `a writer that waits too long is told so, and can go on later`() throws {
        let first = try made()
        let second = try Connection(
            path: directory.file("a.sqlite"), mode: .readWrite, busyTimeoutMilliseconds: 0)
        try first.execute("BEGIN IMMEDIATE")
        let error = #expect(throws: SQLiteError.self) { try second.execute("BEGIN IMMEDIATE") }
        #expect(error?.isBusy == true)
        try first.execute("COMMIT")
        try second.transaction { try second.execute("INSERT INTO t(s) VALUES ('x')") }
    }

    @Test func `a full database is an error, and the transaction is undone`() throws {
        let connection = try made()
        try connection.execute("PRAGMA max_page_count = 8")
        let error = #expect(throws: SQLiteError.self) {
            try connection.transaction {
                let insert = try connection.prepare("INSERT INTO t(b) VALUES (randomblob(3000))")
                while true { try insert.run() }
            }
        }
        #expect(error?.isFull == true)
        #expect(!connection.isInTransaction)
        #expect(try connection.integer("SELECT count(*) FROM t") == 0)
    }

    @Test func `opening reports what is missing or foreign`() throws {
        #expect(throws: SQLiteError.self) {
            try Connection(path: directory.file("missing"), mode: .readOnly)
        }
        #expect(throws: SQLiteError.self) { try Connection(path: directory.file("no/such/folder")) }
        try Data(repeating: 65, count: 5000).write(
            to: URL(fileURLWithPath: directory.file("foreign")))
        let foreign = try Connection(path: directory.file("foreign"))
        let error = #expect(throws: SQLiteError.self) {
            try foreign.integer("SELECT count(*) FROM sqlite_schema")
        }
        #expect(error?.isCorrupt == true)
    }

    @Test func `a new database is readable by its owner alone`() throws {
        let connection = try made()
        try connection.execute("PRAGMA journal_mode = WAL; INSERT INTO t(s) VALUES ('x')")
        for name in ["a.sqlite", "a.sqlite-wal"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: directory.file(name))
            #expect(attributes[.posixPermissions] as? Int == 0o600)
        }
    }

    @Test func `a statement keeps its connection open`() throws {
        func statement() throws -> Statement { try made().prepare("SELECT 42") }
        let select = try statement()
        #expect(try select.step())
        #expect(select.int64(0) == 42)
    }

    @Test func `nothing of a deleted row stays in a scrubbed file or its log`() throws {
        var generator = Generator()
        let path = directory.file("b.sqlite")
        let connection = try Connection(path: path)
        try connection.execute(
            """
            PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON;
            CREATE TABLE digests (digest BLOB PRIMARY KEY, text BLOB NOT NULL) STRICT, WITHOUT ROWID;
            CREATE TABLE batches (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT
            """)
        let rows = (0..<6000).map { _ in
            (key: generator.bytes(count: 16), value: generator.bytes(count: 32))
        }
        // Rows in random order move between pages, which keep copies of them.
        for (table, isGone) in [("digests", 3), ("batches", 2)] {
            let insert = try connection.prepare("INSERT INTO \(table) VALUES (?, ?)")
            for (number, row) in rows.enumerated() {
                if table == "digests" {
                    try insert.bind(1, row.key)
                } else {
                    try insert.bind(1, number)
                }
                try insert.bind(2, row.key + row.value)
                try insert.run()
            }
            let delete = try connection.prepare(
                "DELETE FROM \(table) WHERE \(table == "digests" ? "digest" : "number") = ?")
            for (number, row) in rows.enumerated() where number % 6 % isGone == 0 {
                if table == "digests" {
                    try delete.bind(1, row.key)
                } else {
                    try delete.bind(1, number)
                }
                try delete.run()
            }
        }
        // What is a multiple of six went from both tables.
        let reader = try Connection(path: path, mode: .readOnly)
        let count = try reader.prepare("SELECT count(*) FROM digests")
        #expect(try count.step() && count.int64(0) == 4000)
        count.reset()
        try connection.scrub(attemptsMax: 3)
        let gone = Set(rows.indices.filter { $0 % 6 == 0 }.map { rows[$0].key })
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        var left = 0
        for start in 0...(bytes.count - 16) where gone.contains([UInt8](bytes[start..<start + 16]))
        {
            left += 1
        }
        #expect(left == 0, "seed \(generator.seed)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: path + "-wal")).isEmpty)
        // Others' statements go on with what stayed.
        #expect(try count.step() && count.int64(0) == 4000)
        #expect(try connection.integer("SELECT count(*) FROM batches") == 3000)
        let check = try connection.prepare("PRAGMA integrity_check")
        #expect(try check.step() && check.text(0) == "ok")
    }

    @Test func `a scrub that others keep from ending is an error, and is done when they are gone`()
        throws
    {
        let path = directory.file("c.sqlite")
        let connection = try Connection(path: path, busyTimeoutMilliseconds: 0)
        try connection.execute("PRAGMA journal_mode = WAL; CREATE TABLE t(i INTEGER)")
        let other = try Connection(path: path)
        try other.execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")
        let refused = try #require(throws: SQLiteError.self) {
            try connection.scrub(attemptsMax: 2)
        }
        #expect(refused.isBusy)
        try other.execute("COMMIT")
        let reading = try other.prepare("SELECT i FROM t")
        #expect(try reading.step())
        let unfinished = try #require(throws: SQLiteError.self) {
            try connection.scrub(attemptsMax: 2)
        }
        #expect(unfinished.isBusy)
        reading.reset()
        try connection.scrub(attemptsMax: 2)
        #expect(try connection.integer("SELECT i FROM t") == 1)
    }
}
