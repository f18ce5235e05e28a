import Bytes
import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import Engine
import Foundation
import LinuxIO
import SQLite
import TestSupport
import Testing

@testable import CordonServer

@Suite struct `A region's balance` {
    let directory: TemporaryDirectory
    let region: RegionConfiguration
    let log: AuditLog
    let lake: RegionLake
    let ledger: RegionLedger

    struct Killed: Error {}

    init() throws {
        directory = try TemporaryDirectory()
        region = .forTest(in: directory.file("var/r1"))
        let keys = try RegionKeys.create(directory: region.keysDirectory, region: region.name)
        log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        lake = try RegionLake(region, clock: SystemWallClock(), log: log)
        ledger = RegionLedger(region: region, log: log, clock: SystemWallClock())
    }

    private func balance() throws -> RegionBalance {
        try RegionBalance(region, clock: SystemWallClock())
    }

    /// One batch of hits under two policies, and hits that keep nothing.
    @discardableResult
    private func send(_ count: Int, _ random: inout Generator, kept retainDays: Int = 30) throws
        -> BatchNumber
    {
        var records: [HitRecord] = []
        for index in 0..<count {
            var record = HitRecord()
            record.hitID = UInt128(random.next()) << 64 | UInt128(random.next())
            record.timestamp = Timestamp(microseconds: 1_790_000_000_000_000 + Int64(index))
            record.site = "shop.example"
            record.event = "view"
            record.policy = index % 3 == 0 ? "world" : "gdpr"
            record.user = Pseudonym(value: UInt128(index % 4) + 1)
            record.keyEpoch = Day(record.timestamp)
            record.retainUntil = Day(record.timestamp) + retainDays
            records.append(record)
        }
        let world = (count + 2) / 3
        let bytes = HitBatch(ruleSet: "r", geoBuild: "g", records: records).encoded
        return try bytes.withUnsafeBytes { pointer in
            try lake.journal().append(
                [
                    PendingBatch(
                        bytes: pointer, hits: count,
                        tally: "gdpr kept \(count - world)\nworld counted \(world)\n")
                ], expecting: 0,
                unkept: [LedgerCount(policy: "gdpr", fate: "dropped", hits: 2)])
        }
    }

    private func table(killedAt step: LakeStep) -> HitsTable {
        HitsTable(
            HitsTable.Settings(region), catalog: lake.catalog, clock: SystemWallClock(),
            audit: { event in
                try log.append(
                    AuditEntry(
                        at: SystemWallClock().now(), kind: event.kind.rawValue, region: "r1",
                        fields: event.counts.mapValues { .integer($0) }))
            },
            step: { reached in if reached == step { throw Killed() } })
    }

    private func expectBalanced(_ place: SourceLocation = #_sourceLocation) throws {
        let found = try balance()
        #expect(found.findings == [], sourceLocation: place)
        #expect(found.notes == [], sourceLocation: place)
        for rule in found.rules {
            #expect(rule.missingBeforeLake == 0 && rule.missingInLake == 0, sourceLocation: place)
        }
    }

    @Test func `an empty region balances`() throws {
        try expectBalanced()
        #expect(try balance().total.received == 0)
    }

    @Test func `numbers hold at each station of a hit, and each station is shown`() throws {
        var random = Generator()
        try send(10, &random)
        try send(7, &random, kept: 10)
        try expectBalanced()
        #expect(try balance().total.waiting == 17)
        try ledger.tell(includingOpenMinute: true)
        try expectBalanced()
        _ = try lake.table.deliver(from: lake.journal())
        try expectBalanced()
        let delivered = try balance().total
        #expect(delivered.delivered == 17 && delivered.present == 17 && delivered.waiting == 0)
        #expect(delivered.received == 21 && delivered.fates["dropped"] == 4)
        // The end of retention for one of the two files, and one person's erasure from the other and from the journal.
        let due = try lake.table.snapshot().files.filter { $0.records == 7 }.map(\.path)
        _ = try lake.table.write { try $0.drop(due) }
        try expectBalanced()
        _ = try lake.table.write {
            try $0.rewrite(removing: SubjectFilter(users: [Pseudonym(value: 1)]))
        }
        try expectBalanced()
        let batch = try send(3, &random)
        let journal = try lake.journal()
        let stored = try #require(try journal.read(after: .none, bytesMax: .max).last)
        var content = try HitBatch(decoding: stored.bytes)
        let gone = content.records.removeFirst()
        try journal.rewrite(batch, bytes: content.encoded, hits: 2, removed: [gone.policy: 1])
        try expectBalanced()
        let total = try balance().total
        #expect(total.removed == 10 && total.present == 7)
        #expect(total.removedWaiting == 1 && total.waiting == 2)
        try ledger.tell(includingOpenMinute: true)
        _ = try lake.table.deliver(from: journal)
        try expectBalanced()
    }

