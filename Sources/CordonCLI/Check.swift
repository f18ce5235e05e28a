import CordonModel
import CordonPolicy
import CordonServer
import LinuxIO
import TLS

extension Command {
    static let check = Command(
        ["check"],
        summary: "validate regions, policies, atlas, invariants and cases; lint",
        options: [
            .init(
                name: "strict", value: nil,
                help: "end with 1 on findings too, unless Policies/accepted.yaml accepts them")
        ],
        example: "cordon check --project my-project"
    ) { arguments, console in
        let loaded: Result<CheckedProject, ConfigurationErrors>
        do throws(ConfigurationErrors) {
            loaded = .success(try CheckedProject(CordonCLI.project(arguments)))
        } catch {
            loaded = .failure(error)
        }
        switch loaded {
        case .success(let project):
            try report(project, arguments, console)
            return arguments.has("strict") && !project.warnings.isEmpty ? .foundProblem : .done
        case .failure(let errors):
            try report(errors, arguments, console)
            return .foundProblem
        }
    }

    private static func report(
        _ errors: ConfigurationErrors, _ arguments: Arguments, _ console: Console
    ) throws {
        for warning in errors.warnings { note(warning, console) }
        if arguments.wantsJSON {
            try console.print(json: CheckReport(errors: errors.problems, warnings: errors.warnings))
        } else {
            for problem in errors.problems { console.print(problem.description) }
            console.note(count(errors.problems.count, "mistake"))
        }
    }

    private static func report(
        _ checked: CheckedProject, _ arguments: Arguments, _ console: Console
    ) throws {
        let project = checked.project
        for warning in checked.warnings { note(warning, console) }
        if arguments.wantsJSON {
            try console.print(json: CheckReport(checked))
        } else {
            let regions = count(project.regions.count, "region")
            let policies = count(project.ruleSet.policies.count, "policy", "policies")
            console.print("ok: \(regions), \(policies), rule set \(project.ruleSet.digest)")
            if !project.accepted.isEmpty {
                console.print(
                    "\(count(project.accepted.count, "finding")) accepted in Policies/accepted.yaml"
                )
            }
        }
    }

    /// A finding with the word by which it can be accepted.
    private static func note(_ warning: ConfigurationProblem, _ console: Console) {
        let word = warning.finding.map { " [\($0.rawValue)]" } ?? ""
        console.note("warning: \(warning.description)\(word)")
    }

    private static func count(_ number: Int, _ noun: String, _ plural: String? = nil) -> String {
        "\(number) \(number == 1 ? noun : plural ?? noun + "s")"
    }
}

/// A configuration without mistakes, in its files and in the certificates that they name.
private struct CheckedProject {
    let project: ProjectConfiguration
    let warnings: [ConfigurationProblem]

    init(_ layout: ProjectLayout) throws(ConfigurationErrors) {
        let now = Timestamp(microseconds: SystemClock.realtimeMicroseconds())
        project = try ProjectConfiguration.load(layout, now: Day(now), linting: true)
        let certificates = CollectorCertificates(
            project.regions, now: now, tickets: TicketKeys(at: 0))
        _ = try certificates.usable()
        warnings = (project.warnings + certificates.warnings).sorted()
    }
}

/// The JSON of `check`.
private struct CheckReport: Encodable {
    struct Problem: Encodable {
        var file: String
        var line: Int
        var column: Int
        var text: String
        /// The word by which a finding can be accepted; absent for mistakes.
        var finding: String?

        init(_ problem: ConfigurationProblem) {
            file = problem.position.file
            line = problem.position.line
            column = problem.position.column
            text = problem.text
            finding = problem.finding?.rawValue
        }
    }

    struct Accepted: Encodable {
        var file: String
        var line: Int
        var finding: String?
        var text: String
        var reason: String

        init(_ accepted: AcceptedFinding) {
            file = accepted.problem.position.file
            line = accepted.problem.position.line
            finding = accepted.problem.finding?.rawValue
            text = accepted.problem.text
            reason = accepted.reason
        }
    }

    var ok: Bool
    var regions: [String]
    var policies: [String]
    var ruleSet: String?
    var errors: [Problem]
    var warnings: [Problem]
    var accepted: [Accepted]

    private enum CodingKeys: String, CodingKey {
        case ok, regions, policies, errors, warnings, accepted
        case ruleSet = "rule_set"
    }

    init(_ checked: CheckedProject) {
        let project = checked.project
        ok = true
        regions = project.regions.map(\.name)
        policies = project.ruleSet.policies.map(\.name)
        ruleSet = project.ruleSet.digest
        errors = []
        warnings = checked.warnings.map(Problem.init)
        accepted = project.accepted.map(Accepted.init)
    }

    init(errors: [ConfigurationProblem], warnings: [ConfigurationProblem]) {
        ok = false
        regions = []
        policies = []
        self.errors = errors.map(Problem.init)
        self.warnings = warnings.map(Problem.init)
        accepted = []
    }
}

extension CordonCLI {
    /// The present day in UTC.
    static var today: Day {
        Day(Timestamp(microseconds: SystemClock.realtimeMicroseconds()))
    }

    /// The project's checked configuration; its mistakes end the command, one a line.
    static func configuration(_ arguments: Arguments) throws -> ProjectConfiguration {
        do throws(ConfigurationErrors) {
            return try ProjectConfiguration.load(project(arguments), now: today)
        } catch {
            throw CommandFailure(
                text: "the configuration has mistakes\n" + error.description,
                exitCode: .foundProblem)
        }
    }
}
