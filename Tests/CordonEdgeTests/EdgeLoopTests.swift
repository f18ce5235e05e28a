import Bytes
import CordonModel
import LinuxIO
import Telemetry
import TestSupport
import Testing

@testable import CordonEdge

/// A loop whose rounds the test makes.
@Suite struct `A loop by itself` {
    private let fixture: EdgeFixture

    init() throws {
        fixture = try EdgeFixture(loops: 1)
        fixture.collector.drain()
    }

    private func loop(_ listeners: [ListenerBox]) throws -> EdgeLoop {
        let context = fixture.collector.context
        let shared = try LoopShared(
            context: context, tlsContexts: fixture.regions.map { _ in nil })
        return try EdgeLoop(
            number: 0, shared: shared, committers: [], isRelaxed: [],
            resolvers: fixture.regions.map { ClientAddressResolver($0.collector) },
            limits: fixture.regions.map { AddressLimits($0.collector.limits, at: 0) },
            listeners: listeners, context: context, recentEvents: RecentEvents(at: 0),
            logger: Logger(level: .error), clock: { Timestamp(microseconds: 0) },
            monotonic: { 0 }, handshakeMilliseconds: 1000, connectionsMax: 8, metrics: { "" })
    }

    @Test func `tries a listener again that had no descriptor, whatever others accept`() throws {
        let loopback = IPAddress(ipv4: 0x7F00_0001)
        let sound = try Socket.listening(on: loopback, port: 0, backlog: 8)
        let port = try sound.localPort
        // Accepting from a socket that does not listen fails each time.
        let other = try Socket.connected(to: loopback, port: port)
        let loop = try loop([ListenerBox(other, region: 0), ListenerBox(sound, region: 1)])
        loop.accept(0)
        #expect(loop.acceptIsDue == [true, false])
        loop.accept(1)
        #expect(loop.openCount == 1)
        #expect(loop.acceptIsDue == [true, false])
    }

    @Test func `has answers wait for any of hundreds of regions`() throws {
        let loop = try loop([])
        for slot in [0, 127, 128, 500] {
            let connection = EdgeConnection(index: 0)
            loop.push(.gif, connection, .open, slot: slot, ticket: 7)
            #expect(connection.popReady() == nil)
            connection.settle(slot: Int16(slot), ticket: 8, failed: false)
            #expect(connection.popReady() == nil)
            connection.settle(slot: Int16(slot), ticket: 7, failed: false)
            #expect(connection.popReady()?.answer == Answer.gif.rawValue)
        }
    }
}
