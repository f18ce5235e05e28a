import CordonAudit
import CordonKeys
import CordonLake
import CordonModel
import CordonServer
import CordonSubjects
import Dispatch
import Foundation
import Iceberg
import Synchronization
import TestSupport
import Testing

@Suite struct `Maintenance of a region` {
    private let region: SubjectRegion
    private let maintenance: RegionMaintenance

    init() throws {
        var settings = LakeMaintenance()
        settings.compactFiles = 2
        settings.snapshotsMin = 1
        region = try SubjectRegion(maintenance: settings)
        maintenance = RegionMaintenance(
            region.lake, subjects: region.subjects, log: region.log, clock: SubjectRegion.Clock()
        ) { Self.ages }
    }

    /// Nothing of them is due in this suite but where a test says so.
    private static let ages = FieldAges(
        rules: [.init(policy: "gdpr", field: "visitor", columns: ["visitor"], days: 30)],
        policies: ["gdpr"])

    private func deliver(times: Int) throws {
        for _ in 0..<times {
            try region.append(batches: 1)
            try region.deliver()
        }
    }

    @Test func `a run makes few files of many, keeps every row, and ends in an audit entry`() throws
    {
        try deliver(times: 3)
        let rows = try region.otherRows()
        let files = try region.lake.table.snapshot().files
        let partitions = Set(files.map { [$0.day, $0.retainUntil] }).count
        let plan = try maintenance.plan()
        #expect(plan.compactions.reduce(0) { $0 + $1.files.count } == files.count)
        let outcome = try maintenance.run()
        #expect(outcome.compaction.filesBefore == files.count)
        #expect(outcome.compaction.filesAfter == partitions && !outcome.waitsForErasure)
        #expect(try region.otherRows() == rows)
        #expect(try region.auditKinds().suffix(1) == [RegionMaintenance.kind])
        let size = region.log.size
        #expect(try !maintenance.run().hasChangedFiles)
        #expect(region.log.size == size)
        // No row came or went, by the log's account too.
        let balance = try RegionBalance(region.region, clock: SubjectRegion.Clock())
        #expect(balance.findings.filter { $0.stage == .lakeToNow } == [])
        #expect(balance.total.removed == 0 && balance.total.present == Int64(rows.count + 3))
    }

    @Test func `a run leaves watermarks, which are late when no other follows`() throws {
        func marks(_ day: Day) throws -> RegionWatermarks {
            try RegionWatermarks(
                region.region, ages: Self.ages, clock: FixedClock(day: day))
        }
        let today = SubjectRegion.day + 1
        #expect(try marks(today).late.isEmpty)
        try deliver(times: 1)
        #expect(try marks(today + 5).late.count == 2)
        let outcome = try maintenance.run()
        #expect(outcome.watermark == today)
        #expect(try region.auditKinds().contains(RegionWatermarks.kind))
        let seen = try marks(today + 1)
        #expect(seen.late.isEmpty)
        #expect(seen.marks.map(\.nothingBefore) == [today, today + -29])
        #expect(try marks(today + 2).late.count == 2)
        #expect(try maintenance.run().watermark == nil)
    }

    @Test func `values past their age are gone after a run, by queries of anybody's engine`() throws
    {
        try deliver(times: 1)
        let later = SubjectRegion.day + 31
        let maintenance = RegionMaintenance(
            region.lake, subjects: region.subjects, log: region.log, clock: FixedClock(day: later)
        ) { Self.ages }
        let due = try maintenance.due()
        #expect(due.values.reduce(0) { $0 + ($1.values["visitor"] ?? 0) } > 0)
        let outcome = try maintenance.endDue(asOf: later, beforeDue: true)
        #expect(outcome.ageing.filesLeft == 0)
        #expect(try maintenance.due(asOf: later).values.isEmpty)
        #expect(try region.lake.table.metadata()?.snapshots.count == 1)
    }

    @Test func `while an erasure cannot be ended, compaction waits for it`() throws {
        try deliver(times: 2)
        let files = try region.lake.table.snapshot().files
        #expect(throws: SubjectRegion.Killed.self) { try region.erase("r", killing: .intent) }
        // A key that the request does not cover: it needs the person's id again.
        _ = try region.keys.pseudonymKey(.user, .week, SubjectRegion.day, creating: true)
        let outcome = try maintenance.run()
        #expect(outcome.waitsForErasure && outcome.unfinished.count == 1)
        #expect(try region.lake.table.snapshot().files == files)
        #expect(try region.erase("r").state == "erased")
        #expect(try maintenance.run().compaction.commits > 0)
        let found = try region.subjects.service().verify(region.subject(), request: "v")
        #expect(found.traces == [] && found.unread == [])
    }

    @Test func `an erasure that a hold stopped keeps compaction waiting once it has new files`()
        throws
    {
        try deliver(times: 2)
        func hold(_ id: String) throws {
            _ = try region.subjects.service().hold(
                region.subject(), column: nil, days: nil, reason: "case 12", id: id)
        }
        try hold("h1")
        #expect(throws: SubjectError.self) { try region.erase("r1") }
        var outcome = try maintenance.run()
        #expect(outcome.unfinished.map(\.request.id) == ["r1"])
        #expect(!outcome.waitsForErasure && outcome.compaction.commits > 0)

        // It goes on, and is cut when the table has its files and the request does not know; then comes another hold.
        try deliver(times: 2)
        _ = try region.subjects.service().release("h1", kind: .hold)
        #expect(throws: SubjectRegion.Killed.self) { try region.erase("r1", killing: .rewrite) }
        try hold("h2")
        let files = try region.lake.table.snapshot().files
        outcome = try maintenance.run()
        #expect(try region.subjects.service().request("r1")?.heldBy == "h2")
        #expect(outcome.waitsForErasure && outcome.compaction.commits == 0)
        #expect(try region.lake.table.snapshot().files == files)

        _ = try region.subjects.service().release("h2", kind: .hold)
        outcome = try maintenance.run()
        #expect(outcome.unfinished.isEmpty && outcome.compaction.commits > 0)
        try region.expectGone()
    }

    @Test
    func `deliveries, maintenance and an erasure side by side lose nothing and leave nothing`()
        throws
    {
        try deliver(times: 2)
        let isOver = Atomic(false)
        let appended = Atomic(0)
        let failures = Mutex<[String]>([])
        let region = region
        let maintenance = maintenance
        func background(_ body: @escaping @Sendable () throws -> Void) -> DispatchGroup {
            let group = DispatchGroup()
            DispatchQueue.global().async(group: group) {
                do {
                    repeat { try body() } while !isOver.load(ordering: .acquiring)
                } catch { failures.withLock { $0.append("\(error)") } }
            }
            return group
        }
        let groups = [
            background {
                try region.append(batches: 1, person: false)
                appended.add(1, ordering: .relaxed)
                try region.deliver()
            },
            background { _ = try maintenance.run() },
        ]
        #expect(try region.erase().state == "erased")
        isOver.store(true, ordering: .releasing)
        for group in groups { group.wait() }
        #expect(failures.withLock { $0 } == [])
        try region.expectGone()
        _ = try maintenance.run()
        try region.expectGone()
        #expect(try region.otherRows().count == 50 * (2 + appended.load(ordering: .relaxed)))
    }
}
