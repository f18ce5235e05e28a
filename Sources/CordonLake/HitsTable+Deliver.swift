import Bytes
package import CordonJournal
import CordonModel
import Iceberg
import LinuxIO

/// What a delivery did.
package struct DeliveryReport: Equatable, Sendable {
    package var commits = 0
    package var batches = 0
    var intake = Intake()
    /// Hits that became rows.
    package var rows: Int { intake.rows }
    /// Hits of people whose erasure was asked for after the hit was taken.
    package var suppressed: Int { intake.leftOut }
    package var rowsByPolicy: [String: Int] { intake.rowsByPolicy }
    /// Batches that could not be read and went to the dead letters.
    package var deadBatches = 0
    package var files = 0
    package var bytes: Int64 = 0
    /// Number of the last batch that is in the table.
    package var deliveredThrough: Int64 = 0

    package init() {}

    fileprivate mutating func add(_ other: DeliveryReport) {
        commits += other.commits
        batches += other.batches
        intake = intake + other.intake
        deadBatches += other.deadBatches
        files += other.files
        bytes += other.bytes
        deliveredThrough = max(deliveredThrough, other.deliveredThrough)
    }
}

extension HitsTable {
    /// Moves what waits in the journal now into the table, each hit exactly once, and trims the journal.
    ///
    /// The lock is taken for one commit at a time, so that an erasure need not wait for a long delivery. Hits that
    /// arrive meanwhile are left for the next call.
    ///
    /// - Parameters:
    ///   - progress: called with the totals after each commit.
    package func deliver(
        from journal: Journal, progress: (DeliveryReport) -> Void = { _ in }
    ) throws -> DeliveryReport {
        let last = try journal.depth().last
        var total = DeliveryReport()
        while true {
            guard let report = try write({ try $0.deliver(from: journal, through: last) }) else {
                total.deliveredThrough = try deliveredThrough()
                return total
            }
            total.add(report)
            progress(total)
        }
    }
}

extension LakeWriter {
    /// Delivers one commit's worth of batches up to `last`; nil when there are none.
    fileprivate func deliver(
        from journal: Journal, through last: BatchNumber
    ) throws -> DeliveryReport? {
        let head = try catalog.tableHead(name)
        let delivered = BatchNumber(head?.deliveredThrough ?? 0)
        let depth = try journal.depth()
        guard delivered <= depth.last else {
            throw LakeError(
                .foreignJournal,
                """
                the table has journal batches up to \(delivered.value), but the journal has numbered only \
                \(depth.last.value): it was replaced, and delivering from it would lose hits
                """)
        }
        // A kill between commit and trimming leaves delivered batches behind.
        if depth.batches > 0, delivered > .none {
            try journal.delete(through: delivered)
        }
        guard delivered < last else { return nil }
        var load = try gather(from: journal, after: delivered, through: last)
        guard load.last > delivered else { return nil }
        defer { load.report.deliveredThrough = load.last.value }
        let added = try writeGathered()
        load.report.files = added.count
        load.report.bytes = added.reduce(0) { $0 + $1.fileBytes }
        load.report.deliveredThrough = load.last.value
        try commit(load, added, head: head)
        load.report.commits = 1
        try journal.delete(through: load.last)
        try table.step(.journalTrimmed)
        return load.report
    }

    /// What was read from the journal for one commit.
    private struct Load {
        var report = DeliveryReport()
        let first: BatchNumber
        var last: BatchNumber
        /// Hits by policy that a delivery keeps aside.
        var dead: [String: Int] = [:]
        var deadLetters: [DeadBatch] = []
    }

    /// Reads batches into the engine until there are enough rows.
    private func gather(
        from journal: Journal, after delivered: BatchNumber, through last: BatchNumber
    ) throws -> Load {
        let engine = try engine()
        let isLeftOut = try leftOut(journal.suppression())
        var load = Load(first: delivered, last: delivered)
        try engine.startGathering()
        while load.report.rows < settings.deliveryRowsMax, load.last < last {
            let batches = try journal.read(after: load.last, bytesMax: settings.journalBytesPerRead)
                .filter { $0.number <= last }
            guard !batches.isEmpty else {
                // Numbers without a batch were erased in the journal.
                load.last = last
                break
            }
            var rows = HitRows(sealing: try table.sealer())
            for stored in batches where load.report.rows < settings.deliveryRowsMax {
                try take(stored, leavingOut: isLeftOut, journal, into: &rows, &load)
            }
            try engine.gather(rows)
        }
        return load
    }

