internal import Glibc

/// The fields of keys by their place in an object: lines of one file have their keys in the same order.
struct KeyMemory {
    private var names: [[UInt8]] = []
    private var fields: [LogField] = []
    /// Keys beyond this many are looked up anew each time.
    private static let countMax = 128

    /// - Parameter isStandard: whether keys are the columns of CloudFront's standard logs.
    mutating func field(
        _ key: UnsafeBufferPointer<UInt8>, at place: Int, isStandard: Bool
    ) -> LogField {
        if place < names.count, names[place].count == key.count,
            unsafe names[place].withUnsafeBufferPointer({
                unsafe key.isEmpty || memcmp($0.baseAddress!, key.baseAddress!, key.count) == 0
            })
        {
            return fields[place]
        }
        let name = unsafe String(decoding: key, as: UTF8.self)
        let field = isStandard ? LogField.standard(name) : LogField.json(name)
        guard place < Self.countMax else { return field }
        if place < names.count {
            names[place] = unsafe Array(key)
            fields[place] = field
        } else if place == names.count {
            names.append(unsafe Array(key))
            fields.append(field)
        }
        return field
    }
}

// JSON objects (RFC 8259), one a line.
extension LogReader {
    /// Deepest nesting of what is passed over.
    private static let depthMax = 32

    func readJSON(_ line: UnsafeBufferPointer<UInt8>, isEscaped: Bool) -> LogRefusal? {
        guard let base = line.baseAddress else { return .syntax }
        var cursor = unsafe JSONCursor(base: base, end: line.count)
        var raw = JSONValues()
        guard unsafe readMembers(&cursor, &raw) else { return .syntax }
        unsafe cursor.skipBlanks()
        guard unsafe cursor.index == cursor.end else { return .syntax }
        return takeValues(raw, isEscaped: isEscaped)
    }

    /// Where the values of one object stand in ``out``, their escapes taken out.
    struct JSONValues {
        var texts = InlineArray<20, LogEntry.Text>(repeating: .absent)
        var seen: UInt32 = 0
        func has(_ field: LogField) -> Bool { seen >> UInt32(field.rawValue) & 1 != 0 }
    }

    private func readMembers(_ cursor: inout JSONCursor, _ raw: inout JSONValues) -> Bool {
        unsafe cursor.skipBlanks()
        guard unsafe cursor.take(0x7B) else { return false }
        unsafe cursor.skipBlanks()
        if unsafe cursor.take(0x7D) { return true }
        var place = 0
        while true {
            unsafe cursor.skipBlanks()
            let keyStart = count
            guard let key = unsafe string(&cursor) else { return false }
            let name = unsafe UnsafeBufferPointer(
                start: out + Int(key.start), count: Int(key.end - key.start))
            let field = unsafe keys.field(
                name, at: place, isStandard: format == .cloudFrontStandard)
            place += 1
            count = keyStart
            unsafe cursor.skipBlanks()
            guard unsafe cursor.take(0x3A) else { return false }
            unsafe cursor.skipBlanks()
            guard unsafe readValue(field, &cursor, &raw) else { return false }
            unsafe cursor.skipBlanks()
            if unsafe cursor.take(0x7D) { return true }
            guard unsafe cursor.take(0x2C) else { return false }
        }
    }

    private func readValue(
        _ field: LogField, _ cursor: inout JSONCursor, _ raw: inout JSONValues
    ) -> Bool {
        guard field != .ignored else { return unsafe cursor.skipValue(depth: Self.depthMax) }
        // A field that stands twice leaves the first; one about consent is then unclear, and a forwarding chain goes on.
        let isRepeated = raw.has(field)
        if isRepeated, field == .cookie || field == .globalPrivacyControl || field == .doNotTrack {
            entry.repeatsConsentHeader = true
        }
        raw.seen |= 1 << UInt32(field.rawValue)
        if field == .headers, unsafe cursor.peek == 0x7B {
            return unsafe readHeaderObject(&cursor)
        }
        let start = count
        guard let value = unsafe scalar(&cursor) else { return false }
        guard let value else {
            if field == .forwardedFor, isRepeated { foundForwardedFor.isIncomplete = true }
            return true
        }
        // CloudFront's mark of an empty field is one in JSON too.
        let isDash = unsafe value.end - value.start == 1 && out[Int(value.start)] == 0x2D
        if isDash || value.end == value.start {
            count = start
            // A header without a hop cannot be read, so neither can a chain that it is one of.
            if field == .forwardedFor, isRepeated { foundForwardedFor.isIncomplete = true }
        } else if field == .forwardedFor {
            foundForwardedFor.append(value)
        } else if isRepeated {
            count = start
        } else {
            raw.texts[field.rawValue] = value
        }
        return true
    }

