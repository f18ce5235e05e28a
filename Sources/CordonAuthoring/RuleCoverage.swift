package import Bytes
package import CordonModel
package import CordonPolicy
internal import CordonProof

/// Which parts of the policies the cases of a project reach, and which none does.
package struct RuleCoverage: Sendable {
    /// One part of a policy that decides: a claim, a site, a consent state, a signal, a purpose, a field.
    package struct Part: Hashable, Comparable, Sendable {
        package var policy: String
        package var position: FilePosition
        /// What a case that reaches it shows.
        package var text: String

        package static func < (left: Part, right: Part) -> Bool {
            (left.policy, left.position, left.text) < (right.policy, right.position, right.text)
        }
    }

    /// All parts, sorted.
    package let parts: [Part]
    package let reached: Set<Part>

    package var missing: [Part] { parts.filter { !reached.contains($0) } }
    /// Share of parts that some case reaches, in percent; 100 where there is none.
    package var percent: Double { Self.percent(reached.count, of: parts.count) }

    package static func percent(_ count: Int, of total: Int) -> Double {
        // Rounded down: 100 is all of them.
        total == 0 ? 100 : (Double(count) * 1000 / Double(total)).rounded(.down) / 10
    }

    /// Runs `cases` as on `day`; one whose address `place` knows nothing of reaches nothing.
    package init(
        _ cases: [PolicyCase], under ruleSet: RuleSet, on day: Day,
        place: (IPAddress) -> RulePlace?
    ) {
        parts = ruleSet.policies.flatMap(Self.parts).sorted()
        var reached: Set<Part> = []
        for policyCase in cases {
            let origin: RulePlace? =
                switch policyCase.origin {
                case .place(let place): place
                case .address(let address): place(address)
                }
            guard let origin else { continue }
            let found = ruleSet.explain(policyCase.request, at: origin, on: policyCase.day ?? day)
            guard let policy = ruleSet.policies.first(where: { $0.name == found.policy }) else {
                continue
            }
            reached.formUnion(Self.reached(by: found, of: policy, policyCase.request, origin))
        }
        self.reached = reached.intersection(parts)
    }

    // MARK: parts

    private static func parts(_ policy: CompiledPolicy) -> [Part] {
        var parts = policy.claims.map { claim(policy, $0) } + policy.sites.map { site(policy, $0) }
        guard policy.route.region != nil else {
            return parts + [
                Part(policy: policy.name, position: policy.route.position, text: "a refused hit")
            ]
        }
        parts += ConsentState.allCases.map { state(policy, $0.text) }
        parts += policy.consent.signals.map { signal(policy, $0.text) }
        for purpose in policy.consent.purposes {
            parts += [self.purpose(policy, purpose, isGranted: true)]
            parts += [self.purpose(policy, purpose, isGranted: false)]
        }
        if policy.consent.maxAgeDays != nil { parts.append(tooOld(policy)) }
        for field in policy.fields.kept {
            parts.append(self.field(policy, field, isKept: true))
            if !(policy.fields.needs(field) ?? []).isEmpty {
                parts.append(self.field(policy, field, isKept: false))
            }
        }
        return parts
    }

    private static func claim(_ policy: CompiledPolicy, _ claim: CompiledPolicy.Claim) -> Part {
        Part(policy: policy.name, position: claim.position, text: "a hit from `\(claim.text)`")
    }

    private static func site(_ policy: CompiledPolicy, _ site: SitePattern) -> Part {
        Part(
            policy: policy.name, position: policy.position,
            text: "a hit for the site `\(site.text)`")
    }

    private static func state(_ policy: CompiledPolicy, _ state: String) -> Part {
        let consent = policy.consent
        return switch state {
        case "absent":
            Part(
                policy: policy.name, position: consent.absentPosition,
                text: "consent absent (`when_absent`)")
        case "granted":
            Part(policy: policy.name, position: consent.position, text: "consent granted")
        default:
            Part(
                policy: policy.name, position: consent.deniedPosition,
                text: "consent \(state) (`denied`)")
        }
    }

    private static func signal(_ policy: CompiledPolicy, _ signal: String) -> Part {
        Part(
            policy: policy.name, position: policy.consent.position,
            text: "the signal `\(signal)` speaks")
    }

    private static func purpose(
        _ policy: CompiledPolicy, _ purpose: String, isGranted: Bool
    ) -> Part {
        Part(
            policy: policy.name, position: policy.consent.position,
            text: "the purpose `\(purpose)` \(isGranted ? "granted" : "not granted")")
    }

    private static func tooOld(_ policy: CompiledPolicy) -> Part {
        Part(
            policy: policy.name, position: policy.consent.position,
            text: "a TC string older than `max_age`")
    }

    private static func field(
        _ policy: CompiledPolicy, _ field: FieldName, isKept: Bool
    ) -> Part {
        Part(
            policy: policy.name, position: policy.fields.position(field),
            text: "`\(field.rawValue)` \(isKept ? "kept" : "dropped for what it `needs`")")
    }

    // MARK: reaching

    private static func reached(
        by found: Explanation, of policy: CompiledPolicy, _ request: SyntheticRequest,
        _ place: RulePlace
    ) -> [Part] {
        var reached: [Part] = []
        let covering = policy.claims.filter { place.isIn($0) }
        if let level = covering.map(\.level).max() {
            reached += covering.filter { $0.level == level }.map { claim(policy, $0) }
        }
        let bytes = request.bytes.span
        let host = request.parts.site(in: bytes).map {
            String(decoding: request.bytes[$0], as: UTF8.self).lowercased()
        }
        // The closest pattern: a name, else the longest wildcard.
        let matching = policy.sites.filter { $0.matches(host: host) }
        if let closest = matching.max(by: {
            ($0.isWildcard ? 0 : 1, $0.suffix.utf8.count)
                < ($1.isWildcard ? 0 : 1, $1.suffix.utf8.count)
        }) {
            reached.append(site(policy, closest))
        }
        guard policy.route.region != nil else {
            return reached + [
                Part(policy: policy.name, position: policy.route.position, text: "a refused hit")
            ]
        }
        reached.append(state(policy, found.consent.state))
        for signal in found.consent.signals where signal.state != "silent" {
            reached.append(self.signal(policy, signal.signal))
            if signal.detail.contains("older than `max_age") { reached.append(tooOld(policy)) }
        }
        for purpose in policy.consent.purposes {
            reached.append(
                self.purpose(
                    policy, purpose, isGranted: found.consent.purposes.contains(purpose)))
        }
        guard found.outcome == "keep" else { return reached }
        for field in policy.fields.kept {
            let isKept = found.fields[field.rawValue]?.action != "drop"
            reached.append(self.field(policy, field, isKept: isKept))
        }
        return reached
    }
}
