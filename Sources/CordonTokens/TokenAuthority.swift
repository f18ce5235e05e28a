internal import Bytes
package import CordonModel
package import Crypto
internal import LinuxIO

/// Issues, checks, lists and revokes the tokens of one region.
///
/// Any number of threads and processes may use the same files; a token that one issued or revoked is so for all at once.
package final class TokenAuthority: Sendable {
    package let region: String
    private let key: Ed25519PrivateKey
    private let register: TokenRegister
    private let issuers: [IssuerKeys]

    /// Longest life of a token, in seconds: whoever leaves keeps it no longer than a year.
    package static let lifeSecondsRange: ClosedRange<Int64> = 60...366 * 86_400

    /// Opens the region's key and register, making either when it is missing.
    ///
    /// - Parameters:
    ///   - keysDirectory: where `token-signing.key` lies, 32 bytes with mode 0600.
    ///   - registerPath: the register's SQLite file.
    ///   - issuers: whose tokens are accepted beside the region's own.
    package init(
        region: String, keysDirectory: String, registerPath: String, issuers: [IssuerKeys] = []
    ) throws {
        self.region = region
        self.issuers = issuers
        key = try Self.key(keysDirectory + "/token-signing.key")
        register = try TokenRegister(path: registerPath)
    }

    /// The key that tokens can be verified with elsewhere.
    package var publicKey: Ed25519PublicKey { key.publicKey }

    private static func key(_ path: String) throws -> Ed25519PrivateKey {
        if try !File.exists(path) {
            var seed = SecureRandom.bytes(Ed25519PrivateKey.seedBytes)
            defer { Secret.wipe(&seed) }
            // Of two processes that try at the same time one wins, and both read its key below.
            _ = try File.create(path, seed)
        }
        let file = try File(opening: path, [.read, .noFollow])
        let permissions = try file.metadata().permissions
        guard permissions & 0o077 == 0 else {
            throw TokenError.exposedKey(path: path, permissions: permissions)
        }
        var seed = try file.readToEnd()
        defer { Secret.wipe(&seed) }
        guard let key = try? Ed25519PrivateKey(seed: seed) else {
            throw TokenError.damagedKey(path: path)
        }
        return key
    }

    /// Issues a token.
    ///
    /// - Parameter audit: told before the token is valid; what it throws prevents it.
    /// - Returns: the token's text, which is kept nowhere, and what the register says of it.
    package func issue(
        _ grant: TokenGrant, lifeSeconds: Int64, at now: Timestamp,
        audit: @Sendable (IssuedToken) throws -> Void
    ) throws -> (text: String, token: IssuedToken) {
        try grant.require()
        guard Self.lifeSecondsRange.contains(lifeSeconds) else {
            throw TokenError.invalidGrant("a token lives from one minute to 366 days")
        }
        let second = now.microseconds / 1_000_000 * 1_000_000
        let token = IssuedToken(
            id: Bytes.hex(SecureRandom.bytes(16)), grant: grant,
            issuedAt: Timestamp(microseconds: second),
            expiresAt: Timestamp(microseconds: second + lifeSeconds * 1_000_000))
        let text = WebToken(token: token, region: region).signed(by: key)
        guard text.utf8.count <= WebToken.bytesMax else {
            throw TokenError.invalidGrant("the token has too many purposes, places or namespaces")
        }
        try register.insert(token) { try audit(token) }
        return (text, token)
    }

    /// What the bearer of `text` may do now.
    ///
    /// - Throws: ``TokenRefusal``, or what keeps the register from being read; both mean no.
    package func check(_ text: String, at now: Timestamp) throws -> IssuedToken {
        // Who is said to have issued it decides where keys are looked for, and nothing else.
        if !issuers.isEmpty, let token = try? ForeignToken(text),
            let keys = issuers.first(where: { $0.issuer.issuer == token.issuer })
        {
            return try check(token, keys, at: now)
        }
        let claimed = try WebToken(text, region: region, key: key.publicKey).token
        if now >= claimed.expiresAt { throw TokenRefusal.expired }
        if now < claimed.issuedAt { throw TokenRefusal.notYetValid }
        return try registered(claimed)
    }

    /// The register's own word on a token of the region.
    private func registered(_ token: IssuedToken) throws -> IssuedToken {
        guard let known = try register.token(token.id), known.grant == token.grant,
            known.expiresAt == token.expiresAt
        else { throw TokenRefusal.unknown }
        guard known.revokedAt == nil else { throw TokenRefusal.revoked }
        return known
    }

    /// Throws when a token that was good has ended since.
    package func recheck(_ token: IssuedToken, at now: Timestamp) throws {
        if now >= token.expiresAt { throw TokenRefusal.expired }
        if Self.isOfAnotherIssuer(token) {
            try requireNotEnded(token.id, of: token.grant.subject)
        } else {
            _ = try registered(token)
        }
    }

    /// Throws where a token of another issuer was ended, or all tokens of its subject.
    private func requireNotEnded(_ id: String, of subject: String) throws {
        guard try !register.isEnded(anyOf: [id, subject]) else { throw TokenRefusal.revoked }
    }

    private func check(
        _ token: ForeignToken, _ keys: IssuerKeys, at now: Timestamp
    ) throws -> IssuedToken {
        let key = try keys.key(token.keyName, at: now)
        let verified = try token.verify(by: key, issuer: keys.issuer, at: now)
        let subject = name(ofSubject: verified.subject, issuer: token.issuer)
        let id = name(ofToken: verified.id, issuer: token.issuer)
        let grant = try verified.grant(by: keys.issuer, subject: subject)
        try requireNotEnded(id, of: subject)
        return IssuedToken(
            id: id, grant: grant, issuedAt: verified.issuedAt, expiresAt: verified.expiresAt)
    }

    /// Whether a token that was checked is one of another issuer.
    package static func isOfAnotherIssuer(_ token: IssuedToken) -> Bool {
        TokenRegister.isForeignName(token.id)
    }

    /// Whether `user` is whom the token was issued to: its subject here, or for a token of another issuer what that calls them.
    package func isBearer(_ user: String, of token: IssuedToken) -> Bool {
        let subject = token.grant.subject
        // A name here is of one issuer alone, so it is that of nobody else whichever issuer is tried.
        return user == subject
            || Self.isOfAnotherIssuer(token)
                && issuers.contains { name(ofSubject: user, issuer: $0.issuer.issuer) == subject }
    }

    /// What somebody of another issuer (`sub`) is called here and in the audit log: a keyed digest, since an issuer may use mail
    /// addresses.
    package func name(ofSubject subject: String, issuer: String) -> String {
        register.name("sub", issuer, subject)
    }

    /// What a token of another issuer (`jti`) is called here.
    package func name(ofToken id: String, issuer: String) -> String {
        register.name("jti", issuer, id)
    }

    /// How the keys of each issuer that is accepted stand.
    package func issuerStandings(at now: Timestamp) -> [IssuerStanding] {
        issuers.map { $0.standing(at: now) }
    }

    /// Ends a token at once, in every process; by the name of somebody of another issuer, all of theirs.
    ///
    /// - Parameter audit: told before it ends.
    package func revoke(
        _ id: String, at now: Timestamp, audit: @Sendable () throws -> Void
    ) throws {
        if TokenRegister.isForeignName(id) {
            try register.end(id, at: now, before: audit)
        } else {
            try register.revoke(id, at: now, before: audit)
        }
    }

    /// Every token that was ever issued, oldest first.
    package func tokens() throws -> [IssuedToken] { try register.tokens() }
}
