/// Why the engine could not be loaded or did not do what it was asked.
package struct EngineError: Error, Sendable {
    package enum Code: String, Sendable {
        /// No usable library was found.
        case libraryMissing
        /// The library lacks what is needed from it.
        case libraryUnsuitable
        /// A statement, an option or an ingestion failed; see ``EngineError/kind``.
        case failed
        /// The statement was stopped by ``EngineCancellation``.
        case interrupted
        /// A result has a column type that ``ColumnType`` does not hold, or breaks the Arrow rules.
        case unreadableResult
    }

    package let code: Code
    /// What was being done, in words that hold no value, such as `run a statement`.
    package let operation: String
    /// The engine's own class of error, such as `Conversion Error`; empty when it gave none. Taken from a closed list,
    /// so it never holds a value.
    package let kind: String
    /// The engine's whole text. It quotes SQL and values out of rows: show it only to whoever may see those rows, and
    /// never log it.
    package let engineText: String

    package init(_ code: Code, _ operation: String, kind: String = "", engineText: String = "") {
        self.code = code
        self.operation = operation
        self.kind = kind
        self.engineText = engineText
    }

    /// Sorts an engine text into a code and a kind.
    init(operation: String, engineText: String) {
        let head = engineText.split(separator: ":", maxSplits: 1).first.map(String.init) ?? ""
        let kind = Self.kinds.contains(head) ? head : ""
        self.init(
            kind == "INTERRUPT Error" ? .interrupted : .failed, operation, kind: kind,
            engineText: engineText)
    }

    /// The engine's classes of error, as its texts begin.
    private static let kinds: Set<String> = [
        "Binder Error", "Catalog Error", "Constraint Error", "Conversion Error", "Dependency Error",
        "Executor Error", "FATAL Error", "HTTP Error", "INTERNAL Error", "INTERRUPT Error",
        "IO Error", "Invalid Error", "Invalid Input Error", "Invalid type Error",
        "Mismatch Type Error", "Missing Extension Error", "Not implemented Error",
        "Out of Memory Error", "Out of Range Error", "Parameter Not Allowed Error",
        "Parameter Not Resolved Error", "Parser Error", "Permission Error", "Sequence Error",
        "Serialization Error", "Settings Error", "Syntax Error", "TransactionContext Error",
    ]
}

extension EngineError: CustomStringConvertible {
    /// One line without any value: what was done, how it failed.
    package var description: String {
        let reason =
            switch code {
            case .libraryMissing, .libraryUnsuitable, .unreadableResult: engineText
            case .interrupted: "it was interrupted"
            case .failed: kind.isEmpty ? "the engine refused" : kind
            }
        return "engine: could not \(operation): \(reason)"
    }
}
