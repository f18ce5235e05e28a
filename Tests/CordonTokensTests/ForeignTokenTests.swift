import Bytes
import CordonModel
import Crypto
import Foundation
import SQLite
import Synchronization
import TestSupport
import Testing

@testable import CordonTokens

@Suite struct `Tokens of other issuers` {
    private static let address = "https://login.example/realms/analysts"
    /// Made once: an RSA key takes a moment.
    private static let keys = SignatureKey.Algorithm.allCases.map {
        TestKey($0, name: "key of \($0.rawValue)")
    }
    private static let issuer = TrustedIssuer(
        issuer: address, audience: "cordon-eu-central",
        keys: .file(.init(path: "", text: "", line: 1, column: 1)),
        role: .claim("groups", ["eu-analysts": "analyst", "dpo": "privacy-officer"]),
        purposes: .claim("scope", ["audience": "audience-measurement", "ads": "advertising"]),
        places: .fixed(["DE", "FR"]))

    let directory: TemporaryDirectory
    let source = TestKeySet(keys)
    let authority: TokenAuthority
    let now = Timestamp(microseconds: 1_790_000_000_000_000)

    init() throws {
        SentValues.note("jane.doe@mail.example", "john.doe@mail.example")
        directory = try TemporaryDirectory()
        authority = try TokenAuthority(
            region: "eu-central", keysDirectory: directory.path,
            registerPath: directory.file("tokens.sqlite"),
            issuers: [IssuerKeys(Self.issuer, source: source)])
    }

    private static func header(_ key: TestKey) -> [String: Any] {
        ["alg": key.algorithm.rawValue, "kid": key.name, "typ": "at+jwt"]
    }

    private static var claims: [String: Any] {
        [
            "iss": address, "aud": "cordon-eu-central", "sub": "jane.doe@mail.example",
            "jti": "5d0c", "iat": 1_790_000_000, "exp": 1_790_003_600, "client_id": "notebook",
            "groups": ["everybody", "eu-analysts"], "scope": "openid audience",
        ]
    }

    private func later(_ seconds: Int64) -> Timestamp {
        Timestamp(microseconds: now.microseconds + seconds * 1_000_000)
    }

    private func check(
        _ key: TestKey = keys[0], header changes: [String: Any?] = [:],
        claims others: [String: Any?] = [:], at time: Timestamp? = nil
    ) throws -> IssuedToken {
        let header = Self.header(key).merging(changes.mapValues { $0 ?? NSNull() }) { $1 }
            .filter { !($0.value is NSNull) }
        let claims = Self.claims.merging(others.mapValues { $0 ?? NSNull() }) { $1 }
            .filter { !($0.value is NSNull) }
        return try authority.check(try key.token(header, claims), at: time ?? now)
    }

    private func refusal(
        _ key: TestKey = keys[0], header changes: [String: Any?] = [:],
        claims others: [String: Any?] = [:], at time: Timestamp? = nil
    ) -> TokenRefusal? {
        do {
            _ = try check(key, header: changes, claims: others, at: time)
            return nil
        } catch {
            return error as? TokenRefusal
        }
    }

    // MARK: What is accepted

    @Test(arguments: keys.indices)
    func `are worth what their mapping says, by every algorithm`(_ index: Int) throws {
        let token = try check(Self.keys[index])
        #expect(token.grant.role == "analyst")
        #expect(token.grant.purposes == ["audience-measurement"])
        #expect(token.grant.places == ["DE", "FR"])
        #expect(token.grant.writes == [])
        #expect(token.expiresAt == later(3600))
    }

