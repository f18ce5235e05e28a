import CordonJournal
import CordonModel
import Foundation
import SQLite
import TestSupport
import Testing

@Suite struct `The ledger in the journal` {
    let directory: TemporaryDirectory
    let path: String
    let journal: Journal

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.file("journal.sqlite")
        journal = try Journal(path: path)
    }

    /// Untold counts as `policy fate` → hits.
    private func untold() throws -> [String: Int64] {
        Dictionary(
            uniqueKeysWithValues: try journal.ledger(after: .none).counts.map {
                ("\($0.policy) \($0.fate)", $0.hits)
            })
    }

    @Test func `a batch and its tally get in together or not at all`() throws {
        _ = try journal.append([1], hits: 5, expecting: 0, tally: "gdpr kept 3\ngdpr counted 2\n")
        #expect(throws: JournalError.self) {
            try journal.append([2], hits: 7, expecting: 9, tally: "gdpr kept 7\n")
        }
        #expect(try untold() == ["gdpr kept": 3, "gdpr counted": 2])
        _ = try journal.append([3], hits: 4, expecting: 0)
        #expect(try untold() == ["gdpr kept": 3, "gdpr counted": 2, " kept": 4])
    }

    @Test func `every count is in exactly one report, whenever batches are delivered`() throws {
        var random = Generator()
        var expected: [String: Int64] = [:]
        var told: [String: Int64] = [:]
        var reports: [Int64] = []
        for step in 0..<300 {
            let policy = ["gdpr", "world"].randomElement(using: &random)!
            let hits = Int64.random(in: 1...9, using: &random)
            let minute = Int64.random(in: 0...3, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1:
                let bytes: [UInt8] = [UInt8(truncatingIfNeeded: step)]
                let unkept = [LedgerCount(policy: policy, fate: "dropped", hits: 1)]
                _ = try bytes.withUnsafeBytes { pointer in
                    try journal.append(
                        [
                            PendingBatch(
                                bytes: pointer, hits: Int(hits), tally: "\(policy) kept \(hits)\n")
                        ],
                        expecting: 0, unkept: unkept, minute: minute)
                }
                expected["\(policy) kept", default: 0] += hits
                expected["\(policy) dropped", default: 0] += 1
            case 2:
                try journal.note(
                    [LedgerCount(policy: policy, fate: "refused", hits: hits)], minute: minute)
                expected["\(policy) refused", default: 0] += hits
            case 3:
                let last = try journal.depth().last
                try journal.delete(through: last)
            default:
                guard let report = try journal.ledgerReport(leaving: minute) else { continue }
                // Killed before it was told: the next run gets the same one.
                let again = try #require(try Journal(path: path).ledgerReport(leaving: nil))
                #expect(again.rows == report.rows && again.number == report.number)
                #expect(again.isResumed)
                for row in report.rows {
                    told["\(row.policy) \(row.fate)", default: 0] += row.hits
                }
                reports.append(report.number)
                try journal.ledgerTold(report.number)
            }
            let sum = told.merging(try untold(), uniquingKeysWith: +)
            #expect(sum == expected, "step \(step), seed \(random.seed)")
        }
        #expect(reports == Array(1...Int64(reports.count)))
        #expect(try journal.ledger(after: .none).told == Int64(reports.count))
    }

    @Test func `the minute that goes on waits for a later report, on either side of the clock`()
        throws
    {
        for minute: Int64 in [10, 11, 12] {
            try journal.note(
                [LedgerCount(policy: "gdpr", fate: "failed", hits: minute)], minute: minute)
        }
        let report = try #require(try journal.ledgerReport(leaving: 11))
        #expect(report.rows.map(\.minute) == [10, 12])
        try journal.ledgerTold(report.number)
        #expect(try journal.ledgerReport(leaving: 11) == nil)
        #expect(try journal.ledgerReport(leaving: nil)?.rows.map(\.hits) == [11])
    }

    @Test func `what is taken out of a waiting batch is counted, and a batch that is gone is seen`()
        throws
    {
        let first = try journal.append([1], hits: 5, expecting: 0, tally: "gdpr kept 5\n")
        let second = try journal.append([2], hits: 6, expecting: 0, tally: "world kept 6\n")
        let third = try journal.append([3], hits: 7, expecting: 0, tally: "gdpr kept 7\n")
        try journal.rewrite(first, bytes: [9], hits: 3, removed: ["gdpr": 2])
        try journal.rewrite(second, bytes: [], hits: 0)
        try Connection(path: path).execute("DELETE FROM batches WHERE number = \(third.value)")
        let ledger = try journal.ledger(after: .none)
        #expect(ledger.removed.map(\.hits) == [2, 6])
        #expect(ledger.batches.map(\.tallied) == [5, 6, 7])
        #expect(ledger.batches.map(\.removed) == [2, 6, 0])
        #expect(ledger.batches.map(\.present) == [3, nil, nil])
    }

    @Test func `a journal of version 1 keeps its batches, and the ledger begins with them`() throws
    {
        let old = directory.file("old.sqlite")
        try Connection(path: old).execute(
            """
            CREATE TABLE batches (number INTEGER PRIMARY KEY AUTOINCREMENT, hits INTEGER NOT NULL,
                bytes BLOB NOT NULL) STRICT;
            CREATE TABLE state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
            INSERT INTO state VALUES ('suppression-generation', 3);
            CREATE TABLE suppressed_subjects (digest BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
            CREATE TABLE suppressed_pseudonyms (field INTEGER NOT NULL, pseudonym BLOB NOT NULL,
                PRIMARY KEY (field, pseudonym)) STRICT, WITHOUT ROWID;
            INSERT INTO batches VALUES (7, 11, x'01'), (8, 2, x'02');
            PRAGMA application_id = \(Journal.applicationID);
            PRAGMA user_version = 1;
            """)
        let journal = try Journal(path: old)
        #expect(try journal.depth().hits == 13)
        #expect(try journal.suppression().generation == 3)
        #expect(try journal.append([3], hits: 1, expecting: 3) == BatchNumber(9))
        let ledger = try journal.ledger(after: .none)
        #expect(ledger.from == 6)
        #expect(ledger.counts == [LedgerCount(policy: "", fate: "kept", hits: 14)])
    }
}
