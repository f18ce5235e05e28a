/// One command of `cordon`: its words, its options, and what it does.
///
/// Each command stands in a file of its own and is listed in ``CommandTable``; help, parsing and usage
/// errors come from this description alone.
struct Command: Sendable {
    /// The words that choose it, such as `["policy", "explain"]`.
    let words: [String]
    /// One line for the list of commands, without a final period.
    let summary: String
    /// What stands behind the words in the usage line, such as `[--table TABLE] ADDR…`.
    let usage: String
    let options: [Option]
    /// A command line that works in the project `cordon init` makes.
    let example: String
    /// How many free arguments there may be.
    let argumentCounts: ClosedRange<Int>
    let run: @Sendable (Arguments, Console) throws -> ExitCode

    init(
        _ words: [String], summary: String, usage: String = "", options: [Option] = [],
        example: String, arguments argumentCounts: ClosedRange<Int> = 0...0,
        run: @escaping @Sendable (Arguments, Console) throws -> ExitCode
    ) {
        self.words = words
        self.summary = summary
        self.usage = usage
        self.options = options + [.project, .json]
        self.example = example
        self.argumentCounts = argumentCounts
        self.run = run
    }

    /// One `--name` of a command.
    struct Option: Sendable {
        let name: String
        /// What the value is called in help; nil for a flag.
        let value: String?
        let help: String
        /// Whether it may stand more than once.
        var repeats = false

        static let project = Option(
            name: "project", value: "DIR",
            help: "the project's folder (default: CORDON_PROJECT, else the current folder)")
        static let json = Option(name: "json", value: nil, help: "print JSON")
        static let region = Option(name: "region", value: "REGION", help: "the region's name")
    }
}

/// What a command's process exits with.
enum ExitCode: Int32, Sendable {
    case done = 0
    /// Something was looked for and a problem was found.
    case foundProblem = 1
    case wrongUsage = 2
    case refusedByPolicy = 3
    case worldFailed = 4
    /// The new rules are stricter than the old ones: `policy diff` alone says so, and the two below.
    case stricter = 10
    case looser = 11
    /// Stricter here and looser there, or not to be compared.
    case mixed = 12
}

/// A mistake in how a command was called; ends in exit code 2 and a hint at `--help`.
struct UsageError: Error {
    let text: String
}

/// A failure to report as it stands, with the exit code it asks for.
struct CommandFailure: Error {
    let text: String
    var exitCode = ExitCode.worldFailed
}
