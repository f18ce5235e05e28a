import ArrowIPC
import CordonModel
import CordonPolicy
import Engine
import Foundation
import TestSupport
import Testing

@testable import CordonQuery

@Suite struct `Query suites` {
    let fixture: QueryFixture
    init() throws { fixture = try QueryFixture() }

    /// A plain engine with the rows and columns that the principal should see, written by hand.
    private func plain(_ source: String) throws -> EngineConnection {
        let engine = try EngineConnection()
        try engine.execute("SET TimeZone = 'UTC'")
        try engine.execute("CREATE SCHEMA pixels; CREATE VIEW pixels.hits AS \(source)")
        try engine.execute("CREATE VIEW hits AS SELECT * FROM pixels.hits")
        return engine
    }

    @Test func `ordinary queries over rows give the plain engine's answer`() throws {
        let engine = try plain(
            """
            SELECT * REPLACE (
              CASE WHEN policy = 'gdpr' THEN ip_prefix END AS ip_prefix,
              CASE WHEN policy = 'fadp' OR ts >= TIMESTAMPTZ '2026-08-26 00:00:00+00' THEN "user" END AS "user",
              CASE WHEN policy = 'fadp' OR ts >= TIMESTAMPTZ '2026-10-25 00:00:00+00' THEN visitor END AS visitor)
            FROM \(fixture.plainSource)
            """)
        #expect(OrdinaryQueries.rows.count >= 150)
        for sql in OrdinaryQueries.rows {
            let outcome = try fixture.ask(sql, as: QueryFixture.officer)
            #expect(outcome.refusal == nil, "\(sql)")
            #expect(try outcome.cells == engine.query(sql).rows(), "\(sql)")
        }
    }

    @Test func `ordinary queries over large groups give the plain engine's answer`() throws {
        let engine = try plain("SELECT * FROM \(fixture.plainSource) WHERE policy = 'gdpr'")
        #expect(Set(OrdinaryQueries.rows + OrdinaryQueries.groups).count >= 200)
        for sql in OrdinaryQueries.groups {
            do {
                let outcome = try fixture.ask(sql, as: QueryFixture.analyst)
                #expect(outcome.refusal == nil, "\(sql)")
                #expect(try outcome.cells == engine.query(sql).rows(), "\(sql)")
            } catch {
                Issue.record("\(sql): \(error)")
            }
        }
    }

    @Test func `a sealed column is null for everybody, and in what its values are asked by`() throws
    {
        let sql =
            "SELECT count(page_path), count(params), count(*) FILTER (WHERE page_path LIKE '/p/%') FROM hits"
        for who in [QueryFixture.analyst, QueryFixture.officer] {
            let before = try #require(try fixture.ask(sql, as: who).cells?.first)
            #expect(before.allSatisfy { $0 != "0" })
            fixture.seal(["page_path", "params"])
            // Who sees groups is shown null where nobody counts.
            let after = try #require(try fixture.ask(sql, as: who).cells?.first)
            #expect(after.allSatisfy { $0 == nil || $0 == "0" })
            let rest = try fixture.ask("SELECT count(page_host) FROM hits", as: who)
            #expect(rest.cells != [["0"]])
            fixture.seal([])
        }
    }

    @Test func `a column that got a guard keeps its name`() throws {
        let outcome = try fixture.ask(
            "SELECT event, count(DISTINCT country), count(*) AS n FROM hits GROUP BY event",
            as: QueryFixture.analyst)
        guard case .answered(let answer) = outcome else {
            Issue.record("refused: \(outcome)")
            return
        }
        #expect(answer.columns == ["event", "count(DISTINCT country)", "n"])
    }

    @Test func `large groups are proven without counting their people, small ones are counted`()
        throws
    {
        let gate = try QueryGate()
        let tree = try gate.check(
            "SELECT event, count(*) FILTER (WHERE country = 'DE') AS n FROM hits GROUP BY event")
        let quick = try gate.render(GroupGuard(isQuick: true).guarding(tree))
        #expect(!quick.contains("DISTINCT") && quick.contains("bit_or"))
        #expect(try gate.render(GroupGuard().guarding(tree)).contains("DISTINCT"))
        // Nobody else writes such a guard.
        #expect(throws: QueryGate.Refused.self) { try gate.check("SELECT error('x')") }
        // `small.example` has six people of one bit each or fewer; that it is shown at all is the exact count's doing.
        let outcome = try fixture.ask(
            "SELECT site, count(*) AS n FROM hits GROUP BY site ORDER BY site",
            as: QueryFixture.analyst)
        #expect(outcome.cells?.map { $0[0] } == ["shop.example", "small.example"])
    }

