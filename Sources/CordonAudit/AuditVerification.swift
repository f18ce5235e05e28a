internal import Crypto
internal import LinuxIO
internal import Merkle

/// What a full verification of a log found. Each place is named as text: an entry by its number and file, a
/// file by its path from the log's folder.
package struct AuditVerification: Equatable, Sendable {
    package let region: String
    /// Number of entries that the checkpoint covers; without a readable checkpoint, those found.
    package internal(set) var size = 0
    /// Root over the entries, in hexadecimal; empty when too much is missing to compute it.
    package internal(set) var root = ""
    /// Whether the checkpoint is readable, this log's, and signed by the region's key.
    package internal(set) var isCheckpointValid = false
    /// Whether the entries hash to every tile and to the checkpoint's root.
    package internal(set) var isConsistent = false
    package internal(set) var missing: [String] = []
    package internal(set) var changed: [String] = []
    package internal(set) var inserted: [String] = []
    /// Files of an append that a crash cut off before its checkpoint. They are no part of the log and the
    /// next append removes them.
    package internal(set) var unpublished: [String] = []

    /// Whether the log is what the region's key signed.
    package var isSound: Bool {
        isCheckpointValid && isConsistent && missing.isEmpty && changed.isEmpty && inserted.isEmpty
    }
}

extension AuditReader {
    /// Recomputes the tree from every entry and compares it with tiles, checkpoint and signature. Reads
    /// everything once, 256 entries at a time. Trusts nothing in the folder: who can rewrite entries and
    /// tiles still cannot sign the root that they give.
    package func verify() throws(AuditError) -> AuditVerification {
        let lock = try folder.lockForReading()
        var verifier = LogVerifier(folder: folder, verifier: verifier, region: region)
        try verifier.run()
        _ = consume lock
        return verifier.result
    }
}

/// One pass over a log's files.
private struct LogVerifier {
    let folder: AuditFolder
    let verifier: NoteVerifier
    var result: AuditVerification

    private var checkpoint: Checkpoint?
    /// The tree over the entries, and the tree over the stored leaf hashes; nil once one cannot be computed.
    private var entriesTree: TreeBuilder? = TreeBuilder()
    private var tilesTree: TreeBuilder? = TreeBuilder()
    /// Places where the entries differ from the stored leaf hashes, by who would be at fault.
    private var entryFindings = Findings()
    private var leafTileFindings: [String] = []

    private struct Findings {
        var missing: [String] = []
        var changed: [String] = []
        var inserted: [String] = []
    }

    init(folder: AuditFolder, verifier: NoteVerifier, region: String) {
        self.folder = folder
        self.verifier = verifier
        result = AuditVerification(region: region)
    }

    mutating func run() throws(AuditError) {
        try readCheckpoint()
        let files = try folder.tileFiles()
        result.size = checkpoint?.size ?? Self.sizeOfEntries(files)
        var entriesTiles: [TilePath: [Digest]] = [:]
        var tilesTiles: [TilePath: [Digest]] = [:]
        for start in stride(from: 0, to: result.size, by: TilePath.fullWidth) {
            let width = min(TilePath.fullWidth, result.size - start)
            try compareBundle(start / TilePath.fullWidth, width, &entriesTiles, &tilesTiles)
        }
        try judge(entriesTiles, tilesTiles)
        try checkOtherFiles(files)
        result.isConsistent =
            checkpoint != nil && entriesTree?.root == checkpoint?.root && result.missing.isEmpty
            && result.changed.isEmpty && result.inserted.isEmpty
    }

