import Bytes
import Foundation
import LinuxIO
import TestSupport
import Testing

@testable import TLS

@Suite struct `A server's certificate and key` {
    private let files: TestCertificates

    init() throws {
        files = try TestCertificates()
        try files.make("server")
    }

    private func identity(_ certificate: String, _ key: String) throws(TLSError) -> TLSIdentity {
        try TLSIdentity(certificatePath: files.path(certificate), keyPath: files.path(key))
    }

    private func context(_ identity: TLSIdentity) throws(TLSError) -> TLSContext {
        try TLSContext(identity, scope: "test", tickets: TicketKeys(at: 0))
    }

    @Test func `are read with the intermediates that follow`() throws {
        try files.make("root")
        try files.make("leaf", issuer: "root")
        let both = try ["leaf.crt", "root.crt"].map {
            try String(contentsOfFile: files.path($0), encoding: .utf8)
        }
        try both.joined().write(
            toFile: files.path("full.crt"), atomically: true, encoding: .utf8)
        let identity = try identity("full.crt", "leaf.key")
        #expect(identity.chain.count == 1)
        _ = try context(identity)
        // What cannot be read of a chain is not left out: clients would refuse what is served then.
        let damaged = both[0] + both[1].replacing("MI", with: "AA", maxReplacements: 1)
        try damaged.write(toFile: files.path("damaged.crt"), atomically: true, encoding: .utf8)
        #expect(throws: TLSError.damaged(path: files.path("damaged.crt"))) {
            try self.identity("damaged.crt", "leaf.key")
        }
    }

    @Test func `that are missing are named with the system's reason`() {
        #expect(throws: TLSError.file(.missing(files.path("none.crt")))) {
            try identity("none.crt", "server.key")
        }
        #expect(throws: TLSError.file(.missing(files.path("none.key")))) {
            try identity("server.crt", "none.key")
        }
    }

    @Test func `that are something else are named`() throws {
        try "no PEM".write(toFile: files.path("text"), atomically: true, encoding: .utf8)
        #expect(throws: TLSError.noCertificate(path: files.path("text"))) {
            try identity("text", "server.key")
        }
        #expect(throws: TLSError.noKey(path: files.path("text"))) {
            try identity("server.crt", "text")
        }
        #expect(throws: TLSError.noKey(path: files.path("server.crt"))) {
            try identity("server.crt", "server.crt")
        }
    }

    @Test func `that do not belong together are refused`() throws {
        try files.make("other")
        #expect(
            throws: TLSError.mismatch(
                certificate: files.path("server.crt"), key: files.path("other.key"))
        ) { try identity("server.crt", "other.key") }
    }

    @Test func `whose key has a passphrase are refused without asking for it`() throws {
        try files.openssl([
            "pkey", "-in", files.path("server.key"), "-aes256", "-passout", "pass:x", "-out",
            files.path("locked.key"),
        ])
        #expect(throws: TLSError.encryptedKey(path: files.path("locked.key"))) {
            try identity("server.crt", "locked.key")
        }
    }

    @Test func `that are too weak are refused`() throws {
        try files.make("weak", key: ["rsa:1024"])
        let identity = try identity("weak.crt", "weak.key")
        #expect(throws: TLSError.weak(path: files.path("weak.crt"))) { try context(identity) }
    }

    @Test func `are valid between their days alone`() throws {
        let identity = try identity("server.crt", "server.key")
        try identity.requireValid(at: identity.notAfter)
        #expect(
            throws: TLSError.expired(path: files.path("server.crt"), day: identity.lastDay)
        ) { try identity.requireValid(at: identity.notAfter + 1) }
        #expect(throws: TLSError.self) {
            try identity.requireValid(at: identity.certificate.notBefore - 1)
        }
        #expect(identity.lastDay.utf8.count == 10)
    }

    @Test func `every error names its file and is one line`() {
        let errors: [TLSError] = [
            .tooLarge(path: "p"), .noCertificate(path: "p"), .damaged(path: "p"), .noKey(path: "p"),
            .encryptedKey(path: "p"), .mismatch(certificate: "c", key: "p"), .weak(path: "p"),
            .expired(path: "p", day: "2026-01-01"), .notYetValid(path: "p", day: "2026-01-01"),
        ]
        for error in errors {
            #expect(error.path == "p")
            #expect(error.description.contains("`p`") && !error.description.contains("\n"))
        }
    }
}

