import Foundation
import TestSupport
import Testing

@testable import Iceberg

@Suite struct `A commit to a table` {
    private static let uuid = "9c12d441-03fe-4693-9a96-a0705ddf69c1"
    private static let schema = IcebergSchema(
        schemaID: 0,
        fields: [
            .init(id: 1, name: "id", type: .primitive("long"), isRequired: true),
            .init(id: 2, name: "day", type: .primitive("date")),
            .init(
                id: 3, name: "tags",
                type: .list(elementID: 4, element: .primitive("string"), elementRequired: false)),
        ])

    private static let creation: [TableUpdate] = [
        .assignUUID(uuid), .upgradeFormatVersion(2), .addSchema(schema), .setCurrentSchema(-1),
        .addSpec(.init(fields: [.init(sourceID: 2, name: "day", transform: .identity)])),
        .setDefaultSpec(-1), .addSortOrder(.init(orderID: 0, fields: [])),
        .setDefaultSortOrder(-1), .setLocation("file:///lake/t/"), .setProperties([:]),
    ]

    private let base: TableMetadata

    init() throws {
        base = try TableMetadata.applying(
            Self.creation, to: nil, replacing: nil, requiring: [.create], at: 1000)
    }

    private func apply(
        _ updates: TableUpdate..., to table: TableMetadata? = nil,
        requiring requirements: [TableRequirement] = []
    ) throws(CommitFailure) -> TableMetadata {
        try TableMetadata.applying(
            updates, to: table ?? base, replacing: "file:///lake/t/metadata/0.json",
            requiring: requirements, at: 2000)
    }

    private static func snapshot(
        _ id: Int64, sequence: Int64, parent: Int64? = nil
    ) -> Snapshot {
        Snapshot(
            snapshotID: id, parentSnapshotID: parent, sequenceNumber: sequence,
            timestampMilliseconds: 1500, manifestList: "file:///lake/t/metadata/\(id).avro",
            summary: ["operation": "append"], schemaID: 0)
    }

    private func appended() throws -> TableMetadata {
        try apply(
            .addSnapshot(Self.snapshot(7, sequence: 1)),
            .setSnapshotRef(name: "main", .init(snapshotID: 7)))
    }

    @Test func `a table is made of updates alone, whole and readable`() throws {
        #expect(base.tableUUID == Self.uuid && base.location == "file:///lake/t")
        #expect(base.currentSchemaID == 0 && base.lastColumnID == 4)
        #expect(base.partitionSpecs[0].fields[0].fieldID == 1000 && base.lastPartitionID == 1000)
        #expect(base.sortOrders == [.init(orderID: 0, fields: [])])
        #expect(try TableMetadata(decoding: base.encoded) == base)
        #expect(base.metadataLog.isEmpty)
    }

