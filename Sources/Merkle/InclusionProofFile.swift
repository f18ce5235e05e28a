internal import Bytes
package import Crypto

/// A proof that an entry stands in a log, in one file (C2SP tlog-proof): place, hashes, and the checkpoint that they
/// lead to. With the entry and the log's verifier key it is all that somebody needs who trusts nobody.
package struct InclusionProofFile: Equatable, Sendable {
    package let index: Int
    package let hashes: [Digest]
    /// The signed checkpoint as it was when the proof was made.
    package let note: SignedNote

    private static let heading = "c2sp.org/tlog-proof@v1"
    /// Most hashes that are read: a tree has fewer levels.
    private static let hashCountMax = 64

    package init(index: Int, hashes: [Digest], note: SignedNote) {
        self.index = index
        self.hashes = hashes
        self.note = note
    }

    /// Reads what ``text`` gives; nil for anything else. Data behind `extra` is refused, as no proof of ours has any.
    package init?(_ text: String) {
        let units = Array(text.utf8)
        guard units.count <= SignedNote.byteCountMax,
            let split = units.indices.dropLast().first(where: {
                units[$0] == 0x0A && units[$0 + 1] == 0x0A
            }), let note = SignedNote(parsing: Array(units[(split + 2)...]))
        else { return nil }
        let lines = String(decoding: units[..<split], as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 2, lines.count - 2 <= Self.hashCountMax, lines[0] == Self.heading,
            lines[1].hasPrefix("index "), let index = Int(lines[1].dropFirst(6)), index >= 0
        else { return nil }
        let hashes = lines.dropFirst(2).compactMap { Base64.decode($0).flatMap { Digest($0) } }
        guard hashes.count == lines.count - 2 else { return nil }
        self.init(index: index, hashes: hashes, note: note)
        // Whatever was lenient above (signs, zeros) does not survive this.
        guard self.text == text else { return nil }
    }

    /// The file's content.
    package var text: String {
        var lines = [Self.heading, "index \(index)"]
        lines += hashes.map { Base64.encode($0.bytes) }
        return lines.joined(separator: "\n") + "\n\n"
            + String(decoding: note.encoded, as: UTF8.self)
    }

    /// The checkpoint that the proof leads to, when `verifier`'s key signed it for the log of that name and `entry` stands
    /// at ``index`` under it; nil otherwise.
    package func checkpoint(showing entry: [UInt8], signedBy verifier: NoteVerifier) -> Checkpoint?
    {
        guard note.isSigned(by: verifier), let checkpoint = Checkpoint(note.text),
            checkpoint.origin == verifier.name,
            TreeProof.isIncluded(
                leaf: TreeHash.leaf(entry), index: index, size: checkpoint.size,
                root: checkpoint.root, proof: hashes)
        else { return nil }
        return checkpoint
    }
}
