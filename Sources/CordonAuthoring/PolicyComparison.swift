internal import CordonModel
package import CordonPolicy

/// What differs between the policies that hold for one place and site under two rule sets.
package struct PolicyComparison: Equatable, Sendable {
    /// One key whose meaning changed.
    package struct Change: Equatable, Sendable {
        /// The key as policies write it, such as `retention.fields.user`.
        package var key: String
        package var old: String
        package var new: String
        package var strictness: Strictness
    }

    /// In the order of the keys in a policy.
    package private(set) var changes: [Change] = []

    /// All changes taken together.
    package var strictness: Strictness {
        changes.reduce(.equal) { $0.and($1.strictness) }
    }

    /// - Parameters:
    ///   - oldWords: all purposes of the old rule set: what a choice in a parameter or cookie may name.
    package init(
        from old: CompiledPolicy, to new: CompiledPolicy, oldWords: Set<String>,
        newWords: Set<String>
    ) {
        guard let oldRegion = old.route.region, let newRegion = new.route.region else {
            let isSame = old.route.region == new.route.region
            guard !isSame else { return }
            add(
                "route", old.route.region ?? "refuse", new.route.region ?? "refuse",
                new.route.region == nil ? .stricter : .looser)
            return
        }
        // Neither of two regions lets more than the other.
        add("route.region", oldRegion, newRegion, oldRegion == newRegion ? .equal : .mixed)
        compareRelocation(old.route.relocate, new.route.relocate)
        compareConsent(old.consent, new.consent)
        compareWords(old.consent, new.consent, oldWords, newWords)
        compareFields(old.fields, new.fields)
        compareAges(old, new)
        add(
            "sampling", Self.percent(old.sampling), Self.percent(new.sampling),
            .ofAmount(old.sampling.perMillion, new.sampling.perMillion))
        let access = AccessComparison(old.access, new.access)
        add("access", access.old, access.new, access.strictness)
        let transfer = AccessComparison(old.transfer, new.transfer)
        add("transfer", transfer.old, transfer.new, transfer.strictness)
    }

    private mutating func add(
        _ key: String, _ old: String, _ new: String, _ strictness: Strictness
    ) {
        guard strictness != .equal else { return }
        changes.append(Change(key: key, old: old, new: new, strictness: strictness))
    }

    /// Rows that may go to more places are held less strictly.
    private mutating func compareRelocation(_ old: PlaceSet?, _ new: PlaceSet?) {
        let none = PlaceSet(names: [], codes: [], isWorld: false)
        let (before, after) = (old ?? none, new ?? none)
        let strictness: Strictness =
            switch (after.isWithin(before), before.isWithin(after)) {
            case (true, true): .equal
            case (true, false): .stricter
            case (false, true): .looser
            case (false, false): .mixed
            }
        func text(_ places: PlaceSet) -> String {
            Self.list(places.isWorld ? ["world"] : places.codes)
        }
        add("route.relocate", text(before), text(after), strictness)
    }

    private static func percent(_ sampling: CompiledPolicy.Sampling) -> String {
        "\(Double(sampling.perMillion) / 10_000)"
    }

    private static func list(_ texts: some Sequence<String>) -> String {
        let sorted = texts.sorted()
        return sorted.isEmpty ? "none" : sorted.joined(separator: ", ")
    }
}

// MARK: consent

extension PolicyComparison {
    private typealias Rule = CompiledPolicy.ConsentRule

    private mutating func compareConsent(_ old: Rule, _ new: Rule) {
        compareSignals(old, new)
        add(
            "consent.when_absent", old.absentGrants ? "granted" : "denied",
            new.absentGrants ? "granted" : "denied",
            .ofAmount(old.absentGrants ? 1 : 0, new.absentGrants ? 1 : 0))
        add(
            "consent.purposes", Self.list(old.purposes), Self.list(new.purposes),
            .ofAllowed(Set(old.purposes), Set(new.purposes)))
        for purpose in Set(old.purposes).intersection(new.purposes).sorted() {
            compareMeaning(purpose, old, new)
        }
        if Self.hearsTCF(old) || Self.hearsTCF(new) {
            add(
                "consent.max_age", old.maxAgeDays.map { "\($0)d" } ?? "any",
                new.maxAgeDays.map { "\($0)d" } ?? "any",
                .ofAmount(old.maxAgeDays ?? .max, new.maxAgeDays ?? .max))
        }
        let order: [Rule.Denied] = [.drop, .count, .keep]
        add(
            "consent.denied", old.denied.rawValue, new.denied.rawValue,
            .ofAmount(
                order.firstIndex(of: old.denied)!, order.firstIndex(of: new.denied)!))
    }

