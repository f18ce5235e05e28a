import CordonModel
import CordonPolicy
import CordonQuery
import Engine
import Foundation
import TestSupport
import Testing

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
        for sql in OrdinaryQueries.rows {
            let outcome = try fixture.ask(sql, as: QueryFixture.officer)
            #expect(outcome.refusal == nil, "\(sql)")
            #expect(try outcome.cells == engine.query(sql).rows(), "\(sql)")
        }
    }

    @Test func `ordinary queries over large groups give the plain engine's answer`() throws {
        let engine = try plain("SELECT * FROM \(fixture.plainSource) WHERE policy = 'gdpr'")
        for sql in OrdinaryQueries.groups {
            let outcome = try fixture.ask(sql, as: QueryFixture.analyst)
            #expect(outcome.refusal == nil, "\(sql)")
            #expect(try outcome.cells == engine.query(sql).rows(), "\(sql)")
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

    @Test func `hostile statements are refused by the gate`() throws {
        for query in HostileQuery.all {
            let outcome = try fixture.ask(query.sql, as: QueryFixture.officer)
            #expect(outcome.refusal?.rule == query.rule, "\(query)")
        }
        #expect(fixture.entries.count == HostileQuery.all.count)
        #expect(fixture.entries.allSatisfy { $0.outcome == .refused && $0.rowCount == 0 })
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
