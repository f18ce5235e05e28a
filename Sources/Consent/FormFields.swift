public import Bytes

/// One `name=value` of a query string or a cookie header, as ranges of the request's bytes.
@frozen
public struct FormField: Equatable, Sendable {
    public var name: Range<Int>
    /// Empty when there is no `=`.
    public var value: Range<Int>

    @inlinable
    public init(name: Range<Int>, value: Range<Int>) {
        self.name = name
        self.value = value
    }
}

/// Walks the fields of a query string (`a=b&c=d`) or of a `Cookie` header (RFC 6265: `a=b; c=d`), front to
/// back, without decoding or copying.
@frozen
public struct FormFields: Sendable, BitwiseCopyable {
    /// How the fields stand.
    @frozen
    public enum Form: Sendable, BitwiseCopyable { case query, cookie }

    @usableFromInline var position: Int
    @usableFromInline let end: Int
    @usableFromInline let form: Form

    /// Walks `range` of the bytes that ``next(in:)`` is given.
    @inlinable
    public init(_ range: Range<Int>, form: Form) {
        position = range.lowerBound
        end = range.upperBound
        self.form = form
    }

    /// The next field; empty ones are skipped.
    @inlinable
    public mutating func next(in bytes: Span<UInt8>) -> FormField? {
        let separator: UInt8 = if case .query = form { 0x26 } else { 0x3B }
        while position < end {
            var start = position
            let found = bytes.field(from: start, to: end, separator: separator)
            let equals = found.equals
            let hasEquals = equals < found.end
            var stop = found.end
            position = found.end + 1
            if case .cookie = form {
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

    @inlinable
    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}

/// Takes the escapes out of a query value (`%41`, `+`) or a cookie value (`%41`), byte by byte.
@frozen
public struct FormDecoder: Sendable, BitwiseCopyable {
    @usableFromInline var position: Int
    @usableFromInline let end: Int
    @usableFromInline let plusIsSpace: Bool
    /// Whether a `%` was met that no two hexadecimal digits follow; it was passed on as it stands.
    public internal(set) var isMalformed = false

    @inlinable
    public init(_ range: Range<Int>, form: FormFields.Form) {
        position = range.lowerBound
        end = range.upperBound
        plusIsSpace = if case .query = form { true } else { false }
    }

    /// The next decoded byte, or nil at the end. Inlined, since it is asked for each byte and most bytes are themselves.
    @inlinable @inline(__always)
    public mutating func next(in bytes: Span<UInt8>) -> UInt8? {
        guard position < end else { return nil }
        let byte = bytes[position]
        position &+= 1
        if byte != 0x25, byte != 0x2B { return byte }
        return decoded(byte, in: bytes)
    }

    /// Writes what is left, or its first `limit` bytes, and says how many they are. It copies eight bytes at a time, so `room` must
    /// have eight more than it writes.
    @unsafe
    public mutating func decode(
        _ bytes: Span<UInt8>, into room: UnsafeMutablePointer<UInt8>, limit: Int
    ) -> Int {
        precondition(position >= 0 && end <= bytes.count, "a value lies within its bytes")
        return unsafe bytes.withUnsafeBufferPointer { source in
            guard let base = source.baseAddress else { return 0 }
            var written = 0
            while position < end, written < limit {
                // SAFETY: eight bytes are read below the count, and written where there is room for them.
                if position &+ 8 <= source.count {
                    let word = unsafe ByteWord.load(base, position)
                    unsafe UnsafeMutableRawPointer(room + written).storeBytes(
                        of: word.littleEndian, as: UInt64.self)
                    let marks =
                        ByteWord.zeros(word ^ ByteWord.ones &* 0x25)
                        | ByteWord.zeros(word ^ ByteWord.ones &* 0x2B)
                    // Without a mark 64 zero bits, which are eight bytes.
                    let plain = min(
                        marks.trailingZeroBitCount &>> 3, end &- position, limit &- written)
                    position &+= plain
                    written &+= plain
                    if marks == 0 || position >= end || written >= limit { continue }
                }
                guard let byte = next(in: bytes) else { break }
                unsafe room[written] = byte
                written &+= 1
            }
            return written
        }
    }

    /// What a `+`, or a `%` with the two bytes behind it, stands for.
    @usableFromInline
    mutating func decoded(_ byte: UInt8, in bytes: Span<UInt8>) -> UInt8 {
        if byte == 0x2B { return plusIsSpace ? 0x20 : byte }
        guard position + 1 < end, let high = Bytes.hexDigit(bytes[position]),
            let low = Bytes.hexDigit(bytes[position + 1])
        else {
            isMalformed = true
            return byte
        }
        position += 2
        return high << 4 | low
    }
}

/// The name of a field as it stands in a request, looked at once to be compared with many.
@frozen
public struct EncodedName: Sendable {
    @usableFromInline let range: Range<Int>
    /// Its first eight bytes, as ``NameList`` has them.
    @usableFromInline let prefix: UInt64
    /// It spells what it is: no escapes stand in it, or they mean nothing.
    public let isPlain: Bool

    /// Of a query, where a name may have escapes, or of a cookie, where it has none.
    @inlinable
    public init(_ range: Range<Int>, form: FormFields.Form, in bytes: Span<UInt8>) {
        self.range = range
        prefix = ByteWord.prefix(bytes, from: range.lowerBound, to: range.upperBound)
        isPlain =
            if case .cookie = form { true } else {
                bytes.firstIndex(
                    of: 0x25, or: 0x2B, from: range.lowerBound, to: range.upperBound)
                    == range.upperBound
            }
    }
}

extension NameList {
    /// The position of the name that `name` spells once its escapes are taken out, or nil.
    @inlinable
    public func index(of name: EncodedName, in bytes: Span<UInt8>) -> Int? {
        var index = 0
        while index < count {
            if equals(index, name, in: bytes) { return index }
            index &+= 1
        }
        return nil
    }

    /// Whether the name at `index` is what `name` spells once its escapes are taken out.
    @inlinable
    public func equals(_ index: Int, _ name: EncodedName, in bytes: Span<UInt8>) -> Bool {
        guard name.isPlain else { return equals(index, encoded: name.range, in: bytes) }
        guard prefixes[index] == name.prefix else { return false }
        return name.range.count <= 8
            ? byteCount(index) == name.range.count : equals(index, bytes, name.range)
    }

    @usableFromInline
    func equals(_ index: Int, encoded range: Range<Int>, in bytes: Span<UInt8>) -> Bool {
        let name = span(index)
        // Escapes only ever shorten.
        guard range.count >= name.count else { return false }
        var decoder = FormDecoder(range, form: .query)
        for offset in name.indices {
            guard decoder.next(in: bytes) == name[offset] else { return false }
        }
        return decoder.next(in: bytes) == nil
    }
}
