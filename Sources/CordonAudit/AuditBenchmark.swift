internal import CordonModel
internal import Crypto
internal import Dispatch
internal import Synchronization

/// How fast a log takes entries and is verified, on the disk of a folder.
package enum AuditBenchmark {
    package struct Result: Sendable {
        /// One entry after the other, each under a checkpoint of its own.
        package var singlePerSecond = 0.0
        /// One entry at a time from each of ``threads`` threads.
        package var sharedPerSecond = 0.0
        /// Entries that come in hundreds.
        package var batchedPerSecond = 0.0
        package var verifiedEntries = 0
        package var verifySeconds = 0.0
        /// In the beginning of the root, so that nothing of it can be left out.
        package var checksum = ""
    }

    /// Threads that append at the same time.
    package static let threads = 32
    private static let batch = 100
    /// Entries that go under one checkpoint while the log that is verified is made.
    private static let bulk = 1 << 16

    /// - Parameters:
    ///   - appends: entries that are appended in each way.
    ///   - entries: size of the log that is verified.
    package static func run(
        directory: String, appends: Int, entries: Int
    ) throws(AuditError) -> Result {
        var result = Result()
        let log = try AuditLog(
            directory: directory + "/appended", region: region,
            key: Ed25519PrivateKey.generate().key)
        let singles = max(appends / 100, 10)
        result.singlePerSecond = try rate(singles) { () throws(AuditError) in
            for number in 0..<singles { try log.append(entry(number)) }
        }
        let each = max(appends / threads, 1)
        result.sharedPerSecond = try rate(each * threads) { () throws(AuditError) in
            try inThreads { thread throws(AuditError) in
                for number in 0..<each { try log.append(entry(thread * each + number)) }
            }
        }
        let batches = max(appends / batch, 1)
        result.batchedPerSecond = try rate(batches * batch) { () throws(AuditError) in
            for number in 0..<batches {
                try log.append((0..<batch).map { entry(number * batch + $0) })
            }
        }
        let large = try AuditLog(
            directory: directory + "/verified", region: region,
            key: Ed25519PrivateKey.generate().key)
        for start in stride(from: 0, to: entries, by: bulk) {
            try large.append((start..<min(start + bulk, entries)).map { entry($0) })
        }
        let started = ContinuousClock.now
        let found = try large.reader.verify()
        result.verifySeconds = seconds(since: started)
        precondition(found.isSound, "the log that was just written is sound")
        result.verifiedEntries = found.size
        result.checksum = String(found.root.prefix(8))
        return result
    }

    private static let region = "bench"

    /// As long as an entry about a query.
    private static func entry(_ number: Int) -> AuditEntry {
        AuditEntry(
            at: Timestamp(microseconds: 1_700_000_000_000_000 + Int64(number)), kind: "query",
            region: region, principal: Principal(role: "analyst", purpose: "p", place: "DE"),
            fields: ["rows": .integer(number), "rule": "gdpr", "statement": "0123456789abcdef"])
    }

    private static func inThreads(
        _ body: @Sendable (Int) throws(AuditError) -> Void
    ) throws(AuditError) {
        let failure = Mutex<AuditError?>(nil)
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            do throws(AuditError) { try body(thread) } catch {
                failure.withLock { $0 = error }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private static func rate(
        _ count: Int, _ body: () throws(AuditError) -> Void
    ) throws(AuditError) -> Double {
        let started = ContinuousClock.now
        try body()
        return Double(count) / seconds(since: started)
    }

    private static func seconds(since start: ContinuousClock.Instant) -> Double {
        let elapsed = ContinuousClock.now - start
        return Double(elapsed.components.seconds)
            + Double(elapsed.components.attoseconds) / 1e18
    }
}
