import CordonAudit
import CordonEdge
import CordonModel

/// The loss ledger: what became of each rule's hits in one stretch of time.
enum LedgerEntry {
    /// Kind of the entries.
    static let kind = "edge.ledger"

    /// One entry for each policy of `region` with hits between `before` and `now`; hits that no region keeps are told to
    /// every region's log.
    static func entries(
        of region: String, now: EdgeCounters, before: EdgeCounters, at time: Timestamp
    ) -> [AuditEntry] {
        now.rules.compactMap { rule in
            guard rule.region == region || rule.region.isEmpty else { return nil }
            let known = before.rules.first { $0.region == rule.region && $0.policy == rule.policy }
            var fields: [String: AuditEntry.Value] = ["policy": .text(rule.policy)]
            var received: UInt64 = 0
            for fate in HitFate.allCases {
                let count = rule[fate] - (known?[fate] ?? 0)
                received += count
                if count > 0 { fields[fate.text] = .integer(Int(count)) }
            }
            guard received > 0 else { return nil }
            fields["received"] = .integer(Int(received))
            // Told to every region of the node: sums over regions leave it out.
            if rule.region.isEmpty { fields["home"] = "none" }
            return AuditEntry(at: time, kind: kind, region: region, fields: fields)
        }
    }
}
