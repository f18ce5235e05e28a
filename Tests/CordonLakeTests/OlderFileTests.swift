import CordonModel
import Engine
import TestSupport
import Testing

@testable import CordonLake

@Suite struct `A file from before a column` {
    @Test func `gives its rows as records and is written anew, with null for what it has not`()
        throws
    {
        let fixture = try LakeFixture()
        var generator = Generator()
        let records = HitRecord.random(count: 60, &generator)
        try fixture.deliver(records)
        let file = try #require(try fixture.table().snapshot().files.first)
        let older = fixture.directory.file("older.parquet")
        let ids = HitsSchema.fieldIDs(of: HitsSchema.columns.filter { $0.name != "language" })
        try EngineConnection().execute(
            """
            COPY (SELECT * EXCLUDE language FROM read_parquet('\(file.path)', hive_partitioning = false))
            TO '\(older)' (FORMAT parquet, FIELD_IDS \(ids))
            """)

        let engine = try LakeEngine(fixture.settings)
        func read(_ path: String) throws -> [HitRecord] {
            var found: [HitRecord] = []
            let groups = try engine.groups(in: path).map(\.0)
            try engine.records(of: groups, in: path, rowsMax: 1000) {
                found.append($1)
                return true
            }
            return found
        }
        let present = try read(file.path)
        #expect(present.contains { $0.language != nil }, "seed \(generator.seed)")
        let without = present.map { record in
            var record = record
            record.language = nil
            return record
        }
        #expect(try read(older) == without, "seed \(generator.seed)")

        let rest = fixture.directory.file("rest.parquet")
        _ = try fixture.table().write { writer in
            try writer.engine().withoutRows([0]) {
                try writer.writeRest(of: older, where: $0, to: rest)
            }
        }
        #expect(try read(rest) == Array(without.dropFirst()), "seed \(generator.seed)")
    }
}
