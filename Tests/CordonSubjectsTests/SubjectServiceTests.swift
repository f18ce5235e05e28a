import CordonJournal
import CordonKeys
import CordonModel
import Foundation
import TestSupport
import Testing

@testable import CordonSubjects

/// A person in the region: rows in two files, hits in the journal, other people around.
extension Region {
    fileprivate static let person = Array("customer-4711".utf8)

    fileprivate static func withPerson() throws -> Region {
        SentValues.note("customer-4711")
        return try Region(users: [today, today + -40])
    }

    fileprivate func subject(_ id: [UInt8] = Region.person) throws -> Subject {
        try NamedSubjectTransform(keys).apply(.user(id)).get()
    }

    fileprivate func pseudonym(_ id: String, _ day: Day = Region.today) throws -> Pseudonym {
        try keys.pseudonymKey(.user, .month, day, creating: false)!
            .pseudonym(user: Array(id.utf8).span)
    }

    /// Rows and hits of the person among those of 60 others.
    fileprivate func fill() throws {
        for (number, day) in [Self.today, Self.today + -1, Self.today + -40].enumerated() {
            var rows = try (0..<60).map { index in
                FakeLake.Row(
                    user: try pseudonym("other-\(index)", day).text,
                    site: "s\(number)-\(index).example")
            }
            if number != 1 {
                rows.append(
                    .init(
                        user: try pseudonym("customer-4711", day).text, site: "p\(number).example"))
            }
            try lake.add(rows, day: day, retainUntil: day + 395)
        }
        try append([try record("customer-4711"), try record("other-1"), try record("other-2")])
        try append([try record("other-3")])
        try append([try record("customer-4711")])
    }

    fileprivate func record(_ id: String, retainUntil: Day = Region.today + 395) throws -> HitRecord
    {
        var record = HitRecord()
        record.hitID = UInt128.random(in: .min ... .max)
        record.timestamp = Self.today.start
        record.site = "journal.example"
        record.event = "view"
        record.user = try pseudonym(id)
        record.policy = "gdpr"
        record.retainUntil = retainUntil
        return record
    }

    fileprivate func append(_ records: [HitRecord], expecting generation: Int64? = nil) throws {
        let batch = HitBatch(ruleSet: "r", geoBuild: "g", records: records)
        let present = try journal.suppression().generation
        _ = try journal.append(
            batch.encoded, hits: records.count, expecting: generation ?? present)
    }

    fileprivate func journalRecords() throws -> [HitRecord] {
        try journal.read(after: .none, bytesMax: .max).flatMap {
            try HitBatch(decoding: $0.bytes).records
        }
    }

    fileprivate func erase(_ id: String = SubjectRequest.newID()) throws -> SubjectRequest {
        try service().erase(request: id) { try subject() }
    }

    /// Every byte under the region holds neither the id nor a pseudonym of the person.
    fileprivate func expectGone(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let values =
            [Self.person]
            + (try subject().filter.users.flatMap { [Array($0.text.utf8), $0.bytes] })
        let scan = try DiskScan(values: values)
        var found: [String] = []
        _ = try scan.run(root: folder.path) { found.append("\($0.path) \($0.encoding)") }
        #expect(found == [], sourceLocation: sourceLocation)
    }
}

@Suite struct `Requests about a person` {
    private let region: Region

    init() throws {
        region = try Region.withPerson()
        try region.fill()
    }

    @Test func `find counts rows, files, days and hits in the journal, and the audit log knows`()
        throws
    {
        let finding = try region.service().find(region.subject(), request: "r1")
        #expect(finding.rows == 2)
        #expect(finding.files == 2)
        #expect(finding.journalHits == 2)
        #expect(finding.firstDay == Region.today + -40)
        #expect(finding.lastDay == Region.today)
        #expect(finding.keysFrom == Day(year: 2026, month: 10, day: 1))
        #expect(finding.regionRows == 187)
        #expect(region.events.map(\.kind) == [.find])
        #expect(try region.service().requests(max: 9).map(\.state) == ["done"])
    }

    @Test func `a find that the audit log does not take shows nothing`() throws {
        let service = SubjectService(
            region.service().place, keys: region.keys, lake: region.lake,
            clock: FixedClock(time: Region.today.start), audit: { _ in throw Region.Killed() })
        #expect(throws: Region.Killed.self) { try service.find(region.subject(), request: "r1") }
    }

