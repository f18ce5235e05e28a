import Bytes
import CordonCatalog
import CordonJournal
import CordonModel
import Engine
import Foundation
import Iceberg
import LinuxIO
import Synchronization
import TestSupport
import Testing

@testable import CordonLake

@Suite struct `The rule of compaction` {
    private let today = Day(year: 2026, month: 11, day: 20)

    private func rule(_ filesMin: Int = 4) -> CompactionRule {
        CompactionRule(filesMin: filesMin, smallBytes: 100, targetBytes: 250, today: today)
    }

    private func files(_ bytes: [Int64], _ day: Day, due: Int = 30) -> [DataFileRef] {
        bytes.enumerated().map { index, size in
            DataFileRef(
                path: "/lake/\(day.text)-\(due)-\(index)", records: size, bytes: size, day: day,
                retainUntil: day + due)
        }
    }

    private func sizes(_ groups: [CompactionGroup]) -> [[Int64]] {
        groups.map { $0.files.map(\.bytes).sorted() }
    }

    @Test func `a day that still grows waits for so many small files`() {
        #expect(rule().groups(files([5, 5, 5], today)).isEmpty)
        #expect(sizes(rule().groups(files([5, 5, 5, 5], today))) == [[5, 5, 5, 5]])
    }

    @Test func `of a day that is over two small files are enough`() {
        #expect(rule().groups(files([5, 5], today + -1)).isEmpty)
        #expect(sizes(rule().groups(files([5, 5], today + -2))) == [[5, 5]])
        #expect(rule().groups(files([5], today + -2)).isEmpty)
    }

    @Test func `a file that is not small is left`() {
        #expect(rule().groups(files([100, 100, 100, 100], today)).isEmpty)
        #expect(sizes(rule().groups(files([99, 100, 99], today + -9))) == [[99, 99]])
    }

    @Test func `partitions are never mixed`() {
        let days = files([5, 5], today + -5) + files([6, 6], today + -4)
        let ends = files([7, 7], today + -5, due: 31)
        #expect(sizes(rule().groups(days + ends)) == [[5, 5], [7, 7], [6, 6]])
    }

    @Test func `what is made stays below the target`() {
        let groups = rule().groups(files([90, 90, 90, 90, 90], today + -9))
        #expect(sizes(groups) == [[90, 90], [90, 90]])
    }

    @Test func `while a day grows a file waits until others are a fourth of it`() {
        #expect(sizes(rule().groups(files([90, 5, 5, 5, 5], today))) == [[5, 5, 5, 5]])
        #expect(sizes(rule().groups(files([80, 5, 5, 5, 5], today))) == [[5, 5, 5, 5, 80]])
    }

    @Test func `asking again after each compaction ends`() {
        var generator = Generator()
        for _ in 0..<50 {
            var files = (0..<Int.random(in: 0...40, using: &generator)).map { index in
                let size = Int64.random(in: 1...120, using: &generator)
                let day = today + -Int.random(in: 0...3, using: &generator)
                return DataFileRef(
                    path: "/lake/\(index)", records: size, bytes: size, day: day,
                    retainUntil: day + 30)
            }
            let rows = files.reduce(0) { $0 + $1.records }
            var rounds = 0
            while let group = rule().groups(files).first {
                files.removeAll { group.files.contains($0) }
                files.append(
                    DataFileRef(
                        path: "/lake/made-\(rounds)", records: group.rows, bytes: group.bytes,
                        day: group.day, retainUntil: group.retainUntil))
                rounds += 1
                #expect(group.bytes <= 250)
            }
            #expect(rounds <= 40, "seed \(generator.seed)")
            #expect(files.reduce(0) { $0 + $1.records } == rows)
            for day in 2...3 {
                let small = files.filter { $0.day == today + -day && $0.bytes < 100 }
                #expect(small.reduce(0) { $0 + $1.bytes } < 350, "seed \(generator.seed)")
            }
        }
    }
}

@Suite struct `Compaction` {
    private let fixture: LakeFixture
    private let clock = SetClock(Day(number: 20_710))

    init() throws {
        fixture = try LakeFixture()
        fixture.settings.snapshotsMin = 1
        fixture.settings.snapshotSecondsMin = 600
        fixture.settings.metadataLogMax = 2
    }

    private func rows() throws -> [String] {
        try fixture.query("SELECT CAST(to_json(hits) AS VARCHAR) FROM hits ORDER BY 1")
    }

