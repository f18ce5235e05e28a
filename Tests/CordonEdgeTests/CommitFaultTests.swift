import CordonJournal
import CordonModel
import FaultySQLite
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `A journal whose disk fails` {
    /// How the disk fails.
    struct Failure: CustomTestStringConvertible, Sendable {
        let fault: FaultPlan.Fault
        let testDescription: String

        static let all = [
            Failure(fault: .error(EIO), testDescription: "a synced write fails"),
            Failure(fault: .error(ENOSPC), testDescription: "the disk is full"),
            Failure(fault: .tornWrite(EIO), testDescription: "a write is torn"),
        ]
    }

    private static func hit(_ number: Int) -> String {
        "/pixel.gif?site=a.example&event=n\(number)"
    }
    private static let german = ["X-Forwarded-For: \(EdgeFixture.german)"]

    @Test(arguments: Failure.all)
    func `the n-th commit that fails means 503, and every answered hit is kept exactly once`(
        _ failure: Failure
    ) throws {
        let fixture = try EdgeFixture(loops: 1)
        let path = fixture.region("eu-central").journalPath
        let intake = Journal.intakePath(of: path)
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
        for call in 1...4 {
            let plan = FaultPlan(failing: call, with: failure.fault, among: [.write])
            try plan.run(on: intake) { () throws in
                for before in 1..<call { #expect(try send() == 200, "commit \(before)") }
                #expect(try send() == 503)
                #expect(try send() == 200, "after commit \(call) the journal works again")
            }
            #expect(plan.hasStruck)
        }
        // A disk that stays broken for a while: all is refused, and nothing is wrong afterwards.
        let plan = FaultPlan(
            failing: 1, with: failure.fault, then: .everythingFails, among: [.write])
        try plan.run(on: intake) { () throws in
            for _ in 0..<5 { #expect(try send() == 503) }
            #expect(client.get("/readyz")?.status == 503)
        }
        #expect(try send() == 200)
        #expect(client.get("/readyz")?.status == 200)
        fixture.collector.drain()
        let events = try fixture.records("eu-central").map(\.event)
        #expect(events == answered)
        // The ledger knows of both kinds.
        let journal = try Journal(path: path)
        var ledger: [String: Int64] = [:]
        for count in try journal.ledger(after: .none).counts {
            ledger[count.fate, default: 0] += count.hits
        }
        #expect(ledger["counted", default: 0] + ledger["kept", default: 0] == Int64(answered.count))
        #expect(ledger["failed"] == Int64(refused.count))
    }

    /// How the disk fails under the journal itself, while what the intake holds is taken in.
    struct StoreFailure: CustomTestStringConvertible, Sendable {
        let kind: UInt32
        let calls: UInt32
        let testDescription: String

        static let all = [
            StoreFailure(
                kind: faulty_error.rawValue, calls: faulty_writes.rawValue,
                testDescription: "a write fails"),
            StoreFailure(
                kind: faulty_full.rawValue, calls: faulty_writes.rawValue,
                testDescription: "the disk is full"),
            StoreFailure(
                kind: faulty_torn.rawValue, calls: faulty_writes.rawValue,
                testDescription: "a write is torn"),
            StoreFailure(
                kind: faulty_error.rawValue, calls: faulty_syncs.rawValue,
                testDescription: "a sync fails"),
        ]
    }

    @Test(arguments: StoreFailure.all)
    func `a journal that cannot take in what its intake holds loses and doubles nothing`(
        _ failure: StoreFailure
    ) throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("journal.sqlite")
        let plan = faulty_begin(path)
        try #require(plan >= 0)
        let intake = try #require(try Intake(journal: path, bytes: 128 << 10))
        let journal = try Journal(path: path)
        var appended: [[UInt8]] = []
        for call in 1...60 {
            let bytes = [UInt8](repeating: UInt8(call), count: 2000)
            // Two commits each, so that one goes in by a later try.
            for _ in 0..<2 {
                unsafe bytes.withUnsafeBytes { pointer in
                    let outcome = try? unsafe intake.append(
                        [PendingBatch(bytes: pointer, hits: 1)], expecting: 0,
                        checking: journal, milliseconds: 1000)
                    if case .kept = outcome { appended.append(bytes) }
                }
            }
            faulty_arm(plan, Int32(call), faulty_kind(failure.kind), Int32(failure.calls), 0)
            let isTakenIn = (try? journal.takeIn()) != nil
            let hasStruck = faulty_has_struck(plan) != 0
            faulty_arm(plan, 0, faulty_kind(failure.kind), Int32(failure.calls), 0)
            #expect(isTakenIn || hasStruck, "call \(call)")
            #expect(try journal.read(after: .none, bytesMax: .max).map(\.bytes) == appended)
            if !hasStruck { break }
        }
        #expect(appended.count >= 4)
    }
}
