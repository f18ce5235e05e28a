package import Bytes
package import CordonModel
package import HTTP

/// Where a client's address came from, or why it is not known.
package enum AddressProvenance: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    /// The region's file says that the peer is the client, or a trusted proxy says that it speaks for itself.
    case peer
    /// The peer is no trusted proxy; what it says of others is ignored.
    case untrustedPeer
    /// A trusted proxy said so.
    case proxy
    /// A trusted proxy did not say who the client is.
    case missing
    /// The chain cannot be read.
    case malformed
    /// Every hop of the chain is a trusted proxy.
    case allTrusted

    /// The value of the metric's label.
    package var text: String {
        switch self {
        case .peer: "peer"
        case .untrustedPeer: "untrusted-peer"
        case .proxy: "proxy"
        case .missing: "missing"
        case .malformed: "malformed"
        case .allTrusted: "all-trusted"
        }
    }

    /// Why, in words for people.
    package var reason: String {
        switch self {
        case .peer: "the peer is the client, by the region's file or by its own word"
        case .untrustedPeer: "the peer is no trusted proxy, so it is the client whatever it says"
        case .proxy: "the nearest hop that is no trusted proxy is the client"
        case .missing: "a trusted proxy did not say who the client is"
        case .malformed: "what a trusted proxy said of the client cannot be read"
        case .allTrusted: "every hop is a trusted proxy, so none is the client"
        }
    }

    /// Whether an address is known; otherwise the strict outcome is taken.
    package var isKnown: Bool { rawValue <= Self.proxy.rawValue }
}

/// The client's address of one request, if it is known for sure.
package struct ClientAddress: ~Copyable {
    package var address: Sensitive<IPAddress>
    package let provenance: AddressProvenance
    /// Which hop it is, counted from the peer, which is 0; 0 when none is known.
    package var hop = 0
}

/// What the PROXY header of a connection said of its client.
package struct AnnouncedClient: ~Copyable {
    enum Kind: UInt8 { case none, local, unknown, source }
    let kind: Kind
    /// All zeros unless `kind` is `source`.
    let address: Sensitive<IPAddress>

    /// There was no header.
    package init() {
        kind = .none
        address = Sensitive(IPAddress(ipv4: 0))
    }

    package init(_ statement: ProxyHeader.Statement) {
        switch statement {
        case .source(let source):
            kind = .source
            address = Sensitive(source)
        case .local:
            kind = .local
            address = Sensitive(IPAddress(ipv4: 0))
        case .unknown:
            kind = .unknown
            address = Sensitive(IPAddress(ipv4: 0))
        }
    }
}

