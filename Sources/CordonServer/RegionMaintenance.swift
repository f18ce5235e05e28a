package import CordonAudit
import CordonJournal
import CordonKeys
package import CordonLake
package import CordonModel
package import CordonSubjects
import LinuxIO

/// Keeps one region's lake in order: requests that were cut, the end of retention, and what many small deliveries leave.
///
/// Every step follows from what lies there and may be cut anywhere: the next run goes on. Each takes the lake lock for one
/// commit at a time, so deliveries, erasures and queries go on beside it.
package struct RegionMaintenance: Sendable {
    package let region: RegionConfiguration
    private let lake: RegionLake
    private let subjects: RegionSubjects
    private let log: AuditLog
    private let clock: any WallClock

    /// Kind of the audit entry that ends a run in which something was done.
    package static let kind = "maintained"

    /// What a run did.
    package struct Outcome: Sendable {
        /// Requests that are still unfinished.
        package var unfinished: [SubjectService.Resumption] = []
        /// The end of retention that was carried out; nil when nothing was due.
        package var retention: SubjectRequest?
        package var compaction = CompactionReport()
        /// Whether compaction waits for an erasure that could not be ended.
        package var waitsForErasure = false
        /// Manifests that were merged.
        package var manifests = 0
        package var snapshots = 0
        /// Files that only expired snapshots reached.
        package var filesDeleted = 0
        package var orphans = 0
        package var orphanBytes = 0

        package var hasChangedFiles: Bool {
            compaction.commits > 0 || manifests > 0 || snapshots > 0 || orphans > 0
        }
    }

    package init(
        _ lake: RegionLake, subjects: RegionSubjects, log: AuditLog, clock: any WallClock
    ) {
        region = lake.region
        self.lake = lake
        self.subjects = subjects
        self.log = log
        self.clock = clock
    }

    /// Opens what stands beside the region's lake.
    package init(_ region: RegionConfiguration, clock: any WallClock) throws {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        let lake = try RegionLake(region, clock: clock, log: log)
        self.init(
            lake, subjects: RegionSubjects(lake, keys: keys, log: log, clock: clock), log: log,
            clock: clock)
    }

    /// What a run would do now to the lake's files, and what is due. Changes nothing.
    package func plan() throws -> (lake: MaintenancePlan, due: RetentionPlan) {
        (
            try lake.table.maintenancePlan(),
            try subjects.service().retentionPlan(asOf: Day(clock.now()))
        )
    }

    /// Does all there is to do.
    ///
    /// - Parameter progress: called after each group of files that became one.
    package func run(progress: (CompactionReport) -> Void = { _ in }) throws -> Outcome {
        var outcome = Outcome()
        (outcome.unfinished, outcome.retention) = try subjects.sweep()
        // The certificate of an erasure names the files that took the place of others. They stay until it is made.
        outcome.waitsForErasure = outcome.unfinished.contains { $0.request.kind == .erase }
        let table = lake.table
        if !outcome.waitsForErasure {
            outcome.compaction = try table.compact(suppressed: suppressed, progress: progress)
        }
        outcome.manifests = try table.write { try $0.mergeManifests() }
        (outcome.snapshots, outcome.filesDeleted) = try table.write { try $0.expireSnapshots() }
        let orphans = try table.write { try $0.removeOrphans() }
        outcome.orphans = orphans.count
        outcome.orphanBytes = orphans.reduce(0) { $0 + $1.bytes }
        try tell(outcome)
        return outcome
    }

    /// Pseudonyms of people whose erasure is under way.
    private func suppressed() throws -> SubjectFilter {
        guard try File.exists(region.journalPath) else { return SubjectFilter() }
        let list = try lake.journal().suppression()
        return SubjectFilter(users: list.users, visitors: list.visitors)
    }

    private func tell(_ outcome: Outcome) throws {
        guard outcome.hasChangedFiles else { return }
        let counts = [
            "compacted-files": outcome.compaction.filesBefore,
            "compacted-into": outcome.compaction.filesAfter,
            "groups-left": outcome.compaction.groupsLeft, "manifests": outcome.manifests,
            "snapshots": outcome.snapshots, "files-deleted": outcome.filesDeleted,
            "orphans": outcome.orphans,
        ]
        _ = try log.append(
            AuditEntry(
                at: clock.now(), kind: Self.kind, region: region.name,
                fields: counts.filter { $0.value > 0 }.mapValues { .integer($0) }))
    }
}
