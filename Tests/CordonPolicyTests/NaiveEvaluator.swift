import TestSupport

/// A random project as plain data: written out as YAML for the product to compile, and decided here by reading the rules
/// one by one, as slowly and literally as the documentation says them.
struct NaiveProject {
    struct Field {
        var name: String
        /// As it stands in YAML, without `needs`.
        var body: String
        /// As `policy explain` words it.
        var action: String
        var needs: [String]
    }

    struct Policy {
        var name: String
        var places: [String]
        var sites: [String]
        var region: String?
        var signals: [String]
        var absent: String
        var purposes: [String]
        /// What purposes stand for in consent strings.
        var meanings: [String: Meaning]
        var maxAge: Int?
        var denied: String
        var fields: [Field]
        var days: Int
        var sampling: Int
    }

    struct Meaning {
        var tcf: [Int] = []
        var features: [Int] = []
        var vendor: Int?
        var basis = "consent"
        /// Nil is the default of sale, sharing and targeted advertising.
        var optOuts: [String]?
        var mode: [String] = []
    }

    struct Hit {
        /// Raw values of consent strings by parameter.
        var strings: [(name: String, value: String)]
        var country: String?
        var subdivision: String?
        var site: String
        var gpc: String?
        var dnt: String?
        /// Raw values of the parameter `c`, each standing once.
        var parameters: [String]
        /// Raw values of the cookie `k`.
        var cookies: [String]
    }

    struct Answer: Equatable {
        var outcome: String
        var region: String?
        var policy: String
        var consent: String
        var purposes: [String]
        var fields: [String: String]
        var days: Int?
        var sampling: Double
    }

    var groups: [String: [String]]
    var policies: [Policy]
}

// MARK: deciding

extension NaiveProject {
    func members(_ place: String) -> [String] { groups[place] ?? [place] }

    func level(_ place: String) -> Int {
        if place == "world" { return 0 }
        if groups[place] != nil { return 1 }
        return place.contains("-") ? 3 : 2
    }

    /// Whether two policies claim a common place and site at one level.
    var isAmbiguous: Bool {
        for (index, left) in policies.enumerated() {
            for right in policies[(index + 1)...]
            where left.sites.contains(where: right.sites.contains) {
                for one in left.places {
                    for other in right.places where level(one) == level(other) {
                        for code in members(one) {
                            // A subdivision lies in its country.
                            if members(other).contains(where: {
                                code == $0 || code.hasPrefix($0 + "-") || $0.hasPrefix(code + "-")
                            }) {
                                return true
                            }
                        }
                    }
                }
            }
        }
        return false
    }

    func policy(for hit: Hit) -> Policy {
        let codes = [hit.country, hit.subdivision].compactMap { $0 }
        for wanted in [3, 2, 1, 0] {
            var best: (score: Int, policy: Policy)?
            for policy in policies {
                let claims = policy.places.contains { place in
                    level(place) == wanted
                        && (wanted == 0 || codes.contains { members(place).contains($0) })
                }
                guard claims else { continue }
                for site in policy.sites {
                    let score = score(site, hit.site)
                    if score > 0, score > best?.score ?? 0 { best = (score, policy) }
                }
            }
            if let best { return best.policy }
        }
        preconditionFailure("no policy for the world")
    }

    /// 0 no match, 1 `*`, more the longer the wildcard, most for the exact name.
    private func score(_ pattern: String, _ site: String) -> Int {
        if pattern == "*" { return 1 }
        if pattern.hasPrefix("*.") {
            return site.hasSuffix(pattern.dropFirst()) && site.count > pattern.count - 1
                ? 10 + pattern.count : 0
        }
        return pattern == site ? 1000 : 0
    }

    /// What one value says: nil is a fault, an empty list a refusal.
    private func choice(_ value: String, _ policy: Policy) -> [String]? {
        if ["granted", "yes", "1", "true"].contains(value) { return policy.purposes }
        if ["denied", "no", "0", "false"].contains(value) { return [] }
        // A policy that refuses every hit has no purposes.
        let all = Set(policies.filter { $0.region != nil }.flatMap(\.purposes))
        let words = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        if !words.allSatisfy(all.contains) { return nil }
        return policy.purposes.filter(words.contains)
    }

