import Bytes
import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonServer
import CordonSubjects
import Engine
import Foundation
import Iceberg
import LinuxIO
import Synchronization
import TestSupport
import Testing

/// A region on disk with a real journal, lake, catalog and audit log, and a person among others.
private final class SubjectRegion: Sendable {
    struct Killed: Error {}
    static let person = Array("customer-4711".utf8)
    static let day = Day(year: 2026, month: 11, day: 20)

    let directory: TemporaryDirectory
    let region: RegionConfiguration
    let keys: RegionKeys
    let lake: RegionLake
    let log: AuditLog
    let subjects: RegionSubjects

    struct Clock: WallClock {
        func now() -> Timestamp {
            Timestamp(microseconds: (SubjectRegion.day + 1).start.microseconds)
        }
    }

    init() throws {
        directory = try TemporaryDirectory()
        SentValues.note("customer-4711")
        let state = directory.file("var/r1")
        region = RegionConfiguration(
            name: "r1", title: "Region one", jurisdiction: "DE",
            collector: .init(
                listen: .init(address: IPAddress(ipv4: 0x7F00_0001), port: 0), trustedProxies: [],
                clientAddress: .peer, durability: .durable),
            lakeDirectory: state + "/lake", catalogPath: state + "/catalog.sqlite",
            keysDirectory: state + "/keys", stateDirectory: state)
        keys = try RegionKeys.create(directory: region.keysDirectory, region: region.name)
        for period in [KeyPeriod.month, .day] {
            _ = try keys.pseudonymKey(.user, period, Self.day, creating: true)
        }
        log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        lake = try RegionLake(region, clock: Clock(), log: log)
        subjects = RegionSubjects(lake, keys: keys, log: log, clock: Clock())
    }

    func subject() throws -> Subject { try SubjectTransform(keys).apply(Self.person).get() }

    func record(_ id: String, _ number: Int) throws -> HitRecord {
        var record = HitRecord()
        record.hitID = UInt128(number) << 64 | UInt128.random(in: 0...UInt128(UInt64.max))
        let day = Self.day + -(number % 3)
        record.timestamp = Timestamp(microseconds: day.start.microseconds + Int64(number))
        record.site = "shop.example"
        record.event = "view"
        record.policy = "gdpr"
        record.user = try keys.pseudonymKey(.user, .month, Self.day, creating: false)?
            .pseudonym(user: Array(id.utf8).span)
        record.visitor = Pseudonym(value: UInt128(number % 40) + 1)
        record.keyEpoch = day
        record.retainUntil = day + (number % 2 == 0 ? 30 : 400)
        record.purposes = ["audience-measurement"]
        record.parameters = [.init(key: "value", value: "\(number)")]
        return record
    }

    /// Hits of 200 others and, at the start of each batch, one of the person.
    func append(batches: Int, person: Bool = true) throws {
        let journal = try lake.journal()
        for batch in 0..<batches {
            var records = try (0..<50).map { try record("other-\($0)", batch * 50 + $0) }
            if person { records.insert(try record("customer-4711", batch), at: 0) }
            while true {
                let list = try journal.suppression()
                let kept = records.filter { !list.contains(user: $0.user, visitor: $0.visitor) }
                do throws(JournalError) {
                    let bytes = HitBatch(ruleSet: "r", geoBuild: "g", records: kept).encoded
                    _ = try journal.append(bytes, hits: kept.count, expecting: list.generation)
                    break
                } catch {
                    guard error.code == .suppressionChanged else { throw error }
                }
            }
        }
    }

    func deliver() throws { _ = try lake.table.deliver(from: lake.journal()) }

    /// All rows but the person's, each with all its values.
    func otherRows() throws -> [String] {
        let files = try lake.table.snapshot().files.map { "'\($0.path)'" }
        guard !files.isEmpty else { return [] }
        let users = try subject().users.map { "'\($0.text)'" }
        return try EngineConnection().query(
            """
            SELECT CAST(hit AS VARCHAR) FROM read_parquet([\(files.joined(separator: ","))]) AS hit
            WHERE "user" NOT IN (\(users.joined(separator: ","))) ORDER BY 1
            """
        ).rows().map { $0[0] ?? "" }
    }

    func erase(
        _ id: String = SubjectRequest.newID(), killing kill: RequestStep? = nil
    ) throws -> SubjectRequest {
        let service = subjects.service { step, moment in
            if step == kill, moment == .performed { throw Killed() }
        }
        return try service.erase(request: id) { try subject() }
    }

    func expectGone(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let found = try subjects.service().verify(subject(), request: SubjectRequest.newID())
        #expect(found.traces == [], sourceLocation: sourceLocation)
        #expect(found.unread == [], sourceLocation: sourceLocation)
        #expect(found.pseudonyms == 2, sourceLocation: sourceLocation)
    }

    func auditKinds() throws -> [String] {
        try log.reader.entries().map(\.entry.kind)
    }
}

