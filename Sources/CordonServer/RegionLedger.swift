import CordonAudit
import CordonEdge
import CordonJournal
import CordonModel
import LinuxIO

/// The loss ledger of one region on its way from the journal to the audit log: what became of each rule's hits, minute
/// by minute.
///
/// The numbers stand in the journal, those of stored hits in the transaction of their batch. A report is closed there,
/// told to the audit log, and then forgotten; one that a kill left closed is looked for in the log before it is told, so
/// each is told exactly once.
struct RegionLedger: Sendable {
    /// Kind of the entries.
    static let kind = "edge.ledger"
    /// The entries' field with the number of their report.
    static let reportField = "report"

    let region: RegionConfiguration
    let log: AuditLog
    let clock: any WallClock

    /// Tells what is new.
    ///
    /// - Parameter includingOpenMinute: also the minute that goes on; false leaves it for a later report.
    /// - Returns: the number of reports that an earlier run had closed and not finished.
    @discardableResult
    func tell(includingOpenMinute: Bool) throws -> Int {
        let lock = try FileLock(waitingFor: region.stateDirectory + "/ledger.lock")
        return try withExtendedLifetime(lock) {
            let journal = try Journal(path: region.journalPath)
            let openMinute = includingOpenMinute ? nil : Journal.minute
            var resumed = 0
            while let report = try journal.ledgerReport(leaving: openMinute) {
                if try !(report.isResumed && isTold(report.number)) {
                    try log.append(entries(report))
                }
                try journal.ledgerTold(report.number)
                guard report.isResumed else { break }
                resumed += 1
            }
            return resumed
        }
    }

    /// Whether the log's last ledger entries are those of the report: entries of one report get in together.
    private func isTold(_ number: Int64) throws -> Bool {
        let last = try log.reader.entries(matching: .init(kind: Self.kind), limit: 1).last
        return last?.entry.fields[Self.reportField] == .integer(Int(number))
    }

    /// One entry for each minute and policy.
    private func entries(_ report: LedgerReport) -> [AuditEntry] {
        var entries: [AuditEntry] = []
        var rows = report.rows[...]
        while let first = rows.first {
            let group = rows.prefix { $0.minute == first.minute && $0.policy == first.policy }
            rows = rows.dropFirst(group.count)
            var fields: [String: AuditEntry.Value] = [
                Self.reportField: .integer(Int(report.number)), "policy": .text(first.policy),
                "minute": .text(Self.text(minute: first.minute)),
                "received": .integer(Int(group.reduce(0) { $0 + $1.hits })),
            ]
            for row in group { fields[row.fate] = .integer(Int(row.hits)) }
            entries.append(
                AuditEntry(at: clock.now(), kind: Self.kind, region: region.name, fields: fields))
        }
        return entries
    }

    /// `2026-11-24T00:43Z`
    private static func text(minute: Int64) -> String {
        Timestamp(microseconds: minute * 60_000_000).text.prefix(16) + "Z"
    }
}
