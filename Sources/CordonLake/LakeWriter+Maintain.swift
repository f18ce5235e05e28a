package import CordonModel
import Iceberg
import LinuxIO

/// What maintenance of a table would do.
package struct MaintenancePlan: Equatable, Sendable {
    package var compactions: [CompactionGroup] = []
    /// Manifests that would be merged.
    package var manifests = 0
    /// Snapshots whose time is over.
    package var snapshots = 0
    /// Files that nothing refers to and that are old enough to go.
    package var orphans = 0
    package var orphanBytes = 0

    package init() {}
}

/// A file below the table's folder that the table does not refer to and no writer has noted.
package struct OrphanFile: Hashable, Sendable {
    /// Absolute.
    package let path: String
    package let bytes: Int
    /// When its content last changed.
    package let modified: Timestamp
}

extension HitsTable {
    /// What maintenance would do now. Changes nothing.
    package func maintenancePlan() throws -> MaintenancePlan {
        try look { writer in
            var plan = MaintenancePlan()
            guard let head = try writer.head() else { return plan }
            plan.compactions = compactionRule.groups(try writer.dataFiles())
            plan.manifests = try writer.manifestsToMerge(head.metadata).count
            plan.snapshots =
                head.metadata.snapshots.count - writer.bounded(head.metadata).snapshots.count
            let orphans = try writer.orphans(olderThanSeconds: settings.orphanSecondsMin)
            plan.orphans = orphans.count
            plan.orphanBytes = orphans.reduce(0) { $0 + $1.bytes }
            return plan
        }
    }
}

extension LakeWriter {
    /// Merges small manifests, so that a reader opens few; returns how many there were, 0 when it was not worth while.
    package func mergeManifests() throws -> Int {
        guard let metadata = try head()?.metadata else { return 0 }
        let merged = try manifestsToMerge(metadata).count
        guard merged > 0 else { return 0 }
        _ = try commit(
            LakeChange(
                operation: .replace, mergesManifests: true,
                event: LakeEvent(kind: .manifests, counts: ["manifests-before": merged])))
        return merged
    }

    func manifestsToMerge(_ metadata: TableMetadata) throws -> [ManifestFile] {
        let small =
            try metadata.currentSnapshot.map(files.manifests(of:))?.filter(isMergeable) ?? []
        return small.count >= settings.manifestsToMerge ? small : []
    }

    /// Forgets snapshots whose time is over, and deletes what only they reached.
    ///
    /// - Returns: how many snapshots and how many files went.
    package func expireSnapshots() throws -> (snapshots: Int, files: Int) {
        guard let head = try head() else { return (0, 0) }
        var kept = bounded(head.metadata)
        let gone = head.metadata.snapshots.count - kept.snapshots.count
        guard gone > 0 else { return (0, 0) }
        kept.lastUpdatedMilliseconds = max(kept.lastUpdatedMilliseconds, milliseconds)
        return (gone, try publishExpiry(kept, after: head, snapshots: gone))
    }

    /// Publishes metadata with fewer snapshots; returns the number of files deleted.
    func publishExpiry(
        _ kept: TableMetadata,
        after head: (metadata: TableMetadata, location: String, deliveredThrough: Int64),
        snapshots: Int
    ) throws -> Int {
        let location = nextMetadataLocation(after: head.location)
        try catalog.noteWriting([location], table: name)
        try table.step(.metadataFilesNoted)
        let change = LakeChange(
            operation: .delete, event: LakeEvent(kind: .expiry, counts: ["snapshots": snapshots]))
        return try publish(
            kept, at: location, after: (head.metadata, head.location), committed: [location],
            change: change)
    }
}

extension LakeWriter {
    /// Deletes files that reachability over every snapshot shows to be nobody's, that the write journal does not own and
    /// that were not changed for ``HitsTable/Settings/orphanSecondsMin``; tells the audit log before.
    ///
    /// - Returns: the files that went.
    package func removeOrphans() throws -> [OrphanFile] {
        let orphans = try orphans(olderThanSeconds: settings.orphanSecondsMin)
        guard !orphans.isEmpty else { return [] }
        try table.audit(
            LakeEvent(
                kind: .orphans,
                counts: [
                    "files": orphans.count, "bytes": orphans.reduce(0) { $0 + $1.bytes },
                ]))
        try table.step(.audited)
        let uris = orphans.map { TableFiles.uri(of: $0.path) }
        try catalog.noteUnreferenced(uris, table: name)
        try table.step(.orphansNoted)
        try deleteFiles(uris)
        return orphans
    }

    /// Files that may go by ``removeOrphans()``; none while there is no table, for then nothing shows what is whose.
    ///
    /// None either while there is any hold: a catalog from a backup does not know the files of later deliveries, and they are
    /// all that is left of hits which may be held.
    func orphans(olderThanSeconds seconds: Int) throws -> [OrphanFile] {
        guard let head = try head() else { return [] }
        let known = try reachable(head)
        // Paths are compared as text. Under another name of the folder every file would look like nobody's.
        let prefix = TableFiles.uri(of: settings.directory) + "/"
        guard known.allSatisfy({ $0.hasPrefix(prefix) }) else {
            throw LakeError(
                .movedTable,
                "the table's files are known below another name than `\(settings.directory)`, so nothing shows which of them are "
                    + "nobody's; name the folder in the region file as it was when the table was made"
            )
        }
        guard try table.gate().isOpen else { return [] }
        let owned = try Set(
            catalog.writtenFiles(table: name) + catalog.unreferencedFiles(table: name))
        let before = table.clock.now().microseconds - Int64(seconds) * 1_000_000
        return try strayFiles(known: known.union(owned)).compactMap { path in
            guard let metadata = try File.metadata(path),
                metadata.modifiedMicroseconds <= before
            else { return nil }
            return OrphanFile(
                path: path, bytes: metadata.size,
                modified: Timestamp(microseconds: metadata.modifiedMicroseconds))
        }
    }

    /// Paths below the table's folder that the table does not refer to. Empty unless somebody else wrote there.
    package func strayFiles() throws -> [String] {
        try strayFiles(known: try head().map { try reachable($0) } ?? [])
    }

    /// URIs of all that any snapshot of the metadata reaches, and of the metadata.
    private func reachable(
        _ head: (metadata: TableMetadata, location: String, deliveredThrough: Int64)
    ) throws -> Set<String> {
        let reach = try files.metadataReach(of: head.metadata)
        var known = reach.others.union(reach.manifests.keys)
        for file in reach.manifests.values {
            known.formUnion(try files.manifest(file).entries.map(\.file.path))
        }
        known.insert(head.location)
        return known
    }

    /// Regular files below the table's folder whose URIs are not known. Links are neither followed nor named: what they
    /// point at may be anybody's.
    private func strayFiles(known: Set<String>) throws -> [String] {
        var stray: [String] = []
        var folders = [settings.directory]
        while let folder = folders.popLast() {
            guard try File.exists(folder) else { continue }
            for entry in try Directory.entries(folder) {
                let path = folder + "/" + entry.name
                switch entry.kind {
                case .directory: folders.append(path)
                case .file where !known.contains(TableFiles.uri(of: path)): stray.append(path)
                case .file, .link, .other: break
                }
            }
        }
        return stray.sorted()
    }
}
