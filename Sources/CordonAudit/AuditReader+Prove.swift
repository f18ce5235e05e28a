internal import Crypto
internal import LinuxIO
package import Merkle

extension AuditReader {
    /// An entry with the proof of its place.
    package struct Proven: Sendable {
        package let index: Int
        /// The entry as it is stored and hashed.
        package let entry: [UInt8]
        package let proof: InclusionProofFile
        package let checkpoint: Checkpoint
    }

    /// Proves that the entry at `index` is in the log, under the present checkpoint. What is returned was checked as a
    /// stranger would check it.
    package func prove(_ index: Int) throws(AuditError) -> Proven {
        let (note, checkpoint) = try signedCheckpoint()
        guard (0..<checkpoint.size).contains(index) else {
            throw .noEntry(index: index, size: checkpoint.size)
        }
        let entry = try storedEntry(index, size: checkpoint.size)
        let hashes = try folder.proof(size: checkpoint.size) { source in
            try TreeProof.inclusion(index: index, size: checkpoint.size, in: source)
        }
        let proof = InclusionProofFile(index: index, hashes: hashes, note: note)
        guard let signer = try keyChain().signer(of: note, size: checkpoint.size),
            proof.checkpoint(showing: entry, signedBy: signer) == checkpoint
        else {
            throw .damaged(
                path: folder.tilesDirectory, expected: "tiles with the checkpoint's root")
        }
        return Proven(index: index, entry: entry, proof: proof, checkpoint: checkpoint)
    }

    /// The present checkpoint with its signatures, after a look at them.
    package func signedCheckpoint() throws(AuditError) -> (note: SignedNote, checkpoint: Checkpoint)
    {
        guard let bytes = try folder.read(folder.checkpointPath) else {
            throw .checkpointMissing(path: folder.checkpointPath)
        }
        guard let note = SignedNote(parsing: bytes),
            let checkpoint = try keyChain().checkpoint(note)
        else { throw .checkpointInvalid(path: folder.checkpointPath) }
        return (note, checkpoint)
    }

    /// How the log as it is now stands to a checkpoint that somebody kept.
    package enum Continuation: Equatable, Sendable {
        /// Every entry of then is there, unchanged and in its place.
        case continues(entriesThen: Int)
        /// It is no checkpoint that this log's key signed.
        case foreign
        /// The log has fewer entries than were signed then.
        case wentBack(entriesThen: Int, entriesNow: Int)
        /// The log has as many entries or more, and they are others.
        case rewritten(entriesThen: Int)
    }

    /// Holds the log's tiles against an earlier signed checkpoint. Takes no lock: the log may grow meanwhile.
    package func continuation(from earlier: [UInt8]) throws(AuditError) -> Continuation {
        guard let note = SignedNote(parsing: earlier), let old = try keyChain().checkpoint(note)
        else { return .foreign }
        let now = try signedCheckpoint().checkpoint
        guard old.size <= now.size else {
            return .wentBack(entriesThen: old.size, entriesNow: now.size)
        }
        let hashes = try folder.consistencyProof(from: old.size, to: now.size)
        return TreeProof.isConsistent(
            old: old.size, oldRoot: old.root, size: now.size, root: now.root, proof: hashes)
            ? .continues(entriesThen: old.size) : .rewritten(entriesThen: old.size)
    }

    private func storedEntry(_ index: Int, size: Int) throws(AuditError) -> [UInt8] {
        let bundle = index / TilePath.fullWidth
        let width = min(TilePath.fullWidth, size - bundle * TilePath.fullWidth)
        let tile = TilePath(.entries, index: bundle, width: width)
        let entries = try folder.snapshot(tile).map { EntryBundle.decode($0).entries } ?? []
        guard entries.count == width else {
            throw .damaged(path: folder.path(tile), expected: "\(width) entries")
        }
        return entries[index % TilePath.fullWidth]
    }
}