    private func compact(
        _ table: HitsTable? = nil, suppressed: SubjectFilter = SubjectFilter()
    ) throws -> CompactionReport {
        try (table ?? fixture.table(clock: clock)).compact(suppressed: { suppressed })
    }

    @Test func `many files become one a partition, with the same rows, types, ids and order`()
        throws
    {
        var generator = Generator()
        let records = try fixture.fill(&generator, deliveries: 5, hits: 30, clock: clock)
        let before = try rows()
        let old = try fixture.table().snapshot()
        let partitions = Set(old.files.map { [$0.day, $0.retainUntil] })
        #expect(old.files.count > 2 * partitions.count)
        let report = try compact()
        #expect(report.commits == partitions.count && report.filesAfter == partitions.count)
        #expect(report.filesBefore == old.files.count)
        #expect(report.rows == Int64(records.count))
        #expect(try rows() == before, "seed \(generator.seed)")
        let new = try fixture.table().snapshot()
        #expect(new.files.count == partitions.count)
        let connection = try EngineConnection()
        for file in new.files {
            // The schema's ids, and the table's order.
            let ids = try connection.query(
                "SELECT name, field_id FROM parquet_schema('\(file.path)') WHERE field_id IS NOT NULL ORDER BY field_id"
            ).rows()
            #expect(ids.count == 31 && ids.first == ["hit_id", "1"])
            let places = try connection.query(
                """
                SELECT count(*) FILTER (WHERE place != file_row_number) FROM (
                    SELECT file_row_number,
                        row_number() OVER (ORDER BY visitor, "user", ts) - 1 AS place
                    FROM read_parquet('\(file.path)', file_row_number = true))
                """
            ).rows()
            #expect(places == [["0"]], "seed \(generator.seed)")
        }
        let summary = try fixture.table().metadata()?.currentSnapshot?.summary
        #expect(summary?["operation"] == "replace")
        #expect(summary?["total-records"] == "\(records.count)")
        #expect(summary?["total-data-files"] == "\(partitions.count)")
        #expect(summary?["added-records"] == summary?["deleted-records"])
        #expect(try compact().commits == 0)
        let kinds = fixture.events.all.withLock { $0.map(\.kind) }
        #expect(kinds.filter { $0 == .compaction }.count == partitions.count)
    }

    @Test func `a query that runs finds its files to the end, and afterwards they go`() throws {
        var generator = Generator()
        _ = try fixture.fill(&generator, deliveries: 5, hits: 30, clock: clock)
        let seen = try fixture.table().snapshot().files.map(\.path)
        _ = try compact()
        func present() -> Int { seen.count { FileManager.default.fileExists(atPath: $0) } }
        let table = fixture.table(clock: clock)
        #expect(present() == seen.count)
        clock.advance(seconds: 590)
        #expect(try table.write { try $0.expireSnapshots() }.snapshots > 0)
        #expect(present() == seen.count)
        // A delivery bounds the history by the same rule.
        try fixture.append(HitRecord.random(count: 3, &generator))
        _ = try table.deliver(from: fixture.journal)
        #expect(present() == seen.count)
        clock.advance(seconds: 601)
        let expired = try table.write { try $0.expireSnapshots() }
        #expect(expired.files >= seen.count && present() == 0)
        #expect(try table.metadata()?.snapshots.count == 1)
        #expect(try table.write { try $0.expireSnapshots() } == (0, 0))
        try fixture.expectNoStrayFile()
    }

    @Test(arguments: LakeStep.ofRewriting)
    func `killed at any step it loses no row, doubles none, and is ended by asking again`(
        _ step: LakeStep
    ) throws {
        var generator = Generator()
        fixture.settings.snapshotSecondsMin = 0
        fixture.settings.metadataLogMax = 0
        let records = try fixture.fill(&generator, deliveries: 2, hits: 30, clock: clock)
        let ids = records.map(\.idText).sorted()
        for occurrence in 1...2 {
            let wasKilled = try fixture.killing(at: step, occurrence: occurrence, clock: clock) {
                _ = try compact($0)
            }
            #expect(wasKilled || occurrence > 1)
            #expect(try fixture.hitIDs() == ids, "seed \(generator.seed)")
        }
        _ = try compact()
        #expect(try fixture.hitIDs() == ids, "seed \(generator.seed)")
        let files = try fixture.table().snapshot().files
        #expect(files.count == Set(files.map { [$0.day, $0.retainUntil] }).count)
        try fixture.expectNoStrayFile()
    }

