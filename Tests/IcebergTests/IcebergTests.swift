import Avro
import Iceberg
import TestSupport
import Testing

private enum Sample {
    static let schema = IcebergSchema(
        schemaID: 0,
        fields: [
            .init(id: 1, name: "ts", type: .primitive("timestamptz")),
            .init(id: 2, name: "due", type: .primitive("date"), doc: "last day"),
            .init(
                id: 3, name: "words",
                type: .list(elementID: 4, element: .primitive("string"), elementRequired: false)),
            .init(
                id: 5, name: "pairs",
                type: .map(
                    keyID: 6, key: .primitive("string"), valueID: 7, value: .primitive("string"),
                    valueRequired: false)),
            .init(
                id: 8, name: "inner",
                type: .structure([
                    .init(id: 9, name: "x", type: .primitive("long"), isRequired: true)
                ])
            ),
        ])
    static let spec = PartitionSpec(
        specID: 0,
        fields: [
            .init(sourceID: 1, fieldID: 1000, name: "ts_day", transform: .day),
            .init(sourceID: 2, fieldID: 1001, name: "due", transform: .identity),
        ])
    static let order = SortOrder(orderID: 1, fields: [.init(sourceID: 1)])

    static func metadata() -> TableMetadata {
        TableMetadata(
            tableUUID: "f0f1f2f3-0000-4000-8000-000000000001", location: "file:///lake/t",
            schema: schema, spec: spec, sortOrder: order, properties: ["a": "b"],
            updatedMilliseconds: 1000)
    }

    static func snapshot(_ number: Int64, at time: Int64, parent: Int64?) -> Snapshot {
        Snapshot(
            snapshotID: 100 + number, parentSnapshotID: parent, sequenceNumber: number,
            timestampMilliseconds: time,
            manifestList: "file:///lake/t/metadata/snap-\(number).avro",
            summary: ["operation": "append"], schemaID: 0)
    }

    static func file(_ generator: inout Generator) -> DataFile {
        func number() -> Int64 { .random(in: 0...(.max), using: &generator) }
        return DataFile(
            path: "file:///lake/t/data/\(number()).parquet",
            partition: [
                generator.chance(0.2) ? nil : .random(in: -9...30_000, using: &generator),
                .random(in: 0...30_000, using: &generator),
            ],
            recordCount: number() >> 8, fileBytes: number(),
            columnBytes: [1: number(), 2: number()],
            valueCounts: [1: number()], nullCounts: generator.chance(0.5) ? [:] : [4: number()],
            lowerBounds: [1: generator.bytes(count: 8)],
            upperBounds: [1: generator.bytes(count: 8)],
            splitOffsets: generator.chance(0.5) ? [] : [4, 9000], sortOrderID: 1)
    }
}

@Suite struct `Table metadata` {
    @Test func `metadata with snapshots comes back as they were written`() throws {
        let metadata = Sample.metadata()
            .adding(Sample.snapshot(1, at: 2000, parent: nil))
            .adding(Sample.snapshot(2, at: 3000, parent: 101))
        #expect(try TableMetadata(decoding: metadata.encoded) == metadata)
    }

