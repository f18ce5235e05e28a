import AllocationCount
import Consent
import CordonModel
import Foundation
import GeoTables
import TestSupport
import Testing

@testable import CordonPolicy
@testable import CordonProof

@Suite struct `Proving the rules` {
    let fixture = ProofFixture.shared
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func `the shipped policies keep every shipped invariant for every address`() throws {
        let proof = fixture.prove(try fixture.load())
        #expect(proof.failure?.name == nil)
        #expect(proof.results.count == 6 + (try fixture.load().invariants.statements.count))
        for result in proof.results.prefix(6) {
            #expect(result.ipv4.text == "4294967296", "\(result.name)")
            #expect(result.ipv6.text == "340282366920938463463374607431768211456", "\(result.name)")
        }
        #expect(proof.results.filter(\.isVacuous).map(\.name) == [])
    }

    @Test
    func `a statement counts the addresses of its places, embedded ones by the address inside`()
        throws
    {
        let proof = fixture.prove(try fixture.load())
        let japan = try #require(proof.results.first { $0.name.hasPrefix("Japan at home") })
        #expect(japan.ipv4.text == "256")
        // Its own /32, and 256 addresses mapped, 256 behind NAT64, 256 /48s of 6to4.
        let own = UInt128(1) << 96
        let embedded = UInt128(256) + 256 + UInt128(256) << 80
        #expect(japan.ipv6.text == "\(own + embedded)")
    }

    struct Break: Sendable, CustomTestStringConvertible {
        let file: String
        let old: String
        let new: String
        let statement: String
        let place: String
        let found: String?
        var testDescription: String { "\(file): \(new)" }
    }

    static let breaks = [
        Break(
            file: "Policies/appi.yaml", old: "region: eu-central", new: "region: us-east",
            statement: "Japan at home or in an equivalent country", place: "JP",
            found: "region `us-east` (US)"),
        Break(
            file: "Policies/dpdp.yaml", old: "when_absent: denied", new: "when_absent: granted",
            statement: "silence is no consent", place: "IN", found: "outcome keep"),
        Break(
            file: "Policies/lgpd.yaml", old: "visitor: 30d", new: "visitor: 31d",
            statement: "identifiers are short-lived", place: "BR", found: "31d"),
        Break(
            file: "Policies/gdpr.yaml",
            old: "params:     { allow: [value, currency, sku], needs: audience-measurement }",
            new: "params:     { allow: [value, currency, sku] }",
            statement: "pseudonyms and parameters for measurement alone", place: "DE",
            found: "`params` kept"),
        Break(
            file: "Policies/swiss-fadp.yaml", old: "hits: 395d", new: "hits: 396d",
            statement: "kept no longer than 395d", place: "CH", found: "396d"),
        Break(
            file: "Policies/pipeda.yaml", old: "gpc, ", new: "",
            statement: "Global Privacy Control is heard", place: "CA",
            found: nil),
        Break(
            file: "Policies/ccpa.yaml", old: "pseudonym: week", new: "pseudonym: year",
            statement: "no pseudonym lasts longer than a month", place: "US-CA",
            found: "`visitor` of one year"),
        Break(
            file: "Policies/pipl.yaml", old: "places: [CN]", new: "places: [HK]",
            statement: "nothing of China is kept", place: "CN", found: "outcome count"),
    ]

    @Test(arguments: breaks)
    func `what breaks a statement is shown with the smallest range, the place and the rule's line`(
        _ item: Break
    ) throws {
        let proof = fixture.prove(try fixture.edited(item.file, item.old, item.new))
        let (name, example) = try #require(proof.failure)
        #expect(name == item.statement)
        #expect(example.place == item.place)
        #expect(item.found == nil || example.found == item.found)
        let index = try #require(ProofFixture.places.firstIndex(of: item.place))
        #expect(example.range.text == "1.0.\(index).0/24")
        #expect(example.position != nil)
        let failed = try #require(proof.results.first { $0.name == name })
        #expect(failed.violatedIPv4 > .zero)
    }

