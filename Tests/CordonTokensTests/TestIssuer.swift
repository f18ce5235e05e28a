import Bytes
import COpenSSL
import CordonModel
import Crypto
import Foundation
import Synchronization

@testable import CordonTokens

/// A key pair of an issuer that signs whatever it is told to.
final class TestKey: @unchecked Sendable {
    // Never changed after the initializer.
    private let handle: OpaquePointer
    let name: String
    let algorithm: SignatureKey.Algorithm

    init(_ algorithm: SignatureKey.Algorithm, name: String, rsaBits: Int32 = 2048) {
        self.algorithm = algorithm
        self.name = name
        let type =
            switch algorithm {
            case .rs256, .ps256: EVP_PKEY_RSA
            case .es256, .es384: EVP_PKEY_EC
            case .edDSA: EVP_PKEY_ED25519
            }
        let context = EVP_PKEY_CTX_new_id(type, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var made = EVP_PKEY_keygen_init(context) == 1
        switch algorithm {
        case .rs256, .ps256: made = made && EVP_PKEY_CTX_set_rsa_keygen_bits(context, rsaBits) == 1
        case .es256:
            made =
                made
                && EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1
        case .es384:
            made = made && EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_secp384r1) == 1
        case .edDSA: break
        }
        var key: OpaquePointer?
        made = made && EVP_PKEY_keygen(context, &key) == 1
        guard made, let key else { preconditionFailure("OpenSSL makes no key") }
        handle = key
    }

    deinit { EVP_PKEY_free(handle) }

    /// The public key as an issuer publishes it.
    var jwk: [String: String] {
        var members = ["kid": name, "use": "sig", "alg": algorithm.rawValue]
        func encode(_ bytes: some Sequence<UInt8>) -> String {
            Base64.encode(Array(bytes), alphabet: .url)
        }
        switch algorithm {
        case .rs256, .ps256:
            members["kty"] = "RSA"
            members["n"] = encode(number("n"))
            members["e"] = encode(number("e"))
        case .es256, .es384:
            var point = [UInt8](repeating: 0, count: 200)
            var count = 0
            EVP_PKEY_get_octet_string_param(handle, "pub", &point, point.count, &count)
            // A compressed point would be of another length.
            let half = (count - 1) / 2
            members["kty"] = "EC"
            members["crv"] = algorithm == .es256 ? "P-256" : "P-384"
            members["x"] = encode(point[1...half])
            members["y"] = encode(point[(half + 1)...(2 * half)])
        case .edDSA:
            var raw = [UInt8](repeating: 0, count: 32)
            var count = 32
            EVP_PKEY_get_raw_public_key(handle, &raw, &count)
            members["kty"] = "OKP"
            members["crv"] = "Ed25519"
            members["x"] = encode(raw)
        }
        return members
    }

    private func number(_ name: String) -> [UInt8] {
        var value: OpaquePointer?
        EVP_PKEY_get_bn_param(handle, name, &value)
        defer { BN_free(value) }
        var bytes = [UInt8](repeating: 0, count: Int((BN_num_bits(value) + 7) / 8))
        BN_bn2bin(value, &bytes)
        return bytes
    }

    /// A token with this header and these claims.
    func token(_ header: [String: Any], _ claims: [String: Any]) throws -> String {
        let input = try [header, claims].map { part in
            Base64.encode(
                Array(try JSONSerialization.data(withJSONObject: part)), alphabet: .url)
        }.joined(separator: ".")
        return input + "." + Base64.encode(sign(Array(input.utf8)), alphabet: .url)
    }

    private func sign(_ message: [UInt8]) -> [UInt8] {
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        var parameters: OpaquePointer?
        let digest = algorithm == .edDSA ? nil : algorithm == .es384 ? EVP_sha384() : EVP_sha256()
        var status = EVP_DigestSignInit(context, &parameters, digest, nil, handle)
        if algorithm == .ps256 {
            status &= EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING)
            status &= EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, Int32(RSA_PSS_SALTLEN_DIGEST))
        }
        var signature = [UInt8](repeating: 0, count: 1024)
        var count = signature.count
        status &= EVP_DigestSign(context, &signature, &count, message, message.count)
        precondition(status == 1, "OpenSSL does not sign")
        signature.removeLast(signature.count - count)
        switch algorithm {
        case .es256: return Self.numbers(of: signature, bytes: 32)
        case .es384: return Self.numbers(of: signature, bytes: 48)
        default: return signature
        }
    }

    /// The two numbers of an ECDSA signature in DER, each of so many bytes.
    private static func numbers(of der: [UInt8], bytes: Int) -> [UInt8] {
        var rest = der.dropFirst(2)
        var numbers: [UInt8] = []
        for _ in 0..<2 {
            let count = Int(rest[rest.startIndex + 1])
            let digits = rest.dropFirst(2).prefix(count).drop { $0 == 0 }
            numbers += [UInt8](repeating: 0, count: bytes - digits.count) + digits
            rest = rest.dropFirst(2 + count)
        }
        return numbers
    }
}

/// A key set that a test changes, takes down, holds up, and counts the readings of.
final class TestKeySet: KeySetSource {
    struct Down: Error {}

    private let state = Mutex<(json: [UInt8]?, count: Int, freshSeconds: Int64?)>(([], 0, nil))
    /// Taken for the length of each reading.
    let gate = DispatchSemaphore(value: 1)

    init(_ keys: [TestKey]) { publish(keys) }

    var readings: Int { state.withLock { $0.count } }

    func publish(_ keys: [TestKey]) {
        let json = try? JSONSerialization.data(withJSONObject: ["keys": keys.map(\.jwk)])
        state.withLock { $0.json = json.map { Array($0) } }
    }

    func say(freshSeconds: Int64?) { state.withLock { $0.freshSeconds = freshSeconds } }

    func takeDown() { state.withLock { $0.json = nil } }

    func read(bytesMax: Int) throws -> KeySetReading {
        gate.wait()
        defer { gate.signal() }
        return try state.withLock { state in
            state.count += 1
            guard let json = state.json else { throw Down() }
            return KeySetReading(bytes: json, freshSeconds: state.freshSeconds)
        }
    }
}
