internal import Consent

/// Sorts host names into classes that no site pattern of the rule set can tell apart.
///
/// Class 0 holds the hosts that no pattern names; each pattern opens one class more, which holds the hosts
/// whose most specific pattern it is. An exact name is more specific than a wildcard, a longer wildcard than a
/// shorter one. Looked up by hashing the name once from its end: every suffix's hash is passed on the way.
struct SiteClasses: Sendable {
    /// The patterns in class order, class 1 first.
    let patterns: [SitePattern]
    private let names: NameList
    private let isWildcard: [Bool]
    /// Open addressing, a power of two in size and at most half full; 0 is empty, else the class.
    private(set) var slots: [UInt16]

    /// - Parameter patterns: different ones, at most ``patternsMax``.
    init(_ patterns: [SitePattern]) {
        self.patterns = patterns
        names = NameList(patterns.map(\.suffix))
        isWildcard = patterns.map(\.isWildcard)
        var size = 4
        while size < patterns.count * 2 + 1 { size *= 2 }
        slots = Array(repeating: 0, count: size)
        for (index, pattern) in patterns.enumerated() {
            var hash = Self.seed
            for byte in pattern.suffix.utf8.reversed() { hash = Self.mix(hash, byte) }
            var slot = Self.slot(hash, isWildcard: pattern.isWildcard, size: size)
            while slots[slot] != 0 { slot = (slot + 1) & (size - 1) }
            slots[slot] = UInt16(index + 1)
        }
    }

    /// Most patterns: a class is a number of 16 bits, and class 0 is that of hosts which none names.
    static let patternsMax = Int(UInt16.max)

    var count: Int { patterns.count + 1 }

    /// The class of the host name in `range`, in either case.
    func index(of bytes: Span<UInt8>, _ range: Range<Int>) -> Int {
        if patterns.isEmpty { return 0 }
        var best = 0
        var hash = Self.seed
        var index = range.upperBound
        while index > range.lowerBound {
            index -= 1
            let byte = Self.lowercase(bytes[index])
            // Before a dot is taken in, the hash is that of the name behind it, the part a wildcard names.
            if byte == 0x2E,
                let found = find(hash, isWildcard: true, bytes, index + 1..<range.upperBound)
            {
                best = found
            }
            hash = Self.mix(hash, byte)
        }
        return find(hash, isWildcard: false, bytes, range) ?? best
    }

    private func find(
        _ hash: UInt64, isWildcard wanted: Bool, _ bytes: Span<UInt8>, _ range: Range<Int>
    ) -> Int? {
        var slot = Self.slot(hash, isWildcard: wanted, size: slots.count)
        while slots[slot] != 0 {
            let pattern = Int(slots[slot]) - 1
            if isWildcard[pattern] == wanted, equals(pattern, bytes, range) { return pattern + 1 }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    private func equals(_ pattern: Int, _ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        let name = names.span(pattern)
        guard name.count == range.count else { return false }
        for offset in name.indices
        where name[offset] != Self.lowercase(bytes[range.lowerBound + offset]) {
            return false
        }
        return true
    }

    /// FNV-1a's start and step (Fowler, Noll, Vo), fed from the last byte to the first.
    private static let seed: UInt64 = 0xCBF2_9CE4_8422_2325

    private static func mix(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
        // Wrapping is the algorithm.
        (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }

    private static func slot(_ hash: UInt64, isWildcard: Bool, size: Int) -> Int {
        let folded = (isWildcard ? hash &+ 1 : hash) ^ hash >> 32
        return Int(truncatingIfNeeded: folded) & (size - 1)
    }

    private static func lowercase(_ byte: UInt8) -> UInt8 {
        byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
    }
}

/// Which sites a policy is for: one of the forms `*`, `*.example.org` and `example.org`.
package struct SitePattern: Hashable, Sendable {
    /// The name in lowercase without `*.`; empty for `*`.
    package let suffix: String
    package let isWildcard: Bool

    /// Every site.
    package static let all = SitePattern(suffix: "", isWildcard: true)

    private init(suffix: String, isWildcard: Bool) {
        self.suffix = suffix
        self.isWildcard = isWildcard
    }

    /// Parses a pattern; nil when it is none of the three forms, or not in lowercase.
    package init?(_ text: String) {
        if text == "*" {
            self = .all
            return
        }
        let isWildcard = text.hasPrefix("*.")
        let suffix = isWildcard ? String(text.dropFirst(2)) : text
        let bytes = Array(suffix.utf8)
        guard RequestParts.hostName(in: bytes.span, 0..<bytes.count) == 0..<bytes.count,
            !bytes.contains(where: { $0 >= 0x41 && $0 <= 0x5A })
        else { return nil }
        self.init(suffix: suffix, isWildcard: isWildcard)
    }

    package var text: String { isWildcard ? (suffix.isEmpty ? "*" : "*." + suffix) : suffix }
}
