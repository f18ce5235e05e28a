import Consent
import CordonModel
import TestSupport
import Testing

@testable import CordonAuthoring
@testable import CordonPolicy

@Suite struct `Differences of decisions, held against their words` {
    @Test func `what is counted as different is what explanations tell apart`() throws {
        var generator = Generator()
        let seed = generator.seed
        var seen: Set<String> = []
        for _ in 0..<60 {
            let (old, new) = (
                PolicyDials.random(using: &generator), PolicyDials.random(using: &generator)
            )
            let (live, candidate) = (try PolicyDials.ruleSet(old), try PolicyDials.ruleSet(new))
            let places = [
                RulePlace(country: "DE", subdivision: "DE-BY"), RulePlace(country: "US"),
            ]
            let (first, second) = (live.bound(to: places), candidate.bound(to: places))
            let comparison = DecisionComparison(from: live, first, to: candidate, second)
            for round in 0..<20 {
                let request = try Strictnesses.request(&generator)
                let place = round.isMultiple(of: 8) ? 1 : 0
                let day = Day("2026-11-01")!
                func decision(_ rules: BoundRules) -> Decision {
                    let policy = rules.policyIndex(place: place, siteClass: 0)
                    let consent = rules.consent(
                        policy: policy, parts: request.parts, bytes: request.bytes.span,
                        at: day.start, reader: ConsentReader(vendors: rules.vendors, key: nil))
                    return rules.decision(policy: policy, consent: consent)
                }
                let decisions = (decision(first), decision(second))
                var kinds: Set<String> = []
                for isIPv6 in [false, true] {
                    var found = comparison.differences(decisions.0, decisions.1, isIPv6: isIPv6)
                    while let difference = found.next() { kinds.insert(difference.kind) }
                }
                let expected = Self.kinds(
                    live.explain(request, at: places[place], on: day), live,
                    candidate.explain(request, at: places[place], on: day), candidate)
                seen.formUnion(expected)
                #expect(
                    kinds == expected,
                    "seed \(seed)\n\(String(decoding: request.bytes, as: UTF8.self))\n\(PolicyDials.policy(old))\n\(PolicyDials.policy(new))"
                )
                if kinds != expected { return }
            }
        }
        #expect(seen.count >= 15, "seed \(seed): \(seen)")
    }

    /// In what two explanations differ, read from their words.
    private static func kinds(
        _ old: Explanation, _ live: RuleSet, _ new: Explanation, _ candidate: RuleSet
    ) -> Set<String> {
        var kinds: Set<String> = []
        if old.policy != new.policy { kinds.insert("policy") }
        if old.outcome != new.outcome { kinds.insert("outcome") }
        if old.consent.state != new.consent.state { kinds.insert("consent") }
        guard old.retainUntil != nil, new.retainUntil != nil else { return kinds }
        if old.retainUntil != new.retainUntil { kinds.insert("retention") }
        if old.sampleRate != new.sampleRate { kinds.insert("sampling") }
        guard old.outcome == new.outcome else { return kinds }
        let isKept = old.outcome == "keep"
        if isKept, old.consent.purposes != new.consent.purposes { kinds.insert("purposes") }
        func speaking(_ found: Explanation) -> Set<String> {
            Set(found.consent.signals.filter { $0.state != "silent" }.map(\.signal))
        }
        if isKept, speaking(old) != speaking(new) { kinds.insert("signals") }
        func days(_ ruleSet: RuleSet, _ policy: String, _ field: String) -> Int? {
            FieldName(rawValue: field).flatMap { field in
                ruleSet.policies.first { $0.name == policy }?.retention.fieldDays[field]
            }
        }
        func parameters(_ ruleSet: RuleSet, _ found: Explanation) -> [String]? {
            ruleSet.policies.first { $0.name == found.policy }?.fields.page?.keeping.parameters
        }
        for (name, field) in old.fields {
            let other = new.fields[name]?.action ?? ""
            if field.action != other { kinds.insert(name) }
            guard field.action != "drop", other != "drop" else { continue }
            // The words of an explanation leave the parameters out that stay in a page's path.
            if name == "page", parameters(live, old) != parameters(candidate, new) {
                kinds.insert("page")
            }
            if days(live, old.policy, name) != days(candidate, new.policy, name) {
                kinds.insert("field_retention")
            }
        }
        return kinds
    }
}
