package import CordonModel
package import CordonTokens
import Foundation
import HTTPSFetch
import TLS

/// Where the keys of an issuer are read: a file, an address, or the address that the issuer's own description names.
///
/// All of it follows from the region's file; nothing that a token says is ever looked up.
package struct IssuerKeySource: KeySetSource {
    private let issuer: TrustedIssuer
    private let region: String

    package init(_ issuer: TrustedIssuer, region: String) {
        self.issuer = issuer
        self.region = region
    }

    private static let descriptionBytesMax = 64 << 10
    private static let descriptionPath = "/.well-known/openid-configuration"

    /// What an issuer says of itself (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).
    private struct Description: Decodable {
        let issuer: String
        let keys: String

        private enum CodingKeys: String, CodingKey {
            case issuer
            case keys = "jwks_uri"
        }
    }

    private enum Failure: Error, CustomStringConvertible {
        case noDescription
        case otherIssuer
        case address

        var description: String {
            switch self {
            case .noDescription: "the issuer's description is no OpenID configuration"
            case .otherIssuer: "the description found there is of another issuer"
            case .address: "the keys are not at an address that begins with `https://`"
            }
        }
    }

    package func read(bytesMax: Int) throws -> KeySetReading {
        do {
            switch issuer.keys {
            case .file(let file): return try KeySetFile(path: file.path).read(bytesMax: bytesMax)
            case .address(let text): return try fetch(text, bytesMax)
            case .discovery: return try discover(bytesMax)
            }
        } catch {
            throw IssuerKeyError(
                file: "Regions/\(region).yaml:\(issuer.keysPlace)", source: source,
                cause: "\(error)")
        }
    }

    /// Where the keys are looked for, as the region's file has it.
    private var source: String {
        switch issuer.keys {
        case .file(let file): file.text
        case .address(let text): text
        case .discovery: base + Self.descriptionPath
        }
    }

    private var base: String {
        issuer.issuer.hasSuffix("/") ? String(issuer.issuer.dropLast()) : issuer.issuer
    }

    private func discover(_ bytesMax: Int) throws -> KeySetReading {
        let text = try fetch(source, Self.descriptionBytesMax)
        guard let found = try? JSONDecoder().decode(Description.self, from: Data(text.bytes))
        else { throw Failure.noDescription }
        // Else one issuer could lend its keys to another's name (OpenID Connect Discovery 1.0, section 4.3).
        guard found.issuer == issuer.issuer else { throw Failure.otherIssuer }
        return try fetch(found.keys, bytesMax)
    }

    private func fetch(_ text: String, _ bytesMax: Int) throws -> KeySetReading {
        guard let address = HTTPSAddress(text) else { throw Failure.address }
        let authorities = try issuer.authorities.map { try TLSAuthorities(path: $0.path) }
        let document = try HTTPSClient(authorities: authorities).get(address, bytesMax: bytesMax)
        return KeySetReading(bytes: document.body, freshSeconds: document.freshSeconds)
    }
}

/// Why the keys of an issuer cannot be read; it names the place in the region's file and where they were looked for.
package struct IssuerKeyError: Error, Equatable, CustomStringConvertible {
    let file: String
    let source: String
    /// Holds no byte that a server sent.
    let cause: String

    package var description: String { "\(file): cannot read keys from `\(source)`: \(cause)" }
}
