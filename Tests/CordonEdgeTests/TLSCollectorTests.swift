import Bytes
import CordonModel
import Foundation
import LinuxIO
import TLS
import Telemetry
import TestSupport
import Testing

@testable import CordonEdge

/// A collector of regions with one certificate, and the clients that others wrote.
@Suite struct `A collector with TLS` {
    private let files: TestCertificates
    private let tickets = TicketKeys(at: 0)

    init() throws {
        files = try TestCertificates()
        try files.make("server")
    }

    private func context(
        _ name: String = "server", authorities: String? = nil, minimum: TLSVersion = .tls12
    ) throws -> TLSContext {
        try TLSContext(
            TLSIdentity(
                certificatePath: files.path(name + ".crt"), keyPath: files.path(name + ".key")),
            authorities: authorities.map { try TLSAuthorities(path: files.path($0 + ".crt")) },
            minimum: minimum, applications: [.http2, .http1], scope: "test", tickets: tickets)
    }

    /// Runs curl on `path`; returns status, version of HTTP and exit code.
    private func curl(
        _ fixture: EdgeFixture, _ path: String, _ arguments: [String] = [],
        trusting name: String = "server"
    ) throws -> String {
        let result = try Tool.run(
            "curl",
            [
                "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "--cacert",
                files.path(name + ".crt"), "-H", "X-Forwarded-For: \(EdgeFixture.german)",
                "https://localhost:\(fixture.port())\(path)",
            ] + arguments)
        return "\(result.output) \(result.exitCode)"
    }

    private func client(_ fixture: EdgeFixture, _ arguments: [String]) throws -> String {
        try Tool.run(
            "openssl",
            [
                "s_client", "-connect", "127.0.0.1:\(fixture.port())", "-CAfile",
                files.path("server.crt"), "-ign_eof",
            ] + arguments,
            input: "GET /pixel.gif HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ).output
    }

    @Test(arguments: [
        ["--http1.1"], ["--http1.1", "--tls-max", "1.2"], ["--http1.1", "--tlsv1.3"],
        ["--no-alpn"],
        ["--http1.1", "--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"],
    ])
    func `serves curl, and keeps the hit`(_ arguments: [String]) throws {
        let fixture = try EdgeFixture(loops: 1, tls: context())
        #expect(try curl(fixture, "/pixel.gif?event=a", arguments) == "200 1.1 0")
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").map(\.event) == ["a"])
        #expect(fixture.collector.counters()[HandshakeOutcome.full] == 1)
    }

    @Test func `answers pipelined requests in records of any size`() throws {
        let fixture = try EdgeFixture(loops: 1, tls: context())
        let count = 200
        let requests = (0..<count).map { number in
            EdgeClient.request(number % 50 == 0 ? "/demo" : "/1x1.png?event=e\(number)")
        }
        let result = try Tool.run(
            "openssl",
            [
                "s_client", "-connect", "127.0.0.1:\(fixture.port())", "-quiet", "-CAfile",
                files.path("server.crt"), "-split_send_frag", "700",
            ],
            input: requests.joined()
                + "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(result.output.components(separatedBy: "HTTP/1.1 200 OK").count == count + 2)
        fixture.collector.drain()
        #expect(fixture.collector.counters().received == UInt64(count - count / 50))
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func `resumes a session, also after the certificate was replaced`(_ version: String) throws {
        let fixture = try EdgeFixture(loops: 2, tls: context())
        let session = files.path("session")
        #expect(try client(fixture, [version, "-sess_out", session]).contains("New, TLSv1."))
        #expect(
            try client(fixture, [version, "-sess_in", session]).contains("Reused, TLSv1."))
        try files.make("next")
        fixture.collector.replace(
            tlsContexts: try fixture.regions.map { _ in try context("next") })
        #expect(
            try client(fixture, [version, "-sess_in", session]).contains("Reused, TLSv1."))
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[HandshakeOutcome.full] == 1)
        #expect(counters[HandshakeOutcome.resumed] == 2)
        #expect(counters.received == 3)
    }

