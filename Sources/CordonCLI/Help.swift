import CordonModel

/// The texts of `--help`, made from the command descriptions.
enum Help {
    static func printOverview(_ console: Console) {
        console.print(
            "cordon \(CordonModel.version): tracking pixels that stay in their legal region")
        console.print()
        console.print("usage: cordon COMMAND [OPTION]…")
        console.print()
        printList(CommandTable.all, console)
        console.print()
        console.print(
            "`cordon COMMAND --help` explains one. Exit codes: 0 done, 1 found a problem, 2 wrong usage,"
        )
        console.print(
            "3 refused by policy, 4 the world failed; `policy diff` also 10 stricter, 11 looser, 12 mixed."
        )
    }

    static func printList(_ commands: [Command], _ console: Console) {
        let width = commands.map { $0.words.joined(separator: " ").count }.max() ?? 0
        for command in commands {
            let name = command.words.joined(separator: " ")
            console.print(
                "  \(name)\(String(repeating: " ", count: width - name.count))  \(command.summary)")
        }
    }

    static func printCommand(_ command: Command, _ console: Console) {
        let name = command.words.joined(separator: " ")
        console.print("cordon \(name): \(command.summary)")
        console.print()
        console.print("usage: cordon \(name)\(command.usage.isEmpty ? "" : " " + command.usage)")
        console.print()
        let names = command.options.map { "--\($0.name)\($0.value.map { " " + $0 } ?? "")" }
        let width = names.map(\.count).max() ?? 0
        for (name, option) in zip(names, command.options) {
            console.print(
                "  \(name)\(String(repeating: " ", count: width - name.count))  \(option.help)\(option.repeats ? " (may be repeated)" : "")"
            )
        }
        console.print()
        console.print("example:")
        console.print("  \(command.example)")
    }
}
