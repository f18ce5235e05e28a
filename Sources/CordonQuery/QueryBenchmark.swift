internal import CordonModel
internal import CordonPolicy
internal import Engine
internal import Foundation
internal import LinuxIO

/// What the check costs on this machine: the same question to a plain engine, and through ``QueryService`` as somebody who
/// sees rows and as somebody who sees groups. Medians, in milliseconds, with start and end of the processes.
package struct QueryBenchmark: Sendable {
    package let rows: Int
    package let plainMilliseconds: Double
    package let rowsMilliseconds: Double
    package let groupsMilliseconds: Double

    private static let question =
        "SELECT country, event, count(*) AS n FROM hits GROUP BY country, event ORDER BY n DESC"

    /// Makes a file of `rows` hits in `directory` and asks `rounds` times.
    ///
    /// - Parameter command: program and arguments that run ``QueryWorker``.
    package static func run(
        rows: Int, rounds: Int = 5, in directory: String,
        command: [String] = ["/proc/self/exe", "query-worker"]
    ) throws -> QueryBenchmark {
        let file = directory + "/benchmark.parquet"
        try EngineConnection().execute(
            """
            COPY (SELECT \(columns) FROM range(\(rows)) t(i)) TO \(EngineText.literal(file)) \
            (FORMAT parquet, COMPRESSION zstd)
            """)
        let region = BenchmarkRegion(file: file, scratchDirectory: directory + "/query-scratch")
        let service = try QueryService(
            policies: [policy], clock: BenchmarkClock(), command: command)
        func asked(_ role: String) throws {
            let principal = Principal(role: role, purpose: "benchmark", place: "DE")
            let outcome = try service.run(
                QueryRequest(sql: question, principal: principal), in: region)
            guard case .answered(let answer) = outcome, answer.rowCount == 12 else {
                throw QueryError(code: .world, text: "the benchmark's question got no answer")
            }
        }
        return QueryBenchmark(
            rows: rows,
            plainMilliseconds: try median(rounds) {
                let engine = try EngineConnection(settings: [("threads", "2")])
                let plain = question.replacingOccurrences(
                    of: "FROM hits", with: "FROM \(EngineText.literal(file))")
                _ = try engine.query(plain).rows()
            },
            rowsMilliseconds: try median(rounds) { try asked("officer") },
            groupsMilliseconds: try median(rounds) { try asked("analyst") })
    }

    private static func median(_ rounds: Int, _ body: () throws -> Void) rethrows -> Double {
        var times: [Double] = []
        for _ in 0..<rounds {
            let start = SystemClock.monotonicNanoseconds()
            try body()
            times.append(Double(SystemClock.monotonicNanoseconds() - start) / 1e6)
        }
        return times.sorted()[rounds / 2]
    }

    /// Every column of the table; a person for every five hits.
    private static let columns = HitsColumn.all.map { column in
        let value =
            switch column.name {
            case "hit_id": "md5(i::VARCHAR)"
            case "ts": "TIMESTAMPTZ '2026-11-22 00:00:00+00' + to_seconds(i % 86400)"
            case "site": "'shop-' || (i % 16) || '.example'"
            case "event": "['view', 'click', 'purchase'][1 + i % 3]"
            case "visitor": "md5((i // 5)::VARCHAR)"
            case "country": "['DE', 'FR', 'NL', 'ES'][1 + (i // 7) % 4]"
            case "policy": "'benchmark'"
            case "retain_until": "DATE '2027-12-22'"
            case "page_path": "'/p/' || (i % 1000)"
            default: "NULL"
            }
        return "(\(value))::\(column.type) AS \(quoted(column.name))"
    }.joined(separator: ", ")

    private static let policy: CompiledPolicy = {
        let position = FilePosition(file: "benchmark", line: 1, column: 1)
        let place = PlaceSet(names: ["DE"], codes: ["DE"], isWorld: false)
        return CompiledPolicy(
            name: "benchmark", title: "", source: "", position: position, claims: [], sites: [.all],
            route: .init(region: "benchmark", position: position),
            consent: .init(
                signals: [], absentGrants: false, purposes: ["benchmark"], denied: .count,
                position: position, absentPosition: position, deniedPosition: position),
            fields: .init(position: position),
            retention: .init(hitsDays: 395, fieldDays: [.user: 90], position: position),
            sampling: .init(perMillion: 1_000_000, position: position),
            access: [
                AccessRule(
                    role: "officer", purposes: ["benchmark"], from: place, see: .rows, minGroup: 1,
                    hide: ["ip_prefix"], position: position),
                AccessRule(
                    role: "analyst", purposes: ["benchmark"], from: place, see: .aggregates,
                    minGroup: 5, hide: ["user", "visitor"], position: position),
            ], transfer: [])
    }()
}

private struct BenchmarkClock: WallClock {
    func now() -> Timestamp { Day(year: 2026, month: 11, day: 23).start }
}

private struct BenchmarkRegion: QueryRegion {
    let file: String
    let scratchDirectory: String
    var name: String { "benchmark" }
    var jurisdiction: String { "DE" }
    var sealedColumns: Set<String> { [] }
    func files() -> [QueryFile] { [QueryFile(path: file, retainUntil: nil)] }
    func suppressedPseudonyms() -> [SuppressedPseudonym] { [] }
    /// The benchmark has no audit log; what one costs is measured with the log.
    func record(_ entry: QueryAuditEntry) {}
}