    /// Another signal can refuse more. Where silence is no consent it can also grant, unless all it ever says is no.
    private mutating func compareSignals(_ old: Rule, _ new: Rule) {
        var strictness = Strictness.equal
        for signal in Set(new.signals).subtracting(old.signals) {
            strictness = strictness.and(
                old.absentGrants || Self.refusesOnly(signal) ? .stricter : .mixed)
        }
        for signal in Set(old.signals).subtracting(new.signals) {
            strictness = strictness.and(
                new.absentGrants || Self.refusesOnly(signal) ? .looser : .mixed)
        }
        add(
            "consent.signals", Self.list(old.signals.map(\.text)),
            Self.list(new.signals.map(\.text)), strictness)
    }

    private static func refusesOnly(_ signal: ConsentSignal) -> Bool {
        switch signal {
        case .gpc, .dnt, .usp: true
        case .tcf, .gpp, .gcm, .parameter, .cookie: false
        }
    }

    private static func hearsTCF(_ rule: Rule) -> Bool {
        rule.signals.contains(.tcf) || rule.signals.contains(.gpp)
    }

    private mutating func compareMeaning(_ purpose: String, _ oldRule: Rule, _ newRule: Rule) {
        let old = oldRule.meanings[purpose] ?? .init()
        let new = newRule.meanings[purpose] ?? .init()
        let signals = Set(oldRule.signals).union(newRule.signals)
        let key = "consent.purposes.\(purpose)"
        if signals.contains(.tcf) || signals.contains(.gpp) {
            compareStrings(key, old, new, oldRule, newRule)
        }
        if signals.contains(.gpp) || signals.contains(.usp) {
            add(
                key + ".opt_outs", Self.list(old.optOuts), Self.list(new.optOuts),
                .ofDemanded(Set(old.optOuts), Set(new.optOuts)))
        }
        if signals.contains(.gcm) {
            let strictness =
                old.mode.isEmpty != new.mode.isEmpty
                ? Self.spoken(isNew: old.mode.isEmpty, oldRule, newRule)
                : .ofDemanded(Set(old.mode), Set(new.mode))
            add(key + ".gcm", Self.list(old.mode), Self.list(new.mode), strictness)
        }
    }

    /// A purpose of which strings begin to speak (or no longer do) is granted and refused by them.
    private static func spoken(isNew: Bool, _ old: Rule, _ new: Rule) -> Strictness {
        if isNew { return old.absentGrants ? .stricter : .mixed }
        return new.absentGrants ? .looser : .mixed
    }

    private mutating func compareStrings(
        _ key: String, _ old: CompiledPolicy.Meaning, _ new: CompiledPolicy.Meaning,
        _ oldRule: Rule, _ newRule: Rule
    ) {
        func spoken(_ meaning: CompiledPolicy.Meaning) -> Set<String> {
            Set(
                meaning.tcf.map { "purpose \($0)" }
                    + meaning.specialFeatures.map { "special feature \($0)" })
        }
        let (before, after) = (spoken(old), spoken(new))
        add(
            key + ".tcf", Self.list(before), Self.list(after),
            before.isEmpty != after.isEmpty
                ? Self.spoken(isNew: before.isEmpty, oldRule, newRule)
                : .ofDemanded(before, after))
        guard !old.tcf.isEmpty || !new.tcf.isEmpty else { return }
        if old.basis != new.basis {
            add(
                key + ".basis", old.basis.rawValue, new.basis.rawValue,
                old.basis == .either ? .stricter : new.basis == .either ? .looser : .mixed)
        }
        guard old.holder != new.holder else { return }
        let strictness: Strictness =
            switch (old.holder, new.holder) {
            case (.anyone, .vendor): .stricter
            case (.vendor, .anyone): .looser
            // The publisher's own segment is another text.
            default: .mixed
            }
        add(key + ".vendor", Self.text(old.holder), Self.text(new.holder), strictness)
    }

    private static func text(_ holder: CompiledPolicy.Meaning.Holder) -> String {
        switch holder {
        case .anyone: "anyone"
        case .publisher: "publisher"
        case .vendor(let id): "\(id)"
        }
    }

