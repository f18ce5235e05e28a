import CordonModel
import Engine
import Iceberg
import LinuxIO
import Parquet

/// A data file that was just written, and what it is to be.
struct NewDataFile {
    let path: String
    let day: Day
    let retainUntil: Day
    let rows: Int64
    /// How it was made from another, when it was.
    var rest: WrittenRest?
}

// A look into files that were just written.
extension LakeWriter {
    /// Looks into files that were just written: that every column has its field id and the rows belong to the partition, and what
    /// the manifest says of each. Footers that were read already tell it; all others are read in the same few statements.
    func inspect(_ new: [NewDataFile]) throws -> [DataFile] {
        var made = try new.map { file in
            try file.rest?.groups.flatMap { try LakeEngine.dataFile(file, groups: $0) }
        }
        let others = made.indices.filter { made[$0] == nil }
        if !others.isEmpty {
            for (index, file) in zip(others, try engine().look(into: others.map { new[$0] })) {
                made[index] = file
            }
        }
        return made.compactMap(\.self)
    }
}

extension LakeEngine {
    /// ``inspect(_:)`` of one file.
    ///
    /// - Parameter written: row numbers outside of which row groups were copied from a file that was inspected: of those the
    ///   footer tells the bounds, and nothing is decoded. Nil reads all rows.
    func inspect(
        _ path: String, day: Day, retainUntil: Day, rows expected: Int64,
        written: [Range<Int64>]? = nil
    ) throws -> DataFile {
        let rest = written.map { WrittenRest(of: path, written: $0) }
        let file = NewDataFile(
            path: path, day: day, retainUntil: retainUntil, rows: expected, rest: rest)
        return try look(into: [file])[0]
    }

    fileprivate func look(into new: [NewDataFile]) throws -> [DataFile] {
        guard !new.isEmpty else { return [] }
        let list = "[" + new.map { EngineText.path($0.path) }.joined(separator: ", ") + "]"
        try checkFieldIDs(list, count: new.count)
        let footers = try footers(list)
        var told: [String: [Int]] = [:]
        for file in new {
            guard let footer = footers[file.path], let written = file.rest?.written else {
                continue
            }
            let copied = footer.groups(outside: written)
            // A writer may have cut a long value short; then the rows tell.
            if !copied.isEmpty, footer.tellsEnds(copied) { told[file.path] = copied }
        }
        let read = try ends(in: new.map(\.path).filter { told[$0] == nil })
        return try new.map { file in
            guard let footer = footers[file.path] else {
                throw LakeError(.unfitDataFile, "a data file cannot be read back")
            }
            var made = try footer.dataFile(file.path)
            var ends = read[file.path]
            if let groups = told[file.path] {
                ends = try self.ends(in: file.path, told: groups, written: file.rest?.written ?? [])
            }
            guard let ends else {
                throw LakeError(.unfitDataFile, "a data file cannot be read back")
            }
            try Self.addBounds(ends, of: file, to: &made)
            guard made.recordCount == file.rows else {
                throw LakeError(
                    .unfitDataFile,
                    "a data file has \(made.recordCount) rows, expected \(file.rows)")
            }
            return made
        }
    }

    private func checkFieldIDs(_ list: String, count: Int) throws {
        let rows = try connection.query(
            """
            SELECT file_name, name, field_id FROM parquet_schema(\(list))
            WHERE field_id IS NOT NULL OR type IS NOT NULL ORDER BY field_id
            """
        ).rows()
        let expected = HitsSchema.fields.sorted { $0.id < $1.id }.map { "\($0.name):\($0.id)" }
        let found = Dictionary(grouping: rows) { $0[0] }
        guard found.count == count,
            found.values.allSatisfy({ rows in
                rows.map { "\($0[1] ?? ""):\($0[2] ?? "none")" } == expected
            })
        else {
            throw LakeError(
                .unfitDataFile, "a data file's columns do not carry the table's field ids")
        }
    }

    /// What a footer says of one column of one row group.
    private struct Chunk {
        let group: Int
        let groupRows: Int64
        let leaf: Int
        let values: Int64
        let bytes: Int64
        let nulls: Int64?
        let start: Int64
        /// Whether its least and greatest value stand in the footer whole.
        let isExact: Bool
    }

    private struct Footer {
        var chunks: [Chunk] = []

        /// The row groups without a row of these numbers.
        func groups(outside ranges: [Range<Int64>]) -> [Int] {
            let rows = Dictionary(chunks.map { ($0.group, $0.groupRows) }) { first, _ in first }
            var first: Int64 = 0
            return rows.keys.sorted().filter { group in
                let numbers = first..<first + (rows[group] ?? 0)
                first = numbers.upperBound
                return !ranges.contains { $0.overlaps(numbers) }
            }
        }

