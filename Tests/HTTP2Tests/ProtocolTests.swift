import TestSupport
import Testing

@testable import HTTP2

/// What a client may not do, by the section of RFC 9113 that says so.
@Suite struct `RFC 9113` {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let bytes: [UInt8]
        let expected: Outcome

        init(_ section: String, _ bytes: [UInt8], _ expected: Outcome) {
            testDescription = section
            self.bytes = bytes
            self.expected = expected
        }
    }

    enum Outcome: Sendable {
        /// GOAWAY with one of these, and nothing of stream 1 comes out unless it came before.
        case connection([HTTP2ErrorCode])
        /// RST_STREAM of this stream; the connection goes on.
        case stream(UInt32, HTTP2ErrorCode)
        /// Either; both are allowed (section 5.4.2: a stream's error may be treated as the connection's).
        case either([HTTP2ErrorCode])
        /// Nothing is wrong: this many requests come out.
        case requests(Int)
    }

    private static func connection(_ codes: HTTP2ErrorCode...) -> Outcome { .connection(codes) }
    private static func either(_ codes: HTTP2ErrorCode...) -> Outcome { .either(codes) }

    private static let ping = Frame.make(.ping, [UInt8](repeating: 7, count: 8))
    private static let open = Frame.headers(Frame.post, flags: Frame.endHeaders)
    private static let whole = Frame.headers()
    private static func unfinished(_ stream: UInt32 = 1) -> [UInt8] {
        Frame.make(.headers, flags: Frame.endStream, stream: stream, Frame.block(Frame.get))
    }
    private static func replacing(_ index: Int, _ field: (String, String)?) -> [(String, String)] {
        var fields = Frame.get
        if let field { fields[index] = field } else { fields.remove(at: index) }
        return fields
    }

    static let framing = [
        Case(
            "4.1 a frame of an unknown type is ignored", Frame.make(0x16, [1, 2]) + whole,
            .requests(1)),
        Case(
            "4.1 unknown flags are ignored",
            Frame.make(.ping, flags: 0x16, [UInt8](repeating: 0, count: 8)) + whole, .requests(1)),
        Case("4.1 the reserved bit is ignored", Frame.headers(stream: 0x8000_0001), .requests(1)),
        Case(
            "4.2 DATA beyond the largest frame",
            open + Frame.make(.data, stream: 1, [UInt8](repeating: 0, count: 16_385)),
            either(.frameSizeError)),
        Case(
            "4.2 HEADERS beyond the largest frame",
            Frame.make(.headers, flags: 5, stream: 1, [UInt8](repeating: 0, count: 16_385)),
            connection(.frameSizeError)),
        Case(
            "4.3 a header block that cannot be decoded",
            Frame.make(.headers, flags: 5, stream: 1, [0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
            connection(.compressionError)),
        Case(
            "4.3 a dynamic table larger than allowed",
            Frame.make(.headers, flags: 5, stream: 1, [0x3F, 0xE1, 0xFF, 0x03]),
            connection(.compressionError)),
        Case(
            "4.3 a frame between HEADERS and CONTINUATION", unfinished() + ping,
            connection(.protocolError)),
        Case(
            "4.3 HEADERS of another stream before the block has ended",
            unfinished() + Frame.headers(stream: 3), connection(.protocolError)),
        Case(
            "5.5 an unknown frame within a header block", unfinished() + Frame.make(0x16, []),
            connection(.protocolError)),
    ]

    static let streams = [
        Case(
            "5.1 DATA on an idle stream", Frame.make(.data, stream: 1, [1]),
            connection(.protocolError)),
        Case(
            "5.1 RST_STREAM on an idle stream", Frame.make(.reset, stream: 1, Frame.number(8)),
            connection(.protocolError)),
        Case(
            "5.1 WINDOW_UPDATE on an idle stream",
            Frame.make(.windowUpdate, stream: 1, Frame.number(1)), connection(.protocolError)),
        Case(
            "5.1 CONTINUATION on an idle stream",
            Frame.make(.continuation, flags: 4, stream: 1, []), connection(.protocolError)),
        Case(
            "5.1 DATA after the client has ended the stream",
            whole + Frame.make(.data, stream: 1, [1]), either(.streamClosed)),
        Case(
            "5.1 HEADERS after the client has ended the stream", whole + Frame.headers(),
            either(.streamClosed)),
        Case(
            "5.1 HEADERS after RST_STREAM",
            open + Frame.make(.reset, stream: 1, Frame.number(8)) + Frame.headers(),
            either(.streamClosed)),
        Case(
            "5.1 HEADERS and DATA of a stream that was reset from here are left out",
            Frame.headers(Frame.post + [("X", "")], flags: 4) + Frame.make(.data, stream: 1, [1])
                + Frame.headers([("a", "b")]) + Frame.headers(stream: 3), .requests(1)),
        Case("5.1.1 an even stream", Frame.headers(stream: 2), connection(.protocolError)),
        Case(
            "5.1.1 HEADERS of a stream older than the last",
            Frame.headers(stream: 5) + Frame.headers(stream: 3), connection(.protocolError)),
        Case(
            "5.1.2 one stream too many",
            (0...HTTP2Limits.streamsMax).flatMap { Frame.headers(stream: UInt32(2 * $0 + 1)) },
            either(.refusedStream, .protocolError)),
        Case(
            "8.4 PUSH_PROMISE of a client",
            Frame.make(.pushPromise, flags: 4, stream: 1, Frame.number(2)),
            connection(.protocolError)),
    ]

    static let frames = [
        Case("6.1 DATA on stream 0", Frame.make(.data, [1]), connection(.protocolError)),
        Case(
            "6.1 DATA with more padding than frame",
            open + Frame.make(.data, flags: Frame.padded, stream: 1, [9, 1]),
            connection(.protocolError)),
        Case("6.2 HEADERS on stream 0", Frame.headers(stream: 0), connection(.protocolError)),
        Case(
            "6.2 HEADERS with more padding than frame",
            Frame.make(.headers, flags: 13, stream: 1, [250] + Frame.block(Frame.get)),
            connection(.protocolError)),
        Case(
            "6.3 PRIORITY on stream 0", Frame.make(.priority, [0, 0, 0, 0, 1]),
            connection(.protocolError)),
        Case(
            "6.3 PRIORITY of a wrong length",
            open + Frame.make(.priority, stream: 1, [0, 0, 0, 1]), either(.frameSizeError)),
        Case(
            "6.4 RST_STREAM on stream 0", Frame.make(.reset, Frame.number(8)),
            connection(.protocolError)),
        Case(
            "6.4 RST_STREAM of a wrong length", open + Frame.make(.reset, stream: 1, [0, 0, 8]),
            connection(.frameSizeError)),
        Case(
            "6.5 an acknowledging SETTINGS with content",
            Frame.make(.settings, flags: Frame.acknowledge, [0, 1, 0, 0, 0, 1]),
            connection(.frameSizeError)),
        Case(
            "6.5 SETTINGS on a stream", Frame.make(.settings, stream: 1), connection(.protocolError)
        ),
        Case(
            "6.5 SETTINGS of a wrong length", Frame.make(.settings, [0, 3, 0]),
            connection(.frameSizeError)),
        Case("6.5.2 ENABLE_PUSH of 2", Frame.settings([(2, 2)]), connection(.protocolError)),
        Case(
            "6.5.2 INITIAL_WINDOW_SIZE of 2^31", Frame.settings([(4, 1 << 31)]),
            connection(.flowControlError)),
        Case(
            "6.5.2 MAX_FRAME_SIZE below the least", Frame.settings([(5, 16_383)]),
            connection(.protocolError)),
        Case(
            "6.5.2 MAX_FRAME_SIZE above the most", Frame.settings([(5, 1 << 24)]),
            connection(.protocolError)),
        Case(
            "6.5.2 an unknown setting is ignored", Frame.settings([(0x99, 7)]) + whole, .requests(1)
        ),
        Case(
            "6.7 PING on a stream", Frame.make(.ping, stream: 1, [UInt8](repeating: 0, count: 8)),
            connection(.protocolError)),
        Case("6.7 PING of a wrong length", Frame.make(.ping, [1]), connection(.frameSizeError)),
        Case(
            "6.8 GOAWAY on a stream",
            Frame.make(.goAway, stream: 1, Frame.number(0) + Frame.number(0)),
            connection(.protocolError)),
        Case(
            "6.9 WINDOW_UPDATE of zero on the connection",
            Frame.make(.windowUpdate, Frame.number(0)), connection(.protocolError)),
        Case(
            "6.9 WINDOW_UPDATE of zero on a stream",
            open + Frame.make(.windowUpdate, stream: 1, Frame.number(0)), either(.protocolError)),
        Case(
            "6.9 WINDOW_UPDATE of a wrong length", Frame.make(.windowUpdate, [0, 0, 1]),
            connection(.frameSizeError)),
        Case(
            "6.9.1 a window above 2^31-1 on the connection",
            Frame.make(.windowUpdate, Frame.number(0x7FFF_FFFF)), connection(.flowControlError)),
        Case(
            "6.9.1 a window above 2^31-1 on a stream",
            open + Frame.make(.windowUpdate, stream: 1, Frame.number(0x7FFF_FFFF)),
            either(.flowControlError)),
        Case(
            "6.9.2 a setting that lifts a window above 2^31-1",
            open + Frame.make(.windowUpdate, stream: 1, Frame.number(0x7FFE_FFFF))
                + Frame.settings([(4, 0x7FFF_FFFF)]), either(.flowControlError)),
        Case(
            "6.10 CONTINUATION frames that end a block",
            unfinished() + Frame.make(.continuation, stream: 1, Frame.block([("a", "b")]))
                + Frame.make(
                    .continuation, flags: Frame.endHeaders, stream: 1, Frame.block([("c", "d")])),
            .requests(1)),
        Case(
            "6.10 CONTINUATION on stream 0",
            unfinished() + Frame.make(.continuation, flags: Frame.endHeaders, []),
            connection(.protocolError)),
        Case(
            "6.10 CONTINUATION after the block has ended",
            open + Frame.make(.continuation, flags: Frame.endHeaders, stream: 1, []),
            connection(.protocolError)),
        Case(
            "6.10 CONTINUATION after DATA",
            open + Frame.make(.data, stream: 1, [1])
                + Frame.make(.continuation, flags: Frame.endHeaders, stream: 1, []),
            connection(.protocolError)),
    ]

    static let messages = [
        Case(
            "8.1 a second HEADERS that does not end the stream",
            open + Frame.headers([("a", "b")], flags: Frame.endHeaders), either(.protocolError)),
        Case(
            "8.1 pseudo-header fields in trailers", open + Frame.headers([(":path", "/")]),
            either(.protocolError)),
        Case(
            "8.2.1 an uppercase name", Frame.headers(Frame.get + [("X-A", "b")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.1 a name with a space", Frame.headers(Frame.get + [("x a", "b")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.1 an empty name", Frame.headers(Frame.get + [("", "b")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.1 a value with a line feed", Frame.headers(Frame.get + [("a", "b\nc")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.1 a value with white space before it", Frame.headers(Frame.get + [("a", " b")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.1 a value with white space after it", Frame.headers(Frame.get + [("a", "b\t")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.2 Connection", Frame.headers(Frame.get + [("connection", "close")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.2 Keep-Alive", Frame.headers(Frame.get + [("keep-alive", "1")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.2 Proxy-Connection", Frame.headers(Frame.get + [("proxy-connection", "close")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.2 Transfer-Encoding",
            Frame.headers(Frame.get + [("transfer-encoding", "chunked")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.2 Upgrade", Frame.headers(Frame.get + [("upgrade", "h2c")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.2 TE with anything but trailers", Frame.headers(Frame.get + [("te", "gzip")]),
            .stream(1, .protocolError)),
        Case(
            "8.2.2 TE with trailers", Frame.headers(Frame.get + [("te", "trailers")]), .requests(1)),
        Case(
            "8.3 an unknown pseudo-header field", Frame.headers(Frame.get + [(":a", "b")]),
            .stream(1, .protocolError)),
        Case(
            "8.3 a pseudo-header field of answers", Frame.headers(Frame.get + [(":status", "200")]),
            .stream(1, .protocolError)),
        Case(
            "8.3 a pseudo-header field after a regular one",
            Frame.headers([("a", "b")] + Frame.get), .stream(1, .protocolError)),
        Case("8.3.1 no :method", Frame.headers(replacing(0, nil)), .stream(1, .protocolError)),
        Case("8.3.1 no :scheme", Frame.headers(replacing(1, nil)), .stream(1, .protocolError)),
        Case("8.3.1 no :path", Frame.headers(replacing(2, nil)), .stream(1, .protocolError)),
        Case(
            "8.3.1 an empty :path", Frame.headers(replacing(2, (":path", ""))),
            .stream(1, .protocolError)),
        Case(
            "8.3.1 a :path that is none", Frame.headers(replacing(2, (":path", "a"))),
            .stream(1, .protocolError)),
        Case(
            "8.3.1 two :method", Frame.headers(Frame.get + [(":method", "GET")]),
            .stream(1, .protocolError)),
        Case(
            "8.3.1 two :path", Frame.headers(Frame.get + [(":path", "/b")]),
            .stream(1, .protocolError)),
        Case(
            "8.3.1 :authority with user information",
            Frame.headers(replacing(3, (":authority", "u@a.example"))), .stream(1, .protocolError)),
        Case(
            "8.3.1 Host that differs from :authority",
            Frame.headers(Frame.get + [("host", "b.example")]), .stream(1, .protocolError)),
        Case(
            "8.3.1 Host that agrees with :authority",
            Frame.headers(Frame.get + [("host", "a.example")]), .requests(1)),
        Case(
            "8.1.1 a body shorter than Content-Length",
            Frame.headers(Frame.post + [("content-length", "3")], flags: 4)
                + Frame.make(.data, flags: 1, stream: 1, [1]), either(.protocolError)),
        Case(
            "8.1.1 bodies longer than Content-Length",
            Frame.headers(Frame.post + [("content-length", "1")], flags: 4)
                + Frame.make(.data, stream: 1, [1]) + Frame.make(.data, flags: 1, stream: 1, [1]),
            either(.protocolError)),
        Case(
            "8.1.1 Content-Length without a body",
            Frame.headers(Frame.get + [("content-length", "1")]), .stream(1, .protocolError)),
        Case(
            "8.1.1 two lengths",
            Frame.headers(
                Frame.post + [("content-length", "1"), ("content-length", "1")], flags: 4),
            .stream(1, .protocolError)),
        Case(
            "8.5 CONNECT with a path",
            Frame.headers([
                (":method", "CONNECT"), (":authority", "a:1"), (":path", "/"), (":scheme", "https"),
            ]), .stream(1, .protocolError)),
    ]

    @Test(arguments: framing + streams + frames + messages) func section(_ test: Case) {
        let conversation = Conversation()
        conversation.send(test.bytes)
        switch test.expected {
        case .connection(let codes):
            #expect(conversation.goAway.map(codes.contains) == true, "\(conversation.frames)")
            #expect(conversation.session.isOver)
        case .stream(let stream, let code):
            #expect(conversation.resetCode(stream) == code, "\(conversation.frames)")
            #expect(conversation.goAway == nil)
            #expect(conversation.requests.isEmpty)
            // The connection goes on.
            conversation.send(Frame.headers(stream: 801))
            #expect(conversation.requests.count == 1)
        case .either(let codes):
            let found =
                conversation.goAway ?? (1...201).lazy.compactMap(conversation.resetCode).first
            #expect(found.map(codes.contains) == true, "\(conversation.frames)")
        case .requests(let count):
            #expect(conversation.requests.count == count, "\(conversation.frames)")
            #expect(conversation.goAway == nil)
        }
    }

    @Test func `section 3.4, a connection begins with the preface, and SETTINGS`() {
        for bytes in [
            Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), Frame.settings() + Frame.preface,
            Frame.preface + Self.ping, Frame.preface + Self.whole,
        ] {
            let conversation = Conversation(greets: false)
            conversation.send(bytes)
            #expect(conversation.goAway == .protocolError)
            #expect(conversation.session.isOver)
            #expect(conversation.requests.isEmpty)
        }
    }

    @Test func `section 3.4, the preface may come byte by byte`() {
        let conversation = Conversation(greets: false)
        for byte in Frame.preface + Frame.settings() + Self.whole { conversation.send([byte]) }
        #expect(conversation.requests.count == 1)
    }

    @Test func `section 6.5.3, SETTINGS are acknowledged`() {
        let acknowledged = Conversation().frames.filter { $0.kind == 4 && $0.flags == 1 }
        #expect(acknowledged.count == 1)
    }

    @Test func `section 6.5.2, the server states its bounds`() throws {
        let settings = try #require(Conversation().frames.first { $0.kind == 4 && $0.flags == 0 })
        let entries = stride(from: 0, to: settings.payload.count, by: 6).map { start in
            settings.payload[start..<(start + 6)].map { Int($0) }
        }
        #expect(entries.contains([0, 3, 0, 0, 0, 100]))
        #expect(entries.contains([0, 6, 0, 0, 64, 0]))
        #expect(entries.contains([0, 9, 0, 0, 0, 1]))
    }

    @Test func `section 6.7, PING is answered with its content, and its answer is not`() {
        let conversation = Conversation()
        conversation.send(Self.ping)
        conversation.send(
            Frame.make(.ping, flags: Frame.acknowledge, [UInt8](repeating: 1, count: 8)))
        let pings = conversation.frames.filter { $0.kind == 6 }
        #expect(pings.count == 1)
        #expect(pings.first?.flags == 1)
        #expect(pings.first?.payload == [UInt8](repeating: 7, count: 8))
    }
}
