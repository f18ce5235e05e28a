import CordonModel
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import CordonLake

private func random(_ count: Int, _ generator: inout Generator) -> [Pseudonym] {
    (0..<count).map { _ in
        Pseudonym(value: UInt128.random(in: 0...UInt128.max, using: &generator))
    }
}

@Suite struct `The filter of who is in a data file` {
    private let folder: TemporaryDirectory
    init() throws { folder = try TemporaryDirectory() }

    private func write(_ users: [Pseudonym], _ visitors: [Pseudonym]) throws {
        try File.write(
            PersonIndex.path(of: "/lake/a.parquet", in: folder.path),
            PersonIndex.encoded(users: users, visitors: visitors, fileBytes: 77), mode: 0o600,
            sync: false)
    }

    private func mayHold(_ filter: SubjectFilter, fileBytes: Int64 = 77) -> Bool {
        PersonIndex.mayHold(filter, "/lake/a.parquet", fileBytes: fileBytes, in: folder.path)
            .mayHold
    }

    @Test func `the filter without those who went is the one that is made of those who stay`() {
        var generator = Generator()
        func people(_ count: Int) -> [Pseudonym] {
            (0..<count).map { _ in
                Pseudonym(value: .random(in: .min ... .max, using: &generator))
            }
        }
        for round in 0..<12 {
            let all = [people(round < 2 ? round : 3000), people(700)]
            let gone = all.map { Set($0.prefix(.random(in: 0...20, using: &generator))) }
            let stay = zip(all, gone).map { all, gone in all.filter { !gone.contains($0) } }
            let old = PersonIndex.encoded(users: all[0], visitors: all[1], fileBytes: 77)
            func rest(of old: [UInt8], gone: [Set<Pseudonym>], bytes: Int64 = 77) -> [UInt8]? {
                PersonIndex.rest(of: old, oldFileBytes: bytes, fileBytes: 70, gone: gone) {
                    column, ranges in
                    stay[column].filter { person in ranges.contains { $0.contains(person) } }
                }
            }
            let blocks = all.map { max(1, ($0.count + 11) / 12) }
            let expected = PersonIndex.encoded(
                users: stay[0], visitors: stay[1], fileBytes: 70, blocks: blocks)
            #expect(rest(of: old, gone: gone) == expected, "seed \(generator.seed)")
            // One that is damaged, cut, of another file, or would have to be made anew for the most part is not taken over.
            var damaged = old
            damaged[.random(in: 0..<old.count, using: &generator)] ^= 4
            #expect(rest(of: damaged, gone: gone) == nil, "seed \(generator.seed)")
            #expect(rest(of: old.dropLast(32), gone: gone) == nil)
            #expect(rest(of: old, gone: gone, bytes: 78) == nil)
            #expect(rest(of: old, gone: all.map { Set($0) }) == nil || round < 2)
        }
    }

    @Test(arguments: [0, 1, 15, 16, 17, 1000])
    func `everybody who is there is found, one by one and among many`(_ count: Int) throws {
        var generator = Generator()
        let users = random(count, &generator)
        let visitors = random(count, &generator)
        try write(users, visitors)
        let strangers = Set(random(80, &generator))
        for (user, visitor) in zip(users, visitors) {
            #expect(mayHold(SubjectFilter(users: [user])), "seed \(generator.seed)")
            #expect(mayHold(SubjectFilter(visitors: [visitor])), "seed \(generator.seed)")
        }
        if let user = users.last {
            #expect(mayHold(SubjectFilter(users: strangers.union([user]))))
        }
        #expect(!mayHold(SubjectFilter()))
    }

    @Test func `few strangers are taken for somebody, and few bytes are read`() throws {
        var generator = Generator()
        try write(random(4000, &generator), random(4000, &generator))
        var mistaken = 0
        var read: Int64 = 0
        for stranger in random(2000, &generator) {
            let answer = PersonIndex.mayHold(
                SubjectFilter(users: [stranger]), "/lake/a.parquet", fileBytes: 77, in: folder.path)
            mistaken += answer.mayHold ? 1 : 0
            read = max(read, answer.bytesRead)
        }
        #expect(mistaken < 20, "seed \(generator.seed)")
        #expect(read == 64)
    }

