import CordonServer

extension Command {
    static let reload = Command(
        ["reload"],
        summary:
            "let the running collectors read policies and geo table again, and wait for the outcome",
        example: "cordon reload --project my-project"
    ) { arguments, console in
        let answers = try RunningNodes.reload(CordonCLI.project(arguments))
        guard !answers.isEmpty else {
            throw CommandFailure(
                text: "no `cordon up` or `cordon collect` of this project runs as this user")
        }
        var exitCode = ExitCode.done
        for answer in answers {
            switch answer {
            case .refused(let text):
                console.note("cordon reload: \(text)")
                exitCode = .worldFailed
            case .outcome(let outcome):
                if arguments.wantsJSON {
                    try console.print(json: outcome)
                } else {
                    print(outcome, console)
                }
                if !outcome.mistakes.isEmpty, exitCode == .done { exitCode = .foundProblem }
            }
        }
        return exitCode
    }

    private static func print(_ outcome: ReloadOutcome, _ console: Console) {
        let node = "process \(outcome.pid) (\(outcome.regions.joined(separator: ", ")))"
        if outcome.mistakes.isEmpty {
            console.print(
                "\(node): reloaded, rule set \(outcome.ruleSet), geo table \(outcome.geoBuild)")
            return
        }
        console.print("\(node): not reloaded, rule set stays \(outcome.ruleSet)")
        for mistake in outcome.mistakes { console.print("  \(mistake)") }
    }
}
