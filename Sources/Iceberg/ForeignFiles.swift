import Avro

/// A manifest list that another writer made, as far as judging it needs: any partition type, any content.
package struct ForeignManifestList: Sendable {
    package struct Entry: Hashable, Sendable {
        package var path: String
        package var bytes: Int64
        /// 0: data files; 1: files that say which rows are deleted.
        package var content: Int64
        package var sequenceNumber: Int64
        package var addedSnapshotID: Int64
    }

    package var entries: [Entry]

    package init(
        decoding bytes: [UInt8], inflate: @escaping ([UInt8]) throws -> [UInt8]
    ) throws {
        let avro = try AvroFile(decoding: bytes, inflate: inflate)
        entries = try avro.records.map { record in
            let record = try RecordReader(record, avro.schema)
            guard let path = record.string(500), let bytes = record.long(501),
                let snapshot = record.long(503)
            else {
                throw IcebergError(
                    .notAManifestList, "a manifest list entry lacks a required field")
            }
            return Entry(
                path: path, bytes: bytes, content: record.long(517) ?? 0,
                sequenceNumber: record.long(515) ?? 0, addedSnapshotID: snapshot)
        }
    }
}

/// A manifest that another writer made, as far as judging it needs.
package struct ForeignManifest: Sendable {
    package struct Entry: Hashable, Sendable {
        package var status: Int64
        package var content: Int64
        package var path: String
        package var format: String
        package var recordCount: Int64
        package var fileBytes: Int64
    }

    package var entries: [Entry]

    package init(
        decoding bytes: [UInt8], inflate: @escaping ([UInt8]) throws -> [UInt8]
    ) throws {
        let avro = try AvroFile(decoding: bytes, inflate: inflate)
        entries = try avro.records.map { record in
            let record = try RecordReader(record, avro.schema)
            guard let status = record.long(0), let file = record.record(2),
                let path = file.string(100), let format = file.string(101),
                let recordCount = file.long(103), let fileBytes = file.long(104),
                (0...2).contains(status)
            else {
                throw IcebergError(
                    .notAManifest, "a manifest entry lacks a required field of a data file")
            }
            return Entry(
                status: status, content: file.long(134) ?? 0, path: path, format: format,
                recordCount: recordCount, fileBytes: fileBytes)
        }
    }
}
