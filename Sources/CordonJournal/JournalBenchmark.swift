/// What a group commit costs on this disk, by how many hits share it.
package struct JournalBenchmark: Sendable {
    /// Hits in each commit.
    package let hitsPerCommit: Int
    package let commits: Int
    package let microsecondsMedian: Double
    package let microsecondsP99: Double

    /// Bytes of a usual record.
    private static let recordBytes = 300

    /// Makes `commits` commits of `hitsPerCommit` hits each in a journal of its own at `path`; the bytes are filler.
    package static func run(
        path: String, hitsPerCommit: Int, commits: Int
    ) throws(JournalError) -> JournalBenchmark {
        let journal = try Journal(path: path)
        let bytes = [UInt8](repeating: 0x2E, count: hitsPerCommit * recordBytes)
        var durations: [Double] = []
        for _ in 0..<commits {
            let begun = ContinuousClock.now
            _ = try journal.append(bytes, hits: hitsPerCommit, expecting: 0)
            durations.append((ContinuousClock.now - begun) / .microseconds(1))
        }
        durations.sort()
        return JournalBenchmark(
            hitsPerCommit: hitsPerCommit, commits: commits,
            microsecondsMedian: durations[commits / 2],
            microsecondsP99: durations[min(commits - 1, commits * 99 / 100)])
    }
}
