import Engine
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import Parquet

/// Files of random columns, as the engine or pyarrow writes them.
private struct RandomFiles {
    let folder: TemporaryDirectory
    let engine: EngineConnection
    let tools: ParquetTools

    init() throws {
        folder = try TemporaryDirectory()
        engine = try EngineConnection(settings: [("threads", "1")])
        try engine.execute("SET TimeZone = 'UTC'")
        tools = try ParquetTools()
    }

    /// The engine's smallest row group.
    static let groupRows = 2048

    /// A random number that depends on the row and on `salt`, as SQL.
    private static func number(_ salt: Int, below bound: Int) -> String {
        "CAST(hash(i, \(salt)) % \(bound) AS BIGINT)"
    }

    /// Expressions of every type that a column may have here, of few or of many values.
    private static func expressions(_ salt: Int, _ generator: inout Generator) -> [String] {
        let many = [2, 5, 40, 700, 1 << 40].randomElement(using: &generator) ?? 2
        let few = number(salt, below: many)
        let small = number(salt, below: 100)
        let text = "('text ' || \(few) || repeat('x', \(number(salt + 1, below: 40))))"
        return [
            "\(few) % 2 = 0", "CAST(\(small) AS TINYINT)", "CAST(\(small) AS USMALLINT)",
            "CAST(\(few) % 1000000 - 500 AS INTEGER)", "\(few) - 1000", "CAST(\(few) AS UBIGINT)",
            "CAST(\(few) % 1000 AS FLOAT) / 8 - 3", "CAST(\(few) AS DOUBLE) / 3 - 7",
            "DATE '2026-11-01' + CAST(\(small) AS INTEGER)",
            "TIMESTAMPTZ '2026-11-01 00:00:00+00' + to_microseconds(\(few))",
            "CAST(\(few) % 10000 AS DECIMAL(18, 2)) / 7",
            "CAST(md5(CAST(\(few) AS VARCHAR)) AS UUID)",
            text, "md5(CAST(\(few) AS VARCHAR))", "encode(\(text))", "CAST('' AS VARCHAR)",
            "list_transform(range(\(number(salt + 2, below: 4))), x -> 'item ' || (x + \(few)))",
            "list_transform(range(\(number(salt + 2, below: 3))), x -> CASE WHEN x + \(few) % 3 = 1 THEN NULL ELSE x + \(few) END)",
            "list_transform(range(\(number(salt + 2, below: 3))), x -> list_transform(range(x), y -> y * \(few)))",
            "MAP {'key ' || \(small): CASE WHEN \(few) % 3 > 0 THEN \(text) END}",
            "{'one': \(few), 'two': CASE WHEN \(few) % 2 = 0 THEN \(text) END}",
            "MAP {'a': list_transform(range(\(number(salt + 2, below: 3))), x -> x)}",
        ]
    }

    /// Writes a file of random columns.
    func write(
        _ name: String, rows: Int, columns: Int = 6, _ generator: inout Generator,
        options: String = "COMPRESSION zstd, WRITE_BLOOM_FILTER false"
    ) throws -> String {
        let path = folder.file(name)
        let list = (0..<columns).map { column in
            let salt = Int.random(in: 0..<1_000_000, using: &generator)
            let all = Self.expressions(salt, &generator)
            let value = all.randomElement(using: &generator) ?? "i"
            let nulls = [0, 0, 3, 9, 10].randomElement(using: &generator) ?? 0
            return
                "CASE WHEN \(Self.number(salt + 7, below: 10)) >= \(nulls) THEN \(value) END AS c\(column)"
        }
        try engine.execute(
            """
            COPY (SELECT i AS id, \(list.joined(separator: ", ")) FROM range(\(rows)) AS r(i))
            TO \(EngineText.literal(path)) (FORMAT parquet, ROW_GROUP_SIZE \(Self.groupRows), \(options))
            """)
        return path
    }

