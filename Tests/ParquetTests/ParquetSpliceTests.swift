import Engine
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import Parquet

/// Files that the engine wrote, with several row groups.
private struct Files {
    let folder: TemporaryDirectory
    let engine: EngineConnection

    init() throws {
        folder = try TemporaryDirectory()
        engine = try EngineConnection(settings: [("threads", "1")])
        try engine.execute("SET TimeZone = 'UTC'")
    }

    /// The engine's smallest row group.
    static let groupRows = 2048

    /// Writes `rows` rows of many types, some columns null here or everywhere, and says where.
    func write(
        _ name: String, rows: Int, seed: UInt64, first: Int = 0, options: String = ""
    ) throws -> String {
        let path = folder.file(name)
        try engine.execute(
            """
            COPY (SELECT i AS id, uuid() AS own, CAST(hash(i, \(seed)) % 9 AS INTEGER) AS few,
                         CASE WHEN hash(i, \(seed), 1) % 3 > 0 THEN 'person ' || (hash(i, \(seed)) % 700) END AS person,
                         CAST(NULL AS VARCHAR) AS nothing, i % 2 = 0 AS even,
                         TIMESTAMPTZ '2026-11-01 00:00:00+00' + to_microseconds(i) AS ts,
                         list_transform(range(i % 4), x -> 'item ' || (x + i % 5)) AS items,
                         MAP {'key ' || (i % 3): CASE WHEN i % 7 > 0 THEN 'value ' || (i % 50) END} AS params
                  FROM range(\(first), \(first + rows)) AS r(i))
            TO \(EngineText.literal(path)) (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE \(Self.groupRows),
                FIELD_IDS {id: 1, own: 2, few: 3, person: 4, nothing: 5, even: 6, ts: 7,
                           items: {__duckdb_field_id: 8, element: 9}, params: {__duckdb_field_id: 10, key: 11, value: 12}}
                \(options.isEmpty ? ", WRITE_BLOOM_FILTER false" : options))
            """)
        return path
    }

    func footer(_ path: String) throws -> ParquetFooter {
        let file = try File(opening: path, .read)
        return try ParquetFooter(file, bytes: try file.metadata().size)
    }

    /// All rows in the order of the file.
    func rows(_ path: String, where condition: String = "true") throws -> [String] {
        try engine.query(
            """
            SELECT CAST(to_json(r) AS VARCHAR) FROM read_parquet(\(EngineText.literal(path))) AS r WHERE \(condition)
            """
        ).rows().map { $0[0] ?? "" }
    }

    /// What the footer says of each column chunk, but for where it lies.
    func statistics(_ path: String) throws -> [[String?]] {
        try engine.query(
            """
            SELECT row_group_num_rows, path_in_schema, type, num_values, stats_min_value, stats_max_value, stats_null_count,
                   stats_distinct_count, compression, encodings, total_compressed_size, total_uncompressed_size
            FROM parquet_metadata(\(EngineText.literal(path))) ORDER BY row_group_id, column_id
            """
        ).rows()
    }

    func schema(_ path: String) throws -> [[String?]] {
        try engine.query(
            "SELECT * EXCLUDE file_name FROM parquet_schema(\(EngineText.literal(path)))"
        ).rows()
    }

    func bytes(_ path: String, _ range: Range<Int>) throws -> [UInt8] {
        Array(try File.read(path)[range])
    }
}

@Suite struct `Splicing row groups` {
    private let files: Files
    init() throws { files = try Files() }

    private func splice(
        _ pieces: [(Int, Int)], of paths: [String], to name: String = "new.parquet"
    ) throws -> (splice: ParquetSplice, path: String) {
        let path = files.folder.file(name)
        let splice = try ParquetSplice(
            pieces.map { .init(file: $0.0, group: $0.1) }, of: try paths.map(files.footer))
        try splice.write(from: paths, to: path)
        return (splice, path)
    }