    /// The request's headers by name; a value may be a list of texts, each of them a header.
    private func readHeaderObject(_ cursor: inout JSONCursor) -> Bool {
        guard unsafe cursor.take(0x7B) else { return false }
        unsafe cursor.skipBlanks()
        entry.showsCookies = true
        entry.showsPreferences = true
        if unsafe cursor.take(0x7D) { return true }
        while true {
            unsafe cursor.skipBlanks()
            let keyStart = count
            guard let key = unsafe string(&cursor) else { return false }
            let field = unsafe LogField.header(
                UnsafeBufferPointer(start: out + Int(key.start), count: Int(key.end - key.start)))
            count = keyStart
            unsafe cursor.skipBlanks()
            guard unsafe cursor.take(0x3A) else { return false }
            unsafe cursor.skipBlanks()
            if field == .ignored {
                guard unsafe cursor.skipValue(depth: Self.depthMax) else { return false }
            } else if unsafe cursor.take(0x5B) {
                unsafe cursor.skipBlanks()
                var isEmpty = unsafe cursor.take(0x5D)
                while !isEmpty {
                    unsafe cursor.skipBlanks()
                    guard unsafe readHeader(field, &cursor) else { return false }
                    unsafe cursor.skipBlanks()
                    isEmpty = unsafe cursor.take(0x5D)
                    guard unsafe isEmpty || cursor.take(0x2C) else { return false }
                }
            } else {
                guard unsafe readHeader(field, &cursor) else { return false }
            }
            unsafe cursor.skipBlanks()
            if unsafe cursor.take(0x7D) { return true }
            guard unsafe cursor.take(0x2C) else { return false }
        }
    }

    private func readHeader(_ field: LogField, _ cursor: inout JSONCursor) -> Bool {
        guard let value = unsafe scalar(&cursor) else { return false }
        guard let value else { return true }
        return takeHeader(field, value) == nil
    }

    /// Makes the entry from the values, which are read as the columns of a tab-separated line are.
    private func takeValues(_ raw: JSONValues, isEscaped: Bool) -> LogRefusal? {
        for field in 0..<LogField.count { unsafe found[field] = raw.texts[field] }
        if raw.has(.cookie) { entry.showsCookies = true }
        if raw.has(.globalPrivacyControl), raw.has(.doNotTrack) { entry.showsPreferences = true }
        for field in [LogField.globalPrivacyControl, .doNotTrack]
        where raw.texts[field.rawValue].isPresent {
            if let refusal = takeHeader(field, raw.texts[field.rawValue]) { return refusal }
        }
        let line = unsafe UnsafeBufferPointer(start: out, count: count)
        // Values lie in `out` already; what is copied once more is at most the line again.
        return unsafe takeFound(line, isEscaped: isEscaped)
    }

    /// A text, a number or a word as bytes in ``out``; `.some(nil)` for null, nil when it is none of them.
    private func scalar(_ cursor: inout JSONCursor) -> LogEntry.Text?? {
        if unsafe cursor.peek == 0x22 {
            guard let text = unsafe string(&cursor) else { return nil }
            return .some(text)
        }
        guard let range = unsafe cursor.word() else { return nil }
        let word = unsafe UnsafeBufferPointer(
            start: cursor.base + range.lowerBound, count: range.count)
        if unsafe word[0] == 0x6E { return .some(nil) }
        return .some(unsafe copy(word))
    }

