import CordonModel
import CordonPolicy

/// What keeps a statement from holding for one policy and consent.
struct Fault {
    let expected: String
    let found: String
    /// The rule that is at fault.
    let position: FilePosition
}

/// One thing to be proved: built in, or stated in `Policies/invariants.yaml`.
struct Statement: Sendable {
    let name: String
    /// Where it is stated; nil when it is built in.
    let position: FilePosition?
    let scope: Invariant.Scope
    private let judge: @Sendable (ConsentCase, CompiledPolicy, Setting) -> Fault?

    /// What all policies share.
    struct Setting {
        let purposes: [String]
        /// Names of the regions in the compiled table's order.
        let regions: [String]
        /// Country of each region by name.
        let jurisdictions: [String: String]

        func names(_ mask: UInt32) -> [String] {
            purposes.indices.filter { mask & 1 << UInt32($0) != 0 }.map { purposes[$0] }
        }
    }

    func covers(_ place: String) -> Bool { scope.places?.contains(place) ?? true }
    func covers(host: String?) -> Bool { scope.sites.contains { $0.matches(host: host) } }

    func covers(_ consent: ConsentOutcome, _ setting: Setting) -> Bool {
        guard scope.consent?.contains(consent.state) ?? true else { return false }
        return scope.lacking.isEmpty
            || Set(setting.names(consent.purposes)).isDisjoint(with: scope.lacking)
    }

    func fault(_ item: ConsentCase, under policy: CompiledPolicy, _ setting: Setting) -> Fault? {
        judge(item, policy, setting)
    }
}

// MARK: built in

extension Statement {
    /// An outcome everywhere; that some policy claims each place and site is seen in the sweep.
    static let total = Statement(name: "total", position: nil, scope: .init()) {
        item, policy, setting in
        let decision = item.decision
        let stores = decision.outcome == .keep || decision.outcome == .count
        let hasRegion = setting.regions.indices.contains(decision.region)
        guard stores && !hasRegion || !stores && policy.route.region == nil && hasRegion else {
            return nil
        }
        return Fault(
            expected: "a region for each hit that is kept, and none for one that is refused",
            found: "outcome \(decision.outcome.text), "
                + (hasRegion ? "region `\(setting.regions[decision.region])`" : "no region"),
            position: policy.route.position)
    }

    /// One outcome; seen in the sweep alone.
    static let unambiguous = Statement(
        name: "unambiguous", position: nil, scope: .init()
    ) { _, _, _ in nil }

    /// Nothing is kept that the policy's text does not allow: what a compiler could have got wrong.
    static let asWritten = Statement(
        name: "as written", position: nil, scope: .init()
    ) { item, policy, setting in SourceFaults.fault(item, policy, setting) }

    /// Identifiers with consent to their purposes alone, and none after a refusal.
    static let consented = Statement(
        name: "no identifier without its consent", position: nil, scope: .init()
    ) { item, policy, setting in
        let columns = item.columns
        for field in [FieldName.user, .visitor, .ip] where columns.contains(field.columns[0]) {
            let needs = policy.fields.needs(field) ?? []
            let missing = Set(needs).subtracting(setting.names(item.consent.purposes)).sorted()
            guard !policy.admits(item.consent) || !missing.isEmpty else { continue }
            let wanted =
                needs.isEmpty ? "consent" : "consent to `\(needs.joined(separator: "`, `"))`"
            return Fault(
                expected: "`\(field.columns[0])` only with \(wanted)",
                found: "`\(field.columns[0])` kept", position: policy.fields.position(field))
        }
        return nil
    }

    static func addressFloor(_ limits: Invariants.Limits) -> Statement {
        var demand = Invariant.Demand()
        demand.ipv4BitsMax = limits.ipv4Bits
        demand.ipv6BitsMax = limits.ipv6Bits
        return Statement(
            name: "addresses cut to /\(limits.ipv4Bits) and /\(limits.ipv6Bits) or shorter",
            demand: demand)
    }

    static func retentionLimit(_ limits: Invariants.Limits) -> Statement {
        var demand = Invariant.Demand()
        demand.retentionDaysMax = limits.retentionDays
        return Statement(name: "kept no longer than \(limits.retentionDays)d", demand: demand)
    }

    private init(name: String, demand: Invariant.Demand) {
        self.init(name: name, position: nil, scope: .init()) { item, policy, setting in
            demand.fault(item, policy, setting)
        }
    }

