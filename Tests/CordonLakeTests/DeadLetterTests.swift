import Bytes
import CordonCatalog
import CordonJournal
import CordonModel
import Foundation
import LinuxIO
import Synchronization
import TestSupport
import Testing

@testable import CordonLake

@Suite struct `Dead letters` {
    private let fixture: LakeFixture

    init() throws { fixture = try LakeFixture() }

    /// A batch of three hits whose second has a consent that no version knows.
    private static func damaged(_ records: [HitRecord]) -> [UInt8] {
        var bytes = HitBatch.header(ruleSet: "rules-1", geoBuild: "geo-1")
        for (index, record) in records.enumerated() {
            let start = bytes.count
            HitBatch.append(record, to: &bytes)
            if index == 1 { bytes[start + 5] = 0xEE }
        }
        return bytes
    }

    private func bury(_ bytes: [UInt8], hits: Int) throws {
        _ = try fixture.journal.append(bytes, hits: hits, expecting: 0)
        #expect(try fixture.table().deliver(from: fixture.journal).deadBatches == 1)
    }

    private func retry(
        _ ids: Set<Int64>? = nil, readable: Bool = false, table: HitsTable? = nil
    ) throws -> RetryReport {
        try (table ?? fixture.table()).retryDeadLetters(ids, readable: readable) {
            try fixture.journal.suppression()
        }
    }

    /// Makes a batch that can be read a dead letter, as if this program were a later one than that which could not.
    private func keepAside(_ records: [HitRecord]) throws {
        let batch = HitBatch(ruleSet: "rules-1", geoBuild: "geo-1", records: records)
        let head = try #require(try fixture.catalog.tableHead("pixels.hits"))
        try fixture.catalog.commit(
            table: "pixels.hits", expecting: head.metadataLocation, new: head.metadataLocation,
            deliveredThrough: nil, committed: [], unreferenced: [],
            deadLetters: [
                DeadBatch(batch: 7, reason: "unreadable at byte 4", bytes: batch.encoded)
            ], at: Timestamp(microseconds: 5))
    }

    private func letters() throws -> [Catalog.DeadLetter] {
        try fixture.catalog.deadLetters(table: "pixels.hits", after: 0, max: 10)
    }

    @Test func `what can be read is delivered once, and what cannot is a letter of its own`() throws
    {
        var generator = Generator()
        let records = HitRecord.random(count: 3, &generator)
        try bury(Self.damaged(records), hits: 3)
        let untouched = try retry()
        #expect(untouched.letters == 1 && untouched.rows == 0)
        #expect(try letters().count == 1)
        let report = try retry(readable: true)
        #expect(report.rows == 2 && report.shortened == 1 && report.delivered == 0)
        let expected = [records[0], records[2]].map(\.idText).sorted()
        #expect(try fixture.hitIDs() == expected, "seed \(generator.seed)")
        let rest = try #require(try letters().first)
        #expect(try letters().count == 1 && rest.id == 2 && rest.at.microseconds > 0)
        let examination = BatchExamination(rest.bytes)
        #expect(examination.batch.records.isEmpty && examination.unreadable == 1)
        #expect(try retry(readable: true).rows == 0)
        #expect(try fixture.hitIDs() == expected)
    }

    @Test func `a letter that can be read by now goes whole, without suppressed people`() throws {
        var generator = Generator()
        var records = HitRecord.random(count: 6, &generator)
        records[0].user = .person(1, 2)
        try bury([1, 2, 3], hits: 1)
        try keepAside(records)
        try fixture.journal.suppress(subjects: [], pseudonyms: [(.user, .person(1, 2))])
        #expect(try retry([1]).rows == 0)
        let report = try retry([2])
        let kept = records.filter { $0.user != .person(1, 2) }
        #expect(report.rows == kept.count && report.delivered == 1)
        #expect(report.suppressed == records.count - kept.count)
        #expect(try fixture.hitIDs() == kept.map(\.idText).sorted(), "seed \(generator.seed)")
        #expect(try letters().map(\.id) == [1])
        #expect(try retry([2]).letters == 0)
    }

    @Test func `a letter that came back with a catalog brings nobody back who was erased`() throws {
        var generator = Generator()
        var records = HitRecord.random(count: 6, &generator)
        records[0].user = .person(1, 2)
        try bury([1, 2, 3], hits: 1)
        try keepAside(records)
        // The list of the journal does not have the person; the ledger of those who were erased has.
        let report = try retry([2], table: fixture.table(erased: .person(1, 2)))
        let kept = records.filter { $0.user != .person(1, 2) }
        #expect(report.rows == kept.count && report.delivered == 1)
        #expect(report.suppressed == records.count - kept.count)
        #expect(try fixture.hitIDs() == kept.map(\.idText).sorted(), "seed \(generator.seed)")
        let event = fixture.events.all.withLock { $0.last }
        let counts = try #require(event).counts
        let leftOut = counts.filter { $0.key.hasPrefix(LakeEvent.leftOutPrefix) }
        #expect(leftOut.values.reduce(0, +) == report.suppressed)
    }

