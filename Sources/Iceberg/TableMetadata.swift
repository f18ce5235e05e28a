import FoundationEssentials

/// One table metadata file: all that is known of a table at one version.
package struct TableMetadata: Codable, Hashable, Sendable {
    package var formatVersion = Iceberg.formatVersion
    package var tableUUID: String
    /// Base location as a URI without a trailing slash.
    package var location: String
    package var lastSequenceNumber: Int64 = 0
    package var lastUpdatedMilliseconds: Int64
    package var lastColumnID: Int
    package var currentSchemaID: Int
    package var schemas: [IcebergSchema]
    package var defaultSpecID: Int
    package var partitionSpecs: [PartitionSpec]
    package var lastPartitionID: Int
    package var defaultSortOrderID: Int
    package var sortOrders: [SortOrder]
    package var properties: [String: String]
    /// nil for a table without rows so far.
    package var currentSnapshotID: Int64?
    package var snapshots: [Snapshot] = []
    package var refs: [String: Reference] = [:]
    package var snapshotLog: [SnapshotLogEntry] = []
    package var metadataLog: [MetadataLogEntry] = []
    package var statistics: [StatisticsFile] = []
    package var partitionStatistics: [StatisticsFile] = []

    /// A table without snapshots.
    package init(
        tableUUID: String, location: String, schema: IcebergSchema, spec: PartitionSpec,
        sortOrder: SortOrder, properties: [String: String], updatedMilliseconds: Int64
    ) {
        self.tableUUID = tableUUID
        self.location = location
        lastUpdatedMilliseconds = updatedMilliseconds
        lastColumnID = schema.lastColumnID
        currentSchemaID = schema.schemaID
        schemas = [schema]
        defaultSpecID = spec.specID
        partitionSpecs = [spec]
        lastPartitionID = spec.fields.map(\.fieldID).max() ?? 999
        defaultSortOrderID = sortOrder.orderID
        sortOrders = [sortOrder]
        self.properties = properties
    }

    /// What a snapshot is reached by; `main` is the table's own branch.
    package struct Reference: Codable, Hashable, Sendable {
        package var snapshotID: Int64
        /// `branch` or `tag`.
        package var type: String
        /// For the snapshots of a branch; who expires decides what to make of it, as of the two ages.
        package var minSnapshotsToKeep: Int?
        package var maxSnapshotAgeMilliseconds: Int64?
        package var maxRefAgeMilliseconds: Int64?

        package init(snapshotID: Int64, type: String = "branch") {
            self.snapshotID = snapshotID
            self.type = type
        }

        private enum CodingKeys: String, CodingKey {
            case type
            case snapshotID = "snapshot-id"
            case minSnapshotsToKeep = "min-snapshots-to-keep"
            case maxSnapshotAgeMilliseconds = "max-snapshot-age-ms"
            case maxRefAgeMilliseconds = "max-ref-age-ms"
        }
    }

    package struct SnapshotLogEntry: Codable, Hashable, Sendable {
        package var snapshotID: Int64
        package var timestampMilliseconds: Int64

        private enum CodingKeys: String, CodingKey {
            case snapshotID = "snapshot-id"
            case timestampMilliseconds = "timestamp-ms"
        }
    }

    package struct MetadataLogEntry: Codable, Hashable, Sendable {
        package var metadataFile: String
        package var timestampMilliseconds: Int64

        package init(metadataFile: String, timestampMilliseconds: Int64) {
            self.metadataFile = metadataFile
            self.timestampMilliseconds = timestampMilliseconds
        }

        private enum CodingKeys: String, CodingKey {
            case metadataFile = "metadata-file"
            case timestampMilliseconds = "timestamp-ms"
        }
    }

    /// A statistics file of a snapshot; one of its partitions has no footer and no blobs.
    package struct StatisticsFile: Codable, Hashable, Sendable {
        package var snapshotID: Int64
        package var path: String
        package var fileBytes: Int64?
        package var footerBytes: Int64?
        package var blobs: [Blob]?

        private enum CodingKeys: String, CodingKey {
            case snapshotID = "snapshot-id"
            case path = "statistics-path"
            case fileBytes = "file-size-in-bytes"
            case footerBytes = "file-footer-size-in-bytes"
            case blobs = "blob-metadata"
        }

        /// One part of a Puffin file.
        package struct Blob: Codable, Hashable, Sendable {
            package var type: String
            package var snapshotID: Int64
            package var sequenceNumber: Int64
            package var fields: [Int]
            package var properties: [String: String]?

            private enum CodingKeys: String, CodingKey {
                case type, fields, properties
                case snapshotID = "snapshot-id"
                case sequenceNumber = "sequence-number"
            }
        }
    }

    private enum CodingKeys: String, CodingKey {
        case location, schemas, properties, snapshots, refs, statistics
        case formatVersion = "format-version"
        case tableUUID = "table-uuid"
        case lastSequenceNumber = "last-sequence-number"
        case lastUpdatedMilliseconds = "last-updated-ms"
        case lastColumnID = "last-column-id"
        case currentSchemaID = "current-schema-id"
        case defaultSpecID = "default-spec-id"
        case partitionSpecs = "partition-specs"
        case lastPartitionID = "last-partition-id"
        case defaultSortOrderID = "default-sort-order-id"
        case sortOrders = "sort-orders"
        case currentSnapshotID = "current-snapshot-id"
        case snapshotLog = "snapshot-log"
        case metadataLog = "metadata-log"
        case partitionStatistics = "partition-statistics"
    }
}

