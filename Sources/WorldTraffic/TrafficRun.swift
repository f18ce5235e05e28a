import Foundation
import Synchronization

/// Sends many hits over several connections, each on its own thread, and says what was answered.
package final class TrafficRun: Sendable {
    /// What one run sent and got.
    package struct Outcome: Sendable {
        /// Hits answered with 200 or 204, by hit number.
        package var answered: [Int] = []
        /// Answers by status code.
        package var statuses: [Int: Int] = [:]
        /// Connections that ended early; hits in flight on them may or may not be kept.
        package var brokenConnections = 0
    }

    private let progress = Atomic<Int>(0)
    private let outcome = Mutex(Outcome())

    package init() {}

    /// How many hits have been answered so far.
    package var answeredCount: Int { progress.load(ordering: .relaxed) }

    /// Sends what each of `generators` makes, `hitsEach` hits on its own connection to one of `ports`, keeping `depth` requests
    /// under way, and returns when all are answered or broken.
    package func send(
        generators: [TrafficGenerator], hitsEach: Int, ports: [UInt16], depth: Int = 64,
        onHit: (@Sendable (SyntheticHit) -> Void)? = nil
    ) -> Outcome {
        let threads = DispatchGroup()
        for (index, generator) in generators.enumerated() {
            threads.enter()
            let port = ports[index % ports.count]
            let thread = Thread { [self] in
                run(generator, hitsEach: hitsEach, port: port, depth: depth, onHit: onHit)
                threads.leave()
            }
            thread.start()
        }
        threads.wait()
        return outcome.withLock { $0 }
    }

    private func run(
        _ generator: TrafficGenerator, hitsEach: Int, port: UInt16, depth: Int,
        onHit: (@Sendable (SyntheticHit) -> Void)?
    ) {
        var generator = generator
        var mine = Outcome()
        do {
            var client = try LoopbackClient(port: port)
            var left = hitsEach
            while left > 0 {
                let hits = (0..<min(depth, left)).map { _ in generator.next() }
                if let onHit { hits.forEach(onHit) }
                try client.send(hits.flatMap(\.request))
                for hit in hits {
                    let status = try client.receiveStatus()
                    mine.statuses[status, default: 0] += 1
                    if status == 200 || status == 204 { mine.answered.append(hit.number) }
                    progress.add(1, ordering: .relaxed)
                }
                left -= hits.count
            }
        } catch {
            mine.brokenConnections += 1
        }
        let result = mine
        outcome.withLock { total in
            total.answered += result.answered
            total.statuses.merge(result.statuses, uniquingKeysWith: +)
            total.brokenConnections += result.brokenConnections
        }
    }
}
