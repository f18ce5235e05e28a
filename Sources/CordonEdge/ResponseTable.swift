internal import CordonModel
internal import HTTP

/// An answer that is known in advance.
enum Answer: UInt8, CaseIterable {
    case gif, png, noContent, healthy, ready, notReady, demo, notFound, methodNotAllowed,
        unavailable
    case script, preflight, methodNotAllowedForHit, malformedBody, unsupportedMediaType
    case badRequest, requestTimeout, lengthRequired, contentTooLarge, uriTooLong, expectationFailed
    case tooManyRequests, headerFieldsTooLarge, notImplemented, versionNotSupported
    /// Not in the table: made when it is asked for.
    case metrics, whoami

    /// Whether its bytes are known in advance.
    var isFixed: Bool { self != .metrics && self != .whoami }

    init(refusing status: HTTPStatus) {
        self =
            switch status {
            case .requestTimeout: .requestTimeout
            case .lengthRequired: .lengthRequired
            case .contentTooLarge: .contentTooLarge
            case .uriTooLong: .uriTooLong
            case .expectationFailed: .expectationFailed
            case .headerFieldsTooLarge: .headerFieldsTooLarge
            case .notImplemented: .notImplemented
            case .versionNotSupported: .versionNotSupported
            default: .badRequest
            }
    }

    var status: HTTPStatus {
        switch self {
        case .gif, .png, .healthy, .ready, .demo, .script, .metrics, .whoami: .ok
        case .noContent, .preflight: .noContent
        case .notReady, .unavailable: .serviceUnavailable
        case .notFound: .notFound
        case .methodNotAllowed, .methodNotAllowedForHit: .methodNotAllowed
        case .badRequest, .malformedBody: .badRequest
        case .unsupportedMediaType: .unsupportedMediaType
        case .requestTimeout: .requestTimeout
        case .lengthRequired: .lengthRequired
        case .contentTooLarge: .contentTooLarge
        case .uriTooLong: .uriTooLong
        case .expectationFailed: .expectationFailed
        case .tooManyRequests: .tooManyRequests
        case .headerFieldsTooLarge: .headerFieldsTooLarge
        case .notImplemented: .notImplemented
        case .versionNotSupported: .versionNotSupported
        }
    }
}

extension Answer {
    /// Whether a page of another origin may read it: what hits and the script are answered with. Without credentials, for
    /// there is nothing in an answer that depends on who asks.
    var isForPages: Bool {
        switch self {
        case .gif, .png, .noContent, .script, .preflight, .malformedBody, .unsupportedMediaType,
            .contentTooLarge, .unavailable, .tooManyRequests:
            true
        default: false
        }
    }
}

/// What an answer says about the connection.
enum Persistence: UInt8, CaseIterable {
    /// HTTP/1.1 stays open without a word.
    case open
    /// HTTP/1.0 stays open when told so.
    case keepAlive
    case close
}

/// Every fixed answer as bytes, with the `Date` of this second.
struct ResponseTable {
    private var bytes: [UInt8] = []
    private var entries: [Entry] = []
    private var dateOffsets: [Int] = []

    private struct Entry {
        var start: Int
        var headEnd: Int
        var end: Int
    }

    /// Largest of the answers in bytes.
    private(set) var answerBytesMax = 0

    init() {
        for answer in Answer.allCases where answer.isFixed {
            for persistence in Persistence.allCases {
                let (type, body) = Self.content(answer)
                append(answer, persistence, type, body)
            }
        }
    }

    private mutating func append(
        _ answer: Answer, _ persistence: Persistence, _ type: String?, _ body: [UInt8]
    ) {
        let start = bytes.count
        let head = Self.head(answer, persistence, type: type, bodyCount: body.count)
        bytes += Array(head.utf8)
        dateOffsets.append(start + Self.dateOffset(in: head))
        let headEnd = bytes.count
        bytes += body
        entries.append(Entry(start: start, headEnd: headEnd, end: bytes.count))
        answerBytesMax = max(answerBytesMax, bytes.count - start)
    }