    @Test func `a snapshot id beyond the precision of a double is kept exactly`() throws {
        var metadata = Sample.metadata()
        var snapshot = Sample.snapshot(1, at: 2000, parent: nil)
        snapshot.snapshotID = 9_007_199_254_740_993
        metadata = metadata.adding(snapshot)
        #expect(
            try TableMetadata(decoding: metadata.encoded).currentSnapshotID == 9_007_199_254_740_993
        )
    }

    @Test func `every field that version 2 requires stands in the file of a new table`() throws {
        let text = String(decoding: Sample.metadata().encoded, as: UTF8.self)
        for key in [
            "format-version", "table-uuid", "location", "last-sequence-number", "last-updated-ms",
            "last-column-id", "schemas", "current-schema-id", "partition-specs", "default-spec-id",
            "last-partition-id", "sort-orders", "default-sort-order-id",
        ] {
            #expect(text.contains("\"\(key)\":"), "\(key)")
        }
        #expect(text.contains("\"last-column-id\":9"))
        #expect(text.contains("\"last-partition-id\":1001"))
    }

    @Test func `time never runs back in the log`() {
        let metadata = Sample.metadata()
            .adding(Sample.snapshot(1, at: 5000, parent: nil))
            .adding(Sample.snapshot(2, at: 4000, parent: 101))
        #expect(metadata.lastUpdatedMilliseconds == 5000)
        #expect(metadata.snapshotLog.map(\.timestampMilliseconds) == [5000, 5000])
    }

    @Test func `keeping the current snapshot names nothing of the others`() {
        var metadata = Sample.metadata()
            .adding(Sample.snapshot(1, at: 2000, parent: nil))
            .adding(Sample.snapshot(2, at: 3000, parent: 101))
        metadata.refs["tag"] = .init(snapshotID: 101, type: "tag")
        metadata.metadataLog = [.init(metadataFile: "old", timestampMilliseconds: 1)]
        let kept = metadata.keepingCurrentSnapshotOnly(updatedMilliseconds: 4000)
        let text = String(decoding: kept.encoded, as: UTF8.self)
        #expect(!text.contains("101") && !text.contains("snap-1.avro") && !text.contains("old"))
        #expect(kept.currentSnapshotID == 102)
        #expect(kept.refs == ["main": .init(snapshotID: 102)])
    }

    @Test func `bounding keeps the newest snapshots and no dangling parent`() {
        var metadata = Sample.metadata()
        for number in 1...5 as ClosedRange<Int64> {
            metadata = metadata.adding(
                Sample.snapshot(number, at: number, parent: number == 1 ? nil : 99 + number))
        }
        let bounded = metadata.bounded(
            snapshotsMin: 2, supersededBefore: .max, metadataLogMax: 3)
        #expect(bounded.snapshots.map(\.snapshotID) == [104, 105])
        #expect(bounded.snapshots.map(\.parentSnapshotID) == [nil, 104])
        #expect(bounded.snapshotLog.map(\.snapshotID) == [104, 105])
    }

    @Test func `a snapshot stays for its time after another took its place`() throws {
        var metadata = Sample.metadata()
        for number in 1...5 as ClosedRange<Int64> {
            metadata = metadata.adding(
                Sample.snapshot(number, at: number, parent: number == 1 ? nil : 99 + number))
        }
        // The second was current until the third came: who opened it just before may still read it.
        let third = try #require(
            metadata.snapshots.first { $0.snapshotID == 103 }?.timestampMilliseconds)
        func kept(_ before: Int64) -> [Int64] {
            metadata.bounded(snapshotsMin: 1, supersededBefore: before, metadataLogMax: 3)
                .snapshots.map(\.snapshotID)
        }
        #expect(kept(third - 1) == [102, 103, 104, 105])
        #expect(kept(third) == [103, 104, 105])
        #expect(kept(.max) == [105])
        #expect(kept(.min) == [101, 102, 103, 104, 105])
    }

    @Test func `another format version is refused by its number`() {
        let text = String(decoding: Sample.metadata().encoded, as: UTF8.self)
            .replacing("\"format-version\":2", with: "\"format-version\":3")
        #expect(
            throws: IcebergError(.unsupportedVersion, "expected Iceberg format version 2, found 3")
        ) {
            try TableMetadata(decoding: Array(text.utf8))
        }
    }

    @Test(arguments: ["", "{}", "[]", "{\"format-version\":2}"])
    func `a file that is no metadata is refused`(_ text: String) {
        #expect(throws: IcebergError.self) { try TableMetadata(decoding: Array(text.utf8)) }
    }

    @Test(arguments: ["identity", "day", "hour", "void", "bucket[16]", "truncate[4]"])
    func `transforms keep their text`(_ text: String) throws {
        #expect(try Transform(parsing: text).text == text)
    }

    @Test(arguments: ["", "days", "bucket[0]", "bucket[", "bucket[1", "truncate[x]"])
    func `an unknown transform is refused`(_ text: String) {
        #expect(throws: IcebergError.self) { try Transform(parsing: text) }
    }
}

