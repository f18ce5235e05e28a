import CordonModel
import Engine
import TestSupport
import Testing

@testable import CordonQuery

@Suite struct `Frozen clock` {
    /// 2001-02-03T04:05:06Z.
    private static let time = Timestamp(microseconds: 981_173_106_000_000)
    private let gate: QueryGate
    private let engine: EngineConnection

    init() throws {
        gate = try QueryGate()
        engine = try EngineConnection()
        try engine.execute("SET TimeZone = 'UTC'")
    }

    private func frozen(_ sql: String) throws -> String {
        try gate.render(FrozenClock(at: Self.time).freezing(gate.check(sql, [])))
    }

    @Test(arguments: [
        "now()", "get_current_timestamp()", "transaction_timestamp()", "current_timestamp",
        "today()", "current_date()", "current_date", "current_localtimestamp()", "localtimestamp",
        "current_localtime()", "localtime",
    ])
    func `whatever tells the time tells that of the question, with its type and name`(
        _ call: String
    ) throws {
        let sql = "SELECT \(call), typeof(\(call)) AS type"
        let result = try engine.query(frozen(sql))
        let plain = try engine.query(sql)
        #expect(result.fields.map(\.name) == plain.fields.map(\.name))
        let row = try #require(try result.rows().first)
        #expect(try row[1] == plain.rows().first?[1])
        let text = try #require(row[0])
        #expect(text.contains("2001-02-03") || text.contains("04:05:06"), "\(text)")
        if !text.hasPrefix("04") && !call.contains("date") && call != "today()" {
            #expect(text.contains("04:05:06"), "\(text)")
        }
    }

    @Test(arguments: [
        "SELECT current_time", "SELECT get_current_time()",
        "SELECT count(*) FROM hits WHERE age(ts::TIMESTAMP) > INTERVAL 1 DAY",
        "SELECT DATE '2020-01-01' AS current_date, count(*) FROM hits WHERE ts < current_date",
    ])
    func `what would look at the clock nevertheless is refused`(_ sql: String) throws {
        #expect(throws: GroupGuard.Refused.self) { try frozen(sql) }
    }

    @Test func `a question with a clock is answered and held against others`() throws {
        let fixture = try QueryFixture(remembering: true)
        let end = "now() + INTERVAL 100 YEAR"
        let sql = "SELECT count(*) AS n FROM hits WHERE ts < \(end)"
        #expect(try fixture.ask(sql, as: QueryFixture.analyst).cells == [["560"]])
        #expect(
            try fixture.ask(sql + " AND site <> 'tiny.example'", as: QueryFixture.analyst).refusal?
                .rule == "differencing")
        #expect(
            try fixture.ask("SELECT age(ts::TIMESTAMP) FROM hits", as: QueryFixture.officer).answer
                != nil)
    }
}
