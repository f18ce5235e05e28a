import CordonModel
import CordonPolicy
import CordonQuery
import Engine
import Foundation
import Synchronization
import TestSupport

/// A region with a few data files, two policies and a recorded audit log.
///
/// `gdpr` lets analysts see aggregates over five people from Germany and France, officers rows; aggregates over twenty may
/// leave to the US. `fadp` lets officers see rows without `ip_prefix`, and analysts nothing. Today is 2026-11-23.
final class QueryFixture: QueryRegion, Sendable {
    static let today = Day(year: 2026, month: 11, day: 23)
    let name = "eu-central"
    let jurisdiction = "DE"
    let folder: TemporaryDirectory
    private let listed: Mutex<[QueryFile]>
    private let suppressed = Mutex<[SuppressedPseudonym]>([])
    private let recorded = Mutex<[QueryAuditEntry]>([])
    private let auditFails = Mutex(false)
    private let sealed = Mutex<Set<String>>([])

    var sealedColumns: Set<String> { sealed.withLock { $0 } }
    func seal(_ columns: Set<String>) { sealed.withLock { $0 = columns } }

    var scratchDirectory: String { folder.file("scratch") }
    var entries: [QueryAuditEntry] { recorded.withLock { $0 } }

    func files() throws -> [QueryFile] { listed.withLock { $0 } }
    func suppressedPseudonyms() throws -> [SuppressedPseudonym] { suppressed.withLock { $0 } }

    private let remembers: Mutex<Bool>
    /// From now on answers are held against those before them; until then each question is the first.
    func remember() { remembers.withLock { $0 = true } }
    var ledgerPath: String { folder.file("query-ledger.sqlite") }
    func ledger() throws -> QueryLedger {
        // A salt that is always the same, so that who shares a bucket is.
        try QueryLedger(
            path: remembers.withLock { $0 } ? ledgerPath : ":memory:", newSalt: 20_261_129)
    }
    func asker(_ principal: Principal) -> String { "role:" + principal.role }

    struct AuditBroken: Error {}
    func record(_ entry: QueryAuditEntry) throws {
        if auditFails.withLock({ $0 }) { throw AuditBroken() }
        recorded.withLock { $0.append(entry) }
    }

    /// Writes what `sql` gives to a data file.
    static func write(_ sql: String, to path: String) throws {
        let engine = try EngineConnection()
        try engine.execute("SET TimeZone = 'UTC'")
        try engine.execute("COPY (\(sql)) TO '\(path)' (FORMAT parquet)")
    }

    func setFiles(_ files: [QueryFile]) { listed.withLock { $0 = files } }
    func suppress(_ pseudonyms: [SuppressedPseudonym]) { suppressed.withLock { $0 = pseudonyms } }
    func breakAudit() { auditFails.withLock { $0 = true } }

    /// Every column of the lake, from a number `i`. People: 40 users, each with 5 hits a day; site `tiny.example` has one
    /// visitor alone, `small.example` six.
    static func rows(_ range: String, day: String, policy: String, retainUntil: String) -> String {
        """
        SELECT ('019a0000-0000-7000-8000-' || lpad((i + 100000 * abs(hash('\(day)\(policy)') % 1000)::INT)::VARCHAR, 12, '0'))::UUID AS hit_id,
          TIMESTAMPTZ '\(day) 00:00:00+00' + to_minutes(i) AS ts,
          CASE WHEN i = 7 THEN 'tiny.example' WHEN i % 40 < 6 AND i < 40 THEN 'small.example' ELSE 'shop.example' END AS site,
          CASE WHEN i % 8 = 0 THEN 'purchase' WHEN i % 3 = 0 THEN 'click' ELSE 'view' END AS event,
          'www.shop.example' AS page_host, '/p/' || (i % 20) AS page_path, 'search.example' AS referrer_host,
          md5('visitor' || (i % 40)) AS visitor,
          CASE WHEN i % 2 = 0 THEN md5('user' || (i % 40)) END AS "user",
          date_diff('day', DATE '1970-01-01', DATE '\(day)')::INTEGER AS key_epoch,
          '203.0.' || (i % 40) || '.0/24' AS ip_prefix,
          CASE WHEN i % 4 = 0 THEN 'FR' ELSE 'DE' END AS country, NULL::VARCHAR AS subdivision,
          CASE WHEN i % 5 = 0 THEN 'Firefox' ELSE 'Chrome' END AS browser, 'Linux' AS os, 'Desktop' AS device,
          'de' AS language, 'granted' AS consent, ['audience-measurement', 'advertising'][1:1 + i % 2] AS purposes,
          ['gpc'] AS signals, false AS bot, '\(policy)' AS policy, 'abc123' AS rule_set, 'geo-1' AS geo_build,
          1.0::FLOAT AS sample_rate, DATE '\(retainUntil)' AS retain_until,
          MAP {'value': (i % 50)::VARCHAR, 'currency': 'EUR'} AS params
        FROM range(\(range)) t(i)
        """
    }

