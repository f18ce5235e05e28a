/// HTTP/2 on the server's side (RFC 9113) as a translator: frames in, HTTP/1.1 requests out, and back.
///
/// The only importer of `CNGHTTP2`, which does framing, HPACK and flow control. Each request comes out as the bytes that
/// an HTTP/1.1 client would have sent, so one parser judges both, and answers go in as HTTP/1.1 bytes. It knows no socket
/// and takes its time from the caller. What could be a flood ends the connection with ENHANCE_YOUR_CALM. There is no
/// push, no priority and no upgrade from HTTP/1.1. Start at ``HTTP2Session``.
package enum HTTP2 {}

/// Bounds of one connection.
package enum HTTP2Limits {
    /// Requests of a connection at a time (SETTINGS_MAX_CONCURRENT_STREAMS); RFC 9113 advises at least 100.
    package static let streamsMax = 100
    /// Bytes of requests that are being received, over all streams; a stream that would exceed it is refused.
    package static let requestBytesMax = 262_144
    /// Bytes of answers that the client has not taken, over all streams; while there are more no request is read.
    package static let answerBytesMax = 262_144
    /// From the first frame of a request to its last, in milliseconds.
    package static let requestMillisecondsMax: UInt64 = 10_000
    /// A header list beyond this many times the largest head ends the connection; below, it is answered 431.
    package static let headerListFactorMax = 4
    /// CONTINUATION frames of one header block.
    package static let continuationsMax = 8
    /// Streams that client or server reset: at once, and then in a second.
    package static let resetsMax: UInt64 = 100
    package static let resetsPerSecond: UInt64 = 20
    /// Frames that ask for nothing (PING, SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA, heads of streams reset from here, resets of closed ones): at once,
    /// then in a second. Each request allows one more. Frames of unknown types are skipped and cause no work.
    package static let idleFramesMax: UInt64 = 1000
    package static let idleFramesPerSecond: UInt64 = 100
    /// Answers to PING and SETTINGS that the client has not taken.
    package static let acknowledgementsMax = 100
    /// Streams that are remembered after they closed, so that what still comes of them is judged rightly.
    static let closedStreamsMax = 128
    /// Streams whose memory is kept for the next ones.
    static let sparesMax = 8
    /// Larger buffers are not kept.
    static let spareBytesMax = 4096
}

/// The codes of RFC 9113 section 7.
package enum HTTP2ErrorCode: UInt32, Sendable {
    case noError = 0
    case protocolError, internalError, flowControlError, settingsTimeout, streamClosed
    case frameSizeError, refusedStream, cancel, compressionError, connectError
    case enhanceYourCalm, inadequateSecurity, http11Required
}
