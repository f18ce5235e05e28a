import CordonModel
import Testing

@testable import CordonPolicy

@Suite struct `A preset of retention` {
    private static let written = "retention: { hits: 395d, fields: { user: 90d } }"
    private static let atlas =
        SampleProject.atlas + """
            retention_presets:
              two-years:
                title: Two years
                source: A gazette of years
                checked: 2026-01-01
                hits: 730d
                fields: { user: 180d, visitor: 180d, ip: 7d }

            """

    private static func files(_ law: String) -> [String: String?] {
        ["Policies/law.yaml": law, "Policies/atlas.yaml": atlas]
    }

    private func law(
        _ retention: String, without field: String? = nil
    ) throws -> CompiledPolicy {
        var text = SampleProject.policy.replacing(Self.written, with: "retention: " + retention)
        if let field {
            text = text.split(separator: "\n", omittingEmptySubsequences: false)
                .filter { !$0.hasPrefix("  \(field):") }.joined(separator: "\n")
        }
        let project = try SampleProject.load(Self.files(text))
        #expect(project.warnings == [])
        return try #require(project.ruleSet.policies.first { $0.name == "law" })
    }

    @Test func `gives its ages, and the policy says which it is`() throws {
        let retention = try law("{ preset: two-years }").retention
        #expect(retention.hitsDays == 730)
        #expect(retention.fieldDays == [.user: 180, .visitor: 180, .ip: 7])
        #expect(retention.preset?.source == "A gazette of years")
    }

    @Test func `gives way to ages that are shorter`() throws {
        let retention = try law(
            "{ preset: two-years, hits: 100d, fields: { user: 30d, page: 60d } }"
        )
        .retention
        #expect(retention.hitsDays == 100)
        // 180 days are no age of their own beside a hit that goes after 100.
        #expect(retention.fieldDays == [.user: 30, .ip: 7, .page: 60])
    }

    @Test func `gives no age to a field that is not kept`() throws {
        let retention = try law("{ preset: two-years }", without: "visitor").retention
        #expect(retention.fieldDays == [.user: 180, .ip: 7])
    }

    @Test func `decides as the same ages written out do`() throws {
        func digest(_ retention: String) throws -> String {
            try SampleProject.load(
                Self.files(
                    SampleProject.policy.replacing(Self.written, with: "retention: " + retention))
            ).ruleSet.digest
        }
        let named = try digest("{ preset: two-years }")
        #expect(
            try named
                == digest("{ hits: 730d, fields: { user: 180d, visitor: 180d, ip: 7d } }"))
        #expect(try named != digest("{ hits: 730d }"))
    }

    @Test func `is named by an explanation, with its source and its day`() throws {
        let text = SampleProject.policy.replacing(
            Self.written, with: "retention: { preset: two-years, hits: 100d }")
        let rules = try SampleProject.load(Self.files(text)).ruleSet
        let request = try SyntheticRequest(
            method: "GET", url: "https://shop.example.org/pixel.gif?consent=granted", headers: [])
        func explained(_ country: String) -> Explanation {
            rules.explain(request, at: RulePlace(country: country), on: SampleProject.today)
        }
        let law = explained("DE")
        #expect(law.retainUntil == (SampleProject.today + 100).text)
        #expect(
            law.retentionPreset
                == .init(name: "two-years", source: "A gazette of years", checked: "2026-01-01"))
        #expect(explained("US").retentionPreset == nil)
    }

    struct Mistake: CustomTestStringConvertible, Sendable {
        let retention: String
        let expected: [String]
        var testDescription: String { retention }
    }

    @Test(arguments: [
        Mistake(
            retention: "{ preset: two-year }",
            expected: [
                "Policies/law.yaml:21:22: the atlas has no `retention_presets.two-year`, did you mean `two-years`?"
            ]),
        Mistake(
            retention: "{ preset: two-years, hits: 731d }",
            expected: [
                "Policies/law.yaml:21:39: preset `two-years` lets a hit be kept for 730d at the most (A gazette of years); "
                    + "shorten it, or leave the preset out and name the source that allows it"
            ]),
        Mistake(
            retention: "{ preset: two-years, fields: { ip: 8d, referrer: 731d } }",
            expected: [
                "Policies/law.yaml:21:47: preset `two-years` lets `ip` be kept for 7d at the most (A gazette of years); "
                    + "shorten it, or leave the preset out and name the source that allows it",
                "Policies/law.yaml:21:61: `referrer` would outlive its hit, which is kept for 730d",
                "Policies/law.yaml:21:61: preset `two-years` lets `referrer` be kept for 730d at the most (A gazette of years); "
                    + "shorten it, or leave the preset out and name the source that allows it",
            ]),
        Mistake(
            retention: "{ fields: { ip: 8d } }",
            expected: ["Policies/law.yaml:21:12: key `hits` is missing"]),
    ])
    func `is refused where it is not there, or less than is asked for`(_ mistake: Mistake) {
        let text = SampleProject.policy.replacing(
            Self.written, with: "retention: " + mistake.retention)
        #expect(SampleProject.mistakes(Self.files(text)) == mistake.expected)
    }

    @Test func `is read whole or not at all`() {
        let found = SampleProject.mistakes([
            "Policies/atlas.yaml": Self.atlas.replacing(
                "    hits: 730d\n    fields: { user: 180d,", with: "    fields: { usr: 180d,")
        ])
        #expect(
            found == [
                "Policies/atlas.yaml:9:5: key `hits` is missing",
                "Policies/atlas.yaml:12:15: unknown field `usr`, did you mean `user`?",
            ])
    }
}
