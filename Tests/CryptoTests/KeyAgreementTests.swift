import Bytes
import Crypto
import TestSupport
import Testing

@Suite struct `X25519` {
    /// RFC 7748 section 6.1.
    @Test func `two keys agree on the published secret`() throws {
        let alice = try X25519PrivateKey(
            hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
        let bob = try X25519PrivateKey(
            hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
        #expect(
            Bytes.hex(alice.publicKey.bytes)
                == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        #expect(
            Bytes.hex(bob.publicKey.bytes)
                == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        let secret = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
        #expect(alice.agree(with: bob.publicKey).map { Bytes.hex($0) } == secret)
        #expect(bob.agree(with: alice.publicKey).map { Bytes.hex($0) } == secret)
    }

    @Test func `keys of another length and points without a secret are refused`() throws {
        #expect(throws: CryptoError.wrongLength(expected: 32, found: 31)) {
            try X25519PrivateKey([UInt8](repeating: 1, count: 31))
        }
        #expect(throws: CryptoError.wrongLength(expected: 32, found: 33)) {
            try X25519PublicKey([UInt8](repeating: 1, count: 33))
        }
        let (key, scalar) = X25519PrivateKey.generate()
        #expect(try X25519PrivateKey(scalar).publicKey == key.publicKey)
        #expect(key.agree(with: try X25519PublicKey([UInt8](repeating: 0, count: 32))) == nil)
    }
}

@Suite struct `HKDF-SHA-256` {
    /// RFC 5869 appendix A, test case 1 and, without salt and purpose, test case 3.
    @Test func `derives the published keys`() {
        let material = [UInt8](repeating: 0x0B, count: 22)
        let first = HKDF.extract(salt: hex("000102030405060708090a0b0c"), material)
        #expect(
            Bytes.hex(first) == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        #expect(
            Bytes.hex(HKDF.expand(first, info: hex("f0f1f2f3f4f5f6f7f8f9"), count: 42))
                == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                + "34007208d5b887185865")
        let third = HKDF.extract(salt: [], material)
        #expect(
            Bytes.hex(HKDF.expand(third, info: [], count: 42))
                == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                + "9d201395faa4b61a96c8")
        #expect(HKDF.expand(third, info: [], count: 0) == [])
        #expect(
            HKDF.expand(third, info: [1], count: 100).prefix(33)
                == HKDF.expand(third, info: [1], count: 33)[...])
    }
}

@Suite struct `AES-128-GCM` {
    /// Test case 4 of the GCM specification (McGrew and Viega).
    @Test func `agrees with the published vector`() throws {
        let key = hex("feffe9928665731c6d6a8f9467308308")
        let nonce = hex("cafebabefacedbaddecaf888")
        let plain = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
        let context = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
        let sealed = AES128GCM.seal(plain, key: key, nonce: nonce, authenticating: context)
        #expect(
            Bytes.hex(sealed)
                == "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                + "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
                + "5bc94fbc3221a5db94fae95ae7121a47")
        #expect(AES128GCM.open(sealed, key: key, nonce: nonce, authenticating: context) == plain)
        #expect(AES128GCM.open(sealed, key: key, nonce: nonce, authenticating: []) == nil)
    }
}
