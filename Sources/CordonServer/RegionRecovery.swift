package import CordonAudit
import CordonCatalog
import CordonJournal
import CordonKeys
import CordonLake
package import CordonModel
import CordonSubjects
import LinuxIO
package import Telemetry

/// What the last run left in one region, found at the start of the next. The repair itself is made by whoever does the
/// work next: the delivery, the sweep, the ledger.
package struct RegionRecovery: Equatable, Sendable {
    /// In the journal, not yet in the lake.
    package var waitingBatches = 0
    package var waitingHits = 0
    /// In the lake and still in the journal: a delivery was cut between its commit and its tidying.
    package var deliveredBatches = 0
    /// Noted before they were written, and in no commit: a delivery or an erasure was cut before its commit.
    package var uncommittedFiles = 0
    /// Out of the table and not yet deleted.
    package var unreferencedFiles = 0
    package var unfinishedRequests = 0
    /// Batches on their way to other regions: a relocation was cut.
    package var outgoingBatches = 0
    /// Closed and not forgotten: the ledger was cut while it was told.
    package var untoldReports = 0

    /// Kind of the audit entry.
    package static let kind = "node.recovered"

    package init() {}

    /// What is left, by the names in the audit log and the logs; empty when there is nothing.
    package var counts: [(name: String, count: Int)] {
        [
            ("waiting-batches", waitingBatches), ("waiting-hits", waitingHits),
            ("delivered-batches", deliveredBatches), ("uncommitted-files", uncommittedFiles),
            ("unreferenced-files", unreferencedFiles), ("unfinished-requests", unfinishedRequests),
            ("outgoing-batches", outgoingBatches), ("untold-reports", untoldReports),
        ].filter { $0.count > 0 }
    }

    /// Looks; changes nothing.
    ///
    /// - Parameter ownsJournal: whether hits that wait are worth a word: for a collector they are, for a delivery they are
    ///   its work.
    init(_ lake: RegionLake, subjects: RegionSubjects, ownsJournal: Bool) throws {
        let region = lake.region
        if try File.exists(region.journalPath) {
            let journal = try lake.journal()
            let delivered = BatchNumber(try lake.table.deliveredThrough())
            let waiting = try journal.depth(after: delivered)
            deliveredBatches = try journal.depth().batches - waiting.batches
            if ownsJournal {
                waitingBatches = waiting.batches
                waitingHits = waiting.hits
            }
            untoldReports = try journal.closedReports()
        }
        // A writer at work has files of both kinds: what it holds the lock for is not left over.
        let lock = try FileLock(trying: region.lakeLockPath)
        if lock != nil {
            let table = HitsSchema.tableName
            uncommittedFiles = try lake.catalog.writtenFiles(table: table).count
            unreferencedFiles = try lake.catalog.unreferencedFiles(table: table).count
            outgoingBatches = try lake.catalog.outgoingHits(table: table).batches
        }
        if try File.exists(region.requestsPath) {
            unfinishedRequests = try subjects.unfinishedCount()
        }
        _ = consume lock
    }

    /// Looks before a delivery, and tells the region's audit log; returns what there is, in words.
    package static func reportForDelivery(
        _ region: RegionConfiguration, clock: any WallClock
    ) throws -> [(name: String, count: Int)] {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        let lake = try RegionLake(region, clock: clock, log: log)
        let found = try RegionRecovery(
            lake, subjects: RegionSubjects(lake, keys: keys, log: log, clock: clock),
            ownsJournal: false)
        try found.tell(log, clock: clock)
        return found.counts.map { ($0.name.replacing("-", with: " "), $0.count) }
    }

    private func tell(_ log: AuditLog, clock: any WallClock) throws {
        guard !counts.isEmpty else { return }
        _ = try log.append(
            AuditEntry(
                at: clock.now(), kind: Self.kind, region: log.region,
                fields: Dictionary(
                    uniqueKeysWithValues: counts.map { ($0.name, .integer($0.count)) })))
    }

    /// Looks, and tells the region's audit log and the log what there is; silent when there is nothing.
    package static func report(
        _ lake: RegionLake, subjects: RegionSubjects, log: AuditLog, logger: Logger,
        clock: any WallClock, ownsJournal: Bool
    ) throws {
        let found = try RegionRecovery(lake, subjects: subjects, ownsJournal: ownsJournal)
        guard !found.counts.isEmpty else { return }
        try found.tell(log, clock: clock)
        logger.info(
            "found what the last run left, and goes on with it",
            [
                "node.region": .text(lake.region.name),
                "journal.batches": .count(found.waitingBatches),
                "journal.hits": .count(found.waitingHits),
                "journal.delivered_batches": .count(found.deliveredBatches),
                "lake.uncommitted_files": .count(found.uncommittedFiles),
                "lake.unreferenced_files": .count(found.unreferencedFiles),
                "subjects.unfinished": .count(found.unfinishedRequests),
                "lake.outgoing_batches": .count(found.outgoingBatches),
                "ledger.untold_reports": .count(found.untoldReports),
            ])
    }
}
