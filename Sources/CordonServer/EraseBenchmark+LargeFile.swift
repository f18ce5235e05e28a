import CordonLake
package import CordonModel
import LinuxIO

/// How much it costs to take people out of a large file, and what the engine alone takes to write the same file without them.
package struct LargeFileErasure: Sendable {
    package private(set) var rows: Int64 = 0
    /// Size of the file that holds the people: all of it counts as touched.
    package private(set) var bytes: Int64 = 0
    /// One person taken out, and another, some times over.
    package private(set) var one = EraseBenchmark.Rewriting()
    /// Many people taken out in one pass.
    package private(set) var many = EraseBenchmark.Rewriting()
    /// The engine's own copies of all other rows, without digests, filter, snapshot or sync: once for each of the above.
    package private(set) var oneCopies = EraseBenchmark.Rewriting()
    package private(set) var manyCopy = EraseBenchmark.Rewriting()
    /// Other people, as many, by the engine's way, which files take whose pages are not understood; and the most memory that the
    /// process had, the engine in it.
    package private(set) var byEngine = EraseBenchmark.Rewriting()
    package private(set) var byEngineMemoryBytes = 0

    /// People taken out one after the other.
    package static let rounds = 3
    private static let hitsPerDelivery = 100_000

    /// Fills a region's empty lake with one file of `hits` hits, and takes people out of it.
    ///
    /// - Parameters:
    ///   - population: how many people the hits are of.
    ///   - people: how many of them go in one pass.
    package static func run(
        _ region: RegionConfiguration, hits: Int, population: Int, people: Int
    ) throws -> LargeFileErasure {
        let (lake, users, today) = try EraseBenchmark.emptyLake(region, population: population)
        for first in stride(from: 0, to: hits, by: hitsPerDelivery) {
            let rows = min(hitsPerDelivery, hits - first)
            try EraseBenchmark.fill(
                lake, users, from: first, days: [today + -10], hitsPerDay: rows)
        }
        _ = try lake.table.compact(suppressed: { SubjectFilter(users: []) })

        var result = LargeFileErasure()
        func take(
            out people: [Pseudonym], _ rewriting: inout EraseBenchmark.Rewriting,
            _ copies: inout EraseBenchmark.Rewriting
        ) throws {
            guard let file = try lake.table.snapshot().files.first else { return }
            let copy = try EngineCopy(of: lake, without: people)
            try copies.measure {
                try copy.write(file.path)
                return ([file.bytes], 0)
            }
            try lake.table.write { writer in
                try rewriting.measure {
                    try EraseBenchmark.rewrite(writer, SubjectFilter(users: Set(people)))
                }
            }
        }
        let present = try lake.table.snapshot()
        (result.rows, result.bytes) = (present.records, present.bytes)
        for round in 1...rounds {
            try take(
                out: [users[round * population / (rounds + 1)]], &result.one, &result.oneCopies)
        }
        try take(out: Array(users.prefix(people)), &result.many, &result.manyCopy)
        try ProcessMemory.resetPeak()
        try lake.table.with { $0.writesPages = false }.write { writer in
            try result.byEngine.measure {
                try EraseBenchmark.rewrite(
                    writer, SubjectFilter(users: Set(users.dropFirst(people).prefix(people))))
            }
        }
        result.byEngineMemoryBytes = try ProcessMemory.peakBytes()
        return result
    }
}
