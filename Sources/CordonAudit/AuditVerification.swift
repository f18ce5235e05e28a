internal import Crypto
internal import Dispatch
internal import LinuxIO
internal import Merkle
internal import Synchronization

/// What a full verification of a log found. Each place is named as text: an entry by its number and file, a
/// file by its path from the log's folder. A list ends with how many more there are behind ``placesMax``.
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

    /// Most places of one kind that are named: a log that was replaced whole has millions.
    package static let placesMax = 1000

    /// Whether the log is what the region's key signed.
    package var isSound: Bool {
        isCheckpointValid && isConsistent && missing.isEmpty && changed.isEmpty && inserted.isEmpty
    }
}

extension AuditReader {
    /// Recomputes the tree from every entry and compares it with tiles, checkpoint and signature. Reads
    /// everything once, some bundles at a time, on all cores. Trusts nothing in the folder: who can rewrite entries and
    /// tiles still cannot sign the root that they give.
    ///
    /// What is verified is the log as the checkpoint has it at the start; writers are not held up and may append meanwhile.
    package func verify() throws(AuditError) -> AuditVerification {
        var verifier = LogVerifier(folder: folder, verifier: verifier, region: region)
        try verifier.run()
        return verifier.result
    }
}

/// One pass over a log's files.
private struct LogVerifier {
    let folder: AuditFolder
    let verifier: NoteVerifier
    var result: AuditVerification

    private var checkpoint: Checkpoint?
    /// The tree over the entries, and the tree over the stored leaf hashes. They are one until they differ for the first time.
    private var entriesSide = Side()
    private var tilesSide: Side?
    private var missing = Places()
    private var changed = Places()
    private var inserted = Places()
    private var unpublished = Places()
    /// Places where the entries differ from the stored leaf hashes that can be read, by who would be at fault.
    private var entryFindings = Findings()
    private var leafTileFindings = Places()

    /// Places by name, up to a bound.
    private struct Places {
        private(set) var texts: [String] = []
        private var more = 0

        var isEmpty: Bool { texts.isEmpty }
        /// The named ones and, where there are more, how many.
        var all: [String] { more == 0 ? texts : texts + ["and \(more) more"] }

        mutating func append(_ text: String) {
            if texts.count < AuditVerification.placesMax { texts.append(text) } else { more += 1 }
        }

        static func += (left: inout Places, right: Places) {
            for text in right.texts { left.append(text) }
            left.more += right.more
        }
    }

    private struct Findings {
        var missing = Places()
        var changed = Places()
        var inserted = Places()
    }

    /// A tree and how the stored tiles above its leaves differ from it; no tree once one cannot be computed.
    private struct Side {
        var tree: TreeBuilder? = TreeBuilder()
        var missing = Places()
        var changed = Places()
    }

    /// A bundle of entries and the tile of their hashes, as they were read.
    private struct Bundle: Sendable {
        let index: Int
        let width: Int
        /// Hashes of the entries; nil when the bundle is missing.
        var leaves: [Digest]?
        /// Bytes behind the last entry that make none.
        var excess = 0
        var stored = StoredTile.missing
        /// Root over ``leaves``, when they are those of a full tile.
        var root: Digest?
    }

    private enum StoredTile: Sendable {
        case hashes([Digest])
        case missing
        case wrongLength(bytes: Int)

        var hashes: [Digest]? {
            if case .hashes(let hashes) = self { hashes } else { nil }
        }
    }

    /// Bundles that are in memory at the same time.
    private static let bundlesAtOnce = 64

    init(folder: AuditFolder, verifier: NoteVerifier, region: String) {
        self.folder = folder
        self.verifier = verifier
        result = AuditVerification(region: region)
    }

    mutating func run() throws(AuditError) {
        try readCheckpoint()
        if let checkpoint {
            result.size = checkpoint.size
        } else {
            result.size = try sizeOfEntries()
        }
        let count = (result.size + TilePath.fullWidth - 1) / TilePath.fullWidth
        for start in stride(from: 0, to: count, by: Self.bundlesAtOnce) {
            for bundle in try read(start..<min(start + Self.bundlesAtOnce, count)) {
                try take(bundle)
            }
        }
        try judge()
        for path in try folder.strayIntroductions(size: result.size, root: checkpoint?.root) {
            changed.append(path)
        }
        try checkOtherFiles()
        result.missing = missing.all
        result.changed = changed.all
        result.inserted = inserted.all
        result.unpublished = unpublished.all
        result.isConsistent =
            checkpoint != nil && entriesSide.tree?.root == checkpoint?.root && missing.isEmpty
            && changed.isEmpty && inserted.isEmpty
    }

