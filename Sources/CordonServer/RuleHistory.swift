import CordonAudit
import CordonKeys
package import CordonModel
import Crypto
import LinuxIO

/// Which rule sets were in force when, as the audit logs of a project's regions tell it.
package struct RuleHistory: Sendable {
    /// A time from which hits were decided by one rule set and geo table.
    package struct Reign: Equatable, Sendable {
        package let ruleSet: String
        package let geoBuild: String
        package let from: Timestamp
        /// Nil while it goes on, as far as the logs know.
        package var until: Timestamp?
    }

    /// In the order of their beginnings.
    package let reigns: [Reign]

    /// Kinds of the entries that a node begins to decide with.
    static let beginnings: Set = ["node.started", "rules.loaded"]
    static let end = "node.stopped"

    init(_ entries: [AuditEntry]) {
        var reigns: [Reign] = []
        for entry in entries {
            guard Self.beginnings.contains(entry.kind) || entry.kind == Self.end else { continue }
            if let last = reigns.indices.last, reigns[last].until == nil {
                reigns[last].until = entry.at
            }
            guard case .text(let ruleSet)? = entry.fields["rule_set"],
                case .text(let build)? = entry.fields["geo_build"]
            else { continue }
            reigns.append(Reign(ruleSet: ruleSet, geoBuild: build, from: entry.at))
        }
        self.reigns = reigns
    }

    /// Reads the logs of `regions`. A node tells all of them the same, so what stands in one and not in another still counts.
    package init(_ regions: [RegionConfiguration]) throws {
        var entries: [AuditEntry] = []
        for region in regions where try File.exists(region.auditDirectory) {
            let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
            let reader = AuditReader(
                directory: region.auditDirectory, region: region.name,
                key: keys.signingKey.publicKey)
            for kind in Self.beginnings.union([Self.end]).sorted() {
                entries += try reader.entries(matching: .init(kind: kind)).map(\.entry)
            }
        }
        entries.sort { ($0.at, $0.kind, $0.region) < ($1.at, $1.kind, $1.region) }
        self.init(Self.merged(entries))
    }

    /// The same news of several logs, told within moments, is one.
    private static func merged(_ entries: [AuditEntry]) -> [AuditEntry] {
        var merged: [AuditEntry] = []
        for entry in entries {
            if let last = merged.last, last.kind == entry.kind, last.fields == entry.fields,
                entry.at.microseconds - last.at.microseconds < Self.tellingMicroseconds
            {
                continue
            }
            merged.append(entry)
        }
        return merged
    }

    /// How long a node may take to tell all logs, in microseconds.
    private static let tellingMicroseconds: Int64 = 5_000_000

    /// What was in force at some time of `day`; where nothing was, what had been in force last before it.
    package func reigns(on day: Day) -> (inForce: [Reign], lastBefore: Reign?) {
        let (start, end) = (day.start, (day + 1).start)
        let inForce = reigns.filter { $0.from < end && $0.until.map { $0 > start } ?? true }
        return (inForce, reigns.last { $0.from < start })
    }
}
