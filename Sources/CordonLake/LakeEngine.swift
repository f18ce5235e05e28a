import CordonModel
import Engine
import Iceberg
import LinuxIO

/// The embedded engine as the lake uses it: takes hits in, writes and rewrites Parquet files, looks into them.
final class LakeEngine {
    let connection: EngineConnection
    private let scratchDirectory: String
    private let threads: Int
    private let megabytesMax: Int
    private let rewriteMegabytesMax: Int
    /// How every data file is written.
    let copyOptions: String

    init(_ settings: HitsTable.Settings) throws {
        scratchDirectory = settings.scratchDirectory
        threads = settings.engineThreads
        megabytesMax = settings.engineMegabytesMax
        rewriteMegabytesMax = min(settings.rewriteMegabytesMax, megabytesMax)
        copyOptions = """
            FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE \(settings.rowGroupRows), \
            WRITE_BLOOM_FILTER false, USE_TMP_FILE false, FIELD_IDS \(HitsSchema.fieldIDs)
            """
        try Self.clearScratch(scratchDirectory)
        connection = try EngineConnection(settings: [
            ("memory_limit", "\(settings.engineMegabytesMax)MB"),
            ("threads", "\(threads)"),
            ("temp_directory", scratchDirectory),
            ("autoinstall_known_extensions", "false"),
            ("autoload_known_extensions", "false"),
        ])
    }

    deinit {
        // Best effort: what is left is removed by the next writer before it starts.
        try? Self.clearScratch(scratchDirectory)
    }

    /// Calls `body`, which writes files without rows that go, while the engine works on the calling thread alone and in less memory.
    ///
    /// Writing a file has one row group at a time to do, and with a thread of the engine's at it the calling thread does not sleep: it
    /// asks again and again whether that is done, and takes a second core for nothing.
    func whileRewriting<Result>(_ body: () throws -> Result) throws -> Result {
        try connection.execute(
            "SET threads = 1; SET memory_limit = '\(rewriteMegabytesMax)MB'")
        // Should this fail, the engine goes on with less: slower, and not otherwise.
        defer {
            try? connection.execute(
                "SET threads = \(threads); SET memory_limit = '\(megabytesMax)MB'")
        }
        return try body()
    }

    /// Removes what an engine has left in the scratch folder; only for who holds the lake lock.
    static func clearScratch(_ directory: String) throws {
        guard try File.exists(directory) else { return }
        for name in try Directory.list(directory) { try File.remove(directory + "/" + name) }
        try Directory.removeEmpty(directory)
    }
}

extension LakeEngine {
    /// Name of the table that hits are gathered in; it has one column more than the lake: the day.
    private static let gathered = "gathered"

    /// Makes an empty table for hits.
    func startGathering() throws {
        let columns = HitsSchema.columns.map { "\"\($0.name)\" \($0.engineType)" }
        try connection.execute(
            "CREATE OR REPLACE TABLE \(Self.gathered) (\(columns.joined(separator: ", ")), day INTEGER)"
        )
    }

    func gather(_ rows: HitRows) throws {
        guard rows.count > 0 else { return }
        var rows = rows
        try connection.ingest(try rows.finished(), into: Self.gathered)
    }

    /// The partitions that the gathered hits fall into.
    func gatheredPartitions() throws -> [Partition] {
        let rows = try connection.query(
            """
            SELECT day, CAST("retain_until" - DATE '1970-01-01' AS INTEGER), count(*)
            FROM \(Self.gathered) GROUP BY ALL ORDER BY ALL
            """
        ).rows()
        return try rows.map { row in
            guard let day = row[0].flatMap({ Int32($0) }), let due = row[1].flatMap({ Int32($0) }),
                let count = row[2].flatMap({ Int64($0) })
            else {
                throw LakeError(.unfitDataFile, "a gathered hit has no day or no end of retention")
            }
            return Partition(day: Day(number: day), retainUntil: Day(number: due), rows: count)
        }
    }

    struct Partition: Equatable {
        let day: Day
        let retainUntil: Day
        let rows: Int64
    }

    /// Writes one partition of the gathered hits, sorted, as a new file.
    func writeGathered(_ partition: Partition, to path: String) throws {
        try connection.execute(
            """
            COPY (SELECT \(HitsSchema.columnList) FROM \(Self.gathered)
                  WHERE day = \(partition.day.number)
                    AND "retain_until" = DATE '\(partition.retainUntil.text)'
                  ORDER BY \(HitsSchema.orderList))
            TO \(EngineText.literal(path)) (\(copyOptions))
            """)
    }

