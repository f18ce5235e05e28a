import CordonJournal
import CordonModel
import Foundation
import Testing

/// 300 hits of three days in a region's lake, for clients to read: 100 of each day.
enum ServedHits {
    static let region = "eu-central"
    static let today = Day(
        Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000)))

    /// Delivers them into the project of `program`, each with consent for `purposes`.
    static func deliver(into program: CordonProgram, purposes: [String] = []) throws {
        let journal = try Journal(path: program.project + "/var/\(region)/journal.sqlite")
        let records = (0..<300).map { record($0, purposes) }
        let batch = HitBatch(ruleSet: "rules", geoBuild: "geo", records: records)
        _ = try journal.append(batch.encoded, hits: records.count, expecting: 0)
        let delivered = try program.run("deliver", "--region", region, "--once")
        try #require(delivered.exitCode == 0, "\(delivered.errorOutput)")
    }

    private static func record(_ index: Int, _ purposes: [String]) -> HitRecord {
        var record = HitRecord()
        record.hitID = UInt128(index + 1)
        record.timestamp = Timestamp(
            microseconds: (today + -(index / 100)).start.microseconds
                - Int64(index % 100) * 1_000_000 + 3_600_000_000)
        record.site = "shop.example"
        record.event = "view"
        record.visitor = Pseudonym(value: UInt128(index % 30 + 1000))
        record.keyEpoch = Day(record.timestamp)
        record.country = index % 2 == 0 ? "DE" : "FR"
        record.purposes = purposes
        record.policy = "gdpr"
        record.retainUntil = today + 300
        return record
    }
}
