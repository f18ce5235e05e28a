import CordonJournal
import CordonKeys
import CordonModel
import CordonServer
import CordonSubjects
import Engine
import Foundation
import LinuxIO
import SQLite
import TestSupport
import Testing

@Suite struct `A trace that was left behind` {
    private let region: SubjectRegion
    private let pseudonym: Pseudonym

    init() throws {
        region = try SubjectRegion()
        try region.append(batches: 3)
        try region.deliver()
        _ = try region.erase()
        try region.expectGone()
        pseudonym = try #require(try region.subject().filter.users.min { $0.value < $1.value })
    }

    private var raw: [UInt8] {
        (0..<16).map { UInt8(truncatingIfNeeded: pseudonym.value >> UInt128(120 - 8 * $0)) }
    }

    private func plant(_ bytes: [UInt8], file path: String) throws -> String {
        try Directory.create(File.parent(of: path))
        try File.append(path, bytes, mode: 0o600, sync: false)
        return path
    }

    /// A row that was written and deleted again, in a file that keeps what is deleted on its free pages.
    private func plant(deletedIn path: String) throws -> String {
        let connection = try Connection(path: path)
        try connection.execute(
            """
            PRAGMA secure_delete = OFF;
            CREATE TABLE IF NOT EXISTS planted (bytes BLOB);
            INSERT INTO planted VALUES (x'\(pseudonym.text)');
            DELETE FROM planted;
            PRAGMA wal_checkpoint(TRUNCATE)
            """)
        return path
    }

    /// Brings what is in the write-ahead log into the file.
    private func fold(_ path: String) throws {
        #expect(try Connection(path: path).emptyLog(attemptsMax: 1))
    }

    /// Leaves the person's pseudonym in a place; returns the file in which it must be found. A place that is new does not compile
    /// until something is left there.
    private func plant(in place: RestingPlace) throws -> String {
        let state = region.region.stateDirectory
        let text = Array(pseudonym.text.utf8)
        switch place {
        case .intake:
            // What a delivery or an erasure that was cut short has not overwritten yet.
            let path = Journal.intakePath(of: region.region.journalPath)
            _ = try Intake(journal: region.region.journalPath)
            try File(opening: path, .readWrite).write(raw, at: 100_000)
            return path
        case .journal:
            var record = try region.record("customer-4711", 0)
            record.user = pseudonym
            let journal = try region.lake.journal()
            let batch = HitBatch(ruleSet: "r", geoBuild: "g", records: [record])
            _ = try journal.append(
                batch.encoded, hits: 1, expecting: journal.suppression().generation)
            try fold(region.region.journalPath)
            return region.region.journalPath
        case .ledger: return try plant(deletedIn: region.region.journalPath)
        case .suppression:
            let journal = try region.lake.journal()
            try journal.suppress(subjects: [], pseudonyms: [(.user, pseudonym)])
            try fold(region.region.journalPath)
            return region.region.journalPath
        case .dataFiles:
            // Packed, so that only who decodes the file sees it.
            let path = region.region.hitsTableDirectory + "/data/left.parquet"
            try Directory.create(File.parent(of: path))
            try EngineConnection().execute(
                """
                COPY (SELECT i, 'x' || CASE WHEN i = 70000 THEN '\(pseudonym.text)' ELSE 'other' END AS note
                      FROM range(100000) AS r (i)) TO '\(path)' (FORMAT parquet, COMPRESSION zstd)
                """)
            return path
        case .personIndex:
            return try plant(raw, file: state + "/lake-index/left.parquet.who")
        case .scratch: return try plant(raw, file: state + "/query-scratch/left")
        case .manifests:
            return try plant(text, file: region.region.hitsTableDirectory + "/metadata/left.avro")
        case .deadLetters: return try plant(deletedIn: region.region.catalogPath)
        case .outgoing:
            // As a hit that kept its pseudonym on the way would stand there.
            let catalog = try Connection(path: region.region.catalogPath)
            try catalog.execute(
                """
                INSERT INTO outgoing (id, table_name, destination, hits, bytes)
                VALUES ('left', 'pixels.hits', 'r2', 1, x'00\(pseudonym.text)00');
                PRAGMA wal_checkpoint(TRUNCATE)
                """)
            return region.region.catalogPath
        case .requests: return try plant(deletedIn: region.region.requestsPath)
        case .subjectKeys:
            // A key of the person that was not destroyed stands there under a digest.
            let owner = try #require(SubjectKeys.Owner(user: pseudonym, visitor: nil))
            _ = try SubjectKeys(creating: region.keys).keys(
                for: [owner: .init(day: SubjectRegion.day, retainUntil: SubjectRegion.day + 30)])
            return SubjectKeys.path(in: region.region.keysDirectory)
        case .erasedLedger: return try plant(raw, file: region.region.erasedLedgerPath)
        case .audit: return try plant(text, file: region.region.auditDirectory + "/left")
        case .certificates:
            return try plant(text, file: region.region.certificatesDirectory + "/left.json")
        case .exports: return try plant(text, file: state + "/export/left.csv")
        case .queryResults: return try plant(text, file: state + "/left.csv")
        }
    }

    /// How often the person is found in a file, its write-ahead log among it.
    private func places(_ path: String) throws -> Int {
        let found = try region.subjects.service().verify(
            region.subject(), request: SubjectRequest.newID())
        return found.traces.filter { $0.path.hasPrefix(path) }.reduce(0) { $0 + $1.places }
    }

    @Test func `is found in each place where something of a hit can come to rest`() throws {
        var last: [String: Int] = [:]
        for place in RestingPlace.allCases {
            let path = try plant(in: place)
            let found = try places(path)
            #expect(found > last[path, default: 0], "\(place)")
            last[path] = found
        }
    }

    @Test(arguments: [
        "SELECT i AS hit, 'x-' || upper(p) AS other FROM rows",
        "SELECT 'x' AS hit, CAST(p AS UUID) AS id FROM rows",
        "SELECT 1 AS hit, unhex(p) AS bytes FROM rows",
        "SELECT {'inner': [MAP {'key': p}]} AS nested, 'x' AS \"a \"\"b\" FROM rows",
    ])
    func `is found in a foreign file, whatever its columns are called and however they hold it`(
        _ query: String
    ) throws {
        let path = region.region.hitsTableDirectory + "/data/foreign.parquet"
        try Directory.create(File.parent(of: path))
        try EngineConnection().execute(
            """
            COPY (WITH rows AS (SELECT i, CASE WHEN i = 4000 THEN '\(pseudonym.text)' ELSE md5(i::VARCHAR) END AS p
                                FROM range(5000) AS r (i)) \(query))
            TO '\(path)' (FORMAT parquet, COMPRESSION zstd)
            """)
        #expect(try places(path) > 0)
    }
}
