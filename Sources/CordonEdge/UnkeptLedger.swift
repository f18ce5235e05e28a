internal import CordonJournal
internal import LinuxIO

/// What one region's ledger is still to be told of hits that keep nothing. Used by the region's committer alone.
///
/// The loops' counts only grow, so what is new is the difference to what a transaction of the journal took last.
final class UnkeptLedger {
    /// The counts as the loops published them last, of the policies that are this region's.
    private let read: () -> [RuleCounts]
    private var settled: [Key: UInt64] = [:]
    /// What is on its way into the journal.
    private var taken: [Key: UInt64] = [:]
    private var dueAt: UInt64 = 0

    private struct Key: Hashable {
        let policy: String
        let fate: HitFate
    }

    init(reading read: @escaping () -> [RuleCounts]) { self.read = read }

    /// Whether the last look is long enough ago.
    var isDue: Bool { SystemClock.monotonicMilliseconds() >= dueAt }

    /// What is new; `settle()` or `keep()` says what came of it.
    func take() -> [LedgerCount] {
        dueAt = SystemClock.monotonicMilliseconds() + UInt64(RegionCommitter.ledgerMilliseconds)
        taken.removeAll(keepingCapacity: true)
        var counts: [LedgerCount] = []
        for rule in read() {
            for fate in HitFate.allCases where !fate.isStored {
                // Two homes may share a policy's name, one before and one after a reload.
                taken[Key(policy: rule.policy, fate: fate), default: 0] += rule[fate]
            }
        }
        for (key, total) in taken {
            let hits = total - (settled[key] ?? 0)
            if hits > 0 {
                counts.append(
                    LedgerCount(policy: key.policy, fate: key.fate.text, hits: Int64(hits)))
            }
        }
        return counts
    }

    /// The journal has what was taken.
    func settle() {
        settled.merge(taken) { _, new in new }
        taken.removeAll(keepingCapacity: true)
    }

    /// The journal could not take it: it stays new.
    func keep() { taken.removeAll(keepingCapacity: true) }
}
