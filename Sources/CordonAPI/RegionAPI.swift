package import CordonAudit
package import CordonCatalog
package import CordonLake
package import CordonModel
package import CordonPolicy
package import CordonQuery
package import CordonTokens
internal import Crypto
internal import Foundation
internal import Synchronization
package import Telemetry

/// Answers the requests to one region's service. Any thread may call it.
package final class RegionAPI: Sendable {
    let region: RegionConfiguration
    let tokens: TokenAuthority
    let catalog: Catalog
    let hits: HitsTable
    let log: AuditLog
    let clock: any WallClock
    let logger: Logger
    /// The policies in force, whatever was reloaded since.
    let policies: @Sendable () -> [CompiledPolicy]
    /// How many requests for erasure are not finished: their rows may still be in files.
    let openErasures: @Sendable () throws -> Int
    /// The region for one bearer's queries, and what answers them.
    let queries: @Sendable (IssuedToken) throws -> (service: QueryService, region: any QueryRegion)
    let querySlots = DispatchSemaphore(value: APILimits.queriesMax)
    private let strangers = Mutex(Strangers())

    package init(
        region: RegionConfiguration, tokens: TokenAuthority, catalog: Catalog, hits: HitsTable,
        log: AuditLog, clock: any WallClock, logger: Logger,
        policies: @escaping @Sendable () -> [CompiledPolicy],
        openErasures: @escaping @Sendable () throws -> Int,
        queries:
            @escaping @Sendable (IssuedToken) throws -> (
                service: QueryService, region: any QueryRegion
            )
    ) {
        self.region = region
        self.tokens = tokens
        self.catalog = catalog
        self.hits = hits
        self.log = log
        self.clock = clock
        self.logger = logger
        self.policies = policies
        self.openErasures = openErasures
        self.queries = queries
    }

    /// Answers one request. Never throws: every failure is an answer in the catalog's error model.
    package func answer(_ request: APIRequest) -> APIResponse {
        var response: APIResponse
        do {
            response = try respond(request)
        } catch let error as APIError {
            response = Self.response(error)
        } catch {
            response = failed(error)
        }
        // An answer to HEAD, 204 and 304 have no body (RFC 9110 sections 9.3.2, 15.3.5, 15.4.5).
        if request.method == "HEAD" || [204, 304].contains(response.status) { response.body = [] }
        return response
    }

    /// What is answered to a request of which only the head is known, when nobody may send it; nil when its body may come.
    package func refusal(_ request: APIRequest) -> APIResponse? {
        do {
            let (route, _) = try Route.find(request.method, request.segments)
            if [.health, .metrics].contains(route) { throw APIError.bad("this takes no body") }
            _ = try bearer(request, route)
            return nil
        } catch let error as APIError {
            return Self.response(error)
        } catch {
            return failed(error)
        }
    }

    static func response(_ error: APIError) -> APIResponse {
        struct Body: Encodable {
            struct Model: Encodable {
                let message: String
                let type: String
                let code: Int
            }
            let error: Model
        }
        let body = Body(error: .init(message: error.message, type: error.type, code: error.status))
        let fields =
            error.status == 401
            ? [("WWW-Authenticate", "Bearer")]
            : error.status == 503 ? [("Retry-After", "5")] : []
        return APIResponse(error.status, body: json(body), fields: fields)
    }

    /// The world failed: the answer holds a number that the log holds too, and nothing else of it.
    private func failed(_ error: any Error) -> APIResponse { Self.response(logged(error)) }

    /// The error that is shown for one of the world, which the log holds under the number that it shows.
    func logged(_ error: any Error) -> APIError {
        let id = String(SecureRandom.uint64(), radix: 16)
        logger.error(
            "a request failed", ["service.error_id": .text(id), "error": .text("\(error)")])
        return APIError(
            500, "InternalServerError", "the service failed; its log says more under \(id)")
    }

    private func respond(_ request: APIRequest) throws -> APIResponse {
        let (route, prefix) = try Route.find(request.method, request.segments)
        if route == .health { return APIResponse(200, body: Self.json(["status": "ok"])) }
        if route == .metrics { return metricsPage() }
        let token = try bearer(request, route)
        let bearer: Bearer
        do {
            if let prefix, prefix != region.name {
                throw APIError.forbidden(
                    "this service is that of region `\(region.name)`, and its tokens are good for no other",
                    reason: "other-region")
            }
            bearer = try Bearer(token, request)
        } catch let error as APIError {
            throw try told(error, token, nil, route.name)
        }
        do {
            return try once(request, route, bearer)
        } catch let error as APIError {
            throw try told(error, token, bearer.principal, route.name)
        }
    }

    /// Runs a change under the client's key, if it gave one: a request that comes again gets the answer it got.
    private func once(
        _ request: APIRequest, _ route: Route, _ bearer: Bearer
    ) throws -> APIResponse {
        guard route.isChange, let key = request.fields["idempotency-key"] else {
            return try serve(request, route, bearer, key: nil)
        }
        guard Self.isUUIDv7(key) else {
            throw APIError.bad("`Idempotency-Key` is a UUID of version 7 (RFC 9562)")
        }
        if let response = try replay(key, bearer, request) { return response }
        do {
            return try serve(request, route, bearer, key: key)
        } catch ClientTableError.answered {
            guard let response = try replay(key, bearer, request) else {
                throw APIError.unavailable("the same request is being answered; try again")
            }
            return response
        } catch let error as APIError where (400..<500).contains(error.status) {
            // What would be refused again is kept; whoever was faster with the same key has answered.
            let response = Self.response(error)
            try? catalog.keep(
                AnsweredRequest(
                    key: key, bearer: bearer.token.id, digest: request.digest,
                    status: response.status, body: response.body), at: clock.now())
            throw error
        }
    }

    private func replay(
        _ key: String, _ bearer: Bearer, _ request: APIRequest
    ) throws -> APIResponse? {
        guard
            let answer = try catalog.answer(key: key, bearer: bearer.token.id, at: clock.now())
        else { return nil }
        guard answer.digest == request.digest else {
            throw APIError(
                422, "UnprocessableEntityException",
                "this `Idempotency-Key` was given to another request")
        }
        return APIResponse(answer.status, body: answer.body)
    }

    private static func isUUIDv7(_ text: String) -> Bool {
        let units = Array(text.utf8)
        return UUID(uuidString: text) != nil && units[14] == 0x37
            && "89abAB".utf8.contains(units[19])
    }

    private func serve(
        _ request: APIRequest, _ route: Route, _ bearer: Bearer, key: String?
    ) throws -> APIResponse {
        let call = Call(
            request: request, bearer: bearer,
            keep: key.map { ($0, request.digest) })
        switch route {
        case .health, .metrics:
            preconditionFailure("answered before anybody was asked for a token")
        case .config: return try config(call)
        case .query: return try query(call)
        case .listNamespaces: return try listNamespaces(call)
        case .createNamespace: return try createNamespace(call)
        case .loadNamespace(let name): return try loadNamespace(name, call)
        case .namespaceExists(let name):
            _ = try loadNamespace(name, call)
            return APIResponse(204)
        case .dropNamespace(let name): return try dropNamespace(name, call)
        case .changeNamespace(let name): return try changeNamespace(name, call)
        case .listTables(let name): return try listTables(name, call)
        case .createTable(let name): return try createTable(name, call)
        case .loadTable(let namespace, let name): return try loadTable(namespace, name, call)
        case .tableExists(let namespace, let name): return try tableExists(namespace, name, call)
        case .commit(let namespace, let name): return try commit(namespace, name, call)
        case .dropTable(let namespace, let name): return try dropTable(namespace, name, call)
        case .reportMetrics(let namespace, let name):
            return try reportMetrics(namespace, name, call)
        case .listViews(let name): return try listViews(name, call)
        case .renameTable: return try renameTable(call)
        case .commitTransaction: return try commitTransaction(call)
        }
    }
}

