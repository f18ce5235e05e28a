import Avro

/// One manifest, as the manifest list of a snapshot describes it.
package struct ManifestFile: Hashable, Sendable {
    package var path: String
    package var bytes: Int64
    package var specID: Int32
    package var sequenceNumber: Int64
    package var minSequenceNumber: Int64
    package var addedSnapshotID: Int64
    package var addedFiles: Int32
    package var existingFiles: Int32
    package var deletedFiles: Int32
    package var addedRows: Int64
    package var existingRows: Int64
    package var deletedRows: Int64
    package var partitions: [PartitionSummary]

    /// The values of one partition field over a manifest's entries.
    package struct PartitionSummary: Hashable, Sendable {
        package var containsNull: Bool
        package var lowerBound: [UInt8]?
        package var upperBound: [UInt8]?
    }

    /// The entry for a manifest that a new snapshot writes.
    ///
    /// - Parameter sequenceNumber: of the new snapshot.
    package init(
        describing manifest: Manifest, path: String, bytes: Int, snapshotID: Int64,
        sequenceNumber: Int64
    ) {
        self.path = path
        self.bytes = Int64(bytes)
        specID = Int32(manifest.spec.specID)
        self.sequenceNumber = sequenceNumber
        minSequenceNumber =
            manifest.entries.map { $0.sequenceNumber ?? sequenceNumber }.min()
            ?? sequenceNumber
        addedSnapshotID = snapshotID
        func count(_ status: ManifestEntry.Status) -> Int32 {
            Int32(manifest.entries.count { $0.status == status })
        }
        func rows(_ status: ManifestEntry.Status) -> Int64 {
            manifest.entries.reduce(0) { $0 + ($1.status == status ? $1.file.recordCount : 0) }
        }
        addedFiles = count(.added)
        existingFiles = count(.existing)
        deletedFiles = count(.deleted)
        addedRows = rows(.added)
        existingRows = rows(.existing)
        deletedRows = rows(.deleted)
        partitions = manifest.spec.fields.indices.map { index in
            let values = manifest.entries.map { $0.file.partition[index] }
            let known = values.compactMap(\.self)
            return PartitionSummary(
                containsNull: known.count < values.count,
                lowerBound: known.min().map { SingleValue.date($0).encoded },
                upperBound: known.max().map { SingleValue.date($0).encoded })
        }
    }
}

/// A snapshot's list of manifests.
package struct ManifestList: Equatable, Sendable {
    package var manifests: [ManifestFile]

    package init(manifests: [ManifestFile]) { self.manifests = manifests }

    private static let avroSchema: AvroSchema = {
        func optional(_ name: String, _ type: AvroSchema, id: Int) -> AvroSchema.Field {
            .init(name, .optional(type), id: id, defaultsToNull: true)
        }
        let summary = AvroSchema.record(
            .init(
                name: "r508",
                fields: [
                    .init("contains_null", .boolean, id: 509),
                    optional("contains_nan", .boolean, id: 518),
                    optional("lower_bound", .bytes, id: 510),
                    optional("upper_bound", .bytes, id: 511),
                ]))
        return .record(
            .init(
                name: "manifest_file",
                fields: [
                    .init("manifest_path", .string, id: 500),
                    .init("manifest_length", .long, id: 501),
                    .init("partition_spec_id", .int, id: 502), .init("content", .int, id: 517),
                    .init("sequence_number", .long, id: 515),
                    .init("min_sequence_number", .long, id: 516),
                    .init("added_snapshot_id", .long, id: 503),
                    .init("added_files_count", .int, id: 504),
                    .init("existing_files_count", .int, id: 505),
                    .init("deleted_files_count", .int, id: 506),
                    .init("added_rows_count", .long, id: 512),
                    .init("existing_rows_count", .long, id: 513),
                    .init("deleted_rows_count", .long, id: 514),
                    optional("partitions", .array(summary, elementID: 508), id: 507),
                    optional("key_metadata", .bytes, id: 519),
                ]))
    }()

    /// The list's bytes.
    ///
    /// - Parameter sync: 16 random bytes for the Avro container.
    package func encoded(for snapshot: Snapshot, sync: UInt128) -> [UInt8] {
        var metadata = [
            "snapshot-id": "\(snapshot.snapshotID)",
            "sequence-number": "\(snapshot.sequenceNumber)",
            "format-version": "\(Iceberg.formatVersion)",
        ]
        metadata["parent-snapshot-id"] = snapshot.parentSnapshotID.map { "\($0)" } ?? "null"
        let file = AvroFile(
            schema: Self.avroSchema, metadata: metadata.mapValues { Array($0.utf8) },
            records: manifests.map(Self.value))
        return file.encoded(sync: sync)
    }

    private static func value(_ manifest: ManifestFile) -> AvroValue {
        .record([
            .string(manifest.path), .long(manifest.bytes), .int(manifest.specID), .int(0),
            .long(manifest.sequenceNumber), .long(manifest.minSequenceNumber),
            .long(manifest.addedSnapshotID), .int(manifest.addedFiles),
            .int(manifest.existingFiles), .int(manifest.deletedFiles), .long(manifest.addedRows),
            .long(manifest.existingRows), .long(manifest.deletedRows),
            .optional(
                .array(
                    manifest.partitions.map {
                        .record([
                            .boolean($0.containsNull), .optional(nil),
                            .optional($0.lowerBound.map(AvroValue.bytes)),
                            .optional($0.upperBound.map(AvroValue.bytes)),
                        ])
                    })),
            .optional(nil),
        ])
    }

    /// Reads a manifest list; one that names delete manifests is refused, as no reader here applies them.
    package init(decoding bytes: [UInt8]) throws {
        let avro = try AvroFile(decoding: bytes)
        manifests = try avro.records.map { record in
            let record = try RecordReader(record, avro.schema)
            guard record.long(517) ?? 0 == 0 else {
                throw IcebergError(
                    .notAManifestList, "expected data manifests, found a delete manifest")
            }
            guard let manifest = ManifestFile(record) else {
                throw IcebergError(
                    .notAManifestList, "a manifest list entry lacks a required field")
            }
            return manifest
        }
    }
}

extension ManifestFile {
    fileprivate init?(_ record: RecordReader) {
        guard let path = record.string(500), let bytes = record.long(501),
            let specID = record.long(502), let snapshot = record.long(503)
        else { return nil }
        func count(_ id: Int) -> Int32 { record.long(id).flatMap { Int32(exactly: $0) } ?? 0 }
        self.path = path
        self.bytes = bytes
        self.specID = Int32(clamping: specID)
        sequenceNumber = record.long(515) ?? 0
        minSequenceNumber = record.long(516) ?? 0
        addedSnapshotID = snapshot
        addedFiles = count(504)
        existingFiles = count(505)
        deletedFiles = count(506)
        addedRows = record.long(512) ?? 0
        existingRows = record.long(513) ?? 0
        deletedRows = record.long(514) ?? 0
        partitions = record.records(507).map {
            PartitionSummary(
                containsNull: $0.boolean(509) ?? true, lowerBound: $0.bytes(510),
                upperBound: $0.bytes(511))
        }
    }
}
