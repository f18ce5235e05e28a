/// Finds many byte strings at once in one pass over the input.
///
/// Every pattern is known by a window of its bytes: as long as the shortest pattern, at most eight. At each
/// position the input's window is hashed into a bit filter, and only where the bit is set are the patterns of
/// that hash compared. So the cost of a pass hardly depends on how many patterns there are, and memory grows by
/// some twenty bytes a pattern, where an automaton of thousands of patterns would take hundreds of megabytes.
///
/// When all patterns are longer than such a window, each is known by several that follow each other, and only every so many positions are
/// looked at: wherever a pattern lies, one of its windows begins at one of them.
///
/// Of its first, middle and last windows a pattern is known by those that the fewest patterns share: thousands of IPv4
/// addresses inside IPv6 ones all begin with the zeros that fill files.
package struct PatternSet: Sendable {
    /// What is searched for, in the order given.
    package let patterns: [[UInt8]]
    /// Length of the longest pattern: how much two neighbouring windows of a stream must overlap, plus one.
    package let patternBytesMax: Int

    private let windowBytes: Int
    private let windowMask: UInt64
    /// Positions from one that is looked at to the next; as many windows has each pattern.
    private let step: Int
    private let hashShift: UInt64
    /// One bit for each hash that some pattern has.
    private let filter: [UInt64]
    /// First pattern of each chain, by the lower bits of the hash; -1 where there is none.
    private let chainHeads: [Int32]
    /// Next pattern of the same chain; -1 at its end.
    private let chainNext: [Int32]
    /// The windows that each pattern is known by, ``step`` of them one behind the other, the first byte of each lowest.
    private let windows: [UInt64]
    /// Where in its pattern the first of them stands.
    private let windowStarts: [Int32]
    private let windowStartMax: Int

    /// More bring little, and cost memory for each pattern.
    private static let stepMax = 16
    /// When more patterns share a window, files that hold it often would be searched slowly.
    private static let sharedMax = 64

    /// Takes patterns of at least one byte each.
    package init(_ patterns: [[UInt8]]) {
        precondition(patterns.allSatisfy { !$0.isEmpty }, "an empty pattern is everywhere")
        self.patterns = patterns
        patternBytesMax = patterns.map(\.count).max() ?? 0
        let bytesMin = patterns.map(\.count).min() ?? 8
        let windowBytes = min(8, bytesMin)
        self.windowBytes = windowBytes
        windowMask = windowBytes == 8 ? .max : (1 << UInt64(windowBytes * 8)) - 1
        var step = min(Self.stepMax, bytesMin - windowBytes + 1)
        var (starts, shared) = Self.windowStarts(patterns, windowBytes: windowBytes, step: step)
        if step > 1, shared > Self.sharedMax {
            step = 1
            (starts, _) = Self.windowStarts(patterns, windowBytes: windowBytes, step: step)
        }
        self.step = step

        // Sixteen bits a window keep false alarms rare; between 1 KiB and 4 MiB the filter stays in a cache.
        var filterBits: UInt64 = 13
        while filterBits < 25, 1 << filterBits < patterns.count * step * 16 { filterBits += 1 }
        hashShift = 64 - filterBits

        var filter = [UInt64](repeating: 0, count: 1 << Int(filterBits - 6))
        var heads = [Int32](repeating: -1, count: 1 << Int(filterBits - 3))
        var next = [Int32](repeating: -1, count: patterns.count * step)
        var windows: [UInt64] = []
        windows.reserveCapacity(patterns.count * step)
        for (index, pattern) in patterns.enumerated() {
            for place in 0..<step {
                let window = Self.window(pattern, Int(starts[index]) + place, windowBytes)
                let hash = Self.hash(window, shift: 64 - filterBits)
                filter[hash >> 6] |= 1 << UInt64(hash & 63)
                let bucket = hash & (heads.count - 1)
                next[windows.count] = heads[bucket]
                heads[bucket] = Int32(windows.count)
                windows.append(window)
            }
        }
        windowStarts = starts
        windowStartMax = Int(starts.max() ?? 0) + step - 1
        self.filter = filter
        chainHeads = heads
        chainNext = next
        self.windows = windows
    }

    /// Calls `body` with the offset and the index of every pattern that `bytes` holds from an offset in
    /// `starts` on, in no certain order; patterns may overlap.
    package func forEachMatch(
        in bytes: Span<UInt8>, startingIn starts: Range<Int>? = nil,
        _ body: (_ offset: Int, _ pattern: Int) -> Void
    ) {
        let starts = starts ?? 0..<bytes.count
        precondition(starts.lowerBound >= 0 && starts.upperBound <= bytes.count)
        guard !patterns.isEmpty else { return }
        // A pattern that starts within `starts` has its window up to this far behind.
        let end = min(bytes.count, starts.upperBound + windowStartMax)
        // SAFETY: every index into `filter` is a hash cut to its size, and every load is held to
        // the span's end; unsafe buffers spare the bounds checks of the loop that touches every byte.
        unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe filter.withUnsafeBufferPointer { filter in
                let raw = UnsafeRawBufferPointer(buffer)
                let wholeWords = min(end, raw.count - 7)
                var offset = starts.lowerBound
                while offset < wholeWords {
                    let word = unsafe raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                    let hash = Self.hash(UInt64(littleEndian: word) & windowMask, shift: hashShift)
                    if unsafe filter[hash >> 6] >> UInt64(hash & 63) & 1 != 0 {
                        unsafe compare(raw, offset, hash, starts, body)
                    }
                    offset += step
                }
                while offset < end, offset + windowBytes <= raw.count {
                    let hash = Self.hash(unsafe tail(raw, offset), shift: hashShift)
                    unsafe compare(raw, offset, hash, starts, body)
                    offset += step
                }
            }
        }
    }

    /// Compares the patterns of one hash with the bytes around the window at `offset`.
    private func compare(
        _ bytes: UnsafeRawBufferPointer, _ offset: Int, _ hash: Int, _ starts: Range<Int>,
        _ body: (_ offset: Int, _ pattern: Int) -> Void
    ) {
        let window = unsafe tail(bytes, offset)
        var index = Int(chainHeads[hash & (chainHeads.count - 1)])
        while index >= 0 {
            if windows[index] == window {
                let pattern = index / step
                let start = offset - Int(windowStarts[pattern]) - index % step
                if starts.contains(start), unsafe matches(bytes, start, patterns[pattern]) {
                    body(start, pattern)
                }
            }
            index = Int(chainNext[index])
        }
    }

    private func matches(
        _ bytes: UnsafeRawBufferPointer, _ offset: Int, _ pattern: [UInt8]
    ) -> Bool {
        guard offset + pattern.count <= bytes.count else { return false }
        for position in pattern.indices
        where unsafe bytes[offset + position] != pattern[position] { return false }
        return true
    }

    /// Where in each pattern those windows stand that the fewest patterns share, `step` of them from there on, and by how many one of
    /// them is shared at most.
    private static func windowStarts(
        _ patterns: [[UInt8]], windowBytes: Int, step: Int
    ) -> (starts: [Int32], shared: Int) {
        func candidates(_ pattern: [UInt8]) -> [3 of Int] {
            let last = pattern.count - windowBytes - step + 1
            return [0, last / 2, last]
        }
        // Counted by hash: two windows that share one are only thought more common than they are.
        let shift: UInt64 = 64 - 20
        var counts = [UInt32](repeating: 0, count: 1 << 20)
        func hash(_ pattern: [UInt8], _ place: Int) -> Int {
            Self.hash(window(pattern, place, windowBytes), shift: shift)
        }
        for pattern in patterns {
            let places = candidates(pattern)
            for index in places.indices where index == 0 || places[index] != places[index - 1] {
                for place in 0..<step { counts[hash(pattern, places[index] + place)] &+= 1 }
            }
        }
        var shared: UInt32 = 0
        let starts = patterns.map { pattern in
            let places = candidates(pattern)
            var best = 0
            var bestCount = UInt32.max
            for place in places.indices {
                let count = (0..<step).reduce(0) {
                    max($0, counts[hash(pattern, places[place] + $1)])
                }
                if count < bestCount { (best, bestCount) = (places[place], count) }
            }
            shared = max(shared, bestCount)
            return Int32(best)
        }
        return (starts, Int(shared))
    }

    /// `count` bytes of `pattern` from `start` on, the first lowest.
    private static func window(_ pattern: [UInt8], _ start: Int, _ count: Int) -> UInt64 {
        var window: UInt64 = 0
        for position in 0..<count {
            window |= UInt64(pattern[start + position]) << UInt64(position * 8)
        }
        return window
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
