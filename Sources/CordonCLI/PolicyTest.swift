import Bytes
import CordonAuthoring
import CordonModel
import CordonPolicy
import Foundation
import GeoTables
import LinuxIO

extension Command {
    static let policyTest = Command(
        ["policy", "test"],
        summary: "run the cases of Policies/cases and report which rules they cover",
        usage: "[--coverage] [--minimum PERCENT] [--boundaries [--write FILE] [--runs N]]",
        options: [
            Option(
                name: "coverage", value: nil,
                help: "also which claims, sites, signals, purposes and fields no case reaches"),
            Option(
                name: "minimum", value: "PERCENT",
                help: "end with 1 where cases reach a smaller share of these, 1 to 100"),
            Option(
                name: "boundaries", value: nil,
                help: "also decide the addresses at which the policy changes, twice over"),
            Option(
                name: "write", value: "FILE", help: "write some of these addresses as cases"),
            Option(
                name: "runs", value: "N",
                help: "written runs of each policy and address family, 1 to 100 (default: 2)"),
        ],
        example: "cordon policy test --coverage --minimum 80"
    ) { arguments, console in
        let minimum = try arguments.integer("minimum", in: 1...100)
        for name in ["write", "runs"] where arguments.has(name) && !arguments.has("boundaries") {
            throw UsageError(text: "option `--\(name)` goes with `--boundaries`")
        }
        let runs = try arguments.integer("runs", in: 1...100) ?? 2
        let project = try CordonCLI.configuration(arguments)
        // Only cases that name an address need the table; they say so when it is not there. One that is there is read.
        let tablePath = CordonCLI.project(arguments).geoTablePath
        let table =
            FileManager.default.fileExists(atPath: tablePath) ? try openGeoTable(tablePath) : nil
        let place = { (address: IPAddress) in table.map { RulePlace($0.place(of: address)) } }
        let report = PolicyTestReport(
            project.cases, under: project.ruleSet, on: CordonCLI.today, place: place)
        let coverage =
            arguments.has("coverage") || minimum != nil
            ? RuleCoverage(
                project.cases, under: project.ruleSet, on: CordonCLI.today, place: place) : nil
        let boundaries =
            arguments.has("boundaries")
            ? BoundarySweep(
                project, table: try openGeoTable(tablePath)) : nil
        if arguments.wantsJSON {
            try console.print(json: TestReport(report, coverage, boundaries))
        } else {
            print(report, console)
            if let coverage { print(coverage, project.ruleSet, console) }
            if let boundaries { print(boundaries, console) }
        }
        if let path = arguments.value("write"), let boundaries, let table {
            let cases = boundaries.cases(runsMax: runs, build: table.build)
            try File.write(
                URL(fileURLWithPath: path).standardizedFileURL.path, Array(cases.utf8),
                mode: 0o644, sync: true)
        }
        var isRight = report.failures.isEmpty && boundaries?.faults.isEmpty ?? true
        if let coverage, let minimum, coverage.percent < Double(minimum) {
            console.note("cases reach \(coverage.percent) %, less than the \(minimum) % asked for")
            isRight = false
        }
        return isRight ? .done : .foundProblem
    }

    private static func print(
        _ coverage: RuleCoverage, _ ruleSet: RuleSet, _ console: Console
    ) {
        console.print()
        console.table(
            ["policy", "reached", "parts", "%"],
            ruleSet.policies.map { policy in
                let parts = coverage.parts.filter { $0.policy == policy.name }
                let reached = parts.count { coverage.reached.contains($0) }
                return [
                    policy.name, "\(reached)", "\(parts.count)",
                    "\(RuleCoverage.percent(reached, of: parts.count))",
                ]
            })
        console.print()
        for part in coverage.missing {
            console.print("  \(part.position.text): no case shows \(part.text)")
        }
        console.print(
            "\(coverage.reached.count) of \(coverage.parts.count) parts reached, \(coverage.percent) %"
        )
    }

    private static func print(_ boundaries: BoundarySweep, _ console: Console) {
        console.print()
        for fault in boundaries.faults.prefix(faultsMax) {
            console.print(
                "  \(fault.address.text), site \(fault.site): expected `\(fault.expected)`, found `\(fault.found)`"
            )
        }
        console.print(
            "\(groupedDigits(boundaries.borderCount)) borders, \(groupedDigits(boundaries.comparisons)) decisions on their addresses compared, \(boundaries.faults.count) differ"
        )
    }

    /// Differences that are shown.
    private static let faultsMax = 20

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
    struct Coverage: Encodable {
        struct Part: Encodable {
            var policy: String
            var file: String
            var line: Int
            var text: String
        }
        var parts: Int
        var reached: Int
        var percent: Double
        var missing: [Part]
    }
    struct Boundaries: Encodable {
        struct Fault: Encodable {
            var address: String
            var site: String
            var expected: String
            var found: String
        }
        var borders: Int
        var comparisons: Int
        var faults: [Fault]
    }

    var passed: Int
    var failed: [Failure]
    var covered: [Branch]
    var missing: [Branch]
    /// Null unless asked for.
    var coverage: Coverage?
    var boundaries: Boundaries?

    init(_ report: PolicyTestReport, _ coverage: RuleCoverage?, _ boundaries: BoundarySweep?) {
        self.coverage = coverage.map { coverage in
            Coverage(
                parts: coverage.parts.count, reached: coverage.reached.count,
                percent: coverage.percent,
                missing: coverage.missing.map {
                    .init(
                        policy: $0.policy, file: $0.position.file, line: $0.position.line,
                        text: $0.text)
                })
        }
        self.boundaries = boundaries.map { sweep in
            Boundaries(
                borders: sweep.borderCount, comparisons: sweep.comparisons,
                faults: sweep.faults.map {
                    .init(
                        address: $0.address.text, site: $0.site, expected: $0.expected,
                        found: $0.found)
                })
        }
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