    func answer(_ hit: Hit) -> Answer {
        let policy = policy(for: hit)
        let dropped = Dictionary(uniqueKeysWithValues: Self.fieldNames.map { ($0, "drop") })
        var answer = Answer(
            outcome: "refuse", region: policy.region, policy: policy.name, consent: "absent",
            purposes: [], fields: dropped, days: nil, sampling: Double(policy.sampling) / 100)
        guard policy.region != nil else {
            answer.sampling = 1
            return answer
        }

        // Of each signal the purposes it grants and those it refuses; nil is a fault.
        var says: [(granted: [String], refused: [String])?] = []
        var refused = false
        for signal in policy.signals {
            let values =
                switch signal {
                case "gpc": [hit.gpc].compactMap { $0 }
                case "dnt": [hit.dnt].compactMap { $0 }
                case "param:c": hit.parameters
                case "cookie:k": hit.cookies
                default: [String]()
                }
            for value in values {
                if signal == "gpc" || signal == "dnt" {
                    if value == "0" { continue }
                    if value == "1" {
                        says.append((granted: [], refused: policy.purposes))
                        refused = true
                    } else {
                        says.append(nil)
                    }
                } else {
                    let choice = choice(value, policy)
                    says.append(
                        choice.map { choice in
                            (
                                granted: choice,
                                refused: policy.purposes.filter { !choice.contains($0) }
                            )
                        })
                    if ["denied", "no", "0", "false"].contains(value) { refused = true }
                }
            }
            for string in hit.strings where Self.parameters[signal]?.contains(string.name) == true {
                switch NaiveStrings.content(string.value) {
                case .silent: continue
                case .invalid: says.append(nil)
                case .facts(let facts):
                    let age = facts.updated.map { NaiveStrings.today - $0 } ?? 0
                    if let most = policy.maxAge, age > most {
                        refused = true
                        says.append((granted: [], refused: policy.purposes))
                    } else {
                        says.append(read(facts, policy))
                    }
                }
            }
        }
        if refused {
            answer.consent = "denied"
        } else if says.contains(where: { $0 == nil }) {
            answer.consent = "invalid"
        } else {
            let left = policy.purposes.filter { purpose in
                !says.contains { $0!.refused.contains(purpose) }
            }
            let granted = left.filter { purpose in says.contains { $0!.granted.contains(purpose) } }
            answer.purposes = policy.absent == "granted" ? left : granted
            answer.consent =
                !granted.isEmpty
                ? "granted"
                : answer.purposes.isEmpty && left.count < policy.purposes.count
                    ? "denied" : "absent"
        }
        answer.purposes.sort()

        let consented =
            answer.consent == "granted" || answer.consent == "absent" && policy.absent == "granted"
        answer.outcome = consented ? "keep" : policy.denied
        if answer.outcome == "keep" {
            for field in policy.fields where field.needs.allSatisfy(answer.purposes.contains) {
                answer.fields[field.name] = field.action
            }
        }
        if answer.outcome == "count" {
            for field in policy.fields where field.name == "place" && field.needs.isEmpty {
                answer.fields["place"] = "country"
            }
        }
        if answer.outcome != "drop" { answer.days = policy.days }
        return answer
    }

    private static let parameters = [
        "tcf": ["gdpr_consent"], "gpp": ["gpp"], "usp": ["us_privacy"], "gcm": ["gcs", "gcd"],
    ]

    /// What a string says about each purpose, by the words of the policy reference.
    private func read(
        _ facts: NaiveStrings.Facts, _ policy: Policy
    ) -> (granted: [String], refused: [String]) {
        var granted: [String] = []
        var refused: [String] = []
        for purpose in policy.purposes {
            let meaning = policy.meanings[purpose] ?? Meaning()
            if facts.updated != nil, !meaning.tcf.isEmpty || !meaning.features.isEmpty {
                let isGranted =
                    meaning.tcf.allSatisfy { grants(facts, $0, meaning) }
                    && meaning.features.allSatisfy(facts.features.contains)
                if isGranted { granted.append(purpose) } else { refused.append(purpose) }
            }
            let ends = meaning.optOuts ?? ["sale", "sharing", "targeted-advertising"]
            if ends.contains(where: facts.optOuts.contains) { refused.append(purpose) }
            if !meaning.mode.isEmpty {
                if meaning.mode.contains(where: facts.denied.contains) { refused.append(purpose) }
                if meaning.mode.allSatisfy(facts.granted.contains) { granted.append(purpose) }
            }
        }
        return (granted, refused)
    }

    private func grants(_ facts: NaiveStrings.Facts, _ purpose: Int, _ meaning: Meaning) -> Bool {
        var consent = facts.consents.contains(purpose)
        var interest = facts.interests.contains(purpose) && ![1, 3, 4, 5, 6].contains(purpose)
        if let vendor = meaning.vendor {
            consent = consent && facts.vendors.contains(vendor)
            interest = interest && facts.vendorInterests.contains(vendor)
            if facts.forbidden[vendor]?.contains(purpose) == true { return false }
        }
        return switch meaning.basis {
        case "consent": consent
        case "legitimate-interest": interest
        default: consent || interest
        }
    }

