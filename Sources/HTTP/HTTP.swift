/// HTTP/1.1 on the server's side as pure values: bytes in, actions out.
///
/// It reads requests by RFC 9112 strictly (what two readers could take for two different things is refused) and
/// writes nothing but status lines; it knows no socket, clock or product. Every limit is a named
/// constant of ``HTTPLimits``. Start at ``ConnectionMachine``.
package enum HTTP {}

/// Bounds on what a client may send and how long it may take.
package enum HTTPLimits {
    /// Request line without its CRLF, in bytes: room for a page address and a referrer of 2,000 bytes each in the
    /// query, percent-encoded. Longer is 414.
    package static let requestLineBytesMax = 8192
    /// The whole head with its empty line, in bytes: the request line, 4 KiB of cookies and the rest. Larger is 431.
    package static let headBytesMax = 16_384
    /// Header fields of a request: browsers behind two proxies send about 30. More is 431.
    package static let headerCountMax = 100
    /// Body that is read and thrown away, in bytes, so that the connection can go on. Larger is 413.
    package static let bodyBytesMax = 65_536
    /// Body of a `POST`, in bytes, which is handed on with its head: two page addresses of 2,000 bytes, percent-encoded, and
    /// some parameters. Larger is 413.
    package static let postBytesMax = 8192
    /// Bytes of a method; the longest registered one has 17 (`UPDATEREDIRECTREF`).
    package static let methodBytesMax = 32
    /// `X-Forwarded-For` or `Forwarded` fields that are remembered; proxies add one each.
    package static let forwardFieldsMax = 8
    /// Empty lines before a request line that are skipped (RFC 9112 section 2.2 asks for at least one).
    package static let emptyLinesMax = 1
    /// From the first byte of a request to its last header.
    package static let headPace = Pace(
        graceMilliseconds: 3000, bytesPerSecondMin: 500, millisecondsMax: 10_000)
    /// Silence between two requests of a connection, in milliseconds.
    package static let idleMillisecondsMax: UInt64 = 75_000
    /// From the end of a head to the end of its body.
    package static let bodyPace = Pace(
        graceMilliseconds: 3000, bytesPerSecondMin: 1000, millisecondsMax: 10_000)
    /// From the first byte that a client did not take at once to the last.
    package static let answerPace = Pace(
        graceMilliseconds: 5000, bytesPerSecondMin: 1000, millisecondsMax: 20_000)
}

/// How slow a transfer may be: after a grace it must keep up a rate on the whole, and it must end in any case.
///
/// The end alone would let a client that sends a byte a second hold a connection for the whole of it; a rate for each
/// byte alone would let it do so for ever.
package struct Pace: Equatable, Sendable {
    /// Before this nothing is asked: a lost packet is sent again after one, two, four seconds.
    package let graceMilliseconds: UInt64
    /// What must have moved after the grace, counted from its end.
    package let bytesPerSecondMin: UInt64
    /// The end, whatever the rate.
    package let millisecondsMax: UInt64

    package init(graceMilliseconds: UInt64, bytesPerSecondMin: UInt64, millisecondsMax: UInt64) {
        self.graceMilliseconds = graceMilliseconds
        self.bytesPerSecondMin = bytesPerSecondMin
        self.millisecondsMax = millisecondsMax
    }

    /// When a transfer that began at `start` and has moved `bytes` is cut off unless more have moved by then.
    package func deadline(start: UInt64, bytes: Int) -> UInt64 {
        let earned = graceMilliseconds + UInt64(bytes) * 1000 / bytesPerSecondMin
        return start + min(earned, millisecondsMax)
    }
}

/// The status codes that the machine and its shell answer with.
package enum HTTPStatus: UInt16, CaseIterable, Sendable {
    case ok = 200
    case noContent = 204
    case badRequest = 400
    case notFound = 404
    case methodNotAllowed = 405
    case requestTimeout = 408
    case lengthRequired = 411
    case contentTooLarge = 413
    case uriTooLong = 414
    case unsupportedMediaType = 415
    case expectationFailed = 417
    case tooManyRequests = 429
    case headerFieldsTooLarge = 431
    case notImplemented = 501
    case serviceUnavailable = 503
    case versionNotSupported = 505

    /// The reason phrase of RFC 9110 or RFC 6585.
    package var reason: String {
        switch self {
        case .ok: "OK"
        case .noContent: "No Content"
        case .badRequest: "Bad Request"
        case .notFound: "Not Found"
        case .methodNotAllowed: "Method Not Allowed"
        case .requestTimeout: "Request Timeout"
        case .lengthRequired: "Length Required"
        case .contentTooLarge: "Content Too Large"
        case .uriTooLong: "URI Too Long"
        case .unsupportedMediaType: "Unsupported Media Type"
        case .expectationFailed: "Expectation Failed"
        case .tooManyRequests: "Too Many Requests"
        case .headerFieldsTooLarge: "Request Header Fields Too Large"
        case .notImplemented: "Not Implemented"
        case .serviceUnavailable: "Service Unavailable"
        case .versionNotSupported: "HTTP Version Not Supported"
        }
    }
}
