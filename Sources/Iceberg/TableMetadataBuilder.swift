/// The next metadata of a table, made from the last by updates in their order.
///
/// Pure: no file, no clock, no identifier of its own. Either every update is applied or the first that breaks a rule of the
/// specification is thrown. Start at ``TableMetadata/applying(_:to:replacing:at:)``.
struct TableMetadataBuilder {
    private(set) var metadata: TableMetadata
    /// What -1 stands for.
    private var addedSchemaID: Int?
    private var addedSpecID: Int?
    private var addedSortOrderID: Int?
    private let isNew: Bool
    private let milliseconds: Int64

    /// Partition field ids below this are those of columns.
    private static let firstPartitionID = 1000

    init(_ base: TableMetadata?, at milliseconds: Int64) {
        isNew = base == nil
        metadata =
            base
            ?? TableMetadata(
                tableUUID: "", location: "", schema: IcebergSchema(schemaID: -1, fields: []),
                spec: PartitionSpec(specID: -1, fields: []),
                sortOrder: SortOrder(orderID: -1, fields: []), properties: [:],
                updatedMilliseconds: 0)
        if base == nil {
            metadata.schemas = []
            metadata.partitionSpecs = []
            metadata.sortOrders = []
        }
        // The log must not go back in time even when the clock does.
        self.milliseconds = max(milliseconds, metadata.lastUpdatedMilliseconds + (isNew ? 0 : 1))
        metadata.lastUpdatedMilliseconds = self.milliseconds
    }

    mutating func apply(_ update: TableUpdate) throws(CommitFailure) {
        switch update {
        case .assignUUID(let uuid): try assign(uuid)
        case .upgradeFormatVersion(let version):
            guard version == Iceberg.formatVersion else {
                throw CommitFailure(
                    .unsupported,
                    "expected format version \(Iceberg.formatVersion), found \(version)")
            }
        case .addSchema(let schema): try add(schema)
        case .setCurrentSchema(let id):
            let id = try resolve(id, addedSchemaID, "schema")
            guard metadata.schemas.contains(where: { $0.schemaID == id }) else {
                throw unknown("schema", id)
            }
            metadata.currentSchemaID = id
        case .addSpec(let spec): try add(spec)
        case .setDefaultSpec(let id):
            let id = try resolve(id, addedSpecID, "partition spec")
            guard metadata.partitionSpecs.contains(where: { $0.specID == id }) else {
                throw unknown("partition spec", id)
            }
            metadata.defaultSpecID = id
        case .addSortOrder(let order): try add(order)
        case .setDefaultSortOrder(let id):
            let id = try resolve(id, addedSortOrderID, "sort order")
            guard metadata.sortOrders.contains(where: { $0.orderID == id }) else {
                throw unknown("sort order", id)
            }
            metadata.defaultSortOrderID = id
        case .addSnapshot(let snapshot): try add(snapshot)
        case .setSnapshotRef(let name, let reference): try set(name, reference)
        case .removeSnapshots(let ids): try removeSnapshots(Set(ids))
        case .removeSnapshotRef(let name):
            guard name != "main" else {
                throw CommitFailure(.invalid, "the branch `main` is not removed")
            }
            metadata.refs[name] = nil
        case .setLocation(let location):
            guard !location.isEmpty else { throw CommitFailure(.invalid, "the location is empty") }
            metadata.location = location.hasSuffix("/") ? String(location.dropLast()) : location
        case .setProperties(let updates): metadata.properties.merge(updates) { $1 }
        case .removeProperties(let names):
            for name in names { metadata.properties[name] = nil }
        case .setStatistics(let file): try set(file, in: \.statistics)
        case .removeStatistics(let id): metadata.statistics.removeAll { $0.snapshotID == id }
        case .setPartitionStatistics(let file): try set(file, in: \.partitionStatistics)
        case .removePartitionStatistics(let id):
            metadata.partitionStatistics.removeAll { $0.snapshotID == id }
        case .removePartitionSpecs(let ids): try removeSpecs(ids)
        case .removeSchemas(let ids): try removeSchemas(ids)
        }
    }

