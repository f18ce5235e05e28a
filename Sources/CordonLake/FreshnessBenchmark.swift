package import CordonJournal
import CordonModel
import Engine
import Iceberg

/// What many small deliveries cost the readers, and what maintenance makes of it.
package struct FreshnessBenchmark: Sendable {
    package let deliveries: Int
    package let rows: Int64
    /// Of the last tenth of the deliveries, when the table is full of small files.
    package let deliveryMilliseconds: Double
    package let before: State
    package let maintenanceSeconds: Double
    package let after: State

    /// The table at one time.
    package struct State: Sendable {
        package let files: Int
        package let manifests: Int
        package let bytes: Int64
        /// To read the table's metadata, find its files and group all hits by country and event; median.
        package let queryMilliseconds: Double
    }

    private static let rounds = 5
    private static let hitsEach = 20

    /// Delivers so many times a few hits each, and asks before and after maintenance.
    ///
    /// - Parameters:
    ///   - table: an empty one whose clock `advance` moves on, so that ages pass without waiting.
    ///   - advance: lets so many seconds go by.
    package static func run(
        deliveries: Int, from journal: Journal, to table: HitsTable, advance: (Int) -> Void
    ) throws -> FreshnessBenchmark {
        var times: [Double] = []
        for number in 0..<deliveries {
            try DeliveryBenchmark.fill(
                journal, number * hitsEach..<(number + 1) * hitsEach)
            times.append(try milliseconds { _ = try table.deliver(from: journal) })
            advance(10)
        }
        let before = try state(table)
        let taken = try milliseconds {
            _ = try table.compact(suppressed: { SubjectFilter() })
            _ = try table.write { try $0.mergeManifests() }
            advance(table.settings.snapshotSecondsMin + 1)
            _ = try table.write { try $0.expireSnapshots() }
        }
        return FreshnessBenchmark(
            deliveries: deliveries, rows: try table.snapshot().records,
            deliveryMilliseconds: median(Array(times.suffix(max(1, deliveries / 10)))),
            before: before, maintenanceSeconds: taken / 1000, after: try state(table))
    }

    private static func state(_ table: HitsTable) throws -> State {
        var times: [Double] = []
        for _ in 0..<rounds { times.append(try milliseconds { try ask(table) }) }
        let snapshot = try table.snapshot()
        let manifests = try table.metadata()?.currentSnapshot.map {
            try TableFiles(directory: table.settings.directory).manifests(of: $0).count
        }
        return State(
            files: snapshot.files.count, manifests: manifests ?? 0, bytes: snapshot.bytes,
            queryMilliseconds: median(times))
    }

    private static func ask(_ table: HitsTable) throws {
        let files = try table.snapshot().files.map { EngineText.path($0.path) }
        let engine = try EngineConnection(settings: [("threads", "2")])
        let rows = try engine.query(
            """
            SELECT country, event, count(*) FROM read_parquet([\(files.joined(separator: ", "))],
                hive_partitioning = false) GROUP BY ALL
            """
        ).rows()
        guard !rows.isEmpty else {
            throw LakeError(.damagedTable, "the benchmark's table has no rows")
        }
    }

    private static func milliseconds(_ body: () throws -> Void) rethrows -> Double {
        let clock = ContinuousClock()
        return try clock.measure(body) / .milliseconds(1)
    }

    private static func median(_ times: [Double]) -> Double { times.sorted()[times.count / 2] }
}
