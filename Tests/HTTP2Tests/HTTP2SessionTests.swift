import Foundation
import HTTP
import TestSupport
import Testing

@testable import HTTP2

@Suite struct `A request of HTTP/2` {
    private let conversation = Conversation()

    @Test func `comes out as one of HTTP/1.1`() {
        conversation.send(
            Frame.headers(Frame.get + [("user-agent", "x"), ("accept-language", "de")]))
        #expect(
            conversation.requests == [
                "GET /hit HTTP/1.1\r\nhost: a.example\r\nuser-agent: x\r\naccept-language: de\r\n\r\n"
            ])
        #expect(conversation.session.currentStream == 1)
    }

    @Test func `has its cookie crumbs put together`() {
        conversation.send(
            Frame.headers(Frame.get + [("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")]))
        #expect(
            conversation.requests == [
                "GET /hit HTTP/1.1\r\nhost: a.example\r\nx: y\r\ncookie: a=b; c=d\r\n\r\n"
            ])
    }

    @Test func `may name its host in the field instead`() {
        conversation.send(Frame.headers(Array(Frame.get.prefix(3)) + [("host", "b.example")]))
        #expect(conversation.requests == ["GET /hit HTTP/1.1\r\nhost: b.example\r\n\r\n"])
    }

    @Test func `brings a body of any number of frames with its length`() {
        conversation.send(Frame.headers(Frame.post, flags: Frame.endHeaders))
        conversation.send(Frame.make(.data, stream: 1, Array("ab".utf8)))
        #expect(conversation.requests.isEmpty)
        conversation.send(
            Frame.make(
                .data, flags: Frame.endStream | Frame.padded, stream: 1,
                [2] + Array("cd".utf8) + [0, 0]))
        #expect(
            conversation.requests == [
                "POST /hit HTTP/1.1\r\nhost: a.example\r\ncontent-length: 4\r\n\r\nabcd"
            ])
    }

    @Test func `ends with trailers, which are left out`() {
        conversation.send(Frame.headers(Frame.post, flags: Frame.endHeaders))
        conversation.send(Frame.make(.data, stream: 1, Array("ab".utf8)))
        conversation.send(Frame.headers([("sec-gpc", "0")]))
        #expect(
            conversation.requests == [
                "POST /hit HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n\r\nab"
            ])
    }

    @Test func `whose body is too large is answered at once, and the rest is told to stop`() {
        conversation.send(Frame.headers(Frame.post, flags: Frame.endHeaders))
        var sent = 0
        while sent <= HTTPLimits.bodyBytesMax {
            conversation.send(
                Frame.make(.data, stream: 1, [UInt8](repeating: 0x61, count: 16_384)))
            sent += 16_384
        }
        #expect(
            conversation.requests == [
                "POST /hit HTTP/1.1\r\nhost: a.example\r\n"
                    + "content-length: \(HTTPLimits.bodyBytesMax + 1)\r\n\r\n"
            ])
        conversation.answer("HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n", stream: 1)
        #expect(conversation.resetCode(1) == .noError)
        #expect(conversation.goAway == nil)
    }

    @Test func `whose head is too large is long enough for the parser to say so`() {
        let long = String(repeating: "a", count: HTTPLimits.headBytesMax)
        conversation.send(
            Frame.make(
                .headers, flags: Frame.endStream, stream: 1, Frame.block(Frame.get + [("x", "")])))
        let block = Frame.block([("y", long)])
        conversation.send(Frame.make(.continuation, stream: 1, Array(block[..<16_000])))
        conversation.send(
            Frame.make(
                .continuation, flags: Frame.endHeaders, stream: 1, Array(block[16_000...])))
        #expect((conversation.requests.first?.utf8.count ?? 0) > HTTPLimits.headBytesMax)
        #expect(conversation.goAway == nil)
    }

    @Test func `is refused while others fill the bound`() {
        var stream: UInt32 = 1
        // Four bodies of 60 KiB and a fifth that does not fit; the windows are opened as the bytes arrive.
        for _ in 0..<5 {
            conversation.send(Frame.headers(Frame.post, stream: stream, flags: Frame.endHeaders))
            for _ in 0..<4 {
                conversation.send(
                    Frame.make(.data, stream: stream, [UInt8](repeating: 0x61, count: 15_360)))
            }
            stream += 2
        }
        #expect(conversation.resetCode(9) == .refusedStream)
        #expect(conversation.resetCode(7) == nil)
        #expect(conversation.requests.isEmpty)
        // A body that ends makes room.
        conversation.send(Frame.make(.data, flags: Frame.endStream, stream: 1))
        #expect(conversation.requests.count == 1)
        conversation.send(Frame.headers(stream: 11))
        #expect(conversation.requests.count == 2)
    }

    @Test func `cannot smuggle a second one through a value`() {
        for value in ["x\r\nhost: evil", "x\nhost: evil", "x\0", "x\r"] {
            let conversation = Conversation()
            conversation.send(Frame.headers(Frame.get + [("x-a", value)]))
            #expect(conversation.requests.isEmpty)
            #expect(conversation.resetCode(1) == .protocolError)
        }
        for path in ["/a b", "/a\r\nx: y", "/a HTTP/1.1\r\n\r\nGET /hit"] {
            let conversation = Conversation()
            var fields = Frame.get
            fields[2].1 = path
            conversation.send(Frame.headers(fields))
            #expect(conversation.requests.isEmpty)
            #expect(conversation.resetCode(1) == .protocolError)
        }
    }

    @Test func `of random bytes never ends the process`() {
        var generator = Generator()
        for _ in 0..<3000 {
            let conversation = Conversation()
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let payload =
                    Bool.random(using: &generator)
                    ? Frame.block(Frame.get)
                    : (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                        UInt8.random(in: 0...255, using: &generator)
                    }
                bytes += Frame.make(
                    UInt8.random(in: 0...11, using: &generator),
                    flags: UInt8.random(in: 0...63, using: &generator),
                    stream: UInt32.random(in: 0...6, using: &generator), payload)
            }
            conversation.send(bytes)
            for stream in Int32(0)...6 {
                conversation.answer("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", stream: stream)
            }
            #expect(
                conversation.session.answerBytes <= 4 * 7, "CORDON_SEED=\(generator.seed)")
        }
    }
}

