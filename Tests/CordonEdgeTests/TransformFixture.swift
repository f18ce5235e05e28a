import Bytes
import CordonJournal
import CordonModel
import CordonPolicy
import HTTP

@testable import CordonEdge

/// What a loop makes of one request to the region in the EU, without its socket.
struct TransformFixture {
    private let context: EdgeContext
    private let transform: HitTransform
    private let resolver: ClientAddressResolver
    private let buffer = BatchBuffer()

    init(_ fixture: EdgeFixture) {
        context = fixture.collector.context
        transform = HitTransform(userAgents: UserAgentCache(context.userAgents))
        resolver = ClientAddressResolver(fixture.region("eu-central").collector)
    }

    private func head(_ bytes: [UInt8]) -> RequestHead? {
        var machine = ConnectionMachine(at: 0)
        return machine.step(bytes.span, at: 0) == .request ? machine.head : nil
    }

    private func client(_ head: RequestHead, _ bytes: [UInt8]) -> ClientAddress {
        resolver.resolve(
            peer: Sensitive(IPAddress(ipv4: 0x7F00_0001)), announced: AnnouncedClient(),
            head: head, bytes: bytes.span)
    }

    /// What is decided about a request; nil for bytes that are none.
    func decide(_ bytes: [UInt8], at now: Timestamp) -> HitTransform.Decided? {
        guard let head = head(bytes) else { return nil }
        return transform.decide(head, bytes.span, client(head, bytes), context, at: now)
    }

    /// A batch of nothing but the hit that was just decided.
    func batch(_ decided: HitTransform.Decided, _ bytes: [UInt8], at now: Timestamp) -> [UInt8] {
        guard let head = head(bytes) else { preconditionFailure("a hit comes of a request") }
        buffer.open(context, ticket: 1, generation: 0, at: 0)
        defer { buffer.clear() }
        let fields = transform.fields(decided, context.rules, bytes.span)
        _ = transform.write(
            decided, fields, head, bytes.span, client(head, bytes), context,
            suppression: Suppression(), at: now, into: buffer)
        return Array(UnsafeBufferPointer(start: buffer.bytes, count: buffer.count))
    }
}
