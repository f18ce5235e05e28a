import Engine
import Foundation
import TestSupport
import Testing

/// A candidate beside the rules of a running node.
@Suite(.serialized) struct `Shadow mode` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram
    private let candidate: String

    init() throws {
        directory = try TemporaryDirectory()
        cordon = try CordonProgram(projectIn: directory)
        candidate = directory.file("candidate")
        try FileManager.default.createDirectory(
            atPath: candidate, withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: cordon.project + "/Policies", toPath: candidate + "/Policies")
    }

    private func edit(_ old: String, _ new: String) throws {
        let path = candidate + "/Policies/gdpr.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try #require(text.contains(old))
        try text.replacing(old, with: new).write(toFile: path, atomically: true, encoding: .utf8)
    }

    private struct Report: Decodable {
        struct Counts: Decodable {
            struct Pair: Decodable {
                struct Difference: Decodable { let kind, change: String, hits: Int }
                let policy, candidate: String
                let hits: Int
                let differences: [Difference]
            }
            let ruleSet, candidate: String
            let compared, differing: Int
            let pairs: [Pair]
        }
        let regions: [String]
        let counts: Counts
    }

    private func report(_ words: String..., exitCode: Int32) throws -> Report.Counts {
        let result = try cordon.run(["policy", "shadow", "--json"] + words)
        #expect(result.exitCode == exitCode, "\(result.output)\(result.errorOutput)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Report.self, from: Data(result.output.utf8)).counts
    }

    private func send(_ server: CordonProgram.Running, from first: Int) throws -> Int {
        let senders = Senders(
            port: try #require(server.ports["eu-central"]), firstNumber: first, connectionCount: 1,
            pauseMilliseconds: 1)
        senders.start()
        senders.waitForAnswer()
        senders.stop()
        #expect(senders.refused.isEmpty && senders.answeredCount == senders.sentCount)
        #expect(senders.sentCount > 0)
        return senders.sentCount
    }

    @Test
    func `a candidate is counted, its mistakes harm nothing, and its counts outlive the node`()
        async throws
    {
        let none = try cordon.run("policy", "shadow")
        #expect(none.exitCode == 4)
        #expect(none.errorOutput.contains("--shadow DIR"))
        try edit("ipv4: 24", "ipv4: 16")
        try edit("denied: count", "denied: drop")
        var server = try await cordon.start("up", "--shadow", candidate)
        let sent = try send(server, from: 0)
        let first = try report(exitCode: 1)
        #expect(first.compared == sent)
        #expect(first.differing > 0 && first.differing < sent)
        #expect(first.pairs.map { "\($0.policy) \($0.candidate)" } == ["gdpr gdpr"])
        let kinds = Set(first.pairs.flatMap(\.differences).map { "\($0.kind) \($0.change)" })
        #expect(kinds.isSubset(of: ["ip less", "outcome count to drop"]) && !kinds.isEmpty)

        // One with mistakes is named; the reload goes well, and the one before stays.
        try edit("title: EU", "colour: red\ntitle: EU")
        let reload = try cordon.run("reload")
        #expect(reload.exitCode == 0, "\(reload.output)\(reload.errorOutput)")
        #expect(reload.output.contains("Policies/gdpr.yaml:"), "\(reload.output)")
        #expect(reload.output.contains("the candidate before stays"))
        let more = try send(server, from: 1000)
        #expect(try report(exitCode: 1).compared == sent + more)

        // One that says what the rules say differs in nothing.
        try edit("colour: red\ntitle: EU", "title: EU")
        try edit("ipv4: 16", "ipv4: 24")
        try edit("denied: drop", "denied: count")
        let status = try cordon.run("reload")
        #expect(status.output.contains("candidate \(first.ruleSet) from"), "\(status.output)")
        let last = try send(server, from: 2000)
        let same = try report("--candidate", String(first.ruleSet.prefix(10)), exitCode: 0)
        #expect(same.compared == last && same.differing == 0 && same.pairs.isEmpty)
        #expect(server.end(SIGTERM) == 0)
        #expect(try report("--candidate", first.candidate, exitCode: 1).compared == sent + more)
        #expect(try cordon.run("policy", "shadow", "--candidate", "0123456789").exitCode == 4)
        let text = try cordon.run("policy", "shadow", "--candidate", first.candidate)
        #expect(text.output.contains("would have been decided otherwise"), "\(text.output)")
        let log = try cordon.run("audit", "log", "--region", "eu-central", "--kind", "node.started")
        #expect(log.output.contains("candidate=\(first.candidate)"), "\(log.output)")

        try expectSharesOfStoredHits(sent + more + last)

        // A folder that is not there stops no start.
        server = try await cordon.start("up", "--shadow", directory.file("nowhere"))
        #expect(server.log.contains("the candidate was not taken"), "\(server.log)")
        #expect(server.end(SIGTERM) == 0)
    }

    /// `policy diff --traffic` counts the same hits once they are in the lakes.
    private func expectSharesOfStoredHits(_ sent: Int) throws {
        for region in ["eu-central", "us-east", "ap-south"] {
            #expect(try cordon.run("deliver", "--region", region, "--once").exitCode == 0)
        }
        let engine = try EngineConnection(settings: [])
        let rows = try engine.query(
            """
            SELECT policy, count(*)
            FROM read_parquet('\(cordon.project)/var/*/lake/**/*.parquet') GROUP BY ALL
            """
        ).rows()
        let stored = Dictionary(
            uniqueKeysWithValues: rows.map { ($0[0] ?? "", Int($0[1] ?? "") ?? 0) })
        #expect(stored.values.reduce(0, +) == sent)
        struct Difference: Decodable {
            struct Group: Decodable {
                let traffic: Double
                let oldPolicy: String
            }
            let hits, traffic, trafficUnplaced: Double
            let groups: [Group]
        }
        try edit("user: 90d", "user: 60d")
        let result = try cordon.run("policy", "diff", "--traffic", "--json", candidate)
        #expect(result.exitCode == 11, "\(result.output)\(result.errorOutput)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let difference = try decoder.decode(
            Difference.self, from: Data(result.output.utf8))
        let share = Double(stored["gdpr"] ?? 0) / Double(sent)
        #expect(share > 0.3 && share < 0.7)
        #expect(difference.hits == Double(sent))
        #expect(abs(difference.traffic - share) < 1e-9)
        #expect(difference.trafficUnplaced == 0)
        #expect(difference.groups.map(\.oldPolicy) == ["gdpr"])
        #expect(difference.groups.map(\.traffic) == [difference.traffic])
        let text = try cordon.run("policy", "diff", "--traffic", candidate)
        #expect(text.output.contains(" of stored hits"), "\(text.output)")
    }
}
