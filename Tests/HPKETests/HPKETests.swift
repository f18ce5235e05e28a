import Bytes
import Crypto
import TestSupport
import Testing

@testable import HPKE

@Suite struct `Encryption to a public key` {
    /// RFC 9180 appendix A.1.1: base mode, X25519, HKDF-SHA256, AES-128-GCM.
    private let info = hex("4f6465206f6e2061204772656369616e2055726e")
    private let plaintext = hex("4265617574792069732074727574682c20747275746820626561757479")
    private let recipient: X25519PrivateKey
    private let ephemeral: X25519PrivateKey

    init() throws {
        recipient = try X25519PrivateKey(
            hex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8"))
        ephemeral = try X25519PrivateKey(
            hex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736"))
    }

    private struct NotOpened: Error {}

    private func openedWith(_ encapsulatedKey: [UInt8]) throws -> HPKERecipient {
        guard
            let opened = HPKERecipient(recipient, encapsulatedKey: encapsulatedKey, info: info)
        else { throw NotOpened() }
        return opened
    }

    /// Published ciphertexts by the number of the message.
    private static let published = [
        0:
            "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
        1:
            "af2d7e9ac9ae7e270f46ba1f975be53c09f8d875bdc8535458c2494e8a6eab251c03d0c22a56b8ca42c2063b84",
        2:
            "498dfcabd92e8acedc281e85af1cb4e3e31c7dc394a1ca20e173cb72516491588d96a19ad4a683518973dcc180",
        255:
            "7175db9717964058640a3a11fb9007941a5d1757fda1a6935c805c21af32505bf106deefec4a49ac38d71c9e0a",
    ]

    @Test func `seals and opens as published, message by message`() throws {
        #expect(
            Bytes.hex(recipient.publicKey.bytes)
                == "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d")
        var sender = try HPKESender(
            to: recipient.publicKey, info: info, ephemeral: ephemeral)
        #expect(
            Bytes.hex(sender.encapsulatedKey)
                == "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
        var opened = try openedWith(sender.encapsulatedKey)
        for number in 0...255 {
            let context = Array("Count-\(number)".utf8)
            let sealed = sender.seal(plaintext, authenticating: context)
            if let expected = Self.published[number] { #expect(Bytes.hex(sealed) == expected) }
            #expect(opened.open(sealed, authenticating: context) == plaintext)
        }
    }

    @Test func `both ends export the published secrets`() throws {
        let sender = try HPKESender(
            to: recipient.publicKey, info: info, ephemeral: ephemeral)
        let opened = try openedWith(sender.encapsulatedKey)
        for (label, expected) in [
            ("", "3853fe2b4035195a573ffc53856e77058e15d9ea064de3e59f4961d0095250ee"),
            ("00", "2e8f0b54673c7029649d4eb9d5e33bf1872cf76d623ff164ac185da9e88c21a5"),
            (
                "54657374436f6e74657874",
                "e9e43065102c3836401bed8c3c3c75ae46be1639869391d62c61f1ec7af54931"
            ),
        ] {
            #expect(Bytes.hex(sender.export(hex(label), count: 32)) == expected)
            #expect(Bytes.hex(opened.export(hex(label), count: 32)) == expected)
        }
    }

    @Test func `what is sealed in one go opens with the key, purpose and context alone`() throws {
        var random = Generator()
        for _ in 0..<50 {
            let message = random.bytes(count: Int.random(in: 0...200, using: &random))
            let context = random.bytes(count: 8)
            let sealed = try HPKE.seal(
                message, to: recipient.publicKey, info: info, authenticating: context)
            #expect(sealed.count == message.count + HPKE.encapsulatedBytes + HPKE.tagBytes)
            func open(
                _ sealed: [UInt8], _ key: X25519PrivateKey, _ info: [UInt8], _ context: [UInt8]
            ) -> [UInt8]? { HPKE.open(sealed, with: key, info: info, authenticating: context) }
            #expect(open(sealed, recipient, info, context) == message, "seed \(random.seed)")
            #expect(open(sealed, ephemeral, info, context) == nil)
            #expect(open(sealed, recipient, info + [0], context) == nil)
            #expect(open(sealed, recipient, info, context + [0]) == nil)
            var changed = sealed
            // The highest bit of the encapsulated key stands for nothing in X25519, but is bound to the secret here.
            changed[Int.random(in: changed.indices, using: &random)] ^=
                1 << UInt8.random(in: 0..<8, using: &random)
            #expect(open(changed, recipient, info, context) == nil, "seed \(random.seed)")
            let cut = Int.random(in: 0..<sealed.count, using: &random)
            #expect(open(Array(sealed.prefix(cut)), recipient, info, context) == nil)
        }
    }

    @Test func `the same message is never sealed to the same bytes`() throws {
        let sealed = try (0..<2).map { _ in
            try HPKE.seal(plaintext, to: recipient.publicKey, info: info)
        }
        #expect(sealed[0].prefix(32) != sealed[1].prefix(32))
        #expect(sealed[0].suffix(45) != sealed[1].suffix(45))
    }

    @Test func `messages open in their order, and a wrong one does not lose the place`() throws {
        var sender = try HPKESender(to: recipient.publicKey, info: info)
        let sealed = (0..<3).map { sender.seal([UInt8($0)]) }
        var opened = try openedWith(sender.encapsulatedKey)
        #expect(opened.open(sealed[1]) == nil)
        #expect(opened.open(sealed[0]) == [0])
        #expect(opened.open(sealed[0]) == nil)
        #expect(opened.open(sealed[1]) == [1])
        #expect(opened.open(sealed[2]) == [2])
    }

    @Test func `a key that gives everybody the same secret is refused`() throws {
        for text in [
            String(repeating: "00", count: 32), "01" + String(repeating: "00", count: 31),
        ] {
            let weak = try X25519PublicKey(hex(text))
            #expect(throws: HPKEError.weakKey) {
                try HPKE.seal(plaintext, to: weak, info: info)
            }
            #expect(throws: NotOpened.self) { _ = try openedWith(weak.bytes) }
        }
        #expect(throws: NotOpened.self) { _ = try openedWith([1, 2]) }
    }
}
