import Bytes
import CordonJournal
import CordonModel
import Foundation
import LinuxIO
import SQLite
import Telemetry
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `A region's committer` {
    private let directory: TemporaryDirectory
    private let path: String
    private let committer: RegionCommitter
    private let signal: LoopSignal
    private let context: EdgeContext
    init() throws {
        directory = try TemporaryDirectory()
        path = directory.file("journal.sqlite")
        committer = try RegionCommitter(
            region: "eu-central", path: path, loops: 2, journalBytesMax: 0,
            intakeBytes: 64 << 10,
            logger: Logger(level: .error, format: .json, sink: CapturedLog()))
        try committer.prepare()
        signal = try LoopSignal()
        let fixture = try EdgeFixture(loops: 1)
        context = fixture.collector.context
        fixture.collector.drain()
    }

    /// A batch of one record with `bytes` bytes in it.
    private func batch(bytes: Int = 10) -> BatchBuffer {
        let batch = BatchBuffer()
        batch.open(context, ticket: 1, generation: 0, at: 0)
        batch.beginRecord()
        for _ in 0..<bytes { batch.append(UInt8(0x61)) }
        batch.endRecord()
        batch.add(.kept, policy: 0)
        return batch
    }

    private func submit(_ batch: BatchBuffer, loop: Int = 0) {
        committer.submit(RegionCommitter.Submission(batch: batch, loop: signal), loop: loop)
    }

    private func depth() throws -> JournalDepth { try Journal(path: path).depth() }

    /// Runs the writer's and the keeper's threads until `body` returns.
    private func withWriter<Value>(_ body: () throws -> Value) throws -> Value {
        let committer = committer
        let writer = ThreadBox(try SystemThread(name: "journal") { committer.run() })
        let keeper = ThreadBox(
            try SystemThread(name: "intake") { committer.keep(UnkeptLedger { [] }) })
        defer {
            committer.stop()
            writer.join()
            committer.stopKeeping()
            keeper.join()
        }
        return try body()
    }

    private func wait(for batch: BatchBuffer) {
        while batch.phase != .answered { sched_yield() }
    }

    @Test func `a loop commits its batch by itself`() throws {
        let one = batch()
        submit(one)
        committer.lead()
        // No writer thread runs: what is answered was committed here.
        #expect(one.phase == .answered)
        #expect(one.failure == nil)
        #expect(try depth().hits == 1)
    }

    @Test func `who leads takes along what other loops have handed in, in one commit`() throws {
        let batches = [batch(), batch()]
        for (loop, batch) in batches.enumerated() { submit(batch, loop: loop) }
        committer.lead()
        #expect(batches.allSatisfy { $0.phase == .answered && $0.failure == nil })
        #expect(committer.counts.commits == 1)
        #expect(try depth().batches == 2)
    }

    @Test func `a locked journal holds up no loop, and its writer commits once it is free`() throws
    {
        let other = try HeldIntake(journal: path)
        try other.hold()
        let one = batch()
        submit(one)
        committer.lead()
        #expect(one.phase == .submitted)
        try withWriter {
            other.release()
            committer.wakeWriter()
            wait(for: one)
        }
        #expect(one.failure == nil)
        #expect(try depth().hits == 1)
    }

    @Test func `an intake that fills is taken in while commits go on`() throws {
        try withWriter {
            for _ in 0..<200 {
                let one = batch(bytes: 3000)
                submit(one)
                committer.wakeWriter()
                wait(for: one)
                #expect(one.failure == nil)
            }
        }
        #expect(try depth().hits == 200)
        // At the end nothing is left in it.
        let journal = try Connection(path: path)
        #expect(try journal.integer("SELECT count(*) FROM batches") == 200)
    }

    @Test func `a locked journal is no matter before the intake is full, and then is said`() throws
    {
        let other = try Connection(path: path)
        try other.execute("BEGIN IMMEDIATE")
        var kept = 0
        try withWriter {
            for _ in 0..<40 {
                let one = batch(bytes: 3000)
                submit(one)
                committer.lead()
                // When the intake is full the writer waits for the lock, in vain.
                wait(for: one)
                if let failure = one.failure {
                    #expect(failure.code == .locked)
                    break
                }
                kept += 1
            }
            try other.execute("ROLLBACK")
            let after = batch(bytes: 3000)
            submit(after)
            committer.wakeWriter()
            wait(for: after)
            #expect(after.failure == nil)
        }
        #expect(kept >= 8 && kept < 40)
        #expect(try depth().hits == kept + 1)
    }

    @Test func `a batch that no half of the intake holds goes to the journal itself`() throws {
        let large = batch(bytes: 90_000)
        submit(large)
        committer.lead()
        #expect(large.phase == .answered && large.failure == nil)
        #expect(try Connection(path: path).integer("SELECT count(*) FROM batches") == 1)
    }

    @Test func `who comes second commits to the journal itself`() throws {
        let second = try RegionCommitter(
            region: "eu-central", path: path, loops: 1, journalBytesMax: 0,
            logger: Logger(level: .error, format: .json, sink: CapturedLog()))
        try second.prepare()
        let one = batch()
        second.submit(RegionCommitter.Submission(batch: one, loop: signal), loop: 0)
        second.lead()
        #expect(one.phase == .answered && one.failure == nil)
        #expect(try Connection(path: path).integer("SELECT count(*) FROM batches") == 1)
    }

    @Test func `a batch remembers only the policies that it has hits of`() {
        let batch = BatchBuffer()
        batch.open(context, ticket: 1, generation: 0, at: 0)
        batch.add(.kept, policy: 2)
        batch.add(.counted, policy: 2)
        batch.add(.kept, policy: 0)
        var told: [String] = []
        batch.forEachTally { policy, fate, hits in told.append("\(policy) \(fate.text) \(hits)") }
        #expect(told == ["2 kept 1", "2 counted 1", "0 kept 1"])
        batch.open(context, ticket: 2, generation: 0, at: 0)
        batch.forEachTally { _, _, _ in Issue.record("the batch is new") }
    }
}

@Suite struct `A fixed pace` {
    @Test func `every request that is due is sent and its answer counted`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let result = try PacedLoad(
            address: IPAddress(ipv4: 0x7F00_0001), port: fixture.port(), connections: 8, rate: 400,
            seconds: 1,
            requests: EdgeBenchmark.mixedRequests(
                addresses: [EdgeFixture.german, EdgeFixture.american])
        ).run()
        #expect(result.answered == 400)
        #expect(result.succeeded == 400)
        #expect(result.unanswered == 0)
        #expect(result.microsecondsMedian <= result.microsecondsP99)
        #expect(result.microsecondsP99 <= result.microsecondsMax)
        fixture.collector.drain()
        #expect(fixture.collector.counters().received == 400)
    }
}
