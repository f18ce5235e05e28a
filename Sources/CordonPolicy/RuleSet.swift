internal import Consent
internal import CordonModel

/// All policies compiled together: total, unambiguous, immutable, and named by a digest of its content.
package final class RuleSet: Sendable {
    /// Hexadecimal SHA-256 of the canonical content: what decides, not how the files are laid out.
    package let digest: String
    /// Names of the regions, sorted; ``Decision/region`` is an index into it.
    package let regions: [String]
    /// Sorted by name; ``Decision/policy`` is an index into it.
    package let policies: [CompiledPolicy]
    /// Purposes of all policies, sorted; at most 32.
    package let purposes: [String]
    /// Signals of all policies in the order of their first mention; at most 32.
    package let signals: [ConsentSignal]

    private let parameterNames: NameList
    private let programs: [PolicyProgram]
    private let meanings: [PurposeMeaning]
    /// Vendors of the Global Vendor List that policies name, sorted.
    package let vendors: [UInt16]
    private let sites: SiteClasses

    /// INVARIANT: the policies were checked: every name in them is resolved, one policy claims `world` for every site,
    /// and no two claim the same place and site at the same level.
    init(regions: [String], policies: [CompiledPolicy], digest: String) {
        self.digest = digest
        self.regions = regions
        self.policies = policies
        purposes = Set(policies.flatMap(\.consent.purposes)).sorted()
        var signals: [ConsentSignal] = []
        for signal in policies.flatMap(\.consent.signals) where !signals.contains(signal) {
            signals.append(signal)
        }
        self.signals = signals
        let patterns = Set(policies.flatMap(\.sites)).subtracting([.all])
        sites = SiteClasses(patterns.sorted { $0.text < $1.text })
        vendors = Set(
            policies.flatMap(\.consent.meanings.values).compactMap { meaning -> UInt16? in
                if case .vendor(let id) = meaning.holder { id } else { nil }
            }
        ).sorted()
        var assembler = ProgramAssembler(
            regions: regions, purposes: purposes, signals: signals, vendors: vendors)
        programs = policies.enumerated().map { assembler.program($0.element, index: $0.offset) }
        meanings = assembler.meanings
        parameterNames = NameList(assembler.parameterNames)
    }

    /// The rules laid out for `places`; index n of the result's places is `places[n]`.
    package func bound(to places: [RulePlace]) -> BoundRules {
        var table: [UInt16] = []
        table.reserveCapacity(places.count * sites.count)
        var known: [[Claimants]: [UInt16]] = [:]
        for place in places {
            let claimants = claimants(of: place)
            let row = known[claimants] ?? deciders(of: claimants).map { UInt16($0.policy) }
            known[claimants] = row
            table += row
        }
        var sourceNames = NameList()
        let sources = signals.map { signal in
            switch signal {
            case .gpc: BoundRules.SignalSource.gpc
            case .dnt: BoundRules.SignalSource.dnt
            case .tcf: BoundRules.SignalSource.tcf
            case .gpp: BoundRules.SignalSource.gpp
            case .usp: BoundRules.SignalSource.usp
            case .gcm: BoundRules.SignalSource.gcm
            case .parameter(let name):
                BoundRules.SignalSource.parameter(sourceNames.appending(name))
            case .cookie(let name): BoundRules.SignalSource.cookie(sourceNames.appending(name))
            }
        }
        return BoundRules(
            regions: NameList(regions), policies: NameList(policies.map(\.name)),
            purposes: NameList(purposes), signals: NameList(signals.map(\.text)),
            parameterNames: parameterNames, programs: programs, meanings: meanings,
            vendors: vendors, sources: sources,
            sourceNames: sourceNames, sites: sites, placeCount: places.count, table: table)
    }

    /// What decides one site class at a place.
    struct Decider: Hashable {
        /// Index of the policy.
        var policy: Int
        /// How closely its claim names the place.
        var level: CompiledPolicy.Level
        /// Which of its sites names the class.
        var site: SitePattern
    }

    /// Names of the policies that decide hits from `place`, whatever their site; sorted.
    package func policyNames(at place: RulePlace) -> [String] {
        Set(deciders(of: place).map { policies[$0.policy].name }).sorted()
    }

    /// Names of the regions that hits from `place` may be kept in, whatever their site; sorted, empty where all are refused.
    package func homes(of place: RulePlace) -> [String] {
        Set(deciders(of: place).compactMap { policies[$0.policy].route.region }).sorted()
    }

    /// What decides each site class at one place.
    func deciders(of place: RulePlace) -> [Decider] { deciders(of: claimants(of: place)) }

    /// The policies whose claims cover a place at one level.
    struct Claimants: Hashable {
        var level: CompiledPolicy.Level
        /// Indices, ascending.
        var policies: [Int]
    }

    /// Who claims a place, the closest level first: all that a place says to the rules.
    func claimants(of place: RulePlace) -> [Claimants] {
        var levels: [CompiledPolicy.Level: [Int]] = [:]
        for (index, policy) in policies.enumerated() {
            for level in Set(policy.claims.filter { place.isIn($0) }.map(\.level)) {
                levels[level, default: []].append(index)
            }
        }
        return levels.sorted { $0.key > $1.key }.map { Claimants(level: $0, policies: $1) }
    }

    /// What decides each site class where these claim.
    func deciders(of claimants: [Claimants]) -> [Decider] {
        let levels = claimants.map { SiteClaims($0, policies) }
        return (0..<sites.count).map { siteClass in
            let host: SitePattern? = siteClass == 0 ? nil : sites.patterns[siteClass - 1]
            // The place decides before the site does.
            for level in levels {
                if let decider = level.closest(to: host) { return decider }
            }
            preconditionFailure("some policy claims `world` for every site")
        }
    }
}

