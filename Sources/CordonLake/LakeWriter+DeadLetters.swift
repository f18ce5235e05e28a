package import CordonJournal
package import CordonModel

/// What became of dead letters that were tried again.
package struct RetryReport: Equatable, Sendable {
    /// Letters that were looked at.
    package var letters = 0
    /// Letters that are gone because all of them was delivered.
    package var delivered = 0
    /// Letters of which what could be read was delivered; the rest is a letter of its own.
    package var shortened = 0
    /// Hits that became rows.
    package var rows = 0
    /// Hits of people whose erasure was asked for since.
    package var suppressed = 0

    package init() {}
}

extension HitsTable {
    /// Tries dead letters again: what can be read by now becomes rows, each hit exactly once.
    ///
    /// - Parameters:
    ///   - ids: nil for all.
    ///   - readable: whether the readable hits of a letter are delivered although others of it cannot be read.
    ///   - suppression: asked for under the lock.
    package func retryDeadLetters(
        _ ids: Set<Int64>?, readable: Bool, suppression: () throws -> Suppression
    ) throws -> RetryReport {
        var report = RetryReport()
        // Those there are now: the rest of one is a letter of its own, in which nothing can be read.
        for id in try catalog.deadLetterIDs(table: HitsSchema.tableName, before: nil)
        where ids?.contains(id) ?? true {
            report.letters += 1
            try write { try $0.retry(id, readable: readable, suppression(), into: &report) }
        }
        return report
    }
}

extension LakeWriter {
    /// Delivers one letter; it is read again under the lock, since an erasure may have removed it.
    fileprivate func retry(
        _ id: Int64, readable: Bool, _ suppression: Suppression, into report: inout RetryReport
    ) throws {
        guard let letter = try catalog.storedDeadLetter(id, table: name) else { return }
        let examination = BatchExamination(letter.bytes)
        guard examination.hasHeader, examination.remainder == nil || readable else { return }
        guard !examination.batch.records.isEmpty || examination.remainder == nil else { return }
        var rows = HitRows(sealing: try table.sealer())
        var intake = Intake()
        intake.take(examination.batch, leavingOut: try leftOut(suppression), into: &rows)
        let engine = try engine()
        try engine.startGathering()
        try engine.gather(rows)
        let added = try writeGathered()
        // What is left does not become younger: it goes when the whole letter would have.
        let rest = examination.remainder.map {
            DeadBatch(
                batch: letter.batch,
                reason: "unreadable at byte \(examination.faultOffset ?? 0) of the whole batch",
                bytes: $0, since: letter.at)
        }
        let counts = ["rows": intake.rows, "letters": 1].merging(intake.countsByPolicy) { $1 }
        _ = try commit(
            LakeChange(
                operation: .append, added: added, deadLetters: rest.map { [$0] } ?? [],
                resolved: [id], event: LakeEvent(kind: .deadLetters, counts: counts)))
        report.rows += intake.rows
        report.suppressed += intake.leftOut
        if rest == nil { report.delivered += 1 } else { report.shortened += 1 }
    }

    /// Hands the bytes of each dead letter to `body`, oldest first.
    func forEachDeadLetter(_ body: (Int64, [UInt8]) throws -> Void) throws {
        for id in try catalog.deadLetterIDs(table: name, before: nil) {
            guard let letter = try catalog.storedDeadLetter(id, table: name) else { continue }
            try body(id, letter.bytes)
        }
    }

    /// Removes dead letters that are older than `time`, whatever they hold: nobody can tell when they were due.
    ///
    /// Nobody can tell either whether a hit in them is held, so none goes while there is any hold.
    ///
    /// - Returns: how many there were.
    package func removeDeadLetters(before time: Timestamp) throws -> Int {
        guard try table.gate().isOpen else { return 0 }
        let old = try catalog.deadLetterIDs(table: name, before: time)
        guard !old.isEmpty else { return 0 }
        try table.audit(LakeEvent(kind: .deadLettersEnded, counts: ["letters": old.count]))
        try table.step(.audited)
        try catalog.removeDeadLetters(old, table: name)
        try table.step(.deadLettersRemoved)
        return old.count
    }
}