/// One state of a table.
package struct Snapshot: Codable, Hashable, Sendable {
    package var snapshotID: Int64
    package var parentSnapshotID: Int64?
    package var sequenceNumber: Int64
    package var timestampMilliseconds: Int64
    /// URI of the manifest list.
    package var manifestList: String
    /// `operation` and totals; every value is text.
    package var summary: [String: String]
    package var schemaID: Int?

    package init(
        snapshotID: Int64, parentSnapshotID: Int64?, sequenceNumber: Int64,
        timestampMilliseconds: Int64, manifestList: String, summary: [String: String],
        schemaID: Int?
    ) {
        self.snapshotID = snapshotID
        self.parentSnapshotID = parentSnapshotID
        self.sequenceNumber = sequenceNumber
        self.timestampMilliseconds = timestampMilliseconds
        self.manifestList = manifestList
        self.summary = summary
        self.schemaID = schemaID
    }

    private enum CodingKeys: String, CodingKey {
        case summary
        case snapshotID = "snapshot-id"
        case parentSnapshotID = "parent-snapshot-id"
        case sequenceNumber = "sequence-number"
        case timestampMilliseconds = "timestamp-ms"
        case manifestList = "manifest-list"
        case schemaID = "schema-id"
    }
}

extension TableMetadata {
    package var currentSnapshot: Snapshot? {
        currentSnapshotID.flatMap { id in snapshots.first { $0.snapshotID == id } }
    }

    package var currentSchema: IcebergSchema? { schemas.first { $0.schemaID == currentSchemaID } }
    package var defaultSpec: PartitionSpec? { partitionSpecs.first { $0.specID == defaultSpecID } }

    /// The metadata with `snapshot` as the head of `main`.
    ///
    /// - Precondition: the snapshot's sequence number is the next one.
    package func adding(_ snapshot: Snapshot) -> TableMetadata {
        precondition(
            snapshot.sequenceNumber == lastSequenceNumber + 1,
            "each snapshot of a table takes the next sequence number")
        var next = self
        next.lastSequenceNumber = snapshot.sequenceNumber
        // The log must not go back in time even when the clock does.
        next.lastUpdatedMilliseconds = max(lastUpdatedMilliseconds, snapshot.timestampMilliseconds)
        next.snapshots.append(snapshot)
        next.currentSnapshotID = snapshot.snapshotID
        next.refs["main"] = Reference(snapshotID: snapshot.snapshotID)
        next.snapshotLog.append(
            SnapshotLogEntry(
                snapshotID: snapshot.snapshotID,
                timestampMilliseconds: next.lastUpdatedMilliseconds))
        return next
    }

    /// The metadata with the current snapshot alone: no other snapshot, reference or statistics file is named.
    package func keepingCurrentSnapshotOnly(updatedMilliseconds: Int64) -> TableMetadata {
        var next = self
        next.lastUpdatedMilliseconds = max(lastUpdatedMilliseconds, updatedMilliseconds)
        next.snapshots = snapshots.filter { $0.snapshotID == currentSnapshotID }
        for index in next.snapshots.indices { next.snapshots[index].parentSnapshotID = nil }
        next.refs = refs.filter { $0.key == "main" }
        next.snapshotLog = snapshotLog.filter { $0.snapshotID == currentSnapshotID }
        next.metadataLog = []
        next.statistics = statistics.filter { $0.snapshotID == currentSnapshotID }
        next.partitionStatistics = partitionStatistics.filter { $0.snapshotID == currentSnapshotID }
        return next
    }

