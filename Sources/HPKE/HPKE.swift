package import Crypto

/// Encryption to the holder of a public key: HPKE (RFC 9180) in base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
/// AES-128-GCM.
///
/// Who seals needs the recipient's public key alone and cannot open what it sealed once the sender is gone; every message has an
/// ephemeral key of its own. Nothing says who sealed it: where that matters, sign. Start at ``HPKESender`` and ``HPKERecipient``.
package enum HPKE {
    /// Length of the encapsulated key that goes before a sender's messages.
    package static let encapsulatedBytes = 32
    /// By how many bytes a message grows.
    package static let tagBytes = 16

    /// One message for the holder of `recipient`'s key: encapsulated key, ciphertext, tag.
    ///
    /// - Parameter info: what the message is for; whoever opens it says the same.
    package static func seal(
        _ plaintext: [UInt8], to recipient: X25519PublicKey, info: [UInt8],
        authenticating context: [UInt8] = []
    ) throws(HPKEError) -> [UInt8] {
        var sender = try HPKESender(to: recipient, info: info)
        return sender.encapsulatedKey + sender.seal(plaintext, authenticating: context)
    }

    /// Opens what ``seal(_:to:info:authenticating:)`` gave; nil when anything is another than was sealed. The caller wipes it.
    package static func open(
        _ sealed: [UInt8], with key: X25519PrivateKey, info: [UInt8],
        authenticating context: [UInt8] = []
    ) -> [UInt8]? {
        guard sealed.count >= encapsulatedBytes + tagBytes,
            var recipient = HPKERecipient(
                key, encapsulatedKey: Array(sealed.prefix(encapsulatedBytes)), info: info)
        else { return nil }
        return recipient.open(
            Array(sealed.dropFirst(encapsulatedBytes)), authenticating: context)
    }
}

/// Why nothing can be sealed to a key.
package enum HPKEError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The public key is one of the few points that give everybody the same secret.
    case weakKey

    package var description: String {
        switch self {
        case .weakKey: "the public key is one that protects nothing: ask its owner for another"
        }
    }
}