    @Test func `a filter that is missing, cut, foreign, or of another file says perhaps`() throws {
        var generator = Generator()
        let stranger = SubjectFilter(users: Set(random(1, &generator)))
        #expect(mayHold(stranger))
        try write(random(3, &generator), [])
        #expect(!mayHold(SubjectFilter(visitors: stranger.users)))
        #expect(mayHold(stranger, fileBytes: 78))
        let path = PersonIndex.path(of: "/lake/a.parquet", in: folder.path)
        let bytes = try File.read(path)
        for changed in [Array(bytes.dropLast()), Array(bytes.prefix(9)), [1] + bytes.dropFirst()] {
            try File.write(path, changed, mode: 0o600, sync: false)
            #expect(mayHold(SubjectFilter(visitors: stranger.users)))
        }
    }

    @Test func `nobody is missed because some byte of a filter is damaged`() throws {
        var generator = Generator()
        let people = random(40, &generator)
        try write(people, [])
        let path = PersonIndex.path(of: "/lake/a.parquet", in: folder.path)
        let bytes = try File.read(path)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= UInt8.random(in: 1...255, using: &generator)
            try File.write(path, changed, mode: 0o600, sync: false)
            let missed = people.filter { !mayHold(SubjectFilter(users: [$0])) }
            #expect(missed.isEmpty, "byte \(index), seed \(generator.seed)")
        }
        // As a power cut leaves what was not on disk yet.
        let empty = bytes.prefix(32) + [UInt8](repeating: 0, count: bytes.count - 32)
        try File.write(path, Array(empty), mode: 0o600, sync: false)
        #expect(people.allSatisfy { mayHold(SubjectFilter(users: [$0])) })
        #expect(mayHold(SubjectFilter(users: Set(people + random(60, &generator)))))
    }
}

@Suite struct `Finding people by filters` {
    private let fixture: LakeFixture
    init() throws { fixture = try LakeFixture() }

    private var indexes: [String] {
        ((try? Directory.list(fixture.settings.personIndexDirectory)) ?? []).sorted()
    }

    /// Each file of the table has a filter, and there is no other.
    private func expectOneEach(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let files = try fixture.table().snapshot().files
        let names = files.map { String($0.path.split(separator: "/").last!) + PersonIndex.suffix }
        #expect(!names.isEmpty && indexes == names.sorted(), sourceLocation: sourceLocation)
    }

    /// Deliveries of the same days, each with people of its own.
    private func fill(_ generator: inout Generator, deliveries: Int) throws -> [[HitRecord]] {
        try (0..<deliveries).map { _ in
            var records = HitRecord.random(count: 60, &generator)
            for index in records.indices {
                records[index].user = random(1, &generator)[0]
            }
            try fixture.deliver(records)
            return records
        }
    }

    @Test
    func
        `each data file has one, only files that may hold a person are read, and none outlives its file`()
        throws
    {
        var generator = Generator()
        let deliveries = try fill(&generator, deliveries: 4)
        let person = try #require(deliveries[2].compactMap(\.user).first)
        let filter = SubjectFilter(users: [person])
        let table = fixture.table()
        let files = try table.snapshot().files
        #expect(indexes.count == files.count)
        let report = try table.write { writer in
            let candidates = try writer.candidates(filter)
            let counts = try writer.count(filter)
            #expect(Set(candidates.files.map(\.path)).isSuperset(of: counts.keys))
            #expect(candidates.files.count < files.count, "seed \(generator.seed)")
            #expect(candidates.bytesRead == Int64(files.count * 64))
            return try writer.rewrite(removing: filter)
        }
        #expect(report.rowsRemoved == Int64(deliveries[2].count { $0.user == person }))
        try table.write { writer in
            try writer.expireAllButCurrent()
            #expect(try writer.count(filter).isEmpty, "seed \(generator.seed)")
            // One in some thousand filters takes anybody for somebody.
            #expect(try writer.candidates(filter).files.count <= 1, "seed \(generator.seed)")
        }
        try expectOneEach()
    }

