/// Scans of request bytes, sixteen at a time and at last eight: a few operations tell whether one of them is what is sought.
///
/// The marks that a word's arithmetic sets may be wrong above the first right one, so only the lowest is looked at. A vector or
/// word may reach beyond `end`, as far as the span does: what is found there is nothing found. Each
/// scan gives `end` when it finds nothing; `start` and `end` lie within the span.
/// Public, like all that a hit calls byte by byte: `package` functions are not inlined in other targets.
extension Span where Element == UInt8 {
    /// Where `byte` first stands in `start..<end`.
    @inlinable
    public func firstIndex(of byte: UInt8, from start: Int, to end: Int) -> Int {
        precondition(start >= 0 && end <= count, "a scan stays within its bytes")
        // SAFETY: bytes are read one by one below `end`, and by sixteens and eights below `count`.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            let pattern = ByteWord.ones &* UInt64(byte)
            var index = start
            while index < end, index &+ 16 <= count {
                let vector = unsafe ByteVector.load(base, index)
                let found = ByteVector.first(ByteVector.equal(vector, byte))
                if found < 16 { return min(index &+ found, end) }
                index &+= 16
            }
            while index < end, index &+ 8 <= count {
                let marks = ByteWord.zeros(unsafe ByteWord.load(base, index) ^ pattern)
                if marks != 0 { return min(index &+ marks.trailingZeroBitCount >> 3, end) }
                index &+= 8
            }
            while index < end {
                if unsafe base[index] == byte { return index }
                index &+= 1
            }
            return end
        }
    }

    /// Where `first` or `second` first stands in `start..<end`.
    @inlinable
    public func firstIndex(
        of first: UInt8, or second: UInt8, from start: Int, to end: Int
    ) -> Int {
        precondition(start >= 0 && end <= count, "a scan stays within its bytes")
        // SAFETY: bytes are read one by one below `end`, and by sixteens and eights below `count`.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            let firsts = ByteWord.ones &* UInt64(first)
            let seconds = ByteWord.ones &* UInt64(second)
            var index = start
            while index < end, index &+ 16 <= count {
                let vector = unsafe ByteVector.load(base, index)
                let found = ByteVector.first(
                    ByteVector.equal(vector, first) .| ByteVector.equal(vector, second))
                if found < 16 { return min(index &+ found, end) }
                index &+= 16
            }
            while index < end, index &+ 8 <= count {
                let word = unsafe ByteWord.load(base, index)
                let marks = ByteWord.zeros(word ^ firsts) | ByteWord.zeros(word ^ seconds)
                if marks != 0 { return min(index &+ marks.trailingZeroBitCount >> 3, end) }
                index &+= 8
            }
            while index < end {
                let byte = unsafe base[index]
                if byte == first || byte == second { return index }
                index &+= 1
            }
            return end
        }
    }

    /// Where a field ends, at the first `separator` in `start..<end`, and where the first `=` of the field stands; the end, when
    /// it has none.
    @inlinable
    public func field(
        from start: Int, to end: Int, separator: UInt8
    ) -> (equals: Int, end: Int) {
        precondition(start >= 0 && end <= count, "a scan stays within its bytes")
        // SAFETY: bytes are read one by one below `end`, and by sixteens below `count`.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return (end, end) }
            var equals = end
            var index = start
            while index < end, index &+ 16 <= count {
                let vector = unsafe ByteVector.load(base, index)
                let found = ByteVector.first(ByteVector.equal(vector, separator))
                if equals == end {
                    let sign = ByteVector.first(ByteVector.equal(vector, 0x3D))
                    if sign < found { equals = min(index &+ sign, end) }
                }
                if found < 16 {
                    let stop = min(index &+ found, end)
                    return (min(equals, stop), stop)
                }
                index &+= 16
            }
            while index < end {
                let byte = unsafe base[index]
                if byte == separator { return (min(equals, index), index) }
                if byte == 0x3D, equals == end { equals = index }
                index &+= 1
            }
            return (equals, end)
        }
    }

    /// Where the first control character (below 0x20, or 0x7F) stands in `start..<end`; a tab is none.
    @inlinable
    public func firstControl(from start: Int, to end: Int) -> Int {
        precondition(start >= 0 && end <= count, "a scan stays within its bytes")
        // SAFETY: bytes are read one by one below `end`, and by sixteens and eights below `count`.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            let deletes = ByteWord.ones &* 0x7F
            var index = start
            while index < end {
                if index &+ 16 <= count {
                    let vector = unsafe ByteVector.load(base, index)
                    let found = ByteVector.first(
                        ByteVector.equal(vector, 0, under: 0xE0) .| ByteVector.equal(vector, 0x7F))
                    index &+= found
                    if found == 16 { continue }
                    guard index < end else { return end }
                } else if index &+ 8 <= count {
                    let word = unsafe ByteWord.load(base, index)
                    let marks = ByteWord.below(word, 0x20) | ByteWord.zeros(word ^ deletes)
                    if marks == 0 {
                        index &+= 8
                        continue
                    }
                    index &+= marks.trailingZeroBitCount >> 3
                    guard index < end else { return end }
                }
                let byte = unsafe base[index]
                if byte < 0x20 && byte != 0x09 || byte == 0x7F { return index }
                index &+= 1
            }
            return end
        }
    }

    /// Where the first byte that is no printable character of ASCII, space among them, stands in `start..<end`.
    @inlinable
    public func firstUnprintable(from start: Int, to end: Int) -> Int {
        precondition(start >= 0 && end <= count, "a scan stays within its bytes")
        // SAFETY: bytes are read one by one below `end`, and by sixteens and eights below `count`.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            let deletes = ByteWord.ones &* 0x7F
            var index = start
            while index < end, index &+ 16 <= count {
                let vector = unsafe ByteVector.load(base, index)
                let found = ByteVector.first(
                    ByteVector.equal(vector, 0, under: 0xE0)
                        .| ByteVector.equal(vector, 0x80, under: 0x80)
                        .| ByteVector.equal(vector, 0x7F))
                if found < 16 { return min(index &+ found, end) }
                index &+= 16
            }
            while index < end, index &+ 8 <= count {
                let word = unsafe ByteWord.load(base, index)
                let marks =
                    ByteWord.below(word, 0x20) | ByteWord.zeros(word ^ deletes)
                    | word & ByteWord.highs
                if marks != 0 { return min(index &+ marks.trailingZeroBitCount >> 3, end) }
                index &+= 8
            }
            while index < end {
                let byte = unsafe base[index]
                if byte < 0x20 || byte >= 0x7F { return index }
                index &+= 1
            }
            return end
        }
    }

    /// Where the first byte that no request target holds stands in `start..<end`: a control character, a space, `#`, or a
    /// byte above 0x7E.
    @inlinable
    public func firstOutsideTarget(from start: Int, to end: Int) -> Int {
        precondition(start >= 0 && end <= count, "a scan stays within its bytes")
        // SAFETY: bytes are read one by one below `end`, and by sixteens and eights below `count`.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            let deletes = ByteWord.ones &* 0x7F
            let hashes = ByteWord.ones &* 0x23
            var index = start
            while index < end, index &+ 16 <= count {
                let vector = unsafe ByteVector.load(base, index)
                let found = ByteVector.first(
                    ByteVector.equal(vector, 0, under: 0xE0)
                        .| ByteVector.equal(vector, 0x80, under: 0x80)
                        .| ByteVector.equal(vector, 0x20) .| ByteVector.equal(vector, 0x7F)
                        .| ByteVector.equal(vector, 0x23))
                if found < 16 { return min(index &+ found, end) }
                index &+= 16
            }
            while index < end, index &+ 8 <= count {
                let word = unsafe ByteWord.load(base, index)
                let marks =
                    ByteWord.below(word, 0x21) | ByteWord.zeros(word ^ deletes)
                    | ByteWord.zeros(word ^ hashes) | word & ByteWord.highs
                if marks != 0 { return min(index &+ marks.trailingZeroBitCount >> 3, end) }
                index &+= 8
            }
            while index < end {
                let byte = unsafe base[index]
                if byte <= 0x20 || byte >= 0x7F || byte == 0x23 { return index }
                index &+= 1
            }
            return end
        }
    }
}

