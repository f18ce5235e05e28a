// The region's audit log: entries in a Merkle tree, durable before their effect, signed and verifiable.