    /// A choice that names a word which no policy knows is invalid: more words let more choices be understood.
    private mutating func compareWords(
        _ old: Rule, _ new: Rule, _ oldWords: Set<String>, _ newWords: Set<String>
    ) {
        let reads = (old.signals + new.signals).contains { signal in
            switch signal {
            case .parameter, .cookie: true
            default: false
            }
        }
        guard reads else { return }
        // Those of this policy itself are compared with its purposes.
        let (before, after) = (
            oldWords.subtracting(old.purposes).subtracting(new.purposes),
            newWords.subtracting(old.purposes).subtracting(new.purposes)
        )
        add(
            "purposes of other policies", Self.list(before), Self.list(after),
            .ofAllowed(before, after))
    }
}

// MARK: fields and ages

extension PolicyComparison {
    private typealias Fields = CompiledPolicy.FieldRules

    private mutating func compareFields(_ old: Fields, _ new: Fields) {
        compare(.ip, old.ip, new.ip) {
            "truncate ipv4/\($0.ipv4) ipv6/\($0.ipv6)"
        } order: {
            Strictness.ofAmount($0.ipv4, $1.ipv4).and(.ofAmount($0.ipv6, $1.ipv6))
        }
        for (field, rules) in [
            (FieldName.user, (old.user, new.user)), (.visitor, (old.visitor, new.visitor)),
        ] {
            compare(field, rules.0, rules.1) {
                "pseudonym \($0.text)"
            } order: {
                .ofAmount($0.rawValue, $1.rawValue)
            }
        }
        compare(.userAgent, old.userAgent, new.userAgent) { _ in "family" }
        compare(.page, old.page, new.page) { page in
            let detail = page.detail == .path ? "path" : "host"
            return page.parameters.isEmpty ? detail : detail + " with " + Self.list(page.parameters)
        } order: {
            Strictness.ofAmount($0.detail.rawValue, $1.detail.rawValue)
                .and(.ofAllowed(Set($0.parameters), Set($1.parameters)))
        }
        compare(.referrer, old.referrer, new.referrer) { _ in "host" }
        compare(.place, old.place, new.place) {
            $0 == .country ? "country" : "subdivision"
        } order: {
            .ofAmount($0.rawValue, $1.rawValue)
        }
        compare(.language, old.language, new.language) { _ in "primary" }
        compare(.parameters, old.parameters, new.parameters) {
            "allow " + Self.list($0)
        } order: {
            .ofAllowed(Set($0), Set($1))
        }
    }

    private mutating func compare<Keeping>(
        _ field: FieldName, _ old: Fields.Rule<Keeping>?, _ new: Fields.Rule<Keeping>?,
        text: (Keeping) -> String,
        order: (Keeping, Keeping) -> Strictness = { $0 == $1 ? .equal : .mixed }
    ) {
        let strictness: Strictness =
            switch (old, new) {
            case (nil, nil): .equal
            case (nil, _?): .looser
            case (_?, nil): .stricter
            case (let old?, let new?):
                order(old.keeping, new.keeping)
                    .and(.ofDemanded(Set(old.needs), Set(new.needs)))
            }
        func shown(_ rule: Fields.Rule<Keeping>?) -> String {
            guard let rule else { return "drop" }
            return text(rule.keeping)
                + (rule.needs.isEmpty ? "" : ", needs " + Self.list(rule.needs))
        }
        add("fields.\(field.rawValue)", shown(old), shown(new), strictness)
    }

    private mutating func compareAges(_ old: CompiledPolicy, _ new: CompiledPolicy) {
        add(
            "retention.hits", "\(old.retention.hitsDays)d", "\(new.retention.hitsDays)d",
            .ofAmount(old.retention.hitsDays, new.retention.hitsDays))
        // The age of a field that only one of them keeps is compared with the field.
        for field in old.fields.kept.intersection(new.fields.kept).sorted() {
            func days(_ policy: CompiledPolicy) -> Int {
                min(policy.retention.fieldDays[field] ?? .max, policy.retention.hitsDays)
            }
            let hasOwn = [old, new].contains { $0.retention.fieldDays[field] != nil }
            guard hasOwn else { continue }
            add(
                "retention.fields.\(field.rawValue)", "\(days(old))d", "\(days(new))d",
                .ofAmount(days(old), days(new)))
        }
    }
}
