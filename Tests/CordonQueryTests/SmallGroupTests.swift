import CordonModel
import CordonPolicy
import Engine
import TestSupport
import Testing

@testable import CordonQuery

@Suite struct `Small groups put together` {
    let fixture: QueryFixture
    init() throws { fixture = try QueryFixture() }

    /// What must come out, written by hand for a plain engine.
    private func expected(_ keys: [String]) throws -> [[String?]] {
        let engine = try EngineConnection()
        try engine.execute("SET TimeZone = 'UTC'")
        let list = keys.joined(separator: ", ")
        let shown = keys.map { "CASE WHEN c < 5 THEN 'other' ELSE \($0) END" }
        return try engine.query(
            """
            WITH r AS (SELECT *, coalesce('u' || "user", 'v' || visitor) AS person FROM \(fixture.plainSource) WHERE policy = 'gdpr'),
              g AS (SELECT \(list), count(DISTINCT person) AS c FROM r GROUP BY ALL)
            SELECT \(shown.joined(separator: ", ")), count(*) AS n, count(DISTINCT browser), sum(CAST(params['value'] AS INTEGER))
            FROM r JOIN g USING (\(list)) GROUP BY \(keys.indices.map { "\($0 + 1)" }.joined(separator: ", ")), c < 5
            HAVING count(DISTINCT person) >= 5 ORDER BY ALL
            """
        ).rows()
    }

    @Test(arguments: [
        ["page_path"], ["event"], ["site"], ["event", "page_path"], ["country", "event"],
        ["site", "browser", "event"],
    ])
    func `smaller groups are one group where they are enough people together`(_ keys: [String])
        throws
    {
        let list = keys.joined(separator: ", ")
        let outcome = try fixture.ask(
            """
            SELECT \(list), count(*) AS n, count(DISTINCT browser), sum(CAST(params['value'] AS INTEGER)) AS total
            FROM hits GROUP BY \(list) ORDER BY ALL
            """, as: QueryFixture.planner)
        #expect(try outcome.cells == expected(keys), "\(outcome)")
        if let answer = outcome.answer {
            #expect(answer.columns.starts(with: keys) && answer.access.mergesSmallGroups)
        }
    }

    @Test func `pages of two people each are other, a lone visitor's site is left out`() throws {
        let pages = try fixture.ask(
            "SELECT page_path, count(*) AS n FROM hits GROUP BY ALL", as: QueryFixture.planner)
        #expect(pages.cells == [["other", "560"]])
        let sites = try fixture.ask(
            "SELECT site, count(*) AS n FROM hits GROUP BY site ORDER BY site",
            as: QueryFixture.planner)
        #expect(sites.cells?.map { $0[0] } == ["shop.example", "small.example"])
    }

    @Test func `keys that are no text are null where small groups are put together`() throws {
        let outcome = try fixture.ask(
            "SELECT ts::DATE AS day, page_path AS page, count(*) AS n FROM hits WHERE ts::DATE = DATE '2026-11-20' GROUP BY day, page",
            as: QueryFixture.planner)
        #expect(outcome.cells == [[nil, "other", "200"]])
        #expect(outcome.answer?.columns == ["day", "page", "n"])
    }

    @Test(arguments: [
        "SELECT ts::DATE AS day, count(*) FROM hits GROUP BY day",
        "WITH h AS (SELECT * FROM hits) SELECT site, count(*) FROM h GROUP BY site",
        "SELECT site, count(*) FROM hits GROUP BY site HAVING count(*) > 1",
        "SELECT count(*) FROM hits GROUP BY site",
        "SELECT site, count(*) FROM hits GROUP BY site UNION ALL SELECT 'all', count(*) FROM hits",
        "SELECT h.site, count(*) FROM hits h JOIN (VALUES ('shop.example')) v(s) ON h.site = v.s GROUP BY 1",
    ])
    func `a statement for which that is not known is refused with the reason`(_ sql: String) throws
    {
        let refusal = try fixture.ask(sql, as: QueryFixture.planner).refusal
        #expect(refusal?.rule == "min_group" && refusal?.line == 33)
        #expect(refusal?.text.contains("put together to `other`") == true)
    }

    @Test func `what has no groups of rows is as for anybody`() throws {
        for sql in ["SELECT 1", "SELECT count(*) FROM hits WHERE country = 'DE'"] {
            let answer = try fixture.ask(sql, as: QueryFixture.planner).cells
            #expect(try answer == fixture.ask(sql, as: QueryFixture.analyst).cells)
        }
    }

    @Test func `what is put together is told of, and what is left out is not`() throws {
        fixture.remember()
        func ask(_ sql: String) throws -> Refusal? {
            try fixture.ask(sql, as: QueryFixture.planner).refusal
        }
        #expect(try ask("SELECT page_path, count(*) FROM hits GROUP BY 1") == nil)
        #expect(try ask("SELECT event, count(*) FROM hits GROUP BY 1") == nil)
        #expect(try ask("SELECT count(*) FROM hits") == nil)
        #expect(
            try ask("SELECT site, count(*) FROM hits GROUP BY 1")?.rule == "differencing")
    }
}
