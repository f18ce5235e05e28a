import CordonCatalog
import CordonJournal
import CordonLake
import CordonModel
import Engine
import Foundation
import TestSupport
import Testing

extension Catalog: TableCatalog {}

/// PyIceberg and DuckDB's Iceberg extension, installed by `scripts/setup --tests`; `scripts/test` sees to it.
enum OtherReaders {
    static let python = ShippedProject.root + "/.deps/venv/bin/python"
    static let extensions = ShippedProject.root + "/.deps/duckdb-extensions"
    static var areInstalled: Bool { FileManager.default.isExecutableFile(atPath: python) }
    /// Sail and the driver that asks it over Arrow Flight SQL.
    static var haveSail: Bool {
        let packages = ShippedProject.root + "/.deps/venv/lib/python3.11/site-packages/"
        return ["pysail", "adbc_driver_flightsql"].allSatisfy {
            FileManager.default.fileExists(atPath: packages + $0)
        }
    }

    /// Prints, for each reader and filter, the rows in one form: an object of sorted lines.
    static let script = """
        import json, sys, tempfile
        import duckdb
        from pyiceberg.table import StaticTable

        location, extensions, filters = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

        def line(row):
            row = dict(row)
            row["hit_id"] = str(row["hit_id"])
            ts = row["ts"]
            row["ts"] = ts if isinstance(ts, int) else round(ts.timestamp() * 1000000)
            row["retain_until"] = str(row["retain_until"])
            row["params"] = sorted(dict(row["params"] or {}).items())
            return json.dumps(row, sort_keys=True, ensure_ascii=False)

        found = {}
        table = StaticTable.from_metadata(location)
        names = [field.name for field in table.schema().fields]
        connection = duckdb.connect(config={"extension_directory": tempfile.mkdtemp()})
        for name in ["avro", "httpfs", "iceberg"]:
            connection.execute(f"INSTALL '{extensions}/{name}.duckdb_extension'")
            connection.execute(f"LOAD {name}")
        columns = ", ".join("epoch_us(ts) AS ts" if n == "ts" else f'"{n}"' for n in names)
        for filter in filters:
            scan = table.scan(row_filter=filter["pyiceberg"]) if filter["pyiceberg"] else table.scan()
            rows = [line(row) for row in scan.to_arrow().to_pylist()]
            found["pyiceberg " + filter["name"]] = sorted(rows)
            result = connection.execute(
                f"SELECT {columns} FROM iceberg_scan('{location}') WHERE {filter['sql']}")
            keys = [item[0] for item in result.description]
            found["iceberg_scan " + filter["name"]] = sorted(line(zip(keys, row)) for row in result.fetchall())
            files = json.loads(sys.argv[4])
            result = connection.execute(
                f"SELECT {columns} FROM read_parquet({files}, hive_partitioning = false) WHERE {filter['sql']}")
            found["parquet " + filter["name"]] = sorted(line(zip(keys, row)) for row in result.fetchall())
        print(json.dumps(found))
        """

    static func read(
        _ location: String, files: [String], filters: [[String: String]]
    ) throws -> [String: [String]] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [
            "-c", script, location, extensions, try json(filters), try json(files),
        ]
        let output = Pipe()
        let problems = Pipe()
        process.standardOutput = output
        process.standardError = problems
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        let text = String(
            decoding: problems.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "the other readers failed: \(text)")
        return try JSONDecoder().decode([String: [String]].self, from: data)
    }

    private static func json(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }
}

@Suite(.enabled(if: OtherReaders.areInstalled, "run scripts/setup --tests"))
struct `The lake in other readers' eyes` {
    let directory: TemporaryDirectory
    let journal: Journal
    let table: HitsTable

    init() throws {
        directory = try TemporaryDirectory()
        journal = try Journal(path: directory.file("journal.sqlite"))
        var settings = HitsTable.Settings(
            directory: directory.file("lake/pixels/hits"), lockPath: directory.file("lake.lock"),
            scratchDirectory: directory.file("scratch"))
        settings.manifestsMax = 2
        settings.compactFiles = 2
        settings.manifestsToMerge = 2
        settings.rowGroupRows = 2048
        table = HitsTable(
            settings, catalog: try Catalog(path: directory.file("catalog.sqlite")),
            clock: FixedClock(time: Timestamp(microseconds: 1_790_000_000_000_000)), audit: { _ in }
        )
    }

    private func deliver(_ count: Int, _ generator: inout Generator) throws {
        try deliver((0..<count).map { _ in Self.record(&generator) })
    }

    private func deliver(_ records: [HitRecord]) throws {
        let count = records.count
        let batch = HitBatch(ruleSet: "rules", geoBuild: "geo", records: records)
        _ = try journal.append(batch.encoded, hits: count, expecting: 0)
        _ = try table.deliver(from: journal)
    }