    @Test func `show nobody's name, and the same person is the same one under one issuer`() throws {
        let token = try check()
        #expect(token.grant.subject.hasPrefix("oidc-sub-") && token.id.hasPrefix("oidc-jti-"))
        #expect(!"\(token)".contains("jane"))
        #expect(try check(claims: ["jti": "other"]).grant.subject == token.grant.subject)
        #expect(try check(claims: ["jti": "other"]).id != token.id)
        #expect(
            authority.name(ofSubject: "jane.doe@mail.example", issuer: "https://other.example")
                != token.grant.subject)
        // Whoever has only the name cannot find out whose it is: another register has other names.
        let other = try TokenAuthority(
            region: "eu-central", keysDirectory: directory.path,
            registerPath: directory.file("other.sqlite"))
        #expect(
            other.name(ofSubject: "jane.doe@mail.example", issuer: Self.address)
                != token.grant.subject)
    }

    @Test func `may be for several audiences and begin later than they were issued`() throws {
        // Clocks may be half a minute apart.
        _ = try check(at: later(-30))
        _ = try check(claims: ["nbf": 1_790_000_030])
        _ = try check(claims: ["aud": ["other", "cordon-eu-central"], "nbf": 1_790_000_010])
        _ = try check(header: ["typ": "application/AT+JWT"])
        _ = try check(at: later(3629))
    }

    @Test func `stand beside the region's own`() throws {
        let grant = TokenGrant(
            subject: "dashboard", role: "analyst", purposes: ["measuring"], places: ["DE"])
        let own = try authority.issue(grant, lifeSeconds: 60, at: now) { _ in }
        #expect(try authority.check(own.text, at: now) == own.token)
        #expect(source.readings == 0)
        #expect(throws: TokenRefusal.malformed) { try authority.check("x.y.z", at: now) }
    }

    // MARK: What is refused

    struct Wrong: CustomTestStringConvertible, @unchecked Sendable {
        let testDescription: String
        var header: [String: Any?] = [:]
        var claims: [String: Any?] = [:]
        let refusal: TokenRefusal
    }

    static let wrong: [Wrong] = [
        Wrong(testDescription: "no algorithm", header: ["alg": "none"], refusal: .badSignature),
        Wrong(testDescription: "a shared key", header: ["alg": "HS256"], refusal: .badSignature),
        Wrong(testDescription: "other padding", header: ["alg": "PS256"], refusal: .badSignature),
        Wrong(testDescription: "a longer digest", header: ["alg": "RS512"], refusal: .badSignature),
        Wrong(testDescription: "no key's name", header: ["kid": nil], refusal: .malformed),
        Wrong(testDescription: "an unknown key", header: ["kid": "other"], refusal: .unknown),
        Wrong(
            testDescription: "another key's name", header: ["kid": "key of ES256"],
            refusal: .badSignature),
        Wrong(testDescription: "an identity token", header: ["typ": "JWT"], refusal: .malformed),
        Wrong(testDescription: "no type", header: ["typ": nil], refusal: .malformed),
        Wrong(testDescription: "an extension", header: ["crit": ["exp"]], refusal: .malformed),
        Wrong(testDescription: "a bare payload", header: ["b64": false], refusal: .malformed),
        Wrong(
            testDescription: "another issuer", claims: ["iss": address + "/"], refusal: .malformed),
        Wrong(
            testDescription: "another audience", claims: ["aud": "cordon-us-east"],
            refusal: .otherAudience),
        Wrong(testDescription: "no audience", claims: ["aud": nil], refusal: .otherAudience),
        Wrong(testDescription: "no end", claims: ["exp": nil], refusal: .malformed),
        Wrong(testDescription: "no beginning", claims: ["iat": nil], refusal: .malformed),
        Wrong(
            testDescription: "an end as text", claims: ["exp": "1790003600"], refusal: .malformed),
        Wrong(
            testDescription: "a life of more than a day", claims: ["exp": 1_790_086_401],
            refusal: .malformed),
        Wrong(
            testDescription: "an end without end", claims: ["exp": 1e300], refusal: .malformed),
        Wrong(
            testDescription: "an end before its beginning", claims: ["exp": 1_789_999_999],
            refusal: .malformed),
        Wrong(
            testDescription: "not yet", claims: ["nbf": 1_790_000_031], refusal: .notYetValid),
        Wrong(
            testDescription: "a beginning as text", claims: ["nbf": "now"], refusal: .malformed),
        Wrong(testDescription: "nobody", claims: ["sub": nil], refusal: .malformed),
        Wrong(testDescription: "nobody's name", claims: ["sub": ""], refusal: .malformed),
        Wrong(testDescription: "no name", claims: ["jti": nil], refusal: .malformed),
        Wrong(testDescription: "no role", claims: ["groups": nil], refusal: .noGrant("role")),
        Wrong(
            testDescription: "roles that nobody mapped", claims: ["groups": ["analyst", "root"]],
            refusal: .noGrant("role")),
        Wrong(
            testDescription: "two roles", claims: ["groups": ["eu-analysts", "dpo"]],
            refusal: .noGrant("one role")),
        Wrong(
            testDescription: "roles in another shape", claims: ["groups": ["eu-analysts": true]],
            refusal: .noGrant("role")),
        Wrong(
            testDescription: "roles in one text", claims: ["groups": "everybody eu-analysts"],
            refusal: .noGrant("role")),
        Wrong(
            testDescription: "no purpose", claims: ["scope": "openid Audience"],
            refusal: .noGrant("purpose")),
    ]

    @Test(arguments: wrong) func `are refused for what is wrong with them`(_ wrong: Wrong) {
        #expect(refusal(header: wrong.header, claims: wrong.claims) == wrong.refusal)
    }

    @Test func `end on time`() {
        #expect(refusal(at: later(3630)) == .expired)
        #expect(refusal(at: later(-31)) == .notYetValid)
    }

    @Test func `are not signed by a key that they bring along`() throws {
        let thief = TestKey(.es256, name: "key of ES256")
        #expect(refusal(thief, header: ["jwk": thief.jwk]) == .badSignature)
        #expect(refusal(thief, header: ["jku": "https://thief.example/keys"]) == .badSignature)
    }

    @Test func `are not signed with a public key as a shared secret`() throws {
        let key = Self.keys[0]
        let text = try key.token(
            ["alg": "HS256", "kid": key.name, "typ": "at+jwt"], Self.claims)
        let input = text.split(separator: ".").prefix(2).joined(separator: ".")
        let secret = Array((key.jwk["n"] ?? "").utf8)
        let code = HMACKey(secret.span).authenticate(Array(input.utf8))
        let forged = input + "." + Base64.encode(code.bytes, alphabet: .url)
        #expect(throws: TokenRefusal.badSignature) { try authority.check(forged, at: now) }
    }

    @Test func `too long to be one are not looked at`() throws {
        #expect(refusal(claims: ["more": String(repeating: "x", count: 6000)]) == .malformed)
        #expect(source.readings == 0)
    }

    // MARK: Revocation

    @Test func `end by their own name, or with everything of their subject`() throws {
        let token = try check()
        try authority.recheck(token, at: now)
        #expect(TokenAuthority.isOfAnotherIssuer(token))
        try authority.revoke(token.id, at: now) {}
        #expect(refusal() == .revoked)
        #expect(throws: TokenRefusal.revoked) { try authority.recheck(token, at: now) }
        _ = try check(claims: ["jti": "another"])
        let name = authority.name(ofSubject: "jane.doe@mail.example", issuer: Self.address)
        #expect(name == token.grant.subject)
        try authority.revoke(name, at: now) {}
        #expect(refusal(claims: ["jti": "another"]) == .revoked)
        _ = try check(claims: ["sub": "john.doe@mail.example", "jti": "third"])
        // Another process sees it too.
        let other = try TokenAuthority(
            region: "eu-central", keysDirectory: directory.path,
            registerPath: directory.file("tokens.sqlite"),
            issuers: [IssuerKeys(Self.issuer, source: source)])
        let text = try Self.keys[0].token(Self.header(Self.keys[0]), Self.claims)
        #expect(throws: TokenRefusal.revoked) { try other.check(text, at: now) }
    }

    @Test func `do not end when the audit log does not hear of it`() throws {
        struct Deaf: Error {}
        let token = try check()
        #expect(throws: Deaf.self) { try authority.revoke(token.id, at: now) { throw Deaf() } }
        _ = try check()
    }

    @Test func `have names in a register of the first layout, whose tokens go on`() throws {
        let path = directory.file("old.sqlite")
        do {
            let old = try Connection(path: path)
            try old.execute(
                """
                CREATE TABLE tokens (
                    id TEXT PRIMARY KEY, subject TEXT NOT NULL, role TEXT NOT NULL,
                    purposes TEXT NOT NULL, places TEXT NOT NULL, writes TEXT NOT NULL,
                    issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, revoked_at INTEGER) STRICT;
                INSERT INTO tokens VALUES ('a', 'dashboard', 'analyst', 'p', 'DE', '', 1, 2, NULL);
                PRAGMA user_version = 1
                """)
        }
        func opened() throws -> TokenAuthority {
            try TokenAuthority(
                region: "eu-central", keysDirectory: directory.path, registerPath: path)
        }
        let first = try opened()
        #expect(try first.tokens().map(\.id) == ["a"])
        let name = first.name(ofSubject: "x", issuer: "y")
        #expect(try opened().name(ofSubject: "x", issuer: "y") == name)
    }
}

