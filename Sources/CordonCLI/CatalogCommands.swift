import CordonCatalog
import CordonLake
import CordonModel
import CordonPolicy
import CordonServer
import Iceberg

extension Command {
    static let catalogTables = Command(
        ["catalog", "tables"], summary: "list the tables of the regions with their size",
        usage: "[--region R]…", options: [.catalogRegion],
        example: "cordon catalog tables"
    ) { arguments, console in
        var rows: [TableRow] = []
        for lake in try CatalogCommand.lakes(arguments) {
            let snapshot = try lake.table.snapshot()
            for table in try lake.catalog.tables() {
                rows.append(
                    TableRow(
                        region: lake.region.name, table: table.name, rows: snapshot.records,
                        files: snapshot.files.count, bytes: snapshot.bytes,
                        deliveredThrough: table.deliveredThrough,
                        deadLetters: try lake.catalog.deadLetterCount(table: table.name),
                        updatedAt: table.updatedAt.text, metadataLocation: table.metadataLocation))
            }
        }
        if arguments.wantsJSON {
            for row in rows { try console.print(json: row) }
        } else if rows.isEmpty {
            console.note("no table yet: `cordon deliver --region R --once` makes it")
        } else {
            console.table(
                ["region", "table", "rows", "files", "bytes", "dead letters", "updated"],
                rows.map {
                    [
                        $0.region, $0.table, "\($0.rows)", "\($0.files)", "\($0.bytes)",
                        "\($0.deadLetters)", $0.updatedAt,
                    ]
                })
        }
        return .done
    }

    static let catalogDescribe = Command(
        ["catalog", "describe"], summary: "show columns, partitions and metadata file of the table",
        usage: "[--region R]…", options: [.catalogRegion],
        example: "cordon catalog describe --region eu-central"
    ) { arguments, console in
        for lake in try CatalogCommand.lakes(arguments) {
            guard let metadata = try lake.table.metadata(), let schema = metadata.currentSchema,
                let spec = metadata.defaultSpec
            else { continue }
            let description = TableDescription(
                region: lake.region.name,
                metadataLocation: try lake.table.snapshot().metadataLocation,
                metadata, schema, spec)
            if arguments.wantsJSON {
                try console.print(json: description)
            } else {
                description.print(console)
            }
        }
        return .done
    }

    static let catalogSnapshots = Command(
        ["catalog", "snapshots"], summary: "list the snapshots of the table, oldest first",
        usage: "[--region R]…", options: [.catalogRegion],
        example: "cordon catalog snapshots --region eu-central"
    ) { arguments, console in
        var rows: [SnapshotRow] = []
        for lake in try CatalogCommand.lakes(arguments) {
            guard let metadata = try lake.table.metadata() else { continue }
            rows += metadata.snapshots.map {
                SnapshotRow(
                    region: lake.region.name, $0,
                    isCurrent: $0.snapshotID == metadata.currentSnapshotID)
            }
        }
        if arguments.wantsJSON {
            for row in rows { try console.print(json: row) }
        } else {
            console.table(
                [
                    "region", "sequence", "snapshot", "at", "operation", "added", "deleted", "rows",
                    "files", "current",
                ],
                rows.map {
                    [
                        $0.region, "\($0.sequenceNumber)", "\($0.snapshotID)", $0.at, $0.operation,
                        "\($0.addedRows)", "\($0.deletedRows)", "\($0.totalRows)",
                        "\($0.totalFiles)", $0.isCurrent ? "yes" : "no",
                    ]
                })
        }
        return .done
    }

    static let catalogFiles = Command(
        ["catalog", "files"], summary: "list the data files of the current snapshot",
        usage: "[--region R]…", options: [.catalogRegion],
        example: "cordon catalog files --region eu-central"
    ) { arguments, console in
        var rows: [FileRow] = []
        for lake in try CatalogCommand.lakes(arguments) {
            rows += try lake.table.snapshot().files.map { FileRow(region: lake.region.name, $0) }
        }
        if arguments.wantsJSON {
            for row in rows { try console.print(json: row) }
        } else {
            console.table(
                ["region", "day", "retain until", "rows", "bytes", "path"],
                rows.map {
                    [$0.region, $0.day, $0.retainUntil, "\($0.rows)", "\($0.bytes)", $0.path]
                })
        }
        return .done
    }
}

extension Command.Option {
    fileprivate static let catalogRegion = Command.Option(
        name: "region", value: "REGION", help: "only this region (default: all)", repeats: true)
}

private enum CatalogCommand {
    /// The lakes of the regions asked for, those without any table left out.
    static func lakes(_ arguments: Arguments) throws -> [RegionLake] {
        try CordonCLI.regions(arguments).compactMap {
            try RegionLake.reading($0, clock: SystemWallClock())
        }
    }
}