    /// - Parameter remembering: whether answers are held against those before them from the start.
    init(remembering: Bool = false) throws {
        remembers = Mutex(remembering)
        folder = try TemporaryDirectory()
        listed = Mutex([])
        let parts: [(String, String)] = [
            (
                Self.rows("200", day: "2026-11-20", policy: "gdpr", retainUntil: "2027-12-20"),
                "2027-12-20"
            ),
            (
                Self.rows("200", day: "2026-11-21", policy: "gdpr", retainUntil: "2027-12-21"),
                "2027-12-21"
            ),
            // Past the ages of `visitor` (30 days) and `user` (90 days).
            (
                Self.rows("80", day: "2026-10-01", policy: "gdpr", retainUntil: "2027-10-31"),
                "2027-10-31"
            ),
            (
                Self.rows("80", day: "2026-08-01", policy: "gdpr", retainUntil: "2027-08-31"),
                "2027-08-31"
            ),
            // Due today, and yesterday.
            (
                Self.rows("10", day: "2025-10-24", policy: "gdpr", retainUntil: "2026-11-23"),
                "2026-11-23"
            ),
            (
                Self.rows("10", day: "2025-10-23", policy: "gdpr", retainUntil: "2026-11-22"),
                "2026-11-22"
            ),
            (
                Self.rows("100", day: "2026-11-21", policy: "fadp", retainUntil: "2027-12-21"),
                "2027-12-21"
            ),
            // A policy that no file of today knows.
            (
                Self.rows("30", day: "2026-11-21", policy: "abolished", retainUntil: "2027-12-21"),
                "2027-12-21"
            ),
        ]
        let engine = try EngineConnection()
        try engine.execute("SET TimeZone = 'UTC'")
        var files: [QueryFile] = []
        for (index, part) in parts.enumerated() {
            let path = folder.file("part-\(index).parquet")
            try engine.execute("COPY (\(part.0)) TO '\(path)' (FORMAT parquet, COMPRESSION zstd)")
            files.append(QueryFile(path: path, retainUntil: Day(part.1)))
        }
        setFiles(files)
    }

    /// The files that an analyst may see, as a plain engine reads them.
    var plainSource: String {
        "(SELECT * FROM read_parquet(['\(folder.file("part-0.parquet"))', '\(folder.file("part-1.parquet"))', '\(folder.file("part-2.parquet"))', '\(folder.file("part-3.parquet"))', '\(folder.file("part-6.parquet"))']))"
    }

    func service(clock: Day = today, child: QueryChild? = nil) throws -> QueryService {
        try QueryService(
            policies: Self.policies, clock: FixedClock(time: clock.start),
            child: child ?? QueryChild(command: [Self.worker, "query-worker"]))
    }

    func ask(
        _ sql: String, as principal: Principal = analyst, format: QueryFormat = .table,
        limits: QueryLimits = QueryLimits(), destination: String? = nil
    ) throws -> QueryService.Outcome {
        try service().run(
            QueryRequest(sql: sql, principal: principal, format: format, limits: limits),
            in: self, destination: destination)
    }

    /// The program that stands beside the test bundle.
    static let worker: String = {
        let bundle =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return (bundle as NSString).deletingLastPathComponent + "/QueryWorkerHost"
    }()