    func endGathering() throws { try connection.execute("DROP TABLE \(Self.gathered)") }

    /// Makes the tables that the condition of a large filter names; a small one needs none.
    func prepare(_ filter: SubjectFilter) throws {
        guard filter.count > SubjectFilter.literalsMax else { return }
        for (column, pseudonyms) in filter.columns {
            let table = SubjectFilter.tableName(column)
            try connection.execute("CREATE OR REPLACE TEMP TABLE \(table) (pseudonym VARCHAR)")
            let texts = pseudonyms.map { "('\($0.text)')" }
            for start in stride(from: 0, to: texts.count, by: Self.insertedMax) {
                let piece = texts[start..<min(texts.count, start + Self.insertedMax)]
                try connection.execute(
                    "INSERT INTO \(table) VALUES \(piece.joined(separator: ","))")
            }
        }
    }

    /// Rows of one `INSERT`, and files of one scan: bounds the length of a statement.
    private static let insertedMax = 1000
    private static let scannedFilesMax = 256

    /// Writes the rows of files of one partition as one file, in the table's order.
    ///
    /// - Parameter due: values that the new file does not get.
    func merge(_ paths: [String], without due: [FieldAges.Due] = [], to newPath: String) throws {
        let columns = HitsSchema.columns.map { column in
            let name = "\"\(column.name)\""
            guard let due = due.first(where: { $0.column == column.name }) else { return name }
            return "CASE WHEN \(due.condition) THEN NULL ELSE \(name) END AS \(name)"
        }
        try connection.execute(
            """
            COPY (SELECT \(HitsSchema.columnList)
                  FROM (SELECT \(columns.joined(separator: ", ")) FROM \(Self.source(paths)))
                  ORDER BY \(HitsSchema.orderList))
            TO \(EngineText.literal(newPath)) (\(copyOptions))
            """)
    }

    /// The files as one relation.
    ///
    /// - Parameters:
    ///   - namingFiles: whether it has a column `filename`.
    ///   - numberingRows: whether it has a column `file_row_number`.
    static func source(
        _ paths: some Sequence<String>, namingFiles: Bool = false, numberingRows: Bool = false
    ) -> String {
        let list = paths.map(EngineText.path).joined(separator: ", ")
        let name = namingFiles ? ", filename = true" : ""
        let number = numberingRows ? ", file_row_number = true" : ""
        return
            "read_parquet([\(list)], hive_partitioning = false\(name)\(number), schema = \(HitsSchema.readSchema))"
    }

    /// What the rows of files are, whatever their order and their files: their number and two sums over a hash of each
    /// row with all its columns.
    struct RowsDigest: Equatable {
        let rows: String
        let sum: String
        let xor: String
    }

    /// - Parameter columns: those that count; nil for all.
    func digest(of paths: [String], columns: [String]? = nil) throws -> RowsDigest {
        try digest(in: Self.source(paths), columns: columns)
    }

    /// - Parameter relation: rows as SQL has them behind `FROM`.
    func digest(in relation: String, columns: [String]? = nil) throws -> RowsDigest {
        let list = columns.map { $0.map { "\"\($0)\"" }.joined(separator: ", ") }
        let hash = "hash(\(list ?? HitsSchema.columnList))"
        let rows = try connection.query(
            """
            SELECT count(*), CAST(sum(CAST(\(hash) AS HUGEINT)) AS VARCHAR),
                   CAST(bit_xor(\(hash)) AS VARCHAR)
            FROM \(relation)
            """
        ).rows()
        guard let row = rows.first, row.count == 3, let count = row[0] else {
            throw LakeError(.unfitDataFile, "the rows of a data file cannot be summed")
        }
        return RowsDigest(rows: count, sum: row[1] ?? "", xor: row[2] ?? "")
    }

    /// How many values that are due the files hold, by field; fields without any are left out.
    func dueValues(_ due: [FieldAges.Due], in paths: [String]) throws -> [String: Int64] {
        let counts = due.map {
            "count(*) FILTER (WHERE \"\($0.column)\" IS NOT NULL AND \($0.condition))"
        }
        let rows = try connection.query(
            "SELECT \(counts.joined(separator: ", ")) FROM \(Self.source(paths))"
        ).rows()
        var values: [String: Int64] = [:]
        for (item, text) in zip(due, rows.first ?? []) {
            let count = text.flatMap { Int64($0) } ?? 0
            if count > 0 { values[item.field, default: 0] += count }
        }
        return values
    }

    /// Counts the rows of each file that `filter` matches; files without any are left out.
    func count(_ filter: SubjectFilter, in paths: [String]) throws -> [String: Int64] {
        try prepare(filter)
        return try count(where: filter.condition, in: paths)
    }

