package import CordonModel

/// What must be provable of a rule set, from `Policies/invariants.yaml`: limits for every policy and the project's own
/// statements.
package struct Invariants: Equatable, Sendable {
    package var limits: Limits
    package var statements: [Invariant]

    package init(limits: Limits, statements: [Invariant]) {
        self.limits = limits
        self.statements = statements
    }

    /// What holds where a project states nothing: the floors that policies cannot leave anyhow.
    package static let unstated = Invariants(limits: .floor, statements: [])

    /// Bounds of every policy; a file may tighten them and never widen them.
    package struct Limits: Equatable, Sendable {
        /// Most leading bits of an address that may be kept.
        package var ipv4Bits: Int
        package var ipv6Bits: Int
        /// Longest retention of a hit, in days.
        package var retentionDays: Int

        package init(ipv4Bits: Int, ipv6Bits: Int, retentionDays: Int) {
            self.ipv4Bits = ipv4Bits
            self.ipv6Bits = ipv6Bits
            self.retentionDays = retentionDays
        }

        package static let floor = Limits(
            ipv4Bits: 24, ipv6Bits: 48, retentionDays: Item.daysMax)
    }
}

/// One statement about every address, site and consent that its scope covers.
package struct Invariant: Equatable, Sendable {
    package var name: String
    /// The law or decision that asks for it; empty when none is cited.
    package var source: String
    /// Where its name stands.
    package var position: FilePosition
    package var scope: Scope
    package var demand: Demand

    package init(
        name: String, source: String, position: FilePosition, scope: Scope, demand: Demand
    ) {
        self.name = name
        self.source = source
        self.position = position
        self.scope = scope
        self.demand = demand
    }

    /// The code that stands for addresses whose place nobody knows.
    package static let unknownPlace = "unknown"

    /// Where a statement is to hold: `for`.
    package struct Scope: Equatable, Sendable {
        /// Nil is everywhere. ``Invariant/unknownPlace`` is one of its codes.
        package var places: PlaceSet?
        package var sites: [SitePattern]
        /// Nil is whatever the signals say.
        package var consent: Set<ConsentState>?
        /// Only where none of these purposes is granted.
        package var lacking: [String]

        package init(
            places: PlaceSet? = nil, sites: [SitePattern] = [.all],
            consent: Set<ConsentState>? = nil, lacking: [String] = []
        ) {
            self.places = places
            self.sites = sites
            self.consent = consent
            self.lacking = lacking
        }
    }

    /// What is to hold there; nil and empty ask for nothing.
    package struct Demand: Equatable, Sendable {
        /// The home region is one of these, or stands in one of ``jurisdictions``.
        package var regions: [String] = []
        package var jurisdictions: PlaceSet?
        /// Columns of the record that stay empty.
        package var neverKeep: [String] = []
        package var outcomes: [Decision.Outcome] = []
        package var retentionDaysMax: Int?
        /// Longest life of fields that are kept, in days.
        package var fieldDaysMax: [FieldName: Int] = [:]
        package var ipv4BitsMax: Int?
        package var ipv6BitsMax: Int?
        /// Longest period of a pseudonym's key.
        package var pseudonymMax: KeyPeriod?
        /// Signals that the policy must listen to, as policies write them.
        package var hears: [String] = []

        package init() {}

        package var asksRegion: Bool { !regions.isEmpty || jurisdictions != nil }
    }
}

extension SitePattern {
    /// Whether hosts named `host` match; nil is a hit without a site, which `*` alone matches.
    package func matches(host: String?) -> Bool {
        if self == .all { return true }
        guard let host else { return false }
        return isWildcard ? host.hasSuffix("." + suffix) : host == suffix
    }
}
