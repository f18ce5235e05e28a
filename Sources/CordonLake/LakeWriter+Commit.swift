import CordonModel
import Iceberg
import LinuxIO

/// A change of the table on its way to the catalog.
struct LakeChange {
    enum Operation: String {
        case append, overwrite, delete
        /// Other files with the same rows.
        case replace
    }
    var operation: Operation
    var added: [DataFile] = []
    /// URIs of data files that leave the table.
    var removed: Set<String> = []
    var deliveredThrough: Int64?
    var deadLetters: [DeadBatch] = []
    /// Ids of dead letters that are in the table with this change.
    var resolved: [Int64] = []
    /// Whether manifests are merged however few there are.
    var mergesManifests = false
    /// Hits that leave the table for other regions.
    var outgoing: [OutgoingBatch] = []
    var event: LakeEvent
}

extension LakeWriter {
    /// The table's metadata and where they lie; nil when there is no table yet.
    func head() throws -> (metadata: TableMetadata, location: String, deliveredThrough: Int64)? {
        try catalog.tableHead(name).map {
            (try files.metadata($0.metadataLocation), $0.metadataLocation, $0.deliveredThrough)
        }
    }

    private func newMetadata() -> TableMetadata {
        TableMetadata(
            tableUUID: Self.uuid(), location: TableFiles.uri(of: settings.directory),
            schema: HitsSchema.iceberg, spec: HitsSchema.partitionSpec,
            sortOrder: HitsSchema.sortOrder, properties: HitsSchema.properties,
            updatedMilliseconds: milliseconds)
    }

    var milliseconds: Int64 { table.clock.now().microseconds / 1000 }

    /// Makes `change` a snapshot and the table's present state; deletes what nothing refers to any more.
    ///
    /// - Returns: the snapshot's id.
    func commit(_ change: LakeChange) throws -> Int64 {
        let head = try head()
        let old = try HitsSchema.evolved(head?.metadata ?? newMetadata())
        var plan = try manifestPlan(old, change)
        let sequenceNumber = old.lastSequenceNumber + 1
        var paths: [String] = []
        for _ in plan.written { paths.append(metadataPath("\(Self.uuid())-m0.avro")) }
        let listPath = metadataPath("snap-\(plan.snapshotID)-1-\(Self.uuid()).avro")
        let location = nextMetadataLocation(after: head?.location)
        try Directory.create(files.metadataDirectory)
        let noted = (paths + [listPath]).map(TableFiles.uri) + [location]
        try catalog.noteWriting(noted, table: name)
        try table.step(.metadataFilesNoted)

        for (manifest, path) in zip(plan.written, paths) {
            let bytes = manifest.encoded(sync: .random(in: .min ... .max))
            try writeNew(path, bytes)
            plan.listed.append(
                ManifestFile(
                    describing: manifest, path: TableFiles.uri(of: path), bytes: bytes.count,
                    snapshotID: plan.snapshotID, sequenceNumber: sequenceNumber))
            try table.step(.manifestWritten)
        }
        let snapshot = Snapshot(
            snapshotID: plan.snapshotID, parentSnapshotID: old.currentSnapshotID,
            sequenceNumber: sequenceNumber, timestampMilliseconds: milliseconds,
            manifestList: TableFiles.uri(of: listPath), summary: summary(old, change, plan),
            schemaID: old.currentSchemaID)
        let list = ManifestList(manifests: plan.listed)
        try writeNew(listPath, list.encoded(for: snapshot, sync: .random(in: .min ... .max)))
        try table.step(.manifestListWritten)

        var next = old.adding(snapshot)
        if let head {
            next.metadataLog.append(
                .init(
                    metadataFile: head.location, timestampMilliseconds: old.lastUpdatedMilliseconds)
            )
        }
        next = bounded(next)
        try publish(
            next, at: location, after: head.map { ($0.metadata, $0.location) },
            committed: noted + change.added.map(\.path), change: change)
        return plan.snapshotID
    }

    /// The metadata without the snapshots whose time is over.
    func bounded(_ metadata: TableMetadata) -> TableMetadata {
        metadata.bounded(
            snapshotsMin: settings.snapshotsMin,
            supersededBefore: milliseconds - Int64(settings.snapshotSecondsMin) * 1000,
            metadataLogMax: settings.metadataLogMax)
    }

    /// Writes `metadata` and moves the catalog's pointer to them; deletes what nothing refers to any more.
    ///
    /// - Returns: the number of files deleted.
    @discardableResult
    func publish(
        _ metadata: TableMetadata, at location: String,
        after old: (metadata: TableMetadata, location: String)?, committed: [String],
        change: LakeChange
    ) throws -> Int {
        try writeNew(try TableFiles.path(of: location), metadata.encoded)
        try Directory.sync(files.metadataDirectory)
        try table.step(.metadataWritten)
        var unreferenced: [String] = []
        if let old {
            unreferenced = try files.unreferenced(from: old.metadata, to: metadata)
            let isLogged = metadata.metadataLog.contains { $0.metadataFile == old.location }
            if !isLogged { unreferenced.append(old.location) }
        }
        var event = change.event
        event.counts[LakeEvent.tableVersion] = Int(LakeEvent.version(of: location))
        try table.audit(event)
        try table.step(.audited)
        try catalog.commit(
            table: name, expecting: old?.location, new: location,
            deliveredThrough: change.deliveredThrough, committed: committed,
            unreferenced: unreferenced, deadLetters: change.deadLetters,
            resolved: change.resolved, outgoing: change.outgoing, at: table.clock.now())
        try table.step(.committed)
        return try deleteFiles(unreferenced)
    }

