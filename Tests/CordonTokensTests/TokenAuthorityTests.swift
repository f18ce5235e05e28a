import Bytes
import CordonModel
import CordonTokens
import Crypto
import Foundation
import TestSupport
import Testing

@Suite struct `Access tokens` {
    let directory: TemporaryDirectory
    let authority: TokenAuthority
    let now = Timestamp(microseconds: 1_790_000_000_000_000)
    let grant = TokenGrant(
        subject: "dashboard", role: "analyst", purposes: ["audience-measurement"],
        places: ["DE", "US-CA"], writes: ["sandbox"])

    init() throws {
        directory = try TemporaryDirectory()
        authority = try Self.authority(directory, "eu-central")
    }

    private static func authority(
        _ directory: TemporaryDirectory, _ region: String
    ) throws -> TokenAuthority {
        let keys = directory.file(region)
        try FileManager.default.createDirectory(
            atPath: keys, withIntermediateDirectories: true)
        return try TokenAuthority(
            region: region, keysDirectory: keys, registerPath: keys + "/tokens.sqlite")
    }

    private func issued(_ seconds: Int64 = 3600) throws -> (text: String, token: IssuedToken) {
        try authority.issue(grant, lifeSeconds: seconds, at: now) { _ in }
    }

    private func later(_ seconds: Int64) -> Timestamp {
        Timestamp(microseconds: now.microseconds + seconds * 1_000_000)
    }

    /// The parts of a token, decoded.
    private func parts(_ text: String) throws -> [[UInt8]] {
        try text.split(separator: ".").map {
            try #require(Base64.decode($0, alphabet: .url))
        }
    }

    private func joined(_ parts: [[UInt8]]) -> String {
        parts.map { Base64.encode($0, alphabet: .url) }.joined(separator: ".")
    }

    @Test func `a token is accepted with exactly what was granted, from its start until its end`()
        throws
    {
        let (text, token) = try issued()
        #expect(try authority.check(text, at: now) == token)
        #expect(token.grant == grant)
        #expect(try authority.check(text, at: later(3599)) == token)
        #expect(throws: TokenRefusal.expired) { try authority.check(text, at: later(3600)) }
        #expect(throws: TokenRefusal.notYetValid) { try authority.check(text, at: later(-1)) }
    }

    @Test func `the text is a JSON Web Token with the claims that others expect`() throws {
        let parts = try parts(issued().text)
        struct Header: Decodable {
            let alg: String
            let typ: String
        }
        struct Claims: Decodable {
            let iss: String
            let aud: String
            let sub: String
            let exp: Int
        }
        let header = try JSONDecoder().decode(Header.self, from: Data(parts[0]))
        let claims = try JSONDecoder().decode(Claims.self, from: Data(parts[1]))
        #expect(header.alg == "EdDSA" && header.typ == "JWT")
        #expect(claims.iss == "cordon:eu-central" && claims.aud == "cordon:eu-central")
        #expect(claims.sub == "dashboard" && claims.exp == 1_790_003_600)
    }

