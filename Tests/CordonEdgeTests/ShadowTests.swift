import AllocationCount
import CordonModel
import CordonPolicy
import Foundation
import TestSupport
import Testing

@testable import CordonEdge

@Suite struct `A candidate beside the rules` {
    /// The shipped rules with an edit of the GDPR's policy.
    private static func candidate(_ old: String, _ new: String) throws -> RuleSet {
        var texts = try ShippedProject.texts(cases: false)
        let file = "Policies/gdpr.yaml"
        let edited = (texts[file] ?? "").replacing(old, with: new)
        try #require(edited != texts[file])
        texts[file] = edited
        return try ProjectConfiguration.load(
            ProjectFiles(texts), layout: ProjectLayout(root: "/project"), now: Day("2026-11-23")!
        ).ruleSet
    }

    private static func hit(_ address: String, _ consent: String) -> String {
        EdgeClient.request(
            "/pixel.gif?site=shop.example&userid=user7%40mail.example&consent=\(consent)",
            ["X-Forwarded-For: \(address)", "User-Agent: Firefox/131.0"])
    }

    @Test func `a hit that it is asked about allocates nothing`() throws {
        let fixture = try EdgeFixture(loops: 1)
        defer { fixture.collector.drain() }
        // Another vendor makes it read consent strings on its own.
        let candidate = try Self.candidate(
            "audience-measurement: { tcf: [8, 9]", "audience-measurement: { vendor: 755, tcf: [8]")
        let context = fixture.collector.context.shadowed(by: candidate, loops: 1)
        let path = HitPath(context, collector: fixture.region("eu-central").collector)
        let requests = [EdgeFixture.german, EdgeFixture.american, EdgeFixture.german6].flatMap {
            address in
            [
                "granted", "denied", "",
                "granted&gdpr_consent=CQSU_AAQSU_AAAfABBENCWFgAP_gAAAAAAYgAAoAAAAA",
            ].map { Array(Self.hit(address, $0).utf8) }
        }
        for request in requests { path.take(request.span) }
        let before = allocation_count()
        for hit in 0..<1200 {
            let request = requests[hit % requests.count]
            path.take(request.span)
        }
        let allocations = allocation_count() - before
        #expect(allocations == 0, "\(allocations) allocations in 1200 hits")
        #expect(context.shadow?.counts().compared == UInt64(1200 + requests.count))
    }

    @Test func `its differences are counted, and everything is decided without it`() throws {
        let candidate = try Self.candidate("ipv4: 24", "ipv4: 16")
        let fixture = try EdgeFixture(loops: 2, candidate: candidate)
        for number in 0..<4 {
            let client = try fixture.client()
            for consent in ["granted", "granted", "denied"] {
                client.send(Self.hit(EdgeFixture.german, consent))
                #expect(client.answer()?.status == 200)
            }
            let address = number == 0 ? EdgeFixture.german6 : EdgeFixture.american
            client.send(Self.hit(address, "granted"))
            #expect(client.answer()?.status == 200)
        }
        let page = fixture.collector.metricsPage()
        fixture.collector.drain()
        let counts = try #require(fixture.collector.context.shadow?.counts())
        #expect(counts.ruleSet == fixture.ruleSet.digest)
        #expect(counts.candidate == candidate.digest)
        #expect(counts.compared == 16)
        #expect(counts.differing == 8)
        #expect(counts.unlisted == 0)
        let ip = ShadowCounts.Difference(kind: "ip", change: "less", hits: 8)
        #expect(
            counts.pairs == [
                ShadowCounts.Pair(policy: "gdpr", candidate: "gdpr", hits: 8, differences: [ip])
            ])
        let labels = "policy=\"gdpr\",candidate=\"gdpr\""
        let lines = [
            "cordon_edge_shadow_hits_total{candidate_rule_set=\"\(candidate.digest)\"} 16",
            "cordon_edge_shadow_differing_total{\(labels)} 8",
            "cordon_edge_shadow_differences_total{\(labels),kind=\"ip\",change=\"less\"} 8",
            "cordon_edge_shadow_unlisted_total 0",
        ]
        for line in lines { #expect(page.contains("\n\(line)\n"), "\(line)") }
        let records = try fixture.records("eu-central") + fixture.records("us-east")
        #expect(records.count == 16)
        let prefixes = records.compactMap { $0.ipPrefix }
        #expect(prefixes.filter { $0 == "46.4.10.0/24" }.count == 8)
        #expect(!prefixes.contains { $0.hasSuffix("/16") })
    }

