import Iceberg
import LinuxIO

/// Reads the metadata files of a table, and translates between URIs and paths.
struct TableFiles {
    let directory: String

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
    private func requireOwn(_ path: String) throws {
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
        try Manifest(decoding: File.read(try Self.path(of: file.path)), listedAs: file)
    }

    /// Every data file of a snapshot.
    func dataFiles(of snapshot: Snapshot) throws -> [DataFile] {
        try manifests(of: snapshot).flatMap { file in
            try manifest(file).entries.lazy.filter { $0.status != .deleted }.map(\.file)
        }
    }

    /// URIs of all that `metadata` refer to, apart from data files: lists, manifests, statistics, older metadata.
    func metadataReach(of metadata: TableMetadata) throws -> Reach {
        var reach = Reach()
        reach.others = Set(metadata.metadataLog.map(\.metadataFile))
        reach.others.formUnion(metadata.statistics.map(\.path))
        reach.others.formUnion(metadata.partitionStatistics.map(\.path))
        for snapshot in metadata.snapshots {
            reach.others.insert(snapshot.manifestList)
            for file in try manifests(of: snapshot) { reach.manifests[file.path] = file }
        }
        return reach
    }

    /// URIs of what `old` refer to and `new` do not.
    ///
    /// Data files are reached through manifests alone, so they are compared only when a manifest went; then
    /// against every manifest that stays, over all snapshots: never by guessing from what a commit removed.
    func unreferenced(from old: TableMetadata, to new: TableMetadata) throws -> [String] {
        let before = try metadataReach(of: old)
        let after = try metadataReach(of: new)
        var gone = before.others.subtracting(after.others)
        let dropped = before.manifests.filter { after.manifests[$0.key] == nil }
        if !dropped.isEmpty {
            gone.formUnion(dropped.keys)
            var data: Set<String> = []
            for file in dropped.values { data.formUnion(try dataPaths(file)) }
            for file in after.manifests.values where !data.isEmpty {
                data.subtract(try dataPaths(file))
            }
            gone.formUnion(data)
        }
        return gone.sorted()
    }

    private func dataPaths(_ file: ManifestFile) throws -> [String] {
        try manifest(file).entries.map(\.file.path)
    }

    struct Reach {
        var manifests: [String: ManifestFile] = [:]
        var others: Set<String> = []
    }
}
