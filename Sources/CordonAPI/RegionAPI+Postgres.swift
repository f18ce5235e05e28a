package import Bytes
internal import CordonModel
internal import CordonQuery
internal import CordonTokens
internal import PostgresWire
package import TLS

// The same questions under the same gate, in the PostgreSQL protocol.
extension RegionAPI {
    /// A listener for clients of PostgreSQL, with bounds like those of HTTP but for silence: people think in a session.
    package func postgresListener(
        address: IPAddress, port: UInt16, tls: TLSContext?, tickets: TicketKeys?,
        limits: ServiceLimits = .postgres, clock: any ServiceClock = SystemServiceClock()
    ) throws -> ServiceListener {
        let sessions = PostgresSessions()
        return try ServiceListener(
            address: address, port: port, tickets: tickets, limits: limits, clock: clock,
            logger: logger
        ) { [self] socket, wake in
            PostgresConnection(socket, tls, wake, limits, clock, self, sessions)
        }
    }
}

extension ServiceLimits {
    package static var postgres: ServiceLimits {
        var limits = ServiceLimits()
        limits.idleMilliseconds = APILimits.sessionIdleMillisecondsMax
        return limits
    }
}

extension RegionAPI: PostgresBackend {
    private static let route = "postgres"

    var regionName: String { region.name }

    func admit(
        user: String, database: String, password: String
    ) throws(PostgresNotice) -> IssuedToken {
        try fatally {
            guard database == region.name else {
                // Also to people without a token: which region this is no secret.
                throw PostgresNotice(
                    .invalidDatabase,
                    "the database is called `\(region.name)`, as the region is; connect with dbname=\(region.name)"
                )
            }
            guard !password.isEmpty else {
                throw try toldStranger(
                    APIError(
                        401, "NotAuthorizedException", "a token is needed as password",
                        reason: "no-token"), Self.route)
            }
            let token = try bearer(password, Self.route)
            guard tokens.isBearer(user, of: token) else {
                throw try told(
                    APIError(
                        401, "NotAuthorizedException",
                        "the token was issued to somebody else: the user is its subject",
                        reason: "other-subject"), token, nil, Self.route)
            }
            return token
        }
    }

    func recheck(_ token: IssuedToken) throws(PostgresNotice) {
        try fatally {
            do {
                try tokens.recheck(token, at: clock.now())
            } catch let refusal as TokenRefusal {
                throw try told(Self.error(refusal, region.name), token, nil, Self.route)
            }
        }
    }

    func allow(
        _ token: IssuedToken, purpose: String?, place: String?
    ) throws(PostgresNotice) {
        try withNotices(.error) {
            do throws(APIError) {
                // Which of several is meant may be said later.
                _ = try Bearer(
                    token, purpose: purpose ?? token.grant.purposes[0],
                    place: place ?? token.grant.places[0], way: Self.way)
            } catch {
                throw try told(error, token, nil, Self.route)
            }
        }
    }

    private static func way(_ what: String) -> String { "with `SET cordon.\(what) = '…'`" }

    func run(_ question: PostgresQuestion) throws(PostgresNotice) -> PostgresAnswer {
        try withNotices(.error) {
            try withQueries(of: question.token) { service, region in
                if let found = try lookUp(question, service, region) {
                    return PostgresAnswer(columns: found.columns, rows: found.rows)
                }
                switch try service.run(try request(question), in: region) {
                case .refused(let refusal): throw PostgresNotice(refusal)
                case .answered(let answer): return Self.answer(answer)
                }
            }
        }
    }

    private static func answer(_ answer: QueryAnswer) -> PostgresAnswer {
        guard case .text(let rows) = answer.body else { preconditionFailure("rows are messages") }
        let leftOut = answer.access.leftOut.joined(separator: ", ")
        return PostgresAnswer(
            columns: answer.typedColumns, rows: rows,
            notices: QueryAnswer.remarks(asOf: answer.asOf, epsilon: answer.epsilon)
                + (leftOut.isEmpty
                    ? []
                    : ["left out, since rows and aggregates do not mix: policies \(leftOut)"]))
    }

    func describe(
        _ question: PostgresQuestion, kinds: [QueryParameter.Kind?]
    ) throws(PostgresNotice) -> (columns: [QueryColumn], parameters: [QueryParameter.Kind]) {
        try withNotices(.error) {
            try withQueries(of: question.token) { service, region in
                if let found = try lookUp(question, service, region, describing: kinds) {
                    return (found.columns, found.parameters)
                }
                switch try service.describe(try request(question), kinds: kinds, in: region) {
                case .refused(let refusal): throw PostgresNotice(refusal)
                case .described(let columns, let parameters): return (columns, parameters)
                }
            }
        }
    }

    /// What the catalog says to a statement; nil when it is not for the catalog.
    private func lookUp(
        _ question: PostgresQuestion, _ service: QueryService, _ region: any QueryRegion,
        describing kinds: [QueryParameter.Kind?]? = nil
    ) throws -> QueryService.CatalogAnswer? {
        // Who has not said yet which of several purposes or places is meant sees no table.
        let bearer = try? Bearer(
            question.token, purpose: question.purpose, place: question.place, way: Self.way)
        let columns = bearer.map { service.visibleColumns(of: $0.principal, in: region) } ?? []
        let grant = question.token.grant
        let request = QueryRequest(
            sql: question.sql, parameters: question.parameters,
            principal: Principal(
                role: grant.role, purpose: grant.purposes[0], place: grant.places[0]),
            format: .postgres, limits: question.limits, cancellation: question.cancellation)
        return try service.lookUp(
            request,
            in: SessionCatalog(
                database: self.region.name, user: grant.subject,
                version: PostgresSettings.version, settings: question.settings,
                columns: columns.map { PostgresColumn($0) }),
            of: region, describing: kinds)
    }

    private func request(_ question: PostgresQuestion) throws -> QueryRequest {
        let bearer = try Bearer(
            question.token, purpose: question.purpose, place: question.place, way: Self.way)
        return QueryRequest(
            sql: question.sql, parameters: question.parameters, principal: bearer.principal,
            format: .postgres, limits: question.limits, cancellation: question.cancellation)
    }

    // MARK: Errors

    private func fatally<Result>(
        _ body: () throws -> Result
    ) throws(PostgresNotice) -> Result {
        try withNotices(.fatal, body)
    }

    /// Runs `body`, and makes a notice of whatever it throws: every failure has one, as it has an answer over HTTP.
    private func withNotices<Result>(
        _ severity: PostgresNotice.Severity, _ body: () throws -> Result
    ) throws(PostgresNotice) -> Result {
        do {
            return try body()
        } catch let notice as PostgresNotice {
            var notice = notice
            notice.severity = severity
            throw notice
        } catch let error as APIError {
            throw PostgresNotice(error, severity)
        } catch let error as QueryError {
            throw PostgresNotice(error)
        } catch {
            throw PostgresNotice(logged(error), severity)
        }
    }
}
