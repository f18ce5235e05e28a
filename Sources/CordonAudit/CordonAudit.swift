/// A region's audit log: what was decided, in an append-only Merkle tree, durable before its effect shows.
///
/// One folder a region in the C2SP tlog-tiles layout (`Docs/formats/audit.md`), so that tools that others wrote
/// can check it too. Entries hold digests, counts and names of rules, never a raw personal value: a
/// tree cannot forget. Start at ``AuditLog`` for writing and ``AuditReader`` for reading and verifying.
package enum CordonAudit {}
