internal import CordonModel

/// What is allowed and yet looks wrong once all rules are seen together; each finding says what to do.
///
/// Every rule here only warns: what must not be at all is a mistake of its reader.
struct PolicyLints {
    let problems: ProblemList
    let ruleSet: RuleSet
    let regions: [RegionConfiguration]
    let atlas: Atlas
    let limits: Invariants.Limits

    func lint() {
        lintClaims()
        for policy in ruleSet.policies where policy.route.region != nil {
            lintConsent(policy)
            lintAccess(policy)
            lintAges(policy)
            lintIdentifiers(policy)
            lintLimits(policy)
            lintAdequacy(policy)
        }
    }
}

// MARK: Rules that no hit comes to

extension PolicyLints {
    /// Every place that a claim could mean, known as closely as a geo table may know it, and the place that nobody knows.
    private var universe: [RulePlace] {
        var places = PlaceCode.countries.sorted().map { RulePlace(country: $0) }
        let named = ruleSet.policies.flatMap(\.claims).reduce(into: Set<String>()) {
            $0.formUnion($1.codes)
        }
        for code in named.sorted() where PlaceCode.shape(of: code) == .subdivision {
            if let place = RulePlace(code: code) { places.append(place) }
        }
        return places + [RulePlace(country: nil)]
    }

    /// A policy that decides some site by its claim of a level.
    private struct Winner: Hashable {
        var policy: Int
        var level: CompiledPolicy.Level
    }

    /// A policy's site that names some class of hosts more closely than all others.
    private struct LiveSite: Hashable {
        var policy: Int
        var site: SitePattern
    }

    private func lintClaims() {
        var live: Set<LiveSite> = []
        var known: [[RuleSet.Claimants]: Set<Winner>] = [:]
        var winners: [(place: RulePlace, winners: Set<Winner>)] = []
        for place in universe {
            // Most places are claimed by the same policies as some other.
            let claimants = ruleSet.claimants(of: place)
            if known[claimants] == nil {
                let rows = ruleSet.deciders(of: claimants)
                live.formUnion(rows.lazy.map { LiveSite(policy: $0.policy, site: $0.site) })
                known[claimants] = Set(
                    rows.lazy.map { Winner(policy: $0.policy, level: $0.level) })
            }
            winners.append((place, known[claimants] ?? []))
        }
        for (index, policy) in ruleSet.policies.enumerated() {
            for (number, claim) in policy.claims.enumerated() {
                if let other = covering(claim, number, in: policy) {
                    problems.warn(
                        .deadClaim, claim.position,
                        "`\(claim.text)` says nothing that `\(other.text)` beside it does not: take it out"
                    )
                    continue
                }
                let takers = takers(of: claim, from: index, winners)
                guard let takers else { continue }
                let names = takers.sorted().map { "`\($0)`" }.joined(separator: ", ")
                problems.warn(
                    .deadClaim, claim.position,
                    "no hit comes to policy `\(policy.name)` by `\(claim.text)`: \(names) \(takers.count == 1 ? "names" : "name") "
                        + "its places more closely; take it out, or name the places one by one")
            }
            for site in policy.sites where site != .all {
                guard !live.contains(LiveSite(policy: index, site: site)) else { continue }
                problems.warn(
                    .deadSite, policy.position,
                    "no hit comes to policy `\(policy.name)` by its site `\(site.text)`: other policies name the "
                        + "same places more closely; take the site out")
            }
        }
    }

    /// A claim of the same policy and level that reaches wherever `claim` does.
    private func covering(
        _ claim: CompiledPolicy.Claim, _ number: Int, in policy: CompiledPolicy
    ) -> CompiledPolicy.Claim? {
        guard claim.level == .group else { return nil }
        for (index, other) in policy.claims.enumerated() where index != number {
            guard other.level == .group, claim.codes.isSubset(of: other.codes) else { continue }
            // Of two that say the same the later one is the one too many.
            if claim.codes != other.codes || index < number { return other }
        }
        return nil
    }

    /// The policies that take every hit which `claim` might bring; nil when it brings one.
    private func takers(
        of claim: CompiledPolicy.Claim, from policy: Int,
        _ winners: [(place: RulePlace, winners: Set<Winner>)]
    ) -> Set<String>? {
        var takers: Set<Int> = []
        for (place, winners) in winners where place.isIn(claim) {
            if winners.contains(Winner(policy: policy, level: claim.level)) { return nil }
            takers.formUnion(winners.lazy.map(\.policy))
        }
        return takers.isEmpty ? nil : Set(takers.map { ruleSet.policies[$0].name })
    }
}

// MARK: Consent

extension PolicyLints {
    /// Parameters and cookies of a hit that mean something else than a choice.
    private static let takenParameters = HitParameter.reserved.union(KnownName.parameters)
    private static let takenCookies = KnownName.cookies

