import Bytes
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

@Suite struct `Delivery` {
    let fixture: LakeFixture
    init() throws { fixture = try LakeFixture() }

    @Test func `every hit becomes one row with its values`() throws {
        var generator = Generator()
        let records = HitRecord.random(count: 300, &generator)
        try fixture.append(records)
        let report = try fixture.table().deliver(from: fixture.journal)
        #expect(report.rows == 300 && report.batches == 30 && report.commits == 1)
        #expect(try fixture.journal.depth().batches == 0)
        let columns = [
            "site", "event", "page_host", "page_path", "referrer_host", "visitor", "\"user\"",
            "ip_prefix",
            "country", "subdivision", "browser", "os", "device", "\"language\"", "consent",
            "policy",
        ]
        let texts = columns.map { "coalesce(\($0), '-')" }.joined(separator: ", '|', ")
        let found = try fixture.query(
            """
            SELECT concat(hit_id, '|', epoch_us(ts), '|', \(texts), '|', key_epoch, '|', bot, '|', rule_set,
                '|', geo_build, '|', sample_rate, '|', retain_until, '|', array_to_string(purposes, ','), '|',
                array_to_string(signals, ','), '|', array_to_string(map_keys(params), ','), '|',
                array_to_string(map_values(params), ','))
            FROM hits ORDER BY hit_id
            """)
        let expected = records.sorted { $0.hitID < $1.hitID }.map { record in
            var parts: [String?] = [record.idText, "\(record.timestamp.microseconds)"]
            parts += [
                record.site, record.event, record.pageHost ?? "-", record.pagePath ?? "-",
                record.referrerHost ?? "-", record.visitor?.text ?? "-", record.user?.text ?? "-",
                record.ipPrefix ?? "-", record.country ?? "-", record.subdivision ?? "-",
                record.browser ?? "-", record.os ?? "-", record.device ?? "-",
                record.language ?? "-", record.consent.text, record.policy,
                record.keyEpoch.map { "\($0.number)" } ?? "", "\(record.isBot)", "rules-1", "geo-1",
                "\(record.sampleRate)", record.retainUntil.text,
                record.purposes.joined(separator: ","), record.signals.joined(separator: ","),
                record.parameters.map(\.key).joined(separator: ","),
                record.parameters.map(\.value).joined(separator: ","),
            ]
            return parts.compactMap(\.self).joined(separator: "|")
        }
        let sortedByText = { (rows: [String]) in rows.sorted() }
        #expect(sortedByText(found) == sortedByText(expected), "seed \(generator.seed)")
    }

    @Test
    func `hits that are only counted have no id, and their place tells nothing of when they came`()
        throws
    {
        var generator = Generator()
        var records = HitRecord.random(count: 200, &generator)
        let start = records[0].timestamp
        for index in records.indices {
            records[index].timestamp = start
            records[index].retainUntil = Day(start) + 30
            records[index].becomeCount()
            records[index].site = "site-\(index % 7)"
            records[index].isBot = index % 11 == 0
        }
        func content(_ fixture: LakeFixture) throws -> [String] {
            _ = try fixture.table().deliver(from: fixture.journal)
            return try fixture.query(
                "SELECT concat(coalesce(hit_id::VARCHAR, 'none'), epoch_us(ts), site, event, country, consent, bot, policy) FROM hits"
            )
        }
        let other = try LakeFixture()
        try fixture.append(records)
        try other.append(records.shuffled(using: &generator))
        let rows = try content(fixture)
        #expect(rows == (try content(other)), "seed \(generator.seed)")
        #expect(rows.count == 200 && rows.allSatisfy { $0.hasPrefix("none") })
    }