    /// A string with its escapes taken out, in ``out``; nil when it is malformed.
    private func string(_ cursor: inout JSONCursor) -> LogEntry.Text? {
        guard unsafe cursor.take(0x22) else { return nil }
        let start = count
        let base = unsafe cursor.base
        let end = unsafe cursor.end
        var index = unsafe cursor.index
        while index < end {
            let byte = unsafe base[index]
            index += 1
            if byte == 0x22 {
                unsafe cursor.index = index
                return .init(start, count)
            }
            if byte < 0x20 { return nil }
            if byte != 0x5C {
                unsafe out[count] = byte
                count += 1
                continue
            }
            guard index < end else { return nil }
            let escape = unsafe base[index]
            index += 1
            switch escape {
            case 0x22, 0x5C, 0x2F: unsafe out[count] = escape
            case 0x62: unsafe out[count] = 0x08
            case 0x66: unsafe out[count] = 0x0C
            case 0x6E: unsafe out[count] = 0x0A
            case 0x72: unsafe out[count] = 0x0D
            case 0x74: unsafe out[count] = 0x09
            case 0x75:
                guard let scalar = unsafe Self.unicode(base, &index, end) else { return nil }
                for unit in UTF8.encode(scalar)! {
                    unsafe out[count] = unit
                    count += 1
                }
                continue
            default: return nil
            }
            count += 1
        }
        return nil
    }

    /// The four digits behind `\u`, and those of the second half of a pair; a half alone is malformed.
    private static func unicode(
        _ base: UnsafePointer<UInt8>, _ index: inout Int, _ end: Int
    ) -> Unicode.Scalar? {
        guard let first = unsafe four(base, &index, end) else { return nil }
        guard first & 0xFC00 == 0xD800 else { return Unicode.Scalar(first) }
        guard index + 1 < end, unsafe base[index] == 0x5C, unsafe base[index + 1] == 0x75 else {
            return nil
        }
        index += 2
        guard let second = unsafe four(base, &index, end), second & 0xFC00 == 0xDC00 else {
            return nil
        }
        return Unicode.Scalar(0x10000 + (first & 0x3FF) << 10 + (second & 0x3FF))
    }

    private static func four(
        _ base: UnsafePointer<UInt8>, _ index: inout Int, _ end: Int
    ) -> UInt32? {
        guard index + 4 <= end else { return nil }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = unsafe hex(base[index]) else { return nil }
            value = value << 4 | UInt32(digit)
            index += 1
        }
        return value
    }
}

/// A place in the bytes of one line of JSON.
@unsafe struct JSONCursor {
    let base: UnsafePointer<UInt8>
    let end: Int
    var index = 0

    init(base: UnsafePointer<UInt8>, end: Int) {
        unsafe self.base = unsafe base
        unsafe self.end = end
    }

    /// The next byte, or 0 at the end.
    var peek: UInt8 { unsafe index < end ? base[index] : 0 }

    mutating func take(_ byte: UInt8) -> Bool {
        guard unsafe peek == byte, unsafe index < end else { return false }
        unsafe index += 1
        return true
    }

    mutating func skipBlanks() {
        while unsafe index < end,
            unsafe base[index] == 0x20 || base[index] == 0x09 || base[index] == 0x0D
        {
            unsafe index += 1
        }
    }

    /// A number, `true`, `false` or `null`.
    mutating func word() -> Range<Int>? {
        let start = unsafe index
        while unsafe index < end {
            switch unsafe base[index] {
            case 0x30...0x39, 0x61...0x7A, 0x45, 0x2B, 0x2D, 0x2E: unsafe index += 1
            default: return unsafe index > start ? start..<index : nil
            }
        }
        return unsafe index > start ? start..<index : nil
    }

    /// Passes over any value.
    mutating func skipValue(depth: Int) -> Bool {
        guard depth > 0 else { return false }
        switch unsafe peek {
        case 0x22: return unsafe skipString()
        case 0x7B, 0x5B:
            let close: UInt8 = unsafe peek == 0x7B ? 0x7D : 0x5D
            unsafe index += 1
            unsafe skipBlanks()
            if unsafe take(close) { return true }
            while true {
                unsafe skipBlanks()
                if close == 0x7D {
                    guard unsafe skipString() else { return false }
                    unsafe skipBlanks()
                    guard unsafe take(0x3A) else { return false }
                    unsafe skipBlanks()
                }
                guard unsafe skipValue(depth: depth - 1) else { return false }
                unsafe skipBlanks()
                if unsafe take(close) { return true }
                guard unsafe take(0x2C) else { return false }
            }
        default: return unsafe word() != nil
        }
    }

    private mutating func skipString() -> Bool {
        guard unsafe take(0x22) else { return false }
        while unsafe index < end {
            let byte = unsafe base[index]
            unsafe index += 1
            if byte == 0x22 { return true }
            if byte < 0x20 { return false }
            if byte == 0x5C { unsafe index += 1 }
        }
        return false
    }
}
