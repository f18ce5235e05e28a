import Testing

@testable import CordonPolicy

/// One change to the sample project and every message that it must bring.
struct MistakeCase: CustomTestStringConvertible, Sendable {
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

    var found: [String] {
        let text = SampleProject.texts[file] ?? ""
        precondition(old.isEmpty || text.contains(old), "the sample has no `\(old)`")
        return SampleProject.mistakes([file: old.isEmpty ? new : text.replacing(old, with: new)])
    }
}

@Suite struct `Mistakes in configuration` {
    @Test func `the sample has none`() throws {
        let project = try SampleProject.load()
        #expect(project.warnings == [])
    }

    static let law = "Policies/law.yaml"
    static let region = "Regions/north.yaml"
    static let atlas = "Policies/atlas.yaml"
    static let cases = "Policies/cases/law.yaml"

    @Test(arguments: [
        MistakeCase(
            law, "fields:\n", "feilds:\n",
            "Policies/law.yaml:1:1: key `fields` is missing",
            "Policies/law.yaml:11:1: unknown key `feilds`, did you mean `fields`?"),
        MistakeCase(
            law, "policy: law", "policy: Law",
            "Policies/law.yaml:1:9: expected a name of 1 to 40 lowercase letters, digits and hyphens that begins with a letter, found `Law`"
        ),
        MistakeCase(
            law, "policy: law", "policy: lore",
            "Policies/law.yaml:1:9: policy `lore` stands in a file of another name, `law.yaml`"),
        MistakeCase(
            law, "title: A law", "title:",
            "Policies/law.yaml:2:7: expected text, found nothing"),
        MistakeCase(law, "", "- a\n", "Policies/law.yaml:1:1: expected a mapping, found a list"),
        MistakeCase(law, "", "", "Policies/law.yaml:1:1: the file is empty"),
        MistakeCase(
            law, "[Nordic, DE]", "[Nordik, DE]",
            "Policies/law.yaml:4:24: unknown place `Nordik`: neither an ISO 3166 code nor a group of the atlas, did you mean `Nordic`?"
        ),
        MistakeCase(
            law, "[Nordic, DE]", "[wrld]",
            "Policies/law.yaml:4:24: unknown place `wrld`: neither an ISO 3166 code nor a group of the atlas, did you mean `world`?"
        ),
        MistakeCase(
            law, "[Nordic, DE]", "[XX]",
            "Policies/law.yaml:4:24: unknown place `XX`: neither an ISO 3166 code nor a group of the atlas"
        ),
        MistakeCase(
            law, "[Nordic, DE]", "[US-ZZ]",
            "Policies/law.yaml:4:24: `US-ZZ` is no subdivision of ISO 3166-2"),
        MistakeCase(
            law, "[Nordic, DE]", "[QQ-A]",
            "Policies/law.yaml:4:24: `QQ-A` is in no country of ISO 3166-1"),
        MistakeCase(
            law, "[Nordic, DE]", "[DE, DE]",
            "Policies/law.yaml:4:28: `DE` stands twice in the list"),
        MistakeCase(
            law, "[Nordic, DE]", "[]", "Policies/law.yaml:4:23: expected at least one place"),
        MistakeCase(
            law, "[Nordic, DE]", "DE", "Policies/law.yaml:4:23: expected a list, found `DE`"),
        MistakeCase(
            law, "shop.example.org", "Shop.example.org",
            "Policies/law.yaml:4:67: expected a site such as `example.org`, `*.example.org` or `*` in lowercase, found `Shop.example.org`"
        ),
        MistakeCase(
            law, "shop.example.org", "\"shop.*\"",
            "Policies/law.yaml:4:67: expected a site such as `example.org`, `*.example.org` or `*` in lowercase, found `shop.*`"
        ),
        MistakeCase(
            law, "region: north", "region: nroth",
            "Policies/law.yaml:5:18: unknown region `nroth`, did you mean `north`?"),
        MistakeCase(
            law, "away: refuse", "away: seal",
            "Policies/law.yaml:5:31: `seal` is not supported by this version, only `refuse` is"),
        MistakeCase(
            law, "route: { region: north, away: refuse }", "route: north",
            "Policies/law.yaml:5:8: expected `refuse` or a mapping with `region`, found `north`"),
        MistakeCase(
            law, "route: { region: north, away: refuse }", "route: refuse",
            "Policies/law.yaml:7:3: `consent` has no meaning where `route: refuse` keeps nothing",
            "Policies/law.yaml:12:3: `fields` has no meaning where `route: refuse` keeps nothing",
            "Policies/law.yaml:21:12: `retention` has no meaning where `route: refuse` keeps nothing",
            "Policies/law.yaml:22:11: `sampling` has no meaning where `route: refuse` keeps nothing",
            "Policies/law.yaml:24:3: `access` has no meaning where `route: refuse` keeps nothing",
            "Policies/law.yaml:27:3: `transfer` has no meaning where `route: refuse` keeps nothing"),
        MistakeCase(
            law, "[gpc, dnt,", "[tfc, gpp, usp,",
            "Policies/law.yaml:7:13: unknown signal `tfc`, expected `gpc`, `dnt`, `tcf`, `gpp`, `usp`, `gcm`, `param:NAME` or `cookie:NAME`, did you mean `tcf`?"
        ),
        MistakeCase(
            law, "[gpc, dnt,", "[gpx, \"param:a b\",",
            "Policies/law.yaml:7:13: unknown signal `gpx`, expected `gpc`, `dnt`, `tcf`, `gpp`, `usp`, `gcm`, `param:NAME` or `cookie:NAME`, did you mean `gpc`?",
            "Policies/law.yaml:7:18: expected a name of 1 to 64 letters, digits, `.`, `_` and `-` after `param:`, found `a b`"
        ),
        MistakeCase(
            law, "when_absent: denied", "when_absent: deny",
            "Policies/law.yaml:8:16: expected one of `granted`, `denied`, found `deny`"
        ),
        MistakeCase(
            law, "measuring: ,", "measuring: { tcf: [12, 8, 8, x], special_features: [3] },",
            "Policies/law.yaml:9:34: unknown TCF purpose 12: they are 1 to 11",
            "Policies/law.yaml:9:41: 8 stands twice in the list",
            "Policies/law.yaml:9:44: expected the number of a TCF purpose, found `x`",
            "Policies/law.yaml:9:67: unknown special feature 3: they are 1 to 2"),
        MistakeCase(
            law, "measuring: ,",
            "measuring: { tcf: [3, 8], basis: legitimate-interest, vendor: 0 },",
            "Policies/law.yaml:9:48: TCF purpose 3 cannot rest on legitimate interest",
            "Policies/law.yaml:9:77: expected the number of a vendor or `publisher`, found `0`"),
        MistakeCase(
            law, "measuring: ,",
            "measuring: { basis: agreement, opt_outs: [sales], gcm: [], gpp: 1 },",
            "Policies/law.yaml:9:35: `basis` has no meaning without `tcf`",
            "Policies/law.yaml:9:35: expected one of `consent`, `legitimate-interest`, `either`, found `agreement`",
            "Policies/law.yaml:9:57: unknown opt-out `sales`, did you mean `sale`?",
            "Policies/law.yaml:9:70: expected at least one signal of consent mode",
            "Policies/law.yaml:9:74: unknown key `gpp`"),
        MistakeCase(
            law, "denied: count", "denied: count\n  max_age: 13 months",
            "Policies/law.yaml:11:12: expected days such as `395d`, from `1d` to `3660d`, found `13 months`"
        ),
        MistakeCase(
            law, "advertising: }", "advertising: , granted: }",
            "Policies/law.yaml:9:43: `granted` has a meaning of its own and cannot name a purpose"),
        MistakeCase(
            law, "denied: count", "denied: keep",
            "Policies/law.yaml:12:7: `denied: keep` keeps `ip` without consent: say which purpose it `needs`"
        ),
        MistakeCase(
            law, "ipv4: 24, ipv6: 48", "ipv4: 25, ipv6: 64",
            "Policies/law.yaml:12:27: 25 bits say more than the floor of this version lets: at most 24",
            "Policies/law.yaml:12:37: 64 bits say more than the floor of this version lets: at most 48"
        ),
        MistakeCase(
            law, "ipv4: 24, ipv6: 48", "ipv4: x",
            "Policies/law.yaml:12:19: key `ipv6` is missing",
            "Policies/law.yaml:12:27: expected a whole number from 1 to 128, found `x`"),
        MistakeCase(
            law, "ip: { truncate: { ipv4: 24, ipv6: 48 } }", "ip: keep",
            "Policies/law.yaml:12:7: expected `drop` or a mapping with `truncate`, found `keep`"),
        MistakeCase(
            law, "user: { pseudonym: month, needs: measuring }", "user: { pseudonym: month }",
            "Policies/law.yaml:13:9: `user` identifies a person: say which purpose it `needs`"),
        MistakeCase(
            law, "user: { pseudonym: month, needs: measuring }",
            "user: { pseudonym: decade, needs: mesuring }",
            "Policies/law.yaml:13:22: expected one of `day`, `week`, `month`, `year`, found `decade`",
            "Policies/law.yaml:13:37: unknown purpose `mesuring`, did you mean `measuring`?"),
        MistakeCase(
            law, "user_agent: family", "user_agent: raw",
            "Policies/law.yaml:15:15: expected one of `family`, `drop`, found `raw`"),
        MistakeCase(
            law, "page: { keep: path, params: [utm_source] }",
            "page: { keep: host, params: [utm_source] }",
            "Policies/law.yaml:16:31: `params` has no meaning where the page's host is kept alone"),
        MistakeCase(
            law, "place: country\n  lang", "place: county\n  lang",
            "Policies/law.yaml:18:10: expected one of `subdivision`, `country`, `drop`, found `county`, did you mean `country`?"
        ),
        MistakeCase(
            law, "[value, currency]", "[value, userid]",
            "Policies/law.yaml:20:28: `userid` has a column of its own and is not kept as it comes"),
        MistakeCase(
            law, "hits: 395d", "hits: 395",
            "Policies/law.yaml:21:20: expected days such as `395d`, from `1d` to `3660d`, found `395`"
        ),
        MistakeCase(
            law, "{ user: 90d }", "{ user: 400d, uesr: 1d }",
            "Policies/law.yaml:21:42: `user` would outlive its hit, which is kept for 395d",
            "Policies/law.yaml:21:48: unknown field `uesr`, did you mean `user`?"),
        MistakeCase(
            law, "sampling: 12.5", "sampling: 0",
            "Policies/law.yaml:22:11: expected a percentage above 0 and up to 100, found `0`"),
        MistakeCase(
            law, "sampling: 12.5", "sampling: 100.1",
            "Policies/law.yaml:22:11: expected a percentage above 0 and up to 100, found `100.1`"),
        MistakeCase(
            law, "purposes: [measuring]", "purposes: [marketing]",
            "Policies/law.yaml:24:33: unknown purpose `marketing`"),
        MistakeCase(
            law, "see: aggregates, min_group: 5", "see: aggregates",
            "Policies/law.yaml:24:5: key `min_group` is missing"),
        MistakeCase(
            law, "min_group: 5", "min_group: 1",
            "Policies/law.yaml:24:89: expected a whole number from 2 to 1000000, found `1`"),
        MistakeCase(
            law, "from: [DE], see: rows", "from: [DE], see: rows, min_group: 5",
            "Policies/law.yaml:25:90: `min_group` has no meaning where rows are seen"),
        MistakeCase(
            law, "min_group: 5",
            "min_group: 5, noise: { epsilon: 0.5, budget: 0.4, per: day, rows: 9 }",
            "Policies/law.yaml:24:123: the budget is below the epsilon of one count"),
        MistakeCase(
            law, "from: [DE], see: rows", "from: [DE], see: rows, small_groups: other",
            "Policies/law.yaml:25:93: `small_groups` has no meaning where rows are seen"),
        MistakeCase(
            law, "hide: [user]", "hide: [usr, ts]",
            "Policies/law.yaml:24:99: unknown column `usr`, did you mean `user`?",
            "Policies/law.yaml:24:104: column `ts` is always shown"),
        MistakeCase(
            law, "to: [Nordic], see: aggregates", "to: [Nordic], see: rows",
            "Policies/law.yaml:27:26: rows do not cross a border, only `aggregates` do"),

        MistakeCase(
            region, "region: north", "region: south",
            "Regions/north.yaml:1:9: region `south` stands in a file of another name, `north.yaml`"),
        MistakeCase(
            region, "jurisdiction: DE", "jurisdiction: UK",
            "Regions/north.yaml:3:15: expected a country code of ISO 3166-1 such as `DE`, found `UK`"
        ),
        MistakeCase(
            region, "node: local", "node: https://collector.example:8443",
            "Regions/north.yaml:4:7: expected `local`, found `https://collector.example:8443`: other nodes are not supported by this version"
        ),
        MistakeCase(
            region, "node: local", "service: { listen: \"192.0.2.1:443\" }\nseal_key: x",
            "Regions/north.yaml:4:20: tokens would cross the network in the clear: give `tls`, or listen on loopback behind a proxy that has it",
            "Regions/north.yaml:5:1: `seal_key` is not supported by this version"),
        MistakeCase(
            region, "\"127.0.0.1:8401\"", "localhost",
            "Regions/north.yaml:5:22: expected an address and port such as `127.0.0.1:8401` or `[::1]:8401`, found `localhost`"
        ),
        MistakeCase(
            law, "allow: [value, currency]", "allow: [value, UserID, event_id, Site]",
            "Policies/law.yaml:20:28: `UserID` has a column of its own and is not kept as it comes",
            "Policies/law.yaml:20:36: `event_id` tells one event from another and is not kept",
            "Policies/law.yaml:20:46: `Site` has a column of its own and is not kept as it comes"),
        MistakeCase(
            "Policies/invariants.yaml", "",
            "invariants:\n  - { name: a, truncate_at_least: {} }\n  - { name: b, fields_max: {} }\n",
            "Policies/invariants.yaml:2:35: expected at least one of `ipv4` and `ipv6`",
            "Policies/invariants.yaml:3:28: expected at least one field"),
        MistakeCase(
            region, "[127.0.0.0/8]", "[127.0.0.1/8]",
            "Regions/north.yaml:5:58: expected addresses such as `127.0.0.0/8` without bits beyond the length, found `127.0.0.1/8`"
        ),
        MistakeCase(
            region, "trusted_proxies: [127.0.0.0/8], ", "",
            "Regions/north.yaml:5:56: `x-forwarded-for` is only read from trusted proxies: name them in `trusted_proxies`"
        ),
        MistakeCase(
            region, "client_address: x-forwarded-for", "limits: { connections_per_address: 0 }",
            "Regions/north.yaml:5:107: expected a whole number from 1 to 60000, found `0`"),
        MistakeCase(
            region, "client_address: x-forwarded-for",
            "limits: { requests_per_second_per_address: fast }",
            "Regions/north.yaml:5:115: expected a whole number from 1 to 1000000, found `fast`"),
        MistakeCase(
            region, "client_address: x-forwarded-for", "limits: { connection_per_address: 5 }",
            "Regions/north.yaml:5:82: unknown key `connection_per_address`, did you mean `connections_per_address`?"
        ),
        MistakeCase(
            region, "node: local", "node: local\nmaintenance: { orphan_hours: 0 }",
            "Regions/north.yaml:5:30: expected a whole number from 1 to 8760, found `0`"),
        MistakeCase(
            region, "node: local",
            "node: local\nmaintenance: { small_megabytes: 64, file_megabytes: 32 }",
            "Regions/north.yaml:5:33: a small file, below 64 MB, would be larger than what files are made one up to, `file_megabytes: 32`"
        ),
        MistakeCase(
            region, "node: local",
            "node: local\nlake: { location: \"file:a\", sealed: [page_path, country, visitor, pagepath] }",
            "Regions/north.yaml:5:49: `country` cannot be sealed, since hits are found, counted, routed or ended by it; what can be is page_host, page_path, referrer_host, browser, os, device, language, params",
            "Regions/north.yaml:5:58: `visitor` cannot be sealed, since hits are found, counted, routed or ended by it; what can be is page_host, page_path, referrer_host, browser, os, device, language, params",
            "Regions/north.yaml:5:67: the table has no column `pagepath`, did you mean `page_path`?; what can be is page_host, page_path, referrer_host, browser, os, device, language, params"
        ),
        MistakeCase(
            region, "node: local", "node: local\nlake: { location: \"file:a\", sealed: params }",
            "Regions/north.yaml:5:37: expected a list, found `params`"),
        MistakeCase(
            region, "client_address: x-forwarded-for", "tls: {}",
            "Regions/north.yaml:5:77: key `certificate` is missing",
            "Regions/north.yaml:5:77: key `key` is missing"),
        MistakeCase(
            region, "client_address: x-forwarded-for",
            "tls: { certificate: ../a.crt, key: a.key, client_ca: [b], minimum: 1.1, ciphers: x }",
            "Regions/north.yaml:5:92: expected a path without `..`, found `../a.crt`",
            "Regions/north.yaml:5:125: expected text, found a list",
            "Regions/north.yaml:5:139: expected one of `1.2`, `1.3`, found `1.1`, did you mean `1.2`?",
            "Regions/north.yaml:5:144: unknown key `ciphers`"),
        MistakeCase(
            region, "node: local",
            "lake: { location: \"s3://bucket\" }\ncatalog: { store: \"postgresql://db\" }\nengine: { driver: adbc }\nkeys: { directory: ../keys }",
            "Regions/north.yaml:4:19: `s3:` is not supported by this version, only `file:` is",
            "Regions/north.yaml:5:19: `postgresql:` is not supported by this version, only `sqlite:` is",
            "Regions/north.yaml:6:19: `adbc` is not supported by this version, only `duckdb` is",
            "Regions/north.yaml:7:20: expected a path without `..`, found `../keys`"),

        MistakeCase(
            atlas, "[SE, IS, EE]", "[SE, IX, Nordik]",
            "Policies/atlas.yaml:6:19: unknown member `IX`: neither an ISO 3166 code nor a group",
            "Policies/atlas.yaml:6:23: unknown member `Nordik`: neither an ISO 3166 code nor a group, did you mean `Nordic`?"
        ),
        MistakeCase(
            atlas, "[SE, IS, EE]", "[SE, Nordic]",
            "Policies/atlas.yaml:6:19: groups form a circle: `Nordic` in `Nordic`"),
        MistakeCase(
            atlas, "checked: 2026-01-01", "checked: 2026-02-30",
            "Policies/atlas.yaml:5:14: expected a day such as `2026-11-23`, found `2026-02-30`"),
        MistakeCase(
            atlas, "  Nordic:",
            "  SE: { title: a, source: b, checked: 2026-01-01, members: [NO] }\n  Nordic:",
            "Policies/atlas.yaml:2:3: `SE` is a place of its own and cannot name a group"),
        MistakeCase(
            atlas, "groups:", "groups: &a",
            "Policies/atlas.yaml:1:9: anchors are not supported"),

        MistakeCase(
            cases, "",
            "- { note: n, given: { place: DE, method: [POST] }, expect: { outcome: keep } }\n",
            "Policies/cases/law.yaml:1:42: expected text, found a list"),
        MistakeCase(
            cases, "",
            "- { note: n, given: { place: DE, method: POST }, expect: { outcome: keep } }\n",
            "Policies/cases/law.yaml:1:21: only `GET` and `HEAD` are explained, found `POST`"),
        MistakeCase(
            cases, "", "- { note: n, given: { site: a.b }, expect: { outcome: kept } }\n",
            "Policies/cases/law.yaml:1:21: expected either `place` or `address`",
            "Policies/cases/law.yaml:1:55: expected an outcome, found `kept`"),
        MistakeCase(
            cases, "",
            "- { note: n, given: { place: EU }, expect: { policy: lwa, region: nrth, fields: { usr: drop } } }\n",
            "Policies/cases/law.yaml:1:30: expected an ISO 3166 code such as `DE` or `US-CA`, or `unknown`, found `EU`",
            "Policies/cases/law.yaml:1:54: expected a policy, found `lwa`, did you mean `law`?",
            "Policies/cases/law.yaml:1:67: expected a region, found `nrth`, did you mean `north`?",
            "Policies/cases/law.yaml:1:83: unknown field `usr`, did you mean `user`?"),
    ])
    func `each is named with its place and what was meant`(_ mistake: MistakeCase) {
        #expect(mistake.found == mistake.expected)
    }

