import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonServer
import CordonSubjects
import Engine
import Foundation
import LinuxIO
import Merkle
import Synchronization
import TestSupport
import Testing

@Suite struct `Sealed columns` {
    private let region: SubjectRegion
    private static let columns: [SealableColumn] = [.pagePath, .referrerHost, .parameters]

    init() throws {
        region = try SubjectRegion(sealed: Self.columns)
        try append(0..<4)
    }

    /// A visitor that the person and another share, as a household does.
    private func visitor(_ number: Int) -> Pseudonym {
        Pseudonym(value: 0x7C31_90B4_5EDF_A826_1D43_F97B_8E05_0000 + UInt128(number))
    }

    /// A hit of the person, one of another, and one that is tied to nobody, for each number.
    private func append(_ numbers: Range<Int>) throws {
        let journal = try region.lake.journal()
        for number in numbers {
            var records = [
                try region.record("customer-4711", number), try region.record("other-1", number),
                try region.record("other-2", number),
            ]
            records[2].user = nil
            records[2].visitor = nil
            records[2].keyEpoch = nil
            records[0].visitor = visitor(number)
            records[1].visitor = visitor(number)
            for index in records.indices {
                records[index].pagePath = "/orders/of-\(index)-\(number)"
                records[index].referrerHost = "search.example"
            }
            let batch = HitBatch(ruleSet: "r", geoBuild: "g", records: records)
            _ = try journal.append(
                batch.encoded, hits: records.count, expecting: journal.suppression().generation)
        }
    }

    /// Values of all data files on disk, as SQL gives them.
    private func values(_ sql: String) throws -> [String] {
        let files = try region.lake.table.snapshot().files.map { "'\($0.path)'" }
        return try EngineConnection().query(
            "SELECT \(sql) FROM read_parquet([\(files.joined(separator: ","))]) AS hit ORDER BY 1"
        ).rows().map { $0[0] ?? "null" }
    }

    /// What an export gives the person of a column.
    private func exported(_ column: String) throws -> (values: [String], unopened: Int) {
        var values: [String] = []
        let finding = try region.subjects.service().export(
            region.subject(), request: SubjectRequest.newID()
        ) {
            values.append(try ($0.values[column] ?? .null).cell())
        }
        return (values, finding.unopenedValues)
    }

    private var paths: Set<String> { Set((0..<4).map { "/orders/of-0-\($0)" }) }

    private func keyCount() throws -> Int { try SubjectKeys.existing(region.keys)?.count() ?? 0 }

    /// A third of the few hits here is the person's.
    private func erase(
        _ id: String = SubjectRequest.newID(), killing kill: RequestStep? = nil
    ) throws -> SubjectRequest {
        let service = region.subjects.service { step, moment in
            if step == kill, moment == .performed { throw SubjectRegion.Killed() }
        }
        return try service.erase(request: id, percentMax: 100) { try region.subject() }
    }

    private func request() throws -> SubjectRequest {
        try #require(try region.subjects.service().requests(max: 9).first { $0.kind == .erase })
    }

    @Test func `stand in no file of the lake, and are opened for the person alone`() throws {
        try region.deliver()
        #expect(try values("count(*)") == ["12"])
        #expect(try values("page_path").filter { $0 == "null" }.count == 4)
        #expect(try values("page_path").filter { $0.hasPrefix("sealed:1:") }.count == 8)
        #expect(try values("DISTINCT array_to_string(map_keys(params), ',')").contains("value"))
        let scan = try DiskScan(values: [Array("/orders/of-".utf8), Array("search.example".utf8)])
        var places = 0
        _ = try scan.run(root: region.region.lakeDirectory) { _ in places += 1 }
        #expect(places == 0)
        #expect(
            try values("regexp_matches(CAST(hit AS VARCHAR), 'orders|search.example')")
                .allSatisfy { $0 == "false" })

