internal import Bytes
internal import Crypto
internal import FoundationEssentials

/// The public keys of an issuer by name, out of a JSON Web Key Set (RFC 7517 section 5).
///
/// A key that is not known, weak, meant for something else, or without a name is left out, and so are two of one name: none
/// of them verifies anything.
struct KeySet: Sendable {
    private(set) var keys: [String: SignatureKey] = [:]
    /// Digest of the keys, in whatever order and words they were written; empty when there are none.
    private(set) var digest = ""

    /// Bytes of the longest set that is read.
    static let bytesMax = 256 << 10
    /// Most keys of a set.
    static let countMax = 64

    private struct Document: Decodable {
        let keys: [Lenient]
    }

    /// A key that does not read is none, and spoils no other.
    private struct Lenient: Decodable {
        let key: WebKey?
        init(from decoder: any Decoder) { key = try? WebKey(from: decoder) }
    }

    private struct WebKey: Decodable {
        let kty: String
        let kid: String?
        let use: String?
        let operations: [String]?
        let alg: String?
        let n: String?
        let e: String?
        let crv: String?
        let x: String?
        let y: String?
        /// The private part of any key, which is nobody's to publish.
        let d: String?

        private enum CodingKeys: String, CodingKey {
            case kty, kid, use, alg, n, e, crv, x, y, d
            case operations = "key_ops"
        }
    }

    static let none = KeySet()

    private init() {}

    /// Nil when it is no key set, or too large for one.
    init?(_ json: [UInt8]) {
        guard json.count <= Self.bytesMax,
            let document = try? JSONDecoder().decode(Document.self, from: Data(json)),
            document.keys.count <= Self.countMax
        else { return nil }
        var twice: Set<String> = []
        for key in document.keys.compactMap(\.key) {
            guard let name = key.kid, !name.isEmpty else { continue }
            if keys[name] != nil { twice.insert(name) }
            keys[name] = Self.key(key)
        }
        for name in twice { keys[name] = nil }
        digest = Self.digest(
            document.keys.compactMap(\.key).filter { keys[$0.kid ?? ""] != nil })
    }

    private static func digest(_ keys: [WebKey]) -> String {
        let texts = keys.map { key in
            // With its length before each part, no two lists of parts are one text.
            [key.kid, key.kty, key.crv, key.alg, key.n, key.e, key.x, key.y]
                .map { "\($0?.utf8.count ?? 0):\($0 ?? "")" }.joined()
        }
        return Bytes.hex(SHA256.hash(Array(texts.sorted().joined(separator: "\n").utf8)))
    }

    private static func key(_ key: WebKey) -> SignatureKey? {
        guard key.d == nil, key.use ?? "sig" == "sig", key.operations?.contains("verify") ?? true
        else { return nil }
        func number(_ text: String?) -> [UInt8] {
            text.flatMap { Base64.decode($0, alphabet: .url) } ?? []
        }
        let made: SignatureKey?
        switch (key.kty, key.crv) {
        case ("RSA", _):
            // A key that does not say what it is for is one of the algorithm that every issuer has (RFC 9068 section 2.1).
            made = try? SignatureKey(
                modulus: number(key.n), exponent: number(key.e), isPSS: key.alg == "PS256")
        case ("EC", "P-256"): made = try? SignatureKey(.p256, x: number(key.x), y: number(key.y))
        case ("EC", "P-384"): made = try? SignatureKey(.p384, x: number(key.x), y: number(key.y))
        case ("OKP", "Ed25519"): made = try? SignatureKey(ed25519: number(key.x))
        default: made = nil
        }
        guard let made, key.alg ?? made.algorithm.rawValue == made.algorithm.rawValue else {
            return nil
        }
        return made
    }
}
