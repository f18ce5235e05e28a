import CordonCatalog
import CordonJournal
import CordonModel
import Foundation
import Iceberg
import TestSupport
import Testing

@testable import CordonLake

/// `cordon serve` as Sail meets it, a distributed engine that reads a region's catalog by itself and is asked over Arrow
/// Flight SQL. Each of its servers has one token, so whoever may ask it sees what that token may.
@Suite(.enabled(if: OtherReaders.haveSail, "run scripts/setup --tests"))
struct `Sail over a region's catalog` {
    private static let region = "eu-central"
    private let directory: TemporaryDirectory
    private let program: CordonProgram
    /// The table's files of each day, from today back.
    private let files: [[String]]

    private static let now = Timestamp(
        microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
    private static let today = Day(now)

    /// Three days of 100 hits as an earlier version wrote them, and ten hits of today with all columns.
    init() throws {
        directory = try TemporaryDirectory()
        program = try CordonProgram(projectIn: directory)
        try program.admitEngineers()
        let state = program.project + "/var/\(Self.region)"
        let catalog = try Catalog(path: state + "/catalog.sqlite")
        let table = HitsTable(
            HitsTable.Settings(
                directory: state + "/lake/pixels/hits", lockPath: state + "/lake.lock",
                scratchDirectory: state + "/lake-scratch"),
            catalog: catalog, clock: FixedClock(time: Self.now), audit: { _ in })
        let journal = try Journal(path: state + "/journal.sqlite")
        func deliver(_ numbers: Range<Int>, day: (Int) -> Int) throws {
            let records = numbers.map { Self.record($0, daysBack: day($0)) }
            let batch = HitBatch(ruleSet: "rules", geoBuild: "geo", records: records)
            _ = try journal.append(batch.encoded, hits: records.count, expecting: 0)
            _ = try table.deliver(from: journal)
        }
        try deliver(0..<300) { $0 / 100 }
        try OlderTable.make(of: table, catalog: catalog, without: ["language", "params"])
        try deliver(300..<310) { _ in 0 }
        let all = try table.snapshot().files
        files = (0..<3).map { back in
            all.filter { $0.retainUntil == Self.today + (300 - back) }.map(\.path)
        }
        try #require(files.map(\.count) == [2, 1, 1])
    }

    /// Each day has a site and an end of retention of its own.
    private static func record(_ index: Int, daysBack: Int) -> HitRecord {
        var record = HitRecord()
        record.hitID = UInt128(index + 1)
        record.timestamp = Timestamp(
            microseconds: (Self.today + -daysBack).start.microseconds + Int64(index) * 1_000)
        record.site = "day-\(daysBack).example"
        record.event = "view"
        record.visitor = Pseudonym(value: UInt128(index % 30 + 1000))
        record.keyEpoch = Day(record.timestamp)
        record.country = index % 2 == 0 ? "DE" : "FR"
        record.language = "de"
        record.policy = "gdpr"
        record.parameters = [.init(key: "sku", value: "\(index)")]
        record.retainUntil = Self.today + (300 - daysBack)
        return record
    }

    private static let script = #"""
        import datetime, json, os, re, subprocess, sys
        import adbc_driver_flightsql.dbapi as flight

        base, engineer, analyst, files = sys.argv[1:4] + [json.loads(sys.argv[4])]
        days = [datetime.date.fromisoformat(sys.argv[5]) - datetime.timedelta(days=n) for n in range(3)]

        class Sail:
            """One server, which knows one catalog and one token."""

            def __init__(self, token):
                catalog = '[{type="iceberg-rest", name="r", uri="%s", warehouse="", bearer_access_token="%s"}]'
                environment = dict(
                    os.environ, SAIL_MODE="local", RUST_LOG="warn,sail_cli=info",
                    SAIL_CATALOG__LIST=catalog % (base, token), SAIL_CATALOG__DEFAULT_CATALOG='"r"',
                    SAIL_CATALOG__DEFAULT_DATABASE='["pixels"]')
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "pysail", "flight", "server", "--ip", "127.0.0.1", "--port", "0"],
                    env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                said = ""
                for line in self.process.stdout:
                    said += line
                    place = re.search(r"server on (127\.0\.0\.1:\d+)", line)
                    if place:
                        self.connection = flight.connect("grpc://" + place[1], autocommit=True)
                        return
                raise SystemExit("Sail did not start: " + said)

            def ask(self, sql):
                with self.connection.cursor() as cursor:
                    cursor.execute(sql)
                    return cursor.fetchall()

