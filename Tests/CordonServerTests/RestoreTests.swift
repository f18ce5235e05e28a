import CordonAudit
import CordonCatalog
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonServer
import CordonSubjects
import Foundation
import LinuxIO
import TestSupport
import Testing

@Suite struct `Restoring a backup from before an erasure` {
    private let region: SubjectRegion

    init() throws {
        region = try SubjectRegion()
        try region.append(batches: 4)
        try region.deliver()
    }

    /// The lake and the catalog, as an operator copies them.
    private var parts: [String] {
        ["lake", "catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"]
    }

    private func copy(_ names: [String], to folder: String, back: Bool = false) throws {
        let backup = region.directory.file(folder)
        try FileManager.default.createDirectory(
            atPath: backup, withIntermediateDirectories: true)
        for name in names {
            let here = region.region.stateDirectory + "/" + name
            let (from, to) = back ? (backup + "/" + name, here) : (here, backup + "/" + name)
            if back { try? FileManager.default.removeItem(atPath: to) }
            if FileManager.default.fileExists(atPath: from) {
                try FileManager.default.copyItem(atPath: from, toPath: to)
            }
        }
    }

    /// The region as a process sees it that starts now.
    private func opened() throws -> RegionSubjects {
        try RegionSubjects(region.region, clock: SubjectRegion.Clock())
    }

    private var ledger: ErasedLedger {
        ErasedLedger(path: region.region.erasedLedgerPath, keys: region.keys)
    }

    @Test func `a lake and catalog that are copied back are cleaned by replaying the ledger`()
        throws
    {
        #expect(try region.subjects.service().restoreCheck().finding.isClean)
        let others = try region.otherRows()
        try copy(parts, to: "backup")
        _ = try region.erase()
        #expect(try region.subjects.service().restoreCheck().finding.isClean)

        try copy(parts, to: "backup", back: true)
        let restored = try opened()
        let subject = try region.subject()
        #expect(try restored.service().find(subject, request: "f").rows == 4)
        let finding = try restored.service().restoreCheck().finding
        // The key of the month made the person's pseudonym; the day's key made none that is in use.
        #expect(finding.pseudonyms == 1)
        #expect(finding.unsuppressed == 0)
        #expect(finding.files > 0)
        #expect(finding.ledger == 3)

        let (_, request) = try restored.service().replayLedger(request: "again")
        #expect(request?.state == "erased")
        #expect(request?.naming == .ledger)
        #expect(request?.counts.rows == 4)
        #expect(try restored.service().restoreCheck().finding.isClean)
        #expect(try restored.service().verify(subject, request: "v").isClean)
        let lake = try RegionLake(
            region.region, clock: SubjectRegion.Clock(), log: region.log)
        #expect(Int(try lake.table.snapshot().records) == others.count)
    }