@Suite struct `Requests over a region's real lake` {
    private let region: SubjectRegion

    init() throws {
        region = try SubjectRegion()
        try region.append(batches: 6)
        try region.deliver()
        try region.append(batches: 2)
    }

    @Test func `a person is found, exported, erased, and gone; every other row is as before`()
        throws
    {
        let service = region.subjects.service()
        let finding = try service.find(region.subject(), request: "f")
        #expect(finding.rows == 6)
        #expect(finding.journalHits == 2)
        var rows = 0
        _ = try service.export(region.subject(), request: "x") { row in
            rows += 1
            #expect(Set(row.values.keys) == Set(service.columns))
            #expect(row.values["event"] == .text("view"))
        }
        #expect(rows == 8)
        #expect(try !service.verify(region.subject(), request: "v").traces.isEmpty)

        let before = try region.otherRows()
        #expect(before.count == 300)
        let request = try region.erase()
        #expect(request.state == "erased")
        #expect(request.counts.rows == 6)
        #expect(request.counts.journalHits == 2)
        #expect(try region.otherRows() == before)
        try region.expectGone()
        #expect(try region.lake.table.metadata()?.snapshots.count == 1)
        let kinds = try region.auditKinds()
        let intent = try #require(kinds.firstIndex(of: "erasure-intent"))
        let rewrite = try #require(kinds.firstIndex(of: "lake-rewrite"))
        let erased = try #require(kinds.firstIndex(of: "erased"))
        #expect(intent < rewrite && rewrite < erased)

        try region.append(batches: 1)
        try region.deliver()
        #expect(try region.otherRows().count == 450)
    }

    @Test(arguments: RequestStep.sequence(.erase))
    func `cut in any step, it is resumed to its end`(_ step: RequestStep) throws {
        let before = try region.otherRows()
        #expect(throws: SubjectRegion.Killed.self) { try region.erase("r", killing: step) }
        #expect(try region.otherRows() == before)
        try region.deliver()
        let outcome = try region.subjects.sweep()
        #expect(outcome.unfinished.isEmpty)
        let request = try region.subjects.service().requests(max: 9).first { $0.kind == .erase }
        #expect(request?.state == "erased")
        #expect(request?.counts.rows ?? 0 >= 6)
        try region.expectGone()
    }

    @Test func `hits that arrive and are delivered during an erasure leave nothing behind`() throws
    {
        let isOver = Atomic(false)
        let failures = Mutex<[String]>([])
        func background(_ body: @escaping @Sendable () throws -> Void) -> DispatchGroup {
            let group = DispatchGroup()
            DispatchQueue.global().async(group: group) {
                do {
                    while !isOver.load(ordering: .acquiring) { try body() }
                } catch { failures.withLock { $0.append("\(error)") } }
            }
            return group
        }
        let region = region
        let groups = [
            // The person is met by pseudonym; the edge also knows the digest.
            background { try region.append(batches: 1, person: false) },
            background { try region.deliver() },
        ]
        let request = try region.erase()
        isOver.store(true, ordering: .releasing)
        for group in groups { group.wait() }
        #expect(failures.withLock { $0 } == [])
        #expect(request.state == "erased")
        try region.expectGone()
    }

    @Test func `verify sees into a Parquet file that no table refers to`() throws {
        _ = try region.erase()
        let path = region.region.hitsTableDirectory + "/data/stray.parquet"
        let text = try #require(try region.subject().users.first).text
        try EngineConnection().execute(
            """
            COPY (SELECT 'x' || range AS a, CASE WHEN range = 40000 THEN {'k': ['\(text)']} END AS b
                  FROM range(50000)) TO '\(path)' (FORMAT parquet, COMPRESSION zstd)
            """)
        let found = try region.subjects.service().verify(region.subject(), request: "v")
        #expect(found.traces.map(\.path).contains(path))
        #expect(found.traces.contains { $0.kind.hasSuffix("in parquet") })
    }

    @Test func `what is due goes by whole files, and the next plan is empty`() throws {
        let service = region.subjects.service()
        let later = SubjectRegion.day + 40
        let rows = try region.lake.table.snapshot().records
        let plan = try service.retentionPlan(asOf: later)
        #expect(plan.partitions.count == 3)
        #expect(plan.journalHits > 0)
        #expect(try service.retentionPlan(asOf: SubjectRegion.day + 1).isEmpty)
        let request = try #require(try service.applyRetention(asOf: later, beforeDue: true))
        #expect(request.counts.rows == plan.rows)
        #expect(try service.retentionPlan(asOf: later).isEmpty)
        #expect(try region.lake.table.snapshot().records == rows - plan.rows)
        #expect(
            try region.lake.table.snapshot().files.allSatisfy { $0.retainUntil > later })
        #expect(try region.auditKinds().suffix(1) == ["retention-applied"])
        try region.deliver()
        #expect(try service.retentionPlan(asOf: later).isEmpty)
    }
}
