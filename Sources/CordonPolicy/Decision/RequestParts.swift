internal import Bytes
internal import Consent

/// Where the parts of one request stand in the connection's buffer: what a decision may look at.
///
/// Ranges, not values, so that nothing personal is copied before the decision. The edge fills it from its
/// parser; `policy explain` from a request that it writes itself.
@frozen
public struct RequestParts: Equatable, Sendable, BitwiseCopyable {
    /// One part as a range of the buffer, or nothing.
    @frozen
    public struct Part: Equatable, Sendable, BitwiseCopyable {
        @usableFromInline var start: Int32
        @usableFromInline var end: Int32

        @inlinable
        public init(_ range: Range<Int>) {
            start = Int32(range.lowerBound)
            end = Int32(range.upperBound)
        }

        /// Takes the ends of a range, or -1 twice.
        @inlinable
        public init(start: Int32, end: Int32) {
            self.start = start
            self.end = end
        }

        /// A part that the request does not have.
        @inlinable
        public static var absent: Part { Part(start: -1, end: -1) }

        @inlinable
        public var range: Range<Int>? { start < 0 ? nil : Int(start)..<Int(end) }
    }

    public var method = Part.absent
    /// The target's path without the query.
    public var path = Part.absent
    /// What stands behind the first `?`, without it.
    public var query = Part.absent
    public var host = Part.absent
    public var referer = Part.absent
    public var userAgent = Part.absent
    public var acceptLanguage = Part.absent
    public var cookie = Part.absent
    public var secGPC = Part.absent
    public var dnt = Part.absent
    /// Whether a header that speaks about consent (`Cookie`, `Sec-GPC`, `DNT`) stands more than once. Only one of
    /// them has a range here, so consent is then invalid.
    public var repeatsConsentHeader = false

    @inlinable
    public init() {}
}

extension RequestParts {
    /// The host name of the site that the hit is for: the parameter `site`, else the referrer's host, else
    /// `Host`; nil when none of them is a host name. Cut at the port, in whatever case it came.
    ///
    /// A `site` that is no plain host name (an escape in it, a foreign character) is passed over. Of
    /// several the first counts.
    package func site(in bytes: Span<UInt8>) -> Range<Int>? {
        site(in: bytes, parameter: parameter("site", in: bytes))
    }

    /// The same for a request whose first parameter `site` was found.
    package func site(in bytes: Span<UInt8>, parameter: Range<Int>?) -> Range<Int>? {
        if let parameter, let host = Self.hostName(in: bytes, parameter) { return host }
        if let referer = referer.range, let host = Self.urlHost(in: bytes, referer) { return host }
        return host.range.flatMap { Self.hostName(in: bytes, $0) }
    }

    /// The host name in the URL (`scheme://user@host:port/…`) that stands in `range`; nil when there is none.
    package static func urlHost(in bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int>? {
        guard var start = authorityStart(bytes, range) else { return nil }
        var end = start
        while end < range.upperBound {
            let byte = bytes[end]
            if byte == 0x2F || byte == 0x3F || byte == 0x23 { break }
            end &+= 1  // Below the upper bound.
            if byte == 0x40 { start = end }
        }
        return hostName(in: bytes, start..<end)
    }

    /// Where the authority of a URL begins, behind `scheme://`.
    private static func authorityStart(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int? {
        // The word that nearly every URL begins with: `https://`.
        if ByteWord.prefix(bytes, from: range.lowerBound, to: range.upperBound)
            == 0x2F2F_3A73_7074_7468
        {
            return range.lowerBound + 8
        }
        var index = range.lowerBound
        while index < range.upperBound, bytes[index] != 0x3A {
            guard isSchemeByte(bytes[index]) else { return nil }
            index += 1
        }
        guard index > range.lowerBound, index + 2 < range.upperBound, bytes[index + 1] == 0x2F,
            bytes[index + 2] == 0x2F
        else { return nil }
        return index + 3
    }

    /// `range` without a port and a final dot, when what is left is a host name: 1 to 253 letters, digits, `.`,
    /// `-` and `_`, with no empty label. Nil otherwise.
    package static func hostName(in bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int>? {
        var end = range.lowerBound
        // In the lowest byte, whether the byte before `end` is a dot; before the first it is as if one stood there.
        var previous: UInt64 = 0x80
        while end < range.upperBound {
            let word = ByteWord.prefix(bytes, from: end, to: range.upperBound)
            // Behind the range there are zeros, which are none either; without a mark 64 zero bits are eight bytes.
            let others = ~ByteWord.hostBytes(word) & ByteWord.highs
            let count = others.trailingZeroBitCount &>> 3
            let dots =
                ByteWord.equal(word, 0x2E) & (count == 8 ? .max : (1 &<< UInt64(8 * count)) - 1)
            if dots & (dots &<< 8 | previous) != 0 { return nil }
            end += count
            if count > 0 { previous = dots &>> UInt64(8 * (count - 1)) }
            if count == 8 { continue }
            if end < range.upperBound, bytes[end] != 0x3A { return nil }
            break
        }
        for index in min(end + 1, range.upperBound)..<range.upperBound {
            guard bytes[index] >= 0x30, bytes[index] <= 0x39 else { return nil }
        }
        guard end > range.lowerBound else { return nil }
        if previous & 0x80 != 0 { end -= 1 }
        return end - range.lowerBound <= hostBytesMax ? range.lowerBound..<end : nil
    }

    /// Longest host name in bytes (RFC 1035 section 2.3.4, without the root label).
    package static let hostBytesMax = 253

    /// The first query parameter whose name, its escapes taken out, is `name`; its value still escaped.
    package func parameter(_ name: StaticString, in bytes: Span<UInt8>) -> Range<Int>? {
        guard let query = query.range else { return nil }
        var fields = FormFields(query, form: .query)
        while let field = fields.next(in: bytes) {
            if Self.spells(bytes, field.name, name) { return field.value }
        }
        return nil
    }

    private static func spells(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ word: StaticString
    ) -> Bool {
        guard range.count >= word.utf8CodeUnitCount, range.count > 0 else { return false }
        // Most names differ from the start on.
        let first = bytes[range.lowerBound]
        // SAFETY: no word is empty.
        guard unsafe first == word.utf8Start[0] || first == 0x25 else { return false }
        var decoder = FormDecoder(range, form: .query)
        for offset in 0..<word.utf8CodeUnitCount {
            // SAFETY: `offset` is below the word's own count, and a static string outlives every call.
            let expected = unsafe word.utf8Start[offset]
            guard decoder.next(in: bytes) == expected else { return false }
        }
        return decoder.next(in: bytes) == nil
    }

    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2E: true
        default: false
        }
    }
}