        /// Whether all least and greatest values that manifests hold stand in it for these row groups.
        func tellsEnds(_ groups: [Int]) -> Bool {
            let leaves = Set(HitsSchema.columns.filter(\.hasBounds).map(\.id))
            let groups = Set(groups)
            return chunks.allSatisfy { chunk in
                !groups.contains(chunk.group) || !leaves.contains(chunk.leaf) || chunk.isExact
                    || chunk.nulls ?? 0 >= chunk.values
            }
        }

        /// What a manifest says of the file, but for its bounds.
        func dataFile(_ path: String) throws -> DataFile {
            var made = DataFile(
                path: TableFiles.uri(of: path), partition: [], recordCount: 0, fileBytes: 0,
                sortOrderID: Int32(HitsSchema.sortOrder.orderID))
            var starts: [Int: Int64] = [:]
            var unknown: Set<Int> = []
            for chunk in chunks {
                made.valueCounts[chunk.leaf, default: 0] += chunk.values
                made.columnBytes[chunk.leaf, default: 0] += chunk.bytes
                made.nullCounts[chunk.leaf, default: 0] += chunk.nulls ?? 0
                if chunk.nulls == nil { unknown.insert(chunk.leaf) }
                if starts[chunk.group] == nil { made.recordCount += chunk.groupRows }
                starts[chunk.group] = min(starts[chunk.group] ?? .max, chunk.start)
            }
            for leaf in unknown { made.nullCounts[leaf] = nil }
            made.splitOffsets = starts.values.sorted()
            guard let size = try File.metadata(path)?.size else {
                throw LakeError(.unfitDataFile, "a data file is missing after it was written")
            }
            made.fileBytes = Int64(size)
            return made
        }
    }

    /// The footers of files by their paths.
    private func footers(_ list: String) throws -> [String: Footer] {
        let rows = try connection.query(
            """
            SELECT file_name, path_in_schema, row_group_id, row_group_num_rows, num_values,
                   total_compressed_size, stats_null_count,
                   CASE WHEN dictionary_page_offset > 0
                        THEN least(dictionary_page_offset, data_page_offset)
                        ELSE data_page_offset END,
                   coalesce(min_is_exact AND max_is_exact, false)
            FROM parquet_metadata(\(list))
            """)
        var footers: [String: Footer] = [:]
        while let batch = try rows.next() {
            func number(_ column: Int, _ row: Int) -> Int64 { batch.columns[column].int64(at: row) }
            for row in 0..<batch.rowCount {
                guard let leaf = HitsSchema.leafIDs[batch.columns[1].string(at: row)] else {
                    throw LakeError(
                        .unfitDataFile, "a data file has a column that the table has not")
                }
                let hasNulls = !batch.columns[6].isNull(at: row)
                footers[batch.columns[0].string(at: row), default: Footer()].chunks.append(
                    Chunk(
                        group: Int(number(2, row)), groupRows: number(3, row), leaf: leaf,
                        values: number(4, row), bytes: number(5, row),
                        nulls: hasNulls ? number(6, row) : nil, start: number(7, row),
                        isExact: batch.columns[8].bool(at: row)))
            }
        }
        return footers
    }

    /// What the manifest says of a file of which the footer was just read, which has the table's columns; nil when the footer does not
    /// tell all of it.
    fileprivate static func dataFile(
        _ file: NewDataFile, groups: [ParquetFooter.GroupSummary]
    ) throws -> DataFile? {
        let bounded = HitsSchema.columns.filter(\.hasBounds)
        var told = Footer()
        var ends = [(least: [UInt8], greatest: [UInt8])?](repeating: nil, count: bounded.count)
        for (group, summary) in groups.enumerated() {
            for chunk in summary.chunks {
                guard let leaf = HitsSchema.leafIDs[chunk.path] else {
                    throw LakeError(
                        .unfitDataFile, "a data file has a column that the table has not")
                }
                told.chunks.append(
                    Chunk(
                        group: group, groupRows: summary.rows, leaf: leaf, values: chunk.entries,
                        bytes: chunk.bytes, nulls: chunk.nulls, start: Int64(summary.start),
                        isExact: chunk.ends != nil))
                guard let column = bounded.firstIndex(where: { $0.id == leaf }),
                    chunk.nulls ?? 0 < chunk.entries
                else { continue }
                guard let (least, greatest) = chunk.ends else { return nil }
                func isLess(_ one: [UInt8], _ two: [UInt8]) -> Bool {
                    bounded[column].isLess(one, two)
                }
                if let before = ends[column] {
                    ends[column] = (
                        isLess(least, before.least) ? least : before.least,
                        isLess(before.greatest, greatest) ? greatest : before.greatest
                    )
                } else {
                    ends[column] = (least, greatest)
                }
            }
        }
        var made = try told.dataFile(file.path)
        let texts = zip(bounded, ends).flatMap { column, ends in
            [ends?.least, ends?.greatest].map { $0.map(column.text) }
        }
        try addBounds(texts, of: file, to: &made)
        guard made.recordCount == file.rows else {
            throw LakeError(
                .unfitDataFile, "a data file has \(made.recordCount) rows, expected \(file.rows)")
        }
        return made
    }

