import Iceberg
import LinuxIO

/// Reads the metadata files of a table, and translates between URIs and paths.
struct TableFiles {
    let directory: String
    /// What was read before, for who reads the same manifests again and again; nil reads them each time.
    var manifests: ReadManifests?

    private static let scheme = "file://"

    static func uri(of path: String) -> String { scheme + path }

    static func path(of uri: String) throws(LakeError) -> String {
        guard uri.hasPrefix(scheme + "/") else {
            throw LakeError(.damagedTable, "expected a `file:///` location in the table's metadata")
        }
        return String(uri.dropFirst(scheme.count))
    }

    var metadataDirectory: String { directory + "/metadata" }
    var dataDirectory: String { directory + "/data" }

    func metadata(_ uri: String) throws -> TableMetadata {
        let path = try Self.path(of: uri)
        try requireOwn(path)
        return try TableMetadata(decoding: File.read(path))
    }

    /// Throws unless the metadata file at `path` lies in this table's folder, under whatever name that was opened.
    ///
    /// Locations are absolute, so the catalog of a project that was moved or copied still names the old folder: reading on
    /// would miss the files, and writing on would change the lake of the project it was copied from.
    func requireOwn(_ path: String) throws {
        if path.hasPrefix(metadataDirectory + "/") { return }
        let named = File.parent(of: path)
        let here = try File.metadata(metadataDirectory)
        if let there = try File.metadata(named), there.device == here?.device,
            there.inode == here?.inode
        {
            return
        }
        throw LakeError(
            .movedTable,
            "the table was made in `\(File.parent(of: named))` and is looked for in `\(directory)`: a lake knows "
                + "its place and cannot be moved or copied; put it back, or name its place in the region file"
        )
    }

    func manifests(of snapshot: Snapshot) throws -> [ManifestFile] {
        try ManifestList(decoding: File.read(try Self.path(of: snapshot.manifestList))).manifests
    }

    func manifest(_ file: ManifestFile) throws -> Manifest {
        if let known = manifests?.manifest(file) { return known }
        let manifest = try Manifest(
            decoding: File.read(try Self.path(of: file.path)), listedAs: file)
        manifests?.keep(manifest, of: file)
        return manifest
    }

    /// Every data file of a snapshot.
    func dataFiles(of snapshot: Snapshot) throws -> [DataFile] {
        try manifests(of: snapshot).flatMap { file in
            try manifest(file).entries.lazy.filter { $0.status != .deleted }.map(\.file)
        }
    }

    /// URIs of all that `metadata` refer to, apart from data files: lists, manifests, statistics, older metadata.
    func metadataReach(of metadata: TableMetadata) throws -> Reach {
        var reach = Reach(others: Self.named(metadata))
        for snapshot in metadata.snapshots {
            for file in try manifests(of: snapshot) { reach.manifests[file.path] = file }
        }
        return reach
    }

    /// URIs of what `old` refer to and `new` do not.
    ///
    /// Data files are reached through manifests alone, so they are compared only when a manifest went; then
    /// against every manifest that stays, over all snapshots: never by guessing from what a commit removed.
    func unreferenced(from old: TableMetadata, to new: TableMetadata) throws -> [String] {
        var gone = Self.named(old).subtracting(Self.named(new))
        let stayingLists = Set(new.snapshots.map(\.manifestList))
        var dropped: [String: ManifestFile] = [:]
        for snapshot in old.snapshots where !stayingLists.contains(snapshot.manifestList) {
            for file in try manifests(of: snapshot) { dropped[file.path] = file }
        }
        var staying: [String: ManifestFile] = [:]
        // Oldest first: after a delivery the oldest that stays lists all that the one before it did, and no more are read.
        for snapshot in new.snapshots where !dropped.isEmpty {
            for file in try manifests(of: snapshot) {
                staying[file.path] = file
                dropped[file.path] = nil
            }
        }
        gone.formUnion(dropped.keys)
        var data: Set<String> = []
        for file in dropped.values { data.formUnion(try dataPaths(file)) }
        for file in staying.values where !data.isEmpty { data.subtract(try dataPaths(file)) }
        return gone.union(data).sorted()
    }

    /// URIs that metadata name themselves.
    private static func named(_ metadata: TableMetadata) -> Set<String> {
        Set(metadata.metadataLog.map(\.metadataFile))
            .union(metadata.statistics.map(\.path))
            .union(metadata.partitionStatistics.map(\.path))
            .union(metadata.snapshots.map(\.manifestList))
    }

    private func dataPaths(_ file: ManifestFile) throws -> [String] {
        try manifest(file).entries.map(\.file.path)
    }

    struct Reach {
        var manifests: [String: ManifestFile] = [:]
        var others: Set<String> = []
    }
}

/// Manifests that one writer has read: a file with a manifest's name never changes, so it need not be read and decoded again.
final class ReadManifests {
    private var byFile: [ManifestFile: Manifest] = [:]
    private var entries = 0

    /// Bounds the memory (some 4 kB each); what is not kept is read again.
    private static let entriesMax = 1 << 13

    func manifest(_ file: ManifestFile) -> Manifest? { byFile[file] }

    func keep(_ manifest: Manifest, of file: ManifestFile) {
        guard entries + manifest.entries.count <= Self.entriesMax else { return }
        entries += manifest.entries.count
        byFile[file] = manifest
    }
}
