package import Crypto

/// What a log gives to a witness (C2SP tlog-witness, `add-checkpoint`): the size that the witness cosigned last, the proof that
/// the new checkpoint continues it, and the checkpoint.
package struct WitnessRequest: Sendable {
    package let oldSize: Int
    package let proof: [Digest]
    package let note: SignedNote

    package init(oldSize: Int, proof: [Digest], note: SignedNote) {
        self.oldSize = oldSize
        self.proof = proof
        self.note = note
    }
}
