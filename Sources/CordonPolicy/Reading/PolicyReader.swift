internal import Bytes
internal import Consent
internal import CordonModel

/// Reads one policy file, resolving its names; a mistake anywhere in it yields no policy.
struct PolicyReader {
    let problems: ProblemList
    let atlas: Atlas
    let regions: [String]

    static let keys = [
        "policy", "title", "source", "applies_to", "route", "consent", "fields", "retention",
        "sampling", "access", "transfer",
    ]

    func read(_ item: Item, fileName: String) -> CompiledPolicy? {
        guard let root = Section(item, keys: Self.keys) else { return nil }
        let name = root.required("policy")?.name()
        if let name, name != fileName {
            root["policy"]?.error(
                "policy `\(name)` stands in a file of another name, `\(fileName).yaml`")
        }
        let title = root.required("title")?.text()
        let source = root.required("source")?.text()
        let scope = root.required("applies_to").flatMap(readScope)
        let route = root.required("route").flatMap(readRoute)
        guard let position = root["policy"]?.position, let route else {
            // The rest is read for its mistakes alone.
            _ = readBody(root)
            return nil
        }
        if route.region == nil {
            let useless = ["consent", "fields", "retention", "sampling", "access", "transfer"]
            for key in useless {
                root[key]?.error("`\(key)` has no meaning where `route: refuse` keeps nothing")
            }
            guard let name, let title, let source, let scope else { return nil }
            return CompiledPolicy(
                refusing: name, title: title, source: source, position: position,
                claims: scope.claims,
                sites: scope.sites, route: route)
        }
        guard let body = readBody(root), let name, let title, let source, let scope else {
            return nil
        }
        return CompiledPolicy(
            name: name, title: title, source: source, position: position, claims: scope.claims,
            sites: scope.sites, route: route, consent: body.consent, fields: body.fields,
            retention: body.retention, sampling: body.sampling, access: body.access,
            transfer: body.transfer)
    }

    private struct Body {
        var consent: CompiledPolicy.ConsentRule
        var fields: CompiledPolicy.FieldRules
        var retention: CompiledPolicy.Retention
        var sampling: CompiledPolicy.Sampling
        var access: [AccessRule]
        var transfer: [TransferRule]
    }

    private func readBody(_ root: Section) -> Body? {
        let consent = root.required("consent").flatMap(readConsent)
        let fields = root.required("fields").flatMap {
            FieldReader(problems: problems, purposes: consent?.purposes, denied: consent?.denied)
                .read($0)
        }
        let retention = root.required("retention").flatMap { readRetention($0, fields) }
        let sampling: CompiledPolicy.Sampling? =
            if let item = root["sampling"] { readSampling(item) } else {
                .init(perMillion: 1_000_000, position: root.item.position)
            }
        let access: [AccessRule?] =
            root["access"].map { $0.list()?.map { readAccess($0, consent) } ?? [nil] } ?? []
        let transfer: [TransferRule?] =
            root["transfer"].map { $0.list()?.map(readTransfer) ?? [nil] } ?? []
        guard let consent, let fields, let retention, let sampling,
            !access.contains(where: { $0 == nil }), !transfer.contains(where: { $0 == nil })
        else { return nil }
        return Body(
            consent: consent, fields: fields, retention: retention, sampling: sampling,
            access: access.compactMap { $0 }, transfer: transfer.compactMap { $0 })
    }
}

extension PolicyReader {
    private func readScope(_ item: Item) -> (claims: [CompiledPolicy.Claim], sites: [SitePattern])?
    {
        guard let section = Section(item, keys: ["places", "sites"]) else { return nil }
        let places = section.required("places")?.texts()
        if places?.isEmpty == true { section["places"]?.error("expected at least one place") }
        let claims = places.map { $0.compactMap(claim) }
        var sites: [SitePattern]? = [.all]
        if let list = section["sites"]?.texts() {
            if list.isEmpty { section["sites"]?.error("expected at least one site") }
            let patterns = list.map(site)
            sites = patterns.contains { $0 == nil } ? nil : patterns.compactMap { $0 }
        }
        guard let claims, let sites, claims.count == places?.count else { return nil }
        return (claims, sites)
    }