    func metadataPath(_ name: String) -> String { files.metadataDirectory + "/" + name }

    /// `<N>-<uuid>.metadata.json` with the next number, five digits wide.
    func nextMetadataLocation(after location: String?) -> String {
        let number =
            location.map { LakeEvent.version(of: $0) + 1 } ?? 0
        let digits = String(number)
        let padded = String(repeating: "0", count: max(0, 5 - digits.count)) + digits
        return TableFiles.uri(of: metadataPath("\(padded)-\(Self.uuid()).metadata.json"))
    }
}

extension LakeWriter {
    /// Which manifests the new snapshot takes over, and which it writes.
    struct ManifestPlan {
        let snapshotID: Int64
        var listed: [ManifestFile] = []
        var written: [Manifest] = []
        /// Data files that left the table.
        var removed: [DataFile] = []
    }

    private func manifestPlan(_ old: TableMetadata, _ change: LakeChange) throws -> ManifestPlan {
        var plan = ManifestPlan(snapshotID: .random(in: 1...Int64.max))
        var carried: [ManifestEntry] = []
        for file in try old.currentSnapshot.map(files.manifests(of:)) ?? [] {
            guard !change.removed.isEmpty else {
                plan.listed.append(file)
                continue
            }
            let entries = try files.manifest(file).entries
            let staying = entries.filter { !change.removed.contains($0.file.path) }
            if staying.count == entries.count {
                plan.listed.append(file)
                continue
            }
            // The entries of removed files are left out altogether: as "deleted" entries they would keep
            // the files' names and counts in the live table (FIELD, section 3.1).
            plan.removed += entries.lazy.map(\.file).filter { change.removed.contains($0.path) }
            carried += staying.map(\.carriedOver)
        }
        guard plan.removed.count == change.removed.count else {
            throw LakeError(
                .damagedTable, "a file to remove is not in the table's current snapshot")
        }
        if change.mergesManifests || plan.listed.count > settings.manifestsMax {
            let small = plan.listed.filter { isMergeable($0) }
            let merged = Set(small.map(\.path))
            plan.listed.removeAll { merged.contains($0.path) }
            for file in small { carried += try files.manifest(file).entries.map(\.carriedOver) }
        }
        let added = change.added.map { ManifestEntry.added($0, snapshotID: plan.snapshotID) }
        for entries in Self.clustered(carried) + [added] where !entries.isEmpty {
            plan.written.append(
                Manifest(
                    schema: old.currentSchema ?? HitsSchema.iceberg, spec: HitsSchema.partitionSpec,
                    entries: entries))
        }
        return plan
    }

    func isMergeable(_ file: ManifestFile) -> Bool { file.bytes <= settings.mergedManifestBytesMax }

    /// Entries of one manifest at most: with counts of all columns some 4 MB.
    private static let manifestEntriesMax = 4096

    /// Entries as manifests are to hold them: neighbours in time together, so that readers who ask for a few days can
    /// pass over whole manifests by their summaries.
    private static func clustered(_ entries: [ManifestEntry]) -> [[ManifestEntry]] {
        func key(_ entry: ManifestEntry) -> (Int32, Int32, String) {
            let partition = entry.file.partition
            return (
                partition.first.flatMap { $0 } ?? .min, partition.last.flatMap { $0 } ?? .min,
                entry.file.path
            )
        }
        let sorted = entries.sorted { key($0) < key($1) }
        return stride(from: 0, to: sorted.count, by: manifestEntriesMax).map {
            Array(sorted[$0..<min($0 + manifestEntriesMax, sorted.count)])
        }
    }

    /// The operation and totals, as other engines write them.
    private func summary(
        _ old: TableMetadata, _ change: LakeChange, _ plan: ManifestPlan
    ) -> [String: String] {
        let before = old.currentSnapshot?.summary ?? [:]
        func sum(_ files: [DataFile], _ value: KeyPath<DataFile, Int64>) -> Int64 {
            files.reduce(0) { $0 + $1[keyPath: value] }
        }
        func total(_ key: String, _ added: Int64, _ removed: Int64) -> String {
            "\((before[key].flatMap { Int64($0) } ?? 0) + added - removed)"
        }
        var summary = ["operation": change.operation.rawValue]
        let changes: [(String, Int64)] = [
            ("added-data-files", Int64(change.added.count)),
            ("added-records", sum(change.added, \.recordCount)),
            ("added-files-size", sum(change.added, \.fileBytes)),
            ("deleted-data-files", Int64(plan.removed.count)),
            ("deleted-records", sum(plan.removed, \.recordCount)),
            ("removed-files-size", sum(plan.removed, \.fileBytes)),
        ]
        for (key, value) in changes where value > 0 { summary[key] = "\(value)" }
        summary["changed-partition-count"] =
            "\(Set((change.added + plan.removed).map(\.partition)).count)"
        summary["total-data-files"] = total(
            "total-data-files", Int64(change.added.count), Int64(plan.removed.count))
        summary["total-records"] = total(
            "total-records", sum(change.added, \.recordCount), sum(plan.removed, \.recordCount))
        summary["total-files-size"] = total(
            "total-files-size", sum(change.added, \.fileBytes), sum(plan.removed, \.fileBytes))
        for key in ["total-delete-files", "total-position-deletes", "total-equality-deletes"] {
            summary[key] = "0"
        }
        return summary
    }
}

extension LakeWriter {
    /// Partition values are among the columns with bounds.
    static let manifestsRest = Rest(
        .manifests, Set(HitsSchema.columns.filter(\.hasBounds).map(\.name)))
}
