internal import Bytes

/// The part of JSON that entries use: objects, texts, whole numbers and lists of texts, in one spelling.
enum CanonicalJSON {
    indirect enum Value {
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

    /// The one value that `bytes` spell; nil when they spell none in this form.
    static func parse(_ bytes: [UInt8]) -> Value? {
        var parser = Parser(bytes: bytes)
        guard let value = parser.value(depthMax: 3), parser.position == bytes.count else {
            return nil
        }
        return value
    }
}

private struct Parser {
    let bytes: [UInt8]
    var position = 0

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ unit: Character) -> Bool {
        guard next == unit.asciiValue else { return false }
        position += 1
        return true
    }

    mutating func value(depthMax: Int) -> CanonicalJSON.Value? {
        guard depthMax > 0 else { return nil }
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
            guard escaped == UInt8(ascii: "u") else {
                units.append(escaped)
                continue
            }
            guard position + 4 <= bytes.count,
                let code = UInt8(
                    String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
            else { return nil }
            units.append(code)
            position += 4
        }
        return take("\"") ? String(validating: units, as: UTF8.self) : nil
    }
}
