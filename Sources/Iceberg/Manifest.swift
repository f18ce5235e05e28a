import Avro
import Bytes
import FoundationEssentials

/// One data file of a table, as a manifest describes it.
package struct DataFile: Hashable, Sendable {
    /// URI of the file.
    package var path: String
    /// Days since 1970-01-01 for each field of the partition spec, which all are dates here.
    package var partition: [Int32?]
    package var recordCount: Int64
    package var fileBytes: Int64
    /// By field id.
    package var columnBytes: [Int: Int64]
    package var valueCounts: [Int: Int64]
    package var nullCounts: [Int: Int64]
    package var lowerBounds: [Int: [UInt8]]
    package var upperBounds: [Int: [UInt8]]
    /// Where row groups start, ascending.
    package var splitOffsets: [Int64]
    package var sortOrderID: Int32?

    package init(
        path: String, partition: [Int32?], recordCount: Int64, fileBytes: Int64,
        columnBytes: [Int: Int64] = [:], valueCounts: [Int: Int64] = [:],
        nullCounts: [Int: Int64] = [:], lowerBounds: [Int: [UInt8]] = [:],
        upperBounds: [Int: [UInt8]] = [:], splitOffsets: [Int64] = [], sortOrderID: Int32? = nil
    ) {
        self.path = path
        self.partition = partition
        self.recordCount = recordCount
        self.fileBytes = fileBytes
        self.columnBytes = columnBytes
        self.valueCounts = valueCounts
        self.nullCounts = nullCounts
        self.lowerBounds = lowerBounds
        self.upperBounds = upperBounds
        self.splitOffsets = splitOffsets
        self.sortOrderID = sortOrderID
    }
}

/// A data file with how it came to be in the table.
package struct ManifestEntry: Hashable, Sendable {
    package enum Status: Int32, Sendable {
        case existing = 0
        case added = 1
        case deleted = 2
    }
    package var status: Status
    package var snapshotID: Int64?
    /// nil where it is inherited from the manifest list (only of added files).
    package var sequenceNumber: Int64?
    package var fileSequenceNumber: Int64?
    package var file: DataFile

    package init(
        status: Status, snapshotID: Int64?, sequenceNumber: Int64?, fileSequenceNumber: Int64?,
        file: DataFile
    ) {
        self.status = status
        self.snapshotID = snapshotID
        self.sequenceNumber = sequenceNumber
        self.fileSequenceNumber = fileSequenceNumber
        self.file = file
    }

    /// A file that the snapshot being made adds.
    package static func added(_ file: DataFile, snapshotID: Int64) -> ManifestEntry {
        ManifestEntry(
            status: .added, snapshotID: snapshotID, sequenceNumber: nil, fileSequenceNumber: nil,
            file: file)
    }

    /// The same file in a manifest of a later snapshot. Both numbers must stand there by then.
    package var carriedOver: ManifestEntry {
        precondition(
            sequenceNumber != nil && fileSequenceNumber != nil,
            "an entry is carried over with its sequence numbers")
        var entry = self
        entry.status = .existing
        return entry
    }
}

/// A manifest: entries of one partition spec.
package struct Manifest: Equatable, Sendable {
    package var schema: IcebergSchema
    package var spec: PartitionSpec
    package var entries: [ManifestEntry]

    package init(schema: IcebergSchema, spec: PartitionSpec, entries: [ManifestEntry]) {
        self.schema = schema
        self.spec = spec
        self.entries = entries
    }
}

extension Manifest {
    /// The Avro schema of `manifest_entry` for a spec whose fields all are dates.
    private static func avroSchema(_ spec: PartitionSpec) -> AvroSchema {
        func counts(_ name: String, _ id: Int, key: Int, value: Int, _ type: AvroSchema)
            -> AvroSchema.Field
        {
            let entry = AvroSchema.record(
                .init(
                    name: "k\(key)_v\(value)",
                    fields: [.init("key", .int, id: key), .init("value", type, id: value)]))
            return .init(
                name, .optional(.array(entry, logicalType: "map")), id: id, defaultsToNull: true)
        }
        func optional(_ name: String, _ type: AvroSchema, id: Int) -> AvroSchema.Field {
            .init(name, .optional(type), id: id, defaultsToNull: true)
        }
        let partition = AvroSchema.record(
            .init(
                name: "r102",
                fields: spec.fields.map { optional($0.name, .date, id: $0.fieldID) }))
        let file = AvroSchema.record(
            .init(
                name: "r2",
                fields: [
                    .init("content", .int, id: 134), .init("file_path", .string, id: 100),
                    .init("file_format", .string, id: 101), .init("partition", partition, id: 102),
                    .init("record_count", .long, id: 103),
                    .init("file_size_in_bytes", .long, id: 104),
                    counts("column_sizes", 108, key: 117, value: 118, .long),
                    counts("value_counts", 109, key: 119, value: 120, .long),
                    counts("null_value_counts", 110, key: 121, value: 122, .long),
                    counts("nan_value_counts", 137, key: 138, value: 139, .long),
                    counts("lower_bounds", 125, key: 126, value: 127, .bytes),
                    counts("upper_bounds", 128, key: 129, value: 130, .bytes),
                    optional("key_metadata", .bytes, id: 131),
                    optional("split_offsets", .array(.long, elementID: 133), id: 132),
                    optional("equality_ids", .array(.int, elementID: 136), id: 135),
                    optional("sort_order_id", .int, id: 140),
                ]))
        return .record(
            .init(
                name: "manifest_entry",
                fields: [
                    .init("status", .int, id: 0), optional("snapshot_id", .long, id: 1),
                    optional("sequence_number", .long, id: 3),
                    optional("file_sequence_number", .long, id: 4),
                    .init("data_file", file, id: 2),
                ]))
    }

