import Bytes
import CordonAPI
import CordonAudit
import CordonCatalog
import CordonLake
import CordonModel
import CordonTokens
import Crypto
import Foundation
import Synchronization
import Telemetry
import TestSupport
import Testing

extension Catalog: TableCatalog {}

/// A region's service without a socket, a bearer who may write `sandbox`, and an audit log.
final class APIFixture: Sendable {
    static let start = Timestamp(microseconds: 1_790_000_000_000_000)

    /// A clock that tests move.
    final class Clock: WallClock {
        private let time = Mutex(APIFixture.start)
        func now() -> Timestamp { time.withLock { $0 } }
        func pass(seconds: Int64) {
            time.withLock { $0 = Timestamp(microseconds: $0.microseconds + seconds * 1_000_000) }
        }
    }

    let directory: TemporaryDirectory
    let clock = Clock()
    let authority: TokenAuthority
    let catalog: Catalog
    let log: AuditLog
    let api: RegionAPI
    let token: String
    var lake: String { directory.file("lake") }

    struct NoEngine: Error {}

    /// - Parameter issuers: whose tokens are accepted beside the region's own.
    init(issuers: [IssuerKeys] = []) throws {
        directory = try TemporaryDirectory()
        let root = directory.path
        try FileManager.default.createDirectory(
            atPath: root + "/keys", withIntermediateDirectories: true)
        let region = RegionConfiguration.forTest("eu-central", in: root)
        authority = try TokenAuthority(
            region: region.name, keysDirectory: region.keysDirectory,
            registerPath: region.tokensPath, issuers: issuers)
        catalog = try Catalog(path: region.catalogPath)
        log = try AuditLog(
            directory: region.auditDirectory, region: region.name,
            key: Ed25519PrivateKey.generate().key)
        let hits = HitsTable(
            HitsTable.Settings(region), catalog: catalog, clock: clock, audit: { _ in })
        api = RegionAPI(
            region: region, tokens: authority, catalog: catalog, hits: hits, log: log, clock: clock,
            logger: Logger(level: .error), policies: { [] }, openErasures: { 0 },
            queries: { _ in throw NoEngine() })
        token = try authority.issue(
            TokenGrant(
                subject: "tester", role: "analyst", purposes: ["measuring"], places: ["DE"],
                writes: ["sandbox", "other"]), lifeSeconds: 3600, at: clock.now()
        ) { _ in }.text
    }

    /// Asks as the bearer of `token`, or as that of another.
    func ask(
        _ method: String, _ path: String, _ body: String? = nil, as bearer: String? = nil,
        query: [String: String] = [:], fields: [String: String] = [:]
    ) -> APIResponse {
        api.answer(request(method, path, body, as: bearer, query: query, fields: fields))
    }

    /// The request that ``ask(_:_:_:as:query:fields:)`` sends.
    func request(
        _ method: String, _ path: String, _ body: String? = nil, as bearer: String? = nil,
        query: [String: String] = [:], fields: [String: String] = [:]
    ) -> APIRequest {
        var all = fields
        all["authorization"] = "Bearer " + (bearer ?? token)
        all["content-type"] = "application/json"
        return APIRequest(
            method: method, segments: path.split(separator: "/").map(String.init), query: query,
            fields: all, body: Array((body ?? "").utf8))
    }

    static let schema =
        #"{"type":"struct","schema-id":0,"fields":[{"id":1,"name":"id","required":false,"type":"long"}]}"#

    /// Makes the namespace `sandbox` and a table in it, and returns the table's location.
    func makeTable(_ name: String = "t") throws -> String {
        _ = ask("POST", "v1/eu-central/namespaces", #"{"namespace":["sandbox"]}"#)
        let made = ask(
            "POST", "v1/eu-central/namespaces/sandbox/tables",
            #"{"name":"\#(name)","schema":\#(Self.schema)}"#)
        try #require(made.status == 200, "\(made.text)")
        return try #require(try catalog.clientTable("sandbox", name)).location
    }

    func commit(_ name: String, _ updates: String, fields: [String: String] = [:]) -> APIResponse {
        ask(
            "POST", "v1/eu-central/namespaces/sandbox/tables/\(name)",
            #"{"requirements":[],"updates":[\#(updates)]}"#, fields: fields)
    }

    /// Kinds of the audit entries so far.
    func kinds() throws -> [String] {
        try log.reader.entries(matching: .init(kind: nil, role: nil), limit: 1000)
            .map(\.entry.kind)
    }

    /// Reasons of refusals in the audit log.
    func reasons() throws -> [String] {
        try log.reader.entries(matching: .init(kind: "service.refused", role: nil), limit: 1000)
            .compactMap {
                if case .text(let text)? = $0.entry.fields["reason"] { text } else { nil }
            }
    }
}

extension APIResponse {
    var text: String { String(decoding: body, as: UTF8.self) }
    /// The error model's type.
    var errorType: String? {
        struct Body: Decodable {
            struct Model: Decodable {
                let type: String
                let message: String
                let code: Int
            }
            let error: Model
        }
        let model = try? JSONDecoder().decode(Body.self, from: Data(body)).error
        return model?.code == status ? model?.type : nil
    }
}
