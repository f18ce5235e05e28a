import CordonModel
import Foundation
import LinuxIO

/// The command line: turns words into calls of the services and results into text, JSON and exit codes.
///
/// No logic of the product lives here. Each command stands in a file named after it; ``CommandTable`` lists
/// them. Start at ``CordonCLI/main(_:)``.
package enum CordonCLI {
    /// Must be the first thing that a program does: it may start the program once more.
    package static func prepareProcess() { CrashReports.withholdMemory() }

    /// Runs one command line (without the program's name) and returns the process's exit code.
    package static func main(_ words: [String]) -> Int32 {
        // A write to a pipe or socket that nobody reads any more is an error of that write, not the end of the process.
        _ = signal(SIGPIPE, SIG_IGN)
        let console = Console()
        let code = run(words, console)
        guard code == ExitCode.done.rawValue, let loss = Console.loss else { return code }
        console.note("cordon: \(loss)")
        return ExitCode.worldFailed.rawValue
    }

    private static func run(_ words: [String], _ console: Console) -> Int32 {
        if words == ["--version"] {
            console.print("cordon \(CordonModel.version)")
            return ExitCode.done.rawValue
        }
        if words.isEmpty || words == ["--help"] || words == ["help"] {
            Help.printOverview(console)
            return (words.isEmpty ? ExitCode.wrongUsage : .done).rawValue
        }
        guard let (command, rest) = CommandTable.match(words) else {
            return unknown(words, console)
        }
        if rest.contains("--help") {
            Help.printCommand(command, console)
            return ExitCode.done.rawValue
        }
        do {
            return try command.run(Arguments(parsing: rest, for: command), console).rawValue
        } catch let error as UsageError {
            console.note("cordon \(command.words.joined(separator: " ")): \(error.text)")
            console.note(
                "`cordon \(command.words.joined(separator: " ")) --help` shows how it is called")
            return ExitCode.wrongUsage.rawValue
        } catch let error as CommandFailure {
            console.note("cordon \(command.words.joined(separator: " ")): \(error.text)")
            return error.exitCode.rawValue
        } catch {
            console.note("cordon \(command.words.joined(separator: " ")): \(error)")
            return ExitCode.worldFailed.rawValue
        }
    }

    private static func unknown(_ words: [String], _ console: Console) -> Int32 {
        let nouns = CommandTable.all.filter { $0.words.first == words.first }
        if !nouns.isEmpty {
            Help.printList(nouns, console)
            return words.contains("--help") ? ExitCode.done.rawValue : ExitCode.wrongUsage.rawValue
        }
        let known = Array(Set(CommandTable.all.compactMap(\.words.first)))
        console.note("cordon: unknown command `\(words[0])`\(suggestion(words[0], among: known))")
        console.note("`cordon --help` lists the commands")
        return ExitCode.wrongUsage.rawValue
    }

    /// The project that `--project`, `CORDON_PROJECT` or the current folder names, as an absolute path.
    static func project(_ arguments: Arguments) -> ProjectLayout {
        let environment = ProcessInfo.processInfo.environment["CORDON_PROJECT"]
        let path = arguments.value("project") ?? environment ?? "."
        return ProjectLayout(root: URL(fileURLWithPath: path).standardizedFileURL.path)
    }
}
