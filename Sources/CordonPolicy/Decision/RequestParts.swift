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

        @inlinable
        init(start: Int32, end: Int32) {
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
        if let query = query.range {
            var fields = FormFields(query, form: .query)
            while let field = fields.next(in: bytes) {
                guard Self.spells(bytes, field.name, "site") else { continue }
                if let host = Self.hostName(in: bytes, field.value) { return host }
                break
            }
        }
        if let referer = referer.range, let host = Self.urlHost(in: bytes, referer) { return host }
        return host.range.flatMap { Self.hostName(in: bytes, $0) }
    }

    /// The host name in the URL (`scheme://user@host:port/…`) that stands in `range`; nil when there is none.
    package static func urlHost(in bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int>? {
        var index = range.lowerBound
        while index < range.upperBound, bytes[index] != 0x3A {
            guard isSchemeByte(bytes[index]) else { return nil }
            index += 1
        }
        guard index > range.lowerBound, index + 2 < range.upperBound, bytes[index + 1] == 0x2F,
            bytes[index + 2] == 0x2F
        else { return nil }
        var start = index + 3
        var end = start
        while end < range.upperBound, bytes[end] != 0x2F, bytes[end] != 0x3F, bytes[end] != 0x23 {
            if bytes[end] == 0x40 { start = end + 1 }
            end += 1
        }
        return hostName(in: bytes, start..<end)
    }

    /// `range` without a port and a final dot, when what is left is a host name: 1 to 253 letters, digits, `.`,
    /// `-` and `_`, with no empty label. Nil otherwise.
    package static func hostName(in bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int>? {
        var end = range.lowerBound
        var wasDot = true
        while end < range.upperBound {
            let byte = bytes[end]
            if byte == 0x3A { break }
            let isDot = byte == 0x2E
            if isDot ? wasDot : !isHostByte(byte) { return nil }
            wasDot = isDot
            end &+= 1  // Below the upper bound.
        }
        for index in min(end + 1, range.upperBound)..<range.upperBound {
            guard bytes[index] >= 0x30, bytes[index] <= 0x39 else { return nil }
        }
        guard end > range.lowerBound else { return nil }
        if wasDot { end -= 1 }
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

    private static func isHostByte(_ byte: UInt8) -> Bool {
        // Bit i of each word stands for byte i and byte 64 + i: digits, `-`, `.`, letters, `_`.
        let low: UInt64 = 0x03FF_6000_0000_0000
        let high: UInt64 = 0x07FF_FFFE_87FF_FFFE
        return byte < 128 && (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 != 0
    }

    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2E: true
        default: false
        }
    }
}
