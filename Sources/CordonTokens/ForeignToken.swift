internal import Bytes
internal import CordonModel
internal import Crypto
internal import FoundationEssentials

/// An access token of another issuer: a signed JSON Web Token, read by the rules of RFC 8725 and RFC 9068.
///
/// INVARIANT: what it says counts only after ``verify(by:issuer:at:)``; before, its issuer and its key's name are looked at
/// to find the key, and nothing else is.
struct ForeignToken {
    /// Who it says has issued it.
    let issuer: String
    /// The name of the key that it says it was signed with.
    let keyName: String
    private let algorithm: String
    private let type: String
    private let claims: [String: ClaimValue]
    private let input: [UInt8]
    private let signature: [UInt8]

    /// Bytes of the longest token that is looked at: issuers write more into theirs than Cordon does.
    static let bytesMax = 8192
    /// How far the clocks of issuer and region may be apart.
    static let skewSeconds: Int64 = 30
    /// Longest life of a token that is accepted; a stolen one is worth no more than that.
    static let lifeSecondsMax: Int64 = 86_400
    private static let nameBytesMax = 256

    private struct Header: Decodable {
        let alg: String
        let kid: String
        let typ: String
    }

    /// Members of which any at all, whatever its value, is refused: extensions that must be understood (RFC 7515 section 4.1.11), and
    /// payloads that are not encoded (RFC 7797).
    private static let refusedMembers = ["crit", "b64"]

    init(_ text: String) throws(TokenRefusal) {
        guard text.utf8.count <= Self.bytesMax else { throw .malformed }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3,
            let head = Base64.decode(parts[0], alphabet: .url),
            let body = Base64.decode(parts[1], alphabet: .url),
            let signature = Base64.decode(parts[2], alphabet: .url)
        else { throw .malformed }
        let decoder = JSONDecoder()
        guard let header = try? decoder.decode(Header.self, from: Data(head)),
            let members = try? decoder.decode([String: ClaimValue].self, from: Data(head)),
            !Self.refusedMembers.contains(where: { members[$0] != nil }),
            let claims = try? decoder.decode([String: ClaimValue].self, from: Data(body)),
            case .text(let issuer)? = claims["iss"], header.kid.utf8.count <= Self.nameBytesMax
        else { throw .malformed }
        self.issuer = issuer
        self.claims = claims
        self.signature = signature
        keyName = header.kid
        algorithm = header.alg
        type = header.typ
        input = Array(parts[0].utf8) + [0x2E] + Array(parts[1].utf8)
    }

    /// What is known of a token that is genuine and holds now.
    struct Verified {
        let subject: String
        /// The token's own name.
        let id: String
        let issuedAt: Timestamp
        let expiresAt: Timestamp
        fileprivate let claims: [String: ClaimValue]
    }

    /// Checks the signature, and then what it is a signature of.
    func verify(
        by key: SignatureKey, issuer trusted: TrustedIssuer, at now: Timestamp
    ) throws(TokenRefusal) -> Verified {
        guard algorithm == key.algorithm.rawValue,
            key.isValid(signature: signature, for: input)
        else { throw .badSignature }
        guard issuer == trusted.issuer, isType(trusted.type) else { throw .malformed }
        guard claims["aud"]?.texts?.contains(trusted.audience) == true else {
            throw .otherAudience
        }
        guard let expires = seconds("exp"), let issued = seconds("iat"),
            expires > issued, expires - issued <= Self.lifeSecondsMax,
            case .text(let subject)? = claims["sub"], case .text(let id)? = claims["jti"],
            (1...Self.nameBytesMax).contains(subject.utf8.count),
            (1...Self.nameBytesMax).contains(id.utf8.count)
        else { throw .malformed }
        let second = now.microseconds / 1_000_000
        if second >= expires + Self.skewSeconds { throw .expired }
        if second < issued - Self.skewSeconds { throw .notYetValid }
        if claims["nbf"] != nil {
            guard let start = seconds("nbf") else { throw .malformed }
            if second < start - Self.skewSeconds { throw .notYetValid }
        }
        return Verified(
            subject: subject, id: id, issuedAt: Timestamp(microseconds: issued * 1_000_000),
            expiresAt: Timestamp(microseconds: expires * 1_000_000), claims: claims)
    }

    /// Whether the header names the type; a media type may stand with its tree (RFC 7515 section 4.1.9), in any case of letters.
    private func isType(_ expected: TrustedIssuer.TokenType) -> Bool {
        let found = type.lowercased()
        let word = expected.rawValue.lowercased()
        return found == word || found == "application/" + word
    }

    /// A date in whole seconds up to the year 9999; fractions are cut off.
    private func seconds(_ claim: String) -> Int64? {
        guard case .number(let value)? = claims[claim], (0..<253_402_300_800).contains(value) else {
            return nil
        }
        return Int64(value)
    }
}

extension ForeignToken.Verified {
    /// What the token is worth: never more than the issuer's mapping names.
    func grant(by issuer: TrustedIssuer, subject name: String) throws(TokenRefusal) -> TokenGrant {
        let roles = values(issuer.role)
        // Of several roles none is chosen: whoever holds both may not ask as the one they like better.
        guard roles.count == 1 else { throw .noGrant(roles.isEmpty ? "role" : "one role") }
        let grant = TokenGrant(
            subject: name, role: roles[0], purposes: values(issuer.purposes),
            places: values(issuer.places))
        if grant.purposes.isEmpty { throw .noGrant("purpose") }
        if grant.places.isEmpty { throw .noGrant("place") }
        do throws(TokenError) { try grant.require() } catch { throw .noGrant("grant of its size") }
        return grant
    }

    /// The words that a mapping gives, each once, in the order of the alphabet.
    private func values(_ grant: TrustedIssuer.Grant) -> [String] {
        switch grant {
        case .fixed(let words): return words
        case .claim(let name, let map):
            // `scope` is a list in one text (RFC 9068 section 2.2.3); every other text is one value.
            let found =
                if name == "scope", case .text(let text)? = claims[name] {
                    text.split(separator: " ").map(String.init)
                } else {
                    claims[name]?.texts ?? []
                }
            return Set(found.compactMap { map[$0] }).sorted()
        }
    }
}

/// A claim as far as it is looked at.
enum ClaimValue: Decodable, Equatable {
    case text(String)
    case texts([String])
    case number(Double)
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else if let texts = try? container.decode([String].self) {
            self = .texts(texts)
        } else {
            self = .other
        }
    }

    /// One text, or a list of them; nil for anything else.
    var texts: [String]? {
        switch self {
        case .text(let text): [text]
        case .texts(let texts): texts
        case .number, .other: nil
        }
    }
}
