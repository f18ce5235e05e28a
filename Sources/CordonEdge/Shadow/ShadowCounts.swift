internal import Telemetry

/// How often a candidate decided otherwise than the rules in force: sums over hits, and nothing of any one of them.
package struct ShadowCounts: Codable, Equatable, Sendable {
    /// Hits of one difference.
    package struct Difference: Codable, Equatable, Sendable {
        package var kind: String
        package var change: String
        package var hits: UInt64
    }

    /// Hits that one policy decided, and that another (or the same) of the candidate would have decided otherwise.
    package struct Pair: Codable, Equatable, Sendable {
        package var policy: String
        package var candidate: String
        package var hits: UInt64
        /// Each hit is in as many as it differs in.
        package var differences: [Difference]
    }

    /// Digests of the rules in force and of the candidate.
    package var ruleSet: String
    package var candidate: String
    package var geoBuild: String
    /// Hits that both were asked about.
    package var compared: UInt64
    /// Of them, those with any difference.
    package var differing: UInt64
    /// Of those, the ones that are in no pair because there were too many pairs.
    package var unlisted: UInt64
    /// Sorted by names.
    package var pairs: [Pair]

    private enum CodingKeys: String, CodingKey {
        case candidate, compared, differing, unlisted, pairs
        case ruleSet = "rule_set"
        case geoBuild = "geo_build"
    }

    /// Adds counts of the same two rule sets.
    package mutating func add(_ other: ShadowCounts) {
        compared += other.compared
        differing += other.differing
        unlisted += other.unlisted
        for pair in other.pairs {
            guard
                let index = pairs.firstIndex(where: {
                    $0.policy == pair.policy && $0.candidate == pair.candidate
                })
            else {
                pairs.append(pair)
                continue
            }
            pairs[index].hits += pair.hits
            for difference in pair.differences {
                if let known = pairs[index].differences.firstIndex(where: {
                    $0.kind == difference.kind && $0.change == difference.change
                }) {
                    pairs[index].differences[known].hits += difference.hits
                } else {
                    pairs[index].differences.append(difference)
                }
            }
        }
        pairs.sort { ($0.policy, $0.candidate) < ($1.policy, $1.candidate) }
    }

    /// Appends the families of these counts; without a candidate they have no samples.
    static func write(_ counts: ShadowCounts?, to page: inout MetricsText) {
        page.family(
            "cordon_edge_shadow_hits_total", .counter,
            help: "Hits that a candidate rule set was asked about too, by its digest.")
        if let counts {
            page.sample(
                "cordon_edge_shadow_hits_total", ["candidate_rule_set": counts.candidate],
                counts.compared)
        }
        page.family(
            "cordon_edge_shadow_differing_total", .counter,
            help:
                "Of them, hits that the candidate would have decided otherwise, by policy on either side."
        )
        for pair in counts?.pairs ?? [] {
            page.sample(
                "cordon_edge_shadow_differing_total",
                ["policy": pair.policy, "candidate": pair.candidate], pair.hits)
        }
        page.family(
            "cordon_edge_shadow_differences_total", .counter,
            help: "What would have been otherwise: a hit counts once for each difference.")
        for pair in counts?.pairs ?? [] {
            for difference in pair.differences {
                page.sample(
                    "cordon_edge_shadow_differences_total",
                    [
                        "policy": pair.policy, "candidate": pair.candidate,
                        "kind": difference.kind, "change": difference.change,
                    ], difference.hits)
            }
        }
        page.family(
            "cordon_edge_shadow_unlisted_total", .counter,
            help: "Hits with differences whose policies are not told apart: too many pairs.")
        if let counts { page.sample("cordon_edge_shadow_unlisted_total", counts.unlisted) }
    }
}
