internal import Crypto
internal import Synchronization

/// Which events came lately: keyed digests of site and client-sent id in one fixed table that all loops share, without locks.
///
/// An id is claimed when its hit enters a batch and confirmed when that batch is in the journal; when the batch fails the claim
/// is withdrawn, so that the client's next attempt is kept. While fewer than ``setSlots`` other ids have fallen on its set,
/// an id is known for at least ``periodMilliseconds`` and at most twice that: then its key is gone, and with it what the
/// digests could be compared with. In doubt (a full set of claims, two loops in a set at the same instant) a hit is kept, never dropped.
@safe final class RecentEvents: @unchecked Sendable {
    // SAFETY: allocated in `init`, freed in `deinit`; in between threads touch the words by atomic operations alone.
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let keys: Mutex<Keys>
    /// Grows with each change of the keys, after it.
    private let keyVersion = Atomic<UInt64>(1)

    /// Ids that are known at the same time, in sets of `setSlots`.
    static let slotCount = 1 << 16
    static let setSlots = 8
    /// How long a key makes new digests; it is looked up as long again.
    static let periodMilliseconds: UInt64 = 15 * 60 * 1000

    /// What a loop makes digests with.
    struct Keys {
        fileprivate(set) var version: UInt64
        fileprivate(set) var current: HMACKey
        fileprivate(set) var previous: HMACKey
        fileprivate var periodEnd: UInt64
    }

    /// One event under the key of this period and of the one before.
    struct Digests: BitwiseCopyable {
        var current: UInt128
        var previous: UInt128
    }

    /// The slot of a claimed id, for whoever waits for its fate: the set and what stands in it.
    struct Claim: BitwiseCopyable {
        let slot: UInt32
        fileprivate let tag: UInt64
    }

    enum Finding {
        /// It did not come yet. Its claim must be settled.
        case new(Claim)
        /// Its hit is in a batch that is not yet in the journal.
        case pending(Claim)
        /// Its hit is in the journal.
        case known
        /// It did not come yet, and there is no room to remember it.
        case unremembered
    }

    /// A word: 48 bits of the digest, 14 bits of time in seconds, 2 bits of state. An empty slot is 0.
    private enum Word {
        static let claimed: UInt64 = 1
        static let confirmed: UInt64 = 2
        /// Put down by a loop that has yet to see whether another one has the same id.
        static let offered: UInt64 = 3
        static let stampMask: UInt64 = 0x3FFF

        static func tag(_ digest: UInt128) -> UInt64 {
            UInt64(truncatingIfNeeded: digest) & 0xFFFF_FFFF_FFFF_0000
        }
        static func tag(of word: UInt64) -> UInt64 { word & 0xFFFF_FFFF_FFFF_0000 }
        static func state(of word: UInt64) -> UInt64 { word & 3 }
        static func make(_ tag: UInt64, _ second: UInt64, _ state: UInt64) -> UInt64 {
            tag | (second & stampMask) << 2 | state
        }
        /// Seconds since the word was written, up to the width of its stamp.
        static func age(of word: UInt64, at second: UInt64) -> UInt64 {
            (second &- (word >> 2)) & stampMask
        }
    }

    /// - Parameter now: monotonic milliseconds.
    init(at now: UInt64, key: HMACKey = HMACKey(SecureRandom.bytes(32))) {
        unsafe words = .allocate(capacity: Self.slotCount)
        for slot in 0..<Self.slotCount { unsafe (words + slot).initialize(to: Atomic(0)) }
        keys = Mutex(
            Keys(
                version: 1, current: key, previous: key, periodEnd: now + Self.periodMilliseconds))
    }

    deinit {
        unsafe words.deinitialize(count: Self.slotCount)
        unsafe words.deallocate()
    }

    /// The keys, when they are others than those of `version`.
    func keys(ifNewerThan version: UInt64) -> Keys? {
        guard keyVersion.load(ordering: .acquiring) != version else { return nil }
        return keys.withLock { $0 }
    }

    /// Takes a new random key when the period is over, and forgets what only older keys could find. Called about once a second.
    func renew(at now: UInt64) {
        let isRenewed = keys.withLock { keys in
            guard now >= keys.periodEnd else { return false }
            keys.previous = keys.current
            keys.current = HMACKey(SecureRandom.bytes(32))
            keys.version += 1
            keys.periodEnd = now + Self.periodMilliseconds
            return true
        }
        guard isRenewed else { return }
        forget(olderThan: 2 * Self.periodMilliseconds / 1000, at: now / 1000)
        keyVersion.wrappingAdd(1, ordering: .releasing)
    }

