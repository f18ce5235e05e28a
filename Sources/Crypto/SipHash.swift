/// A key of SipHash-2-4 with a digest of 128 bits (Aumasson and Bernstein, 2012): for tables in memory that are fed with
/// bytes of strangers.
///
/// Without the key nobody can choose two messages with one digest, or tell from a digest what it is of. It takes a fraction of the
/// time of HMAC-SHA256 and allocates nothing. What is kept longer than a process lives, or leaves it, is made by
/// ``HMACKey``.
package struct SipHashKey: Sendable, BitwiseCopyable {
    private let low: UInt64
    private let high: UInt64

    /// Takes the key as two numbers, the first eight bytes in little-endian order first.
    package init(_ low: UInt64, _ high: UInt64) {
        self.low = low
        self.high = high
    }

    /// The digest of one message; its first eight bytes, in little-endian order, are the upper half.
    package func digest(_ message: Span<UInt8>) -> UInt128 {
        var state = SipState(low, high)
        // SAFETY: whole words are read while eight bytes are left, then single bytes below the count.
        unsafe message.withUnsafeBytes { bytes in
            var offset = 0
            while offset &+ 8 <= bytes.count {
                let word = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                state.absorb(UInt64(littleEndian: word))
                offset &+= 8
            }
            // The number of bytes, modulo 256, stands in the last word's highest byte.
            var last = UInt64(truncatingIfNeeded: bytes.count) << 56
            var shift: UInt64 = 0
            while offset < bytes.count {
                last |= unsafe UInt64(bytes[offset]) << shift
                shift &+= 8
                offset &+= 1
            }
            state.absorb(last)
        }
        return state.finish()
    }
}

/// The four words of a digest in the making. All arithmetic wraps: that is the algorithm.
private struct SipState {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64

    init(_ low: UInt64, _ high: UInt64) {
        v0 = low ^ 0x736F_6D65_7073_6575
        v1 = high ^ 0x646F_7261_6E64_6F6D ^ 0xEE
        v2 = low ^ 0x6C79_6765_6E65_7261
        v3 = high ^ 0x7465_6462_7974_6573
    }

    @inline(__always)
    mutating func absorb(_ word: UInt64) {
        v3 ^= word
        mix()
        mix()
        v0 ^= word
    }

    @inline(__always)
    mutating func finish() -> UInt128 {
        v2 ^= 0xEE
        for _ in 0..<4 { mix() }
        let first = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xDD
        for _ in 0..<4 { mix() }
        return UInt128(first) << 64 | UInt128(v0 ^ v1 ^ v2 ^ v3)
    }

    @inline(__always)
    private mutating func mix() {
        v0 = v0 &+ v1
        v1 = v1 &<< 13 | v1 &>> 51
        v1 ^= v0
        v0 = v0 &<< 32 | v0 &>> 32
        v2 = v2 &+ v3
        v3 = v3 &<< 16 | v3 &>> 48
        v3 ^= v2
        v0 = v0 &+ v3
        v3 = v3 &<< 21 | v3 &>> 43
        v3 ^= v0
        v2 = v2 &+ v1
        v1 = v1 &<< 17 | v1 &>> 47
        v1 ^= v2
        v2 = v2 &<< 32 | v2 &>> 32
    }
}
