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
        try fixture.append(first)
        _ = try fixture.table().deliver(from: fixture.journal)
        try fixture.append(second)
        _ = try fixture.table().deliver(from: fixture.journal)
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

@Suite struct `Delivery under faults` {
    @Test(arguments: LakeStep.allCases)
    func `a kill at any step loses no hit and doubles none`(_ step: LakeStep) throws {
        var generator = Generator()
        for occurrence in 1...2 {
            let fixture = try LakeFixture()
            // Each commit leaves files to delete, so that every step is reached.
            fixture.settings.snapshotsMax = 1
            fixture.settings.metadataLogMax = 0
            var records = HitRecord.random(count: 40, &generator)
            try fixture.append(records)
            _ = try fixture.table().deliver(from: fixture.journal)
            let later = HitRecord.random(count: 40, &generator)
            records += later
            try fixture.append(later)
            let seen = Mutex(0)
            let dying = fixture.table { reached in
                guard reached == step else { return }
                let count = seen.withLock {
                    $0 += 1
                    return $0
                }
                if count >= occurrence { throw Killed() }
            }
            let wasKilled: Bool
            do {
                _ = try dying.deliver(from: fixture.journal)
                wasKilled = false
            } catch is Killed {
                wasKilled = true
            }
            if occurrence == 1 { #expect(wasKilled == (step != .deadLettersRemoved)) }
            _ = try fixture.table().deliver(from: fixture.journal)
            #expect(
                try fixture.hitIDs() == records.map(\.idText).sorted(), "seed \(generator.seed)")
            try fixture.expectNoStrayFile()
        }
    }

    @Test func `a failing file call, at every place, loses no hit and doubles none`() throws {
        var generator = Generator()
        let records = HitRecord.random(count: 12, &generator)
        let later = HitRecord.random(count: 12, &generator)
        var number = 1
        while true {
            let fixture = try LakeFixture()
            fixture.settings.snapshotsMax = 1
            fixture.settings.metadataLogMax = 0
            try fixture.append(records)
            _ = try fixture.table().deliver(from: fixture.journal)
            try fixture.append(later)
            let plan = FaultPlan(failing: number, with: .tornWrite(28), then: .everythingFails)
            // A write that fails and all that follows it is what a full or dying disk does.
            _ = try? plan.run { try fixture.table().deliver(from: fixture.journal) }
            _ = try fixture.table().deliver(from: fixture.journal)
            #expect(
                try fixture.hitIDs() == (records + later).map(\.idText).sorted(),
                "call \(number), seed \(generator.seed)")
            try fixture.expectNoStrayFile()
            if !plan.hasStruck { break }
            // Every call at the start, where the order of effects is decided, then a sample.
            number += number < 12 ? 1 : 3
        }
        #expect(number > 20)
    }
}

extension LakeFixture {
    /// The folder holds what the table refers to, and nothing waits to be deleted.
    func expectNoStrayFile() throws {
        let stray = try table().write { try $0.strayFiles() }
        #expect(stray == [])
        #expect(try catalog.writtenFiles(table: "pixels.hits") == [])
        #expect(try catalog.unreferencedFiles(table: "pixels.hits") == [])
        #expect(!FileManager.default.fileExists(atPath: settings.scratchDirectory))
    }
}

@Suite struct `Table files` {
    let fixture: LakeFixture
    init() throws { fixture = try LakeFixture() }

