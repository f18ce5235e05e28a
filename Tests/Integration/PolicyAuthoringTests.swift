import Foundation
import TestSupport
import Testing

/// What those who write policies call, through the built program.
@Suite(.serialized) struct `Writing policies` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        cordon = CordonProgram(project: directory.file("project"))
        let source = directory.file("places.csv")
        let lines = "1.0.0.0/24,DE\n1.0.1.0/24,US,CA\n1.0.2.0/23,JP\n2a00::/32,FR\n"
        try lines.write(toFile: source, atomically: false, encoding: .utf8)
        let made = try cordon.run("init", "--geo-format", "csv", "--geo", source)
        try #require(made.exitCode == 0, "\(made.errorOutput)")
    }

    private func edit(_ file: String, _ old: String, _ new: String) throws {
        let path = cordon.project + "/" + file
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try #require(text.contains(old), "\(file) holds `\(old)`")
        try text.replacingOccurrences(of: old, with: new)
            .write(toFile: path, atomically: true, encoding: .utf8)
    }

    private func json(_ text: String) throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    @Test func `files are laid out, and what cannot be is named and left`() throws {
        #expect(try cordon.run("policy", "fmt", "--check").exitCode == 0)
        let before = try cordon.run("check").output
        try edit("Policies/gdpr.yaml", "retention: { preset:", "retention:   {preset:")
        try edit("Policies/appi.yaml", "policy: appi", "policy: &anchor appi")
        let check = try cordon.run("policy", "fmt", "--check")
        #expect(check.exitCode == 1)
        #expect(
            check.output.contains("Policies/gdpr.yaml:24: laid out otherwise"), "\(check.output)")
        let run = try cordon.run("policy", "fmt")
        #expect(run.exitCode == 1)
        #expect(run.output.contains("Policies/appi.yaml:1:9: anchors are not supported"))
        #expect(run.output.contains("Policies/gdpr.yaml: laid out"))
        try edit("Policies/appi.yaml", "policy: &anchor appi", "policy: appi")
        #expect(try cordon.run("policy", "fmt", "--check", "--json").exitCode == 0)
        #expect(try cordon.run("check").output == before)
        #expect(
            try cordon.run("policy", "fmt", cordon.project + "/Policies/none.yaml").exitCode == 4)
    }

    @Test func `a difference has an exit code for each answer, by folder and by digest`()
        async throws
    {
        let old = directory.file("old")
        try FileManager.default.createDirectory(
            atPath: old, withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: cordon.project + "/Policies", toPath: old + "/Policies")
        #expect(try cordon.run("policy", "diff", old).exitCode == 0)
        let running = try await cordon.up()
        #expect(running.end(SIGTERM) == 0)
        let digest = try #require(
            try json(cordon.run("check", "--json").output)["rule_set"] as? String)

        try edit("Policies/gdpr.yaml", "user: 90d", "user: 60d")
        let stricter = try cordon.run("policy", "diff", String(digest.prefix(12)))
        #expect(stricter.exitCode == 10, "\(stricter.output)\(stricter.errorOutput)")
        #expect(stricter.output.contains("retention.fields.user: 90d → 60d (stricter)"))
        #expect(try cordon.run("policy", "diff", cordon.project, old).exitCode == 11)
        try edit("Policies/gdpr.yaml", "place:      country", "place:      subdivision")
        let mixed = try cordon.run("policy", "diff", "--traffic", "--json", old)
        #expect(mixed.exitCode == 12)
        let report = try json(mixed.output)
        #expect(report["verdict"] as? String == "mixed")
        #expect(report["ipv4"] as? String == "256")
        #expect(report["ipv6_64s"] as? String == "4294967296")
        let groups = try #require(report["groups"] as? [[String: Any]])
        #expect(groups.map { $0["old_policy"] as? String } == ["gdpr"])
        try edit("Policies/gdpr.yaml", "title: EU", "colour: red\ntitle: EU")
        #expect(try cordon.run("policy", "diff", old).exitCode == 1)
        #expect(try cordon.run("policy", "diff", "0123456789").exitCode == 2)
    }

    @Test func `an old rule set explains what a hit of its day met`() async throws {
        let running = try await cordon.up()
        #expect(running.end(SIGTERM) == 0)
        let digest = try #require(
            try json(cordon.run("check", "--json").output)["rule_set"] as? String)
        try edit("Policies/gdpr.yaml", "ipv4: 24", "ipv4: 16")
        let today = ISO8601DateFormatter().string(from: Date()).prefix(10)
        func field(_ words: String...) throws -> String {
            let words =
                ["policy", "explain", "--address", "1.0.0.7", "--json"] + [
                    "--url", "https://p.example/pixel.gif?consent=granted",
                ] + words
            let result = try cordon.run(words)
            #expect(result.exitCode == 0, "\(result.errorOutput)")
            let fields = try json(result.output)["fields"] as? [String: [String: String]]
            return fields?["ip"]?["action"] ?? ""
        }
        #expect(try field() == "truncate ipv4/16 ipv6/48")
        #expect(try field("--as-of", digest) == "truncate ipv4/24 ipv6/48")
        // The new rules were never in force.
        #expect(try field("--as-of", String(today)) == "truncate ipv4/24 ipv6/48")
        let log = try cordon.run("audit", "log", "--region", "eu-central", "--kind", "node.started")
        #expect(log.output.contains("rule_set=\(digest)"))
        func fails(_ asOf: String, _ exitCode: Int32) throws {
            let result = try cordon.run(
                "policy", "explain", "--address", "1.0.0.7", "--url", "/pixel.gif", "--as-of", asOf)
            #expect(result.exitCode == exitCode, "\(result.output)\(result.errorOutput)")
        }
        try fails("2020-01-01", 1)
        try fails("9999-01-01", 2)
        try fails("01234567", 1)
    }

    @Test func `cases are counted against the rules, and borders are decided twice`() throws {
        let coverage = try cordon.run("policy", "test", "--coverage")
        #expect(coverage.exitCode == 0, "\(coverage.output)")
        #expect(coverage.output.contains("parts reached"))
        #expect(try cordon.run("policy", "test", "--minimum", "10").exitCode == 0)
        let path = cordon.project + "/Policies/cases/gdpr.yaml"
        try FileManager.default.removeItem(atPath: path)
        let short = try cordon.run("policy", "test", "--minimum", "100")
        #expect(short.exitCode == 1)
        #expect(short.output.contains(#/Policies/gdpr.yaml:\d+: no case shows consent granted/#))
        let borders = try cordon.run(
            "policy", "test", "--boundaries", "--json", "--write",
            cordon.project + "/Policies/cases/borders.yaml")
        #expect(borders.exitCode == 0, "\(borders.output)")
        let found = try #require(try json(borders.output)["boundaries"] as? [String: Any])
        #expect(found["borders"] as? Int ?? 0 > 5)
        let written = try cordon.run("policy", "test", "--json")
        #expect(written.exitCode == 0, "\(written.output)")
        #expect(try cordon.run("policy", "fmt", "--check").exitCode == 0)
        #expect(try cordon.run("policy", "test", "--write", "a.yaml").exitCode == 2)
        #expect(try cordon.run("policy", "test", "--minimum", "101").exitCode == 2)
    }

    @Test func `a damaged geo table is named as such by the cases`() throws {
        let path = cordon.project + "/var/geo/places.cgt"
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        try file.truncate(atOffset: file.seekToEnd() / 2)
        try file.close()
        let damaged = try cordon.run("policy", "test")
        #expect(damaged.exitCode != 0)
        #expect(damaged.errorOutput.contains(path), "\(damaged.output)\(damaged.errorOutput)")
        try FileManager.default.removeItem(atPath: path)
        #expect(try cordon.run("policy", "test").exitCode == 0)
    }
}

/// The table that `cordon init` makes of the whole world's addresses.
@Suite struct `Borders of the world` {
    @Test func `each at which a policy changes is decided twice, and alike`() throws {
        let directory = try TemporaryDirectory()
        let cordon = try CordonProgram(projectIn: directory)
        let result = try cordon.run("policy", "test", "--boundaries", "--json")
        #expect(result.exitCode == 0, "\(result.output)\(result.errorOutput)")
        let report = try #require(
            try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let found = try #require(report["boundaries"] as? [String: Any])
        // Both address spaces, with the IPv4 addresses that stand in IPv6 ones.
        #expect(found["borders"] as? Int ?? 0 > 500_000)
        #expect(found["comparisons"] as? Int ?? 0 > 1_000_000)
        #expect((found["faults"] as? [Any])?.isEmpty == true)
    }
}
