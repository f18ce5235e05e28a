import Bytes
import CordonAudit
import CordonCatalog
import CordonJournal
import CordonKeys
import CordonModel
import CordonSubjects
import Crypto
import Engine
import Foundation
import Iceberg
import LinuxIO
import SQLite
import TestSupport
import Testing

@testable import CordonCLI

/// What a scan sees of a raw value that a mistake has let come to rest, place by place, written as that place writes.
@Suite(.enabled(if: (try? DuckDBLibrary.load()) != nil, "scripts/setup lays the engine's library"))
struct `A scan of every resting place` {
    private let folder: TemporaryDirectory
    /// Sixteen bytes, for the places that hold digests of that size.
    private static let value = "jane@example.com"

    init() throws { folder = try TemporaryDirectory(holdsRawValues: true) }

    private var batch: HitBatch {
        var record = HitRecord()
        record.site = Self.value
        record.policy = "gdpr"
        return HitBatch(ruleSet: "r", geoBuild: "g", records: [record])
    }

    /// Writes the value where the place lies; returns the folder of the place. A place that is new does not compile until it
    /// is here.
    private func plant(_ place: RestingPlace) throws -> String {
        let root = folder.file(place.rawValue.replacing(" ", with: "-"))
        try Directory.create(root)
        let bytes = Array(Self.value.utf8)
        func parquet(_ path: String) throws {
            try EngineConnection().execute(
                "COPY (SELECT '\(Self.value)' AS page_path FROM range(9)) TO '\(path)' (FORMAT parquet, COMPRESSION zstd)"
            )
        }
        func catalog(
            deadLetters: [DeadBatch] = [],
            outgoing: [OutgoingBatch] = []
        ) throws {
            try Catalog(path: root + "/catalog.sqlite").commit(
                table: "pixels.hits", expecting: nil, new: "file:///m", deliveredThrough: 1,
                committed: [], unreferenced: [], deadLetters: deadLetters, outgoing: outgoing,
                at: Timestamp(microseconds: 0))
        }
        let journal = root + "/journal.sqlite"
        switch place {
        case .intake:
            let intake = try #require(try Intake(journal: journal))
            let encoded = batch.encoded
            _ = try unsafe encoded.withUnsafeBytes { bytes in
                try unsafe intake.append(
                    [PendingBatch(bytes: bytes, hits: 1)], expecting: 0,
                    checking: Journal(path: journal), milliseconds: 0)
            }
        case .journal:
            _ = try Journal(path: journal).append(batch.encoded, hits: 1, expecting: 0)
        case .ledger:
            try Journal(path: journal).note(
                [LedgerCount(policy: Self.value, fate: "kept", hits: 1)], minute: 1)
        case .suppression:
            try Journal(path: journal).suppress(
                subjects: [bytes.reduce(0) { $0 << 8 | UInt128($1) }], pseudonyms: [])
        case .dataFiles: try parquet(root + "/part.parquet")
        case .personIndex:
            try File.write(
                root + "/part.parquet.who", [UInt8](repeating: 0, count: 32) + bytes)
        case .scratch: try File.write(root + "/duckdb_temp_storage-0.tmp", [0, 1, 2] + bytes)
        case .manifests:
            let schema = IcebergSchema(
                schemaID: 0, fields: [.init(id: 3, name: "site", type: .primitive("string"))])
            var file = DataFile(
                path: "file:///f", partition: [], recordCount: 1, fileBytes: 1, sortOrderID: 0)
            file.lowerBounds[3] = bytes
            let manifest = Manifest(
                schema: schema, spec: PartitionSpec(specID: 0, fields: []),
                entries: [.added(file, snapshotID: 1)])
            try File.write(root + "/m0.avro", manifest.encoded(sync: 7))
        case .deadLetters:
            try catalog(deadLetters: [
                DeadBatch(batch: 1, reason: "unreadable", bytes: batch.encoded)
            ])
        case .outgoing:
            try catalog(outgoing: [
                OutgoingBatch(id: "1", destination: "r", hits: 1, bytes: batch.encoded)
            ])
        case .requests:
            let store = try RequestStore(
                path: root + "/requests.sqlite",
                maskKey: HMACKey([UInt8](repeating: 1, count: 32)))
            try store.insert(
                SubjectRequest(
                    retention: Self.value, asOf: Day(number: 1), at: Timestamp(microseconds: 0)))
        case .subjectKeys:
            let keys = try RegionKeys.create(directory: root + "/keys", region: "r")
            _ = try SubjectKeys(creating: keys)
            let row = try Connection(path: SubjectKeys.path(in: root + "/keys")).prepare(
                "INSERT INTO subject_keys VALUES (?1, x'', 1, 1, x'00')")
            try row.bind(1, bytes)
            try row.run()
        case .erasedLedger:
            let keys = try RegionKeys.create(directory: folder.file("keys"), region: "r")
            let digest = try #require(Digest(bytes + [UInt8](repeating: 0, count: 16)))
            try ErasedLedger(path: root + "/erased.ledger", keys: keys).add(
                people: [SubjectDigest(digest: digest)], pseudonyms: [], on: Day(number: 1))
        case .audit:
            let keys = try RegionKeys.create(directory: folder.file("keys"), region: "r")
            let log = try AuditLog(directory: root, region: "r", key: keys.signingKey)
            _ = try log.append(
                AuditEntry(
                    at: Timestamp(microseconds: 0), kind: "query", region: "r",
                    fields: ["sql": .text("SELECT '\(Self.value)'")]))
        case .certificates, .exports:
            try File.write(root + "/paper.json", Array("{\"a\":\"\(Self.value)\"}".utf8))
        case .queryResults:
            try File.write(root + "/result.csv", Array("a,b\n1,\(Self.value)\n".utf8))
            try parquet(root + "/result.parquet")
        }
        return root
    }

    @Test(arguments: RestingPlace.allCases) func `finds a value that came to rest in`(
        _ place: RestingPlace
    ) throws {
        let root = try plant(place)
        var found: Set<String> = []
        let scan = try DiskScan(values: [Array(Self.value.utf8)])
        let report = try scan.run(root: root, decoding: [ParquetContent()]) {
            found.insert($0.path)
        }
        #expect(report.unread.isEmpty)
        #expect(found.count >= (place == .queryResults ? 2 : 1))
        #expect(found.allSatisfy { $0.hasPrefix(root) })
    }
}
