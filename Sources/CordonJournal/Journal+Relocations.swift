package import CordonModel
internal import SQLite

// Hits that another region has handed over. Each batch has a name of its own, which is kept in the transaction that
// takes its hits, until the other region has forgotten it.
extension Journal {
    /// The name in the ledger of hits that another region's edge has counted.
    package static let relocatedFate = "relocated"

    private static func mark(_ id: String, from region: String) -> String {
        "relocated \(region) \(id)"
    }

    /// How often a batch is tried again when somebody is being erased meanwhile.
    private static let suppressionAttemptsMax = 100

    /// Appends the hits of `batch`, unless it was taken before; synced when this returns.
    ///
    /// The hits have no pseudonyms, so no suppression can concern them.
    ///
    /// - Parameters:
    ///   - region: the name of the region that they come from.
    ///   - hits: how many there are, by policy.
    /// - Returns: whether it was taken now.
    package func take(
        _ batch: OutgoingBatch, from region: String, hits: [String: Int]
    ) throws(JournalError) -> Bool {
        if try hasTaken(batch, from: region) { return false }
        let mark = Self.mark(batch.id, from: region)
        let tally = LedgerTally.text(
            hits.sorted { $0.key < $1.key }.map {
                LedgerCount(policy: $0.key, fate: Self.relocatedFate, hits: Int64($0.value))
            })
        var attempts = 0
        while true {
            do throws(JournalError) {
                try append(batch, mark, tally)
                return true
            } catch {
                attempts += 1
                guard error.code == .suppressionChanged, attempts < Self.suppressionAttemptsMax
                else { throw error }
            }
        }
    }

    private func append(
        _ batch: OutgoingBatch, _ mark: String, _ tally: String
    ) throws(JournalError) {
        let generation = try suppression().generation
        var result: Result<BatchNumber, JournalError>?
        unsafe batch.bytes.withUnsafeBytes { pointer in
            let pending = unsafe PendingBatch(bytes: pointer, hits: batch.hits, tally: tally)
            do throws(JournalError) {
                result = .success(
                    try unsafe append([pending], expecting: generation) {
                        try setState(mark, Int64(batch.hits))
                    })
            } catch {
                result = .failure(error)
            }
        }
        _ = try result!.get()
    }

    /// Whether the hits of `batch` were taken.
    package func hasTaken(
        _ batch: OutgoingBatch, from region: String
    ) throws(JournalError) -> Bool {
        do { return try state(Self.mark(batch.id, from: region)) > 0 } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Forgets the names of the batches from `region`, which has forgotten the batches.
    package func forgetTaken(from region: String) throws(JournalError) {
        do {
            try connection.transaction(.immediate) {
                let prefix = Self.mark("", from: region)
                let rows = try connection.prepare("SELECT name FROM state")
                var names: [String] = []
                while try rows.step() {
                    if let name = rows.text(0), name.hasPrefix(prefix) { names.append(name) }
                }
                let delete = try connection.prepare("DELETE FROM state WHERE name = ?")
                for name in names {
                    try delete.bind(1, name)
                    try delete.run()
                }
            }
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Names are random, and regions are no secret.
    static let relocationsRest = Rest(.ledger, ["policy"])
}