    /// Rows to take out, in one of the ways in which they lie in files.
    func gone(_ rows: Int, _ generator: inout Generator) -> [Range<Int>] {
        var isGone = [Bool](repeating: false, count: rows)
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: isGone[.random(in: 0..<rows, using: &generator)] = true
        case 1:
            let share = Double.random(in: 0.001...0.999, using: &generator)
            for row in 0..<rows { isGone[row] = generator.chance(share) }
        case 2:
            for _ in 0..<20 {
                let start = Int.random(in: 0..<rows, using: &generator)
                for row in start..<min(rows, start + 30) { isGone[row] = true }
            }
        case 3:
            // A whole row group, and the ends of its neighbours.
            for row in min(rows, Self.groupRows - 3)..<min(rows, 2 * Self.groupRows + 5) {
                isGone[row] = true
            }
        case 4:
            for row in 0..<rows { isGone[row] = true }
            isGone[.random(in: 0..<rows, using: &generator)] = false
        default:
            for row in 0..<rows { isGone[row] = row % 2 == 0 }
        }
        if isGone.allSatisfy(\.self) { isGone[rows - 1] = false }
        var ranges: [Range<Int>] = []
        for (row, gone) in isGone.enumerated() where gone {
            if let last = ranges.last, last.upperBound == row {
                ranges[ranges.count - 1] = last.lowerBound..<row + 1
            } else {
                ranges.append(row..<row + 1)
            }
        }
        return ranges
    }

    /// Every row with all values, in the order of the file.
    func rows(_ path: String) throws -> [String] {
        try engine.query(
            "SELECT CAST(r AS VARCHAR) FROM read_parquet(\(EngineText.literal(path))) AS r"
        ).rows().map { $0[0] ?? "" }
    }

    func describe(_ path: String, _ function: String, _ columns: String) throws -> [[String?]] {
        try engine.query(
            "SELECT \(columns) FROM \(function)(\(EngineText.literal(path)))"
        ).rows()
    }

    /// Writes a file without some of its rows, verifies it, and gives its path.
    func rewrite(_ path: String, without gone: [Range<Int>], to name: String) throws -> String {
        let new = folder.file(name)
        let rewrite = try ParquetRewrite(of: path, tools)
        let written = try rewrite.write(without: gone, to: new)
        try rewrite.verify(written, at: new)
        return new
    }
}

private func without<Element>(_ elements: [Element], _ gone: [Range<Int>]) -> [Element] {
    let places = Set(gone.joined())
    return elements.enumerated().filter { !places.contains($0.offset) }.map(\.element)
}

private func code(_ body: () throws -> Void) -> ParquetError.Code? {
    do {
        try body()
        return nil
    } catch { return (error as? ParquetError)?.code }
}

@Suite struct `Pages without some of their rows` {
    private let files: RandomFiles
    init() throws { files = try RandomFiles() }

