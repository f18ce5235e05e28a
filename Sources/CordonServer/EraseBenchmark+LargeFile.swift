import CordonLake
package import CordonModel
import Engine
import Foundation

/// How much it costs to take one person out of a large file, and what the engine alone takes to write the same file without them.
package struct LargeFileErasure: Sendable {
    package private(set) var rows: Int64 = 0
    /// Size of the file that holds the person: all of it counts as touched.
    package private(set) var bytes: Int64 = 0
    /// One person taken out, from looking for them to the new snapshot, by the clock.
    package private(set) var seconds = 0.0
    /// Touched bytes in a second of one core.
    package private(set) var bytesPerCoreSecond = 0.0
    /// The same with the engine's own `COPY` of all other rows, without index, digests, snapshot or sync.
    package private(set) var copySeconds = 0.0
    package private(set) var copyBytesPerCoreSecond = 0.0

    /// People taken out one after the other.
    private static let rounds = 3
    private static let hitsPerDelivery = 100_000

    /// Fills a region's empty lake with one file of `hits` hits, and takes people out of it.
    ///
    /// - Parameter population: how many people the hits are of.
    package static func run(
        _ region: RegionConfiguration, hits: Int, population: Int
    ) throws -> LargeFileErasure {
        let (lake, users, today) = try EraseBenchmark.emptyLake(region, population: population)
        for first in stride(from: 0, to: hits, by: hitsPerDelivery) {
            let rows = min(hitsPerDelivery, hits - first)
            try EraseBenchmark.fill(
                lake, users, from: first, days: [today + -10], hitsPerDay: rows)
        }
        _ = try lake.table.compact(suppressed: { SubjectFilter(users: []) })

        var result = LargeFileErasure()
        let (stopwatch, copy) = (ContinuousClock(), region.stateDirectory + "/copy.parquet")
        var (cores, copyCores, touched) = (0.0, 0.0, Int64(0))
        let engine = try EngineConnection(settings: [
            ("threads", "\(lake.table.settings.engineThreads)")
        ])
        for round in 0..<rounds {
            let person = users[(round + 1) * population / (rounds + 1)]
            guard let file = try lake.table.snapshot().files.first else { break }
            if round == 0 { (result.rows, result.bytes) = (file.records, file.bytes) }
            var begun = (stopwatch.now, Foundation.clock())
            try engine.execute(
                """
                COPY (SELECT * FROM read_parquet(\(EngineText.path(file.path)), hive_partitioning = false)
                      WHERE "user" IS DISTINCT FROM '\(person.text)')
                TO \(EngineText.literal(copy)) (FORMAT parquet, COMPRESSION zstd,
                    ROW_GROUP_SIZE \(lake.table.settings.rowGroupRows), WRITE_BLOOM_FILTER false)
                """)
            result.copySeconds += (stopwatch.now - begun.0) / .seconds(1) / Double(rounds)
            copyCores += Double(Foundation.clock() - begun.1) / Double(CLOCKS_PER_SEC)
            begun = (stopwatch.now, Foundation.clock())
            _ = try lake.table.write { try $0.rewrite(removing: SubjectFilter(users: [person])) }
            result.seconds += (stopwatch.now - begun.0) / .seconds(1) / Double(rounds)
            cores += Double(Foundation.clock() - begun.1) / Double(CLOCKS_PER_SEC)
            touched += file.bytes
        }
        result.bytesPerCoreSecond = Double(touched) / max(cores, 1e-9)
        result.copyBytesPerCoreSecond = Double(touched) / max(copyCores, 1e-9)
        return result
    }
}