    @Test(arguments: Array(creation.indices.filter { [0, 2, 3, 8].contains($0) }))
    func `a table without identity, schema or place is not made`(_ missing: Int) {
        var updates = Self.creation
        updates.remove(at: missing)
        #expect(throws: CommitFailure.self) {
            try TableMetadata.applying(
                updates, to: nil, replacing: nil, requiring: [.create], at: 1000)
        }
    }

    // MARK: Requirements

    struct Requirement: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let json: String
        let holds: Bool
    }

    static let requirements = [
        Requirement(
            testDescription: "uuid", json: #"{"type":"assert-table-uuid","uuid":"\#(uuid)"}"#,
            holds: true),
        Requirement(
            testDescription: "other uuid",
            json: #"{"type":"assert-table-uuid","uuid":"00000000-0000-0000-0000-000000000000"}"#,
            holds: false),
        Requirement(
            testDescription: "create", json: #"{"type":"assert-create"}"#, holds: false),
        Requirement(
            testDescription: "ref",
            json: #"{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":7}"#,
            holds: true),
        Requirement(
            testDescription: "ref elsewhere",
            json: #"{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":8}"#, holds: false),
        Requirement(
            testDescription: "ref that must not be",
            json: #"{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":null}"#,
            holds: false),
        Requirement(
            testDescription: "ref that is not",
            json: #"{"type":"assert-ref-snapshot-id","ref":"audit","snapshot-id":null}"#,
            holds: true),
        Requirement(
            testDescription: "field id",
            json: #"{"type":"assert-last-assigned-field-id","last-assigned-field-id":4}"#,
            holds: true),
        Requirement(
            testDescription: "older field id",
            json: #"{"type":"assert-last-assigned-field-id","last-assigned-field-id":3}"#,
            holds: false),
        Requirement(
            testDescription: "schema id",
            json: #"{"type":"assert-current-schema-id","current-schema-id":0}"#, holds: true),
        Requirement(
            testDescription: "older schema id",
            json: #"{"type":"assert-current-schema-id","current-schema-id":1}"#, holds: false),
        Requirement(
            testDescription: "partition id",
            json:
                #"{"type":"assert-last-assigned-partition-id","last-assigned-partition-id":1000}"#,
            holds: true),
        Requirement(
            testDescription: "older partition id",
            json: #"{"type":"assert-last-assigned-partition-id","last-assigned-partition-id":999}"#,
            holds: false),
        Requirement(
            testDescription: "spec id",
            json: #"{"type":"assert-default-spec-id","default-spec-id":0}"#, holds: true),
        Requirement(
            testDescription: "other spec id",
            json: #"{"type":"assert-default-spec-id","default-spec-id":1}"#, holds: false),
        Requirement(
            testDescription: "sort order id",
            json: #"{"type":"assert-default-sort-order-id","default-sort-order-id":0}"#, holds: true
        ),
        Requirement(
            testDescription: "other sort order id",
            json: #"{"type":"assert-default-sort-order-id","default-sort-order-id":1}"#,
            holds: false),
    ]

    @Test(arguments: requirements) func `a requirement holds or the commit is refused`(
        _ requirement: Requirement
    ) throws {
        let table = try appended()
        let read = try JSONDecoder().decode(
            TableRequirement.self, from: Data(requirement.json.utf8))
        if requirement.holds {
            _ = try apply(to: table, requiring: [read])
        } else {
            let failure = #expect(throws: CommitFailure.self) {
                try apply(to: table, requiring: [read])
            }
            #expect(failure?.code == .requirement)
        }
        if read != .create {
            #expect(throws: CommitFailure.self) { try read.require(of: nil) }
        }
    }

    @Test(arguments: [#"{"type":"assert-weather"}"#, #"{"action":"add-weather"}"#])
    func `what is not known is refused, never passed over`(_ json: String) {
        let failure = #expect(throws: CommitFailure.self) {
            if json.contains("type") {
                _ = try JSONDecoder().decode(TableRequirement.self, from: Data(json.utf8))
            } else {
                _ = try JSONDecoder().decode(TableUpdate.self, from: Data(json.utf8))
            }
        }
        #expect(failure?.code == .unsupported)
    }

    // MARK: Updates

    struct Wrong: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let updates: [TableUpdate]
    }

    private static func adding(_ fields: IcebergSchema.Field...) -> TableUpdate {
        .addSchema(.init(schemaID: 1, fields: schema.fields + fields))
    }

    static let wrong: [Wrong] = [
        Wrong(
            testDescription: "another uuid",
            updates: [.assignUUID("9c12d441-03fe-4693-9a96-a0705ddf69c2")]),
        Wrong(testDescription: "format version 3", updates: [.upgradeFormatVersion(3)]),
        Wrong(testDescription: "format version 1", updates: [.upgradeFormatVersion(1)]),
        Wrong(testDescription: "an unknown schema", updates: [.setCurrentSchema(9)]),
        Wrong(testDescription: "-1 without an added schema", updates: [.setCurrentSchema(-1)]),
        Wrong(testDescription: "an unknown spec", updates: [.setDefaultSpec(9)]),
        Wrong(testDescription: "an unknown order", updates: [.setDefaultSortOrder(9)]),
        Wrong(
            testDescription: "a field id used before",
            updates: [
                adding(.init(id: 5, name: "a", type: .primitive("int"))), .setCurrentSchema(-1),
                .addSchema(.init(schemaID: 2, fields: schema.fields)), .setCurrentSchema(0),
                .addSchema(
                    .init(
                        schemaID: 3,
                        fields: schema.fields + [
                            .init(id: 5, name: "b", type: .primitive("string"))
                        ])),
            ]),
        Wrong(
            testDescription: "a type that narrows",
            updates: [
                .addSchema(
                    .init(
                        schemaID: 1,
                        fields: [
                            .init(id: 1, name: "id", type: .primitive("int"), isRequired: true)
                        ]))
            ]),
        Wrong(
            testDescription: "two fields of one id",
            updates: [adding(.init(id: 4, name: "x", type: .primitive("int")))]),
        Wrong(
            testDescription: "two fields of one name",
            updates: [adding(.init(id: 5, name: "id", type: .primitive("int")))]),
        Wrong(
            testDescription: "an unknown type",
            updates: [adding(.init(id: 5, name: "x", type: .primitive("varchar")))]),
        Wrong(
            testDescription: "a decimal out of bounds",
            updates: [adding(.init(id: 5, name: "x", type: .primitive("decimal(39, 2)")))]),
        Wrong(
            testDescription: "a name with a control character",
            updates: [adding(.init(id: 5, name: "x\n", type: .primitive("int")))]),
        Wrong(
            testDescription: "an identifier field that may be null",
            updates: [
                .addSchema(.init(schemaID: 1, fields: schema.fields, identifierFieldIDs: [2]))
            ]),
        Wrong(
            testDescription: "a schema that drops the partition's source",
            updates: [
                .addSchema(.init(schemaID: 1, fields: [schema.fields[0]])), .setCurrentSchema(-1),
            ]),
        Wrong(
            testDescription: "a partition of a list",
            updates: [
                .addSpec(.init(fields: [.init(sourceID: 3, name: "p", transform: .identity)]))
            ]),
        Wrong(
            testDescription: "a partition id that means another field",
            updates: [
                .addSpec(
                    .init(fields: [
                        .init(sourceID: 1, fieldID: 1000, name: "p", transform: .bucket(4))
                    ]))
            ]),
        Wrong(
            testDescription: "a partition id of a column",
            updates: [
                .addSpec(
                    .init(fields: [.init(sourceID: 1, fieldID: 7, name: "p", transform: .identity)])
                )
            ]),
        Wrong(
            testDescription: "an order by no column",
            updates: [.addSortOrder(.init(orderID: 1, fields: [.init(sourceID: 99)]))]),
        Wrong(
            testDescription: "a sequence number that skips",
            updates: [.addSnapshot(snapshot(7, sequence: 2))]),
        Wrong(
            testDescription: "a sequence number that repeats",
            updates: [
                .addSnapshot(snapshot(7, sequence: 1)), .addSnapshot(snapshot(8, sequence: 1)),
            ]),
        Wrong(
            testDescription: "a snapshot twice",
            updates: [
                .addSnapshot(snapshot(7, sequence: 1)), .addSnapshot(snapshot(7, sequence: 2)),
            ]),
        Wrong(
            testDescription: "an unknown parent",
            updates: [.addSnapshot(snapshot(7, sequence: 1, parent: 3))]),
        Wrong(
            testDescription: "a ref to no snapshot",
            updates: [.setSnapshotRef(name: "main", .init(snapshotID: 3))]),
        Wrong(
            testDescription: "main as a tag",
            updates: [
                .addSnapshot(snapshot(7, sequence: 1)),
                .setSnapshotRef(name: "main", .init(snapshotID: 7, type: "tag")),
            ]),
        Wrong(
            testDescription: "removing the head",
            updates: [
                .addSnapshot(snapshot(7, sequence: 1)),
                .setSnapshotRef(name: "main", .init(snapshotID: 7)), .removeSnapshots([7]),
            ]),
        Wrong(testDescription: "removing main", updates: [.removeSnapshotRef("main")]),
        Wrong(testDescription: "removing the default spec", updates: [.removePartitionSpecs([0])]),
        Wrong(testDescription: "removing the current schema", updates: [.removeSchemas([0])]),
        Wrong(
            testDescription: "statistics of no snapshot",
            updates: [.setStatistics(.init(snapshotID: 3, path: "x"))]),
        Wrong(testDescription: "no location", updates: [.setLocation("")]),
    ]

    @Test(arguments: wrong) func `an update that breaks a rule of the format is refused`(
        _ wrong: Wrong
    ) {
        #expect(throws: CommitFailure.self) {
            try TableMetadata.applying(
                wrong.updates, to: base, replacing: nil, requiring: [], at: 2000)
        }
    }

    @Test func `an append moves main, the numbers and both logs`() throws {
        let next = try appended()
        #expect(next.currentSnapshotID == 7 && next.lastSequenceNumber == 1)
        #expect(next.snapshotLog.map(\.snapshotID) == [7])
        #expect(next.metadataLog.map(\.metadataFile) == ["file:///lake/t/metadata/0.json"])
        #expect(next.lastUpdatedMilliseconds == 2000)
        let second = try TableMetadata.applying(
            [
                .addSnapshot(Self.snapshot(9, sequence: 2, parent: 7)),
                .setSnapshotRef(name: "main", .init(snapshotID: 9)),
            ], to: next, replacing: "1", requiring: [], at: 1)
        // A clock that went back does not take the table with it.
        #expect(second.lastUpdatedMilliseconds == 2001)
        #expect(second.snapshotLog.map(\.timestampMilliseconds) == [2000, 2001])
    }

    @Test func `columns are added and widened, and old schemas stay`() throws {
        var wider = Self.schema
        wider.fields[1].name = "day of it"
        wider.fields.append(.init(id: 5, name: "price", type: .primitive("decimal(9, 2)")))
        let next = try apply(.addSchema(wider), .setCurrentSchema(-1))
        #expect(next.schemas.map(\.schemaID) == [0, 1] && next.currentSchemaID == 1)
        #expect(next.lastColumnID == 5)
        wider.fields[3].type = .primitive("decimal(12, 2)")
        let widened = try apply(.addSchema(wider), .setCurrentSchema(-1), to: next)
        #expect(widened.currentSchemaID == 2)
        // The same schema again is the one that is there.
        let same = try apply(.addSchema(Self.schema), .setCurrentSchema(-1), to: widened)
        #expect(same.currentSchemaID == 0 && same.schemas.count == 3)
    }

    @Test func `a partition field keeps its id over specs`() throws {
        let next = try apply(
            .addSpec(
                .init(fields: [
                    .init(sourceID: 1, name: "b", transform: .bucket(8)),
                    .init(sourceID: 2, name: "day", transform: .identity),
                ])), .setDefaultSpec(-1))
        #expect(next.partitionSpecs.map { $0.fields.map(\.fieldID) } == [[1000], [1001, 1000]])
        #expect(next.lastPartitionID == 1001 && next.defaultSpecID == 1)
    }

    @Test func `removed snapshots take their references, statistics and history along`() throws {
        let three = try TableMetadata.applying(
            (1...3).flatMap { number -> [TableUpdate] in
                let id = Int64(number)
                return [
                    .addSnapshot(Self.snapshot(id, sequence: id, parent: id > 1 ? id - 1 : nil)),
                    .setSnapshotRef(name: "main", .init(snapshotID: id)),
                ]
            } + [
                .setSnapshotRef(name: "old", .init(snapshotID: 1, type: "tag")),
                .setStatistics(.init(snapshotID: 1, path: "s")),
            ], to: base, replacing: nil, requiring: [], at: 2000)
        #expect(three.snapshotLog.map(\.snapshotID) == [1, 2, 3])
        let next = try apply(.removeSnapshots([2, 1]), to: three)
        #expect(next.snapshots.map(\.snapshotID) == [3] && next.refs.keys.sorted() == ["main"])
        #expect(next.statistics.isEmpty && next.snapshotLog.map(\.snapshotID) == [3])
        #expect(next.currentSnapshotID == 3)
    }

    @Test func `a commit that comes again is recognised, and nothing else is`() throws {
        let updates: [TableUpdate] = [
            .addSnapshot(Self.snapshot(7, sequence: 1)),
            .setSnapshotRef(name: "main", .init(snapshotID: 7)),
        ]
        let next = try appended()
        #expect(next.shows(updates))
        #expect(!base.shows(updates))
        var other = Self.snapshot(7, sequence: 1)
        other.manifestList = "file:///lake/t/metadata/other.avro"
        #expect(!next.shows([.addSnapshot(other)]))
        #expect(!next.shows([.setProperties(["a": "b"])]))
        #expect(base.shows(Self.creation))
        // Once the table has gone on, its creation cannot be what is asked for.
        #expect(!next.shows(Self.creation))
    }

    @Test func `the log of metadata files is bounded`() throws {
        var table = try apply(
            .setProperties(["write.metadata.previous-versions-max": "3"]))
        for number in 0..<10 {
            table = try TableMetadata.applying(
                [], to: table, replacing: "\(number)", requiring: [], at: 3000)
        }
        #expect(table.metadataLog.map(\.metadataFile) == ["7", "8", "9"])
    }

    @Test func `whatever updates come, what is made is whole and reads back the same`() throws {
        var generator = Generator()
        var made = 0
        for _ in 0..<300 {
            var table = base
            for _ in 0..<6 {
                let updates = (0..<Int.random(in: 1...3, using: &generator)).map { _ in
                    Self.randomUpdate(table, &generator)
                }
                guard
                    let next = try? TableMetadata.applying(
                        updates, to: table, replacing: "m", requiring: [], at: 5000)
                else { continue }
                made += 1
                #expect(
                    try TableMetadata(decoding: next.encoded) == next, "seed \(generator.seed)")
                #expect(next.currentSchema != nil && next.defaultSpec != nil)
                #expect(next.lastUpdatedMilliseconds > table.lastUpdatedMilliseconds)
                #expect(next.lastColumnID >= table.lastColumnID)
                #expect(next.lastPartitionID >= table.lastPartitionID)
                let known = Set(next.snapshots.map(\.snapshotID))
                #expect(next.refs.values.allSatisfy { known.contains($0.snapshotID) })
                #expect(next.currentSnapshotID == next.refs["main"]?.snapshotID)
                #expect(Set(next.schemas.map(\.schemaID)).count == next.schemas.count)
                #expect(Set(next.partitionSpecs.map(\.specID)).count == next.partitionSpecs.count)
                table = next
            }
        }
        #expect(made > 100, "seed \(generator.seed)")
    }

    private static func randomUpdate(
        _ table: TableMetadata, _ generator: inout Generator
    ) -> TableUpdate {
        let small = Int64.random(in: 1...6, using: &generator)
        switch Int.random(in: 0...9, using: &generator) {
        case 0:
            var next = table.currentSchema ?? schema
            next.fields.append(
                .init(
                    id: table.lastColumnID + Int(small) - 1, name: "c\(small)",
                    type: .primitive(["int", "string", "nothing"][Int(small) % 3])))
            return .addSchema(next)
        case 1: return .setCurrentSchema(Int(small) - 2)
        case 2:
            return .addSpec(
                .init(fields: [
                    .init(
                        sourceID: Int(small), name: "p\(small)", transform: .bucket(Int(small)))
                ]))
        case 3: return .setDefaultSpec(Int(small) - 2)
        case 4, 5, 6:
            return .addSnapshot(
                snapshot(
                    Int64.random(in: 1...1000, using: &generator),
                    sequence: table.lastSequenceNumber + small / 4, parent: table.currentSnapshotID)
            )
        case 7:
            let id = table.snapshots.randomElement(using: &generator)?.snapshotID ?? small
            return .setSnapshotRef(name: small > 3 ? "main" : "side", .init(snapshotID: id))
        case 8:
            return .removeSnapshots([
                table.snapshots.randomElement(using: &generator)?.snapshotID ?? small
            ])
        default: return .setProperties(["k\(small)": "v"])
        }
    }
}