@Suite struct `An answer of HTTP/2` {
    private let conversation = Conversation()

    @Test func `leaves in any order, without the fields of a connection`() {
        for stream in [1, 3, 5] as [UInt32] { conversation.send(Frame.headers(stream: stream)) }
        conversation.answer(
            "HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nConnection: close\r\n\r\nGIF", stream: 5)
        conversation.answer("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", stream: 1)
        let headers = conversation.frames.filter { $0.kind == 1 }
        #expect(headers.map(\.stream) == [5, 1])
        // Indexed `:status: 200` and `:status: 204` (RFC 7541 appendix A).
        #expect(headers.map { $0.payload.first } == [0x88, 0x89])
        #expect(headers.map { $0.flags & 1 } == [0, 1])
        #expect(conversation.data(5).bytes == Array("GIF".utf8))
        #expect(conversation.data(5).ended)
        #expect(conversation.data(3).bytes.isEmpty)
    }

    @Test func `to a stream that is gone is dropped`() {
        conversation.send(Frame.headers())
        conversation.send(Frame.make(.reset, stream: 1, Frame.number(8)))
        conversation.answer("HTTP/1.1 200 OK\r\nA: b\r\n\r\nGIF", stream: 1)
        #expect(!conversation.frames.contains { $0.kind == 1 })
        #expect(conversation.session.answerBytes == 0)
    }

    @Test func `is held back by the client's window and counted`() {
        conversation.send(Frame.settings([(4, 3)]))
        conversation.send(Frame.headers())
        conversation.answer("HTTP/1.1 200 OK\r\nA: b\r\n\r\nabcdefgh", stream: 1)
        #expect(conversation.data(1).bytes == Array("abc".utf8))
        #expect(conversation.session.answerBytes == 5)
        conversation.send(Frame.make(.windowUpdate, stream: 1, Frame.number(2)))
        #expect(conversation.data(1).bytes == Array("abcde".utf8))
        // A smaller initial window makes it negative (section 6.9.2).
        conversation.send(Frame.settings([(4, 0)]))
        conversation.send(Frame.make(.windowUpdate, stream: 1, Frame.number(3)))
        #expect(conversation.data(1).bytes == Array("abcde".utf8))
        conversation.send(Frame.make(.windowUpdate, stream: 1, Frame.number(3)))
        #expect(conversation.data(1).bytes == Array("abcdefgh".utf8))
        #expect(conversation.data(1).ended)
        #expect(conversation.session.answerBytes == 0)
        #expect(conversation.session.isIdle)
    }

    @Test func `of a draining connection still leaves, and then it is over`() {
        conversation.send(Frame.headers())
        conversation.session.drain()
        conversation.gather()
        #expect(conversation.goAway == .noError)
        #expect(!conversation.session.isOver)
        conversation.send(Frame.headers(stream: 3))
        #expect(conversation.requests.count == 1)
        conversation.answer("HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", stream: 1)
        #expect(conversation.frames.contains { $0.kind == 1 && $0.stream == 1 })
        #expect(conversation.session.isOver)
    }
}

@Suite struct `A flood over HTTP/2 ends the connection, calmly` {
    private let conversation = Conversation()

    private func floods(_ count: Int, _ frame: (Int) -> [UInt8]) -> Int? {
        for number in 0..<count {
            conversation.send(frame(number))
            if conversation.session.isOver { return number }
        }
        return nil
    }

