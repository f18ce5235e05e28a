import Engine
import Testing

@testable import CordonQuery

/// Holds the engine's functions, as it lists them, against the guard: a newer engine may fail in new ways.
@Suite struct `Engine functions` {
    /// Expressions by type, the first of a column and the others odd.
    private static let values: [(type: String, expressions: [String])] = [
        ("TIMESTAMP WITH TIME ZONE", ["ts", "'infinity'::TIMESTAMPTZ"]),
        ("TIME WITH TIME ZONE", ["ts::TIME", "ts::TIME"]),
        ("TIMESTAMP", ["ts::TIMESTAMP", "'294247-01-10 04:00:54.775806'::TIMESTAMP"]),
        ("TIME", ["ts::TIME", "'24:00:00'::TIME"]),
        ("DATE", ["retain_until", "'5000000-01-01'::DATE"]),
        ("INTERVAL", ["to_days(key_epoch)", "INTERVAL '-1 month'"]),
        ("VARCHAR[]", ["purposes", "[]"]), ("VARCHAR", ["page_path", "'%!'"]),
        ("MAP", ["params", "params"]), ("[]", ["purposes", "[key_epoch]"]),
        ("BOOLEAN", ["bot", "NULL"]), ("DOUBLE", ["sample_rate", "-1e308"]),
        ("FLOAT", ["sample_rate", "'nan'::FLOAT"]), ("UUID", ["hit_id", "hit_id"]),
        ("BLOB", ["page_path::BLOB", "''::BLOB"]), ("JSON", ["page_path", "'{}'"]),
        ("INT", ["key_epoch", "-1"]),
    ]

    private func engine(rows: Int) throws -> EngineConnection {
        let engine = try EngineConnection()
        try engine.execute("SET TimeZone = 'UTC'")
        try engine.execute("SET disabled_optimizers = 'common_subexpressions'")
        let columns = HitsColumn.all.map { "NULL::\($0.type) AS \"\($0.name)\"" }
        let guards = HitsColumn.guards.map { "7::UBIGINT AS \($0)" }
        try engine.execute(
            """
            CREATE TABLE hits AS SELECT * REPLACE (
              uuid() AS hit_id, TIMESTAMPTZ '2026-11-20 10:00:00+00' AS ts, '/p/7' AS page_path,
              20000::INTEGER AS key_epoch, ['x'] AS purposes, false AS bot, 1.5::FLOAT AS sample_rate,
              DATE '2027-11-20' AS retain_until, MAP {'value': '1'} AS params)
            FROM (SELECT \((columns + guards).joined(separator: ", "))) LIMIT \(rows)
            """)
        return engine
    }

    @Test func `none that is allowed fails for a row and not for the lack of one`() throws {
        let gate = try QueryGate()
        let empty = try engine(rows: 0)
        var full = try engine(rows: 1)
        let listed = try empty.query(
            """
            SELECT DISTINCT function_name, array_to_string(parameter_types, ';') FROM duckdb_functions()
            WHERE function_type = 'scalar' AND len(parameter_types) > 0 ORDER BY ALL
            """
        ).rows()
        var asked = 0
        for row in listed {
            guard let name = row[0], GateLists.scalars.contains(name), name.first!.isLetter,
                let types = row[1]?.split(separator: ";")
            else { continue }
            for odd in 0...types.count {
                let arguments = types.enumerated().map { index, type in
                    let found = Self.values.first { type.contains($0.type) }
                    return (found?.expressions ?? ["page_path", "ts"])[index == odd ? 1 : 0]
                }
                let call = "\(name)(\(arguments.joined(separator: ", ")))"
                let sql = "SELECT count(*) AS n FROM hits WHERE \(call) IS NOT NULL"
                // What is refused, or fails without any row, tells of none.
                guard let tree = try? gate.check(sql),
                    let text = try? gate.render(GroupGuard().guarding(tree)),
                    (try? empty.query(text).rows()) != nil
                else { continue }
                asked += 1
                do { _ = try full.query(text).rows() } catch {
                    Issue.record("\(call): \(error)")
                    // Some errors leave the engine unusable.
                    full = try engine(rows: 1)
                }
            }
        }
        #expect(asked > 500)
    }
}
