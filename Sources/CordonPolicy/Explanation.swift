internal import Bytes
internal import Consent
package import CordonModel

/// A decision in full: what, why, and where the rule stands. Encodes as the JSON of `policy explain`.
package struct Explanation: Encodable, Equatable, Sendable {
    package var outcome: String
    /// The home region; nil where policy refuses the hit.
    package var region: String?
    package var policy: String
    package var consent: Consent
    /// By field, every field of ``FieldName``.
    package var fields: [String: Field]
    /// First day on which the record is no longer readable; nil when nothing is kept.
    package var retainUntil: String?
    /// The preset that the policy's retention names; nil where it names none or nothing is kept.
    package var retentionPreset: Preset?
    package var sampleRate: Double
    package var ruleSet: String
    package var reason: Reason

    package struct Consent: Encodable, Equatable, Sendable {
        package var state: String
        package var purposes: [String]
        package var signals: [Signal]
    }

    package struct Signal: Encodable, Equatable, Sendable {
        package var signal: String
        /// `granted`, `denied`, `silent` or `invalid`.
        package var state: String
        package var detail: String
    }

    package struct Preset: Encodable, Equatable, Sendable {
        package var name: String
        package var source: String
        /// The day on which it was last held against the source.
        package var checked: String
    }

    package struct Field: Encodable, Equatable, Sendable {
        package var action: String
        package var reason: String
    }

    package struct Reason: Encodable, Equatable, Sendable {
        package var file: String
        package var line: Int
        package var text: String
    }

    private enum CodingKeys: String, CodingKey {
        case outcome, region, policy, consent, fields
        case retainUntil = "retain_until"
        case retentionPreset = "retention_preset"
        case sampleRate = "sample_rate"
        case ruleSet = "rule_set"
        case reason
    }

    /// Writes every key, an absent value as null.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(outcome, forKey: .outcome)
        try container.encode(region, forKey: .region)
        try container.encode(policy, forKey: .policy)
        try container.encode(consent, forKey: .consent)
        try container.encode(fields, forKey: .fields)
        try container.encode(retainUntil, forKey: .retainUntil)
        try container.encode(retentionPreset, forKey: .retentionPreset)
        try container.encode(sampleRate, forKey: .sampleRate)
        try container.encode(ruleSet, forKey: .ruleSet)
        try container.encode(reason, forKey: .reason)
    }
}

extension RuleSet {
    /// What becomes of `request` from `place` on `day`, decided by the same code as a live hit.
    package func explain(_ request: SyntheticRequest, at place: RulePlace, on day: Day)
        -> Explanation
    {
        let rules = bound(to: [place])
        let bytes = request.bytes.span
        let siteRange = request.parts.site(in: bytes)
        let site = siteRange.map { String(decoding: request.bytes[$0], as: UTF8.self) }
        let index = rules.policyIndex(place: 0, siteClass: rules.siteClass(of: bytes, siteRange))
        let reader = ConsentReader(vendors: rules.vendors, key: nil)
        // The end of the day: what was said on it counts.
        let now = (day + 1).start
        let consent = rules.consent(
            policy: index, parts: request.parts, bytes: bytes, at: now, reader: reader)
        let decision = rules.decision(policy: index, consent: consent)
        let policy = policies[index]
        let signals = policy.consent.signals.map { signal in
            let place = self.signals.firstIndex(of: signal)!
            let reading = rules.reading(
                signal: place, policy: index, parts: request.parts, bytes: bytes, at: now,
                reader: reader)
            let extracts = rules.extracts(
                signal: place, parts: request.parts, bytes: bytes, reader: reader)
            return self.signal(signal, reading, policy, extracts, now)
        }
        let isKept = decision.outcome == .keep || decision.outcome == .count
        let writer = ReasonWriter(
            policy: policy, decision: decision, purposes: purposes,
            isRepeated: request.parts.repeatsConsentHeader)
        return Explanation(
            outcome: decision.outcome.text,
            region: decision.region < 0 ? nil : regions[decision.region], policy: policy.name,
            consent: .init(
                state: consent.state.text, purposes: names(consent.purposes), signals: signals),
            fields: Dictionary(
                uniqueKeysWithValues: FieldName.allCases.map { ($0.rawValue, writer.field($0)) }),
            retainUntil: isKept ? (day + Int(decision.retainDays)).text : nil,
            retentionPreset: isKept
                ? policy.retention.preset.map {
                    .init(name: $0.name, source: $0.source, checked: $0.checked.text)
                } : nil,
            sampleRate: Double(decision.samplingPerMillion) / 1_000_000, ruleSet: digest,
            reason: writer.reason(claim: claim(of: policy, at: place), site: site))
    }

