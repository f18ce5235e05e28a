import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
package import CordonModel
import CordonSubjects
import Foundation
import LinuxIO

/// How much it costs to find and to erase people in a lake of many files.
package struct EraseBenchmark: Sendable {
    package private(set) var files = 0
    package private(set) var bytes: Int64 = 0
    /// Share of the lake's bytes that are read to find one person: filters, and files that may hold them, in percent.
    package private(set) var findPercent = 0.0
    package private(set) var findSeconds = 0.0
    /// Files that one person has rows in, and the time of writing them anew.
    package private(set) var oneFiles = 0
    package private(set) var oneSeconds = 0.0
    /// Bytes of touched files written anew in a second of one core, many people at once.
    package private(set) var bytesPerCoreSecond = 0.0
    package private(set) var people = 0
    package private(set) var manyFiles = 0
    package private(set) var manySeconds = 0.0
    /// A whole erasure of one person, reading everything at its end.
    package private(set) var wholeSeconds = 0.0
    /// Bytes read in a second to see that nothing of a person is left.
    package private(set) var verifiedBytesPerSecond = 0.0
    /// Most memory that the process had, in bytes.
    package private(set) var memoryBytes = 0

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
        let one = SubjectFilter(users: [users[population - 1]])
        let stopwatch = ContinuousClock()
        try lake.table.write { writer in
            var begun = stopwatch.now
            let (candidates, read) = try writer.candidates(one)
            let found = candidates.reduce(read) { $0 + $1.bytes }
            result.findPercent = Double(found) * 100 / Double(max(1, present.bytes))
            _ = try writer.count(one)
            result.findSeconds = (stopwatch.now - begun) / .seconds(1)
            begun = stopwatch.now
            result.oneFiles = try writer.rewrite(removing: one).filesBefore.count
            result.oneSeconds = (stopwatch.now - begun) / .seconds(1)
            let many = SubjectFilter(users: Set(users.prefix(people)))
            let sizes = Dictionary(
                uniqueKeysWithValues: try writer.dataFiles().map { ($0.path, $0.bytes) })
            begun = stopwatch.now
            let processor = Foundation.clock()
            let report = try writer.rewrite(removing: many)
            let cores = Double(Foundation.clock() - processor) / Double(CLOCKS_PER_SEC)
            result.manySeconds = (stopwatch.now - begun) / .seconds(1)
            result.manyFiles = report.filesBefore.count
            let touched = report.filesBefore.reduce(0) { $0 + (sizes[$1] ?? 0) }
            result.bytesPerCoreSecond = Double(touched) / max(cores, 1e-9)
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
        return result
    }

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
        for start in stride(from: 0, to: hits, by: hitsPerBatch) {
            let records = (start..<min(hits, start + hitsPerBatch)).map {
                record(first + $0 + 1, day: days[$0 % days.count], users)
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
