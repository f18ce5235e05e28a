import CordonJournal
import CordonModel
import Foundation
import SQLite
import TestSupport
import Testing

/// The journal's two files as a power failure may leave them.
@Suite struct `A journal whose last write was torn` {
    private let directory: TemporaryDirectory
    private let path: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.file("journal.sqlite")
    }

    /// The bytes of the file and of its write-ahead log.
    private struct Image {
        var file: [UInt8]
        var log: [UInt8]

        init(of path: String) throws {
            file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            log = [UInt8](FileManager.default.contents(atPath: path + "-wal") ?? Data())
        }

        func write(to path: String) throws {
            try Data(file).write(to: URL(fileURLWithPath: path))
            try Data(log).write(to: URL(fileURLWithPath: path + "-wal"))
        }
    }

    private static let sectorBytes = 512

    /// `old` with some of the sectors that differ in `new` written, some not, and some left as neither. Bytes that were not
    /// being written keep their values, which SQLite takes for granted too (sqlite.org/psow.html).
    private static func tear(
        _ old: [UInt8], _ new: [UInt8], _ random: inout Generator
    ) -> [UInt8] {
        let growth = max(0, new.count - old.count)
        var torn = old
        if new.count > old.count {
            // The length reaches the disk apart from the bytes.
            torn += [UInt8](repeating: 0, count: Int.random(in: 0...growth, using: &random))
        }
        let style = Int.random(in: 0..<3, using: &random)
        let cut = Int.random(in: 0...new.count, using: &random)
        for start in stride(from: 0, to: min(torn.count, new.count), by: sectorBytes) {
            let range = start..<min(start + sectorBytes, torn.count, new.count)
            let isChanged =
                range.upperBound > old.count || old[range] != new[range]
            guard isChanged else { continue }
            switch style {
            case 0: if range.upperBound <= cut { torn.replaceSubrange(range, with: new[range]) }
            case 1: if random.chance(0.7) { torn.replaceSubrange(range, with: new[range]) }
            default:
                if random.chance(0.1) {
                    for index in range where index >= old.count || old[index] != new[index] {
                        torn[index] = UInt8.random(in: .min ... .max, using: &random)
                    }
                } else if random.chance(0.9) {
                    torn.replaceSubrange(range, with: new[range])
                }
            }
        }
        return torn
    }

    @Test func `what was synced is there, and of the commit under way all or nothing`() throws {
        var random = Generator()
        let journal = try Journal(path: path)
        var appended: [[UInt8]] = []
        var before = try Image(of: path)
        var (lost, kept) = (0, 0)
        for round in 0..<14 {
            if round % 5 == 4 {
                // Folded into the file: the next commit starts the log anew, over the old one.
                try Connection(path: path).execute("PRAGMA wal_checkpoint(PASSIVE)")
                before = try Image(of: path)
            }
            let bytes = random.bytes(count: Int.random(in: 1...60_000, using: &random))
            _ = try journal.append(bytes, hits: round + 1, expecting: 0)
            appended.append(bytes)
            let after = try Image(of: path)
            for attempt in 0..<10 {
                var torn = before
                // A commit writes to the log alone, so a tear can only lie there.
                #expect(before.file == after.file)
                torn.log = Self.tear(before.log, after.log, &random)
                if before.log.prefix(32) != after.log.prefix(32), !before.log.isEmpty {
                    // A log that starts anew has its header synced before the frames behind it.
                    torn.log.replaceSubrange(0..<32, with: after.log.prefix(32))
                }
                let copy = directory.file("torn-\(round)-\(attempt).sqlite")
                try torn.write(to: copy)
                let found = try Journal(path: copy).read(after: .none, bytesMax: .max)
                let place: Comment = "round \(round), attempt \(attempt), seed \(random.seed)"
                #expect(found.map(\.bytes) == Array(appended.prefix(found.count)), place)
                #expect(found.count >= round, place)
                let ledger = try Journal(path: copy).ledger(after: .none)
                #expect(
                    ledger.counts.reduce(0) { $0 + $1.hits }
                        == Int64(found.reduce(0) { $0 + $1.hits }), place)
                if found.count == round { lost += 1 } else { kept += 1 }
            }
            before = after
        }
        // Both happen, or the tears tear nothing.
        #expect(lost > 10 && kept > 0, "seed \(random.seed)")
    }

    @Test func `a fold of the log into the file that is torn loses nothing`() throws {
        var random = Generator()
        let journal = try Journal(path: path)
        var appended: [[UInt8]] = []
        for round in 0..<8 {
            for _ in 0..<3 {
                let bytes = random.bytes(count: Int.random(in: 1...40_000, using: &random))
                _ = try journal.append(bytes, hits: 1, expecting: 0)
                appended.append(bytes)
            }
            let before = try Image(of: path)
            try Connection(path: path).execute("PRAGMA wal_checkpoint(PASSIVE)")
            let after = try Image(of: path)
            for attempt in 0..<6 {
                var torn = before
                // Folding writes to the file alone; the log is intact until the next commit after its sync.
                torn.file = Self.tear(before.file, after.file, &random)
                let copy = directory.file("fold-\(round)-\(attempt).sqlite")
                try torn.write(to: copy)
                let found = try Journal(path: copy).read(after: .none, bytesMax: .max)
                #expect(
                    found.map(\.bytes) == appended,
                    "round \(round), attempt \(attempt), seed \(random.seed)")
            }
        }
    }
}
