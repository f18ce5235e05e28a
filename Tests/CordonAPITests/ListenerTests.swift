import Bytes
import CordonAPI
import Dispatch
import Foundation
import LinuxIO
import TLS
import TestSupport
import Testing

/// The bounds of connections, with limits of a test's own where the real ones are large, under a clock that stands still.
@Suite struct `A service's connection` {
    // MARK: Time

    @Test func `is closed when it was silent for too long, before a request and between two`()
        throws
    {
        let fixture = try ListenerFixture()
        let idle = fixture.limits.idleMilliseconds
        let (fresh, wait) = try fixture.client()
        #expect(wait == idle)
        fixture.clock.pass(idle)
        #expect(fresh.rest() == "")

        let (used, _) = try fixture.client()
        fixture.clock.pass(idle - 1)
        used.send(ServiceClient.get("/a"))
        #expect(used.text(until: "GET a 0\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(fixture.clock.nextWait() == idle)
        fixture.clock.pass(idle)
        #expect(used.rest() == "")
        fixture.listener.stop()
    }

    @Test func `has a bounded time for a head, however it trickles in`() throws {
        let fixture = try ListenerFixture()
        let head = fixture.limits.headMilliseconds
        let (client, _) = try fixture.client()
        client.send("GET /a HT")
        #expect(fixture.clock.nextWait() == head)
        fixture.clock.pass(head - 1)
        client.send("TP/1.1\r\nHost: x\r\n")
        #expect(fixture.clock.nextWait() == 1)
        fixture.clock.pass(1)
        let answer = client.rest()
        #expect(answer.hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        #expect(answer.contains("Connection: close\r\n"))
        fixture.listener.stop()
    }

    @Test func `has no more time for a head that began along with the request before it`() throws {
        let fixture = try ListenerFixture()
        let (client, _) = try fixture.client()
        client.send(ServiceClient.get("/a") + "GET /b HTTP/1.1\r\n")
        #expect(client.text(until: "GET a 0\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(fixture.clock.nextWait() == fixture.limits.headMilliseconds)
        fixture.clock.pass(fixture.limits.headMilliseconds)
        #expect(client.rest().hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        fixture.listener.stop()
    }

    @Test func `has a bounded time for a body, however it trickles in`() throws {
        let fixture = try ListenerFixture()
        let body = fixture.limits.bodyMilliseconds
        let (client, _) = try fixture.client()
        client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        #expect(fixture.clock.nextWait() == body)
        fixture.clock.pass(body - 1)
        client.send("d")
        #expect(fixture.clock.nextWait() == 1)
        fixture.clock.pass(1)
        #expect(client.rest().hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        fixture.listener.stop()
    }

    @Test func `reads no large body of who is refused by the head`() throws {
        let fixture = try ListenerFixture { $0.strangerBodyBytes = 10 }
        let (client, _) = try fixture.client()
        client.send(ServiceClient.post("/private", "0123456789"))
        #expect(client.text(until: "POST private 10\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
        client.send(ServiceClient.post("/open", "0123456789a"))
        #expect(client.text(until: "POST open 11\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
        // Nothing of the body was sent, and nothing more is waited for.
        client.send(
            "POST /private HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n"
        )
        let answer = client.rest()
        #expect(answer.hasPrefix("HTTP/1.1 401 Unauthorized\r\n"))
        #expect(answer.contains("who are you"))
        fixture.listener.stop()
    }

    @Test func `whose client does not read its answer is cut off`() throws {
        let fixture = try ListenerFixture()
        let (client, _) = try fixture.client()
        client.send(ServiceClient.get("/large"))
        #expect(fixture.clock.nextWait() == fixture.limits.answerMilliseconds)
        fixture.clock.pass(fixture.limits.answerMilliseconds)
        #expect(client.restCount() < ListenerFixture.largeBytes)

        fixture.listener.stop()
    }

    @Test func `whose client reads late, but in time, brings all of its answer`() throws {
        let fixture = try ListenerFixture()
        let (client, _) = try fixture.client()
        client.send(ServiceClient.get("/large", "Connection: close"))
        #expect(fixture.clock.nextWait() == fixture.limits.answerMilliseconds)
        fixture.clock.pass(fixture.limits.answerMilliseconds - 1)
        #expect(client.restCount() > ListenerFixture.largeBytes)
        fixture.listener.stop()
    }

