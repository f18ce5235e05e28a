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
        try edit("Policies/gdpr.yaml", "retention: { hits: 395d,", "retention:   {hits: 395d,")
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
}
