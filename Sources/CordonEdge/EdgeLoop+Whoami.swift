internal import Bytes
internal import CordonModel
internal import CordonPolicy
internal import GeoTables
internal import HTTP

// `/whoami`: where the collector takes the asker's address from, for whoever sets up a proxy.
extension EdgeLoop {
    /// Answers a trusted proxy, and others as if the path did not exist.
    ///
    /// The body goes to the client that asked, and tells it of itself alone: the address is cut to a network, no hop is shown,
    /// and nothing of it is counted, kept or logged.
    func answerWhoami(
        _ connection: EdgeConnection, _ head: RequestHead, _ bytes: Span<UInt8>,
        _ persistence: Persistence
    ) {
        let headOnly = if case .head = head.method { true } else { false }
        let resolver = resolvers[connection.listener]
        guard connection.peer.inspect(with: IsTrusted(resolver: resolver)) else {
            return push(.notFound, connection, persistence, headOnly: headOnly)
        }
        let client = resolver.resolve(
            peer: connection.peer, announced: connection.announced, head: head, bytes: bytes)
        let decided = transform.decide(head, bytes, client, context, at: timestamp)
        let place = context.geoTable.places[decided.place]
        let policy = decided.decision.policy
        let region = context.policyRegions[policy]
        let prefix =
            client.provenance.isKnown
            ? client.address.inspect(
                with: Truncate(ipv4Bits: Self.whoamiIPv4Bits, ipv6Bits: Self.whoamiIPv6Bits))
            : nil
        let fields: [(name: String, value: String)] = [
            ("provenance", quoted(client.provenance.text)),
            ("reason", quoted(client.provenance.reason)),
            ("hop", client.provenance.isKnown ? "\(client.hop)" : "null"),
            ("prefix", prefix.map { quoted($0.text) } ?? "null"),
            ("country", place.country.map(quoted) ?? "null"),
            ("subdivision", place.subdivision.map(quoted) ?? "null"),
            ("policy", quoted(context.policyNames[policy])),
            ("region", region.isEmpty ? "null" : quoted(region)),
        ]
        let body = "{" + fields.map { "\"\($0.name)\":\($0.value)" }.joined(separator: ",") + "}\n"
        connection.bodies.append(Array(body.utf8))
        push(.whoami, connection, persistence, headOnly: headOnly)
    }

    /// What it shows of an address: as much as policies may keep.
    private static let whoamiIPv4Bits = 24
    private static let whoamiIPv6Bits = 48

    /// All values are of closed sets without quotes and backslashes.
    private func quoted(_ text: String) -> String { "\"\(text)\"" }
}

/// Whether an address is a trusted proxy's.
struct IsTrusted: SensitiveTransform {
    let resolver: ClientAddressResolver
    func apply(_ value: IPAddress) -> Bool { resolver.isTrusted(value) }
}
