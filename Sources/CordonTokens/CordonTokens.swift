/// Access tokens of one region: what they say, how they are signed, and which were issued and revoked; and those of other
/// issuers that the region trusts.
///
/// A token is a JSON Web Token (RFC 7519) signed with Ed25519 (RFC 8037) by a key of the region's own, so a token of
/// one region is nothing in another. It is accepted only while the region's register lists it: signature, times and
/// register must all agree, and whatever cannot be read is refused. The register holds who may do what, never a
/// token. A token of another issuer is worth what the region's configuration makes of its claims, and its people are known by
/// keyed digests alone. It knows no HTTP and no policy. Start at ``TokenAuthority``, whose ``TokenAuthority/check(_:at:)`` is the
/// one place where a token is verified; `Docs/formats/tokens.md` draws both.
package enum CordonTokens {}

/// Why a token was not made or the register not read.
package enum TokenError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A grant that no token may carry; says which part.
    case invalidGrant(String)
    case unknownToken(id: String)
    /// Others can read the signing key.
    case exposedKey(path: String, permissions: UInt32)
    case damagedKey(path: String)
    /// The register was made by a later version.
    case unsupportedVersion(Int64)
    /// The register has no key that it makes names with.
    case damagedRegister

    package var description: String {
        switch self {
        case .invalidGrant(let text): text
        case .unknownToken(let id): "no token `\(id)` was issued here"
        case .exposedKey(let path, let permissions):
            "`\(path)` can be read by others (mode \(String(permissions, radix: 8))): chmod 600 it"
        case .damagedKey(let path): "expected 32 bytes in the key file `\(path)`"
        case .damagedRegister: "the register of tokens has lost its key: restore it"
        case .unsupportedVersion(let version):
            "the register of tokens has layout version \(version), this program knows up to \(TokenRegister.layoutVersion)"
        }
    }
}

/// Why a token that was shown is not accepted.
package enum TokenRefusal: Error, Equatable, Sendable {
    /// It is no token, or not one of this kind: whatever does not read exactly.
    case malformed
    /// It says that it is for another region; whether it is genuine there is not looked at.
    case otherRegion(String)
    case badSignature
    case notYetValid
    case expired
    /// Genuine, and not in the register.
    case unknown
    case revoked
    /// Genuine, and meant for somebody else.
    case otherAudience
    /// Genuine, and without what the mapping of its issuer needs for this part of a grant.
    case noGrant(String)
    /// The keys of its issuer cannot be had.
    case issuerUnavailable
}