    @Test func `rows lie in a file of their day and end of retention, sorted by person`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 400, &generator))
        _ = try fixture.table().deliver(from: fixture.journal)
        let files = try fixture.table().snapshot().files
        #expect(files.count == 4)
        for file in files {
            let (year, month, day) = file.day.civil
            let folder = String(format: "/data/year=%04d/month=%02d/day=%02d/", year, month, day)
            #expect(file.path.contains(folder))
            let connection = try EngineConnection()
            let rows = try connection.query(
                """
                SELECT count(DISTINCT (ts::TIMESTAMP::DATE, retain_until)),
                    (SELECT count(*) FROM (
                        SELECT visitor IS DISTINCT FROM lag(visitor) OVER (ORDER BY file_row_number) AS starts
                        FROM read_parquet('\(file.path)', file_row_number = true)) WHERE starts)
                    = count(DISTINCT visitor) + CASE WHEN count(visitor) < count(*) THEN 1 ELSE 0 END
                FROM read_parquet('\(file.path)')
                """
            ).rows()
            #expect(rows == [["1", "true"]], "seed \(generator.seed)")
        }
    }

    @Test func `a second delivery appends, and an empty one changes nothing`() throws {
        var generator = Generator()
        let first = HitRecord.random(count: 30, &generator)
        let second = HitRecord.random(count: 30, &generator)
        try fixture.deliver(first)
        try fixture.deliver(second)
        let head = try fixture.table().snapshot()
        let report = try fixture.table().deliver(from: fixture.journal)
        #expect(report.commits == 0)
        #expect(try fixture.table().snapshot() == head)
        #expect(try fixture.hitIDs() == (first + second).map(\.idText).sorted())
        let metadata = try #require(try fixture.table().metadata())
        #expect(metadata.snapshots.count == 2)
        #expect(metadata.currentSnapshot?.summary["total-records"] == "60")
        #expect(metadata.currentSnapshot?.summary["operation"] == "append")
        #expect(metadata.metadataLog.count == 1)
    }

    @Test func `a delivery is cut into commits of bounded size`() throws {
        var generator = Generator()
        let records = HitRecord.random(count: 100, &generator)
        try fixture.append(records)
        fixture.settings.deliveryRowsMax = 30
        fixture.settings.journalBytesPerRead = 4000
        let report = try fixture.table().deliver(from: fixture.journal)
        #expect(report.commits == 4 && report.rows == 100)
        #expect(try fixture.hitIDs() == records.map(\.idText).sorted())
    }

    @Test func `a batch that cannot be read is kept aside and blocks nothing`() throws {
        var generator = Generator()
        let records = HitRecord.random(count: 20, &generator)
        try fixture.append(Array(records.prefix(10)))
        let damaged = Array("CDNBdamaged".utf8)
        _ = try fixture.journal.append(damaged, hits: 3, expecting: 0)
        try fixture.append(Array(records.suffix(10)))
        let report = try fixture.table().deliver(from: fixture.journal)
        #expect(report.rows == 20 && report.deadBatches == 1)
        let letters = try fixture.catalog.deadLetters(table: "pixels.hits", after: 0, max: 9)
        #expect(letters.map(\.bytes) == [damaged])
        #expect(letters.map(\.batch) == [2])
    }

    @Test func `only damaged batches still move the journal on`() throws {
        _ = try fixture.journal.append([1, 2, 3], hits: 1, expecting: 0)
        let table = fixture.table()
        #expect(try table.deliver(from: fixture.journal).deadBatches == 1)
        _ = try fixture.journal.append([1, 2, 3], hits: 1, expecting: 0)
        #expect(try table.deliver(from: fixture.journal).deadBatches == 1)
        #expect(try table.deliveredThrough() == 2)
        #expect(try fixture.journal.depth().batches == 0)
        #expect(try table.snapshot().files.isEmpty)
    }

    @Test func `a parameter that stands twice keeps its first value`() throws {
        var generator = Generator()
        var record = HitRecord.random(&generator)
        record.parameters = [.init(key: "k", value: "one"), .init(key: "k", value: "two")]
        try fixture.append([record])
        _ = try fixture.table().deliver(from: fixture.journal)
        #expect(try fixture.query("SELECT params['k'] FROM hits") == ["one"])
    }

    @Test func `hits of suppressed people are counted and not kept`() throws {
        var generator = Generator()
        let records = HitRecord.random(count: 200, &generator)
        try fixture.append(records)
        let user = Pseudonym.person(3, 2)
        let visitor = Pseudonym.person(5, 1)
        try fixture.journal.suppress(
            subjects: [], pseudonyms: [(.user, user), (.visitor, visitor)])
        let report = try fixture.table().deliver(from: fixture.journal)
        let kept = records.filter { $0.user != user && $0.visitor != visitor }
        #expect(report.suppressed == 200 - kept.count)
        #expect(try fixture.hitIDs() == kept.map(\.idText).sorted(), "seed \(generator.seed)")
    }

    @Test func `a journal that was replaced is refused rather than losing hits`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 50, &generator))
        _ = try fixture.table().deliver(from: fixture.journal)
        let other = try Journal(path: fixture.directory.file("other.sqlite"))
        _ = try other.append([1], hits: 1, expecting: 0)
        #expect {
            try fixture.table().deliver(from: other)
        } throws: {
            ($0 as? LakeError)?.code == .foreignJournal
        }
        #expect(try other.depth().batches == 1)
    }

    @Test func `the audit log hears of a delivery before it is visible, and can prevent it`() throws
    {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 10, &generator))
        let deaf = HitsTable(
            fixture.settings, catalog: fixture.catalog, clock: SteppingClock(),
            audit: { _ in throw Killed() })
        #expect(throws: Killed.self) { try deaf.deliver(from: fixture.journal) }
        #expect(try fixture.table().snapshot().files.isEmpty)
        _ = try fixture.table().deliver(from: fixture.journal)
        let events = fixture.events.all.withLock { $0 }
        #expect(events.map(\.kind) == [.delivery])
        #expect(events.first?.counts["rows"] == 10)
    }
}

@Suite struct `Delivery benchmark` {
    @Test func `the benchmark delivers what it made up`() throws {
        let fixture = try LakeFixture()
        let result = try DeliveryBenchmark.run(
            hits: 700, from: fixture.journal, to: fixture.table())
        #expect(result.rows == 700)
        #expect(try fixture.hitIDs().count == 700)
    }
}
