import CordonModel
import PostgresWire
import TestSupport
import Testing

@testable import CordonQuery

/// Values that are bound, and statements that are told about before they run.
@Suite struct `Parameters of a query` {
    private let fixture: QueryFixture

    init() throws { fixture = try QueryFixture() }

    private func cells(
        _ sql: String, _ parameters: [QueryParameter],
        as principal: Principal = QueryFixture.analyst
    ) throws -> [[String?]] {
        let outcome = try fixture.service().run(
            QueryRequest(sql: sql, parameters: parameters, principal: principal), in: fixture)
        guard case .answered(let answer) = outcome, case .cells(let cells) = answer.body else {
            throw Refused(outcome: "\(outcome)")
        }
        return cells
    }

    struct Refused: Error { let outcome: String }

    @Test func `take the places of their marks as values of their kinds`() throws {
        let plain = try cells(
            "SELECT country, count(*) FROM hits WHERE country = 'FR' AND ts >= TIMESTAMPTZ '2026-11-20 00:00:00+00' GROUP BY country LIMIT 3",
            [])
        let bound = try cells(
            "SELECT country, count(*) FROM hits WHERE country = $1 AND ts >= $2 GROUP BY country LIMIT $3",
            [
                .value("FR", .unknown), .value("2026-11-20 00:00:00+00", .timestamptz),
                .value("3", .unknown),
            ])
        #expect(bound == plain && bound.count == 1)
        #expect(
            try cells(
                "SELECT count(*) FROM hits WHERE country IN ($1, $2) AND bot = $3 AND retain_until > $4 AND sample_rate >= $5",
                [
                    .value("DE", .text), .value("FR", .text), .value("f", .boolean),
                    .value("2026-11-24", .date), .value("0.5", .decimal),
                ]) == (try cells("SELECT count(*) FROM hits", [])))
        #expect(
            try cells(
                "SELECT count(*) FROM hits WHERE country = ANY($1)", [.list(["FR", "DE"], .text)])
                == (try cells("SELECT count(*) FROM hits", [])))
    }

    @Test func `of no type are lists where their members are wanted`() throws {
        let all = try cells("SELECT count(*) FROM hits", [])
        #expect(
            try cells(
                "SELECT count(*) FROM hits WHERE country = ANY($1)",
                [.value("{DE,\"FR\"}", .unknown)]) == all)
    }

    @Test func `are never read as SQL, whatever stands in them`() throws {
        let traps = ["FR' OR '1'='1", "'; DROP VIEW hits; --", "\\'", "$1", "?", "\u{2019}", ""]
        for trap in traps.prefix(2) {
            #expect(throws: Refused.self, "\(trap)") {
                try cells(
                    "SELECT country, count(*) FROM hits WHERE country = $1 GROUP BY country",
                    [.value(trap, .text)])
            }
        }
        let whole = traps.dropLast()
        let list = whole.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        let back = try #require(
            try fixture.service().lookUp(
                QueryRequest(
                    sql: "SELECT \(list)", parameters: whole.map { .value($0, .text) },
                    principal: QueryFixture.analyst), in: SessionCatalog.none, of: fixture))
        var rows = DataRows(back.rows, columnCount: whole.count)
        let row = try #require(try rows.next())
        #expect(
            rows.values(of: row).map { $0.map { String(decoding: $0, as: UTF8.self) } }
                == whole.map { $0 })
    }

    @Test func `come back as they went, of every kind`() throws {
        let values: [(String, QueryParameter.Kind)] = [
            ("-32768", .smallint), ("2147483647", .integer), ("-9223372036854775808", .bigint),
            ("1.5", .float), ("-0.25", .double), ("-123456789.000001", .decimal), ("t", .boolean),
            ("2026-01-02", .date), ("03:04:05.5", .time),
            ("2026-01-02 03:04:05", .timestamp), ("2026-01-02 03:04:05.25+00", .timestamptz),
            ("019a0000-0000-7000-8000-000000000001", .uuid), ("1 mon 2 days 03:04:05", .interval),
            ("it's", .text),
        ]
        let list = values.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        let answer = try #require(
            try fixture.service().lookUp(
                QueryRequest(
                    sql: "SELECT \(list)", parameters: values.map { .value($0.0, $0.1) },
                    principal: QueryFixture.analyst), in: SessionCatalog.none, of: fixture))
        var rows = DataRows(answer.rows, columnCount: values.count)
        let row = try #require(try rows.next())
        let back = rows.values(of: row).map { $0.map { String(decoding: $0, as: UTF8.self) } }
        #expect(back == values.map(\.0))
    }

    @Test func `that are no values of their kind are mistakes of the query`() throws {
        for (text, kind) in [
            ("40000", QueryParameter.Kind.smallint), ("x", .bigint), ("1,5", .decimal),
            ("--1", .decimal),
            (".", .decimal), (String(repeating: "9", count: 40), .decimal), ("maybe", .boolean),
            ("a\u{0}b", .text), ("0044-03-15 BC", .date), ("five", .double),
        ] {
            let error = #expect(throws: QueryError.self, "\(text)") {
                try cells(
                    "SELECT count(*) FROM hits WHERE $1 IS NOT NULL", [.value(text, kind)])
            }
            #expect(error?.code == .query && error?.cause == .value, "\(text)")
        }
        #expect(fixture.entries.allSatisfy { $0.outcome == .failed })
    }

    @Test func `must all have a value, and a number`() throws {
        for (sql, values) in [
            ("SELECT count(*) FROM hits WHERE country = $2", [QueryParameter.value("DE", .text)]),
            ("SELECT count(*) FROM hits WHERE country = $name", [.value("DE", .text)]),
            ("SELECT count(*) FROM hits WHERE country = $1001", [.value("DE", .text)]),
            ("SELECT count(*) FROM hits WHERE country = $1", []),
        ] {
            #expect(throws: Refused.self, "\(sql)") { try cells(sql, values) }
        }
        #expect(fixture.entries.count == 4 && fixture.entries.allSatisfy { $0.outcome == .refused })
    }

    @Test func `count in the digest of the audit log`() throws {
        // The salt is random, so the digest is made again from what the entry holds.
        _ = try cells("SELECT count(*) FROM hits WHERE country = $1", [.value("DE", .text)])
        let entry = try #require(fixture.entries.last)
        #expect(entry.statementDigest.utf8.count == 64 && entry.outcome == .answered)
    }

    // MARK: Descriptions

    @Test func `are told with their kinds, and the columns of the answer, without a file`() throws {
        fixture.setFiles([])
        let described = try fixture.service().describe(
            QueryRequest(
                sql:
                    "SELECT country, count(*) AS n, sum(sample_rate) AS s FROM hits WHERE ts > $1 AND key_epoch = $2 AND site = $3 AND bot BETWEEN $4 AND $4 AND $5::UUID IS NULL GROUP BY country HAVING count(*) > $6 LIMIT $7",
                principal: QueryFixture.analyst, format: .postgres), kinds: [nil, .smallint],
            in: fixture)
        guard case .described(let columns, let parameters) = described else {
            Issue.record("\(described)")
            return
        }
        #expect(
            parameters == [
                .timestamptz, .smallint, .text, .boolean, .uuid, .bigint, .bigint,
            ])
        #expect(columns.map(\.name) == ["country", "n", "s"])
        #expect(columns.map(\.type) == ["VARCHAR", "BIGINT", "DOUBLE"])
        #expect(fixture.entries.isEmpty)
    }

    @Test func `of a statement that is refused are refused, and the audit log hears of it`() throws
    {
        for sql in ["SELECT site FROM hits", "SELECT * FROM read_csv($1)", "SELEC $1"] {
            let described = try fixture.service().describe(
                QueryRequest(sql: sql, principal: QueryFixture.analyst, format: .postgres),
                kinds: [], in: fixture)
            guard case .refused = described else {
                Issue.record("\(sql): \(described)")
                return
            }
        }
        #expect(fixture.entries.count == 3 && fixture.entries.allSatisfy { $0.outcome == .refused })
    }

    @Test func `a query that is cancelled ends, and its audit entry says so`() throws {
        let cancellation = try QueryCancellation()
        cancellation.cancel()
        let error = #expect(throws: QueryError.self) {
            try fixture.service().run(
                QueryRequest(
                    sql: "SELECT count(*) FROM hits", principal: QueryFixture.analyst,
                    cancellation: cancellation), in: fixture)
        }
        #expect(error?.code == .cancelled)
        #expect(fixture.entries.last?.rules == ["cancelled"])
        cancellation.renew()
        _ = try fixture.service().run(
            QueryRequest(
                sql: "SELECT count(*) FROM hits", principal: QueryFixture.analyst,
                cancellation: cancellation), in: fixture)
        #expect(fixture.entries.last?.outcome == .answered)
    }
}

