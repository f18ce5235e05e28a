import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonSubjects
import Telemetry

/// What a region needs besides its collector: delivery of the journal, requests that were cut, the end of retention.
struct RegionUpkeep: Sendable {
    private let lake: RegionLake
    private let subjects: RegionSubjects
    private let logger: Logger

    init(
        _ region: RegionConfiguration, log: AuditLog, logger: Logger, clock: any WallClock
    ) throws {
        lake = try RegionLake(region, clock: clock, log: log)
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        subjects = RegionSubjects(lake, keys: keys, log: log, clock: clock)
        self.logger = logger
    }

    /// How often what is due is taken away and cut requests are tried again, in seconds.
    private static let sweepSeconds = 600

    /// Threads that deliver every so often, and sweep: soon after the start and then now and again.
    func workers(everySeconds seconds: Int) -> [Worker] {
        let deliverer = Worker(name: "upkeep-\(lake.region.name)", everySeconds: seconds) {
            isFirst in
            deliver()
            if isFirst { sweep() }
        }
        let sweeper = Worker(name: "sweep-\(lake.region.name)", everySeconds: Self.sweepSeconds) {
            _ in
            sweep()
        }
        return [deliverer, sweeper]
    }

    private func sweep() {
        do {
            let outcome = try subjects.sweep()
            for open in outcome.unfinished {
                logger.error(
                    "a request is still unfinished and is tried again",
                    [
                        "subjects.region": .text(lake.region.name),
                        "subjects.request": .text(open.request.id),
                        "subjects.step": .text(open.request.step.rawValue),
                    ])
            }
            guard let retention = outcome.retention else { return }
            logger.info(
                "retention applied",
                [
                    "subjects.region": .text(lake.region.name),
                    "subjects.rows": .count(retention.counts.rows),
                    "subjects.files": .count(retention.counts.files),
                ])
        } catch {
            logger.error(
                "the sweep failed and is tried again",
                ["subjects.region": .text(lake.region.name), "error": .text("\(error)")])
        }
    }

    private func deliver() {
        do {
            let journal = try lake.journal()
            guard try journal.depth().batches > 0 else { return }
            let report = try lake.table.deliver(from: journal)
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
}
