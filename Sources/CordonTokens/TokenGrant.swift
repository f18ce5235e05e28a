package import CordonModel

/// What the bearer of a token may do: one role for some purposes from some places, until a time.
package struct TokenGrant: Hashable, Sendable {
    /// Who holds it: a name of an account or a service, chosen by the operator.
    package var subject: String
    package var role: String
    /// At least one.
    package var purposes: [String]
    /// ISO 3166 codes of the places that may be asked from, at least one.
    package var places: [String]
    /// Namespaces that may be written; never one of Cordon's own.
    package var writes: [String]

    /// Longest subject, role, purpose or namespace, in bytes.
    package static let nameBytesMax = 64
    /// Most purposes, places or namespaces of one token: keeps a token below what an HTTP header may hold.
    package static let listCountMax = 16

    package init(
        subject: String, role: String, purposes: [String], places: [String], writes: [String] = []
    ) {
        self.subject = subject
        self.role = role
        self.purposes = purposes
        self.places = places
        self.writes = writes
    }

    /// Throws unless every part is a word that may stand in a token.
    package func require() throws(TokenError) {
        try Self.require("subject", [subject])
        try Self.require("role", [role])
        try Self.require("purpose", purposes)
        guard !purposes.isEmpty else { throw .invalidGrant("a token needs a purpose") }
        guard !places.isEmpty else { throw .invalidGrant("a token needs a place") }
        guard places.count <= Self.listCountMax, places.allSatisfy(Self.isPlace) else {
            throw .invalidGrant(
                "expected at most \(Self.listCountMax) places such as `DE` or `US-CA`")
        }
        try Self.require("namespace", writes)
        guard !writes.contains(where: { $0 == "pixels" || $0.hasPrefix("pixels.") }) else {
            throw .invalidGrant("`pixels` is written by Cordon alone")
        }
    }

    private static func require(_ part: String, _ words: [String]) throws(TokenError) {
        guard words.count <= listCountMax else {
            throw .invalidGrant("expected at most \(listCountMax) of `\(part)`")
        }
        for word in words where !isName(word) {
            throw .invalidGrant(
                "\(part): expected 1 to \(nameBytesMax) of `a` to `z`, digits, `.`, `_` and `-`, beginning with a letter or digit"
            )
        }
    }

    /// Lowercase words alone: none is a mail address, and none needs quoting anywhere.
    static func isName(_ text: String) -> Bool {
        let units = Array(text.utf8)
        guard (1...nameBytesMax).contains(units.count), let first = units.first else {
            return false
        }
        func isWordUnit(_ unit: UInt8) -> Bool {
            (0x61...0x7A).contains(unit) || (0x30...0x39).contains(unit)
        }
        return isWordUnit(first)
            && units.allSatisfy { isWordUnit($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F }
    }

    static func isPlace(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: 0x2D, omittingEmptySubsequences: false)
        func isUpper(_ unit: UInt8) -> Bool { (0x41...0x5A).contains(unit) }
        guard let country = parts.first, country.count == 2, country.allSatisfy(isUpper) else {
            return false
        }
        guard parts.count <= 2 else { return false }
        guard parts.count == 2 else { return true }
        return (1...3).contains(parts[1].count)
            && parts[1].allSatisfy { isUpper($0) || (0x30...0x39).contains($0) }
    }
}

/// A token as the register knows it.
package struct IssuedToken: Hashable, Sendable {
    /// 32 lowercase hexadecimal digits (`jti`).
    package var id: String
    package var grant: TokenGrant
    package var issuedAt: Timestamp
    package var expiresAt: Timestamp
    /// nil while it holds.
    package var revokedAt: Timestamp?

    package init(
        id: String, grant: TokenGrant, issuedAt: Timestamp, expiresAt: Timestamp,
        revokedAt: Timestamp? = nil
    ) {
        self.id = id
        self.grant = grant
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
    }
}