/// Finds the client's address: the rightmost hop that is no trusted proxy.
package struct ClientAddressResolver: Sendable {
    let source: RegionConfiguration.ClientAddressSource
    private let trusted: [IPPrefix]

    package init(_ collector: RegionConfiguration.Collector) {
        source = collector.clientAddress
        trusted = collector.trustedProxies
    }

    /// Whether each connection of `peer` must begin with a ``ProxyHeader``.
    func wantsProxyHeader(from peer: IPAddress) -> Bool {
        source == .proxyProtocol && isTrusted(peer)
    }

    /// Whose address counts for `head`, sent by `peer` over a connection that `announced` it. When provenance is not
    /// known the address is all zeros.
    package func resolve(
        peer: borrowing Sensitive<IPAddress>, announced: borrowing AnnouncedClient,
        head: RequestHead, bytes: Span<UInt8>
    ) -> ClientAddress {
        let peer = peer.inspect(with: Reveal())
        if case .peer = source {
            return ClientAddress(address: Sensitive(peer), provenance: .peer)
        }
        guard isTrusted(peer) else {
            return ClientAddress(address: Sensitive(peer), provenance: .untrustedPeer)
        }
        let found: Found =
            switch source {
            case .xForwardedFor: forwardedFor(head.forwardedFor, bytes)
            case .forwarded: forwarded(head.forwarded, bytes)
            case .cloudFrontViewerAddress: viewerAddress(head.viewerAddress, bytes)
            case .proxyProtocol: self.announced(announced)
            case .peer: .failed(.missing)
            }
        switch found {
        case .address(let address, let hop):
            return ClientAddress(
                address: Sensitive(address.unmapped), provenance: .proxy, hop: hop)
        case .peer: return ClientAddress(address: Sensitive(peer), provenance: .peer)
        case .failed(let reason):
            return ClientAddress(address: Sensitive(IPAddress(ipv4: 0)), provenance: reason)
        }
    }

    private enum Found {
        case address(IPAddress, hop: Int)
        /// The proxy itself is the client.
        case peer
        case failed(AddressProvenance)
    }

    /// The one transform that shows an address as it is; its result is wrapped again before it leaves this type.
    private struct Reveal: SensitiveTransform {
        func apply(_ value: IPAddress) -> IPAddress { value }
    }

    func isTrusted(_ address: IPAddress) -> Bool {
        let address = address.unmapped
        for index in trusted.indices where trusted[index].contains(address) { return true }
        return false
    }

    /// What the PROXY header at the connection's start said.
    private func announced(_ client: borrowing AnnouncedClient) -> Found {
        switch client.kind {
        case .none, .unknown: return .failed(.missing)
        case .local: return .peer
        case .source:
            let address = client.address.inspect(with: Reveal())
            return isTrusted(address) ? .failed(.allTrusted) : .address(address, hop: 1)
        }
    }

    /// `X-Forwarded-For`, read from its last hop.
    private func forwardedFor(_ fields: FieldList, _ bytes: Span<UInt8>) -> Found {
        guard fields.count > 0 else { return .failed(.missing) }
        if fields.isOverfull { return .failed(.malformed) }
        var hops = 0
        var field = fields.count
        while field > 0 {
            field -= 1
            let range = fields[field]
            var end = range.upperBound
            while true {
                var start = range.lowerBound
                // Mostly there is one hop.
                if bytes.firstIndex(of: 0x2C, from: start, to: end) < end {
                    start = end
                    while start > range.lowerBound, bytes[start - 1] != 0x2C { start -= 1 }
                }
                hops += 1
                guard hops <= EdgeLimits.hopsMax, let address = Self.hop(bytes, start, end) else {
                    return .failed(.malformed)
                }
                if !isTrusted(address) { return .address(address, hop: hops) }
                if start == range.lowerBound { break }
                end = start - 1
            }
        }
        return .failed(.allTrusted)
    }

    /// `Forwarded` (RFC 7239): the `for` of each element, read front to back because of its quotes, judged from the last.
    private func forwarded(_ fields: FieldList, _ bytes: Span<UInt8>) -> Found {
        guard fields.count > 0 else { return .failed(.missing) }
        if fields.isOverfull { return .failed(.malformed) }
        guard let nodes = Self.nodes(fields, bytes) else { return .failed(.malformed) }
        for index in (0..<nodes.count).reversed() {
            let node = nodes.ranges[index]
            guard let address = Self.hop(bytes, node.lowerBound, node.upperBound) else {
                return .failed(.malformed)
            }
            if !isTrusted(address) { return .address(address, hop: nodes.count - index) }
        }
        return .failed(.allTrusted)
    }

    /// The nodes of a `Forwarded` chain in order.
    struct Nodes {
        fileprivate(set) var ranges = InlineArray<32, ByteRange>(repeating: .absent)
        fileprivate(set) var count = 0
    }

    /// The `for` of each element; nil when the chain is malformed, empty or too long.
    static func nodes(_ fields: FieldList, _ bytes: Span<UInt8>) -> Nodes? {
        var nodes = Nodes()
        for field in 0..<fields.count {
            var reader = ForwardedReader(fields[field])
            while !reader.isAtEnd {
                guard nodes.count < EdgeLimits.hopsMax, let node = reader.element(bytes) else {
                    return nil
                }
                nodes.ranges[nodes.count] = node
                nodes.count += 1
            }
        }
        return nodes.count > 0 ? nodes : nil
    }

    private func viewerAddress(_ range: ByteRange, _ bytes: Span<UInt8>) -> Found {
        guard range.isPresent else { return .failed(.missing) }
        guard let address = Self.viewer(range, bytes) else { return .failed(.malformed) }
        return isTrusted(address) ? .failed(.allTrusted) : .address(address, hop: 1)
    }

    /// `CloudFront-Viewer-Address`: address, colon, port; IPv6 stands without brackets.
    static func viewer(_ range: ByteRange, _ bytes: Span<UInt8>) -> IPAddress? {
        var colon = range.upperBound - 1
        while colon > range.lowerBound, bytes[colon] != 0x3A { colon -= 1 }
        guard colon > range.lowerBound, isPort(bytes, colon + 1, range.upperBound) else {
            return nil
        }
        return IPAddress(parsing: bytes.extracting(range.lowerBound..<colon))
    }

    /// One hop: an address, an IPv4 address with a port, or a bracketed IPv6 address with or without one.
    static func hop(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> IPAddress? {
        var start = start
        var end = end
        while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start += 1 }
        while end > start, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
        guard start < end else { return nil }
        if bytes[start] == 0x5B {
            var close = start + 1
            while close < end, bytes[close] != 0x5D { close += 1 }
            guard close < end else { return nil }
            if close + 1 < end {
                guard bytes[close + 1] == 0x3A, isPort(bytes, close + 2, end) else { return nil }
            }
            guard let address = IPAddress(parsing: bytes.extracting(start + 1..<close)) else {
                return nil
            }
            return address.isIPv6 ? address : nil
        }
        let colon = bytes.firstIndex(of: 0x3A, from: start, to: end)
        if colon < end, bytes.firstIndex(of: 0x3A, from: colon + 1, to: end) == end {
            guard isPort(bytes, colon + 1, end) else { return nil }
            end = colon
        }
        return IPAddress(parsing: bytes.extracting(start..<end))
    }

    private static func isPort(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
        guard end > start, end - start <= 5 else { return false }
        for index in start..<end {
            guard bytes[index] >= 0x30, bytes[index] <= 0x39 else { return false }
        }
        return true
    }
}

