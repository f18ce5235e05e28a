/// What must hold of a table for a commit to be made (`TableRequirement` of the REST catalog's specification).
package enum TableRequirement: Hashable, Sendable {
    /// The table must not exist.
    case create
    case tableUUID(String)
    /// A branch or tag must be at this snapshot; nil: must not exist.
    case refSnapshot(name: String, snapshotID: Int64?)
    case lastAssignedFieldID(Int)
    case currentSchemaID(Int)
    case lastAssignedPartitionID(Int)
    case defaultSpecID(Int)
    case defaultSortOrderID(Int)

    /// Throws unless it holds of `metadata`; nil stands for a table that does not exist.
    package func require(of metadata: TableMetadata?) throws(CommitFailure) {
        if case .create = self {
            guard metadata == nil else {
                throw CommitFailure(.requirement, "the table exists already")
            }
            return
        }
        guard let metadata else {
            throw CommitFailure(.requirement, "the table does not exist")
        }
        switch self {
        case .create: break
        case .tableUUID(let uuid):
            guard uuid.lowercased() == metadata.tableUUID.lowercased() else {
                throw CommitFailure(
                    .requirement, "table UUID: expected `\(uuid)`, found `\(metadata.tableUUID)`")
            }
        case .refSnapshot(let name, let expected):
            let found = metadata.refs[name]?.snapshotID
            guard found == expected else {
                throw CommitFailure(
                    .requirement,
                    "reference `\(name)`: expected \(Self.text(expected)), found \(Self.text(found))"
                )
            }
        case .lastAssignedFieldID(let id):
            try Self.equal("last assigned field id", id, metadata.lastColumnID)
        case .currentSchemaID(let id):
            try Self.equal("current schema id", id, metadata.currentSchemaID)
        case .lastAssignedPartitionID(let id):
            try Self.equal("last assigned partition id", id, metadata.lastPartitionID)
        case .defaultSpecID(let id):
            try Self.equal("default partition spec id", id, metadata.defaultSpecID)
        case .defaultSortOrderID(let id):
            try Self.equal("default sort order id", id, metadata.defaultSortOrderID)
        }
    }

    private static func equal(
        _ what: String, _ expected: Int, _ found: Int
    ) throws(CommitFailure) {
        guard expected == found else {
            throw CommitFailure(.requirement, "\(what): expected \(expected), found \(found)")
        }
    }

    private static func text(_ snapshot: Int64?) -> String {
        snapshot.map { "snapshot \($0)" } ?? "none"
    }
}

extension TableRequirement: Decodable {
    private enum CodingKeys: String, CodingKey {
        case type, uuid, ref
        case snapshotID = "snapshot-id"
        case fieldID = "last-assigned-field-id"
        case schemaID = "current-schema-id"
        case partitionID = "last-assigned-partition-id"
        case specID = "default-spec-id"
        case sortOrderID = "default-sort-order-id"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func number(_ key: CodingKeys) throws -> Int { try container.decode(Int.self, forKey: key) }
        switch try container.decode(String.self, forKey: .type) {
        case "assert-create": self = .create
        case "assert-table-uuid":
            self = .tableUUID(try container.decode(String.self, forKey: .uuid))
        case "assert-ref-snapshot-id":
            self = .refSnapshot(
                name: try container.decode(String.self, forKey: .ref),
                snapshotID: try container.decodeIfPresent(Int64.self, forKey: .snapshotID))
        case "assert-last-assigned-field-id": self = .lastAssignedFieldID(try number(.fieldID))
        case "assert-current-schema-id": self = .currentSchemaID(try number(.schemaID))
        case "assert-last-assigned-partition-id":
            self = .lastAssignedPartitionID(try number(.partitionID))
        case "assert-default-spec-id": self = .defaultSpecID(try number(.specID))
        case "assert-default-sort-order-id": self = .defaultSortOrderID(try number(.sortOrderID))
        case let other:
            throw CommitFailure(.unsupported, "unknown requirement `\(other.prefix(64))`")
        }
    }
}
