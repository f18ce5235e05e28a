package import CordonJournal
import CordonModel

/// How fast this machine delivers: made-up hits from a journal to a committed snapshot.
package struct DeliveryBenchmark: Sendable {
    package let rows: Int
    package let seconds: Double
    /// Bytes of the data files.
    package let bytes: Int64
    package var rowsPerSecond: Double { Double(rows) / seconds }

    /// Hits in a batch: about what a loop gathers between two commits under load.
    private static let hitsPerBatch = 250

    /// Fills `journal` with `hits` hits of one day and delivers them to `table`; only the delivery is timed.
    package static func run(
        hits: Int, from journal: Journal, to table: HitsTable
    ) throws -> DeliveryBenchmark {
        try fill(journal, 0..<hits)
        let clock = ContinuousClock()
        let begun = clock.now
        let report = try table.deliver(from: journal)
        return DeliveryBenchmark(
            rows: report.rows, seconds: (clock.now - begun) / .seconds(1), bytes: report.bytes)
    }

    /// Puts hits into the journal, as the loops of a collector do.
    static func fill(_ journal: Journal, _ hits: Range<Int>) throws {
        let generation = try journal.suppression().generation
        for start in stride(from: hits.lowerBound, to: hits.upperBound, by: hitsPerBatch) {
            let count = min(hitsPerBatch, hits.upperBound - start)
            let batch = HitBatch(
                ruleSet: String(repeating: "5", count: 64), geoBuild: "benchmark",
                records: (start..<start + count).map(Self.record))
            _ = try journal.append(batch.encoded, hits: count, expecting: generation)
        }
    }

    /// The `index`-th hit: one in five from a new visitor, values spread as in real traffic.
    private static func record(_ index: Int) -> HitRecord {
        // A multiplicative hash spreads the number over all bits; overflow is its working.
        let spread = UInt64(index) &* 0x9E37_79B9_7F4A_7C15
        let visitor = UInt64(index / 5) &* 0xD134_2543_DE82_EF95
        let day = Day(year: 2026, month: 11, day: 23)
        var record = HitRecord()
        record.hitID = UInt128(index) << 64 | UInt128(spread)
        record.timestamp = Timestamp(
            microseconds: day.start.microseconds + Int64(spread >> 20)
                % Timestamp.microsecondsPerDay)
        record.site = "shop-\(spread >> 60).example"
        record.event = spread & 15 == 0 ? "purchase" : "view"
        record.pageHost = record.site
        record.pagePath = "/articles/\(spread >> 50)"
        record.referrerHost = "search.example"
        record.visitor = Pseudonym(value: UInt128(visitor) << 64 | UInt128(visitor &* 3))
        record.user = index % 3 == 0 ? Pseudonym(value: UInt128(visitor &* 7) << 64) : nil
        record.keyEpoch = day
        record.ipPrefix = "203.0.\(spread >> 56).0/24"
        record.country = ["DE", "FR", "NL", "ES"][index & 3]
        record.browser = "Firefox"
        record.os = "Linux"
        record.device = "Other"
        record.language = "de"
        record.consent = .granted
        record.purposes = ["audience-measurement"]
        record.signals = ["param"]
        record.policy = "gdpr"
        record.retainUntil = day + 395
        record.parameters = [.init(key: "value", value: "\(spread >> 54)")]
        return record
    }
}