    private mutating func readCheckpoint() throws(AuditError) {
        if let key = try folder.read(folder.verifierKeyPath) {
            if key != Array((verifier.text + "\n").utf8) { result.changed.append("key.vkey") }
        } else {
            result.missing.append("key.vkey")
        }
        guard let bytes = try folder.read(folder.checkpointPath) else {
            result.missing.append("checkpoint")
            return
        }
        guard let note = SignedNote(parsing: bytes), let found = Checkpoint(note.text) else {
            result.changed.append("checkpoint")
            return
        }
        checkpoint = found
        result.isCheckpointValid = found.origin == folder.origin && note.isSigned(by: verifier)
        if !result.isCheckpointValid { result.changed.append("checkpoint") }
    }

    /// How many entries the bundles would hold, for a log without a readable checkpoint.
    private static func sizeOfEntries(_ files: [String]) -> Int {
        files.compactMap { TilePath($0) }.filter { $0.kind == .entries && $0.index < 1 << 40 }
            .map { $0.index * TilePath.fullWidth + $0.width }.max() ?? 0
    }
}

// Entries against stored leaf hashes.
extension LogVerifier {
    private mutating func compareBundle(
        _ index: Int, _ width: Int, _ entriesTiles: inout [TilePath: [Digest]],
        _ tilesTiles: inout [TilePath: [Digest]]
    ) throws(AuditError) {
        let bundle = TilePath(.entries, index: index, width: width)
        let tile = TilePath(.hashes(level: 0), index: index, width: width)
        let stored = try storedHashes(tile)
        var leaves: [Digest]?
        if let bytes = try folder.read(folder.path(bundle)) {
            let (entries, excess) = EntryBundle.decode(bytes)
            let hashes = entries.map(TreeHash.leaf)
            leaves = hashes
            compare(hashes, stored, bundle)
            if excess > 0 {
                entryFindings.changed.append("\(bundle.text): \(excess) bytes make no entry")
            }
        } else {
            let first = index * TilePath.fullWidth
            result.missing.append("\(Self.name(first..<first + width)) (\(bundle.text))")
        }
        if leaves != stored { leafTileFindings.append(tile.text) }
        // Where one side is lost the other keeps the count, so that places behind it are still compared.
        Self.extend(&entriesTree, leaves?.count == width ? leaves : nil, &entriesTiles)
        Self.extend(&tilesTree, stored, &tilesTiles)
    }

    private static func name(_ entries: Range<Int>) -> String {
        entries.count == 1
            ? "entry \(entries.lowerBound)"
            : "entries \(entries.lowerBound) to \(entries.upperBound - 1)"
    }

    /// Adds a tile's leaves to a tree and keeps the full tiles above the leaves that this completes.
    private static func extend(
        _ tree: inout TreeBuilder?, _ leaves: [Digest]?, _ tiles: inout [TilePath: [Digest]]
    ) {
        guard let leaves else {
            tree = nil
            return
        }
        for leaf in leaves {
            tree?.append(leaf) { tile, hashes in
                if tile.kind != .hashes(level: 0) { tiles[tile] = hashes }
            }
        }
    }

    private mutating func storedHashes(_ tile: TilePath) throws(AuditError) -> [Digest]? {
        guard let bytes = try folder.read(folder.path(tile)) else {
            result.missing.append(tile.text)
            return nil
        }
        guard let hashes = HashTile.decode(bytes), hashes.count == tile.width else {
            result.changed.append(
                "\(tile.text): expected \(tile.width) hashes, found \(bytes.count) bytes")
            return nil
        }
        return hashes
    }