@Suite struct `Manifests` {
    @Test func `entries come back, and added ones inherit the numbers of their list entry`() throws
    {
        var generator = Generator()
        for _ in 0..<50 {
            let entries = (0..<Int.random(in: 1...5, using: &generator)).map { index in
                index % 2 == 0
                    ? ManifestEntry.added(Sample.file(&generator), snapshotID: 9)
                    : ManifestEntry(
                        status: .existing, snapshotID: 3, sequenceNumber: 2, fileSequenceNumber: 2,
                        file: Sample.file(&generator))
            }
            let manifest = Manifest(schema: Sample.schema, spec: Sample.spec, entries: entries)
            let bytes = manifest.encoded(sync: 5)
            let listed = ManifestFile(
                describing: manifest, path: "file:///m", bytes: bytes.count, snapshotID: 9,
                sequenceNumber: 7)
            let back = try Manifest(decoding: bytes, listedAs: listed)
            var expected = manifest
            for index in expected.entries.indices where expected.entries[index].status == .added {
                expected.entries[index].sequenceNumber = 7
                expected.entries[index].fileSequenceNumber = 7
            }
            #expect(back == expected, "seed \(generator.seed)")
            #expect(listed.addedFiles + listed.existingFiles == Int32(entries.count))
        }
    }

    @Test func `a manifest list comes back as it was written`() throws {
        var generator = Generator()
        let manifest = Manifest(
            schema: Sample.schema, spec: Sample.spec,
            entries: (0..<3).map { _ in .added(Sample.file(&generator), snapshotID: 4) })
        let file = ManifestFile(
            describing: manifest, path: "file:///m", bytes: 99, snapshotID: 4, sequenceNumber: 2)
        let list = ManifestList(manifests: [file, file])
        let bytes = list.encoded(for: Sample.snapshot(2, at: 1, parent: nil), sync: 3)
        #expect(try ManifestList(decoding: bytes) == list, "seed \(generator.seed)")
    }

    @Test func `the summary of partitions spans the entries`() {
        let manifest = Manifest(
            schema: Sample.schema, spec: Sample.spec,
            entries: [[10, nil], [-5, 7], [3, 9]].map {
                .added(
                    DataFile(path: "p", partition: $0, recordCount: 1, fileBytes: 1), snapshotID: 1)
            })
        let file = ManifestFile(
            describing: manifest, path: "m", bytes: 1, snapshotID: 1, sequenceNumber: 1)
        #expect(file.partitions[0].lowerBound == SingleValue.date(-5).encoded)
        #expect(file.partitions[0].upperBound == SingleValue.date(10).encoded)
        #expect(file.partitions.map(\.containsNull) == [false, true])
    }

    @Test func `a manifest of another kind of records is refused`() {
        let bytes = AvroFile(
            schema: .record(.init(name: "r", fields: [.init("a", .long)])), metadata: [:],
            records: [.record([.long(1)])]
        ).encoded(sync: 1)
        #expect(throws: IcebergError.self) { try ManifestList(decoding: bytes) }
    }
}

@Suite struct `Bounds` {
    @Test func `a cut upper bound is never below, a cut lower bound never above`() {
        var generator = Generator()
        let letters: [Unicode.Scalar] = [
            "a", "z", "é", "\u{7F}", "\u{D7FF}", "\u{FFFF}", "\u{10FFFF}",
        ]
        for _ in 0..<2000 {
            let count = Int.random(in: 0...20, using: &generator)
            let text = String(
                String.UnicodeScalarView(
                    (0..<count).map { _ in letters.randomElement(using: &generator)! }))
            if case .string(let lower) = SingleValue.lowerBound(of: text) {
                #expect(lower.unicodeScalars.count <= 16)
                #expect(!text.utf8.lexicographicallyPrecedes(lower.utf8), "seed \(generator.seed)")
            }
            if case .string(let upper)? = SingleValue.upperBound(of: text) {
                #expect(upper.unicodeScalars.count <= 16)
                #expect(!upper.utf8.lexicographicallyPrecedes(text.utf8), "seed \(generator.seed)")
            }
        }
    }

    @Test func `a text of the largest scalars has no upper bound`() {
        #expect(SingleValue.upperBound(of: String(repeating: "\u{10FFFF}", count: 17)) == nil)
    }

    @Test func `numbers stand least significant byte first`() {
        #expect(SingleValue.int(34).encoded == [0x22, 0, 0, 0])
        #expect(SingleValue.timestamptz(-2).encoded == [0xFE] + [UInt8](repeating: 0xFF, count: 7))
    }
}
