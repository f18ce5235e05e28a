/// One mistake or doubt in the project's files.
package struct ConfigurationProblem: Error, Hashable, Comparable, Sendable {
    package let position: FilePosition
    package let text: String
    /// What kind of doubt a warning is, by which it can be accepted; nil for mistakes.
    package let finding: Finding?

    package init(position: FilePosition, text: String, finding: Finding? = nil) {
        self.position = position
        self.text = text
        self.finding = finding
    }

    /// `file:line:column: text`.
    package var description: String {
        "\(position.file):\(position.line):\(position.column): \(text)"
    }

    package static func < (left: ConfigurationProblem, right: ConfigurationProblem) -> Bool {
        (left.position, left.text) < (right.position, right.text)
    }
}

/// Every mistake of every file, sorted by file and position; never empty.
package struct ConfigurationErrors: Error, CustomStringConvertible, Sendable {
    package let problems: [ConfigurationProblem]
    /// What is allowed and yet looks wrong.
    package let warnings: [ConfigurationProblem]

    package init(problems: [ConfigurationProblem], warnings: [ConfigurationProblem]) {
        self.problems = problems
        self.warnings = warnings
    }

    /// One problem a line.
    package var description: String {
        problems.map(\.description).joined(separator: "\n")
    }
}

/// Where readers put what they find wrong, so that reading goes on.
final class ProblemList {
    private(set) var errors: Set<ConfigurationProblem> = []
    private(set) var warnings: Set<ConfigurationProblem> = []
    /// The keys of every mapping that was read, by which a test finds what the schema does not know.
    private(set) var mappings: Set<Set<String>> = []

    func noteMapping(_ keys: [String]) { mappings.insert(Set(keys)) }

    func error(_ position: FilePosition, _ text: String) {
        errors.insert(.init(position: position, text: text))
    }

    func warn(_ finding: Finding, _ position: FilePosition, _ text: String) {
        warnings.insert(.init(position: position, text: text, finding: finding))
    }
}
