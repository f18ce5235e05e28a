internal import Bytes

/// 32 bytes of SHA-256 or HMAC-SHA256, held in place.
@frozen
package struct Digest: Hashable, Sendable, BitwiseCopyable {
    /// The bytes in order, eight to a word as they lie in memory.
    @usableFromInline var words: SIMD4<UInt64>

    package static let byteCount = 32

    @inlinable
    package init() { words = .zero }

    /// Takes exactly 32 bytes.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.init()
        unsafe withUnsafeMutableBytes(of: &words) { unsafe $0.copyBytes(from: bytes) }
    }

    /// The 32 bytes.
    package var bytes: [UInt8] { unsafe withUnsafeBytes(of: words) { unsafe Array($0) } }

    /// The first 16 bytes as a number, most significant byte first.
    @inlinable
    package var leading128: UInt128 {
        UInt128(UInt64(bigEndian: words[0])) << 64 | UInt128(UInt64(bigEndian: words[1]))
    }

    /// 64 lowercase hexadecimal digits.
    package var hex: String { Bytes.hex(bytes) }
}
