import CordonModel
import Foundation
import Testing

@testable import CordonPolicy

/// The repository's own folder, whose `Policies/` and `Regions/` are shipped.
let repository: ProjectLayout = {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .resolvingSymlinksInPath()
    return ProjectLayout(
        root: tests.deletingLastPathComponent().deletingLastPathComponent().path)
}()

@Suite struct `Shipped policies` {
    let today = Day("2026-11-23")!

    @Test func `they load without a mistake or a warning`() throws {
        let project = try ProjectConfiguration.load(repository, now: today)
        #expect(project.warnings == [])
        #expect(project.regions.map(\.name) == ["ap-south", "eu-central", "us-east"])
        #expect(project.ruleSet.policies.count == 11)
        #expect(project.ruleSet.digest.count == 64)
    }

    @Test func `every case passes`() throws {
        let project = try ProjectConfiguration.load(repository, now: today)
        for policyCase in project.cases {
            guard case .place(let place) = policyCase.origin else {
                Issue.record("\(policyCase.note): shipped cases name places")
                continue
            }
            let found = project.ruleSet.explain(policyCase.request, at: place, on: today)
            #expect(
                policyCase.differences(from: found, on: today) == [], "\(policyCase.position.text)")
        }
    }
}