    @Test func `it brings no erased row back, and leaves files of an erasure that is under way`()
        throws
    {
        var generator = Generator()
        let records = try fixture.fill(&generator, deliveries: 5, hits: 30, clock: clock)
        let user = Pseudonym.person(1, 2)
        let filter = SubjectFilter(users: [user])
        let others = records.filter { $0.user != user }.map(\.idText).sorted()
        let held = try fixture.table().write { try Set($0.count(filter).keys) }
        let left = try compact(suppressed: filter)
        #expect(left.groupsLeft > 0)
        // Files with rows of the person are as they were.
        #expect(try held.isSubset(of: fixture.table().snapshot().files.map(\.path)))
        let table = fixture.table(clock: clock)
        try table.write { writer in
            _ = try writer.rewrite(removing: filter)
            try writer.expireAllButCurrent()
        }
        #expect(try compact(suppressed: filter).groupsLeft == 0)
        #expect(try fixture.hitIDs() == others, "seed \(generator.seed)")
        for path in try fixture.filesOnDisk() where path.hasSuffix(".parquet") {
            let count = try EngineConnection().query(
                "SELECT count(*) FROM read_parquet('\(path)') WHERE \"user\" = '\(user.text)'"
            ).rows()
            #expect(count == [["0"]])
        }
    }
}

@Suite struct `Maintenance of a table` {
    private let fixture: LakeFixture
    private let clock: SetClock
    private let table: HitsTable

    init() throws {
        fixture = try LakeFixture()
        fixture.settings.manifestsToMerge = 3
        clock = SetClock(Day(Timestamp(microseconds: SystemClock.realtimeMicroseconds())) + 2)
        table = fixture.table(clock: clock)
    }

    @Test func `small manifests are merged in the order of days, and name the same files`() throws {
        var generator = Generator()
        try fixture.fill(&generator, deliveries: 2, hits: 10, clock: clock)
        #expect(try table.write { try $0.mergeManifests() } == 0)
        try fixture.fill(&generator, deliveries: 2, hits: 10, clock: clock)
        let before = try table.snapshot().files
        #expect(try table.maintenancePlan().manifests == 4)
        #expect(try table.write { try $0.mergeManifests() } == 4)
        #expect(try table.snapshot().files == before)
        let files = TableFiles(directory: fixture.settings.directory)
        let current = try #require(try table.metadata()?.currentSnapshot)
        #expect(current.summary["operation"] == "replace")
        #expect(current.summary["total-data-files"] == "\(before.count)")
        let manifests = try files.manifests(of: current)
        #expect(manifests.count == 1)
        let days = try files.manifest(manifests[0]).entries.map { $0.file.partition[0] ?? 0 }
        #expect(days == days.sorted() && days.count == before.count)
        #expect(try table.write { try $0.mergeManifests() } == 0)
    }

    /// A file below the table's folder that nobody knows.
    private func plant(_ name: String) throws -> String {
        let path = fixture.settings.directory + "/" + name
        try Directory.create(File.parent(of: path))
        try File.write(path, [1, 2, 3], mode: 0o600, sync: false)
        return path
    }

    @Test func `a file that nobody knows goes when it is old enough, and no other does`() throws {
        var generator = Generator()
        try fixture.fill(&generator, deliveries: 2, hits: 10, clock: clock)
        let own = try fixture.filesOnDisk()
        let stray = try plant("data/year=2020/month=01/day=01/lost.parquet")
        let noted = try plant("metadata/noted.avro")
        let outside = fixture.directory.file("outside")
        try File.write(outside, [1], mode: 0o600, sync: false)
        let link = fixture.settings.directory + "/data/link.parquet"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: outside)
        try FileManager.default.createSymbolicLink(
            atPath: fixture.settings.directory + "/data/folder",
            withDestinationPath: fixture.directory.path)

        fixture.settings.orphanSecondsMin = 10 * 86_400
        #expect(try fixture.table(clock: clock).write { try $0.removeOrphans() } == [])
        #expect(FileManager.default.fileExists(atPath: stray))