    @Test
    func `of several ranges the one with the fewest addresses is shown, and IPv4 before IPv6`()
        throws
    {
        let project = try fixture.edited(
            "Policies/appi.yaml", "region: eu-central", "region: us-east")
        let table = try ProofFixture.table(
            "2a00::/48,JP\n1.0.0.0/24,JP\n1.2.0.128/25,JP\n1.3.0.0/25,JP\n", in: directory)
        let proof = Prover(project, rules: project.ruleSet.bound(to: table.places), table: table)
            .prove()
        #expect(proof.failure?.example.range.text == "1.2.0.128/25")
        let only6 = try ProofFixture.table("2a00::/48,JP\n", in: directory)
        let other = Prover(project, rules: project.ruleSet.bound(to: only6.places), table: only6)
        #expect(other.prove().failure?.example.range.text == "2a00::/48")
    }

    /// The smaller table has every place that the larger one has.
    @Test func `memory does not grow with ranges`() throws {
        let project = try fixture.load()
        func allocations(ranges: Int) throws -> (count: UInt64, ranges: Int, cases: Int) {
            let path = directory.file("ranges-\(ranges).cgt")
            try ProofBenchmark.writeTable(ranges: ranges, to: path)
            let table = try GeoTable(mapping: path)
            let prover = Prover(
                project, rules: project.ruleSet.bound(to: table.places), table: table)
            let before = allocation_count()
            let proof = prover.prove()
            let count = allocation_count() - before
            return (count, proof.rangeCount, proof.results.reduce(0) { $0 + $1.cases })
        }
        let (small, large) = (try allocations(ranges: 100), try allocations(ranges: 30_000))
        #expect(large.ranges > 200 * small.ranges)
        #expect(large.cases == small.cases)
        // Hash tables are seeded by where they lie, so that some hundredths of a per cent come and go.
        #expect(large.count < small.count + small.count / 100)
    }

    @Test func `a table that was compiled from other policies is not what is written`() throws {
        let project = try fixture.load()
        let other = try fixture.edited("Policies/lgpd.yaml", "pseudonym: month", "pseudonym: day")
        let rules = other.ruleSet.bound(to: fixture.table.places)
        let proof = Prover(project, rules: rules, table: fixture.table).prove()
        #expect(proof.failure?.name == "as written")
        #expect(proof.failure?.example.place == "BR")
    }

    @Test func `a table that gives a place to another policy is ambiguous`() throws {
        let project = try fixture.load()
        // The same policies, laid out for places in another order.
        var places = fixture.table.places
        let japan = try #require(places.firstIndex { $0.country == "JP" })
        let brazil = try #require(places.firstIndex { $0.country == "BR" })
        places.swapAt(japan, brazil)
        let proof = Prover(
            project, rules: project.ruleSet.bound(to: places), table: fixture.table
        ).prove()
        let failed = try #require(proof.results.first { $0.name == "unambiguous" })
        #expect(failed.violatedIPv4.text == "512")
        #expect(failed.counterexample?.found.hasPrefix("compiled to `") == true)
    }

    @Test func `a site that only an invariant names is told apart`() throws {
        let invariants = """
            invariants:
              - { name: no hit of the clinic, for: { sites: ["*.clinic.example"] }, outcome_in: [refuse] }

            """
        let project = try fixture.load(["Policies/invariants.yaml": invariants])
        let (name, example) = try #require(fixture.prove(project).failure)
        #expect(name == "no hit of the clinic")
        #expect(example.site == "any.clinic.example")
    }

