/// Base64 text (RFC 4648, sections 4 and 5).
package enum Base64 {
    /// Which of the two alphabets of RFC 4648 is meant.
    package enum Alphabet: Sendable {
        /// Section 4: `+` and `/`, padded.
        case standard
        /// Section 5: `-` and `_`, not padded.
        case url
    }

    private static let standardUnits = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let urlUnits = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// The text of `bytes`.
    package static func encode(_ bytes: [UInt8], alphabet: Alphabet = .standard) -> String {
        let units = alphabet == .standard ? standardUnits : urlUnits
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let taken = min(3, bytes.count - index)
            var group: UInt32 = 0
            for offset in 0..<3 {
                group = group << 8 | (offset < taken ? UInt32(bytes[index + offset]) : 0)
            }
            for position in 0..<4 where position <= taken {
                text.append(units[Int(group >> UInt32(18 - 6 * position)) & 63])
            }
            if alphabet == .standard {
                for _ in taken..<3 { text.append(0x3D) }
            }
            index += taken
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of `text`, or nil when it has a foreign character, a wrong length, wrong padding or
    /// non-zero trailing bits. Padding is required by the standard alphabet and refused by the other.
    package static func decode(
        _ text: some StringProtocol, alphabet: Alphabet = .standard
    ) -> [UInt8]? {
        var units = Array(text.utf8)
        if alphabet == .standard {
            guard units.count % 4 == 0 else { return nil }
            for _ in 0..<2 where units.last == 0x3D { units.removeLast() }
        }
        guard units.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(units.count * 3 / 4)
        var accumulator: UInt32 = 0
        var bits: UInt32 = 0
        for unit in units {
            guard let value = value(of: unit, alphabet: alphabet) else { return nil }
            accumulator = accumulator << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: accumulator >> bits))
                accumulator &= (1 << bits) - 1
            }
        }
        return accumulator == 0 ? bytes : nil
    }

    private static func value(of unit: UInt8, alphabet: Alphabet) -> UInt8? {
        switch (unit, alphabet) {
        case (0x41...0x5A, _): unit - 0x41
        case (0x61...0x7A, _): unit - 0x61 + 26
        case (0x30...0x39, _): unit - 0x30 + 52
        case (0x2B, .standard), (0x2D, .url): 62
        case (0x2F, .standard), (0x5F, .url): 63
        default: nil
        }
    }
}