@Suite struct `Keys of other issuers` {
    private let now = Timestamp(microseconds: 1_790_000_000_000_000)
    private let first = TestKey(.edDSA, name: "first")
    private let second = TestKey(.edDSA, name: "second")
    private let source: TestKeySet
    private let keys: IssuerKeys
    private let changes = Changes()

    /// What was told of keys that come into force.
    private final class Changes: Sendable {
        struct Deaf: Error {}
        private let state = Mutex<(told: [KeySetChange], isDeaf: Bool)>(([], false))
        var told: [KeySetChange] { state.withLock { $0.told } }
        func deafen(_ isDeaf: Bool) { state.withLock { $0.isDeaf = isDeaf } }
        func tell(_ change: KeySetChange) throws {
            try state.withLock { state in
                if state.isDeaf { throw Deaf() }
                state.told.append(change)
            }
        }
    }

    private static let issuer = TrustedIssuer(
        issuer: "https://login.example", audience: "a",
        keys: .file(.init(path: "", text: "", line: 1, column: 1)),
        role: .fixed(["analyst"]), purposes: .fixed(["p"]), places: .fixed(["DE"]))

    init() {
        source = TestKeySet([first])
        keys = IssuerKeys(
            Self.issuer, source: source, willChange: { [changes] in try changes.tell($0) })
    }

