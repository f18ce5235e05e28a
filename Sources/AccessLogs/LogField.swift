/// What a column or key of a log holds, as far as a request is made from it.
package enum LogField: Int, CaseIterable, Sendable {
    /// Anything that is not needed.
    case ignored
    /// Seconds since 1970, or a time of ISO 8601.
    case time
    /// Milliseconds since 1970.
    case milliseconds
    /// `YYYY-MM-DD` and `HH:MM:SS`, in UTC.
    case date, clock
    case address, method, host
    /// Path, with the query behind it in real-time logs.
    case stem
    case query, referer, userAgent, cookie, forwardedFor, acceptLanguage, globalPrivacyControl
    case doNotTrack
    /// All headers of the request: `Name:value` lines in CloudFront's logs, an object in JSON.
    case headers

    static let count = allCases.count
}

extension LogField {
    /// The columns of real-time logs when all 40 are selected, in the order that the documentation of real-time log
    /// configurations gives them ("Fields", Amazon CloudFront Developer Guide).
    package static let realTimeNames = [
        "timestamp", "c-ip", "time-to-first-byte", "sc-status", "sc-bytes", "cs-method",
        "cs-protocol", "cs-host", "cs-uri-stem", "cs-bytes", "x-edge-location",
        "x-edge-request-id", "x-host-header", "time-taken", "cs-protocol-version", "c-ip-version",
        "cs-user-agent", "cs-referer", "cs-cookie", "cs-uri-query", "x-edge-response-result-type",
        "x-forwarded-for", "ssl-protocol", "ssl-cipher", "x-edge-result-type",
        "fle-encrypted-fields", "fle-status", "sc-content-type", "sc-content-len",
        "sc-range-start", "sc-range-end", "c-port", "x-edge-detailed-result-type", "c-country",
        "cs-accept-encoding", "cs-accept", "cache-behavior-path-pattern", "cs-headers",
        "cs-header-names", "cs-headers-count",
    ]

    /// Columns that came later, and those for media players.
    private static let laterRealTimeNames = [
        "s-ip", "primary-distribution-id", "primary-distribution-dns-name", "origin-fbl",
        "origin-lbl", "asn", "cmcd-encoded-bitrate", "cmcd-buffer-length",
        "cmcd-buffer-starvation", "cmcd-content-id", "cmcd-object-duration", "cmcd-deadline",
        "cmcd-measured-throughput", "cmcd-next-object-request", "cmcd-next-range-request",
        "cmcd-object-type", "cmcd-playback-rate", "cmcd-requested-maximum-throughput",
        "cmcd-streaming-format", "cmcd-session-id", "cmcd-stream-type", "cmcd-startup",
        "cmcd-top-bitrate", "cmcd-version", "r-host", "sr-reason", "x-edge-mqcs",
    ]

    /// The 33 columns of standard logs in their order.
    package static let standardNames = [
        "date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)",
        "cs-uri-stem", "sc-status", "cs(Referer)", "cs(User-Agent)", "cs-uri-query", "cs(Cookie)",
        "x-edge-result-type", "x-edge-request-id", "x-host-header", "cs-protocol", "cs-bytes",
        "time-taken", "x-forwarded-for", "ssl-protocol", "ssl-cipher",
        "x-edge-response-result-type", "cs-protocol-version", "fle-status",
        "fle-encrypted-fields", "c-port", "time-to-first-byte", "x-edge-detailed-result-type",
        "sc-content-type", "sc-content-len", "sc-range-start", "sc-range-end",
    ]

    /// Every name that `--fields` may hold.
    package static let knownRealTimeNames = realTimeNames + laterRealTimeNames
    package static let knownStandardNames =
        standardNames + ["timestamp", "timestamp(ms)", "DistributionId", "connection-id"]
        + laterRealTimeNames + ["c-country", "cache-behavior-path-pattern", "cs-headers"]

    /// The field of a column of real-time logs.
    package static func realTime(_ name: String) -> LogField {
        switch name.lowercased() {
        case "timestamp": .time
        case "cs-host": .host
        case "cs-referer": .referer
        case "cs-user-agent": .userAgent
        case "cs-cookie": .cookie
        default: shared(name.lowercased())
        }
    }

    /// The field of a column of standard logs. Here `cs(Host)` is the distribution's own name, and `x-host-header`
    /// what the viewer asked for; in real-time logs it is the other way round.
    package static func standard(_ name: String) -> LogField {
        switch name.lowercased() {
        case "date": .date
        case "time": .clock
        case "timestamp": .time
        case "timestamp(ms)": .milliseconds
        case "x-host-header": .host
        case "cs(referer)": .referer
        case "cs(user-agent)": .userAgent
        case "cs(cookie)": .cookie
        default: shared(name.lowercased())
        }
    }

    private static func shared(_ name: String) -> LogField {
        switch name {
        case "c-ip": .address
        case "cs-method": .method
        case "cs-uri-stem": .stem
        case "cs-uri-query": .query
        case "cs-headers": .headers
        case "x-forwarded-for": .forwardedFor
        default: .ignored
        }
    }

    /// The field of a key of a JSON line: the names of this table, CloudFront's, and those of nginx's variables.
    package static func json(_ name: String) -> LogField {
        switch name.lowercased() {
        case "time", "timestamp", "ts", "@timestamp", "time_iso8601", "msec", "datetime": .time
        case "timestamp(ms)", "time_ms", "timestamp_ms": .milliseconds
        case "client_ip", "ip", "address", "remote_addr", "c-ip", "client_address": .address
        case "method", "request_method", "cs-method": .method
        case "host", "http_host", "cs-host", "x-host-header": .host
        case "path", "uri", "url", "request_uri", "target", "cs-uri-stem": .stem
        case "query", "query_string", "args", "cs-uri-query": .query
        case "referer", "referrer", "http_referer", "cs-referer", "cs(referer)": .referer
        case "user_agent", "http_user_agent", "cs-user-agent", "cs(user-agent)": .userAgent
        case "cookie", "http_cookie", "cs-cookie", "cs(cookie)": .cookie
        case "x_forwarded_for", "http_x_forwarded_for", "x-forwarded-for": .forwardedFor
        case "accept_language", "http_accept_language": .acceptLanguage
        case "sec_gpc", "http_sec_gpc": .globalPrivacyControl
        case "dnt", "http_dnt": .doNotTrack
        case "headers", "request_headers": .headers
        default: .ignored
        }
    }

    /// The field of a request header.
    static func header(_ name: UnsafeBufferPointer<UInt8>) -> LogField {
        switch name.count {
        case 3 where unsafe matches(name, "dnt"): .doNotTrack
        case 4 where unsafe matches(name, "host"): .host
        case 6 where unsafe matches(name, "cookie"): .cookie
        case 7 where unsafe matches(name, "referer"): .referer
        case 7 where unsafe matches(name, "sec-gpc"): .globalPrivacyControl
        case 10 where unsafe matches(name, "user-agent"): .userAgent
        case 15 where unsafe matches(name, "accept-language"): .acceptLanguage
        case 15 where unsafe matches(name, "x-forwarded-for"): .forwardedFor
        default: .ignored
        }
    }

    private static func matches(_ name: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
        for index in 0..<name.count {
            var byte = unsafe name[index]
            if byte >= 0x41, byte <= 0x5A { byte |= 0x20 }
            // SAFETY: the caller has compared the counts.
            if unsafe text.utf8Start[index] != byte { return false }
        }
        return true
    }
}
