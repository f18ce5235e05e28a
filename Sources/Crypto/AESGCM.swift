internal import COpenSSL

/// AES-256 in Galois/Counter Mode (NIST SP 800-38D) with 96-bit nonces and 128-bit tags.
package enum AES256GCM {
    package static let keyBytes = 32
    package static let nonceBytes = GaloisCounterMode.nonceBytes
    package static let tagBytes = GaloisCounterMode.tagBytes

    /// The ciphertext with its tag behind it. A nonce is used once with a key.
    package static func seal(
        _ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], authenticating context: [UInt8]
    ) -> [UInt8] {
        precondition(key.count == keyBytes)
        return unsafe GaloisCounterMode.seal(
            plaintext, EVP_aes_256_gcm(), key: key, nonce: nonce, authenticating: context)
    }

    /// The plaintext; nil when key, nonce, context or ciphertext is another than was sealed. The caller wipes it.
    package static func open(
        _ sealed: [UInt8], key: [UInt8], nonce: [UInt8], authenticating context: [UInt8]
    ) -> [UInt8]? {
        precondition(key.count == keyBytes)
        return unsafe GaloisCounterMode.open(
            sealed, EVP_aes_256_gcm(), key: key, nonce: nonce, authenticating: context)
    }
}

/// AES-128 in Galois/Counter Mode; otherwise as ``AES256GCM``.
package enum AES128GCM {
    package static let keyBytes = 16
    package static let nonceBytes = GaloisCounterMode.nonceBytes
    package static let tagBytes = GaloisCounterMode.tagBytes

    /// The ciphertext with its tag behind it. A nonce is used once with a key.
    package static func seal(
        _ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], authenticating context: [UInt8]
    ) -> [UInt8] {
        precondition(key.count == keyBytes)
        return unsafe GaloisCounterMode.seal(
            plaintext, EVP_aes_128_gcm(), key: key, nonce: nonce, authenticating: context)
    }

    /// The plaintext; nil when key, nonce, context or ciphertext is another than was sealed. The caller wipes it.
    package static func open(
        _ sealed: [UInt8], key: [UInt8], nonce: [UInt8], authenticating context: [UInt8]
    ) -> [UInt8]? {
        precondition(key.count == keyBytes)
        return unsafe GaloisCounterMode.open(
            sealed, EVP_aes_128_gcm(), key: key, nonce: nonce, authenticating: context)
    }
}

/// The mode itself (`EVP_EncryptInit_ex` and on), for a cipher of either key length.
private enum GaloisCounterMode {
    static let nonceBytes = 12
    static let tagBytes = 16

    static func seal(
        _ plaintext: [UInt8], _ kind: OpaquePointer?, key: [UInt8], nonce: [UInt8],
        authenticating context: [UInt8]
    ) -> [UInt8] {
        precondition(nonce.count == nonceBytes)
        let cipher = unsafe EVP_CIPHER_CTX_new()
        defer { unsafe EVP_CIPHER_CTX_free(cipher) }
        var (sealed, count) = ([UInt8](repeating: 0, count: plaintext.count), Int32(0))
        var tag = [UInt8](repeating: 0, count: tagBytes)
        var rest: [UInt8] = [0]
        let worked =
            unsafe EVP_EncryptInit_ex(cipher, kind, nil, key, nonce) == 1
            && EVP_EncryptUpdate(cipher, nil, &count, context, Int32(context.count)) == 1
            && EVP_EncryptUpdate(cipher, &sealed, &count, plaintext, Int32(plaintext.count)) == 1
            && EVP_EncryptFinal_ex(cipher, &rest, &count) == 1
            && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, Int32(tagBytes), &tag) == 1
        precondition(worked, "encryption fails only without memory")
        return sealed + tag
    }

    static func open(
        _ sealed: [UInt8], _ kind: OpaquePointer?, key: [UInt8], nonce: [UInt8],
        authenticating context: [UInt8]
    ) -> [UInt8]? {
        precondition(nonce.count == nonceBytes)
        guard sealed.count >= tagBytes else { return nil }
        let ciphertext = Array(sealed.dropLast(tagBytes))
        var tag = Array(sealed.suffix(tagBytes))
        let cipher = unsafe EVP_CIPHER_CTX_new()
        defer { unsafe EVP_CIPHER_CTX_free(cipher) }
        // What a refusal leaves in OpenSSL's error queue of this thread is nobody's answer.
        defer { ERR_clear_error() }
        var (plaintext, count) = ([UInt8](repeating: 0, count: ciphertext.count), Int32(0))
        var rest: [UInt8] = [0]
        let worked =
            unsafe EVP_DecryptInit_ex(cipher, kind, nil, key, nonce) == 1
            && EVP_DecryptUpdate(cipher, nil, &count, context, Int32(context.count)) == 1
            && EVP_DecryptUpdate(cipher, &plaintext, &count, ciphertext, Int32(ciphertext.count))
                == 1
            && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, Int32(tagBytes), &tag) == 1
            && EVP_DecryptFinal_ex(cipher, &rest, &count) == 1
        guard worked else {
            Secret.wipe(&plaintext)
            return nil
        }
        return plaintext
    }
}