/// Sixteen bytes as one vector.
public enum ByteVector {
    @unsafe
    @inlinable @inline(__always)
    public static func load(_ base: UnsafePointer<UInt8>, _ index: Int) -> SIMD16<UInt8> {
        // SAFETY: the caller has sixteen bytes from `index` on.
        unsafe UnsafeRawPointer(base + index).loadUnaligned(as: SIMD16<UInt8>.self)
    }

    /// Marks the bytes that are `byte`. Every type is written out: where it is inferred the compiler takes the generic
    /// comparison, a loop over the bytes, as it does for each but `==`.
    @inlinable @inline(__always)
    public static func equal(_ vector: SIMD16<UInt8>, _ byte: UInt8) -> SIMDMask<SIMD16<Int8>> {
        let sought: SIMD16<UInt8> = SIMD16<UInt8>(repeating: byte)
        let marks: SIMDMask<SIMD16<Int8>> = vector .== sought
        return marks
    }

    /// Marks the bytes whose bits under `mask` are `bits`.
    @inlinable @inline(__always)
    public static func equal(
        _ vector: SIMD16<UInt8>, _ bits: UInt8, under mask: UInt8
    ) -> SIMDMask<SIMD16<Int8>> {
        let masked: SIMD16<UInt8> = vector & SIMD16<UInt8>(repeating: mask)
        return equal(masked, bits)
    }