    @Test(arguments: [
        "COMPRESSION zstd", "COMPRESSION uncompressed", "COMPRESSION zstd, DICTIONARY_SIZE_LIMIT 1",
    ])
    func `any rows of files of any columns go, and all others are as they were`(_ packing: String)
        throws
    {
        var generator = Generator()
        for round in 0..<8 {
            let rows = [1, 7, 2048, 2049, 5000].randomElement(using: &generator) ?? 7
            let path = try files.write(
                "old\(round).parquet", rows: rows, &generator,
                options: packing + ", WRITE_BLOOM_FILTER false")
            let gone = files.gone(rows, &generator)
            guard !gone.isEmpty else { continue }
            let new = try files.rewrite(path, without: gone, to: "new\(round).parquet")
            #expect(
                try files.rows(new) == without(files.rows(path), gone), "seed \(generator.seed)")
            #expect(
                try files.describe(new, "parquet_schema", "* EXCLUDE file_name")
                    == files.describe(path, "parquet_schema", "* EXCLUDE file_name"))
            guard rows <= RandomFiles.groupRows else { continue }
            // Least, greatest and nulls of the one row group are those that the engine finds when it writes the same rows, where they are
            // told at all.
            let again = files.folder.file("again\(round).parquet")
            try files.engine.execute(
                """
                COPY (FROM read_parquet('\(new)')) TO '\(again)'
                (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 200000, WRITE_BLOOM_FILTER false)
                """)
            func statistics(_ path: String) throws -> [[String?]] {
                // Zeros are equal.
                try files.describe(
                    path, "parquet_metadata",
                    """
                    path_in_schema, num_values, stats_null_count,
                    CASE WHEN stats_min_value = '-0.0' THEN '0.0' ELSE stats_min_value END,
                    CASE WHEN stats_max_value = '-0.0' THEN '0.0' ELSE stats_max_value END
                    """)
            }
            for (found, expected) in zip(try statistics(new), try statistics(again)) {
                let told = zip(found, expected).map { $0 == nil ? nil : $1 }
                #expect(found == told, "seed \(generator.seed)")
                #expect(found[..<3] == expected[..<3], "seed \(generator.seed)")
            }
        }
    }

    @Test func `rows can be taken out again and again`() throws {
        var generator = Generator()
        var path = try files.write("0.parquet", rows: 6000, columns: 8, &generator)
        var expected = try files.rows(path)
        for round in 1...4 {
            var gone: [Range<Int>] = []
            for row in expected.indices where generator.chance(0.3) {
                if gone.last?.upperBound == row, let last = gone.popLast() {
                    gone.append(last.lowerBound..<row + 1)
                } else {
                    gone.append(row..<row + 1)
                }
            }
            path = try files.rewrite(path, without: gone, to: "\(round).parquet")
            expected = without(expected, gone)
            #expect(try files.rows(path) == expected, "seed \(generator.seed)")
        }
    }

    @Test(.enabled(if: ArrowReader.isInstalled, "pyarrow is not installed"))
    func `files of many pages, of dictionaries that were given up, and by pyarrow read as before`()
        throws
    {
        var generator = Generator()
        let folder = files.folder.path
        let script = """
            import sys, random, pyarrow as pa, pyarrow.parquet as pq
            folder, seed, step = sys.argv[1], int(sys.argv[2]), sys.argv[3]
            names = [f"{folder}/arrow{n}.parquet" for n in range(4)]
            if step == "write":
                random.seed(seed)
                for n, name in enumerate(names):
                    rows = random.choice([300, 3000, 9000])
                    maybe = lambda value: None if n % 2 and random.random() < 0.3 else value
                    text = lambda many: "value %d" % random.randrange(many)
                    table = pa.table({
                        "few": pa.array([maybe(text(5)) for _ in range(rows)]),
                        "many": pa.array([maybe(text(10 ** 9)) for _ in range(rows)]),
                        "number": pa.array([maybe(random.randrange(-9, 9)) for _ in range(rows)], pa.int64()),
                        "real": pa.array([maybe(random.random()) for _ in range(rows)], pa.float32()),
                        "flag": pa.array([maybe(random.random() < 0.1) for _ in range(rows)]),
                        "items": pa.array([maybe([maybe(text(50)) for _ in range(random.randrange(4))])
                                           for _ in range(rows)], pa.list_(pa.string())),
                        "params": pa.array([maybe([("k%d" % k, maybe(text(9))) for k in range(random.randrange(3))])
                                            for _ in range(rows)], pa.map_(pa.string(), pa.string())),
                    })
                    pq.write_table(table, name, compression=["zstd", "none"][n // 2], row_group_size=2500,
                                   data_page_size=2000, dictionary_pagesize_limit=3000, store_schema=False,
                                   write_batch_size=100, write_page_checksum=n == 1)
                    print(rows)
            else:
                for name, line in zip(names, sys.stdin):
                    gone = set(int(n) for n in line.split())
                    old, new = pq.read_table(name).to_pylist(), pq.read_table(name + ".new", page_checksum_verification=True).to_pylist()
                    assert new == [row for n, row in enumerate(old) if n not in gone], name
                    assert pq.read_schema(name) == pq.read_schema(name + ".new")
            """
        let made = try Tool.run(
            ArrowReader.python, ["-c", script, folder, "\(generator.seed >> 1)", "write"])
        #expect(made.exitCode == 0, "\(made.output)")
        var lines = ""
        for (number, line) in made.output.split(separator: "\n").enumerated() {
            let rows = try #require(Int(line), "\(line)")
            let gone = files.gone(rows, &generator)
            let path = files.folder.file("arrow\(number).parquet")
            // Some pages of a column go by its dictionary, others have their values in them.
            let chunks = try ParquetFooter.chunks(path)
            #expect(
                chunks.contains {
                    $0.dictionary != nil && Set($0.pages.map(\.isPlain)).count == 2 || rows == 300
                })
            #expect(chunks.contains { $0.pages.count > 2 || rows == 300 })
            _ = try files.rewrite(path, without: gone, to: "arrow\(number).parquet.new")
            lines += gone.joined().map(String.init).joined(separator: " ") + "\n"
        }
        let read = try Tool.run(
            ArrowReader.python, ["-c", script, folder, "0", "read"], input: lines)
        #expect(read.exitCode == 0, "seed \(generator.seed): \(read.output)")
    }

    @Test func `no value of a row that went is left in the file`() throws {
        // Neither packed nor hashed, so that a search of the bytes finds all there is.
        let path = files.folder.file("old.parquet")
        try files.engine.execute(
            """
            COPY (SELECT 'few ' || (i % 5) AS few, CASE WHEN i IN (3000, 3001) THEN 'planted-dictionary' ELSE 'k' || (i % 9) END AS known,
                         CASE WHEN i = 3000 THEN 'planted-plain' ELSE 'person ' || i END AS person,
                         CASE WHEN i = 3000 THEN ['a', 'planted-list'] ELSE ['a'] END AS items,
                         CASE WHEN i = 3000 THEN MAP {'planted-key': 'planted-value'} ELSE MAP {'k': 'v'} END AS params,
                         CASE WHEN i = 3000 THEN 'zz-planted-greatest' ELSE 'm' || i END AS last,
                         CASE WHEN i = 3000 THEN 'a-planted-least' ELSE 'm' || (i % 3) END AS first
                  FROM range(9000) AS r(i))
            TO '\(path)' (FORMAT parquet, COMPRESSION uncompressed, ROW_GROUP_SIZE \(RandomFiles.groupRows), WRITE_BLOOM_FILTER true)
            """)
        func places(_ path: String) throws -> Int {
            String(decoding: try File.read(path), as: UTF8.self).components(separatedBy: "planted")
                .count - 1
        }
        #expect(try places(path) > 8)
        let new = try files.rewrite(path, without: [3000..<3002], to: "new.parquet")
        #expect(try places(new) == 0)
        let old = try files.rows(path)
        #expect(try files.rows(new) == without(old, [3000..<3002]))
        // Filters of the row groups that were copied are there, those of the other are not: nothing can be found by them.
        let filters = try files.describe(
            new, "parquet_metadata",
            "DISTINCT row_group_id, count(bloom_filter_offset) OVER (PARTITION BY row_group_id) > 0"
        )
        #expect(
            filters.sorted { ($0[0] ?? "") < ($1[0] ?? "") }.map { $0[1] } == [
                "true", "false", "true", "true", "true",
            ])
        #expect(
            try files.engine.query("SELECT count(*) FROM read_parquet('\(new)') WHERE known = 'k3'")
                .rows()
                == files.engine.query(
                    "SELECT count(*) FROM read_parquet('\(path)') WHERE known = 'k3'"
                ).rows())
    }

    @Test func `row groups that lose nothing keep their bytes, and one that loses all is left out`()
        throws
    {
        var generator = Generator()
        let path = try files.write("old.parquet", rows: 7000, &generator)
        let gone = [100..<101, 2048..<4096]
        let new = try files.rewrite(path, without: gone, to: "new.parquet")
        func groups(_ path: String) throws -> [[UInt8]] {
            let bytes = try File.read(path)
            return try ParquetSource(path).footer().groups().map { Array(bytes[$0.data]) }
        }
        let (old, after) = (try groups(path), try groups(new))
        #expect(old.count == 4 && after.count == 3)
        #expect(after[0] != old[0] && after[1] == old[2] && after[2] == old[3])
    }

    @Test func `a byte that is not as it was to be, anywhere in the new file, is seen`() throws {
        var generator = Generator()
        let path = try files.write("old.parquet", rows: 5000, &generator)
        let rewrite = try ParquetRewrite(of: path, files.tools)
        let new = files.folder.file("new.parquet")
        let written = try rewrite.write(without: [10..<30, 4500..<4501], to: new)
        let good = try File.read(new)
        for place in [0, 4, good.count - 1]
            + (0..<60).map({ _ in .random(in: 0..<good.count, using: &generator) })
        {
            var bytes = good
            bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            try File.write(new, bytes, sync: false)
            #expect(throws: (any Error).self, "byte \(place), seed \(generator.seed)") {
                try rewrite.verify(written, at: new)
            }
        }
        try File.write(new, good, sync: false)
        try rewrite.verify(written, at: new)
        // Another file's pages, sound as they are, hold something else.
        let other = files.folder.file("other.parquet")
        let another = try rewrite.write(without: [10..<30, 4501..<4502], to: other)
        #expect(throws: ParquetError.self) { try rewrite.verify(written, at: other) }
        try rewrite.verify(another, at: other)
    }

    @Test(arguments: [
        "COMPRESSION snappy", "COMPRESSION zstd, PARQUET_VERSION V2",
        "COMPRESSION zstd, KV_METADATA {note: 'x'}",
        "COMPRESSION gzip",
    ])
    func `what is not understood is refused before anything is written`(_ options: String) throws {
        let path = files.folder.file("old.parquet")
        try files.engine.execute(
            """
            COPY (SELECT i, 'person ' || i AS person, CAST(i AS DOUBLE) / 3 AS real FROM range(3000) AS r(i))
            TO '\(path)' (FORMAT parquet, ROW_GROUP_SIZE 2048, \(options))
            """)
        let new = files.folder.file("new.parquet")
        #expect(
            code {
                _ = try ParquetRewrite(of: path, files.tools).write(without: [7..<8], to: new)
            } == .unfit)
        #expect(try !File.exists(new))
    }

    @Test func `pages that were changed are read as something or refused`() throws {
        var generator = Generator()
        for packing in ["uncompressed", "zstd"] {
            let path = try files.write(
                "old.parquet", rows: 300, columns: 10, &generator,
                options: "COMPRESSION \(packing), WRITE_BLOOM_FILTER false")
            let good = try File.read(path)
            let footer = try ParquetSource(path).footer()
            let damaged = files.folder.file("damaged.parquet")
            let new = files.folder.file("new.parquet")
            for _ in 0..<150 {
                var bytes = good
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    bytes[.random(in: 4..<footer.offset, using: &generator)] = .random(
                        in: .min ... .max, using: &generator)
                }
                try File.write(damaged, bytes, sync: false)
                do {
                    let rewrite = try ParquetRewrite(of: damaged, files.tools)
                    // What can be written anew is what the other reader reads too.
                    try rewrite.verify(
                        rewrite.write(without: [5..<9, 200..<250], to: new), at: new)
                } catch { #expect(error is ParquetError, "seed \(generator.seed)") }
                _ = try? File.remove(new)
            }
            // What is left behind is searched, which takes files that can be read.
            _ = try? File.remove(damaged)
        }
    }
}

