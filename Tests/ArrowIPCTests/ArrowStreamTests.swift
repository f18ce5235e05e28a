import ArrowIPC
import Engine
import Foundation
import TestSupport
import Testing

/// Streams of what the engine gives, as pyarrow reads them.
@Suite(.enabled(if: ArrowReader.isInstalled, "run scripts/setup --tests"))
struct `An Arrow stream` {
    private let folder: TemporaryDirectory
    private let connection: EngineConnection

    init() throws {
        folder = try TemporaryDirectory()
        connection = try EngineConnection()
        try connection.execute("SET TimeZone = 'UTC'")
    }

    /// Writes the rows of `sql` twice: as a stream of batches of at most `rowsMax` rows, and as JSON lines.
    private func write(
        _ sql: String, as name: String, rowsMax: Int = .max
    ) throws -> (stream: String, jsonLines: String) {
        let result = try connection.query(sql)
        let encoder = ArrowStreamEncoder(fields: result.fields)
        var stream = encoder.schema
        var lines = ""
        while let batch = try result.next() {
            for start in stride(from: 0, to: batch.rowCount, by: rowsMax) {
                let rows = start..<min(batch.rowCount, start.advanced(by: min(rowsMax, 1 << 30)))
                stream += try encoder.message(batch.slice(rows))
            }
            for row in 0..<batch.rowCount {
                let members = zip(result.fields, batch.columns).map {
                    ColumnValue.quoted($0.name) + ":" + $1.value(at: row).json
                }
                lines += "{" + members.joined(separator: ",") + "}\n"
            }
        }
        stream += ArrowStreamEncoder.end
        let paths = (folder.file(name + ".arrows"), folder.file(name + ".ndjson"))
        try Data(stream).write(to: URL(fileURLWithPath: paths.0))
        try lines.write(toFile: paths.1, atomically: false, encoding: .utf8)
        return paths
    }

    @Test func `has every type that a result may have, with and without nulls`() throws {
        let expressions = RandomColumns.kinds.map { $0("i * 7 + 1") }
        let columns = expressions.enumerated().flatMap { index, sql in
            [
                "\(sql) AS \"c\(index)\"",
                "CASE WHEN i % 3 = 1 THEN NULL ELSE \(sql) END AS \"n\(index)\"",
                "CASE WHEN i < 0 THEN \(sql) END AS \"nothing\(index)\"",
                "[\(sql), NULL] AS \"list\(index)\"",
            ]
        }
        let sql = "SELECT \(columns.joined(separator: ", ")), NULL AS x FROM range(20) t(i)"
        #expect(try ArrowReader.problems(of: [write(sql, as: "types")]) == "")
    }

    @Test func `holds what JSON says, whatever the schema, the nulls and the batches`() throws {
        var generator = Generator()
        var pairs = [try write("SELECT 1 AS a, 'x' AS b WHERE false", as: "empty")]
        for number in 0..<24 {
            let columns = (0..<Int.random(in: 1...5, using: &generator)).map { index in
                RandomColumns.expression(depth: 3, &generator) + " AS \"c\(index)\""
            }
            // The last is longer than the engine's own batches.
            let rows =
                number == 23 ? 2500 : [0, 1, 7, 8, 65, 200].randomElement(using: &generator)!
            pairs.append(
                try write(
                    "SELECT \(columns.joined(separator: ", ")) FROM range(\(rows)) t(i)",
                    as: "random-\(number)",
                    rowsMax: [1, 3, 8, 13, 64, 4096].randomElement(using: &generator)!))
        }
        #expect(try ArrowReader.problems(of: pairs) == "", "CORDON_SEED=\(generator.seed)")
    }

    @Test func `of another answer is told from that of this one`() throws {
        let first = try write("SELECT 1 AS a, 0.5 AS b", as: "first")
        let second = try write("SELECT 1 AS a, 0.6 AS b", as: "second")
        #expect(try ArrowReader.problems(of: [(first.stream, second.jsonLines)]) != "")
    }
}

