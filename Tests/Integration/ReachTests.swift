import Bytes
import CordonJournal
import CordonLake
import CordonModel
import Engine
import Foundation
import LinuxIO
import SQLite
import TestSupport
import Testing
import WorldTraffic

/// Looks into every place where something of a hit can rest: before a person is erased, and after.
@Suite(.serialized) struct `Where a person's pseudonym rests` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram
    private static let user = "reach.person@mail.example"
    private static let address = "1.0.0.77"
    private static let day = Day("2026-11-25")!

    init() throws {
        directory = try TemporaryDirectory()
        cordon = CordonProgram(project: directory.file("project"))
        let source = directory.file("places.csv")
        try "1.0.0.0/24,DE\n".write(toFile: source, atomically: false, encoding: .utf8)
        let made = try cordon.run("init", "--geo-format", "csv", "--geo", source)
        try #require(made.exitCode == 0, "\(made.errorOutput)")
    }

    private var state: String { cordon.project + "/var/eu-central" }
    private var exports: String { directory.file("exports") }
    private var result: String { directory.file("result.csv") }

    @Test func `is where the reach graph says, and after an erasure only where it says so`()
        async throws
    {
        let reach = try await fill()
        let pseudonym = try #require(try pseudonym())
        for place in RestingPlace.allCases {
            let expected =
                reach.contains(place) && ![.suppression, .requests, .scratch].contains(place)
            #expect(try isThere(pseudonym, place) == expected, "before, \(place)")
        }
        let erased = try cordon.run(
            "subject", "erase", "--user", Self.user, "--region", "eu-central", "--yes",
            "--allow-share", "100")
        #expect(erased.exitCode == 0, "\(erased.output)\(erased.errorOutput)")
        for place in RestingPlace.allCases {
            let expected = reach.contains(place) && place.outlivesErasure
            #expect(try isThere(pseudonym, place) == expected, "after, \(place)")
        }
        // What it was made from is in none of them, nor anywhere else.
        let scan = try cordon.run(
            "scan", "--values", "-", "--path", directory.path,
            input: "\(Self.user)\n\(Self.address)\n\(Senders.userAgent)\n")
        #expect(scan.exitCode == 0, "\(scan.output)")
        #expect(try cordon.run("policy", "reach", "usr").exitCode == 2)
    }

    /// Brings the person to every place; returns where the graph says that it can be.
    private func fill() async throws -> Set<RestingPlace> {
        let server = try await cordon.up()
        try send(try #require(server.ports["eu-central"]))
        #expect(server.end(SIGTERM) == 0)
        try deliver()
        let pseudonym = try #require(try pseudonym())
        // A batch that no version reads becomes a dead letter.
        var record = HitRecord()
        record.user = pseudonym
        record.keyEpoch = Self.day
        record.retainUntil = Self.day + 365
        var bytes = HitBatch(ruleSet: "", geoBuild: "", records: [record]).encoded
        bytes[HitBatch.magic.count] = 0xEE
        do {
            let journal = try Journal(path: state + "/journal.sqlite")
            _ = try journal.append(
                bytes, hits: 1, expecting: try journal.suppression().generation)
        }
        try deliver()
        let again = try await cordon.start("up", "--every", "3600")
        try send(try #require(again.ports["eu-central"]))
        again.end(SIGKILL)
        let exported = try cordon.run("subject", "export", "--user", Self.user, "--out", exports)
        #expect(exported.exitCode == 0, "\(exported.errorOutput)")
        let asked = try cordon.run(
            "query", "--region", "eu-central", "--role", "privacy-officer", "--purpose",
            "data-subject-request", "--from", "DE", "--format", "csv", "--out", result,
            "SELECT \"user\" FROM hits")
        #expect(asked.exitCode == 0, "\(asked.errorOutput)")

        struct Report: Decodable {
            struct Place: Decodable {
                let place: String
                let columns: [String]
            }
            let places: [Place]
        }
        let printed = try cordon.run("policy", "reach", "user", "--json").output
        let report = try JSONDecoder().decode(Report.self, from: Data(printed.utf8))
        #expect(report.places.allSatisfy { $0.columns == ["user"] })
        let places = report.places.map { RestingPlace(rawValue: $0.place) }
        #expect(!places.contains(nil))
        return Set(places.compactMap { $0 })
    }

    private func send(_ port: UInt16) throws {
        SentValues.note(Self.user, Self.address, Senders.userAgent)
        var client = try LoopbackClient(port: port)
        let id = Self.user.replacing("@", with: "%40")
        let head =
            "GET /pixel.gif?site=www.example.org&consent=granted&userid=\(id) HTTP/1.1\r\n"
            + "Host: p.example\r\nUser-Agent: \(Senders.userAgent)\r\n"
            + "X-Forwarded-For: \(Self.address)\r\n\r\n"
        try client.send(Array(head.utf8))
        #expect(try client.receiveStatus() == 200)
    }

    private func deliver() throws {
        let delivered = try cordon.run("deliver", "--region", "eu-central", "--once")
        #expect(delivered.exitCode == 0 || delivered.exitCode == 1, "\(delivered.errorOutput)")
    }

    private var dataFiles: [String] {
        files(state + "/lake").filter { $0.hasSuffix(".parquet") }
    }

    /// Of the one person whose hits are delivered.
    private func pseudonym() throws -> Pseudonym? {
        let list = dataFiles.map { "'\($0)'" }.joined(separator: ", ")
        return try EngineConnection().text(
            "SELECT DISTINCT \"user\" FROM read_parquet([\(list)]) WHERE \"user\" IS NOT NULL"
        ).flatMap { Pseudonym($0) }
    }

    private func files(_ folder: String) -> [String] {
        ((try? FileManager.default.subpathsOfDirectory(atPath: folder)) ?? [])
            .map { folder + "/" + $0 }.filter { !FileManager.default.isFolder($0) }
    }

    private func bytes(_ paths: [String]) -> [UInt8] {
        paths.flatMap { Array(FileManager.default.contents(atPath: $0) ?? Data()) }
    }

    /// Whether the pseudonym stands there, as bytes or as text. A place that is new does not compile until it is looked into.
    private func isThere(_ pseudonym: Pseudonym, _ place: RestingPlace) throws -> Bool {
        var raw: [UInt8] = []
        raw.append(bigEndian: pseudonym.value)
        let patterns = PatternSet([raw, Array(pseudonym.text.utf8)])
        func stands(in bytes: [UInt8]) -> Bool {
            var isFound = false
            patterns.forEachMatch(in: bytes.span) { _, _ in isFound = true }
            return isFound
        }
        func texts(_ path: String, _ sql: String) throws -> [UInt8] {
            let rows = try Connection(path: path, mode: .readOnly).prepare(sql)
            var all: [UInt8] = []
            while try rows.step() { all += rows.bytes(0) }
            return all
        }
        let journal = state + "/journal.sqlite"
        switch place {
        case .intake: return stands(in: bytes([state + "/journal.intake"]))
        case .journal:
            let batches = try Journal(path: journal).read(after: .none, bytesMax: 1 << 20)
            return stands(in: batches.flatMap(\.bytes))
        case .ledger:
            return try stands(
                in: texts(journal, "SELECT counts FROM tallies")
                    + texts(journal, "SELECT policy || fate FROM ledger")
                    + texts(journal, "SELECT policy FROM removed"))
        case .suppression:
            return try Journal(path: journal).suppression().users.contains(pseudonym)
        case .dataFiles:
            guard !dataFiles.isEmpty else { return false }
            let list = dataFiles.map { "'\($0)'" }.joined(separator: ", ")
            return try EngineConnection().text(
                "SELECT count(*) FROM read_parquet([\(list)]) WHERE \"user\" = '\(pseudonym.text)'")
                != "0"
        case .personIndex:
            // The filters of whatever data files there are or were; one of nobody is empty.
            let region = HitsTable.Settings(
                directory: state + "/lake/pixels/hits", lockPath: state + "/lake.lock",
                scratchDirectory: state + "/lake-scratch")
            return PersonIndexes(region).mayHold(SubjectFilter(users: [pseudonym]))
        case .scratch:
            return stands(
                in: bytes(
                    (try FileManager.default.contentsOfDirectory(atPath: state))
                        .filter { $0.contains("scratch") }.flatMap { files(state + "/" + $0) }))
        case .manifests:
            return stands(in: bytes(files(state + "/lake").filter { $0.contains("/metadata/") }))
        case .deadLetters:
            return try stands(
                in: texts(state + "/catalog.sqlite", "SELECT bytes FROM dead_letters"))
        case .outgoing:
            return try stands(
                in: texts(state + "/catalog.sqlite", "SELECT bytes FROM outgoing"))
        case .requests:
            return stands(
                in: bytes(["", "-wal", "-journal"].map { state + "/requests.sqlite" + $0 }))
        case .subjectKeys: return stands(in: bytes(files(state + "/keys")))
        case .erasedLedger: return stands(in: bytes([state + "/erased.ledger"]))
        case .audit: return stands(in: bytes(files(state + "/audit")))
        case .certificates: return stands(in: bytes(files(state + "/certificates")))
        case .exports: return stands(in: bytes(files(exports)))
        case .queryResults: return stands(in: bytes([result]))
        }
    }
}

extension FileManager {
    fileprivate func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }
}
