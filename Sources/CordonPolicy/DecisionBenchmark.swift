internal import Consent
internal import CordonModel

/// What deciding one hit costs: finding the site, reading the consent signals, indexing the decision.
package struct DecisionBenchmark: Sendable {
    package let nanosecondsPerHit: Double
    package let hits: Int
    /// Sum over what was decided, so that the work cannot be optimised away.
    package let checksum: Int

    /// Decides `hits` hits of mixed places, sites and signals under `ruleSet`.
    package static func run(
        _ ruleSet: RuleSet, places: [RulePlace], hits: Int
    ) throws -> DecisionBenchmark {
        let rules = ruleSet.bound(to: places)
        let requests = try [
            ("https://pixel.example/pixel.gif?site=shop.example&event=view&consent=granted", []),
            ("https://pixel.example/pixel.gif?site=news.example&consent=denied&userid=a", []),
            ("https://pixel.example/pixel.gif?event=click", [("Sec-GPC", "1")]),
            ("https://pixel.example/pixel.gif", [("Cookie", "theme=dark; consent=granted")]),
        ].map { try SyntheticRequest(method: "GET", url: $0.0, headers: $0.1) }
        let reader = ConsentReader(vendors: rules.vendors, key: (1, 2))
        let now = Timestamp(microseconds: 1_800_000_000_000_000)
        var checksum = 0
        let begun = ContinuousClock.now
        for hit in 0..<hits {
            let request = requests[hit % requests.count]
            let bytes = request.bytes.span
            let siteClass = rules.siteClass(of: bytes, request.parts.site(in: bytes))
            let policy = rules.policyIndex(place: hit % places.count, siteClass: siteClass)
            let consent = rules.consent(
                policy: policy, parts: request.parts, bytes: bytes, at: now, reader: reader)
            let decision = rules.decision(policy: policy, consent: consent)
            checksum &+= Int(decision.retainDays) &+ Int(decision.outcome.rawValue)
        }
        let seconds = (ContinuousClock.now - begun) / .nanoseconds(1)
        return DecisionBenchmark(
            nanosecondsPerHit: seconds / Double(hits), hits: hits, checksum: checksum)
    }
}
