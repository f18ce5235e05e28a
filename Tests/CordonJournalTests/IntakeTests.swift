import Foundation
import LinuxIO
import SQLite
import TestSupport
import Testing

@testable import CordonJournal

@Suite struct `A journal's intake` {
    private let directory: TemporaryDirectory
    private let path: String
    private let journal: Journal

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.file("journal.sqlite")
        journal = try Journal(path: path, busyTimeoutMilliseconds: 0)
    }

    private var intakePath: String { Journal.intakePath(of: path) }

    private func open(bytes: Int = 128 << 10) throws -> Intake {
        try #require(try Intake(journal: path, bytes: bytes))
    }

    /// Appends each of `batches` in one commit.
    private func append(
        _ batches: [[UInt8]], to intake: Intake, expecting generation: Int64 = 0
    ) throws -> Intake.Outcome {
        let joined = batches.flatMap { $0 }
        return try unsafe joined.withUnsafeBytes { bytes in
            var pending: [PendingBatch] = unsafe []
            var start = 0
            for batch in batches {
                let end = start + batch.count
                unsafe pending.append(
                    PendingBatch(
                        bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<end]),
                        hits: batch.count, tally: "p kept \(batch.count)\n"))
                start = end
            }
            return try unsafe intake.append(
                pending, expecting: generation, checking: journal, milliseconds: 0)
        }
    }

    private func isKept(_ outcome: Intake.Outcome) -> Bool {
        if case .kept = outcome { true } else { false }
    }

    private func found() throws -> [[UInt8]] {
        try Journal(path: path).read(after: .none, bytesMax: .max).map(\.bytes)
    }

    private func content() throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: intakePath)))
    }

    @Test func `is read as batches of the journal, in order and once, with their counts`() throws {
        var random = Generator()
        var appended: [[UInt8]] = []
        var intake = try open()
        for round in 0..<40 {
            if Int.random(in: 0..<6, using: &random) == 0 {
                // As after a kill: what an earlier run left is there, and appending goes on.
                withExtendedLifetime(consume intake) {}
                intake = try open()
            }
            let batches = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                random.bytes(count: Int.random(in: 1...6000, using: &random))
            }
            if case .full = try append(batches, to: intake) {
                try journal.takeIn()
                #expect(isKept(try append(batches, to: intake)), "seed \(random.seed)")
            }
            appended += batches
            if Bool.random(using: &random) {
                #expect(try found() == appended, "round \(round), seed \(random.seed)")
            }
        }
        #expect(try found() == appended, "seed \(random.seed)")
        let ledger = try journal.ledger(after: .none)
        #expect(ledger.counts.map(\.hits) == [Int64(appended.reduce(0) { $0 + $1.count })])
        #expect(try journal.depth().batches == appended.count)
        #expect(try journal.oldestMinute() != nil)
    }

    @Test func `is full when both halves wait, and goes on when they are taken in`() throws {
        let intake = try open(bytes: 32 << 10)
        let batch = [UInt8](repeating: 7, count: 5000)
        var appended = 0
        for _ in 0..<3 {
            while true {
                let outcome = try append([batch], to: intake)
                if case .full = outcome { break }
                #expect(isKept(outcome))
                appended += 1
            }
            try journal.takeIn()
        }
        #expect(appended == 12 || appended >= 8)
        #expect(try found().count == appended)
    }

    @Test func `refuses what no half holds`() throws {
        let outcome = try append(
            [[UInt8](repeating: 1, count: 70_000)], to: open(bytes: 128 << 10))
        guard case .tooLarge = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(try found() == [])
    }

    @Test func `has one appender at a time`() throws {
        let first = try open()
        #expect(try Intake(journal: path) == nil)
        withExtendedLifetime(consume first) {}
        #expect(try Intake(journal: path) != nil)
    }

    @Test
    func
        `takes nothing that was filtered by an older list, and a change of the list sees all before it`()
        throws
    {
        let intake = try open()
        #expect(isKept(try append([[1, 2, 3]], to: intake)))
        try journal.suppress(subjects: [77], pseudonyms: [])
        // It is in the journal already, where the sweep of an erasure looks.
        #expect(try Connection(path: path).integer("SELECT count(*) FROM batches") == 1)
        let error = #expect(throws: JournalError.self) { try append([[4]], to: intake) }
        #expect(error?.code == .suppressionChanged)
        #expect(isKept(try append([[5]], to: intake, expecting: 1)))
        #expect(try found() == [[1, 2, 3], [5]])
    }

    @Test func `keeps nothing of what was delivered, and of what was scrubbed nothing is on disk`()
        throws
    {
        let intake = try open()
        let secret = Array("0123456789abcdef-a-pseudonym".utf8)
        #expect(isKept(try append([secret], to: intake)))
        let number = try #require(try journal.read(after: .none, bytesMax: .max).last?.number)
        #expect(try content().firstRange(of: secret) != nil)
        try journal.delete(through: number)
        #expect(try content().firstRange(of: secret) == nil)
        #expect(isKept(try append([secret], to: intake)))
        try journal.scrub()
        #expect(try content().firstRange(of: secret) == nil)
        #expect(isKept(try append([[9]], to: intake)))
        #expect(try found() == [secret, [9]])
    }

    @Test func `a write that fails is not taken in, and the next one goes on`() throws {
        for fault in [FaultPlan.Fault.error(EIO), .tornWrite(EIO), .shortWrite] {
            for failing in 1...3 {
                let name = "\(fault)-\(failing)".filter(\.isLetter) + "\(failing).sqlite"
                let path = directory.file(name)
                let journal = try Journal(path: path)
                let intake = try #require(try Intake(journal: path, bytes: 32 << 10))
                let plan = FaultPlan(failing: failing, with: fault, among: [.write])
                var kept: [[UInt8]] = []
                try plan.run(on: Journal.intakePath(of: path)) { () throws in
                    for number: UInt8 in 0..<6 {
                        let bytes = [UInt8](repeating: number, count: 3000)
                        for attempt in 0..<2 {
                            let outcome = try? unsafe bytes.withUnsafeBytes { pointer in
                                try unsafe intake.append(
                                    [PendingBatch(bytes: pointer, hits: 1)], expecting: 0,
                                    checking: journal, milliseconds: 0)
                            }
                            if case .full = outcome {
                                try journal.takeIn()
                                #expect(attempt == 0)
                                continue
                            }
                            if case .kept = outcome { kept.append(bytes) }
                            break
                        }
                    }
                }
                #expect(plan.hasStruck)
                #expect(kept.count == (fault == .shortWrite ? 6 : 5), "\(fault), call \(failing)")
                #expect(
                    try journal.read(after: .none, bytesMax: .max).map(\.bytes) == kept,
                    "\(fault), call \(failing)")
            }
        }
    }

    @Test
    func `of a commit that was torn by a power failure it has all or nothing, and all before it`()
        throws
    {
        var random = Generator()
        let intake = try open(bytes: 256 << 10)
        var appended: [[UInt8]] = []
        var before = try content()
        var (lost, kept) = (0, 0)
        for round in 0..<10 {
            let bytes = random.bytes(count: Int.random(in: 1...20_000, using: &random))
            #expect(isKept(try append([bytes], to: intake)))
            appended.append(bytes)
            let after = try content()
            for attempt in 0..<8 {
                var torn = before
                for start in stride(from: 0, to: after.count, by: 512) {
                    let sector = start..<min(start + 512, after.count)
                    guard before[sector] != after[sector] else { continue }
                    switch attempt % 3 {
                    case 0 where random.chance(0.5): continue
                    case 1 where random.chance(0.1):
                        torn.replaceSubrange(sector, with: random.bytes(count: sector.count))
                    default: torn.replaceSubrange(sector, with: after[sector])
                    }
                }
                let copy = directory.file("torn-\(round)-\(attempt).sqlite")
                _ = try Journal(path: copy)
                try Data(torn).write(to: URL(fileURLWithPath: Journal.intakePath(of: copy)))
                let found = try Journal(path: copy).read(after: .none, bytesMax: .max)
                let place: Comment = "round \(round), attempt \(attempt), seed \(random.seed)"
                #expect(found.map(\.bytes) == Array(appended.prefix(found.count)), place)
                #expect(found.count >= round, place)
                if found.count == round { lost += 1 } else { kept += 1 }
                // Who goes on appending there never finds what was torn.
                let next = try #require(try Intake(journal: copy))
                withExtendedLifetime(next) {}
                #expect(try Journal(path: copy).depth().batches == found.count, place)
            }
            before = after
        }
        #expect(lost > 10 && kept > 5, "seed \(random.seed)")
    }

    @Test func `what it holds is not lost with the journal, nor when an older one comes back`()
        throws
    {
        let backup = directory.file("backup.sqlite")
        let intake = try open(bytes: 32 << 10)
        #expect(isKept(try append([[1]], to: intake)))
        try journal.takeIn()
        try journal.scrub()
        try FileManager.default.copyItem(atPath: path, toPath: backup)
        // Some turns later.
        for number: UInt8 in 0..<20 {
            let bytes = [UInt8](repeating: number, count: 3000)
            if case .full = try append([bytes], to: intake) {
                try journal.delete(through: journal.depth().last)
                #expect(isKept(try append([bytes], to: intake)))
            }
        }
        try journal.delete(through: journal.depth().last)
        #expect(isKept(try append([[2]], to: intake)))
        withExtendedLifetime(consume intake) {}
        for restored in [true, false] {
            let other = directory.file("restored-\(restored).sqlite")
            if restored { try FileManager.default.copyItem(atPath: backup, toPath: other) }
            try FileManager.default.copyItem(
                atPath: intakePath, toPath: Journal.intakePath(of: other))
            let next = try #require(try Intake(journal: other))
            withExtendedLifetime(next) {}
            let found = try Journal(path: other).read(after: .none, bytesMax: .max).map(\.bytes)
            #expect(found == (restored ? [[1], [2]] : [[2]]))
        }
    }

    @Test func `a full journal is still read and delivered, and then has room for what waits`()
        throws
    {
        let small = try Journal(path: path, bytesMax: 28 * Journal.pageBytes)
        let intake = try open(bytes: 2 << 20)
        let early = [UInt8](repeating: 3, count: 60_000)
        let late = [UInt8](repeating: 4, count: 60_000)
        for _ in 0..<14 { _ = try small.append(early, hits: 1, expecting: 0) }
        for _ in 0..<8 { #expect(isKept(try append([late], to: intake))) }
        let error = #expect(throws: JournalError.self) { try small.takeIn() }
        #expect(error?.code == .full)
        let waiting = try small.read(after: .none, bytesMax: .max)
        #expect(waiting.map(\.bytes) == Array(repeating: early, count: 14))
        try small.delete(through: try #require(waiting.last?.number))
        #expect(
            try small.read(after: .none, bytesMax: .max).map(\.bytes)
                == Array(repeating: late, count: 8))
        // Where not even that makes room, what was delivered goes all the same.
        for _ in 0..<5 { _ = try small.append(early, hits: 1, expecting: 0) }
        for _ in 0..<12 { #expect(isKept(try append([late], to: intake))) }
        let next = try #require(try small.read(after: .none, bytesMax: 1).last)
        try small.delete(through: next.number)
        #expect(try small.depth().batches == 12)
        try small.delete(through: small.depth().last)
        #expect(try small.depth().batches == 12)
    }

    @Test func `another file in its place is refused and named a damaged one`() throws {
        try Data(repeating: 0x41, count: 20_000).write(to: URL(fileURLWithPath: intakePath))
        let error = #expect(throws: JournalError.self) { try Intake(journal: path) }
        #expect(error?.code == .unreadable)
    }
}
