import CordonModel
import Engine
import Foundation
import SQLite
import TestSupport
import Testing

@testable import CordonQuery

/// What was asked before over the same rows is neither told nor proven anew.
@Suite struct `Repeated questions` {
    let fixture: QueryFixture
    init() throws {
        fixture = try QueryFixture(remembering: true)
    }

    private func known() throws -> (questions: Int64?, proven: Int64?) {
        let connection = try Connection(path: fixture.ledgerPath)
        return (
            try connection.integer("SELECT count(*) FROM known"),
            try connection.integer("SELECT coalesce(sum(is_proven), 0) FROM known")
        )
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let sql: String
        let isProven: Bool
        var testDescription: String { sql }
    }

    private static let cases = [
        Case(sql: "SELECT count(*) AS n FROM hits WHERE country = 'DE'", isProven: true),
        Case(
            sql:
                "SELECT event, count(*) AS n, sum(CAST(params['value'] AS INTEGER)) AS v FROM hits GROUP BY event ORDER BY n DESC LIMIT 2",
            isProven: true),
        Case(
            sql: "SELECT ts::DATE AS day, count(*) FROM hits GROUP BY ALL HAVING count(*) > 100",
            isProven: true),
        // A group of one person, and a call of one, which are not shown however often one asks.
        Case(sql: "SELECT site, count(*) AS n FROM hits GROUP BY site", isProven: false),
        Case(
            sql:
                "SELECT count(*), sum(CASE WHEN site = 'tiny.example' THEN sample_rate ELSE 0 END) FROM hits",
            isProven: false),
    ]

    @Test(arguments: cases)
    func `the same question over the same rows is answered alike, with its guards or without`(
        _ asked: Case
    ) throws {
        let first = try #require(try fixture.ask(asked.sql).cells?.sorted { "\($0)" < "\($1)" })
        #expect(try known() == (1, asked.isProven ? 1 : 0))
        for _ in 0..<2 {
            #expect(try fixture.ask(asked.sql).cells?.sorted { "\($0)" < "\($1)" } == first)
        }
        #expect(!first.joined().contains("tiny.example"))
        let ledger = try QueryLedger(path: fixture.ledgerPath)
        #expect(try ledger.spent(at: QueryFixture.today.start).map(\.answers) == [1])
        #expect(try known() == (1, asked.isProven ? 1 : 0))
    }

    @Test func `a question over other rows is looked at anew`() throws {
        let sql = "SELECT count(*) AS n FROM hits WHERE site <> 'small.example'"
        #expect(try fixture.ask(sql).answer != nil)
        // One person's rows must not be seen any more; an answer without them tells of them.
        let pseudonym = try #require(
            try EngineConnection().text("md5('user10')").flatMap { Pseudonym($0) })
        fixture.suppress([SuppressedPseudonym(column: .user, pseudonym: pseudonym)])
        #expect(try fixture.ask(sql).refusal?.rule == "differencing")
        fixture.suppress([])
        #expect(try fixture.ask(sql).answer != nil)
        let files = try fixture.files()
        fixture.setFiles(Array(files.dropLast(6)))
        #expect(try fixture.ask(sql).cells == [["388"]])
        #expect(try known().questions == 2)
    }

    @Test func `what is known of one asker is not known of another, nor after its window`() throws {
        let ledger = try QueryLedger(path: fixture.ledgerPath, newSalt: 1)
        let now = QueryFixture.today.start
        let later = (QueryFixture.today + QueryLedger.windowDays).start
        let question = QueryLedger.Question(digest: [1, 2, 3], isProven: true)
        var sums = [UInt64](repeating: 0, count: AnswerVector.bucketsMax)
        for place in 0..<8 { sums[place] = 7 }
        let entry = try ledger.enter(
            [AnswerVector(sums, needed: 5)], of: "a", table: "t", at: now, horizon: now,
            question: question)
        #expect(entry == .entered)
        #expect(try ledger.known([1, 2, 3], of: "a", table: "t", at: now) == true)
        #expect(try ledger.known([1, 2, 3], of: "b", table: "t", at: now) == nil)
        #expect(try ledger.known([1, 2, 3], of: "a", table: "u", at: now) == nil)
        #expect(try ledger.known([1, 2], of: "a", table: "t", at: now) == nil)
        // Asked again, it counts anew.
        let before = Timestamp(microseconds: later.microseconds - 1)
        #expect(try ledger.known([1, 2, 3], of: "a", table: "t", at: before) == true)
        #expect(try ledger.known([1, 2, 3], of: "a", table: "t", at: later) == true)
        let end = Timestamp(
            microseconds: later.microseconds + Int64(QueryLedger.windowDays)
                * Timestamp.microsecondsPerDay)
        #expect(try ledger.known([1, 2, 3], of: "a", table: "t", at: end) == nil)
        #expect(try ledger.spent(at: end).isEmpty)
    }

    @Test func `noise is drawn and spent each time`() throws {
        let sql = "SELECT event, count(*) AS n FROM hits GROUP BY event"
        for _ in 0..<3 { #expect(try fixture.ask(sql, as: QueryFixture.publisher).answer != nil) }
        #expect(try fixture.ask(sql, as: QueryFixture.publisher).refusal?.rule == "noise")
    }

    @Test(arguments: [
        "SELECT count(*) FROM hits WHERE ts > now() - INTERVAL 1 DAY",
        "SELECT count(*) FROM hits WHERE ts::DATE = current_date",
        "SELECT count(*) FROM hits WHERE ts::DATE = today()",
        "SELECT count(*) AS current_date FROM hits WHERE ts::DATE < current_date",
        "SELECT count(*) FROM hits WHERE age(ts::TIMESTAMP) > INTERVAL 1 DAY",
        "SELECT count(*) FROM hits, range(2)",
        "WITH h AS (SELECT * FROM hits) SELECT count(*) FROM h",
        "SELECT count(*) FROM hits WHERE site IN (SELECT site FROM hits GROUP BY site LIMIT 1)",
        "SELECT count(*) FROM hits UNION ALL SELECT count(*) FROM hits", "SELECT 1",
        "SELECT count(*) FROM (SELECT * FROM hits) h", "SELECT count(x) FROM hits",
    ])
    func `what may be otherwise the next time is not remembered`(_ sql: String) throws {
        #expect(try !SteadyStatement.isSteady(QueryGate().check(sql, [])))
    }

    @Test(arguments: [
        "SELECT count(*) FROM hits",
        "SELECT h.country, count(*) FROM pixels.hits AS h GROUP BY ALL",
        "SELECT date_trunc('hour', ts) AS t, avg(sample_rate) FROM hits WHERE site LIKE 's%' AND NOT bot GROUP BY t ORDER BY ALL LIMIT 3",
        "SELECT count(*) FILTER (WHERE event = 'view') * 100 / count(*) AS share FROM hits WHERE ts BETWEEN TIMESTAMPTZ '2026-11-20 00:00:00+00' AND TIMESTAMPTZ '2026-11-21 00:00:00+00'",
    ])
    func `what depends on rows alone is remembered`(_ sql: String) throws {
        #expect(try SteadyStatement.isSteady(QueryGate().check(sql, [])))
    }
}
