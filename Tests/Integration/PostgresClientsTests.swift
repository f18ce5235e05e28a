import CordonJournal
import CordonModel
import Foundation
import TestSupport
import Testing

/// `cordon serve` as the clients of PostgreSQL meet it: `psql`, psycopg and the JDBC driver.
@Suite(.enabled(if: PostgresClients.areInstalled, "run scripts/setup --tests"))
struct `The region's service and clients of PostgreSQL` {
    private static let region = ServedHits.region
    private let directory: TemporaryDirectory
    private let program: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        program = try CordonProgram(projectIn: directory)
        let path = program.project + "/Regions/\(Self.region).yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let changed = text.replacing(
            "service: { listen: 127.0.0.1:9401 }",
            with: "service: { listen: 127.0.0.1:9401, postgres: 127.0.0.1:9501 }")
        try #require(changed != text)
        try changed.write(toFile: path, atomically: true, encoding: .utf8)
        try ServedHits.deliver(into: program, purposes: ["audience-measurement"])
    }

    /// What `psql` prints of a text that it reads from its standard input.
    private func psql(_ port: UInt16, _ token: String, _ input: String, user: String = "tester")
        throws -> String
    {
        try Tool.run(
            "env",
            [
                "PGPASSWORD=\(token)", "PGCONNECT_TIMEOUT=30", "psql", "-X", "-A", "-t", "-h",
                "127.0.0.1", "-p", "\(port)", "-U", user, "-d", Self.region,
            ], input: input
        ).output
    }

    @Test func `psql, psycopg and JDBC ask, look up, and are refused under the same gate`()
        async throws
    {
        let analyst = try program.token(
            Self.region, "--role", "analyst", "--purpose", "audience-measurement", "--from", "DE")
        let officer = try program.token(
            Self.region, "--role", "privacy-officer", "--purpose", "data-subject-request", "--from",
            "DE")
        let nobody = try program.token(
            Self.region, "--role", "analyst", "--purpose", "audience-measurement", "--from", "CN")
        let running = try await program.start("serve", "--region", Self.region)
        let port = try #require(running.postgresPorts[Self.region])

        let told = try psql(
            port, analyst,
            """
            SELECT country, count(*) FROM hits GROUP BY country ORDER BY country;
            PREPARE q AS SELECT count(*) AS n FROM hits WHERE country = $1;
            EXECUTE q('DE');
            \\set VERBOSITY verbose
            SELECT site FROM hits;
            SELECT * FROM '/etc/passwd';
            SELEC 1;
            INSERT INTO hits VALUES (1);
            SHOW server_version;
            BEGIN; SELECT count(*) FROM hits; ROLLBACK;
            """)
        #expect(told.contains("DE|150\nFR|150\nPREPARE\n150\n"), "\(told)")
        #expect(told.contains("42501: refused (min_group): "), "\(told)")
        #expect(told.contains("DETAIL:  rule min_group at Policies/gdpr.yaml:"), "\(told)")
        #expect(told.contains("42501: refused (gate): "), "\(told)")
        #expect(told.contains("42601: the query is not valid SQL"), "\(told)")
        #expect(told.contains("only a single SELECT may be asked"), "\(told)")
        #expect(told.contains("15.0\nBEGIN\n300\nROLLBACK\n"), "\(told)")

        // One person's hit stands between this and the whole: asked for in words, prepared, through a cursor.
        let end = "\(ServedHits.today.text) 01:00:00+00"
        let compared = try psql(
            port, analyst,
            """
            SELECT count(*) FROM hits WHERE ts < TIMESTAMPTZ '\(end)';
            PREPARE d AS SELECT count(*) FROM hits WHERE ts < $1::TIMESTAMPTZ;
            EXECUTE d('\(end)');
            BEGIN;
            DECLARE c CURSOR FOR SELECT count(*) FROM hits WHERE ts < TIMESTAMPTZ '\(end)';
            FETCH 1 FROM c;
            ROLLBACK;
            """)
        #expect(
            compared.matches(of: #/ERROR:  refused \(differencing\): /#).count == 3, "\(compared)")
        #expect(!compared.contains("299"), "\(compared)")

        // Nobody without a token, nobody with that of another, and no other region.
        #expect(try psql(port, "nonsense", "SELECT 1").contains("this is no token of a region"))
        #expect(
            try psql(port, analyst, "SELECT 1", user: "root").contains(
                "the token was issued to somebody else"))

        let result = try Tool.run(
            OtherReaders.python,
            [
                "-c", PostgresClients.psycopg, "\(port)", analyst, officer, ServedHits.today.text,
            ])
        #expect(result.exitCode == 0 && result.output.contains("well"), "\(result.output)")

        let driven = try Tool.run(
            OtherReaders.python,
            ["-c", PostgresClients.jdbc, PostgresClients.driver, "\(port)", analyst, nobody])
        #expect(driven.exitCode == 0 && driven.output.contains("well"), "\(driven.output)")

        // The catalog as `psql` asks for it: the table, the columns that the token shows, the one database.
        let listed = try psql(
            port, analyst, "\\d\n\\dt\n\\l\n\\dn\n\\d+ hits\n\\du\n\\df\n\\di\n\\dp\n\\dx\n")
        #expect(
            listed.contains("pixels|hits|table|tester\npixels|hits|table|tester\n"), "\(listed)")
        #expect(listed.contains("eu-central|tester|UTF8|C|C"), "\(listed)")
        #expect(listed.contains("\nts|timestamp with time zone|"), "\(listed)")
        #expect(listed.contains("\npurposes|text[]|"), "\(listed)")
        #expect(!listed.contains("visitor") && !listed.contains("ERROR"), "\(listed)")
        #expect(!listed.contains(program.project), "\(listed)")

        // What is revoked ends with the next question of a session that is open, and no new one begins.
        let tokens = try program.run("token", "list", "--region", Self.region, "--json")
        let line = try #require(
            tokens.output.split(separator: "\n").first { $0.contains(#""role":"analyst""#) })
        let id = try #require(line.firstMatch(of: #/"token":"([0-9a-f]{32})"/#)?.1)
        #expect(
            try program.run("token", "revoke", "--region", Self.region, String(id)).exitCode == 0)
        #expect(try psql(port, analyst, "SELECT 1").contains("the token was revoked"))
        #expect(running.end(SIGTERM) == 0, "\(running.log)")
        #expect(running.log.contains("clients of PostgreSQL at postgresql://127.0.0.1:"))

        let log = try program.run("audit", "log", "--region", Self.region, "--limit", "1000").output
        for kind in ["query-answered", "query-refused", "query-failed", "service.refused"] {
            #expect(log.contains(kind), "\(kind)")
        }
        for reason in ["malformed-token", "other-subject", "revoked-token"] {
            #expect(log.contains("reason=\(reason) route=postgres"), "\(reason): \(log)")
        }
        #expect(log.contains("format=postgres"))
        #expect(try program.run("audit", "verify", "--region", Self.region).exitCode == 0)
    }
}

