internal import COpenSSL

/// A private key of X25519 (RFC 7748). OpenSSL wipes it when it goes.
package struct X25519PrivateKey: Sendable {
    private let key: RawPrivateKey

    package static let byteCount = RawPrivateKey.byteCount

    /// Takes the 32 bytes of the scalar; the caller wipes its own copy.
    package init(_ scalar: [UInt8]) throws(CryptoError) {
        key = try RawPrivateKey(EVP_PKEY_X25519, scalar)
    }

    package var publicKey: X25519PublicKey { X25519PublicKey(bytes: key.publicBytes) }

    /// A new random key, with the scalar to store; the caller wipes it.
    package static func generate() -> (key: X25519PrivateKey, scalar: [UInt8]) {
        let scalar = SecureRandom.bytes(byteCount)
        guard let key = try? X25519PrivateKey(scalar) else {
            preconditionFailure("32 bytes make a key")
        }
        return (key, scalar)
    }

    /// The 32 bytes that this key and the holder of `other` share; nil when `other` is one of the few points whose shared bytes
    /// are zeros for everybody (RFC 7748 section 6.1). The caller wipes them.
    package func agree(with other: X25519PublicKey) -> [UInt8]? {
        let made = unsafe EVP_PKEY_new_raw_public_key(
            EVP_PKEY_X25519, nil, other.bytes, other.bytes.count)
        guard let peer = unsafe made else { preconditionFailure("any 32 bytes are a point") }
        defer { unsafe EVP_PKEY_free(peer) }
        let context = unsafe EVP_PKEY_CTX_new(key.handle, nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        // What a refusal leaves in OpenSSL's error queue of this thread is nobody's answer.
        defer { ERR_clear_error() }
        var shared = [UInt8](repeating: 0, count: Self.byteCount)
        var count = shared.count
        let worked =
            unsafe EVP_PKEY_derive_init(context) == 1
            && EVP_PKEY_derive_set_peer(context, peer) == 1
            && EVP_PKEY_derive(context, &shared, &count) == 1
        return worked && shared.contains { $0 != 0 } ? shared : nil
    }
}

/// A public key of X25519.
package struct X25519PublicKey: Hashable, Sendable {
    /// The 32 bytes of RFC 7748.
    package let bytes: [UInt8]

    package static let byteCount = 32

    package init(_ bytes: some Collection<UInt8>) throws(CryptoError) {
        guard bytes.count == Self.byteCount else {
            throw .wrongLength(expected: Self.byteCount, found: bytes.count)
        }
        self.init(bytes: Array(bytes))
    }

    fileprivate init(bytes: [UInt8]) { self.bytes = bytes }
}