    private func later(_ seconds: Int64) -> Timestamp {
        Timestamp(microseconds: now.microseconds + seconds * 1_000_000)
    }

    /// Asks for a key, and waits for what that began.
    private func ask(_ name: String, at time: Timestamp) throws {
        defer { keys.finishReading() }
        _ = try keys.key(name, at: time)
    }

    @Test func `are read once, and anew when they have an age`() throws {
        for second in [0, 1, IssuerKeys.refreshSeconds - 1] { try ask("first", at: later(second)) }
        #expect(source.readings == 1)
        try ask("first", at: later(IssuerKeys.refreshSeconds))
        #expect(source.readings == 2)
    }

    @Test(
        arguments: [
            (nil, IssuerKeys.refreshSeconds), (1800, 1800), (0, 300), (1 << 31, 6 * 3600),
        ] as [(Int64?, Int64)])
    func `have the age that their server names, within bounds`(
        _ said: Int64?, _ age: Int64
    ) throws {
        source.say(freshSeconds: said)
        try ask("first", at: now)
        keys.refreshIfDue(at: later(age - 1))
        keys.finishReading()
        #expect(source.readings == 1)
        keys.refreshIfDue(at: later(age))
        keys.finishReading()
        #expect(source.readings == 2)
    }

    @Test func `that are there wait for no reading, and others not for long`() throws {
        let keys = IssuerKeys(Self.issuer, source: source, waitMilliseconds: 0)
        source.gate.wait()
        #expect(throws: TokenRefusal.issuerUnavailable) { try keys.key("first", at: now) }
        source.gate.signal()
        keys.finishReading()
        _ = try keys.key("first", at: now)
        let old = later(IssuerKeys.refreshSeconds)
        source.gate.wait()
        _ = try keys.key("first", at: old)
        // It may be a new one, so it is not refused for good.
        #expect(throws: TokenRefusal.issuerUnavailable) { try keys.key("second", at: old) }
        source.gate.signal()
        keys.finishReading()
        #expect(throws: TokenRefusal.unknown) { try keys.key("second", at: old) }
        #expect(source.readings == 2)
    }

