package import CordonModel
package import Crypto
internal import LinuxIO
package import Merkle

/// One region's witness of the other regions' logs (C2SP tlog-witness): it cosigns a checkpoint that continues the last one it
/// cosigned, and no other, so that a log cannot be put back or rewritten without somebody elsewhere who knows.
///
/// Only sizes, hashes and signatures reach a witness. What it cosigned is on its disk before anybody has the cosignature.
package struct AuditWitness: Sendable {
    /// Region of the witness.
    package let region: String
    private let directory: String
    private let cosigner: Cosigner

    /// - Parameter directory: where it keeps what it cosigned, in its own region's state.
    package init(directory: String, region: String, key: Ed25519PrivateKey) {
        self.region = region
        self.directory = directory
        cosigner = Cosigner(name: Self.name(region), key: key)
    }

    package var verifier: CosignatureVerifier { cosigner.verifier }

    /// By what others check the cosignatures of the region whose witness has `key`.
    package static func verifier(region: String, key: Ed25519PublicKey) -> CosignatureVerifier {
        CosignatureVerifier(name: name(region), key: key)
    }

    private static func name(_ region: String) -> String { region + "/witness" }

    /// What a witness says to a request.
    package enum Answer: Equatable, Sendable {
        case cosigned(SignedNote.Signature)
        /// The request is contradictory in itself.
        case malformed
        /// The checkpoint is of a log that it does not know.
        case unknownLog
        /// The log's key did not sign the checkpoint.
        case notSigned
        /// It cosigned another size last, or other entries of the same size.
        case conflict(size: Int)
        /// The proof does not lead from what it cosigned last to the checkpoint.
        case inconsistent
    }

    /// Cosigns the checkpoint of `request` when it continues the last one of its log.
    ///
    /// - Parameter logs: the logs that it witnesses.
    package func answer(
        _ request: WitnessRequest, of logs: [AuditReader], at now: Timestamp
    ) throws(AuditError) -> Answer {
        guard let checkpoint = Checkpoint(request.note.text) else { return .malformed }
        guard let log = logs.first(where: { $0.origin == checkpoint.origin }) else {
            return .unknownLog
        }
        guard try log.isSigned(request.note) else { return .notSigned }
        guard request.oldSize <= checkpoint.size else { return .malformed }
        let lock = try lock()
        let kept = try last(of: log)
        let old =
            kept.map(\.checkpoint)
            ?? Checkpoint(
                origin: checkpoint.origin, size: 0, root: TreeHash.empty)
        guard request.oldSize == old.size,
            checkpoint.size > old.size || checkpoint.root == old.root
        else { return .conflict(size: old.size) }
        guard
            TreeProof.isConsistent(
                old: old.size, oldRoot: old.root, size: checkpoint.size, root: checkpoint.root,
                proof: request.proof)
        else { return .inconsistent }
        // Time does not go back for what is cosigned, whatever the clock says.
        let seconds = max(Int(now.microseconds / 1_000_000), kept?.seconds ?? 0)
        let signature = cosigner.cosign(request.note.text, atSeconds: seconds)
        let note = request.note.keeping(log.isOwn).adding(signature)
        try AuditFolder.system { () throws(LinuxError) in
            try File.write(path(log.region), note.encoded)
        }
        _ = consume lock
        return .cosigned(signature)
    }

    /// A checkpoint with the time when the witness saw it.
    package struct Seen: Equatable, Sendable {
        package let note: SignedNote
        package let checkpoint: Checkpoint
        /// Since 1970.
        package let seconds: Int
        package let path: String
    }

    /// What it cosigned last of a log; nil when it never did. Refuses a file that it did not write.
    package func last(of log: AuditReader) throws(AuditError) -> Seen? {
        let path = path(log.region)
        guard let bytes = try AuditFolder.read(path) else { return nil }
        guard let note = SignedNote(parsing: bytes),
            let seen = try log.seen(note, by: verifier, path)
        else { throw .keptInvalid(path: path) }
        return seen
    }

    private func path(_ region: String) -> String { "\(directory)/\(region)" }

    private func lock() throws(AuditError) -> FileLock {
        try AuditFolder.system { () throws(LinuxError) in
            try Directory.create(directory)
            return try FileLock(waitingFor: directory + "/.lock")
        }
    }
}

extension AuditReader {
    /// The log's name in its checkpoints.
    package var origin: String { folder.origin }

    func isSigned(_ note: SignedNote) throws(AuditError) -> Bool {
        try keyChain().checkpoint(note) != nil
    }

    /// Whether a signature claims to be the log's own, by whichever of its keys.
    func isOwn(_ signature: SignedNote.Signature) -> Bool { signature.name == verifier.name }

    /// What `witness` saw, when the log signed the checkpoint and the witness cosigned it.
    func seen(
        _ note: SignedNote, by witness: CosignatureVerifier, _ path: String
    ) throws(AuditError) -> AuditWitness.Seen? {
        guard let checkpoint = try keyChain().checkpoint(note),
            let seconds = witness.seconds(of: note)
        else { return nil }
        return AuditWitness.Seen(
            note: note, checkpoint: checkpoint, seconds: seconds, path: path)
    }

    /// The checkpoint that the log itself keeps as the last one `witness` cosigned; nil when there is none.
    package func cosigned(
        by witness: CosignatureVerifier, of region: String
    ) throws(AuditError) -> AuditWitness.Seen? {
        let path = folder.cosignedDirectory + "/" + region
        guard let bytes = try folder.read(path) else { return nil }
        guard let note = SignedNote(parsing: bytes), let seen = try seen(note, by: witness, path)
        else {
            throw .keptInvalid(path: path)
        }
        return seen
    }

    /// The checkpoint that was signed last as it is kept beside the log's folder; nil when there is none.
    package func keptHead() throws(AuditError) -> (path: String, bytes: [UInt8])? {
        guard let bytes = try folder.read(folder.headPath) else { return nil }
        return (folder.headPath, bytes)
    }

    /// Has `witness` cosign the present checkpoint, and keeps that in the log's folder. The log is not locked: it may grow
    /// meanwhile.
    package func submit(
        to witness: AuditWitness, at now: Timestamp
    ) throws(AuditError) -> AuditWitness.Answer {
        let (note, checkpoint) = try signedCheckpoint()
        let old = try witness.last(of: self)?.checkpoint.size ?? 0
        guard old <= checkpoint.size else { return .conflict(size: old) }
        let proof = try folder.consistencyProof(from: old, to: checkpoint.size)
        let request = WitnessRequest(oldSize: old, proof: proof, note: note.keeping(isOwn))
        let answer = try witness.answer(request, of: [self], at: now)
        if case .cosigned(let signature) = answer {
            try AuditFolder.system { () throws(LinuxError) in
                try Directory.create(folder.cosignedDirectory)
                try File.write(
                    folder.cosignedDirectory + "/" + witness.region,
                    request.note.adding(signature).encoded)
            }
        }
        return answer
    }

    /// Refuses a log that does not continue what `witness` cosigned.
    package func require(_ seen: AuditWitness.Seen) throws(AuditError) {
        let now = try signedCheckpoint().checkpoint
        guard
            folder.continues(
                size: seen.checkpoint.size, root: seen.checkpoint.root, toSize: now.size,
                root: now.root)
        else {
            throw .rolledBack(
                path: folder.checkpointPath, keptPath: seen.path,
                signedSize: seen.checkpoint.size, foundSize: now.size)
        }
    }
}