    @Test
    func `a new context with the same candidate goes on counting, and another one begins anew`()
        throws
    {
        let candidate = try Self.candidate("ipv4: 24", "ipv4: 16")
        let fixture = try EdgeFixture(loops: 1)
        defer { fixture.collector.drain() }
        let context = fixture.collector.context.shadowed(by: candidate, loops: 1)
        let collector = fixture.region("eu-central").collector
        let request = Array(Self.hit(EdgeFixture.german, "granted").utf8)
        HitPath(context, collector: collector).take(request.span)
        let renewed = try context.renewed(today: fixture.today + 1)
        HitPath(renewed, collector: collector).take(request.span)
        #expect(renewed.shadow?.counts().differing == 2)
        let again = renewed.shadowed(by: candidate, loops: 1)
        #expect(again.shadow?.counts().compared == 0)
        // Hits of another day come from logs, and are none that the candidate is asked about.
        #expect(try context.dated(fixture.today).shadow == nil)
        var sum = try #require(renewed.shadow?.counts())
        HitPath(again, collector: collector).take(request.span)
        sum.add(try #require(again.shadow?.counts()))
        #expect(sum.compared == 3)
        #expect(sum.pairs.map(\.hits) == [3])
        #expect(sum.pairs.first?.differences.map(\.hits) == [3])
    }

    @Test func `a tally counts what a dictionary counts, and says what it has no room for`() {
        var random = Generator()
        for policies in [3, 60] {
            let tally = ShadowTally()
            var expected: [ShadowTally.Pair: [Int: UInt64]] = [:]
            var hits: [ShadowTally.Pair: UInt64] = [:]
            var differing: UInt64 = 0
            for _ in 0..<6000 {
                let pair = ShadowTally.Pair(
                    policy: Int.random(in: 0..<policies, using: &random),
                    candidate: Int.random(in: 0..<policies, using: &random))
                var differences = DecisionDifferences()
                let indices = Set(
                    (0..<Int.random(in: 0...3, using: &random)).map { _ in
                        Int.random(in: 0..<DecisionDifference.count, using: &random)
                    })
                for index in indices { differences.insert(DecisionDifference(index: index)) }
                tally.add(policy: pair.policy, candidate: pair.candidate, differences)
                guard !indices.isEmpty else { continue }
                differing += 1
                hits[pair, default: 0] += 1
                for index in indices { expected[pair, default: [:]][index, default: 0] += 1 }
            }
            var sums = ShadowTally.Sums()
            tally.read(into: &sums)
            #expect(sums.compared == 6000)
            #expect(sums.differing == differing)
            #expect(sums.pairs.count <= ShadowTally.pairsMax)
            let listed = sums.pairs.values.reduce(0) { $0 + $1.hits }
            #expect(listed + sums.unlisted == differing, "seed \(random.seed)")
            #expect((sums.unlisted > 0) == (policies == 60), "seed \(random.seed)")
            for (pair, counts) in sums.pairs {
                // Who has a slot keeps it, so its counts are whole.
                #expect(counts.hits == hits[pair], "seed \(random.seed)")
                for index in counts.differences.indices {
                    #expect(counts.differences[index] == expected[pair]?[index] ?? 0)
                }
            }
        }
    }
}