    private func claim(_ text: String, _ item: Item) -> CompiledPolicy.Claim? {
        switch atlas.resolve(text) {
        case .success(let name):
            let (level, codes): (CompiledPolicy.Level, Set<String>) =
                switch name {
                case .world: (.world, [])
                case .group(let codes): (.group, codes)
                case .country: (.country, [text])
                case .subdivision: (.subdivision, [text])
                }
            return .init(text: text, level: level, codes: codes, position: item.position)
        case .failure(let mistake):
            item.error(mistake.text)
            return nil
        }
    }

    private func site(_ text: String, _ item: Item) -> SitePattern? {
        if let pattern = SitePattern(text) { return pattern }
        item.error(
            "expected a site such as `example.org`, `*.example.org` or `*` in lowercase, found `\(text)`"
        )
        return nil
    }

    private func readRoute(_ item: Item) -> CompiledPolicy.Route? {
        if item.scalar == "refuse" { return .init(region: nil, position: item.position) }
        guard item.isMapping else {
            item.error("expected `refuse` or a mapping with `region`, found \(item.found)")
            return nil
        }
        guard let section = Section(item, keys: ["region", "away", "relocate"]) else { return nil }
        if let away = section.required("away"), away.text() != nil {
            switch away.scalar {
            case "refuse": break
            case "seal": away.error("`seal` is not supported by this version, only `refuse` is")
            default: away.error("expected `refuse`, found \(away.found)")
            }
        }
        guard let region = section.required("region"), let name = region.text() else { return nil }
        guard regions.contains(name) else {
            region.error("unknown region `\(name)`" + Spelling.suggestion(name, among: regions))
            return nil
        }
        var relocate: PlaceSet?
        if let item = section["relocate"] {
            guard let places = placeSet(item) else { return nil }
            relocate = places
        }
        return .init(region: name, relocate: relocate, position: region.position)
    }
}

extension PolicyReader {
    private func readConsent(_ item: Item) -> CompiledPolicy.ConsentRule? {
        guard
            let section = Section(
                item, keys: ["signals", "when_absent", "purposes", "denied", "max_age"])
        else { return nil }
        let signals = section.required("signals").flatMap(readSignals)
        let absent = section.required("when_absent")?.word(Absent.self)
        let purposes = section.required("purposes").flatMap(readPurposes)
        let denied = section.required("denied")?.word(CompiledPolicy.ConsentRule.Denied.self)
        let maxAge = section["max_age"].flatMap { $0.days() }
        if let signals, let purposes {
            check(signals, purposes.meanings, maxAge: section["max_age"], item)
        }
        guard let signals, let absent, let purposes, let denied,
            let absentPosition = section["when_absent"]?.position,
            let deniedPosition = section["denied"]?.position
        else { return nil }
        return .init(
            signals: signals, absentGrants: absent == .granted, purposes: purposes.names,
            meanings: purposes.meanings, maxAgeDays: maxAge, denied: denied,
            position: item.position, absentPosition: absentPosition, deniedPosition: deniedPosition)
    }

    private enum Absent: String, CaseIterable { case granted, denied }

    private func readSignals(_ item: Item) -> [ConsentSignal]? {
        guard let texts = item.texts() else { return nil }
        if texts.isEmpty { item.error("expected at least one signal") }
        let signals = texts.map(readSignal)
        return signals.isEmpty || signals.contains { $0 == nil } ? nil : signals.compactMap { $0 }
    }

    private func readSignal(_ text: String, _ item: Item) -> ConsentSignal? {
        switch text {
        case "gpc": return .gpc
        case "dnt": return .dnt
        case "tcf": return .tcf
        case "gpp": return .gpp
        case "usp": return .usp
        case "gcm": return .gcm
        default: break
        }
        for prefix in ["param:", "cookie:"] where text.hasPrefix(prefix) {
            let name = String(text.dropFirst(prefix.count))
            guard (1...64).contains(name.utf8.count), name.utf8.allSatisfy(Self.isParameterUnit)
            else {
                item.error(
                    "expected a name of 1 to 64 letters, digits, `.`, `_` and `-` after `\(prefix)`, found `\(name)`"
                )
                return nil
            }
            return prefix == "param:" ? .parameter(name) : .cookie(name)
        }
        item.error(
            "unknown signal `\(text)`, expected `gpc`, `dnt`, `tcf`, `gpp`, `usp`, `gcm`, `param:NAME` or `cookie:NAME`"
                + Spelling.suggestion(text, among: ["gpc", "dnt", "tcf", "gpp", "usp", "gcm"]))
        return nil
    }

