import CordonModel
import HTTP
import LinuxIO
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `The end of a connection` {
    struct Leftover: CustomTestStringConvertible, Sendable {
        let testDescription: String
        /// Of the request.
        let method: String
        let fields: [String]
        let status: Int
        /// Bytes behind the head, which nobody reads.
        let count: Int
    }

    @Test(arguments: [
        Leftover(
            testDescription: "a long body", method: "PUT", fields: ["Content-Length: 60000"],
            status: 405, count: 60_000),
        Leftover(
            testDescription: "a short body", method: "PUT", fields: ["Content-Length: 10"],
            status: 405, count: 10),
        Leftover(
            testDescription: "further requests", method: "GET", fields: [], status: 204,
            count: 60_000),
    ])
    func `is no reset where what the client sent was not read`(_ left: Leftover) throws {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        let head = EdgeClient.request(
            "/hit", left.fields + ["Connection: close"], method: left.method)
        client.send(head + String(repeating: "x", count: left.count))
        #expect(client.answer()?.status == left.status)
        #expect(client.errorAtEnd() == 0)
        fixture.collector.drain()
        #expect(fixture.collector.counters().connectionsOpen == 0)
    }

    @Test func `comes after 75 seconds without a request, whatever else arrives`() throws {
        let clock = Counter()
        clock.value = 1_000_000
        let fixture = try EdgeFixture(loops: 1, monotonic: { clock.value })
        let client = try fixture.client()
        #expect(client.get("/hit")?.status == 204)
        clock.value += 60_000
        // Lawful before a request, and none.
        client.send("\r\n")
        let other = try fixture.client()
        #expect(other.get("/healthz")?.status == 200)
        clock.value += HTTPLimits.idleMillisecondsMax - 60_000 + 1
        // The loop looks at the clock in the round of the first answer, and has looked at all connections before the next.
        for _ in 0..<2 { #expect(other.get("/healthz")?.status == 200) }
        try #require(client.hasArrived)
        #expect(client.errorAtEnd() == 0)
        fixture.collector.drain()
        #expect(fixture.collector.counters()[EdgeEvent.connectionsTimedOut] == 1)
    }
}