/// SQL of random columns over the row number `i`.
enum RandomColumns {
    /// Values of one type each, made of a text that gives another number for each row.
    static let kinds: [@Sendable (String) -> String] = [
        { "hash(\($0)) % 2 = 0" },
        { "((hash(\($0)) % 256)::BIGINT - 128)::TINYINT" },
        { "((hash(\($0)) % 65536)::BIGINT - 32768)::SMALLINT" },
        { "((hash(\($0)) % 4294967296)::BIGINT - 2147483648)::INTEGER" },
        { "(hash(\($0)) // 2)::BIGINT - 4611686018427387904" },
        { "(hash(\($0)) % 256)::UTINYINT" },
        { "(hash(\($0)) % 65536)::USMALLINT" },
        { "(hash(\($0)) % 4294967296)::UINTEGER" },
        { "hash(\($0))" },
        { "hash(\($0))::HUGEINT * 1000003 - 90000000000000000000000" },
        { "((hash(\($0)) % 100000)::DOUBLE / 7 - 5000)::FLOAT" },
        { "CASE WHEN hash(\($0)) % 9 = 0 THEN 'nan'::DOUBLE ELSE hash(\($0))::DOUBLE / 3 END" },
        { "((hash(\($0)) % 9999)::DECIMAL(18, 0) / 100 - 50)::DECIMAL(4, 2)" },
        { "((hash(\($0)) % 99999)::INTEGER * 0.001)::DECIMAL(9, 3)" },
        { "((hash(\($0)) % 99999)::INTEGER * -0.000001)::DECIMAL(18, 6)" },
        { "12345678.0000000001::DECIMAL(28, 10) * (hash(\($0)) % 99999)::INTEGER" },
        { "substr(md5((\($0))::VARCHAR), 1, (hash(\($0)) % 30)::INTEGER) || 'é\"\n\\'" },
        { "md5((\($0))::VARCHAR)[1:(hash(\($0)) % 9)::INTEGER]::BLOB" },
        { "md5((\($0))::VARCHAR)::UUID" },
        { "DATE '1970-01-01' + ((hash(\($0)) % 60000)::INTEGER - 30000)" },
        { "TIME '00:00:00' + to_microseconds((hash(\($0)) % 86400000000)::BIGINT)" },
        {
            "(TIMESTAMP '1950-01-01' + to_microseconds((hash(\($0)) % 3000000000000000)::BIGINT))::TIMESTAMPTZ"
        },
        { "TIMESTAMP '1950-01-01' + to_microseconds((hash(\($0)) % 3000000000000000)::BIGINT)" },
        {
            "(TIMESTAMP '1950-01-01' + to_seconds((hash(\($0)) % 3000000000)::BIGINT))::TIMESTAMP_S"
        },
        {
            "(TIMESTAMP '1950-01-01' + to_milliseconds((hash(\($0)) % 3000000000000)::BIGINT))::TIMESTAMP_MS"
        },
        {
            "(TIMESTAMP '1970-01-01' + to_microseconds((hash(\($0)) % 3000000000000000)::BIGINT))::TIMESTAMP_NS"
        },
        {
            "to_months((hash(\($0)) % 40)::INTEGER) + to_days((hash(\($0)) % 50)::INTEGER) + to_microseconds((hash(\($0)) % 9000000)::BIGINT)"
        },
        { "['a', 'b', 'c'][(1 + hash(\($0)) % 3)::INTEGER]::ENUM('a', 'b', 'c')" },
    ]

    /// A value of a random type, nested up to `depth` times, null in some rows.
    static func expression(depth: Int, _ generator: inout Generator) -> String {
        let salt = "i * 31 + \(Int.random(in: 0..<1_000_000, using: &generator))"
        let value: String
        switch depth == 0 ? 9 : Int.random(in: 0..<9, using: &generator) {
        case 0:
            // Elements have one type, and are null by themselves.
            let element = expression(depth: depth - 1, &generator)
            value = "[\(element), NULL, \(element)][1:(hash(\(salt)) % 4)::INTEGER]"
        case 1 where depth == 3:
            let element = expression(depth: depth - 1, &generator)
            // The engine has no CASE over these, nor over what holds one: so they are outermost.
            return "array_value(\(element), NULL, \(element))"
        case 2:
            let members = (0..<Int.random(in: 1...3, using: &generator)).map {
                "\"m \($0)\" := \(expression(depth: depth - 1, &generator))"
            }
            value = "struct_pack(\(members.joined(separator: ", ")))"
        case 3:
            let element = expression(depth: depth - 1, &generator)
            value = "MAP(['k' || i, 'other'], [\(element), NULL])"
        case 4:
            let element = expression(depth: depth - 1, &generator)
            value = "MAP([i, -i - 1], [NULL, \(element)])"
        default: value = kinds.randomElement(using: &generator)!(salt)
        }
        guard generator.chance(0.7) else { return value }
        let share = Int.random(in: 2...5, using: &generator)
        return "CASE WHEN hash(\(salt) + 1) % \(share) = 0 THEN NULL ELSE \(value) END"
    }
}
