import Foundation
import TestSupport
import Testing
import WorldTraffic

/// Kills of `cordon subject erase` from outside: a request ends in "erased" or stays unfinished, and is finished by `--resume`.
@Suite struct `An erasure that is killed` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram
    private static let regions = [("eu-central", "DE"), ("us-east", "US"), ("ap-south", "IN")]
    private static let addresses = ["193.99.144.80", "128.101.101.101", "49.36.77.203"]
    private static let userCount = 10
    private static let hitsPerUser = 24

    init() throws {
        directory = try TemporaryDirectory()
        cordon = try CordonProgram(projectIn: directory)
    }

    @Test func `goes on where it stood, and nothing says erased before it is true`() async throws {
        var random = Generator()
        try await sendHits()
        var erased = 0
        for person in 0..<3 {
            let user = Self.user(person)
            for _ in 0..<3 {
                let output = try await killed(
                    after: Int.random(in: 5...250, using: &random), user: user)
                // Whatever it has said by then is true: its last line stands only when all regions are done.
                if output.contains("\"certificate\"") {
                    let verified = try cordon.run("subject", "verify", "--user", "-", input: user)
                    #expect(verified.exitCode == 0, "seed \(random.seed): \(verified.output)")
                }
                #expect(!output.contains(user))
            }
            // Cut before its intent was written, there is nothing to resume; asking again does the same for both.
            let finished = try cordon.run(
                "subject", "erase", "--user", "-", "--yes", "--allow-share", "50", input: user)
            #expect(finished.exitCode == 0, "seed \(random.seed): \(finished.errorOutput)")
            #expect(try cordon.run("subject", "erase", "--resume").exitCode == 0)
            #expect(try cordon.run("subject", "status").exitCode == 0)
            let verified = try cordon.run("subject", "verify", "--user", "-", input: user)
            #expect(verified.exitCode == 0, "seed \(random.seed): \(verified.output)")
            erased += 1
            for (region, _) in Self.regions {
                let certificates = try self.certificates(region)
                #expect(certificates.count >= erased, "seed \(random.seed)")
                for path in certificates {
                    let checked = try cordon.run("certificate", "verify", path)
                    #expect(checked.exitCode == 0, "seed \(random.seed): \(checked.errorOutput)")
                }
            }
            #expect(
                try rows() == (Self.userCount - erased) * Self.hitsPerUser,
                "nobody else's hits are gone, seed \(random.seed)")
        }
        #expect(try cordon.run("audit", "verify").exitCode == 0)
    }

    private func certificates(_ region: String) throws -> [String] {
        let folder = cordon.project + "/var/\(region)/certificates"
        return try FileManager.default.contentsOfDirectory(atPath: folder).map { folder + "/" + $0 }
    }

    private static func user(_ number: Int) -> String { "person-\(number)@mail.example" }

    /// Hits of all persons in all regions; two thirds delivered, the rest still in the journals.
    private func sendHits() async throws {
        SentValues.note((0..<Self.userCount).map(Self.user) + Self.addresses)
        var rounds = [0..<8, 8..<16, 16..<Self.hitsPerUser][...]
        while let round = rounds.popFirst() {
            let server = try await cordon.up()
            var client = try LoopbackClient(port: try #require(server.ports["eu-central"]))
            for hit in round {
                for person in 0..<Self.userCount {
                    try client.send(Self.request(hit, person))
                    #expect(try client.receiveStatus() == 200)
                }
            }
            server.end(SIGKILL)
            guard !rounds.isEmpty else { return }
            for (region, _) in Self.regions {
                #expect(try cordon.run("deliver", "--region", region, "--once").exitCode == 0)
            }
        }
    }

    private static func request(_ hit: Int, _ person: Int) -> [UInt8] {
        let user = user(person).replacingOccurrences(of: "@", with: "%40")
        return Array(
            ("GET /pixel.gif?site=erase.example&event=view&consent=granted&userid=\(user) HTTP/1.1\r\n"
                + "Host: pixel.example\r\nX-Forwarded-For: \(addresses[hit % addresses.count])\r\n\r\n")
                .utf8)
    }

    /// What an erasure printed until it ended or was killed.
    private func killed(after milliseconds: Int, user: String) async throws -> String {
        let erasure = Process()
        erasure.executableURL = URL(fileURLWithPath: CordonProgram.path)
        erasure.arguments = [
            "subject", "erase", "--user", "-", "--yes", "--json", "--allow-share", "50",
            "--project", cordon.project,
        ]
        let input = Pipe()
        let output = Pipe()
        erasure.standardInput = input
        erasure.standardOutput = output
        erasure.standardError = FileHandle.nullDevice
        try erasure.run()
        input.fileHandleForWriting.write(Data(user.utf8))
        try input.fileHandleForWriting.close()
        // The moment of the kill is what is random here; nothing waits for time to pass.
        try await Task.sleep(for: .milliseconds(milliseconds))
        kill(erasure.processIdentifier, SIGKILL)
        erasure.waitUntilExit()
        return String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }

    private func rows() throws -> Int {
        for (region, _) in Self.regions {
            #expect(try cordon.run("deliver", "--region", region, "--once").exitCode == 0)
        }
        var rows = 0
        for (region, place) in Self.regions {
            let result = try cordon.run(
                "query", "--region", region, "--role", "privacy-officer", "--purpose",
                "data-subject-request", "--from", place, "--format", "csv",
                "SELECT count(*) AS n FROM hits")
            try #require(result.exitCode == 0, "\(region): \(result.errorOutput)")
            rows += try #require(Int(result.output.split(whereSeparator: \.isNewline).last ?? ""))
        }
        return rows
    }
}