/// Walks the elements of one `Forwarded` field.
private struct ForwardedReader {
    private var position: Int
    private let end: Int

    init(_ range: ByteRange) {
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position >= end }

    /// The node of the next element's `for`, without quotes; nil when the element is malformed or has none.
    mutating func element(_ bytes: Span<UInt8>) -> ByteRange? {
        var node: ByteRange?
        while true {
            skipBlanks(bytes)
            let nameStart = position
            while position < end, isToken(bytes[position]) { position += 1 }
            let name = ByteRange(nameStart, position)
            guard name.count > 0, position < end, bytes[position] == 0x3D else { return nil }
            position += 1
            guard let value = value(bytes) else { return nil }
            if isFor(bytes, name) {
                guard node == nil else { return nil }
                node = value
            }
            skipBlanks(bytes)
            if position >= end { return node }
            let separator = bytes[position]
            position += 1
            if separator == 0x2C { return position < end ? node : nil }
            guard separator == 0x3B else { return nil }
        }
    }

    private mutating func value(_ bytes: Span<UInt8>) -> ByteRange? {
        guard position < end else { return nil }
        if bytes[position] == 0x22 {
            let start = position + 1
            position = start
            while position < end, bytes[position] != 0x22 {
                // No node needs an escape, so a backslash hides something.
                if bytes[position] == 0x5C { return nil }
                position += 1
            }
            guard position < end else { return nil }
            position += 1
            return ByteRange(start, position - 1)
        }
        let start = position
        while position < end, isToken(bytes[position]) || bytes[position] == 0x3A { position += 1 }
        return position > start ? ByteRange(start, position) : nil
    }

    private mutating func skipBlanks(_ bytes: Span<UInt8>) {
        while position < end, bytes[position] == 0x20 || bytes[position] == 0x09 { position += 1 }
    }

    private func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E, 0x21, 0x23...0x27, 0x2A,
            0x2B,
            0x5E, 0x60, 0x7C:
            true
        default: false
        }
    }

    private func isFor(_ bytes: Span<UInt8>, _ name: ByteRange) -> Bool {
        name.count == 3 && bytes[name.lowerBound] | 0x20 == 0x66
            && bytes[name.lowerBound + 1] | 0x20 == 0x6F
            && bytes[name.lowerBound + 2] | 0x20 == 0x72
    }
}
