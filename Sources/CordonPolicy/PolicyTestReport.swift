package import Bytes
package import CordonModel

/// What came of running the cases of a project: which passed, and which rules none of them touched.
package struct PolicyTestReport: Equatable, Sendable {
    package struct Failure: Equatable, Sendable {
        package var policyCase: PolicyCase
        /// One difference a line.
        package var differences: [String]
    }

    /// One way in which a policy can decide: under a consent state, or `refused` where it refuses all.
    package struct Branch: Hashable, Comparable, Sendable {
        package var policy: String
        package var name: String

        package static func < (left: Branch, right: Branch) -> Bool {
            (left.policy, left.name) < (right.policy, right.name)
        }
    }

    package private(set) var passedCount = 0
    package private(set) var failures: [Failure] = []
    /// Branches that some case reached.
    package private(set) var covered: Set<Branch> = []
    /// Branches that no case reached, sorted.
    package private(set) var missing: [Branch] = []

    /// Runs `cases` as on `day`. `place` looks an address up and answers nil when there is no geo table.
    package init(
        _ cases: [PolicyCase], under ruleSet: RuleSet, on day: Day,
        place: (IPAddress) -> RulePlace?
    ) {
        for policyCase in cases {
            let origin: RulePlace? =
                switch policyCase.origin {
                case .place(let place): place
                case .address(let address): place(address)
                }
            guard let origin else {
                failures.append(
                    .init(
                        policyCase: policyCase,
                        differences: ["the case names an address, and there is no geo table"]))
                continue
            }
            let day = policyCase.day ?? day
            let found = ruleSet.explain(policyCase.request, at: origin, on: day)
            covered.insert(
                .init(
                    policy: found.policy,
                    name: found.outcome == "refuse" ? Self.refused : found.consent.state))
            let differences = policyCase.differences(from: found, on: day)
            if differences.isEmpty {
                passedCount += 1
            } else {
                failures.append(.init(policyCase: policyCase, differences: differences))
            }
        }
        missing = Self.branches(of: ruleSet).subtracting(covered).sorted()
    }

    private static let refused = "refused"

    private static func branches(of ruleSet: RuleSet) -> Set<Branch> {
        Set(
            ruleSet.policies.flatMap { policy in
                let names =
                    policy.route.region == nil
                    ? [refused] : ConsentState.allCases.map(\.text)
                return names.map { Branch(policy: policy.name, name: $0) }
            })
    }
}