    private static func addBounds(
        _ row: [String?], of file: NewDataFile, to made: inout DataFile
    ) throws {
        let columns = HitsSchema.columns.filter(\.hasBounds)
        for (index, column) in columns.enumerated() {
            guard let least = row[2 * index], let greatest = row[1 + 2 * index] else { continue }
            let (lower, upper) = try bounds(column, least, greatest)
            made.lowerBounds[column.id] = lower.encoded
            made.upperBounds[column.id] = upper?.encoded
            let isInPartition: Bool =
                switch (lower, upper) {
                case (.timestamptz(let first), .timestamptz(let last)?):
                    Day(Timestamp(microseconds: first)) == file.day
                        && Day(Timestamp(microseconds: last)) == file.day
                case (.date(let first), .date(let last)?):
                    first == file.retainUntil.number && last == file.retainUntil.number
                default: true
                }
            guard isInPartition else {
                throw LakeError(.unfitDataFile, "a data file has a row of another partition")
            }
        }
        made.partition = [file.day.number, file.retainUntil.number]
    }

    /// Times in microseconds, dates in days since 1970.
    private static func number(_ column: HitsSchema.Column, _ value: String) -> String {
        switch column.engineType {
        case "TIMESTAMP WITH TIME ZONE": "epoch_us(\(value))"
        case "DATE": "CAST(\(value) - DATE '1970-01-01' AS INTEGER)"
        default: value
        }
    }

    /// Each bounded column's least and greatest value in the rows of files, by their paths.
    private func ends(in paths: [String]) throws -> [String: [String?]] {
        guard !paths.isEmpty else { return [:] }
        let values = HitsSchema.columns.filter(\.hasBounds).flatMap { column in
            ["min", "max"].map { Self.number(column, "\($0)(\"\(column.name)\")") }
        }
        let list = paths.map(EngineText.path).joined(separator: ", ")
        let rows = try connection.query(
            """
            SELECT filename, \(values.joined(separator: ", "))
            FROM read_parquet([\(list)], hive_partitioning = false, filename = true) GROUP BY filename
            """
        ).rows()
        return Dictionary(
            rows.map { ($0[0] ?? "", Array($0.dropFirst())) },
            uniquingKeysWith: { first, _ in first })
    }

    /// The same of one file, of which the footer tells some row groups and the rows of these numbers are all others.
    private func ends(
        in path: String, told groups: [Int], written: [Range<Int64>]
    ) throws -> [String?] {
        let file = EngineText.path(path)
        let columns = HitsSchema.columns.filter(\.hasBounds)
        var told: [String] = []
        var read: [String] = []
        var ends: [String] = []
        for (column, end) in columns.flatMap({ column in ["min", "max"].map { (column, $0) } }) {
            let text =
                "CASE WHEN path_in_schema = \(EngineText.literal(column.name)) THEN stats_\(end)_value END"
            told.append("\(end)(CAST(\(text) AS \(column.engineType))) AS end\(told.count)")
            read.append("\(end)(\"\(column.name)\")")
            ends.append(Self.number(column, "\(end)(end\(ends.count))"))
        }
        return try connection.query(
            """
            SELECT \(ends.joined(separator: ", ")) FROM (
                SELECT \(told.joined(separator: ", ")) FROM parquet_metadata(\(file))
                WHERE row_group_id IN (\(groups.map(String.init).joined(separator: ", ")))
                UNION ALL
                SELECT \(read.joined(separator: ", "))
                FROM read_parquet(\(file), hive_partitioning = false, file_row_number = true)
                WHERE \(Self.condition(written)))
            """
        ).rows().first ?? []
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

extension HitsSchema.Column {
    /// The number that a value of fixed width is, as files store it.
    private func number(_ bytes: [UInt8]) -> Int64 {
        let word = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return bytes.count == 4 ? Int64(Int32(truncatingIfNeeded: word)) : Int64(bitPattern: word)
    }

    private var isNumber: Bool { engineType != "VARCHAR" }

    /// Whether one value comes before another, both as files store them.
    fileprivate func isLess(_ one: [UInt8], _ two: [UInt8]) -> Bool {
        isNumber ? number(one) < number(two) : one.lexicographicallyPrecedes(two)
    }

    /// A value as the engine would say it: times in microseconds, dates in days.
    fileprivate func text(_ bytes: [UInt8]) -> String {
        isNumber ? String(number(bytes)) : String(decoding: bytes, as: UTF8.self)
    }
}
