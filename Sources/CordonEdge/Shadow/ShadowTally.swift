internal import CordonPolicy
internal import Synchronization

/// How often a candidate decided otherwise, by pair of policies and difference, as one loop counts it.
///
/// A fixed table: counting allocates nothing, and nothing that names a hit or a person gets into it. The loop writes with plain
/// stores, and whoever asks reads along: each number is a whole one, and numbers of one hit may be seen one after the other.
@safe final class ShadowTally: @unchecked Sendable {
    // SAFETY: allocated in `init`, freed in `deinit`; in between the words are touched by atomic operations alone.
    private let words: UnsafeMutablePointer<Atomic<UInt64>>

    /// Pairs of policies that are told apart: some times more than rule sets of a hundred laws that differ in each.
    static let pairsMax = 256
    /// Slots that a pair may stand in; what finds all of them taken is counted without its pair.
    private static let probes = 16

    // Words: three sums, then each slot's pair, its hits, and its differences.
    private static let compared = 0
    private static let differing = 1
    private static let unlisted = 2
    private static let slotsStart = 3
    private static let slotWords = 2 + DecisionDifference.count
    private static let wordCount = slotsStart + pairsMax * slotWords

    /// What a tally holds.
    struct Sums {
        /// Hits that both rule sets were asked about.
        var compared: UInt64 = 0
        /// Of them, those with any difference.
        var differing: UInt64 = 0
        /// Of those, the ones whose pair had no slot.
        var unlisted: UInt64 = 0
        var pairs: [Pair: Counts] = [:]
    }

    /// Indices of policies, each in its own rule set.
    struct Pair: Hashable {
        var policy: Int
        var candidate: Int
    }

    struct Counts {
        var hits: UInt64 = 0
        /// By `DecisionDifference.index`.
        var differences = [UInt64](repeating: 0, count: DecisionDifference.count)
    }

    init() {
        unsafe words = .allocate(capacity: Self.wordCount)
        for word in 0..<Self.wordCount { unsafe (words + word).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe words.deinitialize(count: Self.wordCount)
        unsafe words.deallocate()
    }

    /// Counts one hit. For the loop that owns the tally.
    func add(policy: Int, candidate: Int, _ differences: DecisionDifferences) {
        increment(Self.compared)
        guard !differences.isEmpty else { return }
        increment(Self.differing)
        guard let slot = slot(policy: policy, candidate: candidate) else {
            return increment(Self.unlisted)
        }
        increment(slot + 1)
        var rest = differences
        while let difference = rest.next() { increment(slot + 2 + difference.index) }
    }

    /// The first word of the pair's slot, which is taken when it has none; nil where there is no room.
    private func slot(policy: Int, candidate: Int) -> Int? {
        let pair = UInt64(policy) << 32 | UInt64(candidate) + 1
        // Multiplicative hashing by the golden ratio spreads small numbers; overflow is its way.
        let start = Int(truncatingIfNeeded: (pair &* 0x9E37_79B9_7F4A_7C15) >> 56)
        for probe in 0..<Self.probes {
            let slot = Self.slotsStart + (start + probe) % Self.pairsMax * Self.slotWords
            let held = unsafe words[slot].load(ordering: .relaxed)
            if held == pair { return slot }
            if held == 0 {
                unsafe words[slot].store(pair, ordering: .relaxed)
                return slot
            }
        }
        return nil
    }

    private func increment(_ word: Int) {
        // One writer, so load and store lose nothing and need no locked instruction.
        let count = unsafe words[word].load(ordering: .relaxed)
        unsafe words[word].store(count &+ 1, ordering: .relaxed)
    }

    /// Adds what was counted so far to `sums`.
    func read(into sums: inout Sums) {
        func word(_ index: Int) -> UInt64 { unsafe words[index].load(ordering: .relaxed) }
        sums.compared += word(Self.compared)
        sums.differing += word(Self.differing)
        sums.unlisted += word(Self.unlisted)
        for slot in 0..<Self.pairsMax {
            let first = Self.slotsStart + slot * Self.slotWords
            let held = word(first)
            guard held != 0 else { continue }
            let pair = Pair(policy: Int(held >> 32), candidate: Int(held & 0xFFFF_FFFF) - 1)
            var counts = sums.pairs[pair] ?? Counts()
            counts.hits += word(first + 1)
            for index in counts.differences.indices {
                counts.differences[index] += word(first + 2 + index)
            }
            sums.pairs[pair] = counts
        }
    }
}