/// One request of somebody known.
struct Call: Sendable {
    let request: APIRequest
    let bearer: Bearer
    /// The client's key and the request's digest, for a change that it named.
    let keep: (key: String, digest: [UInt8])?

    func answered(_ response: APIResponse) -> AnsweredRequest? {
        keep.map {
            AnsweredRequest(
                key: $0.key, bearer: bearer.token.id, digest: $0.digest, status: response.status,
                body: response.body)
        }
    }
}

/// Whose request it is, and as which principal.
struct Bearer: Sendable {
    let token: IssuedToken
    let principal: Principal

    /// Of several purposes or places of a token, the request names one.
    init(_ token: IssuedToken, _ request: APIRequest) throws(APIError) {
        try self.init(
            token, purpose: request.fields["cordon-purpose"],
            place: request.fields["cordon-place"]
        ) { "in the header `Cordon-\($0.prefix(1).uppercased())\($0.dropFirst())`" }
    }

    /// - Parameter way: how one of several is named, in words.
    init(
        _ token: IssuedToken, purpose: String?, place: String?, way: (String) -> String
    ) throws(APIError) {
        self.token = token
        principal = Principal(
            role: token.grant.role,
            purpose: try Self.one(of: token.grant.purposes, "purpose", purpose, way),
            place: try Self.one(of: token.grant.places, "place", place, way))
    }

    private static func one(
        of allowed: [String], _ what: String, _ asked: String?, _ way: (String) -> String
    ) throws(APIError) -> String {
        if let asked {
            guard allowed.contains(asked) else {
                throw .forbidden(
                    "the token does not allow this \(what); it allows \(allowed.joined(separator: ", "))",
                    reason: what)
            }
            return asked
        }
        guard allowed.count == 1 else {
            throw .bad(
                "the token allows several: name one of \(allowed.joined(separator: ", ")) \(way(what))"
            )
        }
        return allowed[0]
    }
}