    static let analyst = Principal(role: "analyst", purpose: "audience-measurement", place: "DE")
    /// Like the analyst, with small groups put together.
    static let planner = Principal(role: "planner", purpose: "audience-measurement", place: "DE")
    /// Counts and sums have noise of epsilon 10, three a day, of one hit a person.
    static let publisher = Principal(
        role: "publisher", purpose: "audience-measurement", place: "DE")
    static let abroad = Principal(role: "analyst", purpose: "audience-measurement", place: "US-CA")
    static let officer = Principal(
        role: "privacy-officer", purpose: "data-subject-request", place: "FR")

    static let policies: [CompiledPolicy] = [
        policy(
            "gdpr", file: "Policies/gdpr.yaml", region: "eu-central",
            access: [
                AccessRule(
                    role: "analyst", purposes: ["audience-measurement"], from: places("DE", "FR"),
                    see: .aggregates, minGroup: 5, hide: ["user", "visitor", "ip_prefix"],
                    position: FilePosition(file: "Policies/gdpr.yaml", line: 31, column: 5)),
                AccessRule(
                    role: "privacy-officer", purposes: ["data-subject-request"],
                    from: places("DE", "FR"), see: .rows, minGroup: 1, hide: [],
                    position: FilePosition(file: "Policies/gdpr.yaml", line: 32, column: 5)),
                AccessRule(
                    role: "planner", purposes: ["audience-measurement"], from: places("DE", "FR"),
                    see: .aggregates, minGroup: 5, smallGroups: .other,
                    hide: ["user", "visitor", "ip_prefix"],
                    position: FilePosition(file: "Policies/gdpr.yaml", line: 33, column: 5)),
                AccessRule(
                    role: "publisher", purposes: ["audience-measurement"], from: places("DE"),
                    see: .aggregates, minGroup: 5,
                    noise: .init(epsilon: 100_000, budget: 300_000, per: .day, rows: 1, value: 10),
                    hide: ["user", "visitor", "ip_prefix"],
                    position: FilePosition(file: "Policies/gdpr.yaml", line: 35, column: 5)),
            ],
            transfer: [
                TransferRule(
                    to: places("US"), minGroup: 20,
                    position: FilePosition(file: "Policies/gdpr.yaml", line: 34, column: 5))
            ], fieldDays: [.user: 90, .visitor: 30]),
        policy(
            "fadp", file: "Policies/fadp.yaml", region: "eu-central",
            access: [
                AccessRule(
                    role: "privacy-officer", purposes: ["data-subject-request"],
                    from: places("CH", "FR"), see: .rows, minGroup: 1, hide: ["ip_prefix"],
                    position: FilePosition(file: "Policies/fadp.yaml", line: 21, column: 5))
            ], transfer: [], fieldDays: [:]),
        policy(
            "ccpa", file: "Policies/ccpa.yaml", region: "us-east",
            access: [
                AccessRule(
                    role: "analyst", purposes: ["audience-measurement"], from: places("US"),
                    see: .rows, minGroup: 1, hide: [],
                    position: FilePosition(file: "Policies/ccpa.yaml", line: 9, column: 5))
            ], transfer: [], fieldDays: [:]),
    ]

    static func places(_ codes: String...) -> PlaceSet {
        PlaceSet(names: codes, codes: Set(codes), isWorld: false)
    }

    private static func policy(
        _ name: String, file: String, region: String, access: [AccessRule],
        transfer: [TransferRule],
        fieldDays: [FieldName: Int]
    ) -> CompiledPolicy {
        let position = FilePosition(file: file, line: 1, column: 9)
        return CompiledPolicy(
            name: name, title: name, source: "test", position: position, claims: [], sites: [.all],
            route: .init(region: region, position: position),
            consent: .init(
                signals: [], absentGrants: false, purposes: ["audience-measurement"],
                denied: .count, position: position, absentPosition: position,
                deniedPosition: position),
            fields: .init(position: position),
            retention: .init(hitsDays: 395, fieldDays: fieldDays, position: position),
            sampling: .init(perMillion: 1_000_000, position: position), access: access,
            transfer: transfer)
    }
}

extension QueryService.Outcome {
    var answer: QueryAnswer? { if case .answered(let answer) = self { answer } else { nil } }
    var refusal: Refusal? { if case .refused(let refusal) = self { refusal } else { nil } }
    var cells: [[String?]]? {
        if case .cells(let rows)? = answer?.body { rows } else { nil }
    }
}
