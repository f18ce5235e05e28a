import CordonModel
import Foundation
import TLS
import TestSupport
import Testing

@testable import CordonEdge

/// A collector that offers HTTP/2, and clients that others wrote.
@Suite struct `A collector with HTTP/2` {
    private let files: TestCertificates

    init() throws {
        files = try TestCertificates()
        try files.make("server")
    }

    private func fixture() throws -> EdgeFixture {
        let identity = try TLSIdentity(
            certificatePath: files.path("server.crt"), keyPath: files.path("server.key"))
        let context = try TLSContext(
            identity, applications: [.http2, .http1], scope: "test", tickets: TicketKeys(at: 0))
        return try EdgeFixture(loops: 1, tls: context)
    }

    /// Runs curl; a line for each answer.
    private func curl(_ fixture: EdgeFixture, _ path: String, _ arguments: [String] = []) throws
        -> String
    {
        try Tool.run(
            "curl",
            [
                "-s", "--http2", "-o", "/dev/null", "-w", "%{http_code} %{http_version}\n",
                "--cacert", files.path("server.crt"), "-H",
                "X-Forwarded-For: \(EdgeFixture.german)",
                "https://localhost:\(fixture.port())\(path)",
            ] + arguments
        ).output
    }

    @Test func `serves curl, and keeps the hit`() throws {
        let fixture = try fixture()
        #expect(try curl(fixture, "/pixel.gif?event=a") == "200 2\n")
        #expect(try curl(fixture, "/hit?event=b", ["-H", "Cookie: consent=granted"]) == "204 2\n")
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.map(\.event) == ["a", "b"])
        #expect(records.map(\.country) == ["DE", "DE"])
        #expect(records.map(\.consent) == [.absent, .granted])
        #expect(fixture.collector.counters()[EdgeEvent.http2Connections] == 2)
    }

    @Test func `keeps what is posted, and marks what a browser fetches ahead`() throws {
        let fixture = try fixture()
        #expect(
            try curl(fixture, "/hit", ["-d", "event=buy"]) == "204 2\n")
        #expect(
            try curl(fixture, "/hit?event=c", ["-H", "Sec-Purpose: prefetch"]) == "204 2\n")
        let long = String(repeating: "a", count: 9000)
        #expect(try curl(fixture, "/hit", ["-d", "event=" + long]) == "413 2\n")
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").map(\.event) == ["buy", "prefetch:c"])
    }

    @Test func `judges a request as over HTTP/1.1, and goes on with the connection`() throws {
        let fixture = try fixture()
        let long = String(repeating: "a", count: 9000)
        let cases = [
            ("/nothing", [], "404 2\n"), ("/healthz", [], "200 2\n"),
            ("/pixel.gif", ["-X", "DELETE"], "405 2\n"), ("/pixel.gif", ["-I"], "200 2\n"),
            ("/hit?x=\(long)", [], "414 2\n"),
            ("/hit", ["-H", "a: \(long)", "-H", "b: \(long)"], "431 2\n"),
        ]
        for (path, arguments, expected) in cases {
            #expect(try curl(fixture, path, arguments) == expected, "\(arguments)")
        }
        fixture.collector.drain()
        #expect(fixture.collector.counters().received == 0)
    }

    @Test func `answers clients side by side, and keeps every hit`() throws {
        let fixture = try fixture()
        let output = try curl(
            fixture, "/hit?consent=granted&event=e[1-300]",
            ["--parallel", "--parallel-max", "100", "-o", "/dev/null"])
        #expect(output.components(separatedBy: "204 2\n").count == 301)
        fixture.collector.drain()
        let events = Set(try fixture.records("eu-central").map(\.event))
        #expect(events.count == 300)
    }

    @Test func `answers many streams of one connection, and keeps every hit`() throws {
        let fixture = try fixture()
        let count = 64
        let settings = Self.frame(4, stream: 0, "")
        let requests = (0..<count).map { number in
            Self.frame(
                1, flags: 5, stream: 2 * number + 1,
                [
                    (":method", "GET"), (":scheme", "https"), (":path", "/hit?event=e\(number)"),
                    (":authority", "x"), ("x-forwarded-for", EdgeFixture.german),
                ].map { "\0" + Self.literal($0) + Self.literal($1) }.joined())
        }
        let goodbye = Self.frame(7, stream: 0, String(repeating: "\0", count: 8))
        _ = try Tool.run(
            "openssl",
            [
                "s_client", "-connect", "127.0.0.1:\(fixture.port())", "-quiet", "-alpn", "h2",
            ],
            input: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + requests.joined() + goodbye)
        fixture.collector.drain()
        let events = Set(try fixture.records("eu-central").map(\.event))
        #expect(events == Set((0..<count).map { "e\($0)" }))
        let counters = fixture.collector.counters()
        #expect(counters[EdgeEvent.http2Connections] == 1)
        #expect(counters[EdgeEvent.http2Ended] == 0)
    }

    /// A frame whose bytes are all below 128, so that it is text.
    private static func frame(_ kind: Int, flags: Int = 0, stream: Int, _ payload: String)
        -> String
    {
        let head = [0, 0, payload.utf8.count, kind, flags, 0, 0, 0, stream]
        precondition(head.allSatisfy { $0 < 128 }, "the frame would not be text")
        return String(decoding: head.map { UInt8($0) }, as: UTF8.self) + payload
    }

    private static func literal(_ text: String) -> String {
        String(decoding: [UInt8(text.utf8.count)], as: UTF8.self) + text
    }

    @Test func `sends whole pages`() throws {
        let fixture = try fixture()
        let page = try Tool.run(
            "curl",
            [
                "-s", "--http2", "--cacert", files.path("server.crt"),
                "https://localhost:\(fixture.port())/demo",
            ])
        #expect(page.output == DemoPage.html)
        let metrics = try Tool.run(
            "curl",
            [
                "-s", "--http2", "--cacert", files.path("server.crt"),
                "https://localhost:\(fixture.port())/metrics",
            ])
        #expect(metrics.output.contains("cordon_edge_http2_connections_total 2\n"))
        fixture.collector.drain()
    }

    @Test func `ends a connection that agreed on HTTP/2 and speaks something else`() throws {
        let fixture = try fixture()
        let result = try Tool.run(
            "openssl",
            [
                "s_client", "-connect", "127.0.0.1:\(fixture.port())", "-quiet", "-alpn", "h2",
            ], input: EdgeClient.request("/pixel.gif"))
        #expect(!result.output.contains("200"))
        fixture.collector.drain()
        #expect(fixture.collector.counters()[EdgeEvent.http2Ended] == 1)
        #expect(fixture.collector.counters().received == 0)
    }
}
