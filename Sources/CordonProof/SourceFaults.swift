import CordonModel
import CordonPolicy

/// Holds a decision against the text of the policy that it was compiled from.
enum SourceFaults {
    /// What `item` keeps, or where and for how long, beyond what `policy` says.
    static func fault(
        _ item: ConsentCase, _ policy: CompiledPolicy, _ setting: Statement.Setting
    ) -> Fault? {
        let decision = item.decision
        let outcome = outcome(policy, item.consent)
        guard decision.outcome == outcome else {
            return Fault(
                expected: "outcome \(outcome.text)", found: "outcome \(decision.outcome.text)",
                position: policy.route.region == nil
                    ? policy.route.position : policy.consent.deniedPosition)
        }
        guard outcome == .keep || outcome == .count else { return nil }
        let region =
            setting.regions.indices.contains(decision.region)
            ? setting.regions[decision.region] : nil
        guard region == policy.route.region else {
            return Fault(
                expected: "region `\(policy.route.region ?? "none")`",
                found: "region `\(region ?? "none")`", position: policy.route.position)
        }
        guard decision.retainDays == policy.retention.hitsDays else {
            return Fault(
                expected: "\(policy.retention.hitsDays)d", found: "\(decision.retainDays)d",
                position: policy.retention.position)
        }
        return fieldFault(item, policy, setting) ?? detailFault(decision, policy)
    }

    private static func outcome(
        _ policy: CompiledPolicy, _ consent: ConsentOutcome
    ) -> Decision.Outcome {
        if policy.route.region == nil { return .refuse }
        if policy.admits(consent) { return .keep }
        switch policy.consent.denied {
        case .count: return .count
        case .drop: return .drop
        case .keep: return .keep
        }
    }

    private static func fieldFault(
        _ item: ConsentCase, _ policy: CompiledPolicy, _ setting: Statement.Setting
    ) -> Fault? {
        let columns = item.columns
        let granted = policy.admits(item.consent) ? setting.names(item.consent.purposes) : []
        for field in FieldName.allCases where !columns.isDisjoint(with: field.columns) {
            let isCounted = item.decision.outcome == .count
            if let needs = policy.fields.needs(field), Set(needs).isSubset(of: granted),
                !isCounted || field == .place && !columns.contains("subdivision")
            {
                continue
            }
            return Fault(
                expected: "`\(field.rawValue)` not kept", found: "`\(field.rawValue)` kept",
                position: policy.fields.position(field))
        }
        return nil
    }

    /// Fields that are kept in another form than the text says.
    private static func detailFault(_ decision: Decision, _ policy: CompiledPolicy) -> Fault? {
        let fields = policy.fields
        let addressBits = fields.ip?.keeping
        let checks: [(FieldName, Bool)] = [
            (
                .ip,
                decision.ipv4Bits <= addressBits?.ipv4 ?? 0
                    && decision.ipv6Bits <= addressBits?.ipv6 ?? 0
            ),
            (.user, decision.user == nil || decision.user == fields.user?.keeping),
            (.visitor, decision.visitor == nil || decision.visitor == fields.visitor?.keeping),
            (.page, decision.page.rawValue <= fields.page?.keeping.detail.rawValue ?? 0),
            (.place, decision.place.rawValue <= fields.place?.keeping.rawValue ?? 0),
            (
                .page,
                decision.pageParameters.range.count
                    <= fields.page?.keeping.parameters.count ?? 0
            ),
            (.parameters, decision.parameters.range.count <= fields.parameters?.keeping.count ?? 0),
        ]
        guard let wrong = checks.first(where: { !$0.1 })?.0 else { return nil }
        return Fault(
            expected: "`\(wrong.rawValue)` as written",
            found: "`\(wrong.rawValue)` in finer detail",
            position: fields.position(wrong))
    }
}
