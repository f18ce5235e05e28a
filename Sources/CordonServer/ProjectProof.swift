import Bytes
import CordonAudit
package import CordonKeys
package import CordonModel
package import CordonPolicy
package import CordonProof
import Crypto
package import GeoTables
import LinuxIO
package import Merkle

/// A project's proof certificate on disk: made, told to the audit logs, and required.
package struct ProjectProof {
    package let layout: ProjectLayout

    package init(layout: ProjectLayout) { self.layout = layout }

    /// Longest file that is read as a certificate, in bytes.
    private static let certificateBytesMax = SignedNote.byteCountMax

    /// Where the decisions of the certificate at `path` lie.
    package static func decisionsPath(of path: String) -> String { path + ".decisions.json" }

    /// The keys that sign for `keys`' regions, under the names that their audit logs have.
    package static func verifiers(_ keys: [RegionKeys]) -> [NoteVerifier] {
        keys.map { NoteVerifier(name: $0.region + "/audit", key: $0.signingKey.publicKey) }
    }

    /// Signs `proof`, which holds, with the key of every region and writes it to `path`. Each region's audit log has it
    /// before the file is there.
    package func certify(
        _ proof: Proof, of project: ProjectConfiguration, table: GeoTable, to path: String,
        clock: some WallClock
    ) throws -> ProofCertificate {
        guard project.regions.count <= SignedNote.signatureCountMax else {
            throw NodeError(
                text: "\(project.regions.count) regions, and a certificate has room for "
                    + "\(SignedNote.signatureCountMax) signatures")
        }
        let keys = try project.regions.map {
            try RegionKeys(opening: $0.keysDirectory, region: $0.name)
        }
        let decisions = proof.decisions.encoded()
        let certificate = ProofCertificate(
            proof, of: ProofSubject(project, table: table, decisions: decisions), at: clock.now())
        let bytes = certificate.signed(
            by: keys.map { NoteSigner(name: $0.region + "/audit", key: $0.signingKey) })
        for (region, keys) in zip(project.regions, keys) {
            _ = try AuditLog(
                directory: region.auditDirectory, region: region.name, key: keys.signingKey
            ).append(
                AuditEntry(
                    at: clock.now(), kind: "proof.made", region: region.name,
                    fields: [
                        "certificate": .text(Bytes.hex(SHA256.hash(bytes))),
                        "rule_set": .text(certificate.subject.ruleSet),
                        "geo_build": .text(certificate.subject.geoBuild),
                        "statements": .integer(certificate.results.count),
                    ]))
        }
        try Directory.create(File.parent(of: path))
        try File.write(Self.decisionsPath(of: path), decisions, mode: 0o644, sync: true)
        try File.write(path, bytes, mode: 0o644, sync: true)
        return certificate
    }

    /// Refuses `rules` unless the project's certificate covers them and the holders of `keys` signed it.
    package func require(
        of project: ProjectConfiguration, rules: BoundRules, table: GeoTable, keys: [RegionKeys]
    ) throws {
        let path = layout.proofPath
        let bytes = try File.readIfPresent(path)
        if let bytes, bytes.count > Self.certificateBytesMax {
            throw ProofRefusal.malformed(path: path)
        }
        _ = try ProofCertificate.accept(
            bytes, at: path, for: ProofSubject(project, rules: rules, table: table),
            signedBy: Self.verifiers(keys))
    }
}
