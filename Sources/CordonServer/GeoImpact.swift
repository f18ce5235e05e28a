package import CordonPolicy
package import GeoTables

/// What another geo table changes under one rule set: whose hits would be kept in another region, and whose by another policy.
package struct GeoImpact: Sendable {
    /// Addresses that go from one place to another.
    package struct Change: Codable, Equatable, Sendable {
        /// ISO 3166 codes; nil is unknown.
        package let from: String?
        package let to: String?
        /// Addresses, decimal numbers: those of IPv6 do not fit a JSON number.
        package let ipv4: String
        package let ipv6: String
        /// Regions that hits from there may be kept in, over all sites; empty where they are refused.
        package let homesBefore: [String]
        package let homesAfter: [String]
        package let policiesBefore: [String]
        package let policiesAfter: [String]

        package var movesHome: Bool { homesBefore != homesAfter }
        package var changesProtection: Bool { policiesBefore != policiesAfter }

        private enum CodingKeys: String, CodingKey {
            case from, to, ipv4, ipv6
            case homesBefore = "homes_before"
            case homesAfter = "homes_after"
            case policiesBefore = "policies_before"
            case policiesAfter = "policies_after"
        }
    }

    /// Those with the most addresses first, IPv4 before IPv6: an IPv6 address is one of far too many to compare by number.
    package let changes: [Change]
    /// Share, from 0 to 1, of the addresses with a place whose hits get another home: of the family in which it is larger.
    package let homeShare: Double
    /// The same for addresses that another policy decides.
    package let protectionShare: Double

    /// Sweeps both tables once.
    package init(from old: GeoTable, to new: GeoTable, under rules: RuleSet) {
        let difference = GeoTableDifference(from: old, to: new)
        func place(_ code: String?) -> RulePlace {
            code.flatMap { RulePlace(code: $0) } ?? RulePlace(country: nil)
        }
        typealias Moved = (change: Change, count: GeoTableDifference.Count)
        let moved: [Moved] = difference.changes.map { change, count in
            let (before, after) = (place(change.from), place(change.to))
            return (
                Change(
                    from: change.from, to: change.to, ipv4: "\(count.ipv4)", ipv6: "\(count.ipv6)",
                    homesBefore: rules.homes(of: before), homesAfter: rules.homes(of: after),
                    policiesBefore: rules.policyNames(at: before),
                    policiesAfter: rules.policyNames(at: after)), count
            )
        }.sorted { left, right in
            let (a, b) = (left.count, right.count)
            if (a.ipv4, a.ipv6) != (b.ipv4, b.ipv6) { return (a.ipv4, a.ipv6) > (b.ipv4, b.ipv6) }
            return (left.change.from ?? "", left.change.to ?? "")
                < (right.change.from ?? "", right.change.to ?? "")
        }
        changes = moved.map(\.change)
        func share(_ isCounted: (Change) -> Bool) -> Double {
            let counted = moved.filter { isCounted($0.change) }
            let shares = AddressFamily.allCases.map { family in
                let located = max(
                    old.coverage(of: family).located, new.coverage(of: family).located)
                let isIPv6 = family == .ipv6
                let sum = counted.reduce(UInt128(0)) {
                    $0 + (isIPv6 ? $1.count.ipv6 : $1.count.ipv4)
                }
                // Addresses that lost their place may be more than those that have one now.
                return sum == 0 ? 0 : min(1, Double(sum) / Double(max(located, 1)))
            }
            return shares.max() ?? 0
        }
        homeShare = share(\.movesHome)
        protectionShare = share(\.changesProtection)
    }

    /// Whether a reload to the new table waits for somebody to confirm it: where the share of either kind is above `percent`.
    package func isAbove(percent: Double) -> Bool {
        max(homeShare, protectionShare) * 100 > percent
    }
}
