import CordonModel
import GeoTables
import LinuxIO
import TestSupport
import Testing

@testable import CordonAuthoring
@testable import CordonPolicy

/// A geo table of comma-separated ranges.
func geoTable(_ lines: String, in directory: TemporaryDirectory) throws -> GeoTable {
    try File.write(directory.file("places.csv"), Array(lines.utf8), sync: false)
    var builder = GeoTableBuilder()
    try builder.add(.csv, path: directory.file("places.csv"))
    try builder.write(to: directory.file("places.cgt"))
    return try GeoTable(mapping: directory.file("places.cgt"))
}

@Suite struct `Difference of rule sets` {
    private let directory: TemporaryDirectory
    private let table: GeoTable
    private let texts: [String: String]

    init() throws {
        directory = try TemporaryDirectory()
        table = try geoTable(
            "1.0.0.0/24,DE\n1.0.1.0/24,FR\n1.0.2.0/23,US\n1.0.4.0/24,BR\n2a00::/32,DE\n2a01::/48,US\n",
            in: directory)
        texts = try ShippedProject.texts(cases: false)
    }

    private func difference(
        _ file: String, _ old: String, _ new: String
    ) throws -> RuleSetDifference {
        var changed = texts
        let text = try #require(texts[file])
        try #require(text.contains(old), "\(file) holds `\(old)`")
        changed[file] = text.replacing(old, with: new)
        return RuleSetDifference(
            from: try load(texts).ruleSet, to: try load(changed).ruleSet, table: table)
    }

    @Test func `a shorter retention is stricter, where the policy holds and nowhere else`() throws {
        let found = try difference("Policies/gdpr.yaml", "user: 90d", "user: 60d")
        #expect(found.strictness == .stricter)
        #expect(found.groups.count == 1)
        let group = try #require(found.groups.first)
        #expect(group.oldPolicy == "gdpr" && group.newPolicy == "gdpr")
        #expect(
            group.comparison.changes == [
                .init(
                    key: "retention.fields.user", old: "90d", new: "60d", strictness: .stricter)
            ])
        #expect(group.places.contains("DE") && group.places.contains("NO"))
        #expect(!group.places.contains("US"))
        #expect(group.addresses.ipv4 == 512)
        #expect(group.addresses.ipv6Networks == 1 << 32)
        #expect(found.changed == group.addresses)
        #expect(found.total.ipv4 == 1 << 32)
    }

    @Test func `addresses that go to another policy are compared by what the two say`() throws {
        let found = try difference("Policies/lgpd.yaml", "places: [BR]", "places: [AR]")
        let group = try #require(found.groups.first { $0.places == ["BR"] })
        #expect(group.oldPolicy == "lgpd" && group.newPolicy == "world")
        #expect(group.addresses.ipv4 == 256)
        let back = try #require(found.groups.first { $0.places == ["AR"] })
        #expect(back.oldPolicy == "world" && back.newPolicy == "lgpd")
        #expect(back.comparison.strictness == group.comparison.strictness.reversed)
        #expect(found.groups.count == 2)
    }

    @Test func `a place that no address is known of counts nevertheless`() throws {
        let found = try difference(
            "Policies/ccpa.yaml", "when_absent: granted", "when_absent: denied")
        #expect(found.strictness == .stricter)
        #expect(found.groups.map(\.places) == [["US-CA"]])
        #expect(found.changed == .init())
    }

    @Test func `another region is neither stricter nor looser, and refusing is stricter`() throws {
        let moved = try difference("Policies/appi.yaml", "region: eu-central", "region: us-east")
        #expect(moved.strictness == .mixed)
        let pipl = try #require(texts["Policies/pipl.yaml"])
        #expect(pipl.contains("route: refuse"))
        var opened = texts
        opened["Policies/pipl.yaml"] = texts["Policies/world.yaml"]!
            .replacing("policy: world", with: "policy: pipl")
            .replacing("places: [world]", with: "places: [CN]")
        let (before, after) = (try load(texts).ruleSet, try load(opened).ruleSet)
        #expect(RuleSetDifference(from: before, to: after, table: table).strictness == .looser)
        #expect(RuleSetDifference(from: after, to: before, table: table).strictness == .stricter)
    }

    @Test func `words, order and comments are no difference`() throws {
        let found = try difference("Policies/gdpr.yaml", "title: EU", "title: The EU's")
        #expect(found.strictness == .equal)
        #expect(found.groups.isEmpty)
        let split = try difference(
            "Policies/gdpr.yaml",
            "  - { role: privacy-officer, purposes: [data-subject-request], from: [EEA], see: rows }",
            """
              - { role: privacy-officer, purposes: [data-subject-request], from: [EU, EU-outermost], see: rows }
              - { role: privacy-officer, purposes: [data-subject-request], from: [IS, LI, "NO"], see: rows }
            """)
        #expect(split.strictness == .equal)
    }

    @Test func `a hit's place and site find its group`() throws {
        let found = try difference("Policies/gdpr.yaml", "user: 90d", "user: 60d")
        #expect(found.group(place: "DE", site: "shop.example") == 0)
        #expect(found.group(place: "DE-BY", site: "") == 0)
        #expect(found.group(place: "US", site: "shop.example") == nil)
        #expect(found.group(place: "ZZ", site: "shop.example") == nil)
    }
}

