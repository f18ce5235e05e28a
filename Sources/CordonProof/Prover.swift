import Consent
import CordonModel
package import CordonPolicy
package import GeoTables

/// Proves the built-in statements and the invariants of a project for every address, site and consent.
///
/// Which policy is closest is found again from the policies as written, and every decision is held against their
/// text, so that a mistake of the compiler is a counterexample too. What is not covered: that a host falls into
/// the class of its example is tested and not proved, since there is no end of hosts.
package struct Prover {
    private let policies: [CompiledPolicy]
    private let rules: BoundRules
    private let statements: [Statement]
    private let setting: Statement.Setting
    private let hosts: [String?]
    private let source: SourceReading
    /// Cases of each policy.
    private let cases: [[ConsentCase]]
    private let table: GeoTable
    private let project: ProjectConfiguration

    /// - Parameter rules: the rule set of `project` laid out for `table`, as the edge has it.
    package init(_ project: ProjectConfiguration, rules: BoundRules, table: GeoTable) {
        self.project = project
        self.rules = rules
        self.table = table
        policies = project.ruleSet.policies
        let invariants = project.invariants
        let patterns =
            policies.flatMap(\.sites) + invariants.statements.flatMap(\.scope.sites)
        hosts = SourceReading.exampleHosts(Set(patterns))
        source = SourceReading(policies, atlas: project.atlas)
        let builtIn: [Statement] = [
            .total, .unambiguous, .asWritten, .consented, .addressFloor(invariants.limits),
            .retentionLimit(invariants.limits),
        ]
        statements = builtIn + invariants.statements.map { Statement($0) }
        setting = Statement.Setting(
            purposes: (0..<rules.purposes.count).map { rules.purposes.text($0) },
            regions: (0..<rules.regions.count).map { rules.regions.text($0) },
            jurisdictions: Dictionary(
                project.regions.map { ($0.name, $0.jurisdiction) }, uniquingKeysWith: { $1 }))
        let enumeration = ConsentCases(
            rules: rules, policies: policies,
            askedPurposes: Set(invariants.statements.flatMap(\.scope.lacking)))
        cases = policies.indices.map { enumeration.cases(policy: $0) }
    }

    /// Where the built-in statements about which policy is closest stand.
    private static let totalIndex = 0
    private static let unambiguousIndex = 1

    /// How a statement stands to one policy, wherever the policy holds.
    private struct Standing {
        var coveredCases = 0
        var fault: (item: ConsentCase, fault: Fault)?
    }

    /// Proves everything. Takes one sweep of the table, and then time by places, sites and policies. Memory grows with
    /// places, sites and policies, never with ranges.
    package func prove() -> Proof {
        let places = PlaceAddresses.sweep(table)
        let standings = statements.map { statement in
            policies.indices.map { standing(of: statement, policy: $0) }
        }
        let hostScopes = statements.map { statement in hosts.map { statement.covers(host: $0) } }
        let classes = hosts.map { siteClass($0) }
        var results = statements.map { Proof.Result(name: $0.name, position: $0.position) }
        for place in places {
            let claims = source.claims(on: place.place)
            // Statement by statement: whether the place is covered, and what was found wrong first.
            var covered = statements.map { _ in false }
            var wrong: [Proof.Counterexample?] = statements.map { _ in nil }
            let inScope = statements.map { $0.covers(place.code) }
            for (hostIndex, host) in hosts.enumerated() {
                let closest = SourceReading.closest(claims, host: host)
                let found = Set(
                    place.indices.map {
                        rules.policyIndex(place: $0, siteClass: classes[hostIndex])
                    })
                let policy = found.min()!
                if let (index, problem) = claimFault(closest, found, place, host) {
                    wrong[index] = wrong[index] ?? problem
                }
                for index in statements.indices where inScope[index] && hostScopes[index][hostIndex]
                {
                    let standing = standings[index][policy]
                    guard standing.coveredCases > 0 else { continue }
                    covered[index] = true
                    results[index].cases += standing.coveredCases
                    guard let (item, fault) = standing.fault, wrong[index] == nil else { continue }
                    wrong[index] = counterexample(place, host, policy, item, fault)
                }
            }
            for index in statements.indices where covered[index] {
                results[index].add(place, wrong: wrong[index])
            }
        }
        return Proof(
            results: results, decisions: decisions(places), placeCount: places.count,
            rangeCount: table.rangeCount(in: .ipv4) + table.rangeCount(in: .ipv6))
    }

    /// The decisions that are proved about: what a certificate names by digest.
    package func decisions() -> DecisionTable { decisions(PlaceAddresses.sweep(table)) }

    private func standing(of statement: Statement, policy: Int) -> Standing {
        var standing = Standing()
        for item in cases[policy] where statement.covers(item.consent, setting) {
            standing.coveredCases += 1
            if standing.fault == nil {
                standing.fault = statement.fault(item, under: policies[policy], setting)
                    .map { (item: item, fault: $0) }
            }
        }
        return standing
    }

    private func siteClass(_ host: String?) -> Int {
        guard let host else { return 0 }
        let bytes = Array(host.utf8)
        return rules.siteClass(of: bytes.span, 0..<bytes.count)
    }

    /// What is wrong with which policies claim a place and site, and which statement says so.
    private func claimFault(
        _ closest: [Int], _ compiled: Set<Int>, _ place: PlaceAddresses, _ host: String?
    ) -> (statement: Int, Proof.Counterexample)? {
        func names(_ indices: some Sequence<Int>) -> String {
            indices.sorted().map { "`\(policies[$0].name)`" }.joined(separator: ", ")
        }
        let statement = closest.isEmpty ? Self.totalIndex : Self.unambiguousIndex
        let found: String
        switch closest.count {
        case 0: found = "no policy claims it"
        case 1 where compiled == Set(closest): return nil
        case 1: found = "compiled to \(names(compiled)) in place of \(names(closest))"
        default: found = "\(names(closest)) claim it alike"
        }
        return (
            statement,
            Proof.Counterexample(
                range: place.smallest, place: place.code, site: host ?? "*", consent: nil,
                policy: closest.first.map { policies[$0].name }, expected: "exactly one policy",
                found: found, position: closest.first.map { policies[$0].position })
        )
    }

    private func counterexample(
        _ place: PlaceAddresses, _ host: String?, _ policy: Int, _ item: ConsentCase, _ fault: Fault
    ) -> Proof.Counterexample {
        let purposes = setting.names(item.consent.purposes)
        return Proof.Counterexample(
            range: place.smallest, place: place.code, site: host ?? "*",
            consent: item.consent.state.text
                + (purposes.isEmpty ? "" : " [\(purposes.joined(separator: ", "))]"),
            policy: policies[policy].name, expected: fault.expected, found: fault.found,
            position: fault.position)
    }

    private func decisions(_ places: [PlaceAddresses]) -> DecisionTable {
        DecisionTable(
            project, purposes: setting.purposes, regions: setting.regions, hosts: hosts,
            cases: cases,
            table: places.map { place in
                (
                    place: place.code,
                    policies: hosts.map {
                        rules.policyIndex(place: place.indices[0], siteClass: siteClass($0))
                    }
                )
            })
    }
}

extension Proof.Result {
    /// Counts a covered place on the side where it belongs.
    fileprivate mutating func add(_ place: PlaceAddresses, wrong: Proof.Counterexample?) {
        guard let wrong else {
            ipv4 += place.ipv4
            ipv6 += place.ipv6
            return
        }
        violatedIPv4 += place.ipv4
        violatedIPv6 += place.ipv6
        if counterexample.map({ GeoRange.isSmaller(wrong.range, $0.range) }) ?? true {
            counterexample = wrong
        }
    }
}
