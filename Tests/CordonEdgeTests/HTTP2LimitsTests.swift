import Bytes
import CordonModel
import Foundation
import HTTP
import HTTP2
import LinuxIO
import SQLite
import Synchronization
import TLS
import TestSupport
import Testing

@testable import CordonEdge

/// Connections of HTTP/2 that take too long, ask for too much, or are told to go.
@Suite struct `A collector's connections of HTTP/2` {
    /// A clock that runs, and can be set forward.
    private final class Clock: Sendable {
        private let ahead = Mutex<UInt64>(0)
        var now: UInt64 { SystemClock.monotonicMilliseconds() + ahead.withLock { $0 } }
        func move(milliseconds: UInt64) { ahead.withLock { $0 += milliseconds } }
    }

    private let files: TestCertificates
    private let clock = Clock()

    init() throws {
        files = try TestCertificates()
        try files.make("server")
    }

    private func fixture(
        configure: (inout RegionConfiguration.Collector) -> Void = { _ in }
    ) throws -> EdgeFixture {
        let identity = try TLSIdentity(
            certificatePath: files.path("server.crt"), keyPath: files.path("server.key"))
        let context = try TLSContext(
            identity, applications: [.http2, .http1], scope: "test", tickets: TicketKeys(at: 0))
        let clock = clock
        return try EdgeFixture(
            loops: 1, tls: context, configure: configure, monotonic: { clock.now })
    }

    /// The answer to SETTINGS: the server has read what came before.
    private func greet(_ client: HTTP2Client) {
        _ = client.frames { $0.kind == Frame.Kind.settings.rawValue && $0.flags == 1 }
    }

    private func code(_ frames: [WrittenFrame]) -> HTTP2ErrorCode? {
        frames.compactMap(\.goAway).last.flatMap { HTTP2ErrorCode(rawValue: $0) }
    }

