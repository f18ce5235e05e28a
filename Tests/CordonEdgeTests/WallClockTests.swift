import CordonJournal
import CordonModel
import LinuxIO
import Synchronization
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `A wall clock that jumps` {
    /// A clock that stands until it is moved.
    private final class Clock: Sendable {
        private let time: Mutex<Int64>
        init(_ start: Timestamp) { time = Mutex(start.microseconds) }
        var now: Timestamp { Timestamp(microseconds: time.withLock { $0 }) }
        func move(hours: Int64) { time.withLock { $0 += hours * 3_600_000_000 } }
    }

    @Test func `back and forth doubles no id, loses no hit, and puts each on the day it came`()
        throws
    {
        let start = Day(Timestamp(microseconds: SystemClock.realtimeMicroseconds())).start
        let clock = Clock(Timestamp(microseconds: start.microseconds + 43_200_000_000))
        let fixture = try EdgeFixture(clock: { clock.now })
        let client = try fixture.client()
        var days: [Day] = []
        // Within the day, into the next two, and back behind the start; each stands still for some hits.
        for hours: Int64 in [0, -1, 1, -11, 30, 24, -40, 0, -60, 50] {
            clock.move(hours: hours)
            for _ in 0..<20 {
                let answer = client.get(
                    "/pixel.gif?site=a.example&consent=granted&userid=u",
                    ["X-Forwarded-For: \(EdgeFixture.german)"])
                #expect(answer?.status == 200, "after \(hours) hours")
                days.append(Day(clock.now))
            }
        }
        // The connection is the first one still: its deadlines follow a clock of their own.
        #expect(fixture.collector.counters()[EdgeEvent.connectionsTimedOut] == 0)
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        #expect(records.count == days.count)
        #expect(Set(records.map(\.hitID)).count == records.count)
        // The loop looks at the clock once a round, so a hit may bear the time of the round before.
        #expect(records.map { Day($0.timestamp) } == days)
        for record in records {
            #expect(record.retainUntil > Day(record.timestamp))
            if let epoch = record.keyEpoch { #expect(epoch == Day(record.timestamp)) }
        }
        let ledger = try Journal(path: fixture.region("eu-central").journalPath)
            .ledger(after: .none)
        #expect(ledger.counts.reduce(0) { $0 + $1.hits } == Int64(days.count))
    }

    @Test func `ids made at one moment again and again are never the same`() {
        var source = IdentifierSource(seed: 7)
        var seen: Set<UInt128> = []
        for round in 0..<50 {
            let moment = Timestamp(
                microseconds: 1_790_000_000_000_000 - Int64(round % 5) * 1_000_000)
            for _ in 0..<400 { seen.insert(source.next(at: moment)) }
        }
        #expect(seen.count == 20_000)
    }
}
