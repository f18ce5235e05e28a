package import CordonModel
package import Crypto
internal import LinuxIO
internal import Merkle
internal import Synchronization

/// Appends to a region's audit log.
///
/// An entry is on disk, in the tree and under a signed checkpoint when ``append(_:)-(AuditEntry)`` returns;
/// when it throws, what was to be recorded must not happen. Files are synced in the order bundle of
/// entries, tiles, checkpoint, so a crash at any point leaves the tree of the last checkpoint, and what lies
/// beyond it is removed by the next opening. Any number of threads and processes may append; a lock file
/// orders them.
///
/// What several threads append at the same time goes under one checkpoint, so that the syncs are shared.
///
/// INVARIANT: a checkpoint is signed only when it extends the one signed before; also across restarts, since the last one is
/// kept beside the log's folder too.
package final class AuditLog: Sendable {
    package let region: String
    private let folder: AuditFolder
    private let signer: NoteSigner
    private let state: Mutex<State>
    /// What waits for the thread that appends for all.
    private let waiting = Mutex<[Ticket]>([])

    /// Entries that go under a checkpoint with those of other threads.
    private final class Ticket: Sendable {
        let entries: [[UInt8]]
        let outcome = Mutex<Result<Range<Int>, AuditError>?>(nil)
        init(_ entries: [[UInt8]]) { self.entries = entries }
    }

    /// Most entries that go under one checkpoint for several threads; one call's own may be more.
    private static let sharedEntriesMax = 4096

    /// The log as this process last saw it.
    private struct State {
        var builder: TreeBuilder
        /// Bytes of the last, partial bundle.
        var bundle: [UInt8]
        /// The signed checkpoint as it lies on disk.
        var checkpoint: [UInt8]
        var root: Digest
        /// Whether an append failed half-way, so that files may lie beyond the checkpoint.
        var isUnclean = false
    }

    /// Opens the log in `directory`, making an empty one when there is none, and cuts what lies beyond its
    /// checkpoint. Refuses a log whose right edge does not hash to its checkpoint.
    package init(
        directory: String, region: String, key: Ed25519PrivateKey
    ) throws(AuditError) {
        self.region = region
        folder = AuditFolder(directory: directory, region: region)
        signer = NoteSigner(name: folder.origin, key: key)
        let lock = try Self.lock(folder)
        try Self.create(folder, signer)
        let found = try Self.load(folder, signer.verifier)
        if let stray = try folder.strayIntroductions(
            size: found.builder.size, root: found.root
        ).first {
            throw .introductionInvalid(path: directory + "/" + stray)
        }
        try Self.nameKey(folder, signer.verifier)
        try Self.cut(folder, size: found.builder.size)
        try Self.requireHead(folder, signer.verifier, found)
        state = Mutex(found)
        _ = consume lock
    }

    /// Whether a log of the region was begun in `directory`, so that its key must be there as well.
    package static func isBegun(directory: String, region: String) throws(AuditError) -> Bool {
        try AuditFolder(directory: directory, region: region).hasLog()
    }

    /// Number of entries that this process knows of.
    package var size: Int { state.withLock { $0.builder.size } }

    /// Reads and verifies the same log.
    package var reader: AuditReader {
        AuditReader(directory: folder.directory, region: region, key: signer.key.publicKey)
    }

    /// Appends one entry and returns its index.
    @discardableResult
    package func append(_ entry: AuditEntry) throws(AuditError) -> Int {
        try append([entry]).lowerBound
    }

    /// Appends entries under one checkpoint and returns their indices. All are recorded, or none.
    @discardableResult
    package func append(_ entries: [AuditEntry]) throws(AuditError) -> Range<Int> {
        var encoded: [[UInt8]] = []
        for entry in entries {
            guard entry.region == region else {
                throw .otherRegion(expected: region, found: entry.region)
            }
            let bytes = entry.encoded
            guard bytes.count <= EntryBundle.entryBytesMax else {
                throw .entryTooLarge(bytes: bytes.count, bytesMax: EntryBundle.entryBytesMax)
            }
            encoded.append(bytes)
        }
        let ticket = Ticket(encoded)
        waiting.withLock { $0.append(ticket) }
        // Whoever gets the log first appends for all that wait; they find it done.
        state.withLock { state in
            if ticket.outcome.withLock({ $0 }) == nil { appendWaiting(including: ticket, &state) }
        }
        guard let outcome = ticket.outcome.withLock({ $0 }) else {
            preconditionFailure("an append gives each of its tickets an outcome")
        }
        return try outcome.get()
    }

    /// Appends what waits, `ticket` among it, under one checkpoint.
    private func appendWaiting(including ticket: Ticket, _ state: inout State) {
        let tickets = waiting.withLock { waiting in
            var (taken, rest): ([Ticket], [Ticket]) = ([ticket], [])
            var count = ticket.entries.count
            for other in waiting where other !== ticket {
                if count + other.entries.count > Self.sharedEntriesMax {
                    rest.append(other)
                } else {
                    count += other.entries.count
                    taken.append(other)
                }
            }
            waiting = rest
            return taken
        }
        do throws(AuditError) {
            let lock = try Self.lock(folder)
            try refresh(&state)
            var start = state.builder.size
            let entries = tickets.flatMap(\.entries)
            if !entries.isEmpty { try publish(entries, &state) }
            _ = consume lock
            for ticket in tickets {
                let end = start + ticket.entries.count
                ticket.outcome.withLock { [start] in $0 = .success(start..<end) }
                start = end
            }
        } catch {
            for ticket in tickets { ticket.outcome.withLock { $0 = .failure(error) } }
        }
    }
}

