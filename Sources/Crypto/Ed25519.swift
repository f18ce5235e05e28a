internal import COpenSSL

/// Why a key or signature was not accepted.
package enum CryptoError: Error, Equatable, Sendable, CustomStringConvertible {
    case wrongLength(expected: Int, found: Int)

    package var description: String {
        switch self {
        case .wrongLength(let expected, let found): "expected \(expected) bytes, found \(found)"
        }
    }
}

/// A private key of Ed25519 (RFC 8032, pure form). OpenSSL wipes it when it goes.
package struct Ed25519PrivateKey: Sendable {
    private let key: RawPrivateKey

    package static let seedBytes = RawPrivateKey.byteCount

    /// Takes the 32 bytes that RFC 8032 calls the private key.
    package init(seed: [UInt8]) throws(CryptoError) {
        key = try RawPrivateKey(EVP_PKEY_ED25519, seed)
    }

    package var publicKey: Ed25519PublicKey { Ed25519PublicKey(bytes: key.publicBytes) }

    /// A new random key, with the seed to store; the caller wipes it.
    package static func generate() -> (key: Ed25519PrivateKey, seed: [UInt8]) {
        let seed = SecureRandom.bytes(seedBytes)
        guard let key = try? Ed25519PrivateKey(seed: seed) else {
            preconditionFailure("32 bytes make a key")
        }
        return (key, seed)
    }

    /// The 64 bytes of the signature; the same for the same message.
    package func sign(_ message: [UInt8]) -> [UInt8] {
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        var signature = [UInt8](repeating: 0, count: Ed25519PublicKey.signatureBytes)
        var count = signature.count
        let started = unsafe EVP_DigestSignInit(context, nil, nil, nil, key.handle)
        let status = unsafe EVP_DigestSign(context, &signature, &count, message, message.count)
        precondition(started == 1 && status == 1, "signing fails only without memory")
        return signature
    }
}

/// A public key of Ed25519.
package struct Ed25519PublicKey: Hashable, Sendable {
    /// The 32 bytes of RFC 8032.
    package let bytes: [UInt8]

    package static let byteCount = 32
    package static let signatureBytes = 64

    package init(_ bytes: [UInt8]) throws(CryptoError) {
        guard bytes.count == Self.byteCount else {
            throw .wrongLength(expected: Self.byteCount, found: bytes.count)
        }
        self.init(bytes: bytes)
    }

    fileprivate init(bytes: [UInt8]) { self.bytes = bytes }

    /// Whether `signature` was made over `message` by the holder of this key. Also false when the bytes
    /// of the key are no point of the curve.
    package func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
        guard signature.count == Self.signatureBytes,
            let key = unsafe EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, bytes, bytes.count)
        else { return false }
        defer { unsafe EVP_PKEY_free(key) }
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        // What a refusal leaves in OpenSSL's error queue of this thread is nobody's answer.
        defer { ERR_clear_error() }
        guard unsafe EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1 else { return false }
        return unsafe EVP_DigestVerify(
            context, signature, signature.count, message, message.count) == 1
    }
}
