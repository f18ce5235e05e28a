import CordonJournal
import CordonModel
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `The loss ledger` {
    @Test func `the journals hold what the loops counted, by policy and fate`() throws {
        let fixture = try EdgeFixture()
        let client = try fixture.client()
        let addresses = [
            EdgeFixture.german, EdgeFixture.american, EdgeFixture.indian, "198.51.100.1",
        ]
        for number in 0..<60 {
            let consent = ["granted", "denied", "absent"][number % 3]
            let answer = client.get(
                "/pixel.gif?site=a.example&consent=\(consent)",
                ["X-Forwarded-For: \(addresses[number % 4])"])
            #expect(answer?.status == 200)
        }
        fixture.collector.drain()
        var ledger: [String: UInt64] = [:]
        for region in fixture.regions {
            let journal = try Journal(path: region.journalPath)
            for count in try journal.ledger(after: .none).counts {
                ledger["\(count.policy) \(count.fate)", default: 0] += UInt64(count.hits)
            }
        }
        var counted: [String: UInt64] = [:]
        for rule in fixture.collector.counters().rules {
            for fate in HitFate.allCases where rule[fate] > 0 {
                counted["\(rule.policy) \(fate.text)", default: 0] += rule[fate]
            }
        }
        #expect(ledger == counted)
        #expect(ledger.values.reduce(0, +) == 60)
    }

    @Test func `hits that keep nothing are told once, also when a transaction fails between`() {
        var totals: [UInt64] = [0, 0]
        let ledger = UnkeptLedger {
            var rule = RuleCounts(
                region: "eu", policy: "gdpr",
                fates: Array(repeating: 0, count: HitFate.allCases.count))
            rule.fates[HitFate.dropped.rawValue] = totals[0]
            rule.fates[HitFate.kept.rawValue] = 1000
            rule.fates[HitFate.failed.rawValue] = totals[1]
            return [rule]
        }
        #expect(ledger.take() == [])
        totals = [3, 0]
        #expect(ledger.take().map(\.hits) == [3])
        ledger.keep()
        totals = [5, 1]
        #expect(Set(ledger.take().map { "\($0.fate) \($0.hits)" }) == ["dropped 5", "failed 1"])
        ledger.settle()
        #expect(ledger.take() == [])
        totals = [6, 1]
        #expect(ledger.take().map(\.hits) == [1])
    }
}