    static let fieldNames = [
        "ip", "user", "visitor", "user_agent", "page", "referrer", "place", "language", "params",
    ]
}

// MARK: making

extension NaiveProject {
    private static let codes = ["DE", "FR", "SE", "US", "US-CA", "US-NY", "CA-QC", "JP"]
    private static let siteNames = [
        "a.example", "www.a.example", "x.www.a.example", "b.example", "c.test",
    ]
    private static let sitePatterns = [
        "*", "*.a.example", "*.www.a.example", "a.example", "www.a.example", "b.example",
    ]
    private static let purposeNames = ["ads", "measure", "research"]
    private static let signalNames = [
        "gpc", "dnt", "param:c", "cookie:k", "tcf", "gpp", "usp", "gcm",
    ]

    init(using generator: inout Generator) {
        groups = [:]
        for name in ["Ga", "Gb"] {
            groups[name] = Self.some(of: Self.codes, upTo: 4, &generator)
        }
        policies = []
        for index in 0..<Int.random(in: 1...4, using: &generator) {
            let places = Self.some(of: Self.codes + ["Ga", "Gb"], upTo: 2, &generator)
            let sites = Self.some(of: Self.sitePatterns, upTo: 2, &generator)
            policies.append(Self.policy("p\(index)", places, sites, &generator))
        }
        policies.append(Self.policy("world", ["world"], ["*"], &generator))
        policies[policies.count - 1].region = "north"
    }

    private static func some(
        of all: [String], upTo count: Int, _ generator: inout Generator
    ) -> [String] {
        Array(all.shuffled(using: &generator).prefix(Int.random(in: 1...count, using: &generator)))
    }

    private static func policy(
        _ name: String, _ places: [String], _ sites: [String], _ generator: inout Generator
    ) -> Policy {
        let purposes = some(of: purposeNames, upTo: 3, &generator)
        var policy = Policy(
            name: name, places: places, sites: sites,
            region: generator.chance(0.15)
                ? nil : ["north", "south"].randomElement(using: &generator)!,
            signals: some(of: signalNames, upTo: 4, &generator),
            absent: generator.chance(0.5) ? "granted" : "denied", purposes: purposes,
            meanings: meanings(purposes, &generator),
            maxAge: [nil, nil, 365, 2000, 2650].randomElement(using: &generator)!,
            denied: ["count", "drop", "keep"].randomElement(using: &generator)!, fields: [],
            days: Int.random(in: 1...500, using: &generator),
            sampling: Int.random(in: 1...100, using: &generator))
        for name in fieldNames where generator.chance(0.7) {
            let mustNeed =
                ["user", "visitor"].contains(name) || name == "ip" && policy.denied == "keep"
            let needs =
                mustNeed || generator.chance(0.4) ? some(of: purposes, upTo: 2, &generator) : []
            policy.fields.append(field(name, needs, &generator))
        }
        return policy
    }

    private static func field(
        _ name: String, _ needs: [String], _ generator: inout Generator
    ) -> Field {
        func one(_ words: [String]) -> String { words.randomElement(using: &generator)! }
        switch name {
        case "ip":
            let (four, six) = (
                Int.random(in: 1...24, using: &generator), Int.random(in: 1...48, using: &generator)
            )
            return Field(
                name: name, body: "truncate: { ipv4: \(four), ipv6: \(six) }",
                action: "truncate ipv4/\(four) ipv6/\(six)", needs: needs)
        case "user", "visitor":
            let period = one(["day", "week", "month", "year"])
            return Field(
                name: name, body: "pseudonym: \(period)", action: "pseudonym \(period)",
                needs: needs)
        case "params":
            return Field(
                name: name, body: "allow: [value, sku]", action: "allow sku, value", needs: needs)
        default:
            let word =
                switch name {
                case "user_agent": "family"
                case "page": one(["path", "host"])
                case "referrer": "host"
                case "place": one(["country", "subdivision"])
                default: "primary"
                }
            return Field(name: name, body: "keep: \(word)", action: word, needs: needs)
        }
    }

