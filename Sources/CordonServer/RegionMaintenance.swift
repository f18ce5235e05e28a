package import CordonAudit
import CordonCatalog
import CordonJournal
import CordonKeys
package import CordonLake
package import CordonModel
package import CordonPolicy
package import CordonSubjects

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
    /// The rules of the moment: a reload may change them.
    private let ages: @Sendable () -> FieldAges

    /// Kind of the audit entry that ends a run in which something was done.
    package static let kind = "maintained"

    /// What a run did.
    package struct Outcome: Sendable {
        /// Requests that are still unfinished.
        package var unfinished: [SubjectService.Resumption] = []
        /// The end of retention that was carried out; nil when nothing was due.
        package var retention: SubjectRequest?
        package var ageing = AgeingReport()
        /// The day up to which retention and ages were seen to be carried out; nil when that stood already.
        package var watermark: Day?
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
        /// Dead letters that went because of their age.
        package var deadLettersEnded = 0

        package var hasChangedFiles: Bool {
            ageing.commits > 0 || compaction.commits > 0 || manifests > 0 || snapshots > 0
                || orphans > 0
                || deadLettersEnded > 0
        }
    }

    package init(
        _ lake: RegionLake, subjects: RegionSubjects, log: AuditLog, clock: any WallClock,
        ages: @escaping @Sendable () -> FieldAges
    ) {
        region = lake.region
        self.lake = lake
        self.subjects = subjects
        self.log = log
        self.clock = clock
        self.ages = ages
    }

    /// Opens what stands beside the region's lake.
    package init(
        _ region: RegionConfiguration, _ ruleSet: RuleSet, clock: any WallClock
    ) throws {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        let lake = try RegionLake(region, clock: clock, log: log)
        self.init(
            lake, subjects: RegionSubjects(lake, keys: keys, log: log, clock: clock), log: log,
            clock: clock
        ) { FieldAges(ruleSet, region: region.name) }
    }

    /// What a run would do now to the lake's files. Changes nothing.
    package func plan() throws -> MaintenancePlan { try lake.table.maintenancePlan() }

    /// What is due on a day: whole hits, and values of fields. Changes nothing.
    package func due(
        asOf day: Day? = nil
    ) throws -> (hits: RetentionPlan, values: [DueValues]) {
        let day = day ?? Day(clock.now())
        return (
            try subjects.service().retentionPlan(asOf: day),
            try lake.table.dueValues(ages(), on: day)
        )
    }

    /// How many rows are due on a day and stay because of a hold.
    package func heldRows(asOf day: Day) throws -> Int64 {
        try subjects.service().retentionPlan(asOf: day).heldRows
    }

    /// Ends what is due on a day: whole hits, and then values of fields.
    ///
    /// - Parameter beforeDue: whether the day may lie ahead; then goes what policy would still keep.
    package func endDue(
        asOf day: Day? = nil, beforeDue: Bool = false
    ) throws -> Outcome {
        var outcome = Outcome()
        let day = day ?? Day(clock.now())
        outcome.retention = try subjects.service().applyRetention(asOf: day, beforeDue: beforeDue)
        try endFields(on: day, &outcome)
        try tell(outcome)
        return outcome
    }

    /// Lets values go that are past their age on `day`, and records up to when all that was due is gone.
    private func endFields(
        on day: Day, _ outcome: inout Outcome, progress: (AgeingReport) -> Void = { _ in }
    ) throws {
        let ages = ages()
        outcome.ageing = try lake.table.age(ages, on: day, mayChange: mayChange, progress: progress)
        guard try lake.catalog.tableHead(HitsSchema.tableName) != nil else { return }
        let now = clock.now()
        let asOf = min(day, Day(now))
        var reached: [RegionWatermarks.Matter] = []
        if try subjects.service().retentionPlan(asOf: asOf).isEmpty { reached.append(.hits) }
        if outcome.ageing.filesLeft == 0 {
            reached += ages.rules.map(RegionWatermarks.Matter.field)
        }
        let stood = try lake.catalog.watermarks()
        let moved = reached.filter { matter in
            !stood.contains { $0.name == matter.name && $0.asOf >= asOf }
        }
        guard !moved.isEmpty else { return }
        _ = try log.append(
            AuditEntry(
                at: now, kind: RegionWatermarks.kind, region: region.name,
                fields: [
                    "as-of": .text(asOf.text), "matters": .list(moved.map(\.name).sorted()),
                ]))
        try lake.catalog.raise(moved.map { Watermark(name: $0.name, asOf: asOf, at: now) })
        try lake.catalog.keepWatermarks(Set(RegionWatermarks.matters(ages).map(\.name)))
        outcome.watermark = asOf
    }

    /// Which files may be written anew: those without rows of people whose erasure is under way.
    private func mayChange(
        _ files: [DataFileRef], _ writer: LakeWriter
    ) throws -> Set<DataFileRef> {
        let held = try writer.count(try suppressed(), in: files.map(\.path))
        return Set(files.filter { held[$0.path] == nil })
    }

    /// Does all there is to do.
    ///
    /// - Parameter progress: called after each group of files that became one.
    package func run(progress: (CompactionReport) -> Void = { _ in }) throws -> Outcome {
        var outcome = Outcome()
        (outcome.unfinished, outcome.retention) = try subjects.sweep()
        try endFields(on: Day(clock.now()), &outcome)
        // The certificate of an erasure names the files that took the place of others. They stay until it is made. The
        // requests are asked for anew: a run of their steps may have gone far before it failed.
        let service = subjects.service()
        outcome.waitsForErasure = try outcome.unfinished.contains {
            try service.mayHaveNamedFiles($0.request.id)
        }
        let table = lake.table
        if !outcome.waitsForErasure {
            outcome.compaction = try table.compact(suppressed: suppressed, progress: progress)
        }
        outcome.manifests = try table.write { try $0.mergeManifests() }
        (outcome.snapshots, outcome.filesDeleted) = try table.write { try $0.expireSnapshots() }
        let orphans = try table.write { try $0.removeOrphans() }
        outcome.orphans = orphans.count
        outcome.orphanBytes = orphans.reduce(0) { $0 + $1.bytes }
        let oldest = Timestamp(
            microseconds: clock.now().microseconds - Int64(region.maintenance.deadLetterDays)
                * Timestamp.microsecondsPerDay)
        outcome.deadLettersEnded = try table.write { try $0.removeDeadLetters(before: oldest) }
        try tell(outcome)
        return outcome
    }

    /// Pseudonyms of people whose erasure is under way.
    private func suppressed() throws -> SubjectFilter {
        try region.suppression().people
    }

    private func tell(_ outcome: Outcome) throws {
        guard outcome.hasChangedFiles else { return }
        let counts = [
            "compacted-files": outcome.compaction.filesBefore,
            "compacted-into": outcome.compaction.filesAfter,
            "groups-left": outcome.compaction.groupsLeft, "manifests": outcome.manifests,
            "snapshots": outcome.snapshots, "files-deleted": outcome.filesDeleted,
            "orphans": outcome.orphans, "aged-files": outcome.ageing.filesBefore,
            "files-left": outcome.ageing.filesLeft,
            "dead-letters-ended": outcome.deadLettersEnded,
        ]
        var fields = counts.filter { $0.value > 0 }.mapValues { AuditEntry.Value.integer($0) }
        for (field, values) in outcome.ageing.values {
            fields[LakeEvent.fieldPrefix + field] = .integer(Int(values))
        }
        _ = try log.append(
            AuditEntry(
                at: clock.now(), kind: Self.kind, region: region.name, fields: fields))
    }
}
