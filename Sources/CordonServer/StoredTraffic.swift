import CordonLake
package import CordonModel
import Engine
import LinuxIO

/// How many hits the lakes hold by place and site: what a change of rules would have met.
package struct StoredTraffic: Sendable {
    package struct Row: Sendable {
        /// The finest code that the records hold; nil where policy keeps none.
        package let place: String?
        package let site: String
        /// Hits that came, sampled ones weighed by their rate.
        package let hits: Double
    }

    package let rows: [Row]
    package var hits: Double { rows.reduce(0) { $0 + $1.hits } }

    private static let engineMegabytesMax = 512

    /// Counts what is delivered to the lakes of `regions` and may still be read today.
    package init(_ regions: [RegionConfiguration], clock: any WallClock) throws {
        let today = Day(clock.now())
        var rows: [Row] = []
        for region in regions {
            guard let lake = try RegionLake.reading(region, clock: clock) else { continue }
            let files = try lake.table.snapshot().files.filter { $0.retainUntil > today }
            guard !files.isEmpty else { continue }
            let engine = try EngineConnection(settings: [
                ("memory_limit", "\(Self.engineMegabytesMax)MB"), ("threads", "2"),
                ("autoinstall_known_extensions", "false"),
                ("autoload_known_extensions", "false"),
            ])
            let list = files.map { EngineText.path($0.path) }.joined(separator: ", ")
            let counts = try engine.query(
                """
                SELECT coalesce(subdivision, country), site, sum(1.0 / sample_rate)
                FROM read_parquet([\(list)], hive_partitioning = false) GROUP BY ALL
                """
            ).rows()
            rows += counts.map { row in
                Row(place: row[0], site: row[1] ?? "", hits: row[2].flatMap { Double($0) } ?? 0)
            }
        }
        self.rows = rows
    }
}