    @Test(arguments: LakeStep.allCases)
    func `a delivery or removal that was killed at any step is not counted twice`(
        _ step: LakeStep
    ) throws {
        var random = Generator()
        try send(6, &random)
        _ = try lake.table.deliver(from: lake.journal())
        try send(9, &random)
        _ = try? table(killedAt: step).deliver(from: lake.journal())
        try expectBalanced()
        try send(5, &random, kept: 10)
        _ = try lake.table.deliver(from: lake.journal())
        try expectBalanced()
        #expect(try balance().total.present == 20)
        let due = try lake.table.snapshot().files.filter { $0.records == 5 }.map(\.path)
        _ = try? table(killedAt: step).write { try $0.drop(due) }
        try expectBalanced()
        _ = try? table(killedAt: step).write {
            try $0.rewrite(removing: SubjectFilter(users: [Pseudonym(value: 2)]))
        }
        try expectBalanced()
        _ = try lake.table.write { try $0.drop(due) }
        try send(4, &random)
        _ = try lake.table.deliver(from: lake.journal())
        try expectBalanced()
    }

    @Test func `a batch that cannot be read is counted among the dead letters`() throws {
        var random = Generator()
        try send(4, &random)
        _ = try lake.journal().append([1, 2, 3], hits: 5, expecting: 0, tally: "gdpr kept 5\n")
        #expect(try balance().findings == [])
        _ = try lake.table.deliver(from: lake.journal())
        try expectBalanced()
        let found = try balance()
        #expect(found.total.dead == 5 && found.deadLetters == 1)
    }

    @Test func `hits of a dead letter that are delivered after all are no longer dead`() throws {
        var random = Generator()
        try send(4, &random)
        let journal = try lake.journal()
        // Of three hits the last is cut short.
        let sound = try #require(try journal.read(after: .none, bytesMax: 1 << 20).first).bytes
        _ = try journal.append(
            Array(sound.dropLast()), hits: 4, expecting: 0, tally: "gdpr kept 2\nworld counted 2\n")
        _ = try lake.table.deliver(from: journal)
        try expectBalanced()
        let retried = try RegionDeadLetters(region, clock: SystemWallClock())
            .retry(nil, readable: true)
        #expect(retried.rows == 3 && retried.shortened == 1)
        try expectBalanced()
        let found = try balance()
        #expect(found.total.dead == 1 && found.total.delivered == 7)
        #expect(found.total.present == 7 && found.deadLetters == 1)
    }

    @Test func `a ledger report that was told and not forgotten is told once`() throws {
        var random = Generator()
        try send(4, &random)
        let journal = try lake.journal()
        try ledger.tell(includingOpenMinute: true)
        let size = log.size
        // As after a kill between the entry and its forgetting: the report stands closed again.
        try Connection(path: region.journalPath).execute(
            """
            INSERT INTO ledger VALUES (1, 1, 'gdpr', 'kept', 2);
            UPDATE state SET value = 0 WHERE name = 'ledger-told'
            """)
        #expect(try journal.closedReports() == 1)
        #expect(try ledger.tell(includingOpenMinute: true) == 1)
        #expect(log.size == size)
        try expectBalanced()
        #expect(try balance().total.received == 6)
    }

    /// Somebody's hand in the region's files.
    enum Tampering: String, CaseIterable {
        case batchDeleted, batchAndTallyDeleted, batchShortened, batchPutThere
        case fileDeleted, rowDeleted, rowAdded, reportLost

        /// What the finding must name, and the stage and hits that it must show.
        var expected: (stage: RegionBalance.Stage, text: String, hits: Int64?) {
            switch self {
            case .batchDeleted: (.edgeToJournal, "batch 3 is gone from the journal", 8)
            case .batchAndTallyDeleted: (.edgeToJournal, "batch 3 is gone from the journal", nil)
            case .batchShortened: (.edgeToJournal, "batch 3 holds 6 hits of 8", 2)
            case .batchPutThere: (.edgeToJournal, "batch 4 has no tally", 1)
            case .fileDeleted: (.lakeToNow, ".parquet is gone", 11)
            case .rowDeleted: (.lakeToNow, ".parquet has 10 rows of 11", 1)
            case .rowAdded: (.lakeToNow, ".parquet has 12 rows of 11", -1)
            case .reportLost: (.ledger, "lacks the ledger's reports 2", nil)
            }
        }
    }

