import Bytes
import Foundation
import TestSupport
import Testing

/// Kills of processes under load: what was answered is in the lake exactly once, what was not is there at most once, and
/// the balance is exact.
@Suite(.serialized) struct `Killed under load` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        cordon = try CordonProgram(projectIn: directory)
    }

    @Test func `every answered hit is read back exactly once after kill -9 at random moments`()
        async throws
    {
        var random = Generator()
        var answered: Set<Int> = []
        var sentCount = 0
        for round in 0..<4 {
            // Deliveries run beside the collectors, so that kills meet both.
            let server = try await cordon.start("up", "--every", "1")
            let port = try #require(server.ports["eu-central"])
            let senders = Senders(port: port, firstNumber: sentCount, connectionCount: 3)
            senders.start()
            let limit = Int.random(in: 300...6000, using: &random)
            while senders.answeredCount < limit { try await Task.sleep(for: .milliseconds(2)) }
            server.end(round == 3 ? SIGTERM : SIGKILL)
            senders.wait()
            answered.formUnion(senders.answered)
            sentCount += senders.sentCount
        }
        try expectExact(answered: answered, sentCount: sentCount, random.seed)
        // What was killed while hits waited says so at its next start.
        let log = try cordon.run("audit", "log", "--kind", "node.recovered", "--json")
        #expect(log.output.contains("waiting-hits"), "\(log.output)")
        #expect(
            try String(contentsOfFile: cordon.project + "/up.log", encoding: .utf8).contains(
                "found what the last run left"))
        try expectNothingRaw()
    }

    @Test
    func `a collector and a delivery that are killed again and again lose and double nothing`()
        async throws
    {
        var random = Generator()
        var answered: Set<Int> = []
        var sentCount = 0
        for _ in 0..<3 {
            let collector = try await cordon.start("collect", "--region", "eu-central")
            let port = try #require(collector.ports["eu-central"])
            let senders = Senders(port: port, firstNumber: sentCount, connectionCount: 2)
            senders.start()
            for _ in 0..<3 {
                let delivery = try cordon.spawn(
                    ["deliver", "--region", "eu-central", "--every", "1"])
                let pause = Int.random(in: 50...900, using: &random)
                try await Task.sleep(for: .milliseconds(pause))
                delivery.end(SIGKILL)
            }
            collector.end(SIGKILL)
            senders.wait()
            answered.formUnion(senders.answered)
            sentCount += senders.sentCount
        }
        try expectExact(answered: answered, sentCount: sentCount, random.seed)
    }

    /// Delivers what is left, and holds lakes and ledgers against what the clients saw.
    private func expectExact(answered: Set<Int>, sentCount: Int, _ seed: UInt64) throws {
        for region in ["eu-central", "us-east", "ap-south"] {
            let result = try cordon.run("deliver", "--region", region, "--once")
            #expect(result.exitCode == 0, "\(result.errorOutput)")
        }
        let found = try readBack()
        let counts = Dictionary(found.map { ($0, 1) }, uniquingKeysWith: +)
        #expect(counts.values.allSatisfy { $0 == 1 }, "a hit stands twice, seed \(seed)")
        #expect(
            answered.subtracting(counts.keys).isEmpty, "an answered hit is missing, seed \(seed)")
        #expect(counts.keys.allSatisfy { $0 < sentCount }, "a hit nobody sent, seed \(seed)")
        #expect(answered.count > 500, "the load was none, seed \(seed)")

        let result = try cordon.run("audit", "balance", "--json")
        #expect(result.exitCode == 0, "\(result.output), seed \(seed)")
        struct Balance: Decodable {
            struct Total: Decodable {
                let received: Int
                let fates: [String: Int]
                let inLake: Int
            }
            let total: Total
            let notes: [String]
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let balances = try result.output.split(separator: "\n").map {
            try decoder.decode(Balance.self, from: Data($0.utf8))
        }
        let stored = balances.reduce(0) {
            $0 + $1.total.fates.filter { ["kept", "counted"].contains($0.key) }.values.reduce(0, +)
        }
        #expect(stored == found.count, "seed \(seed)")
        #expect(balances.reduce(0) { $0 + $1.total.inLake } == found.count, "seed \(seed)")
        #expect(balances.reduce(0) { $0 + $1.total.received } <= sentCount, "seed \(seed)")
        #expect(balances.allSatisfy { $0.notes.isEmpty })
    }

    /// Nothing raw that was sent lies in what the kills left: journals, logs, half-written files. Forms of four bytes are
    /// left out: among so many random pseudonyms they turn up by chance.
    private func expectNothingRaw() throws {
        let values = Senders.addresses + [Senders.userAgent, "user7@mail.example"]
        let scan = try cordon.run(
            "scan", "--values", "-", "--path", directory.path, "--without", "ipv4-bytes",
            "--without", "ipv4-bytes-reversed", "--without", "hex of ipv4-bytes",
            input: values.joined(separator: "\n") + "\n")
        #expect(scan.exitCode == 0, "\(scan.output)")
    }

    private func readBack() throws -> [Int] {
        try cordon.eventNumbers(["eu-central": "DE", "us-east": "US", "ap-south": "IN"])
    }
}

extension CordonProgram {
    /// The numbers of all hits in the lakes of these regions, each asked from a place of its own; the number is sent as the
    /// event, which every outcome that keeps anything keeps.
    func eventNumbers(_ regions: [String: String]) throws -> [Int] {
        var numbers: [Int] = []
        for (region, place) in regions {
            let result = try run(
                "query", "--region", region, "--role", "privacy-officer", "--purpose",
                "data-subject-request", "--from",
                place, "--format", "csv", "SELECT event FROM hits")
            try #require(result.exitCode == 0, "\(region): \(result.errorOutput)")
            numbers += result.output.split(whereSeparator: \.isNewline).dropFirst().compactMap {
                Senders.number(ofEvent: $0)
            }
        }
        return numbers
    }
}
