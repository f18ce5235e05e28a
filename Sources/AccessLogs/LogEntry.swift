/// The request that one line tells of: ranges of ``LogReader/text``.
package struct LogEntry: Sendable, BitwiseCopyable {
    /// A run of bytes, or nothing.
    package struct Text: Equatable, Sendable, BitwiseCopyable {
        var start: Int32
        var end: Int32

        init(_ start: Int, _ end: Int) {
            self.start = Int32(truncatingIfNeeded: start)
            self.end = Int32(truncatingIfNeeded: end)
        }

        static var absent: Text { Text(-1, -1) }

        package var range: Range<Int>? { start < 0 ? nil : Int(start)..<Int(end) }
        var isPresent: Bool { start >= 0 }
        var count: Int { Int(end) - Int(start) }
    }

    /// Values of a header that may stand more than once, in order.
    package struct Texts: Sendable, BitwiseCopyable {
        private var texts = InlineArray<8, Text>(repeating: .absent)
        package private(set) var count = 0
        /// Not all that the request had are here: the log was cut, or there are more than are remembered.
        package var isIncomplete = false

        package subscript(index: Int) -> Text { texts[index] }

        mutating func append(_ text: Text) {
            guard count < AccessLogs.forwardFieldsMax else {
                isIncomplete = true
                return
            }
            texts[count] = text
            count += 1
        }
    }

    /// In microseconds since 1970, UTC.
    package var microseconds: Int64 = 0
    package var isGet = false
    package var address = Text.absent
    package var path = Text.absent
    package var query = Text.absent
    package var host = Text.absent
    package var referer = Text.absent
    package var userAgent = Text.absent
    package var acceptLanguage = Text.absent
    package var cookie = Text.absent
    package var globalPrivacyControl = Text.absent
    package var doNotTrack = Text.absent
    package var forwardedFor = Texts()
    /// Whether the line shows the request's cookies whole, so that an absent one was not sent.
    package var showsCookies = false
    /// Whether the line shows `Sec-GPC` and `DNT`, so that an absent one was not sent.
    package var showsPreferences = false
    /// `Cookie`, `Sec-GPC` or `DNT` stands more than once.
    package var repeatsConsentHeader = false

    init() {}

    /// Bytes of everything that the request is made from.
    package var byteCount: Int {
        var sum =
            address.count + path.count + query.count + host.count + referer.count
            + userAgent.count + acceptLanguage.count + cookie.count + globalPrivacyControl.count
            + doNotTrack.count
        for index in 0..<forwardedFor.count { sum += forwardedFor[index].count }
        return sum
    }

    subscript(field: LogField) -> Text {
        get {
            switch field {
            case .address: address
            case .host: host
            case .referer: referer
            case .userAgent: userAgent
            case .acceptLanguage: acceptLanguage
            case .cookie: cookie
            case .globalPrivacyControl: globalPrivacyControl
            case .doNotTrack: doNotTrack
            case .stem: path
            case .query: query
            default: .absent
            }
        }
        set {
            switch field {
            case .address: address = newValue
            case .host: host = newValue
            case .referer: referer = newValue
            case .userAgent: userAgent = newValue
            case .acceptLanguage: acceptLanguage = newValue
            case .cookie: cookie = newValue
            case .globalPrivacyControl: globalPrivacyControl = newValue
            case .doNotTrack: doNotTrack = newValue
            case .stem: path = newValue
            case .query: query = newValue
            default: break
            }
        }
    }
}
