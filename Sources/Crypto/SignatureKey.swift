internal import COpenSSL

/// Why numbers make no key that signatures are verified with here.
package enum SignatureKeyError: Error, Equatable, Sendable {
    /// An RSA modulus outside of ``SignatureKey/modulusBitsRange``, or an exponent that is even or below 65,537.
    case weak
    /// No point of the curve, or bytes of another length.
    case malformed
}

/// A public key that verifies signatures of others by one algorithm (RFC 7518 section 3, RFC 8037), which belongs to the key and is
/// never chosen by what was signed.
@safe package final class SignatureKey: @unchecked Sendable {
    // SAFETY: never changed after the initializer; OpenSSL counts references itself.
    private let handle: OpaquePointer
    package let algorithm: Algorithm
    /// Bytes of every signature.
    private let signatureBytes: Int

    /// By the names that JSON Web Algorithms have.
    package enum Algorithm: String, CaseIterable, Sendable {
        case rs256 = "RS256"
        case ps256 = "PS256"
        case es256 = "ES256"
        case es384 = "ES384"
        case edDSA = "EdDSA"
    }

    package enum Curve: Sendable {
        case p256
        case p384
    }

    /// Bits of an RSA modulus: fewer are weak (RFC 7518 section 3.3), more cost time and come from nobody's issuer.
    package static let modulusBitsRange = 2048...8192
    private static let exponentBytesMax = 8

    /// A key of RSA, from the bytes of its numbers, the most significant first.
    ///
    /// - Parameter isPSS: whether signatures are padded by PSS instead of PKCS #1 v1.5; SHA-256 either way.
    package init(modulus: [UInt8], exponent: [UInt8], isPSS: Bool) throws(SignatureKeyError) {
        let modulus = Array(modulus.drop { $0 == 0 })
        let exponent = Array(exponent.drop { $0 == 0 })
        let bits = modulus.count * 8 - (modulus.first?.leadingZeroBitCount ?? 0)
        let number = exponent.suffix(Self.exponentBytesMax).reduce(UInt64(0)) {
            $0 << 8 | UInt64($1)
        }
        guard Self.modulusBitsRange.contains(bits), exponent.count <= Self.exponentBytesMax,
            number % 2 == 1, number >= 65_537, modulus[modulus.count - 1] % 2 == 1
        else { throw .weak }
        let numbers = DER.sequence(DER.integer(modulus) + DER.integer(exponent))
        let info = DER.subjectPublicKey(DER.rsaEncryption + DER.null, numbers)
        guard let key = unsafe Self.read(info) else { throw .malformed }
        unsafe handle = key
        algorithm = isPSS ? .ps256 : .rs256
        signatureBytes = (bits + 7) / 8
    }

    /// A point of a curve, verified to be one.
    package init(_ curve: Curve, x: [UInt8], y: [UInt8]) throws(SignatureKeyError) {
        let count = curve == .p256 ? 32 : 48
        guard x.count == count, y.count == count else { throw .malformed }
        let name = curve == .p256 ? DER.p256 : DER.p384
        let info = DER.subjectPublicKey(DER.ecPublicKey + name, [0x04] + x + y)
        guard let key = unsafe Self.read(info) else { throw .malformed }
        unsafe handle = key
        algorithm = curve == .p256 ? .es256 : .es384
        signatureBytes = 2 * count
    }

    /// A key of Ed25519.
    package init(ed25519 bytes: [UInt8]) throws(SignatureKeyError) {
        defer { ERR_clear_error() }
        guard bytes.count == Ed25519PublicKey.byteCount,
            let key = unsafe EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, bytes, bytes.count)
        else { throw .malformed }
        unsafe handle = key
        algorithm = .edDSA
        signatureBytes = Ed25519PublicKey.signatureBytes
    }

    deinit { unsafe EVP_PKEY_free(handle) }

    /// Whether the holder of this key made `signature` over `message`.
    ///
    /// - Parameter signature: as a JSON Web Signature has it; for curves the two numbers one after the other.
    package func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
        guard signature.count == signatureBytes else { return false }
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        // What a refusal leaves in OpenSSL's error queue of this thread is nobody's answer.
        defer { ERR_clear_error() }
        var parameters: OpaquePointer?
        let digest: OpaquePointer? =
            switch algorithm {
            case .rs256, .ps256, .es256: unsafe EVP_sha256()
            case .es384: unsafe EVP_sha384()
            case .edDSA: nil
            }
        guard unsafe EVP_DigestVerifyInit(context, &parameters, digest, nil, handle) == 1 else {
            return false
        }
        if algorithm == .ps256 {
            // The salt is as long as the digest (RFC 7518 section 3.5).
            guard unsafe EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1,
                unsafe EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, Int32(RSA_PSS_SALTLEN_DIGEST))
                    == 1
            else { return false }
        }
        var signature = signature
        if algorithm == .es256 || algorithm == .es384 {
            let half = signatureBytes / 2
            signature = DER.sequence(
                DER.integer(Array(signature[..<half])) + DER.integer(Array(signature[half...])))
        }
        return unsafe EVP_DigestVerify(
            context, signature, signature.count, message, message.count) == 1
    }

    /// A key out of its `SubjectPublicKeyInfo`, checked by OpenSSL; nil where it is none.
    @unsafe private static func read(_ info: [UInt8]) -> OpaquePointer? {
        defer { ERR_clear_error() }
        let key = unsafe info.withUnsafeBufferPointer { bytes in
            var place = bytes.baseAddress
            return unsafe d2i_PUBKEY(nil, &place, bytes.count)
        }
        guard let key = unsafe key else { return nil }
        let context = unsafe EVP_PKEY_CTX_new(key, nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        guard unsafe EVP_PKEY_public_check(context) == 1 else {
            unsafe EVP_PKEY_free(key)
            return nil
        }
        return unsafe key
    }
}

/// The little of DER (X.690) that keys and signatures are written in.
private enum DER {
    static let rsaEncryption: [UInt8] = [
        0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01,
    ]
    static let ecPublicKey: [UInt8] = [0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01]
    static let p256: [UInt8] = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]
    static let p384: [UInt8] = [0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22]
    static let null: [UInt8] = [0x05, 0x00]

    static func sequence(_ content: [UInt8]) -> [UInt8] { tagged(0x30, content) }

    /// A number that is not negative, from its bytes, the most significant first.
    static func integer(_ bytes: [UInt8]) -> [UInt8] {
        let digits = Array(bytes.drop { $0 == 0 })
        let needsZero = digits.first.map { $0 & 0x80 != 0 } ?? true
        return tagged(0x02, needsZero ? [0] + digits : digits)
    }

    /// A `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
    static func subjectPublicKey(_ algorithm: [UInt8], _ key: [UInt8]) -> [UInt8] {
        sequence(sequence(algorithm) + tagged(0x03, [0] + key))
    }

    private static func tagged(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        let count = content.count
        if count < 0x80 { return [tag, UInt8(count)] + content }
        if count < 0x100 { return [tag, 0x81, UInt8(count)] + content }
        return [tag, 0x82, UInt8(count >> 8), UInt8(count & 0xFF)] + content
    }
}
