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

@Suite struct `Removal` {
    let fixture: LakeFixture
    init() throws { fixture = try LakeFixture() }

    /// Every row of the table with all values, in the order of file and place.
    private func rows(_ condition: String = "true") throws -> [String] {
        try fixture.query(
            "SELECT CAST(to_json(hits) AS VARCHAR) FROM hits WHERE \(condition) ORDER BY 1")
    }

    @Test func `removed people are gone from every file, and all other rows are as they were`()
        throws
    {
        var generator = Generator()
        _ = try fixture.fill(&generator, deliveries: 2, hits: 150)
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
        let records = try fixture.fill(&generator, deliveries: 2, hits: 150)
        let filter = SubjectFilter(
            users: Set(records.compactMap(\.user)), visitors: Set(records.compactMap(\.visitor)))
        let anonymous = records.filter { $0.user == nil && $0.visitor == nil }
        _ = try fixture.table().write { try $0.rewrite(removing: filter) }
        #expect(try fixture.hitIDs() == anonymous.map(\.idText).sorted())
    }

    @Test func `removing nobody changes nothing`() throws {
        var generator = Generator()
        _ = try fixture.fill(&generator, deliveries: 2, hits: 150)
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
        let records = try fixture.fill(&generator, deliveries: 2, hits: 150)
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
        let records = try fixture.fill(&generator, deliveries: 1, hits: 150)
        let user = try #require(records.lazy.compactMap(\.user).first)
        var letter = Array("CDNB".utf8)
        letter.append(bigEndian: user.value)
        _ = try fixture.journal.append(letter, hits: 1, expecting: 0)
        _ = try fixture.table().deliver(from: fixture.journal)
        let filter = SubjectFilter(users: [user])
        let kept = records.filter { $0.user != user }
        func remove(_ table: HitsTable) throws {
            try table.write { writer in
                _ = try writer.rewrite(removing: filter)
                try writer.expireAllButCurrent()
            }
        }
        if ![.journalTrimmed, .orphansNoted].contains(step) {
            #expect(try fixture.killing(at: step) { try remove($0) })
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
        let records = try fixture.fill(&generator, deliveries: 2, hits: 150)
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

    @Test func `thousands of people are taken out in one pass, in order, as few are`() throws {
        var generator = Generator()
        let records = try fixture.fill(&generator, deliveries: 2, hits: 150)
        let people = Set(records.compactMap(\.user).prefix(40))
        let strangers = (0..<2000).map { Pseudonym(value: UInt128($0) << 64 | 7) }
        let few = SubjectFilter(users: people)
        let many = SubjectFilter(users: people.union(strangers))
        let rest = try rows("NOT \(few.condition)")
        let matched = try fixture.table().write { writer in
            let counts = try writer.count(few)
            #expect(try writer.count(many) == counts)
            var found = 0
            try writer.rows(many) { _ in found += 1 }
            #expect(Int64(found) == counts.values.reduce(0, +))
            let report = try writer.rewrite(removing: many)
            #expect(report.rowsRemoved == counts.values.reduce(0, +))
            #expect(report.filesBefore.count == counts.count)
            return counts
        }
        #expect(!matched.isEmpty)
        #expect(try rows() == rest, "seed \(generator.seed)")
        let files = try fixture.table().snapshot().files
        for file in files {
            let unsorted = try EngineConnection().query(
                """
                SELECT count(*) FROM (
                    SELECT ("visitor", "user", ts) AS place, lag(("visitor", "user", ts)) OVER (ORDER BY file_row_number) AS before
                    FROM read_parquet('\(file.path)', file_row_number = true)
                    WHERE "visitor" IS NOT NULL AND "user" IS NOT NULL)
                WHERE place < before
                """
            ).rows()[0][0]
            #expect(unsorted == "0", "seed \(generator.seed)")
        }
    }
}