    private static func meanings(
        _ purposes: [String], _ generator: inout Generator
    ) -> [String: Meaning] {
        var meanings: [String: Meaning] = [:]
        for purpose in purposes where generator.chance(0.7) {
            var meaning = Meaning()
            if generator.chance(0.7) {
                meaning.basis = ["consent", "legitimate-interest", "either"]
                    .randomElement(using: &generator)!
                let most =
                    meaning.basis == "legitimate-interest" ? [2, 7, 8, 9, 10, 11] : Array(1...11)
                meaning.tcf = some(of: most.map(String.init), upTo: 2, &generator)
                    .compactMap { Int($0) }
                if generator.chance(0.4) {
                    meaning.vendor = [2, 10, 12, 755].randomElement(using: &generator)!
                }
            }
            if generator.chance(0.2) { meaning.features = [1] }
            if generator.chance(0.5) {
                meaning.optOuts =
                    generator.chance(0.3) ? [] : some(of: NaiveStrings.optOuts, upTo: 2, &generator)
            }
            if generator.chance(0.5) {
                meaning.mode = some(of: ["ad_storage", "analytics_storage"], upTo: 2, &generator)
            }
            meanings[purpose] = meaning
        }
        return meanings
    }

    static func hit(using generator: inout Generator) -> Hit {
        var strings: [(name: String, value: String)] = []
        for name in ["gdpr_consent", "gpp", "us_privacy", "gcs", "gcd"] where generator.chance(0.35)
        {
            let values = NaiveStrings.values(of: name)
            for _ in 0..<(generator.chance(0.2) ? 2 : 1) {
                strings.append((name, values.randomElement(using: &generator)!))
            }
        }
        let code =
            generator.chance(0.1)
            ? nil : (codes + ["BR", "US-TX"]).randomElement(using: &generator)
        let words = ["granted", "no", "ads", "measure,ads", "research", "perhaps", "", "1"]
        func values(_ words: [String], _ generator: inout Generator) -> [String] {
            (0..<[0, 0, 1, 1, 2].randomElement(using: &generator)!)
                .map { _ in words.randomElement(using: &generator)! }
        }
        return Hit(
            strings: strings, country: code.map { String($0.prefix(2)) },
            subdivision: code.flatMap { $0.count > 2 ? $0 : nil },
            site: siteNames.randomElement(using: &generator)!,
            gpc: generator.chance(0.3) ? ["0", "1", "x"].randomElement(using: &generator) : nil,
            dnt: generator.chance(0.3) ? ["0", "1", ""].randomElement(using: &generator) : nil,
            parameters: values(words, &generator), cookies: values(words, &generator))
    }

    /// The project as files.
    var texts: [String: String] {
        var texts: [String: String] = [:]
        for (index, name) in ["north", "south"].enumerated() {
            texts["Regions/\(name).yaml"] =
                "{ region: \(name), title: t, jurisdiction: DE, collector: { listen: \"127.0.0.1:\(9000 + index)\" } }"
        }
        let members = groups.map {
            "  \($0.key): { title: t, source: s, checked: 2026-01-01, members: [\($0.value.joined(separator: ", "))] }"
        }
        texts["Policies/atlas.yaml"] = "groups:\n" + members.sorted().joined(separator: "\n")
        for policy in policies { texts["Policies/\(policy.name).yaml"] = Self.text(policy) }
        return texts
    }

    private static func text(_ policy: Policy) -> String {
        func list(_ words: [String]) -> String {
            "[" + words.map { "\"\($0)\"" }.joined(separator: ", ") + "]"
        }
        var lines = [
            "policy: \(policy.name)", "title: t", "source: s",
            "applies_to: { places: \(list(policy.places)), sites: \(list(policy.sites)) }",
        ]
        guard let region = policy.region else {
            return (lines + ["route: refuse"]).joined(separator: "\n")
        }
        lines += [
            "route: { region: \(region), away: refuse }", "consent:",
            "  signals: \(list(policy.signals))",
            "  when_absent: \(policy.absent)", "  denied: \(policy.denied)",
        ]
        if let age = policy.maxAge { lines.append("  max_age: \(age)d") }
        lines.append("  purposes:")
        lines += policy.purposes.map { "    \($0):" + text(policy.meanings[$0]) }
        lines.append(policy.fields.isEmpty ? "fields: {}" : "fields:")
        for field in policy.fields {
            let needs = field.needs.isEmpty ? "" : ", needs: \(list(field.needs))"
            lines.append("  \(field.name): { \(field.body)\(needs) }")
        }
        lines += ["retention: { hits: \(policy.days)d }", "sampling: \(policy.sampling)"]
        return lines.joined(separator: "\n")
    }

