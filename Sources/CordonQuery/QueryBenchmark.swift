internal import CordonModel
internal import CordonPolicy
internal import Engine
internal import Foundation
internal import LinuxIO
internal import Synchronization

/// What the check costs on this machine: the same question to a plain engine, and through ``QueryService`` as somebody who
/// sees rows and as somebody who sees groups; and what files cost that a question does not touch. Medians, in
/// milliseconds, with start and end of the engine and of the processes.
package struct QueryBenchmark: Sendable {
    package let rows: Int
    package let files: Int
    package let bytes: Int64
    package let plainMilliseconds: Double
    /// Who sees rows asks, and a process waits for the question, as in a service.
    package let rowsMilliseconds: Double
    package let groupsMilliseconds: Double
    /// Who sees groups asks what was asked before, and a delivery has brought another file.
    package let groupsDeliveredMilliseconds: Double
    /// Hits of such a delivery.
    package let deliveredRows: Int
    /// Who sees groups asks what was asked before, over the same files.
    package let groupsAgainMilliseconds: Double
    /// The same with a process that is started for the question, as by `cordon query`.
    package let rowsFirstMilliseconds: Double
    package let groupsFirstMilliseconds: Double
    /// Questions to many small files.
    package let pruned: [Pruned]

    /// One question to the small files of some days, ten a day.
    package struct Pruned: Sendable {
        package let what: String
        package let filesStored: Int
        package let filesOpened: Int
        package let milliseconds: Double
    }

    /// What the check may make of the plain engine's time.
    package var checkedMillisecondsMax: Double { plainMilliseconds * 1.05 + 50 }

    private static let question =
        "SELECT country, event, count(*) AS n FROM hits GROUP BY country, event ORDER BY n DESC"
    private static let rowsPerFileMax = 2_500_000
    private static let filesPerDay = 10
    private static let firstDay = Day(year: 2026, month: 8, day: 1)
    private static let keptDays = 395

    /// Makes files of `rows` hits, and small ones of `days`, in `directory`, and asks `rounds` times.
    ///
    /// - Parameter command: program and arguments that run ``QueryWorker``.
    package static func run(
        rows: Int, days: Int = 100, rounds: Int = 5, in directory: String,
        command: [String] = ["/proc/self/exe", "query-worker"]
    ) throws -> QueryBenchmark {
        let region = try BenchmarkRegion(scratchDirectory: directory + "/query-scratch")
        func asked(
            _ sql: String, _ role: String, by child: QueryChild, answers: Int, rounds: Int = rounds,
            remembering memory: AnswerMemory? = nil, _ before: () throws -> Void = {}
        ) throws -> Double {
            let request = QueryRequest(
                sql: sql, principal: Principal(role: role, purpose: "benchmark", place: "DE"))
            return try median(rounds) {
                let service = try QueryService(
                    policies: [policy], clock: BenchmarkClock(), child: child,
                    memory: memory ?? AnswerMemory())
                try before()
                child.waitUntilReady()
                return try milliseconds {
                    guard case .answered(let answer) = try service.run(request, in: region),
                        answer.rowCount == answers
                    else {
                        throw QueryError(
                            code: .world, text: "the benchmark's question got no answer")
                    }
                }
            }
        }
        let large = try makeLarge(rows, in: directory)
        region.store(large)
        let child = QueryChild(command: command, keepsWaiting: true)
        child.prepare()
        let first = QueryChild(command: command)
        let list = large.map { EngineText.literal($0.path) }.joined(separator: ", ")
        let plain = question.replacingOccurrences(
            of: "FROM hits", with: "FROM read_parquet([\(list)])")
        let delivered = max(rows / 1000, 200)
        let memory = AnswerMemory()
        var deliveries = try makeDeliveries(rounds, of: delivered, after: large, in: directory)[...]
        return QueryBenchmark(
            rows: rows, files: large.count,
            bytes: try large.reduce(0) { try $0 + Int64(File.metadata($1.path)?.size ?? 0) },
            plainMilliseconds: try median(rounds) {
                try milliseconds {
                    let engine = try EngineConnection(settings: [("threads", "2")])
                    _ = try engine.query(plain).rows()
                }
            },
            rowsMilliseconds: try asked(question, "officer", by: child, answers: 12),
            groupsMilliseconds: try asked(question, "analyst", by: child, answers: 12),
            groupsDeliveredMilliseconds: try region.remembering {
                _ = try asked(
                    question, "analyst", by: child, answers: 12, rounds: 1, remembering: memory)
                return try asked(
                    question, "analyst", by: child, answers: 12, remembering: memory
                ) { region.store(region.files() + [deliveries.removeFirst()]) }
            }, deliveredRows: delivered,
            groupsAgainMilliseconds: try region.remembering {
                defer { region.store(large) }
                return try asked(question, "analyst", by: child, answers: 12, remembering: memory)
            },
            rowsFirstMilliseconds: try asked(question, "officer", by: first, answers: 12),
            groupsFirstMilliseconds: try asked(question, "analyst", by: first, answers: 12),
            pruned: try pruned(days, in: directory, region) {
                try asked($0, "officer", by: child, answers: 1)
            })
    }

    private static func pruned(
        _ days: Int, in directory: String, _ region: BenchmarkRegion,
        _ asked: (String) throws -> Double
    ) throws -> [Pruned] {
        let files = try makeSmall(days, in: directory)
        let last = firstDay + (days - 1)
        let fewer = Array(files.suffix(max(1, days / 10) * filesPerDay))
        let day = "ts >= TIMESTAMPTZ '\(last.text) 00:00:00+00'"
        let questions = [
            ("one day", day, files), ("one day", day, fewer),
            ("one end of retention", "retain_until = DATE '\((last + keptDays).text)'", files),
            ("one site", "site = 'shop-3.example'", files), ("all", "true", files),
        ]
        return try questions.map { what, condition, stored in
            region.store(stored)
            let time = try asked("SELECT count(*) AS n FROM hits WHERE \(condition)")
            return Pruned(
                what: what, filesStored: stored.count, filesOpened: region.filesOpened,
                milliseconds: time)
        }
    }

    // MARK: Files

    /// Files of one day each, sorted by person as those of the lake are.
    private static func makeLarge(_ rows: Int, in directory: String) throws -> [QueryFile] {
        let engine = try EngineConnection()
        return try stride(from: 0, to: rows, by: rowsPerFileMax).enumerated().map { index, start in
            let end = min(start + rowsPerFileMax, rows)
            let path = directory + "/large-\(index).parquet"
            return try make(
                path, hits: start..<end, day: firstDay + index,
                site: "'shop-' || (i % 16) || '.example'", engine)
        }
    }

    /// Small files of the last day, of other people.
    private static func makeDeliveries(
        _ count: Int, of rows: Int, after large: [QueryFile], in directory: String
    ) throws -> [QueryFile] {
        let engine = try EngineConnection()
        let first = large.reduce(0) { $0 + ($1.rows ?? 0) }
        return try (0..<count).map { number in
            let start = first + number * rows
            return try make(
                directory + "/delivered-\(number).parquet", hits: start..<start + rows,
                day: large.last?.day ?? firstDay, site: "'shop-' || (i % 16) || '.example'", engine)
        }
    }

    /// Ten files a day of 200 hits each, each of one site.
    private static func makeSmall(_ days: Int, in directory: String) throws -> [QueryFile] {
        let engine = try EngineConnection()
        return try (0..<days * filesPerDay).map { number in
            let site = "shop-\(number % filesPerDay).example"
            var file = try make(
                directory + "/small-\(number).parquet", hits: number * 200..<(number + 1) * 200,
                day: firstDay + number / filesPerDay, site: "'\(site)'", engine)
            file.sites = TextBounds(lower: Array(site.utf8), upper: Array(site.utf8))
            return file
        }
    }

    private static func make(
        _ path: String, hits: Range<Int>, day: Day, site: String, _ engine: EngineConnection
    ) throws -> QueryFile {
        let due = day + keptDays
        try engine.execute(
            """
            COPY (SELECT \(columns(day: day, due: due, site: site)) \
            FROM range(\(hits.lowerBound), \(hits.upperBound)) t(i)) \
            TO \(EngineText.literal(path)) (FORMAT parquet, COMPRESSION zstd)
            """)
        return QueryFile(path: path, retainUntil: due, day: day, rows: hits.count)
    }

    /// Every column of the table; a person for every five hits.
    private static func columns(day: Day, due: Day, site: String) -> String {
        HitsColumn.all.map { column in
            let value =
                switch column.name {
                case "hit_id": "md5(i::VARCHAR)"
                case "ts": "TIMESTAMPTZ '\(day.text) 00:00:00+00' + to_seconds(i % 86400)"
                case "site": site
                case "event": "['view', 'click', 'purchase'][1 + i % 3]"
                case "visitor":
                    "printf('%08x', i // 5) || substr(md5((i // 5)::VARCHAR), 9)"
                case "country": "['DE', 'FR', 'NL', 'ES'][1 + (i // 7) % 4]"
                case "policy": "'benchmark'"
                case "retain_until": "DATE '\(due.text)'"
                case "page_path": "'/p/' || (i % 1000)"
                default: "NULL"
                }
            return "(\(value))::\(column.type) AS \(EngineText.identifier(column.name))"
        }.joined(separator: ", ")
    }

    private static func milliseconds(_ body: () throws -> Void) rethrows -> Double {
        let start = SystemClock.monotonicNanoseconds()
        try body()
        return Double(SystemClock.monotonicNanoseconds() - start) / 1e6
    }

    private static func median(_ rounds: Int, _ measured: () throws -> Double) rethrows -> Double {
        try (0..<rounds).map { _ in try measured() }.sorted()[rounds / 2]
    }

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

/// Files that the benchmark says, and how many of them the last question could open.
private final class BenchmarkRegion: QueryRegion {
    let scratchDirectory: String
    private let kept: QueryLedger
    private var remembers = false
    private let stored = Mutex<[QueryFile]>([])
    private let opened = Mutex(0)

    init(scratchDirectory: String) throws {
        self.scratchDirectory = scratchDirectory
        kept = try QueryLedger(path: ":memory:")
    }

    /// What `body` asks is held against what it asked before.
    func remembering<Result>(_ body: () throws -> Result) rethrows -> Result {
        remembers = true
        defer { remembers = false }
        return try body()
    }

    var name: String { "benchmark" }
    var jurisdiction: String { "DE" }
    var sealedColumns: Set<String> { [] }
    var filesOpened: Int { opened.withLock { $0 } }
    func store(_ files: [QueryFile]) { stored.withLock { $0 = files } }
    func files() -> [QueryFile] { stored.withLock { $0 } }
    func suppressedPseudonyms() -> [SuppressedPseudonym] { [] }
    func asker(_ principal: Principal) -> String { principal.role }
    /// Each question has one of its own unless they are remembered, in memory; what an entry's sync costs is that of the disk.
    func ledger() throws -> QueryLedger {
        remembers ? kept : try QueryLedger(path: ":memory:")
    }
    /// The benchmark has no audit log; what one costs is measured with the log.
    func record(_ entry: QueryAuditEntry) { opened.withLock { $0 = entry.fileCount } }
}
