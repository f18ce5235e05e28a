/// Finds many byte strings at once in one pass over the input.
///
/// Every pattern is known by its first bytes: as many as the shortest pattern has, at most eight. At each
/// position these bytes of the input are hashed into a bit filter, and only where the bit is set are the patterns of
/// that hash compared. So the cost of a pass hardly depends on how many patterns there are, and memory grows by
/// some twenty bytes a pattern, where an automaton of thousands of patterns would take hundreds of megabytes.
package struct PatternSet: Sendable {
    /// What is searched for, in the order given.
    package let patterns: [[UInt8]]
    /// Length of the longest pattern: how much two neighbouring windows of a stream must overlap, plus one.
    package let patternBytesMax: Int

    private let windowBytes: Int
    private let windowMask: UInt64
    private let hashShift: UInt64
    /// One bit for each hash that some pattern has.
    private let filter: [UInt64]
    /// First pattern of each chain, by the lower bits of the hash; -1 where there is none.
    private let chainHeads: [Int32]
    /// Next pattern of the same chain; -1 at its end.
    private let chainNext: [Int32]
    /// The first bytes of each pattern, as ``load`` reads them.
    private let windows: [UInt64]

    /// Takes patterns of at least one byte each.
    package init(_ patterns: [[UInt8]]) {
        precondition(patterns.allSatisfy { !$0.isEmpty }, "an empty pattern is everywhere")
        self.patterns = patterns
        patternBytesMax = patterns.map(\.count).max() ?? 0
        let windowBytes = min(8, patterns.map(\.count).min() ?? 8)
        self.windowBytes = windowBytes
        windowMask = windowBytes == 8 ? .max : (1 << UInt64(windowBytes * 8)) - 1

        // Sixteen bits a pattern keep false alarms rare; between 1 KiB and 1 MiB the filter stays in a cache.
        var filterBits: UInt64 = 13
        while filterBits < 23, 1 << filterBits < patterns.count * 16 { filterBits += 1 }
        hashShift = 64 - filterBits

        var filter = [UInt64](repeating: 0, count: 1 << Int(filterBits - 6))
        var heads = [Int32](repeating: -1, count: 1 << Int(filterBits - 3))
        var next = [Int32](repeating: -1, count: patterns.count)
        var windows: [UInt64] = []
        for (index, pattern) in patterns.enumerated() {
            var window: UInt64 = 0
            for (position, byte) in pattern.prefix(windowBytes).enumerated() {
                window |= UInt64(byte) << UInt64(position * 8)
            }
            windows.append(window)
            let hash = Self.hash(window, shift: 64 - filterBits)
            filter[hash >> 6] |= 1 << UInt64(hash & 63)
            let bucket = hash & (heads.count - 1)
            next[index] = heads[bucket]
            heads[bucket] = Int32(index)
        }
        self.filter = filter
        chainHeads = heads
        chainNext = next
        self.windows = windows
    }

    /// Calls `body` with the offset and the index of every pattern that `bytes` holds from an offset in
    /// `starts` on, by rising offset; patterns may overlap.
    package func forEachMatch(
        in bytes: Span<UInt8>, startingIn starts: Range<Int>? = nil,
        _ body: (_ offset: Int, _ pattern: Int) -> Void
    ) {
        let starts = starts ?? 0..<bytes.count
        precondition(starts.lowerBound >= 0 && starts.upperBound <= bytes.count)
        guard !patterns.isEmpty else { return }
        // SAFETY: every index into `filter` and `heads` is a hash cut to their size, and every load is held to
        // the span's end; unsafe buffers spare the bounds checks of the loop that touches every byte.
        unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe filter.withUnsafeBufferPointer { filter in
                let raw = UnsafeRawBufferPointer(buffer)
                let wholeWords = min(starts.upperBound, raw.count - 7)
                var offset = starts.lowerBound
                while offset < wholeWords {
                    let word = unsafe raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                    let hash = Self.hash(UInt64(littleEndian: word) & windowMask, shift: hashShift)
                    if unsafe filter[hash >> 6] >> UInt64(hash & 63) & 1 != 0 {
                        unsafe compare(raw, offset, hash, body)
                    }
                    offset += 1
                }
                while offset < starts.upperBound, offset + windowBytes <= raw.count {
                    let hash = Self.hash(unsafe tail(raw, offset), shift: hashShift)
                    unsafe compare(raw, offset, hash, body)
                    offset += 1
                }
            }
        }
    }

    /// Compares the patterns of one hash with the bytes at `offset`.
    private func compare(
        _ bytes: UnsafeRawBufferPointer, _ offset: Int, _ hash: Int,
        _ body: (_ offset: Int, _ pattern: Int) -> Void
    ) {
        let window = unsafe tail(bytes, offset)
        var index = Int(chainHeads[hash & (chainHeads.count - 1)])
        while index >= 0 {
            if windows[index] == window, unsafe matches(bytes, offset, patterns[index]) {
                body(offset, index)
            }
            index = Int(chainNext[index])
        }
    }

    private func matches(
        _ bytes: UnsafeRawBufferPointer, _ offset: Int, _ pattern: [UInt8]
    ) -> Bool {
        guard offset + pattern.count <= bytes.count else { return false }
        for position in windowBytes..<max(windowBytes, pattern.count)
        where unsafe bytes[offset + position] != pattern[position] { return false }
        return true
    }

    /// The window at `offset`, read byte by byte.
    private func tail(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
        var window: UInt64 = 0
        for position in 0..<windowBytes {
            window |= UInt64(unsafe bytes[offset + position]) << UInt64(position * 8)
        }
        return window
    }

    @inline(__always)
    private static func hash(_ window: UInt64, shift: UInt64) -> Int {
        // Fibonacci hashing; wrapping is the algorithm.
        Int(truncatingIfNeeded: (window &* 0x9E37_79B9_7F4A_7C15) >> shift)
    }
}
