import Foundation
import TestSupport
import Testing
import WorldTraffic

/// The certificate of an erasure, checked by Cordon and by the verifier of an archive, and what it does not say.
@Suite struct `An erasure's certificate` {
    let directory: TemporaryDirectory
    private let cordon: CordonProgram
    private static let person = "certified-person@mail.example"
    private static let other = "kept-person@mail.example"
    private static let addresses = ["193.99.144.80", "128.101.101.101"]
    private static let regions = ["eu-central", "us-east"]

    init() throws {
        directory = try TemporaryDirectory()
        cordon = try CordonProgram(projectIn: directory)
        SentValues.note([Self.person, Self.other] + Self.addresses)
    }

    private struct Answer: Decodable {
        struct Region: Decodable {
            let region: String
            let state: String
            let certificate: String?
        }
        let request: String
        let regions: [Region]
        let certificate: [String]?
    }

    /// Sends hits of both people to both regions, delivers all but the last, and erases one person.
    private func erase() async throws -> Answer {
        for isLast in [false, true] {
            let server = try await cordon.up()
            var client = try LoopbackClient(port: try #require(server.ports["eu-central"]))
            for address in Self.addresses {
                for user in [Self.person, Self.other] {
                    let id = user.replacingOccurrences(of: "@", with: "%40")
                    try client.send(
                        Array(
                            ("GET /pixel.gif?site=c.example&event=view&consent=granted&userid=\(id) HTTP/1.1\r\n"
                                + "Host: pixel.example\r\nX-Forwarded-For: \(address)\r\n\r\n").utf8
                        ))
                    #expect(try client.receiveStatus() == 200)
                }
            }
            server.end(SIGKILL)
            for region in Self.regions where !isLast {
                #expect(try cordon.run("deliver", "--region", region, "--once").exitCode == 0)
            }
        }
        let erased = try cordon.run(
            "subject", "erase", "--user", "-", "--yes", "--allow-share", "60", "--json",
            input: Self.person)
        try #require(erased.exitCode == 0, "\(erased.errorOutput)")
        return try JSONDecoder().decode(Answer.self, from: Data(erased.output.utf8))
    }

    @Test
    func
        `is right for Cordon and for a stranger, names no one, and has nothing in common with another region's`()
        async throws
    {
        let answer = try await erase()
        var texts: [String: String] = [:]
        for region in answer.regions where Self.regions.contains(region.region) {
            let path = try #require(region.certificate)
            texts[region.region] = try String(contentsOfFile: path, encoding: .utf8)
            let checked = try cordon.run("certificate", "verify", path)
            #expect(checked.exitCode == 0, "\(checked.errorOutput)")
            #expect(checked.output.contains("1 rows") && checked.output.contains("1 journal-hits"))
            #expect(checked.output.contains("1 before, 1 in their place"))
            let head = try cordon.run("audit", "checkpoint", "--region", region.region)
            let kept = directory.file(region.region + ".checkpoint")
            try head.output.write(toFile: kept, atomically: false, encoding: .utf8)
            #expect(
                try cordon.run("certificate", "verify", "--checkpoint", kept, path).exitCode == 0)
        }
        #expect(answer.certificate?.count == answer.regions.count)

        // No value of one certificate stands in the other, and none is of the person or the request.
        let (first, second) = (try #require(texts["eu-central"]), try #require(texts["us-east"]))
        for secret in [Self.person, Self.other, answer.request] {
            #expect(!first.contains(secret) && !second.contains(secret))
        }
        let values = first.matches(of: #/[0-9a-f]{16,}/#).map { String($0.0) }
        #expect(!values.isEmpty)
        for value in Set(values) { #expect(!second.contains(value)) }

        // The audit log finds the request again, each region under its own digest.
        let found = try cordon.run("audit", "log", "--json", "--request", answer.request)
        #expect(found.output.split(separator: "\n").count == 2 * answer.regions.count)

        let archive = try unpack()
        let verified = try Tool.run("python3", [archive + "/verify.py"])
        #expect(verified.exitCode == 0, "\(verified.output)")
        #expect(verified.output.contains("1 erasure certificates"))
        let keys = try cordon.run("keys", "list", "--json").output
        let key = try #require(
            keys.firstMatch(of: #/"(eu-central\/audit\+[^"]+)"/#).map { String($0.1) })
        let file = directory.file("certificate.json")
        try first.write(toFile: file, atomically: false, encoding: .utf8)
        func stranger() throws -> Int32 {
            try Tool.run(
                "python3", [archive + "/verify.py", "certificate", file, "--key", key]
            ).exitCode
        }
        #expect(try stranger() == 0)

        // Any change of what it says is seen by both.
        for (old, new) in [
            (#""rows":1"#, #""rows":2"#), (#""traces":0"#, #""traces":1"#),
            (#"\"rows\":1"#, #"\"rows\":2"#), (#""kind\":\"erased"#, #""kind\":\"erasure"#),
            ("index ", "index 1"),
        ] {
            let forged = first.replacingOccurrences(of: old, with: new)
            try #require(forged != first, "\(old)")
            try forged.write(toFile: file, atomically: false, encoding: .utf8)
            #expect(try stranger() == 1, "\(old)")
            #expect(try cordon.run("certificate", "verify", file).exitCode == 1, "\(old)")
        }
        // Laid out anew by another program it stays right.
        try first.write(toFile: file, atomically: false, encoding: .utf8)
        let laidOut = try Tool.run("python3", ["-m", "json.tool", file]).output
        try laidOut.write(toFile: file, atomically: false, encoding: .utf8)
        #expect(try stranger() == 0)
        #expect(try cordon.run("certificate", "verify", file).exitCode == 0)
        // Another region's key does not do.
        let others = try #require(
            keys.firstMatch(of: #/"(us-east\/audit\+[^"]+)"/#).map { String($0.1) })
        #expect(try cordon.run("certificate", "verify", "--key", others, file).exitCode == 1)
    }

    private func unpack() throws -> String {
        let tar = directory.file("audit.tar")
        try #require(try cordon.run("audit", "export", "--out", tar).exitCode == 0)
        let folder = directory.file("unpacked")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try #require(try Tool.run("tar", ["-xf", tar, "-C", folder]).exitCode == 0)
        return folder + "/"
            + (try #require(try FileManager.default.contentsOfDirectory(atPath: folder).first))
    }
}
