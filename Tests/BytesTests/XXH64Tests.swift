import Bytes
import TestSupport
import Testing

@Suite struct `XXH64 hashes` {
    /// The test buffer of the reference implementation: bytes of a multiplicative generator.
    private static let buffer: [UInt8] = {
        var generator: UInt64 = 2_654_435_761
        return (0..<222).map { _ in
            let byte = UInt8(truncatingIfNeeded: generator >> 56)
            generator = generator &* 11_400_714_785_074_694_797
            return byte
        }
    }()

    private static let prime: UInt64 = 2_654_435_761

    /// Length, seed and hash, as the reference implementation's own checks publish them.
    @Test(
        arguments: [
            (0, 0, 0xEF46_DB37_51D8_E999), (0, prime, 0xAC75_FDA2_929B_17EF),
            (1, 0, 0xE934_A84A_DB05_2768), (1, prime, 0x5014_6076_43A9_B4C3),
            (4, 0, 0x9136_A0DC_A574_57EE), (14, 0, 0x8282_DCC4_994E_35C8),
            (14, prime, 0xC3BD_6BF6_3DEB_6DF0), (222, 0, 0xB641_AE8C_B691_C174),
            (222, prime, 0x20CB_8AB7_AE10_C14A),
        ] as [(Int, UInt64, UInt64)])
    func `gives the published hashes`(_ count: Int, _ seed: UInt64, _ hash: UInt64) {
        let bytes = Array(Self.buffer.prefix(count))
        #expect(unsafe XXH64.hash(bytes.span.bytes, seed: seed) == hash)
    }

    @Test func `tells every byte that changes, wherever it stands`() {
        var random = Generator()
        for count in [1, 7, 8, 31, 32, 33, 64, 100] {
            let bytes = random.bytes(count: count)
            let hash = unsafe XXH64.hash(bytes.span.bytes)
            for index in bytes.indices {
                var changed = bytes
                changed[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                #expect(unsafe XXH64.hash(changed.span.bytes) != hash, "seed \(random.seed)")
            }
        }
    }
}
