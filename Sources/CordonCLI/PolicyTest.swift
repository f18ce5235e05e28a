import CordonModel
import CordonPolicy
import GeoTables

extension Command {
    static let policyTest = Command(
        ["policy", "test"],
        summary: "run the cases of Policies/cases and report which rules they cover",
        example: "cordon policy test"
    ) { arguments, console in
        let project = try CordonCLI.configuration(arguments)
        // Only cases that name an address need the table; they say so when it is not there.
        let table = try? GeoTable(mapping: CordonCLI.project(arguments).geoTablePath)
        let report = PolicyTestReport(
            project.cases, under: project.ruleSet, on: CordonCLI.today
        ) { address in table.map { RulePlace($0.place(of: address)) } }
        if arguments.wantsJSON {
            try console.print(json: TestReport(report))
        } else {
            print(report, console)
        }
        return report.failures.isEmpty ? .done : .foundProblem
    }

    private static func print(_ report: PolicyTestReport, _ console: Console) {
        for failure in report.failures {
            console.print("\(failure.policyCase.position.text): \(failure.policyCase.note)")
            for difference in failure.differences { console.print("  \(difference)") }
        }
        let total = report.covered.count + report.missing.count
        console.print(
            "\(report.passedCount) passed, \(report.failures.count) failed; \(report.covered.count) of \(total) branches covered"
        )
        for branch in report.missing {
            console.print("  no case reaches `\(branch.policy)` with \(branch.name)")
        }
    }
}

/// The JSON of `policy test`.
private struct TestReport: Encodable {
    struct Failure: Encodable {
        var file: String
        var line: Int
        var note: String
        var differences: [String]
    }
    struct Branch: Encodable {
        var policy: String
        var branch: String
    }

    var passed: Int
    var failed: [Failure]
    var covered: [Branch]
    var missing: [Branch]

    init(_ report: PolicyTestReport) {
        passed = report.passedCount
        failed = report.failures.map {
            Failure(
                file: $0.policyCase.position.file, line: $0.policyCase.position.line,
                note: $0.policyCase.note, differences: $0.differences)
        }
        covered = report.covered.sorted().map { Branch(policy: $0.policy, branch: $0.name) }
        missing = report.missing.map { Branch(policy: $0.policy, branch: $0.name) }
    }
}
