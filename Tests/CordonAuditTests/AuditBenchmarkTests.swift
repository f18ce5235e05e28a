import CordonAudit
import Glibc
import Synchronization
import TestSupport
import Testing

@Suite struct `The audit log's benchmark` {
    @Test func `each of the threads that append is one of its own, on any number of cores`() throws
    {
        let seen = Mutex<[(number: Int, thread: pthread_t)]>([])
        try AuditBenchmark.inThreads { number throws(AuditError) in
            seen.withLock { $0.append((number, pthread_self())) }
        }
        let found = seen.withLock { $0 }
        #expect(found.map(\.number).sorted() == Array(0..<AuditBenchmark.threads))
        #expect(Set(found.map(\.thread)).count == AuditBenchmark.threads)
    }

    @Test func `a small log is appended to, made in bulk, verified and weighed`() throws {
        let directory = try TemporaryDirectory()
        let result = try AuditBenchmark.run(directory: directory.path, appends: 100, entries: 300)
        for rate in [
            result.singlePerSecond, result.sharedPerSecond, result.batchedPerSecond,
            result.bulkPerSecond, result.verifySeconds,
        ] { #expect(rate > 0) }
        #expect(result.verifiedEntries == 300)
        // Each entry's hash, and its bytes behind their number.
        #expect((300 * (32 + 2)..<300 * 400).contains(result.verifiedBytes))
        #expect(result.memoryBytes > 1 << 20)
        #expect(result.checksum.count == 8)
    }

    @Test func `what a thread throws is thrown when all have ended`() throws {
        let ended = Atomic(0)
        #expect(throws: AuditError.noEntry(index: 7, size: 0)) {
            try AuditBenchmark.inThreads { number throws(AuditError) in
                ended.add(1, ordering: .relaxed)
                if number == 7 { throw .noEntry(index: number, size: 0) }
            }
        }
        #expect(ended.load(ordering: .relaxed) == AuditBenchmark.threads)
    }
}