            def refuses(self, sql, *words):
                try:
                    self.ask(sql)
                except flight.Error as error:
                    assert any(word in str(error) for word in words), (sql, str(error))
                else:
                    raise SystemExit("was answered: " + sql)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.process.kill()
                self.process.wait()

        def read(plan):
            """The files that a plan reads."""
            return {name for day in files for path in day for name in [os.path.basename(path)] if name in plan}

        def names(*days):
            return {os.path.basename(path) for day in days for path in files[day]}

        with Sail(engineer) as sail:
            assert sail.ask("SHOW TABLES IN r.pixels") == [("pixels", "hits", False)]

            # A question about one day reads its files and no other, by day, by end of retention and by site.
            for other in files[1] + files[2]:
                os.rename(other, other + ".away")
            columns = "SELECT country, count(*), sum(sample_rate) FROM r.pixels.hits WHERE "
            for condition in [
                f"ts >= TIMESTAMP '{days[0]} 00:00:00Z'",
                f"retain_until = DATE '{days[0] + datetime.timedelta(days=300)}'",
                "site = 'day-0.example'",
            ]:
                rows = sail.ask(columns + condition + " GROUP BY country ORDER BY country")
                assert rows == [("DE", 55, 55.0), ("FR", 55, 55.0)], (condition, rows)
                [(plan,)] = sail.ask("EXPLAIN ANALYZE " + columns + condition + " GROUP BY country")
                assert read(plan) == names(0), (condition, plan)
            whole = "SELECT sum(sample_rate) FROM r.pixels.hits"
            sail.refuses(whole, "No such file", "not found")
            for other in files[1] + files[2]:
                os.rename(other + ".away", other)
            [(plan,)] = sail.ask("EXPLAIN ANALYZE " + whole)
            assert read(plan) == names(0, 1, 2), plan
            assert sail.ask(whole) == [(310.0,)]

            # Columns that the older files have not are null, text, map and all.
            evolved = "SELECT count(*), count(language), count(params['sku']) FROM r.pixels.hits"
            assert sail.ask(evolved) == [(310, 10, 10)], sail.ask(evolved)

            # It makes, fills and changes tables in a namespace that the token names; their place is the service's choice.
            sail.ask("CREATE DATABASE r.sandbox")
            sail.ask("CREATE TABLE r.sandbox.t (a INT, b STRING) USING iceberg")
            sail.ask("INSERT INTO r.sandbox.t VALUES (1, 'x'), (2, 'y')")
            sail.ask("DELETE FROM r.sandbox.t WHERE a = 1")
            assert sail.ask("SELECT a, b FROM r.sandbox.t") == [(2, "y")]
            sail.ask("DROP TABLE r.sandbox.t")
            sail.ask("DROP DATABASE r.sandbox")
            sail.refuses("CREATE DATABASE r.elsewhere", "403")

        # Who sees groups alone is refused the files, and so is who has no token of this service.
        with Sail(analyst) as sail:
            assert sail.ask("SHOW TABLES IN r.pixels") == [("pixels", "hits", False)]
            sail.refuses("SELECT count(*) FROM r.pixels.hits", "403")
        with Sail("None") as sail:
            sail.refuses("SELECT count(*) FROM r.pixels.hits", "401")
        print("well")
        """#

    @Test
    func `reads what the token may, by the files that the question touches, and nothing else`()
        async throws
    {
        let engineer = try program.token(
            Self.region, "--role", "engineer", "--purpose", "data-subject-request", "--from", "DE",
            "--write", "sandbox")
        let analyst = try program.token(
            Self.region, "--role", "analyst", "--purpose", "audience-measurement", "--from", "DE")
        let running = try await program.start("serve", "--region", Self.region)
        let port = try #require(running.servicePorts[Self.region])
        let result = try Tool.run(
            OtherReaders.python,
            [
                "-c", Self.script, "http://127.0.0.1:\(port)", engineer, analyst,
                String(decoding: try JSONEncoder().encode(files), as: UTF8.self),
                Self.today.text,
            ])
        #expect(result.exitCode == 0 && result.output.contains("well"), "\(result.output)")
        #expect(running.end(SIGTERM) == 0, "\(running.log)")
        let log = try program.run("audit", "log", "--region", Self.region, "--limit", "1000").output
        for kind in ["catalog.loaded", "catalog.refused", "service.refused", "catalog.committed"] {
            #expect(log.contains(kind), "\(kind)")
        }
        // Where Sail wanted its table is nothing of this machine's.
        #expect(!FileManager.default.fileExists(atPath: "spark-warehouse"))
    }
}