    static func isParameterUnit(_ unit: UInt8) -> Bool {
        (0x61...0x7A).contains(unit) || (0x41...0x5A).contains(unit)
            || (0x30...0x39).contains(unit) || unit == 0x2D || unit == 0x2E || unit == 0x5F
    }

    private func readPurposes(
        _ item: Item
    ) -> (names: [String], meanings: [String: CompiledPolicy.Meaning])? {
        guard let entries = item.entries() else { return nil }
        var meanings: [String: CompiledPolicy.Meaning] = [:]
        var isWhole = true
        if entries.isEmpty { item.error("expected at least one purpose") }
        for entry in entries {
            if !Item.isName(entry.key) {
                problems.error(
                    entry.keyPosition,
                    "expected a purpose's name of 1 to 40 lowercase letters, digits and hyphens that begins with a letter, found `\(entry.key)`"
                )
            } else if Self.reservedPurposes.contains(entry.key) {
                problems.error(
                    entry.keyPosition,
                    "`\(entry.key)` has a meaning of its own and cannot name a purpose")
            }
            if !entry.value.isNull {
                let meaning = MeaningReader().read(entry.value)
                meanings[entry.key] = meaning
                isWhole = isWhole && meaning != nil
            }
        }
        return entries.isEmpty || !isWhole ? nil : (entries.map(\.key).sorted(), meanings)
    }

    /// What is allowed and cannot be meant: a signal that no purpose understands, a meaning that no signal brings.
    private func check(
        _ signals: [ConsentSignal], _ meanings: [String: CompiledPolicy.Meaning], maxAge: Item?,
        _ item: Item
    ) {
        let readsTCF = signals.contains(.tcf) || signals.contains(.gpp)
        let knowsTCF = meanings.values.contains { !$0.tcf.isEmpty || !$0.specialFeatures.isEmpty }
        let knowsMode = meanings.values.contains { !$0.mode.isEmpty }
        if signals.contains(.tcf), !knowsTCF {
            problems.warn(
                .unheardSignal,
                item.position,
                "signal `tcf` says nothing: no purpose names the TCF purposes it stands for with `tcf`"
            )
        }
        if knowsTCF, !readsTCF {
            problems.warn(
                .unheardSignal,
                item.position, "`tcf` of a purpose means nothing without the signal `tcf` or `gpp`")
        }
        if signals.contains(.gcm) != knowsMode {
            problems.warn(
                .unheardSignal,
                item.position,
                knowsMode
                    ? "`gcm` of a purpose means nothing without the signal `gcm`"
                    : "signal `gcm` says nothing: no purpose names the signals it stands for with `gcm`"
            )
        }
        if let maxAge, !readsTCF {
            problems.warn(
                .unheardSignal,
                maxAge.position, "`max_age` means nothing without the signal `tcf` or `gpp`")
        }
    }

    /// The words of a consent choice, and what is no purpose of a site's.
    private static let reservedPurposes: Set = [
        "granted", "denied", "yes", "no", "true", "false", dataSubjectRequest,
    ]

    /// Purpose of who answers a person's request; every policy knows it.
    static let dataSubjectRequest = "data-subject-request"

    private func readRetention(
        _ item: Item, _ fields: CompiledPolicy.FieldRules?
    ) -> CompiledPolicy.Retention? {
        guard let section = Section(item, keys: ["preset", "hits", "fields"]) else { return nil }
        let named = section["preset"]
        let preset = named.flatMap(readPreset)
        let hits = named == nil ? section.required("hits")?.days() : section["hits"]?.days()
        let days = hits ?? preset?.hitsDays
        let ages = section["fields"].map { $0.ages(within: days) } ?? [:]
        if let fields {
            for (field, age) in ages where !fields.kept.contains(field) {
                problems.warn(
                    .ageOfUnkeptField, age.position,
                    "`\(field.rawValue)` is not kept, so it has no age")
            }
        }
        if let preset {
            if let hits, let item = section["hits"] {
                preset.mustHold(hits, preset.hitsDays, "a hit", item)
            }
            for (field, age) in ages {
                preset.mustHold(
                    age.days, preset.fieldDays[field] ?? preset.hitsDays, "`\(field.rawValue)`",
                    age.item)
            }
        }
        if named != nil, preset == nil || (section["hits"] != nil && hits == nil) { return nil }
        return days.map {
            .init(
                hitsDays: $0,
                fieldDays: (preset?.fieldDays(within: $0, of: fields) ?? [:])
                    .merging(ages.mapValues { $0.days }) { $1 },
                preset: preset, position: item.position)
        }
    }

