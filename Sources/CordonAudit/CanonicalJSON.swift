internal import Bytes

/// The part of JSON that entries and certificates use: objects, texts, whole numbers and lists of texts, in one spelling.
enum CanonicalJSON {
    indirect enum Value: Equatable {
        case text(String)
        case integer(Int)
        case list([String])
        case object([String: Value])
    }

    /// Appends `text` in quotes. Only what JSON demands is escaped: quote, backslash, control characters.
    static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for unit in text.utf8 {
            switch unit {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(unit)
            case 0..<0x20:
                bytes += Array("\\u00".utf8)
                bytes += Array(Bytes.hex([unit]).utf8)
            default:
                bytes.append(unit)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    static func append(_ texts: [String], to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "["))
        for (position, text) in texts.enumerated() {
            if position > 0 { bytes.append(UInt8(ascii: ",")) }
            append(text, to: &bytes)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    /// Appends `value`, the members of objects sorted by the bytes of their names.
    static func append(_ value: Value, to bytes: inout [UInt8]) {
        switch value {
        case .text(let text): append(text, to: &bytes)
        case .integer(let number): bytes += Array(String(number).utf8)
        case .list(let texts): append(texts, to: &bytes)
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            let sorted = members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            for (position, member) in sorted.enumerated() {
                if position > 0 { bytes.append(UInt8(ascii: ",")) }
                append(member.key, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                append(member.value, to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    static func encode(_ value: Value) -> [UInt8] {
        var bytes: [UInt8] = []
        append(value, to: &bytes)
        return bytes
    }

    /// The one value that `bytes` spell, in this spelling or another one of JSON; nil when they spell none of this kind.
    /// Who needs the one spelling encodes again and compares.
    ///
    /// - Parameter depthMax: how deep values may lie in one another.
    static func parse(_ bytes: [UInt8], depthMax: Int = 3) -> Value? {
        var parser = Parser(bytes: bytes)
        guard let value = parser.value(depthMax: depthMax) else { return nil }
        parser.skipSpace()
        return parser.position == bytes.count ? value : nil
    }
}

private struct Parser {
    let bytes: [UInt8]
    var position = 0

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
        while let unit = next, unit == 0x20 || unit == 0x0A || unit == 0x0D || unit == 0x09 {
            position += 1
        }
    }

    private mutating func take(_ unit: Character) -> Bool {
        skipSpace()
        guard next == unit.asciiValue else { return false }
        position += 1
        return true
    }

    mutating func value(depthMax: Int) -> CanonicalJSON.Value? {
        guard depthMax > 0 else { return nil }
        skipSpace()
        switch next {
        case UInt8(ascii: "\""): return text().map { .text($0) }
        case UInt8(ascii: "["): return list().map { .list($0) }
        case UInt8(ascii: "{"): return object(depthMax: depthMax).map { .object($0) }
        default: return integer().map { .integer($0) }
        }
    }

    private mutating func object(depthMax: Int) -> [String: CanonicalJSON.Value]? {
        guard take("{") else { return nil }
        var members: [String: CanonicalJSON.Value] = [:]
        if take("}") { return members }
        repeat {
            guard let name = text(), take(":"), let value = value(depthMax: depthMax - 1),
                members.updateValue(value, forKey: name) == nil
            else { return nil }
        } while take(",")
        return take("}") ? members : nil
    }

    private mutating func list() -> [String]? {
        guard take("[") else { return nil }
        var texts: [String] = []
        if take("]") { return texts }
        repeat {
            guard let text = text() else { return nil }
            texts.append(text)
        } while take(",")
        return take("]") ? texts : nil
    }

    private mutating func integer() -> Int? {
        let start = position
        _ = take("-")
        while let unit = next, (0x30...0x39).contains(unit) { position += 1 }
        return Int(String(decoding: bytes[start..<position], as: UTF8.self))
    }

    private mutating func text() -> String? {
        guard take("\"") else { return nil }
        var units: [UInt8] = []
        while let unit = next, unit != UInt8(ascii: "\"") {
            position += 1
            guard unit == UInt8(ascii: "\\") else {
                units.append(unit)
                continue
            }
            guard let escaped = next else { return nil }
            position += 1
            switch escaped {
            case UInt8(ascii: "n"): units.append(0x0A)
            case UInt8(ascii: "t"): units.append(0x09)
            case UInt8(ascii: "r"): units.append(0x0D)
            case UInt8(ascii: "b"): units.append(0x08)
            case UInt8(ascii: "f"): units.append(0x0C)
            case UInt8(ascii: "u"):
                guard let scalar = escapedScalar() else { return nil }
                units += Array(String(Character(scalar)).utf8)
            default: units.append(escaped)
            }
        }
        guard next == UInt8(ascii: "\"") else { return nil }
        position += 1
        return String(validating: units, as: UTF8.self)
    }

    /// What stands behind `\u`: four digits, or a pair of surrogates.
    private mutating func escapedScalar() -> Unicode.Scalar? {
        guard let first = fourDigits() else { return nil }
        guard (0xD800..<0xDC00).contains(first) else { return Unicode.Scalar(first) }
        guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { return nil }
        position += 2
        guard let second = fourDigits(), (0xDC00..<0xE000).contains(second) else { return nil }
        return Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    }

    private mutating func fourDigits() -> UInt32? {
        guard position + 4 <= bytes.count else { return nil }
        let digits = bytes[position..<position + 4]
        guard digits.allSatisfy({ Bytes.hexDigit($0) != nil }) else { return nil }
        position += 4
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
