import CordonCatalog
import CordonJournal
package import CordonLake
package import CordonModel
import LinuxIO

/// The batches of one region that could not be delivered.
package struct RegionDeadLetters: Sendable {
    package let region: RegionConfiguration
    private let clock: any WallClock

    package init(_ region: RegionConfiguration, clock: any WallClock) {
        self.region = region
        self.clock = clock
    }

    /// One batch, and what can be told of it without a value of a hit.
    package struct Letter: Sendable {
        package let id: Int64
        package let batch: Int64
        package let reason: String
        package let at: Timestamp
        package let bytes: Int
        package let examination: BatchExamination

        /// Readable hits by policy.
        package var readableByPolicy: [String: Int] {
            examination.batch.records.reduce(into: [:]) { $0[$1.policy, default: 0] += 1 }
        }
    }

    /// How many there are.
    package func count() throws -> Int {
        try RegionLake.reading(region, clock: clock)?.catalog.deadLetterCount(
            table: HitsSchema.tableName) ?? 0
    }

    /// Hands each letter to `body`, oldest first.
    package func visit(_ body: (Letter) throws -> Void) throws {
        guard let catalog = try RegionLake.reading(region, clock: clock)?.catalog else { return }
        var last: Int64 = 0
        while true {
            let letters = try catalog.deadLetters(
                table: HitsSchema.tableName, after: last, max: 16)
            guard let newest = letters.last else { return }
            last = newest.id
            for letter in letters {
                try body(
                    Letter(
                        id: letter.id, batch: letter.batch, reason: letter.reason, at: letter.at,
                        bytes: letter.bytes.count,
                        examination: BatchExamination(letter.bytes)))
            }
        }
    }

    /// Delivers what can be read by now.
    ///
    /// - Parameters:
    ///   - ids: nil for all.
    ///   - readable: whether readable hits are delivered although others of their letter cannot be read.
    package func retry(_ ids: Set<Int64>?, readable: Bool) throws -> RetryReport {
        let lake = try RegionLake(region, clock: clock)
        let journal = try lake.journal()
        return try lake.table.retryDeadLetters(ids, readable: readable) {
            try journal.suppression()
        }
    }
}
