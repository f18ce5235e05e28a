internal import Crypto
internal import LinuxIO
internal import Merkle

/// Where the files of one log lie, and what a name in it means.
struct AuditFolder: Sendable {
    /// Absolute path, without a trailing slash.
    let directory: String
    /// The log's name in its checkpoints.
    let origin: String

    init(directory: String, region: String) {
        self.directory = directory
        origin = region + "/audit"
    }

    var checkpointPath: String { directory + "/checkpoint" }
    /// The verifier key, for people and tools; what this program trusts is the key it was given.
    var verifierKeyPath: String { directory + "/key.vkey" }
    /// Locked while the log is written (exclusive) or read (shared).
    var lockPath: String { directory + "/lock" }
    /// Size of the tree from which the last append started; tells a crash from a forgery.
    var intentPath: String { directory + "/intent" }
    var tilesDirectory: String { directory + "/tile" }
    /// Folder with the introductions of the keys that followed the first one, by number.
    var introductionsDirectory: String { directory + "/keys" }
    /// The last checkpoint that was signed, beside the folder: whoever puts the folder back to what it was is met by it.
    var headPath: String { directory + ".head" }
    /// Folder with the checkpoint that each witness cosigned last, one file each.
    var cosignedDirectory: String { directory + "/witnessed" }

    /// Whether there is a log here, or what is left of one: only the key that signed it goes on with it.
    func hasLog() throws(AuditError) -> Bool {
        if try read(checkpointPath) != nil { return true }
        if try read(headPath) != nil { return true }
        return try !tileFiles().isEmpty
    }

    func path(_ tile: TilePath) -> String { directory + "/" + tile.text }

    /// How a tile stands to a tree of a given size.
    enum Standing {
        /// The tree consists of it.
        case published
        /// A partial form of a tile that has grown since.
        case superseded
        /// No checkpoint covers it.
        case beyond
    }

    static func standing(of tile: TilePath, size: Int) -> Standing {
        let count =
            switch tile.kind {
            case .entries: size
            case .hashes(let level):
                level * TilePath.height < Int.bitWidth - 1 ? size >> (level * TilePath.height) : 0
            }
        let end = tile.index.multipliedReportingOverflow(by: TilePath.fullWidth)
        guard !end.overflow, end.partialValue <= count - tile.width else { return .beyond }
        return tile.isFull || end.partialValue + tile.width == count ? .published : .superseded
    }

    /// Every file below `tile/`, by its path from the log's folder.
    func tileFiles() throws(AuditError) -> [String] {
        var files: [String] = []
        try visitTileFiles { files.append($0) }
        return files
    }

    /// Gives every file below `tile/`, by its path from the log's folder, with one folder's names in memory for each step of the
    /// way down. What writers add or remove meanwhile may be given or not.
    func visitTileFiles(_ body: (String) throws(AuditError) -> Void) throws(AuditError) {
        try visit("tile", body)
    }

    private func visit(
        _ folder: String, _ body: (String) throws(AuditError) -> Void
    ) throws(AuditError) {
        let path = directory + "/" + folder
        let entries: [Directory.Entry]
        do throws(LinuxError) { entries = try Directory.entries(path) } catch {
            // No log yet, or partial forms that a writer has just removed.
            if error.isMissing { return }
            throw .system(error)
        }
        for entry in entries {
            if entry.kind == .directory {
                try visit(folder + "/" + entry.name, body)
            } else {
                try body(folder + "/" + entry.name)
            }
        }
    }

    func exists(_ tile: TilePath) throws(AuditError) -> Bool {
        try Self.system { () throws(LinuxError) in try File.exists(path(tile)) }
    }

    /// The hashes of a tile; nil when the file is missing or has another length.
    func hashes(_ tile: TilePath) throws(AuditError) -> [Digest]? {
        guard let bytes = try read(path(tile)), let hashes = HashTile.decode(bytes),
            hashes.count == tile.width
        else { return nil }
        return hashes
    }

    /// The bytes of a tile as a checkpoint of the past covers them; nil when they are missing. A partial tile that has grown
    /// since is the beginning of the full one, and its own form stays until then.
    func snapshot(_ tile: TilePath) throws(AuditError) -> [UInt8]? {
        if let bytes = try read(path(tile)) { return bytes }
        guard !tile.isFull, let grown = try read(path(tile.full)) else { return nil }
        switch tile.kind {
        case .hashes: return Array(grown.prefix(tile.width * Digest.byteCount))
        case .entries:
            return EntryBundle.encode(EntryBundle.decode(grown).entries.prefix(tile.width))
        }
    }

    /// The hashes of a tile as a checkpoint of the past covers them.
    func snapshotHashes(_ tile: TilePath) throws(AuditError) -> [Digest] {
        guard let bytes = try snapshot(tile), let hashes = HashTile.decode(bytes),
            hashes.count == tile.width
        else { throw .damaged(path: path(tile), expected: "\(tile.width) hashes") }
        return hashes
    }

    func read(_ path: String) throws(AuditError) -> [UInt8]? { try Self.read(path) }

    static func read(_ path: String) throws(AuditError) -> [UInt8]? {
        try system { () throws(LinuxError) in try File.readIfPresent(path) }
    }

    static func system<Result: ~Copyable>(
        _ body: () throws(LinuxError) -> Result
    ) throws(AuditError) -> Result {
        do throws(LinuxError) { return try body() } catch { throw .system(error) }
    }
}

extension AuditFolder {
    /// Whether the tree of `size` entries with `root` begins with that of `oldSize` with `oldRoot`, by the tiles.
    func continues(size oldSize: Int, root oldRoot: Digest, toSize size: Int, root: Digest) -> Bool
    {
        // A tile that cannot be read proves nothing.
        guard oldSize <= size, let proof = try? consistencyProof(from: oldSize, to: size) else {
            return false
        }
        return TreeProof.isConsistent(
            old: oldSize, oldRoot: oldRoot, size: size, root: root, proof: proof)
    }

    /// The hashes that show that the tree of `size` entries begins with that of `oldSize`; none where there is nothing to show.
    func consistencyProof(from oldSize: Int, to size: Int) throws(AuditError) -> [Digest] {
        guard oldSize > 0, oldSize < size else { return [] }
        return try proof(size: size) { source in
            try TreeProof.consistency(from: oldSize, to: size, in: source)
        }
    }

    /// A proof from the tiles of the tree of `size` entries.
    func proof(
        size: Int, _ make: (TileHashSource) throws -> [Digest]
    ) throws(AuditError) -> [Digest] {
        do {
            return try make(TileHashSource(size: size, read: snapshotHashes))
        } catch let error as AuditError { throw error } catch {
            preconditionFailure("tiles are read with errors of the audit log alone")
        }
    }

    /// Refuses a tree that does not continue the checkpoint `kept`, which lies at `path`.
    func require(
        _ kept: [UInt8], from path: String, _ verifier: NoteVerifier, _ size: Int, _ root: Digest
    ) throws(AuditError) {
        guard let note = SignedNote(parsing: kept),
            let old = try keyChain(verifier).checkpoint(note)
        else { throw .keptInvalid(path: path) }
        guard continues(size: old.size, root: old.root, toSize: size, root: root) else {
            throw .rolledBack(
                path: checkpointPath, keptPath: path, signedSize: old.size, foundSize: size)
        }
    }
}
