import CordonAudit
import CordonModel
import CordonTokens
import Crypto
import Telemetry
import TestSupport
import Testing

@testable import CordonServer

@Suite struct `An issuer's keys` {
    private let certificates: TestCertificates
    private let server: TestHTTPSServer
    private static let keySet = #"{"keys":[]}"#

    init() throws {
        certificates = try TestCertificates()
        try certificates.make("server")
        server = try TestHTTPSServer(
            certificate: certificates.path("server.crt"), key: certificates.path("server.key"))
    }

    private func issuer(
        _ keys: TrustedIssuer.Keys, named name: String? = nil, trusts: String = "server.crt"
    ) -> TrustedIssuer {
        let authorities = RegionConfiguration.NamedFile(
            path: certificates.path(trusts), text: trusts, line: 1, column: 1)
        return TrustedIssuer(
            issuer: name ?? server.base, audience: "a", keys: keys, keysPlace: "12:9",
            authorities: authorities, role: .fixed(["analyst"]), purposes: .fixed(["p"]),
            places: .fixed(["DE"]))
    }

    private func read(
        _ keys: TrustedIssuer.Keys, issuer name: String, trusts: String = "server.crt"
    ) throws -> String {
        let issuer = issuer(keys, named: name, trusts: trusts)
        let reading = try IssuerKeySource(issuer, region: "north").read(bytesMax: 1000)
        #expect(reading.freshSeconds == nil)
        return String(decoding: reading.bytes, as: UTF8.self)
    }

    @Test func `are found by what the issuer says of itself`() throws {
        let issuer = server.base + "/realm"
        try server.put(
            document: #"{"issuer":"\#(issuer)","jwks_uri":"\#(server.base)/keys","more":[1]}"#,
            at: "/realm/.well-known/openid-configuration")
        try server.put(document: Self.keySet, at: "/keys")
        #expect(try read(.discovery, issuer: issuer) == Self.keySet)
        #expect(server.requests == ["/realm/.well-known/openid-configuration", "/keys"])
        #expect(try read(.address(server.base + "/keys"), issuer: issuer) == Self.keySet)
    }

    @Test func `are not those of an issuer of another name, or at an address that is not safe`()
        throws
    {
        let issuer = server.base + "/realm"
        try server.put(document: Self.keySet, at: "/keys")
        for description in [
            #"{"issuer":"\#(issuer)/","jwks_uri":"\#(server.base)/keys"}"#,
            #"{"jwks_uri":"\#(server.base)/keys"}"#,
            #"{"issuer":"\#(issuer)","jwks_uri":"http://localhost:\#(server.port)/keys"}"#,
            #"{"issuer":"\#(issuer)","jwks_uri":"file:///etc/hostname"}"#,
            #"{"issuer":"\#(issuer)"}"#, "[]",
        ] {
            try server.put(
                document: description, at: "/realm/.well-known/openid-configuration")
            let error = try #require(
                #expect(throws: IssuerKeyError.self) { try read(.discovery, issuer: issuer) })
            let place =
                "Regions/north.yaml:12:9: cannot read keys from `\(issuer)/.well-known/openid-configuration`: "
            #expect(error.description.hasPrefix(place))
            #expect(!error.description.contains("etc"), "what a server says is no part of an error")
        }
        #expect(!server.requests.contains("/keys"))
    }

    @Test func `come from a server that the region trusts`() throws {
        try certificates.make("other")
        try server.put(document: Self.keySet, at: "/keys")
        let address = TrustedIssuer.Keys.address(server.base + "/keys")
        for (name, cause) in [
            ("other.crt", "the server's certificate is not trusted"),
            ("missing.crt", "missing.crt"),
        ] {
            let error = try #require(
                #expect(throws: IssuerKeyError.self) {
                    try read(address, issuer: server.base, trusts: name)
                })
            #expect(error.description.contains("`\(server.base)/keys`"))
            #expect(error.description.contains(cause))
        }
        #expect(server.requests == [])
    }

    @Test func `come into force when the region's audit log has them`() throws {
        let directory = try TemporaryDirectory()
        let now = Timestamp(microseconds: 1_790_000_000_000_000)
        let key =
            #"{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
        try server.put(document: #"{"keys":[\#(key)]}"#, at: "/keys")
        let log = try AuditLog(
            directory: directory.file("audit"), region: "r1",
            key: Ed25519PrivateKey.generate().key)
        var region = RegionConfiguration.forTest(in: directory.path)
        region.service = .init(
            listen: region.collector.listen, issuers: [issuer(.address(server.base + "/keys"))])
        let keys = RegionService.issuers(
            region, try #require(region.service), log, FixedClock(time: now),
            Logger(level: .error))
        #expect(keys.map { $0.look(at: now).state } == [.current])
        let entries = try log.reader.entries(matching: .init(kind: nil, role: nil), limit: 10)
            .map(\.entry)
        #expect(entries.map(\.kind) == ["service.issuer-keys"])
        #expect(entries[0].fields["issuer"] == .text(server.base))
        #expect(entries[0].fields["keys"] == .integer(1))
    }
}
