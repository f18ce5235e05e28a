internal import Glibc

/// The fields of keys by their place in an object: lines of one file have their keys in the same order.
struct KeyMemory {
    private struct Key {
        var start: Int
        var count: Int
        var field: LogField
    }

    private var names: [UInt8] = []
    private var keys: [Key] = []
    /// Keys beyond this many are looked up anew each time.
    private static let countMax = 128
    /// Bytes of all keys; where they change too often they are learnt anew.
    private static let bytesMax = 1 << 14

    /// - Parameter isStandard: whether keys are the columns of CloudFront's standard logs.
    mutating func field(
        _ key: UnsafeBufferPointer<UInt8>, at place: Int, isStandard: Bool
    ) -> LogField {
        if place < keys.count, keys[place].count == key.count,
            unsafe names.withUnsafeBufferPointer({
                unsafe key.isEmpty
                    || memcmp($0.baseAddress! + keys[place].start, key.baseAddress!, key.count) == 0
            })
        {
            return keys[place].field
        }
        let name = unsafe String(decoding: key, as: UTF8.self)
        let field = isStandard ? LogField.standard(name) : LogField.json(name)
        guard place < Self.countMax, key.count <= Self.bytesMax / 2 else { return field }
        if names.count + key.count > Self.bytesMax {
            names.removeAll(keepingCapacity: true)
            keys.removeAll(keepingCapacity: true)
        }
        guard place <= keys.count else { return field }
        let learnt = Key(start: names.count, count: key.count, field: field)
        unsafe names.append(contentsOf: key)
        if place < keys.count { keys[place] = learnt } else { keys.append(learnt) }
        return field
    }
}

// JSON objects (RFC 8259), one a line.
extension LineParser {
    /// Deepest nesting of what is passed over.
    private static let depthMax = 32

    /// - Parameters:
    ///   - isEscaped: whether values carry CloudFront's percent-encoding.
    ///   - isStandard: whether keys are the columns of CloudFront's standard logs.
    mutating func readJSON(isEscaped: Bool, isStandard: Bool) -> LogRefusal? {
        unsafe found.update(repeating: .absent, count: LogField.count)
        var cursor = unsafe JSONCursor(base: out, index: lineStart, end: lineEnd)
        var seen = SeenFields()
        guard readMembers(&cursor, &seen, isStandard: isStandard) else { return .syntax }
        cursor.skipBlanks()
        guard cursor.index == cursor.end else { return .syntax }
        return takeValues(seen, isEscaped: isEscaped)
    }

    /// The fields that an object has, with a value or without.
    private struct SeenFields {
        var bits: UInt32 = 0
        func has(_ field: LogField) -> Bool { bits >> UInt32(field.rawValue) & 1 != 0 }
        mutating func add(_ field: LogField) { bits |= 1 << UInt32(field.rawValue) }
    }

    private mutating func readMembers(
        _ cursor: inout JSONCursor, _ seen: inout SeenFields, isStandard: Bool
    ) -> Bool {
        cursor.skipBlanks()
        guard cursor.take(0x7B) else { return false }
        cursor.skipBlanks()
        if cursor.take(0x7D) { return true }
        var place = 0
        while true {
            cursor.skipBlanks()
            let free = count
            guard let key = string(&cursor) else { return false }
            let field = unsafe keys.field(bytes(key), at: place, isStandard: isStandard)
            place += 1
            count = free
            cursor.skipBlanks()
            guard cursor.take(0x3A) else { return false }
            cursor.skipBlanks()
            guard readValue(field, &cursor, &seen) else { return false }
            cursor.skipBlanks()
            if cursor.take(0x7D) { return true }
            guard cursor.take(0x2C) else { return false }
        }
    }