    @Test func `takes no early data`() throws {
        let fixture = try EdgeFixture(loops: 1, tls: context())
        let session = files.path("session")
        _ = try client(fixture, ["-tls1_3", "-sess_out", session])
        let early = files.path("early")
        try "GET /pixel.gif HTTP/1.1\r\nHost: x\r\n\r\n".write(
            toFile: early, atomically: true, encoding: .utf8)
        let output = try client(
            fixture, ["-tls1_3", "-sess_in", session, "-early_data", early])
        #expect(!output.contains("Early data was accepted"))
        fixture.collector.drain()
        #expect(fixture.collector.counters().received == 2)
    }

    @Test func `shows a replaced certificate to new connections and lets old ones go on`() throws {
        try files.make("next")
        let fixture = try EdgeFixture(loops: 1, tls: context())
        let old = try RunningTool(
            "openssl",
            [
                "s_client", "-connect", "127.0.0.1:\(fixture.port())", "-quiet", "-CAfile",
                files.path("server.crt"),
            ])
        old.send(EdgeClient.request("/healthz"))
        #expect(old.receive(until: "ok\n"))
        fixture.collector.replace(
            tlsContexts: try fixture.regions.map { _ in try context("next") })
        #expect(
            try curl(fixture, "/healthz", ["--http1.1"], trusting: "next") == "200 1.1 0")
        // 60: the peer's certificate is not one of those trusted.
        #expect(try curl(fixture, "/healthz", trusting: "server").hasSuffix(" 60"))
        old.send(EdgeClient.request("/readyz"))
        #expect(old.receive(until: "ok\n"))
        old.end()
        fixture.collector.drain()
    }

    @Test
    func `asks for a client's certificate where told to, and takes those of its authority alone`()
        throws
    {
        try files.make("authority")
        try files.make("friend", issuer: "authority")
        try files.make("stranger")
        let fixture = try EdgeFixture(loops: 1, tls: context(authorities: "authority"))
        func pair(_ name: String) -> [String] {
            [
                "--http1.1", "--cert", files.path(name + ".crt"), "--key",
                files.path(name + ".key"),
            ]
        }
        #expect(try curl(fixture, "/pixel.gif", pair("friend")) == "200 1.1 0")
        #expect(try !curl(fixture, "/pixel.gif", pair("stranger")).hasPrefix("200"))
        #expect(try !curl(fixture, "/pixel.gif").hasPrefix("200"))
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[HandshakeOutcome.full] == 1)
        #expect(counters[HandshakeOutcome.clientCertificate] == 2)
        #expect(counters.received == 1)
    }

    @Test func `resumes no session that was made under other authorities`() throws {
        try files.make("authority")
        try files.make("friend", issuer: "authority")
        try files.make("other")
        let fixture = try EdgeFixture(loops: 1, tls: context(authorities: "authority"))
        let session = files.path("session")
        let pair = ["-cert", files.path("friend.crt"), "-key", files.path("friend.key")]
        _ = try client(fixture, pair + ["-sess_out", session])
        fixture.collector.replace(
            tlsContexts: try fixture.regions.map { _ in try context(authorities: "other") })
        let output = try client(fixture, pair + ["-sess_in", session])
        #expect(!output.contains("200 OK"))
        fixture.collector.drain()
        #expect(fixture.collector.counters().received == 1)
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func `has a client that must show its certificate show it each time`(_ version: String) throws {
        try files.make("authority")
        try files.make("friend", issuer: "authority")
        let session = files.path("session")
        let pair = ["-cert", files.path("friend.crt"), "-key", files.path("friend.key"), version]
        // What was begun before certificates were asked for does not do either.
        let fixture = try EdgeFixture(loops: 1, tls: context())
        #expect(try client(fixture, pair + ["-sess_out", session]).contains("New, TLSv1."))
        fixture.collector.replace(
            tlsContexts: try fixture.regions.map { _ in try context(authorities: "authority") })
        #expect(
            try client(fixture, pair + ["-sess_in", session, "-sess_out", session])
                .contains("New, TLSv1."))
        #expect(try client(fixture, pair + ["-sess_in", session]).contains("New, TLSv1."))
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[HandshakeOutcome.full] == 3)
        #expect(counters[HandshakeOutcome.resumed] == 0)
        #expect(counters.received == 3)
    }

    struct Refusal: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let arguments: [String]
        let outcome: HandshakeOutcome
        init(_ name: String, _ arguments: [String], _ outcome: HandshakeOutcome) {
            testDescription = name
            self.arguments = arguments
            self.outcome = outcome
        }
    }

    @Test(arguments: [
        Refusal("TLS 1.0", ["-tls1", "-cipher", "ALL:@SECLEVEL=0"], .version),
        Refusal("TLS 1.1", ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], .version),
        Refusal(
            "a cipher without authentication of data",
            ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"],
            .cipher),
        Refusal(
            "a key exchange without forward secrecy", ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
            .cipher),
        Refusal("a group of its own", ["-tls1_3", "-groups", "P-521"], .cipher),
        Refusal("another protocol inside", ["-alpn", "spdy/3"], .application),
        Refusal("distrust", ["-verify_return_error"], .alert),
    ])
    func `refuses`(_ refusal: Refusal) throws {
        let fixture = try EdgeFixture(loops: 1, tls: context())
        let result = try Tool.run(
            "openssl",
            ["s_client", "-connect", "127.0.0.1:\(fixture.port())", "-quiet"] + refusal.arguments,
            input: "GET /pixel.gif HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(!result.output.contains("200 OK"))
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[refusal.outcome] == 1, "\(counters.handshakes)")
        #expect(counters.received == 0)
    }

    @Test func `speaks TLS 1.3 alone where told to`() throws {
        let fixture = try EdgeFixture(loops: 1, tls: context(minimum: .tls13))
        #expect(try curl(fixture, "/healthz", ["--http1.1"]) == "200 1.1 0")
        #expect(try !curl(fixture, "/healthz", ["--tls-max", "1.2"]).hasPrefix("200"))
        fixture.collector.drain()
        #expect(fixture.collector.counters()[HandshakeOutcome.version] == 1)
    }

    @Test func `cuts plain HTTP and garbage off, counts them and serves others on`() throws {
        let fixture = try EdgeFixture(loops: 1, tls: context())
        let garbage = [
            "GET /pixel.gif HTTP/1.1\r\nHost: x\r\n\r\n", String(repeating: "\u{0}", count: 400),
            "\u{16}\u{3}\u{1}zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        ]
        for bytes in garbage {
            let client = try fixture.client()
            client.send(bytes)
            client.endSending()
            #expect(client.answer() == nil)
        }
        #expect(try curl(fixture, "/healthz", ["--http1.1"]) == "200 1.1 0")
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[HandshakeOutcome.notTLS] >= 2, "\(counters.handshakes)")
        #expect(counters[HandshakeOutcome.full] == 1)
        #expect(counters.received == 0)
    }

    @Test func `closes a handshake that takes too long`() throws {
        let fixture = try EdgeFixture(loops: 1, tls: context(), handshakeMilliseconds: 1)
        let client = try fixture.client()
        client.send("\u{16}\u{3}\u{1}")
        #expect(client.answer() == nil)
        fixture.collector.drain()
        #expect(fixture.collector.counters()[HandshakeOutcome.timedOut] == 1)
    }

    @Test func `drains while a handshake stands still`() throws {
        let fixture = try EdgeFixture(loops: 1, tls: context())
        let client = try fixture.client()
        client.send("\u{16}\u{3}\u{1}")
        fixture.collector.drain()
        #expect(client.answer() == nil)
    }

    @Test func `says goodbye before it closes`() throws {
        let fixture = try EdgeFixture(loops: 1, tls: context())
        let output = try client(fixture, ["-trace"])
        #expect(output.contains("close notify") || output.contains("close_notify"))
        fixture.collector.drain()
    }

    /// A client that sends `first` before it begins TLS, and then a request; returns what came back.
    private func client(
        _ fixture: EdgeFixture, sendsFirst first: String, applications: String = "http/1.1"
    ) throws -> String {
        try Tool.run(
            "python3",
            [
                "-c",
                """
                import socket, ssl, sys
                context = ssl.create_default_context(cafile=sys.argv[2])
                context.set_alpn_protocols([sys.argv[4]])
                plain = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
                plain.sendall(bytes.fromhex(sys.argv[3]))
                try:
                    with context.wrap_socket(plain, server_hostname="localhost") as tls:
                        print(tls.selected_alpn_protocol())
                        tls.sendall(b"GET /hit?consent=granted HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
                        print(tls.recv(65536))
                except OSError as error:
                    print(type(error).__name__)
                """, "\(fixture.port())", files.path("server.crt"),
                Bytes.hex(Array(first.utf8)), applications,
            ]
        ).output
    }

    @Test func `reads the PROXY header before TLS, and the client from it`() throws {
        SentValues.note(EdgeFixture.german)
        let trusted = try #require(IPPrefix("127.0.0.0/8"))
        let fixture = try EdgeFixture(loops: 1, tls: context()) {
            $0.clientAddress = .proxyProtocol
            $0.trustedProxies = [trusted]
        }
        let header = "PROXY TCP4 \(EdgeFixture.german) 192.0.2.1 56324 443\r\n"
        let output = try client(fixture, sendsFirst: header)
        #expect(output.contains("http/1.1") && output.contains("204 No Content"), "\(output)")
        #expect(try client(fixture, sendsFirst: header, applications: "h2").hasPrefix("h2\n"))
        // TLS without a header, and a header that is none, end before the handshake.
        for first in ["", "PROXY TCP4 nobody\r\n"] {
            let output = try client(fixture, sendsFirst: first)
            #expect(!output.contains("204"), "\(output)")
        }
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.map(\.ipPrefix) == ["46.4.10.0/24"])
        let counters = fixture.collector.counters()
        #expect(counters[EdgeEvent.proxyHeadersMalformed] == 2)
        #expect(counters[HandshakeOutcome.full] == 2)
        #expect(counters[AddressProvenance.proxy] == 1)
    }

    @Test func `takes a client's new certificate after a reload, while its old connection lives`()
        throws
    {
        try files.make("authority")
        try files.make("friend", issuer: "authority")
        try files.make("other")
        try files.make("newcomer", issuer: "other")
        let fixture = try EdgeFixture(loops: 1, tls: context(authorities: "authority"))
        func pair(_ name: String) -> [String] {
            ["-cert", files.path(name + ".crt"), "-key", files.path(name + ".key")]
        }
        let old = try RunningTool(
            "openssl",
            ["s_client", "-connect", "127.0.0.1:\(fixture.port())", "-quiet"] + pair("friend"))
        old.send(EdgeClient.request("/healthz"))
        #expect(old.receive(until: "ok\n"))
        #expect(try !client(fixture, pair("newcomer")).contains("200 OK"))
        fixture.collector.replace(
            tlsContexts: try fixture.regions.map { _ in try context(authorities: "other") })
        #expect(try client(fixture, pair("newcomer")).contains("200 OK"))
        #expect(try !client(fixture, pair("friend")).contains("200 OK"))
        old.send(EdgeClient.request("/readyz"))
        #expect(old.receive(until: "ok\n"))
        old.end()
        fixture.collector.drain()
        #expect(fixture.collector.counters()[HandshakeOutcome.clientCertificate] == 2)
    }

    @Test func `offers neither renegotiation nor compression`() throws {
        let fixture = try EdgeFixture(loops: 1, tls: context())
        let output = try client(fixture, ["-tls1_2"])
        #expect(output.contains("Compression: NONE"), "\(output)")
        let asking = try RunningTool(
            "openssl",
            ["s_client", "-connect", "127.0.0.1:\(fixture.port())", "-tls1_2", "-ign_eof"])
        // `R` at the start of a line asks for it.
        asking.send("R\n")
        #expect(!asking.receive(until: "HTTP/1.1 200"))
        asking.end()
        #expect(try curl(fixture, "/healthz", ["--http1.1"]) == "200 1.1 0")
        fixture.collector.drain()
    }

    @Test func `writes no address to its log`() throws {
        let fixture = try EdgeFixture(loops: 1, tls: context())
        let client = try fixture.client()
        client.send("GET / HTTP/1.1\r\n\r\n")
        #expect(client.answer() == nil)
        _ = try curl(fixture, "/pixel.gif")
        fixture.collector.drain()
        #expect(!fixture.log.lines.contains { $0.contains("127.0.0.1") })
    }
}

/// A program under way that is written to and read from.
private final class RunningTool {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var received = ""

    init(_ name: String, _ arguments: [String]) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [name] + arguments
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    func send(_ text: String) { input.fileHandleForWriting.write(Data(text.utf8)) }

    /// Reads until `mark` has come, and forgets what came up to it; false when the program ended before.
    func receive(until mark: String) -> Bool {
        while true {
            if let range = received.range(of: mark) {
                received.removeSubrange(..<range.upperBound)
                return true
            }
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { return false }
            received += String(decoding: data, as: UTF8.self)
        }
    }

    func end() {
        try? input.fileHandleForWriting.close()
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
