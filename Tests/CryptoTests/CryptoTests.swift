import Bytes
import Crypto
import TestSupport
import Testing

@Suite struct `SHA-256` {
    /// FIPS 180-4 examples of NIST.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func `the examples of NIST hash as published`(_ text: String, _ digest: String) {
        #expect(SHA256.digest(Array(text.utf8)).hex == digest)
        #expect(SHA256.hash(Array(text.utf8)) == hex(digest))
    }

    @Test func `a million times the letter a hashes as published`() {
        var hash = SHA256()
        let piece = [UInt8](repeating: 0x61, count: 1000)
        for _ in 0..<1000 { hash.update(piece) }
        #expect(
            hash.finalize().hex
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func `pieces of any size hash like the whole`() {
        var random = Generator()
        for _ in 0..<200 {
            let bytes = random.bytes(count: Int.random(in: 0...300, using: &random))
            var hash = SHA256()
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = Array(rest.prefix(Int.random(in: 0...70, using: &random)))
                if piece.count == 1 { hash.update(piece[0]) } else { hash.update(piece.span) }
                rest = rest.dropFirst(piece.count)
            }
            #expect(hash.finalize() == SHA256.digest(bytes), "seed \(random.seed)")
        }
    }

    @Test func `a digest is its 32 bytes in order`() throws {
        let bytes = (0..<32).map { UInt8($0) }
        let digest = try #require(Digest(bytes))
        #expect(digest.bytes == bytes)
        #expect(digest.hex == Bytes.hex(bytes))
        #expect(digest.leading128 == 0x0001_0203_0405_0607_0809_0A0B_0C0D_0E0F)
        #expect(Digest(bytes.dropLast()) == nil)
        var hash = SHA256()
        hash.update(digest)
        #expect(hash.finalize() == SHA256.digest(bytes))
    }
}

@Suite struct `SipHash-2-4` {
    /// Of the authors' reference implementation: the key 00 01 … 0f and the messages 00, 00 01, 00 01 02 and so on.
    @Test(arguments: [
        (0, "a3817f04ba25a8e66df67214c7550293"), (1, "da87c1d86b99af44347659119b22fc45"),
        (2, "8177228da4a45dc7fca38bdef60affe4"), (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
        (19, "78017731cf65fab074d5208952512eb1"),
    ])
    func `the messages of the reference hash as published`(_ count: Int, _ digest: String) {
        let key = SipHashKey(0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908)
        let message = (0..<count).map { UInt8($0) }
        let found = key.digest(message.span)
        // Both halves are numbers whose lowest byte stands first.
        let bytes = [UInt64(found >> 64), UInt64(truncatingIfNeeded: found)]
            .flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(8 * $0)) } }
        #expect(Bytes.hex(bytes) == digest)
    }

    @Test func `another key gives another digest`() {
        let message = Array("Mozilla/5.0".utf8)
        #expect(SipHashKey(1, 2).digest(message.span) != SipHashKey(1, 3).digest(message.span))
        #expect(SipHashKey(1, 2).digest(message.span) != SipHashKey(0, 2).digest(message.span))
    }
}

@Suite struct `Poly1305's polynomial` {
    /// RFC 8439, section 2.5.2, and of its appendix A.3 those in which a carry or a reduction is at its bound.
    @Test(arguments: [
        (
            "85d6be7857556d337f4452fe42d506a8", "0103808afb0db2fd4abff6af4149f51b",
            Bytes.hex(Array("Cryptographic Forum Research Group".utf8)),
            "a8061dc1305136c6c22b8baf0c0127a9"
        ),
        (two, zero, ones, "03000000000000000000000000000000"),
        (two, ones, two, "03000000000000000000000000000000"),
        (two, zero, "fdffffffffffffffffffffffffffffff", "faffffffffffffffffffffffffffffff"),
        (
            "01000000000000000400000000000000", zero,
            "e33594d7505e43b900000000000000003394d7505e4379cd"
                + "01000000000000000000000000000000000000000000000001000000000000000000000000000000",
            "14000000000000005500000000000000"
        ),
    ])
    func `digests are those of the RFC`(
        _ r: String, _ s: String, _ message: String, _ digest: String
    ) throws {
        let key = PolynomialKey(try Self.halves(r), try Self.halves(s))
        let content = try #require(Bytes.bytes(hex: message))
        let found = key.digest(content.span)
        let bytes = (0..<16).map { UInt8(truncatingIfNeeded: found >> UInt128(8 * $0)) }
        #expect(Bytes.hex(bytes) == digest)
    }

    @Test func `messages that differ in a byte or in their length differ`() {
        let key = PolynomialKey.random()
        var digests = Set<UInt128>()
        let lengths = 0..<70
        for length in lengths {
            var message = [UInt8](repeating: 0, count: length)
            digests.insert(key.digest(message.span))
            for index in 0..<length {
                message[index] = 1
                digests.insert(key.digest(message.span))
                message[index] = 0
            }
        }
        #expect(digests.count == lengths.count + lengths.reduce(0, +))
    }

    private static let zero = "00000000000000000000000000000000"
    private static let two = "02000000000000000000000000000000"
    private static let ones = "ffffffffffffffffffffffffffffffff"

    private static func halves(_ hex: String) throws -> (UInt64, UInt64) {
        let bytes = try #require(Bytes.bytes(hex: hex))
        func half(_ bytes: ArraySlice<UInt8>) -> UInt64 {
            bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        return (half(bytes[0..<8]), half(bytes[8..<16]))
    }
}

@Suite struct `HMAC-SHA-256` {
    struct Vector: Sendable, CustomTestStringConvertible {
        let name: String
        let key: [UInt8]
        let message: [UInt8]
        let code: String
        var testDescription: String { name }
    }

