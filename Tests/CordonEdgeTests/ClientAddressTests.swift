import Bytes
import CordonModel
import HTTP
import TestSupport
import Testing

@testable import CordonEdge

private struct Reveal: SensitiveTransform {
    func apply(_ value: IPAddress) -> String { value.text }
}

/// What one request resolves to under a source of addresses.
private struct Case: CustomTestStringConvertible, Sendable {
    let source: RegionConfiguration.ClientAddressSource
    let peer: String
    let headers: [String]
    let provenance: AddressProvenance
    let address: String?

    init(
        _ source: RegionConfiguration.ClientAddressSource, from peer: String = "10.1.2.3",
        _ headers: [String], _ provenance: AddressProvenance, _ address: String? = nil
    ) {
        self.source = source
        self.peer = peer
        self.headers = headers
        self.provenance = provenance
        self.address = address
    }

    var testDescription: String { "\(source.rawValue) from \(peer): \(headers)" }

    static let long = Array(repeating: "10.0.0.1", count: 40).joined(separator: ",")
    static let forwardedFor: [Case] = [
        Case(.xForwardedFor, ["X-Forwarded-For: 46.4.1.2"], .proxy, "46.4.1.2"),
        Case(.xForwardedFor, ["X-Forwarded-For: 1.1.1.1, 46.4.1.2"], .proxy, "46.4.1.2"),
        Case(.xForwardedFor, ["X-Forwarded-For: 46.4.1.2 ,10.0.0.9\t"], .proxy, "46.4.1.2"),
        Case(
            .xForwardedFor, ["X-Forwarded-For: 46.4.1.2", "X-Forwarded-For: 10.0.0.9"], .proxy,
            "46.4.1.2"),
        Case(.xForwardedFor, ["X-Forwarded-For: 46.4.1.2:4711"], .proxy, "46.4.1.2"),
        Case(.xForwardedFor, ["X-Forwarded-For: [2a01:4f8::1]:4711"], .proxy, "2a01:4f8::1"),
        Case(.xForwardedFor, ["X-Forwarded-For: 2a01:4f8::1"], .proxy, "2a01:4f8::1"),
        Case(.xForwardedFor, ["X-Forwarded-For: ::ffff:46.4.1.2"], .proxy, "46.4.1.2"),
        Case(
            .xForwardedFor, from: "::ffff:10.1.2.3", ["X-Forwarded-For: 46.4.1.2"], .proxy,
            "46.4.1.2"),
        Case(
            .xForwardedFor, from: "46.4.9.9", ["X-Forwarded-For: 8.8.8.8"], .untrustedPeer,
            "46.4.9.9"),
        Case(.xForwardedFor, [], .missing),
        Case(.xForwardedFor, ["Forwarded: for=46.4.1.2"], .missing),
        Case(.xForwardedFor, ["X-Forwarded-For:"], .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: 46.4.1.2,"], .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: ,46.4.1.2,,10.0.0.1"], .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: unknown"], .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: 46.4.1.2, x, 10.0.0.1"], .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: 046.4.1.2"], .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: 46.4.1.2:"], .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: 46.4.1.2:123456"], .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: [46.4.1.2]"], .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: [2a01::1"], .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: \(long)"], .malformed),
        Case(.xForwardedFor, Array(repeating: "X-Forwarded-For: 10.0.0.1", count: 9), .malformed),
        Case(.xForwardedFor, ["X-Forwarded-For: 10.0.0.1, 10.0.0.2"], .allTrusted),
    ]
    static let forwarded: [Case] = [
        Case(.forwarded, ["Forwarded: for=46.4.1.2"], .proxy, "46.4.1.2"),
        Case(
            .forwarded, ["Forwarded: For=\"[2a01:4f8::1]:47\";proto=https"], .proxy, "2a01:4f8::1"),
        Case(
            .forwarded, ["Forwarded: for=8.8.8.8, for=46.4.1.2;by=10.0.0.1 , for=10.0.0.2"], .proxy,
            "46.4.1.2"),
        Case(
            .forwarded, ["Forwarded: for=46.4.1.2", "Forwarded: for=10.0.0.1"], .proxy, "46.4.1.2"),
        Case(.forwarded, ["Forwarded: for=\"46.4.1.2,8.8.8.8\""], .malformed),
        Case(.forwarded, ["Forwarded: for=_hidden"], .malformed),
        Case(.forwarded, ["Forwarded: for=unknown"], .malformed),
        Case(.forwarded, ["Forwarded: proto=https"], .malformed),
        Case(.forwarded, ["Forwarded: for=46.4.1.2;for=8.8.8.8"], .malformed),
        Case(.forwarded, ["Forwarded: for=46.4.1.2,"], .malformed),
        Case(.forwarded, ["Forwarded: for=\"46.4.1.2"], .malformed),
        Case(.forwarded, ["Forwarded: for=\"46.4\\.1.2\""], .malformed),
        Case(.forwarded, ["Forwarded: 46.4.1.2"], .malformed),
        Case(.forwarded, ["Forwarded:"], .malformed),
        Case(.forwarded, [], .missing),
    ]
    static let others: [Case] = [
        Case(.peer, from: "46.4.9.9", ["X-Forwarded-For: 8.8.8.8"], .peer, "46.4.9.9"),
        Case(
            .cloudFrontViewerAddress, ["CloudFront-Viewer-Address: 46.4.1.2:4711"], .proxy,
            "46.4.1.2"),
        Case(
            .cloudFrontViewerAddress, ["CloudFront-Viewer-Address: 2a01:4f8:0:0:0:0:0:1:443"],
            .proxy,
            "2a01:4f8::1"),
        Case(.cloudFrontViewerAddress, ["CloudFront-Viewer-Address: 46.4.1.2"], .malformed),
        Case(
            .cloudFrontViewerAddress,
            ["CloudFront-Viewer-Address: 46.4.1.2:1", "CloudFront-Viewer-Address: 8.8.8.8:1"],
            .malformed),
        Case(.cloudFrontViewerAddress, ["X-Forwarded-For: 46.4.1.2"], .missing),
        Case(
            .cloudFrontViewerAddress, ["CloudFront-Viewer-Address: 10.0.0.7:4711"], .allTrusted),
        Case(.proxyProtocol, ["X-Forwarded-For: 46.4.1.2"], .missing),
        Case(
            .proxyProtocol, from: "46.4.9.9", ["X-Forwarded-For: 8.8.8.8"], .untrustedPeer,
            "46.4.9.9"),
    ]
}

