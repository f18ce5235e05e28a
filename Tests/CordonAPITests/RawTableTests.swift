import CordonModel
import CordonPolicy
import CordonQuery
import Testing

@testable import CordonAPI
@testable import CordonLake

/// No client applies the filters and masks that a catalog asks for, so whether files are given at all is the whole of it.
@Suite struct `Files of the region's own table` {
    private static let today = Day(year: 2026, month: 11, day: 23)
    private static let everybody = PlaceSet(names: ["DE"], codes: ["DE"], isWorld: false)
    private let officer = Principal(role: "officer", purpose: "request", place: "DE")

    private func policy(
        _ name: String, region: String = "eu-central", role: String = "officer",
        see: AccessRule.Sight = .rows, hide: [String] = [], fieldDays: [FieldName: Int] = [:]
    ) -> CompiledPolicy {
        let position = FilePosition(file: "Policies/\(name).yaml", line: 1, column: 9)
        let rule = AccessRule(
            role: role, purposes: ["request"], from: Self.everybody, see: see,
            minGroup: see == .rows ? 1 : 5, hide: hide,
            position: FilePosition(file: "Policies/\(name).yaml", line: 7, column: 5))
        return CompiledPolicy(
            name: name, title: name, source: "test", position: position, claims: [], sites: [.all],
            route: .init(region: region, position: position),
            consent: .init(
                signals: [], absentGrants: false, purposes: [], denied: .count,
                position: position, absentPosition: position, deniedPosition: position),
            fields: .init(position: position),
            retention: .init(hitsDays: 395, fieldDays: fieldDays, position: position),
            sampling: .init(perMillion: 1_000_000, position: position), access: [rule],
            transfer: [])
    }

    private func file(_ day: Day = today, until: Day = today + 1) -> DataFileRef {
        DataFileRef(path: "/f", records: 1, bytes: 1, day: day, retainUntil: until)
    }

    private func decide(
        _ policies: [CompiledPolicy], _ files: [DataFileRef] = [], openErasures: Int = 0
    ) -> RawTable {
        RawTable(
            for: officer, in: "eu-central", jurisdiction: "DE", under: policies, files: files,
            openErasures: openErasures, today: Self.today)
    }

    private func why(_ table: RawTable) -> Refusal? {
        if case .refused(let refusal) = table { refusal } else { nil }
    }

    @Test func `are for whom every policy shows whole rows, and say by which rules`() {
        let others = policy("ccpa", region: "us-east", role: "nobody")
        #expect(
            decide([policy("gdpr"), policy("fadp"), others], [file()])
                == .open(["Policies/gdpr.yaml:7", "Policies/fadp.yaml:7"]))
    }

    @Test func `are for nobody who sees less than that under one of them`() throws {
        func refused(_ other: CompiledPolicy, line: Int = 7) throws -> String {
            let refusal = try #require(why(decide([policy("gdpr"), other])))
            #expect(refusal.rule == "access")
            #expect(refusal.file == "Policies/fadp.yaml" && refusal.line == line)
            return refusal.text
        }
        #expect(try refused(policy("fadp", hide: ["ip_prefix"])).contains("hides `ip_prefix`"))
        #expect(try refused(policy("fadp", role: "analyst"), line: 1).contains("none of them"))
        let aggregates = try #require(why(decide([policy("fadp", see: .aggregates)])))
        #expect(aggregates.text.contains("aggregates alone") && aggregates.line == 7)
        #expect(why(decide([policy("gdpr", role: "analyst")]))?.rule == "access")
        #expect(why(decide([])) != nil)
    }

    @Test func `are for nobody while an erasure is under way or rows are due`() {
        let policies = [policy("gdpr")]
        #expect(why(decide(policies, [file()], openErasures: 1))?.rule == "erasure")
        let due = [file(), file(until: Self.today)]
        #expect(why(decide(policies, due))?.rule == "retention")
        #expect(why(decide(policies, [file()])) == nil)
    }

    @Test func `are for nobody while a field in them is past its age`() {
        let policies = [policy("gdpr", fieldDays: [.user: 90, .ip: 7])]
        let old = why(decide(policies, [file(), file(Self.today + -7)]))
        #expect(old?.rule == "retention.fields")
        #expect(old?.text.contains("hides `ip` after 7 days") == true)
        #expect(why(decide(policies, [file(Self.today + -6)])) == nil)
    }
}
