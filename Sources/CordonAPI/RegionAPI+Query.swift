internal import ArrowIPC
internal import CordonAudit
internal import CordonModel
internal import CordonPolicy
internal import CordonQuery
internal import CordonTokens
internal import Dispatch

// Questions in SQL, under the same gate as `cordon query`.
extension RegionAPI {
    private struct Question: Decodable {
        let sql: String
    }

    /// Forms of an answer by media type, the first being the default.
    private static let forms: [(mediaType: String, format: QueryFormat)] = [
        ("application/json", .json), ("application/x-ndjson", .json), ("text/csv", .csv),
        ("application/vnd.apache.arrow.stream", .arrow),
    ]

    /// Longest statement, in bytes.
    static let statementBytesMax = 65_536

    func query(_ call: Call) throws -> APIResponse {
        guard let form = Self.form(call.request.fields["accept"] ?? "*/*") else {
            throw APIError(
                406, "NotAcceptableException",
                "answers are given as \(Self.forms.map(\.mediaType).joined(separator: ", "))")
        }
        let type = (call.request.fields["content-type"] ?? "").lowercased()
        guard type.split(separator: ";").first == "application/json" else {
            throw APIError(415, "UnsupportedMediaTypeException", "expected `application/json`")
        }
        let question = try RequestBody.read(Question.self, call.request.body)
        guard question.sql.utf8.count <= Self.statementBytesMax else {
            throw APIError(
                413, "PayloadTooLargeException",
                "a statement has at most \(Self.statementBytesMax) bytes")
        }
        let request = QueryRequest(
            sql: question.sql, principal: call.bearer.principal, format: form.format)
        let outcome: QueryService.Outcome
        do {
            outcome = try withQueries(of: call.bearer.token) { try $0.run(request, in: $1) }
        } catch let error as QueryError {
            throw Self.error(error)
        }
        switch outcome {
        case .refused(let refusal): return Self.refused(refusal)
        case .answered(let answer): return Self.response(answer, form.mediaType)
        }
    }

    /// The one way from a listener to the region's rows: in its turn, to what answers the bearer's questions.
    func withQueries<Result>(
        of token: IssuedToken, _ ask: (QueryService, any QueryRegion) throws -> Result
    ) throws -> Result {
        querySlots.wait()
        defer { querySlots.signal() }
        let (service, region) = try queries(token)
        return try ask(service, region)
    }

    /// The best form that `accept` names; quality values are not weighed, order is.
    private static func form(_ accept: String) -> (mediaType: String, format: QueryFormat)? {
        for range in accept.split(separator: ",") {
            let type = range.split(separator: ";").first?.filter { $0 != " " }.lowercased() ?? ""
            if type == "*/*" || type == "application/*" { return forms[0] }
            if type == "text/*" { return forms[2] }
            if let form = forms.first(where: { $0.mediaType == type }) { return form }
        }
        return nil
    }

    private static func error(_ error: QueryError) -> APIError {
        switch error.code {
        case .query: .bad(error.text)
        case .limits, .cancelled: APIError(422, "QueryLimitException", error.text)
        case .unconfined, .audit: .unavailable(error.text)
        case .world: APIError(500, "InternalServerError", error.text)
        }
    }

    /// As `cordon query --json` shows it, in the error model beside it.
    static func refused(_ refusal: Refusal) -> APIResponse {
        struct Body: Encodable {
            struct Model: Encodable {
                let message: String
                let type = "ForbiddenException"
                let code = 403
            }
            let error: Model
            let refused: Refusal
        }
        return APIResponse(
            403, body: json(Body(error: .init(message: refusal.message), refused: refusal)))
    }

    private static func response(_ answer: QueryAnswer, _ mediaType: String) -> APIResponse {
        let bytes: [UInt8]
        switch answer.body {
        case .text(let text): bytes = text
        case .arrow(let stream): bytes = stream.bytes
        case .cells, .file: preconditionFailure("not among the forms")
        }
        var fields = [("Cordon-Rows", "\(answer.rowCount)")]
        if !answer.access.leftOut.isEmpty {
            fields.append(("Cordon-Left-Out", answer.access.leftOut.joined(separator: ", ")))
        }
        if let asOf = answer.asOf { fields.append(("Cordon-As-Of", asOf.text)) }
        if let epsilon = answer.epsilon {
            fields.append(("Cordon-Epsilon", AccessRule.Noise.text(epsilon)))
        }
        guard mediaType == "application/json" else {
            let type = mediaType == "text/csv" ? "text/csv; charset=utf-8" : mediaType
            return APIResponse(200, body: bytes, contentType: type, fields: fields)
        }
        struct Head: Encodable {
            let columns: [String]
            let count: Int
            /// Least number of people that each group stands for; nil where rows may be seen.
            let groups: [String: Int]?
            let leftOut: [String]
            /// The time of the newest hit that the answer tells of, where later ones are left out.
            let asOf: String?
            /// What the noise of the answer spent; nil where there is none.
            let epsilon: String?

            private enum CodingKeys: String, CodingKey {
                case columns, count, groups, epsilon
                case leftOut = "left_out"
                case asOf = "as_of"
            }
        }
        let groups = answer.access.grants.map { ($0.policy, $0.minGroup) }
        let head = Head(
            columns: answer.columns, count: answer.rowCount,
            groups: answer.access.isHeldToGroups
                ? Dictionary(groups, uniquingKeysWith: max) : nil, leftOut: answer.access.leftOut,
            asOf: answer.asOf?.text,
            epsilon: answer.epsilon.map(AccessRule.Noise.text))
        // The rows are objects already, one a line.
        var body = Array(json(head).dropLast())
        body += Array(#","rows":["#.utf8)
        for (index, line) in bytes.split(separator: 0x0A).enumerated() {
            if index > 0 { body.append(0x2C) }
            body += line
        }
        body += Array("]}".utf8)
        return APIResponse(200, body: body, fields: fields)
    }
}
