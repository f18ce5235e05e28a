import CordonJournal
import CordonModel
import FaultySQLite
import Foundation
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `A journal whose disk fails` {
    /// How the disk fails.
    struct Fault: CustomTestStringConvertible, Sendable {
        let kind: UInt32
        let calls: UInt32
        let testDescription: String

        static let all = [
            Fault(
                kind: faulty_error.rawValue, calls: faulty_writes.rawValue,
                testDescription: "a write fails"),
            Fault(
                kind: faulty_full.rawValue, calls: faulty_writes.rawValue,
                testDescription: "the disk is full"),
            Fault(
                kind: faulty_torn.rawValue, calls: faulty_writes.rawValue,
                testDescription: "a write is torn"),
            Fault(
                kind: faulty_error.rawValue, calls: faulty_syncs.rawValue,
                testDescription: "a sync fails"),
        ]
    }

    private static func hit(_ number: Int) -> String {
        "/pixel.gif?site=a.example&event=n\(number)"
    }
    private static let german = ["X-Forwarded-For: \(EdgeFixture.german)"]

    @Test(arguments: Fault.all)
    func `the n-th call that fails means 503, and every answered hit is kept exactly once`(
        _ fault: Fault
    ) throws {
        let fixture = try EdgeFixture(loops: 1)
        // The committer opens its journal with the first batch, so the plan is there before it.
        let plan = faulty_begin(fixture.region("eu-central").journalPath)
        try #require(plan >= 0)
        let client = try fixture.client()
        var answered: [String] = []
        var refused: [String] = []
        var number = 0
        func send() throws -> Int {
            let answer = try #require(client.get(Self.hit(number), Self.german))
            if answer.status == 200 {
                answered.append("n\(number)")
            } else {
                #expect(answer.status == 503)
                #expect(answer.headers["retry-after"] == "1")
                refused.append("n\(number)")
            }
            number += 1
            return answer.status
        }
        #expect(try send() == 200)
        // Until a commit makes fewer calls than that: then none was left out.
        for call in 1...200 {
            faulty_arm(plan, Int32(call), faulty_kind(fault.kind), Int32(fault.calls), 0)
            let status = try send()
            let hasStruck = faulty_has_struck(plan) != 0
            #expect(status == 200 || hasStruck, "call \(call)")
            faulty_arm(plan, 0, faulty_kind(fault.kind), Int32(fault.calls), 0)
            #expect(try send() == 200, "after call \(call) the journal works again")
            if !hasStruck { break }
        }
        #expect(refused.count >= 1)
        // A disk that stays broken for a while: all is refused, and nothing is wrong afterwards.
        faulty_arm(plan, 1, faulty_kind(fault.kind), Int32(fault.calls), 1)
        for _ in 0..<5 { #expect(try send() == 503) }
        #expect(client.get("/readyz")?.status == 503)
        faulty_arm(plan, 0, faulty_kind(fault.kind), Int32(fault.calls), 0)
        #expect(try send() == 200)
        #expect(client.get("/readyz")?.status == 200)
        fixture.collector.drain()
        let events = try fixture.records("eu-central").map(\.event)
        #expect(events == answered)
        // The ledger knows of both kinds.
        let journal = try Journal(path: fixture.region("eu-central").journalPath)
        var ledger: [String: Int64] = [:]
        for count in try journal.ledger(after: .none).counts {
            ledger[count.fate, default: 0] += count.hits
        }
        #expect(ledger["counted", default: 0] + ledger["kept", default: 0] == Int64(answered.count))
        #expect(ledger["failed"] == Int64(refused.count))
    }
}
