/// Reads the lines of access logs: CloudFront's real-time and standard logs, the combined format of web servers, and JSON
/// objects, one a line.
///
/// Bytes in, ranges of bytes out: ``LineReader`` cuts a stream into lines, ``LogReader`` finds in one line what the request
/// was, with the log's own escaping taken out. Nothing is kept from line to line but the columns that a header
/// names, nothing is allocated a line, and nothing here knows what the requests are for.
package enum AccessLogs {
    /// Longest line in bytes without its end; longer ones are passed over and said to be so.
    package static let lineBytesMax = 65_536
    /// CloudFront cuts cookies and headers to this many bytes; a value that long may lack its end.
    package static let headerBytesMax = 800
    /// `X-Forwarded-For` headers of one request that are remembered; proxies add one each, and the collector remembers as
    /// many.
    package static let forwardFieldsMax = 8
}

/// How the lines of a log are written.
package enum LogFormat: String, CaseIterable, Sendable {
    /// Tab-separated columns in the order of the log's configuration; there is no header.
    case cloudFrontRealTime = "cloudfront-realtime"
    /// W3C extended log files with a `#Fields:` line, or, as version 2 writes them too, JSON objects.
    case cloudFrontStandard = "cloudfront-standard"
    /// Apache's and nginx's `combined`.
    case combined
    /// One JSON object a line, its values not percent-encoded.
    case ndjson
}

/// Why a line is not read. Never holds any of it.
package enum LogRefusal: String, CaseIterable, Sendable {
    case tooLong = "too long"
    /// More or fewer columns than the header or the configuration names.
    case fieldCount = "wrong field count"
    /// Not a line of this format, or not JSON.
    case syntax = "not of this format"
    /// A field that every hit needs (time, client address, request) is empty.
    case missing = "field missing"
    case time = "bad time"
    case address = "bad address"
    /// Bytes that no request can have had there: a control character, or a target that is not plain ASCII.
    case encoding = "bad encoding"
}
