internal import Bytes
internal import CordonJournal
internal import CordonModel

/// Looks through the batches that wait in a journal, and takes records out of them.
///
/// The edge appends and delivery deletes meanwhile: a batch that went was delivered. Who takes records out holds the
/// region's request lock, so that no two rewrite the same batch.
struct JournalSweep {
    let journal: Journal

    /// Bounds what is held in memory at a time.
    private static let readBytesMax = 8 << 20

    /// What makes a record a sought one.
    enum Sought {
        case people(SubjectFilter)
        case due(on: Day)
        /// Who stands in the ledger of those who were erased.
        case erased(ErasedLedger.Contents)

        func matches(_ record: HitRecord) -> Bool {
            switch self {
            case .people(let filter): filter.matches(record)
            case .due(let day): record.retainUntil <= day
            case .erased(let contents): contents.contains(record)
            }
        }
    }

    struct Outcome {
        var hits: Int64 = 0
        /// Batches that nobody can decode and that hold one of the pseudonyms.
        var undecodable: Int64 = 0
    }

    /// Takes the sought records out, but those that are held; no copy is left in the file or its log.
    func purge(_ sought: Sought, leaving gate: RemovalGate = RemovalGate()) throws -> Outcome {
        var outcome = Outcome()
        try forEachCandidate(sought, after: .none) { stored, decoded in
            guard var batch = decoded else {
                outcome.undecodable += 1
                try replace(stored.number, bytes: [], hits: 0, removed: nil)
                return
            }
            let before = batch.records.count
            var removed: [String: Int64] = [:]
            batch.records.removeAll { record in
                guard sought.matches(record), !gate.holds(record) else { return false }
                removed[record.policy, default: 0] += 1
                return true
            }
            guard batch.records.count < before else { return }
            try replace(
                stored.number, bytes: batch.encoded, hits: batch.records.count, removed: removed)
            outcome.hits += Int64(before - batch.records.count)
        }
        switch sought {
        // Also when nothing went: copies of what delivery deleted, or a run that was cut, may still stand there.
        case .people, .erased: try journal.scrub()
        case .due: if outcome.hits + outcome.undecodable > 0 { try journal.scrub() }
        }
        return outcome
    }

    /// Gives each sought record behind batch `number` with its batch.
    func forEachRecord(
        _ sought: Sought, after number: Int64, _ body: (HitRecord, HitBatch) throws -> Void
    ) throws {
        try forEachCandidate(sought, after: BatchNumber(number)) { _, decoded in
            guard let decoded else { return }
            for record in decoded.records where sought.matches(record) { try body(record, decoded) }
        }
    }

    private func replace(
        _ number: BatchNumber, bytes: [UInt8], hits: Int, removed: [String: Int64]?
    ) throws {
        do throws(JournalError) {
            try journal.rewrite(number, bytes: bytes, hits: hits, removed: removed)
        } catch {
            // Delivered meanwhile, with the suppression list applied or before the lake is looked through.
            if error.code != .unknownBatch { throw error }
        }
    }

    /// Gives each batch that may hold a sought record; an undecodable one only when it holds a pseudonym.
    private func forEachCandidate(
        _ sought: Sought, after number: BatchNumber,
        _ body: (StoredBatch, HitBatch?) throws -> Void
    ) throws {
        var patterns: PatternSet?
        if case .people(let filter) = sought {
            guard !filter.isEmpty else { return }
            patterns = PatternSet(filter.pseudonyms.map(\.bytes))
        }
        var last = number
        while true {
            let batches = try journal.read(after: last, bytesMax: Self.readBytesMax)
            guard let newest = batches.last else { return }
            last = newest.number
            for stored in batches {
                if let patterns {
                    var isThere = false
                    patterns.forEachMatch(
                        in: stored.bytes.span, startingIn: 0..<stored.bytes.count
                    ) { _, _ in isThere = true }
                    guard isThere else { continue }
                }
                let decoded: HitBatch?
                // What cannot be decoded goes to the dead letters at delivery; nil says that to the caller.
                do throws(ByteReader.Malformed) {
                    decoded = try HitBatch(decoding: stored.bytes)
                } catch {
                    decoded = nil
                }
                if decoded == nil, patterns == nil { continue }
                try body(stored, decoded)
            }
        }
    }
}
