import CordonCatalog
import CordonJournal
import CordonKeys
import CordonModel
import Engine
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import CordonLake
@testable import Iceberg

/// A table that an earlier version made, whose files lack two of today's columns, and what is written beside them now.
@Suite(.enabled(if: OtherReaders.areInstalled, "run scripts/setup --tests"))
struct `A table that gets a column` {
    private static let region = "eu-central"
    private static let gone: Set = ["language", "params"]
    private let directory: TemporaryDirectory
    private let table: HitsTable
    private let catalog: Catalog
    private let journal: Journal
    private let cordon: CordonProgram

    private struct Clock: WallClock {
        func now() -> Timestamp {
            Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
        }
    }

    init() throws {
        directory = try TemporaryDirectory()
        let project = directory.file("project")
        let state = project + "/var/\(Self.region)"
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        try ShippedProject.copy(to: project)
        _ = try RegionKeys.create(directory: state + "/keys", region: Self.region)
        cordon = CordonProgram(project: project)
        journal = try Journal(path: state + "/journal.sqlite")
        catalog = try Catalog(path: state + "/catalog.sqlite")
        var settings = HitsTable.Settings(
            directory: state + "/lake/pixels/hits", lockPath: state + "/lake.lock",
            scratchDirectory: state + "/lake-scratch")
        settings.compactFiles = 2
        table = HitsTable(settings, catalog: catalog, clock: Clock(), audit: { _ in })
        try deliver(0..<20)
        try OlderTable.make(of: table, catalog: catalog, without: Self.gone)
    }

    private func deliver(_ numbers: Range<Int>, campaign: String? = nil) throws {
        let records = numbers.map { number in
            var record = HitRecord()
            record.hitID = UInt128(number + 1)
            record.timestamp = Clock().now()
            record.site = "shop.example"
            record.event = "view"
            record.policy = "gdpr"
            record.visitor = Pseudonym(value: UInt128(number + 1))
            record.language = "de"
            record.parameters = [.init(key: "sku", value: "\(number)")]
            if let campaign {
                record.parameters.insert(.init(key: "campaign", value: campaign), at: 0)
            }
            record.retainUntil = Day(record.timestamp) + 395
            return record
        }
        let batch = HitBatch(ruleSet: "rules", geoBuild: "geo", records: records)
        _ = try journal.append(batch.encoded, hits: records.count, expecting: 0)
        _ = try table.deliver(from: journal)
    }

    /// The hits that `cordon query` counts, and those of them that have the two columns.
    private func asked() throws -> String {
        try asked("SELECT count(*), count(language), count(params['sku']) FROM hits")
    }

    private func asked(_ sql: String) throws -> String {
        let result = try cordon.run(
            "query", "--region", Self.region, "--role", "privacy-officer", "--purpose",
            "data-subject-request", "--from", "DE", "--format", "csv", sql)
        try #require(result.exitCode == 0, "\(result.errorOutput)")
        // Lines of CSV end in CR and LF, which are one character.
        return result.output.split(whereSeparator: \.isNewline).last.map(String.init) ?? ""
    }

    /// The same in the eyes of PyIceberg and DuckDB's own extension.
    private func others() throws -> [[Int]] {
        let snapshot = try table.snapshot()
        let found = try OtherReaders.read(
            try #require(snapshot.metadataLocation),
            files: snapshot.files.filter(\.lacking.isEmpty).map(\.path),
            filters: [["name": "all", "sql": "true", "pyiceberg": ""]])
        return ["pyiceberg all", "iceberg_scan all"].map { reader in
            let rows = found[reader] ?? []
            return [
                rows.count, rows.count { $0.contains("\"language\": \"de\"") },
                rows.count { $0.contains("\"sku\"") },
            ]
        }
    }