extension CordonCLI {
    /// The regions that `--region` names, or all.
    static func regions(_ arguments: Arguments) throws -> [RegionConfiguration] {
        let regions = try configuration(arguments).regions
        let names = arguments.all("region")
        for name in names where !regions.contains(where: { $0.name == name }) {
            throw UsageError(
                text: "unknown region `\(name)`" + suggestion(name, among: regions.map(\.name)))
        }
        return names.isEmpty ? regions : regions.filter { names.contains($0.name) }
    }
}

private struct TableRow: Encodable {
    let region: String
    let table: String
    let rows: Int64
    let files: Int
    let bytes: Int64
    let deliveredThrough: Int64
    let deadLetters: Int
    let updatedAt: String
    let metadataLocation: String

    private enum CodingKeys: String, CodingKey {
        case region, table, rows, files, bytes
        case deliveredThrough = "delivered_through"
        case deadLetters = "dead_letters"
        case updatedAt = "updated_at"
        case metadataLocation = "metadata_location"
    }
}

private struct FileRow: Encodable {
    let region: String
    let path: String
    let day: String
    let retainUntil: String
    let rows: Int64
    let bytes: Int64

    init(region: String, _ file: DataFileRef) {
        self.region = region
        path = file.path
        day = file.day.text
        retainUntil = file.retainUntil.text
        rows = file.records
        bytes = file.bytes
    }

    private enum CodingKeys: String, CodingKey {
        case region, path, day, rows, bytes
        case retainUntil = "retain_until"
    }
}

private struct SnapshotRow: Encodable {
    let region: String
    let snapshotID: Int64
    let parentSnapshotID: Int64?
    let sequenceNumber: Int64
    let at: String
    let operation: String
    let addedRows: Int64
    let deletedRows: Int64
    let totalRows: Int64
    let totalFiles: Int64
    let isCurrent: Bool

    init(region: String, _ snapshot: Snapshot, isCurrent: Bool) {
        func count(_ key: String) -> Int64 { snapshot.summary[key].flatMap { Int64($0) } ?? 0 }
        self.region = region
        self.isCurrent = isCurrent
        snapshotID = snapshot.snapshotID
        parentSnapshotID = snapshot.parentSnapshotID
        sequenceNumber = snapshot.sequenceNumber
        at = Timestamp(microseconds: snapshot.timestampMilliseconds * 1000).text
        operation = snapshot.summary["operation"] ?? ""
        addedRows = count("added-records")
        deletedRows = count("deleted-records")
        totalRows = count("total-records")
        totalFiles = count("total-data-files")
    }

    private enum CodingKeys: String, CodingKey {
        case region, at, operation
        case snapshotID = "snapshot_id"
        case parentSnapshotID = "parent_snapshot_id"
        case sequenceNumber = "sequence_number"
        case addedRows = "added_rows"
        case deletedRows = "deleted_rows"
        case totalRows = "total_rows"
        case totalFiles = "total_files"
        case isCurrent = "current"
    }
}

private struct TableDescription: Encodable {
    let region: String
    let table: String
    let uuid: String
    let location: String
    let metadataLocation: String?
    let columns: [Column]
    let partitions: [Partition]
    let sortOrder: [String]
    let properties: [String: String]

    struct Column: Encodable {
        let id: Int
        let name: String
        let type: String
    }

    struct Partition: Encodable {
        let name: String
        let transform: String
        let column: String
    }

    private enum CodingKeys: String, CodingKey {
        case region, table, uuid, location, columns, partitions, properties
        case metadataLocation = "metadata_location"
        case sortOrder = "sort_order"
    }

    init(
        region: String, metadataLocation: String?, _ metadata: TableMetadata,
        _ schema: IcebergSchema,
        _ spec: PartitionSpec
    ) {
        func column(_ id: Int) -> String { schema.fields.first { $0.id == id }?.name ?? "\(id)" }
        self.region = region
        self.metadataLocation = metadataLocation
        table = HitsSchema.tableName
        uuid = metadata.tableUUID
        location = metadata.location
        columns = schema.fields.map { Column(id: $0.id, name: $0.name, type: $0.type.text) }
        partitions = spec.fields.map {
            Partition(name: $0.name, transform: $0.transform.text, column: column($0.sourceID))
        }
        sortOrder =
            metadata.sortOrders.first { $0.orderID == metadata.defaultSortOrderID }?.fields
            .map { column($0.sourceID) } ?? []
        properties = metadata.properties
    }

    func print(_ console: Console) {
        console.print("\(table) in \(region)")
        console.print("  uuid        \(uuid)")
        console.print("  metadata    \(metadataLocation ?? "")")
        console.print(
            "  partitions  "
                + partitions.map { "\($0.transform)(\($0.column))" }.joined(separator: ", "))
        console.print("  sorted by   \(sortOrder.joined(separator: ", "))")
        console.print()
        console.table(["id", "column", "type"], columns.map { ["\($0.id)", $0.name, $0.type] })
        console.print()
    }
}
