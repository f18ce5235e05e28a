internal import Bytes
package import Crypto

/// What a log sends to a witness (C2SP tlog-witness, `add-checkpoint`): the size that the witness cosigned last, the proof that
/// the new checkpoint continues it, and the checkpoint.
package struct WitnessRequest: Equatable, Sendable {
    package let oldSize: Int
    package let proof: [Digest]
    package let note: SignedNote

    /// Most hashes of a proof that is read, as the specification says.
    private static let proofCountMax = 63

    package init(oldSize: Int, proof: [Digest], note: SignedNote) {
        self.oldSize = oldSize
        self.proof = proof
        self.note = note
    }

    /// Reads a request's body; nil when it is malformed.
    package init?(parsing body: [UInt8]) {
        guard body.count <= SignedNote.byteCountMax,
            let split = body.indices.dropLast().first(where: {
                body[$0] == 0x0A && body[$0 + 1] == 0x0A
            }), let note = SignedNote(parsing: Array(body[(split + 2)...]))
        else { return nil }
        let lines = String(decoding: body[..<split], as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false)
        guard let first = lines.first, first.hasPrefix("old "),
            let oldSize = Int(first.dropFirst(4)),
            oldSize >= 0, lines.count - 1 <= Self.proofCountMax
        else { return nil }
        let proof = lines.dropFirst().compactMap { Base64.decode($0).flatMap { Digest($0) } }
        guard proof.count == lines.count - 1 else { return nil }
        self.init(oldSize: oldSize, proof: proof, note: note)
        // Whatever was lenient above (signs, zeros) does not survive this.
        guard encoded == body else { return nil }
    }

    /// The request's body.
    package var encoded: [UInt8] {
        let lines = ["old \(oldSize)"] + proof.map { Base64.encode($0.bytes) }
        return Array((lines.joined(separator: "\n") + "\n\n").utf8) + note.encoded
    }
}