    private mutating func readValue(
        _ field: LogField, _ cursor: inout JSONCursor, _ seen: inout SeenFields
    ) -> Bool {
        guard field != .ignored else { return cursor.skipValue(depth: Self.depthMax) }
        // A field that stands twice leaves the first; one about consent is then unclear, and a forwarding chain goes on.
        let isRepeated = seen.has(field)
        if isRepeated, field == .cookie || field == .globalPrivacyControl || field == .doNotTrack {
            entry.repeatsConsentHeader = true
        }
        seen.add(field)
        if field == .headers, cursor.peek == 0x7B { return readHeaderObject(&cursor) }
        guard let scalar = scalar(&cursor) else { return false }
        // CloudFront's mark of an empty field is one in JSON too.
        guard let value = scalar, isValue(value) else {
            // A header without a hop cannot be read, so neither can a chain that it is one of.
            if field == .forwardedFor, isRepeated { foundForwardedFor.isIncomplete = true }
            return true
        }
        if field == .forwardedFor {
            foundForwardedFor.append(value)
        } else if !isRepeated {
            unsafe found[field.rawValue] = value
        }
        return true
    }

    /// The request's headers by name; a value may be a list of texts, each of them a header.
    private mutating func readHeaderObject(_ cursor: inout JSONCursor) -> Bool {
        guard cursor.take(0x7B) else { return false }
        cursor.skipBlanks()
        entry.showsCookies = true
        entry.showsPreferences = true
        if cursor.take(0x7D) { return true }
        while true {
            cursor.skipBlanks()
            let free = count
            guard let key = string(&cursor) else { return false }
            let field = unsafe LogField.header(bytes(key))
            count = free
            cursor.skipBlanks()
            guard cursor.take(0x3A) else { return false }
            cursor.skipBlanks()
            if field == .ignored {
                guard cursor.skipValue(depth: Self.depthMax) else { return false }
            } else if cursor.take(0x5B) {
                cursor.skipBlanks()
                var isEmpty = cursor.take(0x5D)
                while !isEmpty {
                    cursor.skipBlanks()
                    guard readHeader(field, &cursor) else { return false }
                    cursor.skipBlanks()
                    isEmpty = cursor.take(0x5D)
                    guard isEmpty || cursor.take(0x2C) else { return false }
                }
            } else {
                guard readHeader(field, &cursor) else { return false }
            }
            cursor.skipBlanks()
            if cursor.take(0x7D) { return true }
            guard cursor.take(0x2C) else { return false }
        }
    }

    private mutating func readHeader(_ field: LogField, _ cursor: inout JSONCursor) -> Bool {
        guard let value = scalar(&cursor) else { return false }
        guard let value else { return true }
        return takeHeader(field, value) == nil
    }

    /// Makes the entry from the values, which are read as the columns of a tab-separated line are.
    private mutating func takeValues(_ seen: SeenFields, isEscaped: Bool) -> LogRefusal? {
        if seen.has(.cookie) { entry.showsCookies = true }
        if seen.has(.globalPrivacyControl), seen.has(.doNotTrack) { entry.showsPreferences = true }
        for field in [LogField.globalPrivacyControl, .doNotTrack] {
            guard let text = value(field) else { continue }
            if let refusal = takeHeader(field, text) { return refusal }
        }
        return takeFound(isEscaped: isEscaped)
    }

    /// A text, a number or a word; `.some(nil)` for null, nil when it is none of them.
    private mutating func scalar(_ cursor: inout JSONCursor) -> LogEntry.Text?? {
        if cursor.peek == 0x22 {
            guard let text = string(&cursor) else { return nil }
            return .some(text)
        }
        guard let word = cursor.word() else { return nil }
        if unsafe out[word.lowerBound] == 0x6E { return .some(nil) }
        return .some(.init(word.lowerBound, word.upperBound))
    }

    /// A string, its escapes taken out if it has any; nil when it is malformed.
    private mutating func string(_ cursor: inout JSONCursor) -> LogEntry.Text? {
        guard cursor.take(0x22) else { return nil }
        let first = cursor.index
        guard let special = cursor.special(first) else { return nil }
        switch unsafe out[special] {
        case 0x22:
            cursor.index = special + 1
            return .init(first, special)
        case 0x5C: return unescaped(first, &cursor)
        default: return nil
        }
    }

