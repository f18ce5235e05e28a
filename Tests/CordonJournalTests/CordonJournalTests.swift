import CordonJournal
import CordonModel
import Foundation
import SQLite
import TestSupport
import Testing

@Suite struct `Journal files` {
    let directory: TemporaryDirectory
    let path: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.file("journal.sqlite")
    }

    func openJournal(timeout: Int32 = 0, bytesMax: Int = 0) throws -> Journal {
        try Journal(path: path, busyTimeoutMilliseconds: timeout, bytesMax: bytesMax)
    }

    @Test func `what was appended is read in order by another connection`() throws {
        let writer = try openJournal()
        for number in 1...20 {
            let bytes = [UInt8](repeating: UInt8(number), count: number * 100)
            let given = try writer.append(bytes, hits: number, expecting: 0)
            #expect(given == BatchNumber(Int64(number)))
        }
        let reader = try openJournal()
        let all = try reader.read(after: .none, bytesMax: .max)
        #expect(all.map(\.number.value) == Array(1...20))
        #expect(all.map(\.hits) == Array(1...20))
        #expect(all[6].bytes == [UInt8](repeating: 7, count: 700))
        #expect(try reader.read(after: BatchNumber(18), bytesMax: 1).map(\.number.value) == [19])
        #expect(
            try reader.depth()
                == JournalDepth(
                    batches: 20, hits: 210, bytes: 21_000, last: BatchNumber(20)))
    }

    @Test func `what waits is counted look by look as at once`() throws {
        let writer = try openJournal()
        let reader = try openJournal()
        var random = Generator()
        var counter = DepthCounter()
        for look in 0..<3 * DepthCounter.looksMax {
            switch Int.random(in: 0..<8, using: &random) {
            case 0: break
            case 1:
                // A delivery of some, of all, or of none.
                let last = Int64.random(in: 0...Int64(look), using: &random)
                try writer.delete(through: BatchNumber(last))
            default:
                let bytes = random.bytes(count: Int.random(in: 1...40, using: &random))
                _ = try writer.append(bytes, hits: bytes.count, expecting: 0)
            }
            let counted = try counter.look(at: reader)
            #expect(try counted == reader.depth(), "look \(look), seed \(random.seed)")
        }
    }

    @Test func `what changed in the middle is counted after some looks`() throws {
        let journal = try openJournal()
        for hits in 1...3 { _ = try journal.append([1, 2], hits: hits, expecting: 0) }
        var counter = DepthCounter()
        #expect(try counter.look(at: journal).hits == 6)
        let other = try Connection(path: path)
        try other.execute("DELETE FROM batches WHERE number = 2")
        for _ in 0..<DepthCounter.looksMax { _ = try counter.look(at: journal) }
        #expect(try counter.look(at: journal).hits == 4)
    }

    @Test func `a number is never given twice, not even after everything was deleted`() throws {
        let journal = try openJournal()
        _ = try journal.append([1], hits: 1, expecting: 0)
        let last = try journal.append([2], hits: 1, expecting: 0)
        try journal.delete(through: last)
        #expect(try journal.read(after: .none, bytesMax: .max).isEmpty)
        let again = try openJournal()
        #expect(try again.append([3], hits: 1, expecting: 0) == BatchNumber(3))
    }

    @Test func `batches of several loops are one transaction`() throws {
        let journal = try openJournal()
        let last = [UInt8](repeating: 9, count: 64).withUnsafeBytes { bytes in
            let batch = PendingBatch(bytes: bytes, hits: 2)
            return try? journal.append([batch, batch, batch], expecting: 0)
        }
        #expect(last == BatchNumber(3))
        #expect(try journal.depth().hits == 6)
    }

    @Test func `a locked file is an error and nothing is kept`() throws {
        let journal = try openJournal()
        _ = try journal.append([1], hits: 1, expecting: 0)
        let other = try Connection(path: path)
        try other.execute("BEGIN IMMEDIATE")
        #expect(throws: JournalError.self) { try journal.append([2], hits: 1, expecting: 0) }
        do {
            _ = try journal.append([2], hits: 1, expecting: 0)
        } catch {
            #expect(error.code == .locked)
        }
        try other.execute("ROLLBACK")
        #expect(try journal.append([3], hits: 1, expecting: 0) == BatchNumber(2))
        #expect(try journal.depth().batches == 2)
    }

    @Test func `a full disk is an error, nothing of the batch is kept, and earlier batches stay`()
        throws
    {
        let journal = try openJournal(bytesMax: 20 * Journal.pageBytes)
        let large = [UInt8](repeating: 5, count: 4 * Journal.pageBytes)
        var kept = 0
        var failure: JournalError?
        while failure == nil, kept < 100 {
            do {
                _ = try journal.append(large, hits: 1, expecting: 0)
                kept += 1
            } catch {
                failure = error
            }
        }
        #expect(failure?.code == .full)
        #expect(kept >= 1)
        #expect(try journal.depth().batches == kept)
        try journal.delete(through: BatchNumber(Int64(kept)))
        _ = try journal.append(large, hits: 1, expecting: 0)
        #expect(try journal.depth().batches == 1)
    }

    @Test func `an append under an older suppression list fails until the new one was looked at`()
        throws
    {
        let journal = try openJournal()
        #expect(try journal.suppression() == Suppression())
        let user = Pseudonym(value: 7)
        let visitor = Pseudonym(value: 8)
        let other = try openJournal()
        try other.suppress(subjects: [1 << 127], pseudonyms: [(.user, user), (.visitor, visitor)])
        do {
            _ = try journal.append([1], hits: 1, expecting: 0)
            Issue.record("the append must fail")
        } catch {
            #expect(error.code == .suppressionChanged)
        }
        let list = try journal.suppression()
        #expect(list.generation == 1)
        #expect(list.subjects == [1 << 127])
        #expect(list.contains(user: user, visitor: nil))
        #expect(list.contains(user: nil, visitor: visitor))
        #expect(!list.contains(user: visitor, visitor: user))
        _ = try journal.append([1], hits: 1, expecting: list.generation)
        try other.suppress(subjects: [1 << 127], pseudonyms: [])
        #expect(try journal.suppression().generation == 1, "nothing new, nothing changes")
    }

    @Test func `deleted and rewritten bytes are nowhere in the folder`() throws {
        let journal = try openJournal()
        let secret = Array("planted-value-0123456789".utf8)
        let body = Array(repeating: secret, count: 2000).flatMap { $0 }
        _ = try journal.append(body, hits: 1, expecting: 0)
        let second = try journal.append(body, hits: 1, expecting: 0)
        let third = try journal.append(body, hits: 1, expecting: 0)
        try journal.rewrite(second, bytes: [1, 2, 3], hits: 1)
        try journal.rewrite(third, bytes: [], hits: 0)
        try journal.delete(through: BatchNumber(1))
        try journal.scrub()
        #expect(
            try journal.read(after: .none, bytesMax: .max) == [
                StoredBatch(number: second, hits: 1, bytes: [1, 2, 3])
            ])
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
            let data = try Data(contentsOf: URL(fileURLWithPath: directory.file(name)))
            #expect(data.range(of: Data(secret)) == nil, "\(name) still holds it")
        }
        #expect(throws: JournalError.self) { try journal.rewrite(third, bytes: [1], hits: 1) }
    }

    @Test func `a foreign or damaged file is an error`() throws {
        let foreign = try Connection(path: path)
        try foreign.execute("CREATE TABLE other (a)")
        #expect(throws: JournalError.self) { try openJournal() }
        let damaged = directory.file("damaged.sqlite")
        try Data(repeating: 0x41, count: 40_000).write(to: URL(fileURLWithPath: damaged))
        do {
            _ = try Journal(path: damaged)
            Issue.record("the file is no database")
        } catch {
            #expect(error.code == .unreadable)
        }
    }
}
