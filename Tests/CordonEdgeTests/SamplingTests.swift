import Bytes
import CordonKeys
import CordonModel
import Crypto
import Foundation
import TestSupport
import Testing

@testable import CordonEdge

private func forwarded(_ address: String) -> String { "X-Forwarded-For: \(address)" }

@Suite struct `Sampling` {
    @Test func `counts scaled by the rate are those of all hits, within five deviations`() {
        var random = Generator()
        let agent = Array("Mozilla/5.0 (X11; Linux x86_64) Firefox/131.0".utf8)
        for perMillion: UInt32 in [10_000, 100_000, 500_000] {
            let sample = VisitorSample(root: HMACKey(random.bytes(count: 32)))
            let rate = Double(perMillion) / 1_000_000
            var total = 0.0
            var scaled = 0.0
            var variance = 0.0
            for visitor in 0..<20_000 {
                let address = Sensitive(
                    visitor % 3 == 0
                        ? IPAddress(ipv6: UInt128(random.next()) << 64 | UInt128(visitor))
                        : IPAddress(ipv4: UInt32(truncatingIfNeeded: random.next())))
                let hits = Double(Int.random(in: 1...20, using: &random))
                let draws = (0..<2).map { _ in
                    agent.withUnsafeBufferPointer {
                        address.inspect(with: sample.draw(userAgent: $0))
                    }
                }
                #expect(draws[0] == draws[1])
                total += hits
                if VisitorSample.keeps(draws[0], perMillion: perMillion) { scaled += hits / rate }
                // Each visitor is in with probability `rate`, with all of its hits.
                variance += hits * hits * (1 - rate) / rate
            }
            #expect(
                abs(scaled - total) < 5 * variance.squareRoot(),
                "seed \(random.seed): \(scaled) of \(total) at \(rate)")
        }
    }

    @Test func `address, family, user agent and key each change the draw`() throws {
        let sample = VisitorSample(root: HMACKey([1]))
        func draw(_ address: String, _ agent: String, _ sample: VisitorSample) throws -> UInt64 {
            let address = Sensitive(try #require(IPAddress(address)))
            return Array(agent.utf8).withUnsafeBufferPointer {
                address.inspect(with: sample.draw(userAgent: $0))
            }
        }
        let draws = [
            try draw("46.4.1.2", "a", sample), try draw("46.4.1.3", "a", sample),
            try draw("::2e04:102", "a", sample), try draw("46.4.1.2", "b", sample),
            try draw("46.4.1.2", "", sample),
            try draw("46.4.1.2", "a", VisitorSample(root: HMACKey([2]))),
        ]
        #expect(Set(draws).count == draws.count)
        #expect(VisitorSample.keeps(0, perMillion: 1))
        #expect(!VisitorSample.keeps(0, perMillion: 0))
        #expect(VisitorSample.keeps(.max, perMillion: 1_000_000))
        #expect(!VisitorSample.keeps(.max, perMillion: 999_999))
    }

    @Test
    func `a visitor is in with all hits or with none, over restarts, and the rate is stamped`()
        throws
    {
        let shipped = try String(
            contentsOfFile: ShippedProject.root + "/Policies/gdpr.yaml", encoding: .utf8)
        let policy = shipped.replacing("sampling: 100\n", with: "sampling: 25\n")
        #expect(policy != shipped)
        let fixture = try EdgeFixture(policies: ["gdpr.yaml": policy])
        let client = try fixture.client()
        let visitors = 200
        for round in 0..<3 {
            var text = ""
            for visitor in 0..<visitors {
                text += EdgeClient.request(
                    "/hit?consent=granted&event=r\(round)-v\(visitor)",
                    [forwarded("46.4.7.\(visitor)"), "User-Agent: Firefox/1"])
            }
            client.send(text)
            for _ in 0..<visitors { #expect(client.answer()?.status == 204) }
        }
        fixture.collector.drain()
        let records = try fixture.records("eu-central")
        let counters = fixture.collector.counters()
        #expect(records.allSatisfy { $0.sampleRate == 0.25 })
        #expect(counters.total(.kept) == UInt64(records.count))
        #expect(counters.total(.sampledOut) == UInt64(3 * visitors - records.count))
        var rounds: [String: Int] = [:]
        for record in records {
            rounds[String(record.event.drop { $0 != "v" }), default: 0] += 1
        }
        #expect(rounds.values.allSatisfy { $0 == 3 })
        // Binomial with 200 and 1/4: a mean of 50, a deviation of 6.1.
        #expect((20...80).contains(rounds.count), "\(rounds.count) visitors")
        // The same keys, as after a restart, draw the same.
        let index = try #require(fixture.regions.firstIndex { $0.name == "eu-central" })
        let sample = VisitorSample(root: fixture.keys[index].subjectDigestKey)
        let agent = Array("Firefox/1".utf8)
        for visitor in 0..<visitors {
            let address = Sensitive(try #require(IPAddress("46.4.7.\(visitor)")))
            let draw = agent.withUnsafeBufferPointer {
                address.inspect(with: sample.draw(userAgent: $0))
            }
            #expect(
                VisitorSample.keeps(draw, perMillion: 250_000) == (rounds["v\(visitor)"] != nil))
        }
    }
}