    @Test func `manifests hold counts for every column and bounds for no personal one`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 100, &generator))
        _ = try fixture.table().deliver(from: fixture.journal)
        let metadata = try #require(try fixture.table().metadata())
        let files = TableFiles(directory: fixture.settings.directory)
        let current = try #require(metadata.currentSnapshot)
        let allowed = Set(["ts", "site", "event", "country", "retain_until"])
        let leaves = Set(HitsSchema.leafIDs.values)
        for file in try files.dataFiles(of: current) {
            let named = { (id: Int) in
                metadata.currentSchema?.fields.first { $0.id == id }?.name ?? "?"
            }
            #expect(Set(file.lowerBounds.keys.map(named)) == allowed)
            #expect(Set(file.upperBounds.keys.map(named)) == allowed)
            #expect(Set(file.valueCounts.keys) == leaves)
            #expect(Set(file.columnBytes.keys) == leaves)
            #expect(Set(file.nullCounts.keys).isSuperset(of: 1...24))
            #expect(file.splitOffsets == [4])
            #expect(file.lowerBounds[3]?.count ?? 99 <= 16)
        }
    }

    @Test func `a file without field ids is never committed`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 10, &generator))
        _ = try fixture.table().deliver(from: fixture.journal)
        let file = try #require(try fixture.table().snapshot().files.first)
        let bare = fixture.directory.file("bare.parquet")
        let connection = try EngineConnection()
        try connection.execute("COPY (FROM '\(file.path)') TO '\(bare)' (FORMAT parquet)")
        try fixture.table().write { writer in
            let engine = try writer.engine()
            _ = try engine.inspect(
                file.path, day: file.day, retainUntil: file.retainUntil, rows: file.records)
            #expect {
                try engine.inspect(
                    bare, day: file.day, retainUntil: file.retainUntil, rows: file.records)
            } throws: {
                ($0 as? LakeError)?.code == .unfitDataFile
            }
            #expect(throws: LakeError.self) {
                try engine.inspect(
                    file.path, day: file.day + 1, retainUntil: file.retainUntil, rows: file.records)
            }
            #expect(throws: LakeError.self) {
                try engine.inspect(
                    file.path, day: file.day, retainUntil: file.retainUntil, rows: file.records + 1)
            }
        }
    }

    @Test func `an equality filter finds what a full scan finds, on every column`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 2000, &generator), perBatch: 500)
        _ = try fixture.table().deliver(from: fixture.journal)
        let files = try fixture.table().snapshot().files
        let list = files.map { "'\($0.path)'" }.joined(separator: ", ")
        let connection = try EngineConnection(settings: [("threads", "1")])
        try connection.execute("CREATE TABLE copied AS FROM read_parquet([\(list)])")
        for column in HitsSchema.columns {
            let name = "\"\(column.name)\""
            let rows = try connection.query(
                """
                SELECT v, (SELECT count(*) FROM copied WHERE \(name) = v)
                FROM (SELECT DISTINCT \(name) AS v FROM copied WHERE \(name) IS NOT NULL) LIMIT 5
                """
            ).rows()
            #expect(!rows.isEmpty, "\(column.name)")
            for row in rows {
                let value = row[0] ?? ""
                let literal: String =
                    switch column.engineType {
                    case "VARCHAR[]", "MAP(VARCHAR, VARCHAR)":
                        "(SELECT any_value(\(name)) FROM copied WHERE to_json(\(name))::VARCHAR = \(LakeEngine.literal(value)))"
                    default: "CAST(\(LakeEngine.literal(value)) AS \(column.engineType))"
                    }
                let found = try connection.query(
                    "SELECT count(*) FROM read_parquet([\(list)]) WHERE \(name) = \(literal)"
                ).rows()
                #expect(found == [[row[1]]], "\(column.name), seed \(generator.seed)")
            }
        }
    }

    @Test func `many deliveries leave few manifests and a bounded history`() throws {
        var generator = Generator()
        fixture.settings.manifestsMax = 4
        fixture.settings.snapshotsMax = 3
        fixture.settings.metadataLogMax = 2
        var records: [HitRecord] = []
        for _ in 0..<14 {
            let more = HitRecord.random(count: 3, &generator)
            records += more
            try fixture.append(more)
            _ = try fixture.table().deliver(from: fixture.journal)
        }
        let metadata = try #require(try fixture.table().metadata())
        let files = TableFiles(directory: fixture.settings.directory)
        let current = try #require(metadata.currentSnapshot)
        #expect(try files.manifests(of: current).count <= 6)
        #expect(metadata.snapshots.count == 3)
        #expect(metadata.metadataLog.count == 2)
        #expect(try fixture.hitIDs() == records.map(\.idText).sorted())
        try fixture.expectNoStrayFile()
    }

    @Test func `a folder with pattern characters in its name works`() throws {
        var generator = Generator()
        fixture.settings.directory = fixture.directory.file("odd [a*b?] 'folder'/pixels/hits")
        let records = HitRecord.random(count: 10, &generator)
        try fixture.append(records)
        let table = fixture.table()
        #expect(try table.deliver(from: fixture.journal).rows == 10)
        try table.write { writer in
            var filter = SubjectFilter()
            filter.visitors = Set(records.compactMap(\.visitor))
            let report = try writer.rewrite(removing: filter)
            #expect(Int(report.rowsRemoved) == records.filter { $0.visitor != nil }.count)
        }
    }
}

