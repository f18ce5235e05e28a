import CordonModel

@testable import CordonAuthoring
@testable import CordonPolicy

/// A policy whose keys are dials: each turns through texts of which every one is stricter than the one before.
enum PolicyDials {
    struct Dial {
        let name: String
        let texts: [String]
    }

    static let dials: [Dial] = [
        Dial(
            name: "signals",
            texts: ["", ", gpc", ", gpc, dnt", ", gpc, dnt, usp"]),
        Dial(name: "absent", texts: ["granted", "denied"]),
        Dial(name: "denied", texts: ["keep", "count", "drop"]),
        Dial(name: "other purpose", texts: ["\n    a:", ""]),
        Dial(name: "tcf", texts: ["[8]", "[8, 9]"]),
        Dial(name: "basis", texts: ["either", "consent"]),
        Dial(name: "vendor", texts: ["", "vendor: 755, "]),
        Dial(name: "opt-outs", texts: ["[]", "[sale]", "[sale, sharing]"]),
        Dial(name: "gcm", texts: ["[analytics_storage]", "[analytics_storage, ad_storage]"]),
        Dial(name: "max age", texts: ["", "\n  max_age: 400d", "\n  max_age: 100d"]),
        Dial(
            name: "ip",
            texts: [
                "{ truncate: { ipv4: 24, ipv6: 48 }, needs: m }",
                "{ truncate: { ipv4: 16, ipv6: 48 }, needs: m }",
                "{ truncate: { ipv4: 16, ipv6: 32 }, needs: m }", "drop",
            ]),
        Dial(
            name: "user", texts: ["year", "week", "day"].map { "{ pseudonym: \($0), needs: m }" }),
        Dial(
            name: "visitor",
            texts: ["month", "day"].map { "{ pseudonym: \($0), needs: m }" } + ["drop"]),
        Dial(name: "user agent", texts: ["family", "{ keep: family, needs: m }", "drop"]),
        Dial(
            name: "page",
            texts: [
                "{ keep: path, params: [x, y] }", "{ keep: path, params: [x] }", "path",
                "{ keep: path, needs: m }", "{ keep: host, needs: m }", "drop",
            ]),
        Dial(name: "referrer", texts: ["host", "{ keep: host, needs: m }", "drop"]),
        Dial(
            name: "place", texts: ["subdivision", "country", "{ keep: country, needs: m }", "drop"]),
        Dial(name: "language", texts: ["primary", "drop"]),
        Dial(name: "params", texts: ["{ allow: [v, w] }", "{ allow: [v] }", "drop"]),
        Dial(name: "hits", texts: ["395d", "30d"]),
        Dial(name: "user's age", texts: ["", ", fields: { user: 20d }", ", fields: { user: 5d }"]),
        Dial(name: "sampling", texts: ["100", "50.5", "1"]),
        Dial(
            name: "access",
            texts: [
                "from: [Nordic], see: rows",
                "from: [Nordic], see: aggregates, min_group: 5, small_groups: other",
                "from: [Nordic], see: aggregates, min_group: 5",
                "from: [SE, IS], see: aggregates, min_group: 5",
                "from: [SE], see: aggregates, min_group: 20",
                "from: [SE], see: aggregates, min_group: 20, noise: { epsilon: 1, budget: 9, per: day, rows: 9 }",
                "from: [SE], see: aggregates, min_group: 20, noise: { epsilon: 1, budget: 9, per: day, rows: 9 }, hide: [user]",
            ]),
        Dial(
            name: "relocate",
            texts: [
                ", relocate: [Nordic]", ", relocate: [SE, IS-1]", ", relocate: [SE-AB]", "",
            ]),
        Dial(
            name: "transfer",
            texts: [
                "\ntransfer: [{ to: [world], see: aggregates, min_group: 5 }]",
                "\ntransfer: [{ to: [Nordic], see: aggregates, min_group: 5 }]",
                "\ntransfer: [{ to: [Nordic], see: aggregates, min_group: 50 }]", "",
            ]),
    ]

    /// The policy with each dial at a place.
    static func policy(_ settings: [Int], name: String = "law", places: String = "DE") -> String {
        var texts: [String: String] = [:]
        for (dial, setting) in zip(dials, settings) { texts[dial.name] = dial.texts[setting] }
        func at(_ name: String) -> String { texts[name] ?? "" }
        return """
            policy: \(name)
            title: A law
            source: A gazette
            applies_to: { places: [\(places)] }
            route: { region: north, away: refuse\(at("relocate")) }
            consent:
              signals: ["param:c", "cookie:k", tcf, gpp, gcm\(at("signals"))]
              when_absent: \(at("absent"))
              purposes:
                m: { tcf: \(at("tcf")), \(at("vendor"))basis: \(at("basis")), opt_outs: \(at("opt-outs")), gcm: \(at("gcm")) }\(at("other purpose"))\(at("max age"))
              denied: \(at("denied"))
            fields:
              ip: \(at("ip"))
              user: \(at("user"))
              visitor: \(at("visitor"))
              user_agent: \(at("user agent"))
              page: \(at("page"))
              referrer: \(at("referrer"))
              place: \(at("place"))
              language: \(at("language"))
              params: \(at("params"))
            retention: { hits: \(at("hits"))\(at("user's age")) }
            sampling: \(at("sampling"))
            access: [{ role: analyst, purposes: [m], \(at("access")) }]\(at("transfer"))

            """
    }

    static func texts(_ settings: [Int]) -> [String: String] {
        [
            "Regions/north.yaml":
                "region: north\ntitle: North\njurisdiction: DE\ncollector: { listen: \"127.0.0.1:8401\" }\n",
            "Regions/south.yaml":
                "region: south\ntitle: South\njurisdiction: FR\ncollector: { listen: \"127.0.0.1:8402\" }\n",
            "Policies/atlas.yaml":
                "groups:\n  Nordic: { title: N, source: none, checked: 2026-01-01, members: [SE, IS, EE] }\n",
            "Policies/world.yaml": """
            policy: world
            title: Everywhere
            source: none
            applies_to: { places: [world] }
            route: { region: north, away: refuse }
            consent: { signals: [gpc], when_absent: denied, purposes: { m: , a: }, denied: count }
            fields: { place: country }
            retention: { hits: 30d }

            """,
            "Policies/law.yaml": policy(settings),
        ]
    }

    static func ruleSet(_ settings: [Int]) throws -> RuleSet { try load(texts(settings)).ruleSet }

    static func random(using generator: inout some RandomNumberGenerator) -> [Int] {
        dials.map { Int.random(in: $0.texts.indices, using: &generator) }
    }

    /// The policy of `settings` held against that of `other`.
    static func compare(_ settings: [Int], _ other: [Int]) throws -> PolicyComparison {
        let (old, new) = (try ruleSet(settings), try ruleSet(other))
        return PolicyComparison(
            from: old.policies[0], to: new.policies[0], oldWords: Set(old.purposes),
            newWords: Set(new.purposes))
    }
}