    @Test func `those of all files come at once, sorted by file and position`() {
        let found = SampleProject.mistakes([
            "Policies/law.yaml": SampleProject.policy.replacing(
                "sampling: 12.5", with: "sampling: x"
            )
            .replacing("title: A law", with: "titel: A law"),
            "Regions/north.yaml": SampleProject.region.replacing("DE", with: "XX"),
            "Policies/extra.yaml": "a: [\n",
        ])
        #expect(
            found == [
                "Policies/extra.yaml:2:1: did not find expected node content",
                "Policies/law.yaml:1:1: key `title` is missing",
                "Policies/law.yaml:2:1: unknown key `titel`, did you mean `title`?",
                "Policies/law.yaml:22:11: expected a percentage above 0 and up to 100, found `x`",
                "Regions/north.yaml:3:15: expected a country code of ISO 3166-1 such as `DE`, found `XX`",
            ])
    }

    @Test func `two policies that claim one place and site at one level are both named`() {
        let other = SampleProject.policy.replacing("policy: law", with: "policy: lore")
            .replacing("[Nordic, DE]", with: "[DE, FR]").replacing(
                "sites: [\"*\", ", with: "sites: [")
        #expect(
            SampleProject.mistakes(["Policies/lore.yaml": other]) == [
                "Policies/lore.yaml:4:24: policies `law` (Policies/law.yaml:4) and `lore` (Policies/lore.yaml:4) both claim `DE` for site `*.example.org` at the level of countries"
            ])
    }

    @Test func `groups of different size are one level`() {
        let atlas =
            SampleProject.atlas + """
                  Small: { title: a, source: b, checked: 2026-01-01, members: [SE, EE] }

                """
        let other = SampleProject.policy.replacing("policy: law", with: "policy: lore")
            .replacing("[Nordic, DE]", with: "[Small]")
        #expect(
            SampleProject.mistakes(["Policies/lore.yaml": other, "Policies/atlas.yaml": atlas]) == [
                "Policies/lore.yaml:4:24: policies `law` (Policies/law.yaml:4) and `lore` (Policies/lore.yaml:4) both claim `EE` and 1 more for site `*` at the level of groups"
            ])
    }

    @Test func `a project without a default for the world does not load`() {
        #expect(
            SampleProject.mistakes(["Policies/world.yaml": nil]) == [
                "Policies:1:1: no policy claims `world` for every site `*`: hits from unknown places have no outcome"
            ])
        #expect(
            SampleProject.mistakes([
                "Policies/world.yaml": SampleProject.world.replacing(
                    "[world]", with: "[world], sites: [a.example]")
            ]).count == 1)
    }

    @Test func `missing and foreign files are named`() {
        #expect(
            SampleProject.mistakes([
                "Policies/atlas.yaml": nil, "Policies/invariants.yaml": "[]",
                "Policies/law.yml": "",
            ]) == [
                "Policies/atlas.yaml:1:1: the file is missing",
                "Policies/invariants.yaml:1:1: expected a mapping, found a list",
                "Policies/law.yml:1:1: the file is not read: its name must end in `.yaml`",
            ])
    }

    @Test func `regions share neither a port nor a folder`() {
        let other =
            SampleProject.region.replacing("region: north", with: "region: south")
            + "lake: { location: \"file:var/north/lake\" }\n"
        #expect(
            SampleProject.mistakes(["Regions/south.yaml": other]) == [
                "Regions/south.yaml:1:1: region `south` keeps files where `north` does: a region shares nothing",
                "Regions/south.yaml:1:1: region `south` listens on 127.0.0.1:8401, as region `north` does",
            ])
    }

    @Test func `more than 32 purposes are refused`() {
        let many = (0..<33).map { "p\($0): " }.joined(separator: ", ")
        let text = SampleProject.world.replacing("{ measuring: }", with: "{ \(many) }")
        #expect(
            SampleProject.mistakes(["Policies/world.yaml": text]) == [
                "Policies/world.yaml:6:10: more than 32 different purposes in all policies"
            ])
    }
}

