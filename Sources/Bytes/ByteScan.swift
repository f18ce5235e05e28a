/// Scans of request bytes, eight at a time: a word of the machine tells with a few operations whether one of its bytes is
/// what is sought.
///
/// The marks that a word's arithmetic sets may be wrong above the first right one, so only the lowest is looked at. A word
/// may reach beyond `end`, as far as the span does: what is found there is nothing found. Each
/// scan gives `end` when it finds nothing; `start` and `end` lie within the span.
/// Public, like all that a hit calls byte by byte: `package` functions are not inlined in other targets.
extension Span where Element == UInt8 {
    /// Where `byte` first stands in `start..<end`.
    @inlinable
    public func firstIndex(of byte: UInt8, from start: Int, to end: Int) -> Int {
        precondition(start >= 0 && end <= count, "a scan stays within its bytes")
        // SAFETY: bytes are read one by one below `end`, and by eights below `count`.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            let pattern = ByteWord.ones &* UInt64(byte)
            var index = start
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
        // SAFETY: bytes are read one by one below `end`, and by eights below `count`.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            let firsts = ByteWord.ones &* UInt64(first)
            let seconds = ByteWord.ones &* UInt64(second)
            var index = start
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

    /// Where the first control character (below 0x20, or 0x7F) stands in `start..<end`; a tab is none.
    @inlinable
    public func firstControl(from start: Int, to end: Int) -> Int {
        precondition(start >= 0 && end <= count, "a scan stays within its bytes")
        // SAFETY: bytes are read one by one below `end`, and by eights below `count`.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            let deletes = ByteWord.ones &* 0x7F
            var index = start
            while index < end {
                if index &+ 8 <= count {
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

    /// Where the first byte that no request target holds stands in `start..<end`: a control character, a space, `#`, or a
    /// byte above 0x7E.
    @inlinable
    public func firstOutsideTarget(from start: Int, to end: Int) -> Int {
        precondition(start >= 0 && end <= count, "a scan stays within its bytes")
        // SAFETY: bytes are read one by one below `end`, and by eights below `count`.
        return unsafe withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return end }
            let deletes = ByteWord.ones &* 0x7F
            let hashes = ByteWord.ones &* 0x23
            var index = start
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
}
