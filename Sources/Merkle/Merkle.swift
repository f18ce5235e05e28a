/// Append-only Merkle trees by RFC 6962, kept as C2SP tiles, with proofs and signed checkpoints.
///
/// Values and pure functions; where tiles lie and when they are written is the caller's. Formats are those
/// of c2sp.org (tlog-tiles, tlog-checkpoint, signed-note), so tools that others wrote can check a log.
/// Start at ``TreeBuilder`` for writing, ``TreeProof`` for proving and ``SignedNote`` for signatures.
package enum Merkle {}
