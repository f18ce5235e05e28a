internal import Bytes

/// The byte strings under which one raw value may lie on a disk.
///
/// A value is written as text, in another case, percent-encoded, in base64 at any of three alignments, in
/// hexadecimal, in UTF-16, escaped in JSON, or back to front; an address also in every spelling it has, as a
/// decimal number and as raw bytes in either order.
package struct ValueForms: Sendable {
    /// One way of writing the value.
    package struct Form: Hashable, Sendable {
        package let bytes: [UInt8]
        /// Such as `plain`, `base64` or `utf-16le of address-expanded`.
        package let encoding: String
        let boundary: Boundary
    }

    /// What must stand around a match for it to be one.
    enum Boundary: Hashable, Sendable {
        case none
        /// Digits of an address or a number: part of a longer one is another one. A length behind a slash makes
        /// an address a block, which is what may be kept.
        case number
        case hexadecimalGroups
        /// The first groups of an IPv6 address, which hold the value whatever groups or length follow.
        case leadingGroups
    }

    package let forms: [Form]

    /// Values shorter than this are in every file.
    package static let valueBytesMin = 4
    /// Raw bytes of an IPv4 address: so short that they turn up by chance once in 4 GiB of anything random.
    package static let shortRawEncodings: Set<String> = ["ipv4-bytes", "ipv4-bytes-reversed"]

    package init(of value: [UInt8]) {
        var text = value
        if text.first == UInt8(ascii: "["), text.last == UInt8(ascii: "]") {
            text = Array(text.dropFirst().dropLast())
        }
        let address = IPAddress(parsing: text.span)
        // An address has two ends, so that `192.0.2.1` is not found in `192.0.2.10`, nor backwards in `201.2.0.291`.
        let boundary: Boundary =
            address.map { $0.isIPv6 ? .hexadecimalGroups : .number } ?? .none
        var collected = Collector()
        collected.addText(value, name: nil, boundary: boundary)
        if let address {
            for (spelling, name) in Self.spellings(of: address) {
                collected.addText(Array(spelling.utf8), name: "address-" + name, boundary: boundary)
            }
            Self.addRaw(address, to: &collected)
        }
        forms = collected.forms.filter { $0.bytes.count >= Self.valueBytesMin }
    }

    // MARK: Addresses

    /// The texts that stand for one address, by the name of the way of writing.
    private static func spellings(of given: IPAddress) -> [(text: String, name: String)] {
        let address = given.unmapped
        var spellings = [(address.text, "canonical")]
        if address.isIPv6 {
            let groups = (0..<8).map {
                Int(truncatingIfNeeded: address.value >> UInt128(112 - 16 * $0)) & 0xFFFF
            }
            let short = groups.map { String($0, radix: 16) }
            let long = short.map { String(repeating: "0", count: 4 - $0.count) + $0 }
            spellings.append((short.joined(separator: ":"), "uncompressed"))
            spellings.append((long.joined(separator: ":"), "expanded"))
            let nibbles = long.joined().reversed().map(String.init).joined(separator: ".")
            spellings.append((nibbles, "reverse-lookup"))
        } else {
            let value = UInt32(truncatingIfNeeded: address.value)
            let octets = (0..<4).map { Int(value >> UInt32(24 - 8 * $0) & 255) }
            let padded = octets.map { octet in
                let text = String(octet)
                return String(repeating: "0", count: 3 - text.count) + text
            }
            spellings.append((padded.joined(separator: "."), "padded"))
            spellings.append(
                (octets.reversed().map(String.init).joined(separator: "."), "reverse-lookup"))
            spellings.append(
                (octets.map { String($0, radix: 16) }.joined(separator: "."), "hexadecimal-octets"))
            let high = String(value >> 16, radix: 16)
            let low = String(value & 0xFFFF, radix: 16)
            spellings.append(("::ffff:\(high):\(low)", "mapped"))
            spellings.append(("64:ff9b::\(high):\(low)", "nat64"))
        }
        spellings.append((String(address.value), "decimal"))
        return spellings
    }

    private static func addRaw(_ given: IPAddress, to collected: inout Collector) {
        let address = given.unmapped
        var bytes: [UInt8] = []
        if address.isIPv6 {
            bytes.append(bigEndian: address.value)
        } else {
            let value = UInt32(truncatingIfNeeded: address.value)
            bytes.append(bigEndian: value)
            var mapped: [UInt8] = []
            mapped.append(bigEndian: UInt128(0xFFFF) << 32 | UInt128(value))
            let groups = [value >> 16, value & 0xFFFF].map { String($0, radix: 16) }
            let tunnel = Array("2002:\(groups[0]):\(groups[1])".utf8)
            collected.add(tunnel, "address-6to4", .leadingGroups)
            collected.add(Collector.uppercase(tunnel), "address-6to4", .leadingGroups)
            collected.add(mapped, "ipv6-bytes", .none)
            collected.add(mapped.reversed(), "ipv6-bytes-reversed", .none)
        }
        let name = address.isIPv6 ? "ipv6-bytes" : "ipv4-bytes"
        collected.add(bytes, name, .none)
        collected.add(bytes.reversed(), name + "-reversed", .none)
        collected.add(Array(Bytes.hex(bytes).utf8), "hex of " + name, .none)
        collected.add(Collector.uppercase(Array(Bytes.hex(bytes).utf8)), "hex of " + name, .none)
        if address.isIPv6 { collected.addBase64(bytes, name) }
    }
}

