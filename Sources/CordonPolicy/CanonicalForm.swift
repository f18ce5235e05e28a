internal import Bytes
internal import CordonModel
internal import Crypto

/// What decides, written in one way only: the bytes whose digest names a rule set.
///
/// Comments, layout, titles, sources and positions are left out; names are resolved; lists whose order means nothing are
/// sorted. Each text is preceded by its length, so no two contents have the same bytes.
struct CanonicalForm {
    private var bytes: [UInt8] = []

    /// Changes when the same content would be written in another way.
    private static let version = "cordon rule set 2"

    /// Hexadecimal SHA-256 of regions and policies, both sorted by name.
    static func digest(regions: [RegionConfiguration], policies: [CompiledPolicy]) -> String {
        var form = CanonicalForm()
        form.add(version)
        form.add("regions", regions.flatMap { [$0.name, $0.jurisdiction] })
        form.add("policies", policies.map(\.name))
        for policy in policies { form.add(policy) }
        return Bytes.hex(SHA256.hash(form.bytes))
    }

    private mutating func add(_ text: String) {
        bytes += Array("\(text.utf8.count):".utf8)
        bytes += Array(text.utf8)
    }

    private mutating func add(_ tag: String, _ texts: [String]) {
        add(tag)
        add(String(texts.count))
        for text in texts { add(text) }
    }

    private mutating func add(_ policy: CompiledPolicy) {
        let claims = policy.claims.map { claim in
            "\(claim.level.rawValue) \(claim.codes.sorted().joined(separator: " "))"
        }
        add("policy", [policy.name])
        add("claims", Set(claims).sorted())
        add("sites", policy.sites.map(\.text).sorted())
        add("route", policy.route.region.map { [$0] } ?? [])
        // A policy without it keeps the digest that it had before there was such a key.
        if let relocate = policy.route.relocate { add("relocate", [Self.text(relocate)]) }
        add("signals", policy.consent.signals.map(\.text).sorted())
        add("purposes", policy.consent.purposes)
        for purpose in policy.consent.purposes {
            let meaning = policy.consent.meanings[purpose] ?? .init()
            add(
                "meaning",
                [
                    meaning.tcf.map(String.init).joined(separator: " "),
                    meaning.specialFeatures.map(String.init).joined(separator: " "),
                    meaning.basis.rawValue, meaning.holder.text,
                ])
            add("opt-outs", meaning.optOuts)
            add("mode", meaning.mode)
        }
        add("max age", policy.consent.maxAgeDays.map { [String($0)] } ?? [])
        add("absent", [policy.consent.absentGrants ? "granted" : "denied"])
        add("denied", [policy.consent.denied.rawValue])
        add(policy.fields)
        add("retention", [String(policy.retention.hitsDays)])
        let ages = policy.retention.fieldDays.sorted { $0.key < $1.key }
        add("ages", ages.flatMap { [$0.key.rawValue, String($0.value)] })
        add("sampling", [String(policy.sampling.perMillion)])
        let access = policy.access.map(Self.text)
        add("access", access.sorted())
        let transfer = policy.transfer.map {
            "\(Self.text($0.to)) \($0.see.rawValue) \($0.minGroup)"
        }
        add("transfer", transfer.sorted())
    }

    private mutating func add(_ fields: CompiledPolicy.FieldRules) {
        add("ip", fields.ip) { ["\($0.ipv4) \($0.ipv6)"] }
        add("user", fields.user) { ["\($0.rawValue)"] }
        add("visitor", fields.visitor) { ["\($0.rawValue)"] }
        add("user_agent", fields.userAgent) { _ in [] }
        add("page", fields.page) { ["\($0.detail.rawValue)"] + $0.parameters }
        add("referrer", fields.referrer) { _ in [] }
        add("place", fields.place) { ["\($0.rawValue)"] }
        add("language", fields.language) { _ in [] }
        add("params", fields.parameters) { $0 }
    }

    private mutating func add<Keeping>(
        _ tag: String, _ rule: CompiledPolicy.FieldRules.Rule<Keeping>?,
        _ texts: (Keeping) -> [String]
    ) {
        add(tag, rule.map { texts($0.keeping) } ?? [])
        add(rule == nil ? "dropped" : "kept", rule?.needs ?? [])
    }

    private static func text(_ rule: AccessRule) -> String {
        var form = CanonicalForm()
        form.add("role", [rule.role])
        form.add("purposes", rule.purposes.sorted())
        form.add("from", [text(rule.from)])
        form.add("see", [rule.see.rawValue, String(rule.minGroup)])
        // A key that stands at its default changes no digest.
        if rule.smallGroups != .suppress { form.add("small_groups", [rule.smallGroups.rawValue]) }
        if let noise = rule.noise {
            let numbers = [noise.epsilon, noise.budget, noise.rows, noise.value ?? 0]
            form.add("noise", numbers.map { "\($0)" } + [noise.per.rawValue])
        }
        form.add("hide", rule.hide.sorted())
        return String(decoding: form.bytes, as: UTF8.self)
    }

    private static func text(_ places: PlaceSet) -> String {
        places.isWorld ? "world" : places.codes.sorted().joined(separator: " ")
    }
}