@Suite struct `Kept rules` {
    private let directory: TemporaryDirectory
    private let layout: ProjectLayout

    init() throws {
        directory = try TemporaryDirectory()
        layout = ProjectLayout(root: directory.path)
    }

    private func project(_ texts: [String: String]) throws -> ProjectConfiguration {
        try ProjectConfiguration.load(ProjectFiles(texts), layout: layout, now: today)
    }

    @Test func `what was in force is read again, down to its lines`() throws {
        let project = try project(ShippedProject.texts(cases: true))
        let kept = KeptRules(layout)
        let digest = try kept.keep(project)
        #expect(try kept.keep(project) == digest)
        #expect(try kept.digests() == [project.ruleSet.digest])
        #expect(try kept.digest(named: String(project.ruleSet.digest.prefix(8))) != nil)
        #expect(try kept.digest(named: String(project.ruleSet.digest.prefix(7))) == nil)
        let again = try kept.load(project.ruleSet.digest, now: today)
        #expect(again.ruleSet.policies == project.ruleSet.policies)
        #expect(again.cases.isEmpty)
    }

    @Test func `a file that cannot be read is put aside, and the rule set kept anew`() throws {
        let project = try project(PolicyDials.texts(PolicyDials.dials.map { _ in 0 }))
        let kept = KeptRules(layout)
        let digest = try kept.keep(project)
        let path = directory.file("var/rules/\(project.ruleSet.digest).json")
        try File.write(path, Array("{".utf8))
        #expect(try kept.keep(project) == digest)
        _ = try kept.load(project.ruleSet.digest, now: today)
        #expect(try kept.digests() == [project.ruleSet.digest])
        let aside = try Directory.list(directory.file("var/rules")).filter {
            $0.contains("unreadable")
        }
        #expect(aside.count == 1)
        #expect(try aside.map { try File.read(directory.file("var/rules/\($0)")) } == [[0x7B]])
    }

    @Test func `a changed, broken or missing file is refused`() throws {
        let project = try project(PolicyDials.texts(PolicyDials.dials.map { _ in 0 }))
        let kept = KeptRules(layout)
        try kept.keep(project)
        let path = directory.file("var/rules/\(project.ruleSet.digest).json")
        let text = String(decoding: try File.read(path), as: UTF8.self)
        func rewrite(_ text: String) throws { try File.write(path, Array(text.utf8)) }
        try rewrite(text.replacing("395d", with: "396d"))
        #expect(throws: KeptRules.Failure.self) {
            try kept.load(project.ruleSet.digest, now: today)
        }
        try rewrite(text.replacing("policy: law", with: "policy: lore"))
        #expect(throws: KeptRules.Failure.self) {
            try kept.load(project.ruleSet.digest, now: today)
        }
        try rewrite("{")
        #expect(throws: KeptRules.Failure.self) {
            try kept.load(project.ruleSet.digest, now: today)
        }
        #expect(throws: KeptRules.Failure.self) {
            try kept.load(String(repeating: "0", count: 64), now: today)
        }
    }
}