extension SessionCatalog {
    /// A catalog with a name and nothing else.
    static let none = SessionCatalog(
        database: "eu-central", user: "tester", version: "PostgreSQL 15.0 (test)", settings: [],
        columns: [])
}

/// What clients of PostgreSQL ask of a catalog, and what they must not learn there.
@Suite struct `Catalogs of sessions` {
    private let fixture: QueryFixture

    init() throws { fixture = try QueryFixture() }

    /// Rows of texts; nil when the statement is not for the catalog.
    private func look(
        _ sql: String, as principal: Principal = QueryFixture.analyst
    ) throws -> [[String?]]? {
        let service = try fixture.service()
        let catalog = SessionCatalog(
            database: "eu-central", user: "tester", version: "PostgreSQL 15.0 (test)",
            settings: [("search_path", "pixels")],
            columns: service.visibleColumns(of: principal, in: fixture).map { PostgresColumn($0) })
        guard
            let answer = try service.lookUp(
                QueryRequest(sql: sql, principal: principal), in: catalog, of: fixture)
        else { return nil }
        var rows = DataRows(answer.rows, columnCount: answer.columns.count)
        var texts: [[String?]] = []
        while let row = try rows.next() {
            texts.append(
                rows.values(of: row).map { $0.map { String(decoding: $0, as: UTF8.self) } })
        }
        return texts
    }

