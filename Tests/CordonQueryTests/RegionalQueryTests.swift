import ArrowIPC
import CordonModel
import CordonPolicy
import Engine
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CordonQuery

/// A second region: 160 hits of 40 people under the policy `ccpa`, whose rows may be seen from the US.
final class EasternRegion: QueryRegion, Sendable {
    struct Down: Error {}

    let name = "us-east"
    let jurisdiction = "US"
    let sealedColumns: Set<String> = []
    let scratchDirectory: String
    let file: String
    private let down = Mutex(false)
    private let recorded = Mutex<[QueryAuditEntry]>([])
    var entries: [QueryAuditEntry] { recorded.withLock { $0 } }

    init(in folder: TemporaryDirectory) throws {
        scratchDirectory = folder.file("scratch-east")
        file = folder.file("east.parquet")
        let rows = QueryFixture.rows(
            "160", day: "2026-11-21", policy: "ccpa", retainUntil: "2027-12-21")
        try QueryFixture.write(rows, to: file)
    }

    func takeDown() { down.withLock { $0 = true } }

    func files() throws -> [QueryFile] {
        if down.withLock({ $0 }) { throw Down() }
        return [QueryFile(path: file, retainUntil: nil)]
    }
    func suppressedPseudonyms() -> [SuppressedPseudonym] { [] }
    func ledger() throws -> QueryLedger { try QueryLedger(path: ":memory:", newSalt: 20_261_129) }
    func asker(_ principal: Principal) -> String { principal.role }
    func record(_ entry: QueryAuditEntry) { recorded.withLock { $0.append(entry) } }
}

@Suite struct `Queries over several regions` {
    let fixture: QueryFixture
    let east: EasternRegion

    init() throws {
        fixture = try QueryFixture()
        east = try EasternRegion(in: fixture.folder)
    }

    private func ask(
        _ sql: String, as principal: Principal = QueryFixture.abroad,
        format: QueryFormat = .table, destination: String? = nil
    ) throws -> QueryService.RegionalAnswer {
        try fixture.service().runTogether(
            QueryRequest(sql: sql, principal: principal, format: format), in: [fixture, east],
            destination: destination)
    }

    private func cells(_ answer: QueryService.RegionalAnswer) -> [[String?]]? {
        if case .cells(let rows)? = answer.body { rows } else { nil }
    }

    @Test(arguments: [
        "SELECT count(*) AS n FROM hits",
        "SELECT ts::DATE AS day, count(*) AS n FROM hits GROUP BY day ORDER BY day",
        "SELECT ts::DATE AS day, sum(CAST(params['value'] AS INTEGER)) AS total FROM hits GROUP BY 1 ORDER BY total DESC, day LIMIT 3",
        "SELECT date_trunc('month', ts) AS month, avg(CAST(params['value'] AS INTEGER)) AS mean, count(*) FILTER (WHERE event = 'view') AS viewed FROM hits GROUP BY ALL ORDER BY ALL",
        "SELECT sum(CAST(params['value'] AS DECIMAL(10, 2))) AS d, sum(CAST(params['value'] AS DOUBLE)) AS f, avg(sample_rate) AS r FROM hits",
        "SELECT min(ts::DATE) AS first, max(ts::DATE) AS last, count(visitor) AS v FROM hits",
        "SELECT l.title, count(*) AS n FROM hits h JOIN (VALUES ('de', 'German'), ('fr', 'French')) l(code, title) ON h.language = l.code GROUP BY l.title ORDER BY n DESC LIMIT 5 OFFSET 0",
    ])
    func `what adds up is what one region with all rows would answer`(_ sql: String) throws {
        let engine = try EngineConnection()
        try engine.execute("SET TimeZone = 'UTC'")
        // The visitors of one policy are hidden from abroad, those of the other are not.
        try engine.execute(
            """
            CREATE VIEW hits AS SELECT * REPLACE (CASE WHEN policy = 'ccpa' THEN visitor END AS visitor) FROM (
              SELECT * FROM \(fixture.plainSource) WHERE policy = 'gdpr' UNION ALL FROM '\(east.file)')
            """)
        let answer = try ask(sql)
        #expect(answer.isCombined)
        #expect(try cells(answer) == engine.query(sql).rows())
        // Each region's log has the question.
        #expect(fixture.entries.map(\.outcome) == [.answered])
        #expect(east.entries.map(\.outcome) == [.answered])
    }

    @Test func `each region holds its part against what it answered before`() throws {
        fixture.remember()
        let analyst = QueryFixture.analyst
        #expect(cells(try ask("SELECT count(*) AS n FROM hits", as: analyst)) != nil)
        let next = try ask(
            "SELECT count(*) AS n FROM hits WHERE site <> 'tiny.example'", as: analyst)
        guard case .refused(let refusal)? = next.regions.first?.result else {
            Issue.record("\(next.regions)")
            return
        }
        #expect(refusal.rule == "differencing")
    }

