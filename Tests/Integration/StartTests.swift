import Foundation
import TestSupport
import Testing

/// `cordon up` that cannot start, or cannot say that it did.
@Suite struct `A start that fails` {
    let directory: TemporaryDirectory
    private let cordon: CordonProgram
    private var readyFile: String { directory.file("ready.json") }

    init() throws {
        directory = try TemporaryDirectory()
        cordon = try CordonProgram(projectIn: directory)
    }

    private func up(_ readyFile: String) throws -> CordonProgram.Result {
        try cordon.run("up", "--free-ports", "--ready-file", readyFile)
    }

    /// Puts `text` in the place of another in the region's file.
    private func edit(_ old: String, _ text: String) throws {
        let path = cordon.project + "/Regions/eu-central.yaml"
        let file = try String(contentsOfFile: path, encoding: .utf8)
        try #require(file.contains(old))
        try file.replacing(old, with: text).write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// The kinds of the region's last entries, in their order.
    private func lastKinds(_ count: Int) throws -> [String] {
        let log = try cordon.run(
            "audit", "log", "--region", "eu-central", "--json", "--limit", "\(count)")
        return log.output.matches(of: #/"kind":"([^"]+)"/#).map { String($0.1) }
    }

    @Test func `leaves no ready file of an earlier one`() throws {
        try Data("{}".utf8).write(to: URL(fileURLWithPath: readyFile))
        try edit("jurisdiction: DE", "jurisdiction: nowhere")
        #expect(try up(readyFile).exitCode == 1)
        #expect(!FileManager.default.fileExists(atPath: readyFile))
        try Data("{}".utf8).write(to: URL(fileURLWithPath: readyFile))
        let served = try cordon.run(
            "serve", "--region", "eu-central", "--free-ports", "--ready-file", readyFile)
        #expect(served.exitCode != 0)
        #expect(!FileManager.default.fileExists(atPath: readyFile))
    }

    @Test func `for want of a place for its ready file stops in order`() throws {
        let result = try up(directory.file("missing/ready.json"))
        #expect(result.exitCode == 4)
        #expect(result.errorOutput.contains("missing"), "\(result.errorOutput)")
        #expect(try lastKinds(20).contains("service.stopped"))
        #expect(try lastKinds(20).contains("node.stopped"))
        let served = try cordon.run(
            "serve", "--region", "eu-central", "--free-ports", "--ready-file",
            directory.file("missing/ready.json"))
        #expect(served.exitCode == 4)
        #expect(try lastKinds(1) == ["service.stopped"])
    }

    @Test func `at a service stops the collectors that had started`() throws {
        try edit(
            "service: { listen: 127.0.0.1:9401 }",
            "service: { listen: 127.0.0.1:9401, tls: { certificate: tls/no.crt, key: tls/no.key } }"
        )
        let result = try up(readyFile)
        #expect(result.exitCode == 4, "\(result.errorOutput)")
        #expect(result.errorOutput.contains("no.crt"))
        #expect(result.errorOutput.contains("collector drained"))
        let kinds = try lastKinds(20)
        #expect(kinds.contains("node.started") && kinds.contains("node.stopped"))
        #expect(!FileManager.default.fileExists(atPath: readyFile))
    }
}
