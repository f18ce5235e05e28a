import CordonSubjects
import Testing

@Suite struct `What an erasure takes` {
    private func finding(files: Int, rows: Int64, bytes: Int64, region: Int64) -> SubjectFinding {
        var finding = SubjectFinding()
        finding.files = files
        finding.rows = rows
        finding.bytes = bytes
        finding.regionBytes = region
        return finding
    }

    @Test
    func `the same bytes take longer in many files, and longer the more row groups lose rows`() {
        let one = finding(files: 1, rows: 10, bytes: 100_000_000, region: 100_000_000)
        let split = finding(files: 400, rows: 10, bytes: 100_000_000, region: 100_000_000)
        let list = finding(files: 1, rows: 100_000, bytes: 100_000_000, region: 100_000_000)
        #expect(one.eraseSeconds < split.eraseSeconds)
        #expect(one.eraseSeconds < list.eraseSeconds)
        // A file is never decoded more than once, however many rows go.
        let all = finding(files: 1, rows: 10_000_000, bytes: 100_000_000, region: 100_000_000)
        #expect(all.eraseSeconds == list.eraseSeconds)
    }

    @Test func `everything is read at the end, also where nothing is written anew`() {
        let nobody = finding(files: 0, rows: 0, bytes: 0, region: 60_000_000)
        let twice = finding(files: 0, rows: 0, bytes: 0, region: 120_000_000)
        #expect(nobody.eraseSeconds > 0 && twice.eraseSeconds == 2 * nobody.eraseSeconds)
    }
}
