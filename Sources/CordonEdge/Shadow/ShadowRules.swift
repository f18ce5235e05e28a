package import CordonPolicy
internal import GeoTables

/// A candidate rule set that is asked about each hit beside the rules that decide, and the counts of where it differs.
///
/// Its answers are compared and forgotten: no transform, record or answer depends on them. One for each context that a candidate
/// stands in, so that counts always belong to one rule set, one candidate and one geo table.
package final class ShadowRules: Sendable {
    package let ruleSet: RuleSet
    private let live: RuleSet
    private let geoBuild: String
    let rules: BoundRules
    let comparison: DecisionComparison
    /// One a loop, by the loop's number.
    let tallies: [ShadowTally]

    init(
        _ candidate: RuleSet, beside live: RuleSet, _ liveRules: BoundRules, table: GeoTable,
        loops: Int
    ) {
        ruleSet = candidate
        self.live = live
        geoBuild = table.build
        rules = candidate.bound(to: table.places)
        comparison = DecisionComparison(from: live, liveRules, to: candidate, rules)
        tallies = (0..<loops).map { _ in ShadowTally() }
    }

    /// What all loops have counted so far.
    package func counts() -> ShadowCounts {
        var sums = ShadowTally.Sums()
        for tally in tallies { tally.read(into: &sums) }
        let pairs = sums.pairs.map { pair, counts in
            ShadowCounts.Pair(
                policy: live.policies[pair.policy].name,
                candidate: ruleSet.policies[pair.candidate].name, hits: counts.hits,
                differences: counts.differences.indices.compactMap { index in
                    let hits = counts.differences[index]
                    let difference = DecisionDifference(index: index)
                    return hits == 0
                        ? nil
                        : ShadowCounts.Difference(
                            kind: difference.kind, change: difference.change, hits: hits)
                })
        }
        return ShadowCounts(
            ruleSet: live.digest, candidate: ruleSet.digest, geoBuild: geoBuild,
            compared: sums.compared, differing: sums.differing, unlisted: sums.unlisted,
            pairs: pairs.sorted { ($0.policy, $0.candidate) < ($1.policy, $1.candidate) })
    }
}
