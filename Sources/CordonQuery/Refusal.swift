internal import CordonPolicy

/// Why a query was not answered: a result of the check, not a failure.
package struct Refusal: Equatable, Sendable, Codable {
    /// Which check refused: `access`, `transfer`, `min_group`, `gate`.
    package let rule: String
    /// The policy file that decided, relative to the project; nil when no file did.
    package let file: String?
    package let line: Int?
    /// One line for people: what is not allowed, and what would be needed.
    package let text: String

    package init(rule: String, file: String? = nil, line: Int? = nil, text: String) {
        self.rule = rule
        self.file = file
        self.line = line
        self.text = text
    }

    /// How the text begins when the statement is no SQL at all.
    package static let syntaxHead = "the query is not valid SQL"

    init(rule: String, at position: FilePosition, text: String) {
        self.init(rule: rule, file: position.file, line: position.line, text: text)
    }

    /// `file:line: text`, or the text alone.
    package var message: String {
        guard let file, let line else { return text }
        return "\(file):\(line): \(text)"
    }
}