    @Test(arguments: ["", ", WRITE_BLOOM_FILTER true"])
    func
        `any choice of row groups of two files reads as their rows, in order, with their statistics`(
            _ options: String
        ) throws
    {
        var generator = Generator()
        let seed = generator.next() >> 1
        let paths = [
            try files.write("a.parquet", rows: 9000, seed: seed, options: options),
            try files.write("b.parquet", rows: 3000, seed: seed, first: 9000, options: options),
        ]
        let counts = try paths.map { try files.footer($0).rowCounts() }
        #expect(counts.map(\.count) == [5, 2] && counts[0].reduce(0, +) == 9000)
        let rows = try paths.map { try files.rows($0) }
        let statistics = try paths.map { try files.statistics($0) }
        let columns = statistics[0].count / counts[0].count
        let all = (0..<5).map { (0, $0) } + (0..<2).map { (1, $0) }
        for round in 0..<8 {
            let pieces = all.shuffled(using: &generator).prefix(
                .random(in: 1...all.count, using: &generator))
            let (splice, path) = try splice(Array(pieces), of: paths, to: "\(round).parquet")
            #expect(try splice.isWritten(at: path, from: paths))
            let expected = pieces.flatMap { file, group in
                let first = Int(counts[file][..<group].reduce(0, +))
                return rows[file][first..<first + Int(counts[file][group])]
            }
            #expect(try files.rows(path) == expected, "seed \(generator.seed)")
            #expect(
                try files.statistics(path)
                    == pieces.flatMap { file, group in
                        statistics[file][group * columns..<(group + 1) * columns]
                    }, "seed \(generator.seed)")
            #expect(try files.schema(path) == files.schema(paths[0]))
            #expect(splice.rowCounts == pieces.map { counts[$0.0][$0.1] })
            // The bytes of each group, and of its bloom filters, are those that it had.
            let old = try paths.map { try files.footer($0).groups() }
            for (group, piece) in zip(try files.footer(path).groups(), pieces) {
                let before = old[piece.0][piece.1]
                #expect(
                    try files.bytes(path, group.data) == files.bytes(paths[piece.0], before.data))
                #expect(group.filters.isEmpty == options.isEmpty)
                #expect(
                    try group.filters.map { try files.bytes(path, $0) }
                        == before.filters.map { try files.bytes(paths[piece.0], $0) })
            }
        }
    }

    @Test func `the engine passes over row groups of a spliced file by their statistics`() throws {
        let path = try files.write("a.parquet", rows: 9000, seed: 1)
        let (_, new) = try splice([(0, 4), (0, 0), (0, 2)], of: [path])
        for id in [0, 2047, 2048, 4096, 5000, 6143, 6144, 8999] {
            let group = id / Files.groupRows
            #expect(
                try files.rows(new, where: "id = \(id)")
                    == ([0, 2, 4].contains(group) ? files.rows(path, where: "id = \(id)") : []))
        }
        let plan = try files.engine.query(
            "EXPLAIN ANALYZE SELECT count(*) FROM read_parquet('\(new)') WHERE id = 5000"
        ).rows().map { $0.compactMap(\.self).joined() }.joined()
        #expect(plan.contains("5000"))
        let statistics = try files.engine.query(
            """
            SELECT stats_min_value, stats_max_value FROM parquet_metadata('\(new)')
            WHERE path_in_schema = 'id' ORDER BY row_group_id
            """
        ).rows()
        #expect(statistics == [["8192", "8999"], ["0", "2047"], ["4096", "6143"]])
    }

    @Test func `a spliced file can be spliced again, to the same bytes`() throws {
        let path = try files.write("a.parquet", rows: 7000, seed: 3)
        let (_, once) = try splice([(0, 3), (0, 1), (0, 0), (0, 2)], of: [path], to: "1.parquet")
        let (_, back) = try splice([(0, 2), (0, 1), (0, 3), (0, 0)], of: [once], to: "2.parquet")
        #expect(try File.read(back) == File.read(path))
    }

    @Test func `files of another schema are refused`() throws {
        let path = try files.write("a.parquet", rows: 3000, seed: 3)
        let other = files.folder.file("other.parquet")
        try files.engine.execute(
            "COPY (SELECT 1 AS id) TO '\(other)' (FORMAT parquet, FIELD_IDS {id: 1})")
        let kv = files.folder.file("kv.parquet")
        try files.engine.execute(
            """
            COPY (FROM read_parquet('\(path)')) TO '\(kv)'
            (FORMAT parquet, COMPRESSION zstd, KV_METADATA {note: 'other'})
            """)
        for other in [other, kv] {
            #expect {
                try ParquetSplice(
                    [.init(file: 0, group: 0), .init(file: 1, group: 0)],
                    of: [try files.footer(path), try files.footer(other)])
            } throws: {
                ($0 as? ParquetError)?.code == .unfit
            }
        }
    }

    @Test func `a byte that is not as it was, anywhere in the new file, is seen`() throws {
        let path = try files.write("a.parquet", rows: 5000, seed: 5)
        let (splice, new) = try splice([(0, 2), (0, 0)], of: [path])
        let good = try File.read(new)
        var generator = Generator()
        for place in [0, 4, good.count - 1]
            + (0..<40).map({ _ in .random(in: 0..<good.count, using: &generator) })
        {
            var bytes = good
            bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            try File.write(new, bytes, sync: false)
            let isWritten = (try? splice.isWritten(at: new, from: [path])) ?? false
            #expect(!isWritten, "byte \(place), seed \(generator.seed)")
        }
        try File.write(new, good, sync: false)
        #expect(try splice.isWritten(at: new, from: [path]))
    }
}

