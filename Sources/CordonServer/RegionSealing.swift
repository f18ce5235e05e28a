import CordonKeys
import CordonLake
import CordonModel

/// Seals the columns that a region's file names, with the keys of the people that hits are tied to.
struct RegionSealer: HitSealer {
    private let columns: SealedColumns
    private let keys: SubjectKeys

    /// Nil where the region seals nothing.
    init?(_ region: RegionConfiguration) throws {
        guard !region.sealedColumns.isEmpty else { return nil }
        columns = SealedColumns(region: region.name, columns: region.sealedColumns)
        keys = try SubjectKeys(
            creating: RegionKeys(opening: region.keysDirectory, region: region.name))
    }

    func seal(_ records: inout [HitRecord]) throws {
        var uses: [SubjectKeys.Owner: SubjectKeys.Use] = [:]
        for record in records {
            guard let owner = SubjectKeys.Owner(record) else { continue }
            let day = record.keyEpoch ?? Day(record.timestamp)
            uses[owner, default: .init(day: day, retainUntil: record.retainUntil)].retainUntil =
                max(uses[owner]?.retainUntil ?? record.retainUntil, record.retainUntil)
        }
        let found = try keys.keys(for: uses)
        for index in records.indices {
            let key = SubjectKeys.Owner(records[index]).flatMap { found[$0] }
            columns.seal(&records[index], under: key)
        }
    }
}

/// Opens sealed values of hits that leave a region's lake.
final class RegionOpener {
    private let columns: SealedColumns
    private let keys: SubjectKeys

    /// Nil where nothing was ever sealed. Columns that are no longer named are opened too.
    init?(_ region: RegionConfiguration) throws {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        guard let existing = try SubjectKeys.existing(keys) else { return nil }
        self.keys = existing
        columns = SealedColumns(region: region.name)
    }

    /// The hit with its values; without those that no key opens any more.
    func opened(_ record: HitRecord) throws -> HitRecord {
        var opened = record
        let found = try SubjectKeys.Owner(record).map { try keys.keys(opening: $0) } ?? []
        columns.open(&opened, under: found)
        return opened
    }
}
