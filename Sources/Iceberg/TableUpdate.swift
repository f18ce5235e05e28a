/// One change of a table's metadata (`TableUpdate` of the REST catalog's specification).
package enum TableUpdate: Hashable, Sendable {
    case assignUUID(String)
    case upgradeFormatVersion(Int)
    case addSchema(IcebergSchema)
    /// -1 stands for the one that the same request added, here and in the next two.
    case setCurrentSchema(Int)
    case addSpec(UnboundSpec)
    case setDefaultSpec(Int)
    case addSortOrder(SortOrder)
    case setDefaultSortOrder(Int)
    case addSnapshot(Snapshot)
    case setSnapshotRef(name: String, TableMetadata.Reference)
    case removeSnapshots([Int64])
    case removeSnapshotRef(String)
    case setLocation(String)
    case setProperties([String: String])
    case removeProperties([String])
    case setStatistics(TableMetadata.StatisticsFile)
    case removeStatistics(snapshotID: Int64)
    case setPartitionStatistics(TableMetadata.StatisticsFile)
    case removePartitionStatistics(snapshotID: Int64)
    case removePartitionSpecs([Int])
    case removeSchemas([Int])

    /// A partition spec as a client asks for it: ids may be missing.
    package struct UnboundSpec: Decodable, Hashable, Sendable {
        package var specID: Int?
        package var fields: [Field]

        package init(specID: Int? = nil, fields: [Field]) {
            self.specID = specID
            self.fields = fields
        }

        package struct Field: Decodable, Hashable, Sendable {
            package var sourceID: Int
            package var fieldID: Int?
            package var name: String
            package var transform: Transform

            package init(sourceID: Int, fieldID: Int? = nil, name: String, transform: Transform) {
                self.sourceID = sourceID
                self.fieldID = fieldID
                self.name = name
                self.transform = transform
            }

            private enum CodingKeys: String, CodingKey {
                case name, transform
                case sourceID = "source-id"
                case fieldID = "field-id"
            }
        }

        private enum CodingKeys: String, CodingKey {
            case fields
            case specID = "spec-id"
        }
    }
}

extension TableUpdate: Decodable {
    private enum CodingKeys: String, CodingKey {
        case action, uuid, schema, spec, snapshot, location, updates, removals, statistics
        case formatVersion = "format-version"
        case schemaID = "schema-id"
        case specID = "spec-id"
        case sortOrder = "sort-order"
        case sortOrderID = "sort-order-id"
        case refName = "ref-name"
        case snapshotID = "snapshot-id"
        case snapshotIDs = "snapshot-ids"
        case partitionStatistics = "partition-statistics"
        case specIDs = "spec-ids"
        case schemaIDs = "schema-ids"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func value<Value: Decodable>(_ key: CodingKeys) throws -> Value {
            try container.decode(Value.self, forKey: key)
        }
        switch try container.decode(String.self, forKey: .action) {
        case "assign-uuid": self = .assignUUID(try value(.uuid))
        case "upgrade-format-version": self = .upgradeFormatVersion(try value(.formatVersion))
        case "add-schema": self = .addSchema(try value(.schema))
        case "set-current-schema": self = .setCurrentSchema(try value(.schemaID))
        case "add-spec": self = .addSpec(try value(.spec))
        case "set-default-spec": self = .setDefaultSpec(try value(.specID))
        case "add-sort-order": self = .addSortOrder(try value(.sortOrder))
        case "set-default-sort-order": self = .setDefaultSortOrder(try value(.sortOrderID))
        case "add-snapshot": self = .addSnapshot(try value(.snapshot))
        case "set-snapshot-ref":
            self = .setSnapshotRef(
                name: try value(.refName), try TableMetadata.Reference(from: decoder))
        case "remove-snapshots": self = .removeSnapshots(try value(.snapshotIDs))
        case "remove-snapshot-ref": self = .removeSnapshotRef(try value(.refName))
        case "set-location": self = .setLocation(try value(.location))
        case "set-properties": self = .setProperties(try value(.updates))
        case "remove-properties": self = .removeProperties(try value(.removals))
        case "set-statistics": self = .setStatistics(try value(.statistics))
        case "remove-statistics": self = .removeStatistics(snapshotID: try value(.snapshotID))
        case "set-partition-statistics":
            self = .setPartitionStatistics(try value(.partitionStatistics))
        case "remove-partition-statistics":
            self = .removePartitionStatistics(snapshotID: try value(.snapshotID))
        case "remove-partition-specs": self = .removePartitionSpecs(try value(.specIDs))
        case "remove-schemas": self = .removeSchemas(try value(.schemaIDs))
        case "add-encryption-key", "remove-encryption-key":
            throw CommitFailure(.unsupported, "tables with encryption keys are not kept here")
        case let other:
            throw CommitFailure(.unsupported, "unknown update `\(other.prefix(64))`")
        }
    }
}
