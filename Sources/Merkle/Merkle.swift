// Append-only Merkle trees by RFC 6962, stored as C2SP tiles, with signed-note checkpoints and proofs.
