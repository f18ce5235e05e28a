import Bytes
import CordonEdge
import CordonModel
import HTTP

private struct Reveal: SensitiveTransform {
    func apply(_ value: IPAddress) -> IPAddress { value }
}

private let trusted = IPPrefix(IPAddress(ipv4: 0x0A00_0000), length: 8)!

/// The input as the value of each header that names clients: what is known is no trusted proxy, and what is not known
/// keeps no address.
let clientAddress: @Sendable ([UInt8]) -> String? = { input in
    let sources: [(RegionConfiguration.ClientAddressSource, String)] = [
        (.xForwardedFor, "X-Forwarded-For"), (.forwarded, "Forwarded"),
        (.cloudFrontViewerAddress, "CloudFront-Viewer-Address"),
    ]
    for (source, name) in sources {
        let bytes =
            Array("GET / HTTP/1.1\r\nHost: a\r\n\(name): ".utf8) + input + Array("\r\n\r\n".utf8)
        var machine = ConnectionMachine(at: 0)
        guard machine.step(bytes.span, at: 0) == .request else { continue }
        let resolver = ClientAddressResolver(
            .init(
                listen: .init(address: IPAddress(ipv4: 0), port: 0), trustedProxies: [trusted],
                clientAddress: source, durability: .durable))
        let peer = IPAddress(ipv4: 0x0A01_0203)
        let client = resolver.resolve(
            peer: Sensitive(peer), announced: AnnouncedClient(), head: machine.head,
            bytes: bytes.span)
        let address = client.address.inspect(with: Reveal())
        if client.provenance == .proxy {
            if trusted.contains(address) { return "\(name): a trusted proxy became a client" }
        } else if address != IPAddress(ipv4: 0) || client.provenance.isKnown {
            return "\(name): an address is kept that is not known"
        }
        let trace = resolver.trace(
            peer: peer, statement: nil, head: machine.head, bytes: bytes.span)
        if trace.provenance != client.provenance
            || (trace.chosen.map { trace.hops[$0].address } ?? nil)
                != (client.provenance.isKnown ? address : nil)
        {
            return "\(name): the trace tells of another address"
        }
    }
    return nil
}

/// A header is read the same however it arrives, and stays what it was.
let proxyHeader: @Sendable ([UInt8]) -> String? = { input in
    let whole = ProxyHeader.read(input.span)
    var decided: ProxyHeader.Reading?
    for count in 0...min(input.count, ProxyHeader.bytesMax + 1) {
        let reading = ProxyHeader.read(input.span.extracting(first: count))
        if let decided, reading != decided { return "a decision changed at byte \(count)" }
        if reading != .needMore { decided = reading }
        if case .header(let byteCount, _) = reading, byteCount > count {
            return "a header is longer than its bytes"
        }
    }
    if input.count <= ProxyHeader.bytesMax, (decided ?? .needMore) != whole {
        return "byte by byte something else is read"
    }
    if input.count >= ProxyHeader.bytesMax, whole == .needMore { return "the bound is not kept" }
    return nil
}