/// The site patterns of the policies that claim one place at one level, by what they name.
private struct SiteClaims {
    private var exact: [Substring: RuleSet.Decider] = [:]
    private var wildcards: [Substring: RuleSet.Decider] = [:]

    init(_ claimants: RuleSet.Claimants, _ policies: [CompiledPolicy]) {
        for policy in claimants.policies {
            for site in policies[policy].sites {
                let decider = RuleSet.Decider(policy: policy, level: claimants.level, site: site)
                let other =
                    site.isWildcard
                    ? wildcards.updateValue(decider, forKey: site.suffix[...])
                    : exact.updateValue(decider, forKey: site.suffix[...])
                precondition(other == nil, "no two policies claim one place and site at one level")
            }
        }
    }

    /// What names the class that `host` opens (nil: the hosts no pattern names) most closely: the name itself, else the
    /// longest wildcard that holds it.
    func closest(to host: SitePattern?) -> RuleSet.Decider? {
        guard let host, host != .all else { return wildcards[""] }
        var rest = host.suffix[...]
        if let found = host.isWildcard ? wildcards[rest] : exact[rest] { return found }
        while let dot = rest.utf8.firstIndex(of: 0x2E) {
            rest = rest[rest.utf8.index(after: dot)...]
            if let found = wildcards[rest] { return found }
        }
        return wildcards[""]
    }
}

/// A place as the rules see it: what a geo table says of an address.
package struct RulePlace: Hashable, Sendable {
    /// ISO 3166-1 alpha-2 code; nil when unknown.
    package var country: String?
    /// ISO 3166-2 code with the country in front, such as `US-CA`; nil when unknown.
    package var subdivision: String?

    package init(country: String?, subdivision: String? = nil) {
        self.country = country
        self.subdivision = subdivision
    }

    /// The place of a code: `DE`, `US-CA`; nil for anything else.
    package init?(code: String) {
        guard PlaceCode.shape(of: code) != nil else { return nil }
        let country = String(code.prefix(2))
        self.init(country: country, subdivision: code == country ? nil : code)
    }

    /// Whether the claim covers the place.
    package func isIn(_ claim: CompiledPolicy.Claim) -> Bool {
        switch claim.level {
        case .world: true
        case .group: PlaceCode.holds(claim.codes, country: country, subdivision: subdivision)
        case .country: country.map { claim.codes.contains($0) } ?? false
        case .subdivision: subdivision.map { claim.codes.contains($0) } ?? false
        }
    }
}

extension NameList {
    fileprivate mutating func appending(_ name: String) -> Int {
        append(name)
        return count - 1
    }
}

/// Turns policies into rows of numbers, gathering the parameter names that they keep.
private struct ProgramAssembler {
    let regions: [String]
    let purposes: [String]
    let signals: [ConsentSignal]
    let vendors: [UInt16]
    /// Each policy's runs of meanings one after the other.
    var meanings: [PurposeMeaning] = []
    /// Each policy's runs of names one after the other.
    var parameterNames: [String] = []

