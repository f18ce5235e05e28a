/// Reads a JSON object (RFC 8259) whose values are strings, numbers, booleans or null, and writes it as the fields of a
/// form (`name=value&…`), in one pass and without a value of its own.
///
/// A string is written with its escapes taken out, a number and a boolean as they stand; a null is as if its name were not
/// there. A lone surrogate becomes U+FFFD. Objects and arrays as values, and anything after the object, are faults.
struct FlatJSON {
    private var position: Int
    private let end: Int

    /// Whether the first byte that is no white space opens an object.
    static func begins(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var reader = FlatJSON(range)
        reader.skipSpace(bytes)
        return reader.peek(bytes) == 0x7B
    }

    /// Appends the fields of the object in `range`; false when it is none, and then `form` holds a part of it.
    static func append(_ bytes: Span<UInt8>, _ range: Range<Int>, to form: inout [UInt8]) -> Bool {
        var reader = FlatJSON(range)
        guard reader.readObject(bytes, &form) else { return false }
        reader.skipSpace(bytes)
        return reader.position == reader.end
    }

    private init(_ range: Range<Int>) {
        position = range.lowerBound
        end = range.upperBound
    }

    private mutating func readObject(_ bytes: Span<UInt8>, _ form: inout [UInt8]) -> Bool {
        skipSpace(bytes)
        guard take(0x7B, bytes) else { return false }
        skipSpace(bytes)
        if take(0x7D, bytes) { return true }
        let first = form.count
        while true {
            guard readMember(bytes, &form, isFirst: form.count == first) else { return false }
            skipSpace(bytes)
            if take(0x7D, bytes) { return true }
            guard take(0x2C, bytes) else { return false }
            skipSpace(bytes)
        }
    }

    private mutating func readMember(
        _ bytes: Span<UInt8>, _ form: inout [UInt8], isFirst: Bool
    ) -> Bool {
        let start = form.count
        if !isFirst { form.append(0x26) }
        guard readString(bytes, &form) else { return false }
        skipSpace(bytes)
        guard take(0x3A, bytes) else { return false }
        skipSpace(bytes)
        form.append(0x3D)
        switch peek(bytes) {
        case 0x22: return readString(bytes, &form)
        case 0x74: return readWord("true", bytes, &form)
        case 0x66: return readWord("false", bytes, &form)
        case 0x6E:
            guard readWord("null", bytes, &form) else { return false }
            form.removeLast(form.count - start)
            return true
        default: return readNumber(bytes, &form)
        }
    }

    private mutating func readWord(
        _ word: StaticString, _ bytes: Span<UInt8>, _ form: inout [UInt8]
    ) -> Bool {
        for offset in 0..<word.utf8CodeUnitCount {
            // SAFETY: `offset` is below the number of code units that the literal has.
            guard take(unsafe word.utf8Start[offset], bytes) else { return false }
            form.append(unsafe word.utf8Start[offset])
        }
        return true
    }

    private mutating func readNumber(_ bytes: Span<UInt8>, _ form: inout [UInt8]) -> Bool {
        let start = position
        _ = take(0x2D, bytes)
        if !take(0x30, bytes), !skipDigits(bytes) { return false }
        if take(0x2E, bytes), !skipDigits(bytes) { return false }
        if take(0x65, bytes) || take(0x45, bytes) {
            if !take(0x2B, bytes) { _ = take(0x2D, bytes) }
            guard skipDigits(bytes) else { return false }
        }
        for index in start..<position { Self.escape(bytes[index], &form) }
        return true
    }

    private mutating func skipDigits(_ bytes: Span<UInt8>) -> Bool {
        let start = position
        while let byte = peek(bytes), byte >= 0x30, byte <= 0x39 { position += 1 }
        return position > start
    }