    private func readPreset(_ item: Item) -> RetentionPreset? {
        guard let name = item.name() else { return nil }
        if let preset = atlas.retentionPresets[name] { return preset }
        if atlas.isWhole {
            item.error(
                "the atlas has no `retention_presets.\(name)`"
                    + Spelling.suggestion(name, among: atlas.retentionPresets.keys))
        }
        return nil
    }

    private func readSampling(_ item: Item) -> CompiledPolicy.Sampling? {
        guard let text = item.plain,
            let millionths = Self.tenThousandths(text), (1...1_000_000).contains(millionths)
        else {
            item.error("expected a percentage above 0 and up to 100, found \(item.found)")
            return nil
        }
        return .init(perMillion: UInt32(millionths), position: item.position)
    }

    /// `12.5` as 125,000 (a percentage in millionths, too): at most four decimals.
    private static func tenThousandths(_ text: String) -> Int? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2,
            parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            parts[0].utf8.count <= 3, let whole = Int(parts[0])
        else { return nil }
        let decimals = parts.count == 2 ? String(parts[1]) : ""
        guard decimals.utf8.count <= 4 else { return nil }
        let padded = decimals + String(repeating: "0", count: 4 - decimals.utf8.count)
        return whole * 10_000 + (Int(padded) ?? 0)
    }
}

extension PolicyReader {
    private func readAccess(_ item: Item, _ consent: CompiledPolicy.ConsentRule?) -> AccessRule? {
        guard
            let section = Section(
                item,
                keys: [
                    "role", "purposes", "from", "see", "min_group", "small_groups", "noise", "hide",
                ])
        else { return nil }
        let role = section.required("role")?.name()
        let purposes = section.required("purposes").flatMap { accessPurposes($0, consent) }
        let from = section.required("from").flatMap(placeSet)
        let see = section.required("see")?.word(AccessRule.Sight.self)
        var minGroup: Int? = 1
        if see == .rows {
            for key in ["min_group", "small_groups", "noise"] {
                section[key]?.error("`\(key)` has no meaning where rows are seen")
            }
        } else if see == .aggregates {
            minGroup = section.required("min_group")?.integer(in: Self.minGroupBounds)
        }
        let smallGroups =
            section["small_groups"].map { $0.word(AccessRule.SmallGroups.self) } ?? .suppress
        var noise: AccessRule.Noise?
        if let item = section["noise"], see == .aggregates {
            noise = readNoise(item)
            if noise == nil { return nil }
        }
        let hide = section["hide"].map(columns) ?? []
        guard let role, let purposes, let from, let see, let minGroup, let smallGroups, let hide
        else { return nil }
        return .init(
            role: role, purposes: purposes, from: from, see: see, minGroup: minGroup,
            smallGroups: smallGroups, noise: noise, hide: hide, position: item.position)
    }

    private func readNoise(_ item: Item) -> AccessRule.Noise? {
        guard let section = Section(item, keys: ["epsilon", "budget", "per", "rows", "value"])
        else { return nil }
        func decimal(_ item: Item, upTo most: Int) -> Int? {
            guard let text = item.plain, let number = Self.tenThousandths(text), number > 0,
                number <= most * 10_000
            else {
                item.error("expected a number above 0 and up to \(most), found \(item.found)")
                return nil
            }
            return number
        }
        let epsilon = section.required("epsilon").flatMap { decimal($0, upTo: 10) }
        let budget = section.required("budget").flatMap { decimal($0, upTo: 999) }
        let per = section.required("per")?.word(AccessRule.Noise.Period.self)
        let rows = section.required("rows")?.integer(in: 1...100_000)
        let value = section["value"].map { $0.integer(in: 1...1_000_000) }
        if let epsilon, let budget, budget < epsilon {
            section["budget"]?.error("the budget is below the epsilon of one count")
        }
        guard let epsilon, let budget, budget >= epsilon, let per, let rows else { return nil }
        if case .some(.none) = value { return nil }
        return .init(epsilon: epsilon, budget: budget, per: per, rows: rows, value: value ?? nil)
    }

