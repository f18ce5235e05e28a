import Consent
import CordonModel
import CordonProofCheck
import Foundation
import GeoTables
import TestSupport
import Testing

@testable import CordonPolicy
@testable import CordonProof

/// Edits of the shipped policies' text that a tired person could make, hundreds of them, each alone.
@Suite struct `Single edits of the shipped policies` {
    private let fixture = ProofFixture.shared

    /// One way of editing a policy's text; nil where it does not apply.
    private struct Edit {
        let name: String
        /// Whether every such edit breaks something that is stated, unless it changes no decision.
        let breaks: Bool
        let apply: (String, inout Generator) -> String?

        init(
            _ name: String, breaks: Bool = true,
            _ apply: @escaping (String, inout Generator) -> String?
        ) {
            self.name = name
            self.breaks = breaks
            self.apply = apply
        }

        /// Replaces one of the matches of `pattern`, drawn by lot.
        static func replacing(
            _ name: String, breaks: Bool = true, _ pattern: Regex<Substring>,
            _ replacement: @escaping (Substring, inout Generator) -> String
        ) -> Edit {
            Edit(name, breaks: breaks) { text, random in
                let matches = text.matches(of: pattern)
                guard let match = matches.randomElement(using: &random) else { return nil }
                var text = text
                text.replaceSubrange(match.range, with: replacement(match.output, &random))
                return text
            }
        }
    }

