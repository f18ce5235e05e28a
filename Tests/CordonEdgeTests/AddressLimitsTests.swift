import Bytes
import CordonModel
import Crypto
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `Limits of an address` {
    private let key = HMACKey([UInt8](repeating: 7, count: 32))

    private func limits(connections: Int = 3, requests: Int = 10) -> AddressLimits {
        var limits = RegionConfiguration.AddressLimits()
        limits.connectionsPerAddress = connections
        limits.requestsPerSecondPerAddress = requests
        return AddressLimits(limits, at: 0, key: key)
    }

    private func digest(_ address: String, _ key: HMACKey? = nil) throws -> UInt128 {
        LimitDigest(key: key ?? self.key).apply(try #require(IPAddress(address)))
    }

    private func slot(_ admission: AddressLimits.Admission) throws -> AddressLimits.Slot {
        guard case .counted(let slot) = admission else { throw Uncounted() }
        return slot
    }
    private struct Uncounted: Error {}

    @Test func `bound its connections, and one that ends makes room for another`() throws {
        let limits = limits()
        let address = try digest("46.4.1.2")
        let slots = try (0..<3).map { _ in try slot(limits.open(address, at: 0)) }
        #expect(Set(slots.map(\.description)).count == 1, "one address has one slot")
        #expect(limits.open(address, at: 0) == .refused)
        #expect(limits.open(try digest("46.4.1.3"), at: 0) != .refused)
        limits.close(slots[0])
        #expect(limits.open(address, at: 0) == .counted(slots[0]))
        #expect(limits.open(address, at: 0) == .refused)
    }

    @Test func `bound its requests to a burst of one second and the rate after it`() throws {
        let limits = limits(requests: 10)
        let slot = try slot(limits.open(try digest("46.4.1.2"), at: 5000))
        func admitted(_ attempts: Int, at now: UInt64) -> Int {
            (0..<attempts).count { _ in limits.admitsRequest(slot, at: now) }
        }
        #expect(admitted(50, at: 5000) == 10)
        #expect(admitted(50, at: 5099) == 0)
        #expect(admitted(50, at: 5100) == 1)
        #expect(admitted(50, at: 5600) == 5)
        // Silence gives back the burst and no more.
        #expect(admitted(50, at: 60_000) == 10)
        let whole = (0..<10_000).count { limits.admitsRequest(slot, at: 100_000 + UInt64($0)) }
        #expect(whole == 10 + 99)
    }

    @Test func `hold over all connections of the address, and are forgotten with the last`() throws
    {
        let limits = limits(connections: 10, requests: 5)
        let address = try digest("2a01:4f8:1:2::1")
        #expect(try digest("2a01:4f8:1:2:ffff::9") == address, "one network is one client")
        #expect(try digest("2a01:4f8:1:3::1") != address)
        let first = try slot(limits.open(address, at: 0))
        let second = try slot(limits.open(address, at: 0))
        for _ in 0..<5 { #expect(limits.admitsRequest(first, at: 0)) }
        #expect(!limits.admitsRequest(second, at: 0))
        limits.close(first)
        limits.close(second)
        // A new connection at once meets the same bucket.
        let third = try slot(limits.open(address, at: 0))
        #expect(!limits.admitsRequest(third, at: 0))
    }

    @Test func `a table without room counts no more, and takes the place of who is gone`() throws {
        let limits = limits()
        // All of these fall on one set.
        let digests = (1...9).map { UInt128($0) << 32 | 5 << 64 }
        let slots = try digests.dropLast().map { try slot(limits.open($0, at: 0)) }
        #expect(Set(slots.map(\.description)).count == AddressLimits.setSlots)
        #expect(limits.open(digests[8], at: 0) == .uncounted)
        #expect(limits.admitsRequest(slots[3], at: 0))
        limits.close(slots[3])
        #expect(limits.open(digests[8], at: 0) == .uncounted, "its requests are still counted")
        #expect(limits.open(digests[8], at: 100) == .counted(slots[3]))
        #expect(limits.open(digests[3], at: 100) == .uncounted)
    }

    @Test func `a key lasts an hour, and a move under the next one is never refused`() throws {
        let limits = limits(connections: 1)
        let (old, version) = try #require(limits.key(ifNewerThan: 0))
        #expect(limits.key(ifNewerThan: version) == nil)
        let before = try slot(limits.open(try digest("46.4.1.2", old), at: 0))
        limits.renew(at: AddressLimits.periodMilliseconds - 1)
        #expect(limits.key(ifNewerThan: version) == nil)
        limits.renew(at: AddressLimits.periodMilliseconds)
        let (next, _) = try #require(limits.key(ifNewerThan: version))
        let moved = try digest("46.4.1.2", next)
        #expect(moved != (try digest("46.4.1.2", old)))
        let after = try slot(limits.open(moved, at: 0, isMove: true))
        #expect(try slot(limits.open(moved, at: 0, isMove: true)) == after)
        limits.close(before)
        #expect(limits.open(moved, at: 0) == .refused)
    }

    @Test func `count right when several threads open and close at once`() async throws {
        let limits = limits(connections: 5)
        let address = try digest("46.4.1.2")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<5000 {
                        if case .counted(let slot) = limits.open(address, at: 0) {
                            _ = limits.admitsRequest(slot, at: 0)
                            limits.close(slot)
                        }
                    }
                }
            }
        }
        for _ in 0..<5 { _ = try slot(limits.open(address, at: 1_000_000)) }
        #expect(limits.open(address, at: 1_000_000) == .refused)
    }
}

