import CordonModel
import Testing

@testable import CordonPolicy

/// One change to the sample project and the findings that it must bring, beside those of the sample itself.
struct LintCase: CustomTestStringConvertible, Sendable {
    let file: String
    let old: String
    let new: String
    let expected: [String]

    init(_ file: String, _ old: String, _ new: String, _ expected: String...) {
        self.file = file
        self.old = old
        self.new = new
        self.expected = expected
    }

    var testDescription: String { expected.first ?? new }
}

@Suite struct `Findings about rules` {
    static let law = "Policies/law.yaml"
    static let world = "Policies/world.yaml"
    static let atlas = "Policies/atlas.yaml"

    /// The sample with what it is found fault with mended.
    static let texts: [String: String] = {
        var texts = SampleProject.texts
        texts[law] = texts[law]!.replacing(
            "ipv6: 48 } }", with: "ipv6: 48 }, needs: measuring }"
        ).replacing("[\"*\", \"*.example.org\", shop.example.org]", with: "[\"*\"]")
        texts[world] = texts[world]!.replacing("[gpc]", with: "[gpc, \"param:consent\"]")
        return texts
    }()

    static func findings(_ texts: [String: String], today: Day = SampleProject.today) throws
        -> [String]
    {
        try ProjectConfiguration.load(
            ProjectFiles(texts), layout: SampleProject.layout, now: today, linting: true
        ).warnings.map { "\($0.description) [\($0.finding!.rawValue)]" }
    }

    @Test func `the mended sample has none`() throws {
        #expect(try Self.findings(Self.texts) == [])
    }