    @Test func `what is left of a letter is as old as the letter`() throws {
        var generator = Generator()
        try bury(Self.damaged(HitRecord.random(count: 3, &generator)), hits: 3)
        let whole = try #require(try letters().first)
        let later = SetClock(Day(whole.at) + 29)
        #expect(try retry(readable: true, table: fixture.table(clock: later)).shortened == 1)
        let rest = try #require(try letters().first)
        #expect(rest.id != whole.id && rest.at == whole.at)
        let end = Timestamp(microseconds: whole.at.microseconds + 1)
        #expect(try fixture.table().write { try $0.removeDeadLetters(before: end) } == 1)
    }

    @Test(arguments: [
        RemovalGate.Hold(id: "table"),
        .init(id: "person", people: SubjectFilter(users: [.person(1, 2)])),
        .init(id: "column", column: "user"),
        .init(id: "days", days: Day(number: 20_700)...Day(number: 20_700)),
    ])
    func `letters do not go while anything is held`(_ hold: RemovalGate.Hold) throws {
        try bury(Array("a batch of another world".utf8), hits: 1)
        let later = Timestamp(microseconds: try #require(try letters().first).at.microseconds + 1)
        let held = fixture.table(gate: RemovalGate(holds: [hold]))
        #expect(try held.write { try $0.removeDeadLetters(before: later) } == 0)
        #expect(try letters().count == 1)
        #expect(try fixture.table().write { try $0.removeDeadLetters(before: later) } == 1)
    }

    @Test func `a letter of somebody erased stays while a hold may be of another hit in it`() throws
    {
        var generator = Generator()
        var records = HitRecord.random(count: 3, &generator)
        let people = (1...4).map { Pseudonym.person($0, 7) }
        for (index, person) in people.prefix(3).enumerated() { records[index].user = person }
        try bury(Self.damaged(records), hits: 3)
        let erased = SubjectFilter(users: [people[0]])
        let stopping: [RemovalGate.Hold] = [
            .init(id: "other", people: SubjectFilter(users: [people[2]])),
            // Nobody can read that hit any more, and its bytes still name its person.
            .init(id: "unreadable", people: SubjectFilter(users: [people[1]])),
            .init(id: "days", days: Day(number: 1)...Day(number: 2)),
        ]
        let elsewhere = RemovalGate.Hold(
            id: "elsewhere", people: SubjectFilter(users: [people[3]]))
        for hold in stopping {
            let held = fixture.table(gate: RemovalGate(holds: [elsewhere, hold]))
            #expect(try held.write { try $0.holds(on: erased) } == [hold.id])
            #expect {
                try held.write { try $0.rewrite(removing: erased) }
            } throws: {
                ($0 as? LakeError)?.code == .held
            }
            #expect(try letters().count == 1, "seed \(generator.seed)")
        }
        let open = fixture.table(gate: RemovalGate(holds: [elsewhere]))
        #expect(try open.write { try $0.rewrite(removing: erased) }.deadLettersRemoved == 1)
        #expect(try letters().isEmpty)
    }

    @Test(arguments: [
        LakeStep.dataFilesNoted, .dataFileSynced, .manifestWritten, .audited, .committed,
    ])
    func `killed at any step, each hit is there once after another try`(_ step: LakeStep) throws {
        var generator = Generator()
        let records = HitRecord.random(count: 3, &generator)
        try bury(Self.damaged(records), hits: 3)
        #expect(try fixture.killing(at: step) { _ = try retry(readable: true, table: $0) })
        _ = try retry(readable: true)
        #expect(
            try fixture.hitIDs() == [records[0], records[2]].map(\.idText).sorted(),
            "seed \(generator.seed)")
        #expect(try letters().count == 1)
        try fixture.expectNoStrayFile()
    }

    @Test func `letters go when they are too old, and their bytes with them`() throws {
        try bury(Array("a batch of another world".utf8), hits: 1)
        let at = try #require(try letters().first).at
        let table = fixture.table()
        #expect(try table.write { try $0.removeDeadLetters(before: at) } == 0)
        let later = Timestamp(microseconds: at.microseconds + 1)
        #expect(try table.write { try $0.removeDeadLetters(before: later) } == 1)
        #expect(try letters().isEmpty)
        for suffix in ["", "-wal"] {
            let path = fixture.directory.file("catalog.sqlite" + suffix)
            guard let data = FileManager.default.contents(atPath: path) else { continue }
            #expect(data.range(of: Data("a batch of another world".utf8)) == nil)
        }
    }
}