    @Test func `export gives every row of the person once, those in the journal among them`() throws
    {
        var rows: [ExportRow] = []
        _ = try region.service().export(region.subject(), request: "r1") { rows.append($0) }
        let sites = rows.compactMap { $0.values["site"] }
        #expect(
            sites == [
                .text("p0.example"), .text("p2.example"), .text("journal.example"),
                .text("journal.example"),
            ])
        #expect(region.events.map(\.kind) == [.export])
    }

    @Test func `verify finds a person that was not erased, in the lake and in the journal`() throws
    {
        let verification = try region.service().verify(region.subject(), request: "r1")
        let names = Set(verification.traces.map { URL(fileURLWithPath: $0.path).lastPathComponent })
        #expect(names.isSuperset(of: ["1.rows", "3.rows"]))
        #expect(names.contains { $0.hasPrefix("journal.sqlite") })
        #expect(!names.contains("2.rows"))
    }

    @Test func `an id that nobody has leaves everything as it is`() throws {
        let before = try region.lake.allRows()
        let request = try region.service().erase(request: "r1") {
            try region.subject(Array("nobody-at-all".utf8))
        }
        #expect(request.state == "erased")
        #expect(request.counts.rows == 0)
        #expect(try region.lake.allRows() == before)
    }
}

@Suite struct `Erasure` {
    private let region: Region
    private let others: [String]
    private let otherHits: [HitRecord]

    init() throws {
        region = try Region.withPerson()
        try region.fill()
        let users = try region.subject().filter.users
        others = try region.lake.allRows().filter { line in
            !users.contains { line.contains($0.text) }
        }
        otherHits = try region.journalRecords().filter { !users.contains($0.user!) }
    }

    private func expectErased() throws {
        try region.expectGone()
        #expect(try region.lake.allRows() == others)
        #expect(try region.journalRecords() == otherHits)
        let list = try region.journal.suppression()
        #expect(list.users.isEmpty)
        #expect(list.subjects == [try region.subject().digest.suppressed])
    }

    @Test func `the person is gone from every byte and all other rows are as before`() throws {
        let request = try region.erase()
        #expect(request.state == "erased")
        #expect(request.counts.rows == 2)
        #expect(request.counts.files == 2)
        #expect(request.counts.journalHits == 2)
        #expect(region.events.map(\.kind) == [.erasureIntent, .erased])
        try expectErased()
        let verification = try region.service().verify(region.subject(), request: "v")
        #expect(verification.isClean)
        #expect(verification.pseudonyms == 2)
    }

    struct Kill: CustomTestStringConvertible {
        let step: RequestStep
        let moment: SubjectService.StepMoment
        var testDescription: String { "\(step) \(moment)" }
        static let all = RequestStep.sequence(.erase).flatMap { step in
            SubjectService.StepMoment.allCases.map { Kill(step: step, moment: $0) }
        }
    }

    @Test(arguments: Kill.all)
    func `cut at any step, it says nothing untrue and ends in erased when it is resumed`(
        _ kill: Kill
    ) throws {
        region.killAt = (kill.step, kill.moment)
        #expect(throws: Region.Killed.self) { try region.erase("r1") }
        region.killAt = nil
        let open = try region.service().requests(max: 1)[0]
        let isOver = kill.step == .wipe && kill.moment == .recorded
        #expect(open.isFinished == isOver)
        if open.state == "erased" || region.events.contains(where: { $0.kind == .erased }) {
            try region.expectGone()
        }
        let resumed = try region.service().resume()
        #expect(resumed.map { $0.failure == nil } == (isOver ? [] : [true]))
        let request = try region.service().requests(max: 1)[0]
        #expect(request.id == "r1")
        #expect(request.state == "erased")
        #expect(request.counts.rows == 2)
        #expect(request.counts.journalHits == 2)
        #expect(region.events.first?.kind == .erasureIntent)
        #expect(region.events.last?.kind == .erased)
        try expectErased()
    }

    @Test func `the same person asked for again goes on with the request that was cut`() throws {
        region.killAt = (.rewrite, .performed)
        #expect(throws: Region.Killed.self) { try region.erase("r1") }
        region.killAt = nil
        #expect(try region.erase("r2").id == "r1")
        try expectErased()
    }