// Appending, under the lock.
extension AuditLog {
    /// A file of an append, with its path from the log's folder.
    private struct Pending {
        let tile: TilePath
        let bytes: [UInt8]
    }

    private func publish(_ entries: [[UInt8]], _ state: inout State) throws(AuditError) {
        state.isUnclean = true
        var (bundles, tiles, filled): ([Pending], [Pending], [TilePath]) = ([], [], [])
        var builder = state.builder
        var bundle = state.bundle
        for entry in entries {
            EntryBundle.append(entry, to: &bundle)
            let index = builder.size / TilePath.fullWidth
            builder.append(TreeHash.leaf(entry)) { tile, hashes in
                tiles.append(Pending(tile: tile, bytes: HashTile.encode(hashes)))
                filled.append(tile)
            }
            if builder.size % TilePath.fullWidth == 0 {
                let tile = TilePath(.entries, index: index)
                bundles.append(Pending(tile: tile, bytes: bundle))
                filled.append(tile)
                bundle = []
            }
        }
        if let tile = TilePath.partialEntries(size: builder.size) {
            bundles.append(Pending(tile: tile, bytes: bundle))
        }
        let unchanged = TilePath.partialHashTiles(size: state.builder.size)
        for (tile, hashes) in builder.partialTiles where !unchanged.contains(tile) {
            tiles.append(Pending(tile: tile, bytes: HashTile.encode(hashes)))
        }
        let root = builder.root
        let checkpoint = Checkpoint(origin: folder.origin, size: builder.size, root: root)
        let note = SignedNote(signing: checkpoint.text, with: signer).encoded
        try write(bundles + tiles, note, from: state.builder.size)
        state = State(builder: builder, bundle: bundle, checkpoint: note, root: root)
        for tile in filled { removePartials(of: tile) }
    }

    private func write(
        _ files: [Pending], _ checkpoint: [UInt8], from size: Int
    ) throws(AuditError) {
        try AuditFolder.system { () throws(LinuxError) in
            // Not synced: it has to survive a crash of the process, and after one of the machine a tail
            // that nothing explains is only reported, never trusted.
            let intent = try File(opening: folder.intentPath, [.write, .create])
            let text = String(size)
            try intent.write(
                Array((text + String(repeating: " ", count: 20 - text.utf8.count) + "\n").utf8),
                at: 0)
            var parents: [String] = []
            for pending in files {
                let path = folder.path(pending.tile)
                let parent = File.parent(of: path)
                if !parents.contains(parent) {
                    try Directory.create(parent)
                    parents.append(parent)
                }
                // No checkpoint names this file yet, so what a crash left under the name may go.
                let file = try File(opening: path, [.write, .create, .truncate])
                try file.write(pending.bytes)
                try file.syncData()
            }
            for parent in parents { try Directory.sync(parent) }
            try File.write(folder.checkpointPath, checkpoint)
            // Behind the checkpoint: a head that is ahead of its log would be taken for a rollback.
            try File.write(folder.headPath, checkpoint)
        }
    }