    /// Clears what could come to look young again when the stamps wrap around.
    private func forget(olderThan age: UInt64, at second: UInt64) {
        for slot in 0..<Self.slotCount {
            let word = unsafe words[slot].load(ordering: .relaxed)
            guard Word.state(of: word) == Word.confirmed, Word.age(of: word, at: second) > age
            else { continue }
            // A word that has changed meanwhile is young.
            _ = unsafe words[slot].compareExchange(
                expected: word, desired: 0, ordering: .relaxed)
        }
    }

    /// Looks for an event, and claims it when it is new.
    func claim(_ digests: Digests, at now: UInt64) -> Finding {
        if let found = find(digests.previous) { return found }
        let second = now / 1000
        let tag = Word.tag(digests.current)
        let first = Self.firstSlot(digests.current)
        while true {
            if let found = find(digests.current) { return found }
            // The victim: an empty slot, else the oldest one that is confirmed.
            var victim = -1
            var victimWord: UInt64 = 0
            var victimAge: UInt64 = 0
            for slot in first..<first + Self.setSlots {
                let word = unsafe words[slot].load(ordering: .acquiring)
                let state = Word.state(of: word)
                if state == Word.claimed || state == Word.offered { continue }
                let age = word == 0 ? UInt64.max : Word.age(of: word, at: second)
                if victim < 0 || age > victimAge {
                    victim = slot
                    victimWord = word
                    victimAge = age
                }
            }
            guard victim >= 0 else { return .unremembered }
            // A failed exchange means that another loop was here, perhaps with the same id, so the set is looked through again.
            let exchange = unsafe words[victim].compareExchange(
                expected: victimWord, desired: Word.make(tag, second, Word.offered),
                ordering: .sequentiallyConsistent)
            guard exchange.exchanged else { continue }
            guard !hasRival(tag, of: victim, from: first) else {
                unsafe words[victim].store(0, ordering: .sequentiallyConsistent)
                continue
            }
            // Who finds the claim sees what its owner did before.
            unsafe words[victim].store(
                Word.make(tag, second, Word.claimed), ordering: .sequentiallyConsistent)
            return .new(Claim(slot: UInt32(victim), tag: tag))
        }
    }

    /// Whether another loop has the id that this one has offered in `slot`.
    ///
    /// Two loops may have looked before either put its word down. Each puts it down first and looks again then, so at least one sees the
    /// other; of two that see each other the one in the later slot gives way, and the one in the earlier slot waits for that.
    private func hasRival(_ tag: UInt64, of slot: Int, from first: Int) -> Bool {
        var other = first
        while other < first + Self.setSlots {
            let word = unsafe words[other].load(ordering: .sequentiallyConsistent)
            guard other != slot, Word.tag(of: word) == tag, word != 0 else {
                other += 1
                continue
            }
            guard Word.state(of: word) == Word.offered else { return true }
            if other < slot { return true }
        }
        return false
    }

    /// The hit of a claim is in the journal, or is not and will not be. Called once, by the loop that claimed it.
    func settle(slot: UInt32, isKept: Bool) {
        // Nobody else changes a claimed word.
        let word = unsafe words[Int(slot)].load(ordering: .relaxed)
        precondition(Word.state(of: word) == Word.claimed, "a claim is settled once")
        let settled = word & ~3 | Word.confirmed
        unsafe words[Int(slot)].store(isKept ? settled : 0, ordering: .releasing)
    }

    /// What became of a claim: nil while that is open, else whether its hit was kept. One that made room for a newer id
    /// meanwhile counts as not kept.
    func outcome(of claim: Claim) -> Bool? {
        let word = unsafe words[Int(claim.slot)].load(ordering: .acquiring)
        guard Word.tag(of: word) == claim.tag else { return false }
        switch Word.state(of: word) {
        case Word.claimed: return nil
        case Word.confirmed: return true
        default: return false
        }
    }

    private func find(_ digest: UInt128) -> Finding? {
        let tag = Word.tag(digest)
        let first = Self.firstSlot(digest)
        for slot in first..<first + Self.setSlots {
            let word = unsafe words[slot].load(ordering: .acquiring)
            guard Word.tag(of: word) == tag else { continue }
            switch Word.state(of: word) {
            case Word.claimed: return .pending(Claim(slot: UInt32(slot), tag: tag))
            case Word.confirmed: return .known
            default: continue
            }
        }
        return nil
    }

    /// The set comes from other bits of the digest than the tag.
    private static func firstSlot(_ digest: UInt128) -> Int {
        (Int(truncatingIfNeeded: digest >> 64) & (slotCount / setSlots - 1)) * setSlots
    }
}