    @Test func `what stands hides no request and is taken for no erasure`() throws {
        region.killAt = (.suppress, .before)
        #expect(throws: Region.Killed.self) { try region.erase("r1") }
        region.killAt = nil
        let service = region.service()
        let past = Region.today + -400
        _ = try service.hold(nil, column: nil, days: past...past, reason: "case 12", id: "h1")
        #expect(try service.requests(max: 1).map(\.id) == ["h1"])
        #expect(
            try service.requests(max: 1, without: RequestKind.standing).map(\.id) == ["r1"])
        #expect(try service.unfinished(.erase, of: region.subject())?.id == "r1")
        #expect(try service.unfinished(.erase, of: region.subject(Array("other-1".utf8))) == nil)
        #expect(try service.request("h1")?.kind == .hold)
        #expect(try service.request("h2") == nil)
        #expect(try service.unfinishedCount(without: []) == 2)
        #expect(try service.unfinishedCount(without: RequestKind.standing) == 1)
        _ = try service.resume()
        #expect(try service.unfinished(.erase, of: region.subject()) == nil)
        #expect(try service.unfinishedCount(without: RequestKind.standing) == 0)
    }

    @Test func `a key made between request and suppression needs the id again`() throws {
        region.killAt = (.suppress, .before)
        #expect(throws: Region.Killed.self) { try region.erase("r1") }
        region.killAt = nil
        let next = Region.today + 30
        _ = try region.keys.pseudonymKey(.user, .month, next, creating: true)
        try region.lake.add(
            [.init(user: try region.pseudonym("customer-4711", next).text, site: "late.example")],
            day: next, retainUntil: next + 10)
        for _ in 0..<2 {
            let resumed = try region.service().resume()
            #expect(resumed.first?.failure as? SubjectError == .needsIdentifier(request: "r1"))
        }
        #expect(try region.erase("r2").state == "erased")
        try expectErased()
    }

    @Test func `hits made under the old suppression list cannot enter the journal meanwhile`()
        throws
    {
        let generation = try region.journal.suppression().generation
        region.killAt = (.suppress, .performed)
        #expect(throws: Region.Killed.self) { try region.erase("r1") }
        region.killAt = nil
        let late = try region.record("customer-4711")
        #expect(throws: JournalError(.suppressionChanged)) {
            try region.append([late], expecting: generation)
        }
        let list = try region.journal.suppression()
        #expect(list.contains(user: late.user, visitor: nil))
        #expect(list.subjects.contains(try region.subject().digest.suppressed))
        _ = try region.service().resume()
        try expectErased()
    }

    @Test func `rows delivered while the journal was purged are rewritten with the others`() throws
    {
        region.killAt = (.journal, .performed)
        #expect(throws: Region.Killed.self) { try region.erase("r1") }
        region.killAt = nil
        try region.lake.add(
            [.init(user: try region.pseudonym("customer-4711").text, site: "delivered.example")],
            day: Region.today, retainUntil: Region.today + 395)
        _ = try region.service().resume()
        try expectErased()
    }

    @Test func `a batch that nobody can decode goes whole when it holds the person`() throws {
        let broken = Array("CDNB".utf8) + (try region.pseudonym("customer-4711").bytes) + [1, 2, 3]
        _ = try region.journal.append(broken, hits: 1, expecting: 0)
        let request = try region.erase()
        #expect(request.counts.deadLetters == 1)
        try expectErased()
    }

    @Test func `two people erased one after the other leave no trace of either`() throws {
        _ = try region.erase()
        let other = try region.subject(Array("other-1".utf8))
        _ = try region.service().erase(request: SubjectRequest.newID()) { other }
        try region.expectGone()
        #expect(try region.service().verify(other, request: "v").isClean)
        #expect(try region.journal.suppression().subjects.count == 2)
    }

    @Test func `more than the allowed share of rows is refused and changes nothing`() throws {
        #expect(throws: SubjectError.self) {
            try region.service().erase(request: "r1", percentMax: 1) { try region.subject() }
        }
        #expect(try region.service().requests(max: 1).isEmpty)
        #expect(try region.journal.suppression().isEmpty)
        #expect(region.events.isEmpty)
    }

    struct Plant: CustomTestStringConvertible {
        let path: String
        let content: @Sendable (Pseudonym) -> [UInt8]
        var testDescription: String { path }
        static let all = [
            Plant(path: "lake/metadata/old-m0.avro") { [0, 1] + Array($0.text.utf8) + [2] },
            Plant(path: "state/journal.sqlite-old") { Array(repeating: 7, count: 5000) + $0.bytes },
            Plant(path: "state/export.csv") { Array($0.text.uppercased().utf8) },
            Plant(path: "keys/notes") { Array(Data($0.bytes).base64EncodedString().utf8) },
        ]
    }

    @Test(arguments: Plant.all)
    func `a trace that lies elsewhere keeps it from being called erased until it is gone`(
        _ plant: Plant
    ) throws {
        let path = region.folder.file(plant.path)
        try FileManager.default.createDirectory(
            at: URL(fileURLWithPath: path).deletingLastPathComponent(),
            withIntermediateDirectories: true)
        try Data(plant.content(region.pseudonym("customer-4711"))).write(
            to: URL(fileURLWithPath: path))
        #expect(throws: SubjectError.tracesLeft(region: "eu-central", paths: [path])) {
            try region.erase("r1")
        }
        #expect(!region.events.contains { $0.kind == .erased })
        #expect(try region.service().requests(max: 1)[0].state == "unfinished at suppress")
        try FileManager.default.removeItem(atPath: path)
        #expect(try region.service().resume().map(\.request.state) == ["erased"])
        try expectErased()
    }
}