    private func lintConsent(_ policy: CompiledPolicy) {
        let consent = policy.consent
        for signal in consent.signals {
            let (name, kind): (String, String)
            switch signal {
            case .parameter(let parameter) where Self.takenParameters.contains(parameter):
                (name, kind) = (parameter, "parameter")
            case .cookie(let cookie) where Self.takenCookies.contains(cookie):
                (name, kind) = (cookie, "cookie")
            default: continue
            }
            problems.warn(
                .unsendableSignal, consent.position,
                "`\(signal.text)` asks for a choice in the \(kind) `\(name)`, which means something else: no site can "
                    + "send both; name another one, such as `consent`")
        }
        guard !consent.absentGrants else { return }
        for purpose in consent.purposes where !isGrantable(purpose, consent) {
            problems.warn(
                .ungrantablePurpose, consent.position,
                "no signal can grant `\(purpose)`, and silence denies it: what needs it is never kept; add a signal "
                    + "that grants, such as `param:consent`, or say what it stands for in the consent strings listened to"
            )
        }
    }

    private func isGrantable(
        _ purpose: String, _ consent: CompiledPolicy.ConsentRule
    ) -> Bool {
        let meaning = consent.meanings[purpose]
        return consent.signals.contains { signal in
            switch signal {
            case .gpc, .dnt, .usp: false
            case .tcf, .gpp:
                meaning.map { !$0.tcf.isEmpty || !$0.specialFeatures.isEmpty } ?? false
            case .gcm: meaning.map { !$0.mode.isEmpty } ?? false
            case .parameter, .cookie: true
            }
        }
    }
}

// MARK: Access

extension PolicyLints {
    private func lintAccess(_ policy: CompiledPolicy) {
        for (number, rule) in policy.access.enumerated() {
            let other = policy.access.enumerated().first { index, other in
                index != number && rule.adds(nothingTo: other)
                    && (index < number || !other.adds(nothingTo: rule))
            }
            guard let other = other?.element else { continue }
            problems.warn(
                .shadowedRule, rule.position,
                "the rule for role `\(rule.role)` allows nothing that the one on line \(other.position.line) does not: "
                    + "take it out, or widen it")
        }
        for (number, rule) in policy.transfer.enumerated() {
            let other = policy.transfer.enumerated().first { index, other in
                index != number && rule.adds(nothingTo: other)
                    && (index < number || !other.adds(nothingTo: rule))
            }
            guard let other = other?.element else { continue }
            problems.warn(
                .shadowedRule, rule.position,
                "the transfer to `\(rule.to.names.joined(separator: ", "))` allows nothing that the one on line "
                    + "\(other.position.line) does not: take it out, or widen it")
        }
    }
}

extension AccessRule {
    /// Whether whoever may see something by this rule may see it by `other` too.
    fileprivate func adds(nothingTo other: AccessRule) -> Bool {
        let isSeen =
            switch (see, other.see) {
            case (_, .rows): true
            case (.rows, .aggregates): false
            case (.aggregates, .aggregates):
                other.minGroup <= minGroup
                    && (other.smallGroups == .other || smallGroups == .suppress)
                    && (other.noise == nil || other.noise == noise)
            }
        return role == other.role && isSeen && Set(purposes).isSubset(of: other.purposes)
            && from.isWithin(other.from) && Set(other.hide).isSubset(of: hide)
    }
}

extension TransferRule {
    fileprivate func adds(nothingTo other: TransferRule) -> Bool {
        to.isWithin(other.to) && other.minGroup <= minGroup
    }
}

// MARK: What is kept

extension PolicyLints {
    /// Each field's rule in one form.
    private func kept(
        _ policy: CompiledPolicy
    ) -> [(field: FieldName, needs: [String], position: FilePosition)] {
        let rules = policy.fields
        var kept: [(FieldName, [String], FilePosition)] = []
        func add<Keeping>(_ field: FieldName, _ rule: CompiledPolicy.FieldRules.Rule<Keeping>?) {
            if let rule { kept.append((field, rule.needs, rule.position)) }
        }
        add(.ip, rules.ip)
        add(.user, rules.user)
        add(.visitor, rules.visitor)
        add(.userAgent, rules.userAgent)
        add(.page, rules.page)
        add(.referrer, rules.referrer)
        add(.place, rules.place)
        add(.language, rules.language)
        add(.parameters, rules.parameters)
        return kept
    }

    private func lintAges(_ policy: CompiledPolicy) {
        for (field, needs, position) in kept(policy) {
            let age = policy.retention.fieldDays[field] ?? policy.retention.hitsDays
            for purpose in needs {
                guard let lasts = policy.consent.meanings[purpose]?.lastsDays, age > lasts else {
                    continue
                }
                problems.warn(
                    .outlivesPurpose, position,
                    "`\(field.rawValue)` is kept for \(age)d, and `\(purpose)`, which it needs, lasts \(lasts)d: set "
                        + "`retention.fields.\(field.rawValue)` to \(lasts)d or less")
            }
        }
    }

