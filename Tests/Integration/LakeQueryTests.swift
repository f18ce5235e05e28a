import CordonJournal
import CordonKeys
import CordonModel
import Foundation
import TestSupport
import Testing

/// One region's hits, delivered by `cordon deliver`, asked for by `cordon query` and by readers that others wrote.
@Suite(.enabled(if: OtherReaders.areInstalled, "run scripts/setup --tests"))
struct `The lake through cordon and through others` {
    private static let region = "eu-central"
    private let directory: TemporaryDirectory
    private var project: String { directory.file("project") }

    /// A project with the shipped files and the keys of one region.
    init() throws {
        directory = try TemporaryDirectory()
        let state = directory.file("project/var/\(Self.region)")
        try FileManager.default.createDirectory(
            atPath: state, withIntermediateDirectories: true)
        try ShippedProject.copy(to: project)
        _ = try RegionKeys.create(directory: state + "/keys", region: Self.region)
        let journal = try Journal(path: state + "/journal.sqlite")
        for start in stride(from: 0, to: 600, by: 50) {
            let records = (start..<start + 50).map(Self.record)
            let batch = HitBatch(ruleSet: "rules", geoBuild: "geo", records: records)
            _ = try journal.append(batch.encoded, hits: records.count, expecting: 0)
        }
    }

    private struct Row: Hashable, Decodable {
        let hitID: String
        let site: String
        let event: String
        let country: String
        let consent: String
        let policy: String

        enum CodingKeys: String, CodingKey {
            case site, event, country, consent, policy
            case hitID = "hit_id"
        }
    }

    private struct Group: Hashable, Decodable {
        let site: String
        let event: String
        let country: String
        let hits: Int
    }

    @Test func `cordon query, PyIceberg and iceberg_scan give the same rows and groups`()
        throws
    {
        let delivered = try cordon("deliver", "--region", Self.region, "--once", "--json")
        #expect(delivered.contains("\"rows\":600"))
        #expect(
            try cordon("deliver", "--region", Self.region, "--once", "--json").contains(
                "\"rows\":0"))

        struct Table: Decodable {
            let region: String
            let table: String
            let rows: Int
            let metadataLocation: String

            enum CodingKeys: String, CodingKey {
                case region, table, rows
                case metadataLocation = "metadata_location"
            }
        }
        let table = try #require(
            try lines(Table.self, cordon("catalog", "tables", "--json")).first)
        #expect(table.region == Self.region && table.table == "pixels.hits" && table.rows == 600)
        struct DataFile: Decodable {
            let path: String
            let rows: Int
        }
        let files = try lines(DataFile.self, cordon("catalog", "files", "--json"))
        #expect(files.reduce(0) { $0 + $1.rows } == 600)
        #expect(try cordon("catalog", "snapshots", "--json").contains("\"current\":true"))
        #expect(try cordon("catalog", "describe", "--json").contains("\"table\":\"pixels.hits\""))

        let asked = try lines(
            Group.self,
            cordon(
                "query", "--region", Self.region, "--role", "analyst", "--purpose",
                "audience-measurement", "--from", "DE", "--format", "json",
                "SELECT site, event, country, count(*) AS hits FROM hits GROUP BY site, event, country"
            ))
        let shown = try lines(
            Row.self,
            cordon(
                "query", "--region", Self.region, "--role", "privacy-officer", "--purpose",
                "data-subject-request", "--from", "DE", "--format", "json",
                "SELECT hit_id, site, event, country, consent, policy FROM hits"))
        #expect(Set(shown).count == 600)
        let read = try OtherReaders.read(
            table.metadataLocation, files: files.map(\.path),
            filters: [["name": "all", "sql": "true", "pyiceberg": ""]])
        #expect(asked.count == 12)
        for reader in ["pyiceberg all", "iceberg_scan all"] {
            let rows = try #require(read[reader])
            #expect(try Set(asked) == groups(of: rows), "\(reader)")
            #expect(
                try Set(shown) == Set(lines(Row.self, rows.joined(separator: "\n"))), "\(reader)")
        }
    }

    private func groups(of rows: [String]) throws -> Set<Group> {
        var counts: [[String]: Int] = [:]
        for row in try lines(Row.self, rows.joined(separator: "\n")) {
            counts[[row.site, row.event, row.country], default: 0] += 1
        }
        return Set(
            counts.map { Group(site: $0[0], event: $0[1], country: $0[2], hits: $1) })
    }

    private func lines<Line: Decodable>(_ type: Line.Type, _ text: String) throws -> [Line] {
        try text.split(separator: "\n").map {
            try JSONDecoder().decode(type, from: Data($0.utf8))
        }
    }

    /// What the built program printed.
    private func cordon(_ words: String...) throws -> String {
        let result = try CordonProgram(project: project).run(words)
        try #require(result.exitCode == 0, "\(words): \(result.errorOutput)")
        return result.output
    }

    /// Twelve groups of fifty people each.
    private static func record(_ index: Int) -> HitRecord {
        var record = HitRecord()
        record.hitID = UInt128(index + 1) << 64
        record.timestamp = Timestamp(
            microseconds: Day(year: 2026, month: 9, day: 4).start.microseconds + Int64(index)
                * 60_000_000)
        record.site = ["shop.example", "news.example"][index % 2]
        record.event = ["view", "purchase"][index / 2 % 2]
        record.country = ["DE", "FR", "SE"][index / 4 % 3]
        record.visitor = Pseudonym(
            value: UInt128(index + 1) &* 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
        record.keyEpoch = Day(record.timestamp)
        record.consent = .granted
        record.purposes = ["audience-measurement"]
        record.policy = "gdpr"
        record.retainUntil = Day(year: 2090, month: 1, day: 1)
        return record
    }
}