    init(regions: [String], purposes: [String], signals: [ConsentSignal], vendors: [UInt16]) {
        self.vendors = vendors
        self.regions = regions
        self.purposes = purposes
        self.signals = signals
    }

    mutating func program(_ policy: CompiledPolicy, index: Int) -> PolicyProgram {
        var program = PolicyProgram()
        program.region = policy.route.region.flatMap { regions.firstIndex(of: $0) } ?? -1
        program.most.policy = index
        program.most.region = program.region
        if program.region < 0 { return program }
        for signal in policy.consent.signals {
            program.signals |= 1 << UInt32(signals.firstIndex(of: signal)!)
        }
        program.purposes = mask(policy.consent.purposes)
        program.absentGrants = policy.consent.absentGrants
        program.maxAgeDays = policy.consent.maxAgeDays ?? 0
        program.meaningsStart = meanings.count
        meanings += policy.consent.purposes.map { meaning($0, policy.consent.meanings[$0]) }
        program.meaningsEnd = meanings.count
        program.deniedOutcome =
            switch policy.consent.denied {
            case .count: .count
            case .drop: .drop
            case .keep: .keep
            }
        program.most.retainDays = Int32(policy.retention.hitsDays)
        program.most.samplingPerMillion = policy.sampling.perMillion
        fill(&program, policy.fields)
        return program
    }

    private mutating func fill(_ program: inout PolicyProgram, _ fields: CompiledPolicy.FieldRules)
    {
        program.most.ipv4Bits = fields.ip?.keeping.ipv4 ?? 0
        program.most.ipv6Bits = fields.ip?.keeping.ipv6 ?? 0
        program.most.user = fields.user?.keeping
        program.most.visitor = fields.visitor?.keeping
        program.most.keepsUserAgentFamily = fields.userAgent != nil
        program.most.page = fields.page?.keeping.detail ?? .drop
        program.most.pageParameters = append(fields.page?.keeping.parameters ?? [])
        program.most.keepsReferrerHost = fields.referrer != nil
        program.most.place = fields.place?.keeping ?? .drop
        program.most.keepsLanguage = fields.language != nil
        program.most.parameters = append(fields.parameters?.keeping ?? [])
        program.needs.ip = mask(fields.ip?.needs)
        program.needs.user = mask(fields.user?.needs)
        program.needs.visitor = mask(fields.visitor?.needs)
        program.needs.userAgent = mask(fields.userAgent?.needs)
        program.needs.page = mask(fields.page?.needs)
        program.needs.referrer = mask(fields.referrer?.needs)
        program.needs.place = mask(fields.place?.needs)
        program.needs.language = mask(fields.language?.needs)
        program.needs.parameters = mask(fields.parameters?.needs)
    }

    private func meaning(
        _ purpose: String, _ written: CompiledPolicy.Meaning?
    ) -> PurposeMeaning {
        let written = written ?? .init()
        var meaning = PurposeMeaning(purpose: mask([purpose]))
        meaning.tcf = written.tcf.reduce(0) { $0 | TCFGrants.bit(purpose: $1) }
        meaning.specialFeatures = written.specialFeatures.reduce(0) {
            $0 | TCFGrants.bit(specialFeature: $1)
        }
        meaning.basis =
            switch written.basis {
            case .consent: .consent
            case .legitimateInterest: .interest
            case .either: .either
            }
        meaning.holder =
            switch written.holder {
            case .anyone: .anyone
            case .publisher: .publisher
            case .vendor(let id): .vendor(vendors.firstIndex(of: id)!)
            }
        meaning.optOuts = bits(written.optOuts, OptOuts.names)
        meaning.mode = bits(written.mode, ModeSignals.names)
        return meaning
    }

    private func bits(_ words: [String], _ names: [String]) -> UInt8 {
        words.reduce(0) { $0 | 1 << UInt8(names.firstIndex(of: $1)!) }
    }

    private func mask(_ names: [String]?) -> UInt32 {
        (names ?? []).reduce(0) { $0 | 1 << UInt32(purposes.firstIndex(of: $1)!) }
    }

    private mutating func append(_ names: [String]) -> Decision.IndexRange {
        let start = parameterNames.count
        parameterNames += names
        return .init(start..<parameterNames.count)
    }
}
