/// Somebody else's issuer of access tokens that a region's service accepts, and what its tokens are worth there.
package struct TrustedIssuer: Equatable, Sendable {
    /// The claim `iss`, compared byte by byte.
    package var issuer: String
    /// What the claim `aud` must hold.
    package var audience: String
    /// Where the issuer's public keys are read.
    package var keys: Keys
    /// Where the region's file says so, as `LINE:COLUMN`.
    package var keysPlace: String
    /// Who issues the certificates of the servers that keys are fetched from; nil for those that the system trusts.
    package var authorities: RegionConfiguration.NamedFile?
    /// What the token's header must call it.
    package var type: TokenType
    package var role: Grant
    package var purposes: Grant
    package var places: Grant

    package enum Keys: Equatable, Sendable {
        /// A JSON Web Key Set, kept up to date by the operator.
        case file(RegionConfiguration.NamedFile)
        /// A JSON Web Key Set at an address of HTTPS.
        case address(String)
        /// Where the issuer's own description says (OpenID Connect Discovery).
        case discovery
    }

    package enum TokenType: String, CaseIterable, Sendable {
        /// As RFC 9068 has it, so that no other token of the issuer can stand for an access token.
        case accessToken = "at+jwt"
        /// For issuers that call all of their tokens so.
        case jwt = "JWT"
    }

    /// How a part of a token's grant comes about.
    package enum Grant: Equatable, Sendable {
        /// The same for all tokens of the issuer.
        case fixed([String])
        /// What a claim's values are worth; those that are not named are worth nothing.
        case claim(String, [String: String])
    }

    package init(
        issuer: String, audience: String, keys: Keys, keysPlace: String = "1:1",
        authorities: RegionConfiguration.NamedFile? = nil, type: TokenType = .accessToken,
        role: Grant, purposes: Grant, places: Grant
    ) {
        self.issuer = issuer
        self.audience = audience
        self.keys = keys
        self.keysPlace = keysPlace
        self.authorities = authorities
        self.type = type
        self.role = role
        self.purposes = purposes
        self.places = places
    }
}
