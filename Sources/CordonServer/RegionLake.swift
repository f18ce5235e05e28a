package import CordonAudit
package import CordonCatalog
package import CordonJournal
import CordonKeys
package import CordonLake
package import CordonModel
import LinuxIO

/// One region's lake with the catalog that it stands in.
package struct RegionLake: Sendable {
    package let region: RegionConfiguration
    package let catalog: Catalog
    package let table: HitsTable

    /// Opens the lake of a region, making catalog and folders that are missing.
    ///
    /// - Parameter audit: tells the region's audit log; what it throws prevents the change it was told of.
    package init(
        _ region: RegionConfiguration, clock: any WallClock,
        audit: @escaping @Sendable (LakeEvent) throws -> Void,
        step: @escaping @Sendable (LakeStep) throws -> Void = { _ in }
    ) throws {
        self.region = region
        try Directory.create(region.stateDirectory)
        try Directory.create(File.parent(of: region.catalogPath))
        catalog = try Catalog(path: region.catalogPath)
        let erased = ErasedPeople(region)
        table = HitsTable(
            HitsTable.Settings(region), catalog: catalog, clock: clock, audit: audit,
            gate: { try RegionHolds(region).gate() }, erased: { try erased.filter() },
            sealer: { try RegionSealer(region) }, step: step)
        try table.requireNotForeign()
    }

    /// Opens the lake of a region whose audit log hears of every change before it is visible.
    ///
    /// - Parameter step: called between the effects of each change; throws in tests.
    package init(
        _ region: RegionConfiguration, clock: any WallClock, log: AuditLog,
        step: @escaping @Sendable (LakeStep) throws -> Void = { _ in }
    ) throws {
        let audit: @Sendable (LakeEvent) throws -> Void = { event in
            _ = try log.append(
                AuditEntry(
                    at: clock.now(), kind: event.kind.rawValue, region: region.name,
                    fields: event.counts.mapValues { .integer($0) }))
        }
        try self.init(region, clock: clock, audit: audit, step: step)
    }

    /// Opens the lake of a region with the audit log and the signing key that stand beside it.
    package init(_ region: RegionConfiguration, clock: any WallClock) throws {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        try self.init(region, clock: clock, log: log)
    }

    /// Opens the lake of a region to look into it; nil when nothing was ever delivered there.
    package static func reading(
        _ region: RegionConfiguration, clock: any WallClock
    ) throws -> RegionLake? {
        guard try File.exists(region.catalogPath) else { return nil }
        return try RegionLake(region, clock: clock) { _ in
            throw LakeError(.openedForReading, "the lake was opened for reading")
        }
    }

    /// Opens the region's journal.
    package func journal() throws -> Journal { try Journal(path: region.journalPath) }
}

extension RegionConfiguration {
    /// Who may no longer be kept; nobody before the region has a journal.
    func suppression() throws -> Suppression {
        try File.exists(journalPath) ? Journal(path: journalPath).suppression() : Suppression()
    }
}