        #expect(try Set(exported("page_path").values) == paths)
        #expect(
            try exported("referrer_host").values == Array(repeating: "search.example", count: 4))
        #expect(try Set(exported("params").values) == Set((0..<4).map { "{\"value\":\"\($0)\"}" }))
        #expect(try exported("params").unopened == 0)
        let finding = try region.subjects.service().find(region.subject(), request: "f")
        #expect(finding.sealedRows == 4)
        // Each pair of the person's and another's pseudonyms has one key.
        #expect(try keyCount() == 8)
    }

    @Test func `are as they were after deliveries that are killed, compaction and field ages`()
        throws
    {
        let isKilled = Atomic(true)
        let killing = try RegionLake(region.region, clock: SubjectRegion.Clock(), log: region.log) {
            if $0 == .audited, isKilled.load(ordering: .relaxed) { throw SubjectRegion.Killed() }
        }
        #expect(throws: SubjectRegion.Killed.self) {
            _ = try killing.table.deliver(from: killing.journal())
        }
        #expect(try keyCount() == 8)
        try region.deliver()
        #expect(try keyCount() == 8)
        try append(4..<8)
        try region.deliver()
        let before = try values("page_path")
        let report = try region.lake.table.compact(suppressed: { SubjectFilter() })
        #expect(report.commits > 0)
        #expect(try values("page_path") == before)
        let ages = FieldAges(
            rules: [.init(policy: "gdpr", field: "visitor", columns: ["visitor"], days: 1)],
            policies: ["gdpr"])
        let aged = try region.lake.table.age(ages, on: SubjectRegion.day + 9) { files, _ in
            Set(files)
        }
        #expect(aged.values["visitor"] ?? 0 > 0)
        // By the user's pseudonym alone the key is found among those of the person.
        let (opened, unopened) = try exported("page_path")
        #expect(Set(opened) == Set((0..<8).map { "/orders/of-0-\($0)" }))
        #expect(unopened == 0)
    }

    @Test func `cannot be read from the moment when their keys are destroyed, before the rows go`()
        throws
    {
        try region.deliver()
        let others = try region.otherRows()
        #expect(throws: SubjectRegion.Killed.self) { try erase("r", killing: .keys) }
        let cut = try request()
        #expect(cut.step == .keys)
        #expect(cut.state != "erased")
        #expect(cut.counts.keys == 4)
        #expect(cut.unreadableSince == SubjectRegion.Clock().now())
        let (left, unopened) = try exported("page_path")
        #expect(left == Array(repeating: "", count: 4))
        // Three columns of four rows.
        #expect(unopened == 12)
        #expect(try keyCount() == 4)

        #expect(try region.subjects.sweep().unfinished.isEmpty)
        let done = try request()
        #expect(done.state == "erased")
        #expect(done.counts.keys == 4)
        #expect(done.unreadableSince == cut.unreadableSince)
        #expect(try region.otherRows() == others)
        try region.expectGone()
        let kinds = try region.auditKinds()
        let destroyed = try #require(kinds.firstIndex(of: "subject-keys-destroyed"))
        #expect(destroyed < (kinds.firstIndex(of: "lake-rewrite") ?? 0))
        let certificate = String(
            decoding: try File.read(region.subjects.certificatePath(of: "r")), as: UTF8.self)
        #expect(certificate.contains("\"keys-destroyed\":4"))
        #expect(
            certificate.contains(
                "\"sealed_unreadable_since\":\"\(SubjectRegion.Clock().now().text)\""))
        _ = try ErasureCertificate.check(
            Array(certificate.utf8),
            keys: [try #require(NoteVerifier(region.log.reader.verifierKey))])
    }

    @Test(arguments: RequestStep.sequence(.erase))
    func `an erasure of which is cut in any step ends without their keys`(_ step: RequestStep)
        throws
    {
        try region.deliver()
        try append(4..<5)
        #expect(throws: SubjectRegion.Killed.self) { try erase("r", killing: step) }
        try region.deliver()
        #expect(try region.subjects.sweep().unfinished.isEmpty)
        let done = try request()
        #expect(done.state == "erased")
        #expect(done.counts.keys >= 4)
        #expect(done.unreadableSince != nil)
        try region.expectGone()
        #expect(try exported("page_path").values.isEmpty)
    }

    @Test func `a hold keeps their keys, and the erasure takes them when it is released`() throws {
        try region.deliver()
        let service = region.subjects.service()
        let hold = try service.hold(
            region.subject(), column: nil, days: nil, reason: "court", id: SubjectRequest.newID())
        #expect(throws: SubjectError.self) { try erase("r") }
        #expect(try service.sweepKeys() == nil)
        #expect(try keyCount() == 8)
        #expect(try exported("page_path").unopened == 0)
        _ = try service.release(hold.id, kind: .hold)
        #expect(try region.subjects.sweep().unfinished.isEmpty)
        #expect(try request().counts.keys == 4)
        try region.expectGone()
    }

    @Test func `the erasure of one visitor takes the keys of that visitor alone`() throws {
        try region.deliver()
        let service = region.subjects.service()
        let subject = try service.subject(Sensitive(SubjectName.pseudonym(visitor(1))))
        let done = try service.erase(request: "v", percentMax: 100) { subject }
        #expect(done.counts.keys == 2)
        #expect(try keyCount() == 6)
        let (left, unopened) = try exported("page_path")
        #expect(Set(left) == paths.subtracting(["/orders/of-0-1"]))
        #expect(unopened == 0)
    }

    @Test func `keys that a backup brings back of who was erased are destroyed again`() throws {
        try region.deliver()
        let folder = region.region.keysDirectory
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter {
            $0.hasPrefix("subject-keys")
        }
        for name in names {
            try FileManager.default.copyItem(
                atPath: folder + "/" + name, toPath: region.directory.file(name))
        }
        _ = try erase()
        for name in try FileManager.default.contentsOfDirectory(atPath: folder)
        where name.hasPrefix("subject-keys") {
            try FileManager.default.removeItem(atPath: folder + "/" + name)
        }
        for name in names {
            try FileManager.default.copyItem(
                atPath: region.directory.file(name), toPath: folder + "/" + name)
        }
        let service = region.subjects.service()
        let found = try service.verify(region.subject(), request: "v")
        #expect(found.traces.contains { $0.kind.hasPrefix("subject key") })
        let finding = try service.restoreCheck().finding
        #expect(finding.keys == 4)
        #expect(finding.pseudonyms == 0)
        #expect(!finding.isClean)
        _ = try service.replayLedger(request: "again")
        #expect(try service.restoreCheck().finding.isClean)
        #expect(try keyCount() == 4)
        try region.expectGone()
    }

    @Test func `a trace that is left sends the erasure back, and it ends when the key is gone`()
        throws
    {
        try region.deliver()
        let region = region
        let owner = try #require(
            SubjectKeys.Owner(user: try region.subject().filter.users.first, visitor: nil))
        // A key that comes into being after the destruction, as from a copy that is put back.
        let isPlanted = Atomic(false)
        let service = region.subjects.service { step, moment in
            guard step == .verify, moment == .before, !isPlanted.exchange(true, ordering: .relaxed)
            else { return }
            _ = try SubjectKeys(creating: region.keys).keys(
                for: [
                    owner: .init(day: SubjectRegion.day, retainUntil: SubjectRegion.day + 1)
                ])
        }
        #expect(throws: SubjectError.self) {
            try service.erase(request: "r", percentMax: 100) { try region.subject() }
        }
        #expect(try request().step == .suppress)
        #expect(try region.subjects.sweep().unfinished.isEmpty)
        #expect(try request().state == "erased")
        try region.expectGone()
    }

    @Test func `keys that no hit needs go with maintenance`() throws {
        try region.deliver()
        #expect(try region.subjects.service().sweepKeys() == 0)
        let later = try RegionSubjects(region.region, clock: LaterClock())
        _ = try later.sweep()
        // Half of the hits are kept for a month, the others for more than a year.
        #expect(try keyCount() == 4)
        #expect(try exported("page_path").unopened == 0)
        #expect(try region.auditKinds().contains("subject-keys-swept"))
    }

    private struct LaterClock: WallClock {
        func now() -> Timestamp { (SubjectRegion.day + 60).start }
    }

    @Test
    func `a region that seals nothing has no such keys, and its requests say nothing of them`()
        throws
    {
        let plain = try SubjectRegion()
        try plain.append(batches: 1)
        try plain.deliver()
        #expect(try SubjectKeys.existing(plain.keys) == nil)
        let done = try plain.erase()
        #expect(done.counts.keys == 0)
        #expect(done.unreadableSince == nil)
        #expect(try !plain.auditKinds().contains("subject-keys-destroyed"))
        #expect(try !File.exists(plain.region.keysDirectory + "/subject-wrap.key"))
    }
}