@Suite struct `Footers that are not what they should be` {
    private let files: Files
    private let path: String
    private let footer: ParquetFooter

    init() throws {
        files = try Files()
        path = try files.write("a.parquet", rows: 5000, seed: 7)
        footer = try files.footer(path)
    }

    /// The struct with one more field behind its others.
    private func adding(_ id: Int, _ type: ThriftType, _ value: [UInt8], to fields: ThriftStruct)
        throws -> ThriftStruct
    {
        try ThriftStruct(
            decoding: (fields.encoded.dropLast() + [type.rawValue, UInt8(id * 2)] + value + [0])[
                ...]
        )
    }

    /// The footer after a change of its second row group and of that group's second column.
    private func changed(
        group change: (inout ThriftStruct) throws -> Void = { _ in },
        chunk: (inout ThriftStruct) throws -> Void = { _ in },
        column: (inout ThriftStruct) throws -> Void = { _ in }
    ) throws -> ParquetFooter {
        var fields = footer.fields
        var groups = try #require(try fields.structures(4))
        var chunks = try #require(try groups[1].structures(1))
        var meta = try #require(try chunks[1].structure(3))
        try column(&meta)
        chunks[1].set(3, to: meta)
        try chunk(&chunks[1])
        groups[1].set(1, to: chunks)
        try change(&groups[1])
        fields.set(4, to: groups)
        return ParquetFooter(
            try ThriftStruct(decoding: fields.encoded[...]), offset: footer.offset)
    }

    private func code(_ footer: ParquetFooter) -> ParquetError.Code? {
        do throws(ParquetError) {
            _ = try ParquetSplice([.init(file: 0, group: 0)], of: [footer])
            return nil
        } catch { return error.code }
    }

