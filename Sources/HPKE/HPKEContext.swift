package import Crypto

/// Seals messages, one after the other, to the holder of one key.
package struct HPKESender: ~Copyable {
    /// Goes to the recipient before the messages; public.
    package let encapsulatedKey: [UInt8]
    private var context: HPKEContext

    /// - Parameter info: what the messages are for; whoever opens them says the same.
    package init(to recipient: X25519PublicKey, info: [UInt8]) throws(HPKEError) {
        var made = X25519PrivateKey.generate()
        Secret.wipe(&made.scalar)
        try self.init(to: recipient, info: info, ephemeral: made.key)
    }

    /// With an ephemeral key that is given, so that published vectors can be checked. A key is used for one sender.
    init(
        to recipient: X25519PublicKey, info: [UInt8], ephemeral: X25519PrivateKey
    ) throws(HPKEError) {
        guard var shared = ephemeral.agree(with: recipient) else { throw .weakKey }
        defer { Secret.wipe(&shared) }
        encapsulatedKey = ephemeral.publicKey.bytes
        context = HPKEContext(
            agreed: shared, encapsulated: encapsulatedKey, recipient: recipient, info: info)
    }

    /// The next message: ciphertext with its tag behind it. Whoever opens them needs the same order.
    package mutating func seal(
        _ plaintext: [UInt8], authenticating context: [UInt8] = []
    ) -> [UInt8] {
        let nonce = self.context.nextNonce()
        return AES128GCM.seal(
            plaintext, key: self.context.key.bytes, nonce: nonce, authenticating: context)
    }

    /// A secret that both ends have, for the purpose that `label` names (RFC 9180 section 5.3). The caller wipes it.
    package borrowing func export(_ label: [UInt8], count: Int) -> [UInt8] {
        context.export(label, count)
    }
}

/// Opens the messages of one sender, in their order.
package struct HPKERecipient: ~Copyable {
    private var context: HPKEContext

    /// Nil when `encapsulatedKey` is none.
    package init?(_ key: X25519PrivateKey, encapsulatedKey: [UInt8], info: [UInt8]) {
        guard let sender = try? X25519PublicKey(encapsulatedKey),
            var shared = key.agree(with: sender)
        else { return nil }
        defer { Secret.wipe(&shared) }
        context = HPKEContext(
            agreed: shared, encapsulated: encapsulatedKey, recipient: key.publicKey, info: info)
    }

    /// The next message; nil when it is another than was sealed next, and then the same place may be tried again. The caller
    /// wipes it.
    package mutating func open(
        _ sealed: [UInt8], authenticating context: [UInt8] = []
    ) -> [UInt8]? {
        let plaintext = AES128GCM.open(
            sealed, key: self.context.key.bytes, nonce: self.context.nonce,
            authenticating: context)
        if plaintext != nil { _ = self.context.nextNonce() }
        return plaintext
    }

    /// As ``HPKESender/export(_:count:)``.
    package borrowing func export(_ label: [UInt8], count: Int) -> [UInt8] {
        context.export(label, count)
    }
}

/// What both ends derive from the secret they share (RFC 9180 sections 4.1 and 5.1).
struct HPKEContext: ~Copyable {
    let key: SecretBytes
    private let exporterSecret: SecretBytes
    private let baseNonce: [UInt8]
    /// Number of messages so far.
    private var sequence: UInt64 = 0

    private static let kem: [UInt8] = [0x00, 0x20]
    private static let kemSuite = Array("KEM".utf8) + kem
    /// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
    private static let suite = Array("HPKE".utf8) + kem + [0x00, 0x01, 0x00, 0x01]
    private static let baseMode: UInt8 = 0

    /// - Parameter agreed: the bytes that the key agreement gave; the caller wipes them.
    init(agreed: [UInt8], encapsulated: [UInt8], recipient: X25519PublicKey, info: [UInt8]) {
        let extracted = SecretBytes(Self.extract(Self.kemSuite, [], "eae_prk", agreed))
        let shared = SecretBytes(
            Self.expand(
                Self.kemSuite, extracted.bytes, "shared_secret", encapsulated + recipient.bytes,
                Digest.byteCount))
        let identity = Self.extract(Self.suite, [], "psk_id_hash", [])
        let purpose = Self.extract(Self.suite, [], "info_hash", info)
        let schedule = [Self.baseMode] + identity + purpose
        let secret = SecretBytes(Self.extract(Self.suite, shared.bytes, "secret", []))
        func derived(_ label: String, _ count: Int) -> [UInt8] {
            Self.expand(Self.suite, secret.bytes, label, schedule, count)
        }
        key = SecretBytes(derived("key", AES128GCM.keyBytes))
        baseNonce = derived("base_nonce", AES128GCM.nonceBytes)
        exporterSecret = SecretBytes(derived("exp", Digest.byteCount))
    }

    /// The nonce of the next message: the base with the number of the message in its last bytes.
    var nonce: [UInt8] {
        var nonce = baseNonce
        for byte in 0..<8 {
            nonce[nonce.count - 1 - byte] ^= UInt8(truncatingIfNeeded: sequence >> (8 * byte))
        }
        return nonce
    }

    /// ``nonce``, and goes on by one message. A nonce that came again would give the key away.
    mutating func nextNonce() -> [UInt8] {
        precondition(sequence < .max, "no sender has 2^64 messages")
        defer { sequence += 1 }
        return nonce
    }

    borrowing func export(_ label: [UInt8], _ count: Int) -> [UInt8] {
        Self.expand(Self.suite, exporterSecret.bytes, "sec", label, count)
    }

    private static let version = Array("HPKE-v1".utf8)

    private static func extract(
        _ suite: [UInt8], _ salt: [UInt8], _ label: String, _ material: [UInt8]
    ) -> [UInt8] {
        var labeled = version + suite + Array(label.utf8) + material
        defer { Secret.wipe(&labeled) }
        return HKDF.extract(salt: salt, labeled)
    }

    private static func expand(
        _ suite: [UInt8], _ key: [UInt8], _ label: String, _ info: [UInt8], _ count: Int
    ) -> [UInt8] {
        let length = [UInt8(count >> 8), UInt8(truncatingIfNeeded: count)]
        return HKDF.expand(
            key, info: length + version + suite + Array(label.utf8) + info, count: count)
    }
}

/// Secret bytes that are wiped when they go.
final class SecretBytes {
    private(set) var bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
    deinit { Secret.wipe(&bytes) }
}
