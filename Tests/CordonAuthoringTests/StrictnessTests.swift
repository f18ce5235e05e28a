import CordonModel
import TestSupport
import Testing

@testable import CordonAuthoring
@testable import CordonPolicy

@Suite struct Strictnesses {
    @Test func `taken together they make a lattice`() {
        for a in Strictness.allCases {
            #expect(a.and(a) == a)
            #expect(a.and(.equal) == a)
            #expect(a.and(.mixed) == .mixed)
            for b in Strictness.allCases {
                #expect(a.and(b) == b.and(a))
                #expect(a.and(b).reversed == a.reversed.and(b.reversed))
                for c in Strictness.allCases { #expect(a.and(b).and(c) == a.and(b.and(c))) }
            }
        }
        #expect(Strictness.stricter.and(.looser) == .mixed)
    }

    @Test func `tightening one key is stricter, and loosening it is looser`() throws {
        var generator = Generator()
        let seed = generator.seed
        for _ in 0..<3 {
            let settings = PolicyDials.random(using: &generator)
            for (dial, setting) in zip(PolicyDials.dials.indices, settings) {
                guard setting + 1 < PolicyDials.dials[dial].texts.count else { continue }
                var tighter = settings
                tighter[dial] += 1
                let name = PolicyDials.dials[dial].name
                let there = try PolicyDials.compare(settings, tighter)
                let back = try PolicyDials.compare(tighter, settings)
                #expect(there.strictness == .stricter, "\(name), seed \(seed): \(there.changes)")
                #expect(back.strictness == .looser, "\(name), seed \(seed): \(back.changes)")
                #expect(try PolicyDials.compare(settings, settings).strictness == .equal)
            }
        }
    }

    @Test func `steps compose`() throws {
        var generator = Generator()
        let seed = generator.seed
        func tightened(_ settings: [Int]) -> [Int] {
            zip(settings, PolicyDials.dials).map { setting, dial in
                generator.chance(0.2)
                    ? Int.random(in: setting..<dial.texts.count, using: &generator) : setting
            }
        }
        for _ in 0..<20 {
            let first = PolicyDials.random(using: &generator)
            let second = tightened(first)
            let third = tightened(second)
            let steps = try PolicyDials.compare(first, second).strictness
                .and(PolicyDials.compare(second, third).strictness)
            #expect(try PolicyDials.compare(first, third).strictness == steps, "seed \(seed)")
            #expect([.equal, .stricter].contains(steps), "seed \(seed)")
            // What is tightened in one key and loosened in another is neither.
            var other = third
            guard let dial = third.indices.first(where: { third[$0] > first[$0] }),
                let loosened = third.indices.first(where: { $0 != dial && first[$0] > 0 })
            else { continue }
            other[loosened] = first[loosened] - 1
            #expect(try PolicyDials.compare(first, other).strictness == .mixed, "seed \(seed)")
        }
    }

    /// The order speaks of texts; this holds it against what is decided.
    @Test func `what is called stricter or equal never keeps more of any hit`() throws {
        var generator = Generator()
        let seed = generator.seed
        var compared = 0
        for _ in 0..<60 {
            let old = PolicyDials.random(using: &generator)
            var new = old
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let dial = Int.random(in: old.indices, using: &generator)
                new[dial] = Int.random(
                    in: (generator.chance(0.8) ? old[dial] : 0)..<PolicyDials.dials[dial].texts
                        .count,
                    using: &generator)
            }
            let strictness = try PolicyDials.compare(old, new).strictness
            guard strictness == .stricter || strictness == .equal else { continue }
            let (before, after) = (try PolicyDials.ruleSet(old), try PolicyDials.ruleSet(new))
            for _ in 0..<60 {
                let request = try Self.request(&generator)
                let place = RulePlace(country: "DE", subdivision: "DE-BY")
                let left = before.explain(request, at: place, on: Day("2026-11-01")!)
                let right = after.explain(request, at: place, on: Day("2026-11-01")!)
                compared += 1
                let problem = Self.excess(left, right)
                #expect(
                    problem == nil,
                    "\(problem ?? ""), seed \(seed)\n\(String(decoding: request.bytes, as: UTF8.self))\n\(PolicyDials.policy(old))\n\(PolicyDials.policy(new))"
                )
                if problem != nil { return }
            }
        }
        #expect(compared > 300)
    }

    /// What the second explanation keeps and the first does not.
    private static func excess(_ old: Explanation, _ new: Explanation) -> String? {
        let order = ["refuse", "drop", "count", "keep"]
        if order.firstIndex(of: new.outcome)! > order.firstIndex(of: old.outcome)! {
            return "outcome \(old.outcome) → \(new.outcome)"
        }
        if !Set(new.consent.purposes).isSubset(of: old.consent.purposes) {
            return "purposes \(old.consent.purposes) → \(new.consent.purposes)"
        }
        for (name, field) in new.fields where field.action != "drop" {
            if old.fields[name]?.action == "drop" { return "field \(name)" }
        }
        if let until = new.retainUntil, until > old.retainUntil ?? "" { return "retention" }
        return new.sampleRate > old.sampleRate ? "sampling" : nil
    }

    private static let tcStrings = [
        "CQraFkAQraFkAAfABBENCWFgAP_gAEPgAAYgABMAAAAA.IABM",
        "CQraFkAQraFkAAfABBENCWFgAIGAAAAAAAYgABMAAAAA.IABM",
        "CQraFkAQraFkAAfABBENCWFgAAAAAAAAAAYgAAAAAAAA.IABM",
        "CQSU_AAQSU_AAAfABBENCWFgAP_gAAAAAAYgAAoAAAAA", "CQraFkAQraFkAAfABBENCWFgAIGA",
    ]

    static func request(_ generator: inout Generator) throws -> SyntheticRequest {
        func one(_ texts: [String]) -> String { texts.randomElement(using: &generator)! }
        var query: [String] = []
        let choices = ["granted", "denied", "m", "a", "m,a", "perhaps"]
        if generator.chance(0.4) { query.append("c=" + one(choices)) }
        if generator.chance(0.4) { query.append("gdpr_consent=" + one(tcStrings)) }
        if generator.chance(0.3) {
            query.append("us_privacy=" + one(["1YNN", "1YYN", "1---", "2"]))
        }
        if generator.chance(0.3) {
            query.append("gcs=" + one(["G111", "G100", "G101", "G1--", "x"]))
        }
        var headers: [(name: String, value: String)] = []
        if generator.chance(0.2) { headers.append(("Sec-GPC", one(["1", "0"]))) }
        if generator.chance(0.2) { headers.append(("DNT", one(["1", "0"]))) }
        if generator.chance(0.3) { headers.append(("Cookie", "k=" + one(choices))) }
        return try SyntheticRequest(
            url: "https://pixel.example/pixel.gif?" + query.joined(separator: "&"),
            headers: headers)
    }
}
