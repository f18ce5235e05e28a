internal import Crypto

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
        let digest = SipHashKey(key.0 ^ UInt64(kind.rawValue), key.1)
            .digest(bytes.extracting(range))
        let low = UInt64(truncatingIfNeeded: digest >> 64)
        let high = UInt64(truncatingIfNeeded: digest)
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
