import Bytes
import Engine
import LinuxIO
import TestSupport
import Testing

@testable import Parquet

@Suite struct `What a file holds, page by page` {
    private let folder: TemporaryDirectory
    private let engine: EngineConnection
    private let tools: ParquetTools

    init() throws {
        folder = try TemporaryDirectory()
        engine = try EngineConnection(settings: [("threads", "1")])
        tools = try ParquetTools()
    }

    /// The text that a row has in a column, as SQL; every fifth row has the same.
    private func text(_ column: String) -> String {
        "md5('\(column)' || CASE WHEN i % 5 = 0 THEN 0 ELSE i END)"
    }

    /// A file of three row groups whose columns hold texts in every way.
    private func write(_ options: String) throws -> String {
        let path = folder.file("file.parquet")
        try engine.execute(
            """
            COPY (SELECT i, \(text("plain")) AS plain, 'site ' || (i % 7) AS few,
                         [\(text("list")), NULL] AS list, {'inner': \(text("inner"))} AS nested,
                         MAP {\(text("key")): \(text("value"))} AS map,
                         CASE WHEN i % 3 > 0 THEN \(text("rare")) END AS rare,
                         unhex(\(text("bytes"))) AS bytes, CAST(\(text("uuid")) AS UUID) AS uuid
                  FROM range(5000) AS r (i))
            TO '\(path)' (FORMAT parquet, ROW_GROUP_SIZE 2048, WRITE_BLOOM_FILTER false, \(options))
            """)
        return path
    }

    @Test(arguments: [
        "COMPRESSION zstd", "COMPRESSION uncompressed", "COMPRESSION zstd, DICTIONARY_SIZE_LIMIT 1",
    ])
    func `every value lies in one piece in the pages of its row group`(_ options: String) throws {
        let path = try write(options)
        let texts = ["plain", "list", "inner", "key", "value", "bytes", "uuid"]
        let rows = try engine.query(
            """
            SELECT i // 2048 * 2048, \(texts.map(text).joined(separator: ", ")) FROM range(5000) AS r (i)
            """
        ).rows()
        var patterns: [[UInt8]] = []
        var groups: [String] = []
        for row in rows {
            for (value, column) in zip(row.dropFirst(), texts) {
                let text = value ?? ""
                let raw = Bytes.bytes(hex: text) ?? []
                patterns.append(["bytes", "uuid"].contains(column) ? raw : Array(text.utf8))
                groups.append(row[0] ?? "")
            }
        }
        let set = PatternSet(patterns)
        var isFound = [Bool](repeating: false, count: patterns.count)
        try ParquetReading.forEachPage(of: path, tools) { row, bytes in
            set.forEachMatch(in: bytes) { _, pattern in
                if groups[pattern] == "\(row)" { isFound[pattern] = true }
            }
        }
        #expect(!isFound.contains(false))
    }

    @Test func `a page that is damaged, or not understood, is told`() throws {
        for options in ["COMPRESSION snappy", "COMPRESSION zstd, PARQUET_VERSION V2"] {
            let path = try write(options)
            #expect(throws: ParquetError.self) {
                try ParquetReading.forEachPage(of: path, tools) { _, _ in }
            }
        }
        let path = try write("COMPRESSION zstd")
        let good = try File.read(path)
        let footer = try ParquetSource(path).footer()
        let leaves = try footer.leaves()
        let group = try #require(try footer.groups().last)
        for (place, leaf) in zip(try group.chunks(of: leaves), leaves) {
            let chunk = try ParquetChunk(Array(good[place.data]), place, leaf)
            for page in [chunk.dictionary].compactMap(\.self) + chunk.pages {
                var bytes = good
                // The first bytes of a packed page say what it is.
                bytes[place.data.lowerBound + page.body.lowerBound] ^= 0xFF
                try File.write(path, bytes, sync: false)
                #expect(throws: ParquetError.self) {
                    try ParquetReading.forEachPage(of: path, tools) { _, _ in }
                }
            }
        }
        try File.write(path, good, sync: false)
    }

    @Test(arguments: ["COMPRESSION zstd", "COMPRESSION zstd, DICTIONARY_SIZE_LIMIT 1"])
    func `who verifies a file is told the texts of its row groups that are no copies`(
        _ options: String
    ) throws {
        let path = try write(options)
        let rewrite = try ParquetRewrite(of: path, tools)
        let new = folder.file("new.parquet")
        let written = try rewrite.write(without: [3..<2000, 4097..<4098], to: new)
        #expect(written.copiedGroups == [1])
        var told: [Set<String>] = [[], []]
        let groups = try rewrite.verify(written, at: new, texts: ["rare", "plain"]) {
            column, text in
            told[column].insert(
                String(decoding: text.indices.map { text[$0] }, as: UTF8.self))
        }
        #expect(groups.map { $0.rows } == [51, 2048, 903])
        for (column, texts) in zip(["rare", "plain"], told) {
            let rows = try engine.query(
                """
                SELECT DISTINCT \(column) FROM read_parquet('\(new)')
                WHERE i NOT BETWEEN 2048 AND 4095 AND \(column) IS NOT NULL
                """
            ).rows()
            #expect(Set(rows.compactMap { $0[0] }) == texts)
        }
        #expect(rewrite.hasTexts(["rare", "plain"]))
        #expect(!rewrite.hasTexts(["plain", "list"]) && !rewrite.hasTexts(["i"]))
    }
}