    /// The finished metadata, whole.
    consuming func finish() throws(CommitFailure) -> TableMetadata {
        if isNew, metadata.sortOrders.isEmpty {
            metadata.sortOrders = [SortOrder(orderID: 0, fields: [])]
            metadata.defaultSortOrderID = 0
        }
        if isNew, metadata.partitionSpecs.isEmpty {
            metadata.partitionSpecs = [PartitionSpec(specID: 0, fields: [])]
            metadata.defaultSpecID = 0
        }
        guard !metadata.tableUUID.isEmpty else {
            throw CommitFailure(.invalid, "a new table needs `assign-uuid`")
        }
        guard !metadata.location.isEmpty else {
            throw CommitFailure(.invalid, "a new table needs `set-location`")
        }
        guard let schema = metadata.currentSchema else {
            throw CommitFailure(.invalid, "a new table needs a schema that is current")
        }
        guard let spec = metadata.defaultSpec,
            let order = metadata.sortOrders.first(where: {
                $0.orderID == metadata.defaultSortOrderID
            })
        else { throw CommitFailure(.invalid, "a new table needs a default spec and sort order") }
        let ids = Set(try SchemaRules.fields(of: schema).map(\.id))
        for field in spec.fields where field.transform != .void && !ids.contains(field.sourceID) {
            throw CommitFailure(
                .invalid,
                "the default partition spec is made from field \(field.sourceID), which is gone")
        }
        for field in order.fields where !ids.contains(field.sourceID) {
            throw CommitFailure(
                .invalid,
                "the default sort order is made from field \(field.sourceID), which is gone")
        }
        return metadata
    }

    private func resolve(
        _ id: Int, _ added: Int?, _ what: String
    ) throws(CommitFailure) -> Int {
        guard id == -1 else { return id }
        guard let added else {
            throw CommitFailure(
                .invalid, "-1 stands for the \(what) that the request adds, and it adds none")
        }
        return added
    }

    private func unknown(_ what: String, _ id: Int) -> CommitFailure {
        CommitFailure(.invalid, "there is no \(what) \(id)")
    }
}

// Identity, schemas, specs, orders.
extension TableMetadataBuilder {
    private mutating func assign(_ uuid: String) throws(CommitFailure) {
        guard Self.isUUID(uuid) else {
            throw CommitFailure(
                .invalid, "expected a UUID such as `9c12d441-03fe-4693-9a96-a0705ddf69c1`")
        }
        guard metadata.tableUUID.isEmpty || metadata.tableUUID.lowercased() == uuid.lowercased()
        else { throw CommitFailure(.invalid, "a table keeps its UUID") }
        if metadata.tableUUID.isEmpty { metadata.tableUUID = uuid.lowercased() }
    }