/// Clients of PostgreSQL that others wrote, where `scripts/setup --tests` has installed them.
enum PostgresClients {
    static let areInstalled: Bool = {
        guard OtherReaders.areInstalled,
            let psql = try? Tool.run("psql", ["--version"]), psql.exitCode == 0,
            let java = try? Tool.run("java", ["-version"]), java.exitCode == 0,
            let modules = try? Tool.run(OtherReaders.python, ["-c", "import psycopg, jpype"])
        else { return false }
        return modules.exitCode == 0 && FileManager.default.fileExists(atPath: driver)
    }()

    /// The JDBC driver, where Debian puts it.
    static let driver = "/usr/share/java/postgresql.jar"

    /// Asks with psycopg in every way in which it can ask; prints `well` at the end.
    static let psycopg = #"""
        import datetime, decimal, sys, threading, uuid
        import psycopg
        from psycopg import errors, rows

        port, analyst, officer, today = sys.argv[1:5]
        today = datetime.date.fromisoformat(today)

        def connect(token, **more):
            return psycopg.connect(
                host="127.0.0.1", port=port, user="tester", dbname="eu-central", password=token, **more)

        with connect(analyst, autocommit=True) as c:
            assert c.info.server_version == 150000 and c.info.parameter_status("TimeZone") == "UTC"
            # Values are bound, in text and in binary, prepared on the server or not, and the answer is in both forms.
            question = "SELECT country, count(*) FROM hits WHERE country = %s GROUP BY country"
            for binary in [False, True]:
                for prepare in [False, True]:
                    found = c.cursor(binary=binary).execute(question, ["DE"], prepare=prepare)
                    assert found.fetchall() == [("DE", 150)], (binary, prepare)
            # What looks like SQL in a value is a value.
            for trap in ["DE' OR '1'='1", "'; DROP TABLE hits; --", "\\'", "$1", "é"]:
                try:
                    rest = c.execute(question, [trap]).fetchall()
                    raise SystemExit(f"{trap} found {rest}")
                except errors.InsufficientPrivilege as error:
                    assert "no group is left" in str(error), error
            # Types, both ways.
            since = datetime.datetime.combine(today, datetime.time(), datetime.timezone.utc)
            found = c.execute(
                "SELECT count(*) FROM hits WHERE ts >= %s AND retain_until > %s AND bot = %s"
                " AND country = ANY(%s)", [since, today, False, ["DE", "FR"]], binary=True).fetchone()
            assert found == (100,), found
            found = c.execute("SELECT count(*) AS n FROM hits HAVING count(*) > %s LIMIT %b", [5, 1]).fetchone()
            assert found == (300,), found
            kinds = c.cursor(binary=True).execute(
                "SELECT 1::SMALLINT, 2, 3::BIGINT, 1.5::FLOAT, 2.5::DOUBLE, 12345.678, true, 'x', DATE '2026-01-02',"
                " TIMESTAMPTZ '2026-01-02 03:04:05.5+00', TIMESTAMP '2026-01-02 03:04:05', TIME '03:04:05', INTERVAL 3 DAY,"
                " '019a0000-0000-7000-8000-000000000001'::UUID, '\\x00\\xFF'::BLOB, ['a', 'b c', NULL], [1, 2], NULL").fetchone()
            assert kinds == (
                1, 2, 3, 1.5, 2.5, decimal.Decimal("12345.678"), True, "x", datetime.date(2026, 1, 2),
                datetime.datetime(2026, 1, 2, 3, 4, 5, 500000, datetime.timezone.utc),
                datetime.datetime(2026, 1, 2, 3, 4, 5), datetime.time(3, 4, 5), datetime.timedelta(days=3),
                uuid.UUID("019a0000-0000-7000-8000-000000000001"), b"\x00\xff", ["a", "b c", None], [1, 2], None), kinds
            values = [7, 2**40, 1.25, decimal.Decimal("-0.001"), True, "t", today, since, uuid.UUID(int=5), b"\x00'", [1, 2]]
            for form in ["%s", "%b"]:
                back = c.execute("SELECT " + ", ".join([form] * len(values)), values, binary=True).fetchone()
                assert list(back) == values, (form, back)
            # Refused cleanly: writing, many at once, copying, what is no SQL.
            for attempt, error in [
                (lambda: c.cursor().executemany("INSERT INTO hits (site) VALUES (%s)", [("a",), ("b",)]), errors.InsufficientPrivilege),
                (lambda: c.cursor().copy("COPY hits TO STDOUT").__enter__(), errors.InsufficientPrivilege),
                (lambda: c.execute("SELECT site FROM hits"), errors.InsufficientPrivilege),
                (lambda: c.execute("SELEC"), errors.SyntaxError),
                (lambda: c.execute("SELECT count(*) FROM hits WHERE ts > %s", ["soon"]), errors.InsufficientPrivilege),
                (lambda: c.execute("SELECT %b::DATE", [datetime.date(1, 1, 1)]) and c.execute("SELECT 'x'::DATE"), errors.InvalidTextRepresentation),
                (lambda: c.execute("SELECT count(*) FROM hits WHERE key_epoch = %b", [2**70]), psycopg.Error),
            ]:
                try:
                    attempt()
                    raise SystemExit("was taken")
                except error:
                    pass
            assert c.execute("SELECT count(*) FROM hits").fetchone() == (300,)
            with c.pipeline():
                first, second = c.execute("SELECT count(*) FROM hits"), c.execute("SELECT count(DISTINCT site) FROM hits")
                assert (first.fetchone(), second.fetchone()) == ((300,), (1,))
            # A query that is cancelled ends, with its key alone.
            timer = threading.Timer(1.0, c.cancel_safe)
            timer.start()
            try:
                c.execute("SELECT count(*) FROM range(1000000) a, range(1000000) b")
                raise SystemExit("ran to its end")
            except errors.QueryCanceled:
                timer.join()
            c.execute("SET statement_timeout = '1s'")
            try:
                c.execute("SELECT count(*) FROM range(1000000) a, range(1000000) b")
                raise SystemExit("ran to its end")
            except errors.QueryCanceled as error:
                assert "longer than 1 s" in str(error), error

