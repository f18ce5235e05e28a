import Bytes

/// One hit after the edge transforms: all that may ever be kept of it.
///
/// Columns and their order are those of the Iceberg table `pixels.hits`; nothing in here is raw. Values that a
/// batch shares (rule set, geo build) stand in ``HitBatch``.
package struct HitRecord: Equatable, Sendable {
    /// UUID version 7 (RFC 9562 section 5.7), 16 bytes in network order; 0 for a hit that is only counted.
    package var hitID: UInt128 = 0
    /// Of a hit that is only counted, the start of its hour.
    package var timestamp = Timestamp(microseconds: 0)
    package var site = ""
    package var event = ""
    package var pageHost: String?
    package var pagePath: String?
    package var referrerHost: String?
    /// Epoch pseudonym of address, user agent and site.
    package var visitor: Pseudonym?
    /// Epoch pseudonym of the user id.
    package var user: Pseudonym?
    /// UTC day by which each pseudonym's key is found; nil when the record has no pseudonym.
    package var keyEpoch: Day?
    /// Truncated address with its length, such as `203.0.113.0/24`.
    package var ipPrefix: String?
    package var country: String?
    package var subdivision: String?
    package var browser: String?
    package var os: String?
    package var device: String?
    package var language: String?
    package var consent: ConsentState = .absent
    package var purposes: [String] = []
    package var signals: [String] = []
    package var isBot = false
    package var policy = ""
    package var sampleRate: Float = 1
    package var retainUntil = Day(number: 0)
    /// Allowed query parameters, sorted by key.
    package var parameters: [Parameter] = []

    package struct Parameter: Equatable, Sendable {
        package var key: String
        package var value: String
        package init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    package init() {}
}

/// What the consent signals of a hit amount to.
package enum ConsentState: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    case granted, denied, absent, invalid

    /// The word in the `consent` column.
    package var text: String {
        switch self {
        case .granted: "granted"
        case .denied: "denied"
        case .absent: "absent"
        case .invalid: "invalid"
        }
    }
}

/// A keyed, region-bound stand-in for an identifier: the first 16 bytes of an HMAC-SHA256.
package struct Pseudonym: Hashable, Sendable, BitwiseCopyable {
    /// The 16 bytes, most significant first.
    package let value: UInt128

    @inlinable
    package init(value: UInt128) { self.value = value }

    /// Takes 32 hexadecimal digits.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == 32, let bytes = Bytes.bytes(hex: text) else { return nil }
        value = bytes.reduce(0) { $0 << 8 | UInt128($1) }
    }

    /// Takes 32 hexadecimal digits as the bytes of a text.
    package init?(digits: [UInt8]) {
        guard digits.count == 32 else { return nil }
        var value: UInt128 = 0
        for digit in digits {
            let number: UInt8
            switch digit {
            case 0x30...0x39: number = digit - 0x30
            case 0x41...0x46: number = digit - 0x37
            case 0x61...0x66: number = digit - 0x57
            default: return nil
            }
            value = value << 4 | UInt128(number)
        }
        self.value = value
    }

    /// Takes 32 lowercase hexadecimal digits, and nothing else: the form in the lake.
    @inlinable
    package init?(text: Span<UInt8>) {
        guard text.count == 32 else { return nil }
        var value: UInt128 = 0
        for start in stride(from: 0, to: 32, by: 8) {
            // SAFETY: any eight bytes are a number, and they are inside of the span.
            let word = unsafe UInt64(
                bigEndian: text.bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self))
            // Eight digits at a time, one a byte: their four bits each, with nine more for letters.
            let letters = word >> 6 & 0x0101_0101_0101_0101
            let nibbles = (word & 0x0F0F_0F0F_0F0F_0F0F) &+ letters &* 9
            // The digits that these would be written with; a sum of a byte stays below 256 when they are digits at all.
            let isLetter = (nibbles &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
            guard nibbles & 0xF0F0_F0F0_F0F0_F0F0 == 0,
                nibbles &+ 0x3030_3030_3030_3030 &+ isLetter &* 0x27 == word
            else { return nil }
            var packed = (nibbles | nibbles >> 4) & 0x00FF_00FF_00FF_00FF
            packed = (packed | packed >> 8) & 0x0000_FFFF_0000_FFFF
            packed = (packed | packed >> 16) & 0xFFFF_FFFF
            value = value << 32 | UInt128(packed)
        }
        self.value = value
    }

    /// 32 lowercase hexadecimal digits: the form in the lake.
    package var text: String {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: value)
        return Bytes.hex(bytes)
    }
}

extension Pseudonym: Comparable {
    /// The order of the texts too.
    package static func < (left: Pseudonym, right: Pseudonym) -> Bool { left.value < right.value }
}