    /// The manifest's bytes.
    ///
    /// - Parameter sync: 16 random bytes for the Avro container.
    package func encoded(sync: UInt128) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let schemaText = try? encoder.encode(schema),
            let specText = try? encoder.encode(spec.fields)
        else { preconditionFailure("texts and whole numbers always encode") }
        let file = AvroFile(
            schema: Self.avroSchema(spec),
            metadata: [
                "schema": Array(schemaText), "schema-id": Array("\(schema.schemaID)".utf8),
                "partition-spec": Array(specText),
                "partition-spec-id": Array("\(spec.specID)".utf8),
                "format-version": Array("\(Iceberg.formatVersion)".utf8),
                "content": Array("data".utf8),
            ],
            records: entries.map(Self.value))
        return file.encoded(sync: sync)
    }

    private static func value(_ entry: ManifestEntry) -> AvroValue {
        func map<Value>(_ counts: [Int: Value], _ make: (Value) -> AvroValue) -> AvroValue {
            guard !counts.isEmpty else { return .optional(nil) }
            return .optional(
                .array(
                    counts.sorted { $0.key < $1.key }.map {
                        .record([.int(Int32($0.key)), make($0.value)])
                    }))
        }
        let file = entry.file
        return .record([
            .int(entry.status.rawValue), .optional(entry.snapshotID.map(AvroValue.long)),
            .optional(entry.sequenceNumber.map(AvroValue.long)),
            .optional(entry.fileSequenceNumber.map(AvroValue.long)),
            .record([
                .int(0), .string(file.path), .string("PARQUET"),
                .record(file.partition.map { .optional($0.map(AvroValue.int)) }),
                .long(file.recordCount), .long(file.fileBytes),
                map(file.columnBytes, AvroValue.long), map(file.valueCounts, AvroValue.long),
                map(file.nullCounts, AvroValue.long), .optional(nil),
                map(file.lowerBounds, AvroValue.bytes), map(file.upperBounds, AvroValue.bytes),
                .optional(nil),
                .optional(
                    file.splitOffsets.isEmpty
                        ? nil : .array(file.splitOffsets.map(AvroValue.long))),
                .optional(nil), .optional(file.sortOrderID.map(AvroValue.int)),
            ]),
        ])
    }

    /// Reads a manifest of data files whose partition fields all are dates.
    ///
    /// Fields are found by their id, so manifests of other writers are read as well. Sequence numbers that are
    /// inherited are filled in from `file`, the manifest's own entry in the manifest list.
    package init(decoding bytes: [UInt8], listedAs file: ManifestFile) throws {
        let avro = try AvroFile(decoding: bytes)
        func text(_ key: String) -> Data? { avro.metadata[key].map { Data($0) } }
        let decoder = JSONDecoder()
        guard let schemaText = text("schema"), let specText = text("partition-spec"),
            let specID = avro.metadata["partition-spec-id"].flatMap({
                Int(String(decoding: $0, as: UTF8.self))
            }),
            let schema = try? decoder.decode(IcebergSchema.self, from: schemaText),
            let fields = try? decoder.decode([PartitionSpec.Field].self, from: specText)
        else {
            throw IcebergError(.notAManifest, "the manifest lacks its schema or partition spec")
        }
        self.schema = schema
        spec = PartitionSpec(specID: specID, fields: fields)
        entries = []
        for record in avro.records {
            var entry = try Self.entry(RecordReader(record, avro.schema), fields: fields.count)
            entry.snapshotID = entry.snapshotID ?? file.addedSnapshotID
            if entry.status == .added {
                entry.sequenceNumber = entry.sequenceNumber ?? file.sequenceNumber
                entry.fileSequenceNumber = entry.fileSequenceNumber ?? file.sequenceNumber
            }
            entries.append(entry)
        }
    }

    private static func entry(_ record: RecordReader, fields: Int) throws -> ManifestEntry {
        guard let status = record.long(0).flatMap({ ManifestEntry.Status(rawValue: Int32($0)) }),
            let file = record.record(2), file.long(134) ?? 0 == 0, let path = file.string(100),
            let partition = file.record(102), let recordCount = file.long(103),
            let fileBytes = file.long(104), partition.count == fields
        else {
            throw IcebergError(
                .notAManifest, "a manifest entry lacks a required field of a data file")
        }
        return ManifestEntry(
            status: status, snapshotID: record.long(1), sequenceNumber: record.long(3),
            fileSequenceNumber: record.long(4),
            file: DataFile(
                path: path, partition: partition.longs.map { $0.flatMap { Int32(exactly: $0) } },
                recordCount: recordCount, fileBytes: fileBytes,
                columnBytes: file.longMap(108), valueCounts: file.longMap(109),
                nullCounts: file.longMap(110), lowerBounds: file.bytesMap(125),
                upperBounds: file.bytesMap(128), splitOffsets: file.longList(132),
                sortOrderID: file.long(140).flatMap { Int32(exactly: $0) }))
    }
}
