internal import CordonQuery
internal import PostgresWire

// Refusals and errors of the region in the words of the protocol: the same texts that HTTP gives, with a code to choose by.
extension PostgresNotice {
    init(_ refusal: Refusal) {
        guard !refusal.isSyntax else {
            self.init(.syntaxError, refusal.text)
            return
        }
        let place = refusal.file.flatMap { file in refusal.line.map { "\(file):\($0)" } }
        self.init(
            .insufficientPrivilege, "refused (\(refusal.rule)): \(refusal.text)",
            detail: "rule \(refusal.rule)" + (place.map { " at \($0)" } ?? ""))
    }

    init(_ error: QueryError) {
        let state: SQLState =
            switch (error.code, error.cause) {
            case (.query, .value): .invalidText
            case (.query, _) where error.text.contains("column"): .undefinedColumn
            case (.query, _) where error.text.contains("No function matches"): .undefinedFunction
            case (.query, _): .invalidStatement
            case (.limits, .time), (.cancelled, _): .queryCanceled
            case (.limits, .memory): .outOfMemory
            case (.limits, .scratch): .diskFull
            case (.limits, _): .programLimit
            case (.unconfined, _), (.audit, _), (.world, _): .systemError
            }
        self.init(state, error.text)
    }

    /// - Parameter severity: fatal where the session ends with it.
    init(_ error: APIError, _ severity: Severity = .error) {
        let state: SQLState =
            switch error.status {
            case 401, 419: .invalidPassword
            case 403: severity == .fatal ? .invalidAuthorization : .insufficientPrivilege
            case 503: severity == .fatal ? .cannotConnectNow : .systemError
            case 400: .invalidParameterValue
            default: .systemError
            }
        self.init(state, error.message, severity: severity)
    }
}

extension Refusal {
    /// Whether the statement is no SQL, which nobody's rights would change.
    var isSyntax: Bool { rule == "gate" && text.hasPrefix(Refusal.syntaxHead) }
}