    /// Which of the marks is the first one set; 16 when none is.
    @inlinable @inline(__always)
    public static func first(_ marks: SIMDMask<SIMD16<Int8>>) -> Int {
        // SAFETY: a mask has all bits of a byte set, or none; so its halves are numbers whose lowest set bit lies in the
        // first marked byte.
        let halves = unsafe unsafeBitCast(marks, to: SIMD2<UInt64>.self)
        let low = UInt64(littleEndian: halves[0])
        if low != 0 { return low.trailingZeroBitCount &>> 3 }
        // Of zero, 64.
        return 8 &+ UInt64(littleEndian: halves[1]).trailingZeroBitCount &>> 3
    }
}

/// Eight bytes as one number, the first in the lowest place.
public enum ByteWord {
    /// The first eight bytes of `start..<end`, zero where there are fewer.
    @inlinable
    public static func prefix(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> UInt64 {
        precondition(start >= 0 && start <= end && end <= bytes.count, "a range of the bytes")
        // SAFETY: by eights below the count, else one by one below `end`.
        return unsafe bytes.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress, start < end else { return 0 }
            if start &+ 8 <= bytes.count {
                let word = unsafe load(base, start)
                let count = end &- start
                return count >= 8 ? word : word & (1 &<< UInt64(8 &* count) &- 1)
            }
            var word: UInt64 = 0
            var index = min(end, start &+ 8)
            while index > start {
                index &-= 1
                word = unsafe word &<< 8 | UInt64(base[index])
            }
            return word
        }
    }

    /// 1 in each byte.
    @inlinable
    public static var ones: UInt64 { 0x0101_0101_0101_0101 }
    /// The highest bit of each byte.
    @inlinable
    public static var highs: UInt64 { 0x8080_8080_8080_8080 }

    @unsafe
    @inlinable
    public static func load(_ base: UnsafePointer<UInt8>, _ index: Int) -> UInt64 {
        // SAFETY: the caller has eight bytes from `index` on.
        unsafe UInt64(
            littleEndian: UnsafeRawPointer(base + index).loadUnaligned(as: UInt64.self))
    }

    /// Marks with its highest bit the lowest byte that is zero.
    @inlinable
    public static func zeros(_ word: UInt64) -> UInt64 { below(word, 1) }

    /// Marks with its highest bit the lowest byte that is less than `limit`, which is at most 128.
    @inlinable
    public static func below(_ word: UInt64, _ limit: UInt64) -> UInt64 {
        // A borrow runs upwards alone, so up to the first mark every difference is right.
        (word &- ones &* limit) & ~word & highs
    }