    /// The head of an answer, its date still blank.
    static func head(
        _ answer: Answer, _ persistence: Persistence, type: String?, bodyCount: Int
    ) -> String {
        let status = answer.status
        var head = "HTTP/1.1 \(status.rawValue) \(status.reason)\r\nDate: \(HTTPDate.blank)\r\n"
        if let type { head += "Content-Type: \(type)\r\n" }
        if status != .noContent { head += "Content-Length: \(bodyCount)\r\n" }
        let cached = answer == .script ? "public, max-age=\(PageScript.secondsMax)" : "no-store"
        head += "Cache-Control: \(cached)\r\n"
        if answer.isForPages { head += "Access-Control-Allow-Origin: *\r\n" }
        switch answer {
        case .gif, .png, .noContent: head += "Cross-Origin-Resource-Policy: cross-origin\r\n"
        case .script:
            head += "Cross-Origin-Resource-Policy: cross-origin\r\n"
            head += "X-Content-Type-Options: nosniff\r\n"
        case .preflight:
            head += "Access-Control-Allow-Methods: GET, HEAD, POST\r\n"
            head += "Access-Control-Allow-Headers: Content-Type\r\n"
            head += "Access-Control-Max-Age: 86400\r\n"
        case .methodNotAllowed: head += "Allow: GET, HEAD\r\n"
        case .methodNotAllowedForHit: head += "Allow: GET, HEAD, OPTIONS, POST\r\n"
        case .unavailable, .notReady, .tooManyRequests:
            head += "Retry-After: \(EdgeLimits.retryAfterSeconds)\r\n"
        default: break
        }
        switch persistence {
        case .open: break
        case .keepAlive: head += "Connection: keep-alive\r\n"
        case .close: head += "Connection: close\r\n"
        }
        return head + "\r\n"
    }

    /// Where the date stands in a head: after the status line and `Date: `.
    static func dateOffset(in head: String) -> Int {
        let units = Array(head.utf8)
        guard let lineEnd = units.firstIndex(of: 0x0A) else {
            preconditionFailure("a head has lines")
        }
        return lineEnd + 1 + "Date: ".utf8.count
    }

    private static func content(_ answer: Answer) -> (String?, [UInt8]) {
        switch answer {
        case .gif: ("image/gif", Pixel.gif)
        case .png: ("image/png", Pixel.png)
        case .noContent, .preflight: (nil, [])
        case .script: ("text/javascript; charset=utf-8", Array(PageScript.text.utf8))
        case .malformedBody:
            (
                "text/plain; charset=utf-8",
                Array("expected one JSON object of strings, numbers and booleans\n".utf8)
            )
        case .unsupportedMediaType:
            (
                "text/plain; charset=utf-8",
                Array(
                    "expected application/x-www-form-urlencoded, text/plain or application/json in UTF-8\n"
                        .utf8)
            )
        case .demo: ("text/html; charset=utf-8", Array(DemoPage.html.utf8))
        case .healthy, .ready: ("text/plain; charset=utf-8", Array("ok\n".utf8))
        default: ("text/plain; charset=utf-8", Array((answer.status.reason + "\n").utf8))
        }
    }

    /// Puts the date of another second into every answer.
    mutating func setDate(_ date: [UInt8]) {
        for offset in dateOffsets {
            for index in date.indices { bytes[offset + index] = date[index] }
        }
    }

    /// Appends an answer, without its body for `HEAD`.
    func append(
        _ answer: Answer, _ persistence: Persistence, headOnly: Bool, to output: inout [UInt8]
    ) {
        output.append(contentsOf: bytes[range(answer, persistence, headOnly: headOnly)])
    }

    /// Calls `body` with the bytes of an answer where they lie.
    func withBytes<Result>(
        _ answer: Answer, _ persistence: Persistence, headOnly: Bool,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        let range = range(answer, persistence, headOnly: headOnly)
        return unsafe bytes.withUnsafeBytes {
            unsafe body(UnsafeRawBufferPointer(rebasing: $0[range]))
        }
    }

    private func range(
        _ answer: Answer, _ persistence: Persistence, headOnly: Bool
    ) -> Range<Int> {
        let entry = entries[
            Int(answer.rawValue) * Persistence.allCases.count + Int(persistence.rawValue)]
        return entry.start..<(headOnly ? entry.headEnd : entry.end)
    }
}

/// The IMF-fixdate of RFC 9110 section 5.6.7.
enum HTTPDate {
    static let blank = "Thu, 01 Jan 1970 00:00:00 GMT"
    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    static func bytes(_ timestamp: Timestamp) -> [UInt8] {
        let day = Day(timestamp)
        let civil = day.civil
        let seconds = Int((timestamp.microseconds - day.start.microseconds) / 1_000_000)
        let weekday = ((Int(day.number) % 7) + 7) % 7
        let clock = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(twoDigits)
            .joined(separator: ":")
        let date = "\(twoDigits(civil.day)) \(months[civil.month - 1]) \(fourDigits(civil.year))"
        return Array("\(days[weekday]), \(date) \(clock) GMT".utf8)
    }

    private static func twoDigits(_ number: Int) -> String {
        number < 10 ? "0\(number)" : "\(number)"
    }
    private static func fourDigits(_ number: Int) -> String {
        String(repeating: "0", count: max(0, 4 - "\(number)".utf8.count)) + "\(number)"
    }
}
