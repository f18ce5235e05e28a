internal import Crypto
internal import UserAgents

/// What one loop knows of the user agents it has met, by a keyed digest of each: no user agent is held.
///
/// Two-way set associative in fixed memory; the older of two that share a set makes room.
@safe final class UserAgentCache {
    /// The families of one user agent, ready to be copied into a record.
    struct Family: BitwiseCopyable {
        var text = InlineArray<192, UInt8>(repeating: 0)
        var browserCount: UInt8 = 0
        var osCount: UInt8 = 0
        var deviceCount: UInt8 = 0
        var isBot = false

        /// Longest family in bytes; three fill `text`.
        static let familyBytesMax = 64

        init(_ family: UserAgentFamily) {
            var end = 0
            browserCount = Self.put(family.browser, &text, &end)
            osCount = Self.put(family.os, &text, &end)
            deviceCount = Self.put(family.device, &text, &end)
            isBot = family.isBot
        }

        /// Copies `family`, or `Other` when it is longer than any known one.
        private static func put(
            _ family: String, _ text: inout InlineArray<192, UInt8>, _ end: inout Int
        ) -> UInt8 {
            let family = family.utf8.count <= familyBytesMax ? family : "Other"
            for unit in family.utf8 {
                text[end] = unit
                end += 1
            }
            return UInt8(family.utf8.count)
        }
    }

    private struct Slot: BitwiseCopyable {
        var digest: UInt128 = 0
        var family: Family
        var isNewer = false
    }

    private static let setCount = 4096
    private let key = HMACKey(SecureRandom.bytes(32))
    // SAFETY: allocated in `init` with two slots a set, indexed by the masked digest.
    private let slots: UnsafeMutablePointer<Slot>
    private let classifier: UserAgentClassifier?
    let other = Family(.other)
    /// Classifications that are left in this second.
    private var budget = EdgeLimits.classificationsPerSecondMax

    init(_ rules: UserAgentRules?) {
        classifier = rules.map(UserAgentClassifier.init)
        unsafe slots = .allocate(capacity: Self.setCount * 2)
        unsafe slots.initialize(repeating: Slot(family: other), count: Self.setCount * 2)
    }

    deinit { unsafe slots.deallocate() }

    /// Another second has begun.
    func refill() { budget = EdgeLimits.classificationsPerSecondMax }

    enum Lookup { case known, classified, overflow }

    /// The families of a user agent's bytes, and how they were found.
    func family(of userAgent: Span<UInt8>) -> (Family, Lookup) {
        guard let classifier else { return (other, .known) }
        let digest = key.authenticate(userAgent).leading128 | 1
        let set = Int(truncatingIfNeeded: digest >> 64) & (Self.setCount - 1)
        let first = unsafe slots + set * 2
        if unsafe first[0].digest == digest {
            unsafe first[0].isNewer = true
            unsafe first[1].isNewer = false
            return (unsafe first[0].family, .known)
        }
        if unsafe first[1].digest == digest {
            unsafe first[1].isNewer = true
            unsafe first[0].isNewer = false
            return (unsafe first[1].family, .known)
        }
        guard budget > 0 else { return (other, .overflow) }
        budget -= 1
        let family = Family(classifier.classify(userAgent))
        let victim = unsafe first[0].isNewer ? 1 : 0
        unsafe first[victim] = Slot(digest: digest, family: family, isNewer: true)
        unsafe first[1 - victim].isNewer = false
        return (family, .classified)
    }
}
