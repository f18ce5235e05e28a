package import Bytes
package import CordonPolicy
internal import CordonProof
package import GeoTables

/// The borders at which the policy of addresses changes, decided twice.
///
/// Neighbouring ranges of a geo table with the same policies for every kind of site are one run. For the first and last address of
/// each run the table is asked as the edge asks it, and the policy is found again from the policies' text and the range as
/// the table lists it; so a search that is off by one, or a compiler that took the wrong policy, shows as a fault.
/// The neighbours before and after a run are the last and first address of the runs beside it.
package struct BoundarySweep: Sendable {
    /// A run of addresses with the same policies.
    package struct Run: Sendable {
        package var first: IPAddress
        package var last: IPAddress
        /// Index of the policy for each of ``BoundarySweep/hosts``.
        package var policies: [Int]
    }

    /// An address on which the two evaluations differ.
    package struct Fault: Equatable, Sendable {
        package var address: IPAddress
        package var site: String
        package var expected: String
        package var found: String
    }

    /// A host for each kind of sites; nil for those that no policy names.
    package let hosts: [String?]
    /// Runs of both families in the order of their addresses, IPv4 first.
    package let runs: [Run]
    package let faults: [Fault]
    /// Evaluations that were compared.
    package let comparisons: Int

    private let project: ProjectConfiguration

    package init(_ project: ProjectConfiguration, table: GeoTable) {
        self.init(
            project, table: table, rules: project.ruleSet.bound(to: table.places),
            placeIndex: table.placeIndex(of:))
    }

    /// - Parameters:
    ///   - rules: what is held against the policies' text.
    ///   - placeIndex: what is held against the table's ranges.
    init(
        _ project: ProjectConfiguration, table: GeoTable, rules: BoundRules,
        placeIndex: (IPAddress) -> Int
    ) {
        self.project = project
        let policies = project.ruleSet.policies
        let hosts = SourceReading.exampleHosts(Set(policies.flatMap(\.sites)))
        self.hosts = hosts
        let source = SourceReading(policies, atlas: project.atlas)
        let expected = table.places.map { place in
            let claims = source.claims(on: RulePlace(place))
            return hosts.map { SourceReading.closest(claims, host: $0).first ?? -1 }
        }
        let classes = hosts.map { host -> Int in
            let bytes = Array((host ?? "").utf8)
            return host == nil ? 0 : rules.siteClass(of: bytes.span, 0..<bytes.count)
        }
        var runs: [Run] = []
        for family in AddressFamily.allCases {
            var open: Run?
            table.forEachRange(in: family) { range in
                let row = expected[range.place]
                if open?.policies == row {
                    open?.last = range.last
                } else {
                    if let open { runs.append(open) }
                    open = Run(first: range.first, last: range.last, policies: row)
                }
            }
            if let open { runs.append(open) }
        }
        self.runs = runs
        var faults: [Fault] = []
        var comparisons = 0
        func name(_ policy: Int) -> String {
            policies.indices.contains(policy) ? policies[policy].name : "none"
        }
        for run in runs {
            for address in run.first == run.last ? [run.first] : [run.first, run.last] {
                let place = placeIndex(address)
                for kind in hosts.indices {
                    let found = rules.policyIndex(place: place, siteClass: classes[kind])
                    comparisons += 1
                    guard found != run.policies[kind] else { continue }
                    faults.append(
                        Fault(
                            address: address, site: hosts[kind] ?? "*",
                            expected: name(run.policies[kind]), found: name(found)))
                }
            }
        }
        self.faults = faults
        self.comparisons = comparisons
    }

    /// Borders between neighbouring runs of one family.
    package var borderCount: Int {
        runs.count - Set(runs.map(\.first.isIPv6)).count
    }

    /// Cases for `Policies/cases/` in the layout of ``PolicyLayout``: of each family and each policy at most `runsMax` runs,
    /// spread over the address space, each with its first and last address and the neighbours before and after.
    package func cases(runsMax: Int, build: String) -> String {
        var text =
            "# First, last and neighbouring addresses of ranges that decide, by geo table \(build).\n"
            + "# Written by `cordon policy test --boundaries --write`: write it again with another table.\n"
        var groups: [Key: [Int]] = [:]
        for (index, run) in runs.enumerated() {
            groups[Key(isIPv6: run.first.isIPv6, policies: run.policies), default: []].append(index)
        }
        var chosen: Set<Int> = []
        for indices in groups.values {
            let step = max(1, indices.count / max(1, runsMax))
            chosen.formUnion(
                stride(from: 0, to: indices.count, by: step).prefix(runsMax).map { indices[$0] })
        }
        var written: Set<IPAddress> = []
        for index in chosen.sorted() {
            let run = runs[index]
            if index > 0, runs[index - 1].first.isIPv6 == run.first.isIPv6 {
                write(runs[index - 1].last, runs[index - 1], "before", run, &text, &written)
            }
            write(run.first, run, "first of", run, &text, &written)
            write(run.last, run, "last of", run, &text, &written)
            if index + 1 < runs.count, runs[index + 1].first.isIPv6 == run.first.isIPv6 {
                write(runs[index + 1].first, runs[index + 1], "behind", run, &text, &written)
            }
        }
        return text
    }

    private struct Key: Hashable {
        var isIPv6: Bool
        var policies: [Int]
    }

    private func write(
        _ address: IPAddress, _ own: Run, _ relation: String, _ run: Run, _ text: inout String,
        _ written: inout Set<IPAddress>
    ) {
        guard written.insert(address).inserted else { return }
        for (kind, host) in hosts.enumerated()
        where kind == 0 || own.policies[kind] != own.policies[0] {
            let policy = project.ruleSet.policies[own.policies[kind]]
            let site = host.map { ", site: \($0)" } ?? ""
            text += """
                - note: \(relation) \(run.first.text)-\(run.last.text)
                  given: { address: "\(address.text)"\(site) }
                  expect: { policy: \(policy.name), region: \(policy.route.region ?? "none") }

                """
        }
    }
}