    /// Parameters in which well-known senders put an identifier of a person or a click.
    private static let identifierNames: Set = [
        "_ga", "_gl", "cid", "clickid", "client_id", "customer_id", "dclid", "device_id", "email",
        "epik", "fbclid", "fbp", "gbraid", "gclid", "hsenc", "_hsenc", "idfa", "gaid", "igshid",
        "li_fat_id", "mc_eid", "mkt_tok", "msclkid", "phone", "ref_id", "rdt_cid", "sc_click_id",
        "session", "session_id", "sid", "srsltid", "ttclid", "twclid", "uid", "user", "user_id",
        "userid", "uuid", "vero_id", "visitor_id", "wbraid", "yclid",
    ]

    private func lintIdentifiers(_ policy: CompiledPolicy) {
        if let rule = policy.fields.ip, rule.needs.isEmpty {
            problems.warn(
                .identifierWithoutPurpose, rule.position,
                "`ip` is kept whatever the visitor consented to: say which purpose it `needs`")
        }
        let pages = policy.fields.page.map { ("page.params", $0.keeping.parameters, $0.position) }
        let others = policy.fields.parameters.map { ("params.allow", $0.keeping, $0.position) }
        for (list, names, position) in [pages, others].compactMap({ $0 }) {
            for name in names where KnownName.consentStrings.contains(name.lowercased()) {
                problems.warn(
                    .identifierInParameter, position,
                    "`\(name)` in `\(list)` carries a consent string, which would be kept as it comes and can tell its "
                        + "sender from others: take it out, and name the signal in `consent.signals`"
                )
            }
            for name in names where Self.identifierNames.contains(name.lowercased()) {
                problems.warn(
                    .identifierInParameter, position,
                    "`\(name)` in `\(list)` carries an identifier, which would be kept as it comes: take it out, or send "
                        + "it as `userid`, of which a pseudonym is kept")
            }
        }
    }

    private func lintLimits(_ policy: CompiledPolicy) {
        if let rule = policy.fields.ip {
            for (family, bits, limit) in [
                ("ipv4", Int(rule.keeping.ipv4), limits.ipv4Bits),
                ("ipv6", Int(rule.keeping.ipv6), limits.ipv6Bits),
            ] where bits > limit {
                problems.warn(
                    .widerThanLimit, rule.position,
                    "`\(family): \(bits)` keeps more of an address than `limits.\(family): \(limit)` of the invariants "
                        + "lets: lower it to \(limit)")
            }
        }
        if policy.retention.hitsDays > limits.retentionDays {
            problems.warn(
                .longerThanLimit, policy.retention.position,
                "hits are kept for \(policy.retention.hitsDays)d, longer than `limits.retention: \(limits.retentionDays)d` "
                    + "of the invariants lets: lower it")
        }
    }
}

// MARK: Where it goes

extension PolicyLints {
    /// Homes, transfers and askers of a policy whose places have groups that say where their data may go without more.
    private func lintAdequacy(_ policy: CompiledPolicy) {
        let places = policy.claims.reduce(into: Set<String>()) { $0.formUnion($1.codes) }
        let groups = atlas.groups.values.filter { !$0.adequateFor.isDisjoint(with: places) }
        guard !groups.isEmpty else { return }
        let allowed = groups.reduce(into: places) {
            $0.formUnion($1.codes)
            $0.formUnion($1.adequateFor)
        }
        func outside(_ set: PlaceSet) -> String? {
            if set.isWorld { return "`world`" }
            let codes = set.codes.filter { !PlaceCode.holds(allowed, $0) }.sorted()
            guard let first = codes.first else { return nil }
            return codes.count == 1 ? "`\(first)`" : "`\(first)` and \(codes.count - 1) more"
        }
        let advice =
            "no group that is `adequate_for` the policy's places holds it; keep it out, or accept this finding with the "
            + "safeguard that stands in for adequacy as its reason"
        let jurisdiction = regions.first { $0.name == policy.route.region }?.jurisdiction
        if let jurisdiction, !allowed.contains(jurisdiction) {
            problems.warn(
                .notAdequate, policy.route.position,
                "the home region lies in `\(jurisdiction)`: \(advice)")
        }
        if let relocate = policy.route.relocate, let places = outside(relocate) {
            problems.warn(
                .notAdequate, policy.route.position, "rows may be moved to \(places): \(advice)")
        }
        for rule in policy.transfer {
            guard let places = outside(rule.to) else { continue }
            problems.warn(
                .notAdequate, rule.position, "aggregates may leave to \(places): \(advice)")
        }
        for rule in policy.access {
            guard let places = outside(rule.from) else { continue }
            problems.warn(
                .notAdequate, rule.position,
                "role `\(rule.role)` may ask from \(places): \(advice)")
        }
    }
}
