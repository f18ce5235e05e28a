import Engine
import Foundation
import LinuxIO
import TestSupport
import Testing

/// Policies and geo table that change under load.
@Suite(.serialized) struct `Reload under load` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        cordon = try CordonProgram(projectIn: directory)
    }

    private struct Outcome: Decodable {
        let ruleSet: String
        let geoBuild: String
        let mistakes: [String]
    }

    private func reload(exitCode: Int32) throws -> Outcome {
        let result = try cordon.run("reload", "--json")
        #expect(result.exitCode == exitCode, "\(result.output)\(result.errorOutput)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Outcome.self, from: Data(result.output.utf8))
    }

    @Test func `fifty reloads drop nothing, and each hit is decided by one rule set and one table`()
        async throws
    {
        let policyPath = cordon.project + "/Policies/gdpr.yaml"
        let policy = try String(contentsOfFile: policyPath, encoding: .utf8)
        let shorter = policy.replacing("hits: 395d", with: "hits: 200d")
        try #require(policy != shorter)
        let tablePath = cordon.project + "/var/geo/places.cgt"
        let tables = [directory.file("first.cgt"), directory.file("second.cgt")]
        try FileManager.default.copyItem(atPath: tablePath, toPath: tables[0])
        let source = directory.file("second.csv")
        try "193.99.144.0/24,FR\n128.101.101.0/24,FR\n".write(
            toFile: source, atomically: false, encoding: .utf8)
        let built = try cordon.run("geo", "build", "--format", "csv", "--out", tables[1], source)
        try #require(built.exitCode == 0, "\(built.errorOutput)")

        let server = try await cordon.start("up", "--every", "1", "--hold-above", "100")
        let port = try #require(server.ports["eu-central"])
        let senders = Senders(
            port: port, firstNumber: 0, connectionCount: 2, pauseMilliseconds: 20)
        senders.start()
        var ruleSets: Set<String> = []
        var builds: Set<String> = []
        var current: Outcome?
        for round in 0..<50 {
            if round % 10 == 9 {
                try (policy + "colour: red\n").write(
                    toFile: policyPath, atomically: true, encoding: .utf8)
                let refused = try reload(exitCode: 1)
                #expect(refused.mistakes.count == 1)
                #expect(refused.mistakes.first?.contains("Policies/gdpr.yaml:") == true)
                #expect(refused.mistakes.first?.contains("`colour`") == true)
                #expect(refused.ruleSet == current?.ruleSet)
                #expect(refused.geoBuild == current?.geoBuild)
                continue
            }
            try (round % 2 == 0 ? shorter : policy).write(
                toFile: policyPath, atomically: true, encoding: .utf8)
            let next = tablePath + ".new"
            try FileManager.default.copyItem(atPath: tables[round / 2 % 2], toPath: next)
            rename(next, tablePath)
            // A signal and an order at once are two reloads, one after the other.
            if round % 7 == 0 { kill(server.processIdentifier, SIGHUP) }
            let outcome = try reload(exitCode: 0)
            ruleSets.insert(outcome.ruleSet)
            builds.insert(outcome.geoBuild)
            current = outcome
        }
        senders.stop()
        try policy.write(toFile: policyPath, atomically: true, encoding: .utf8)
        #expect(senders.refused.isEmpty)
        #expect(senders.answeredCount == senders.sentCount)
        #expect(server.end(SIGTERM) == 0)
        #expect(ruleSets.count == 2 && builds.count == 2)
        for region in ["eu-central", "us-east", "ap-south"] {
            #expect(try cordon.run("deliver", "--region", region, "--once").exitCode == 0)
        }
        try expectOneOfEach(ruleSets, builds, hits: senders.sentCount)
        #expect(try cordon.run("audit", "balance").exitCode == 0)
    }

    /// Every hit is there, and what its row says follows from the rule set and the table that the row names.
    private func expectOneOfEach(
        _ ruleSets: Set<String>, _ builds: Set<String>, hits: Int
    ) throws {
        let engine = try EngineConnection(settings: [])
        let files = "read_parquet('\(cordon.project)/var/*/lake/**/*.parquet')"
        let rows = try engine.query(
            """
            SELECT rule_set, geo_build, policy, country,
                   CAST(retain_until - CAST(ts AS DATE) AS INTEGER) AS days, count(*) AS hits
            FROM \(files) GROUP BY ALL
            """
        ).rows()
        var total = 0
        var daysOf: [String: Set<String>] = [:]
        var placesOf: [String: Set<String>] = [:]
        for row in rows {
            total += row[5].flatMap { Int($0) } ?? 0
            let (ruleSet, build) = (row[0] ?? "", row[1] ?? "")
            if row[2] == "gdpr" { daysOf[ruleSet, default: []].insert(row[4] ?? "") }
            placesOf[build, default: []].insert("\(row[2] ?? "") \(row[3] ?? "")")
        }
        #expect(total == hits)
        // The rules that the run began with and the two that were loaded, of which one is the same.
        #expect(ruleSets.isSuperset(of: daysOf.keys))
        #expect(daysOf.count == 2 && daysOf.values.allSatisfy { $0.count == 1 }, "\(daysOf)")
        #expect(Set(placesOf.keys) == builds)
        let french = placesOf.filter { $0.value.contains("gdpr FR") }
        #expect(french.count == 1)
        #expect(french.values.first?.contains { $0.hasSuffix("DE") } == false, "\(placesOf)")
    }

    @Test func `without a node there is nobody to ask, and what a killed one left is cleared`()
        async throws
    {
        let none = try cordon.run("reload")
        #expect(none.exitCode == 4)
        #expect(none.errorOutput.contains("no `cordon up` or `cordon collect`"))
        let server = try await cordon.up()
        server.end(SIGKILL)
        let run = cordon.project + "/var/run"
        #expect(try Directory.list(run).count == 1)
        #expect(try cordon.run("reload").exitCode == 4)
        #expect(try Directory.list(run) == [])
    }

    @Test func `a process that is no node of the project is left alone and named`() async throws {
        let run = cordon.project + "/var/run"
        try Directory.create(run)
        let listener = try LocalListener(directory: run, name: "foreign.sock")
        let foreigner = Thread {
            guard let client = listener.accept() else { return }
            _ = try? client.read(through: 0x0A, bytesMax: 64)
            try? client.write(Array("{\"pid\":1}".utf8))
        }
        foreigner.start()
        let result = try cordon.run("reload")
        #expect(result.exitCode == 4)
        #expect(result.errorOutput.contains("var/run/foreign.sock"), "\(result.errorOutput)")
        #expect(result.errorOutput.contains("does not answer as a node of this project"))
        listener.shut()
    }

    @Test func `a change that a reload cannot take up is refused and named`() async throws {
        let server = try await cordon.up()
        let path = cordon.project + "/Regions/eu-central.yaml"
        let region = try String(contentsOfFile: path, encoding: .utf8)
        try region.replacing("durability: durable", with: "durability: relaxed").write(
            toFile: path, atomically: true, encoding: .utf8)
        let outcome = try reload(exitCode: 1)
        #expect(outcome.mistakes.first?.contains("Regions/eu-central.yaml") == true)
        #expect(outcome.mistakes.first?.contains("restart") == true)
        #expect(server.end(SIGTERM) == 0)
    }
}
