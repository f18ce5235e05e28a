import Bytes
package import CordonPolicy
import Crypto
package import GeoTables

/// What a proof is about, by digest: a certificate holds for exactly this and for nothing else.
package struct ProofSubject: Codable, Equatable, Sendable {
    /// Digest of the rule set, as `cordon check` prints it.
    package let ruleSet: String
    /// Digest of the geo table's content, as its header has it.
    package let geoTable: String
    package let geoBuild: String
    /// SHA-256 of the atlas' groups with all their members.
    package let atlas: String
    /// SHA-256 of limits and invariants with groups resolved.
    package let invariants: String
    /// SHA-256 of the decision table's bytes.
    package let decisions: String

    package init(_ project: ProjectConfiguration, table: GeoTable, decisions: [UInt8]) {
        ruleSet = project.ruleSet.digest
        geoTable = table.digest
        geoBuild = table.build
        atlas = Self.digest(
            CanonicalEncoding.bytes(project.atlas.groups.mapValues { $0.codes.sorted() }))
        invariants = Self.digest(CanonicalEncoding.bytes(project.invariants.content))
        self.decisions = Self.digest(decisions)
    }

    /// What a running node decides by: `rules` as it has compiled them.
    package init(_ project: ProjectConfiguration, rules: BoundRules, table: GeoTable) {
        let decisions = Prover(project, rules: rules, table: table).decisions()
        self.init(project, table: table, decisions: decisions.encoded())
    }

    private static func digest(_ bytes: [UInt8]) -> String { Bytes.hex(SHA256.hash(bytes)) }

    /// What differs from `other`, in words.
    package func differences(from other: ProofSubject) -> [String] {
        let parts = [
            ("rule set", ruleSet == other.ruleSet), ("geo table", geoTable == other.geoTable),
            ("atlas", atlas == other.atlas), ("invariants", invariants == other.invariants),
            ("decisions", decisions == other.decisions),
        ]
        return parts.filter { !$0.1 }.map(\.0)
    }
}
