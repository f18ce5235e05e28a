internal import Consent

/// Where the parts of one request stand in the connection's buffer: what a decision may look at.
///
/// Ranges, not values, so that nothing personal is copied before the decision. The edge fills it from its
/// parser; `policy explain` from a request that it writes itself.
package struct RequestParts: Equatable, Sendable, BitwiseCopyable {
    /// One part as a range of the buffer, or nothing.
    @frozen
    package struct Part: Equatable, Sendable, BitwiseCopyable {
        private var start: Int32
        private var end: Int32

        package init(_ range: Range<Int>) {
            start = Int32(range.lowerBound)
            end = Int32(range.upperBound)
        }

        private init(start: Int32, end: Int32) {
            self.start = start
            self.end = end
        }

        /// A part that the request does not have.
        package static var absent: Part { Part(start: -1, end: -1) }

        package var range: Range<Int>? { start < 0 ? nil : Int(start)..<Int(end) }
    }

    package var method = Part.absent
    /// The target's path without the query.
    package var path = Part.absent
    /// What stands behind the first `?`, without it.
    package var query = Part.absent
    package var host = Part.absent
    package var referer = Part.absent
    package var userAgent = Part.absent
    package var acceptLanguage = Part.absent
    package var cookie = Part.absent
    package var secGPC = Part.absent
    package var dnt = Part.absent
    /// Whether a header that speaks about consent (`Cookie`, `Sec-GPC`, `DNT`) stands more than once. Only one of
    /// them has a range here, so consent is then invalid.
    package var repeatsConsentHeader = false

    package init() {}
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
        while end < range.upperBound, bytes[end] != 0x3A {
            guard isHostByte(bytes[end]) else { return nil }
            end += 1
        }
        for index in min(end + 1, range.upperBound)..<range.upperBound {
            guard bytes[index] >= 0x30, bytes[index] <= 0x39 else { return nil }
        }
        if end > range.lowerBound, bytes[end - 1] == 0x2E { end -= 1 }
        guard end > range.lowerBound, end - range.lowerBound <= hostBytesMax else { return nil }
        var wasDot = true
        for index in range.lowerBound..<end {
            let isDot = bytes[index] == 0x2E
            if isDot, wasDot { return nil }
            wasDot = isDot
        }
        return wasDot ? nil : range.lowerBound..<end
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
        guard range.count >= word.utf8CodeUnitCount else { return false }
        var decoder = FormDecoder(range, form: .query)
        for offset in 0..<word.utf8CodeUnitCount {
            // SAFETY: `offset` is below the word's own count, and a static string outlives every call.
            let expected = unsafe word.utf8Start[offset]
            guard decoder.next(in: bytes) == expected else { return false }
        }
        return decoder.next(in: bytes) == nil
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
        default: false
        }
    }

    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2E: true
        default: false
        }
    }
}
