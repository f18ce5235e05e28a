internal import Bytes
package import Crypto
internal import LinuxIO
package import Merkle

/// That one signing key of a log follows another from a size on: signed by both, so who trusts either can follow to the other.
package struct KeyIntroduction: Equatable, Sendable {
    package let origin: String
    /// Entries of the log when the keys changed: the old key signed nothing larger, the new one nothing smaller.
    package let size: Int
    /// Root over those entries: a log that begins otherwise is not what was handed over, whoever signs it.
    package let root: Digest
    package let old: NoteVerifier
    package let new: NoteVerifier

    private static let heading = "cordon-audit-key/1"

    /// The text that both keys sign.
    package var text: String { "\(Self.heading)\n\(checkpoint.text)\(old.text)\n\(new.text)\n" }

    /// What the old key hands over.
    package var checkpoint: Checkpoint { Checkpoint(origin: origin, size: size, root: root) }

    package init(_ checkpoint: Checkpoint, old: NoteVerifier, new: NoteVerifier) {
        origin = checkpoint.origin
        size = checkpoint.size
        root = checkpoint.root
        self.old = old
        self.new = new
    }

    /// Reads a signed introduction; nil when it is none, or when one of the keys did not sign it.
    package init?(parsing bytes: [UInt8]) {
        guard let note = SignedNote(parsing: bytes) else { return nil }
        let lines = note.text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 7, let size = Int(lines[2]), size >= 0,
            let bytes = Base64.decode(lines[3]), let root = Digest(bytes),
            let old = NoteVerifier(lines[4]), let new = NoteVerifier(lines[5])
        else { return nil }
        let checkpoint = Checkpoint(origin: String(lines[1]), size: size, root: root)
        self.init(checkpoint, old: old, new: new)
        guard text == note.text, old.name == origin, new.name == origin, old != new,
            note.isSigned(by: old), note.isSigned(by: new)
        else { return nil }
    }
}

/// The keys that signed a log one after the other, as somebody sees them who trusts one of them.
package struct AuditKeyChain: Sendable {
    /// A key, and the sizes of the checkpoints that it may have signed.
    package struct Link: Equatable, Sendable {
        package let verifier: NoteVerifier
        package fileprivate(set) var sizes: ClosedRange<Int>
    }

    /// Oldest first; never empty.
    package private(set) var links: [Link]

    /// - Parameter introductions: in their order; one that does not join the chain is passed over.
    init(_ trusted: NoteVerifier, introductions: [KeyIntroduction]) {
        links = [Link(verifier: trusted, sizes: 0...Int.max)]
        // First to the younger keys, then back to the older ones.
        for step in introductions {
            guard let last = links.last, step.old == last.verifier, last.sizes.contains(step.size)
            else { continue }
            links[links.count - 1].sizes = last.sizes.lowerBound...step.size
            links.append(Link(verifier: step.new, sizes: step.size...Int.max))
        }
        for step in introductions.reversed() {
            guard let first = links.first, step.new == first.verifier,
                first.sizes.contains(step.size)
            else { continue }
            links[0].sizes = step.size...first.sizes.upperBound
            links.insert(Link(verifier: step.old, sizes: 0...step.size), at: 0)
        }
    }

    /// The key that signs now.
    package var present: NoteVerifier {
        guard let last = links.last else { preconditionFailure("a chain has a link") }
        return last.verifier
    }

    /// The key that signed a checkpoint of `size` entries and was in use then; nil when none did.
    package func signer(of note: SignedNote, size: Int) -> NoteVerifier? {
        links.last { $0.sizes.contains(size) && note.isSigned(by: $0.verifier) }?.verifier
    }

    /// The checkpoint of a note that a key of the chain signed while it was in use; nil for anything else.
    func checkpoint(_ note: SignedNote) -> Checkpoint? {
        guard let checkpoint = Checkpoint(note.text), checkpoint.origin == present.name,
            signer(of: note, size: checkpoint.size) != nil
        else { return nil }
        return checkpoint
    }
}

extension AuditFolder {
    /// Most changes of a key that are followed, since each is verified whenever the log is opened.
    static let introductionsMax = 1000

    func introductionPath(_ number: Int) -> String { "\(introductionsDirectory)/\(number)" }

    /// The signed introductions as they lie in the folder, oldest first.
    func introductions() throws(AuditError) -> [[UInt8]] {
        var found: [[UInt8]] = []
        while found.count < Self.introductionsMax,
            let bytes = try read(introductionPath(found.count + 1))
        {
            found.append(bytes)
        }
        return found
    }

    /// Paths, from the folder, of introductions that are none of this log, or of another beginning than the tree of `size`
    /// entries with `root` has.
    ///
    /// The key of now alone cannot rewrite what was signed before it: the older key signed the root of then.
    func strayIntroductions(size: Int, root: Digest?) throws(AuditError) -> [String] {
        var stray: [String] = []
        for (position, bytes) in try introductions().enumerated() {
            if let step = KeyIntroduction(parsing: bytes), step.origin == origin, let root,
                continues(size: step.size, root: step.root, toSize: size, root: root)
            {
                continue
            }
            stray.append("\(File.name(of: introductionsDirectory))/\(position + 1)")
        }
        return stray
    }

    /// The checkpoint that the log goes on from, with its bytes; `verifier` must be the key that signs now.
    func presentCheckpoint(
        _ verifier: NoteVerifier
    ) throws(AuditError) -> (bytes: [UInt8], checkpoint: Checkpoint) {
        guard let bytes = try read(checkpointPath) else {
            throw .checkpointMissing(path: checkpointPath)
        }
        let chain = try keyChain(verifier)
        // A key that was replaced signs nothing more.
        guard chain.present == verifier else { throw .keyReplaced(path: directory) }
        guard let note = SignedNote(parsing: bytes), let checkpoint = chain.checkpoint(note)
        else { throw .checkpointInvalid(path: checkpointPath) }
        return (bytes, checkpoint)
    }

    /// The keys of the log for somebody who trusts `verifier`.
    func keyChain(_ verifier: NoteVerifier) throws(AuditError) -> AuditKeyChain {
        let steps = try introductions().compactMap { KeyIntroduction(parsing: $0) }
        return AuditKeyChain(verifier, introductions: steps.filter { $0.origin == origin })
    }
}

extension AuditReader {
    /// The keys that signed the log, for somebody who trusts this reader's.
    package func keyChain() throws(AuditError) -> AuditKeyChain {
        try folder.keyChain(verifier)
    }

    /// Refuses where the log does not go on with this reader's key, as an opening that appends would.
    package func requirePresentKey() throws(AuditError) {
        _ = try folder.presentCheckpoint(verifier)
    }
}
