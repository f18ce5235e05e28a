/// What becomes of stored hits when consent that they were kept under is taken back.
///
/// A hit is made into what its policy would have kept of it without these purposes. Only ever less is kept: what was
/// never stored cannot be brought back, and consent that was not recorded is asked for anew.
package struct ConsentCorrection: Equatable, Sendable, Codable {
    /// What is left of a hit that no purpose is left for: `consent.denied` of its policy.
    package enum Remainder: String, CaseIterable, Sendable, Codable { case keep, count, drop }

    /// What one policy says.
    package struct Rule: Equatable, Sendable, Codable {
        package let policy: String
        package let remainder: Remainder
        /// The purposes that a column needs all of, sorted; columns that need none are left out.
        package let needs: [String: [String]]

        package init(policy: String, remainder: Remainder, needs: [String: [String]]) {
            self.policy = policy
            self.remainder = remainder
            self.needs = needs
        }
    }

    /// The purposes that consent is taken back for, sorted; never empty.
    package let withdrawn: [String]
    /// By policy. Hits of a policy that is not among them are only counted afterwards: what it would have kept cannot be told.
    package let rules: [Rule]
    /// Stands among a hit's `signals` afterwards; hits that are only counted have none.
    package static let signal = "rectified"

    package init(withdrawing purposes: Set<String>, rules: [Rule]) {
        precondition(!purposes.isEmpty, "a correction takes back some purpose")
        withdrawn = purposes.sorted()
        self.rules = rules.sorted { $0.policy < $1.policy }
    }

    /// The policies by which a column loses its value, sorted.
    package func policies(emptying column: String) -> [String] {
        rules.filter { rule in
            rule.needs[column].map { !Set($0).isDisjoint(with: withdrawn) } ?? false
        }.map(\.policy)
    }
}