    /// The same from behind its first quote, where there is a backslash.
    private mutating func unescaped(_ first: Int, _ cursor: inout JSONCursor) -> LogEntry.Text? {
        let start = count
        let end = cursor.end
        var index = first
        while index < end {
            let byte = unsafe out[index]
            index += 1
            if byte == 0x22 {
                cursor.index = index
                return .init(start, count)
            }
            if byte < 0x20 { return nil }
            if byte != 0x5C {
                unsafe out[count] = byte
                count += 1
                continue
            }
            guard index < end else { return nil }
            let escape = unsafe out[index]
            index += 1
            switch escape {
            case 0x22, 0x5C, 0x2F: unsafe out[count] = escape
            case 0x62: unsafe out[count] = 0x08
            case 0x66: unsafe out[count] = 0x0C
            case 0x6E: unsafe out[count] = 0x0A
            case 0x72: unsafe out[count] = 0x0D
            case 0x74: unsafe out[count] = 0x09
            case 0x75:
                guard let scalar = unsafe Self.unicode(out, &index, end) else { return nil }
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
@safe struct JSONCursor {
    // SAFETY: the memory goes on for a block behind `end`, and outlives the cursor; both as its maker says.
    private let base: UnsafePointer<UInt8>
    var index: Int
    let end: Int

    @unsafe
    init(base: UnsafePointer<UInt8>, index: Int, end: Int) {
        unsafe self.base = base
        self.index = index
        self.end = end
    }

    /// Where in a string the next byte stands that is not text: a quote, a backslash, or what may not be there.
    func special(_ start: Int) -> Int? {
        var block = start
        while block < end {
            let marks =
                unsafe (LineParser.marks(0x22, base + block) | LineParser.marks(0x5C, base + block)
                | LineParser.marksBelow(0x20, base + block)) & LineParser.mask(end - block)
            if marks != 0 { return block + marks.trailingZeroBitCount }
            block += LineParser.blockBytes
        }
        return nil
    }

    /// The next byte, or 0 at the end.
    var peek: UInt8 { index < end ? unsafe base[index] : 0 }

    mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte, index < end else { return false }
        index += 1
        return true
    }

    mutating func skipBlanks() {
        while index < end, unsafe base[index] == 0x20 || base[index] == 0x09 || base[index] == 0x0D
        {
            index += 1
        }
    }

    /// A number, `true`, `false` or `null`.
    mutating func word() -> Range<Int>? {
        let start = index
        while index < end {
            switch unsafe base[index] {
            case 0x30...0x39, 0x61...0x7A, 0x45, 0x2B, 0x2D, 0x2E: index += 1
            default: return index > start ? start..<index : nil
            }
        }
        return index > start ? start..<index : nil
    }

    /// Passes over any value.
    mutating func skipValue(depth: Int) -> Bool {
        guard depth > 0 else { return false }
        switch peek {
        case 0x22: return skipString()
        case 0x7B, 0x5B:
            let close: UInt8 = peek == 0x7B ? 0x7D : 0x5D
            index += 1
            skipBlanks()
            if take(close) { return true }
            while true {
                skipBlanks()
                if close == 0x7D {
                    guard skipString() else { return false }
                    skipBlanks()
                    guard take(0x3A) else { return false }
                    skipBlanks()
                }
                guard skipValue(depth: depth - 1) else { return false }
                skipBlanks()
                if take(close) { return true }
                guard take(0x2C) else { return false }
            }
        default: return word() != nil
        }
    }

    private mutating func skipString() -> Bool {
        guard take(0x22) else { return false }
        while let special = special(index) {
            index = special + 1
            switch unsafe base[special] {
            case 0x22: return true
            case 0x5C: index += 1
            default: return false
            }
        }
        return false
    }
}
