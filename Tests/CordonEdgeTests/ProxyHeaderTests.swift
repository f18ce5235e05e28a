import Bytes
import CordonModel
import TestSupport
import Testing

@testable import CordonEdge

/// First bytes of a connection and what they are.
private struct Case: CustomTestStringConvertible, Sendable {
    let why: String
    let bytes: [UInt8]
    let statement: ProxyHeader.Statement?

    init(_ why: String, _ bytes: [UInt8], _ statement: ProxyHeader.Statement?) {
        self.why = why
        self.bytes = bytes
        self.statement = statement
    }

    init(_ why: String, _ text: String, _ statement: ProxyHeader.Statement?) {
        self.init(why, Array(text.utf8), statement)
    }

    var testDescription: String { why }

    static func source(_ text: String) -> ProxyHeader.Statement {
        .source(IPAddress(text) ?? IPAddress(ipv4: 0))
    }

    static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    static func binary(_ command: UInt8, _ family: UInt8, _ rest: [UInt8], length: Int? = nil)
        -> [UInt8]
    {
        let length = length ?? rest.count
        return signature + [command, family, UInt8(length >> 8), UInt8(length & 255)] + rest
    }

    static let ipv4: [UInt8] = [46, 4, 10, 20, 192, 0, 2, 1, 0xDC, 0x04, 0x01, 0xBB]
    static let ipv6: [UInt8] =
        [0x2A, 0x01, 0x04, 0xF8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3]
        + [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 12) + [0xDC, 0x04, 0x01, 0xBB]