    @Test func `that change are told before they hold, and hold only when that was heard`() throws {
        try ask("first", at: now)
        try ask("first", at: later(IssuerKeys.refreshSeconds))
        #expect(changes.told.map(\.keys) == [1])
        changes.deafen(true)
        source.publish([first, second])
        let soon = later(IssuerKeys.refreshSeconds + IssuerKeys.floorSeconds)
        #expect(throws: TokenRefusal.unknown) { try ask("second", at: soon) }
        #expect(keys.standing(at: soon).failures == 1)
        changes.deafen(false)
        try ask("second", at: later(IssuerKeys.refreshSeconds + 2 * IssuerKeys.floorSeconds))
        #expect(changes.told.map(\.keys) == [1, 2])
        #expect(Set(changes.told.map(\.digest)).count == 2)
        // The same keys in another order are the same.
        source.publish([second, first])
        #expect(throws: TokenRefusal.unknown) {
            try ask("third", at: later(2 * IssuerKeys.refreshSeconds))
        }
        #expect(changes.told.count == 2)
    }

    @Test func `say how they stand`() throws {
        #expect(keys.standing(at: now).state == .unread)
        #expect(keys.look(at: now).state == .current)
        #expect(source.readings == 1)
        source.takeDown()
        let late = later(IssuerKeys.refreshSeconds + IssuerKeys.lateSeconds)
        #expect(keys.standing(at: later(IssuerKeys.refreshSeconds)).state == .current)
        let old = keys.look(at: late)
        #expect(old.state == .old && old.keys == 1 && old.failures == 1)
        #expect(old.readAt == now.text)
        #expect(old.ageSeconds == IssuerKeys.refreshSeconds + IssuerKeys.lateSeconds)
        #expect(keys.standing(at: later(IssuerKeys.keepSeconds)).state == .none)
        keys.end()
        source.publish([first])
        #expect(keys.look(at: later(IssuerKeys.keepSeconds)).state == .none)
        #expect(source.readings == 2)
    }

    @Test func `are read anew for a name that is not among them, which rotation brings`() throws {
        _ = try keys.key("first", at: now)
        source.publish([second])
        let soon = later(IssuerKeys.floorSeconds)
        _ = try keys.key("second", at: soon)
        #expect(source.readings == 2)
        #expect(throws: TokenRefusal.unknown) { try keys.key("first", at: soon) }
    }

    @Test func `are not read for each of a flood of names`() throws {
        for number in 0..<500 {
            #expect(throws: TokenRefusal.unknown) {
                try keys.key("random \(number)", at: later(Int64(number) / 250))
            }
        }
        #expect(source.readings == 1)
        #expect(throws: TokenRefusal.unknown) {
            try keys.key("random", at: later(IssuerKeys.floorSeconds))
        }
        #expect(source.readings == 2)
    }

    @Test func `go on for a day when they cannot be read, and then nothing is accepted`() throws {
        try ask("first", at: now)
        source.takeDown()
        try ask("first", at: later(IssuerKeys.refreshSeconds))
        #expect(source.readings == 2)
        // Whoever comes next does not try again at once.
        try ask("first", at: later(IssuerKeys.refreshSeconds + 1))
        #expect(source.readings == 2)
        try ask("first", at: later(IssuerKeys.keepSeconds - 1))
        let tooLate = later(IssuerKeys.keepSeconds + IssuerKeys.floorSeconds)
        #expect(throws: TokenRefusal.issuerUnavailable) { try keys.key("first", at: tooLate) }
        source.publish([first])
        #expect(throws: TokenRefusal.issuerUnavailable) { try keys.key("first", at: tooLate) }
        _ = try keys.key(
            "first", at: later(IssuerKeys.keepSeconds + 2 * IssuerKeys.floorSeconds))
    }

    @Test func `that never could be read are none, and neither are others than keys`() throws {
        source.takeDown()
        #expect(throws: TokenRefusal.issuerUnavailable) { try keys.key("first", at: now) }
        source.publish([])
        #expect(throws: TokenRefusal.issuerUnavailable) {
            try keys.key("first", at: later(IssuerKeys.floorSeconds))
        }
    }

    @Test func `that a clock dates after now are no good`() throws {
        _ = try keys.key("first", at: now)
        source.takeDown()
        #expect(throws: TokenRefusal.issuerUnavailable) { try keys.key("first", at: later(-1)) }
    }

    @Test func `in a file are read from there`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("keys.json")
        try Data(source.read(bytesMax: 1000).bytes).write(to: URL(fileURLWithPath: path))
        #expect(KeySet(try KeySetFile(path: path).read(bytesMax: 1000).bytes)?.keys.count == 1)
        #expect(throws: (any Error).self) {
            try KeySetFile(path: path + "x").read(bytesMax: 1000)
        }
    }

    // MARK: What a set may hold

    private func keySet(_ keys: [[String: String]]) throws -> KeySet? {
        KeySet(Array(try JSONSerialization.data(withJSONObject: ["keys": keys])))
    }

    @Test func `are those that say what they are for, and that are strong`() throws {
        let weak = TestKey(.rs256, name: "weak", rsaBits: 1024).jwk
        func changed(_ name: String, _ members: [String: String?]) -> [String: String] {
            var jwk = first.jwk
            jwk["kid"] = name
            for (member, value) in members { jwk[member] = value }
            return jwk
        }
        let set = try #require(
            try keySet([
                weak, changed("encryption", ["use": "enc"]), changed("private", ["d": "AA"]),
                changed("other algorithm", ["alg": "ES256"]),
                changed("other curve", ["crv": "X25519"]),
                changed("shared", ["kty": "oct", "k": "AA"]), changed("", [:]),
                changed("twice", [:]), changed("twice", [:]), changed("unpadded", ["x": "AA=="]),
                changed("plain", ["alg": nil, "use": nil]), first.jwk,
            ]))
        #expect(Set(set.keys.keys) == ["first", "plain"])
        let ring = try JSONSerialization.data(
            withJSONObject: [
                "keys": [["kid": 5], "text", first.jwk, first.jwk["x"] ?? ""] as [Any]
            ])
        #expect(KeySet(Array(ring))?.keys.count == 1)
    }

    @Test func `are not looked for in what is too large, or no set`() throws {
        #expect(KeySet(Array("{}".utf8)) == nil)
        #expect(KeySet(Array("[]".utf8)) == nil)
        #expect(KeySet([]) == nil)
        let many = (0...KeySet.countMax).map { number in
            first.jwk.merging(["kid": "\(number)"]) { $1 }
        }
        #expect(try keySet(many) == nil)
        #expect(try keySet(many.dropLast())?.keys.count == KeySet.countMax)
        let padding = Array(repeating: UInt8(0x20), count: KeySet.bytesMax)
        #expect(KeySet(try source.read(bytesMax: 0).bytes + padding) == nil)
    }
}