    /// Removes the partial forms of a tile that is full under a published checkpoint. Best effort: they
    /// do no harm, and the next opening tries again.
    private func removePartials(of tile: TilePath) {
        try? Self.removePartials(of: tile, in: folder)
    }

    private static func removePartials(
        of tile: TilePath, in folder: AuditFolder
    ) throws(LinuxError) {
        let path = folder.directory + "/" + tile.partialsText
        guard try File.exists(path) else { return }
        for name in try Directory.list(path) { try File.remove(path + "/" + name) }
        try Directory.removeEmpty(path)
    }

    /// Takes up what other processes appended since. Refuses when that is not a continuation.
    private func refresh(_ state: inout State) throws(AuditError) {
        guard let bytes = try folder.read(folder.checkpointPath) else {
            throw .checkpointMissing(path: folder.checkpointPath)
        }
        let wasCut = state.isUnclean || folder.intendedSize() == state.builder.size
        if bytes == state.checkpoint, !wasCut { return }
        let found = try Self.load(folder, signer.verifier)
        try checkContinuation(from: state, to: found)
        state = found
        if wasCut || folder.intendedSize() == found.builder.size {
            state.isUnclean = true
            try Self.cut(folder, size: found.builder.size)
            state.isUnclean = false
        }
    }

    private func checkContinuation(from old: State, to new: State) throws(AuditError) {
        let (before, after) = (old.builder.size, new.builder.size)
        guard folder.continues(size: before, root: old.root, toSize: after, root: new.root) else {
            throw .wentBack(path: folder.checkpointPath, signedSize: before, foundSize: after)
        }
    }
}

// Changing the key, under the lock.
extension AuditLog {
    /// Has this log's key introduce `next`, which signs from now on; this key signs nothing more, here or in any other process.
    ///
    /// Whoever holds the private key of `next` must have it on disk before.
    package func introduce(_ next: Ed25519PrivateKey) throws(AuditError) {
        let successor = NoteSigner(name: folder.origin, key: next)
        try state.withLock { state throws(AuditError) in
            let lock = try Self.lock(folder)
            try refresh(&state)
            // Signed by both, so that a process that has the old key in memory sees that something has changed.
            let checkpoint = Checkpoint(
                origin: folder.origin, size: state.builder.size, root: state.root)
            let note = SignedNote(signing: checkpoint.text, with: [signer, successor]).encoded
            let step = KeyIntroduction(
                checkpoint, old: signer.verifier, new: successor.verifier)
            let introduction = SignedNote(signing: step.text, with: [signer, successor]).encoded
            let number = try folder.introductions().count + 1
            guard number <= AuditFolder.introductionsMax else {
                throw .introductionsFull(
                    path: folder.introductionsDirectory, max: AuditFolder.introductionsMax)
            }
            try AuditFolder.system { () throws(LinuxError) in
                try File.write(folder.checkpointPath, note)
                try File.write(folder.headPath, note)
                try Directory.create(folder.introductionsDirectory)
                // Last: before this the key has not changed, and the next attempt begins again.
                try File.write(folder.introductionPath(number), introduction, mode: 0o644)
            }
            _ = consume lock
        }
    }
}

// Opening, under the lock.
extension AuditLog {
    private static func lock(_ folder: AuditFolder) throws(AuditError) -> FileLock {
        do throws(LinuxError) {
            try Directory.create(folder.directory)
            return try FileLock(waitingFor: folder.lockPath)
        } catch { throw .system(error) }
    }

    /// Signs the empty tree where there is no log yet. Tiles without a checkpoint are no new log: somebody
    /// took the checkpoint away.
    private static func create(_ folder: AuditFolder, _ signer: NoteSigner) throws(AuditError) {
        try AuditFolder.system { () throws(LinuxError) in
            try Directory.removeTemporaryFiles(in: folder.directory)
        }
        if try folder.read(folder.verifierKeyPath) == nil {
            try nameKey(folder, signer.verifier)
        }
        if try folder.read(folder.checkpointPath) != nil { return }
        guard try folder.tileFiles().isEmpty else {
            throw .checkpointMissing(path: folder.checkpointPath)
        }
        if let kept = try folder.read(folder.headPath) {
            try folder.require(kept, from: folder.headPath, signer.verifier, 0, TreeHash.empty)
        }
        let empty = Checkpoint(origin: folder.origin, size: 0, root: TreeHash.empty)
        let note = SignedNote(signing: empty.text, with: signer).encoded
        try AuditFolder.system { () throws(LinuxError) in
            try File.write(folder.checkpointPath, note)
        }
    }