    @Test func `that are silent between requests get a goodbye without an error`() throws {
        let fixture = try fixture()
        let client = try HTTP2Client(port: fixture.port())
        client.send(HTTP2Client.hit(1, event: "a"))
        #expect(client.frames { $0.stream == 1 }.answered == [1])
        clock.move(milliseconds: HTTPLimits.idleMillisecondsMax + 1)
        #expect(code(client.frames()) == .noError)
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[EdgeEvent.connectionsTimedOut] == 1)
        #expect(counters[EdgeEvent.http2Ended] == 0)
        #expect(counters.connectionsOpen == 0)
    }

    @Test func `whose request does not end are ended`() throws {
        let fixture = try fixture()
        let client = try HTTP2Client(port: fixture.port())
        client.send(Frame.headers(Frame.post, flags: Frame.endHeaders))
        client.send(Frame.make(.data, stream: 1, Array("event=".utf8)))
        client.send(Frame.make(.ping, [UInt8](repeating: 7, count: 8)))
        _ = client.frames { $0.kind == Frame.Kind.ping.rawValue }
        clock.move(milliseconds: HTTP2Limits.requestMillisecondsMax + 1)
        #expect(code(client.frames()) == .enhanceYourCalm)
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[EdgeEvent.connectionsTimedOut] == 1)
        #expect(counters[EdgeEvent.http2Ended] == 1)
        #expect(counters.received == 0)
    }

    @Test func `whose client takes no answers are ended`() throws {
        let fixture = try fixture()
        let client = try HTTP2Client(port: fixture.port(), window: 0)
        client.send(Frame.headers([(":path", "/demo")] + Frame.get.filter { $0.0 != ":path" }))
        #expect(client.frames { $0.stream == 1 }.answered == [1])
        clock.move(milliseconds: EdgeLimits.streamMillisecondsMax + 1)
        #expect(code(client.frames()) == .enhanceYourCalm)
        fixture.collector.drain()
        #expect(fixture.collector.counters()[EdgeEvent.http2Ended] == 1)
    }

    @Test func `are told of a drain, and what has arrived is answered and kept`() throws {
        let fixture = try fixture()
        let client = try HTTP2Client(port: fixture.port())
        let journal = try fixture.held()
        try journal.hold()
        client.send((0..<40).flatMap { HTTP2Client.hit(2 * $0 + 1, event: "e\($0)") })
        // A post of which a part has come: it was accepted too, and its client is told how far that went.
        client.send(Frame.headers(Frame.post, stream: 81, flags: Frame.endHeaders))
        client.send(Frame.make(.ping, [UInt8](repeating: 7, count: 8)))
        _ = client.frames { $0.kind == Frame.Kind.ping.rawValue }
        let collector = fixture.collector
        let drain = Thread { collector.drain() }
        drain.start()
        let before = client.frames { $0.goAway != nil }
        #expect(before.answered == [])
        #expect(code(before) == .noError)
        client.send(Frame.make(.data, flags: Frame.endStream, stream: 81, []))
        journal.release()
        let after = client.frames()
        #expect(Set(after.answered).isSuperset(of: (0..<40).map { UInt32(2 * $0 + 1) }))
        #expect(code(after) ?? .noError == .noError)
        while !drain.isFinished { usleep(1000) }
        #expect(
            Set(try fixture.records("eu-central").map(\.event)).isSuperset(
                of: (0..<40).map { "e\($0)" }))
        #expect(fixture.collector.counters()[.noContent] >= 40)
        #expect(fixture.collector.counters()[EdgeEvent.http2Ended] == 0)
    }

    @Test func `are held to the limits of their address, request by request`() throws {
        let trusted = try #require(IPPrefix("192.0.2.0/24"))
        let fixture = try fixture {
            $0.trustedProxies = [trusted]
            $0.limits.requestsPerSecondPerAddress = 5
            $0.limits.connectionsPerAddress = 1
        }
        let client = try HTTP2Client(port: fixture.port())
        client.send((0..<20).flatMap { HTTP2Client.hit(2 * $0 + 1, event: "e\($0)") })
        var answers = 0
        _ = client.frames {
            answers += $0.kind == Frame.Kind.headers.rawValue ? 1 : 0
            return answers == 20
        }
        // One connection is enough for it.
        #expect(try HTTP2Client(port: fixture.port()).frames() == [])
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        let limited = counters[EdgeEvent.requestsLimited]
        #expect(limited >= 1 && limited <= 15)
        #expect(counters[.tooManyRequests] == limited)
        #expect(counters.received == 20 - limited)
        #expect(counters[EdgeEvent.connectionsLimited] == 1)
        #expect(counters[EdgeEvent.http2Ended] == 0)
    }

    @Test func `keep a body within its bound, and answer the rest of the connection`() throws {
        let fixture = try fixture()
        let client = try HTTP2Client(port: fixture.port())
        let fields = Frame.post + [("content-type", "text/plain")]
        func post(_ stream: UInt32, _ body: [UInt8]) -> [UInt8] {
            Frame.headers(fields, stream: stream, flags: Frame.endHeaders)
                + Frame.make(.data, flags: Frame.endStream, stream: stream, body)
        }
        let start = Array("event=long&x=".utf8)
        client.send(
            post(1, start + [UInt8](repeating: 0x61, count: HTTPLimits.postBytesMax - start.count)))
        client.send(
            post(
                3,
                start + [UInt8](repeating: 0x61, count: HTTPLimits.postBytesMax - start.count + 1)
            ))
        client.send(post(5, Array("event=short".utf8)))
        var answers = 0
        _ = client.frames {
            answers += $0.kind == Frame.Kind.headers.rawValue ? 1 : 0
            return answers == 3
        }
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[.noContent] == 2)
        #expect(counters[.contentTooLarge] == 1)
        #expect(Set(try fixture.records("eu-central").map(\.event)) == ["long", "short"])
    }

    struct Flood: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let bytes: [UInt8]
        init(_ name: String, _ bytes: [UInt8]) {
            testDescription = name
            self.bytes = bytes
        }
    }

    private static let floods: [Flood] = {
        var resets: [UInt8] = []
        for number in 0..<2 * Int(HTTP2Limits.resetsMax) {
            let stream = 2 * number + 1
            resets += HTTP2Client.hit(stream, event: "reset")
            resets += Frame.make(.reset, stream: UInt32(stream), Frame.number(8))
        }
        let start = Frame.make(
            .headers, flags: Frame.endStream, stream: 1, Frame.block(Frame.get))
        let small = Frame.make(.continuation, stream: 1, Frame.block([("a", "b")]))
        let large = Frame.make(
            .continuation, stream: 1, Frame.block([("x", String(repeating: "a", count: 16_000))]))
        let ping = Frame.make(.ping, [UInt8](repeating: 0, count: 8))
        func many(_ frame: [UInt8], _ count: Int) -> [UInt8] {
            Array([[UInt8]](repeating: frame, count: count).joined())
        }
        let idle = 2 * Int(HTTP2Limits.idleFramesMax)
        return [
            Flood("of requests that are reset at once (CVE-2023-44487)", resets),
            Flood("of CONTINUATION frames (CVE-2024-28182)", start + many(small, 100)),
            Flood("of header fields", start + many(large, HTTP2Limits.continuationsMax - 1)),
            Flood("of PING", many(ping, idle)),
            Flood("of SETTINGS", many(Frame.settings(), idle)),
        ]
    }()

    @Test(arguments: floods) func `that are a flood are ended, and others served on`(
        _ flood: Flood
    ) throws {
        let fixture = try fixture()
        let other = try HTTP2Client(port: fixture.port())
        greet(other)
        let client = try HTTP2Client(port: fixture.port())
        client.send(flood.bytes)
        #expect(code(client.frames()) == .enhanceYourCalm)
        other.send(HTTP2Client.hit(1, event: "other"))
        #expect(other.frames { $0.stream == 1 }.answered == [1])
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[EdgeEvent.http2Ended] == 1)
        #expect(counters[EdgeEvent.http2Connections] == 2)
        // What was taken back before its answer may have been kept; nothing is kept twice or counted as failed.
        #expect(counters.total(.failed) == 0)
        #expect(try fixture.records("eu-central").filter { $0.event == "other" }.count == 1)
        #expect(
            try fixture.records("eu-central").filter { $0.event == "reset" }.count
                <= Int(HTTP2Limits.resetsMax) + 1)
    }
}