    @Test func `hold the table with the columns that the principal may see`() throws {
        let columns =
            "SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = 'pixels.hits'::pg_catalog.regclass ORDER BY a.attnum"
        let analyst = try #require(try look(columns)).compactMap(\.first)
        #expect(analyst.contains("country") && !analyst.contains("visitor"))
        let officer = try #require(try look(columns, as: QueryFixture.officer)).compactMap(\.first)
        #expect(officer.contains("visitor"))
        fixture.seal(["page_path"])
        #expect(try look(columns, as: QueryFixture.officer)?.contains(["page_path"]) == false)
        let nobody = Principal(role: "nobody", purpose: "none", place: "DE")
        #expect(try look("SELECT relname FROM pg_class", as: nobody) == [])
        #expect(try look("SELECT relname FROM pg_class") == [["hits"]])
        #expect(fixture.entries.isEmpty)
    }

    @Test func `answer who and where`() throws {
        #expect(
            try look(
                "SELECT version(), current_schema(), current_user, session_user, pg_catalog.current_database(), current_setting('search_path')"
            ) == [
                [
                    "PostgreSQL 15.0 (test)", "pixels", "tester", "tester", "eu-central", "pixels",
                ]
            ])
        #expect(try look("SELECT 1") == [["1"]])
        #expect(
            try look(
                "SELECT oid::regtype::text, format_type(1700, 786438) FROM pg_type t WHERE t.oid = to_regtype('timestamptz')"
            )
                == [["timestamp with time zone", "numeric(12,2)"]])
        #expect(
            try look(
                "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname OPERATOR(pg_catalog.~) '^(pix.*)$' COLLATE pg_catalog.default"
            ) == [["pixels"]])
    }

    @Test func `leave to the gate what is not theirs, and say nothing of the machine`() throws {
        for sql in [
            "SELECT count(*) FROM hits", "SELECT * FROM \"hits\"", "SELECT * FROM pixels.hits",
            "SELECT * FROM duckdb_settings()", "SELECT * FROM pg_authid",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT * FROM '/etc/passwd'", "SELECT * FROM read_text('/etc/passwd')",
            "SELECT * FROM duckdb_tables", "SELECT * FROM system.pg_catalog.pg_class",
            "SELECT * FROM information_schema.character_sets", "SELECT * FROM cordon_catalog.names",
            "SELECT set_config('a', 'b', false)", "SELECT getenv('HOME')", "SELECT 1; SELECT 2",
            "INSERT INTO pg_class VALUES (1)", "DROP TABLE pg_class", "SELECT current_query()",
            "COPY pg_class TO '/tmp/x'", "SELECT cordon_oid FROM pg_class", "SHOW TABLES",
        ] {
            #expect(try look(sql) == nil, "\(sql)")
        }
    }

    @Test func `have a table for every name, and a function for every call, that binds`() throws {
        let tables = SessionCatalog.tables.map { "(SELECT count(*) FROM \($0.name))" }
        let counts = try #require(try look("SELECT \(tables.joined(separator: ", "))"))
        #expect(counts[0].count == SessionCatalog.tableNames.count)
        let calls = SessionCatalog.functions.map { function in
            let arguments = function.parameters.map { _ in "NULL" }.joined(separator: ", ")
            return "\(function.name)(\(arguments))"
        }
        #expect(try look("SELECT \(calls.joined(separator: ", "))")?.count == 1)
    }
}