    private mutating func readString(_ bytes: Span<UInt8>, _ form: inout [UInt8]) -> Bool {
        guard take(0x22, bytes) else { return false }
        while let byte = peek(bytes) {
            position += 1
            switch byte {
            case 0x22: return true
            case 0x5C: guard readEscape(bytes, &form) else { return false }
            case ..<0x20: return false
            default: Self.escape(byte, &form)
            }
        }
        return false
    }

    private mutating func readEscape(_ bytes: Span<UInt8>, _ form: inout [UInt8]) -> Bool {
        guard let byte = peek(bytes) else { return false }
        position += 1
        switch byte {
        case 0x22, 0x5C, 0x2F: Self.escape(byte, &form)
        case 0x62: Self.escape(0x08, &form)
        case 0x66: Self.escape(0x0C, &form)
        case 0x6E: Self.escape(0x0A, &form)
        case 0x72: Self.escape(0x0D, &form)
        case 0x74: Self.escape(0x09, &form)
        case 0x75:
            guard let unit = readUnit(bytes) else { return false }
            return appendScalar(unit, bytes, &form)
        default: return false
        }
        return true
    }

    /// Appends the scalar that begins with the UTF-16 unit `first`, taking the other half of a pair.
    private mutating func appendScalar(
        _ first: UInt32, _ bytes: Span<UInt8>, _ form: inout [UInt8]
    ) -> Bool {
        var scalar = first
        if first >= 0xD800, first <= 0xDFFF {
            scalar = 0xFFFD
            let behind = position
            if first < 0xDC00, take(0x5C, bytes), take(0x75, bytes) {
                guard let second = readUnit(bytes) else { return false }
                if second >= 0xDC00, second <= 0xDFFF {
                    scalar = 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
                } else {
                    position = behind
                }
            } else {
                position = behind
            }
        }
        switch scalar {
        case ..<0x80: Self.escape(UInt8(scalar), &form)
        case ..<0x800:
            Self.escape(UInt8(0xC0 | scalar >> 6), &form)
            Self.escape(UInt8(0x80 | scalar & 0x3F), &form)
        case ..<0x10000:
            Self.escape(UInt8(0xE0 | scalar >> 12), &form)
            Self.escape(UInt8(0x80 | scalar >> 6 & 0x3F), &form)
            Self.escape(UInt8(0x80 | scalar & 0x3F), &form)
        default:
            Self.escape(UInt8(0xF0 | scalar >> 18), &form)
            Self.escape(UInt8(0x80 | scalar >> 12 & 0x3F), &form)
            Self.escape(UInt8(0x80 | scalar >> 6 & 0x3F), &form)
            Self.escape(UInt8(0x80 | scalar & 0x3F), &form)
        }
        return true
    }

    /// Four hexadecimal digits.
    private mutating func readUnit(_ bytes: Span<UInt8>) -> UInt32? {
        guard end - position >= 4 else { return nil }
        var unit: UInt32 = 0
        for _ in 0..<4 {
            let byte = bytes[position]
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x41 + 10
            case 0x61...0x66: digit = byte - 0x61 + 10
            default: return nil
            }
            unit = unit << 4 | UInt32(digit)
            position += 1
        }
        return unit
    }

    /// Appends a byte as it stands in a form. Letters, digits, `-._~` and the colon of a port stay as they are, for a host name
    /// with an escape in it is none.
    private static func escape(_ byte: UInt8, _ form: inout [UInt8]) {
        switch byte {
        case 0x30...0x3A, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: form.append(byte)
        default:
            form.append(0x25)
            form.append(hexDigit(byte >> 4))
            form.append(hexDigit(byte & 15))
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? 0x30 + value : 0x41 - 10 + value
    }

    private func peek(_ bytes: Span<UInt8>) -> UInt8? { position < end ? bytes[position] : nil }

    private mutating func take(_ byte: UInt8, _ bytes: Span<UInt8>) -> Bool {
        guard position < end, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace(_ bytes: Span<UInt8>) {
        while let byte = peek(bytes), byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D {
            position += 1
        }
    }
}
