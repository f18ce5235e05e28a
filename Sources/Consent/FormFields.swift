internal import Bytes

/// One `name=value` of a query string or a cookie header, as ranges of the request's bytes.
package struct FormField: Equatable, Sendable {
    package var name: Range<Int>
    /// Empty when there is no `=`.
    package var value: Range<Int>
}

/// Walks the fields of a query string (`a=b&c=d`) or of a `Cookie` header (RFC 6265: `a=b; c=d`), front to
/// back, without decoding or copying.
package struct FormFields: Sendable {
    /// How the fields stand.
    package enum Form: Sendable { case query, cookie }

    private var position: Int
    private let end: Int
    private let form: Form

    /// Walks `range` of the bytes that ``next(in:)`` is given.
    package init(_ range: Range<Int>, form: Form) {
        position = range.lowerBound
        end = range.upperBound
        self.form = form
    }

    /// The next field; empty ones are skipped.
    package mutating func next(in bytes: Span<UInt8>) -> FormField? {
        let separator: UInt8 = form == .query ? 0x26 : 0x3B
        while position < end {
            var start = position
            let equals = bytes.firstIndex(of: 0x3D, or: separator, from: start, to: end)
            let hasEquals = equals < end && bytes[equals] == 0x3D
            let index =
                hasEquals ? bytes.firstIndex(of: separator, from: equals, to: end) : equals
            var stop = index
            position = index + 1
            if form == .cookie {
                while start < stop, Self.isBlank(bytes[start]) { start += 1 }
                while stop > start, Self.isBlank(bytes[stop - 1]) { stop -= 1 }
            }
            if start == stop { continue }
            if !hasEquals { return FormField(name: start..<stop, value: stop..<stop) }
            // A blank before `=` in a cookie was not cut: the name then differs, which is a name of its own.
            return FormField(name: start..<equals, value: min(equals + 1, stop)..<stop)
        }
        return nil
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}

/// Takes the escapes out of a query value (`%41`, `+`) or a cookie value (`%41`), byte by byte.
package struct FormDecoder: Sendable {
    private var position: Int
    private let end: Int
    private let plusIsSpace: Bool
    /// Whether a `%` was met that no two hexadecimal digits follow; it was passed on as it stands.
    package private(set) var isMalformed = false

    package init(_ range: Range<Int>, form: FormFields.Form) {
        position = range.lowerBound
        end = range.upperBound
        plusIsSpace = form == .query
    }

    /// The next decoded byte, or nil at the end.
    package mutating func next(in bytes: Span<UInt8>) -> UInt8? {
        guard position < end else { return nil }
        let byte = bytes[position]
        position += 1
        if byte == 0x2B, plusIsSpace { return 0x20 }
        guard byte == 0x25 else { return byte }
        guard position + 1 < end, let high = hexDigit(bytes[position]),
            let low = hexDigit(bytes[position + 1])
        else {
            isMalformed = true
            return byte
        }
        position += 2
        return high << 4 | low
    }
}

extension NameList {
    /// The position of the name that `range` spells once its escapes are taken out, or nil.
    package func index(
        ofEncoded range: Range<Int>, in bytes: Span<UInt8>, form: FormFields.Form
    ) -> Int? {
        for index in 0..<count where equals(index, encoded: range, in: bytes, form: form) {
            return index
        }
        return nil
    }

    /// Whether the name at `index` is what `range` spells once its escapes are taken out.
    package func equals(
        _ index: Int, encoded range: Range<Int>, in bytes: Span<UInt8>, form: FormFields.Form
    ) -> Bool {
        let name = span(index)
        // Escapes only ever shorten, so most fields fall out here.
        guard range.count >= name.count else { return false }
        // And of the rest most by their first byte, unless it is an escape.
        if name.count > 0 {
            let byte = bytes[range.lowerBound]
            if byte != name[0], byte != 0x25, byte != 0x2B { return false }
        }
        var decoder = FormDecoder(range, form: form)
        for offset in name.indices {
            guard decoder.next(in: bytes) == name[offset] else { return false }
        }
        return decoder.next(in: bytes) == nil
    }
}
