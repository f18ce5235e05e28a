import Consent
import CordonModel
import Foundation
import GeoTables
import TestSupport
import Testing

@testable import CordonPolicy

@Suite struct `A compiled rule set` {
    @Test func `agrees with a naive reading of random policies on random hits`() throws {
        var generator = Generator()
        var compiled = 0
        for _ in 0..<300 {
            let project = NaiveProject(using: &generator)
            let note = "seed \(generator.seed)"
            let ruleSet: RuleSet
            do throws(ConfigurationErrors) {
                ruleSet = try ProjectConfiguration.load(
                    ProjectFiles(project.texts), layout: SampleProject.layout,
                    now: SampleProject.today
                ).ruleSet
            } catch {
                #expect(project.isAmbiguous, "\(note): \(error)")
                #expect(
                    error.problems.allSatisfy { $0.text.contains("both claim") },
                    "\(note): \(error)")
                continue
            }
            #expect(!project.isAmbiguous, "\(note)")
            compiled += 1
            for _ in 0..<30 {
                let hit = NaiveProject.hit(using: &generator)
                #expect(
                    try answer(ruleSet, hit) == project.answer(hit), "\(note): \(hit)\n\(project)")
            }
        }
        #expect(compiled > 50)
    }

    private func answer(_ ruleSet: RuleSet, _ hit: NaiveProject.Hit) throws -> NaiveProject.Answer {
        var headers: [(name: String, value: String)] = []
        if let gpc = hit.gpc { headers.append(("Sec-GPC", gpc)) }
        if let dnt = hit.dnt { headers.append(("DNT", dnt)) }
        if !hit.cookies.isEmpty {
            headers.append(("Cookie", hit.cookies.map { "k=\($0)" }.joined(separator: "; ")))
        }
        let query =
            ["site=\(hit.site)"] + hit.parameters.map { "c=\($0)" }
            + hit.strings.map { "\($0.name)=\($0.value)" }
        let request = try SyntheticRequest(
            url: "https://pixel.example/hit?" + query.joined(separator: "&"), headers: headers)
        let found = ruleSet.explain(
            request, at: RulePlace(country: hit.country, subdivision: hit.subdivision),
            on: SampleProject.today)
        return NaiveProject.Answer(
            outcome: found.outcome, region: found.region, policy: found.policy,
            consent: found.outcome == "refuse" ? "absent" : found.consent.state,
            purposes: found.consent.purposes, fields: found.fields.mapValues(\.action),
            days: found.retainUntil.flatMap { Day($0) }.map { $0 - SampleProject.today },
            sampling: found.sampleRate)
    }

    @Test func `is bound to every place of a geo table`() throws {
        let ruleSet = try SampleProject.load().ruleSet
        let rules = ruleSet.bound(to: [
            GeoPlace(country: nil), GeoPlace(country: "SE"),
            GeoPlace(country: "DE", subdivision: "DE-BY"),
            GeoPlace(country: "EU"), GeoPlace(country: nil, registeredCountry: "SE"),
        ])
        let names = (0..<rules.placeCount).map {
            rules.policies.text(rules.policyIndex(place: $0, siteClass: 0))
        }
        #expect(names == ["world", "law", "law", "world", "world"])
        #expect(rules.siteClassCount == 3)
        #expect(rules.siteClass(of: Array("x".utf8).span, nil) == 0)
    }

    @Test func `puts the place before the site`() throws {
        let other = SampleProject.policy.replacing("policy: law", with: "policy: lore")
            .replacing("[Nordic, DE]", with: "[SE]").replacing(
                "sites: [\"*\", \"*.example.org\", shop.example.org]", with: "sites: [\"*\"]")
        let ruleSet = try SampleProject.load(["Policies/lore.yaml": other]).ruleSet
        let request = try SyntheticRequest(url: "https://shop.example.org/hit", headers: [])
        let found = ruleSet.explain(request, at: RulePlace(country: "SE"), on: SampleProject.today)
        // `law` names the very host, but Sweden only by a group.
        #expect(found.policy == "lore")
    }

    @Test func `keeps nothing it understands only half`() throws {
        let ruleSet = try SampleProject.load().ruleSet
        let request = try SyntheticRequest(
            url: "https://a.example/hit?consent=granted",
            headers: [("Cookie", "a=b"), ("Cookie", "c=d")])
        let found = ruleSet.explain(request, at: RulePlace(country: "SE"), on: SampleProject.today)
        #expect(found.outcome == "count")
        #expect(found.consent.state == "invalid")
        #expect(
            found.reason.text.hasSuffix(
                "consent is invalid because a header about it stands twice, so the hit is counted and no more"
            ))
    }
}

