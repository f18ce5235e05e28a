internal import Consent
internal import CordonModel

/// What must hold between policies, each of which is right by itself.
struct PolicyChecks {
    let problems: ProblemList

    func check(_ policies: [CompiledPolicy], regions: [RegionConfiguration]) {
        checkWorld(policies)
        checkPairs(policies)
        checkCounts(policies)
        checkSizes(policies)
        let used = Set(policies.compactMap(\.route.region))
        for region in regions where !used.contains(region.name) {
            problems.warn(
                .unusedRegion,
                FilePosition(file: "Regions/\(region.name).yaml", line: 1, column: 1),
                "no policy keeps hits in region `\(region.name)`")
        }
    }

    /// Every place must have an outcome, also one that no policy names.
    private func checkWorld(_ policies: [CompiledPolicy]) {
        let isTotal = policies.contains { policy in
            policy.sites.contains(.all) && policy.claims.contains { $0.level == .world }
        }
        guard !isTotal else { return }
        problems.error(
            FilePosition(file: "Policies", line: 1, column: 1),
            "no policy claims `world` for every site `*`: hits from unknown places have no outcome")
    }

    private func checkPairs(_ policies: [CompiledPolicy]) {
        guard policies.count <= Self.policiesMax else { return }
        let sites = policies.map { Set($0.sites) }
        for index in policies.indices {
            for other in policies.indices[(index + 1)...] {
                let shared = sites[index].intersection(sites[other])
                guard let site = shared.map(\.text).min() else { continue }
                checkPair(policies[index], policies[other], at: site)
            }
        }
    }

    /// Two policies must not claim one place for one site at one level: no order between them is right.
    private func checkPair(_ left: CompiledPolicy, _ right: CompiledPolicy, at site: String) {
        var reported: Set<CompiledPolicy.Level> = []
        for claim in left.claims {
            for other in right.claims where other.level == claim.level {
                let places = Self.shared(claim, other).sorted()
                guard let place = places.first, reported.insert(claim.level).inserted else {
                    continue
                }
                let more = places.count > 1 ? " and \(places.count - 1) more" : ""
                let (first, second) =
                    claim.position < other.position ? (claim, other) : (other, claim)
                let (one, two) =
                    claim.position < other.position
                    ? (left.name, right.name) : (right.name, left.name)
                problems.error(
                    second.position,
                    "policies `\(one)` (\(first.position.text)) and `\(two)` (\(second.position.text)) both claim `\(place)`\(more) for site `\(site)` at the level of \(claim.level.text)"
                )
            }
        }
    }

    /// The places that two claims of one level both name. A group may hold a country of which another holds a subdivision.
    private static func shared(
        _ claim: CompiledPolicy.Claim, _ other: CompiledPolicy.Claim
    ) -> Set<String> {
        switch claim.level {
        case .world: ["world"]
        case .group: PlaceCode.shared(claim.codes, other.codes)
        case .country, .subdivision: claim.codes.intersection(other.codes)
        }
    }

    private func checkCounts(_ policies: [CompiledPolicy]) {
        var purposes: Set<String> = []
        var signals: Set<ConsentSignal> = []
        var vendors: Set<UInt16> = []
        for policy in policies {
            purposes.formUnion(policy.consent.purposes)
            signals.formUnion(policy.consent.signals)
            for case .vendor(let id) in policy.consent.meanings.values.map(\.holder) {
                vendors.insert(id)
            }
            if vendors.count > ConsentLimits.vendorsMax {
                problems.error(
                    policy.consent.position,
                    "more than \(ConsentLimits.vendorsMax) different vendors in all policies")
                return
            }
            for (count, noun) in [(purposes.count, "purposes"), (signals.count, "signals")]
            where count > Self.bitsMax {
                problems.error(
                    policy.consent.position,
                    "more than \(Self.bitsMax) different \(noun) in all policies")
                return
            }
        }
    }

    /// What the tables that decide have room for; reported at the policy with which it is passed.
    private func checkSizes(_ policies: [CompiledPolicy]) {
        if policies.count > Self.policiesMax {
            problems.error(
                policies[Self.policiesMax].position,
                "more than \(Self.policiesMax) policies, found \(policies.count)")
        }
        var sites: Set<SitePattern> = []
        var parameters = 0
        for policy in policies {
            let before = (sites: sites.count, parameters: parameters)
            sites.formUnion(policy.sites.lazy.filter { $0 != .all })
            parameters += policy.fields.page?.keeping.parameters.count ?? 0
            parameters += policy.fields.parameters?.keeping.count ?? 0
            for (count, before, bound, noun) in [
                (sites.count, before.sites, SiteClasses.patternsMax, "different sites"),
                (
                    parameters, before.parameters, Decision.IndexRange.indexMax,
                    "names of parameters"
                ),
            ] where count > bound && before <= bound {
                problems.error(policy.position, "more than \(bound) \(noun) in all policies")
            }
        }
    }

    /// Most policies: each is held against every other one, and kept rule sets have room for the files of so many.
    static let policiesMax = 1000

    /// Purposes and signals are bits of 32-bit words at each hit.
    private static let bitsMax = 32
}

extension CompiledPolicy.Level {
    fileprivate var text: String {
        switch self {
        case .world: "the world"
        case .group: "groups"
        case .country: "countries"
        case .subdivision: "subdivisions"
        }
    }
}