/// Collects forms, each byte string once under the first name it had.
private struct Collector {
    var forms: [ValueForms.Form] = []
    var known: Set<[UInt8]> = []

    mutating func add(_ bytes: [UInt8], _ encoding: String, _ boundary: ValueForms.Boundary) {
        guard !bytes.isEmpty, known.insert(bytes).inserted else { return }
        forms.append(ValueForms.Form(bytes: bytes, encoding: encoding, boundary: boundary))
    }

    /// Adds one text and everything that programs make of a text.
    mutating func addText(_ text: [UInt8], name: String?, boundary: ValueForms.Boundary) {
        func named(_ encoding: String) -> String {
            guard let name else { return encoding }
            return encoding == "plain" ? name : "\(encoding) of \(name)"
        }
        add(text, named("plain"), boundary)
        add(Self.lowercase(text), named("lowercase"), boundary)
        add(Self.uppercase(text), named("uppercase"), boundary)
        add(text.reversed(), named("reversed"), boundary)
        for (encoded, encoding) in Self.percentEncoded(text) {
            add(encoded, named(encoding), .none)
        }
        addBase64(text, name)
        add(Array(Bytes.hex(text).utf8), named("hex"), .none)
        add(Self.uppercase(Array(Bytes.hex(text).utf8)), named("hex"), .none)
        let units = Array(String(decoding: text, as: UTF8.self).utf16)
        var little: [UInt8] = []
        var big: [UInt8] = []
        for unit in units {
            little.append(littleEndian: unit)
            big.append(bigEndian: unit)
        }
        add(little, named("utf-16le"), .none)
        add(big, named("utf-16be"), .none)
        for escaped in Self.escapedForJSON(units) { add(escaped, named("json"), .none) }
    }

    /// Adds what every base64 text that holds `bytes`, at whichever place, has in common.
    mutating func addBase64(_ bytes: [UInt8], _ name: String?) {
        for before in 0..<3 {
            let padded = [UInt8](repeating: 0, count: before) + bytes
            // The first units also carry bits of what stands before, the last those of what comes after.
            let first = [0, 2, 3][before]
            let whole = padded.count * 8 / 6
            guard whole > first else { continue }
            for alphabet in [Base64.Alphabet.standard, .url] {
                let units = Array(Base64.encode(padded, alphabet: alphabet).utf8)
                let encoding = alphabet == .standard ? "base64" : "base64url"
                add(
                    Array(units[first..<whole]), name.map { "\(encoding) of \($0)" } ?? encoding,
                    .none)
            }
        }
    }

    static func lowercase(_ text: [UInt8]) -> [UInt8] {
        text.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
    }
    static func uppercase(_ text: [UInt8]) -> [UInt8] {
        text.map { $0 >= 0x61 && $0 <= 0x7A ? $0 & 0xDF : $0 }
    }

    private static func percentEncoded(_ text: [UInt8]) -> [([UInt8], String)] {
        func encoded(_ digits: String, keeping isKept: (UInt8) -> Bool, space: [UInt8]? = nil)
            -> [UInt8]
        {
            let digits = Array(digits.utf8)
            return text.flatMap { byte -> [UInt8] in
                if byte == 0x20, let space { return space }
                return isKept(byte)
                    ? [byte] : [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        func isUnreserved(_ byte: UInt8) -> Bool {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: true
            default: false
            }
        }
        return [
            (encoded("0123456789ABCDEF", keeping: isUnreserved), "percent"),
            (encoded("0123456789abcdef", keeping: isUnreserved), "percent"),
            (encoded("0123456789ABCDEF", keeping: isUnreserved, space: [0x2B]), "form"),
            (encoded("0123456789ABCDEF", keeping: { _ in false }), "percent-all"),
            (encoded("0123456789abcdef", keeping: { _ in false }), "percent-all"),
        ]
    }

    private static func escapedForJSON(_ units: [UInt16]) -> [[UInt8]] {
        func escaped(slashes: Bool, ascii: Bool) -> [UInt8] {
            var text: [UInt8] = []
            var plain: [UInt16] = []
            func flushed() -> [UInt8] { Array(String(decoding: plain, as: UTF16.self).utf8) }
            for unit in units {
                let escape: [UInt8]? =
                    switch unit {
                    case 0x22: Array("\\\"".utf8)
                    case 0x5C: Array("\\\\".utf8)
                    case 0x2F where slashes: Array("\\/".utf8)
                    case 0x08: Array("\\b".utf8)
                    case 0x09: Array("\\t".utf8)
                    case 0x0A: Array("\\n".utf8)
                    case 0x0C: Array("\\f".utf8)
                    case 0x0D: Array("\\r".utf8)
                    case _ where unit < 0x20 || (ascii && unit >= 0x80):
                        Array("\\u".utf8)
                            + Array(Bytes.hex([UInt8(unit >> 8), UInt8(unit & 255)]).utf8)
                    default: nil
                    }
                if let escape {
                    text += flushed() + escape
                    plain = []
                } else {
                    plain.append(unit)
                }
            }
            return text + flushed()
        }
        return [
            escaped(slashes: false, ascii: false), escaped(slashes: true, ascii: false),
            escaped(slashes: false, ascii: true), escaped(slashes: true, ascii: true),
        ]
    }
}