        # A transaction fails as one, and cursors give rows in steps.
        with connect(officer) as c:
            c.execute("SELECT count(*) FROM hits")
            try:
                c.execute("SELECT nothing FROM hits")
            except errors.UndefinedColumn:
                pass
            try:
                c.execute("SELECT 1")
                raise SystemExit("went on")
            except errors.InFailedSqlTransaction:
                c.rollback()
            with c.cursor("steps", binary=True) as cursor:
                cursor.itersize = 70
                cursor.execute("SELECT hit_id, ts, purposes, params FROM hits WHERE country = %s ORDER BY ts", ["DE"])
                found = list(cursor)
                assert len(found) == 150 and isinstance(found[0][0], uuid.UUID), found[0]
                assert found[0][2] == ["audience-measurement"] and found[0][1] < found[149][1]
            with c.transaction(), c.cursor(row_factory=rows.dict_row) as cursor:
                assert cursor.execute("SELECT count(*) AS n FROM hits").fetchone() == {"n": 300}
            description = c.execute("SELECT hit_id, sample_rate FROM hits LIMIT 1").description
            assert [(d.name, d.type_display) for d in description] == [("hit_id", "uuid"), ("sample_rate", "float4")]
        print("well")
        """#

    /// Asks with the JDBC driver, its catalog look-ups too; prints `well` at the end.
    static let jdbc = #"""
        import sys
        import jpype
        import jpype.imports