    /// Counts the rows of each file that meet `condition`; files without any are left out.
    func count(where condition: String, in paths: [String]) throws -> [String: Int64] {
        var counts: [String: Int64] = [:]
        for start in stride(from: 0, to: paths.count, by: Self.scannedFilesMax) {
            let files = paths[start..<min(paths.count, start + Self.scannedFilesMax)]
            let rows = try connection.query(
                """
                SELECT filename, count(*)
                FROM \(Self.source(files, namingFiles: true))
                WHERE \(condition) GROUP BY filename
                """
            ).rows()
            for row in rows {
                guard let path = row[0], let count = row[1].flatMap({ Int64($0) }) else { continue }
                counts[path] = count
            }
        }
        return counts
    }

    /// Gives the user and the visitor of each row of a file, as the bytes of their texts; nil where there is none.
    func forEachPair(in path: String, _ body: (_ user: [UInt8]?, _ visitor: [UInt8]?) -> Void)
        throws
    {
        let rows = try connection.query(
            "SELECT \"user\", \"visitor\" FROM read_parquet(\(EngineText.path(path)), hive_partitioning = false)"
        )
        while let batch = try rows.next() {
            func bytes(_ column: Int, _ row: Int) -> [UInt8]? {
                let column = batch.columns[column]
                return column.isNull(at: row) ? nil : column.bytes(at: row)
            }
            for row in 0..<batch.rowCount { body(bytes(0, row), bytes(1, row)) }
        }
    }

    /// Gives each value of a text column of a file once, as the bytes of its text.
    func forEachValue(
        of column: String, in path: String, where condition: String = "true",
        _ body: ([UInt8]) -> Void
    ) throws {
        let rows = try connection.query(
            """
            SELECT DISTINCT "\(column)" FROM read_parquet(\(EngineText.path(path)))
            WHERE "\(column)" IS NOT NULL AND (\(condition))
            """)
        while let batch = try rows.next() {
            for index in 0..<batch.rowCount {
                body(batch.columns[0].bytes(at: index))
            }
        }
    }

    /// Rows of files by policy, under the names that the audit log has for them.
    func rowsByPolicy(in paths: [String], where condition: String = "true") throws -> [String: Int]
    {
        try Self.rowsByPolicy(countByPolicy(where: condition, in: paths))
    }

    /// The same of rows that were counted in each file.
    static func rowsByPolicy(_ counts: [String: [String: Int64]]) -> [String: Int] {
        var sums: [String: Int] = [:]
        for (policy, rows) in counts.values.joined() {
            sums[LakeEvent.rowsPrefix + policy, default: 0] += Int(rows)
        }
        return sums
    }

    /// Counts the rows of each file that meet `condition`, by policy; files without any are left out.
    func countByPolicy(
        where condition: String, in paths: [String]
    ) throws -> [String: [String: Int64]] {
        var counts: [String: [String: Int64]] = [:]
        for start in stride(from: 0, to: paths.count, by: Self.scannedFilesMax) {
            let files = paths[start..<min(paths.count, start + Self.scannedFilesMax)]
            let rows = try connection.query(
                """
                SELECT filename, policy, count(*)
                FROM \(Self.source(files, namingFiles: true))
                WHERE \(condition) GROUP BY filename, policy
                """
            ).rows()
            for row in rows {
                guard let path = row[0], let count = row[2].flatMap({ Int64($0) }) else { continue }
                counts[path, default: [:]][row[1] ?? "", default: 0] += count
            }
        }
        return counts
    }

    /// The rows of a file that `filter` matches, each as a JSON object; the filter was prepared.
    func rows(_ filter: SubjectFilter, in path: String) throws -> [String] {
        let query = try connection.query(
            """
            SELECT \(HitsSchema.columnList) FROM \(Self.source([path]))
            WHERE \(filter.condition) ORDER BY "ts", "hit_id"
            """)
        let names = query.fields.map { ColumnValue.quoted($0.name) }
        var rows: [String] = []
        while let batch = try query.next() {
            for row in 0..<batch.rowCount {
                let members = zip(names, batch.columns).map { "\($0):\($1.value(at: row).json)" }
                rows.append("{" + members.joined(separator: ",") + "}")
            }
        }
        return rows
    }
}

extension LakeEngine {
    static let rests = [
        Rest(.dataFiles, Set(HitsSchema.columns.map(\.name))),
        Rest(.scratch, Set(HitsSchema.columns.map(\.name))),
    ]
}