    private static func text(_ meaning: Meaning?) -> String {
        guard let meaning else { return "" }
        func list(_ words: [some Any]) -> String {
            "[" + words.map { "\($0)" }.joined(separator: ", ") + "]"
        }
        var parts: [String] = []
        if !meaning.tcf.isEmpty {
            parts += ["tcf: \(list(meaning.tcf))", "basis: \(meaning.basis)"]
        }
        if let vendor = meaning.vendor { parts.append("vendor: \(vendor)") }
        if !meaning.features.isEmpty { parts.append("special_features: \(list(meaning.features))") }
        if let optOuts = meaning.optOuts { parts.append("opt_outs: \(list(optOuts))") }
        if !meaning.mode.isEmpty { parts.append("gcm: \(list(meaning.mode))") }
        return parts.isEmpty ? "" : " { " + parts.joined(separator: ", ") + " }"
    }
}

/// Consent strings with what is published about them (see the tests of `Consent`), so that nothing here decodes.
enum NaiveStrings {
    struct Facts {
        var consents: [Int] = []
        var interests: [Int] = []
        var features: [Int] = []
        var vendors: [Int] = []
        var vendorInterests: [Int] = []
        var forbidden: [Int: [Int]] = [:]
        /// Days since 1970 of a TC string's last update; nil where there is none.
        var updated: Int?
        var optOuts: [String] = []
        var granted: [String] = []
        var denied: [String] = []
    }

    enum Content {
        case silent, invalid
        case facts(Facts)
    }

    static let optOuts = [
        "sale", "sharing", "targeted-advertising", "sensitive-data", "known-child",
        "additional-processing",
    ]

    /// 2026-11-23, in days since 1970.
    static let today = 20_780

    private static let selective = "COoC-kUOoC-kUAHABAENAwCoAIAAAELAAAwIF5wAoAAgAGAvMACX_ABBAAQAFA"
    private static let generous =
        "COv_eg6Ov_eg6AOADBENAaCgAP_AAH_AACiQAVEUQQoAIQAqIoghAAQgAA.YAAAAAAAAAAAAAAAAAA"
    private static let refusing = "CPSG_8APSG_8AAAAAAENAACgAAAAAAAAAAAAAAAAAAAA.YAAAAAAAAAAA"

    private static let table: [String: [String: Content]] = {
        let some = Facts(
            consents: [1], interests: [2, 7, 9, 10], features: [1], vendors: [1, 2, 3, 755],
            vendorInterests: Array(1...9), forbidden: [10: [1]], updated: 18_176)
        let all = Facts(
            consents: Array(1...10), interests: Array(2...10),
            vendors: [2, 6, 8, 12, 18, 23, 25, 37, 42],
            vendorInterests: [2, 6, 8, 12, 18, 23, 37, 42], updated: 18_330)
        let none = Facts(updated: 18_993)
        return [
            "gdpr_consent": [
                selective: .facts(some), generous: .facts(all), refusing: .facts(none),
                "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA": .silent, "${GDPR_CONSENT_12}": .invalid,
                "": .silent, String(generous.dropLast(70)): .invalid,
            ],
            "gpp": [
                "DBABM~" + generous: .facts(all),
                "DBACNY~" + selective + "~1YYN": .facts(
                    {
                        var facts = some
                        facts.optOuts = ["sale"]
                        return facts
                    }()),
                // The national section with every answer 1 and Global Privacy Control.
                "DBABLA~BVVVkkkkkpFY.YA": .facts(Facts(optOuts: optOuts)),
                "DBABLA~BAAAAAAAAABA.QA": .facts(Facts()), "DBAA": .silent, "DBABLA": .invalid,
            ],
            "us_privacy": [
                "1YYN": .facts(Facts(optOuts: ["sale"])), "1YNN": .facts(Facts()),
                "1---": .silent, "1Y": .invalid,
            ],
            "gcs": [
                "G111": .facts(Facts(granted: ["ad_storage", "analytics_storage"])),
                "G101": .facts(Facts(granted: ["analytics_storage"], denied: ["ad_storage"])),
                "G1--": .facts(Facts()), "G3": .invalid,
            ],
            "gcd": [
                "11t1p1l1l5": .facts(
                    Facts(granted: ["ad_storage"], denied: ["analytics_storage"])),
                "11l1l1l1l5": .facts(Facts()), "11": .invalid,
            ],
        ]
    }()

    static func values(of name: String) -> [String] { table[name]!.keys.sorted() }

    static func content(_ value: String) -> Content {
        table.values.compactMap { $0[value] }.first ?? .invalid
    }
}