/// The two ends of one connection in this process: the server is ours, the client the `openssl` program.
@Suite struct `A ticket` {
    private let files: TestCertificates

    init() throws {
        files = try TestCertificates()
        try files.make("server")
    }

    /// Serves one connection of `openssl s_client` and returns whether its session was resumed; nil when it failed.
    private func connect(_ context: TLSContext, _ arguments: [String]) throws -> Bool? {
        let listener = try Socket.listening(
            on: .init(ipv4: 0x7F00_0001), port: 0, backlog: 8)
        let port = try listener.localPort
        let client = Process()
        client.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        client.arguments =
            ["openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-quiet"] + arguments
        client.standardInput = FileHandle.nullDevice
        client.standardOutput = FileHandle.nullDevice
        client.standardError = FileHandle.nullDevice
        try client.run()
        defer { client.waitUntilExit() }
        var accepted: Accepted?
        // A client that ended without connecting must not be waited for.
        while accepted == nil, client.isRunning {
            wait(listener.descriptor)
            accepted = try listener.accept()
        }
        guard let socket = accepted.take()?.take() else { return nil }
        let connection = TLSConnection(context, descriptor: socket.descriptor)
        while true {
            switch connection.handshake() {
            case .done:
                let isResumed = connection.isResumed
                // The client keeps the session when it has read the tickets, which come before this byte.
                var byte: UInt8 = 0x78
                _ = withUnsafeBytes(of: &byte) { connection.write($0) }
                connection.finish()
                return isResumed
            case .wouldBlock: wait(socket.descriptor)
            case .failed: return nil
            }
        }
    }

    private func wait(_ descriptor: Int32) {
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        poll(&watched, 1, 1000)
    }

    private func context(_ tickets: TicketKeys, scope: String = "north") throws -> TLSContext {
        try TLSContext(
            TLSIdentity(
                certificatePath: files.path("server.crt"), keyPath: files.path("server.key")),
            scope: scope, tickets: tickets)
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func `resumes until its key is two periods old`(_ version: String) throws {
        let tickets = TicketKeys(at: 0)
        let period = TLSLimits.ticketKeySeconds * 1000
        let session = files.path("session")
        let first = try connect(context(tickets), [version, "-sess_out", session])
        #expect(first == false)
        // Another context, as after a reload, knows the ticket too.
        #expect(try connect(context(tickets), [version, "-sess_in", session]) == true)
        tickets.rotateIfDue(at: period - 1)
        tickets.rotateIfDue(at: period)
        #expect(try connect(context(tickets), [version, "-sess_in", session]) == true)
        tickets.rotateIfDue(at: 2 * period)
        #expect(try connect(context(tickets), [version, "-sess_in", session]) == false)
    }

    @Test func `of one scope opens nothing in another`() throws {
        let tickets = TicketKeys(at: 0)
        let session = files.path("session")
        #expect(try connect(context(tickets), ["-sess_out", session]) == false)
        #expect(
            try connect(context(tickets, scope: "south"), ["-sess_in", session]) != true)
    }

    @Test func `that nobody used for two periods is gone at the first look`() throws {
        let tickets = TicketKeys(at: 0)
        let session = files.path("session")
        #expect(try connect(context(tickets), ["-sess_out", session]) == false)
        tickets.rotateIfDue(at: 2 * TLSLimits.ticketKeySeconds * 1000)
        #expect(try connect(context(tickets), ["-sess_in", session]) == false)
    }
}

extension LinuxError {
    fileprivate static func missing(_ path: String) -> LinuxError {
        LinuxError(operation: .open, path: path, errno: ENOENT)
    }
}
