import Consent
import CordonModel
import Testing

@testable import CordonPolicy

@Suite struct `Differences of decisions` {
    /// A candidate policy, a request, and in what its decision differs.
    struct Case: CustomTestStringConvertible, Sendable {
        let old: String
        let new: String
        var query = "consent=granted"
        var isIPv6 = false
        let expected: Set<String>
        var testDescription: String { "\(old) → \(new), \(query)" }
    }

    private static let cases: [Case] = [
        Case(old: "title: A law", new: "title: Another", expected: []),
        Case(old: "ipv4: 24", new: "ipv4: 16", expected: ["ip less"]),
        Case(old: "ipv4: 24", new: "ipv4: 16", isIPv6: true, expected: []),
        Case(
            old: "ip: { truncate: { ipv4: 24, ipv6: 48 } }", new: "ip: drop",
            expected: ["ip removed"]),
        Case(old: "pseudonym: month", new: "pseudonym: year", expected: ["user more"]),
        Case(
            old: "needs: measuring", new: "needs: advertising", query: "consent=measuring",
            expected: ["user removed"]),
        Case(old: "user_agent: family", new: "user_agent: drop", expected: ["user_agent removed"]),
        Case(old: "keep: path, params: [utm_source]", new: "keep: host", expected: ["page less"]),
        Case(old: "[utm_source]", new: "[utm_source, gclid]", expected: ["page other"]),
        Case(old: ", params: [utm_source]", new: "", expected: ["page other"]),
        Case(old: "language: primary", new: "language: drop", expected: ["language removed"]),
        Case(old: "place: country", new: "place: subdivision", expected: ["place more"]),
        Case(old: "[value, currency]", new: "[value]", expected: ["params other"]),
        Case(old: "hits: 395d", new: "hits: 100d", expected: ["retention less"]),
        Case(old: ", fields: { user: 90d }", new: "", expected: ["field_retention more"]),
        Case(
            old: "user: 90d", new: "user: 30d", query: "consent=denied",
            expected: []),
        Case(old: "sampling: 12.5", new: "sampling: 25", expected: ["sampling more"]),
        Case(
            old: "denied: count", new: "denied: drop", query: "consent=denied",
            expected: ["outcome count to drop"]),
        Case(
            old: "when_absent: denied", new: "when_absent: granted", query: "",
            expected: ["outcome count to keep"]),
        Case(
            old: "\"param:consent\"", new: "\"param:choice\"",
            query: "consent=denied&choice=granted",
            expected: ["consent denied to granted", "outcome count to keep"]),
        Case(
            old: "{ measuring: , advertising: }", new: "{ measuring: , advertising: , selling: }",
            expected: ["purposes more"]),
        Case(
            old: "signals: [gpc,", new: "signals: [\"param:choice\",",
            query: "consent=granted&choice=granted", expected: ["signals more"]),
        Case(
            old: "places: [Nordic, DE]", new: "places: [Nordic]",
            expected: [
                "policy other", "outcome keep to count", "consent granted to absent",
                "retention less", "sampling more",
            ]),
    ]

    @Test(arguments: cases) func `one edit shows as what it changes of a hit`(_ example: Case)
        throws
    {
        let edited = SampleProject.policy.replacing(example.old, with: example.new)
        try #require(edited != SampleProject.policy)
        let live = try SampleProject.load().ruleSet
        let candidate = try SampleProject.load(["Policies/law.yaml": edited]).ruleSet
        #expect(try differences(live, candidate, example) == example.expected)
        // Back again each stands the other way round.
        let back = try differences(candidate, live, example)
        #expect(back.count == example.expected.count)
        let opposite = ["less": "more", "removed": "added", "more": "less", "added": "removed"]
        for text in example.expected {
            let words = text.split(separator: " ").map(String.init)
            let turned =
                words.count == 4
                ? "\(words[0]) \(words[3]) to \(words[1])"
                : "\(words[0]) \(opposite[words[1]] ?? words[1])"
            #expect(back.contains(turned), "\(turned): \(back)")
        }
    }

    private func differences(_ live: RuleSet, _ candidate: RuleSet, _ example: Case) throws -> Set<
        String
    > {
        let place = RulePlace(country: "DE", subdivision: "DE-BE")
        let (first, second) = (live.bound(to: [place]), candidate.bound(to: [place]))
        let request = try SyntheticRequest(
            url: "https://other.example/pixel.gif?\(example.query)", headers: [])
        func decision(_ rules: BoundRules) -> Decision {
            let policy = rules.policyIndex(place: 0, siteClass: 0)
            let consent = rules.consent(
                policy: policy, parts: request.parts, bytes: request.bytes.span,
                at: SampleProject.today.start,
                reader: ConsentReader(vendors: rules.vendors, key: nil))
            return rules.decision(policy: policy, consent: consent)
        }
        var found = DecisionComparison(from: live, first, to: candidate, second)
            .differences(decision(first), decision(second), isIPv6: example.isIPv6)
        var texts: Set<String> = []
        while let difference = found.next() {
            texts.insert("\(difference.kind) \(difference.change)")
        }
        return texts
    }

    @Test func `another home region is one of them`() throws {
        let south = SampleProject.region.replacing("north", with: "south")
            .replacing("North", with: "South").replacing("8401", with: "8402")
        let changes = ["Regions/south.yaml": south]
        let live = try SampleProject.load(changes).ruleSet
        let moved = SampleProject.policy.replacing("region: north", with: "region: south")
        let candidate = try SampleProject.load(changes.merging(["Policies/law.yaml": moved]) { $1 })
        let example = Case(old: "", new: "", expected: [])
        #expect(try differences(live, candidate.ruleSet, example) == ["region other"])
    }

    @Test func `a refusal is another outcome, and nothing else`() throws {
        let start = try #require(SampleProject.policy.firstRange(of: "route:")).lowerBound
        let refusing = SampleProject.policy[..<start] + "route: refuse\n"
        let live = try SampleProject.load().ruleSet
        let candidate = try SampleProject.load(["Policies/law.yaml": String(refusing)]).ruleSet
        let example = Case(old: "", new: "", expected: [])
        #expect(try differences(live, candidate, example) == ["outcome keep to refuse"])
        #expect(try differences(candidate, live, example) == ["outcome refuse to keep"])
    }

    @Test func `each has a number and words of its own`() {
        let all = (0..<DecisionDifference.count).map { DecisionDifference(index: $0) }
        #expect(Set(all.map { "\($0.kind) \($0.change)" }).count == all.count)
        var set = DecisionDifferences()
        #expect(set.isEmpty)
        for difference in all.reversed() { set.insert(difference) }
        var taken: [DecisionDifference] = []
        while let difference = set.next() { taken.append(difference) }
        #expect(taken == all)
        #expect(DecisionDifference.outcome(from: .keep, to: .refuse).change == "keep to refuse")
        #expect(DecisionDifference.consent(from: .invalid, to: .granted).kind == "consent")
        #expect(DecisionDifference.part(.sampling, .added).index == DecisionDifference.count - 1)
    }
}
