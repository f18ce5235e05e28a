internal import CordonModel
internal import LinuxIO
internal import SQLite

/// How many hits of one policy met one fate. The names are the edge's; the journal only adds them up.
package struct LedgerCount: Hashable, Sendable {
    package var policy: String
    package var fate: String
    package var hits: Int64

    package init(policy: String, fate: String, hits: Int64) {
        self.policy = policy
        self.fate = fate
        self.hits = hits
    }
}

/// One number of the loss ledger.
package struct LedgerRow: Hashable, Sendable {
    /// Minutes since 1970-01-01T00:00Z, by the clock of the commit.
    package let minute: Int64
    package let policy: String
    package let fate: String
    package let hits: Int64
}

/// Numbers of the ledger that go to the audit log together, exactly once.
package struct LedgerReport: Sendable {
    /// Counts from 1; the audit entries bear it.
    package let number: Int64
    /// Ascending by minute, policy and fate.
    package let rows: [LedgerRow]
    /// A run that ended early had made it, and may have told it.
    package let isResumed: Bool
}

// Writing, on the way of a batch.
extension Journal {
    /// The present minute, by the system's clock.
    package static var minute: Int64 { SystemClock.realtimeMicroseconds() / 60_000_000 }

    /// Adds counts of hits that keep nothing, synced when this returns.
    package func note(_ counts: [LedgerCount], minute: Int64? = nil) throws(JournalError) {
        guard !counts.isEmpty else { return }
        do {
            try connection.transaction(.immediate) {
                try add(counts, minute: minute ?? Self.minute)
            }
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Adds to what no report holds yet. Runs within a transaction.
    func add(_ counts: [LedgerCount], minute: Int64) throws {
        guard !counts.isEmpty else { return }
        let row = try connection.prepare(
            """
            INSERT INTO ledger (report, minute, policy, fate, hits) VALUES (0, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET hits = hits + excluded.hits
            """)
        for count in counts {
            try row.bind(1, minute)
            try row.bind(2, count.policy)
            try row.bind(3, count.fate)
            try row.bind(4, count.hits)
            try row.run()
        }
    }

    /// Adds the tallies of batches up to `last` that the ledger does not hold yet. Runs within a transaction.
    func foldTallies(through last: Int64 = .max) throws {
        let query = try connection.prepare(
            """
            SELECT batch, minute, counts FROM tallies
            WHERE batch > (SELECT value FROM state WHERE name = 'ledger-batch') AND batch <= ?
            ORDER BY batch
            """)
        try query.bind(1, last)
        var sums: [Int64: [LedgerCount]] = [:]
        var folded: Int64 = 0
        while try query.step() {
            folded = query.int64(0)
            LedgerTally.add(
                try LedgerTally.counts(query.text(2) ?? ""), to: &sums[query.int64(1), default: []])
        }
        guard folded > 0 else { return }
        for (minute, counts) in sums { try add(counts, minute: minute) }
        try setState("ledger-batch", folded)
    }

    func setState(_ name: String, _ value: Int64) throws {
        let row = try connection.prepare("INSERT OR REPLACE INTO state VALUES (?, ?)")
        try row.bind(1, name)
        try row.bind(2, value)
        try row.run()
    }

    func state(_ name: String) throws -> Int64 {
        let row = try connection.prepare("SELECT value FROM state WHERE name = ?")
        try row.bind(1, name)
        return try row.step() ? row.int64(0) : 0
    }
}

// Telling the audit log.
extension Journal {
    /// The report that is to be told next, closed now when none was closed before; nil when there is nothing to tell.
    ///
    /// What is counted later goes into a later report, so a closed one never changes. Whoever tells reports holds a lock
    /// of the region, so that no two tell the same.
    ///
    /// - Parameter openMinute: a minute that goes on, and waits for a later report; nil closes all.
    package func ledgerReport(leaving openMinute: Int64?) throws(JournalError) -> LedgerReport? {
        try takeInBeforeLook()
        do {
            return try connection.transaction(.immediate) {
                try foldTallies()
                let closed = try connection.integer(
                    "SELECT min(report) FROM ledger WHERE report > 0")
                let number: Int64
                if let closed {
                    number = closed
                } else {
                    number = try state("ledger-told") + 1
                    let close = try connection.prepare(
                        "UPDATE ledger SET report = ?1 WHERE report = 0 AND minute IS NOT ?2")
                    try close.bind(1, number)
                    if let openMinute { try close.bind(2, openMinute) }
                    try close.run()
                }
                let rows = try ledgerRows("WHERE report = \(number)")
                guard !rows.isEmpty else { return nil }
                return LedgerReport(number: number, rows: rows, isResumed: closed != nil)
            }
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Forgets a report that the audit log has.
    package func ledgerTold(_ number: Int64) throws(JournalError) {
        do {
            try connection.transaction(.immediate) {
                let delete = try connection.prepare("DELETE FROM ledger WHERE report = ?")
                try delete.bind(1, number)
                try delete.run()
                try setState("ledger-told", max(number, try state("ledger-told")))
            }
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// How many reports were closed and not forgotten.
    package func closedReports() throws(JournalError) -> Int {
        do {
            return Int(
                try connection.integer(
                    "SELECT count(DISTINCT report) FROM ledger WHERE report > 0") ?? 0)
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    private func ledgerRows(_ condition: String) throws -> [LedgerRow] {
        let query = try connection.prepare(
            """
            SELECT minute, policy, fate, hits FROM ledger \(condition)
            ORDER BY minute, policy, fate
            """)
        var rows: [LedgerRow] = []
        while try query.step() {
            rows.append(
                LedgerRow(
                    minute: query.int64(0), policy: query.text(1) ?? "",
                    fate: query.text(2) ?? "", hits: query.int64(3)))
        }
        return rows
    }
}

/// What the journal knows for a balance.
package struct LedgerState: Sendable {
    /// The last report that the audit log has; what it and earlier ones held is not in ``counts``.
    package let told: Int64
    /// The ledger begins behind this batch: 0 unless an earlier version made the file.
    package let from: Int64
    /// What no told report holds, by policy and fate.
    package let counts: [LedgerCount]
    /// Hits that were taken out of waiting batches, by policy.
    package let removed: [LedgerCount]
    /// Batches that wait, or should.
    package let batches: [Batch]
    /// The highest number ever given.
    package let last: Int64

    package struct Batch: Sendable {
        package let number: Int64
        /// Hits that it was appended with; nil when its tally is gone.
        package let tallied: Int64?
        /// Of these, hits that were taken out since.
        package let removed: Int64
        /// Hits of the batch as it lies there; nil when it is gone.
        package let present: Int64?
    }
}

// Looking.
extension Journal {
    /// Runs `body` on one state of the journal, whatever others write meanwhile.
    package func snapshot<Result>(_ body: () throws -> Result) throws -> Result {
        try takeInBeforeLook()
        return try connection.transaction(.deferred, body)
    }

    /// The ledger's numbers, and the batches behind `delivered`. Consistent within ``snapshot(_:)``.
    package func ledger(after delivered: BatchNumber) throws(JournalError) -> LedgerState {
        try takeInBeforeLook()
        do {
            var counts: [LedgerCount] = []
            for row in try ledgerRows("") {
                LedgerTally.add(
                    [LedgerCount(policy: row.policy, fate: row.fate, hits: row.hits)], to: &counts)
            }
            let folded = try state("ledger-batch")
            let unfolded = try connection.prepare("SELECT counts FROM tallies WHERE batch > ?")
            try unfolded.bind(1, folded)
            while try unfolded.step() {
                LedgerTally.add(try LedgerTally.counts(unfolded.text(0) ?? ""), to: &counts)
            }
            var removed: [LedgerCount] = []
            let gone = try connection.prepare("SELECT policy, hits FROM removed ORDER BY policy")
            while try gone.step() {
                removed.append(
                    LedgerCount(
                        policy: gone.text(0) ?? "", fate: "removed", hits: gone.int64(1)))
            }
            return LedgerState(
                told: try state("ledger-told"), from: try state("ledger-from"), counts: counts,
                removed: removed, batches: try waiting(after: delivered),
                last: try connection.integer(
                    "SELECT seq FROM sqlite_sequence WHERE name = 'batches'") ?? 0)
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    private func waiting(after delivered: BatchNumber) throws -> [LedgerState.Batch] {
        let query = try connection.prepare(
            """
            SELECT number, t.hits, coalesce(t.removed, 0), b.hits
            FROM (SELECT number FROM batches UNION SELECT batch FROM tallies)
                LEFT JOIN batches AS b USING (number) LEFT JOIN tallies AS t ON t.batch = number
            WHERE number > ? ORDER BY number
            """)
        try query.bind(1, delivered.value)
        var batches: [LedgerState.Batch] = []
        while try query.step() {
            batches.append(
                LedgerState.Batch(
                    number: query.int64(0), tallied: query.isNull(1) ? nil : query.int64(1),
                    removed: query.int64(2), present: query.isNull(3) ? nil : query.int64(3)))
        }
        return batches
    }

    /// What a batch was appended with, by policy and fate; empty when its tally is gone.
    package func tally(of number: BatchNumber) throws(JournalError) -> [LedgerCount] {
        do {
            let query = try connection.prepare("SELECT counts FROM tallies WHERE batch = ?")
            try query.bind(1, number.value)
            return try query.step() ? try LedgerTally.counts(query.text(0) ?? "") : []
        } catch {
            throw JournalError(wrapping: error)
        }
    }
}

/// The counts of one batch as text: a line `policy fate hits` each. A count without a policy has `-`.
package enum LedgerTally {
    package static func text(_ counts: [LedgerCount]) -> String {
        var text = ""
        for count in counts {
            text += count.policy.isEmpty ? "-" : count.policy
            text += " \(count.fate) \(count.hits)\n"
        }
        return text
    }

    static func counts(_ text: String) throws(JournalError) -> [LedgerCount] {
        var counts: [LedgerCount] = []
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, let hits = Int64(words[2]) else {
                throw JournalError(.unreadable)
            }
            counts.append(
                LedgerCount(
                    policy: words[0] == "-" ? "" : String(words[0]), fate: String(words[1]),
                    hits: hits))
        }
        return counts
    }

    /// Adds `more` to `sums`, which holds each policy and fate once.
    static func add(_ more: [LedgerCount], to sums: inout [LedgerCount]) {
        for count in more {
            if let index = sums.firstIndex(where: {
                $0.policy == count.policy && $0.fate == count.fate
            }) {
                sums[index].hits += count.hits
            } else {
                sums.append(count)
            }
        }
    }
}

extension Journal {
    static let ledgerRest = Rest(.ledger, ["policy"])
}