@Suite struct `Removal` {
    let fixture: LakeFixture
    init() throws { fixture = try LakeFixture() }

    private func fill(_ generator: inout Generator, deliveries: Int = 2) throws -> [HitRecord] {
        var records: [HitRecord] = []
        for _ in 0..<deliveries {
            let more = HitRecord.random(count: 150, &generator)
            records += more
            try fixture.append(more)
            _ = try fixture.table().deliver(from: fixture.journal)
        }
        return records
    }

    /// Every row of the table with all values, in the order of file and place.
    private func rows(_ condition: String = "true") throws -> [String] {
        try fixture.query(
            "SELECT CAST(to_json(hits) AS VARCHAR) FROM hits WHERE \(condition) ORDER BY 1")
    }

    @Test func `removed people are gone from every file, and all other rows are as they were`()
        throws
    {
        var generator = Generator()
        _ = try fill(&generator)
        let user = Pseudonym.person(1, 2)
        let visitor = Pseudonym.person(2, 1)
        let filter = SubjectFilter(users: [user], visitors: [visitor])
        let others = """
            "user" IS DISTINCT FROM '\(user.text)' AND visitor IS DISTINCT FROM '\(visitor.text)'
            """
        let before = try rows(others)
        let all = try rows().count
        let report = try fixture.table().write { writer in
            let report = try writer.rewrite(removing: filter)
            try writer.expireAllButCurrent()
            return report
        }
        #expect(Int(report.rowsRemoved) == all - before.count)
        #expect(try rows() == before, "seed \(generator.seed)")
        for path in report.filesBefore { #expect(!FileManager.default.fileExists(atPath: path)) }
        #expect(try fixture.table().write { try $0.count(filter) } == [:])
        try fixture.expectNoStrayFile()
        let metadata = try #require(try fixture.table().metadata())
        #expect(metadata.snapshots.count == 1 && metadata.metadataLog.isEmpty)
        #expect(metadata.currentSnapshot?.summary["operation"] == "overwrite")
        #expect(metadata.currentSnapshot?.summary["total-records"] == "\(before.count)")
        // One JSON file, one list, and manifests that name present files alone.
        for path in try fixture.filesOnDisk() where !path.hasSuffix(".parquet") {
            let text = String(
                decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
            for gone in report.filesBefore { #expect(!text.contains(gone)) }
        }
    }

    @Test func `rows keep their order in a rewritten file, also for thousands of people`() throws {
        var generator = Generator()
        try fixture.append(
            (0..<3000).map { _ in .random(&generator, people: 3000) }, perBatch: 1000)
        _ = try fixture.table().deliver(from: fixture.journal)
        var order: [String: [String]] = [:]
        let gone = Set((0..<2000).map { Pseudonym.person($0, 1) })
        let connection = try EngineConnection()
        func inOrder(_ file: DataFileRef) throws -> [String] {
            try connection.query("SELECT CAST(hit_id AS VARCHAR) FROM read_parquet('\(file.path)')")
                .rows().map { $0[0] ?? "" }
        }
        for file in try fixture.table().snapshot().files {
            order["\(file.day.text) \(file.retainUntil.text)"] = try inOrder(file)
        }
        _ = try fixture.table().write { try $0.rewrite(removing: SubjectFilter(visitors: gone)) }
        for file in try fixture.table().snapshot().files {
            let left = try inOrder(file)
            let kept = Set(left)
            let before = try #require(order["\(file.day.text) \(file.retainUntil.text)"])
            #expect(left == before.filter(kept.contains), "seed \(generator.seed)")
            #expect(left.count < before.count)
        }
    }

    @Test func `a file whose every row is removed is not replaced`() throws {
        var generator = Generator()
        let records = try fill(&generator)
        let filter = SubjectFilter(
            users: Set(records.compactMap(\.user)), visitors: Set(records.compactMap(\.visitor)))
        let anonymous = records.filter { $0.user == nil && $0.visitor == nil }
        _ = try fixture.table().write { try $0.rewrite(removing: filter) }
        #expect(try fixture.hitIDs() == anonymous.map(\.idText).sorted())
    }

    @Test func `removing nobody changes nothing`() throws {
        var generator = Generator()
        _ = try fill(&generator)
        let head = try fixture.table().snapshot()
        let report = try fixture.table().write {
            try $0.rewrite(removing: SubjectFilter(users: [.person(999, 2)]))
        }
        #expect(report.snapshotID == nil)
        #expect(try fixture.table().snapshot() == head)
    }

    @Test func `dropped files are gone, their folders too, and dropping again does nothing`() throws
    {
        var generator = Generator()
        let records = try fill(&generator)
        let due = Day(number: 21_000)
        let table = fixture.table()
        let paths = try table.snapshot().files.filter { $0.retainUntil == due }.map(\.path)
        try table.write { writer in
            #expect(try writer.drop(paths).filesBefore == paths.sorted())
            try writer.expireAllButCurrent()
            #expect(try writer.drop(paths).snapshotID == nil)
            #expect(try writer.expireAllButCurrent() == 0)
        }
        let kept = records.filter { $0.retainUntil != due }
        #expect(try fixture.hitIDs() == kept.map(\.idText).sorted(), "seed \(generator.seed)")
        for path in paths { #expect(!FileManager.default.fileExists(atPath: path)) }
        try fixture.expectNoStrayFile()
        try table.write { writer in
            _ = try writer.drop(writer.dataFiles().map(\.path))
            try writer.expireAllButCurrent()
        }
        #expect(try !fixture.filesOnDisk().contains { $0.contains("/data/") })
        let data = fixture.settings.directory + "/data"
        #expect(try FileManager.default.contentsOfDirectory(atPath: data).isEmpty)
    }

    @Test(arguments: LakeStep.allCases)
    func
        `a removal that is killed at any step ends as before or after, and is finished by asking again`(
            _ step: LakeStep
        ) throws
    {
        var generator = Generator()
        let records = try fill(&generator, deliveries: 1)
        let user = Pseudonym.person(1, 2)
        var letter = Array("CDNB".utf8)
        letter.append(bigEndian: user.value)
        _ = try fixture.journal.append(letter, hits: 1, expecting: 0)
        _ = try fixture.table().deliver(from: fixture.journal)
        let filter = SubjectFilter(users: [user])
        let kept = records.filter { $0.user != user }
        let dying = fixture.table { if $0 == step { throw Killed() } }
        func remove(_ table: HitsTable) throws {
            try table.write { writer in
                _ = try writer.rewrite(removing: filter)
                try writer.expireAllButCurrent()
            }
        }
        if step != .journalTrimmed {
            #expect(throws: Killed.self) { try remove(dying) }
        }
        let between = try fixture.hitIDs()
        #expect(between == records.map(\.idText).sorted() || between == kept.map(\.idText).sorted())
        try remove(fixture.table())
        #expect(try fixture.hitIDs() == kept.map(\.idText).sorted(), "seed \(generator.seed)")
        #expect(try fixture.catalog.deadLetterCount(table: "pixels.hits") == 0)
        #expect(try fixture.table().metadata()?.snapshots.count == 1)
        try fixture.expectNoStrayFile()
    }

    @Test func `a person's rows come out as JSON, one object each`() throws {
        var generator = Generator()
        let records = try fill(&generator)
        let user = Pseudonym.person(1, 2)
        var found: [String] = []
        try fixture.table().write { writer in
            try writer.rows(SubjectFilter(users: [user])) { found.append($0) }
        }
        let expected = records.filter { $0.user == user }
        #expect(found.count == expected.count)
        for line in found {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(object?["user"] as? String == user.text)
            #expect(object?["params"] is [String: Any])
        }
    }
}
