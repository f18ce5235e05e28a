/// A key of Poly1305's polynomial (RFC 8439 section 2.5) as a universal hash: for tables in memory that are fed with bytes of
/// strangers and show them nothing of the digests.
///
/// Whoever does not know the key finds no two messages of `n` bytes with one digest but with a chance of `n / 2^106` a
/// pair. It takes two thirds of the time of ``SipHashKey``. What is kept longer than a process lives, or
/// leaves it, is made by ``HMACKey``: two digests of a key that are seen give it away.
package struct PolynomialKey: Sendable, BitwiseCopyable {
    // The point at which the polynomial is evaluated, clamped as the RFC says, so that no product needs more than 128 bits.
    private let low: UInt64
    private let high: UInt64
    private let added: UInt128

    /// Takes the halves of `r` and of `s`, as the RFC calls them, the first eight bytes in little-endian order first.
    package init(_ r: (UInt64, UInt64), _ s: (UInt64, UInt64)) {
        low = r.0 & 0x0FFF_FFFC_0FFF_FFFF
        high = r.1 & 0x0FFF_FFFC_0FFF_FFFC
        added = UInt128(s.1) << 64 | UInt128(s.0)
    }

    /// A key that nobody knows.
    package static func random() -> PolynomialKey {
        PolynomialKey(
            (SecureRandom.uint64(), SecureRandom.uint64()),
            (SecureRandom.uint64(), SecureRandom.uint64()))
    }

    /// The digest of one message; its first eight bytes, in little-endian order, are the lower half.
    package func digest(_ message: Span<UInt8>) -> UInt128 {
        var sum = Sum(low, high)
        // SAFETY: whole blocks are read while sixteen bytes are left, then single bytes below the count.
        unsafe message.withUnsafeBytes { bytes in
            var offset = 0
            while offset &+ 16 <= bytes.count {
                unsafe sum.absorb(
                    UInt64(
                        littleEndian: bytes.loadUnaligned(
                            fromByteOffset: offset, as: UInt64.self)),
                    UInt64(
                        littleEndian: bytes.loadUnaligned(
                            fromByteOffset: offset &+ 8, as: UInt64.self)), 1)
                offset &+= 16
            }
            guard offset < bytes.count else { return }
            // A 1 behind the last byte tells how many there are.
            let rest = bytes.count &- offset
            var last: UInt128 = 1
            if bytes.count >= 16 {
                // The rest is the end of the last sixteen.
                let end = unsafe UInt128(
                    littleEndian: bytes.loadUnaligned(
                        fromByteOffset: bytes.count &- 16, as: UInt128.self))
                last = last &<< UInt128(8 &* rest) | end &>> UInt128(8 &* (16 &- rest))
            } else {
                var index = rest
                while index > 0 {
                    index &-= 1
                    last = unsafe last << 8 | UInt128(bytes[index])
                }
            }
            sum.absorb(
                UInt64(truncatingIfNeeded: last), UInt64(truncatingIfNeeded: last >> 64), 0)
        }
        return sum.reduced() &+ added
    }
}

/// The polynomial's value so far, below 2^131, in words of 64 bits. Wrapping and carries are the arithmetic of long numbers.
private struct Sum {
    private let r0: UInt64
    private let r1: UInt64
    /// `r1 * 5 / 4`: what `r1` amounts to beyond 2^130, because 2^130 is 5 modulo the prime.
    private let s1: UInt64
    private var h0: UInt64 = 0
    private var h1: UInt64 = 0
    private var h2: UInt64 = 0

    init(_ low: UInt64, _ high: UInt64) {
        r0 = low
        r1 = high
        s1 = high &+ high &>> 2
    }

    @inline(__always)
    mutating func absorb(_ low: UInt64, _ high: UInt64, _ top: UInt64) {
        add(low, high, top)
        let (a, b) = (h0.multipliedFullWidth(by: r0), h1.multipliedFullWidth(by: s1))
        let (c, d) = (h0.multipliedFullWidth(by: r1), h1.multipliedFullWidth(by: r0))
        let first = Self.wide(a) &+ Self.wide(b)
        let second =
            Self.wide(c) &+ Self.wide(d) &+ UInt128(truncatingIfNeeded: h2 &* s1) &+ first >> 64
        h0 = UInt64(truncatingIfNeeded: first)
        h1 = UInt64(truncatingIfNeeded: second)
        h2 = h2 &* r0 &+ UInt64(truncatingIfNeeded: second >> 64)
        // What lies beyond 2^130 comes in again times 5.
        let beyond = (h2 & ~3) &+ h2 &>> 2
        h2 &= 3
        add(beyond, 0, 0)
    }

    @inline(__always)
    private mutating func add(_ low: UInt64, _ high: UInt64, _ top: UInt64) {
        let (sum0, carry0) = h0.addingReportingOverflow(low)
        let (sum1, carry1) = h1.addingReportingOverflow(high)
        let (sum2, carry2) = sum1.addingReportingOverflow(carry0 ? 1 : 0)
        h0 = sum0
        h1 = sum2
        h2 = h2 &+ top &+ (carry1 ? 1 : 0) &+ (carry2 ? 1 : 0)
    }

    @inline(__always)
    private static func wide(_ product: (high: UInt64, low: UInt64)) -> UInt128 {
        UInt128(product.high) << 64 | UInt128(product.low)
    }

    /// The value modulo 2^130 - 5, of which the lowest 128 bits count.
    func reduced() -> UInt128 {
        // It is less than twice the prime; adding 5 reaches 2^130 when it is the prime or more.
        var other = self
        other.add(5, 0, 0)
        let best = other.h2 >= 4 ? other : self
        return UInt128(best.h1) << 64 | UInt128(best.h0)
    }
}
