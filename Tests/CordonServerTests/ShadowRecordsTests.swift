import CordonModel
import Foundation
import TestSupport
import Testing

@testable import CordonEdge
@testable import CordonServer

@Suite struct `Records of candidates` {
    private let directory: TemporaryDirectory
    private let records: ShadowRecords

    init() throws {
        directory = try TemporaryDirectory()
        records = ShadowRecords(ProjectLayout(root: directory.path))
    }

    private func record(
        _ region: String, _ ruleSet: String, _ times: ClosedRange<Int>, compared: UInt64,
        _ pairs: [ShadowCounts.Pair] = []
    ) -> ShadowRecords.Record {
        ShadowRecords.Record(
            regions: [region], from: "2026-11-2\(times.lowerBound)T00:00:00Z",
            to: "2026-11-2\(times.upperBound)T00:00:00Z",
            counts: ShadowCounts(
                ruleSet: ruleSet, candidate: "cc", geoBuild: "build \(times.upperBound)",
                compared: compared, differing: pairs.reduce(0) { $0 + $1.hits }, unlisted: 0,
                pairs: pairs))
    }

    private func pair(_ policy: String, _ kinds: [String]) -> ShadowCounts.Pair {
        ShadowCounts.Pair(
            policy: policy, candidate: policy, hits: 2,
            differences: kinds.map { .init(kind: $0, change: "less", hits: 2) })
    }

    @Test func `runs of the same rule sets are added up, and the latest comes first`() throws {
        #expect(try records.read() == [])
        let first = record("north", "aa", 1...2, compared: 10, [pair("law", ["ip"])])
        try records.write(first, name: "1")
        // The same run, written again.
        try records.write(first, name: "1")
        try records.write(
            record(
                "south", "aa", 3...4, compared: 5, [pair("law", ["ip", "user"]), pair("act", [])]),
            name: "2")
        try records.write(record("south", "bb", 2...3, compared: 7), name: "3")
        let found = try records.read()
        #expect(found.map(\.counts.ruleSet) == ["aa", "bb"])
        let sum = try #require(found.first)
        #expect(sum.regions == ["north", "south"])
        #expect(sum.from == "2026-11-21T00:00:00Z" && sum.to == "2026-11-24T00:00:00Z")
        #expect(sum.counts.geoBuild == "build 4")
        #expect(sum.counts.compared == 15 && sum.counts.differing == 6)
        #expect(sum.counts.pairs.map(\.policy) == ["act", "law"])
        #expect(sum.counts.pairs.last?.hits == 4)
        #expect(
            sum.counts.pairs.last?.differences == [
                .init(kind: "ip", change: "less", hits: 4),
                .init(kind: "user", change: "less", hits: 2),
            ])
    }

    @Test func `a file of another kind is named, and an empty one passed over`() throws {
        try records.write(record("north", "aa", 1...2, compared: 1), name: "1")
        let folder = directory.file("var/shadow")
        #expect(FileManager.default.createFile(atPath: folder + "/2.json", contents: Data()))
        #expect(try records.read().count == 1)
        let other = #"{"format":"cordon shadow 2"}"#
        try other.write(toFile: folder + "/3.json", atomically: false, encoding: .utf8)
        do {
            _ = try records.read()
            Issue.record("it was read")
        } catch let failure as ShadowRecords.Failure {
            #expect(failure.description.contains("var/shadow/3.json"))
        }
    }
}
