import Foundation
import TestSupport
import Testing
import WorldTraffic

/// A geo table that moves addresses from one home to another, from its preview to its taking up.
@Suite(.serialized) struct `A geo table that moves addresses` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram
    private let new: String

    private static let first = "1.0.0.0/24,DE\n1.0.1.0/24,DE\n1.0.2.0/23,US\n2a00::/32,DE\n"
    /// The first quarter of the IPv4 addresses goes from Germany to the United States, half of the second to France.
    private static let second =
        "1.0.0.0/24,US\n1.0.1.0/25,DE\n1.0.1.128/25,FR\n1.0.2.0/23,US\n2a00::/32,DE\n"

    init() throws {
        directory = try TemporaryDirectory()
        cordon = CordonProgram(project: directory.file("project"))
        new = directory.file("new.cgt")
        for (name, lines) in [("first.csv", Self.first), ("second.csv", Self.second)] {
            try lines.write(toFile: directory.file(name), atomically: false, encoding: .utf8)
        }
        let made = try cordon.run(
            "init", "--geo-format", "csv", "--geo", directory.file("first.csv"))
        try #require(made.exitCode == 0, "\(made.errorOutput)")
        let built = try cordon.run(
            "geo", "build", "--format", "csv", "--out", new, directory.file("second.csv"))
        try #require(built.exitCode == 0, "\(built.errorOutput)")
    }

    private var table: String { cordon.project + "/var/geo/places.cgt" }

    private func send(_ port: UInt16, from address: String, consent: String) throws {
        SentValues.note(address)
        var client = try LoopbackClient(port: port)
        let head =
            "GET /pixel.gif?site=www.example.org&consent=\(consent) HTTP/1.1\r\nHost: p.example\r\n"
            + "X-Forwarded-For: \(address)\r\n\r\n"
        try client.send(Array(head.utf8))
        #expect(try client.receiveStatus() == 200)
    }

    private func json(_ text: String) throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    private func deliver() throws {
        for region in ["eu-central", "us-east"] {
            #expect(try cordon.run("deliver", "--region", region, "--once").exitCode == 0)
        }
    }

    @Test func `its preview says homes, policies, shares and what is stored in the wrong region`()
        async throws
    {
        let server = try await cordon.up()
        let port = try #require(server.ports["eu-central"])
        for _ in 0..<3 { try send(port, from: "1.0.0.7", consent: "granted") }
        // Whose prefix was dropped, and whose prefix has two places in the new table, which both have the same home.
        for _ in 0..<2 { try send(port, from: "1.0.0.9", consent: "denied") }
        try send(port, from: "1.0.1.9", consent: "granted")
        try send(port, from: "1.0.2.9", consent: "granted")
        #expect(server.end(SIGTERM) == 0)
        try deliver()

        let result = try cordon.run("geo", "diff", "--stored", table, new, "--json")
        #expect(result.exitCode == 0, "\(result.errorOutput)")
        let report = try json(result.output)
        #expect(report["home_percent"] as? Double == 25)
        #expect(report["protection_percent"] as? Double == 25)
        let changes = try #require(report["changes"] as? [[String: Any]])
        #expect(changes.map { $0["ipv4"] as? String } == ["256", "128"])
        #expect(changes[0]["homes_before"] as? [String] == ["eu-central"])
        #expect(changes[0]["homes_after"] as? [String] == ["us-east"])
        #expect(changes[1]["homes_after"] as? [String] == ["eu-central"])
        #expect(changes[1]["policies_after"] as? [String] == ["gdpr"])
        let stored = try #require(report["stored"] as? [String: Any])
        #expect(stored["hits"] as? Int == 7)
        #expect(stored["placed"] as? Int == 4)
        #expect(stored["untellable"] as? Int == 3)
        #expect(stored["misplaced_percent"] as? Double == 75)
        let rows = try #require(stored["misplaced"] as? [[String: Any]])
        #expect(rows.count == 1 && rows[0]["hits"] as? Int == 3)
        #expect(rows[0]["region"] as? String == "eu-central")
        #expect(rows[0]["place"] as? String == "DE" && rows[0]["new_place"] as? String == "US")
        let text = try cordon.run("geo", "diff", "--stored", table, new).output
        #expect(text.contains("eu-central → us-east  gdpr → us-states"), "\(text)")
        #expect(!text.contains("1.0.0"))
        #expect(try cordon.run("geo", "diff", "--hold-above", "24.9", table, new).exitCode == 1)
        #expect(try cordon.run("geo", "diff", "--hold-above", "25", table, new).exitCode == 0)
        #expect(try cordon.run("geo", "diff", "--hold-above", "x", table, new).exitCode == 2)
    }

    @Test func `a reload to it is held, seen and audited until exactly this table is confirmed`()
        async throws
    {
        let server = try await cordon.up()
        let port = try #require(server.ports["eu-central"])
        let before = try json(cordon.run("reload", "--status", "--json").output)
        #expect(before["held"] == nil)
        try FileManager.default.copyItem(atPath: new, toPath: table + ".new")
        rename(table + ".new", table)

        let held = try cordon.run("reload", "--json")
        #expect(held.exitCode == 1)
        let outcome = try json(held.output)
        #expect((outcome["mistakes"] as? [Any])?.isEmpty == true)
        #expect(outcome["geo_build"] as? String == before["geo_build"] as? String)
        let reason = try #require(outcome["held"] as? [String: Any])
        let build = try #require(reason["geo_build"] as? String)
        #expect(reason["home_percent"] as? Double == 25 && reason["limit_percent"] as? Double == 2)
        #expect((reason["changes"] as? [Any])?.count == 1)
        try send(port, from: "1.0.0.7", consent: "granted")

        let text = try cordon.run("reload", "--status")
        #expect(text.exitCode == 1)
        #expect(text.output.contains("cordon reload --confirm \(build)"), "\(text.output)")
        let doctor = try cordon.run("doctor").output
        #expect(doctor.contains("holds a reload since"), "\(doctor)")
        // Another table than the one that was looked at is not taken.
        #expect(try cordon.run("reload", "--confirm", "another-build").exitCode == 1)
        #expect(try cordon.run("reload", "--confirm", "a b").exitCode == 2)
        #expect(try cordon.run("reload", "--status", "--confirm", build).exitCode == 2)

        let confirmed = try cordon.run("reload", "--confirm", build, "--json")
        #expect(confirmed.exitCode == 0, "\(confirmed.output)")
        #expect(try json(confirmed.output)["geo_build"] as? String == build)
        #expect(try cordon.run("reload", "--status").exitCode == 0)
        #expect(try cordon.run("doctor").output.contains("no reload held"))
        try send(port, from: "1.0.0.7", consent: "granted")
        #expect(server.end(SIGTERM) == 0)
        try deliver()
        for region in ["eu-central", "us-east"] {
            let entries = try cordon.run("audit", "log", "--region", region, "--json").output
            #expect(entries.components(separatedBy: "reload.held").count == 3, "\(entries)")
            #expect(entries.contains("\"confirmed\":\"by hand\""))
            let rows = try cordon.run("catalog", "files", "--region", region, "--json").output
            #expect(rows.components(separatedBy: "\n").count { !$0.isEmpty } == 1, "\(rows)")
        }
    }

    /// 1.0.2.0/24 goes from the United States to Germany, and 1.0.0.0/24 the other way.
    private static let third =
        "1.0.0.0/24,US\n1.0.1.0/24,DE\n1.0.2.0/24,DE\n1.0.3.0/24,US\n2a00::/32,DE\n"

    private func relocate(_ words: String...) throws -> (exitCode: Int32, lines: [[String: Any]]) {
        let result = try cordon.run(["relocate", "--json"] + words)
        let lines = try result.output.split(separator: "\n").map { try json(String($0)) }
        return (result.exitCode, lines)
    }

    private func hits(_ region: String, from place: String) throws -> String {
        try cordon.run(
            "query", "--region", region, "--role", "privacy-officer", "--purpose",
            "data-subject-request", "--from", place, "--format", "csv",
            "SELECT policy, country, count(*), count(\"user\"), count(visitor) FROM hits GROUP BY ALL ORDER BY ALL"
        ).output
    }

    @Test func `stored hits are brought home by hand, as far as their policy lets them go`()
        async throws
    {
        let server = try await cordon.up()
        let port = try #require(server.ports["eu-central"])
        for _ in 0..<2 { try send(port, from: "1.0.2.9", consent: "granted") }
        try send(port, from: "1.0.0.7", consent: "granted")
        #expect(server.end(SIGTERM) == 0)
        try deliver()
        #expect(try relocate().exitCode == 0)
        #expect(try relocate("--confirm").exitCode == 0)

        try Self.third.write(
            toFile: directory.file("third.csv"), atomically: false, encoding: .utf8)
        let built = try cordon.run(
            "geo", "build", "--format", "csv", "--out", table + ".new",
            directory.file("third.csv"))
        try #require(built.exitCode == 0, "\(built.errorOutput)")
        rename(table + ".new", table)
        let preview = try relocate()
        #expect(preview.exitCode == 1)
        let away = try #require(preview.lines.first { $0["region"] as? String == "us-east" })
        let moves = try #require(away["moves"] as? [[String: Any]])
        #expect(moves.count == 1 && moves[0]["counted"] as? Int == 2)
        // A purpose that stands as long as nobody opts out is none under a law that asks for consent.
        #expect(moves[0]["moved"] as? Int == 0)
        #expect(moves[0]["to"] as? String == "eu-central")
        #expect(moves[0]["new_policy"] as? String == "gdpr")
        let home = try #require(preview.lines.first { $0["region"] as? String == "eu-central" })
        let refused = try #require(home["refused"] as? [[String: Any]])
        #expect(refused.count == 1 && refused[0]["rows"] as? Int == 1)
        #expect(refused[0]["file"] as? String == "Policies/gdpr.yaml")
        #expect(refused[0]["line"] as? Int == 5)
        // Nothing is moved by a table that nobody decides by.
        #expect(try relocate("--confirm").exitCode == 1)
        #expect(try hits("us-east", from: "US").contains("us-states,US,2,"))

        let again = try await cordon.up()
        #expect(again.end(SIGTERM) == 0)
        let text = try cordon.run("relocate", "--confirm", "--region", "us-east")
        #expect(text.exitCode == 0, "\(text.errorOutput)")
        #expect(text.output.contains("us-states → gdpr"), "\(text.output)")
        let rest = try relocate("--confirm")
        #expect(rest.exitCode == 3)
        #expect(rest.lines.allSatisfy { ($0["moves"] as? [Any])?.isEmpty == true })
        // One of its own with its visitor's pseudonym, and two that left theirs behind.
        #expect(try hits("eu-central", from: "DE").contains("gdpr,DE,3,0,1"))
        // The names of the columns alone. Lines of CSV end in CR and LF, which are one character.
        let left = try hits("us-east", from: "US")
        #expect(left.split(whereSeparator: \.isNewline).count == 1, "\(left)")
        for region in ["eu-central", "us-east"] {
            #expect(try cordon.run("audit", "verify", "--region", region).exitCode == 0)
            let balance = try cordon.run("audit", "balance", "--region", region)
            #expect(balance.exitCode == 0, "\(balance.output)")
        }
    }

    @Test func `a limit that is set higher lets it through`() async throws {
        let server = try await cordon.start("up", "--hold-above", "30")
        try FileManager.default.copyItem(atPath: new, toPath: table + ".new")
        rename(table + ".new", table)
        #expect(try cordon.run("reload").exitCode == 0)
        #expect(server.end(SIGTERM) == 0)
        #expect(try cordon.run("up", "--hold-above", "101").exitCode == 2)
    }
}
