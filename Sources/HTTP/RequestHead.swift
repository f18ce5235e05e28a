/// A run of bytes in the request's buffer; absent or present, possibly empty. Public, like all that a hit calls byte by byte:
/// `package` functions are not inlined in other targets.
@frozen
public struct ByteRange: Equatable, Sendable, BitwiseCopyable {
    /// First byte; -1 when absent.
    public var start: Int32
    /// After the last byte.
    public var end: Int32

    @inlinable @inline(__always)
    public init(_ start: Int, _ end: Int) {
        self.start = Int32(truncatingIfNeeded: start)
        self.end = Int32(truncatingIfNeeded: end)
    }

    @inlinable @inline(__always)
    public static var absent: ByteRange { ByteRange(-1, -1) }
    @inlinable @inline(__always)
    public var isPresent: Bool { start >= 0 }
    @inlinable @inline(__always)
    public var lowerBound: Int { Int(start) }
    @inlinable @inline(__always)
    public var upperBound: Int { Int(end) }
    @inlinable @inline(__always)
    public var count: Int { Int(end) - Int(start) }
}

/// The head of one request as ranges of its bytes, counted from its first byte.
@frozen
public struct RequestHead: Sendable, BitwiseCopyable {
    @frozen
    public enum Method: UInt8, Sendable, BitwiseCopyable { case get, head, post, options, other }

    /// Whether the browser asks ahead of the person (Fetch standard, `Sec-Purpose`; older browsers: `Purpose`,
    /// `X-Purpose`, `X-Moz`).
    @frozen
    public enum Speculation: UInt8, Sendable, BitwiseCopyable { case none, prefetch, prerender }

    public var method: Method = .other
    /// HTTP/1.0; otherwise HTTP/1.1.
    public var isVersion10 = false
    /// Whether the client wants the connection to stay open.
    public var keepsAlive = false
    public var path = ByteRange.absent
    public var query = ByteRange.absent
    /// Host and port, of the target when it names them, else of `Host`.
    public var host = ByteRange.absent
    public var referer = ByteRange.absent
    public var userAgent = ByteRange.absent
    public var acceptLanguage = ByteRange.absent
    public var cookie = ByteRange.absent
    public var globalPrivacyControl = ByteRange.absent
    public var doNotTrack = ByteRange.absent
    /// `Cookie`, `Sec-GPC` or `DNT` came more than once; only the first of each has a range.
    public var repeatsConsentHeader = false
    public var viewerAddress = ByteRange.absent
    /// Of zero bytes when it came more than once.
    public var contentType = ByteRange.absent
    /// `Content-Encoding` came.
    public var hasContentCoding = false
    public var speculation = Speculation.none
    /// Values of `X-Forwarded-For` in order of appearance.
    public var forwardedFor = FieldList()
    /// Values of `Forwarded` (RFC 7239) in order of appearance.
    public var forwarded = FieldList()
    /// The body of a `POST` that has one, behind the head; that of another method is thrown away.
    public var body = ByteRange.absent
    /// Bytes of the head with its empty line, and of ``body``.
    public var byteCount = 0
    /// Bytes of the body that follows the empty line.
    public var bodyByteCount = 0

    public init() {}
}

/// The values of a field that may come several times, up to a bound.
@frozen
public struct FieldList: Sendable, BitwiseCopyable {
    @usableFromInline var ranges = InlineArray<8, ByteRange>(repeating: .absent)
    public internal(set) var count = 0
    /// More fields came than are remembered, or can be shown.
    public internal(set) var isOverfull = false

    @inlinable
    public init() {}

    @inlinable
    public subscript(index: Int) -> ByteRange { ranges[index] }

    public mutating func append(_ range: ByteRange) {
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