    private mutating func readCheckpoint() throws(AuditError) {
        let chain = try folder.keyChain(verifier)
        if let key = try folder.read(folder.verifierKeyPath) {
            if key != Array((chain.present.text + "\n").utf8) { changed.append("key.vkey") }
        } else {
            missing.append("key.vkey")
        }
        guard let bytes = try folder.read(folder.checkpointPath) else {
            missing.append("checkpoint")
            return
        }
        guard let note = SignedNote(parsing: bytes), let found = Checkpoint(note.text) else {
            changed.append("checkpoint")
            return
        }
        checkpoint = found
        result.isCheckpointValid = chain.checkpoint(note) != nil
        if !result.isCheckpointValid { changed.append("checkpoint") }
    }

    /// How many entries the bundles would hold, for a log without a readable checkpoint.
    private func sizeOfEntries() throws(AuditError) -> Int {
        var size = 0
        try folder.visitTileFiles { file throws(AuditError) in
            guard let tile = TilePath(file), tile.kind == .entries, tile.index < 1 << 40 else {
                return
            }
            size = max(size, tile.index * TilePath.fullWidth + tile.width)
        }
        return size
    }

    /// Number of entries under the checkpoint as it is now; a log that grew is still verified as it was.
    private func presentSize() throws(AuditError) -> Int {
        guard let bytes = try folder.read(folder.checkpointPath),
            let note = SignedNote(parsing: bytes),
            let now = try folder.keyChain(verifier).checkpoint(note)
        else { return result.size }
        return max(now.size, result.size)
    }

    /// The bytes of a tile as the verified checkpoint covers it; nil when they are missing.
    private func bytes(of tile: TilePath) throws(AuditError) -> [UInt8]? {
        if let bytes = try folder.read(folder.path(tile)) { return bytes }
        // Only a log that has grown may have another form of it instead.
        guard !tile.isFull, try presentSize() > result.size else { return nil }
        return try folder.snapshot(tile)
    }

    private func stored(_ tile: TilePath) throws(AuditError) -> StoredTile {
        guard let bytes = try bytes(of: tile) else { return .missing }
        guard let hashes = HashTile.decode(bytes), hashes.count == tile.width else {
            return .wrongLength(bytes: bytes.count)
        }
        return .hashes(hashes)
    }
}

// Entries against stored leaf hashes.
extension LogVerifier {
    /// Reads and hashes some bundles, on all cores.
    private func read(_ indices: Range<Int>) throws(AuditError) -> [Bundle] {
        let outcomes = Mutex<[Int: Result<Bundle, AuditError>]>([:])
        DispatchQueue.concurrentPerform(iterations: indices.count) { offset in
            let index = indices.lowerBound + offset
            let outcome: Result<Bundle, AuditError>
            do throws(AuditError) { outcome = .success(try read(index)) } catch {
                outcome = .failure(error)
            }
            outcomes.withLock { $0[index] = outcome }
        }
        var bundles: [Bundle] = []
        for index in indices {
            guard let outcome = outcomes.withLock({ $0[index] }) else {
                preconditionFailure("every bundle was read")
            }
            bundles.append(try outcome.get())
        }
        return bundles
    }

    private func read(_ index: Int) throws(AuditError) -> Bundle {
        let width = min(TilePath.fullWidth, result.size - index * TilePath.fullWidth)
        var bundle = Bundle(index: index, width: width)
        if let bytes = try bytes(of: TilePath(.entries, index: index, width: width)) {
            let (leaves, excess) = TreeHash.leaves(of: bytes)
            bundle.leaves = leaves
            bundle.excess = excess
            if leaves.count == TilePath.fullWidth { bundle.root = TreeHash.perfectRoot(leaves) }
        }
        bundle.stored = try stored(TilePath(.hashes(level: 0), index: index, width: width))
        return bundle
    }

    private mutating func take(_ bundle: Bundle) throws(AuditError) {
        let (index, width) = (bundle.index, bundle.width)
        let entries = TilePath(.entries, index: index, width: width)
        let tile = TilePath(.hashes(level: 0), index: index, width: width)
        let stored = bundle.stored.hashes
        switch bundle.stored {
        case .hashes: break
        case .missing: missing.append(tile.text)
        case .wrongLength(let bytes):
            changed.append("\(tile.text): expected \(width) hashes, found \(bytes) bytes")
        }
        if let leaves = bundle.leaves {
            compare(leaves, stored, entries)
        } else {
            let first = index * TilePath.fullWidth
            missing.append("\(Self.name(first..<first + width)) (\(entries.text))")
        }
        if bundle.excess > 0 {
            entryFindings.changed.append("\(entries.text): \(bundle.excess) bytes make no entry")
        }
        if bundle.leaves != stored {
            // One that is missing or too long or short was named above, whichever side is true.
            if stored != nil { leafTileFindings.append(tile.text) }
            // From here on they are two trees.
            if tilesSide == nil { tilesSide = entriesSide }
        }
        // Where one side is lost the other keeps the count, so that places behind it are still compared.
        let leaves = bundle.leaves?.count == width ? bundle.leaves : nil
        try extend(\.entriesSide, leaves, root: bundle.root)
        if tilesSide != nil {
            try extend(\.tilesSide!, stored, root: leaves == stored ? bundle.root : nil)
        }
    }