@Suite struct `The digest of a rule set` {
    private func digest(_ changes: [String: String?] = [:]) throws -> String {
        try SampleProject.load(changes).ruleSet.digest
    }

    @Test func `does not see comments, layout, order, titles or unused groups`() throws {
        let text = SampleProject.policy.replacing("title: A law", with: "# note\n\ntitle: The law")
            .replacing("[Nordic, DE]", with: "[DE, Nordic]")
            .replacing(
                "[gpc, dnt, \"param:consent\", \"cookie:consent\"]",
                with: "['cookie:consent', dnt, gpc, 'param:consent']"
            )
            .replacing("[measuring, advertising]", with: "[advertising, measuring]")
        let atlas =
            SampleProject.atlas.replacing("[SE, IS, EE]", with: "[EE, SE, IS]")
            + "  Other: { title: a, source: b, checked: 2026-01-01, members: [BR] }\n"
        #expect(try digest(["Policies/law.yaml": text, "Policies/atlas.yaml": atlas]) == digest())
    }

    @Test(arguments: [
        ("when_absent: denied", "when_absent: granted"), ("denied: count", "denied: drop"),
        ("sampling: 12.5", "sampling: 12.4"), ("hits: 395d", "hits: 394d"),
        ("user: 90d", "user: 91d"),
        ("[Nordic, DE]", "[Nordic]"), ("[Nordic, DE]", "[Nordic, US-CA, DE]"),
        ("shop.example.org", "shop.example.com"),
        ("ipv4: 24", "ipv4: 23"), ("pseudonym: month", "pseudonym: week"),
        ("needs: measuring }", "needs: advertising }"),
        ("user_agent: family", "user_agent: drop"), ("keep: path", "keep: path, needs: measuring"),
        ("[utm_source]", "[utm_medium]"), ("[value, currency]", "[value]"), ("dnt, ", ""),
        ("min_group: 5", "min_group: 6"), ("hide: [user]", "hide: [visitor]"),
        ("min_group: 5", "min_group: 5, small_groups: other"),
        ("min_group: 5", "min_group: 5, noise: { epsilon: 0.5, budget: 9, per: day, rows: 9 }"),
        ("from: [DE]", "from: [SE]"),
        ("role: officer", "role: auditor"), ("min_group: 20", "min_group: 21"),
        ("to: [Nordic]", "to: [world]"), ("[gpc, dnt", "[gpc, tcf, dnt"),
        ("measuring: ,", "measuring: { tcf: [8] },"),
        ("measuring: ,", "measuring: { tcf: [8], basis: either },"),
        ("measuring: ,", "measuring: { tcf: [8], vendor: 12 },"),
        ("measuring: ,", "measuring: { special_features: [1] },"),
        ("measuring: ,", "measuring: { opt_outs: [] },"),
        ("measuring: ,", "measuring: { gcm: [ad_storage] },"),
        ("denied: count", "denied: count\n  max_age: 395d"),
    ])
    func `sees what decides`(_ old: String, _ new: String) throws {
        let changed = SampleProject.policy.replacing(old, with: new)
        #expect(changed != SampleProject.policy)
        #expect(try digest(["Policies/law.yaml": changed]) != digest())
    }

    @Test func `sees a group's members and a region's country`() throws {
        #expect(
            try digest(["Policies/atlas.yaml": SampleProject.atlas.replacing("IS", with: "FI")])
                != digest())
        #expect(
            try digest(["Regions/north.yaml": SampleProject.region.replacing("DE", with: "SE")])
                != digest())
    }
}

@Suite struct `An explanation` {
    private func explain(_ url: String, _ headers: [(name: String, value: String)] = []) throws
        -> Explanation
    {
        try SampleProject.load().ruleSet.explain(
            SyntheticRequest(url: url, headers: headers), at: RulePlace(country: "SE"),
            on: SampleProject.today)
    }

    @Test(arguments: [1, 7, 8, 9, 30])
    func `hears the last of many signals as the first`(_ count: Int) throws {
        let granted = Array(repeating: "consent=granted", count: count).joined(separator: "&")
        let all = try explain("https://a.example/hit?" + granted)
        #expect(all.consent.state == "granted")
        let mixed = try explain("https://a.example/hit?\(granted)&%63onsent=denied")
        #expect(mixed.consent.state == "denied")
        let cookie = try explain(
            "https://a.example/hit?" + granted, [(name: "Cookie", value: "a=b; consent=denied")])
        #expect(cookie.consent.state == "denied")
    }

