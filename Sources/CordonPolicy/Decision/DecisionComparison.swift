internal import Consent
internal import CordonModel

/// Two rule sets laid out for the same places, and how the names of one stand to those of the other: says in what their
/// decisions on one hit differ.
///
/// The numbers in a ``Decision`` mean something in its own ``BoundRules`` alone; here they are brought to common ones once, so that
/// comparing is free of allocation and names. Decisions are compared by what may be kept, whether the hit held it or not.
package struct DecisionComparison: Sendable {
    /// By the index of the second rule set, the index of the same name in the first; -1 where it has none.
    private let policies: [Int]
    private let regions: [Int]
    private let purposes: [UInt64]
    private let signals: [UInt64]
    private let details: (first: [Detail], second: [Detail])
    private let fields: [(name: FieldName, part: DecisionDifference.Part)] = [
        (.ip, .ip), (.user, .user), (.visitor, .visitor), (.userAgent, .userAgent), (.page, .page),
        (.referrer, .referrer), (.place, .place), (.language, .language),
        (.parameters, .parameters),
    ]

    /// What a policy says that its decisions do not hold.
    private struct Detail: Sendable {
        /// Numbers of its lists of parameters; equal lists have equal numbers.
        let pageParameters: Int
        let parameters: Int
        /// Days that each of ``fields`` is kept, where it goes before the hit does.
        let days: [Int]
    }

    package init(
        from live: RuleSet, _ first: BoundRules, to candidate: RuleSet, _ second: BoundRules
    ) {
        policies = Self.indices(of: second.policies, in: first.policies)
        regions = Self.indices(of: second.regions, in: first.regions)
        purposes = Self.bits(of: second.purposes, in: first.purposes)
        signals = Self.bits(of: second.signals, in: first.signals)
        var numbers: [[String]: Int] = [:]
        func number(_ names: [String]?) -> Int {
            let names = names ?? []
            let number = numbers[names] ?? numbers.count
            numbers[names] = number
            return number
        }
        let names = fields.map { $0.name }
        func details(_ ruleSet: RuleSet) -> [Detail] {
            ruleSet.policies.map { policy in
                Detail(
                    pageParameters: number(policy.fields.page?.keeping.parameters),
                    parameters: number(policy.fields.parameters?.keeping),
                    days: names.map { policy.retention.fieldDays[$0] ?? .max })
            }
        }
        self.details = (details(live), details(candidate))
    }

    private static func texts(_ names: NameList) -> [String] {
        (0..<names.count).map { names.text($0) }
    }

    private static func indices(of names: NameList, in others: NameList) -> [Int] {
        let known = texts(others)
        return texts(names).map { known.firstIndex(of: $0) ?? -1 }
    }

    /// Common bits: those of the first in the lower half; what only the second has, in the upper.
    private static func bits(of names: NameList, in others: NameList) -> [UInt64] {
        indices(of: names, in: others).enumerated().map { own, index in
            1 << UInt64(index < 0 ? 32 + own : index)
        }
    }

    /// In what `second`, made by the second rule set, differs from `first`.
    ///
    /// What follows from another outcome is not listed beside it: fields, age and region count where both keep
    /// something.
    /// - Parameter isIPv6: the family of the hit's address, of which alone the cut counts.
    package func differences(
        _ first: Decision, _ second: Decision, isIPv6: Bool
    ) -> DecisionDifferences {
        var found = DecisionDifferences()
        if policies[second.policy] != first.policy { found.note(.policy, .other) }
        let isSameOutcome = first.outcome.rawValue == second.outcome.rawValue
        if !isSameOutcome { found.insert(.outcome(from: first.outcome, to: second.outcome)) }
        // Who refuses does not ask for consent.
        guard first.region >= 0, second.region >= 0 else { return found }
        if first.consent.state.rawValue != second.consent.state.rawValue {
            found.insert(.consent(from: first.consent.state, to: second.consent.state))
        }
        guard keepsSomething(first), keepsSomething(second) else { return found }
        if regions[second.region] != first.region { found.note(.region, .other) }
        found.note(.retention, Int(first.retainDays), Int(second.retainDays))
        found.note(.sampling, Int(first.samplingPerMillion), Int(second.samplingPerMillion))
        if isSameOutcome { compareContents(first, second, isIPv6: isIPv6, &found) }
        return found
    }

    /// What is kept of a hit that both keep, or both count.
    private func compareContents(
        _ first: Decision, _ second: Decision, isIPv6: Bool, _ found: inout DecisionDifferences
    ) {
        // A record that is only counted names neither.
        if first.outcome.rawValue == Decision.Outcome.keep.rawValue {
            found.note(
                .purposes,
                Self.change(
                    UInt64(first.consent.purposes), common(second.consent.purposes, purposes)))
            found.note(
                .signals,
                Self.change(
                    UInt64(first.consent.signals), common(second.consent.signals, signals)))
        }
        let (old, new) = (details.first[first.policy], details.second[second.policy])
        for index in fields.indices {
            let (name, part) = fields[index]
            let ranks = (
                Self.rank(name, first, isIPv6: isIPv6), Self.rank(name, second, isIPv6: isIPv6)
            )
            found.note(part, ranks.0, ranks.1)
            guard ranks.0 > 0, ranks.1 > 0 else { continue }
            found.note(.fieldRetention, old.days[index], new.days[index])
        }
        if !first.pageParameters.isEmpty || !second.pageParameters.isEmpty,
            first.page.rawValue == second.page.rawValue,
            old.pageParameters != new.pageParameters
        {
            found.note(.page, .other)
        }
        if !first.parameters.isEmpty, !second.parameters.isEmpty, old.parameters != new.parameters {
            found.note(.parameters, .other)
        }
    }

    /// How much of a field is kept; 0 is nothing.
    private static func rank(_ field: FieldName, _ decision: Decision, isIPv6: Bool) -> Int {
        switch field {
        case .ip: Int(isIPv6 ? decision.ipv6Bits : decision.ipv4Bits)
        // Longer periods tie more hits together.
        case .user: decision.user.map { Int($0.rawValue) + 1 } ?? 0
        case .visitor: decision.visitor.map { Int($0.rawValue) + 1 } ?? 0
        case .userAgent: decision.keepsUserAgentFamily ? 1 : 0
        case .page: Int(decision.page.rawValue)
        case .referrer: decision.keepsReferrerHost ? 1 : 0
        case .place: Int(decision.place.rawValue)
        case .language: decision.keepsLanguage ? 1 : 0
        case .parameters: decision.parameters.isEmpty ? 0 : 1
        }
    }

    private func keepsSomething(_ decision: Decision) -> Bool {
        decision.outcome.rawValue == Decision.Outcome.keep.rawValue
            || decision.outcome.rawValue == Decision.Outcome.count.rawValue
    }

    /// How sets stand.
    private static func change(_ old: UInt64, _ new: UInt64) -> DecisionDifference.Change? {
        if old == new { return nil }
        if new == 0 { return .removed }
        if old == 0 { return .added }
        return old & new == new ? .less : old & new == old ? .more : .other
    }

    private func common(_ mask: UInt32, _ bits: [UInt64]) -> UInt64 {
        var rest = mask
        var found: UInt64 = 0
        while rest != 0 {
            found |= bits[rest.trailingZeroBitCount]
            rest &= rest - 1
        }
        return found
    }
}