    private static func isUUID(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: 0x2D, omittingEmptySubsequences: false)
        return parts.map(\.count) == [8, 4, 4, 4, 12]
            && parts.joined().allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x66).contains($0 | 0x20)
            }
    }

    private mutating func add(_ schema: IcebergSchema) throws(CommitFailure) {
        let fields = try SchemaRules.fields(of: schema)
        if let same = metadata.schemas.first(where: {
            $0.fields == schema.fields
                && Set($0.identifierFieldIDs ?? []) == Set(schema.identifierFieldIDs ?? [])
        }) {
            addedSchemaID = same.schemaID
            return
        }
        try requireEvolution(to: fields)
        let used = metadata.schemas.map(\.schemaID)
        let id =
            schema.schemaID >= 0 && !used.contains(schema.schemaID)
            ? schema.schemaID : (used.max() ?? -1) + 1
        var added = schema
        added.schemaID = id
        metadata.schemas.append(added)
        metadata.lastColumnID = max(metadata.lastColumnID, fields.map(\.id).max() ?? 0)
        addedSchemaID = id
    }

    /// An id means one column for ever: what is there may only widen, and what is new takes ids never used.
    private func requireEvolution(to fields: [SchemaRules.Placed]) throws(CommitFailure) {
        var known: [Int: SchemaRules.Placed] = [:]
        for schema in metadata.schemas {
            for field in try SchemaRules.fields(of: schema) { known[field.id] = field }
        }
        let current = Set(try metadata.currentSchema.map(SchemaRules.fields) ?? [])
        let currentByID = Dictionary(current.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        for field in fields {
            guard let before = currentByID[field.id] ?? known[field.id] else {
                guard field.id > metadata.lastColumnID else {
                    throw CommitFailure(
                        .invalid,
                        "field id \(field.id) was used before; new fields begin behind \(metadata.lastColumnID)"
                    )
                }
                if field.isRequired, metadata.currentSnapshotID != nil,
                    !isInsideNew(field, fields, known)
                {
                    throw CommitFailure(
                        .invalid,
                        "new field \(field.id) is required, and the rows that are there lack it")
                }
                continue
            }
            guard SchemaRules.canBecome(before.type, field.type) else {
                throw CommitFailure(
                    .invalid,
                    "field \(field.id) cannot become `\(field.type.text)` from `\(before.type.text)`"
                )
            }
            if field.isRequired, !before.isRequired, metadata.currentSnapshotID != nil {
                throw CommitFailure(
                    .invalid, "field \(field.id) was optional and cannot be required")
            }
        }
    }

    /// A field within a field that is new itself may be required: a row without the outer one has no inner one to lack.
    private func isInsideNew(
        _ field: SchemaRules.Placed, _ fields: [SchemaRules.Placed],
        _ known: [Int: SchemaRules.Placed]
    ) -> Bool {
        fields.contains { outer in
            guard known[outer.id] == nil, outer.id != field.id else { return false }
            switch outer.type {
            case .primitive: return false
            case .list(let id, _, _): return id == field.id
            case .map(let key, _, let value, _, _): return key == field.id || value == field.id
            case .structure(let inner): return inner.contains { $0.id == field.id }
            }
        }
    }

    private mutating func add(_ spec: TableUpdate.UnboundSpec) throws(CommitFailure) {
        guard spec.fields.count <= 100 else {
            throw CommitFailure(.invalid, "a partition spec has at most 100 fields")
        }
        let schema = try currentFields()
        var names: Set<String> = []
        var bound: [PartitionSpec.Field] = []
        for field in spec.fields {
            guard SchemaRules.isName(field.name), names.insert(field.name).inserted else {
                throw CommitFailure(.invalid, "two partition fields have one name, or one has none")
            }
            guard let source = schema[field.sourceID], case .primitive = source.type else {
                throw CommitFailure(
                    .invalid,
                    "partition field `\(field.name)` is made from field \(field.sourceID), which is no column"
                )
            }
            let id = try partitionID(of: field, bound)
            bound.append(
                PartitionSpec.Field(
                    sourceID: field.sourceID, fieldID: id, name: field.name,
                    transform: field.transform))
            metadata.lastPartitionID = max(metadata.lastPartitionID, id)
        }
        if let same = metadata.partitionSpecs.first(where: { $0.fields == bound }) {
            addedSpecID = same.specID
            return
        }
        let used = metadata.partitionSpecs.map(\.specID)
        let given = spec.specID ?? -1
        let id = given >= 0 && !used.contains(given) ? given : (used.max() ?? -1) + 1
        metadata.partitionSpecs.append(PartitionSpec(specID: id, fields: bound))
        addedSpecID = id
    }

    /// The same source and transform keep their id over specs; an id never means two things.
    private func partitionID(
        of field: TableUpdate.UnboundSpec.Field, _ earlier: [PartitionSpec.Field]
    ) throws(CommitFailure) -> Int {
        let known = metadata.partitionSpecs.flatMap(\.fields) + earlier
        if let given = field.fieldID {
            guard given >= Self.firstPartitionID, given < 1 << 30 else {
                throw CommitFailure(
                    .invalid, "partition field ids begin at \(Self.firstPartitionID)")
            }
            let means = known.filter { $0.fieldID == given }
            guard
                means.allSatisfy({
                    $0.sourceID == field.sourceID
                        && ($0.transform == field.transform || field.transform == .void)
                }), !earlier.contains(where: { $0.fieldID == given })
            else {
                throw CommitFailure(.invalid, "partition field id \(given) means another field")
            }
            return given
        }
        let same = known.first {
            $0.sourceID == field.sourceID && $0.transform == field.transform
                && !earlier.map(\.fieldID).contains($0.fieldID)
        }
        return same?.fieldID
            ?? max(metadata.lastPartitionID, earlier.map(\.fieldID).max() ?? 0) + 1
    }

    private mutating func add(_ order: SortOrder) throws(CommitFailure) {
        guard order.fields.count <= 100 else {
            throw CommitFailure(.invalid, "a sort order has at most 100 fields")
        }
        let schema = try currentFields()
        for field in order.fields where schema[field.sourceID] == nil {
            throw CommitFailure(
                .invalid, "the sort order names field \(field.sourceID), which is no column")
        }
        if let same = metadata.sortOrders.first(where: { $0.fields == order.fields }) {
            addedSortOrderID = same.orderID
            return
        }
        let used = metadata.sortOrders.map(\.orderID)
        var id = order.orderID
        // 0 is reserved for "unsorted".
        if order.fields.isEmpty {
            id = 0
        } else if id < 1 || used.contains(id) {
            id = max(used.max() ?? 0, 0) + 1
        }
        var added = order
        added.orderID = id
        metadata.sortOrders.append(added)
        addedSortOrderID = id
    }

    /// Fields of the schema that specs and orders are made for: the one just added, else the current one.
    private func currentFields() throws(CommitFailure) -> [Int: SchemaRules.Placed] {
        let id = addedSchemaID ?? metadata.currentSchemaID
        guard let schema = metadata.schemas.first(where: { $0.schemaID == id }) else {
            throw CommitFailure(.invalid, "a partition spec or sort order needs a schema before it")
        }
        return Dictionary(
            try SchemaRules.fields(of: schema).map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    }

    private mutating func removeSpecs(_ ids: [Int]) throws(CommitFailure) {
        for id in ids {
            guard id != metadata.defaultSpecID else {
                throw CommitFailure(.invalid, "partition spec \(id) is the default one")
            }
            guard metadata.partitionSpecs.contains(where: { $0.specID == id }) else {
                throw unknown("partition spec", id)
            }
        }
        metadata.partitionSpecs.removeAll { ids.contains($0.specID) }
    }

    private mutating func removeSchemas(_ ids: [Int]) throws(CommitFailure) {
        let used = Set(metadata.snapshots.compactMap(\.schemaID)).union([metadata.currentSchemaID])
        for id in ids {
            guard !used.contains(id) else {
                throw CommitFailure(.invalid, "schema \(id) is current or that of a snapshot")
            }
            guard metadata.schemas.contains(where: { $0.schemaID == id }) else {
                throw unknown("schema", id)
            }
        }
        metadata.schemas.removeAll { ids.contains($0.schemaID) }
    }
}

// Snapshots.
extension TableMetadataBuilder {
    private static let operations: Set<String> = ["append", "replace", "overwrite", "delete"]

    private mutating func add(_ snapshot: Snapshot) throws(CommitFailure) {
        guard snapshot.snapshotID > 0 else {
            throw CommitFailure(.invalid, "snapshot ids begin at 1")
        }
        guard !metadata.snapshots.contains(where: { $0.snapshotID == snapshot.snapshotID }) else {
            throw CommitFailure(.invalid, "snapshot \(snapshot.snapshotID) is there already")
        }
        // Two writers that start from one state ask for one number: the later one has to look again.
        guard snapshot.sequenceNumber == metadata.lastSequenceNumber + 1 else {
            throw CommitFailure(
                .requirement,
                "sequence number: expected \(metadata.lastSequenceNumber + 1), found \(snapshot.sequenceNumber)"
            )
        }
        if let parent = snapshot.parentSnapshotID, parent != -1,
            !metadata.snapshots.contains(where: { $0.snapshotID == parent })
        {
            throw CommitFailure(.requirement, "the parent snapshot \(parent) is not in the table")
        }
        guard let operation = snapshot.summary["operation"], Self.operations.contains(operation)
        else {
            throw CommitFailure(
                .invalid,
                "a snapshot's summary has an operation: \(Self.operations.sorted().joined(separator: ", "))"
            )
        }
        if let id = snapshot.schemaID, !metadata.schemas.contains(where: { $0.schemaID == id }) {
            throw unknown("schema", id)
        }
        guard !snapshot.manifestList.isEmpty else {
            throw CommitFailure(.invalid, "a snapshot has a manifest list")
        }
        metadata.lastSequenceNumber = snapshot.sequenceNumber
        metadata.snapshots.append(snapshot)
    }

    private mutating func set(
        _ name: String, _ reference: TableMetadata.Reference
    ) throws(CommitFailure) {
        guard SchemaRules.isName(name) else {
            throw CommitFailure(.invalid, "a reference has a name of at most 256 bytes")
        }
        guard ["branch", "tag"].contains(reference.type),
            name != "main" || reference.type == "branch"
        else {
            throw CommitFailure(.invalid, "a reference is a `branch` or a `tag`, `main` a branch")
        }
        guard metadata.snapshots.contains(where: { $0.snapshotID == reference.snapshotID }) else {
            throw CommitFailure(.invalid, "there is no snapshot \(reference.snapshotID)")
        }
        let keeps = [
            reference.minSnapshotsToKeep.map(Int64.init), reference.maxSnapshotAgeMilliseconds,
        ]
        guard keeps.allSatisfy({ $0 ?? 1 > 0 }), reference.maxRefAgeMilliseconds ?? 1 > 0,
            reference.type == "branch" || keeps.allSatisfy({ $0 == nil })
        else {
            throw CommitFailure(
                .invalid, "numbers of a reference are above zero, and a tag keeps one snapshot")
        }
        metadata.refs[name] = reference
        guard name == "main", metadata.currentSnapshotID != reference.snapshotID else { return }
        metadata.currentSnapshotID = reference.snapshotID
        metadata.snapshotLog.append(
            .init(snapshotID: reference.snapshotID, timestampMilliseconds: milliseconds))
    }

    private mutating func removeSnapshots(_ ids: Set<Int64>) throws(CommitFailure) {
        if let current = metadata.currentSnapshotID, ids.contains(current) {
            throw CommitFailure(.invalid, "snapshot \(current) is the head of `main`")
        }
        metadata.snapshots.removeAll { ids.contains($0.snapshotID) }
        metadata.refs = metadata.refs.filter { !ids.contains($0.value.snapshotID) }
        metadata.statistics.removeAll { ids.contains($0.snapshotID) }
        metadata.partitionStatistics.removeAll { ids.contains($0.snapshotID) }
        // History has no holes: what lies before an entry that goes, goes.
        if let last = metadata.snapshotLog.lastIndex(where: { ids.contains($0.snapshotID) }) {
            metadata.snapshotLog.removeSubrange(...last)
        }
    }

    private mutating func set(
        _ file: TableMetadata.StatisticsFile,
        in list: WritableKeyPath<TableMetadata, [TableMetadata.StatisticsFile]>
    ) throws(CommitFailure) {
        guard metadata.snapshots.contains(where: { $0.snapshotID == file.snapshotID }) else {
            throw CommitFailure(.invalid, "there is no snapshot \(file.snapshotID)")
        }
        metadata[keyPath: list].removeAll { $0.snapshotID == file.snapshotID }
        metadata[keyPath: list].append(file)
    }
}

extension TableMetadata {
    /// Older metadata files that the newest names, unless the table's own property asks for fewer.
    package static let metadataLogMax = 100

    /// The metadata that a commit makes of `base`.
    ///
    /// - Parameters:
    ///   - base: nil for a table that is to be made.
    ///   - location: URI of the file that `base` stands in; it joins the log of older ones.
    ///   - milliseconds: the time, since 1970.
    /// - Throws: ``CommitFailure``, at the first requirement that does not hold or update that breaks a rule.
    package static func applying(
        _ updates: [TableUpdate], to base: TableMetadata?, replacing location: String?,
        requiring requirements: [TableRequirement], at milliseconds: Int64
    ) throws(CommitFailure) -> TableMetadata {
        for requirement in requirements { try requirement.require(of: base) }
        var builder = TableMetadataBuilder(base, at: milliseconds)
        for update in updates { try builder.apply(update) }
        var next = try builder.finish()
        if let location, let base {
            next.metadataLog.append(
                .init(
                    metadataFile: location, timestampMilliseconds: base.lastUpdatedMilliseconds))
        }
        let asked = next.properties["write.metadata.previous-versions-max"].flatMap { Int($0) }
        let kept = min(max(asked ?? metadataLogMax, 1), metadataLogMax)
        next.metadataLog = Array(next.metadataLog.suffix(kept))
        return next
    }

    /// Whether the table already is what `updates` would make of it: a client that got no answer has sent them again.
    ///
    /// A snapshot has an id of chance and a manifest list of its own, and a new table a UUID, so what carries one is known again;
    /// an update that carries none never is.
    package func shows(_ updates: [TableUpdate]) -> Bool {
        var marks = 0
        for update in updates {
            switch update {
            case .addSnapshot(let snapshot):
                guard
                    let found = snapshots.first(where: { $0.snapshotID == snapshot.snapshotID }),
                    found.manifestList == snapshot.manifestList,
                    found.sequenceNumber == snapshot.sequenceNumber
                else { return false }
                marks += 1
            case .assignUUID(let uuid):
                guard uuid.lowercased() == tableUUID.lowercased(), metadataLog.isEmpty else {
                    return false
                }
                marks += 1
            default: break
            }
        }
        return marks > 0
    }
}