    @Test func `hostile statements are refused by the gate`() throws {
        // With those that other tests of this suite ask.
        #expect(
            HostileQuery.all.count + HostileQuery.againstGroups.count + HostileQuery.bombs.count
                + HostileQuery.oracles.count >= 150)
        for query in HostileQuery.all {
            let outcome = try fixture.ask(query.sql, as: QueryFixture.officer)
            #expect(outcome.refusal?.rule == query.rule, "\(query)")
        }
        #expect(fixture.entries.count == HostileQuery.all.count)
        #expect(fixture.entries.allSatisfy { $0.outcome == .refused && $0.rowCount == 0 })
    }

    @Test func `an Arrow answer is held to rows and bytes like the others`() throws {
        let sql = "SELECT hit_id, site, ts FROM hits"
        func answer(_ limits: QueryLimits) throws -> QueryAnswer? {
            try fixture.ask(sql, as: QueryFixture.officer, format: .arrow, limits: limits).answer
        }
        let whole = try #require(try answer(QueryLimits()))
        guard case .arrow(let stream) = whole.body else {
            Issue.record("no stream: \(whole)")
            return
        }
        #expect(whole.columns == ["hit_id", "site", "ts"] && whole.rowCount == 660)
        var limits = QueryLimits()
        limits.resultBytes = stream.batches.count
        limits.rows = whole.rowCount
        #expect(try answer(limits)?.rowCount == whole.rowCount)
        limits.rows -= 1
        #expect(throws: QueryError.self) { try answer(limits) }
        limits.rows += 1
        limits.resultBytes -= 1
        #expect(throws: QueryError.self) { try answer(limits) }
        #expect(fixture.entries.suffix(2).allSatisfy { $0.outcome == .failed })
    }

    @Test func `bombs end at their bounds and leave nothing behind`() throws {
        var limits = QueryLimits()
        limits.seconds = 1
        limits.memoryBytes = 128 << 20
        limits.scratchBytes = 64 << 20
        limits.rows = 100_000
        limits.resultBytes = 1 << 20
        for sql in HostileQuery.bombs {
            do {
                let outcome = try fixture.ask(sql, as: QueryFixture.officer, limits: limits)
                Issue.record("\(sql): \(outcome)")
            } catch let error as QueryError {
                #expect(error.code == .limits, "\(sql): \(error)")
            }
        }
        #expect(try fixture.ask("SELECT 1", as: QueryFixture.officer).cells == [["1"]])
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: fixture.scratchDirectory).isEmpty)
    }

    @Test func `an error that one row decides is no error`() throws {
        for condition in HostileQuery.oracles {
            do {
                let sql = "SELECT count(*) AS n FROM hits WHERE \(condition)"
                let outcome = try fixture.ask(sql, as: QueryFixture.analyst)
                // Beside a question over all rows one that lacks a row is refused for another reason.
                if condition.contains("FROM hits"), let refusal = outcome.refusal {
                    #expect(refusal.rule == "differencing", "\(condition)")
                    continue
                }
                #expect(outcome.refusal == nil, "\(condition)")
                #expect(outcome.cells?.count == 1, "\(condition)")
            } catch {
                Issue.record("\(condition): \(error)")
            }
        }
    }

    @Test func `whether there is a row decides no error`() throws {
        for condition in HostileQuery.lateOracles {
            do {
                let sql =
                    "SELECT count(*) AS n FROM hits WHERE site = 'tiny.example' AND page_path = '/p/7' AND \(condition)"
                let outcome = try fixture.ask(sql, as: QueryFixture.analyst)
                #expect(outcome.refusal?.rule == "min_group", "\(condition)")
            } catch {
                Issue.record("\(condition): \(error)")
            }
        }
    }

    @Test func `nothing beside rows is computed of a row without a guard`() throws {
        for sql in HostileQuery.besideRows {
            do {
                let outcome = try fixture.ask(sql, as: QueryFixture.analyst)
                #expect(outcome.refusal?.rule == "min_group", "\(sql)")
            } catch {
                Issue.record("\(sql): \(error)")
            }
        }
    }

    @Test(arguments: [
        "SELECT count(*) AS n, site FROM hits GROUP BY site HAVING count(*) * 4611686018427387904 > 0",
        "SELECT site, count(*) AS n FROM hits GROUP BY site HAVING CAST(site AS INTEGER) IS NULL",
        "SELECT site, count(*) AS n FROM hits GROUP BY site HAVING ln(coalesce(count(*), 0)) > 0",
        "SELECT greatest(make_date(CASE WHEN site = 'tiny.example' THEN 5000000 ELSE 2026 END, 1, 1), ts) IS NULL AS a, least(make_date(CASE WHEN site = 'tiny.example' THEN 5000000 ELSE 2026 END, 1, 1), ts) IS NULL AS b, count(*) AS n FROM hits GROUP BY 1, 2",
        "SELECT site, CAST(count(*) AS TINYINT) AS n FROM hits GROUP BY site",
        "SELECT sum(CAST(params['value'] AS HUGEINT) * 3402823669209384634633746074317682114) AS n FROM hits",
        "SELECT stddev(CAST(params['value'] AS DOUBLE) * 1e300) AS n, count(*) FROM hits",
        "SELECT avg(CAST(params['value'] AS DECIMAL(38, 0)) * 1000000000000000000000000000000000000) AS n, count(*) FROM hits",
        "SELECT CAST(page_path AS INTEGER) AS p, count(*) AS n FROM hits GROUP BY p",
        "SELECT p, count(*) AS n FROM (SELECT CAST(page_path AS INTEGER) AS p FROM hits) GROUP BY p",
        "SELECT count(*) AS n FROM hits h JOIN (VALUES (1)) v(x) ON CAST(h.page_path AS INTEGER) = v.x OR country IS NOT NULL",
        "SELECT count(*) AS n FROM hits WHERE list_transform([1], lambda x: ln(x - (site = 'tiny.example')::INTEGER))[1] = 0",
        "SELECT count(*) FILTER (WHERE CAST(page_path AS INTEGER) = 1) AS n, count(*) FROM hits",
    ])
    func `no computation over rows fails for a held principal`(_ sql: String) throws {
        // Refused for its group or answered: an error would be thrown.
        let outcome = try fixture.ask(sql, as: QueryFixture.analyst)
        if let refusal = outcome.refusal { #expect(refusal.rule == "min_group", "\(sql)") }
    }

    @Test(arguments: [
        String(repeating: "country = 'DE' AND (bot OR (", count: 50) + "bot"
            + String(repeating: "))", count: 50),
        String(repeating: "NOT (bot AND (", count: 33) + "bot" + String(repeating: "))", count: 33),
        String(repeating: "CASE WHEN country = 'DE' THEN 1 ELSE ", count: 100) + "0"
            + String(repeating: " END", count: 100) + " = 1",
        String(repeating: "CASE WHEN ", count: 100) + "bot"
            + String(repeating: " THEN bot ELSE NOT bot END", count: 100),
    ])
    func `conditions nest to the depth of the gate at no cost`(_ condition: String) throws {
        let gate = try QueryGate()
        let tree = try gate.check("SELECT count(*) AS n FROM hits WHERE \(condition)")
        // Work that doubles with each level would never come to its end.
        let guarded = try GroupGuard().guarding(tree)
        #expect(guarded.text.utf8.count < 20 * tree.text.utf8.count)
    }

    @Test func `division and order by a group that is too small give null`() throws {
        let outcome = try fixture.ask(
            """
            SELECT count(*) / count(*) FILTER (WHERE site = 'tiny.example') AS d,
              count(*) FILTER (WHERE site = 'no.such.example') AS none
            FROM hits ORDER BY count(*) FILTER (WHERE site = 'tiny.example')
            """, as: QueryFixture.analyst)
        #expect(outcome.cells == [[nil, nil]])
    }

    @Test func `what may single out people is refused with the rule's file and line`() throws {
        for query in HostileQuery.againstGroups {
            do {
                let outcome = try fixture.ask(query.sql, as: QueryFixture.analyst)
                #expect(outcome.refusal?.rule == query.rule, "\(query)")
                #expect(outcome.refusal?.file == "Policies/gdpr.yaml", "\(query)")
                #expect(outcome.refusal?.line == 31, "\(query)")
            } catch {
                Issue.record("\(query): \(error)")
            }
        }
    }
}