    @Test func `what cannot be moved safely is refused`() throws {
        #expect(code(footer) == nil)
        #expect(try code(changed()) == nil)
        let text: [UInt8] = [1, 0x61]
        #expect(try code(changed(chunk: { $0 = try adding(1, .binary, text, to: $0) })) == .unfit)
        #expect(try code(changed(chunk: { $0 = try adding(5, .i32, [2], to: $0) })) == .unfit)
        #expect(try code(changed(chunk: { $0 = try adding(8, .structure, [0], to: $0) })) == .unfit)
        #expect(try code(changed(chunk: { $0 = try adding(12, .i64, [2], to: $0) })) == .unfit)
        #expect(try code(changed(column: { $0 = try adding(30, .i64, [2], to: $0) })) == .unfit)
        #expect(try code(changed(column: { $0 = try adding(14, .i64, [20], to: $0) })) == .unfit)
        #expect(try code(changed(group: { $0 = try adding(9, .i64, [2], to: $0) })) == .unfit)
        let encrypted = try adding(8, .structure, [0], to: footer.fields)
        #expect(code(ParquetFooter(encrypted, offset: footer.offset)) == .unfit)
    }

    @Test(arguments: [Int64.min, -1, 1, 3, 1 << 40, Int64.max])
    func `places and lengths outside of the file, or over another, are refused`(_ number: Int64)
        throws
    {
        for id in [9, 11] {
            let moved = try changed(column: { if $0.field(id) != nil { $0.set(id, to: number) } })
            #expect(moved == footer || code(moved) == .unfit, "field \(id)")
        }
        #expect(try code(changed(column: { $0.set(7, to: number) })) == .unfit)
        #expect(try code(changed(chunk: { $0.set(2, to: number) })) == .unfit)
        #expect(try code(changed(group: { $0.set(3, to: number) })) == .malformed)
        if try footer.fields.structures(4)?[1].field(5) != nil {
            #expect(try code(changed(group: { $0.set(5, to: number) })) == .unfit)
        }
    }

    @Test func `a row group that lies over another is refused`() throws {
        var fields = footer.fields
        var groups = try #require(try fields.structures(4))
        groups[1] = groups[0]
        fields.set(4, to: groups)
        let rows = try groups.reduce(0) { try $0 + ($1.integer(3) ?? 0) }
        fields.set(3, to: rows)
        #expect(code(ParquetFooter(fields, offset: footer.offset)) == .unfit)
    }

    @Test func `a file that was cut or changed is read as something or refused`() throws {
        let good = try File.read(path)
        var generator = Generator()
        func footer(_ bytes: [UInt8]) throws -> ParquetFooter {
            let path = files.folder.file("changed.parquet")
            try File.write(path, bytes, sync: false)
            // What is left behind is searched, which takes files that can be read.
            defer { _ = try? File.remove(path) }
            return try files.footer(path)
        }
        for count in [0, 4, 8, 11, 12, good.count / 2, good.count - 1] {
            #expect(throws: ParquetError.self) { try footer(Array(good[..<count])) }
        }
        for size in [UInt32.max, 1 << 31, UInt32(good.count), UInt32(good.count - 11), 0] {
            var bytes = good
            for index in 0..<4 {
                bytes[good.count - 8 + index] = UInt8(truncatingIfNeeded: size >> (8 * index))
            }
            #expect(throws: ParquetError.self) { try footer(bytes) }
        }
        for _ in 0..<400 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[.random(in: self.footer.offset..<good.count, using: &generator)] = .random(
                    in: .min ... .max, using: &generator)
            }
            // Whatever comes of it, it ends, and what is planned lies inside of the file.
            guard let read = try? footer(bytes) else { continue }
            _ = try? read.elements()
            guard let groups = try? read.groups() else { continue }
            for group in groups {
                #expect(
                    group.data.lowerBound >= 4 && group.data.upperBound <= read.offset,
                    "seed \(generator.seed)")
            }
        }
    }

    @Test func `the schema is read with its field ids`() throws {
        let elements = try footer.elements()
        #expect(
            elements.filter { $0.children == 0 }.compactMap(\.fieldID) == [
                1, 2, 3, 4, 5, 6, 7, 9, 11, 12,
            ])
        #expect(try footer.rowCounts() == [2048, 2048, 904])
    }
}