    @Test func `old files stay as they are and read as null everywhere, also after compaction`()
        throws
    {
        let old = try table.snapshot().files
        #expect(old.map(\.lacking) == [Self.gone])
        #expect(try asked() == "20,0,0")
        let bytes = try File.read(old[0].path)
        try deliver(20..<50)
        let metadata = try #require(try table.metadata())
        #expect(metadata.schemas.map(\.schemaID) == [0, 1] && metadata.currentSchemaID == 1)
        #expect(metadata.schemas[0].fields.count == metadata.schemas[1].fields.count - 2)
        #expect(metadata.schemas[1].fields == HitsSchema.iceberg.fields)
        #expect(metadata.lastColumnID == 31 && metadata.currentSnapshot?.schemaID == 1)
        // Nothing was written anew.
        #expect(try table.snapshot().files.contains(old[0]))
        #expect(try File.read(old[0].path) == bytes)
        #expect(try asked() == "50,30,30")
        #expect(try others() == [[50, 30, 30], [50, 30, 30]])
        try deliver(50..<60)
        #expect(try table.metadata()?.schemas.count == 2)

        #expect(try table.compact(suppressed: { SubjectFilter() }).commits == 1)
        #expect(try table.snapshot().files.map(\.lacking) == [[]])
        #expect(try asked() == "60,40,40")
        #expect(try others() == [[60, 40, 40], [60, 40, 40]])
    }

    @Test func `a parameter that a policy allows anew is null in older hits`() throws {
        try deliver(20..<22, campaign: "spring")
        #expect(try asked("SELECT count(*), count(params['campaign']) FROM hits") == "22,2")
    }

    @Test func `a table that only a later version knows is not written to`() throws {
        let files = TableFiles(directory: table.settings.directory)
        let head = try #require(try catalog.tableHead(HitsSchema.tableName))
        var metadata = try files.metadata(head.metadataLocation)
        metadata.schemas[0].fields.append(
            .init(id: 99, name: "of_tomorrow", type: .primitive("string")))
        try File.write(TableFiles.path(of: head.metadataLocation), metadata.encoded)
        let error = #expect(throws: LakeError.self) { try deliver(20..<22) }
        #expect(error?.code == .laterTable && error?.detail.contains("`of_tomorrow`") == true)
        // What waits in the journal waits on.
        #expect(try journal.depth().hits == 2)
        #expect(try table.snapshot().records == 20)
    }
}

/// Makes a table what an earlier version would have left: some columns stand neither in its schema nor in its files.
enum OlderTable {
    static func make(
        of table: HitsTable, catalog: Catalog, without gone: Set<String>
    ) throws {
        let files = TableFiles(directory: table.settings.directory)
        let head = try #require(try catalog.tableHead(HitsSchema.tableName))
        var metadata = try files.metadata(head.metadataLocation)
        let schema = IcebergSchema(
            schemaID: 0, fields: HitsSchema.iceberg.fields.filter { !gone.contains($0.name) })
        let snapshot = try #require(metadata.currentSnapshot)
        try #require(metadata.snapshots.count == 1)
        var listed: [ManifestFile] = []
        for var file in try files.manifests(of: snapshot) {
            var manifest = try files.manifest(file)
            manifest.schema = schema
            for index in manifest.entries.indices {
                try cut(&manifest.entries[index].file, gone)
            }
            let bytes = manifest.encoded(sync: 1)
            try File.write(TableFiles.path(of: file.path), bytes)
            file.bytes = Int64(bytes.count)
            listed.append(file)
        }
        try File.write(
            TableFiles.path(of: snapshot.manifestList),
            ManifestList(manifests: listed).encoded(for: snapshot, sync: 2))
        metadata.schemas = [schema]
        metadata.lastColumnID = schema.lastColumnID
        try File.write(TableFiles.path(of: head.metadataLocation), metadata.encoded)
    }

    /// Writes a data file anew without the columns, and takes them out of its entry.
    private static func cut(_ file: inout DataFile, _ gone: Set<String>) throws {
        let path = try TableFiles.path(of: file.path)
        let kept = HitsSchema.columns.filter { !gone.contains($0.name) }
        try EngineConnection().execute(
            """
            COPY (SELECT \(kept.map { "\"\($0.name)\"" }.joined(separator: ", "))
                  FROM read_parquet('\(path)', hive_partitioning = false))
            TO '\(path).new' (FORMAT parquet, COMPRESSION zstd, FIELD_IDS \(HitsSchema.fieldIDs(of: kept)))
            """)
        try File.rename(path + ".new", to: path)
        file.fileBytes = Int64(try #require(try File.metadata(path)).size)
        for column in HitsSchema.columns where gone.contains(column.name) {
            for id in [column.id] + column.nestedIDs.map(\.id) {
                file.valueCounts[id] = nil
                file.nullCounts[id] = nil
                file.columnBytes[id] = nil
            }
        }
    }
}