extension AddressLimits.Slot: CustomStringConvertible {
    public var description: String { "\(unsafeBitCast(self, to: UInt32.self))" }
}

@Suite struct `A collector that limits addresses` {
    private func fixture(
        connections: Int = 1000, requests: Int = 1000, trusting prefix: String = "192.0.2.0/24"
    ) throws -> EdgeFixture {
        let trusted = try #require(IPPrefix(prefix))
        return try EdgeFixture(loops: 2) { collector in
            collector.trustedProxies = [trusted]
            collector.limits.connectionsPerAddress = connections
            collector.limits.requestsPerSecondPerAddress = requests
        }
    }

    @Test func `closes what is beyond an address's connections, over all loops`() throws {
        let fixture = try fixture(connections: 3)
        let clients = try (0..<3).map { _ in try fixture.client() }
        for client in clients { #expect(client.get("/hit")?.status == 204) }
        for _ in 0..<4 {
            let client = try fixture.client()
            client.send(EdgeClient.request("/hit"))
            #expect(client.answer() == nil)
        }
        // Another region's listener counts for itself.
        #expect(try fixture.client("us-east").get("/hit")?.status == 204)
        fixture.collector.drain()
        #expect(fixture.collector.counters()[EdgeEvent.connectionsLimited] == 4)
        #expect(fixture.collector.counters().received == 4)
    }

    @Test func `answers 429 beyond an address's requests, counts it, and goes on`() throws {
        let fixture = try fixture(requests: 5)
        let client = try fixture.client()
        client.send(String(repeating: EdgeClient.request("/hit"), count: 20))
        let answers = (0..<20).map { _ in client.answer() }
        #expect(answers.prefix(5).allSatisfy { $0?.status == 204 })
        let refused = answers.filter { $0?.status == 429 }
        #expect(!refused.isEmpty)
        #expect(refused.first??.headers["retry-after"] == "1")
        fixture.collector.drain()
        let counters = fixture.collector.counters()
        #expect(counters[EdgeEvent.requestsLimited] == UInt64(refused.count))
        #expect(counters.received == UInt64(20 - refused.count))
        #expect(try fixture.records("eu-central").count == 20 - refused.count)
    }

    @Test func `never limits a trusted proxy`() throws {
        let fixture = try fixture(connections: 1, requests: 1, trusting: "127.0.0.0/8")
        let clients = try (0..<10).map { _ in try fixture.client() }
        for client in clients {
            for _ in 0..<5 { #expect(client.get("/hit")?.status == 204) }
        }
        fixture.collector.drain()
        #expect(fixture.collector.counters().received == 50)
    }
}