    @Test
    func `a journal from a backup brings nobody back, neither its hits nor its forgotten list`()
        throws
    {
        _ = try region.erase()
        // A journal of before the erasure: it has hits of the person and does not know that they are suppressed.
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: region.region.journalPath + suffix)
        }
        let before = try region.lake.table.snapshot().records
        let journal = try Journal(path: region.region.journalPath)
        for number in 0..<9 {
            let batch = HitBatch(
                ruleSet: "r", geoBuild: "g",
                records: [
                    try region.record("customer-4711", number),
                    try region.record("other-1", number),
                ])
            _ = try journal.append(batch.encoded, hits: 2, expecting: 0)
        }
        let restored = try opened()
        let finding = try restored.service().restoreCheck().finding
        #expect(finding.pseudonyms == 1)
        #expect(finding.unsuppressed == 1)
        let lake = try RegionLake(
            region.region, clock: SubjectRegion.Clock(), log: region.log)
        let report = try lake.table.deliver(from: journal)
        #expect(report.suppressed > 0)
        #expect(report.rows == report.suppressed)
        #expect(try lake.table.snapshot().records == before + Int64(report.rows))
        _ = try restored.service().replayLedger(request: "again")
        #expect(
            try journal.suppression().subjects == [try region.subject().digest.suppressed])
        #expect(try restored.service().restoreCheck().finding.isClean)
    }

    @Test func `a dead letter of a restored catalog brings nobody back`() throws {
        _ = try region.erase()
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(atPath: region.region.journalPath + suffix)
        }
        let batch = HitBatch(
            ruleSet: "r", geoBuild: "g",
            records: [try region.record("customer-4711", 1), try region.record("other-1", 2)])
        let lake = try RegionLake(region.region, clock: SubjectRegion.Clock(), log: region.log)
        let head = try #require(try lake.catalog.tableHead(HitsSchema.tableName))
        try lake.catalog.commit(
            table: HitsSchema.tableName, expecting: head.metadataLocation,
            new: head.metadataLocation, deliveredThrough: nil, committed: [], unreferenced: [],
            deadLetters: [DeadBatch(batch: 1, reason: "of another version", bytes: batch.encoded)],
            at: SubjectRegion.Clock().now())
        let before = try lake.table.snapshot().records
        let report = try RegionDeadLetters(region.region, clock: SubjectRegion.Clock())
            .retry(nil, readable: false)
        #expect(report.rows == 1 && report.suppressed == 1)
        #expect(try lake.table.snapshot().records == before + 1)
        #expect(try opened().service().restoreCheck().finding.pseudonyms == 0)
    }

    @Test func `a data file that the table does not know is looked through too`() throws {
        let file = try #require(try region.lake.table.snapshot().files.first).path
        try FileManager.default.copyItem(atPath: file, toPath: region.directory.file("copy"))
        _ = try region.erase()
        try FileManager.default.createDirectory(
            atPath: File.parent(of: file), withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: region.directory.file("copy"), toPath: file)
        #expect(try region.subjects.service().restoreCheck().finding.pseudonyms == 1)
        // It is no file of Cordon's, so the request says where it is instead of deleting it.
        let failure = #expect(throws: SubjectError.self) {
            try region.subjects.service().replayLedger(request: "again")
        }
        #expect(failure == .tracesLeft(region: "r1", paths: [file]))
    }

    @Test
    func `a copy of the ledger is merged; one that is of another region or damaged is refused`()
        throws
    {
        _ = try region.erase()
        let path = region.region.erasedLedgerPath
        let copy = region.directory.file("copy.ledger")
        try FileManager.default.copyItem(atPath: path, toPath: copy)
        try FileManager.default.removeItem(atPath: path)
        #expect(try region.subjects.service().mergeLedger(copy) == 3)
        #expect(try region.subjects.service().mergeLedger(copy) == 0)
        #expect(try ledger.contents().count == 3)

        let other = try RegionKeys.create(
            directory: region.directory.file("other-keys"), region: "r2")
        #expect(throws: SubjectError.damagedLedger(path: path, record: 1)) {
            try ErasedLedger(path: path, keys: other).contents()
        }
        var bytes = try File.read(path)
        bytes[16 + 32 + 9] ^= 1
        try File.write(copy, bytes, mode: 0o600, sync: false)
        #expect(throws: SubjectError.damagedLedger(path: copy, record: 2)) {
            try region.subjects.service().mergeLedger(copy)
        }
        try File.write(copy, Array("something else".utf8), mode: 0o600, sync: false)
        #expect(throws: SubjectError.foreignLedger(path: copy)) {
            try region.subjects.service().mergeLedger(copy)
        }
    }

    @Test func `a record that a kill cut is dropped, and the next one stands whole`() throws {
        _ = try region.erase()
        let path = region.region.erasedLedgerPath
        try File.append(path, [1, 2, 3], mode: 0o600, sync: false)
        #expect(try ledger.contents().count == 3)
        let pseudonym = Pseudonym(value: 99)
        try ledger.add(
            people: [], pseudonyms: [.init(field: .visitor, pseudonym: pseudonym)],
            on: SubjectRegion.day)
        let contents = try ledger.contents()
        #expect(contents.count == 4)
        #expect(contents.contains(pseudonym, .visitor))
        #expect(!contents.contains(pseudonym, .user))
        #expect(try File.read(path).count == 16 + 4 * 32)
    }
}
