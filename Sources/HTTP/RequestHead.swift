/// A run of bytes in the request's buffer; absent or present, possibly empty.
@frozen
package struct ByteRange: Equatable, Sendable, BitwiseCopyable {
    /// First byte; -1 when absent.
    package var start: Int32
    /// After the last byte.
    package var end: Int32

    @inlinable @inline(__always)
    package init(_ start: Int, _ end: Int) {
        self.start = Int32(truncatingIfNeeded: start)
        self.end = Int32(truncatingIfNeeded: end)
    }

    @inlinable @inline(__always)
    package static var absent: ByteRange { ByteRange(-1, -1) }
    @inlinable @inline(__always)
    package var isPresent: Bool { start >= 0 }
    @inlinable @inline(__always)
    package var lowerBound: Int { Int(start) }
    @inlinable @inline(__always)
    package var upperBound: Int { Int(end) }
    @inlinable @inline(__always)
    package var count: Int { Int(end) - Int(start) }
}

/// The head of one request as ranges of its bytes, counted from its first byte.
package struct RequestHead: Sendable, BitwiseCopyable {
    package enum Method: UInt8, Sendable, BitwiseCopyable { case get, head, post, options, other }

    /// Whether the browser asks ahead of the person (Fetch standard, `Sec-Purpose`; older browsers: `Purpose`,
    /// `X-Purpose`, `X-Moz`).
    package enum Speculation: UInt8, Sendable, BitwiseCopyable { case none, prefetch, prerender }

    package var method: Method = .other
    /// HTTP/1.0; otherwise HTTP/1.1.
    package var isVersion10 = false
    /// Whether the client wants the connection to stay open.
    package var keepsAlive = false
    package var path = ByteRange.absent
    package var query = ByteRange.absent
    /// Host and port, of the target when it names them, else of `Host`.
    package var host = ByteRange.absent
    package var referer = ByteRange.absent
    package var userAgent = ByteRange.absent
    package var acceptLanguage = ByteRange.absent
    package var cookie = ByteRange.absent
    package var globalPrivacyControl = ByteRange.absent
    package var doNotTrack = ByteRange.absent
    /// `Cookie`, `Sec-GPC` or `DNT` came more than once; only the first of each has a range.
    package var repeatsConsentHeader = false
    package var viewerAddress = ByteRange.absent
    /// Of zero bytes when it came more than once.
    package var contentType = ByteRange.absent
    /// `Content-Encoding` came.
    package var hasContentCoding = false
    package var speculation = Speculation.none
    /// Values of `X-Forwarded-For` in order of appearance.
    package var forwardedFor = FieldList()
    /// Values of `Forwarded` (RFC 7239) in order of appearance.
    package var forwarded = FieldList()
    /// The body of a `POST` that has one, behind the head; that of another method is thrown away.
    package var body = ByteRange.absent
    /// Bytes of the head with its empty line, and of ``body``.
    package var byteCount = 0
    /// Bytes of the body that follows the empty line.
    package var bodyByteCount = 0

    package init() {}
}

/// The values of a field that may come several times, up to a bound.
package struct FieldList: Sendable, BitwiseCopyable {
    private var ranges = InlineArray<8, ByteRange>(repeating: .absent)
    package private(set) var count = 0
    /// More fields came than are remembered, or can be shown.
    package private(set) var isOverfull = false

    package init() {}

    package subscript(index: Int) -> ByteRange { ranges[index] }

    package mutating func append(_ range: ByteRange) {
        guard count < HTTPLimits.forwardFieldsMax else {
            isOverfull = true
            return
        }
        ranges[count] = range
        count += 1
    }

    /// Says that there were fields that are not here.
    package mutating func leaveIncomplete() { isOverfull = true }
}
