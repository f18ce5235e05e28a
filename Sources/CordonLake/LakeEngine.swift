import CordonModel
import Engine
import Iceberg
import LinuxIO

/// The embedded engine as the lake uses it: takes hits in, writes and rewrites Parquet files, looks into them.
final class LakeEngine {
    let connection: EngineConnection
    private let scratchDirectory: String
    /// How every data file is written.
    let copyOptions: String

    init(_ settings: HitsTable.Settings) throws {
        scratchDirectory = settings.scratchDirectory
        copyOptions = """
            FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE \(settings.rowGroupRows), \
            WRITE_BLOOM_FILTER false, USE_TMP_FILE false, FIELD_IDS \(HitsSchema.fieldIDs)
            """
        try Self.clearScratch(scratchDirectory)
        connection = try EngineConnection(settings: [
            ("memory_limit", "\(settings.engineMegabytesMax)MB"),
            ("threads", "\(settings.engineThreads)"),
            ("temp_directory", scratchDirectory),
            ("autoinstall_known_extensions", "false"),
            ("autoload_known_extensions", "false"),
        ])
    }

    deinit {
        // Best effort: what is left is removed by the next writer before it starts.
        try? Self.clearScratch(scratchDirectory)
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
        var counts: [String: Int] = [:]
        for path in paths {
            let rows = try connection.query(
                """
                SELECT policy, count(*) FROM \(Self.source([path]))
                WHERE \(condition) GROUP BY policy
                """
            ).rows()
            for row in rows {
                let name = LakeEvent.rowsPrefix + (row[0] ?? "")
                counts[name, default: 0] += row[1].flatMap { Int($0) } ?? 0
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
    /// Looks into a file that was just written: that every column has its field id and its rows belong to the
    /// partition, and what the manifest says of it.
    ///
    /// - Parameter written: row numbers outside of which row groups were copied from a file that was inspected: of those the
    ///   footer tells the bounds, and nothing is decoded. Nil reads all rows.
    func inspect(
        _ path: String, day: Day, retainUntil: Day, rows expected: Int64,
        written: [Range<Int64>]? = nil
    ) throws -> DataFile {
        let file = EngineText.path(path)
        try checkFieldIDs(file)
        var made = try footer(file, path)
        try addBounds(file, day: day, retainUntil: retainUntil, written: written, to: &made)
        guard made.recordCount == expected else {
            throw LakeError(
                .unfitDataFile,
                "a data file has \(made.recordCount) rows, expected \(expected)")
        }
        return made
    }

    private func checkFieldIDs(_ file: String) throws {
        let rows = try connection.query(
            """
            SELECT name, field_id FROM parquet_schema(\(file))
            WHERE field_id IS NOT NULL OR type IS NOT NULL ORDER BY field_id
            """
        ).rows()
        let found = rows.map { "\($0[0] ?? ""):\($0[1] ?? "none")" }
        let expected = HitsSchema.columns.flatMap { column in
            [(column.name, column.id)] + column.nestedIDs.map { ($0.name, $0.id) }
        }.sorted { $0.1 < $1.1 }.map { "\($0.0):\($0.1)" }
        guard found == expected else {
            throw LakeError(
                .unfitDataFile, "a data file's columns do not carry the table's field ids")
        }
    }

    private func footer(_ file: String, _ path: String) throws -> DataFile {
        var made = DataFile(
            path: TableFiles.uri(of: path), partition: [], recordCount: 0, fileBytes: 0,
            sortOrderID: Int32(HitsSchema.sortOrder.orderID))
        let columns = try connection.query(
            """
            SELECT path_in_schema, sum(num_values), sum(total_compressed_size),
                   CASE WHEN count(*) = count(stats_null_count) THEN sum(stats_null_count) END
            FROM parquet_metadata(\(file)) GROUP BY 1
            """
        ).rows()
        for row in columns {
            guard let id = row[0].flatMap({ HitsSchema.leafIDs[$0] }) else {
                throw LakeError(.unfitDataFile, "a data file has a column that the table has not")
            }
            made.valueCounts[id] = row[1].flatMap { Int64($0) }
            made.columnBytes[id] = row[2].flatMap { Int64($0) }
            made.nullCounts[id] = row[3].flatMap { Int64($0) }
        }
        made.splitOffsets = try connection.query(
            """
            SELECT min(CASE WHEN dictionary_page_offset > 0
                            THEN least(dictionary_page_offset, data_page_offset)
                            ELSE data_page_offset END) AS start
            FROM parquet_metadata(\(file)) GROUP BY row_group_id ORDER BY start
            """
        ).rows().compactMap { $0[0].flatMap { Int64($0) } }
        guard let size = try File.metadata(path)?.size else {
            throw LakeError(.unfitDataFile, "a data file is missing after it was written")
        }
        made.fileBytes = Int64(size)
        return made
    }

    private func addBounds(
        _ file: String, day: Day, retainUntil: Day, written: [Range<Int64>]?,
        to made: inout DataFile
    ) throws {
        let columns = HitsSchema.columns.filter(\.hasBounds)
        let row = try ends(of: columns, in: file, written: written)
        guard let count = row.first.flatMap({ $0.flatMap { Int64($0) } }) else {
            throw LakeError(.unfitDataFile, "a data file cannot be read back")
        }
        made.recordCount = count
        for (index, column) in columns.enumerated() {
            guard let least = row[1 + 2 * index], let greatest = row[2 + 2 * index] else {
                continue
            }
            let (lower, upper) = try Self.bounds(column, least, greatest)
            made.lowerBounds[column.id] = lower.encoded
            made.upperBounds[column.id] = upper?.encoded
            let isInPartition: Bool =
                switch (lower, upper) {
                case (.timestamptz(let first), .timestamptz(let last)?):
                    Day(Timestamp(microseconds: first)) == day
                        && Day(Timestamp(microseconds: last)) == day
                case (.date(let first), .date(let last)?):
                    first == retainUntil.number && last == retainUntil.number
                default: true
                }
            guard isInPartition else {
                throw LakeError(.unfitDataFile, "a data file has a row of another partition")
            }
        }
        made.partition = [day.number, retainUntil.number]
    }

    /// The number of rows, and each column's least and greatest value: times in microseconds, dates in days since 1970.
    private func ends(
        of columns: [HitsSchema.Column], in file: String, written: [Range<Int64>]?
    ) throws -> [String?] {
        func number(_ column: HitsSchema.Column, _ value: String) -> String {
            switch column.engineType {
            case "TIMESTAMP WITH TIME ZONE": "epoch_us(\(value))"
            case "DATE": "CAST(\(value) - DATE '1970-01-01' AS INTEGER)"
            default: value
            }
        }
        let names = columns.map { EngineText.literal($0.name) }.joined(separator: ", ")
        let copied = try written.map { try rowGroups(of: file, outside: $0) } ?? []
        let groups = "row_group_id IN (\(copied.map(String.init).joined(separator: ", ")))"
        // A writer may have cut a long value short; then the rows tell.
        let isTold =
            try !copied.isEmpty
            && connection.query(
                """
                SELECT 1 FROM parquet_metadata(\(file))
                WHERE path_in_schema IN (\(names)) AND \(groups)
                  AND coalesce(stats_null_count, 0) < num_values
                  AND NOT coalesce(min_is_exact AND max_is_exact, false)
                LIMIT 1
                """
            ).rows().isEmpty
        let values = columns.flatMap { column in
            ["min", "max"].map { end -> String in
                let name = "\"\(column.name)\""
                guard isTold else { return number(column, "\(end)(\(name))") }
                let told = """
                    SELECT CAST(stats_\(end)_value AS \(column.engineType)) AS value
                    FROM parquet_metadata(\(file))
                    WHERE path_in_schema = \(EngineText.literal(column.name)) AND \(groups)
                    """
                let read = """
                    SELECT \(end)(\(name)) FROM read_parquet(\(file), file_row_number = true)
                    WHERE \(Self.condition(written))
                    """
                return
                    "(SELECT \(number(column, "\(end)(value)")) FROM (\(told) UNION ALL \(read)))"
            }
        }
        return try connection.query(
            "SELECT count(*), \(values.joined(separator: ", ")) FROM read_parquet(\(file))"
        ).rows().first ?? []
    }

    /// The row groups of a file without a row of these numbers.
    private func rowGroups(of file: String, outside ranges: [Range<Int64>]) throws -> [Int64] {
        let rows = try connection.query(
            """
            SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata(\(file))
            ORDER BY row_group_id
            """
        ).rows()
        var first: Int64 = 0
        var found: [Int64] = []
        for row in rows {
            guard let group = row[0].flatMap({ Int64($0) }),
                let count = row[1].flatMap({ Int64($0) })
            else { throw LakeError(.unfitDataFile, "a data file's row groups cannot be read") }
            let numbers = first..<first + count
            if !ranges.contains(where: { $0.overlaps(numbers) }) { found.append(group) }
            first = numbers.upperBound
        }
        return found
    }

    private static func bounds(
        _ column: HitsSchema.Column, _ least: String, _ greatest: String
    ) throws(LakeError) -> (SingleValue, SingleValue?) {
        switch column.engineType {
        case "TIMESTAMP WITH TIME ZONE":
            if let first = Int64(least), let last = Int64(greatest) {
                return (.timestamptz(first), .timestamptz(last))
            }
        case "DATE":
            if let first = Int32(least), let last = Int32(greatest) {
                return (.date(first), .date(last))
            }
        default:
            return (SingleValue.lowerBound(of: least), SingleValue.upperBound(of: greatest))
        }
        throw LakeError(.unfitDataFile, "a data file's bounds cannot be read")
    }
}

extension LakeEngine {
    static let rests = [
        Rest(.dataFiles, Set(HitsSchema.columns.map(\.name))),
        Rest(.scratch, Set(HitsSchema.columns.map(\.name))),
    ]
}