    @Test func `numbers with noise stand beside each other and are not summed`() throws {
        let answer = try ask(
            "SELECT event, count(*) AS n FROM hits GROUP BY event", as: QueryFixture.publisher)
        #expect(!answer.isCombined && answer.columns == ["region", "event", "n"])
        guard case .answered(_, _, _, let epsilon)? = answer.regions.first?.result else {
            Issue.record("\(answer.regions)")
            return
        }
        #expect(epsilon == 100_000)
    }

    @Test(arguments: [
        // Two people make the sum in the EU, too few to be shown; all its hits would count beside it.
        (
            "avg(CASE WHEN page_path = '/p/7' THEN CAST(params['value'] AS INTEGER) ELSE 0 END)",
            "policy = 'ccpa'"
        ),
        // What is too large for a sum in the EU is in neither the sum nor the count there.
        (
            "avg(CAST(params['value'] AS DOUBLE) * 1e14)",
            "policy = 'ccpa' OR CAST(params['value'] AS DOUBLE) * 1e14 < 1e15"
        ),
    ])
    func `an average counts the rows whose sum is shown`(_ mean: String, _ shown: String) throws {
        let answer = try ask("SELECT \(mean) AS mean FROM hits")
        #expect(answer.isCombined)
        let rows = try EngineConnection().query(
            """
            SELECT \(mean) AS mean FROM (
              SELECT * FROM \(fixture.plainSource) WHERE policy = 'gdpr' UNION ALL FROM '\(east.file)')
            WHERE \(shown)
            """
        ).rows()
        #expect(cells(answer) == rows)
    }

    @Test func `each region's answer tells what held its process`() throws {
        for (_, result) in try ask("SELECT count(*) AS n FROM hits").regions {
            guard case .answered(_, let confinement, _, _) = result else {
                Issue.record("no answer: \(result)")
                continue
            }
            #expect(confinement.contains("landlock") && confinement.contains("seccomp"))
        }
    }

    @Test func `what may not leave a region is named with the rule, and the others answer`() throws
    {
        let answer = try ask("SELECT count(*) AS n FROM hits", as: QueryFixture.analyst)
        #expect(cells(answer) == [["560"]])
        guard case .refused(let refusal) = answer.regions[1].result else {
            Issue.record("us-east let something out: \(answer)")
            return
        }
        #expect(answer.regions[1].name == "us-east")
        #expect(refusal.file == "Policies/ccpa.yaml" && refusal.line == 9)
        #expect(east.entries.map(\.outcome) == [.refused])
    }

    @Test func `a region that is down is missing, and its hits are not guessed`() throws {
        east.takeDown()
        let answer = try ask("SELECT count(*) AS n FROM hits")
        #expect(cells(answer) == [["560"]])
        guard case .missing(let error) = answer.regions[1].result else {
            Issue.record("us-east is not missing: \(answer)")
            return
        }
        #expect(error.code == .world && error.text.contains("us-east"))
    }

