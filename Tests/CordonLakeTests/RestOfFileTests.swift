import CordonModel
import Engine
import Foundation
import Iceberg
import LinuxIO
import TestSupport
import Testing

@testable import CordonLake

/// Removal from files of several row groups.
@Suite struct `The rest of a file` {
    let fixture: LakeFixture
    private let engine: EngineConnection

    /// The engine's smallest row group.
    private static let groupRows = 2048
    private static let rows = 9000

    init() throws {
        fixture = try LakeFixture()
        fixture.settings.rowGroupRows = Self.groupRows
        engine = try EngineConnection(settings: [("threads", "1")])
    }

    /// Fills the lake with one file of five row groups, and gives its records and its path.
    private func fill(
        _ generator: inout Generator, people: Int = 4000
    ) throws -> (records: [HitRecord], path: String) {
        let records = (0..<Self.rows).map { number in
            var record = HitRecord.random(&generator, people: people)
            let day = Day(number: 20_700)
            record.timestamp = Timestamp(microseconds: day.start.microseconds + Int64(number))
            record.retainUntil = Day(number: 21_000)
            return record
        }
        try fixture.append(records, perBatch: 1000)
        _ = try fixture.table().deliver(from: fixture.journal)
        let files = try fixture.table().snapshot().files
        #expect(files.count == 1)
        return (records, try #require(files.first).path)
    }

    /// Every row with all values, in the order of the file.
    private func rows(_ path: String, where condition: String = "true") throws -> [String] {
        try engine.query(
            """
            SELECT CAST(to_json(r) AS VARCHAR) FROM read_parquet('\(path)', hive_partitioning = false) AS r
            WHERE \(condition)
            """
        ).rows().map { $0[0] ?? "" }
    }

    private func groupRowCounts(_ path: String) throws -> [Int] {
        try engine.query(
            """
            SELECT any_value(row_group_num_rows) FROM parquet_metadata('\(path)')
            GROUP BY row_group_id ORDER BY row_group_id
            """
        ).rows().map { $0[0].flatMap { Int($0) } ?? 0 }
    }

    /// The bytes of each row group.
    private func groups(_ path: String) throws -> [[UInt8]] {
        let bytes = try File.read(path)
        let places = try engine.query(
            """
            SELECT min(CASE WHEN dictionary_page_offset > 0 THEN dictionary_page_offset ELSE data_page_offset END),
                   sum(total_compressed_size)
            FROM parquet_metadata('\(path)') GROUP BY row_group_id ORDER BY row_group_id
            """
        ).rows()
        return places.map { place in
            let first = Int(place[0]!)!
            return Array(bytes[first..<first + Int(place[1]!)!])
        }
    }

    private func schema(_ path: String) throws -> [[String?]] {
        try engine.query("SELECT * EXCLUDE file_name FROM parquet_schema('\(path)')").rows()
    }

    /// For each column a digest of its values in their order.
    private func digests(_ path: String, where condition: String = "true") throws -> [String?] {
        let sums = HitsSchema.columns.map {
            "md5(string_agg(coalesce(CAST(\"\($0.name)\" AS VARCHAR), 'null'), chr(0) ORDER BY n))"
        }
        return try engine.query(
            """
            SELECT \(sums.joined(separator: ", ")) FROM (
                SELECT *, row_number() OVER () AS n FROM read_parquet('\(path)') WHERE \(condition))
            """
        ).rows()[0]
    }

    private func remove(_ filter: SubjectFilter) throws -> RemovalReport {
        try fixture.table().write { writer in
            let report = try writer.rewrite(removing: filter)
            try writer.expireAllButCurrent()
            return report
        }
    }

    @Test(arguments: [true, false])
    func
        `row groups without the person keep their bytes, and all other rows their values and order`(
            _ byPages: Bool
        ) throws
    {
        fixture.settings.writesPages = byPages
        var generator = Generator()
        let (records, path) = try fill(&generator)
        let visitor = try #require(records.compactMap(\.visitor).randomElement(using: &generator))
        let filter = SubjectFilter(visitors: [visitor])
        let rest = "visitor IS DISTINCT FROM '\(visitor.text)'"
        let gone = "visitor = '\(visitor.text)'"
        let losing = Set(
            try engine.query(
                "SELECT file_row_number // \(Self.groupRows) FROM read_parquet('\(path)', file_row_number = true) WHERE \(gone)"
            ).rows().map { Int($0[0]!)! })
        #expect(losing.count <= 2)
        let old = fixture.directory.file("old.parquet")
        try File.write(old, File.read(path), sync: false)
        let report = try remove(filter)
        let new = try #require(report.filesAfter.first)
        #expect(report.filesAfter.count == 1 && Int(report.rowsRemoved) > 0)
        #expect(report.filesByPages == (byPages ? 1 : 0))

        #expect(try rows(new) == rows(old, where: rest), "seed \(generator.seed)")
        #expect(try digests(new) == digests(old, where: rest), "seed \(generator.seed)")
        #expect(try schema(new) == schema(old))
        #expect(try rows(new, where: gone).isEmpty)
        let (before, after) = (try groups(old), try groups(new))
        #expect(before.count == 5 && after.count == 5)
        for group in before.indices {
            #expect(
                (before[group] == after[group]) == !losing.contains(group), "seed \(generator.seed)"
            )
        }
        let lost = try groupRowCounts(old).enumerated().filter {
            try groupRowCounts(new)[$0.offset] < $0.element
        }
        #expect(Set(lost.map(\.offset)) == losing)
        // Least and greatest of no row group is the one who went, and a row is still found by them.
        let bounds = try engine.query(
            "SELECT stats_min_value, stats_max_value FROM parquet_metadata('\(new)') WHERE path_in_schema = 'visitor'"
        ).rows()
        #expect(!bounds.flatMap(\.self).contains(visitor.text))
        let others = Set(records.compactMap(\.visitor)).subtracting([visitor])
        for other in others.shuffled(using: &generator).prefix(5) {
            let condition = "visitor = '\(other.text)'"
            #expect(try rows(new, where: condition) == rows(old, where: condition))
        }
        // The filter of who is in it is that of the new file.
        let (found, _) = try fixture.table().write { try $0.candidates(filter) }
        #expect(found.isEmpty)
        let index = try File.read(
            PersonIndex.path(of: new, in: fixture.settings.personIndexDirectory))
        func people(_ column: String) throws -> [Pseudonym] {
            try engine.query("SELECT DISTINCT \"\(column)\" FROM read_parquet('\(new)')").rows()
                .compactMap { $0[0].flatMap { Pseudonym($0) } }
        }
        func number(_ range: Range<Int>) -> Int { index[range].reduce(0) { $0 << 8 | Int($1) } }
        #expect(
            try index
                == PersonIndex.encoded(
                    users: people("user"), visitors: people("visitor"),
                    fileBytes: Int64(File.read(new).count),
                    blocks: [number(24..<28), number(28..<32)]),
            "seed \(generator.seed)")
        for other in others.shuffled(using: &generator).prefix(20) {
            let other = SubjectFilter(visitors: [other])
            #expect(try fixture.table().write { try $0.candidates(other).files.count } == 1)
        }
        try fixture.expectNoStrayFile()
        #expect(try !File.exists(fixture.settings.scratchDirectory))
    }

    @Test(arguments: [true, false])
    func `people in several row groups, whole row groups and the last one go in the same way`(
        _ byPages: Bool
    ) throws {
        fixture.settings.writesPages = byPages
        var generator = Generator()
        let (records, path) = try fill(&generator)
        // In the order of the file nobody comes last; these are named by their places.
        let all = try rows(path)
        func visitors(_ condition: String) throws -> Set<Pseudonym> {
            Set(
                try engine.query(
                    """
                    SELECT DISTINCT visitor FROM read_parquet('\(path)', file_row_number = true)
                    WHERE visitor IS NOT NULL AND (\(condition))
                    """
                ).rows().compactMap { Pseudonym($0[0]!) })
        }
        // All of the second group, and somebody in the third; somebody in the first.
        let second = "file_row_number BETWEEN 2048 AND 4100"
        var gone = try visitors(second)
        gone.formUnion(try visitors("file_row_number = 17"))
        let filter = SubjectFilter(visitors: gone)
        #expect(gone.count > SubjectFilter.literalsMax && !records.isEmpty)
        let list = gone.map { "'\($0.text)'" }.joined(separator: ",")
        let expected = try rows(path, where: "coalesce(visitor NOT IN (\(list)), true)")
        let counts = try groupRowCounts(path)
        let before = try groups(path)
        let new = try #require(try remove(filter).filesAfter.first)
        #expect(try rows(new) == expected, "seed \(generator.seed)")
        #expect(expected.count < all.count)
        #expect(try groupRowCounts(new).count < counts.count)
        #expect(try groups(new).suffix(2) == before.suffix(2))
        try fixture.expectNoStrayFile()
    }

    @Test func `nothing of a copied row group is decoded, and its bounds are those of its rows`()
        throws
    {
        var generator = Generator()
        let (records, path) = try fill(&generator)
        let visitor = try #require(records.compactMap(\.visitor).randomElement(using: &generator))
        let new = fixture.directory.file("rest.parquet")
        try fixture.table().write { writer in
            let rest = try writer.writeRest(
                of: path, where: "visitor IS DISTINCT FROM '\(visitor.text)'", to: new)
            let written = try #require(rest.written)
            func inspect(_ written: [Range<Int64>]?) throws -> DataFile {
                try writer.engine().inspect(
                    new, day: Day(number: 20_700), retainUntil: Day(number: 21_000),
                    rows: Int64(records.count { $0.visitor != visitor }), written: written)
            }
            let told = try inspect(written)
            #expect(told.lowerBounds.count == 5 && told.upperBounds.count == 5)
            #expect(try told == inspect(nil), "seed \(generator.seed)")

            // Whoever reads the sites of a copied row group now fails.
            let chunks = try engine.query(
                """
                SELECT least(nullif(dictionary_page_offset, 0), data_page_offset), total_compressed_size,
                       row_group_num_rows
                FROM parquet_metadata('\(new)') WHERE path_in_schema = 'site' ORDER BY row_group_id
                """
            ).rows().map { $0.map { Int($0!)! } }
            var first: Int64 = 0
            let sound = try File.read(new)
            // Whoever searches what the tests left can read it again.
            defer { #expect(throws: Never.self) { try File.write(new, sound, sync: false) } }
            var bytes = sound
            for chunk in chunks {
                let numbers = first..<first + Int64(chunk[2])
                first = numbers.upperBound
                if written.contains(where: { $0.overlaps(numbers) }) { continue }
                for place in chunk[0]..<chunk[0] + chunk[1] { bytes[place] = 0xFF }
            }
            try File.write(new, bytes, sync: false)
            #expect(try inspect(written) == told)
            #expect(throws: (any Error).self) { try inspect(nil) }
        }
    }

    @Test(arguments: [true, false])
    func `where every row group loses rows, the whole file is written`(_ byPages: Bool) throws {
        fixture.settings.writesPages = byPages
        var generator = Generator()
        let (records, path) = try fill(&generator)
        let gone = Set(records.compactMap(\.visitor).prefix(2000))
        let users = Set(records.compactMap(\.user).prefix(2000))
        let filter = SubjectFilter(users: users, visitors: gone)
        let kept = Set(
            records.filter {
                !($0.user.map(users.contains) ?? false)
                    && !($0.visitor.map(gone.contains) ?? false)
            }.map(\.idText))
        let before = try engine.query("SELECT CAST(hit_id AS VARCHAR) FROM read_parquet('\(path)')")
            .rows().map { $0[0]! }
        _ = try remove(filter)
        let new = try #require(try fixture.table().snapshot().files.first?.path)
        let after = try engine.query("SELECT CAST(hit_id AS VARCHAR) FROM read_parquet('\(new)')")
            .rows().map { $0[0]! }
        #expect(after == before.filter(kept.contains), "seed \(generator.seed)")
    }

    @Test
    func
        `a write that fails anywhere leaves the file as it was, and the removal can be asked again`()
        throws
    {
        var generator = Generator()
        let (records, _) = try fill(&generator)
        let visitor = try #require(records.compactMap(\.visitor).first)
        let filter = SubjectFilter(visitors: [visitor])
        let all = records.map(\.idText).sorted()
        // The first write is the file's, others those of what is written beside it.
        for (number, fault) in [
            (1, FaultPlan.Fault.shortWrite), (1, .error(28)), (1, .tornWrite(28)), (2, .error(28)),
            (3, .tornWrite(5)),
        ] {
            let plan = FaultPlan(failing: number, with: fault, among: [.write])
            try plan.run {
                if case .shortWrite = fault {
                    // Less than was asked is no failure.
                    try fixture.table().write { writer in
                        let path = try writer.dataFiles()[0].path
                        let copy = fixture.directory.file("copy.parquet")
                        try writer.writeRest(
                            of: path, where: "NOT \(filter.condition)", to: copy)
                    }
                } else {
                    #expect(throws: (any Error).self) { try remove(filter) }
                }
            }
            #expect(plan.hasStruck)
            #expect(try fixture.hitIDs() == all, "seed \(generator.seed)")
        }
        let kept = records.filter { $0.visitor != visitor }.map(\.idText).sorted()
        _ = try remove(filter)
        #expect(try fixture.hitIDs() == kept, "seed \(generator.seed)")
        try fixture.expectNoStrayFile()
        #expect(try !File.exists(fixture.settings.scratchDirectory))
    }

    @Test(arguments: [LakeStep.dataFilesNoted, .dataFileWritten, .dataFileSynced, .committed])
    func `killed at a step, it ends as before or after, and no part of a file is left`(
        _ step: LakeStep
    ) throws {
        var generator = Generator()
        let (records, _) = try fill(&generator)
        let visitor = try #require(records.compactMap(\.visitor).first)
        let filter = SubjectFilter(visitors: [visitor])
        let dying = fixture.table { if $0 == step { throw Killed() } }
        #expect(throws: Killed.self) {
            try dying.write { try $0.rewrite(removing: filter) }
        }
        let kept = records.filter { $0.visitor != visitor }.map(\.idText).sorted()
        let between = try fixture.hitIDs()
        #expect(between == (step == .committed ? kept : records.map(\.idText).sorted()))
        _ = try remove(filter)
        #expect(try fixture.hitIDs() == kept, "seed \(generator.seed)")
        try fixture.expectNoStrayFile()
        #expect(try !File.exists(fixture.settings.scratchDirectory))
    }

    @Test func `the pages tell of people, policies and bounds what the engine tells`() throws {
        var generator = Generator()
        let (records, path) = try fill(&generator)
        let users = Set(records.compactMap(\.user).shuffled(using: &generator).prefix(300))
        let visitors = Set(records.compactMap(\.visitor).shuffled(using: &generator).prefix(40))
        let start = Day(number: 20_700).start
        let window =
            Timestamp(
                microseconds: start.microseconds + 1000)..<Timestamp(
                microseconds: start.microseconds + 7000)
        for filter in [
            SubjectFilter(users: users), SubjectFilter(visitors: visitors),
            SubjectFilter(users: users, visitors: visitors),
            SubjectFilter(users: users, visitors: visitors, window: window),
            SubjectFilter(users: [Pseudonym(value: 7)]),
        ] {
            try fixture.table().write { writer in
                let found = try #require(
                    try writer.rows(of: SoughtPeople(filter), in: path, countingPolicies: true))
                let engine = try writer.engine()
                try engine.prepare(filter)
                #expect(
                    try found.byPolicy
                        == engine.countByPolicy(where: filter.condition, in: [path])[path] ?? [:],
                    "seed \(generator.seed)")
                let lost = try engine.rowsLost(
                    of: path, where: "NOT \(filter.condition)",
                    rowCounts: groupRowCounts(path).map { Int64($0) })
                #expect(found.numbers == lost.numbers, "seed \(generator.seed)")
                #expect(found.numbers.rows == records.count { filter.matches($0) })
                guard !found.numbers.isEmpty else { return }

                let new = fixture.directory.file("\(found.numbers.rows).parquet")
                let rest = try #require(
                    try writer.writePages(
                        of: path, where: "NOT \(filter.condition)", but: nil, to: new))
                var file = NewDataFile(
                    path: new, day: Day(number: 20_700), retainUntil: Day(number: 21_000),
                    rows: Int64(records.count - found.numbers.rows), rest: rest)
                let told = try writer.inspect([file])
                file.rest = nil
                #expect(try told == writer.inspect([file]), "seed \(generator.seed)")
                #expect(told[0].lowerBounds.count == 5)
            }
        }
    }

    @Test func `a digest sees another value, another order and a row too few`() throws {
        var generator = Generator()
        let (_, path) = try fill(&generator)
        let engine = try LakeEngine(fixture.settings)
        let digest = try engine.restDigest(of: [path])
        #expect(try engine.restDigest(of: [path], in: [0..<9000]) == digest)
        #expect(try engine.restDigest(of: [path], in: [0..<8999]) != digest)
        #expect(try engine.restDigest(of: [path], in: []) != digest)
        for (name, query) in [
            ("order", "SELECT * FROM rows ORDER BY file_row_number DESC"),
            (
                "value",
                "SELECT * REPLACE (CASE WHEN file_row_number = 4711 THEN 'XX' ELSE language END AS language) FROM rows ORDER BY file_row_number"
            ),
            ("same", "SELECT * FROM rows ORDER BY file_row_number"),
        ] {
            let other = fixture.directory.file("\(name).parquet")
            try engine.connection.execute(
                """
                COPY (SELECT \(HitsSchema.columnList) FROM (\(query.replacing("rows", with: "(FROM \(LakeEngine.source([path], numberingRows: true)))"))))
                TO '\(other)' (\(engine.copyOptions))
                """)
            #expect(try (engine.restDigest(of: [other]) == digest) == (name == "same"), "\(name)")
        }
    }
}
