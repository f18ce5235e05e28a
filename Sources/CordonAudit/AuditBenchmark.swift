internal import CordonModel
internal import Crypto
internal import LinuxIO
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
        /// Entries under one checkpoint for each 65,536, as the log that is verified is made.
        package var bulkPerSecond = 0.0
        package var verifiedEntries = 0
        /// Of the files of that log.
        package var verifiedBytes = 0
        package var verifySeconds = 0.0
        /// Most memory that the process had.
        package var memoryBytes = 0
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
    ) throws -> Result {
        var result = Result()
        try append(appends, in: directory + "/appended", &result)
        try verify(entries, in: directory + "/verified", &result)
        return result
    }

    private static func append(
        _ appends: Int, in directory: String, _ result: inout Result
    ) throws {
        let log = try AuditLog(
            directory: directory, region: region, key: Ed25519PrivateKey.generate().key)
        let singles = max(appends / 100, 10)
        result.singlePerSecond = try rate(singles) {
            for number in 0..<singles { try log.append(entry(number)) }
        }
        let each = max(appends / threads, 1)
        result.sharedPerSecond = try rate(each * threads) {
            try inThreads { thread throws(AuditError) in
                for number in 0..<each { try log.append(entry(thread * each + number)) }
            }
        }
        let batches = max(appends / batch, 1)
        result.batchedPerSecond = try rate(batches * batch) {
            for number in 0..<batches {
                try log.append((0..<batch).map { entry(number * batch + $0) })
            }
        }
    }

    private static func verify(
        _ entries: Int, in directory: String, _ result: inout Result
    ) throws {
        let log = try AuditLog(
            directory: directory, region: region, key: Ed25519PrivateKey.generate().key)
        result.bulkPerSecond = try rate(entries) {
            for start in stride(from: 0, to: entries, by: bulk) {
                try log.append((start..<min(start + bulk, entries)).map { entry($0) })
            }
        }
        var bytes = 0
        try AuditFolder(directory: directory, region: region).visitTileFiles {
            file throws(AuditError) in
            let metadata = try AuditFolder.system { () throws(LinuxError) in
                try File.metadata(directory + "/" + file)
            }
            bytes += metadata?.size ?? 0
        }
        result.verifiedBytes = bytes
        let started = ContinuousClock.now
        let found = try log.reader.verify()
        result.verifySeconds = seconds(since: started)
        precondition(found.isSound, "the log that was just written is sound")
        result.verifiedEntries = found.size
        result.memoryBytes = try ProcessMemory.peakBytes()
        result.checksum = String(found.root.prefix(8))
    }

    private static let region = "bench"

    /// As long as an entry about a query.
    private static func entry(_ number: Int) -> AuditEntry {
        AuditEntry(
            at: Timestamp(microseconds: 1_700_000_000_000_000 + Int64(number)), kind: "query",
            region: region, principal: Principal(role: "analyst", purpose: "p", place: "DE"),
            fields: ["rows": .integer(number), "rule": "gdpr", "statement": "0123456789abcdef"])
    }

    /// Runs `body` in ``threads`` threads, however many cores there are: what they share is seen only while others wait.
    package static func inThreads(
        _ body: @escaping @Sendable (Int) throws(AuditError) -> Void
    ) throws {
        let failure = Failure()
        var running: [ThreadBox] = []
        // Also when one cannot be started, no other goes on behind the caller's back.
        defer { for thread in running { thread.join() } }
        for number in 0..<threads {
            let thread = try SystemThread(name: "bench") {
                do throws(AuditError) { try body(number) } catch {
                    failure.first.withLock { $0 = $0 ?? error }
                }
            }
            running.append(ThreadBox(thread))
        }
        for thread in running { thread.join() }
        if let error = failure.first.withLock({ $0 }) { throw error }
    }

    private final class Failure: Sendable {
        let first = Mutex<AuditError?>(nil)
    }

    private static func rate(_ count: Int, _ body: () throws -> Void) rethrows -> Double {
        let started = ContinuousClock.now
        try body()
        return Double(count) / seconds(since: started)
    }

    private static func seconds(since start: ContinuousClock.Instant) -> Double {
        (ContinuousClock.now - start) / .seconds(1)
    }
}