    @Test func `of streams that the client resets at once (CVE-2023-44487)`() {
        let last = floods(1000) { number in
            let stream = UInt32(2 * number + 1)
            return Frame.headers(stream: stream)
                + Frame.make(.reset, stream: stream, Frame.number(8))
        }
        #expect(last == Int(HTTP2Limits.resetsMax))
        #expect(conversation.goAway == .enhanceYourCalm)
    }

    @Test func `of streams that the client makes the server reset`() {
        let last = floods(1000) { number in
            let stream = UInt32(2 * number + 1)
            return Frame.headers(stream: stream)
                + Frame.make(.windowUpdate, stream: stream, Frame.number(0))
        }
        #expect(last != nil)
        #expect([.enhanceYourCalm, .protocolError].contains(conversation.goAway))
    }

    @Test func `of malformed requests`() {
        let last = floods(1000) { number in
            Frame.headers(Frame.get + [("X", "")], stream: UInt32(2 * number + 1))
        }
        #expect(last == Int(HTTP2Limits.resetsMax))
        #expect(conversation.goAway == .enhanceYourCalm)
        #expect(conversation.requests.isEmpty)
    }

    @Test func `of CONTINUATION frames (CVE-2024-28182)`() {
        conversation.send(
            Frame.make(.headers, flags: Frame.endStream, stream: 1, Frame.block(Frame.get)))
        let last = floods(1000) { _ in Frame.make(.continuation, stream: 1, []) }
        #expect((last ?? .max) <= HTTP2Limits.continuationsMax)
        #expect(conversation.goAway == .enhanceYourCalm)
    }

    @Test func `of header fields`() {
        let field = Frame.block([("x", String(repeating: "a", count: 16_000))])
        conversation.send(
            Frame.make(.headers, flags: Frame.endStream, stream: 1, Frame.block(Frame.get)))
        let last = floods(8) { _ in Frame.make(.continuation, stream: 1, field) }
        #expect(last != nil)
        #expect(conversation.goAway == .enhanceYourCalm)
    }

    @Test(arguments: [
        Frame.make(.ping, [UInt8](repeating: 0, count: 8)), Frame.settings(),
        Frame.make(.windowUpdate, Frame.number(1)),
        Frame.make(.priority, stream: 9, [0, 0, 0, 0, 1]),
    ])
    func `of frames that ask for nothing`(_ frame: [UInt8]) {
        let last = floods(3000) { _ in frame }
        // The greeting was one of them.
        #expect(last == Int(HTTP2Limits.idleFramesMax) - 1)
        #expect(conversation.goAway == .enhanceYourCalm)
    }

    @Test func `of heads of a stream that was reset from here`() {
        conversation.send(Frame.headers(Frame.get + [("X", "")], stream: 5))
        #expect(conversation.resetCode(5) == .protocolError)
        let last = floods(3000) { _ in Frame.headers(stream: 5) }
        // The greeting was one of them.
        #expect(last == Int(HTTP2Limits.idleFramesMax) - 1)
        #expect(conversation.goAway == .enhanceYourCalm)
        #expect(conversation.requests.isEmpty)
    }

    @Test func `is what a head of a stream that was answered is not: it breaks the protocol`() {
        // Far more streams than are remembered.
        for number in 0..<300 {
            let stream = UInt32(2 * number + 1)
            conversation.send(Frame.headers(stream: stream))
            conversation.answer("HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", stream: Int32(stream))
        }
        #expect(conversation.goAway == nil)
        conversation.send(Frame.headers(stream: 597))
        #expect(conversation.goAway == .streamClosed)
        #expect(conversation.requests.count == 300)
    }

    @Test func `of empty DATA`() {
        conversation.send(Frame.headers(Frame.post, flags: Frame.endHeaders))
        let last = floods(3000) { _ in Frame.make(.data, stream: 1) }
        #expect(last == Int(HTTP2Limits.idleFramesMax) - 1)
        #expect(conversation.goAway == .enhanceYourCalm)
    }

    @Test func `of resets of streams that were answered`() {
        conversation.send(Frame.headers())
        conversation.answer("HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", stream: 1)
        let last = floods(3000) { _ in Frame.make(.reset, stream: 1, Frame.number(5)) }
        #expect(last == Int(HTTP2Limits.idleFramesMax))
        #expect(conversation.goAway == .enhanceYourCalm)
    }

    @Test func `but not a reset after each answer, which curl sends`() {
        for number in 0..<3000 {
            let stream = UInt32(2 * number + 1)
            conversation.send(Frame.headers(stream: stream))
            conversation.answer("HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", stream: Int32(stream))
            conversation.send(Frame.make(.reset, stream: stream, Frame.number(5)))
        }
        #expect(conversation.requests.count == 3000)
        #expect(conversation.goAway == nil)
    }

    @Test func `but not what a patient client sends`() {
        for _ in 0..<5000 {
            conversation.now += 20
            conversation.send(Frame.make(.ping, [UInt8](repeating: 0, count: 8)))
        }
        #expect(conversation.goAway == nil)
    }
}