    /// A statement of the project's own.
    init(_ invariant: Invariant) {
        self.init(
            name: invariant.name, position: invariant.position, scope: invariant.scope
        ) { item, policy, setting in invariant.demand.fault(item, policy, setting) }
    }
}

// MARK: demands

extension Invariant.Demand {
    /// What of the demand one decision does not meet.
    fileprivate func fault(
        _ item: ConsentCase, _ policy: CompiledPolicy, _ setting: Statement.Setting
    ) -> Fault? {
        let decision = item.decision
        if !outcomes.isEmpty, !outcomes.contains(decision.outcome) {
            let isAbsent = item.consent.state == .absent
            return Fault(
                expected: "outcome " + outcomes.map(\.text).joined(separator: " or "),
                found: "outcome \(decision.outcome.text)",
                position: policy.route.region == nil
                    ? policy.route.position
                    : isAbsent ? policy.consent.absentPosition : policy.consent.deniedPosition)
        }
        // What is not stored can be kept neither too long nor in the wrong place.
        guard decision.outcome == .keep || decision.outcome == .count else { return nil }
        return regionFault(decision, policy, setting) ?? fieldFault(decision, policy)
            ?? ageFault(decision, policy) ?? signalFault(policy)
    }

    private func regionFault(
        _ decision: Decision, _ policy: CompiledPolicy, _ setting: Statement.Setting
    ) -> Fault? {
        guard asksRegion else { return nil }
        let region =
            setting.regions.indices.contains(decision.region)
            ? setting.regions[decision.region] : ""
        let country = setting.jurisdictions[region]
        let isInside =
            regions.contains(region)
            || country.map { jurisdictions?.contains($0) ?? false } ?? false
        guard !isInside else { return nil }
        let wanted = (regions + (jurisdictions?.names ?? [])).joined(separator: ", ")
        return Fault(
            expected: "a region in \(wanted)",
            found: "region `\(region)` (\(country ?? "nowhere"))",
            position: policy.route.position)
    }

    private func fieldFault(_ decision: Decision, _ policy: CompiledPolicy) -> Fault? {
        let columns: Set<String> = neverKeep.isEmpty ? [] : decision.keptColumns
        for column in neverKeep where columns.contains(column) {
            let position = FieldName(column: column).map { policy.fields.position($0) }
            return Fault(
                expected: "`\(column)` not kept", found: "`\(column)` kept",
                position: position ?? policy.fields.position)
        }
        let prefixes = [
            ("IPv4", Int(decision.ipv4Bits), ipv4BitsMax),
            ("IPv6", Int(decision.ipv6Bits), ipv6BitsMax),
        ]
        for (family, bits, bound) in prefixes {
            guard let bound, bits > bound else { continue }
            return Fault(
                expected: "\(family) addresses cut to /\(bound) or shorter", found: "/\(bits)",
                position: policy.fields.position(.ip))
        }
        for (field, period) in [(FieldName.user, decision.user), (.visitor, decision.visitor)] {
            guard let bound = pseudonymMax, let period, period.rawValue > bound.rawValue else {
                continue
            }
            return Fault(
                expected: "pseudonyms of one \(bound.text) or less",
                found: "`\(field.rawValue)` of one \(period.text)",
                position: policy.fields.position(field))
        }
        return nil
    }

    private func ageFault(_ decision: Decision, _ policy: CompiledPolicy) -> Fault? {
        if let bound = retentionDaysMax, Int(decision.retainDays) > bound {
            return Fault(
                expected: "kept for \(bound)d or less", found: "\(decision.retainDays)d",
                position: policy.retention.position)
        }
        let columns: Set<String> = fieldDaysMax.isEmpty ? [] : decision.keptColumns
        for (field, bound) in fieldDaysMax.sorted(by: { $0.key < $1.key }) {
            guard !columns.isDisjoint(with: field.columns), policy.days(of: field) > bound else {
                continue
            }
            return Fault(
                expected: "`\(field.rawValue)` kept for \(bound)d or less",
                found: "\(policy.days(of: field))d", position: policy.retention.position)
        }
        return nil
    }

    private func signalFault(_ policy: CompiledPolicy) -> Fault? {
        let heard = policy.consent.signals.map(\.text)
        guard let deaf = hears.first(where: { !heard.contains($0) }) else { return nil }
        return Fault(
            expected: "signal `\(deaf)` heard", found: heard.joined(separator: ", "),
            position: policy.consent.position)
    }
}