    @Test func `gives each field its action, reason, file and line`() throws {
        let found = try explain("https://a.example/hit?consent=measuring")
        #expect(
            found.fields["ip"]
                == .init(action: "truncate ipv4/24 ipv6/48", reason: "kept (Policies/law.yaml:12)"))
        #expect(
            found.fields["user"]
                == .init(
                    action: "pseudonym month", reason: "kept for measuring (Policies/law.yaml:13)"))
        #expect(
            found.fields["visitor"]
                == .init(
                    action: "drop",
                    reason: "needs advertising, which is not granted (Policies/law.yaml:14)"))
        #expect(found.fields.count == FieldName.allCases.count)
        #expect(
            found.reason
                == .init(
                    file: "Policies/law.yaml", line: 4,
                    text: "policy `law` claims `Nordic` (Policies/law.yaml:4); consent is granted"))
        #expect(found.retainUntil == "2027-12-23")
        #expect(found.sampleRate == 0.125)
    }

    @Test func `says which line withholds`() throws {
        let found = try explain("https://a.example/hit", [("DNT", "1")])
        #expect(
            found.reason
                == .init(
                    file: "Policies/law.yaml", line: 10,
                    text:
                        "policy `law` claims `Nordic`; consent is denied, so the hit is counted and no more"
                ))
        #expect(
            found.fields["place"] == .init(action: "country", reason: "kept (Policies/law.yaml:18)")
        )
        #expect(
            found.fields["user"]
                == .init(action: "drop", reason: "consent is denied (Policies/law.yaml:10)"))
        #expect(
            found.consent.signals == [
                .init(signal: "gpc", state: "silent", detail: "says nothing"),
                .init(signal: "dnt", state: "denied", detail: "refuses every purpose"),
                .init(signal: "param:consent", state: "silent", detail: "says nothing"),
                .init(signal: "cookie:consent", state: "silent", detail: "says nothing"),
            ])
    }

    private func explainStrings(_ query: String) throws -> [Explanation.Signal] {
        let law = SampleProject.policy
            .replacing(
                "[gpc, dnt, \"param:consent\", \"cookie:consent\"]", with: "[tcf, gpp, usp, gcm]"
            )
            .replacing(
                "measuring: , advertising:",
                with:
                    "measuring: { tcf: [7], basis: legitimate-interest, gcm: [analytics_storage] }, advertising: { tcf: [1] }"
            )
            .replacing("denied: count", with: "denied: count\n  max_age: 3000d")
        return try SampleProject.load(["Policies/law.yaml": law]).ruleSet.explain(
            SyntheticRequest(url: "https://a.example/hit?" + query, headers: []),
            at: RulePlace(country: "SE"), on: SampleProject.today
        ).consent.signals.filter { $0.state != "silent" }
    }

    @Test func `puts each string's contribution into words`() throws {
        let text = "COoC-kUOoC-kUAHABAENAwCoAIAAAELAAAwIF5wAoAAgAGAvMACX_ABBAAQAFA"
        #expect(
            try explainStrings("gdpr_consent=\(text)") == [
                .init(
                    signal: "tcf", state: "granted",
                    detail: "allows advertising, measuring (TC string of 2019-10-07)")
            ])
        #expect(
            try explainStrings("gpp=DBACNY~\(text)~1YYN") == [
                .init(
                    signal: "gpp", state: "denied",
                    detail:
                        "refuses advertising, measuring (TC string of 2019-10-07, opted out of sale)"
                )
            ])
        #expect(
            try explainStrings("gcs=G110") == [
                .init(
                    signal: "gcm", state: "denied",
                    detail: "refuses measuring (ad_storage granted, analytics_storage denied)")
            ])
        #expect(
            try explainStrings("us_privacy=2YYN") == [
                .init(
                    signal: "usp", state: "invalid",
                    detail: "cannot be understood (a string that its specification does not allow)")
            ])
    }

    @Test func `a flag that no one filled in casts doubt on the string beside it`() throws {
        #expect(try explainStrings("gdpr=${GDPR}").map(\.state) == ["invalid"])
        #expect(try explainStrings("gdpr=1").isEmpty)
        #expect(try explainStrings("gdpr=0").isEmpty)
        #expect(try explainStrings("gpp_sid=${GPP_SID}").map(\.state) == ["invalid"])
        #expect(try explainStrings("gpp_sid=7&gpp=DBAA").map(\.state) == ["invalid"])
        #expect(try explainStrings("gpp_sid=-1&gpp=DBAA").isEmpty)
    }

    @Test func `a section named in force that is not there is a fault`() throws {
        #expect(
            try explainStrings("gpp_sid=8&gpp=DBABLA~BVVVkkkkkpFY.YA").map(\.state) == ["invalid"])
        #expect(
            try explainStrings("gpp_sid=7&gpp=DBABLA~BVVVkkkkkpFY.YA").map(\.state) == ["denied"])
        #expect(
            try explainStrings("gpp_sid=7&gpp_sid=8&gpp=DBABLA~BVVVkkkkkpFY.YA").map(\.state)
                == ["invalid"])
    }

    @Test func `what no signal or purpose brings together is warned of`() throws {
        func warnings(_ old: String, _ new: String) throws -> [String] {
            try SampleProject.load([
                "Policies/law.yaml": SampleProject.policy.replacing(old, with: new)
            ])
            .warnings.map(\.text)
        }
        #expect(try warnings("[gpc, dnt", "[tcf, gcm, dnt").count == 2)
        #expect(
            try warnings("measuring: ,", "measuring: { tcf: [8], gcm: [ad_storage] },").count == 2)
        #expect(try warnings("denied: count", "denied: count\n  max_age: 395d").count == 1)
    }

    @Test func `says what silence counts as`() throws {
        #expect(
            try explain("https://a.example/hit").reason.text
                == "policy `law` claims `Nordic`; consent is absent, which counts as denied (Policies/law.yaml:8), so the hit is counted and no more"
        )
    }
}