    private static var edits: [Edit] {
        [
            .replacing("a need is dropped", #/, needs: audience-measurement/#) { _, _ in "" },
            .replacing("a need is another", #/needs: audience-measurement/#) { _, _ in
                "needs: advertising"
            },
            .replacing("IPv4 is cut less", #/ipv4: 24/#) { _, random in
                "ipv4: \(Int.random(in: 25...32, using: &random))"
            },
            .replacing("IPv6 is cut less", #/ipv6: 48/#) { _, random in
                "ipv6: \(Int.random(in: 49...128, using: &random))"
            },
            .replacing("the region is another", #/region: [a-z-]+/#) { old, random in
                let regions = ["eu-central", "us-east", "ap-south"].map { "region: \($0)" }
                return regions.filter { $0 != old }.randomElement(using: &random)!
            },
            .replacing("hits are kept longer", #/hits: \d+d/#) { _, random in
                "hits: \(Int.random(in: 396...3660, using: &random))d"
            },
            .replacing("a field is kept longer", #/(?:user|visitor|ip): \d+d/#) { old, random in
                "\(old.prefix { $0 != ":" }): \(Int.random(in: 181...365, using: &random))d"
            },
            .replacing("fields have no age", #/, fields: \{[^}]*\}/#) { _, _ in "" },
            .replacing("silence grants", #/when_absent: denied/#) { _, _ in "when_absent: granted"
            },
            .replacing("a refusal changes nothing", #/denied: count/#) { _, _ in "denied: keep" },
            .replacing("a pseudonym lasts", #/pseudonym: [a-z]+/#) { _, _ in "pseudonym: year" },
            .replacing("a refusing policy keeps", #/route: refuse/#) { _, _ in
                "route: { region: eu-central, away: refuse }"
            },
            .replacing("Global Privacy Control is not heard", #/gpc, /#) { _, _ in "" },
            .replacing("an address is kept that was dropped", #/ip:         drop/#) { _, _ in
                "ip:         { truncate: { ipv4: 24, ipv6: 48 } }"
            },
            .replacing("a page's path is kept", #/keep: host/#) { _, _ in "keep: path" },
            .replacing("the place of another law is taken", #/places: \[/#) { _, random in
                "places: [\(["IN", "CN", "JP", "BR", "US-CA"].randomElement(using: &random)!), "
            },
            .replacing("a place is named closer", breaks: false, #/places: \[/#) { _, random in
                "places: [\(["FR", "US-TX", "PR", "CA-QC"].randomElement(using: &random)!), "
            },
            .replacing("subdivisions are kept", breaks: false, #/place:      country/#) { _, _ in
                "place:      subdivision"
            },
            .replacing("it is for another place", breaks: false, #/places: \[[^\]]*\]/#) {
                _, random in
                "places: [\(["ZA", "HK", "EFTA"].randomElement(using: &random)!)]"
            },
            .replacing("hits are kept shorter", breaks: false, #/hits: \d+d/#) { _, random in
                "hits: \(Int.random(in: 181...364, using: &random))d"
            },
            .replacing("a parameter is added", breaks: false, #/sku\]/#) { _, _ in "sku, size]" },
            .replacing("a title is another", breaks: false, #/title: ./#) { _, _ in "title: X" },
            .replacing("a purpose is unknown", #/    audience-measurement:/#) { _, _ in
                "    measurement:"
            },
            .replacing("a key is misspelt", #/when_absent|applies_to|retention|truncate/#) {
                old, _ in
                old + "s"
            },
        ]
    }

    /// What became of a mutant.
    private enum Fate: String { case check, proof, same, allowed }

    @Test
    func `each that breaks what is stated is caught by check or by prove, and both checkers agree`()
        throws
    {
        var random = Generator()
        let edits = Self.edits
        let shipped = try fixture.load().ruleSet
        let original = Original(
            ruleSet: shipped, rules: shipped.bound(to: fixture.table.places))
        let policies = fixture.texts.keys.filter {
            $0.hasPrefix("Policies/") && !$0.hasSuffix("atlas.yaml")
                && !$0.hasSuffix("invariants.yaml")
        }.sorted()
        var fates: [Fate: Int] = [:]
        var seen: Set<String> = []
        var misses = 0
        while seen.count < Self.mutants, misses < 5000 {
            let path = policies.randomElement(using: &random)!
            let edit = edits.randomElement(using: &random)!
            guard let text = edit.apply(fixture.texts[path]!, &random),
                seen.insert(path + text).inserted
            else {
                misses += 1
                continue
            }
            let fate = try fate(path, text, original, seconds: seen.count.isMultiple(of: 3))
            fates[fate, default: 0] += 1
            #expect(
                fate != .allowed || !edit.breaks,
                "\(edit.name) in \(path) was not caught, seed \(random.seed)")
        }
        #expect(seen.count >= 300, "seed \(random.seed)")
        // Most edits above break something; were they few, the test would say little.
        #expect(fates[.proof, default: 0] >= 80, "\(fates), seed \(random.seed)")
        #expect(fates[.check, default: 0] >= 60, "\(fates), seed \(random.seed)")
        // What changes a decision without breaking anything stated is seen as a change: of one seed 25 to 41.
        #expect(fates[.allowed, default: 0] >= 10, "\(fates), seed \(random.seed)")
    }

    private static let mutants = 320

    /// - Parameter seconds: whether the second checker is asked too.
    private func fate(
        _ path: String, _ text: String, _ original: Original, seconds: Bool
    ) throws -> Fate {
        let project: ProjectConfiguration
        do throws(ConfigurationErrors) {
            project = try fixture.load([path: text])
        } catch {
            return .check
        }
        let proof = fixture.prove(project)
        if seconds {
            let seconded = try CertificateCheck.holds(
                decisions: proof.decisions.encoded(), geoTable: fixture.tableBytes)
            #expect(seconded == proof.holds, "the checkers differ about \(path): \(text)")
        }
        guard proof.holds else { return .proof }
        return isSame(project, as: original) ? .same : .allowed
    }

    /// Whether every place, consent and signal means the same to both projects.
    private func isSame(_ project: ProjectConfiguration, as original: Original) -> Bool {
        let rules = project.ruleSet.bound(to: fixture.table.places)
        let comparison = DecisionComparison(
            from: original.ruleSet, original.rules, to: project.ruleSet, rules)
        func decisions(_ rules: BoundRules, _ place: Int) -> [Decision] {
            let policy = rules.policyIndex(place: place, siteClass: 0)
            let grants = Self.purposes.map { names -> SignalReading in
                .granted(
                    names.reduce(0) { mask, name in
                        let bit = (0..<rules.purposes.count).first {
                            rules.purposes.text($0) == name
                        }
                        return mask | (bit.map { 1 << UInt32($0) } ?? 0)
                    })
            }
            return ([SignalReading.silent, .denied, .invalid] + grants).map { reading in
                rules.decision(
                    policy: policy, consent: rules.consent(policy: policy, reading: reading))
            }
        }
        for place in fixture.table.places.indices {
            for (old, new) in zip(decisions(original.rules, place), decisions(rules, place)) {
                let signals = [
                    original.ruleSet.policies[old.policy], project.ruleSet.policies[new.policy],
                ].map { $0.consent.signals }
                guard signals[0] == signals[1],
                    comparison.differences(old, new, isIPv6: false).isEmpty,
                    comparison.differences(old, new, isIPv6: true).isEmpty
                else { return false }
            }
        }
        return true
    }

    /// The shipped rules, laid out.
    private struct Original {
        let ruleSet: RuleSet
        let rules: BoundRules
    }

    private static let purposes = [
        ["audience-measurement"], ["advertising"], ["audience-measurement", "advertising"],
    ]
}