    private static func name(_ entries: Range<Int>) -> String {
        entries.count == 1
            ? "entry \(entries.lowerBound)"
            : "entries \(entries.lowerBound) to \(entries.upperBound - 1)"
    }

    /// Adds a tile's leaves to a tree and compares the full tiles above the leaves that this completes.
    private mutating func extend(
        _ path: WritableKeyPath<LogVerifier, Side>, _ leaves: [Digest]?, root: Digest?
    ) throws(AuditError) {
        guard let leaves else {
            self[keyPath: path].tree = nil
            return
        }
        var completed: [(TilePath, [Digest])] = []
        if leaves.count == TilePath.fullWidth {
            self[keyPath: path].tree?.append(
                tile: leaves, root: root ?? TreeHash.perfectRoot(leaves)
            ) { completed.append(($0, $1)) }
        } else {
            for leaf in leaves {
                self[keyPath: path].tree?.append(leaf) { completed.append(($0, $1)) }
            }
        }
        for (tile, hashes) in completed where tile.kind != .hashes(level: 0) {
            try compare(tile, hashes, path)
        }
    }

    private mutating func compare(
        _ tile: TilePath, _ hashes: [Digest], _ path: WritableKeyPath<LogVerifier, Side>
    ) throws(AuditError) {
        switch try stored(tile) {
        case .hashes(hashes): break
        case .hashes: self[keyPath: path].changed.append(tile.text)
        case .missing: self[keyPath: path].missing.append(tile.text)
        case .wrongLength(let bytes):
            self[keyPath: path].changed.append(
                "\(tile.text): expected \(tile.width) hashes, found \(bytes) bytes")
        }
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
    private mutating func judge() throws(AuditError) {
        let root = entriesSide.tree?.root
        result.root = root?.hex ?? ""
        if let root, root == checkpoint?.root {
            changed += leafTileFindings
            try finish(\.entriesSide)
            return
        }
        missing += entryFindings.missing
        changed += entryFindings.changed
        inserted += entryFindings.inserted
        if tilesSide == nil { tilesSide = entriesSide }
        let tilesRoot = tilesSide?.tree?.root
        try finish(\.tilesSide!)
        if let checkpoint, let root, tilesRoot != checkpoint.root {
            changed.append(
                "root: the entries give \(root.hex), the checkpoint says " + checkpoint.root.hex)
        }
    }

    /// Compares the partial tiles that a tree ends in and takes over what is wrong above its leaves.
    private mutating func finish(
        _ path: WritableKeyPath<LogVerifier, Side>
    ) throws(AuditError) {
        guard let tree = self[keyPath: path].tree else { return }
        for (tile, hashes) in tree.partialTiles where tile.kind != .hashes(level: 0) {
            try compare(tile, hashes, path)
        }
        missing += self[keyPath: path].missing
        changed += self[keyPath: path].changed
    }

    /// Files below `tile/` that the tree does not consist of.
    private mutating func checkOtherFiles() throws(AuditError) {
        var beyond: [String] = []
        var grown: [TilePath] = []
        var strange = Places()
        let size = result.size
        try folder.visitTileFiles { file throws(AuditError) in
            guard let tile = TilePath(file) else {
                strange.append(file)
                return
            }
            switch AuditFolder.standing(of: tile, size: size) {
            case .published: break
            case .superseded: grown.append(tile)
            case .beyond: beyond.append(file)
            }
        }
        inserted += strange
        for tile in grown { try compareSuperseded(tile) }
        if !beyond.isEmpty { try judgeBeyond(beyond) }
    }

    /// Tells what has been appended since from what no checkpoint covers. Writers wait for this moment alone.
    private mutating func judgeBeyond(_ files: [String]) throws(AuditError) {
        let lock = try folder.lockForReading()
        let size = try presentSize()
        let isInterrupted = checkpoint != nil && folder.intendedSize() == size
        for file in files {
            guard let tile = TilePath(file),
                case .beyond = AuditFolder.standing(of: tile, size: size),
                try folder.exists(tile)
            else { continue }
            if isInterrupted {
                unpublished.append(file)
            } else {
                inserted.append("\(file): beyond the checkpoint")
            }
        }
        _ = consume lock
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
        guard let old = try folder.read(folder.path(tile)), let new = try bytes(of: current) else {
            return
        }
        if !new.starts(with: old) { changed.append(tile.text) }
    }
}