    @Test(arguments: [
        LintCase(
            law, "places: [Nordic, DE]", "places: [Nordic, DE, Baltic]",
            "Policies/law.yaml:4:36: `Baltic` says nothing that `Nordic` beside it does not: take it out [dead-claim]"
        ),
        LintCase(
            world, "places: [world]", "places: [world, German]",
            "Policies/world.yaml:4:31: no hit comes to policy `world` by `German`: `law` names its places more closely; take it out, or name the places one by one [dead-claim]"
        ),
        LintCase(
            law, "[gpc, dnt, \"param:consent\", \"cookie:consent\"]", "[gpc, dnt]",
            "Policies/law.yaml:7:3: no signal can grant `advertising`, and silence denies it: what needs it is never kept; add a signal that grants, such as `param:consent`, or say what it stands for in the consent strings listened to [ungrantable-purpose]",
            "Policies/law.yaml:7:3: no signal can grant `measuring`, and silence denies it: what needs it is never kept; add a signal that grants, such as `param:consent`, or say what it stands for in the consent strings listened to [ungrantable-purpose]"
        ),
        LintCase(
            law, "\"param:consent\"", "\"param:url\"",
            "Policies/law.yaml:7:3: `param:url` asks for a choice in the parameter `url`, which means something else: no site can send both; name another one, such as `consent` [unsendable-signal]"
        ),
        LintCase(
            law, "\"param:consent\"", "\"param:event_id\"",
            "Policies/law.yaml:7:3: `param:event_id` asks for a choice in the parameter `event_id`, which means something else: no site can send both; name another one, such as `consent` [unsendable-signal]"
        ),
        LintCase(law, "\"param:consent\"", "\"param:id\""),
        LintCase(
            law, "\"cookie:consent\"", "\"cookie:usprivacy\"",
            "Policies/law.yaml:7:3: `cookie:usprivacy` asks for a choice in the cookie `usprivacy`, which means something else: no site can send both; name another one, such as `consent` [unsendable-signal]"
        ),
        LintCase(
            law, "transfer:\n",
            "  - { role: analyst, purposes: [measuring], from: [SE], see: aggregates, min_group: 9, hide: [user, visitor] }\ntransfer:\n",
            "Policies/law.yaml:26:5: the rule for role `analyst` allows nothing that the one on line 24 does not: take it out, or widen it [shadowed-rule]"
        ),
        LintCase(
            law, "see: aggregates, min_group: 20 }",
            "see: aggregates, min_group: 20 }\n  - { to: [SE], see: aggregates, min_group: 20 }",
            "Policies/law.yaml:28:5: the transfer to `SE` allows nothing that the one on line 27 does not: take it out, or widen it [shadowed-rule]"
        ),
        LintCase(
            law, "measuring: , advertising:", "measuring: { lasts: 60d }, advertising:",
            "Policies/law.yaml:12:7: `ip` is kept for 395d, and `measuring`, which it needs, lasts 60d: set `retention.fields.ip` to 60d or less [outlives-purpose]",
            "Policies/law.yaml:13:9: `user` is kept for 90d, and `measuring`, which it needs, lasts 60d: set `retention.fields.user` to 60d or less [outlives-purpose]",
            "Policies/law.yaml:14:12: `visitor` is kept for 395d, and `measuring`, which it needs, lasts 60d: set `retention.fields.visitor` to 60d or less [outlives-purpose]"
        ),
        LintCase(
            law, "ipv6: 48 }, needs: measuring }", "ipv6: 48 } }",
            "Policies/law.yaml:12:7: `ip` is kept whatever the visitor consented to: say which purpose it `needs` [identifier-without-purpose]"
        ),
        LintCase(
            law, "params: [utm_source]", "params: [utm_source, gclid]",
            "Policies/law.yaml:16:9: `gclid` in `page.params` carries an identifier, which would be kept as it comes: take it out, or send it as `userid`, of which a pseudonym is kept [identifier-in-parameter]"
        ),
        LintCase(
            law, "params: [utm_source]", "params: [utm_source, UserID]",
            "Policies/law.yaml:16:9: `UserID` in `page.params` carries an identifier, which would be kept as it comes: take it out, or send it as `userid`, of which a pseudonym is kept [identifier-in-parameter]"
        ),
        LintCase(
            law, "allow: [value, currency]", "allow: [us_privacy, gpp, gdpr_consent]",
            "Policies/law.yaml:20:11: `gdpr_consent` in `params.allow` carries a consent string, which would be kept as it comes and can tell its sender from others: take it out, and name the signal in `consent.signals` [identifier-in-parameter]",
            "Policies/law.yaml:20:11: `gpp` in `params.allow` carries a consent string, which would be kept as it comes and can tell its sender from others: take it out, and name the signal in `consent.signals` [identifier-in-parameter]",
            "Policies/law.yaml:20:11: `us_privacy` in `params.allow` carries a consent string, which would be kept as it comes and can tell its sender from others: take it out, and name the signal in `consent.signals` [identifier-in-parameter]"
        ),
        LintCase(
            law, "allow: [value, currency]", "allow: [value, EMAIL]",
            "Policies/law.yaml:20:11: `EMAIL` in `params.allow` carries an identifier, which would be kept as it comes: take it out, or send it as `userid`, of which a pseudonym is kept [identifier-in-parameter]"
        ),
        LintCase(
            "Policies/invariants.yaml", "", "limits: { ipv4: 16, ipv6: 40, retention: 100d }\n",
            "Policies/law.yaml:12:7: `ipv4: 24` keeps more of an address than `limits.ipv4: 16` of the invariants lets: lower it to 16 [wider-than-limit]",
            "Policies/law.yaml:12:7: `ipv6: 48` keeps more of an address than `limits.ipv6: 40` of the invariants lets: lower it to 40 [wider-than-limit]",
            "Policies/law.yaml:21:12: hits are kept for 395d, longer than `limits.retention: 100d` of the invariants lets: lower it [longer-than-limit]"
        ),
    ])
    func `a rule that looks wrong`(_ lint: LintCase) throws {
        var texts = Self.texts
        texts[Self.atlas]! += """
              Baltic: { title: a, source: b, checked: 2026-01-01, members: [EE] }
              German: { title: a, source: b, checked: 2026-01-01, members: [DE] }

            """
        let text = texts[lint.file] ?? ""
        precondition(lint.old.isEmpty || text.contains(lint.old), "no `\(lint.old)`")
        texts[lint.file] = lint.old.isEmpty ? lint.new : text.replacing(lint.old, with: lint.new)
        do {
            let found = try Self.findings(texts)
            #expect(found == lint.expected)
        } catch let errors as ConfigurationErrors {
            Issue.record("\(errors.description)")
        }
    }

