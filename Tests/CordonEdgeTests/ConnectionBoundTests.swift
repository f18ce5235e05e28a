import CordonModel
import Foundation
import HTTP
import LinuxIO
import Synchronization
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `The bound on a loop's connections` {
    @Test func `is 16,384, as the page on operating says`() {
        #expect(EdgeLimits.connectionsMax == 16_384)
    }

    @Test func `is crossed by one more, which is closed and counted, and kept when one has gone`()
        throws
    {
        let fixture = try EdgeFixture(loops: 1, connectionsMax: 8)
        var clients = try (0..<8).map { _ in try fixture.client() }
        for client in clients { #expect(client.get("/hit")?.status == 204) }
        for _ in 0..<5 {
            let refused = try fixture.client()
            refused.send(EdgeClient.request("/hit"))
            #expect(refused.answer() == nil)
        }
        // Those that were there are served on.
        for client in clients { #expect(client.get("/hit")?.status == 204) }
        clients.removeLast().send(
            EdgeClient.request("/hit", ["Connection: close"]))
        // Its place is free when its end has been seen.
        var last: Int?
        while last == nil { last = try fixture.client().get("/hit")?.status }
        #expect(last == 204)
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[EdgeEvent.connectionsRefused] >= 5)
        #expect(counters.received == 18)
        #expect(counters.connectionsOpen == 0)
    }
}