    private func names(_ mask: UInt32) -> [String] {
        purposes.enumerated().filter { mask & 1 << UInt32($0.offset) != 0 }.map(\.element)
    }

    private func signal(
        _ signal: ConsentSignal, _ reading: SignalReading, _ policy: CompiledPolicy,
        _ extracts: [ConsentExtract], _ now: Timestamp
    ) -> Explanation.Signal {
        let facts = StringFacts(policy: policy, now: now).text(extracts)
        let (state, detail): (String, String) =
            switch reading {
            case .silent: ("silent", "says nothing")
            case .denied: ("denied", "refuses every purpose")
            case .invalid: ("invalid", "cannot be understood")
            case .mixed(let granted, let denied):
                (
                    granted == 0 ? "denied" : "granted",
                    [
                        granted == 0
                            ? nil : "allows " + names(granted).joined(separator: ", "),
                        denied == 0 ? nil : "refuses " + names(denied).joined(separator: ", "),
                    ].compactMap(\.self).joined(separator: ", ")
                )
            case .granted(let mask):
                (
                    "granted",
                    mask == .max
                        ? "allows every purpose"
                        : "allows "
                            + (names(mask).isEmpty
                                ? "nothing" : names(mask).joined(separator: ", "))
                )
            }
        return .init(
            signal: signal.text, state: state,
            detail: facts.isEmpty ? detail : "\(detail) (\(facts))")
    }

    /// The claim by which the policy has the place: its closest.
    private func claim(of policy: CompiledPolicy, at place: RulePlace) -> CompiledPolicy.Claim {
        let covering = policy.claims.filter { place.isIn($0) }
        return covering.max { $0.level < $1.level } ?? policy.claims[0]
    }
}

/// Says in words what was read of consent strings, without anything that could tell two people apart but the day of the
/// choice.
private struct StringFacts {
    let policy: CompiledPolicy
    let now: Timestamp

    func text(_ extracts: [ConsentExtract]) -> String {
        extracts.map(text).filter { !$0.isEmpty }.joined(separator: "; ")
    }

    private func text(_ extract: ConsentExtract) -> String {
        if extract.standing == .silent { return "a string that says nothing" }
        if extract.standing == .invalid { return "a string that its specification does not allow" }
        var facts: [String] = []
        if extract.hasTCF {
            let updated = Day(Timestamp(microseconds: Int64(extract.tcf.updated) * 100_000)).text
            let rules = StringRules(
                meanings: [], maxAgeDays: policy.consent.maxAgeDays ?? 0, now: now.microseconds)
            switch rules.age(extract) {
            case .good: facts.append("TC string of \(updated)")
            case .tooOld:
                facts.append(
                    "TC string of \(updated), older than `max_age: \(policy.consent.maxAgeDays ?? 0)d`"
                )
            case .ahead: facts.append("TC string of \(updated), which has not come yet")
            }
        }
        let optOuts = Self.words(extract.optOuts, OptOuts.names)
        if !optOuts.isEmpty { facts.append("opted out of \(optOuts)") }
        let granted = Self.words(extract.modeGranted, ModeSignals.names)
        if !granted.isEmpty { facts.append("\(granted) granted") }
        let denied = Self.words(extract.modeDenied, ModeSignals.names)
        if !denied.isEmpty { facts.append("\(denied) denied") }
        if facts.isEmpty { facts.append("no opt-out") }
        return facts.joined(separator: ", ")
    }

    private static func words(_ bits: UInt8, _ names: [String]) -> String {
        names.enumerated().filter { bits & 1 << UInt8($0.offset) != 0 }.map(\.element)
            .joined(separator: ", ")
    }
}

/// Puts a decision's reasons into words.
private struct ReasonWriter {
    let policy: CompiledPolicy
    let decision: Decision
    let purposes: [String]
    let isRepeated: Bool