    /// Aligns the entries of a bundle with the stored hashes, so that an entry taken out or put in is told
    /// from a changed one.
    private mutating func compare(_ leaves: [Digest], _ stored: [Digest]?, _ bundle: TilePath) {
        let start = bundle.index * TilePath.fullWidth
        guard let stored else {
            // Nothing to align with: only the number can be judged.
            if leaves.count < bundle.width {
                let absent = start + leaves.count..<start + bundle.width
                entryFindings.missing.append("\(Self.name(absent)) (\(bundle.text))")
            } else if leaves.count > bundle.width {
                entryFindings.inserted.append(
                    "\(leaves.count - bundle.width) too many in \(bundle.text)")
            }
            return
        }
        if leaves == stored { return }
        var (removed, added): (Set<Int>, Set<Int>) = ([], [])
        for change in leaves.difference(from: stored) {
            switch change {
            case .remove(let offset, _, _): removed.insert(offset)
            case .insert(let offset, _, _): added.insert(offset)
            }
        }
        var (old, new) = (0, 0)
        while old < stored.count || new < leaves.count {
            let place = "entry \(start + old) (\(bundle.text))"
            switch (removed.contains(old), added.contains(new)) {
            case (true, true):
                entryFindings.changed.append(place)
                old += 1
                new += 1
            case (true, false):
                entryFindings.missing.append(place)
                old += 1
            case (false, true):
                entryFindings.inserted.append("before \(place)")
                new += 1
            case (false, false):
                old += 1
                new += 1
            }
        }
    }
}

// Who is at fault, and what lies beside.
extension LogVerifier {
    /// The signed root says whether the entries or the tiles are the true ones.
    private mutating func judge(
        _ entriesTiles: [TilePath: [Digest]], _ tilesTiles: [TilePath: [Digest]]
    ) throws(AuditError) {
        result.root = entriesTree?.root.hex ?? ""
        if let entriesTree, entriesTree.root == checkpoint?.root {
            for tile in leafTileFindings where !alreadyNamed(tile) { result.changed.append(tile) }
            try compareUpperTiles(of: entriesTree, entriesTiles)
            return
        }
        result.missing += entryFindings.missing
        result.changed += entryFindings.changed
        result.inserted += entryFindings.inserted
        if let tilesTree { try compareUpperTiles(of: tilesTree, tilesTiles) }
        if let checkpoint, let entriesTree, tilesTree?.root != checkpoint.root {
            result.changed.append(
                "root: the entries give \(entriesTree.root.hex), the checkpoint says "
                    + checkpoint.root.hex)
        }
    }

    private func alreadyNamed(_ tile: String) -> Bool {
        result.missing.contains(tile) || result.changed.contains { $0.hasPrefix(tile) }
    }

    private mutating func compareUpperTiles(
        of tree: TreeBuilder, _ full: [TilePath: [Digest]]
    ) throws(AuditError) {
        var expected = full
        for (tile, hashes) in tree.partialTiles where tile.kind != .hashes(level: 0) {
            expected[tile] = hashes
        }
        for (tile, hashes) in expected.sorted(by: { $0.key.text < $1.key.text }) {
            guard let stored = try storedHashes(tile) else { continue }
            if stored != hashes { result.changed.append(tile.text) }
        }
    }

    /// Files below `tile/` that the tree does not consist of.
    private mutating func checkOtherFiles(_ files: [String]) throws(AuditError) {
        let isInterrupted = checkpoint != nil && folder.intendedSize() == checkpoint?.size
        for file in files {
            guard let tile = TilePath(file) else {
                result.inserted.append(file)
                continue
            }
            switch AuditFolder.standing(of: tile, size: result.size) {
            case .published: break
            case .superseded: try compareSuperseded(tile)
            case .beyond where isInterrupted: result.unpublished.append(file)
            case .beyond: result.inserted.append("\(file): beyond the checkpoint")
            }
        }
    }

    /// A partial tile is the beginning of the tile that it grew into.
    private mutating func compareSuperseded(_ tile: TilePath) throws(AuditError) {
        let count =
            switch tile.kind {
            case .entries: result.size
            case .hashes(let level): result.size >> (level * TilePath.height)
            }
        let width = min(TilePath.fullWidth, count - tile.index * TilePath.fullWidth)
        let current = TilePath(tile.kind, index: tile.index, width: width)
        guard let old = try folder.read(folder.path(tile)),
            let new = try folder.read(folder.path(current))
        else { return }
        if !new.starts(with: old) { result.changed.append(tile.text) }
    }
}