    @Test func `where no region answers there is nothing`() throws {
        let stranger = Principal(role: "stranger", purpose: "audience-measurement", place: "DE")
        let answer = try ask("SELECT count(*) AS n FROM hits", as: stranger)
        #expect(answer.body == nil)
        let hostile = try ask("SELECT * FROM read_text('/etc/hostname')")
        #expect(hostile.body == nil)
        #expect(
            hostile.regions.allSatisfy { region in
                if case .refused(let refusal) = region.result {
                    refusal.rule == "gate"
                } else {
                    false
                }
            })
    }

    @Test func `groups that are too small in a region are left out of its part`() throws {
        // From abroad a group needs 20 people in the EU; no visitor of Firefox there is shown, those in the US are.
        let answer = try ask("SELECT browser, count(*) AS n FROM hits GROUP BY browser ORDER BY 1")
        #expect(cells(answer) == [["Chrome", "576"], ["Firefox", "32"]])
    }

    @Test func `what does not add up stands region by region`() throws {
        let sql = "SELECT count(DISTINCT country) AS countries FROM hits"
        let answer = try ask(sql)
        #expect(!answer.isCombined)
        #expect(answer.columns == ["region", "countries"])
        #expect(cells(answer) == [["eu-central", "2"], ["us-east", "2"]])
        guard case .text(let csv)? = try ask(sql, format: .csv).body,
            case .text(let json)? = try ask(sql, format: .json).body
        else {
            Issue.record("no text")
            return
        }
        #expect(
            String(decoding: csv, as: UTF8.self)
                == "region,countries\r\neu-central,2\r\nus-east,2\r\n")
        #expect(
            String(decoding: json, as: UTF8.self)
                == "{\"region\":\"eu-central\",\"countries\":2}\n{\"region\":\"us-east\",\"countries\":2}\n"
        )
        let stream = try stream(ask(sql, format: .arrow))
        let file = fixture.folder.file("beside")
        try Data(stream.bytes).write(to: URL(fileURLWithPath: file + ".arrows"))
        try Data(json).write(to: URL(fileURLWithPath: file + ".ndjson"))
        if ArrowReader.isInstalled {
            #expect(try ArrowReader.problems(of: [(file + ".arrows", file + ".ndjson")]) == "")
        }
        #expect(throws: QueryError.self) {
            try ask(sql, format: .parquet, destination: fixture.folder.file("x.parquet"))
        }
    }

    private func stream(_ answer: QueryService.RegionalAnswer) throws -> ArrowStreamParts {
        guard case .arrow(let stream)? = answer.body else {
            throw QueryError(code: .world, text: "no stream")
        }
        return stream
    }

    @Test(.enabled(if: ArrowReader.isInstalled, "run scripts/setup --tests"))
    func `a combined answer leaves as an Arrow stream, with what JSON says`() throws {
        let sql =
            "SELECT event, count(*) AS n, avg(sample_rate) AS rate, sum(CAST(params['value'] AS DECIMAL(9,2))) AS value FROM hits GROUP BY event ORDER BY event"
        let file = fixture.folder.file("sum")
        let answer = try ask(sql, format: .arrow)
        #expect(answer.isCombined && answer.columns == ["event", "n", "rate", "value"])
        try Data(stream(answer).bytes).write(to: URL(fileURLWithPath: file + ".arrows"))
        guard case .text(let json)? = try ask(sql, format: .json).body else {
            Issue.record("no JSON")
            return
        }
        try Data(json).write(to: URL(fileURLWithPath: file + ".ndjson"))
        #expect(try ArrowReader.problems(of: [(file + ".arrows", file + ".ndjson")]) == "")
    }

    @Test func `streams of different schemas are not put together`() throws {
        let one = ArrowStreamParts(schema: [1], batches: [2])
        #expect(
            try QueryService.joined(one, ArrowStreamParts(schema: [1], batches: [3]))
                == ArrowStreamParts(schema: [1], batches: [2, 3]))
        #expect(throws: QueryError.self) {
            try QueryService.joined(one, ArrowStreamParts(schema: [4], batches: []))
        }
    }

    @Test func `a combined answer leaves as Parquet, and nothing else stays`() throws {
        let file = fixture.folder.file("sum.parquet")
        let answer = try ask(
            "SELECT event, count(*) AS n FROM hits WHERE event <> 'purchase' GROUP BY event",
            format: .parquet, destination: file)
        #expect(answer.rowCount == 2)
        #expect(try EngineConnection().text("SELECT count(*) FROM '\(file)'") == "2")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: fixture.scratchDirectory).isEmpty)
    }

    @Test(arguments: [
        "SELECT count(DISTINCT visitor) FROM hits",
        "SELECT count(*) / 2 FROM hits",
        "SELECT country, count(*) FROM hits GROUP BY country HAVING count(*) > 5",
        "SELECT count(*) FROM hits GROUP BY country",
        "SELECT upper(country), count(*) FROM hits GROUP BY country",
        "SELECT country FROM hits GROUP BY country",
        "SELECT * FROM hits",
        "SELECT DISTINCT count(*) FROM hits",
        "SELECT count(*) FROM hits a, hits b",
        "SELECT count(*) FROM (VALUES ('x')) v(event) LEFT JOIN hits USING (event)",
        "SELECT count(*) FROM (SELECT * FROM hits LIMIT 5)",
        "WITH h AS (SELECT * FROM hits) SELECT count(*) FROM h",
        "SELECT count(*) FROM hits WHERE ts > (SELECT min(ts) FROM hits)",
        "SELECT country, rank() OVER (ORDER BY count(*)) FROM hits GROUP BY country",
        "SELECT country, count(*) FROM hits GROUP BY ROLLUP (country)",
        "SELECT country, count(*) FROM hits GROUP BY country ORDER BY max(ts)",
        "SELECT country, count(*) FROM hits GROUP BY country LIMIT 10%",
        "SELECT median(key_epoch) FROM hits",
        "SELECT sum(DISTINCT key_epoch) FROM hits",
        "SELECT max(page_path, 2) FROM hits",
        "SELECT count(*) FROM hits UNION ALL SELECT count(*) FROM hits",
        "SELECT page_path AS country, count(*) FROM hits GROUP BY country",
    ])
    func `what does not surely add up is not taken apart`(_ sql: String) throws {
        #expect(DecomposedQuery(try QueryGate().check(sql)) == nil)
    }
}