        jar, port, analyst, nobody = sys.argv[1:5]
        jpype.startJVM(classpath=[jar])
        jpype.JClass("org.postgresql.Driver")
        from java.sql import DriverManager, SQLException, Types
        from java.util import Properties

        def connect(token, **more):
            given = Properties()
            for name, value in {"user": "tester", "password": token, **more}.items():
                given.setProperty(name, value)
            return DriverManager.getConnection(f"jdbc:postgresql://127.0.0.1:{port}/eu-central", given)

        def rows(found):
            count = found.getMetaData().getColumnCount()
            kept = []
            while found.next():
                kept.append([None if (v := found.getString(i + 1)) is None else str(v) for i in range(count)])
            found.close()
            return kept

        c = connect(analyst, prepareThreshold="1")
        assert c.isValid(20) and str(c.getCatalog()) == "eu-central" and str(c.getSchema()) == "pixels"
        about = c.getMetaData()
        assert str(about.getDatabaseProductName()) == "PostgreSQL" and about.getDatabaseMajorVersion() == 15
        assert [r[0] for r in rows(about.getCatalogs())] == ["eu-central"]
        assert [r[0] for r in rows(about.getSchemas())] == ["information_schema", "pg_catalog", "pixels"]
        tables = rows(about.getTables(None, None, "%", None))
        assert [r[1:4] for r in tables] == [["pixels", "hits", "TABLE"]], tables
        columns = {r[3]: r for r in rows(about.getColumns(None, "pixels", "hits", None))}
        assert columns["ts"][5] == "timestamptz" and int(columns["ts"][4]) == Types.TIMESTAMP, columns["ts"]
        assert columns["purposes"][5] == "_text" and columns["sample_rate"][5] == "float4"
        # What every policy hides from analysts is not there.
        assert not {"visitor", "user", "ip_prefix"} & set(columns), sorted(columns)
        kinds = {r[0] for r in rows(about.getTypeInfo())}
        assert {"int4", "text", "timestamptz", "uuid", "numeric"} <= kinds, kinds
        for empty in [
            about.getPrimaryKeys(None, "pixels", "hits"), about.getIndexInfo(None, None, "hits", False, False),
            about.getImportedKeys(None, None, "hits"), about.getExportedKeys(None, None, "hits"),
            about.getProcedures(None, None, None), about.getFunctions(None, None, None),
            about.getUDTs(None, None, "%", None),
        ]:
            assert rows(empty) == []