    // MARK: Size

    @Test
    func `takes a body of the bound and refuses a larger one, which is told also to who sends on`()
        throws
    {
        let fixture = try ListenerFixture { $0.bodyBytes = 10 }
        let (client, _) = try fixture.client()
        client.send(ServiceClient.post("/a", "0123456789"))
        #expect(client.text(until: "POST a 10\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
        client.send(ServiceClient.post("/a", String(repeating: "x", count: 4 << 20)))
        let answer = client.rest()
        #expect(answer.hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
        #expect(answer.contains("Connection: close\r\n"))

        // Who asks before sending is told at once.
        let (polite, _) = try fixture.client()
        polite.send(
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        #expect(polite.rest().hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
        let (welcome, _) = try fixture.client()
        welcome.send(
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        #expect(welcome.text(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
        welcome.send("abc")
        #expect(welcome.text(until: "POST a 3\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
        fixture.listener.stop()
    }

    @Test func `listens for a short time to who was refused and sends on`() throws {
        let fixture = try ListenerFixture { $0.bodyBytes = 10 }
        let (client, _) = try fixture.client()
        client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
        #expect(client.rest().hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
        #expect(fixture.clock.nextWait() == fixture.limits.lingerMilliseconds)
        #expect(client.send("x"))
        #expect(fixture.clock.nextWait() == fixture.limits.lingerMilliseconds)
        fixture.clock.pass(fixture.limits.lingerMilliseconds)
        // Sending fails once the socket is gone; a service that went on reading would take all of this.
        #expect((0..<1_000_000).contains { _ in !client.send("x") })
        fixture.listener.stop()
    }

    @Test func `refuses a head beyond the bound, and takes one of it`() throws {
        let head = ServiceClient.get("/a", "A: " + String(repeating: "a", count: 200))
        let fixture = try ListenerFixture { $0.headBytes = head.utf8.count }
        let (client, _) = try fixture.client()
        client.send(head)
        #expect(client.text(until: "GET a 0\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
        client.send(head.replacing("A: ", with: "A: a"))
        #expect(
            client.rest().hasPrefix("HTTP/1.1 431 Request Header Fields Too Large\r\n"))
        fixture.listener.stop()
    }

    @Test func `answers pipelined requests one after the other`() throws {
        let fixture = try ListenerFixture()
        let (client, _) = try fixture.client()
        client.send(
            ServiceClient.get("/a") + ServiceClient.post("/b", "xyz") + ServiceClient.get("/c")
                + ServiceClient.get("/d", "Connection: close") + ServiceClient.get("/never"))
        let bodies = client.rest().components(separatedBy: "\r\n\r\n").dropFirst()
            .map { $0.prefix { $0 != "\n" } }
        #expect(bodies == ["GET a 0", "POST b 3", "GET c 0", "GET d 0"])
        fixture.listener.stop()
    }

    // MARK: Number

    @Test func `beyond the most at a time is refused, until another one has ended`() throws {
        let fixture = try ListenerFixture { $0.connections = 2 }
        let (first, _) = try fixture.client()
        var second: ServiceClient? = try fixture.client().client
        let refusal = try fixture.connect().rest()
        #expect(refusal.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        #expect(refusal.contains("Connection: close\r\n"))
        #expect(refusal.contains("ServiceUnavailableException"))
        first.send(ServiceClient.get("/a"))
        #expect(first.text(until: "GET a 0\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
        second?.send(ServiceClient.get("/b", "Connection: close"))
        #expect(second?.rest().hasSuffix("GET b 0\n") == true)
        second = nil
        // Its place is free once its thread has seen the end, which is no event that a client could wait for.
        let isServed = try (0..<10_000).contains { _ in
            let next = try fixture.connect()
            return next.send(ServiceClient.get("/c", "Connection: close"))
                && next.rest().hasSuffix("GET c 0\n")
        }
        #expect(isServed)
        fixture.listener.stop()
    }

    // MARK: Stopping

    @Test func `is ended by a stop when it is silent, and served to its end when it has begun`()
        throws
    {
        let fixture = try ListenerFixture()
        let (silent, _) = try fixture.client()
        let (begun, _) = try fixture.client()
        begun.send("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n")
        #expect(fixture.clock.nextWait() == fixture.limits.headMilliseconds)
        let (held, _) = try fixture.client()
        held.send(ServiceClient.get("/held"))
        fixture.awaitHeld()

        let stopping = DispatchGroup()
        DispatchQueue.global().async(group: stopping) { fixture.listener.stop() }
        #expect(silent.rest() == "")
        begun.send("\r\nabc")
        let last = begun.rest()
        #expect(last.hasPrefix("HTTP/1.1 200 OK\r\n") && last.hasSuffix("POST b 3\n"))
        #expect(last.contains("Connection: close\r\n"))
        fixture.letGo()
        let answer = held.rest()
        #expect(answer.contains("Connection: close\r\n") && answer.hasSuffix("GET held 0\n"))
        stopping.wait()
        // Nobody is left to wait in the system's queue.
        #expect(throws: NetworkError(operation: "connect", code: ECONNREFUSED)) {
            try fixture.connect()
        }
        #expect(fixture.complaints == [])
    }

