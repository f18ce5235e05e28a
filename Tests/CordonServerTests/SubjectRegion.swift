import Bytes
import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonServer
import CordonSubjects
import Engine
import TestSupport
import Testing

/// A region on disk with a real journal, lake, catalog and audit log, and a person among others.
final class SubjectRegion: Sendable {
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

    init(
        maintenance: LakeMaintenance = LakeMaintenance(), sealed: [SealableColumn] = [],
        step: @escaping @Sendable (LakeStep) throws -> Void = { _ in }
    ) throws {
        directory = try TemporaryDirectory()
        SentValues.note("customer-4711")
        var region = RegionConfiguration.forTest(
            in: directory.file("var/r1"), maintenance: maintenance)
        region.sealedColumns = sealed
        self.region = region
        keys = try RegionKeys.create(directory: region.keysDirectory, region: region.name)
        for period in [KeyPeriod.month, .day] {
            _ = try keys.pseudonymKey(.user, period, Self.day, creating: true)
        }
        log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        lake = try RegionLake(region, clock: Clock(), log: log, step: step)
        subjects = RegionSubjects(lake, keys: keys, log: log, clock: Clock())
    }

    func subject() throws -> Subject {
        try NamedSubjectTransform(keys).apply(.user(Self.person)).get()
    }

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
        let users = try subject().filter.users.map { "'\($0.text)'" }
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
