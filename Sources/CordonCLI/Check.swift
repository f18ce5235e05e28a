import CordonModel
import CordonPolicy
import CordonServer
import LinuxIO
import TLS

extension Command {
    static let check = Command(
        ["check"],
        summary: "validate regions, policies, atlas, invariants and cases; lint",
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
            return .done
        case .failure(let errors):
            try report(errors, arguments, console)
            return .foundProblem
        }
    }

    private static func report(
        _ errors: ConfigurationErrors, _ arguments: Arguments, _ console: Console
    ) throws {
        for warning in errors.warnings { console.note("warning: \(warning.description)") }
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
        for warning in checked.warnings { console.note("warning: \(warning.description)") }
        if arguments.wantsJSON {
            try console.print(json: CheckReport(checked))
        } else {
            let regions = count(project.regions.count, "region")
            let policies = count(project.ruleSet.policies.count, "policy", "policies")
            console.print("ok: \(regions), \(policies), rule set \(project.ruleSet.digest)")
        }
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
        project = try ProjectConfiguration.load(layout, now: Day(now))
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

        init(_ problem: ConfigurationProblem) {
            file = problem.position.file
            line = problem.position.line
            column = problem.position.column
            text = problem.text
        }
    }

    var ok: Bool
    var regions: [String]
    var policies: [String]
    var ruleSet: String?
    var errors: [Problem]
    var warnings: [Problem]

    private enum CodingKeys: String, CodingKey {
        case ok, regions, policies, errors, warnings
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
    }

    init(errors: [ConfigurationProblem], warnings: [ConfigurationProblem]) {
        ok = false
        regions = []
        policies = []
        self.errors = errors.map(Problem.init)
        self.warnings = warnings.map(Problem.init)
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
