import Engine
import Foundation
import TestSupport
import Testing

/// One SQL expression and what its value must read as.
struct TypeCase: CustomTestStringConvertible, Sendable {
    let sql: String
    let text: String?
    let json: String
    var testDescription: String { sql }

    static let all: [TypeCase] = [
        .init(sql: "NULL", text: nil, json: "null"),
        .init(sql: "true", text: "true", json: "true"),
        .init(sql: "(-5)::TINYINT", text: "-5", json: "-5"),
        .init(sql: "(-500)::SMALLINT", text: "-500", json: "-500"),
        .init(sql: "(-70000)::INTEGER", text: "-70000", json: "-70000"),
        .init(
            sql: "(-9223372036854775807)::BIGINT", text: "-9223372036854775807",
            json: "-9223372036854775807"),
        .init(sql: "200::UTINYINT", text: "200", json: "200"),
        .init(sql: "60000::USMALLINT", text: "60000", json: "60000"),
        .init(sql: "4000000000::UINTEGER", text: "4000000000", json: "4000000000"),
        .init(
            sql: "18446744073709551615::UBIGINT", text: "18446744073709551615",
            json: "18446744073709551615"),
        .init(sql: "sum(7::BIGINT)", text: "7", json: "7"),
        .init(
            sql: "(-12345678901234567890123456789)::HUGEINT",
            text: "-12345678901234567890123456789",
            json: "-12345678901234567890123456789"),
        .init(sql: "1.5::FLOAT", text: "1.5", json: "1.5"),
        .init(sql: "1e300::DOUBLE", text: "1e+300", json: "1e+300"),
        .init(sql: "'nan'::DOUBLE", text: "nan", json: #""nan""#),
        .init(sql: "(-0.05)::DECIMAL(4,2)", text: "-0.05", json: "-0.05"),
        .init(sql: "12345.6789::DECIMAL(9,4)", text: "12345.6789", json: "12345.6789"),
        .init(sql: "12345.6789::DECIMAL(18,4)", text: "12345.6789", json: "12345.6789"),
        .init(sql: "0.001::DECIMAL(38,3)", text: "0.001", json: "0.001"),
        .init(sql: "'é\"\n'", text: "é\"\n", json: #""é\"\n""#),
        .init(sql: "''", text: "", json: #""""#),
        .init(sql: "'\\xAB\\x00'::BLOB", text: "ab00", json: #""ab00""#),
        .init(sql: "DATE '1969-12-31'", text: "1969-12-31", json: #""1969-12-31""#),
        .init(sql: "DATE '2024-02-29'", text: "2024-02-29", json: #""2024-02-29""#),
        .init(sql: "TIME '12:34:56.000001'", text: "12:34:56.000001", json: #""12:34:56.000001""#),
        .init(
            sql: "TIMESTAMP '1969-12-31 23:59:59.5'", text: "1969-12-31T23:59:59.500000",
            json: #""1969-12-31T23:59:59.500000""#),
        .init(
            sql: "TIMESTAMPTZ '2026-11-23 22:00:00+02'", text: "2026-11-23T20:00:00Z",
            json: #""2026-11-23T20:00:00Z""#),
        .init(
            sql: "TIMESTAMP_NS '2026-11-23 22:00:00.123456789'", text: "2026-11-23T22:00:00.123456",
            json: #""2026-11-23T22:00:00.123456""#),
        .init(
            sql: "INTERVAL '14 months 3 days 1.5 seconds'", text: "P14M3DT1.5S",
            json: #""P14M3DT1.5S""#),
        .init(
            sql: "'00112233-4455-6677-8899-aabbccddeeff'::UUID",
            text: "00112233-4455-6677-8899-aabbccddeeff",
            json: #""00112233-4455-6677-8899-aabbccddeeff""#),
        .init(sql: "[1, NULL, 3]", text: "[1,null,3]", json: "[1,null,3]"),
        .init(sql: "[]::INTEGER[]", text: "[]", json: "[]"),
        .init(sql: "[[1], [], [2, 3]]", text: "[[1],[],[2,3]]", json: "[[1],[],[2,3]]"),
        .init(sql: "[1, 2]::INTEGER[2]", text: "[1,2]", json: "[1,2]"),
        .init(sql: "{'a': 1, 'b': 'x'}", text: #"{"a":1,"b":"x"}"#, json: #"{"a":1,"b":"x"}"#),
        .init(sql: "MAP {'k': 1.5::DOUBLE}", text: #"{"k":1.5}"#, json: #"{"k":1.5}"#),
        .init(sql: "'b'::ENUM('a', 'b')", text: "b", json: #""b""#),
    ]
}

@Suite struct `Engine results` {
    @Test(arguments: TypeCase.all)
    func `every column type reads as its value`(_ type: TypeCase) throws {
        let connection = try EngineConnection()
        try connection.execute("SET TimeZone = 'UTC'")
        let result = try connection.query("SELECT \(type.sql) AS v, 1 AS after")
        #expect(result.fields.map(\.name) == ["v", "after"])
        let batch = try #require(try result.next())
        #expect(batch.rowCount == 1)
        let column = batch.columns[0]
        #expect(column.isNull(at: 0) == (type.text == nil))
        #expect(column.value(at: 0).text == type.text ?? "")
        #expect(column.value(at: 0).json == type.json)
        #expect(batch.columns[1].int64(at: 0) == 1)
    }

    @Test func `values and nulls keep their rows over many batches`() throws {
        let connection = try EngineConnection()
        let result = try connection.query(
            """
            SELECT i, CASE WHEN i % 3 = 0 THEN NULL ELSE 'v' || i END AS text,
                   CASE WHEN i % 5 = 0 THEN NULL ELSE [i, i + 1] END AS list,
                   {'n': i, 's': CASE WHEN i % 7 = 0 THEN NULL ELSE i::VARCHAR END} AS s
            FROM range(10000) t(i)
            """)
        var next = 0
        while let batch = try result.next() {
            let members = (batch.columns[3].member(0), batch.columns[3].member(1))
            for row in 0..<batch.rowCount {
                #expect(batch.columns[0].int64(at: row) == Int64(next))
                #expect(batch.columns[1].isNull(at: row) == (next % 3 == 0))
                if next % 3 != 0 { #expect(batch.columns[1].string(at: row) == "v\(next)") }
                let elements = batch.columns[2].elements(at: row)
                #expect(
                    elements.rows.map { elements.column.int64(at: $0) }
                        == (next % 5 == 0 ? [] : [Int64(next), Int64(next + 1)]))
                #expect(members.0.int64(at: row) == Int64(next))
                #expect(members.1.isNull(at: row) == (next % 7 == 0))
                next += 1
            }
        }
        #expect(next == 10000)
    }

    @Test func `a column outlives its stream, statement and connection`() throws {
        func column() throws -> Column {
            let result = try EngineConnection().query("SELECT 'kept for later' FROM range(3)")
            return try #require(try result.next()).columns[0]
        }
        let kept = try column()
        #expect((0..<3).map { kept.string(at: $0) } == Array(repeating: "kept for later", count: 3))
    }

    @Test func `an empty result has its columns and no rows`() throws {
        let result = try EngineConnection().query("SELECT 1 AS a, 'x' AS b WHERE false")
        #expect(result.fields.map(\.name) == ["a", "b"])
        #expect(try result.rows().isEmpty)
    }
}

@Suite struct `Engine ingestion` {
    private static let columns: [(name: String, type: IngestColumn.ValueType)] = [
        ("flag", .bool), ("small", .int32), ("large", .int64), ("rate", .float), ("ratio", .double),
        ("text", .utf8), ("day", .date), ("at", .timestampUTC), ("id", .uuid), ("list", .utf8List),
        ("map", .utf8Map),
    ]

    private func table(rows: Int, nullEvery: Int) -> IngestTable {
        let table = IngestTable(Self.columns)
        fill(table, rows: rows, nullEvery: nullEvery)
        return table
    }

    private func fill(_ table: IngestTable, rows: Int, nullEvery: Int) {
        let c = table.columns
        for row in 0..<rows {
            if row % nullEvery == nullEvery - 1 {
                for column in c { column.appendNull() }
                continue
            }
            c[0].append(row % 2 == 0)
            c[1].append(Int32(row))
            c[2].append(Int64(row) << 33)
            c[3].append(Float(row) / 2)
            c[4].append(Double(row) / 4)
            c[5].append("text-\(row)-é")
            c[6].append(Int32(row))
            c[7].append(Int64(row) * 1_000_001)
            c[8].append(uuid: UInt128(row) << 96 | 0xFFEE)
            c[9].append(list: (0..<(row % 3)).map { "p\($0)" })
            c[10].append(map: (0..<(row % 2)).map { ("k\($0)", "v\(row)") })
        }
    }

    @Test(arguments: [1, 2, 7, 64, 5000])
    func `rows and nulls arrive as they were appended`(_ rows: Int) throws {
        let connection = try EngineConnection()
        try connection.execute("SET TimeZone = 'UTC'")
        for nullEvery in [2, 5, 1_000_000] {
            try connection.execute("DROP TABLE IF EXISTS t")
            let table = table(rows: rows, nullEvery: nullEvery)
            try connection.ingest(table, into: "t", mode: .create)
            #expect(table.rowCount == 0)
            let found = try connection.query("SELECT * FROM t").rows()
            #expect(found.count == rows)
            for row in 0..<rows {
                if row % nullEvery == nullEvery - 1 {
                    #expect(found[row] == Array(repeating: nil, count: Self.columns.count))
                    continue
                }
                let id = String(format: "%08x-0000-0000-0000-00000000ffee", row)
                let expected: [String?] = [
                    row % 2 == 0 ? "true" : "false", "\(row)", "\(row << 33)", "\(Float(row) / 2)",
                    "\(Double(row) / 4)", "text-\(row)-é",
                    try connection.text("DATE '1970-01-01' + \(row)"),
                    try connection.text(
                        "strftime(make_timestamp(\(row * 1_000_001)), '%Y-%m-%dT%H:%M:%S')"
                    ).map {
                        row == 0 ? $0 + "Z" : $0 + String(format: ".%06dZ", row)
                    }, id,
                    "[" + (0..<(row % 3)).map { "\"p\($0)\"" }.joined(separator: ",") + "]",
                    row % 2 == 0 ? "{}" : "{\"k0\":\"v\(row)\"}",
                ]
                #expect(found[row] == expected)
                if row > 100 { break }
            }
        }
    }

    @Test func `columns become the engine's own types`() throws {
        let connection = try EngineConnection()
        try connection.ingest(table(rows: 3, nullEvery: 9), into: "t", mode: .create)
        let types = try connection.query(
            "SELECT data_type FROM duckdb_columns() WHERE table_name = 't' ORDER BY column_index"
        ).rows().map { $0[0] }
        #expect(
            types == [
                "BOOLEAN", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR", "DATE",
                "TIMESTAMP WITH TIME ZONE", "UUID", "VARCHAR[]", "MAP(VARCHAR, VARCHAR)",
            ])
    }

    @Test func `many ingestions append, and a failed one frees its rows`() throws {
        let connection = try EngineConnection()
        let table = IngestTable(Self.columns)
        try connection.ingest(table, into: "t", mode: .create)
        for _ in 0..<200 {
            fill(table, rows: 50, nullEvery: 3)
            try connection.ingest(table, into: "t")
            fill(table, rows: 50, nullEvery: 3)
            #expect(throws: EngineError.self) { try connection.ingest(table, into: "absent") }
            #expect(table.rowCount == 0)
        }
        #expect(try connection.text("SELECT count(*) FROM t") == "10000")
        #expect(
            try connection.text("SELECT sum(len(list)) FROM t WHERE list IS NOT NULL") == "3400")
    }

    @Test func `resident memory does not grow with the number of ingestions`() throws {
        let connection = try EngineConnection()
        func residentPages() throws -> Int {
            let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
            return Int(text.split(separator: " ")[1])!
        }
        let table = IngestTable([("text", .utf8)])
        let long = String(repeating: "x", count: 1_000_000)
        var before = 0
        for round in 0..<300 {
            table.columns[0].append(long)
            try connection.ingest(table, into: "t\(round)", mode: .create)
            try connection.execute("DROP TABLE t\(round)")
            if round == 100 { before = try residentPages() }
        }
        // 200 further megabyte rows went through; a leak of them would be 51,200 pages.
        #expect(try residentPages() - before < 25_600)
    }
}

@Suite struct `Engine failures` {
    @Test func `an error names its kind and keeps values out of its description`() throws {
        let connection = try EngineConnection()
        do {
            try connection.execute("SELECT CAST('secret-value' AS INTEGER)")
            Issue.record("the cast must fail")
        } catch {
            #expect(error.code == .failed)
            #expect(error.kind == "Conversion Error")
            #expect(!error.description.contains("secret-value"))
            #expect(error.engineText.contains("secret-value"))
        }
        #expect(try connection.text("1") == "1")
    }

    @Test func `a setting that does not exist is an error`() throws {
        #expect(throws: EngineError.self) {
            _ = try EngineConnection(settings: [("no_such_setting", "1")])
        }
    }

    @Test func `settings hold from the start`() throws {
        let connection = try EngineConnection(settings: [
            ("threads", "1"), ("enable_external_access", "false"),
        ])
        #expect(try connection.text("current_setting('threads')") == "1")
        #expect(throws: EngineError.self) {
            try connection.query("SELECT * FROM read_text('/etc/hostname')").rows()
        }
    }

    @Test func `a running statement can be stopped from another thread`() throws {
        let connection = try EngineConnection()
        let cancellation = connection.cancellation
        // A cancellation that comes before the statement starts has no effect, so it is repeated until it has one.
        // It has a thread of its own: those that tests share may all be waiting for statements.
        let ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            while ended.wait(timeout: .now() + .milliseconds(1)) == .timedOut {
                cancellation.cancel()
            }
        }
        defer { ended.signal() }
        do {
            let rows = try connection.query(
                "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE a.range * b.range = 7"
            ).rows()
            Issue.record("ended by itself with \(rows)")
        } catch {
            #expect(error.code == .interrupted)
        }
    }

    @Test func `a database in a file keeps its rows`() throws {
        let folder = try TemporaryDirectory()
        do {
            let connection = try EngineConnection(path: folder.file("a.duckdb"))
            try connection.execute("CREATE TABLE t AS SELECT 42 AS n")
        }
        #expect(try EngineConnection(path: folder.file("a.duckdb")).text("SELECT n FROM t") == "42")
    }
}
