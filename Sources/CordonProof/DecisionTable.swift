import CordonModel
import CordonPolicy
import Foundation

/// Every decision of a rule set over a geo table's places, with the claims and invariants they answer to: plain enough to be
/// checked by a program that knows nothing of how they were compiled.
///
/// `Docs/formats/proof.md` describes the JSON. Equal projects and tables give equal bytes.
package struct DecisionTable: Encodable, Sendable {
    private var format = "cordon decisions 1"
    private let limits: Limits
    /// A host for each kind of sites; the first, empty, is any that no policy names.
    private let hosts: [String]
    private let policies: [Policy]
    /// Place code to the index of a policy for each host.
    private let table: [String: [Int]]
    private let invariants: [Statement]

    fileprivate struct Limits: Encodable {
        let ipv4: Int
        let ipv6: Int
        let retention: Int
    }

    fileprivate struct Policy: Encodable {
        let name: String
        let region: String?
        let jurisdiction: String?
        let claims: [Claim]
        let sites: [String]
        let signals: [String]
        let purposes: [String]
        let absentGrants: Bool
        /// Purposes needed by each field that is ever kept.
        let needs: [String: [String]]
        /// Days after which a field is gone.
        let ages: [String: Int]
        let cases: [Case]
    }

    fileprivate struct Claim: Encodable {
        let level: Int
        let codes: [String]
    }

    fileprivate struct Case: Encodable {
        let consent: String
        let purposes: [String]
        let outcome: String
        let region: String?
        let keeps: [String]
        let ipv4: Int
        let ipv6: Int
        let user: String?
        let visitor: String?
        let days: Int
    }

    /// An invariant with its groups resolved to codes; nil is no condition and no demand.
    fileprivate struct Statement: Encodable {
        let name: String
        let places: [String]?
        let sites: [String]
        let consent: [String]?
        let lacking: [String]
        let regions: [String]?
        let jurisdictions: [String]?
        let neverKeep: [String]
        let outcomes: [String]
        let retention: Int?
        let fields: [String: Int]
        let ipv4: Int?
        let ipv6: Int?
        let pseudonym: String?
        let hears: [String]
    }

    init(
        _ project: ProjectConfiguration, purposes: [String], regions: [String], hosts: [String?],
        cases: [[ConsentCase]], table: [(place: String, policies: [Int])]
    ) {
        let bounds = project.invariants.limits
        limits = Limits(
            ipv4: bounds.ipv4Bits, ipv6: bounds.ipv6Bits, retention: bounds.retentionDays)
        self.hosts = hosts.map { $0 ?? "" }
        self.table = Dictionary(
            table.map { ($0.place, $0.policies) }, uniquingKeysWith: { first, _ in first })
        invariants = project.invariants.statements.map(Statement.init)
        let jurisdictions = Dictionary(
            project.regions.map { ($0.name, $0.jurisdiction) }, uniquingKeysWith: { $1 })
        policies = zip(project.ruleSet.policies, cases).map { policy, cases in
            Policy(
                policy, jurisdiction: policy.route.region.flatMap { jurisdictions[$0] },
                cases: cases.map { Case($0, purposes: purposes, regions: regions) })
        }
    }

    /// The bytes whose digest a certificate names.
    package func encoded() -> [UInt8] { CanonicalEncoding.bytes(self) }
}

/// JSON in one spelling: sorted keys, no spaces.
enum CanonicalEncoding {
    static func bytes(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        // Texts, whole numbers, lists and objects of them can always be encoded.
        guard let data = try? encoder.encode(value) else {
            preconditionFailure("plain values are JSON")
        }
        return Array(data) + [0x0A]
    }
}

extension DecisionTable.Policy {
    fileprivate init(_ policy: CompiledPolicy, jurisdiction: String?, cases: [DecisionTable.Case]) {
        name = policy.name
        region = policy.route.region
        self.jurisdiction = jurisdiction
        claims = policy.claims.map { .init(level: $0.level.rawValue, codes: $0.codes.sorted()) }
        sites = policy.sites.map(\.text)
        signals = policy.consent.signals.map(\.text)
        purposes = policy.consent.purposes
        absentGrants = policy.consent.absentGrants
        var needs: [String: [String]] = [:]
        var ages: [String: Int] = [:]
        for field in policy.fields.kept {
            needs[field.rawValue] = policy.fields.needs(field)
            ages[field.rawValue] = policy.days(of: field)
        }
        self.needs = needs
        self.ages = ages
        self.cases = cases
    }
}

extension DecisionTable.Case {
    fileprivate init(_ item: ConsentCase, purposes: [String], regions: [String]) {
        let decision = item.decision
        consent = item.consent.state.text
        self.purposes = purposes.indices.filter {
            item.consent.purposes & 1 << UInt32($0) != 0
        }.map { purposes[$0] }
        outcome = decision.outcome.text
        region = regions.indices.contains(decision.region) ? regions[decision.region] : nil
        keeps = item.columns.sorted()
        ipv4 = Int(decision.ipv4Bits)
        ipv6 = Int(decision.ipv6Bits)
        user = decision.user?.text
        visitor = decision.visitor?.text
        days = Int(decision.retainDays)
    }
}

extension DecisionTable.Statement {
    fileprivate init(_ invariant: Invariant) {
        let scope = invariant.scope
        let demand = invariant.demand
        name = invariant.name
        places = scope.places.flatMap { $0.isWorld ? nil : $0.codes.sorted() }
        sites = scope.sites.map(\.text)
        consent = scope.consent.map { $0.map(\.text).sorted() }
        lacking = scope.lacking
        regions = demand.asksRegion ? demand.regions : nil
        jurisdictions =
            demand.asksRegion
            ? demand.jurisdictions.map { $0.isWorld ? ["world"] : $0.codes.sorted() } ?? [] : nil
        neverKeep = demand.neverKeep
        outcomes = demand.outcomes.map(\.text)
        retention = demand.retentionDaysMax
        fields = Dictionary(
            demand.fieldDaysMax.map { ($0.key.rawValue, $0.value) }, uniquingKeysWith: { $1 })
        ipv4 = demand.ipv4BitsMax
        ipv6 = demand.ipv6BitsMax
        pseudonym = demand.pseudonymMax?.text
        hears = demand.hears
    }
}

extension Invariants {
    /// Limits and statements with groups resolved: their meaning, not their layout.
    var content: some Encodable {
        struct Content: Encodable {
            let format = "cordon invariants 1"
            let limits: [Int]
            let statements: [DecisionTable.Statement]
        }
        return Content(
            limits: [limits.ipv4Bits, limits.ipv6Bits, limits.retentionDays],
            statements: statements.map(DecisionTable.Statement.init))
    }
}
