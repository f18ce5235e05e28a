import CordonModel
import CordonPolicy
import Engine
import TestSupport
import Testing

@testable import CordonQuery

@Suite struct `Discrete Laplace noise` {
    @Test(arguments: [(1, 1), (2, 1), (1, 3), (7, 2), (200, 10)])
    func `comes as often as its formula says`(_ scale: Int, _ over: Int) {
        var generator = Generator(seed: 20_261_129)
        let noise = DiscreteLaplace(scale: scale, over: over)
        let draws = 20_000
        var counts: [Int64: Int] = [:]
        for _ in 0..<draws { counts[noise.draw(&generator), default: 0] += 1 }
        // P(z) = (1 - q) / (1 + q) * q^|z| with q = exp(-1 / scale).
        let q = Double.exp(-Double(over) / Double(scale))
        for value in -3...3 {
            let expected = (1 - q) / (1 + q) * Double.power(q, abs(value)) * Double(draws)
            let found = Double(counts[Int64(value)] ?? 0)
            // Five standard deviations, of a seed that is always the same.
            #expect(
                abs(found - expected) <= 5 * expected.squareRoot() + 1,
                "\(value): \(found), expected \(expected)")
        }
        let sum = counts.reduce(0.0) { $0 + Double($1.key) * Double($1.value) }
        let deviation = (2 * q / ((1 - q) * (1 - q)) * Double(draws)).squareRoot()
        #expect(abs(sum) <= 5 * deviation + 1)
    }

    @Test func `is added to whole numbers, and what is no number is not shown`() {
        #expect(RowWriter.noised(.int(7), -9).text == "-2")
        #expect(RowWriter.noised(.double(7.5), 1).text == "9")
        #expect(RowWriter.noised(.text("x"), 1).text == "")
        #expect(RowWriter.noised(.double(.infinity), 1).text == "")
        #expect(RowWriter.noised(.null, 1).text == "")
    }
}

extension Double {
    fileprivate static func exp(_ x: Double) -> Double {
        // The series, by halving until it is short.
        abs(x) < 0.01 ? 1 + x + x * x / 2 + x * x * x / 6 : exp(x / 2) * exp(x / 2)
    }
    fileprivate static func power(_ base: Double, _ count: Int) -> Double {
        (0..<count).reduce(1) { result, _ in result * base }
    }
}

@Suite struct `Answers with noise` {
    let fixture: QueryFixture
    init() throws {
        fixture = try QueryFixture(remembering: true)
    }

    private func ask(_ sql: String, format: QueryFormat = .table) throws -> QueryService.Outcome {
        try fixture.ask(sql, as: QueryFixture.publisher, format: format)
    }

    @Test func `an answer is of one hit of each person, spends its epsilon and says so`() throws {
        let answer = try #require(try ask("SELECT count(*) AS n FROM hits").answer)
        #expect(answer.epsilon == 100_000)
        guard case .cells(let cells) = answer.body else {
            Issue.record("no cells")
            return
        }
        // Forty people; noise of scale 0.1 is beyond 5 once in 10^21 times.
        let count = try #require(cells.first?.first.flatMap { $0 }.flatMap { Int($0) })
        #expect(abs(count - 40) <= 5)
        let ledger = try QueryLedger(path: fixture.ledgerPath)
        let spent = try ledger.spent(at: QueryFixture.today.start)
        #expect(spent.map(\.epsilonDay) == [100_000] && spent.map(\.epsilonMonth) == [100_000])
    }

    @Test func `what a hit adds to a sum is held to its bound`() throws {
        let cells = try ask(
            "SELECT sum(CAST(params['value'] AS INTEGER) * 1000) AS total FROM hits"
        ).cells
        // At most ten each of forty people; noise of scale 1.1 is beyond 60 once in 10^23 times.
        let total = try #require(cells?.first?.first.flatMap { $0 }.flatMap { Int($0) })
        #expect(total <= 460 && total >= 200)
    }

    @Test func `a budget that is spent refuses, and comes back when its period has passed`() throws
    {
        let sql = "SELECT event, count(*) AS n FROM hits GROUP BY event ORDER BY event"
        for _ in 0..<3 { #expect(try ask(sql).answer != nil) }
        let refusal = try #require(try ask(sql).refusal)
        #expect(refusal.rule == "noise" && refusal.line == 35)
        #expect(refusal.text.contains("30 of 30 is spent"))
        #expect(refusal.text.contains((QueryFixture.today + 1).start.text))
        // Two counts cost twice.
        let two = "SELECT count(*) AS n, count(*) FILTER (WHERE event = 'view') AS v FROM hits"
        let request = QueryRequest(sql: two, principal: QueryFixture.publisher)
        let tomorrow = try fixture.service(clock: QueryFixture.today + 1)
        #expect(try tomorrow.run(request, in: fixture).answer?.epsilon == 200_000)
        #expect(try tomorrow.run(request, in: fixture).refusal?.rule == "noise")
    }

    @Test(arguments: [
        "SELECT event, count(*) AS n FROM hits GROUP BY event ORDER BY n",
        "SELECT event, count(*) AS n FROM hits GROUP BY event LIMIT 1",
        "SELECT event, count(*) AS n FROM hits GROUP BY event HAVING count(*) > 10",
        "SELECT count(*) + 1 FROM hits", "SELECT avg(sample_rate) FROM hits",
        "SELECT count(DISTINCT event) FROM hits", "SELECT max(ts::DATE) FROM hits",
        "SELECT event FROM hits GROUP BY event", "SELECT count(*) FROM hits GROUP BY event",
        "WITH h AS (SELECT * FROM hits) SELECT count(*) FROM h",
        "SELECT count(*) FROM hits, range(1000)",
        "SELECT count(*) FROM hits WHERE site IN (SELECT site FROM hits GROUP BY site)",
        "SELECT count(*) FROM hits UNION ALL SELECT count(*) FROM hits",
    ])
    func `a statement whose noise is not known is refused and spends nothing`(_ sql: String) throws
    {
        let refusal = try #require(try ask(sql).refusal)
        #expect(refusal.rule == "min_group" && refusal.text.contains("noise"), "\(refusal)")
        let ledger = try QueryLedger(path: fixture.ledgerPath)
        #expect(try ledger.spent(at: QueryFixture.today.start).isEmpty)
    }

    @Test func `no file leaves without noise`() throws {
        let outcome = try fixture.ask(
            "SELECT count(*) AS n FROM hits", as: QueryFixture.publisher, format: .parquet,
            destination: fixture.folder.file("noise.parquet"))
        #expect(outcome.refusal?.text.contains("Parquet") == true)
    }

    @Test func `of several policies the strictest noise holds`() {
        func grant(_ noise: AccessRule.Noise?) -> Access.Grant {
            Access.Grant(
                policy: "p", sight: .aggregates, minGroup: 5, smallGroups: .suppress, noise: noise,
                hidden: [], fieldDays: [:],
                position: FilePosition(file: "f", line: 1, column: 1), isTransfer: false)
        }
        let one = AccessRule.Noise(epsilon: 5_000, budget: 90_000, per: .day, rows: 20, value: 3)
        let other = AccessRule.Noise(epsilon: 9_000, budget: 50_000, per: .week, rows: 10)
        #expect(Access([grant(nil)]).noise == nil)
        #expect(
            Access([grant(one), grant(nil), grant(other)]).noise
                == .init(epsilon: 5_000, budget: 50_000, per: .week, rows: 10))
    }
}
