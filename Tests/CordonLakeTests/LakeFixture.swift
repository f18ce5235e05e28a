import CordonCatalog
import CordonJournal
import CordonLake
import CordonModel
import Engine
import Foundation
import Synchronization
import TestSupport
import Testing

extension Catalog: TableCatalog {}

/// A clock that moves on by a second each time it is read.
final class SteppingClock: WallClock {
    private let microseconds = Mutex<Int64>(1_790_000_000_000_000)
    func now() -> Timestamp {
        microseconds.withLock {
            $0 += 1_000_000
            return Timestamp(microseconds: $0)
        }
    }
}

/// A clock that stands until a test sets it.
final class SetClock: WallClock {
    private let microseconds: Mutex<Int64>
    init(_ day: Day) { microseconds = Mutex(day.start.microseconds) }
    func now() -> Timestamp { Timestamp(microseconds: microseconds.withLock { $0 }) }
    func advance(seconds: Int64) { microseconds.withLock { $0 += seconds * 1_000_000 } }
}

struct Killed: Error {}

extension LakeStep {
    /// Those that writing files of the table anew comes to.
    static let ofRewriting = allCases.filter {
        ![.journalTrimmed, .deadLettersRemoved, .orphansNoted].contains($0)
    }
}

/// A region's lake and journal in a folder of the test's own.
final class LakeFixture {
    let directory: TemporaryDirectory
    let catalog: Catalog
    let journal: Journal
    let events = EventList()
    var settings: HitsTable.Settings

    final class EventList: Sendable {
        let all = Mutex<[LakeEvent]>([])
    }

    init() throws {
        directory = try TemporaryDirectory()
        catalog = try Catalog(path: directory.file("catalog.sqlite"))
        journal = try Journal(path: directory.file("journal.sqlite"))
        settings = HitsTable.Settings(
            directory: directory.file("lake/pixels/hits"), lockPath: directory.file("lake.lock"),
            scratchDirectory: directory.file("scratch"))
        settings.engineThreads = 1
        // The clock of these tests begins again with each table, so ages would mean nothing.
        settings.snapshotSecondsMin = 0
        settings.engineMegabytesMax = 256
    }

    /// - Parameters:
    ///   - clock: nil for one that begins anew.
    ///   - gate: what may not be removed.
    ///   - erased: somebody who was erased, as a ledger knows them.
    func table(
        clock: (any WallClock)? = nil, gate: RemovalGate = RemovalGate(), erased: Pseudonym? = nil,
        step: @escaping @Sendable (LakeStep) throws -> Void = { _ in }
    ) -> HitsTable {
        let events = events
        return HitsTable(
            settings, catalog: catalog, clock: clock ?? SteppingClock(),
            audit: { event in events.all.withLock { $0.append(event) } }, gate: { gate },
            erased: { { record in erased.map { record.user == $0 } ?? false } }, step: step)
    }

    /// Puts the records into the journal, `perBatch` to a batch.
    func append(_ records: [HitRecord], perBatch: Int = 10) throws {
        for start in stride(from: 0, to: records.count, by: perBatch) {
            let part = Array(records[start..<min(start + perBatch, records.count)])
            let batch = HitBatch(ruleSet: "rules-1", geoBuild: "geo-1", records: part)
            _ = try journal.append(batch.encoded, hits: part.count, expecting: 0)
        }
    }

    /// Puts the records into the journal and delivers them.
    func deliver(_ records: [HitRecord], clock: SetClock? = nil) throws {
        try append(records)
        _ = try table(clock: clock).deliver(from: journal)
    }

    /// Delivers so many random hits so many times, ten seconds apart on a clock that is given; all of them.
    @discardableResult
    func fill(
        _ generator: inout Generator, deliveries: Int, hits: Int, clock: SetClock? = nil
    ) throws -> [HitRecord] {
        var records: [HitRecord] = []
        for _ in 0..<deliveries {
            let more = HitRecord.random(count: hits, &generator)
            records += more
            try deliver(more, clock: clock)
            clock?.advance(seconds: 10)
        }
        return records
    }

    /// Whether `work` was killed, whose table is dead from where it reaches `step` for the `occurrence`-th time.
    func killing(
        at step: LakeStep, occurrence: Int = 1, clock: SetClock? = nil,
        _ work: (HitsTable) throws -> Void
    ) throws -> Bool {
        let seen = Mutex(0)
        let dying = table(clock: clock) { reached in
            guard reached == step else { return }
            let count = seen.withLock {
                $0 += 1
                return $0
            }
            if count >= occurrence { throw Killed() }
        }
        do {
            try work(dying)
        } catch is Killed {
            return true
        }
        // Nobody takes the kill for a failure that can be lived with.
        #expect(seen.withLock { $0 } < occurrence)
        return false
    }

