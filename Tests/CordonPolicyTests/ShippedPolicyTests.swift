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

    @Test func `every case passes, and together they reach every branch`() throws {
        let project = try ProjectConfiguration.load(repository, now: today)
        let report = PolicyTestReport(project.cases, under: project.ruleSet, on: today) { _ in nil }
        #expect(
            report.failures.map { "\($0.policyCase.position.text): \($0.differences)" } == [])
        #expect(report.missing == [])
        #expect(report.passedCount > 50)
    }
}
