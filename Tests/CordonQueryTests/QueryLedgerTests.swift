import CordonModel
import FaultySQLite
import Foundation
import SQLite
import TestSupport
import Testing

@testable import CordonQuery

@Suite struct `A ledger that several ask at once` {
    private let folder: TemporaryDirectory
    private let now = QueryFixture.today.start
    init() throws {
        folder = try TemporaryDirectory()
    }

    private func ledger() throws -> QueryLedger {
        try QueryLedger(path: folder.file("query-ledger.sqlite"), newSalt: 1)
    }

    /// Tells of people with these numbers.
    private func vectors(_ people: Range<Int>) -> [AnswerVector] {
        var sums = [UInt64](repeating: 0, count: AnswerVector.bucketsMax)
        for place in people { sums[place] = UInt64(place + 1) }
        return [AnswerVector(sums, needed: 5)]
    }

    private func enter(
        _ people: Range<Int>, _ ledger: QueryLedger, of asker: String = "a", at: Timestamp? = nil
    ) throws -> QueryLedger.Entry {
        try ledger.enter(
            vectors(people), of: asker, table: "t", at: at ?? now, horizon: nil)
    }

    @Test func `what another entered meanwhile is compared too`() throws {
        let (one, other) = (try ledger(), try ledger())
        var rounds = 0
        one.whenCompared = { () throws in
            rounds += 1
            if rounds == 1 { #expect(try enter(0..<39, other) == .entered) }
        }
        #expect(try enter(0..<40, one) == .refused(.singlesOut(since: now.microseconds)))
        #expect(rounds == 2)
        #expect(try one.spent(at: now).map(\.answers) == [1])
    }

    @Test func `what was refused stays so when something harmless comes meanwhile`() throws {
        let (one, other) = (try ledger(), try ledger())
        #expect(try enter(0..<39, other) == .entered)
        var rounds = 0
        one.whenCompared = { () throws in
            rounds += 1
            if rounds == 1 { #expect(try enter(100..<140, other) == .entered) }
        }
        #expect(try enter(0..<40, one) == .refused(.singlesOut(since: now.microseconds)))
        #expect(rounds == 2)
    }

    @Test func `nobody waits while an answer is compared`() throws {
        let (one, other) = (try ledger(), try ledger())
        one.whenCompared = { () throws in
            #expect(try enter(0..<39, other, of: "b") == .entered)
            #expect(try other.known([1], of: "b", table: "t", at: now) == nil)
        }
        #expect(try enter(0..<40, one) == .entered)
        #expect(try one.spent(at: now).map(\.answers) == [1, 1])
    }

    @Test func `an answer is entered at last however many others come`() throws {
        let (one, other) = (try ledger(), try ledger())
        var rounds = 0
        one.whenCompared = { () throws in
            rounds += 1
            #expect(
                try enter(rounds * 50 - 10..<rounds * 50 + 10, other) == .entered)
        }
        #expect(try enter(300..<400, one) == .entered)
        #expect(rounds == 3)
        // The last comparison, for which others wait, is one as well.
        rounds = 0
        one.whenCompared = { () throws in
            rounds += 1
            let people = rounds == 3 ? 401..<450 : rounds * 7..<rounds * 7 + 6
            #expect(try enter(people, other) == .entered)
        }
        #expect(try enter(400..<450, one) == .refused(.singlesOut(since: now.microseconds)))
    }

    @Test func `an answer that is there is not compared again`() throws {
        let one = try ledger()
        #expect(try enter(0..<40, one) == .entered)
        one.whenCompared = { Issue.record("compared") }
        #expect(try enter(0..<40, one) == .entered)
    }

    @Test func `an answer whose window has ended is compared with nothing`() throws {
        let one = try ledger()
        #expect(try enter(0..<39, one) == .entered)
        let later = (QueryFixture.today + QueryLedger.windowDays).start
        #expect(try enter(0..<40, one, at: later) == .entered)
    }
}

@Suite struct `A ledger of answers whose disk fails` {
    @Test(arguments: [faulty_writes.rawValue, faulty_syncs.rawValue])
    func `an answer is entered whole before it may be shown, or not at all`(_ calls: UInt32)
        throws
    {
        let folder = try TemporaryDirectory()
        let path = folder.file("query-ledger.sqlite")
        let plan = faulty_begin(path)
        try #require(plan >= 0)
        let now = QueryFixture.today.start
        func vectors(_ number: Int) -> [AnswerVector] {
            var sums = [UInt64](repeating: 0, count: AnswerVector.bucketsMax)
            for place in number * 8..<number * 8 + 8 { sums[place] = UInt64(place + 1) }
            return [AnswerVector(sums, needed: 5)]
        }
        var entered: Set<Int> = []
        var hasFailed = false
        // Until an entry makes fewer calls than that: then none was left out.
        for number in 0..<60 {
            faulty_arm(plan, Int32(number + 1), faulty_error, Int32(calls), 0)
            let result = Result {
                try QueryLedger(path: path).enter(
                    vectors(number), of: "role:analyst", table: "t", at: now, horizon: now)
            }
            let hasStruck = faulty_has_struck(plan) != 0
            faulty_arm(plan, 0, faulty_error, Int32(calls), 0)
            if case .success(let entry) = result {
                #expect(entry == .entered)
                entered.insert(number)
            } else {
                hasFailed = true
            }
            let ledger = try QueryLedger(path: path)
            let count = try ledger.spent(at: now).map(\.answers).reduce(0, +)
            // What may be shown is there; what failed may be, and is then spent.
            #expect(count >= entered.count && count <= number + 1)
            if !hasStruck && !entered.isEmpty { break }
        }
        #expect(hasFailed && !entered.isEmpty)
    }
}