@Suite struct `Cases` {
    private static let text = """
        - note: right
          given: { place: SE, url: "https://a.example/hit?consent=yes" }
          expect: { outcome: keep, policy: law, region: north, purposes: [measuring, advertising], sample_rate: 0.125 }
        - note: wrong
          given: { place: unknown }
          expect: { outcome: keep, region: none, fields: { place: subdivision }, retain_days: 31, signals: [gpc] }
        - note: by address
          given: { address: 192.0.2.1 }
          expect: { policy: law }

        """

    private func report(_ place: RulePlace?) throws -> PolicyTestReport {
        let project = try SampleProject.load(["Policies/cases/all.yaml": Self.text])
        return PolicyTestReport(project.cases, under: project.ruleSet, on: SampleProject.today) {
            _ in place
        }
    }

    @Test func `say every difference and the branches that none reaches`() throws {
        let report = try report(RulePlace(country: "DE"))
        #expect(report.passedCount == 2)
        #expect(report.failures.map(\.policyCase.position.text) == ["Policies/cases/all.yaml:4"])
        #expect(
            report.failures[0].differences == [
                "outcome: expected `keep`, found `count`", "region: expected `none`, found `north`",
                "signals: expected `gpc`, found ``",
                "fields.place: expected `subdivision`, found `country`",
                "retain_days: expected `31`, found `30`",
            ])
        #expect(
            report.missing.map { "\($0.policy) \($0.name)" } == [
                "law denied", "law invalid", "world denied", "world granted", "world invalid",
            ])
    }

    @Test func `that name an address fail without a geo table`() throws {
        #expect(
            try report(nil).failures.last?.differences
                == ["the case names an address, and there is no geo table"])
    }
}

@Suite struct `Project files` {
    @Test func `are read from the project's folders`() throws {
        let directory = try TemporaryDirectory()
        let layout = ProjectLayout(root: directory.path)
        for (path, text) in SampleProject.texts { try write(text, directory.file(path)) }
        let project = try ProjectConfiguration.load(layout, now: SampleProject.today)
        #expect(try project.ruleSet.digest == SampleProject.load().ruleSet.digest)
        #expect(project.regions[0].lakeDirectory == directory.file("var/north/lake"))
        #expect(project.regions[0].collector.listen.text == "127.0.0.1:8401")
        #expect(project.regions[0].sealedColumns.isEmpty)
        #expect(project.atlas.contains(group: "Nordic", place: "SE-AB"))
        #expect(!project.atlas.contains(group: "Nordic", place: "DE"))
    }

    @Test func `that are missing are named relative to the project`() throws {
        let directory = try TemporaryDirectory()
        do throws(ConfigurationErrors) {
            _ = try ProjectConfiguration.load(
                ProjectLayout(root: directory.path), now: SampleProject.today)
            Issue.record("an empty folder is no project")
        } catch {
            #expect(
                error.problems.map(\.description) == [
                    "Policies:1:1: no policy claims `world` for every site `*`: hits from unknown places have no outcome",
                    "Policies:1:1: the folder is missing",
                    "Policies/atlas.yaml:1:1: the file is missing",
                    "Regions:1:1: the folder is missing", "Regions:1:1: there is no region",
                ])
        }
    }

    private func write(_ text: String, _ path: String) throws {
        let url = URL(fileURLWithPath: path)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }
}
