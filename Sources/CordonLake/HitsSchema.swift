package import Iceberg

/// The columns of `pixels.hits` with their field ids, which never change their meaning (`Docs/formats/lake.md`).
package enum HitsSchema {
    package static let tableName = "pixels.hits"

    /// One column: its Iceberg type, and its type in the engine.
    struct Column {
        let id: Int
        let name: String
        let type: IcebergSchema.FieldType
        let engineType: String
        /// Whether manifests hold the least and greatest value. Never for a personal column.
        var hasBounds = false

        /// Ids inside of the type by the name that the engine's `FIELD_IDS` uses for them.
        var nestedIDs: [(name: String, id: Int)] {
            switch type {
            case .list(let element, _, _): [("element", element)]
            case .map(let key, _, let value, _, _): [("key", key), ("value", value)]
            case .primitive, .structure: []
            }
        }
    }

    static let siteID = 3

    static let columns: [Column] = [
        Column(id: 1, name: "hit_id", type: .primitive("uuid"), engineType: "UUID"),
        Column(
            id: 2, name: "ts", type: .primitive("timestamptz"),
            engineType: "TIMESTAMP WITH TIME ZONE", hasBounds: true),
        text(siteID, "site", hasBounds: true),
        text(4, "event", hasBounds: true),
        text(5, "page_host"),
        text(6, "page_path"),
        text(7, "referrer_host"),
        text(8, "visitor"),
        text(9, "user"),
        Column(id: 10, name: "key_epoch", type: .primitive("int"), engineType: "INTEGER"),
        text(11, "ip_prefix"),
        text(12, "country", hasBounds: true),
        text(13, "subdivision"),
        text(14, "browser"),
        text(15, "os"),
        text(16, "device"),
        text(17, "language"),
        text(18, "consent"),
        Column(id: 19, name: "bot", type: .primitive("boolean"), engineType: "BOOLEAN"),
        text(20, "policy"),
        text(21, "rule_set"),
        text(22, "geo_build"),
        Column(id: 23, name: "sample_rate", type: .primitive("float"), engineType: "FLOAT"),
        Column(
            id: 24, name: "retain_until", type: .primitive("date"), engineType: "DATE",
            hasBounds: true),
        list(25, "purposes", element: 28),
        list(26, "signals", element: 29),
        Column(
            id: 27, name: "params",
            type: .map(
                keyID: 30, key: .primitive("string"), valueID: 31, value: .primitive("string"),
                valueRequired: false),
            engineType: "MAP(VARCHAR, VARCHAR)"),
    ]

    private static func text(_ id: Int, _ name: String, hasBounds: Bool = false) -> Column {
        Column(
            id: id, name: name, type: .primitive("string"), engineType: "VARCHAR",
            hasBounds: hasBounds)
    }

    private static func list(_ id: Int, _ name: String, element: Int) -> Column {
        Column(
            id: id, name: name,
            type: .list(
                elementID: element, element: .primitive("string"), elementRequired: false),
            engineType: "VARCHAR[]")
    }

    /// The table's schema. Every field is optional, because the engine writes every Parquet column so.
    package static let iceberg = IcebergSchema(
        schemaID: 0,
        fields: columns.map { .init(id: $0.id, name: $0.name, type: $0.type) })

    /// By day of the hit, then by the end of its retention: what is due goes as whole files.
    package static let partitionSpec = PartitionSpec(
        specID: 0,
        fields: [
            .init(sourceID: 2, fieldID: 1000, name: "ts_day", transform: .day),
            .init(sourceID: 24, fieldID: 1001, name: "retain_until", transform: .identity),
        ])

    /// One person's rows lie together.
    package static let sortOrder = SortOrder(
        orderID: 1,
        fields: [.init(sourceID: 8), .init(sourceID: 9), .init(sourceID: 2)])

    /// Said to other engines: how Cordon writes, and that no bounds of other columns are to be written.
    static let properties: [String: String] = {
        var properties = [
            "write.format.default": "parquet", "write.parquet.compression-codec": "zstd",
            "write.parquet.row-group-limit": "\(rowGroupRows)",
            "write.metadata.metrics.default": "counts",
            "write.metadata.delete-after-commit.enabled": "false",
            "write.object-storage.enabled": "false",
        ]
        for column in columns where column.hasBounds {
            properties["write.metadata.metrics.column.\(column.name)"] = "truncate(16)"
        }
        return properties
    }()

    /// Rows of a row group: what the engine's scan hands to one thread.
    static let rowGroupRows = 122_880

    /// All columns in order, quoted for the engine.
    static let columnList = columns.map { "\"\($0.name)\"" }.joined(separator: ", ")

    /// The order of rows in a file. Hits that are only counted share the time of their hour; a hash of what they hold sorts
    /// them, so that their place says nothing of when they came.
    static let orderList = """
        "visitor", "user", "ts", CASE WHEN "hit_id" IS NULL \
        THEN hash("site", "event", "country", "consent", "bot", "policy", "sample_rate", "rule_set") END
        """

    /// Columns, and what they have inside, by name and field id.
    static let fields = columns.flatMap { column in
        [(name: column.name, id: column.id)] + column.nestedIDs
    }

    /// The engine's `FIELD_IDS` value.
    static let fieldIDs: String = fieldIDs(of: columns)

    /// The same for a file that has only some of the columns.
    static func fieldIDs(of columns: [Column]) -> String {
        let entries = columns.map { column in
            guard !column.nestedIDs.isEmpty else { return "\"\(column.name)\": \(column.id)" }
            let nested = column.nestedIDs.map { "\($0.name): \($0.id)" }.joined(separator: ", ")
            return "\"\(column.name)\": {__duckdb_field_id: \(column.id), \(nested)}"
        }
        return "{" + entries.joined(separator: ", ") + "}"
    }

    /// What the engine's reader takes instead of a file's own columns: each column by its field id, null in files that were
    /// written before there was such a column.
    static let readSchema: String = {
        let entries = columns.map {
            "\($0.id): {name: '\($0.name)', type: '\($0.engineType)', default_value: NULL}"
        }
        return "MAP {" + entries.joined(separator: ", ") + "}"
    }()

    /// Names of the columns that a file with these leaves has not.
    static func lacking(_ leaves: some Collection<Int>) -> Set<String> {
        guard !leaves.isEmpty else { return [] }
        let present = Set(leaves)
        return Set(
            columns.filter { column in
                let own = column.nestedIDs.isEmpty ? [column.id] : column.nestedIDs.map(\.id)
                return present.isDisjoint(with: own)
            }.map(\.name))
    }

    /// The table's metadata with every column that this program writes.
    ///
    /// A column that the table has not yet is added under its own new field id, in a schema of its own: no file is written anew, and
    /// readers see null where a file is older. Columns are never taken away, renamed or given another type.
    static func evolved(_ metadata: TableMetadata) throws(LakeError) -> TableMetadata {
        guard let current = metadata.currentSchema else {
            throw LakeError(
                .damagedTable, "the table's metadata name a schema that they do not hold")
        }
        guard current.fields != iceberg.fields else { return metadata }
        for field in current.fields {
            guard let own = iceberg.fields.first(where: { $0.id == field.id }) else {
                throw LakeError(
                    .laterTable,
                    "the table has a column `\(field.name)` (field \(field.id)) that this program does not know: a later version "
                        + "wrote it, and writing on without the column would lose it; use that version"
                )
            }
            guard own.name == field.name, own.type == field.type else {
                throw LakeError(
                    .damagedTable,
                    "field \(field.id) of the table is `\(field.name)` and was expected to be `\(own.name)` of its type"
                )
            }
        }
        var next = metadata
        let id = (metadata.schemas.map(\.schemaID).max() ?? 0) + 1
        next.schemas.append(IcebergSchema(schemaID: id, fields: iceberg.fields))
        next.currentSchemaID = id
        next.lastColumnID = max(metadata.lastColumnID, iceberg.lastColumnID)
        for (key, value) in properties where next.properties[key] == nil {
            next.properties[key] = value
        }
        return next
    }

    /// Field id of each leaf by the path that the engine names it with.
    static let leafIDs: [String: Int] = {
        var ids: [String: Int] = [:]
        for column in columns {
            switch column.type {
            case .primitive, .structure: ids[column.name] = column.id
            case .list(let element, _, _): ids["\(column.name), list, element"] = element
            case .map(let key, _, let value, _, _):
                ids["\(column.name), key_value, key"] = key
                ids["\(column.name), key_value, value"] = value
            }
        }
        return ids
    }()
}