@Suite struct `Warnings about configuration` {
    private func warnings(_ changes: [String: String?]) throws -> [String] {
        try SampleProject.load(changes).warnings.map(\.description)
    }

    @Test func `an atlas group that was not checked for a year`() throws {
        let atlas = SampleProject.atlas.replacing("2026-01-01", with: "2025-01-01")
        #expect(
            try warnings(["Policies/atlas.yaml": atlas]) == [
                "Policies/atlas.yaml:5:14: last checked on 2025-01-01, more than a year ago"
            ])
    }

    @Test func `an empty group, a repeated member and a territory in no group`() throws {
        let atlas =
            SampleProject.atlas + """
                  Empty: { title: a, source: b, checked: 2026-01-01, members: [] }
                  More: { title: a, source: b, checked: 2026-01-01, members: [SE, Nordic, FI] }

                """
        let found = try warnings(["Policies/atlas.yaml": atlas])
        #expect(
            found.filter { !$0.contains("in no group") } == [
                "Policies/atlas.yaml:7:3: group `Empty` has no member",
                "Policies/atlas.yaml:8:67: `SE` is in the group already",
            ])
        #expect(
            found.filter { $0.contains("in no group") } == [
                "Policies/atlas.yaml:1:1: `AX` is in no group, though `FI`, which it belongs to, is"
            ])
    }

    @Test func `a field with an age that is not kept, and a region without hits`() throws {
        let text = SampleProject.world.replacing(
            "hits: 30d", with: "hits: 30d, fields: { user: 1d }")
        let other = SampleProject.region.replacing("region: north", with: "region: south")
            .replacing("8401", with: "0")
        #expect(
            try warnings(["Policies/world.yaml": text, "Regions/south.yaml": other]) == [
                "Policies/world.yaml:8:35: `user` is not kept, so it has no age",
                "Regions/south.yaml:1:1: no policy keeps hits in region `south`",
            ])
    }
}