    /// The metadata without old snapshots and log entries.
    ///
    /// The `snapshotsMin` newest snapshots stay, and each that was the current one after `milliseconds`: who began to
    /// read it then may still be reading. Of the log the newest `metadataLogMax` entries stay.
    package func bounded(
        snapshotsMin: Int, supersededBefore milliseconds: Int64, metadataLogMax: Int
    ) -> TableMetadata {
        precondition(snapshotsMin >= 1, "a table keeps its current snapshot")
        var next = self
        next.metadataLog = Array(metadataLog.suffix(metadataLogMax))
        let kept = Set(
            snapshots.indices.filter { index in
                index + snapshotsMin >= snapshots.count
                    || snapshots[index + 1].timestampMilliseconds > milliseconds
            }.map { snapshots[$0].snapshotID })
        guard kept.count < snapshots.count else { return next }
        next.snapshots = snapshots.filter { kept.contains($0.snapshotID) }
        for index in next.snapshots.indices {
            if let parent = next.snapshots[index].parentSnapshotID, !kept.contains(parent) {
                next.snapshots[index].parentSnapshotID = nil
            }
        }
        next.snapshotLog = snapshotLog.filter { kept.contains($0.snapshotID) }
        next.statistics = statistics.filter { kept.contains($0.snapshotID) }
        next.partitionStatistics = partitionStatistics.filter { kept.contains($0.snapshotID) }
        return next
    }
}

extension TableMetadata {
    /// The metadata file's bytes: JSON with sorted keys.
    package var encoded: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else {
            preconditionFailure("texts and whole numbers always encode")
        }
        return Array(data)
    }

    package init(decoding bytes: [UInt8]) throws(IcebergError) {
        struct Version: Decodable {
            let version: Int
            enum CodingKeys: String, CodingKey { case version = "format-version" }
        }
        let decoder = JSONDecoder()
        let data = Data(bytes)
        guard let found = try? decoder.decode(Version.self, from: data) else {
            throw IcebergError(.notMetadata, "this is no Iceberg table metadata")
        }
        guard found.version == Iceberg.formatVersion else {
            throw IcebergError(
                .unsupportedVersion,
                "expected Iceberg format version \(Iceberg.formatVersion), found \(found.version)")
        }
        do {
            self = try decoder.decode(TableMetadata.self, from: data)
        } catch {
            throw IcebergError(.notMetadata, "the Iceberg table metadata lack a required field")
        }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        formatVersion = try container.decode(Int.self, forKey: .formatVersion)
        tableUUID = try container.decode(String.self, forKey: .tableUUID)
        location = try container.decode(String.self, forKey: .location)
        lastSequenceNumber = try container.decode(Int64.self, forKey: .lastSequenceNumber)
        lastUpdatedMilliseconds = try container.decode(Int64.self, forKey: .lastUpdatedMilliseconds)
        lastColumnID = try container.decode(Int.self, forKey: .lastColumnID)
        currentSchemaID = try container.decode(Int.self, forKey: .currentSchemaID)
        schemas = try container.decode([IcebergSchema].self, forKey: .schemas)
        defaultSpecID = try container.decode(Int.self, forKey: .defaultSpecID)
        partitionSpecs = try container.decode([PartitionSpec].self, forKey: .partitionSpecs)
        lastPartitionID = try container.decode(Int.self, forKey: .lastPartitionID)
        defaultSortOrderID = try container.decode(Int.self, forKey: .defaultSortOrderID)
        sortOrders = try container.decode([SortOrder].self, forKey: .sortOrders)
        properties =
            try container.decodeIfPresent([String: String].self, forKey: .properties) ?? [:]
        // Some writers put -1 where there is no snapshot.
        currentSnapshotID = try container.decodeIfPresent(Int64.self, forKey: .currentSnapshotID)
            .flatMap { $0 == -1 ? nil : $0 }
        snapshots = try container.decodeIfPresent([Snapshot].self, forKey: .snapshots) ?? []
        refs = try container.decodeIfPresent([String: Reference].self, forKey: .refs) ?? [:]
        snapshotLog =
            try container.decodeIfPresent([SnapshotLogEntry].self, forKey: .snapshotLog) ?? []
        metadataLog =
            try container.decodeIfPresent([MetadataLogEntry].self, forKey: .metadataLog) ?? []
        statistics = try container.decodeIfPresent([StatisticsFile].self, forKey: .statistics) ?? []
        partitionStatistics =
            try container.decodeIfPresent([StatisticsFile].self, forKey: .partitionStatistics) ?? []
    }
}
