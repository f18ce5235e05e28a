package import Bytes
internal import CordonModel
package import HTTP

/// How the client's address of one request was found, hop by hop, for people who set up a proxy; away from the hot path.
///
/// It holds addresses in the open, so it is made only of what an operator typed.
package struct AddressTrace: Sendable {
    package struct Hop: Equatable, Sendable {
        package enum Standing: String, Sendable {
            case trusted, chosen
            /// It stands beyond the hop that decided.
            case ignored
            case unreadable
        }
        /// `peer`, or what names it: a header, or `PROXY`.
        package let source: String
        /// As it stands there.
        package let text: String
        /// Nil when it cannot be read.
        package let address: IPAddress?
        package fileprivate(set) var standing = Standing.ignored
    }

    /// From the peer on outward.
    package fileprivate(set) var hops: [Hop]
    package let provenance: AddressProvenance
    /// The hop whose address counts; nil when none does.
    package var chosen: Int? { hops.firstIndex { $0.standing == .chosen } }
}

extension ClientAddressResolver {
    /// What ``resolve(peer:announced:head:bytes:)`` does with a request, told hop by hop.
    ///
    /// - Parameter statement: what the connection's PROXY header says; nil without one.
    package func trace(
        peer: IPAddress, statement: ProxyHeader.Statement?, head: RequestHead, bytes: Span<UInt8>
    ) -> AddressTrace {
        let client = resolve(
            peer: Sensitive(peer),
            announced: statement.map { AnnouncedClient($0) } ?? AnnouncedClient(), head: head,
            bytes: bytes)
        var trace = AddressTrace(
            hops: [AddressTrace.Hop(source: "peer", text: peer.text, address: peer.unmapped)]
                + chain(statement, head, bytes),
            provenance: client.provenance)
        for index in trace.hops.indices {
            if client.provenance.isKnown, index == client.hop {
                trace.hops[index].standing = .chosen
                break
            }
            guard let address = trace.hops[index].address, isTrusted(address) else {
                if !client.provenance.isKnown { trace.hops[index].standing = .unreadable }
                break
            }
            trace.hops[index].standing = .trusted
        }
        return trace
    }

    /// The hops beyond the peer, the nearest first, as far as they are looked at.
    private func chain(
        _ statement: ProxyHeader.Statement?, _ head: RequestHead, _ bytes: Span<UInt8>
    ) -> [AddressTrace.Hop] {
        func text(_ range: ByteRange) -> String {
            var text = ""
            for index in range.lowerBound..<range.upperBound {
                text.unicodeScalars.append(Unicode.Scalar(bytes[index]))
            }
            return text
        }
        func hop(_ source: String, _ range: ByteRange) -> AddressTrace.Hop {
            AddressTrace.Hop(
                source: source, text: text(range),
                address: Self.hop(bytes, range.lowerBound, range.upperBound)?.unmapped)
        }
        switch source {
        case .peer: return []
        case .proxyProtocol:
            switch statement {
            case .source(let address):
                return [
                    AddressTrace.Hop(
                        source: "PROXY", text: address.text, address: address.unmapped)
                ]
            case .local, .unknown, nil: return []
            }
        case .cloudFrontViewerAddress:
            guard head.viewerAddress.isPresent else { return [] }
            return [
                AddressTrace.Hop(
                    source: "CloudFront-Viewer-Address", text: text(head.viewerAddress),
                    address: Self.viewer(head.viewerAddress, bytes)?.unmapped)
            ]
        case .xForwardedFor:
            return Self.members(head.forwardedFor, bytes).map { hop("X-Forwarded-For", $0) }
        case .forwarded:
            guard head.forwarded.count > 0 else { return [] }
            guard let nodes = Self.nodes(head.forwarded, bytes) else {
                return [
                    AddressTrace.Hop(
                        source: "Forwarded", text: text(head.forwarded[head.forwarded.count - 1]),
                        address: nil)
                ]
            }
            return (0..<nodes.count).reversed().map { hop("Forwarded", nodes.ranges[$0]) }
        }
    }

    /// The members of `X-Forwarded-For` from the last on, without the blanks around them.
    private static func members(_ fields: FieldList, _ bytes: Span<UInt8>) -> [ByteRange] {
        var members: [ByteRange] = []
        for field in (0..<fields.count).reversed() {
            var end = fields[field].upperBound
            while members.count <= EdgeLimits.hopsMax {
                var start = end
                while start > fields[field].lowerBound, bytes[start - 1] != 0x2C { start -= 1 }
                var first = start
                var last = end
                while first < last, bytes[first] == 0x20 || bytes[first] == 0x09 { first += 1 }
                while last > first, bytes[last - 1] == 0x20 || bytes[last - 1] == 0x09 { last -= 1 }
                members.append(ByteRange(first, last))
                if start == fields[field].lowerBound { break }
                end = start - 1
            }
        }
        return members
    }
}