    /// Below two a group is a person; above a million no site's group is left.
    private static let minGroupBounds = 2...1_000_000

    private func accessPurposes(_ item: Item, _ consent: CompiledPolicy.ConsentRule?) -> [String]? {
        guard let texts = item.texts() else { return nil }
        if texts.isEmpty { item.error("expected at least one purpose") }
        if let consent {
            let known = consent.purposes + [Self.dataSubjectRequest]
            for (text, item) in texts where !known.contains(text) {
                item.error("unknown purpose `\(text)`" + Spelling.suggestion(text, among: known))
            }
        }
        return texts.isEmpty ? nil : texts.map(\.text)
    }

    private func placeSet(_ item: Item) -> PlaceSet? {
        guard let texts = item.texts() else { return nil }
        if texts.isEmpty { item.error("expected at least one place") }
        var set = PlaceSet(names: texts.map(\.text), codes: [], isWorld: false)
        for (text, item) in texts {
            guard let claim = claim(text, item) else { return nil }
            set.codes.formUnion(claim.codes)
            if claim.level == .world { set.isWorld = true }
        }
        return texts.isEmpty ? nil : set
    }

    private func columns(_ item: Item) -> [String]? {
        guard let texts = item.texts() else { return nil }
        for (text, item) in texts where !Self.hideable.contains(text) {
            if Self.alwaysShown.contains(text) {
                item.error("column `\(text)` is always shown")
            } else {
                item.error(
                    "unknown column `\(text)`" + Spelling.suggestion(text, among: Self.hideable))
            }
        }
        return texts.map(\.text)
    }

    private static let hideable =
        ["hit_id", "key_epoch"] + FieldName.allCases.flatMap(\.columns)
    private static let alwaysShown: Set = [
        "ts", "site", "event", "consent", "purposes", "signals", "bot", "policy", "rule_set",
        "geo_build", "sample_rate", "retain_until",
    ]

    private func readTransfer(_ item: Item) -> TransferRule? {
        guard let section = Section(item, keys: ["to", "see", "min_group"]) else { return nil }
        let to = section.required("to").flatMap(placeSet)
        let minGroup = section.required("min_group")?.integer(in: Self.minGroupBounds)
        guard let see = section.required("see"), let sight = see.word(AccessRule.Sight.self) else {
            return nil
        }
        if sight == .rows { see.error("rows do not cross a border, only `aggregates` do") }
        guard let to, let minGroup else { return nil }
        return .init(to: to, minGroup: minGroup, position: item.position)
    }
}

extension CompiledPolicy {
    /// A policy that admits no hit: it keeps nothing, so nothing else of it has a meaning.
    fileprivate init(
        refusing name: String, title: String, source: String, position: FilePosition,
        claims: [Claim], sites: [SitePattern], route: Route
    ) {
        self.init(
            name: name, title: title, source: source, position: position, claims: claims,
            sites: sites, route: route,
            consent: .init(
                signals: [], absentGrants: false, purposes: [], denied: .drop,
                position: route.position, absentPosition: route.position,
                deniedPosition: route.position),
            fields: .init(position: route.position),
            retention: .init(hitsDays: 0, fieldDays: [:], position: route.position),
            sampling: .init(perMillion: 1_000_000, position: route.position), access: [],
            transfer: []
        )
    }
}

extension CompiledPolicy.FieldRules {
    /// The fields that are kept in some form.
    package var kept: Set<FieldName> {
        var kept: Set<FieldName> = []
        if ip != nil { kept.insert(.ip) }
        if user != nil { kept.insert(.user) }
        if visitor != nil { kept.insert(.visitor) }
        if userAgent != nil { kept.insert(.userAgent) }
        if page != nil { kept.insert(.page) }
        if referrer != nil { kept.insert(.referrer) }
        if place != nil { kept.insert(.place) }
        if language != nil { kept.insert(.language) }
        if parameters != nil { kept.insert(.parameters) }
        return kept
    }
}
