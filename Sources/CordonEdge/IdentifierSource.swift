internal import CordonModel
internal import Crypto

/// Makes UUIDs of version 7 (RFC 9562 section 5.7): time to the microsecond, and 62 random bits.
struct IdentifierSource {
    var state: UInt64
    private var stream: UInt64

    init(seed: UInt64) {
        state = seed
        stream = SecureRandom.uint64() | 1
    }

    mutating func next(at now: Timestamp) -> UInt128 {
        let milliseconds = UInt64(clamping: now.microseconds / 1000) & 0xFFFF_FFFF_FFFF
        // Method 3 of section 6.2: the fraction of the millisecond in the 12 bits after the version.
        let fraction = UInt64(clamping: now.microseconds % 1000) * 4096 / 1000
        let high = milliseconds << 16 | 0x7000 | fraction
        let low = 0x8000_0000_0000_0000 | (word() & 0x3FFF_FFFF_FFFF_FFFF)
        return UInt128(high) << 64 | UInt128(low)
    }

    /// SplitMix64 with a random stream: wrapping is the algorithm.
    mutating func word() -> UInt64 {
        state &+= stream
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