@Suite struct `The end of retention` {
    private let region: Region

    init() throws {
        region = try Region.withPerson()
        for (index, age) in [-3, 0, 1].enumerated() {
            try region.lake.add(
                [
                    .init(
                        user: try region.pseudonym("other-\(index)").text, site: "s\(index).example"
                    )
                ],
                day: Region.today + -395, retainUntil: Region.today + age)
        }
        try region.append([
            try region.record("other-1", retainUntil: Region.today),
            try region.record("other-2", retainUntil: Region.today + 1),
        ])
    }

    @Test func `the plan lists what is due by partition, and is empty once applied`() throws {
        let plan = try region.service().retentionPlan(asOf: Region.today)
        #expect(plan.partitions.map(\.retainUntil) == [Region.today + -3, Region.today])
        #expect(plan.rows == 2)
        #expect(plan.journalHits == 1)
        let request = try #require(try region.service().applyRetention())
        #expect(request.counts.rows == 2)
        #expect(request.counts.filesDeleted == 2)
        #expect(try region.service().retentionPlan(asOf: Region.today).isEmpty)
        #expect(region.lake.files().map(\.retainUntil) == [Region.today + 1])
        #expect(try region.journalRecords().map(\.retainUntil) == [Region.today + 1])
        #expect(region.events.map(\.kind) == [.retentionIntent, .retentionApplied])
        #expect(try region.service().applyRetention() == nil)
        #expect(region.events.count == 2)
    }

    @Test(arguments: RequestStep.sequence(.retention), SubjectService.StepMoment.allCases)
    func `cut at any step, the next sweep ends it`(
        _ step: RequestStep, _ moment: SubjectService.StepMoment
    ) throws {
        region.killAt = (step, moment)
        #expect(throws: Region.Killed.self) { try region.service().applyRetention() }
        region.killAt = nil
        _ = try region.service().applyRetention()
        #expect(try region.service().retentionPlan(asOf: Region.today).isEmpty)
        let left = try FileManager.default.contentsOfDirectory(atPath: region.lake.directory)
        #expect(left == ["3.rows"])
        #expect(region.events.last?.kind == .retentionApplied)
    }

    @Test func `a day that lies ahead is planned freely and applied only when told so`() throws {
        let ahead = Region.today + 1
        #expect(try region.service().retentionPlan(asOf: ahead).rows == 3)
        #expect(throws: SubjectError.self) { try region.service().applyRetention(asOf: ahead) }
        #expect(region.lake.files().count == 3)
        _ = try region.service().applyRetention(asOf: ahead, beforeDue: true)
        #expect(region.lake.files().isEmpty)
        #expect(region.events.first?.asOf == ahead.text)
    }
}