    @Test
    func
        `as many consents are looked at as decisions can tell apart, whatever the compiler forgot`()
        throws
    {
        var random = Generator()
        let project = try fixture.load()
        let rules = project.ruleSet.bound(to: fixture.table.places)
        let cases = ConsentCases(
            rules: rules, policies: project.ruleSet.policies,
            askedPurposes: ["audience-measurement"])
        for (index, policy) in project.ruleSet.policies.enumerated() {
            let found = cases.cases(policy: index)
            for _ in 0..<20 {
                let granted =
                    UInt32.random(in: .min ... .max, using: &random)
                    & rules.purposes(policy: index)
                let denied = UInt32.random(in: .min ... .max, using: &random)
                let readings: [SignalReading] = [
                    .granted(granted), .mixed(granted: 0, denied: denied),
                    .mixed(granted: granted & ~denied, denied: denied),
                ]
                let consent = rules.consent(
                    policy: index, reading: readings.randomElement(using: &random)!)
                let wanted = rules.decision(policy: index, consent: consent)
                let isCovered = found.contains { item in
                    var same = item.decision
                    same.consent = wanted.consent
                    return same == wanted && item.consent.state == consent.state
                }
                #expect(isCovered, "\(policy.name), purposes \(granted), seed \(random.seed)")
            }
        }
    }

    @Test func `the whole IPv6 space is counted exactly`() {
        var count = AddressCount(lessOne: .max - 1)
        #expect(count.text == "\(UInt128.max)")
        count += AddressCount(lessOne: 0)
        #expect(count.text == "340282366920938463463374607431768211456")
        #expect(count.shortText == "3.40e38")
        #expect(AddressCount(lessOne: 4_294_967_295).shortText == "4,294,967,296")
    }
}

@Suite struct `Reading invariants` {
    private func mistakes(_ text: String) -> [String] {
        do throws(ConfigurationErrors) {
            _ = try ProofFixture.shared.load(["Policies/invariants.yaml": text])
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test func `every mistake is named with its place, and with what may have been meant`() {
        let found = mistakes(
            """
            limits: { ipv4: 25 }
            invariants:
              - { name: one, for: { places: [Atlantis], consent: [granteed], lacking: [marketting] }, regoin_in: [EEA] }
              - { name: one, never_keep: [visiter], outcome_in: [kept], pseudonym_max: decade }
              - { name: two, region_in: [eu-centrall], retention_max: 2y, fields_max: { usr: 3d } }

            """)
        #expect(
            found == [
                "Policies/invariants.yaml:1:17: expected a whole number from 1 to 24, found `25`",
                "Policies/invariants.yaml:3:5: the invariant asks for nothing: expected one of `region_in`, `never_keep`, `outcome_in`, `retention_max`, `fields_max`, `truncate_at_least`, `pseudonym_max`, `hears`",
                "Policies/invariants.yaml:3:34: unknown place `Atlantis`: neither an ISO 3166 code nor a group of the atlas",
                "Policies/invariants.yaml:3:55: expected one of `absent`, `denied`, `granted`, `invalid`, found `granteed`, did you mean `granted`?",
                "Policies/invariants.yaml:3:76: unknown purpose `marketting`",
                "Policies/invariants.yaml:3:91: unknown key `regoin_in`, did you mean `region_in`?",
                "Policies/invariants.yaml:4:13: invariant `one` stands at Policies/invariants.yaml:3 already",
                "Policies/invariants.yaml:4:31: expected one of `browser`, `country`, `device`, `ip_prefix`, `language`, `os`, `page_host`, `page_path`, `params`, `referrer_host`, `subdivision`, `user`, `visitor`, found `visiter`, did you mean `visitor`?",
                "Policies/invariants.yaml:4:54: expected one of `count`, `drop`, `keep`, `refuse`, found `kept`",
                "Policies/invariants.yaml:4:76: expected one of `day`, `month`, `week`, `year`, found `decade`",
                "Policies/invariants.yaml:5:30: unknown region `eu-centrall`, did you mean `eu-central`?",
                "Policies/invariants.yaml:5:59: expected days such as `395d`, from `1d` to `3660d`, found `2y`",
                "Policies/invariants.yaml:5:77: unknown field `usr`, did you mean `user`?",
            ])
    }

    @Test func `a project without the file has the floors alone`() throws {
        let project = try ProofFixture.shared.load(["Policies/invariants.yaml": nil])
        #expect(project.invariants == .unstated)
        #expect(ProofFixture.shared.prove(project).results.count == 6)
    }
}