    private func take(
        _ stored: StoredBatch, leavingOut isLeftOut: (HitRecord) -> Bool, _ journal: Journal,
        into rows: inout HitRows, _ load: inout Load
    ) throws {
        load.last = stored.number
        load.report.batches += 1
        let batch: HitBatch
        do throws(ByteReader.Malformed) {
            batch = try HitBatch(decoding: stored.bytes)
        } catch {
            load.deadLetters.append(
                DeadBatch(
                    batch: stored.number.value, reason: "unreadable at byte \(error.offset)",
                    bytes: stored.bytes))
            load.report.deadBatches += 1
            for count in try journal.tally(of: stored.number) {
                load.dead[count.policy, default: 0] += Int(count.hits)
            }
            return
        }
        load.report.intake.take(batch, leavingOut: isLeftOut, into: &rows)
    }

    /// Writes a file for each partition of the gathered hits.
    func writeGathered() throws -> [DataFile] {
        let engine = try engine()
        let partitions = try engine.gatheredPartitions()
        let paths = partitions.map { newDataPath(day: $0.day) }
        if !paths.isEmpty {
            try catalog.noteWriting(paths.map(TableFiles.uri), table: name)
            try table.step(.dataFilesNoted)
        }
        var added: [DataFile] = []
        for batch in Array(zip(partitions, paths)).batches(of: Self.filesAtATimeMax) {
            for (partition, path) in batch {
                try Directory.create(File.parent(of: path))
                try engine.writeGathered(partition, to: path)
                try table.step(.dataFileWritten)
            }
            added += try finishDataFiles(
                batch.map { partition, path in
                    NewDataFile(
                        path: path, day: partition.day, retainUntil: partition.retainUntil,
                        rows: partition.rows)
                })
        }
        try engine.endGathering()
        return added
    }

    private func commit(
        _ load: Load, _ added: [DataFile],
        head: (metadataLocation: String, deliveredThrough: Int64)?
    ) throws {
        var counts = [
            "batches": load.report.batches, "rows": load.report.rows,
            "suppressed": load.report.suppressed, "dead-batches": load.report.deadBatches,
            LakeEvent.afterBatch: Int(load.first.value),
            LakeEvent.throughBatch: Int(load.last.value),
        ]
        counts.merge(load.report.intake.countsByPolicy) { _, hits in hits }
        for (policy, hits) in load.dead { counts[LakeEvent.deadPrefix + policy] = hits }
        let change = LakeChange(
            operation: .append, added: added, deliveredThrough: load.last.value,
            deadLetters: load.deadLetters, event: LakeEvent(kind: .delivery, counts: counts))
        guard added.isEmpty, let head else {
            _ = try commit(change)
            return
        }
        // Nothing became a row: only how far the journal was taken moves.
        try table.audit(change.event)
        try table.step(.audited)
        try catalog.commit(
            table: name, expecting: head.metadataLocation, new: head.metadataLocation,
            deliveredThrough: load.last.value, committed: [], unreferenced: [],
            deadLetters: load.deadLetters, resolved: [], outgoing: [], at: table.clock.now())
        try table.step(.committed)
    }

    /// So many files are written before they are checked and brought to disk together: bounds what one statement names.
    static let filesAtATimeMax = 64

    /// Checks data files that were just written, and makes them durable.
    ///
    /// They are synced when all are written: the first sync brings the names and sizes of all along.
    func finishDataFiles(_ new: [NewDataFile]) throws -> [DataFile] {
        let made = try inspect(new)
        for file in new {
            let file = try File(opening: file.path, .readWrite)
            try file.setPermissions(0o600)
            try file.sync()
        }
        for folder in Set(new.map { File.parent(of: $0.path) }) { try Directory.sync(folder) }
        for (file, made) in zip(new, made) {
            if file.rest?.isIndexed != true {
                try writePersonIndex(file.path, fileBytes: made.fileBytes, restOf: file.rest)
            }
            try table.step(.dataFileSynced)
        }
        return made
    }
}

extension Array {
    /// Runs of at most `count` elements, in order.
    func batches(of count: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: self.count, by: count).map {
            self[$0..<Swift.min($0 + count, self.count)]
        }
    }
}