        # Prepared on the server from the first time on: described, then asked in binary form.
        question = c.prepareStatement("SELECT country, count(*) AS n FROM hits WHERE country = ? AND ts >= ? GROUP BY country LIMIT ?")
        from java.sql import Timestamp
        for _ in range(3):
            question.setString(1, "DE")
            question.setTimestamp(2, Timestamp(0))
            question.setInt(3, 5)
            assert rows(question.executeQuery()) == [["DE", "150"]]
        shape = question.getMetaData()
        assert [str(shape.getColumnTypeName(i + 1)) for i in range(2)] == ["text", "int8"]
        assert question.getParameterMetaData().getParameterCount() == 3
        question.setString(1, "DE' OR '1'='1")
        try:
            question.executeQuery()
            raise SystemExit("a value was taken for SQL")
        except SQLException as error:
            assert str(error.getSQLState()) == "42501", error
        # Rows in steps, within a transaction.
        c.setAutoCommit(False)
        steps = c.createStatement()
        steps.setFetchSize(7)
        found = rows(steps.executeQuery("SELECT i FROM range(50) t(i) ORDER BY i"))
        assert [int(r[0]) for r in found] == list(range(50))
        c.commit()
        c.setAutoCommit(True)
        for refused, code in [("SELECT site FROM hits", "42501"), ("DELETE FROM hits", "42501"), ("SELEC", "42601"),
                              ("SELECT * FROM pg_authid", "42501"), ("SELECT pg_read_file('/etc/passwd')", "42501")]:
            try:
                c.createStatement().execute(refused)
                raise SystemExit("was taken: " + refused)
            except SQLException as error:
                assert str(error.getSQLState()) == code, (refused, error)
        slow = c.createStatement()
        slow.setQueryTimeout(1)
        try:
            slow.executeQuery("SELECT count(*) FROM range(1000000) a(x), range(1000000) b(y)")
            raise SystemExit("ran to its end")
        except SQLException as error:
            assert str(error.getSQLState()) == "57014", error
        c.close()

        # Who may see nothing sees no table, and the catalog says nothing of others.
        c = connect(nobody)
        assert rows(c.getMetaData().getTables(None, None, "%", None)) == []
        try:
            connect("nonsense")
            raise SystemExit("nobody was let in")
        except SQLException as error:
            assert str(error.getSQLState()) == "28P01", error
        print("well")
        """#
}