    @Test
    func `none outlives its file, whether that is compacted, dropped, handed over or nobody's`()
        throws
    {
        var generator = Generator()
        _ = try fill(&generator, deliveries: 3)
        let table = fixture.table()
        #expect(try table.compact(suppressed: { SubjectFilter() }).commits > 0)
        try table.write { _ = try $0.expireAllButCurrent() }
        try expectOneEach()
        let transfer = RowTransfer(
            ruleSet: "r", geoBuild: "g", mayLeave: { _, _ in true },
            fate: { $0.policy == "gdpr" ? .dropped : .stays })
        #expect(try table.write { try $0.handOver(transfer) } > 0)
        try table.write { _ = try $0.expireAllButCurrent() }
        try expectOneEach()
        let file = try #require(try table.snapshot().files.first).path
        try table.write { writer in
            #expect(try writer.drop([file]).rowsRemoved > 0)
            try writer.expireAllButCurrent()
        }
        try expectOneEach()
        let lost = fixture.settings.directory + "/data/lost.parquet"
        let index = PersonIndex.path(of: lost, in: fixture.settings.personIndexDirectory)
        for path in [lost, index] { try File.write(path, [1, 2, 3], mode: 0o600, sync: false) }
        let later = fixture.table(clock: SetClock(Day(year: 2099, month: 1, day: 1)))
        #expect(try later.write { try $0.removeOrphans().map(\.path) } == [lost])
        try expectOneEach()
    }

    @Test func `files without one, as an earlier version wrote them, are looked through`() throws {
        var generator = Generator()
        let deliveries = try fill(&generator, deliveries: 2)
        for name in indexes {
            try File.remove(fixture.settings.personIndexDirectory + "/" + name)
        }
        let person = try #require(deliveries[0].compactMap(\.user).first)
        let filter = SubjectFilter(users: [person])
        let rows = try fixture.table().write { try $0.rewrite(removing: filter).rowsRemoved }
        #expect(rows == Int64(deliveries[0].count { $0.user == person }))
    }

    @Test func `one that is left of another time goes with the next expiry`() throws {
        var generator = Generator()
        _ = try fill(&generator, deliveries: 2)
        let stray = fixture.settings.personIndexDirectory + "/stray.parquet.who"
        try File.write(stray, [1, 2, 3], mode: 0o600, sync: false)
        try fixture.table().write { _ = try $0.expireAllButCurrent() }
        #expect(try !File.exists(stray))
    }

    @Test
    func `the rows that stay are the same to the last value, column by column and in their order`()
        throws
    {
        var generator = Generator()
        let deliveries = try fill(&generator, deliveries: 1)
        let people = Set(deliveries[0].compactMap(\.user).prefix(7))
        let filter = SubjectFilter(users: people)
        let table = fixture.table()
        let digests = { (paths: [String], condition: String) throws -> [[String]] in
            try paths.map { path in
                try HitsSchema.columns.map { column in
                    try fixture.query(
                        """
                        SELECT sha256(coalesce(string_agg(coalesce(CAST("\(column.name)" AS VARCHAR), '∅'), '|' ORDER BY file_row_number), ''))
                        FROM read_parquet('\(path)', file_row_number = true, hive_partitioning = false) WHERE \(condition)
                        """
                    ).first ?? ""
                }
            }
        }
        try table.write { writer in
            let touched = try writer.count(filter).keys.sorted()
            let files = try writer.dataFiles()
            let untouched = files.map(\.path).filter { !touched.contains($0) }
            let before = try digests(touched, "NOT \(filter.condition)")
            let report = try writer.rewrite(removing: filter)
            #expect(report.filesBefore == touched)
            #expect(Set(try writer.dataFiles().map(\.path)).isSuperset(of: untouched))
            // A file of nobody else has no successor.
            let empty = try digests([touched[0]], "false")[0]
            #expect(
                try digests(report.filesAfter, "true") == before.filter { $0 != empty },
                "seed \(generator.seed)")
        }
    }
}