    @Test func `that outlasts a stop is told, and still answered`() throws {
        let fixture = try ListenerFixture { $0.stopMilliseconds = 0 }
        let (client, _) = try fixture.client()
        client.send(ServiceClient.get("/held"))
        fixture.awaitHeld()
        fixture.listener.stop()
        #expect(fixture.complaints.count == 1)
        #expect(fixture.complaints.first?.contains("still under way") == true)
        fixture.letGo()
        #expect(client.rest().hasSuffix("GET held 0\n"))
    }
}

/// The same for what TLS adds.
@Suite struct `A service's connection with TLS` {
    private let files: TestCertificates

    init() throws {
        files = try TestCertificates()
        try files.make("server")
    }

    private func context(_ tickets: TicketKeys) throws -> TLSContext {
        try TLSContext(
            TLSIdentity(
                certificatePath: files.path("server.crt"), keyPath: files.path("server.key")),
            scope: "test", tickets: tickets)
    }

    @Test func `has a bounded time for its handshake`() throws {
        let fixture = try ListenerFixture(tls: context(TicketKeys(at: 0)))
        let (client, wait) = try fixture.client()
        #expect(wait == fixture.limits.headMilliseconds)
        client.send("\u{16}\u{3}\u{1}")
        #expect(fixture.clock.nextWait() == fixture.limits.headMilliseconds)
        fixture.clock.pass(fixture.limits.headMilliseconds)
        #expect(client.rest() == "")
        fixture.listener.stop()
    }

    @Test func `is ended by a stop in the middle of its handshake`() throws {
        let fixture = try ListenerFixture(tls: context(TicketKeys(at: 0)))
        let (client, _) = try fixture.client()
        fixture.listener.stop()
        #expect(client.rest() == "")
        #expect(fixture.complaints == [])
    }

    @Test func `beyond the most at a time is closed without a word in plain text`() throws {
        let fixture = try ListenerFixture(tls: context(TicketKeys(at: 0))) { $0.connections = 1 }
        let (client, _) = try fixture.client()
        #expect(try fixture.connect().rest() == "")
        fixture.listener.stop()
        #expect(client.rest() == "")
    }

    @Test func `resumes a session until the key of its ticket is two periods old`() throws {
        let tickets = TicketKeys(at: 1_000_000)
        let fixture = try ListenerFixture(tls: context(tickets), tickets: tickets)
        let session = files.path("session")
        func connect(_ option: String) throws -> String {
            try Tool.run(
                "openssl",
                [
                    "s_client", "-connect", "127.0.0.1:\(fixture.listener.port)", "-ign_eof",
                    option, session,
                ], input: ServiceClient.get("/a", "Connection: close")
            ).output
        }
        /// Lets a period pass and waits until the listener has looked at its keys.
        func passPeriod() {
            fixture.clock.pass(TLSLimits.ticketKeySeconds * 1000)
            // Nobody else waits that long, and nobody is connected.
            while fixture.clock.nextWait() != ServiceListener.ticketLookMilliseconds {}
        }
        #expect(try connect("-sess_out").contains("New, TLSv1.3"))
        passPeriod()
        #expect(try connect("-sess_in").contains("Reused, TLSv1.3"))
        passPeriod()
        #expect(try connect("-sess_in").contains("New, TLSv1.3"))
        fixture.listener.stop()
    }
}
