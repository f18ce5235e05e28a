import Foundation
import TestSupport
import Testing

/// Rules that only run once they are proved, from the command line to the reload.
@Suite(.serialized) struct `Rules that need a proof` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        cordon = CordonProgram(project: directory.file("project"))
        let source = directory.file("places.csv")
        let lines = "1.0.0.0/24,DE\n1.0.1.0/24,US,CA\n1.0.2.0/24,JP\n2a00::/32,FR\n"
        try lines.write(toFile: source, atomically: false, encoding: .utf8)
        let made = try cordon.run("init", "--geo-format", "csv", "--geo", source)
        try #require(made.exitCode == 0, "\(made.errorOutput)")
    }

    private func edit(_ file: String, _ old: String, _ new: String) throws {
        let path = cordon.project + "/" + file
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try #require(text.contains(old))
        try text.replacingOccurrences(of: old, with: new)
            .write(toFile: path, atomically: true, encoding: .utf8)
    }

    @Test func `nothing starts or is reloaded without a certificate that covers it`() async throws {
        let without = try cordon.run("up", "--free-ports", "--require-proof")
        #expect(without.exitCode == 3)
        #expect(without.errorOutput.contains("there is no proof at"), "\(without.errorOutput)")

        #expect(try cordon.run("policy", "prove", "--sign").exitCode == 0)
        let verified = try cordon.run("certificate", "verify")
        #expect(verified.exitCode == 0, "\(verified.errorOutput)")
        let running = try await cordon.start("up", "--require-proof")
        // Allowed by every invariant, and not what was proved.
        try edit("Policies/gdpr.yaml", "user: 90d", "user: 80d")
        kill(running.processIdentifier, SIGHUP)
        while !running.log.contains("the project was not reloaded") {
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(running.log.contains("another rule set"))
        #expect(running.end(SIGTERM) == 0)
        #expect(try cordon.run("up", "--free-ports", "--require-proof").exitCode == 3)
        let stale = try cordon.run("certificate", "verify")
        #expect(stale.exitCode == 1)
        // What else keeps a node from starting has its own code.
        #expect(try cordon.run("collect", "--region", "nowhere").exitCode == 2)
        try edit("Policies/gdpr.yaml", "user: 80d", "user: often")
        let mistaken = try cordon.run("up", "--free-ports")
        #expect(mistaken.exitCode == 1)
        #expect(mistaken.errorOutput.contains("Policies/gdpr.yaml:"))
        try edit("Policies/gdpr.yaml", "user: often", "user: 80d")
        #expect(stale.output.contains("stale: this project now has another rule set"))

        let log = try cordon.run("audit", "log", "--region", "eu-central").output
        for kind in ["start.refused", "proof.made"] { #expect(log.contains(kind), "\(kind)") }
        // A refusal is one entry, which says why.
        #expect(log.matches(of: #/reload\.refused|rules\.refused/#).count == 1)
        let refused = try cordon.run(
            "audit", "log", "--region", "eu-central", "--kind", "rules.refused"
        ).output
        #expect(refused.contains("reason="), "\(refused)")
    }

    @Test func `what does not hold is shown with its smallest exception and is not signed`() throws
    {
        try edit("Policies/appi.yaml", "region: eu-central", "region: us-east")
        let proof = try cordon.run("policy", "prove", "--sign")
        #expect(proof.exitCode == 1)
        #expect(proof.output.contains("smallest: 1.0.2.0/24 in JP"), "\(proof.output)")
        #expect(proof.output.contains("policy `appi` at Policies/appi.yaml:"))
        #expect(
            !FileManager.default.fileExists(atPath: cordon.project + "/var/proof/certificate"))
    }
}
