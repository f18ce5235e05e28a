internal import CordonJournal
package import CordonModel

/// What is due in a region on a day.
package struct RetentionPlan: Equatable, Sendable {
    /// The files of one day of hits and one end of retention.
    package struct Partition: Equatable, Sendable {
        package let day: Day
        package let retainUntil: Day
        package var files = 0
        package var rows: Int64 = 0
        package var bytes: Int64 = 0
    }

    package let asOf: Day
    /// Ascending by end of retention and day.
    package var partitions: [Partition] = []
    /// Due hits that still wait in the journal.
    package var journalHits: Int64 = 0
    /// Due rows that a hold keeps; no query shows them.
    package var heldRows: Int64 = 0
    /// Requests that were cut between leaving the table and leaving the disk.
    package var unfinished = 0

    package var isEmpty: Bool { partitions.isEmpty && journalHits == 0 && unfinished == 0 }
    package var files: Int { partitions.reduce(0) { $0 + $1.files } }
    package var rows: Int64 { partitions.reduce(0) { $0 + $1.rows } }
    package var bytes: Int64 { partitions.reduce(0) { $0 + $1.bytes } }
}

extension SubjectService {
    /// What would go on `day`. Changes nothing.
    package func retentionPlan(asOf day: Day) throws -> RetentionPlan {
        var plan = RetentionPlan(asOf: day)
        let candidates = try lake.files().filter { $0.isDue(on: day) }
        let held = try lake.held(in: candidates)
        plan.heldRows = held.values.reduce(0, +)
        let due = candidates.compactMap { $0.leaving(held[$0.path] ?? 0) }
        let gate = try gate()
        let groups = Dictionary(grouping: due) { [$0.retainUntil, $0.day] }
        plan.partitions = groups.sorted { ($0.key[0], $0.key[1]) < ($1.key[0], $1.key[1]) }.map {
            key, files in
            RetentionPlan.Partition(
                day: key[1], retainUntil: key[0], files: files.count,
                rows: files.reduce(0) { $0 + $1.rows }, bytes: files.reduce(0) { $0 + $1.bytes })
        }
        try JournalSweep(journal: try journal()).forEachRecord(
            .due(on: day), after: try lake.deliveredThrough()
        ) { record, _ in if !gate.holds(record) { plan.journalHits += 1 } }
        plan.unfinished = try requests(max: .max).count { $0.kind == .retention && !$0.isFinished }
        return plan
    }

    /// Takes away for good what is due on `day`, after finishing what was cut.
    ///
    /// - Parameters:
    ///   - day: nil means today.
    ///   - beforeDue: whether the day may lie ahead; then rows go that policy would still keep.
    /// - Returns: what was done; nil when nothing was due.
    package func applyRetention(
        asOf day: Day? = nil, beforeDue: Bool = false
    ) throws -> SubjectRequest? {
        let today = Day(clock.now())
        let day = day ?? today
        guard day <= today || beforeDue else {
            throw SubjectError.notDueYet(asOf: day.text, today: today.text)
        }
        return try alone { store in
            var last: SubjectRequest?
            for open in try store.unfinished(.retention) {
                last = try run(open, in: store, identify: { nil })
            }
            guard try !retentionPlan(asOf: day).isEmpty else { return last }
            let request = SubjectRequest(
                retention: SubjectRequest.newID(), asOf: day, at: clock.now())
            try store.insert(request)
            return try run(request, in: store, identify: { nil })
        }
    }
}
