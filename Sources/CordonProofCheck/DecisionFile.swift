import Foundation

/// The decision table as it stands in its file: `Docs/formats/proof.md`.
struct DecisionFile: Decodable {
    let format: String
    /// Bounds of every policy: `ipv4`, `ipv6`, `retention`.
    let limits: [String: Int]
    let hosts: [String]
    let policies: [Policy]
    let table: [String: [Int]]
    let invariants: [Statement]

    struct Policy: Decodable {
        let name: String
        let region, jurisdiction: String?
        let claims: [Claim]
        let sites, signals, purposes: [String]
        let absentGrants: Bool
        let needs: [String: [String]]
        let ages: [String: Int]
        let cases: [Case]
    }

    struct Claim: Decodable {
        let level: Int
        let codes: Set<String>
    }

    struct Case: Decodable {
        let consent, outcome: String
        let purposes, keeps: Set<String>
        let region, user, visitor: String?
        let ipv4, ipv6, days: Int
        var isStored: Bool { outcome == "keep" || outcome == "count" }
    }

    struct Statement: Decodable {
        let name: String
        let sites, hears: [String]
        let places, consent, jurisdictions: Set<String>?
        let lacking, neverKeep, outcomes: Set<String>
        let regions: [String]?
        let retention, ipv4, ipv6: Int?
        let fields: [String: Int]
        let pseudonym: String?
    }

    init(parsing bytes: [UInt8]) throws(CheckFailure) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        // What JSON lacks does not matter to who checks: such a file is not accepted.
        guard let file = try? decoder.decode(DecisionFile.self, from: Data(bytes)),
            file.format == "cordon decisions 1"
        else { throw CheckFailure("the decisions are no table of version 1") }
        self = file
    }
}

extension DecisionFile.Policy {
    /// How closely the policy claims a place: 3 subdivision, 2 country, 1 group, 0 world; each level that it claims it at.
    func levels(_ place: String) -> Set<Int> {
        let country = String(place.prefix { $0 != "-" })
        return Set(
            claims.filter { claim in
                switch claim.level {
                case 0: true
                case 1: claim.codes.contains(country) || claim.codes.contains(place)
                case 2: claim.codes.contains(country)
                case 3: place != country && claim.codes.contains(place)
                default: false
                }
            }.map(\.level))
    }

    /// How closely the policy names a host; nil when it does not.
    func closeness(_ host: String) -> Int? {
        sites.compactMap { $0.closeness(host) }.max()
    }
}

extension String {
    /// How closely this pattern names `host`: a name more than any wildcard, a longer wildcard more than a shorter one.
    func closeness(_ host: String) -> Int? {
        if self == "*" { return 0 }
        if self == host { return Int.max }
        return hasPrefix("*.") && host.hasSuffix(dropFirst()) ? utf8.count : nil
    }
}

extension DecisionFile.Statement {
    func covers(_ place: String, _ host: String) -> Bool {
        let country = String(place.prefix { $0 != "-" })
        return (places?.contains(place) ?? true || places?.contains(country) ?? true)
            && sites.contains { $0.closeness(host) != nil }
    }

    func covers(_ item: DecisionFile.Case) -> Bool {
        consent?.contains(item.consent) ?? true
            && (lacking.isEmpty || lacking.isDisjoint(with: item.purposes))
    }

    /// Whether what is asked for is so.
    func holds(_ item: DecisionFile.Case, _ policy: DecisionFile.Policy) -> Bool {
        guard outcomes.isEmpty || outcomes.contains(item.outcome) else { return false }
        guard item.isStored else { return true }
        if regions != nil || jurisdictions != nil {
            let isNamed = item.region.map { regions?.contains($0) ?? false } ?? false
            let stands = jurisdictions ?? []
            guard
                isNamed || stands.contains("world")
                    || policy.jurisdiction.map(stands.contains) ?? false
            else { return false }
        }
        let order = ["day", "week", "month", "year"]
        let bound = pseudonym.flatMap(order.firstIndex) ?? order.count
        let periods = [item.user, item.visitor].compactMap { $0 }
        return neverKeep.isDisjoint(with: item.keeps)
            && item.ipv4 <= ipv4 ?? .max && item.ipv6 <= ipv6 ?? .max
            && item.days <= retention ?? .max && hears.allSatisfy(policy.signals.contains)
            && periods.allSatisfy { order.firstIndex(of: $0) ?? .max <= bound }
            && fields.allSatisfy { field, days in
                item.keeps.isDisjoint(with: Self.columns[field] ?? [])
                    || policy.ages[field] ?? .max <= days
            }
    }

    /// The columns that each field fills.
    static let columns: [String: Set<String>] = [
        "ip": ["ip_prefix"], "user": ["user"], "visitor": ["visitor"],
        "user_agent": ["browser", "os", "device"], "page": ["page_host", "page_path"],
        "referrer": ["referrer_host"], "place": ["country", "subdivision"],
        "language": ["language"], "params": ["params"],
    ]
}
