import CordonJournal
import CordonModel
import Foundation
import TestSupport
import Testing

/// `cordon serve` as PyIceberg, DuckDB and curl meet it.
@Suite(.enabled(if: OtherReaders.areInstalled, "run scripts/setup --tests"))
struct `The region's service and the clients of others` {
    private static let region = ServedHits.region
    private let directory: TemporaryDirectory
    private let program: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        program = try CordonProgram(projectIn: directory)
        try program.admitEngineers()
        try ServedHits.deliver(into: program)
    }

    private static let script = #"""
        import datetime, json, sys, tempfile, urllib.error, urllib.request
        import duckdb, pyarrow as pa
        from pyiceberg.catalog import load_catalog
        from pyiceberg.exceptions import ForbiddenError, CommitFailedException, UnauthorizedError
        from pyiceberg.types import DoubleType

        base, engineer, analyst, extensions, today = sys.argv[1:6]
        today = datetime.date.fromisoformat(today)

        def ask(method, path, token, body=None, **headers):
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(base + path, data=data, method=method)
            request.add_header("Authorization", "Bearer " + token)
            request.add_header("Content-Type", "application/json")
            for name, value in headers.items():
                request.add_header(name, value)
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status, answer.headers, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.headers, error.read().decode()

        def duck(token):
            connection = duckdb.connect(config={"extension_directory": tempfile.mkdtemp()})
            for name in ["avro", "httpfs", "iceberg"]:
                connection.execute(f"INSTALL '{extensions}/{name}.duckdb_extension'")
                connection.execute(f"LOAD {name}")
            connection.execute(f"CREATE SECRET s (TYPE iceberg, TOKEN '{token}')")
            connection.execute(f"ATTACH '' AS r (TYPE iceberg, ENDPOINT '{base}', SECRET s)")
            return connection

        # PyIceberg: read the hits, by partition.
        catalog = load_catalog("r", type="rest", uri=base, token=engineer)
        hits = catalog.load_table("pixels.hits")
        assert hits.scan().to_arrow().num_rows == 300
        day = hits.scan(row_filter=f"ts >= '{today}T00:00:00+00:00'")
        assert len(list(hits.scan().plan_files())) == 3
        assert len(list(day.plan_files())) == 1
        assert day.to_arrow().num_rows == 100

        # PyIceberg: make, append, evolve, read, look back, rewrite.
        catalog.create_namespace("sandbox", {"owner": "tester"})
        schema = pa.schema([("id", pa.int64()), ("name", pa.string())])
        table = catalog.create_table("sandbox.t", schema=schema)
        table.append(pa.table({"id": [1, 2, 3], "name": ["a", "b", "c"]}, schema=schema))
        first = table.current_snapshot().snapshot_id
        stale = catalog.load_table("sandbox.t")
        with table.update_schema() as update:
            update.add_column("price", DoubleType())
        table.append(pa.table({"id": [4], "name": ["d"], "price": [1.5]}))
        rows = sorted(table.scan().to_arrow().to_pylist(), key=lambda row: row["id"])
        assert rows[0] == {"id": 1, "name": "a", "price": None} and rows[3]["price"] == 1.5
        assert table.scan(snapshot_id=first).to_arrow().num_rows == 3
        table.delete("id = 2")
        assert table.scan().to_arrow().num_rows == 3
        assert catalog.load_namespace_properties("sandbox") == {"owner": "tester"}
        catalog.update_namespace_properties("sandbox", removals={"owner", "none"}, updates={"a": "b"})
        assert catalog.load_namespace_properties("sandbox") == {"a": "b"}
        # A writer that starts from an old state finds out.
        try:
            with stale.update_schema() as update:
                update.add_column("late", DoubleType())
            raise SystemExit("a commit from an old state was taken")
        except CommitFailedException:
            pass

        # DuckDB: read with pruning, and write into the sandbox.
        connection = duck(engineer)
        assert connection.execute("SELECT count(*) FROM r.pixels.hits").fetchall() == [(300,)]
        question = f"SELECT count(*) FROM r.pixels.hits WHERE ts >= TIMESTAMPTZ '{today} 00:00:00+00'"
        assert connection.execute(question).fetchall() == [(100,)]
        plan = connection.execute("EXPLAIN ANALYZE " + question).fetchall()[0][1]
        assert "Total Files Read: 1" in plan, plan
        assert connection.execute("SELECT id FROM r.sandbox.t ORDER BY id").fetchall() == [(1,), (3,), (4,)]
        connection.execute("CREATE TABLE r.sandbox.d (day DATE, n INTEGER)")
        connection.execute("INSERT INTO r.sandbox.d VALUES (DATE '2026-01-01', 1), (DATE '2026-01-02', 2)")
        connection.execute("CREATE TABLE r.sandbox.e AS SELECT range AS i FROM range(100)")
        assert connection.execute("SELECT sum(i) FROM r.sandbox.e").fetchall() == [(4950,)]
        connection.execute("ALTER TABLE r.sandbox.d ADD COLUMN x VARCHAR")
        connection.execute("INSERT INTO r.sandbox.d VALUES (DATE '2026-01-03', 3, 'x')")
        assert connection.execute("SELECT sum(n), count(x) FROM r.sandbox.d").fetchall() == [(6, 1)]
        for refused in [
            "DELETE FROM r.sandbox.d WHERE n = 1",
            "INSERT INTO r.pixels.hits SELECT * FROM r.pixels.hits",
        ]:
            try:
                connection.execute(refused)
                raise SystemExit("was taken: " + refused)
            except duckdb.Error:
                pass
        # What one wrote the other reads.
        assert catalog.load_table("sandbox.d").scan().to_arrow().num_rows == 3
        catalog.rename_table("sandbox.d", "sandbox.dd")
        for name in ["sandbox.dd", "sandbox.e", "sandbox.t"]:
            catalog.drop_table(name)
        catalog.drop_namespace("sandbox")

        # Who sees aggregates alone is refused the files, and told where to ask.
        for attempt in [
            lambda: load_catalog("a", type="rest", uri=base, token=analyst).load_table("pixels.hits"),
            lambda: duck(analyst).execute("SELECT * FROM r.pixels.hits"),
        ]:
            try:
                attempt()
                raise SystemExit("an analyst was given the files")
            except (ForbiddenError, duckdb.Error) as error:
                assert "/v1/query" in str(error), error
        # Without a token PyIceberg sends the word None.
        try:
            load_catalog("n", type="rest", uri=base)
            raise SystemExit("nobody was served")
        except UnauthorizedError:
            pass

        # Questions in SQL.
        sql = {"sql": "SELECT country, count(*) AS n FROM hits GROUP BY country ORDER BY country"}
        status, headers, body = ask("POST", "/v1/query", analyst, sql)
        answer = json.loads(body)
        assert status == 200 and answer["columns"] == ["country", "n"], body
        assert answer["rows"] == [{"country": "DE", "n": 150}, {"country": "FR", "n": 150}], body
        assert answer["groups"]["gdpr"] == 5
        status, headers, body = ask("POST", "/v1/query", analyst, sql, Accept="text/csv")
        assert status == 200 and body.splitlines() == ["country,n", "DE,150", "FR,150"], body
        status, headers, body = ask("POST", "/v1/query", analyst, sql, Accept="application/x-ndjson")
        assert status == 200 and [json.loads(line)["n"] for line in body.splitlines()] == [150, 150]
        status, headers, body = ask("POST", "/v1/query", analyst, {"sql": "SELECT * FROM hits"})
        assert status == 403 and json.loads(body)["refused"]["file"] == "Policies/gdpr.yaml", body
        status, headers, body = ask("POST", "/v1/query", analyst, {"sql": "SELECT * FROM '/etc/passwd'"})
        assert status == 403, body
        assert ask("POST", "/v1/query", engineer, {"sql": "SELECT nothing FROM hits"})[0] == 400
        assert ask("POST", "/v1/query", analyst, sql, Accept="image/gif")[0] == 406
        assert ask("POST", "/v1/query", analyst, {"sql": "x" * 70000})[0] == 413
        assert ask("GET", "/v1/us-east/namespaces", analyst)[0] == 403
        print("well")
        """#

    /// Asks for what every type of an answer can hold, as JSON and as Arrow: of the service, and as the command gave it.
    private static let arrowScript =
        ArrowReader.definitions + "\n"
            + #"""
            import duckdb, os, tempfile, urllib.request
            base, token, sql, command_json, command_arrow = sys.argv[1:6]

            def ask(accept):
                request = urllib.request.Request(base + "/v1/query", data=json.dumps({"sql": sql}).encode(), method="POST")
                for name, value in [("Authorization", "Bearer " + token), ("Content-Type", "application/json"), ("Accept", accept)]:
                    request.add_header(name, value)
                with urllib.request.urlopen(request) as answer:
                    return answer.headers, answer.read()

            folder = tempfile.mkdtemp()
            stream, lines = folder + "/a.arrows", folder + "/a.ndjson"
            headers, body = ask("application/vnd.apache.arrow.stream")
            assert headers["Content-Type"] == "application/vnd.apache.arrow.stream", headers
            assert headers["Cordon-Rows"] == "300", headers
            open(stream, "wb").write(body)
            open(lines, "wb").write(ask("application/x-ndjson")[1])
            table = compare(stream, lines)
            compare(command_arrow, command_json)
            assert compare(command_arrow, lines).equals(table)
            assert table.num_rows == 300
            # Another engine reads it as it reads its own.
            assert duckdb.connect().execute("SELECT count(*), count(DISTINCT hit_id) FROM \"table\"").fetchall() == [(300, 300)]
            for name in [stream, lines]:
                os.remove(name)
            os.rmdir(folder)
            print("well")
            """#

    @Test func `pyarrow reads every type that an answer can have, of the service and the command`()
        async throws
    {
        let types = [
            "BIGINT", "DECIMAL(9,3)", "DOUBLE", "FLOAT", "HUGEINT", "INTEGER", "SMALLINT",
            "TINYINT", "UBIGINT", "UHUGEINT", "UINTEGER", "USMALLINT", "UTINYINT",
        ].map { "CAST(CASE WHEN country = 'DE' THEN day(ts) END AS \($0)) AS \"\($0)\"" }
        let times = [
            "DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_MS", "TIMESTAMP_NS",
            "TIMESTAMP_S",
        ].map {
            "CAST(CASE WHEN country = 'DE' THEN CAST(ts AS TIMESTAMP) END AS \($0)) AS \"\($0)\""
        }
        let others = [
            "CAST(site AS BLOB) AS b", "country = 'DE' AS yes", "to_days(day(ts)) AS span",
            "CAST(hit_id AS VARCHAR) AS id", "[country, NULL, site] AS list",
            "[[month(ts)], []] AS lists", "{'a': ts, 'b': [country]} AS pair",
            "map(['k'], [{'n': year(ts)}]) AS deep", "NULL AS nothing", "CAST('{}' AS JSON) AS js",
            "CAST([1, 2] AS TINYINT[2]) AS two",
        ]
        let sql =
            "SELECT *, \((types + times + others).joined(separator: ", ")) FROM hits ORDER BY hit_id"
        let engineer = try program.token(
            Self.region, "--role", "engineer", "--purpose", "data-subject-request", "--from", "DE")
        let who = [
            "query", "--region", Self.region, "--role", "engineer", "--purpose",
            "data-subject-request", "--from", "DE",
        ]
        for (format, name) in [("json", "a.ndjson"), ("arrow", "a.arrows")] {
            let asked = try program.run(
                who + ["--format", format, "--out", directory.file(name), sql])
            try #require(asked.exitCode == 0, "\(asked.errorOutput)")
        }
        let running = try await program.start("serve", "--region", Self.region)
        let port = try #require(running.servicePorts[Self.region])
        let result = try Tool.run(
            OtherReaders.python,
            [
                "-c", Self.arrowScript, "http://127.0.0.1:\(port)", engineer, sql,
                directory.file("a.ndjson"), directory.file("a.arrows"),
            ])
        #expect(result.exitCode == 0 && result.output == "well\n", "\(result.output)")
        #expect(running.end(SIGTERM) == 0, "\(running.log)")
    }

    @Test func `PyIceberg, DuckDB and plain HTTP read, write and are refused as they should be`()
        async throws
    {
        let engineer = try program.token(
            Self.region, "--role", "engineer", "--purpose", "data-subject-request", "--from", "DE",
            "--write",
            "sandbox")
        let analyst = try program.token(
            Self.region, "--role", "analyst", "--purpose", "audience-measurement", "--from", "DE")
        let running = try await program.start("serve", "--region", Self.region)
        let port = try #require(running.servicePorts[Self.region])
        let result = try Tool.run(
            OtherReaders.python,
            [
                "-c", Self.script, "http://127.0.0.1:\(port)", engineer, analyst,
                OtherReaders.extensions, ServedHits.today.text,
            ])
        #expect(result.exitCode == 0 && result.output.contains("well"), "\(result.output)")
        // A token that is revoked ends while the service runs.
        let listed = try program.run("token", "list", "--region", Self.region, "--json")
        let line = try #require(
            listed.output.split(separator: "\n").first { $0.contains(#""role":"engineer""#) })
        let id = try #require(line.firstMatch(of: #/"token":"([0-9a-f]{32})"/#)?.1)
        #expect(
            try program.run("token", "revoke", "--region", Self.region, String(id)).exitCode == 0)
        let refused = try Tool.run(
            "curl",
            ["-s", "-H", "Authorization: Bearer \(engineer)", "http://127.0.0.1:\(port)/v1/config"])
        #expect(refused.output.contains("revoked"), "\(refused.output)")
        #expect(running.end(SIGTERM) == 0, "\(running.log)")
        let log = try program.run("audit", "log", "--region", Self.region, "--limit", "1000").output
        for kind in [
            "token.issued", "token.revoked", "service.started", "service.stopped",
            "service.refused", "catalog.refused", "catalog.loaded", "catalog.created",
            "catalog.committed", "catalog.dropped", "query-answered", "query-refused",
        ] {
            #expect(log.contains(kind), "\(kind)")
        }
        #expect(try program.run("audit", "verify", "--region", Self.region).exitCode == 0)
        // Of what clients made and dropped nothing is left.
        let left = try FileManager.default.subpathsOfDirectory(
            atPath: program.project + "/var/\(Self.region)/lake"
        ).filter { $0.hasPrefix("sandbox/") && $0.contains(".") }
        #expect(left == [])
    }
}
