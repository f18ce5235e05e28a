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
import SQLite
import Synchronization
import TestSupport
import Testing

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

    @Test func `a restriction keeps raw files back however many requests came after it`() throws {
        let service = region.subjects.service()
        _ = try service.restrict(region.subject(), reason: "disputed", id: "q1")
        try Connection(path: region.region.requestsPath).execute(
            """
            WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 10000)
            INSERT INTO requests (id, kind, step, covered, rows, files, journal_hits, dead_letters,
                files_deleted, attempts, created_at, updated_at)
            SELECT 'f' || value, 'find', 'done', 0, 0, 0, 0, 0, 0, 1, 0, 0 FROM n
            """)
        #expect(try region.subjects.unusableCount() == 1)
        _ = try service.release("q1", kind: .restriction)
        #expect(try region.subjects.unusableCount() == 0)
    }

    /// The places that hold something while a request runs and nothing else does.
    @Test func `what a request keeps on its way is gone when it is done`() throws {
        let users = try region.subject().filter.users
        let scratch = region.region.stateDirectory + "/lake-scratch"
        #expect(throws: SubjectRegion.Killed.self) { try region.erase("r", killing: .rewrite) }
        let journal = try region.lake.journal()
        #expect(try journal.suppression().users == users)
        let requests = region.region.requestsPath
        let store = try RequestStore(path: requests, maskKey: region.keys.subjectDigestKey)
        #expect(try Set(store.pseudonyms(of: "r").map(\.pseudonym)) == users)
        func masks() throws -> Int64 {
            try Connection(path: requests, mode: .readOnly)
                .integer("SELECT count(*) FROM pending_pseudonyms") ?? -1
        }
        #expect(try masks() == Int64(users.count))
        // A killed engine leaves its overflow.
        try Directory.create(scratch)
        try File.write(scratch + "/overflow.tmp", users.flatMap { Array($0.text.utf8) })

        #expect(try region.subjects.sweep().unfinished.isEmpty)
        #expect(try journal.suppression().users.isEmpty)
        #expect(try masks() == 0)
        #expect(try !File.exists(scratch))
        try region.expectGone()
    }

    @Test func `hits that arrive and are delivered during an erasure leave nothing behind`() throws
    {
        let isOver = Atomic(false)
        let failures = Mutex<[String]>([])
        func background(_ body: @escaping @Sendable () throws -> Void) -> DispatchGroup {
            let group = DispatchGroup()
            DispatchQueue.global().async(group: group) {
                while !isOver.load(ordering: .acquiring) {
                    do {
                        try body()
                    } catch let error as JournalError where error.code == .locked {
                        // Whoever waited too long for the erasure kept nothing, and tries again.
                    } catch {
                        failures.withLock { $0.append("\(error)") }
                    }
                }
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

    @Test func `the ledger of the erased is read again when it has changed, and only then`() throws
    {
        let people = ErasedPeople(region.region)
        let (hit, other) = (try region.record("customer-4711", 1), try region.record("other-1", 1))
        #expect(try !people.filter()(hit))
        _ = try region.erase()
        #expect(try people.filter()(hit) && !people.filter()(other))
        // To read it needs the keys.
        let (keys, aside) = (region.region.keysDirectory, region.directory.file("aside"))
        try FileManager.default.moveItem(atPath: keys, toPath: aside)
        #expect(try people.filter()(hit))
        #expect(throws: KeysError.self) { try ErasedPeople(region.region).filter() }
        try FileManager.default.moveItem(atPath: aside, toPath: keys)

        _ = try region.subjects.service().erase(request: "r2") {
            try NamedSubjectTransform(region.keys).apply(.user(Array("other-1".utf8))).get()
        }
        #expect(try people.filter()(hit) && people.filter()(other))
        try FileManager.default.removeItem(atPath: region.region.erasedLedgerPath)
        #expect(try !people.filter()(hit))
    }

    @Test func `verify sees into a Parquet file that no table refers to`() throws {
        _ = try region.erase()
        let path = region.region.hitsTableDirectory + "/data/stray.parquet"
        let text = try #require(try region.subject().filter.users.first).text
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
