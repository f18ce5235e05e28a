import Foundation
import Synchronization
import TestSupport
import Testing
import WorldTraffic

/// Sends one hit after another on a thread of its own until it is stopped.
private final class Sender: Sendable {
    private struct State {
        var isStopping = false
        var counts = (asked: 0, kept: 0)
    }

    private let state = Mutex(State())
    private let ended = DispatchSemaphore(value: 0)

    init(port: UInt16, request: [UInt8]) {
        Thread.detachNewThread { [self] in
            defer { ended.signal() }
            // A connection that breaks shows as a hit that was asked for and not kept.
            guard var client = try? LoopbackClient(port: port) else { return }
            while state.withLock({ !$0.isStopping }) {
                state.withLock { $0.counts.asked += 1 }
                guard (try? client.send(request)) != nil, let status = try? client.receiveStatus()
                else { return }
                if status == 200 { state.withLock { $0.counts.kept += 1 } }
            }
        }
    }

    /// Stops, and tells how many hits were asked for and how many were kept.
    func stop() -> (asked: Int, kept: Int) {
        state.withLock { $0.isStopping = true }
        ended.wait()
        return state.withLock { $0.counts }
    }
}

/// `cordon keys` on a project with a collector that runs.
@Suite struct `Key commands` {
    let directory: TemporaryDirectory
    private let cordon: CordonProgram
    private static let person = "rotated-person@mail.example"
    private static let address = "193.99.144.80"

    init() throws {
        directory = try TemporaryDirectory()
        cordon = try CordonProgram(projectIn: directory)
        SentValues.note(Self.person, Self.address)
    }

    private static var request: [UInt8] {
        let id = person.replacingOccurrences(of: "@", with: "%40")
        return Array(
            ("GET /pixel.gif?site=k.example&event=view&consent=granted&userid=\(id) HTTP/1.1\r\n"
                + "Host: pixel.example\r\nX-Forwarded-For: \(address)\r\n\r\n").utf8)
    }

    private func rows(_ sql: String) throws -> Int {
        let result = try cordon.run(
            "query", "--region", "eu-central", "--role", "privacy-officer", "--purpose",
            "data-subject-request", "--from", "DE", "--format", "csv", sql)
        try #require(result.exitCode == 0, "\(result.errorOutput)")
        return try #require(Int(result.output.split(whereSeparator: \.isNewline).last ?? ""))
    }

    @Test func `rotation under load loses nothing, and a destroyed key's rows are nobody's`()
        async throws
    {
        let server = try await cordon.up()
        let port = try #require(server.ports["eu-central"])
        var client = try LoopbackClient(port: port)
        var kept = 0
        for _ in 0..<5 {
            try client.send(Self.request)
            if try client.receiveStatus() == 200 { kept += 1 }
        }
        // One thread sends without a pause while the keys are rotated three times.
        let sender = Sender(port: port, request: Self.request)
        for _ in 0..<3 {
            let rotated = try cordon.run(
                "keys", "rotate", "--region", "eu-central", "--field", "user", "--json")
            #expect(rotated.exitCode == 0, "\(rotated.errorOutput)")
            #expect(!rotated.output.isEmpty)
        }
        let sent = sender.stop()
        #expect(sent.kept == sent.asked && sent.kept > 0)
        kept += sent.kept
        // The last key is in use for certain.
        for _ in 0..<5 {
            try client.send(Self.request)
            if try client.receiveStatus() == 200 { kept += 1 }
        }
        let proofs = directory.file("proofs")
        let destroyed = try cordon.run(
            "keys", "destroy", "--region", "eu-central", "--field", "user", "--rotated", "--yes",
            "--out", proofs)
        #expect(destroyed.exitCode == 0, "\(destroyed.errorOutput)")
        // Hits go on under the key that is left.
        try client.send(Self.request)
        if try client.receiveStatus() == 200 { kept += 1 }
        server.end(SIGTERM)
        #expect(try cordon.run("deliver", "--region", "eu-central", "--once").exitCode == 0)
        #expect(try rows("SELECT count(*) AS n FROM hits") == kept)
        let pseudonyms = try rows("SELECT count(DISTINCT user) AS n FROM hits")
        #expect(pseudonyms >= 2)

        // Only what the last key made can still be tied to the person.
        let found = try cordon.run(
            "subject", "find", "--region", "eu-central", "--user", "-", "--json", input: Self.person
        )
        let count = try #require(
            found.output.firstMatch(of: #/"rows":([0-9]+),/#).flatMap { Int($0.1) })
        #expect(count >= 6 && count < kept)
        #expect(
            try rows(
                "SELECT max(n) FROM (SELECT user, count(*) AS n FROM hits GROUP BY user) AS g")
                >= 6)

        // Each destruction is proved, and `audit log` shows both of its entries.
        let files = try FileManager.default.contentsOfDirectory(atPath: proofs)
        #expect(files.count % 2 == 0 && !files.isEmpty)
        for kind in ["keys.rotated", "keys.destroying", "keys.destroyed"] {
            let log = try cordon.run(
                "audit", "log", "--region", "eu-central", "--kind", kind, "--json")
            #expect(log.output.contains("\"fingerprint\""), "\(kind)")
        }
        #expect(try cordon.run("audit", "verify").exitCode == 0)
    }

    @Test func `destroying asks first and refuses what is in use`() throws {
        #expect(try cordon.run("keys", "destroy").exitCode == 2)
        #expect(try cordon.run("keys", "destroy", "--before", "2999-01-01", "--yes").exitCode == 2)
        let preview = try cordon.run("keys", "destroy", "--before", "2020-01-01")
        #expect(preview.exitCode == 2)
        #expect(preview.errorOutput.contains("nothing was changed"))
        #expect(try cordon.run("keys", "rotate", "--field", "ip").exitCode == 2)
    }

    @Test func `with the master key the node runs, and without it says what is lost`() async throws
    {
        let key = directory.file("master")
        try String(repeating: "5a", count: 32).write(
            toFile: key, atomically: false, encoding: .utf8)
        #expect(chmod(key, 0o600) == 0)
        let wrapped = try cordon.run("keys", "wrap", "--master", "file:\(key)")
        #expect(wrapped.exitCode == 0, "\(wrapped.errorOutput)")
        let server = try await cordon.up()
        var client = try LoopbackClient(port: try #require(server.ports["eu-central"]))
        try client.send(Self.request)
        #expect(try client.receiveStatus() == 200)
        server.end(SIGTERM)
        let listed = try cordon.run("keys", "list")
        #expect(listed.output.contains("wrapped by") && !listed.output.contains("plain"))
        try FileManager.default.removeItem(atPath: key)
        for words in [["keys", "list"], ["subject", "status"], ["audit", "verify"]] {
            let lost = try cordon.run(words)
            #expect(lost.exitCode == 4, "\(words)")
            #expect(lost.errorOutput.contains("the master key `file:\(key)` cannot be had"))
        }
        await #expect(throws: CordonProgram.NotReady.self) { _ = try await cordon.up() }
        #expect(
            try cordon.run("keys", "wrap", "--master", "file:x").errorOutput.contains("file:/PATH"))
    }
}
