internal import Bytes
internal import CordonJournal
package import CordonModel
internal import CordonPolicy
internal import HTTP
internal import LinuxIO

/// What a hit costs from its bytes to its record, without sockets and disk: parsing, client address, place, decision,
/// transforms, record.
package struct HitBenchmark: Sendable {
    package let nanosecondsPerHit: Double
    package let hits: Int
    /// Bytes of the records, so that the work cannot be optimised away.
    package let recordBytes: Int

    /// Runs through `requests`, each a whole head, until `hits` have been taken.
    ///
    /// - Parameter collector: says whose address counts; the requests come from 127.0.0.1.
    package static func run(
        _ context: EdgeContext, collector: RegionConfiguration.Collector, requests: [[UInt8]],
        hits: Int
    ) -> HitBenchmark {
        let path = HitPath(context, collector: collector)
        // Once through for the user agents that are not known yet.
        for request in requests { path.take(request.span) }
        // One behind the other, as they stand in a connection's buffer.
        let bytes = requests.flatMap { $0 }
        var ends = [0]
        for request in requests { ends.append(ends[ends.count - 1] + request.count) }
        var recordBytes = 0
        var number = 0
        let begun = SystemClock.monotonicNanoseconds()
        for _ in 0..<hits {
            recordBytes += path.take(bytes.span.extracting(ends[number]..<ends[number + 1]))
            number = number + 1 == requests.count ? 0 : number + 1
        }
        let nanoseconds = SystemClock.monotonicNanoseconds() - begun
        return HitBenchmark(
            nanosecondsPerHit: Double(nanoseconds) / Double(max(hits, 1)), hits: hits,
            recordBytes: recordBytes)
    }
}

/// The way of a hit through the pure parts of the collector, as its loop calls them.
@safe final class HitPath {
    private let context: EdgeContext
    private let resolver: ClientAddressResolver
    private let transform: HitTransform
    private let batches: [BatchBuffer]
    private let peer = Sensitive(IPAddress(ipv4: 0x7F00_0001))
    private let now = Timestamp(microseconds: SystemClock.realtimeMicroseconds())
    private var machine = ConnectionMachine(at: 0)

    init(_ context: EdgeContext, collector: RegionConfiguration.Collector) {
        self.context = context
        resolver = ClientAddressResolver(collector)
        transform = HitTransform(userAgents: UserAgentCache(context.userAgents))
        batches = context.localRegions.map { _ in BatchBuffer() }
        for batch in batches { batch.open(context, ticket: 1, generation: 0, at: 0) }
    }

    /// Takes the hit of one request and returns the bytes of its record; 0 when none is kept.
    @discardableResult
    func take(_ bytes: Span<UInt8>) -> Int {
        // A connection's next request, or the first of another.
        if !machine.isIdle { machine = ConnectionMachine(at: 0) }
        guard machine.step(bytes, at: 0) == .request else { return 0 }
        let head = machine.head
        guard Route(bytes, head.path)?.image != nil else { return 0 }
        let client = resolver.resolve(
            peer: peer, announced: AnnouncedClient(), head: head, bytes: bytes)
        let decided = transform.decide(head, bytes, client, context, at: now)
        if let shadow = context.shadow {
            transform.compare(decided, shadow, tally: 0, bytes, client, at: now)
        }
        guard decided.fate == nil else { return 0 }
        let batch = batches[decided.slot]
        if !batch.hasRoom { batch.open(context, ticket: 1, generation: 0, at: 0) }
        let start = batch.count
        let fields = transform.fields(decided, context.rules, bytes)
        let written = transform.write(
            decided, fields, head, bytes, client, context, suppression: nil, at: now,
            into: batch)
        batch.add(written.fate == .counted ? .counted : .kept, policy: decided.decision.policy)
        batch.addWaiter(UInt64(start))
        return batch.count - start
    }
}
