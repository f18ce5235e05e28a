import CordonCatalog
import CordonJournal
import CordonModel
import Engine
import Foundation
import Iceberg
import LinuxIO
import Synchronization
import TestSupport
import Testing

@testable import CordonLake

@Suite struct `Ages of fields` {
    private let fixture: LakeFixture
    /// Hits are of the days 20,700 and 20,701.
    private static let day = Day(number: 20_700)
    private static let ages = FieldAges(
        rules: [
            .init(policy: "gdpr", field: "user", columns: ["user"], days: 30),
            .init(policy: "gdpr", field: "user_agent", columns: ["browser", "os"], days: 7),
            .init(policy: "world", field: "user", columns: ["user"], days: 60),
        ], policies: ["gdpr", "world"])

    init() throws {
        fixture = try LakeFixture()
        fixture.settings.snapshotsMin = 10
        fixture.settings.snapshotSecondsMin = 600
    }

    private func age(
        _ today: Day, _ ages: FieldAges = Self.ages, table: HitsTable? = nil
    ) throws -> AgeingReport {
        try (table ?? fixture.table()).age(
            ages, on: today, mayChange: { files, _ in Set(files) })
    }

    /// All rows with all values but those of some columns where a condition holds.
    private func rows(columns: [(name: String, condition: String)] = []) throws -> [String] {
        let list = (columns.isEmpty ? [("site", "false")] : columns).map {
            "CASE WHEN \($0.1) THEN NULL ELSE \"\($0.0)\" END AS \"\($0.0)\""
        }
        return try fixture.query(
            """
            SELECT CAST(to_json(kept) AS VARCHAR) FROM
                (SELECT * REPLACE (\(list.joined(separator: ", "))) FROM hits) AS kept ORDER BY 1
            """)
    }

    private func values(_ column: String, _ policy: String, _ day: Day) throws -> Int {
        Int(
            try fixture.query(
                """
                SELECT count(\"\(column)\") FROM hits
                WHERE policy = '\(policy)' AND epoch_us(ts) // 86400000000 = \(day.number)
                """)[0]) ?? -1
    }

    @Test func `a value goes from the day on which no query shows it any more`() {
        let rule = FieldAges.Rule(policy: "gdpr", field: "ip", columns: ["ip_prefix"], days: 7)
        let ages = FieldAges(rules: [rule], policies: [])
        #expect(rule.keptFrom(on: Self.day + 6) == Self.day)
        #expect(ages.due(in: Self.day, on: Self.day + 6).isEmpty)
        #expect(ages.due(in: Self.day, on: Self.day + 7).map(\.column) == ["ip_prefix"])
    }

    @Test func `values past their age go from the table and the disk, and nothing else does`()
        throws
    {
        var generator = Generator()
        let records = try fixture.fill(&generator, deliveries: 2, hits: 80)
        let today = Self.day + 30
        let due = "policy = 'gdpr' AND epoch_us(ts) // 86400000000 = \(Self.day.number)"
        // On this day `user` is due in rows of the first day, `browser` and `os` in all rows of the policy.
        let expected = try rows(
            columns: [("user", due), ("browser", "policy = 'gdpr'"), ("os", "policy = 'gdpr'")])
        #expect(try values("user", "gdpr", Self.day) > 0)
        let plan = try fixture.table().dueValues(Self.ages, on: today)
        #expect(Set(plan.map(\.day)) == [Self.day, Self.day + 1])
        let report = try age(today)
        let users = records.count {
            $0.user != nil && $0.policy == "gdpr" && Day($0.timestamp) == Self.day
        }
        #expect(report.values["user"] == Int64(users))
        #expect(plan.reduce(0) { $0 + ($1.values["user"] ?? 0) } == Int64(users))
        #expect(try values("user", "gdpr", Self.day) == 0)
        #expect(try values("user", "world", Self.day) > 0)
        #expect(try values("user", "gdpr", Self.day + 1) > 0)
        // Every other value is as it was.
        #expect(try rows() == expected, "seed \(generator.seed)")
        let metadata = try #require(try fixture.table().metadata())
        #expect(metadata.snapshots.count == 1)
        #expect(metadata.currentSnapshot?.summary["total-records"] == "\(records.count)")
        let onDisk = try fixture.filesOnDisk().filter { $0.hasSuffix(".parquet") }
        #expect(try Set(onDisk) == Set(fixture.table().snapshot().files.map(\.path)))
        try fixture.expectNoStrayFile()
        // Again there is nothing to do.
        #expect(try age(today) == AgeingReport())
        #expect(try fixture.table().dueValues(Self.ages, on: today).isEmpty)
        let event = try #require(
            fixture.events.all.withLock { $0.first { $0.kind == .fieldAges } })
        #expect(event.counts["field user_agent"] ?? 0 > 0)
    }

    @Test func `rows of a policy that is not known any more fall under the shortest age`() throws {
        var generator = Generator()
        _ = try fixture.fill(&generator, deliveries: 1, hits: 80)
        let ages = FieldAges(
            rules: [.init(policy: "gdpr", field: "user", columns: ["user"], days: 5)],
            policies: ["gdpr"])
        _ = try age(Self.day + 10, ages)
        #expect(try values("user", "world", Self.day) == 0)
        #expect(try values("visitor", "world", Self.day) > 0)
    }

    @Test func `a file that may not be written anew is left, and the others are not`() throws {
        var generator = Generator()
        _ = try fixture.fill(&generator, deliveries: 2, hits: 80)
        let kept = try #require(try fixture.table().snapshot().files.first)
        let report = try fixture.table().age(
            Self.ages, on: Self.day + 90, mayChange: { files, _ in Set(files).subtracting([kept]) })
        #expect(report.filesLeft == 1 && report.commits > 0)
        #expect(try fixture.table().snapshot().files.contains(kept))
        let left = try fixture.table().dueValues(Self.ages, on: Self.day + 90)
        #expect(left.flatMap(\.files) == [kept])
    }

    @Test(arguments: LakeStep.ofRewriting)
    func `killed at any step it is made up for by the next run`(_ step: LakeStep) throws {
        var generator = Generator()
        let records = try fixture.fill(&generator, deliveries: 1, hits: 80)
        let today = Self.day + 90
        for occurrence in 1...2 {
            let wasKilled = try fixture.killing(at: step, occurrence: occurrence) {
                _ = try age(today, table: $0)
            }
            #expect(wasKilled || occurrence > 1)
            #expect(try fixture.hitIDs() == records.map(\.idText).sorted())
        }
        _ = try age(today)
        #expect(try fixture.hitIDs() == records.map(\.idText).sorted(), "seed \(generator.seed)")
        for policy in ["gdpr", "world"] {
            for day in [Self.day, Self.day + 1] {
                #expect(try values("user", policy, day) == 0, "seed \(generator.seed)")
            }
        }
        let onDisk = try fixture.filesOnDisk().filter { $0.hasSuffix(".parquet") }
        #expect(try Set(onDisk) == Set(fixture.table().snapshot().files.map(\.path)))
        try fixture.expectNoStrayFile()
    }
}