    @Test func `a site that closer policies take`() throws {
        var texts = Self.texts
        texts["Policies/shop.yaml"] = texts[Self.law]!.replacing(
            "policy: law", with: "policy: shop"
        )
        .replacing(
            "places: [Nordic, DE], sites: [\"*\"]", with: "places: [SE], sites: [shop.example.org]")
        texts[Self.law] = texts[Self.law]!.replacing(
            "places: [Nordic, DE], sites: [\"*\"]",
            with: "places: [Swedish], sites: [\"*\", shop.example.org]")
        texts[Self.atlas]! +=
            "  Swedish: { title: a, source: b, checked: 2026-01-01, members: [SE] }\n"
        #expect(
            try Self.findings(texts) == [
                "Policies/law.yaml:1:9: no hit comes to policy `law` by its site `shop.example.org`: other policies name the same places more closely; take the site out [dead-site]"
            ])
    }

    @Test func `data that leaves to where no group says it may`() throws {
        var texts = Self.texts
        texts[Self.atlas]! +=
            "  Safe: { title: a, source: b, checked: 2026-01-01, members: [CH], adequate_for: [Nordic] }\n"
        texts[Self.law] = texts[Self.law]!.replacing(
            "places: [Nordic, DE]", with: "places: [Nordic]"
        )
        .replacing("to: [Nordic]", with: "to: [Nordic, CH, US, BR]")
        .replacing("from: [DE]", with: "from: [world]")
        let found = try Self.findings(texts)
        #expect(
            found.map { $0.prefix { $0 != ":" } + String($0.suffix(14)) }
                == Array(
                    repeating: "Policies/law.yaml[not-adequate]".replacing("yaml[", with: "yaml["),
                    count: 3))
        #expect(found[0].contains(":5:18: the home region lies in `DE`"))
        #expect(found[1].contains(":25:5: role `officer` may ask from `world`"))
        #expect(found[2].contains(":27:5: aggregates may leave to `BR` and 1 more"))
    }
}

@Suite struct `Findings about the atlas` {
    private func findings(_ lines: String, today: Day = SampleProject.today) throws -> [String] {
        var texts = `Findings about rules`.texts
        texts["Policies/atlas.yaml"] = SampleProject.atlas.replacing(
            "    members: [SE, IS, EE]\n", with: "    members: [SE, IS, EE]\n" + lines)
        return try `Findings about rules`.findings(texts, today: today)
    }

    /// Of the sample's group, by `printf '2026-01-01\nEE IS SE' | sha256sum`.
    private static let digest = "39ec25b14694"

    @Test func `a digest that fits says nothing, and another member is found`() throws {
        let found = try findings("    digest: 000000000000\n")
        let right = try #require(found.first?.split(separator: "now `").last?.prefix(12))
        #expect(found.count == 1 && found[0].hasSuffix("[changed-group]"))
        #expect(right == Self.digest)
        #expect(try findings("    digest: \"\(right)\"\n") == [])
        var texts = `Findings about rules`.texts
        texts["Policies/atlas.yaml"] = SampleProject.atlas.replacing(
            "members: [SE, IS, EE]\n",
            with: "members: [SE, IS, EE, FI, AX]\n    digest: \"\(right)\"\n")
        let changed = try `Findings about rules`.findings(texts)
        #expect(changed.count == 1)
        #expect(
            changed[0].hasPrefix(
                "Policies/atlas.yaml:7:13: group `Nordic` is not as it was checked on 2026-01-01:"))
    }

    @Test func `a change that came after the check, and one that nobody carried out`() throws {
        let late = try findings("    changes: [{ date: 2026-03-01, joins: [EE], source: a }]\n")
        #expect(
            late == [
                "Policies/atlas.yaml:7:15: group `Nordic` changed after it was last checked on 2026-01-01: hold its members against the source and set `checked` [changed-group]"
            ])
        #expect(
            try findings(
                "    changes: [{ date: 2025-03-01, joins: [FI], leaves: [SE], source: a }]\n")
                == [
                    "Policies/atlas.yaml:7:15: `FI` joined group `Nordic` and is not among its members [changed-group]",
                    "Policies/atlas.yaml:7:15: `SE` left group `Nordic` and is still among its members [changed-group]",
                ])
    }

    @Test func `a change to come is silent until its day`() throws {
        let line = "    changes: [{ date: 2026-12-01, joins: [FI], source: a }]\n"
        #expect(try findings(line) == [])
        #expect(try findings(line, today: Day("2026-12-01")!).count == 2)
        #expect(
            try findings("    changes: [{ date: 2026-12-01, joins: [SE], source: a }]\n").count == 1
        )
    }

    @Test func `a change without a source, a day or a place is a mistake`() {
        let atlas = SampleProject.atlas.replacing(
            "    members: [SE, IS, EE]\n",
            with:
                "    members: [SE, IS, EE]\n    changes: [{ date: soon, joins: [Nordic] }, { date: 2026-01-01, source: a }]\n"
        )
        #expect(
            SampleProject.mistakes(["Policies/atlas.yaml": atlas]) == [
                "Policies/atlas.yaml:7:15: key `source` is missing",
                "Policies/atlas.yaml:7:23: expected a day such as `2026-11-23`, found `soon`",
                "Policies/atlas.yaml:7:37: expected an ISO 3166 code, found `Nordic`",
                "Policies/atlas.yaml:7:48: expected `joins` or `leaves`",
            ])
    }
}