    @Test func `a token of another region is told apart from a forged one`() throws {
        let other = try Self.authority(directory, "us-east")
        let foreign = try other.issue(grant, lifeSeconds: 3600, at: now) { _ in }.text
        #expect(throws: TokenRefusal.otherRegion("us-east")) {
            try authority.check(foreign, at: now)
        }
        // The other region's key under this region's name.
        var parts = try parts(foreign)
        parts[1] = Array(
            String(decoding: parts[1], as: UTF8.self).replacing("us-east", with: "eu-central").utf8)
        #expect(throws: TokenRefusal.badSignature) {
            try authority.check(joined(parts), at: now)
        }
    }

    @Test func `no change of any byte is accepted`() throws {
        let text = Array(try issued().text.utf8)
        for index in text.indices {
            for unit in [UInt8(ascii: "A"), UInt8(ascii: "."), UInt8(ascii: "="), 0x20]
            where unit != text[index] {
                var changed = text
                changed[index] = unit
                #expect(throws: TokenRefusal.self) {
                    try authority.check(String(decoding: changed, as: UTF8.self), at: now)
                }
            }
        }
    }

    /// A header that a token may not choose its check by.
    struct WeakHeader: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let header: String
    }

    static let weakHeaders = [
        WeakHeader(
            testDescription: "no signature", header: #"{"alg":"none","typ":"JWT","kid":"x"}"#),
        WeakHeader(
            testDescription: "shared key", header: #"{"alg":"HS256","typ":"JWT","kid":"x"}"#),
        WeakHeader(
            testDescription: "critical extension",
            header: #"{"alg":"EdDSA","typ":"JWT","kid":"x","crit":["b64"],"b64":false}"#),
        WeakHeader(
            testDescription: "other type", header: #"{"alg":"EdDSA","typ":"at+jwt","kid":"x"}"#),
        WeakHeader(
            testDescription: "own key",
            header: #"{"alg":"EdDSA","typ":"JWT","kid":"x","jwk":{"kty":"OKP"}}"#),
    ]

    @Test(arguments: weakHeaders) func `a header never chooses how a token is checked`(
        _ weak: WeakHeader
    ) throws {
        var parts = try parts(issued().text)
        parts[0] = Array(weak.header.utf8)
        // Signed by whoever wrote the header.
        let input = joined(Array(parts[0...1]))
        parts[2] = Ed25519PrivateKey.generate().key.sign(Array(input.utf8))
        #expect(throws: TokenRefusal.self) { try authority.check(joined(parts), at: now) }
        parts[2] = []
        #expect(throws: TokenRefusal.self) { try authority.check(joined(parts), at: now) }
    }

    @Test func `random and overlong text is refused`() {
        var generator = Generator()
        for text in ["", ".", "..", "a.b.c", "None", String(repeating: "a", count: 5000)] {
            #expect(throws: TokenRefusal.malformed) { try authority.check(text, at: now) }
        }
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
                UInt8.random(in: 0x20...0x7E, using: &generator)
            }
            #expect(throws: TokenRefusal.self, "seed \(generator.seed)") {
                try authority.check(String(decoding: bytes, as: UTF8.self), at: now)
            }
        }
    }

    @Test func `a revoked token ends at once, in every process, and stays listed`() throws {
        let (text, token) = try issued()
        let elsewhere = try Self.authority(directory, "eu-central")
        #expect(try elsewhere.check(text, at: now) == token)
        try authority.revoke(token.id, at: later(5)) {}
        try authority.revoke(token.id, at: later(9)) {}
        #expect(throws: TokenRefusal.revoked) { try elsewhere.check(text, at: later(10)) }
        #expect(try elsewhere.tokens().map(\.revokedAt) == [later(5)])
        #expect(throws: TokenError.unknownToken(id: "0")) {
            try authority.revoke("0", at: now) {}
        }
    }

    @Test func `a token that the register does not list is refused, genuine or not`() throws {
        let text = try issued().text
        for suffix in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(
                atPath: directory.file("eu-central/tokens.sqlite\(suffix)"))
        }
        let emptied = try Self.authority(directory, "eu-central")
        #expect(emptied.publicKey == authority.publicKey)
        #expect(throws: TokenRefusal.unknown) { try emptied.check(text, at: now) }
    }

    @Test func `without an audit entry nothing is issued and nothing revoked`() throws {
        struct Silent: Error {}
        #expect(throws: Silent.self) {
            try authority.issue(grant, lifeSeconds: 60, at: now) { _ in throw Silent() }
        }
        #expect(try authority.tokens().isEmpty)
        let (text, token) = try issued()
        #expect(throws: Silent.self) {
            try authority.revoke(token.id, at: now) { throw Silent() }
        }
        #expect(try authority.check(text, at: now) == token)
    }

    struct BadGrant: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let grant: TokenGrant
    }

    static let badGrants = [
        BadGrant(
            testDescription: "a mail address as subject",
            grant: TokenGrant(
                subject: "someone@mail", role: "analyst", purposes: ["p"], places: ["DE"])),
        BadGrant(
            testDescription: "no purpose",
            grant: TokenGrant(subject: "a", role: "analyst", purposes: [], places: ["DE"])),
        BadGrant(
            testDescription: "no place",
            grant: TokenGrant(subject: "a", role: "analyst", purposes: ["p"], places: [])),
        BadGrant(
            testDescription: "a place that is none",
            grant: TokenGrant(subject: "a", role: "analyst", purposes: ["p"], places: ["Germany"])),
        BadGrant(
            testDescription: "writing what Cordon writes",
            grant: TokenGrant(
                subject: "a", role: "analyst", purposes: ["p"], places: ["DE"], writes: ["pixels"])),
        BadGrant(
            testDescription: "a namespace that climbs",
            grant: TokenGrant(
                subject: "a", role: "analyst", purposes: ["p"], places: ["DE"], writes: ["../x"])),
        BadGrant(
            testDescription: "too many places",
            grant: TokenGrant(
                subject: "a", role: "analyst", purposes: ["p"],
                places: Array(repeating: "DE", count: TokenGrant.listCountMax + 1))),
    ]

    @Test(arguments: badGrants) func `a grant that no token may carry is refused`(
        _ bad: BadGrant
    ) throws {
        #expect(throws: TokenError.self) {
            try authority.issue(bad.grant, lifeSeconds: 60, at: now) { _ in }
        }
    }

    @Test(arguments: [59, 366 * 86_400 + 1] as [Int64]) func `a life out of bounds is refused`(
        _ seconds: Int64
    ) {
        #expect(throws: TokenError.self) { try issued(seconds) }
    }

    @Test func `a key that others can read is refused, and the register holds no token`() throws {
        let text = try issued().text
        for suffix in ["", "-wal"] {
            let path = directory.file("eu-central/tokens.sqlite\(suffix)")
            guard let bytes = FileManager.default.contents(atPath: path) else { continue }
            let signature = try #require(text.split(separator: ".").last)
            #expect(bytes.range(of: Data(signature.utf8)) == nil)
        }
        let key = directory.file("eu-central/token-signing.key")
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: key)
        #expect(throws: TokenError.exposedKey(path: key, permissions: 0o640)) {
            try Self.authority(directory, "eu-central")
        }
    }
}
