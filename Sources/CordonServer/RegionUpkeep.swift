import CordonAudit
import CordonJournal
import CordonLake
import CordonModel
import Telemetry

/// What a region needs besides its collector: delivery of the journal.
struct RegionUpkeep: Sendable {
    private let lake: RegionLake
    private let logger: Logger

    init(
        _ region: RegionConfiguration, log: AuditLog, logger: Logger, clock: any WallClock
    ) throws {
        lake = try RegionLake(region, clock: clock, log: log)
        self.logger = logger
    }

    /// A thread that delivers every so often.
    func worker(everySeconds seconds: Int) -> Worker {
        Worker(name: "upkeep-\(lake.region.name)", everySeconds: seconds) { _ in deliver() }
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
