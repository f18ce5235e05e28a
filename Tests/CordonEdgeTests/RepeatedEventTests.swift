import CordonModel
import Foundation
import SQLite
import Telemetry
import Testing

@testable import CordonEdge

private let german = "X-Forwarded-For: \(EdgeFixture.german)"

@Suite struct `Events that come more than once` {
    @Test func `an event with an id is kept once, over all loops and methods`() throws {
        let fixture = try EdgeFixture(loops: 2)
        let clients = try (0..<6).map { _ in try fixture.client() }
        var statuses: [Int?] = []
        for (number, client) in clients.enumerated() {
            statuses.append(
                number % 2 == 0
                    ? client.get("/hit?event_id=ab%2Dc&event=e&site=a.example", [german])?.status
                    : client.post(
                        "/hit", "text/plain", "event_id=ab-c&event=e&site=A.example", [german])?
                        .status)
        }
        #expect(statuses == Array(repeating: 204, count: 6))
        // Another id, another site, no id, and an id that is too long or empty are hits of their own.
        let long = String(repeating: "x", count: EdgeLimits.eventIDBytesMax + 1)
        for target in [
            "event_id=abc2", "event_id=ab-c&site=b.example", "", "", "event_id=", "event_id=",
            "event_id=\(long)", "event_id=\(long)",
        ] {
            #expect(clients[0].get("/hit?\(target)", [german])?.status == 204)
        }
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").count == 9)
        let counters = fixture.collector.counters()
        #expect(counters.total(.duplicate) == 5)
        #expect(counters.received == 14)
    }

    @Test func `an event that was answered 503 is kept when it comes again`() throws {
        let fixture = try EdgeFixture(loops: 2)
        let client = try fixture.client()
        let second = try fixture.client()
        let target = "/hit?event_id=retry-1&event=e&site=a.example"
        let other = try fixture.held()
        try other.hold()
        #expect(client.get(target, [german])?.status == 503)
        #expect(second.get(target, [german])?.status == 503)
        other.release()
        #expect(second.get(target, [german])?.status == 204)
        #expect(client.get(target, [german])?.status == 204)
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").count == 1)
        let counters = fixture.collector.counters()
        #expect(counters.total(.failed) == 2)
        #expect(counters.total(.duplicate) == 1)
        #expect(counters.received == 4)
    }

    @Test func `a copy that comes before the first is durable shares its fate`() throws {
        let fixture = try EdgeFixture(loops: 2)
        let clients = try (0..<8).map { _ in try fixture.client() }
        let other = try fixture.held()
        for isKept in [true, false] {
            let target = "/hit?event_id=both-\(isKept)&event=\(isKept)&site=a.example"
            try other.hold()
            // Two on each connection, over all loops, while the first of them waits for the journal.
            for client in clients {
                client.send(EdgeClient.request(target, [german]))
                client.send(EdgeClient.request(target, [german]))
            }
            // The journal waits for the lock before it gives up, so this is in time.
            if isKept { other.release() }
            var statuses: Set<Int> = []
            for client in clients {
                for _ in 0..<2 { statuses.insert(try #require(client.answer()).status) }
            }
            if !isKept { other.release() }
            #expect(statuses == [isKept ? 204 : 503])
        }
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").map(\.event) == ["true"])
        let counters = fixture.collector.counters()
        #expect(counters.total(.duplicate) == 15)
        #expect(counters.total(.failed) == 16)
        #expect(counters.received == 32)
        #expect(counters.hitsPending == 0)
    }

    @Test func `a copy is dropped at once where hits are answered before they are durable`() throws
    {
        let fixture = try EdgeFixture(loops: 1) { $0.durability = .relaxed }
        let client = try fixture.client()
        for _ in 0..<10 {
            #expect(client.get("/hit?event_id=x&site=a.example", [german])?.status == 204)
        }
        fixture.collector.drain()
        #expect(try fixture.records("eu-central").count == 1)
        #expect(fixture.collector.counters().total(.duplicate) == 9)
    }

    @Test func `neither the id nor its site is held or stored`() throws {
        let fixture = try EdgeFixture(loops: 1)
        let client = try fixture.client()
        _ = client.get("/hit?event_id=planted-id-4417&site=a.example", [german])
        _ = client.get("/hit?event_id=planted-id-4417&site=a.example", [german])
        let metrics = String(decoding: client.get("/metrics")?.body ?? [], as: UTF8.self)
        #expect(metrics.contains("fate=\"duplicate\"} 1\n"))
        #expect(!metrics.contains("planted-"))
        fixture.collector.drain()
        #expect(try fixture.everything().range(of: Data("planted-id".utf8)) == nil)
        #expect(!fixture.log.lines.contains { $0.contains("planted-") })
    }
}