extension ParquetFooter {
    /// All column chunks of a file.
    fileprivate static func chunks(_ path: String) throws -> [ParquetChunk] {
        let source = try ParquetSource(path)
        let footer = try source.footer()
        let leaves = try footer.leaves()
        return try footer.groups().flatMap { group in
            try zip(try group.chunks(of: leaves), leaves).map {
                try ParquetChunk(try source.bytes($0.data), $0, $1)
            }
        }
    }
}

@Suite struct `Runs of levels and places` {
    @Test func `what was written as runs is read as it was, at every width`() throws {
        var generator = Generator()
        for width in 1...32 {
            for _ in 0..<6 {
                var values: [UInt32] = []
                while values.count < 300 {
                    let value = UInt32(truncatingIfNeeded: generator.next() >> UInt64(64 - width))
                    let times =
                        generator.chance(0.3) ? Int.random(in: 1...70, using: &generator) : 1
                    values += [UInt32](repeating: value, count: times)
                }
                var bytes: [UInt8] = [0xFF]
                HybridRuns.append(values.span, width: width, to: &bytes)
                let range = 1..<bytes.count
                bytes += [UInt8](repeating: 0xFF, count: HybridRuns.paddingBytes)
                var read: [UInt32] = []
                let same = try HybridRuns.read(
                    bytes.span, range, width: width, count: values.count, into: &read)
                #expect(same == nil && read == values, "width \(width), seed \(generator.seed)")
            }
        }
    }

    @Test func `runs that end early are refused`() throws {
        var bytes: [UInt8] = []
        let values: [UInt32] = [1, 2, 3, 4, 5, 6, 7, 0, 1]
        HybridRuns.append(values.span, width: 3, to: &bytes)
        for count in 0..<bytes.count {
            var read: [UInt32] = []
            let padded = Array(
                bytes[..<count] + [UInt8](repeating: 0, count: HybridRuns.paddingBytes))
            #expect(throws: ParquetError.self) {
                try HybridRuns.read(padded.span, 0..<count, width: 3, count: 9, into: &read)
            }
        }
    }
}