    @Test func `PyIceberg, iceberg_scan and the plain files give the same rows, filtered or not`()
        throws
    {
        var generator = Generator()
        for _ in 0..<5 { try deliver(200, &generator) }
        let person = Self.person(3)
        try table.write { writer in
            let report = try writer.rewrite(removing: SubjectFilter(users: [person]))
            #expect(report.rowsRemoved > 0)
            try writer.expireAllButCurrent()
        }
        #expect(try table.compact(suppressed: { SubjectFilter() }).commits > 0)
        try deliver(50, &generator)
        #expect(try table.write { try $0.mergeManifests() } > 0)
        let snapshot = try table.snapshot()
        let day = Self.day.text
        let found = try OtherReaders.read(
            try #require(snapshot.metadataLocation), files: snapshot.files.map(\.path),
            filters: [
                ["name": "all", "sql": "true", "pyiceberg": ""],
                [
                    "name": "site", "sql": "site = 'shop-1.a-long-name.example'",
                    "pyiceberg": "site == 'shop-1.a-long-name.example'",
                ],
                ["name": "country", "sql": "country = 'DE'", "pyiceberg": "country == 'DE'"],
                [
                    "name": "day", "sql": "ts < TIMESTAMPTZ '\(day) 12:00:00+00'",
                    "pyiceberg": "ts < '\(day)T12:00:00+00:00'",
                ],
                [
                    "name": "retention", "sql": "retain_until = DATE '2027-01-02'",
                    "pyiceberg": "retain_until == '2027-01-02'",
                ],
                [
                    "name": "person", "sql": "visitor = '\(Self.person(4).text)'",
                    "pyiceberg": "visitor == '\(Self.person(4).text)'",
                ],
                ["name": "nobody", "sql": "page_path IS NULL", "pyiceberg": "page_path is null"],
            ])
        #expect(found["parquet all"]?.count == Int(snapshot.records))
        for (name, rows) in found where name.hasPrefix("parquet ") {
            let filter = name.dropFirst("parquet ".count)
            #expect(!rows.isEmpty, "\(filter), seed \(generator.seed)")
            #expect(found["pyiceberg \(filter)"] == rows, "\(filter), seed \(generator.seed)")
            #expect(found["iceberg_scan \(filter)"] == rows, "\(filter), seed \(generator.seed)")
        }
    }

    @Test func `a file with copied and rewritten row groups reads as before, but for who went`()
        throws
    {
        var generator = Generator()
        try deliver(
            (0..<5000).map { number in
                var record = Self.record(&generator)
                record.timestamp = Timestamp(
                    microseconds: Self.day.start.microseconds + Int64(number))
                record.retainUntil = Day(year: 2027, month: 1, day: 1)
                return record
            })
        let visitor = try #require((0..<9).map(Self.person).min { $0.text < $1.text })
        let rest = "visitor IS DISTINCT FROM '\(visitor.text)'"
        func rows(where condition: String = "true") throws -> [String: [String]] {
            let snapshot = try table.snapshot()
            return try OtherReaders.read(
                try #require(snapshot.metadataLocation), files: snapshot.files.map(\.path),
                filters: [["name": "all", "sql": condition, "pyiceberg": ""]])
        }
        let before = try #require(try rows(where: rest)["parquet all"])
        try table.write { writer in
            let report = try writer.rewrite(removing: SubjectFilter(visitors: [visitor]))
            #expect(report.rowsRemoved > 0 && report.filesAfter.count == 1)
            try writer.expireAllButCurrent()
        }
        let after = try rows()
        for reader in ["parquet", "pyiceberg", "iceberg_scan"] {
            #expect(after["\(reader) all"] == before, "\(reader), seed \(generator.seed)")
        }
    }

    private static let day = Day(number: 20_700)

    private static func person(_ number: Int) -> Pseudonym {
        Pseudonym(value: UInt128(number + 1) &* 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
    }

    private static func record(_ generator: inout Generator) -> HitRecord {
        func number(_ count: Int) -> Int { .random(in: 0..<count, using: &generator) }
        var record = HitRecord()
        record.hitID = .random(in: .min ... .max, using: &generator)
        record.timestamp = Timestamp(
            microseconds: (day + number(3)).start.microseconds
                + .random(in: 0..<Timestamp.microsecondsPerDay, using: &generator))
        record.site = "shop-\(number(3)).a-long-name.example"
        record.event = ["view", "purchase"][number(2)]
        record.pageHost = record.site
        record.pagePath = generator.chance(0.8) ? "/päge/\(number(40))" : nil
        record.visitor = generator.chance(0.8) ? person(number(9)) : nil
        record.user = generator.chance(0.4) ? person(number(9)) : nil
        record.keyEpoch = record.visitor == nil ? nil : Day(record.timestamp)
        record.ipPrefix = generator.chance(0.5) ? "203.0.113.0/24" : nil
        record.country = generator.chance(0.9) ? ["DE", "FR", "IN", "US"][number(4)] : nil
        record.browser = "Firefox"
        record.consent = ConsentState.allCases[number(4)]
        record.purposes = generator.chance(0.5) ? ["advertising", "measurement"] : []
        record.signals = generator.chance(0.5) ? ["gpc"] : []
        record.isBot = generator.chance(0.1)
        record.policy = ["gdpr", "world"][number(2)]
        record.sampleRate = generator.chance(0.5) ? 1 : 0.25
        record.retainUntil = Day(year: 2027, month: 1, day: 1 + number(3))
        record.parameters = (0..<number(3)).map { .init(key: "k\($0)", value: "v\(number(9))") }
        return record
    }
}
