import CordonModel
import Foundation
import TestSupport
import Testing

@testable import CordonPolicy

/// The repository's own folder, whose `Policies/` and `Regions/` are shipped.
let repository = ProjectLayout(root: ShippedProject.root)

@Suite struct `Shipped policies` {
    let today = Day("2026-11-29")!

    @Test func `they load without a mistake or a warning`() throws {
        let project = try ProjectConfiguration.load(repository, now: today, linting: true)
        #expect(project.warnings.map(\.description) == [])
        #expect(project.accepted.count == 0)
        #expect(project.regions.map(\.name) == ["ap-south", "eu-central", "us-east"])
        #expect(project.ruleSet.policies.count == 17)
        #expect(project.ruleSet.digest.count == 64)
    }

    @Test func `every case passes, and together they reach every branch`() throws {
        let project = try ProjectConfiguration.load(repository, now: today)
        let report = PolicyTestReport(project.cases, under: project.ruleSet, on: today) { _ in nil }
        #expect(
            report.failures.map { "\($0.policyCase.position.text): \($0.differences)" } == [])
        #expect(report.missing == [])
        #expect(report.passedCount > 50)
    }

    /// Geolocation often knows the country and not the state or province.
    @Test(arguments: [
        ("us-states", ["ccpa", "us-signal-states", "us-opt-out-states", "us-maryland"]),
        ("pipeda", ["law-25"]),
    ])
    func `what decides for a whole country is no laxer than what decides for its parts`(
        country: String, parts: [String]
    ) throws {
        let project = try ProjectConfiguration.load(repository, now: today)
        func policy(_ name: String) throws -> CompiledPolicy {
            try #require(project.ruleSet.policies.first { $0.name == name })
        }
        let whole = try policy(country)
        let places: [Decision.Place] = [.drop, .country, .subdivision]
        for part in try parts.map(policy) {
            #expect(whole.route.region == part.route.region)
            #expect(!whole.consent.absentGrants || part.consent.absentGrants)
            #expect(Set(whole.consent.signals).isSuperset(of: part.consent.signals))
            for (purpose, meaning) in part.consent.meanings {
                let own = whole.consent.meanings[purpose]
                #expect(own?.tcf == meaning.tcf && own?.basis == meaning.basis)
                let ends = Set(own?.optOuts ?? [])
                #expect(ends.isSuperset(of: meaning.optOuts), "\(purpose)")
            }
            #expect(whole.retention.hitsDays <= part.retention.hitsDays)
            for (field, days) in part.retention.fieldDays {
                #expect(whole.retention.fieldDays[field] ?? .max <= days, "\(field)")
            }
            #expect(whole.fields.kept.isSubset(of: part.fields.kept))
            let (own, other) = (whole.fields, part.fields)
            #expect(own.user?.keeping.rawValue ?? 0 <= other.user?.keeping.rawValue ?? 0)
            #expect(own.visitor?.keeping.rawValue ?? 0 <= other.visitor?.keeping.rawValue ?? 0)
            #expect(own.ip?.keeping.ipv4 ?? 0 <= other.ip?.keeping.ipv4 ?? 0)
            #expect(
                places.firstIndex(of: own.place?.keeping ?? .drop)!
                    <= places.firstIndex(of: other.place?.keeping ?? .drop)!)
        }
    }

    @Test func `the states of the packs are those of the atlas, each with law and date`() throws {
        let project = try ProjectConfiguration.load(repository, now: today)
        func places(_ name: String) -> Set<String> {
            Set(project.ruleSet.policies.filter { $0.name == name }.flatMap(\.claims).map(\.text))
        }
        let groups = project.atlas.groups
        let signal = places("us-signal-states").union(places("ccpa")).union(places("us-maryland"))
        let (binding, other) = (groups["US-signal-states"], groups["US-opt-out-states"])
        #expect(binding?.codes == signal)
        #expect(other?.codes == places("us-opt-out-states"))
        let text = try String(contentsOfFile: repository.atlasPath, encoding: .utf8)
        for state in signal.union(places("us-opt-out-states")) {
            let entry = try Regex(
                "date: 20[0-9]{2}-[0-9]{2}-[0-9]{2}, joins: \\[\(state)\\], source: \".{8}")
            #expect(text.contains(entry), "\(state)")
        }
    }
}