    /// Marks with its highest bit every byte that is `byte`, which is at most 127; unlike those of ``zeros(_:)`` all are right.
    @inlinable
    public static func equal(_ word: UInt64, _ byte: UInt8) -> UInt64 {
        let difference = word ^ ones &* UInt64(byte)
        // Without their highest bits no sum reaches into the next byte.
        return ~((difference & ~highs) &+ ~highs | difference) & highs
    }

    /// Marks with its highest bit every byte that host names are made of: letters, digits, `-`, `.` and `_`.
    @inlinable
    public static func hostBytes(_ word: UInt64) -> UInt64 {
        let low = word & ~highs
        let small = low | ones &* 0x20
        let letters = (small &+ ones &* 0x1F) & ~(small &+ ones &* 0x05)
        // From `-` over `.` to `9` stands one that is none of them: `/`.
        let digits = (low &+ ones &* 0x53) & ~(low &+ ones &* 0x46) & ~equal(word, 0x2F)
        return ((letters | digits) & ~word | equal(word, 0x5F)) & highs
    }

    /// The word with its capital letters as small ones.
    @inlinable
    public static func lowercased(_ word: UInt64) -> UInt64 {
        // Without their highest bits no sum reaches into the next byte.
        let low = word & ~highs
        let capitals = (low &+ ones &* 0x3F) & ~(low &+ ones &* 0x25) & ~word & highs
        return word | capitals &>> 2
    }

    /// Writes `bytes` with capital letters as small ones to `room`, which has space for as many.
    @unsafe
    @inlinable
    public static func lowercase(_ bytes: Span<UInt8>, into room: UnsafeMutablePointer<UInt8>) {
        // SAFETY: words are read and written while eight bytes are left, then single bytes.
        unsafe bytes.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return }
            var index = 0
            while index &+ 8 <= bytes.count {
                unsafe UnsafeMutableRawPointer(room + index).storeBytes(
                    of: lowercased(load(base, index)).littleEndian, as: UInt64.self)
                index &+= 8
            }
            while index < bytes.count {
                let byte = unsafe base[index]
                unsafe room[index] = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
                index &+= 1
            }
        }
    }
}

/// Copies of a few bytes, which a call of the system's for any number would take longer than.
public enum ByteCopy {
    /// Copies `count` bytes between runs that do not overlap.
    @unsafe
    @inlinable @inline(__always)
    public static func copy(
        _ count: Int, from: UnsafePointer<UInt8>, to: UnsafeMutablePointer<UInt8>
    ) {
        // SAFETY: each case reads and writes within the first `count` bytes; the second of two moves ends with them.
        let source = unsafe UnsafeRawPointer(from)
        let target = UnsafeMutableRawPointer(to)
        if count > 32 { return unsafe target.copyMemory(from: source, byteCount: count) }
        if count >= 16 {
            let last = count &- 16
            let (one, two) = unsafe (
                source.loadUnaligned(as: SIMD16<UInt8>.self),
                source.loadUnaligned(fromByteOffset: last, as: SIMD16<UInt8>.self)
            )
            unsafe target.storeBytes(of: one, as: SIMD16<UInt8>.self)
            unsafe target.storeBytes(of: two, toByteOffset: last, as: SIMD16<UInt8>.self)
        } else if count >= 8 {
            let last = count &- 8
            let (one, two) = unsafe (
                source.loadUnaligned(as: UInt64.self),
                source.loadUnaligned(fromByteOffset: last, as: UInt64.self)
            )
            unsafe target.storeBytes(of: one, as: UInt64.self)
            unsafe target.storeBytes(of: two, toByteOffset: last, as: UInt64.self)
        } else if count >= 4 {
            let last = count &- 4
            let (one, two) = unsafe (
                source.loadUnaligned(as: UInt32.self),
                source.loadUnaligned(fromByteOffset: last, as: UInt32.self)
            )
            unsafe target.storeBytes(of: one, as: UInt32.self)
            unsafe target.storeBytes(of: two, toByteOffset: last, as: UInt32.self)
        } else if count > 0 {
            unsafe to[0] = from[0]
            unsafe to[count &>> 1] = from[count &>> 1]
            unsafe to[count &- 1] = from[count &- 1]
        }
    }
}
