internal import COpenSSL

/// AES in Galois/Counter Mode (NIST SP 800-38D) with 96-bit nonces and 128-bit tags, for keys of one length.
package protocol AESGCM {
    static var keyBytes: Int { get }
}

package enum AES256GCM: AESGCM {
    package static let keyBytes = 32
}

package enum AES128GCM: AESGCM {
    package static let keyBytes = 16
}

extension AESGCM {
    package static var nonceBytes: Int { 12 }
    package static var tagBytes: Int { 16 }

    // SAFETY: OpenSSL's description of a cipher lives as long as the process.
    private static var cipher: OpaquePointer? {
        unsafe keyBytes == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm()
    }

    /// The ciphertext with its tag behind it. A nonce is used once with a key.
    package static func seal(
        _ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], authenticating context: [UInt8]
    ) -> [UInt8] {
        precondition(key.count == keyBytes && nonce.count == nonceBytes)
        let state = unsafe EVP_CIPHER_CTX_new()
        defer { unsafe EVP_CIPHER_CTX_free(state) }
        var (sealed, count) = ([UInt8](repeating: 0, count: plaintext.count), Int32(0))
        var tag = [UInt8](repeating: 0, count: tagBytes)
        var rest: [UInt8] = [0]
        let worked =
            unsafe EVP_EncryptInit_ex(state, cipher, nil, key, nonce) == 1
            && EVP_EncryptUpdate(state, nil, &count, context, Int32(context.count)) == 1
            && EVP_EncryptUpdate(state, &sealed, &count, plaintext, Int32(plaintext.count)) == 1
            && EVP_EncryptFinal_ex(state, &rest, &count) == 1
            && EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_GET_TAG, Int32(tagBytes), &tag) == 1
        precondition(worked, "encryption fails only without memory")
        return sealed + tag
    }

    /// The plaintext; nil when key, nonce, context or ciphertext is another than was sealed. The caller wipes it.
    package static func open(
        _ sealed: [UInt8], key: [UInt8], nonce: [UInt8], authenticating context: [UInt8]
    ) -> [UInt8]? {
        precondition(key.count == keyBytes && nonce.count == nonceBytes)
        guard sealed.count >= tagBytes else { return nil }
        let ciphertext = Array(sealed.dropLast(tagBytes))
        var tag = Array(sealed.suffix(tagBytes))
        let state = unsafe EVP_CIPHER_CTX_new()
        defer { unsafe EVP_CIPHER_CTX_free(state) }
        // What a refusal leaves in OpenSSL's error queue of this thread is nobody's answer.
        defer { ERR_clear_error() }
        var (plaintext, count) = ([UInt8](repeating: 0, count: ciphertext.count), Int32(0))
        var rest: [UInt8] = [0]
        let worked =
            unsafe EVP_DecryptInit_ex(state, cipher, nil, key, nonce) == 1
            && EVP_DecryptUpdate(state, nil, &count, context, Int32(context.count)) == 1
            && EVP_DecryptUpdate(state, &plaintext, &count, ciphertext, Int32(ciphertext.count))
                == 1
            && EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_SET_TAG, Int32(tagBytes), &tag) == 1
            && EVP_DecryptFinal_ex(state, &rest, &count) == 1
        guard worked else {
            Secret.wipe(&plaintext)
            return nil
        }
        return plaintext
    }
}