    static let text: [Case] = [
        // The example and the longest lines of section 2.1.
        Case(
            "the example", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            source("192.168.0.1")),
        Case(
            "the longest IPv4 line",
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            source("255.255.255.255")),
        Case(
            "the longest IPv6 line",
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            source("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
        Case("unknown, short", "PROXY UNKNOWN\r\n", .unknown),
        Case(
            "unknown, the worst case",
            "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            .unknown),
        Case("short IPv6", "PROXY TCP6 2a01:4f8::1 ::1 0 1\r\n", source("2a01:4f8::1")),
        Case("an IPv4 address as TCP6", "PROXY TCP6 46.4.1.2 46.4.1.3 1 2\r\n", nil),
        Case("an IPv6 address as TCP4", "PROXY TCP4 ::1 ::1 1 2\r\n", nil),
        Case("families that differ", "PROXY TCP4 46.4.1.2 ::1 1 2\r\n", nil),
        Case("a leading zero in an address", "PROXY TCP4 046.4.1.2 46.4.1.3 1 2\r\n", nil),
        Case("a leading zero in a port", "PROXY TCP4 46.4.1.2 46.4.1.3 01 2\r\n", nil),
        Case("a port too large", "PROXY TCP4 46.4.1.2 46.4.1.3 65536 2\r\n", nil),
        Case("a port with a sign", "PROXY TCP4 46.4.1.2 46.4.1.3 +1 2\r\n", nil),
        Case("no port", "PROXY TCP4 46.4.1.2 46.4.1.3 1\r\n", nil),
        Case("a blank at the end", "PROXY TCP4 46.4.1.2 46.4.1.3 1 2 \r\n", nil),
        Case("one word more", "PROXY TCP4 46.4.1.2 46.4.1.3 1 2 3\r\n", nil),
        Case("two blanks", "PROXY TCP4  46.4.1.2 46.4.1.3 1 2\r\n", nil),
        Case("another family", "PROXY UDP4 46.4.1.2 46.4.1.3 1 2\r\n", nil),
        Case("a family in lowercase", "PROXY tcp4 46.4.1.2 46.4.1.3 1 2\r\n", nil),
        Case("no family", "PROXY \r\n", nil),
        Case("no blank", "PROXY\r\n", nil),
        Case("a bare line feed", "PROXY TCP4 46.4.1.2 46.4.1.3 1 2\n", nil),
        Case("a bare carriage return", "PROXY TCP4 46.4.1.2 46.4.1.3 1 2\r\r\n", nil),
        Case(
            "a line without end", "PROXY UNKNOWN " + String(repeating: "f", count: 93), nil),
        Case(
            "a line of 108 bytes",
            "PROXY UNKNOWN " + String(repeating: "f", count: 92) + "\r\n", nil),
        Case("lowercase", "proxy UNKNOWN\r\n", nil),
        Case("a request", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", nil),
        Case("a request that begins alike", "PROPFIND / HTTP/1.1\r\n\r\n", nil),
        Case("a TLS handshake", [0x16, 3, 1, 2, 0, 1, 0], nil),
        Case("an empty line", "\r\nGET / HTTP/1.1\r\n\r\n", nil),
    ]

    static let binaries: [Case] = [
        Case("TCP over IPv4", binary(0x21, 0x11, ipv4), source("46.4.10.20")),
        Case("TCP over IPv6", binary(0x21, 0x21, ipv6), source("2a01:4f8:1:2::3")),
        Case(
            "further fields are skipped", binary(0x21, 0x11, ipv4 + [0x04, 0, 2, 9, 9]),
            source("46.4.10.20")),
        Case(
            "the longest header",
            binary(0x21, 0x11, ipv4 + [UInt8](repeating: 7, count: 536 - 28)), source("46.4.10.20")),
        Case("one byte longer", binary(0x21, 0x11, ipv4, length: 521), nil),
        Case("the largest length", binary(0x21, 0x11, ipv4, length: 65_535), nil),
        Case("LOCAL", binary(0x20, 0x00, []), .local),
        Case("LOCAL with what it should not have", binary(0x20, 0xFF, ipv4), .local),
        Case("unspecified", binary(0x21, 0x00, []), .unknown),
        Case("unspecified with addresses", binary(0x21, 0x00, ipv4), .unknown),
        Case("a family without transport", binary(0x21, 0x10, ipv4), .unknown),
        Case("UDP over IPv4", binary(0x21, 0x12, ipv4), .unknown),
        Case("UDP over IPv6", binary(0x21, 0x22, ipv6), .unknown),
        Case(
            "a Unix socket", binary(0x21, 0x31, [UInt8](repeating: 0, count: 216)), .unknown),
        Case("a short Unix address", binary(0x21, 0x31, ipv6), nil),
        Case("a short IPv4 address", binary(0x21, 0x11, Array(ipv4.dropLast())), nil),
        Case("a short IPv6 address", binary(0x21, 0x21, ipv4), nil),
        Case("version 1 in binary", binary(0x11, 0x11, ipv4), nil),
        Case("version 3", binary(0x31, 0x11, ipv4), nil),
        Case("an unknown command", binary(0x22, 0x11, ipv4), nil),
        Case("an unknown family", binary(0x21, 0x41, ipv4), nil),
        Case("an unknown transport", binary(0x21, 0x13, ipv4), nil),
        Case("a signature with a fault", [0x0D, 0x0A, 0x0D, 0x0A, 0x01], nil),
    ]
}

@Suite struct `PROXY headers` {
    @Test(arguments: Case.text + Case.binaries)
    private func `are read by their specification, byte by byte`(_ item: Case) {
        var expected = ProxyHeader.Reading.malformed
        if let statement = item.statement {
            expected = .header(byteCount: item.bytes.count, statement)
        }
        #expect(ProxyHeader.read(item.bytes.span) == expected)
        // Whole or not, what follows changes nothing.
        let longer = item.bytes + Array("GET / HTTP/1.1\r\n".utf8)
        #expect(ProxyHeader.read(longer.span) == expected)
        // Every start of a good header asks for more; a bad one is refused at the latest with its last byte.
        for count in 0..<item.bytes.count {
            let reading = ProxyHeader.read(item.bytes.span.extracting(first: count))
            if item.statement != nil || reading != .malformed { #expect(reading == .needMore) }
        }
    }

    @Test func `damaged headers never crash, and once refused they stay refused`() {
        var random = Generator()
        let seeds = (Case.text + Case.binaries).map(\.bytes)
        for _ in 0..<5000 {
            var bytes = seeds.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            var isRefused = false
            for count in 0...bytes.count {
                let reading = ProxyHeader.read(bytes.span.extracting(first: count))
                if isRefused { #expect(reading == .malformed, "seed \(random.seed)") }
                isRefused = reading == .malformed
                if case .header(let byteCount, _) = reading {
                    #expect(byteCount <= ProxyHeader.bytesMax, "seed \(random.seed)")
                    break
                }
            }
        }
    }
}

@Suite struct `A collector behind the PROXY protocol` {
    private func fixture(trusting prefix: String = "127.0.0.0/8") throws -> EdgeFixture {
        let trusted = try #require(IPPrefix(prefix))
        return try EdgeFixture(loops: 1) { collector in
            collector.clientAddress = .proxyProtocol
            collector.trustedProxies = [trusted]
        }
    }

    private static let hit = EdgeClient.request("/hit?consent=granted")

    @Test func `takes the client from either version, for each request of the connection`() throws {
        let fixture = try fixture()
        let first = try fixture.client()
        first.send("PROXY TCP4 \(EdgeFixture.german) 192.0.2.1 56324 443\r\n" + Self.hit + Self.hit)
        for _ in 0..<2 { #expect(first.answer()?.status == 204) }
        let second = try fixture.client()
        second.send(bytes: Case.binary(0x21, 0x21, Case.ipv6) + Array(Self.hit.utf8))
        #expect(second.answer()?.status == 204)
        // A header of a request says nothing here.
        let third = try fixture.client()
        third.send(
            "PROXY TCP4 8.8.8.9 192.0.2.1 56324 443\r\n"
                + EdgeClient.request("/hit", ["X-Forwarded-For: \(EdgeFixture.german)"]))
        #expect(third.answer()?.status == 204)
        fixture.collector.drain()
        #expect(
            Set(try fixture.records("eu-central").map { $0.ipPrefix ?? "" })
                == ["46.4.10.0/24", "2a01:4f8:1::/48"])
        #expect(try fixture.records("us-east").map(\.country) == ["US"])
        #expect(fixture.collector.counters()[AddressProvenance.proxy] == 4)
    }

    @Test func `a header that comes a byte at a time is waited for`() throws {
        let fixture = try fixture()
        let client = try fixture.client()
        for byte in Case.binary(0x21, 0x11, Case.ipv4) + Array(Self.hit.utf8) {
            client.send(bytes: [byte])
        }
        #expect(client.answer()?.status == 204)
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").map(\.ipPrefix) == ["46.4.10.0/24"])
    }

    @Test func `closes what does not begin with a header, and counts it`() throws {
        let fixture = try fixture()
        for start in [
            Array(Self.hit.utf8), Array("PROXY TCP4 nobody\r\n".utf8) + Array(Self.hit.utf8),
            Case.signature + [0x41, 0, 0, 0],
        ] {
            let client = try fixture.client()
            client.send(bytes: start)
            #expect(client.answer() == nil)
        }
        let cut = try fixture.client()
        cut.send("PROXY TCP4 46.4.10.20 ")
        cut.endSending()
        #expect(cut.answer() == nil)
        fixture.collector.drain()
        #expect(fixture.collector.counters()[EdgeEvent.proxyHeadersMalformed] == 4)
        #expect(fixture.collector.counters().received == 0)
    }

    @Test func `whom the proxy cannot name is unknown, and the proxy itself is a peer`() throws {
        let fixture = try fixture()
        for (start, provenance) in [
            (Array("PROXY UNKNOWN\r\n".utf8), AddressProvenance.missing),
            (Case.binary(0x20, 0, []), .peer),
            (Array("PROXY TCP4 127.0.0.5 127.0.0.1 1 2\r\n".utf8), .allTrusted),
        ] {
            let before = fixture.collector.counters()[provenance]
            let client = try fixture.client()
            client.send(bytes: start + Array(Self.hit.utf8))
            #expect(client.answer()?.status == 204)
            _ = client.get("/metrics")
            #expect(fixture.collector.counters()[provenance] == before + 1)
        }
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.count == 3)
        #expect(records.allSatisfy { $0.ipPrefix == nil && $0.country == nil })
    }

    @Test func `an untrusted peer speaks for itself and may send no header`() throws {
        let fixture = try fixture(trusting: "192.0.2.0/24")
        let plain = try fixture.client()
        plain.send(Self.hit)
        #expect(plain.answer()?.status == 204)
        let liar = try fixture.client()
        liar.send("PROXY TCP4 46.4.10.20 192.0.2.1 56324 443\r\n" + Self.hit)
        #expect(liar.answer()?.status == 400)
        #expect(liar.answer() == nil)
        fixture.collector.drain()
        #expect(fixture.collector.counters()[AddressProvenance.untrustedPeer] == 1)
        #expect(try fixture.records("eu-central").count == 1)
    }

    @Test func `a drain does not wait for a header`() throws {
        let fixture = try fixture()
        let silent = try fixture.client()
        let waiting = try fixture.client()
        waiting.send("PROXY TCP4 46.4")
        let other = try fixture.client()
        other.send("PROXY UNKNOWN\r\n" + Self.hit)
        #expect(other.answer()?.status == 204)
        fixture.collector.drain()
        #expect(silent.answer() == nil)
        #expect(waiting.answer() == nil)
    }
}