@Suite struct `Client addresses` {
    @Test(arguments: Case.forwardedFor + Case.forwarded + Case.others)
    private func `the rightmost hop that is no trusted proxy counts`(_ item: Case) throws {
        let (provenance, text) = try resolve(item.source, peer: item.peer, headers: item.headers)
        #expect(provenance == item.provenance)
        #expect(provenance.isKnown == (item.address != nil))
        #expect(text == item.address ?? "0.0.0.0")
    }

    @Test(arguments: Case.forwardedFor + Case.forwarded + Case.others)
    private func `a trace tells of the same hop`(_ item: Case) throws {
        let bytes = Array(EdgeClient.request("/", item.headers).utf8)
        var machine = ConnectionMachine(at: 0)
        #expect(machine.step(bytes.span, at: 0) == .request)
        let trace = try resolver(item.source).trace(
            peer: try #require(IPAddress(item.peer)), statement: nil, head: machine.head,
            bytes: bytes.span)
        #expect(trace.provenance == item.provenance)
        #expect(trace.chosen.flatMap { trace.hops[$0].address?.text } == item.address)
        let chosen = trace.chosen ?? trace.hops.count
        for (index, hop) in trace.hops.enumerated() where index < chosen {
            #expect(hop.standing != .chosen)
            if trace.chosen != nil { #expect(hop.standing == .trusted) }
        }
        for hop in trace.hops.dropFirst(chosen + 1) { #expect(hop.standing == .ignored) }
    }

    @Test func `a trace names each hop from the peer on`() throws {
        let bytes = Array(
            EdgeClient.request("/", ["X-Forwarded-For: 8.8.8.8, 46.4.1.2:80 ,10.0.0.9"]).utf8)
        var machine = ConnectionMachine(at: 0)
        #expect(machine.step(bytes.span, at: 0) == .request)
        let trace = try resolver(.xForwardedFor).trace(
            peer: try #require(IPAddress("10.1.2.3")), statement: nil, head: machine.head,
            bytes: bytes.span)
        #expect(
            trace.hops.map { "\($0.source) \($0.text) \($0.standing)" } == [
                "peer 10.1.2.3 trusted", "X-Forwarded-For 10.0.0.9 trusted",
                "X-Forwarded-For 46.4.1.2:80 chosen", "X-Forwarded-For 8.8.8.8 ignored",
            ])
    }

    @Test func `no chain of bytes makes a resolver crash, and what it cannot read is unknown`()
        throws
    {
        var random = Generator()
        let palette = Array("0123456789.:,;=\"[] fFoOrR\\_-".utf8)
        for _ in 0..<3000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                palette.randomElement(using: &random)!
            }
            let value = String(decoding: bytes, as: UTF8.self)
            for (source, name) in [
                (RegionConfiguration.ClientAddressSource.xForwardedFor, "X-Forwarded-For"),
                (.forwarded, "Forwarded"), (.cloudFrontViewerAddress, "CloudFront-Viewer-Address"),
            ] {
                let (provenance, text) = try resolve(
                    source, peer: "10.1.2.3", headers: ["\(name): \(value)"])
                if !provenance.isKnown { #expect(text == "0.0.0.0", "seed \(random.seed)") }
            }
        }
    }

    private func resolver(
        _ source: RegionConfiguration.ClientAddressSource
    ) throws -> ClientAddressResolver {
        ClientAddressResolver(
            RegionConfiguration.Collector(
                listen: .init(address: IPAddress(ipv4: 0), port: 0),
                trustedProxies: [try #require(IPPrefix("10.0.0.0/8"))], clientAddress: source,
                durability: .durable))
    }

    private func resolve(
        _ source: RegionConfiguration.ClientAddressSource, peer: String, headers: [String]
    ) throws -> (AddressProvenance, String) {
        let resolver = try resolver(source)
        let bytes = Array(EdgeClient.request("/", headers).utf8)
        var machine = ConnectionMachine(at: 0)
        #expect(machine.step(bytes.span, at: 0) == .request)
        let peer = Sensitive(try #require(IPAddress(peer)))
        let client = resolver.resolve(
            peer: peer, announced: AnnouncedClient(), head: machine.head, bytes: bytes.span)
        return (client.provenance, client.address.inspect(with: Reveal()))
    }
}
