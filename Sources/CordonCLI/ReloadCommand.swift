import CordonServer

extension Command {
    static let reload = Command(
        ["reload"],
        summary:
            "let the running collectors read policies and geo table again, and wait for the outcome",
        usage: "[--confirm BUILD | --status]",
        options: [
            Option(
                name: "confirm", value: "BUILD",
                help:
                    "take this geo table although it moves many addresses: the build that a held reload names"
            ),
            Option(
                name: "status", value: nil,
                help: "reload nothing; say what is decided by now and whether a reload is held"),
        ],
        example: "cordon reload --project my-project"
    ) { arguments, console in
        let build = arguments.value("confirm")
        if arguments.has("status"), build != nil {
            throw UsageError(text: "`--status` reloads nothing, so there is nothing to confirm")
        }
        if let build,
            build.isEmpty || build.utf8.count > 200 || build.contains(where: \.isWhitespace)
        {
            throw UsageError(text: "option `--confirm` takes the build that a held reload names")
        }
        let project = CordonCLI.project(arguments)
        let isStatus = arguments.has("status")
        let answers =
            try isStatus
            ? RunningNodes.status(project) : RunningNodes.reload(project, confirming: build)
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
                    print(outcome, isStatus: isStatus, console)
                    if let shadow = outcome.shadow { print(shadow, console) }
                }
                if !outcome.mistakes.isEmpty || outcome.held != nil, exitCode == .done {
                    exitCode = .foundProblem
                }
            }
        }
        return exitCode
    }

    private static func print(_ outcome: ReloadOutcome, isStatus: Bool, _ console: Console) {
        let node = "process \(outcome.pid) (\(outcome.regions.joined(separator: ", ")))"
        if let held = outcome.held {
            console.print(
                "\(node): reload held since \(held.since), rule set stays \(outcome.ruleSet), geo table \(outcome.geoBuild)"
            )
            console.print(
                "  geo table \(held.geoBuild) would give \(held.homePercent) % of the addresses another home and "
                    + "\(held.protectionPercent) % another policy; more than \(held.limitPercent) % wait"
            )
            console.print()
            console.table(
                ["from", "to", "home", "policy", "IPv4", "IPv6"],
                held.changes.map(GeoImpactReport.cells))
            console.print()
            console.print("  if that is right: cordon reload --confirm \(held.geoBuild)")
            for mistake in outcome.mistakes { console.print("  \(mistake)") }
            return
        }
        if isStatus {
            console.print(
                "\(node): rule set \(outcome.ruleSet), geo table \(outcome.geoBuild), no reload held"
            )
            return
        }
        if outcome.mistakes.isEmpty {
            console.print(
                "\(node): reloaded, rule set \(outcome.ruleSet), geo table \(outcome.geoBuild)")
            return
        }
        console.print("\(node): not reloaded, rule set stays \(outcome.ruleSet)")
        for mistake in outcome.mistakes { console.print("  \(mistake)") }
    }

    /// A candidate with mistakes is no reason to call a reload failed.
    private static func print(_ shadow: ShadowStatus, _ console: Console) {
        if let candidate = shadow.candidate {
            console.print("  asked beside them: candidate \(candidate) from \(shadow.folder)")
        }
        guard !shadow.mistakes.isEmpty else { return }
        let rest = shadow.candidate == nil ? "no candidate is asked" : "the candidate before stays"
        console.print("  \(shadow.folder) has mistakes, \(rest):")
        for mistake in shadow.mistakes { console.print("    \(mistake)") }
    }
}
