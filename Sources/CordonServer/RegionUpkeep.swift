import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonSubjects
import Synchronization
import Telemetry

/// What a region needs besides its collector: delivery of the journal, requests that were cut, the end of retention,
/// and maintenance of the lake.
final class RegionUpkeep: Sendable {
    private let lake: RegionLake
    private let maintenance: RegionMaintenance
    private let relocation: Relocation
    private let logger: Logger
    private let pace: Mutex<DeliveryPace>
    private let hasMaintained = Atomic(false)

    /// - Parameter regions: all of the project.
    init(
        _ region: RegionConfiguration, of regions: [RegionConfiguration], log: AuditLog,
        logger: Logger, clock: any WallClock,
        ages: @escaping @Sendable () -> FieldAges
    ) throws {
        lake = try RegionLake(region, clock: clock, log: log)
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        maintenance = RegionMaintenance(
            lake, subjects: RegionSubjects(lake, keys: keys, log: log, clock: clock), log: log,
            clock: clock, ages: ages)
        relocation = Relocation(out: lake, regions: regions, clock: clock)
        self.logger = logger
        pace = Mutex(DeliveryPace(boundSeconds: region.maintenance.freshnessSeconds))
    }

    /// Threads that deliver every so often, and maintain: soon after the start and then now and again.
    ///
    /// - Parameter seconds: between deliveries; nil for what the region's freshness asks for.
    func workers(everySeconds seconds: Int?) -> [Worker] {
        let pause: @Sendable () -> Int64 = { [self] in
            seconds.map { Int64($0) * 1000 } ?? pace.withLock { $0.pauseMilliseconds }
        }
        let deliverer = Worker(
            name: "upkeep-\(lake.region.name)", pauseMilliseconds: pause
        ) { [self] in
            deliver()
        }
        // Soon after the start, and on a thread of its own: a backlog must not keep deliveries waiting.
        let rhythm: @Sendable () -> Int64 = { [self] in
            hasMaintained.load(ordering: .relaxed)
                ? Int64(lake.region.maintenance.everyMinutes) * 60_000 : pause()
        }
        let maintainer = Worker(
            name: "maintain-\(lake.region.name)", pauseMilliseconds: rhythm
        ) { [self] in
            hasMaintained.store(true, ordering: .relaxed)
            maintain()
        }
        return [deliverer, maintainer]
    }

    private func maintain() {
        maintainLake()
        do {
            try relocation.finish()
        } catch {
            logger.error(
                "hits on their way to other regions wait, and are tried again",
                ["relocation.region": .text(lake.region.name), "error": .text("\(error)")])
        }
    }

    private func maintainLake() {
        do {
            let outcome = try maintenance.run()
            for open in outcome.unfinished {
                logger.error(
                    "a request is still unfinished and is tried again",
                    [
                        "subjects.region": .text(lake.region.name),
                        "subjects.request": .text(open.request.id),
                        "subjects.step": .text(open.request.step.rawValue),
                    ])
            }
            if let retention = outcome.retention {
                logger.info(
                    "retention applied",
                    [
                        "subjects.region": .text(lake.region.name),
                        "subjects.rows": .count(retention.counts.rows),
                        "subjects.files": .count(retention.counts.files),
                    ])
            }
            if !outcome.ageing.values.isEmpty {
                logger.info(
                    "values past their age are gone",
                    [
                        "lake.region": .text(lake.region.name),
                        "lake.values": .count(
                            Int(outcome.ageing.values.values.reduce(0, +))),
                        "lake.files": .count(outcome.ageing.filesBefore),
                    ])
            }
            guard outcome.hasChangedFiles else { return }
            logger.info(
                "lake maintained",
                [
                    "lake.region": .text(lake.region.name),
                    "lake.compacted_files": .count(outcome.compaction.filesBefore),
                    "lake.compacted_into": .count(outcome.compaction.filesAfter),
                    "lake.merged_manifests": .count(outcome.manifests),
                    "lake.expired_snapshots": .count(outcome.snapshots),
                    "lake.orphans": .count(outcome.orphans),
                ])
        } catch {
            logger.error(
                "maintenance failed and is tried again",
                ["lake.region": .text(lake.region.name), "error": .text("\(error)")])
        }
    }

    private func deliver() {
        do {
            let journal = try lake.journal()
            guard try journal.depth().batches > 0 else { return }
            let begun = ContinuousClock.now
            let report = try lake.table.deliver(from: journal)
            let took = (ContinuousClock.now - begun) / .milliseconds(1)
            notePace(milliseconds: Int64(took))
            logger.info(
                "hits delivered",
                [
                    "lake.region": .text(lake.region.name), "lake.rows": .count(report.rows),
                    "lake.files": .count(report.files),
                    "lake.dead_batches": .count(report.deadBatches),
                ])
        } catch {
            logger.error(
                "delivery failed and is tried again",
                ["lake.region": .text(lake.region.name), "error": .text("\(error)")])
        }
    }

    /// Lets the next pause follow from what the delivery took, and says when that cannot help.
    private func notePace(milliseconds: Int64) {
        let isTooSlow = pace.withLock {
            $0.noteDelivery(milliseconds: milliseconds)
            return $0.isTooSlow
        }
        guard isTooSlow else { return }
        logger.warning(
            "deliveries take too long for hits to be readable in time",
            [
                "lake.region": .text(lake.region.name),
                "lake.delivery_milliseconds": .count(Int(milliseconds)),
                "lake.freshness_seconds": .count(lake.region.maintenance.freshnessSeconds),
            ])
    }
}
