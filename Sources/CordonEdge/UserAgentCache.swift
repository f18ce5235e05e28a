internal import Crypto
internal import UserAgents

/// What one loop knows of the user agents it has met, by a keyed digest of each: no user agent is held.
///
/// Two-way set associative in fixed memory; the older of two that share a set makes room.
@safe final class UserAgentCache {
    /// The families of one user agent, ready to be copied into a record.
    struct Family: BitwiseCopyable {
        // Before the fields, so that a slot's first line of the processor's cache is mostly all that a hit reads of it.
        /// Bytes of `fields` that are used.
        private(set) var byteCount: UInt8 = 0
        private(set) var isBot = false
        /// Browser, system and device one after the other, each as a record has a text.
        private(set) var fields = InlineArray<198, UInt8>(repeating: 0)

        /// Longest family in bytes; three, with their counts, fill `fields`.
        static let familyBytesMax = 64

        init(_ family: UserAgentFamily) {
            isBot = family.isBot
            put(family.browser)
            put(family.os)
            put(family.device)
        }

        /// Takes `family`, or `Other` when it is longer than any known one.
        private mutating func put(_ family: String) {
            let family = family.utf8.count <= Self.familyBytesMax ? family : "Other"
            var end = Int(byteCount)
            fields[end] = UInt8(family.utf8.count)
            fields[end + 1] = 0
            end += 2
            for unit in family.utf8 {
                fields[end] = unit
                end += 1
            }
            byteCount = UInt8(end)
        }
    }

    private struct Slot: BitwiseCopyable {
        var digest: UInt128 = 0
        var isNewer = false
        var family: Family
    }

    private static let setCount = 4096
    private let key = PolynomialKey.random()
    // SAFETY: allocated in `init` with two slots a set, indexed by the masked digest.
    private let slots: UnsafeMutablePointer<Slot>
    private let classifier: UserAgentClassifier?
    // SAFETY: allocated in `init`, freed in `deinit`, never written in between.
    let other: UnsafePointer<Family>
    /// Classifications that are left in this second.
    private var budget = EdgeLimits.classificationsPerSecondMax

    init(_ rules: UserAgentRules?) {
        classifier = rules.map(UserAgentClassifier.init)
        unsafe slots = .allocate(capacity: Self.setCount * 2)
        unsafe slots.initialize(repeating: Slot(family: Family(.other)), count: Self.setCount * 2)
        let other = UnsafeMutablePointer<Family>.allocate(capacity: 1)
        unsafe other.initialize(to: Family(.other))
        unsafe self.other = UnsafePointer(other)
    }

    deinit {
        unsafe slots.deallocate()
        unsafe other.deallocate()
    }

    /// Another second has begun.
    func refill() { budget = EdgeLimits.classificationsPerSecondMax }

    enum Lookup { case known, classified, overflow }

    /// The families of a user agent's bytes, valid until the next are asked for, and how they were found.
    @unsafe
    func family(of userAgent: Span<UInt8>) -> (UnsafePointer<Family>, Lookup) {
        if classifier == nil { return unsafe (other, .known) }
        let digest = key.digest(userAgent) | 1
        let set = Int(truncatingIfNeeded: digest >> 64) & (Self.setCount - 1)
        let first = unsafe slots + set * 2
        for way in 0..<2 {
            guard unsafe first[way].digest == digest else { continue }
            if unsafe !first[way].isNewer {
                unsafe first[way].isNewer = true
                unsafe first[1 - way].isNewer = false
            }
            return unsafe (family(at: first + way), .known)
        }
        // Taken hold of here alone: counting references at each hit costs more than the look-up.
        guard let classifier else { return unsafe (other, .known) }
        guard budget > 0 else { return unsafe (other, .overflow) }
        budget -= 1
        let victim = unsafe first[0].isNewer ? 1 : 0
        unsafe first[victim] = Slot(
            digest: digest, isNewer: true, family: Family(classifier.classify(userAgent)))
        unsafe first[1 - victim].isNewer = false
        return unsafe (family(at: first + victim), .classified)
    }

    private func family(at slot: UnsafeMutablePointer<Slot>) -> UnsafePointer<Family> {
        // SAFETY: the family lies within the slot, at its offset.
        let offset = MemoryLayout<Slot>.offset(of: \Slot.family)!
        return unsafe UnsafeRawPointer(slot).advanced(by: offset)
            .assumingMemoryBound(to: Family.self)
    }
}