// Who asks, and what the audit log hears.
extension RegionAPI {
    /// Refusals of people without a good token in the present minute.
    struct Strangers {
        var minute: Int64 = 0
        var told = 0
        var untold = 0
    }

    private func bearer(_ request: APIRequest, _ route: Route) throws -> IssuedToken {
        guard let value = request.fields["authorization"] else {
            throw try toldStranger(
                APIError(
                    401, "NotAuthorizedException", "a token is needed: `Authorization: Bearer …`",
                    reason: "no-token"), route.name)
        }
        let words = value.split(separator: " ")
        guard words.count == 2, words[0].lowercased() == "bearer" else {
            throw try toldStranger(
                APIError(
                    401, "NotAuthorizedException", "expected `Authorization: Bearer` and a token",
                    reason: "no-token"), route.name)
        }
        return try bearer(String(words[1]), route.name)
    }

    /// Whose token it is.
    ///
    /// - Parameter route: what is asked for, in the words of the audit log.
    func bearer(_ token: String, _ route: String) throws -> IssuedToken {
        do {
            return try tokens.check(token, at: clock.now())
        } catch let refusal as TokenRefusal {
            throw try toldStranger(Self.error(refusal, region.name), route)
        }
    }

    static func error(_ refusal: TokenRefusal, _ region: String) -> APIError {
        func unauthorized(_ message: String, _ reason: String) -> APIError {
            APIError(401, "NotAuthorizedException", message, reason: reason)
        }
        switch refusal {
        case .malformed: return unauthorized("this is no token of a region", "malformed-token")
        case .badSignature, .unknown:
            return unauthorized("the token was not issued here", "unknown-token")
        case .notYetValid: return unauthorized("the token does not hold yet", "early-token")
        case .expired:
            return APIError(
                419, "AuthenticationTimeoutException", "the token has expired",
                reason: "expired-token")
        case .revoked: return unauthorized("the token was revoked", "revoked-token")
        case .otherAudience:
            return unauthorized("the token is meant for another service", "other-audience")
        case .noGrant(let part):
            return .forbidden(
                "the token is genuine, and its claims give no \(part) here", reason: "no-grant")
        case .issuerUnavailable:
            return APIError(
                503, "ServiceUnavailableException",
                "the keys of the token's issuer cannot be had, so it is not accepted; try again",
                reason: "issuer-unavailable")
        case .otherRegion(let other):
            return .forbidden(
                "the token is for region `\(other)`; this is `\(region)`, and rows do not cross",
                reason: "other-region")
        }
    }

    /// The refusal, once the audit log has it.
    func told(
        _ error: APIError, _ token: IssuedToken, _ principal: Principal?, _ route: String
    ) throws -> APIError {
        guard let reason = error.reason else { return error }
        try tell(
            "service.refused", token, principal,
            [
                "reason": .text(reason), "route": .text(route),
                "status": .integer(error.status),
            ])
        return error
    }

    /// As ``told(_:_:_:_:)`` for people who showed no good token: a flood of them fills no log.
    func toldStranger(_ error: APIError, _ route: String) throws -> APIError {
        let minute = clock.now().microseconds / 60_000_000
        let untold: Int? = strangers.withLock { strangers in
            if strangers.minute != minute {
                strangers.minute = minute
                strangers.told = 0
            }
            guard strangers.told < APILimits.strangersPerMinute else {
                strangers.untold += 1
                return nil
            }
            strangers.told += 1
            defer { strangers.untold = 0 }
            return strangers.untold
        }
        guard let untold else { return error }
        try tell(
            "service.refused", nil, nil,
            [
                "reason": .text(error.reason ?? ""), "route": .text(route),
                "status": .integer(error.status), "untold_before": .integer(untold),
            ])
        return error
    }

    /// One entry; what cannot be told does not happen, and that is the answer.
    func tell(
        _ kind: String, _ token: IssuedToken?, _ principal: Principal?,
        _ fields: [String: AuditEntry.Value]
    ) throws {
        var fields = fields
        if let token {
            fields["token"] = .text(token.id)
            fields["subject"] = .text(token.grant.subject)
        }
        do {
            try log.append(
                AuditEntry(
                    at: clock.now(), kind: kind, region: region.name, principal: principal,
                    fields: fields))
        } catch {
            logger.error("the audit log cannot be written", ["error": .text("\(error)")])
            throw APIError.unavailable("the audit log cannot be written, so nothing is done")
        }
    }

    func tell(
        _ kind: String, _ call: Call, _ fields: [String: AuditEntry.Value]
    ) throws {
        try tell(kind, call.bearer.token, call.bearer.principal, fields)
    }

    /// What goes with a change of `call` that is answered with `response`.
    func effect(
        _ kind: String, _ call: Call, _ response: APIResponse,
        _ fields: [String: AuditEntry.Value]
    ) -> ClientEffect {
        ClientEffect(answer: call.answered(response)) { [self] in try tell(kind, call, fields) }
    }

    static func json(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else {
            preconditionFailure("texts and whole numbers always encode")
        }
        return Array(data)
    }
}
