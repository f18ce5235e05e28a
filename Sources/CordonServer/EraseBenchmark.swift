import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
package import CordonModel
import CordonSubjects
import Engine
import Foundation
import LinuxIO

/// How much it costs to find and to erase people in a lake of many files.
package struct EraseBenchmark: Sendable {
    package private(set) var files = 0
    package private(set) var bytes: Int64 = 0
    /// Share of the lake's bytes that the process read to find one person, metadata and filters included, in percent.
    package private(set) var findPercent = 0.0
    package private(set) var findSeconds = 0.0
    /// One person's files written anew, and those of many people in one pass.
    package private(set) var one = Rewriting()
    package private(set) var many = Rewriting()
    package private(set) var people = 0
    /// One person who is in every file: as many bytes are touched as by many people.
    package private(set) var everywhere = Rewriting()
    /// The engine's own copies of all files with the same condition, without digests, filters, snapshot or sync. They are made last, so
    /// that they do not count as memory of an erasure: the many are gone by then.
    package private(set) var copies = Rewriting()
    /// A whole erasure of one person, reading everything at its end.
    package private(set) var wholeSeconds = 0.0
    /// Bytes read in a second to see that nothing of a person is left.
    package private(set) var verifiedBytesPerSecond = 0.0
    /// Most memory that the process had while it found and erased people, in bytes.
    package private(set) var memoryBytes = 0

    /// Files written anew.
    package struct Rewriting: Sendable {
        package private(set) var files = 0
        /// Those of them that were written page by page; the engine wrote all others.
        package private(set) var filesByPages = 0
        /// Of the files before, whole.
        package private(set) var bytes: Int64 = 0
        /// By the clock, from looking for the people to the new snapshot.
        package private(set) var seconds = 0.0
        /// Of all cores together.
        package private(set) var coreSeconds = 0.0

        package var bytesPerCoreSecond: Double { Double(bytes) / max(coreSeconds, 1e-9) }

        /// How often as much processor time it took as `other`, for the same bytes.
        package func times(_ other: Rewriting) -> Double {
            other.bytesPerCoreSecond / max(bytesPerCoreSecond, 1e-9)
        }

        /// Adds what `body` does to the files that it gives, with the bytes of each and how many were written page by page.
        mutating func measure(_ body: () throws -> (bytes: [Int64], byPages: Int)) rethrows {
            let (stopwatch, processor) = (ContinuousClock(), Foundation.clock())
            let begun = stopwatch.now
            let (touched, byPages) = try body()
            seconds += (stopwatch.now - begun) / .seconds(1)
            coreSeconds += Double(Foundation.clock() - processor) / Double(CLOCKS_PER_SEC)
            files += touched.count
            filesByPages += byPages
            bytes += touched.reduce(0, +)
        }
    }

    /// Days that each delivery spreads over: it makes one file a day.
    private static let days = 25
    private static let hitsPerBatch = 500

    /// Fills a region's empty lake with `files` files of `hitsPerFile` hits, and takes people out of it.
    ///
    /// - Parameters:
    ///   - population: how many people the hits are of.
    ///   - people: how many of them one list names.
    package static func run(
        _ region: RegionConfiguration, files: Int, hitsPerFile: Int, population: Int, people: Int
    ) throws -> EraseBenchmark {
        let (lake, users, today) = try emptyLake(region, population: population)
        for start in stride(from: 0, to: files, by: days) {
            try fill(
                lake, users, from: start * hitsPerFile,
                days: (0..<min(days, files - start)).map { today + -$0 }, hitsPerDay: hitsPerFile)
        }

        var result = EraseBenchmark()
        result.people = people
        let present = try lake.table.snapshot()
        result.files = present.files.count
        result.bytes = present.bytes
        let stopwatch = ContinuousClock()
        try ProcessMemory.resetPeak()
        let one = SubjectFilter(users: [users[population - 1]])
        try lake.table.write { writer in
            let (begun, read) = (stopwatch.now, try ProcessReads.bytes())
            _ = try writer.count(one)
            result.findSeconds = (stopwatch.now - begun) / .seconds(1)
            result.findPercent =
                Double(try ProcessReads.bytes() - read) * 100 / Double(max(1, present.bytes))
            try result.one.measure { try rewrite(writer, one) }
            let everywhere = SubjectFilter(users: [users[regular(among: population)]])
            try result.everywhere.measure { try rewrite(writer, everywhere) }
            let many = Array(users.prefix(people))
            try result.many.measure { try rewrite(writer, SubjectFilter(users: Set(many))) }
            _ = try writer.expireAllButCurrent()
        }
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        let subjects = RegionSubjects(lake, keys: keys, log: log, clock: SystemWallClock())
        var begun = stopwatch.now
        let subject = try NamedSubjectTransform(keys).apply(.user(id(population - 2))).get()
        _ = try subjects.service().erase(
            request: SubjectRequest.newID(), percentMax: 100
        ) { subject }
        result.wholeSeconds = (stopwatch.now - begun) / .seconds(1)
        begun = stopwatch.now
        let seen = try subjects.service().verify(subject, request: SubjectRequest.newID())
        result.verifiedBytesPerSecond =
            Double(seen.bytes) / ((stopwatch.now - begun) / .seconds(1))
        result.memoryBytes = try ProcessMemory.peakBytes()
        let copy = try EngineCopy(of: lake, without: Array(users.prefix(people)))
        try result.copies.measure {
            let bytes = try lake.table.snapshot().files.map { file in
                try copy.write(file.path)
                return file.bytes
            }
            return (bytes, 0)
        }
        return result
    }

    /// Takes people out, and gives the sizes of the files that held them and how many of them were written page by page.
    static func rewrite(
        _ writer: LakeWriter, _ people: SubjectFilter
    ) throws -> (bytes: [Int64], byPages: Int) {
        let sizes = Dictionary(
            uniqueKeysWithValues: try writer.dataFiles().map { ($0.path, $0.bytes) })
        let report = try writer.rewrite(removing: people)
        return (report.filesBefore.map { sizes[$0] ?? 0 }, report.filesByPages)
    }

    /// Who has a hit in every file.
    private static func regular(among population: Int) -> Int { population - 3 }

    private static func id(_ number: Int) -> [UInt8] { Array("person-\(number)".utf8) }

    /// A region's lake, which has nothing in it yet, and the pseudonyms of so many people.
    static func emptyLake(
        _ region: RegionConfiguration, population: Int
    ) throws -> (lake: RegionLake, users: [Pseudonym], today: Day) {
        let clock = SystemWallClock()
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let today = Day(clock.now())
        guard let key = try keys.pseudonymKey(.user, .year, today, creating: true) else {
            preconditionFailure("a key that is to be made exists")
        }
        let users = (0..<population).map { key.pseudonym(user: id($0).span) }
        return (try RegionLake(region, clock: clock), users, today)
    }

    /// Delivers hits of these days: one file a day.
    ///
    /// - Parameter first: how many hits were made before; each is another.
    static func fill(
        _ lake: RegionLake, _ users: [Pseudonym], from first: Int, days: [Day], hitsPerDay: Int
    ) throws {
        let journal = try lake.journal()
        let generation = try journal.suppression().generation
        let hits = days.count * hitsPerDay
        let regular = users[regular(among: users.count)]
        for start in stride(from: 0, to: hits, by: hitsPerBatch) {
            let records = (start..<min(hits, start + hitsPerBatch)).map {
                var record = record(first + $0 + 1, day: days[$0 % days.count], users)
                if $0 < days.count { record.user = regular }
                return record
            }
            let batch = HitBatch(
                ruleSet: String(repeating: "5", count: 64), geoBuild: "benchmark",
                records: records)
            _ = try journal.append(batch.encoded, hits: records.count, expecting: generation)
        }
        _ = try lake.table.deliver(from: journal)
    }

    private static func record(_ number: Int, day: Day, _ users: [Pseudonym]) -> HitRecord {
        // A multiplicative hash spreads the number over all bits; overflow is its working.
        let spread = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
        var record = HitRecord()
        record.hitID = UInt128(number) << 64 | UInt128(spread)
        record.timestamp = Timestamp(
            microseconds: day.start.microseconds + Int64(spread >> 28))
        record.site = "shop-\(spread >> 60).example"
        record.event = spread & 15 == 0 ? "purchase" : "view"
        record.pageHost = record.site
        record.pagePath = "/articles/\(spread >> 50)"
        let person = Int(spread >> 20) % users.count
        record.user = users[person]
        // Everybody comes from one device; as above the overflow is the working.
        let visitor = UInt64(person) &* 0xD134_2543_DE82_EF95
        record.visitor = Pseudonym(
            value: UInt128(visitor &* 0x9E37_79B9_7F4A_7C15) << 64 | UInt128(visitor))
        record.keyEpoch = day
        record.country = ["DE", "FR", "NL", "ES"][number & 3]
        record.browser = "Firefox"
        record.consent = .granted
        record.purposes = ["audience-measurement"]
        record.policy = "gdpr"
        record.retainUntil = day + 395
        return record
    }
}

/// The engine's own way to write files without some people, on one thread: with more it would count the core on which it waits.
struct EngineCopy {
    private let engine: EngineConnection
    private let path: String
    private let rowGroupRows: Int

    init(of lake: RegionLake, without people: [Pseudonym]) throws {
        path = lake.region.stateDirectory + "/copy.parquet"
        rowGroupRows = lake.table.settings.rowGroupRows
        engine = try EngineConnection(settings: [("threads", "1")])
        try engine.execute("CREATE TABLE people (pseudonym VARCHAR)")
        let table = IngestTable([("pseudonym", .utf8)])
        for person in people { table.columns[0].append(person.text) }
        try engine.ingest(table, into: "people")
    }

    /// Writes a file's other rows, over what it wrote before.
    func write(_ file: String) throws {
        try engine.execute(
            """
            COPY (SELECT * FROM read_parquet(\(EngineText.path(file)), hive_partitioning = false)
                  WHERE coalesce("user" NOT IN (SELECT pseudonym FROM people), true))
            TO \(EngineText.literal(path)) (FORMAT parquet, COMPRESSION zstd,
                ROW_GROUP_SIZE \(rowGroupRows), WRITE_BLOOM_FILTER false)
            """)
    }
}
