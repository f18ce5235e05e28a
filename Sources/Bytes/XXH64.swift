/// XXH64: a fast 64-bit hash that tells whether bytes are those that were written, against accidents and not against
/// forgers.
///
/// Follows the XXH64 part of the xxHash specification, version 0.1.1.
package enum XXH64 {
    private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    package static func hash(_ bytes: RawSpan, seed: UInt64 = 0) -> UInt64 {
        let count = bytes.byteCount
        var index = 0
        var hash: UInt64
        if count >= 32 {
            var (a, b, c, d) = (
                seed &+ prime1 &+ prime2, seed &+ prime2, seed, seed &- prime1
            )
            while index + 32 <= count {
                a = round(a, word(bytes, index))
                b = round(b, word(bytes, index + 8))
                c = round(c, word(bytes, index + 16))
                d = round(d, word(bytes, index + 24))
                index += 32
            }
            hash = left(a, 1) &+ left(b, 7) &+ left(c, 12) &+ left(d, 18)
            for lane in [a, b, c, d] { hash = (hash ^ round(0, lane)) &* prime1 &+ prime4 }
        } else {
            hash = seed &+ prime5
        }
        hash = hash &+ UInt64(count)
        while index + 8 <= count {
            hash = left(hash ^ round(0, word(bytes, index)), 27) &* prime1 &+ prime4
            index += 8
        }
        if index + 4 <= count {
            let half = UInt64(
                // SAFETY: four bytes from `index` on are within the span, by the condition above.
                unsafe bytes.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: index, as: UInt32.self
                ).littleEndian)
            hash = left(hash ^ half &* prime1, 23) &* prime2 &+ prime3
            index += 4
        }
        while index < count {
            // SAFETY: `index` is within the span, by the condition above.
            let byte = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
            hash = left(hash ^ UInt64(byte) &* prime5, 11) &* prime1
            index += 1
        }
        hash = (hash ^ hash >> 33) &* prime2
        hash = (hash ^ hash >> 29) &* prime3
        return hash ^ hash >> 32
    }

    private static func word(_ bytes: RawSpan, _ index: Int) -> UInt64 {
        // SAFETY: callers have made sure that eight bytes follow `index`.
        unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            .littleEndian
    }

    private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
        left(lane &+ word &* prime2, 31) &* prime1
    }

    private static func left(_ word: UInt64, _ bits: UInt64) -> UInt64 {
        word << bits | word >> (64 - bits)
    }
}
