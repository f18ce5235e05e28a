import Foundation
import TestSupport
import Testing

/// The main job, driven from outside: real binary, real sockets, curl.
@Suite(.serialized) struct `The whole road` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        cordon = try CordonProgram(projectIn: directory)
    }

    private static let germanAddress = "193.99.144.80"
    private static let usAddress = "128.101.101.101"
    private static let indianAddress = "49.36.77.203"
    private static let userAgent =
        "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0 PlantedAgent"
    private static let user = "planted.person@mail.example"

    @Test
    func
        `hits go to their home region, queries are checked, a person is erased, and no raw value is left`()
        async throws
    {
        let server = try await cordon.up()
        let port = try #require(server.ports["us-east"])
        for (address, count) in [
            (Self.germanAddress, 12), (Self.usAddress, 9), (Self.indianAddress, 7),
        ] {
            for number in 0..<count {
                let user = number == 0 ? Self.user : "other\(number)@mail.example"
                let status = try curl(port: port, address: address, user: user, consent: "granted")
                #expect(status == "200")
            }
        }
        #expect(
            try curl(
                port: port, address: "not an address, 1.2.3.4 5", user: Self.user,
                consent: "granted") == "200")
        #expect(server.end(SIGTERM) == 0)

        // The journals were drained or wait; a delivery finishes the job and a second finds nothing to do.
        for region in ["eu-central", "us-east", "ap-south"] {
            #expect(try cordon.run("deliver", "--region", region, "--once").exitCode == 0)
            #expect(try cordon.run("deliver", "--region", region, "--once").exitCode == 0)
        }
        #expect(try count("eu-central", from: "DE", where: "country = 'DE'") == 12)
        #expect(try count("us-east", from: "US", where: "country = 'US'") == 9)
        #expect(try count("ap-south", from: "IN", where: "country = 'IN'") == 7)
        #expect(try count("us-east", from: "US", where: "country = 'DE'") == 0)

        // Refusals say the rule and exit with 3.
        let refused = try cordon.run(
            "query", "--region", "eu-central", "--role", "analyst", "--purpose",
            "audience-measurement", "--from", "CN",
            "--json", "SELECT count(*) FROM hits")
        #expect(refused.exitCode == 3)
        #expect(refused.output.contains("\"refused\""))
        #expect(refused.output.contains("Policies/"))

        // Rights.
        let found = try cordon.run("subject", "find", "--user", Self.user, "--json")
        #expect(found.exitCode == 0, "\(found.errorOutput)")
        #expect(try rows(found.output) == ["eu-central": 1, "us-east": 1, "ap-south": 1])
        #expect(try cordon.run("subject", "verify", "--user", Self.user).exitCode == 1)
        let erased = try cordon.run(
            "subject", "erase", "--user", Self.user, "--yes", "--json", "--allow-share", "50")
        #expect(erased.exitCode == 0, "\(erased.errorOutput)")
        #expect(try cordon.run("subject", "verify", "--user", Self.user).exitCode == 0)
        #expect(
            try rows(cordon.run("subject", "find", "--user", Self.user, "--json").output).values
                .allSatisfy { $0 == 0 })
        #expect(try count("eu-central", from: "DE", where: "country = 'DE'") == 11)

        // Future hits of the erased person are counted, not kept.
        let again = try await cordon.up()
        let againPort = try #require(again.ports["eu-central"])
        #expect(
            try curl(
                port: againPort, address: Self.germanAddress, user: Self.user, consent: "granted")
                == "200")
        #expect(again.end(SIGTERM) == 0)
        #expect(try cordon.run("deliver", "--region", "eu-central", "--once").exitCode == 0)
        #expect(try cordon.run("subject", "verify", "--user", Self.user).exitCode == 0)

        let audit = try cordon.run("audit", "verify", "--json")
        #expect(audit.exitCode == 0, "\(audit.output)")
        #expect(try cordon.run("retention", "plan").exitCode == 0)

        // P1: nothing raw in anything that the run left, logs included.
        let values = [
            Self.germanAddress, Self.usAddress, Self.indianAddress, Self.userAgent, Self.user,
            "other3@mail.example",
            "planted-query-value",
        ]
        let scan = try cordon.run(
            "scan", "--values", "-", "--path", directory.path,
            input: values.joined(separator: "\n") + "\n")
        #expect(scan.exitCode == 0, "\(scan.output)")
        for value in values {
            #expect(!server.log.contains(value))
            #expect(!again.log.contains(value))
        }
    }

    @Test func `the scan finds what is really there`() throws {
        try "seen: \(Self.user)".write(
            toFile: directory.file("project") + "/var/leak.txt", atomically: false, encoding: .utf8)
        let scan = try cordon.run(
            "scan", "--values", "-", "--path", directory.path, input: Self.user + "\n")
        #expect(scan.exitCode == 1)
        #expect(!scan.output.contains(Self.user))
        try FileManager.default.removeItem(
            atPath: directory.file("project") + "/var/leak.txt")
    }

    @Test
    func `a second start on the same port says which address is taken, and no crash shows memory`()
        async throws
    {
        let server = try await cordon.up()
        let port = try #require(server.ports["eu-central"])
        let path = cordon.project + "/Regions/eu-central.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let taken = text.replacingOccurrences(of: "127.0.0.1:8401", with: "127.0.0.1:\(port)")
        try taken.write(toFile: path, atomically: false, encoding: .utf8)
        let second = try cordon.run("collect", "--region", "eu-central")
        #expect(second.exitCode == 4)
        #expect(second.errorOutput.contains("127.0.0.1:\(port)"))
        // What holds requests shows no memory when it crashes.
        func told(_ name: String) -> String {
            let path = "/proc/\(server.processIdentifier)/\(name)"
            return String(
                decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
        }
        #expect(told("environ").contains("SWIFT_BACKTRACE=registers=none"))
        let core = told("limits").split(separator: "\n").first { $0.hasPrefix("Max core file") }
        let soft = core?.split(separator: " ").dropFirst(4).first
        #expect(soft == "1" || soft == "0", "\(core ?? "")")
        #expect(server.end(SIGTERM) == 0)
    }

    private func curl(port: UInt16, address: String, user: String, consent: String) throws -> String
    {
        SentValues.note(address, user, Self.userAgent)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let userID = user.replacingOccurrences(of: "@", with: "%40")
        process.arguments = [
            "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-A", Self.userAgent, "-H",
            "X-Forwarded-For: \(address)",
            "http://127.0.0.1:\(port)/pixel.gif?site=shop.example&event=view&userid=\(userID)&consent=\(consent)"
                + "&url=https%3A%2F%2Fshop.example%2Fcart%3Fq%3Dplanted-query-value&secret=planted-query-value",
        ]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: text, as: UTF8.self)
    }

    private func count(_ region: String, from place: String, where condition: String) throws -> Int
    {
        let result = try cordon.run(
            "query", "--region", region, "--role", "privacy-officer", "--purpose",
            "data-subject-request", "--from", place,
            "--format", "csv", "SELECT count(*) AS n FROM hits WHERE \(condition)")
        try #require(result.exitCode == 0, "\(result.errorOutput)")
        return try #require(Int(result.output.split(whereSeparator: \.isNewline).last ?? ""))
    }

    private func rows(_ json: String) throws -> [String: Int] {
        struct Answer: Decodable {
            struct Region: Decodable {
                let region: String
                let rows: Int
            }
            let regions: [Region]
        }
        let answer = try JSONDecoder().decode(Answer.self, from: Data(json.utf8))
        return Dictionary(uniqueKeysWithValues: answer.regions.map { ($0.region, $0.rows) })
    }
}