        fixture.settings.orphanSecondsMin = 3600
        let table = fixture.table(clock: clock)
        #expect(try table.maintenancePlan().orphans == 2)
        try table.write { writer in
            // A writer's own, noted before it is written.
            try writer.catalog.noteWriting(
                [TableFiles.uri(of: noted)], table: HitsSchema.tableName)
            #expect(try writer.removeOrphans().map(\.path) == [stray])
            #expect(FileManager.default.fileExists(atPath: noted))
            try writer.catalog.forgetFiles([TableFiles.uri(of: noted)], table: writer.name)
        }
        #expect(!FileManager.default.fileExists(atPath: File.parent(of: stray)))
        #expect(try table.write { try $0.removeOrphans().count } == 1)
        #expect(try Set(fixture.filesOnDisk()).isSuperset(of: own))
        #expect(FileManager.default.fileExists(atPath: outside))
        #expect(fixture.events.all.withLock { $0.count { $0.kind == .orphans } } == 2)
        #expect(try table.maintenancePlan().orphans == 0)
    }

    @Test func `a file that nobody knows stays while anything is held`() throws {
        var generator = Generator()
        try fixture.fill(&generator, deliveries: 1, hits: 10, clock: clock)
        let catalog = try Catalog(path: fixture.directory.file("older.sqlite"))
        let older = try #require(try fixture.catalog.tableHead(HitsSchema.tableName))
        try fixture.fill(&generator, deliveries: 1, hits: 10, clock: clock)
        // The catalog as a backup brings it back: it does not know the files of the second delivery.
        try catalog.commit(
            table: HitsSchema.tableName, expecting: nil, new: older.metadataLocation,
            deliveredThrough: older.deliveredThrough, committed: [], unreferenced: [],
            deadLetters: [], at: clock.now())
        fixture.settings.orphanSecondsMin = 3600
        func restored(_ gate: RemovalGate) -> HitsTable {
            HitsTable(
                fixture.settings, catalog: catalog, clock: clock, audit: { _ in }, gate: { gate })
        }
        let files = try fixture.filesOnDisk()
        let held = restored(
            RemovalGate(holds: [.init(id: "h1", people: SubjectFilter(users: [.person(1, 2)]))]))
        #expect(try held.maintenancePlan().orphans == 0)
        #expect(try held.write { try $0.removeOrphans() } == [])
        #expect(try fixture.filesOnDisk() == files)
        #expect(try restored(RemovalGate()).write { try $0.removeOrphans() } != [])
    }

    @Test func `who looks is alone with the scratch folder`() throws {
        func isFree() throws -> Bool {
            let lock = try FileLock(trying: fixture.settings.lockPath, .shared)
            return lock != nil
        }
        #expect(try !table.look { _ in try isFree() })
        #expect(try isFree())
    }

    @Test(arguments: [LakeStep.audited, .orphansNoted, .fileDeleted, .deletedFilesForgotten])
    func `killed while it deletes, it is ended by the next writer`(_ step: LakeStep) throws {
        var generator = Generator()
        try fixture.fill(&generator, deliveries: 1, hits: 10, clock: clock)
        let ids = try fixture.hitIDs()
        let stray = [try plant("data/a.parquet"), try plant("metadata/b.avro")]
        fixture.settings.orphanSecondsMin = 3600
        let wasKilled = try fixture.killing(at: step, clock: clock) { table in
            _ = try table.write { try $0.removeOrphans() }
        }
        #expect(wasKilled)
        _ = try fixture.table(clock: clock).write { try $0.removeOrphans() }
        for path in stray { #expect(!FileManager.default.fileExists(atPath: path)) }
        #expect(try fixture.hitIDs() == ids)
        try fixture.expectNoStrayFile()
    }

    @Test func `under another name of the folder nothing looks like nobody's`() throws {
        var generator = Generator()
        try fixture.fill(&generator, deliveries: 1, hits: 10, clock: clock)
        let own = try fixture.filesOnDisk()
        let other = fixture.directory.file("other")
        try FileManager.default.createSymbolicLink(
            atPath: other, withDestinationPath: fixture.directory.file("lake"))
        fixture.settings.directory = other + "/pixels/hits"
        fixture.settings.orphanSecondsMin = 0
        let error = #expect(throws: LakeError.self) {
            try fixture.table(clock: clock).write { try $0.removeOrphans() }
        }
        #expect(error?.code == .movedTable)
        for path in own { #expect(FileManager.default.fileExists(atPath: path)) }
    }

    @Test func `without a table nothing is anybody's to delete`() throws {
        let path = try plant("data/x")
        fixture.settings.orphanSecondsMin = 0
        #expect(try fixture.table(clock: clock).write { try $0.removeOrphans() } == [])
        #expect(FileManager.default.fileExists(atPath: path))
    }
}
