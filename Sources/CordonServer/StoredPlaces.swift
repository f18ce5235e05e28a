import CordonLake
package import CordonModel
package import CordonPolicy
import Engine
package import GeoTables
import LinuxIO

/// The hits that are stored already, as another geo table would place them.
///
/// A row's kept prefix is looked up whole: where the new table gives it one place, that place's home is known; where it gives it
/// several, or the prefix was dropped, nobody can say any more where the hit belongs. Nothing but counts leaves this reading.
package struct StoredPlaces: Sendable {
    /// Stored hits of one region from one place.
    package struct Row: Encodable, Equatable, Sendable {
        package let region: String
        /// As the row says it; nil is unknown or dropped.
        package let place: String?
        /// Where the new table puts them; nil is unknown.
        package let newPlace: String?
        /// Where hits from there may be kept.
        package let homes: [String]
        package let hits: Int

        private enum CodingKeys: String, CodingKey {
            case region, place, homes, hits
            case newPlace = "new_place"
        }
    }

    /// Hits in a region that is no home of theirs under the new table, most first.
    package private(set) var misplaced: [Row] = []
    /// Hits of the lakes that were read.
    package private(set) var hits = 0
    /// Of them, those with a prefix that has one place in the new table.
    package private(set) var placed = 0
    /// Hits whose prefix has several places in the new table, or was not kept.
    package var untellable: Int { hits - placed }

    /// Reads the lakes of `regions`; those that nothing was delivered to are passed over. Memory grows with the
    /// prefixes in one data file.
    package init(
        in regions: [RegionConfiguration], under rules: RuleSet, table: GeoTable,
        clock: any WallClock
    ) throws {
        let engine = try EngineConnection(settings: [
            ("memory_limit", "512MB"), ("threads", "2"),
            ("autoinstall_known_extensions", "false"), ("autoload_known_extensions", "false"),
        ])
        let judge = RelocationRules(rules, table: table, regions: regions)
        var found: [Key: Int] = [:]
        for region in regions {
            guard let lake = try RegionLake.reading(region, clock: clock) else { continue }
            for file in try lake.table.snapshot().files {
                let rows = try engine.query(
                    """
                    SELECT ip_prefix, coalesce(subdivision, country), site, policy, count(*)
                    FROM read_parquet(\(EngineText.path(file.path)), hive_partitioning = false)
                    GROUP BY ALL
                    """
                ).rows()
                for row in rows {
                    let count = row[4].flatMap { Int($0) } ?? 0
                    hits += count
                    let verdict = judge.verdict(
                        prefix: row[0], site: row[2] ?? "", policy: row[3] ?? "", in: region.name)
                    if verdict != .untellable { placed += count }
                    let (place, home): (Int, String?)
                    switch verdict {
                    case .untellable, .home: continue
                    case .belongs(let destination):
                        (place, home) = (destination.place, destination.region)
                    case .refused(let refusal): (place, home) = (refusal.place, refusal.region)
                    }
                    let key = Key(
                        region: region.name, place: row[1], newPlace: judge.code(place), home: home)
                    found[key, default: 0] += count
                }
            }
        }
        misplaced = found.map { key, hits in
            Row(
                region: key.region, place: key.place, newPlace: key.newPlace,
                homes: key.home.map { [$0] } ?? [], hits: hits)
        }.sorted {
            $0.hits != $1.hits
                ? $0.hits > $1.hits
                : ($0.region, $0.place ?? "", $0.newPlace ?? "")
                    < ($1.region, $1.place ?? "", $1.newPlace ?? "")
        }
    }

    private struct Key: Hashable {
        let region: String
        let place: String?
        let newPlace: String?
        let home: String?
    }
}
