import Bytes
import CordonModel
import GeoTables
import TestSupport
import Testing

@testable import CordonAuthoring
@testable import CordonPolicy

@Suite struct `Coverage by cases` {
    private func coverage(_ cases: String) throws -> RuleCoverage {
        var texts = PolicyDials.texts(PolicyDials.dials.map { _ in 0 })
        texts["Policies/cases/law.yaml"] = cases
        let project = try load(texts)
        return RuleCoverage(project.cases, under: project.ruleSet, on: today) { _ in nil }
    }

    @Test func `a case reaches the parts that it shows, and no others`() throws {
        let found = try coverage(
            "- note: n\n  given: { place: DE, url: \"https://p.example/pixel.gif?c=m\" }\n  expect: { outcome: keep }\n"
        )
        let reached = Set(found.reached.map(\.text))
        #expect(
            reached.isSuperset(of: [
                "a hit from `DE`", "a hit for the site `*`", "consent granted",
                "the signal `param:c` speaks", "the purpose `m` granted",
                "the purpose `a` not granted", "`user` kept",
            ]))
        let missing = found.missing.filter { $0.policy == "law" }.map(\.text)
        #expect(missing.contains("consent absent (`when_absent`)"))
        #expect(missing.contains("`user` dropped for what it `needs`"))
        #expect(missing.contains("the signal `tcf` speaks"))
        #expect(found.missing.contains { $0.policy == "world" && $0.text == "a hit from `world`" })
        #expect(found.missing.first { $0.text == "consent denied (`denied`)" }?.position.line == 12)
        #expect(found.percent < 60 && found.percent > 20)
    }

    @Test func `a string that is too old, a refusal and a need that is not met have parts`() throws
    {
        var settings = PolicyDials.dials.map { _ in 0 }
        settings[PolicyDials.dials.firstIndex { $0.name == "max age" }!] = 2
        var texts = PolicyDials.texts(settings)
        texts["Policies/cases/law.yaml"] = """
            - note: old
              given: { place: DE, date: 2026-11-01, url: "https://p.example/pixel.gif?gdpr_consent=CQSU_AAQSU_AAAfABBENCWFgAP_gAAAAAAYgAAoAAAAA" }
              expect: { consent: denied }
            - note: another purpose
              given: { place: DE, url: "https://p.example/pixel.gif?c=a" }
              expect: { consent: granted }
            """
        let project = try load(texts)
        let found = RuleCoverage(project.cases, under: project.ruleSet, on: today) { _ in nil }
        let reached = Set(found.reached.map(\.text))
        #expect(
            reached.isSuperset(of: [
                "a TC string older than `max_age`", "consent denied (`denied`)",
                "`user` dropped for what it `needs`",
            ]))
    }

    @Test func `a share is rounded down`() {
        #expect(RuleCoverage.percent(0, of: 0) == 100)
        #expect(RuleCoverage.percent(999, of: 1000) == 99.9)
        #expect(RuleCoverage.percent(9999, of: 10_000) == 99.9)
    }
}

@Suite struct `Borders of ranges` {
    private let directory: TemporaryDirectory
    private let table: GeoTable
    private let project: ProjectConfiguration

    init() throws {
        directory = try TemporaryDirectory()
        table = try geoTable(
            "1.0.0.0/24,DE\n1.0.1.0/24,FR\n1.0.2.0/23,US\n1.0.4.0/24,BR\n2a00::/32,DE\n2a01::/48,US\n",
            in: directory)
        project = try load(try ShippedProject.texts(cases: true))
    }

    @Test func `both evaluations agree on every border`() throws {
        let sweep = BoundarySweep(project, table: table)
        #expect(sweep.faults.isEmpty)
        // DE and FR have one policy, so there is no border between them.
        let runs = sweep.runs.filter { !$0.first.isIPv6 }
        #expect(runs.map(\.first.text) == ["0.0.0.0", "1.0.0.0", "1.0.2.0", "1.0.4.0", "1.0.5.0"])
        #expect(runs.last?.last.text == "255.255.255.255")
        #expect(sweep.borderCount == sweep.runs.count - 2)
    }

    @Test func `a lookup that is off by one is found`() throws {
        let sweep = BoundarySweep(
            project, table: table, rules: project.ruleSet.bound(to: table.places)
        ) { address in
            table.placeIndex(
                of: address.isIPv6
                    ? address : IPAddress(ipv4: UInt32(min(address.value + 1, 0xFFFF_FFFF))))
        }
        #expect(sweep.faults.contains { $0.address.text == "1.0.1.255" && $0.found == "us-states" })
        #expect(sweep.faults.allSatisfy { !$0.address.isIPv6 })
    }

    @Test func `a rule compiled to another policy is found`() throws {
        var texts = try ShippedProject.texts(cases: true)
        texts["Policies/gdpr.yaml"] = texts["Policies/gdpr.yaml"]!
            .replacing("places: [EEA]", with: "places: [DE]")
        let other = try load(texts.filter { !$0.key.contains("cases/") })
        let sweep = BoundarySweep(
            project, table: table, rules: other.ruleSet.bound(to: table.places),
            placeIndex: table.placeIndex(of:))
        #expect(sweep.faults.contains { $0.address.text == "1.0.1.255" && $0.found == "world" })
    }

    @Test func `written cases are laid out, and pass`() throws {
        let sweep = BoundarySweep(project, table: table)
        let text = sweep.cases(runsMax: 3, build: table.build)
        let bytes = Array(text.utf8)
        #expect(try PolicyLayout.format(bytes, file: "a.yaml") == bytes)
        var texts = try ShippedProject.texts(cases: true)
        texts["Policies/cases/borders.yaml"] = text
        let project = try load(texts)
        let cases = project.cases.filter { $0.position.file.hasSuffix("borders.yaml") }
        #expect(cases.count > 15)
        let report = PolicyTestReport(cases, under: project.ruleSet, on: today) { address in
            RulePlace(table.place(of: address))
        }
        #expect(report.failures.map(\.differences) == [])
        for address in ["0.255.255.255", "1.0.0.0", "1.0.1.255", "1.0.2.0"] {
            #expect(text.contains("address: \"\(address)\""), "\(address)")
        }
    }
}
