/// Reads consent strings for one thread, and remembers what it has read.
///
/// Consent strings are few: a site's visitors make a handful of choices. So a bounded table keeps extracts under a keyed
/// hash of the string; a string that was seen lately costs its hash alone. The string itself is not kept, and reading allocates
/// nothing.
package final class ConsentReader {
    /// The kinds of string, each read from a value as it stands in the request, escapes and all.
    package enum Kind: UInt8, Sendable, BitwiseCopyable { case tcf, gpp, usPrivacy, gcs, gcd }

    /// Vendor ids that extracts tell about, in the order of their bits.
    package let vendors: [UInt16]
    /// Strings that were found in the table, and that had to be read.
    package private(set) var hits = 0
    package private(set) var misses = 0

    private var scanner: ConsentScanner
    private var slots: [Slot]
    private let key: (UInt64, UInt64)
    private let isRemembering: Bool

    private struct Slot: BitwiseCopyable {
        var low: UInt64 = 0
        var high: UInt64 = 0
        var extract = ConsentExtract()
    }

    /// Slots of the table, 104 bytes each: more different strings than a loop meets in the minutes that they stay in use.
    package static let slotCount = 2048

    /// - Parameters:
    ///   - vendors: at most ``ConsentLimits/vendorsMax``.
    ///   - key: random, so that nobody can prepare two strings with one hash; nil remembers nothing.
    package init(vendors: [UInt16], key: (UInt64, UInt64)?) {
        self.vendors = vendors
        self.key = key ?? (0, 0)
        isRemembering = key != nil
        scanner = ConsentScanner(vendors: vendors)
        slots = [Slot](repeating: Slot(), count: isRemembering ? Self.slotCount : 0)
    }

    /// What the value in `range` of `bytes` says; an unreadable one is ``ConsentExtract/Standing/invalid``.
    package func extract(
        _ kind: Kind, _ bytes: Span<UInt8>, _ range: Range<Int>, form: FormFields.Form
    ) -> ConsentExtract {
        guard isRemembering, kind == .tcf || kind == .gpp,
            range.count <= ConsentLimits.textBytesMax
        else { return read(kind, bytes, range, form) }
        // The kind is part of the key: the same bytes may be good for one and bad for another.
        var hash = SipHash(key.0 ^ UInt64(kind.rawValue), key.1)
        let (low, high) = hash.digest(bytes, range)
        let index = Int(truncatingIfNeeded: low) & (Self.slotCount - 1)
        if slots[index].low == low, slots[index].high == high {
            hits &+= 1
            return slots[index].extract
        }
        misses &+= 1
        let extract = read(kind, bytes, range, form)
        slots[index] = Slot(low: low, high: high, extract: extract)
        return extract
    }

    private func read(
        _ kind: Kind, _ bytes: Span<UInt8>, _ range: Range<Int>, _ form: FormFields.Form
    ) -> ConsentExtract {
        do throws(ConsentFault) {
            return switch kind {
            case .tcf: try scanner.tcf(bytes, range)
            case .gpp: try scanner.gpp(bytes, range)
            case .usPrivacy: try scanner.usPrivacy(bytes, range)
            case .gcs: try ConsentMode.gcs(bytes, range, form: form)
            case .gcd: try ConsentMode.gcd(bytes, range, form: form)
            }
        } catch {
            // Which fault it was changes nothing: an unreadable string counts as a refusal.
            return .invalid
        }
    }
}

/// SipHash-2-4 with a digest of 128 bits (Aumasson and Bernstein, "SipHash: a fast short-input PRF").
struct SipHash {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64

    init(_ key0: UInt64, _ key1: UInt64) {
        v0 = key0 ^ 0x736F_6D65_7073_6575
        v1 = key1 ^ 0x646F_7261_6E64_6F6D ^ 0xEE
        v2 = key0 ^ 0x6C79_6765_6E65_7261
        v3 = key1 ^ 0x7465_6462_7974_6573
    }

    mutating func digest(_ bytes: Span<UInt8>, _ range: Range<Int>) -> (low: UInt64, high: UInt64) {
        var index = range.lowerBound
        let whole = range.lowerBound + range.count & ~7
        while index < whole {
            var word: UInt64 = 0
            for offset in 0..<8 {
                word |= UInt64(bytes[index &+ offset]) &<< UInt64(8 &* offset)
            }
            absorb(word)
            index &+= 8
        }
        var last = UInt64(truncatingIfNeeded: range.count) &<< 56
        var shift: UInt64 = 0
        while index < range.upperBound {
            last |= UInt64(bytes[index]) &<< shift
            shift &+= 8
            index &+= 1
        }
        absorb(last)
        v2 ^= 0xEE
        for _ in 0..<4 { round() }
        let low = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xDD
        for _ in 0..<4 { round() }
        return (low, v0 ^ v1 ^ v2 ^ v3)
    }

    private mutating func absorb(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    // Wrapping sums are the algorithm.
    private mutating func round() {
        v0 = v0 &+ v1
        v1 = rotated(v1, 13) ^ v0
        v0 = rotated(v0, 32)
        v2 = v2 &+ v3
        v3 = rotated(v3, 16) ^ v2
        v0 = v0 &+ v3
        v3 = rotated(v3, 21) ^ v0
        v2 = v2 &+ v1
        v1 = rotated(v1, 17) ^ v2
        v2 = rotated(v2, 32)
    }

    private func rotated(_ word: UInt64, _ bits: UInt64) -> UInt64 {
        word &<< bits | word &>> (64 &- bits)
    }
}
