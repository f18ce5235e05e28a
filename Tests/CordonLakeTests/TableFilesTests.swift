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

@Suite struct `Table files` {
    let fixture: LakeFixture
    init() throws { fixture = try LakeFixture() }

    @Test func `a copied lake is refused and the one it was copied from stays as it was`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 20, &generator))
        _ = try fixture.table().deliver(from: fixture.journal)
        let before = try fixture.filesOnDisk()
        let copy = fixture.directory.file("copied-lake")
        try FileManager.default.copyItem(
            atPath: fixture.settings.directory, toPath: copy)
        var settings = fixture.settings
        settings.directory = copy
        let table = HitsTable(
            settings, catalog: fixture.catalog, clock: SteppingClock(), audit: { _ in })
        try fixture.append(HitRecord.random(count: 20, &generator))
        for use in [{ _ = try table.snapshot() }, { _ = try table.deliver(from: fixture.journal) }]
        {
            let error = #expect(throws: LakeError.self) { try use() }
            #expect(error?.code == .movedTable)
            #expect(error?.detail.contains(fixture.settings.directory) == true)
        }
        #expect(try fixture.filesOnDisk() == before)
    }

    @Test func `a lake is the same under another name of its folder`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 20, &generator))
        _ = try fixture.table().deliver(from: fixture.journal)
        let name = fixture.directory.file("another-name")
        try FileManager.default.createSymbolicLink(
            atPath: name, withDestinationPath: fixture.settings.directory)
        var settings = fixture.settings
        settings.directory = name
        let table = HitsTable(
            settings, catalog: fixture.catalog, clock: SteppingClock(), audit: { _ in })
        #expect(try table.snapshot().records == 20)
    }

    @Test func `manifests hold counts for every column and bounds for no personal one`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 100, &generator))
        _ = try fixture.table().deliver(from: fixture.journal)
        let metadata = try #require(try fixture.table().metadata())
        let files = TableFiles(directory: fixture.settings.directory)
        let current = try #require(metadata.currentSnapshot)
        let allowed = Set(["ts", "site", "event", "country", "retain_until"])
        let leaves = Set(HitsSchema.leafIDs.values)
        for file in try files.dataFiles(of: current) {
            let named = { (id: Int) in
                metadata.currentSchema?.fields.first { $0.id == id }?.name ?? "?"
            }
            #expect(Set(file.lowerBounds.keys.map(named)) == allowed)
            #expect(Set(file.upperBounds.keys.map(named)) == allowed)
            #expect(Set(file.valueCounts.keys) == leaves)
            #expect(Set(file.columnBytes.keys) == leaves)
            #expect(Set(file.nullCounts.keys).isSuperset(of: 1...24))
            #expect(file.splitOffsets == [4])
            #expect(file.lowerBounds[3]?.count ?? 99 <= 16)
        }
    }

    @Test func `a file without field ids is never committed`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 10, &generator))
        _ = try fixture.table().deliver(from: fixture.journal)
        let file = try #require(try fixture.table().snapshot().files.first)
        let bare = fixture.directory.file("bare.parquet")
        let connection = try EngineConnection()
        try connection.execute("COPY (FROM '\(file.path)') TO '\(bare)' (FORMAT parquet)")
        try fixture.table().write { writer in
            let engine = try writer.engine()
            _ = try engine.inspect(
                file.path, day: file.day, retainUntil: file.retainUntil, rows: file.records)
            #expect {
                try engine.inspect(
                    bare, day: file.day, retainUntil: file.retainUntil, rows: file.records)
            } throws: {
                ($0 as? LakeError)?.code == .unfitDataFile
            }
            #expect(throws: LakeError.self) {
                try engine.inspect(
                    file.path, day: file.day + 1, retainUntil: file.retainUntil, rows: file.records)
            }
            #expect(throws: LakeError.self) {
                try engine.inspect(
                    file.path, day: file.day, retainUntil: file.retainUntil, rows: file.records + 1)
            }
        }
    }

    @Test func `an equality filter finds what a full scan finds, on every column`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 2000, &generator), perBatch: 500)
        _ = try fixture.table().deliver(from: fixture.journal)
        let files = try fixture.table().snapshot().files
        let list = files.map { "'\($0.path)'" }.joined(separator: ", ")
        let connection = try EngineConnection(settings: [("threads", "1")])
        try connection.execute("CREATE TABLE copied AS FROM read_parquet([\(list)])")
        for column in HitsSchema.columns {
            let name = "\"\(column.name)\""
            let rows = try connection.query(
                """
                SELECT v, (SELECT count(*) FROM copied WHERE \(name) = v)
                FROM (SELECT DISTINCT \(name) AS v FROM copied WHERE \(name) IS NOT NULL) LIMIT 5
                """
            ).rows()
            #expect(!rows.isEmpty, "\(column.name)")
            for row in rows {
                let value = row[0] ?? ""
                let literal: String =
                    switch column.engineType {
                    case "VARCHAR[]", "MAP(VARCHAR, VARCHAR)":
                        "(SELECT any_value(\(name)) FROM copied WHERE to_json(\(name))::VARCHAR = \(EngineText.literal(value)))"
                    default: "CAST(\(EngineText.literal(value)) AS \(column.engineType))"
                    }
                let found = try connection.query(
                    "SELECT count(*) FROM read_parquet([\(list)]) WHERE \(name) = \(literal)"
                ).rows()
                #expect(found == [[row[1]]], "\(column.name), seed \(generator.seed)")
            }
        }
    }

    @Test func `many deliveries leave few manifests and a bounded history`() throws {
        var generator = Generator()
        fixture.settings.manifestsMax = 4
        fixture.settings.snapshotsMin = 3
        fixture.settings.metadataLogMax = 2
        var records: [HitRecord] = []
        for _ in 0..<14 {
            let more = HitRecord.random(count: 3, &generator)
            records += more
            try fixture.deliver(more)
        }
        let metadata = try #require(try fixture.table().metadata())
        let files = TableFiles(directory: fixture.settings.directory)
        let current = try #require(metadata.currentSnapshot)
        #expect(try files.manifests(of: current).count <= 6)
        #expect(metadata.snapshots.count == 3)
        #expect(metadata.metadataLog.count == 2)
        #expect(try fixture.hitIDs() == records.map(\.idText).sorted())
        try fixture.expectNoStrayFile()
    }

    @Test
    func `a delivery reads the list of the oldest snapshot that stays, and of none behind it`()
        throws
    {
        var generator = Generator()
        fixture.settings.snapshotsMin = 4
        func deliver() throws {
            try fixture.append(HitRecord.random(count: 3, &generator))
            _ = try fixture.table().deliver(from: fixture.journal)
        }
        for _ in 0..<5 { try deliver() }
        let snapshots = try #require(try fixture.table().metadata()).snapshots
        // The first of them goes, and the one behind it is then the oldest.
        try File.remove(try TableFiles.path(of: snapshots[2].manifestList))
        try deliver()
        let later = try #require(try fixture.table().metadata()).snapshots
        #expect(later.map(\.snapshotID).starts(with: snapshots[1...].map(\.snapshotID)))
        let lists = try fixture.filesOnDisk().filter { $0.contains("/snap-") }
        #expect(lists.count == later.count - 1)
    }

    @Test func `a folder with pattern characters in its name works`() throws {
        var generator = Generator()
        fixture.settings.directory = fixture.directory.file("odd [a*b?] 'folder'/pixels/hits")
        let records = HitRecord.random(count: 10, &generator)
        try fixture.append(records)
        let table = fixture.table()
        #expect(try table.deliver(from: fixture.journal).rows == 10)
        try table.write { writer in
            var filter = SubjectFilter()
            filter.visitors = Set(records.compactMap(\.visitor))
            let report = try writer.rewrite(removing: filter)
            #expect(Int(report.rowsRemoved) == records.filter { $0.visitor != nil }.count)
        }
    }
}
