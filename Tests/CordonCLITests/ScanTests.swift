import CordonSubjects
import Engine
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import CordonCLI

@Suite(.enabled(if: (try? DuckDBLibrary.load()) != nil, "scripts/setup lays the engine's library"))
struct `A scan of Parquet files` {
    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory(holdsRawValues: true)
        try EngineConnection().execute(
            """
            COPY (
                SELECT 'row ' || i AS label,
                    CASE WHEN i = 4711 THEN 'jane@example.com' END AS person,
                    MAP {'k': CASE WHEN i = 1234 THEN '203.0.113.77' ELSE 'x' || i END} AS params
                FROM range(20000) rows(i)
            ) TO '\(folder.file("it's.parquet"))' (FORMAT parquet, COMPRESSION zstd)
            """.replacing("it's", with: "it''s"))
    }

    private func matches(_ value: String) throws -> [DiskScan.Match] {
        var matches: [DiskScan.Match] = []
        let report = try DiskScan(values: [Array(value.utf8)])
            .run(root: folder.path, decoding: [ParquetContent()]) { matches.append($0) }
        #expect(report.unread == [])
        return matches
    }

    @Test func `finds what lies in compressed pages, also inside a map`() throws {
        let person = try matches("jane@example.com").filter { $0.encoding == "plain in parquet" }
        #expect(person.map(\.offset) == [4711])
        let address = try matches("203.0.113.77").filter { $0.encoding == "plain in parquet" }
        #expect(address.map(\.offset) == [1234])
    }

    @Test func `finds nothing that is not there`() throws {
        #expect(try matches("john@example.com").isEmpty)
    }

    @Test func `tells a file that cannot be decoded, so that silence is no answer`() throws {
        try File.write(folder.file("cut.parquet"), Array("PAR1 and then nothing".utf8))
        let report = try DiskScan(values: [Array("some value".utf8)])
            .run(root: folder.path, decoding: [ParquetContent()]) { _ in }
        #expect(report.unread.count == 1)
        #expect(report.unread.first?.hasPrefix(folder.file("cut.parquet")) == true)
    }
}
