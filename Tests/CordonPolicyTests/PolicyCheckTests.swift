import CordonModel
import Testing

@testable import CordonPolicy

@Suite struct `Policies beside one another` {
    /// Two policies for all sites, `us-states` for the group `one` and `z-coast` for the group `two`.
    private static func mistakes(_ one: String, _ two: String) -> [String] {
        let atlas =
            SampleProject.atlas + """
                  Land: { title: a, source: b, checked: 2026-01-01, members: [US] }
                  Coast: { title: a, source: b, checked: 2026-01-01, members: [US-CA, US-NV] }
                  Canada: { title: a, source: b, checked: 2026-01-01, members: [CA, MX] }

                """
        func policy(_ name: String, _ group: String) -> String {
            SampleProject.policy.replacing("policy: law", with: "policy: \(name)")
                .replacing("[Nordic, DE]", with: "[\(group)]")
        }
        return SampleProject.mistakes([
            "Policies/atlas.yaml": atlas, "Policies/us-states.yaml": policy("us-states", one),
            "Policies/z-coast.yaml": policy("z-coast", two),
        ])
    }

    @Test(arguments: [("Land", "Coast"), ("Coast", "Land")])
    func `do not claim a country in one group and a part of it in another`(
        _ one: String, _ two: String
    ) {
        #expect(
            Self.mistakes(one, two) == [
                "Policies/z-coast.yaml:4:24: policies `us-states` (Policies/us-states.yaml:4) and `z-coast` (Policies/z-coast.yaml:4) both claim `US-CA` and 1 more for site `*` at the level of groups"
            ])
    }

    @Test func `may claim a country and a part of another one`() {
        #expect(Self.mistakes("Canada", "Coast") == [])
    }

    @Test func `come by their closest site, whichever of them has it`() throws {
        func policy(_ name: String, _ places: String, _ sites: String) -> String {
            SampleProject.policy.replacing("policy: law", with: "policy: \(name)").replacing(
                "[Nordic, DE], sites: [\"*\", \"*.example.org\", shop.example.org]",
                with: "[\(places)], sites: [\(sites)]")
        }
        let rules = try SampleProject.load([
            "Policies/law.yaml": policy("law", "DE", "\"*.example.org\", b.a.example.org"),
            "Policies/near.yaml": policy("near", "DE", "\"*.a.example.org\", example.org"),
            "Policies/far.yaml": policy("far", "Nordic", "\"*\", \"*.b.a.example.org\""),
        ]).ruleSet
        let known = rules.bound(to: [RulePlace(country: "DE"), RulePlace(country: "SE")])
        func names(_ host: String) -> [String] {
            let bytes = Array(host.utf8)
            return [0, 1].map { place in
                rules.policies[
                    known.policyIndex(
                        place: place,
                        siteClass: known.siteClass(of: bytes.span, 0..<bytes.count))
                ].name
            }
        }
        #expect(names("shop.example.org") == ["law", "far"])
        #expect(names("example.org") == ["near", "far"])
        #expect(names("b.a.example.org") == ["law", "far"])
        #expect(names("c.a.example.org") == ["near", "far"])
        #expect(names("x.b.a.example.org") == ["near", "far"])
        #expect(names("a.example.org") == ["law", "far"])
        #expect(names("example.com") == ["world", "far"])
    }
}

@Suite struct `Sizes of a rule set` {
    private let law: CompiledPolicy
    private let world: CompiledPolicy

    init() throws {
        let policies = try SampleProject.load().ruleSet.policies
        law = policies[0]
        world = policies[1]
    }

    private func mistakes(_ policies: [CompiledPolicy]) -> [String] {
        let problems = ProblemList()
        PolicyChecks(problems: problems).check(policies + [world], regions: [])
        return problems.errors.sorted().map(\.description)
    }

    /// The law `count` times, at places of its own that nobody claims.
    private func copies(_ count: Int, names: Int = 0) -> [CompiledPolicy] {
        var copy = law
        (copy.claims, copy.sites) = ([], [])
        copy.fields.page?.keeping.parameters = []
        copy.fields.parameters?.keeping = (0..<names).map { "p\($0)" }
        return (1...count).map { number in
            copy.position = FilePosition(file: "Policies/law.yaml", line: number, column: 1)
            return copy
        }
    }

    @Test func `have a bound for sites`() throws {
        var law = law
        law.sites = (0..<SiteClasses.patternsMax).map { SitePattern("s\($0)")! }
        #expect(mistakes([law]) == [])
        #expect(SiteClasses(law.sites).count == SiteClasses.patternsMax + 1)
        law.sites.append(SitePattern("one-more")!)
        #expect(
            mistakes([law]) == [
                "Policies/law.yaml:1:9: more than 65535 different sites in all policies"
            ])
    }

    @Test func `have a bound for names of parameters`() {
        #expect(mistakes(copies(655, names: 100)) == [])
        #expect(
            mistakes(copies(657, names: 100)) == [
                "Policies/law.yaml:656:1: more than 65535 names of parameters in all policies"
            ])
    }

    @Test func `have a bound for policies`() {
        #expect(mistakes(copies(PolicyChecks.policiesMax - 1)) == [])
        #expect(
            mistakes(copies(PolicyChecks.policiesMax + 1)) == [
                "Policies/law.yaml:1001:1: more than 1000 policies, found 1002"
            ])
    }
}