@Suite struct `Accepted findings` {
    private func load(_ accepted: String) throws -> ProjectConfiguration {
        var texts = `Findings about rules`.texts
        texts["Policies/law.yaml"] = texts["Policies/law.yaml"]!.replacing(
            "params: [utm_source]", with: "params: [gclid, msclkid]")
        texts["Policies/accepted.yaml"] = "accepted:\n" + accepted
        return try ProjectConfiguration.load(
            ProjectFiles(texts), layout: SampleProject.layout, now: SampleProject.today,
            linting: true)
    }

    private static let one =
        "  - { finding: identifier-in-parameter, file: Policies/law.yaml, about: gclid, reason: kept for a day }\n"

    @Test func `are no warnings, and stand with their reason`() throws {
        let project = try load(Self.one)
        #expect(project.warnings.map(\.finding) == [.identifierInParameter])
        #expect(project.warnings.allSatisfy { $0.text.contains("`msclkid`") })
        #expect(project.accepted.map(\.reason) == ["kept for a day"])
        #expect(project.accepted.map(\.problem.position.line) == [16])
        let all = try load(Self.one.replacing("about: gclid, ", with: ""))
        #expect(all.warnings == [] && all.accepted.count == 2)
    }

    @Test func `accept nothing past their day, and say so`() throws {
        let entry = Self.one.replacing(" }", with: ", until: 2026-11-22 }")
        let project = try load(entry)
        #expect(project.accepted == [])
        #expect(
            Set(project.warnings.map(\.finding)) == [.identifierInParameter, .endedAcceptance])
        #expect(try load(entry.replacing("22 }", with: "23 }")).accepted.count == 1)
    }

    @Test func `that have ended leave a finding to a later one that has not`() throws {
        let ended = Self.one.replacing(" }", with: ", until: 2026-11-22 }")
        for list in [ended + Self.one, Self.one + ended] {
            let project = try load(list)
            #expect(project.accepted.map(\.reason) == ["kept for a day"])
            #expect(
                project.warnings.compactMap(\.finding).sorted { $0.rawValue < $1.rawValue }
                    == [.endedAcceptance, .identifierInParameter])
        }
    }

    @Test func `that cover nothing are found`() throws {
        let project = try load(Self.one.replacing("gclid", with: "wbraid"))
        #expect(
            project.warnings.map(\.description).first
                == "Policies/accepted.yaml:2:5: there is no finding `identifier-in-parameter` in `Policies/law.yaml` about `wbraid`: take the entry out"
        )
        #expect(project.warnings.first?.finding == .uselessAcceptance)
    }

    @Test func `need a known finding and a reason`() {
        do {
            _ = try load(
                "  - { finding: dead-clam, file: Policies/law.yaml }\n  - { finding: useless-acceptance, file: a, reason: b }\n"
            )
            Issue.record("the mistakes were not found")
        } catch {
            let texts = (error as? ConfigurationErrors)?.problems.map(\.description) ?? []
            #expect(texts.count == 3)
            #expect(texts[0] == "Policies/accepted.yaml:2:5: key `reason` is missing")
            #expect(texts[1].hasSuffix("did you mean `dead-claim`?"))
            #expect(
                texts[2]
                    == "Policies/accepted.yaml:3:16: `useless-acceptance` cannot be accepted: mend the list"
            )
        }
    }
}
