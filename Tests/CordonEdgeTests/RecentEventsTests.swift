import Crypto
import Foundation
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `Recent events` {
    private let key = HMACKey(Array("a test".utf8))

    /// Digests of an id under one key that is also the previous one.
    private func digests(_ id: Int, _ keys: RecentEvents.Keys? = nil) -> RecentEvents.Digests {
        let name = Array("site\0\(id)".utf8)
        return RecentEvents.Digests(
            current: (keys?.current ?? key).authenticate(name).leading128,
            previous: (keys?.previous ?? key).authenticate(name).leading128)
    }

    private func claimed(_ finding: RecentEvents.Finding) -> RecentEvents.Claim? {
        if case .new(let claim) = finding { claim } else { nil }
    }

    private func isKnown(_ finding: RecentEvents.Finding) -> Bool {
        if case .known = finding { true } else { false }
    }

    @Test func `an id is new, then pending, then known`() throws {
        let events = RecentEvents(at: 0, key: key)
        let claim = try #require(claimed(events.claim(digests(1), at: 0)))
        guard case .pending(let earlier) = events.claim(digests(1), at: 5) else {
            Issue.record("not pending")
            return
        }
        #expect(events.outcome(of: earlier) == nil)
        events.settle(slot: claim.slot, isKept: true)
        #expect(events.outcome(of: earlier) == true)
        #expect(isKnown(events.claim(digests(1), at: 10)))
        #expect(claimed(events.claim(digests(2), at: 10)) != nil)
    }

    @Test func `a withdrawn id is new again`() throws {
        let events = RecentEvents(at: 0, key: key)
        let claim = try #require(claimed(events.claim(digests(1), at: 0)))
        events.settle(slot: claim.slot, isKept: false)
        #expect(events.outcome(of: claim) == false)
        #expect(claimed(events.claim(digests(1), at: 1)) != nil)
    }

    @Test func `the oldest id of a full set makes room, a pending one never`() throws {
        let events = RecentEvents(at: 0, key: key)
        // Ids that fall on one set: the set is a part of the digest.
        let sets = RecentEvents.slotCount / RecentEvents.setSlots
        var ids: [Int] = []
        var id = 0
        let first = Int(truncatingIfNeeded: digests(0).current >> 64) & (sets - 1)
        while ids.count < RecentEvents.setSlots + 2 {
            if Int(truncatingIfNeeded: digests(id).current >> 64) & (sets - 1) == first {
                ids.append(id)
            }
            id += 1
        }
        var claims: [RecentEvents.Claim] = []
        for (second, id) in ids.prefix(RecentEvents.setSlots).enumerated() {
            claims.append(
                try #require(claimed(events.claim(digests(id), at: UInt64(second) * 1000))))
        }
        let extra = ids[RecentEvents.setSlots]
        guard case .unremembered = events.claim(digests(extra), at: 9000) else {
            Issue.record("a claim was overwritten")
            return
        }
        for claim in claims.dropFirst(3) { events.settle(slot: claim.slot, isKept: true) }
        let newest = try #require(claimed(events.claim(digests(extra), at: 9000)))
        #expect(newest.slot == claims[3].slot, "the oldest of those that are confirmed")
        #expect(events.outcome(of: claims[3]) == false, "in doubt it was not kept")
        #expect(claimed(events.claim(digests(ids[3]), at: 9000))?.slot == claims[4].slot)
        #expect(isKnown(events.claim(digests(ids[5]), at: 9000)))
    }

    @Test func `an id is known for one period at least, and its key is gone after two`() throws {
        let period = RecentEvents.periodMilliseconds
        let events = RecentEvents(at: 0, key: key)
        var keys = try #require(events.keys(ifNewerThan: 0))
        let claim = try #require(claimed(events.claim(digests(1, keys), at: period - 1)))
        events.settle(slot: claim.slot, isKept: true)
        events.renew(at: period - 1)
        #expect(events.keys(ifNewerThan: keys.version) == nil)
        events.renew(at: period)
        let old = keys.current
        keys = try #require(events.keys(ifNewerThan: keys.version))
        #expect(keys.previous === old)
        #expect(keys.current !== old)
        #expect(isKnown(events.claim(digests(1, keys), at: 2 * period - 1)))
        events.renew(at: 2 * period)
        keys = try #require(events.keys(ifNewerThan: keys.version))
        #expect(keys.previous !== old)
        #expect(claimed(events.claim(digests(1, keys), at: 2 * period)) != nil)
    }

    @Test func `tens of thousands of ids are known together`() {
        let events = RecentEvents(at: 0, key: key)
        let count = RecentEvents.slotCount / 4
        for id in 0..<count {
            guard let claim = claimed(events.claim(digests(id), at: UInt64(id))) else { continue }
            events.settle(slot: claim.slot, isKept: true)
        }
        let known = (0..<count).filter { isKnown(events.claim(digests($0), at: UInt64(count))) }
            .count
        // With two ids a set on average, a set of 8 slots overflows once in some four thousand (Poisson). The search for one that was
        // overwritten claims a place anew, so such a set may lose all of its ids here.
        #expect(known > count - count / 200)
    }

    @Test func `of loops that claim one id at once exactly one may keep it`() {
        let events = RecentEvents(at: 0, key: key)
        let ids = 3000
        let threads = 4
        let wins = WinCounter(count: ids)
        let all = (0..<ids).map { digests($0) }
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            for id in 0..<ids {
                let id = (id + thread * 7) % ids
                if case .new(let claim) = events.claim(all[id], at: 0) {
                    wins.add(id)
                    events.settle(slot: claim.slot, isKept: true)
                }
            }
        }
        #expect(wins.counts.allSatisfy { $0 == 1 })
    }

    private final class WinCounter: @unchecked Sendable {
        // The lock guards the counts.
        private let lock = NSLock()
        private(set) var counts: [Int]
        init(count: Int) { counts = Array(repeating: 0, count: count) }
        func add(_ id: Int) { lock.withLock { counts[id] += 1 } }
    }
}
