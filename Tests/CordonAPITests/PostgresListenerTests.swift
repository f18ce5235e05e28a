import Bytes
import CordonAudit
import CordonModel
import CordonTokens
import Foundation
import LinuxIO
import PostgresWire
import TLS
import TestSupport
import Testing

@testable import CordonAPI

/// The listener for clients of PostgreSQL, over sockets on loopback.
@Suite struct `A listener for clients of PostgreSQL` {
    private let fixture: APIFixture

    init() throws { fixture = try APIFixture() }

    private func listener(
        tls: TLSContext? = nil, clock: any ServiceClock = SystemServiceClock(),
        configure: (inout ServiceLimits) -> Void = { _ in }
    ) throws -> ServiceListener {
        var limits = ServiceLimits.postgres
        limits.lingerMilliseconds = 0
        configure(&limits)
        let listener = try fixture.api.postgresListener(
            address: IPAddress(ipv4: 0x7F00_0001), port: 0, tls: tls, tickets: nil,
            limits: limits, clock: clock)
        listener.start()
        return listener
    }

    /// Sends bytes and returns all that comes until the connection ends.
    private func ask(_ listener: ServiceListener, _ bytes: [UInt8]) throws -> String {
        let socket = try Socket.connected(to: IPAddress(ipv4: 0x7F00_0001), port: listener.port)
        _ = bytes.withUnsafeBytes { socket.write($0) }
        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while case .bytes(let count) = chunk.withUnsafeMutableBytes({ socket.read(into: $0) }) {
            received += chunk[..<count]
        }
        return String(decoding: received, as: UTF8.self)
    }

    private func packet(_ number: UInt32, _ texts: [String] = []) -> [UInt8] {
        let body =
            [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
            + texts.flatMap { Array($0.utf8) + [0] } + (texts.isEmpty ? [] : [0])
        let count = body.count + 4
        return [0, 0, UInt8(count >> 8), UInt8(count & 0xFF)] + body
    }

    private func message(_ type: Character, _ text: String) -> [UInt8] {
        let count = text.utf8.count + 5
        return [type.asciiValue!, 0, 0, UInt8(count >> 8), UInt8(count & 0xFF)]
            + Array(text.utf8) + [0]
    }

    private var startup: [UInt8] {
        packet(3 << 16, ["user", "tester", "database", "eu-central"])
    }

    @Test func `lets nobody in without a good token, and tells the audit log why`() throws {
        let listener = try listener()
        for password in ["nonsense", "", fixture.token + "x"] {
            let told = try ask(listener, startup + message("p", password))
            #expect(told.contains("C28P01"), "\(told)")
            #expect(told.contains("SFATAL"), "\(told)")
        }
        let other = packet(3 << 16, ["user", "root", "database", "eu-central"])
        #expect(try ask(listener, other + message("p", fixture.token)).contains("somebody else"))
        let elsewhere = packet(3 << 16, ["user", "tester", "database", "us-east"])
        #expect(try ask(listener, elsewhere + message("p", fixture.token)).contains("C3D000"))
        #expect(
            try Set(fixture.reasons()).isSuperset(of: [
                "malformed-token", "no-token", "other-subject",
            ]))
        listener.stop()
    }

    @Test func `takes another issuer's token from its person alone, and calls them by no name`()
        throws
    {
        let login = TestLogin()
        let fixture = try APIFixture(issuers: [login.keys()])
        let listener = try fixture.api.postgresListener(
            address: IPAddress(ipv4: 0x7F00_0001), port: 0, tls: nil, tickets: nil)
        listener.start()
        let name = fixture.authority.name(
            ofSubject: login.person, issuer: login.issuer.issuer)
        func told(_ user: String) throws -> String {
            try ask(
                listener,
                packet(3 << 16, ["user", user, "database", "eu-central"])
                    + message("p", login.token("team")) + [UInt8(ascii: "X"), 0, 0, 0, 4])
        }
        for user in [login.person, name] {
            #expect(try told(user).contains("session_authorization\u{0}\(name)\u{0}"))
        }
        #expect(try fixture.reasons() == [])
        for user in ["analyst", "tester", "Jane@mail.example", "oidc-sub-", "postgres"] {
            #expect(try told(user).contains("somebody else"), "\(user)")
        }
        #expect(try Set(fixture.reasons()) == ["other-subject"])
        listener.stop()
    }

    @Test func `lets the bearer of a token in, and answers what needs no rows`() throws {
        let listener = try listener()
        let told = try ask(
            listener,
            startup + message("p", fixture.token) + message("Q", "SHOW server_encoding")
                + [UInt8(ascii: "X"), 0, 0, 0, 4])
        #expect(told.contains("server_version\u{0}15.0"), "\(told)")
        #expect(told.contains("SHOW"), "\(told)")
        #expect(try fixture.kinds().filter { $0 == "service.refused" } == [])
        listener.stop()
    }

    @Test func `says what it does not speak, and reads nothing beyond`() throws {
        let listener = try listener()
        #expect(try ask(listener, packet(2 << 16)).contains("protocol 2.0 is not spoken here"))
        #expect(try ask(listener, Array("GET / HTTP/1.1\r\n\r\n".utf8)).contains("C08P01"))
        #expect(try ask(listener, startup + Array("GET /".utf8)).contains("C08P01"))
        #expect(try ask(listener, packet(80_877_104) + startup).hasPrefix("N"))
        #expect(try ask(listener, packet(80_877_103) + startup).contains("C08P01"))
        #expect(try ask(listener, packet(80_877_102) + [0]).isEmpty == false)
        listener.stop()
    }

    @Test func `refuses one more connection than it has room for`() throws {
        let clock = ServiceTestClock()
        let listener = try listener(clock: clock) { $0.connections = 1 }
        let first = try ServiceClient(port: listener.port)
        #expect(clock.nextWait() == ServiceLimits.postgres.headMilliseconds)
        let second = try ServiceClient(port: listener.port)
        #expect(second.rest().contains("C53300"))
        clock.pass(ServiceLimits.postgres.headMilliseconds)
        #expect(first.rest() == "")
        listener.stop()
    }

    @Test func `with TLS refuses who comes without before a password, and speaks it with who asks`()
        throws
    {
        let files = try TestCertificates()
        try files.make("server")
        let context = try TLSContext(
            TLSIdentity(
                certificatePath: files.path("server.crt"), keyPath: files.path("server.key")),
            applications: [.postgres], scope: "test", tickets: TicketKeys(at: 0))
        let listener = try listener(tls: context)
        let told = try ask(listener, startup + message("p", fixture.token))
        #expect(told.contains("C28000") && told.contains("this service speaks TLS alone"))
        #expect(!told.hasPrefix("R"))
        let shaken = try Tool.run(
            "openssl",
            [
                "s_client", "-connect", "127.0.0.1:\(listener.port)", "-starttls", "postgres",
                "-alpn", "postgresql", "-brief",
            ])
        #expect(shaken.output.contains("TLSv1.3"), "\(shaken.output)")
        listener.stop()
    }
}
