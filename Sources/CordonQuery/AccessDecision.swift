package import CordonModel
package import CordonPolicy

/// What a principal may see of a region's rows: decided row by row, by the policy that admitted the row.
package struct Access: Equatable, Sendable {
    /// The rows of one policy, and how they show.
    package struct Grant: Equatable, Sendable {
        package var policy: String
        package var sight: AccessRule.Sight
        package var minGroup: Int
        package var smallGroups = AccessRule.SmallGroups.suppress
        package var noise: AccessRule.Noise?
        /// Columns that read as null.
        package var hidden: Set<String>
        /// Ages in days after which fields read as null.
        package var fieldDays: [FieldName: Int]
        /// The rule that grants; for a principal who asks from outside, the transfer rule.
        package var position: FilePosition
        /// Whether a transfer rule grants.
        package var isTransfer: Bool
    }

    /// At least one, all of one sight; those of policies for people where the region stands come first.
    package let grants: [Grant]
    /// Policies whose rows the principal may see as aggregates, left out because rows of others may be seen: in one
    /// result they could not be told apart.
    package let leftOut: [String]

    init(_ all: [Grant]) {
        let rows = all.filter { $0.sight == .rows }
        grants = rows.isEmpty ? all : rows
        leftOut = rows.isEmpty ? [] : all.filter { $0.sight == .aggregates }.map(\.policy)
    }

    /// Whether the principal sees aggregates alone.
    package var isHeldToGroups: Bool { grants[0].sight == .aggregates }

    /// Whether smaller groups are put together to one: what one of the policies leaves out may be in none.
    package var mergesSmallGroups: Bool {
        isHeldToGroups && grants.allSatisfy { $0.smallGroups == .other }
    }

    /// The noise on what is shown: of what several policies ask for, the most.
    package var noise: AccessRule.Noise? {
        let all = isHeldToGroups ? grants.compactMap(\.noise) : []
        guard var noise = all.first else { return nil }
        for other in all.dropFirst() {
            noise.epsilon = min(noise.epsilon, other.epsilon)
            noise.budget = min(noise.budget, other.budget)
            noise.per = noise.per.days < other.per.days ? other.per : noise.per
            noise.rows = min(noise.rows, other.rows)
            noise.value = noise.value.flatMap { value in other.value.map { min(value, $0) } }
        }
        return noise
    }

    /// The grant that a refusal for its group size names: the first by an access rule, else the first.
    var nearest: Grant { grants.first { !$0.isTransfer } ?? grants[0] }

    /// The rules that grant, each once, as `file:line`.
    package var rules: [String] {
        var texts: [String] = []
        for grant in grants where !texts.contains(grant.position.text) {
            texts.append(grant.position.text)
        }
        return texts
    }
}

/// Finds the rules that let a principal see rows of a region.
///
/// For each policy whose home is the region: the first access rule with the principal's role and purpose whose `from`
/// holds the place. Failing that, where role and purpose fit and only the place does not, the first transfer rule whose
/// `to` holds the place, under whatever both rules hide and the larger of both groups. Else the policy's rows do not exist
/// for this principal.
package enum AccessDecision: Equatable, Sendable {
    case granted(Access)
    case refused(Refusal)

    /// - Parameter jurisdiction: where the region stands; of several rules that grant or refuse, one for people there is
    ///   named.
    package init(
        for principal: Principal, in region: String, jurisdiction: String,
        under policies: [CompiledPolicy]
    ) {
        let isAtHome = { (policy: CompiledPolicy) in
            policy.access.contains { !$0.from.isWorld && $0.from.contains(jurisdiction) }
        }
        let all = policies.filter { $0.route.region == region }
        let local = all.filter(isAtHome) + all.filter { !isAtHome($0) }
        let grants = local.compactMap { Self.grant(principal, $0) }
        if grants.isEmpty {
            self = .refused(Self.refusal(principal, region, local))
        } else {
            self = .granted(Access(grants))
        }
    }

    private static func fitting(_ principal: Principal, _ policy: CompiledPolicy) -> [AccessRule] {
        policy.access.filter {
            $0.role == principal.role && $0.purposes.contains(principal.purpose)
        }
    }

    private static func grant(_ principal: Principal, _ policy: CompiledPolicy) -> Access.Grant? {
        let rules = fitting(principal, policy)
        if let rule = rules.first(where: { $0.from.contains(principal.place) }) {
            return Access.Grant(
                policy: policy.name, sight: rule.see, minGroup: rule.minGroup,
                smallGroups: rule.smallGroups, noise: rule.noise, hidden: Set(rule.hide),
                fieldDays: policy.retention.fieldDays,
                position: rule.position, isTransfer: false)
        }
        guard let rule = rules.first,
            let transfer = policy.transfer.first(where: { $0.to.contains(principal.place) })
        else { return nil }
        return Access.Grant(
            policy: policy.name, sight: transfer.see == .rows ? rule.see : .aggregates,
            minGroup: max(rule.minGroup, transfer.minGroup), smallGroups: rule.smallGroups,
            noise: rule.noise, hidden: Set(rules.flatMap(\.hide)),
            fieldDays: policy.retention.fieldDays,
            position: transfer.position, isTransfer: true)
    }

    /// The refusal that names the rule nearest to what was asked: one that fails by its place, else by its purpose, else
    /// by its role.
    private static func refusal(
        _ principal: Principal, _ region: String, _ policies: [CompiledPolicy]
    ) -> Refusal {
        for policy in policies {
            guard let rule = fitting(principal, policy).first else { continue }
            let allowed = rule.from.names.joined(separator: ", ")
            let head =
                "policy `\(policy.name)` keeps rows in region `\(region)` and lets role `\(principal.role)`"
                + " ask for `\(principal.purpose)` from \(allowed) only, not from `\(principal.place)`"
            guard let transfer = policy.transfer.first else {
                return Refusal(
                    rule: "access", at: rule.position, text: head + "; it has no transfer rule")
            }
            let reached = policy.transfer.flatMap(\.to.names).joined(separator: ", ")
            return Refusal(
                rule: "transfer", at: transfer.position,
                text: head + "; its transfer rules reach \(reached)")
        }
        for policy in policies {
            let rules = policy.access.filter { $0.role == principal.role }
            guard let rule = rules.first else { continue }
            let purposes = rules.flatMap(\.purposes).map { "`\($0)`" }.joined(separator: ", ")
            return Refusal(
                rule: "access", at: rule.position,
                text: "role `\(principal.role)` may ask for the purposes \(purposes) under policy"
                    + " `\(policy.name)`, not for `\(principal.purpose)`")
        }
        guard let policy = policies.first else {
            return Refusal(
                rule: "access", text: "no policy keeps rows in region `\(region)`")
        }
        let roles = Set(policies.flatMap { $0.access.map(\.role) }).sorted()
        return Refusal(
            rule: "access", at: policy.access.first?.position ?? policy.position,
            text: "no policy of region `\(region)` has an access rule for role `\(principal.role)`"
                + (roles.isEmpty
                    ? ""
                    : "; there are rules for \(roles.map { "`\($0)`" }.joined(separator: ", "))"))
    }
}
