import Foundation
import TestSupport
import Testing

/// A small disk under one region's files.
private struct SmallDisk {
    let path: String

    /// Mounting asks for rights that not every place gives.
    static let isPermitted: Bool = {
        guard geteuid() == 0, let directory = try? TemporaryDirectory() else { return false }
        return withExtendedLifetime(directory) {
            let disk = try? SmallDisk(at: directory.file("probe"), megabytes: 1)
            disk?.unmount()
            return disk != nil
        }
    }()

    struct NotMounted: Error {}

    init(at path: String, megabytes: Int) throws {
        self.path = path
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        guard
            Self.run(
                "mount", "-t", "tmpfs", "-o", "size=\(megabytes)m,mode=700", "cordon-test", path)
        else { throw NotMounted() }
    }

    func unmount() { _ = Self.run("umount", "-l", path) }

    private static func run(_ words: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// Fills the disk up to about `kilobytes` with a file that can be removed again, or wholly where others are faster.
    func fill(leaving kilobytes: Int) throws {
        let ballast = path + "/ballast"
        try Data().write(to: URL(fileURLWithPath: ballast))
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: ballast))
        defer { try? file.close() }
        while case let room = try free() - kilobytes * 1024, room > 0 {
            do {
                try file.write(contentsOf: Data(count: min(room, 1 << 20)))
            } catch {
                // Whoever writes beside this has taken the rest, so the disk is full.
                return
            }
        }
    }

    private func free() throws -> Int {
        try FileManager.default.attributesOfFileSystem(forPath: path)[.systemFreeSize] as? Int ?? 0
    }

    func makeRoom() throws { try FileManager.default.removeItem(atPath: path + "/ballast") }
}

@Suite(.serialized) struct `A full disk` {
    private let directory: TemporaryDirectory
    private let cordon: CordonProgram

    init() throws {
        directory = try TemporaryDirectory()
        cordon = CordonProgram(project: directory.file("project"))
    }

    @Test(.enabled(if: SmallDisk.isPermitted, "mounting a small disk is not permitted here"))
    func `means 503 while it lasts, and no answered hit is lost`() async throws {
        let disk = try SmallDisk(at: cordon.project + "/var/eu-central", megabytes: 128)
        defer { disk.unmount() }
        let made = try cordon.run("init")
        try #require(made.exitCode == 0, "\(made.errorOutput)")
        let server = try await cordon.start("up", "--every", "3600")
        let port = try #require(server.ports["eu-central"])
        // Journal and log have grown to some size before the disk is full. The disk has room for what a sender sends on
        // while this test waits for its turn among all others.
        let first = Senders(
            port: port, firstNumber: 0, connectionCount: 1, pauseMilliseconds: 10)
        first.start()
        while first.answeredCount < 200 { try await Task.sleep(for: .milliseconds(2)) }
        try disk.fill(leaving: 600)
        while first.refused.count < 100 { try await Task.sleep(for: .milliseconds(2)) }
        #expect(try answer(port, event: "full").contains("Retry-After: 1"))
        #expect(try answer(port, path: "/readyz").contains("503"))
        // Hits of other regions go on.
        try disk.makeRoom()
        let refusedBefore = first.refused.count
        let answeredBefore = first.answeredCount
        while first.answeredCount < answeredBefore + 200 {
            try await Task.sleep(for: .milliseconds(2))
        }
        #expect(first.refused.count >= refusedBefore)
        first.stop()
        #expect(try answer(port, path: "/readyz").contains("200 OK"))
        #expect(server.end(SIGTERM) == 0)

        for region in ["eu-central", "us-east", "ap-south"] {
            let result = try cordon.run("deliver", "--region", region, "--once")
            #expect(result.exitCode == 0, "\(result.errorOutput)")
        }
        let found = try cordon.eventNumbers([
            "eu-central": "DE", "us-east": "US", "ap-south": "IN",
        ])
        #expect(Set(found).count == found.count)
        #expect(first.answered == Set(found))
        let balance = try cordon.run("audit", "balance", "--region", "eu-central")
        #expect(balance.exitCode == 0, "\(balance.output)")
        #expect(balance.output.contains("failed"), "\(balance.output)")
    }

    /// Head and body of one answer, by curl.
    private func answer(
        _ port: UInt16, path: String = "/pixel.gif", event: String = "x"
    ) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "curl", "-s", "-i", "-o", "-", "-H", "X-Forwarded-For: 193.99.144.80",
            "http://127.0.0.1:\(port)\(path)?site=a.example&event=\(event)",
        ]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
