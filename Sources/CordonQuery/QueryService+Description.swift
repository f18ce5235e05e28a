// What a statement would answer with, before it is asked with values.
extension QueryService {
    package enum Description: Sendable {
        case described(columns: [QueryColumn], parameters: [QueryParameter.Kind])
        case refused(Refusal)
    }

    /// The columns of a statement's answer, and what its parameters are taken for. Reads nothing; a refusal is told as that of
    /// a query. Blocks.
    ///
    /// - Parameters:
    ///   - request: its values are passed over.
    ///   - kinds: what the caller says of the parameters, nil where it leaves that open.
    package func describe(
        _ request: QueryRequest, kinds: [QueryParameter.Kind?], in region: any QueryRegion
    ) throws -> Description {
        // What cannot be parsed is refused below, where the audit log hears of it.
        let found = try? StatementParameters(of: gate.parsed(request.sql))
        let parameters = found?.settled(kinds) ?? kinds.map { $0 ?? .text }
        var request = request
        request.parameters = parameters.map(QueryParameter.open)
        request.describes = true
        switch try run(request, in: region) {
        case .refused(let refusal): return .refused(refusal)
        case .answered(let answer):
            return .described(columns: answer.typedColumns, parameters: parameters)
        }
    }
}