    /// Puts the name of the key that signs beside the log.
    private static func nameKey(
        _ folder: AuditFolder, _ verifier: NoteVerifier
    ) throws(AuditError) {
        let key = Array((verifier.text + "\n").utf8)
        guard try folder.read(folder.verifierKeyPath) != key else { return }
        try AuditFolder.system { () throws(LinuxError) in
            try File.write(folder.verifierKeyPath, key, mode: 0o644)
        }
    }

    /// Refuses a log that does not continue the checkpoint that was kept beside its folder, and keeps the present one there.
    private static func requireHead(
        _ folder: AuditFolder, _ verifier: NoteVerifier, _ found: State
    ) throws(AuditError) {
        let kept = try folder.read(folder.headPath)
        if kept == found.checkpoint { return }
        if let kept {
            try folder.require(
                kept, from: folder.headPath, verifier, found.builder.size, found.root)
        }
        try AuditFolder.system { () throws(LinuxError) in
            try File.write(folder.headPath, found.checkpoint)
        }
    }

    /// Reads checkpoint and right edge, and recomputes the one from the other.
    private static func load(
        _ folder: AuditFolder, _ verifier: NoteVerifier
    ) throws(AuditError) -> State {
        let (bytes, checkpoint) = try folder.presentCheckpoint(verifier)
        var edge: [TilePath: [Digest]] = [:]
        for tile in TilePath.partialHashTiles(size: checkpoint.size) {
            guard let hashes = try folder.hashes(tile) else {
                throw .damaged(path: folder.path(tile), expected: "\(tile.width) hashes")
            }
            edge[tile] = hashes
        }
        let builder = TreeBuilder(resuming: checkpoint.size) { edge[$0] ?? [] }
        guard builder.root == checkpoint.root else {
            throw .damaged(
                path: folder.tilesDirectory, expected: "tiles with the checkpoint's root")
        }
        var bundle: [UInt8] = []
        if let tile = TilePath.partialEntries(size: checkpoint.size) {
            bundle = try folder.read(folder.path(tile)) ?? []
            let (entries, excess) = EntryBundle.decode(bundle)
            guard excess == 0, entries.map(TreeHash.leaf) == builder.edge[0] else {
                throw .damaged(
                    path: folder.path(tile), expected: "\(tile.width) entries of the tree")
            }
        }
        return State(builder: builder, bundle: bundle, checkpoint: bytes, root: checkpoint.root)
    }

    /// Removes what no checkpoint covers, partial tiles that have become full, and the record of the append
    /// that left them.
    private static func cut(_ folder: AuditFolder, size: Int) throws(AuditError) {
        for file in try folder.tileFiles() {
            guard let tile = TilePath(file) else { continue }
            let isUnneeded =
                switch AuditFolder.standing(of: tile, size: size) {
                case .published: false
                case .superseded:
                    AuditFolder.standing(of: tile.full, size: size) == .published
                case .beyond: true
                }
            guard isUnneeded else { continue }
            try AuditFolder.system { () throws(LinuxError) in
                _ = try File.remove(folder.path(tile))
            }
            // Works for the last partial form alone, as it should.
            if !tile.isFull { try? Directory.removeEmpty(File.parent(of: folder.path(tile))) }
        }
        try AuditFolder.system { () throws(LinuxError) in _ = try File.remove(folder.intentPath) }
    }
}

extension AuditFolder {
    /// Size of the tree from which the last append started; nil when none is recorded or readable.
    func intendedSize() -> Int? {
        // Only explains a tail to the reader; without it the stricter reading holds.
        guard let bytes = (try? read(intentPath)) ?? nil else { return nil }
        return Int(String(decoding: bytes.prefix { $0 > 0x20 }, as: UTF8.self))
    }
}

extension AuditLog: RestingWriter {
    /// Entries count hits by policy and name the rules they were decided by.
    package static let rests = [Rest(.audit, ["policy", "rule_set", "geo_build"])]
}