    @Test(arguments: Tampering.allCases)
    func `what was done by hand is named`(_ tampering: Tampering) throws {
        var random = Generator()
        try send(6, &random)
        try send(5, &random)
        _ = try lake.table.deliver(from: lake.journal())
        try ledger.tell(includingOpenMinute: true)
        try send(8, &random)
        try expectBalanced()
        try tamper(tampering, &random)
        let found = try balance()
        let expected = tampering.expected
        #expect(
            found.findings.contains {
                $0.stage == expected.stage && $0.text.contains(expected.text)
                    && $0.hits == expected.hits
            }, "\(found.findings)")
    }

    private func tamper(_ tampering: Tampering, _ random: inout Generator) throws {
        let journal = try Connection(path: region.journalPath)
        let file = try #require(try lake.table.snapshot().files.first).path
        switch tampering {
        case .batchDeleted: try journal.execute("DELETE FROM batches WHERE number = 3")
        case .batchAndTallyDeleted:
            try journal.execute(
                "DELETE FROM batches WHERE number = 3; DELETE FROM tallies WHERE batch = 3")
        case .batchShortened:
            let stored = try #require(try lake.journal().read(after: .none, bytesMax: .max).last)
            var content = try HitBatch(decoding: stored.bytes)
            content.records.removeLast(2)
            let change = try journal.prepare("UPDATE batches SET bytes = ? WHERE number = 3")
            try change.bind(1, content.encoded)
            try change.run()
        case .batchPutThere:
            let stored = try #require(try lake.journal().read(after: .none, bytesMax: .max).last)
            var content = try HitBatch(decoding: stored.bytes)
            content.records.removeLast(7)
            let change = try journal.prepare("INSERT INTO batches (hits, bytes) VALUES (1, ?)")
            try change.bind(1, content.encoded)
            try change.run()
        case .fileDeleted: try FileManager.default.removeItem(atPath: file)
        case .rowDeleted: try rewrite(file, "ORDER BY hit_id LIMIT 10")
        case .rowAdded:
            try rewrite(file, "UNION ALL (SELECT * FROM read_parquet('\(file)') LIMIT 1)")
        case .reportLost:
            try journal.execute("UPDATE state SET value = 2 WHERE name = 'ledger-told'")
        }
    }

    private func rewrite(_ file: String, _ rest: String) throws {
        let engine = try EngineConnection(settings: [])
        try engine.execute(
            "COPY (SELECT * FROM read_parquet('\(file)') \(rest)) TO '\(file).new' (FORMAT parquet)"
        )
        try #require(rename(file + ".new", file) == 0)
    }

    @Test func `what a run left is found at the next start, and nothing when it left nothing`()
        throws
    {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let subjects = RegionSubjects(lake, keys: keys, log: log, clock: SystemWallClock())
        func found(_ ownsJournal: Bool = true) throws -> [String: Int] {
            let recovery = try RegionRecovery(lake, subjects: subjects, ownsJournal: ownsJournal)
            return Dictionary(uniqueKeysWithValues: recovery.counts.map { ($0.name, $0.count) })
        }
        #expect(try found() == [:])
        var random = Generator()
        try send(6, &random)
        #expect(try found() == ["waiting-batches": 1, "waiting-hits": 6])
        #expect(try found(false) == [:])
        _ = try? table(killedAt: .audited).deliver(from: lake.journal())
        #expect(try found(false)["uncommitted-files"] ?? 0 >= 4)
        #expect(try found()["waiting-hits"] == 6)
        _ = try? table(killedAt: .committed).deliver(from: lake.journal())
        #expect(try found() == ["delivered-batches": 1])
        _ = try lake.table.deliver(from: lake.journal())
        #expect(try found() == [:])
        _ = try lake.journal().ledgerReport(leaving: nil)
        #expect(try found() == ["untold-reports": 1])
        try ledger.tell(includingOpenMinute: false)
        #expect(try found() == [:])
    }
}
