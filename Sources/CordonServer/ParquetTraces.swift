import CordonModel
import CordonSubjects
import Engine
import Parquet

/// The rows of any Parquet file, referenced or not, that hold one of some texts in any column.
///
/// Pages are decoded and searched as they are; where one may hold something, and in files whose pages are not understood, the engine
/// tells the rows. It looks only into columns whose values can hold one: those of texts, also inside of lists, maps and structures, and 16 bytes or a
/// UUID as their digits. Times, truth values and numbers of up to 64 bits have no room for 32 digits.
final class ParquetTraces: DecodedContent {
    /// Alternatives, and hexadecimal digits, so they stand in an expression as they are.
    private let texts: [String]
    /// Started with the first file.
    private var engine: EngineConnection?
    /// What opens pages, made with the first file.
    private var tools: ParquetTools?
    let name = "parquet"

    /// Up to so many are looked for one by one, which is faster than a regular expression.
    private static let containedMax = 4
    /// A regular expression of more alternatives would cost more than the search itself.
    private static let alternativesMax = 64

    init(_ pseudonyms: Set<Pseudonym>) { texts = pseudonyms.map(\.text).sorted() }

    func recognises(_ path: String) -> Bool { path.hasSuffix(".parquet") }

    func read(
        _ path: String, where mayHold: (Span<UInt8>) -> Bool,
        _ consume: (_ row: Int, _ bytes: [UInt8]) -> Void
    ) -> String? {
        /// The first page that may hold something, and the row that its row group begins with.
        var suspect: (row: Int, bytes: [UInt8])?
        do {
            try ParquetReading.forEachPage(of: path, try madeTools()) { row, bytes in
                if suspect == nil, mayHold(bytes) {
                    suspect = (row, bytes.indices.map { bytes[$0] })
                }
            }
            guard let suspect else { return nil }
            var isTold = false
            let failure = read(path) { row, bytes in
                guard mayHold(bytes.span) else { return }
                isTold = true
                consume(row, bytes)
            }
            // No row has it, as with a value that a dictionary has for none.
            if !isTold { consume(suspect.row, suspect.bytes) }
            return failure
        } catch {
            // What is damaged the engine cannot read either, and says so.
            return read(path, consume)
        }
    }

    private func madeTools() throws -> ParquetTools {
        if let tools { return tools }
        let made = try ParquetTools()
        tools = made
        return made
    }

    func read(_ path: String, _ consume: (_ row: Int, _ bytes: [UInt8]) -> Void) -> String? {
        do throws(EngineError) {
            let file = "read_parquet(\(EngineText.path(path)), hive_partitioning = false)"
            let columns = try columns(of: file)
            guard !columns.isEmpty else { return nil }
            // What the engine sorts rows out by before they are searched.
            let condition = columns.map(condition).joined(separator: " OR ")
            let rows = try started().query(
                """
                SELECT concat_ws(chr(10), \(columns.joined(separator: ", "))) FROM \(file)
                WHERE \(condition)
                """)
            var row = 0
            while let batch = try rows.next() {
                for index in 0..<batch.rowCount {
                    consume(row, batch.columns[0].bytes(at: index))
                    row += 1
                }
            }
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// Types whose text is too short for a pseudonym, or has no digits.
    private static let shortTypes: Set<String> = [
        "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
        "UBIGINT", "FLOAT", "DOUBLE", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE",
        "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS",
    ]

    /// The columns that can hold one, as SQL that gives their text.
    private func columns(of file: String) throws(EngineError) -> [String] {
        try started().query("DESCRIBE SELECT * FROM \(file)").rows().compactMap { row in
            guard let name = row[0], let type = row[1], !Self.shortTypes.contains(type) else {
                return nil
            }
            let column = EngineText.identifier(name)
            return switch type {
            case "VARCHAR": column
            case "BLOB": "hex(\(column))"
            case "UUID": "replace(CAST(\(column) AS VARCHAR), '-', '')"
            default: "CAST(\(column) AS VARCHAR)"
            }
        }
    }

    private func condition(_ column: String) -> String {
        if texts.count <= Self.containedMax {
            return texts.map { "contains(lower(\(column)), '\($0)')" }.joined(separator: " OR ")
        }
        let pattern =
            texts.count > Self.alternativesMax ? "[0-9a-f]{32}" : texts.joined(separator: "|")
        return "regexp_matches(\(column), '\(pattern)', 'i')"
    }

    private func started() throws(EngineError) -> EngineConnection {
        if let engine { return engine }
        // One thread: with more, the one that waits for rows takes a core of its own and brings nothing.
        let made = try EngineConnection(settings: [
            ("memory_limit", "\(Self.engineMegabytesMax)MB"), ("threads", "1"),
            ("autoinstall_known_extensions", "false"), ("autoload_known_extensions", "false"),
        ])
        engine = made
        return made
    }

    private static let engineMegabytesMax = 512
}
