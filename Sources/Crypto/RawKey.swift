internal import COpenSSL

/// A private key of a curve whose keys are plain bytes, in OpenSSL's hands, which wipes it when it goes.
@safe final class RawPrivateKey: @unchecked Sendable {
    // SAFETY: never changed after the initializer; OpenSSL counts references itself.
    let handle: OpaquePointer
    /// The public key's bytes, as many as the private key has.
    let publicBytes: [UInt8]

    static let byteCount = 32

    /// - Parameters:
    ///   - type: OpenSSL's number of the curve.
    ///   - bytes: the private key; the caller wipes its own copy.
    init(_ type: Int32, _ bytes: [UInt8]) throws(CryptoError) {
        guard bytes.count == Self.byteCount else {
            throw .wrongLength(expected: Self.byteCount, found: bytes.count)
        }
        let made = unsafe EVP_PKEY_new_raw_private_key(type, nil, bytes, bytes.count)
        guard let handle = unsafe made else { preconditionFailure("OpenSSL has no such curve") }
        unsafe self.handle = handle
        var raw = [UInt8](repeating: 0, count: Self.byteCount)
        var count = raw.count
        let status = unsafe EVP_PKEY_get_raw_public_key(handle, &raw, &count)
        precondition(status == 1, "OpenSSL derives a public key from any bytes")
        publicBytes = raw
    }

    deinit { unsafe EVP_PKEY_free(handle) }
}