    /// The first column of a query in which `hits` stands for all rows of the current snapshot.
    func query(_ sql: String) throws -> [String] {
        let files = try table().snapshot().files
        let list = files.map { "'\($0.path)'" }.joined(separator: ", ")
        let connection = try EngineConnection(settings: [("threads", "1")])
        let source =
            files.isEmpty
            ? "SELECT NULL AS hit_id, NULL AS visitor LIMIT 0"
            : "SELECT * FROM read_parquet([\(list)])"
        try connection.execute("CREATE VIEW hits AS \(source)")
        return try connection.query(sql).rows().map { $0[0] ?? "" }
    }

    /// Ids of all hits in the current snapshot, sorted.
    func hitIDs() throws -> [String] {
        try query("SELECT CAST(hit_id AS VARCHAR) FROM hits ORDER BY 1")
    }

    /// Every file below the lake.
    func filesOnDisk() throws -> [String] {
        let base = settings.directory
        guard let walker = FileManager.default.enumerator(atPath: base) else { return [] }
        var paths: [String] = []
        while let name = walker.nextObject() as? String {
            var isDirectory: ObjCBool = false
            let path = base + "/" + name
            if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory),
                !isDirectory.boolValue
            {
                paths.append(path)
            }
        }
        return paths.sorted()
    }
}

extension HitRecord {
    /// A hit with every column filled or left out at random, on one of two days and with one of two ends of retention.
    static func random(_ generator: inout Generator, people: Int = 20) -> HitRecord {
        func text(_ name: String, _ choices: Int) -> String {
            "\(name)-\(Int.random(in: 0..<choices, using: &generator))'é"
        }
        func maybe<Value>(_ make: () -> Value) -> Value? { generator.chance(0.7) ? make() : nil }
        var record = HitRecord()
        record.hitID = .random(in: .min ... .max, using: &generator)
        let day = Day(number: 20_700 + Int32.random(in: 0...1, using: &generator))
        record.timestamp = Timestamp(
            microseconds: day.start.microseconds
                + .random(in: 0..<Timestamp.microsecondsPerDay, using: &generator))
        record.site = text("a-site-with-a-long-name", 3)
        record.event = text("event", 3)
        record.pageHost = maybe { text("host", 5) }
        record.pagePath = maybe { text("/path", 50) }
        record.referrerHost = maybe { text("referrer", 5) }
        record.visitor = maybe { .person(.random(in: 0..<people, using: &generator), 1) }
        record.user = maybe { .person(.random(in: 0..<people, using: &generator), 2) }
        record.keyEpoch = record.user == nil ? nil : day
        record.ipPrefix = maybe { "203.0.113.0/24" }
        record.country = maybe { ["DE", "FR", "US"].randomElement(using: &generator)! }
        record.subdivision = maybe { "US-CA" }
        record.browser = maybe { text("browser", 4) }
        record.os = maybe { text("os", 4) }
        record.device = maybe { text("device", 4) }
        record.language = maybe { "de" }
        record.consent = ConsentState.allCases.randomElement(using: &generator)!
        record.purposes = generator.chance(0.5) ? ["audience-measurement", "advertising"] : []
        record.signals = generator.chance(0.5) ? ["gpc"] : []
        record.isBot = generator.chance(0.1)
        record.policy = ["gdpr", "world"].randomElement(using: &generator)!
        record.sampleRate = generator.chance(0.5) ? 1 : 0.25
        record.retainUntil = Day(number: 21_000 + Int32.random(in: 0...1, using: &generator))
        record.parameters = (0..<Int.random(in: 0...3, using: &generator)).map {
            .init(key: "key\($0)", value: text("value", 9))
        }
        return record
    }

    static func random(count: Int, _ generator: inout Generator) -> [HitRecord] {
        (0..<count).map { _ in random(&generator) }
    }

    /// The hit's id as the engine prints it.
    var idText: String {
        let digits = Array(String(hitID, radix: 16))
        let padded = String(repeating: "0", count: 32 - digits.count) + String(digits)
        let units = Array(padded)
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(units[$0]) }
            .joined(separator: "-")
    }
}

extension Pseudonym {
    static func person(_ number: Int, _ field: Int) -> Pseudonym {
        Pseudonym(
            value: UInt128(field) << 120 | UInt128(number)
                &* 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
    }
}