    func reason(claim: CompiledPolicy.Claim, site: String?) -> Explanation.Reason {
        let claimed = "policy `\(policy.name)` claims `\(claim.text)`"
        let (position, text): (FilePosition, String) =
            switch decision.outcome {
            case .keep:
                (claim.position, "\(claimed) (\(claim.position.text)); \(consentText)")
            case .count:
                (withheldPosition, "\(claimed); \(consentText), so the hit is counted and no more")
            case .drop: (withheldPosition, "\(claimed); \(consentText), so nothing is kept")
            case .refuse: (policy.route.position, "\(claimed) and refuses every hit")
            }
        return .init(file: position.file, line: position.line, text: text)
    }

    private var withheldPosition: FilePosition { policy.consent.deniedPosition }

    private var consentText: String {
        if isRepeated, decision.consent.state == .invalid {
            return "consent is invalid because a header about it stands twice"
        }
        return switch decision.consent.state {
        case .granted: "consent is granted"
        case .denied: "consent is denied"
        case .invalid: "consent is invalid and counts as denied"
        case .absent:
            "consent is absent, which counts as \(policy.consent.absentGrants ? "granted" : "denied")"
                + " (\(policy.consent.absentPosition.text))"
        }
    }

    func field(_ field: FieldName) -> Explanation.Field {
        let (action, rule) = action(field)
        guard let action else {
            return .init(action: "drop", reason: dropReason(field, rule))
        }
        guard let rule, !rule.needs.isEmpty else {
            return .init(
                action: action, reason: "kept (\((rule?.position ?? policy.position).text))")
        }
        let needs = rule.needs.joined(separator: ", ")
        return .init(
            action: action,
            reason: decision.outcome == .count
                ? "counted hits keep it (\(rule.position.text))"
                : "kept for \(needs) (\(rule.position.text))")
    }

    private func dropReason(_ field: FieldName, _ rule: RuleFacts?) -> String {
        if decision.outcome == .refuse {
            return "every hit is refused (\(policy.route.position.text))"
        }
        if let position = policy.fields.dropped[field] { return "dropped (\(position.text))" }
        guard let rule else { return "no rule keeps it (\(policy.fields.position.text))" }
        if decision.outcome != .keep {
            return "\(consentText) (\(withheldPosition.text))"
        }
        let granted = Set(
            purposes.enumerated().filter { decision.consent.purposes & 1 << UInt32($0.offset) != 0 }
                .map(\.element))
        let missing = rule.needs.filter { !granted.contains($0) }.joined(separator: ", ")
        return "needs \(missing), which is not granted (\(rule.position.text))"
    }

    private struct RuleFacts {
        var needs: [String]
        var position: FilePosition
        init?<Keeping>(_ rule: CompiledPolicy.FieldRules.Rule<Keeping>?) {
            guard let rule else { return nil }
            needs = rule.needs
            position = rule.position
        }
    }

    /// What the decision does with the field (nil drops it), and the rule that speaks of it.
    private func action(_ field: FieldName) -> (action: String?, rule: RuleFacts?) {
        let fields = policy.fields
        return switch field {
        case .ip:
            (
                decision.ipv4Bits == 0
                    ? nil : "truncate ipv4/\(decision.ipv4Bits) ipv6/\(decision.ipv6Bits)",
                RuleFacts(fields.ip)
            )
        case .user: (decision.user.map { "pseudonym \($0.text)" }, RuleFacts(fields.user))
        case .visitor: (decision.visitor.map { "pseudonym \($0.text)" }, RuleFacts(fields.visitor))
        case .userAgent:
            (decision.keepsUserAgentFamily ? "family" : nil, RuleFacts(fields.userAgent))
        case .page:
            (
                decision.page == .drop ? nil : decision.page == .host ? "host" : "path",
                RuleFacts(fields.page)
            )
        case .referrer: (decision.keepsReferrerHost ? "host" : nil, RuleFacts(fields.referrer))
        case .place:
            (
                decision.place == .drop
                    ? nil : decision.place == .country ? "country" : "subdivision",
                RuleFacts(fields.place)
            )
        case .language: (decision.keepsLanguage ? "primary" : nil, RuleFacts(fields.language))
        case .parameters:
            (
                decision.parameters.isEmpty
                    ? nil : "allow " + (fields.parameters?.keeping ?? []).joined(separator: ", "),
                RuleFacts(fields.parameters)
            )
        }
    }
}