    /// RFC 4231 section 4; case 5 is published cut to 128 bits.
    static let vectors = [
        Vector(
            name: "case 1", key: .init(repeating: 0x0B, count: 20), message: Array("Hi There".utf8),
            code: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        Vector(
            name: "case 2", key: Array("Jefe".utf8),
            message: Array("what do ya want for nothing?".utf8),
            code: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        Vector(
            name: "case 3", key: .init(repeating: 0xAA, count: 20),
            message: .init(repeating: 0xDD, count: 50),
            code: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        Vector(
            name: "case 4", key: Array(1...25), message: .init(repeating: 0xCD, count: 50),
            code: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        Vector(
            name: "case 5", key: .init(repeating: 0x0C, count: 20),
            message: Array("Test With Truncation".utf8), code: "a3b6167473100ee06e0c796c2955552b"),
        Vector(
            name: "case 6", key: .init(repeating: 0xAA, count: 131),
            message: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            code: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        Vector(
            name: "case 7", key: .init(repeating: 0xAA, count: 131),
            message: Array(
                ("This is a test using a larger than block-size key and a larger than block-size "
                    + "data. The key needs to be hashed before being used by the HMAC algorithm.")
                    .utf8),
            code: "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
    ]

    @Test(arguments: vectors)
    func `the vectors of RFC 4231 authenticate as published`(_ vector: Vector) {
        let key = HMACKey(vector.key)
        for _ in 0..<2 {
            #expect(key.authenticate(vector.message).hex.hasPrefix(vector.code))
        }
        var pieces = key.begin()
        for byte in vector.message { pieces.update(byte) }
        #expect(pieces.finalize() == key.authenticate(vector.message))
    }

    @Test func `keys and messages of every length agree with the definition`() {
        var random = Generator()
        for length in 0...140 {
            let key = random.bytes(count: length)
            let message = random.bytes(count: Int.random(in: 0...200, using: &random))
            var block = length > 64 ? SHA256.hash(key) : key
            block += [UInt8](repeating: 0, count: 64 - block.count)
            let inner = SHA256.hash(block.map { $0 ^ 0x36 } + message)
            let expected = SHA256.hash(block.map { $0 ^ 0x5C } + inner)
            #expect(
                HMACKey(key).authenticate(message.span).bytes == expected, "seed \(random.seed)")
        }
    }

    @Test func `a number is absorbed most significant byte first`() {
        let key = HMACKey([1, 2, 3])
        var code = key.begin()
        code.update(bigEndian: 0x0102_0304)
        #expect(code.finalize() == key.authenticate([1, 2, 3, 4]))
    }
}

@Suite struct `Ed25519` {
    struct Vector: Sendable, CustomTestStringConvertible {
        let name: String
        let seed: String
        let publicKey: String
        let message: String
        let signature: String
        var testDescription: String { name }
    }

    /// RFC 8032 section 7.1.
    static let vectors = [
        Vector(
            name: "test 1",
            seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            message: "",
            signature:
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                + "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
        Vector(
            name: "test 2",
            seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            message: "72",
            signature:
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
        Vector(
            name: "test 3",
            seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            message: "af82",
            signature:
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                + "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    ]

    @Test(arguments: vectors)
    func `the vectors of RFC 8032 sign and verify as published`(_ vector: Vector) throws {
        let key = try Ed25519PrivateKey(seed: hex(vector.seed))
        #expect(Bytes.hex(key.publicKey.bytes) == vector.publicKey)
        let signature = key.sign(hex(vector.message))
        #expect(Bytes.hex(signature) == vector.signature)
        let publicKey = try Ed25519PublicKey(hex(vector.publicKey))
        #expect(publicKey.isValid(signature: signature, for: hex(vector.message)))
    }

    @Test func `a changed message, signature or key is refused`() throws {
        let (key, seed) = Ed25519PrivateKey.generate()
        let message = Array("message".utf8)
        let signature = key.sign(message)
        #expect(try Ed25519PrivateKey(seed: seed).publicKey == key.publicKey)
        #expect(key.publicKey.isValid(signature: signature, for: message))
        for index in signature.indices {
            var changed = signature
            changed[index] ^= 1
            #expect(!key.publicKey.isValid(signature: changed, for: message))
        }
        #expect(!key.publicKey.isValid(signature: signature, for: message + [0]))
        #expect(!key.publicKey.isValid(signature: Array(signature.dropLast()), for: message))
        let other = Ed25519PrivateKey.generate().key
        #expect(!other.publicKey.isValid(signature: signature, for: message))
    }

    @Test func `keys of a wrong length are an error`() {
        #expect(throws: CryptoError.wrongLength(expected: 32, found: 31)) {
            try Ed25519PrivateKey(seed: .init(repeating: 1, count: 31))
        }
        #expect(throws: CryptoError.wrongLength(expected: 32, found: 33)) {
            try Ed25519PublicKey(.init(repeating: 1, count: 33))
        }
    }
}

@Suite struct `Secrets` {
    @Test func `random bytes differ and fill what they are given`() {
        #expect(SecureRandom.bytes(0) == [])
        #expect(SecureRandom.bytes(32) != SecureRandom.bytes(32))
        #expect(Set(SecureRandom.bytes(4096)).count > 200)
        #expect(SecureRandom.uint64() != SecureRandom.uint64())
    }

    @Test func `wiped bytes are zero`() {
        var bytes = SecureRandom.bytes(64)
        Secret.wipe(&bytes)
        #expect(bytes == [UInt8](repeating: 0, count: 64))
    }
}
