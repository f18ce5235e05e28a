internal import Bytes
internal import CordonModel
internal import Crypto
internal import FoundationEssentials

/// The compact form of a token: header, claims and signature in base64url with dots between (RFC 7515 section 7.1).
///
/// One algorithm, `EdDSA`, chosen here and not by the token; the rules of RFC 8725 that apply are kept: the header is
/// compared, never obeyed; claims that must be there are there; audience and issuer are this region.
struct WebToken: Equatable {
    var token: IssuedToken
    /// The region that it is for.
    var region: String

    /// Bytes of the longest token that is looked at.
    static let bytesMax = 4096
    private static let issuerPrefix = "cordon:"

    struct Header: Codable, Equatable {
        var alg: String
        var typ: String
        /// Names the key, for people with several.
        var kid: String
        /// Never written; one that is there is refused (RFC 7515 section 4.1.11).
        var crit: [String]?
    }

    struct Claims: Codable {
        var iss: String
        var aud: String
        var sub: String
        var jti: String
        var iat: Int64
        var exp: Int64
        var role: String
        var purposes: [String]
        var places: [String]
        var writes: [String]?
    }

    /// First 16 hexadecimal digits of the public key's SHA-256.
    static func keyName(_ key: Ed25519PublicKey) -> String {
        String(SHA256.digest(key.bytes).hex.prefix(16))
    }

    func signed(by key: Ed25519PrivateKey) -> String {
        let header = Header(alg: "EdDSA", typ: "JWT", kid: Self.keyName(key.publicKey), crit: nil)
        let claims = Claims(
            iss: Self.issuerPrefix + region, aud: Self.issuerPrefix + region,
            sub: token.grant.subject, jti: token.id, iat: Self.seconds(token.issuedAt),
            exp: Self.seconds(token.expiresAt), role: token.grant.role,
            purposes: token.grant.purposes, places: token.grant.places,
            writes: token.grant.writes.isEmpty ? nil : token.grant.writes)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let head = try? encoder.encode(header), let body = try? encoder.encode(claims) else {
            preconditionFailure("texts and whole numbers always encode")
        }
        let input =
            Base64.encode(Array(head), alphabet: .url) + "."
            + Base64.encode(Array(body), alphabet: .url)
        return input + "." + Base64.encode(key.sign(Array(input.utf8)), alphabet: .url)
    }

    /// Reads a token that `key` signed for `region`.
    init(_ text: String, region: String, key: Ed25519PublicKey) throws(TokenRefusal) {
        guard text.utf8.count <= Self.bytesMax else { throw .malformed }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3,
            let headBytes = Base64.decode(parts[0], alphabet: .url),
            let bodyBytes = Base64.decode(parts[1], alphabet: .url),
            let signature = Base64.decode(parts[2], alphabet: .url),
            signature.count == Ed25519PublicKey.signatureBytes
        else { throw .malformed }
        let decoder = JSONDecoder()
        guard let header = try? decoder.decode(Header.self, from: Data(headBytes)),
            header.alg == "EdDSA", header.typ == "JWT", header.crit == nil,
            let claims = try? decoder.decode(Claims.self, from: Data(bodyBytes))
        else { throw .malformed }
        // Said before the signature is looked at, as this region cannot look at another's: a refusal either way.
        guard claims.aud == Self.issuerPrefix + region, claims.iss == claims.aud else {
            let name = claims.aud.dropFirst(Self.issuerPrefix.count)
            guard claims.aud.hasPrefix(Self.issuerPrefix), TokenGrant.isName(String(name)),
                name != region[...]
            else { throw .malformed }
            throw .otherRegion(String(name))
        }
        let input = Array(parts[0].utf8) + [0x2E] + Array(parts[1].utf8)
        guard header.kid == Self.keyName(key), key.isValid(signature: signature, for: input) else {
            throw .badSignature
        }
        let grant = TokenGrant(
            subject: claims.sub, role: claims.role, purposes: claims.purposes,
            places: claims.places, writes: claims.writes ?? [])
        do throws(TokenError) { try grant.require() } catch { throw .malformed }
        guard claims.jti.utf8.count == 32,
            claims.jti.utf8.allSatisfy({ Bytes.hexDigit($0) != nil }),
            Self.secondsRange.contains(claims.iat), Self.secondsRange.contains(claims.exp)
        else { throw .malformed }
        token = IssuedToken(
            id: claims.jti, grant: grant,
            issuedAt: Timestamp(microseconds: claims.iat * 1_000_000),
            expiresAt: Timestamp(microseconds: claims.exp * 1_000_000))
        self.region = region
    }

    init(token: IssuedToken, region: String) {
        self.token = token
        self.region = region
    }

    /// Up to the year 9999: what is beyond overflows elsewhere.
    private static let secondsRange: ClosedRange<Int64> = 0...253_402_300_799

    private static func seconds(_ time: Timestamp) -> Int64 { time.microseconds / 1_000_000 }
}
