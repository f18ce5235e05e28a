internal import CordonModel

/// Reads `Policies/invariants.yaml`; a mistake anywhere in it is noted.
struct InvariantReader {
    let problems: ProblemList
    let atlas: Atlas
    let regions: [String]
    /// What `lacking` may name; nil when a policy could not be read.
    let purposes: Set<String>?

    /// Most statements in one file: each is a row of the certificate.
    private static let statementsMax = 100
    /// Most purposes that one statement names: a proof looks at every combination of them.
    private static let lackingMax = 8
    /// Longest name in bytes.
    private static let nameBytesMax = 80

    func read(_ item: Item) -> Invariants {
        guard let root = Section(item, keys: ["limits", "invariants"]) else { return .unstated }
        var invariants = Invariants.unstated
        if let section = root["limits"].flatMap({
            Section($0, keys: ["ipv4", "ipv6", "retention"])
        }) {
            let floor = invariants.limits
            if let bits = section["ipv4"]?.integer(in: 1...floor.ipv4Bits) {
                invariants.limits.ipv4Bits = bits
            }
            if let bits = section["ipv6"]?.integer(in: 1...floor.ipv6Bits) {
                invariants.limits.ipv6Bits = bits
            }
            if let days = section["retention"]?.days() { invariants.limits.retentionDays = days }
        }
        let items = root["invariants"]?.list() ?? []
        if items.count > Self.statementsMax {
            root["invariants"]?.error(
                "expected at most \(Self.statementsMax) invariants, found \(items.count)")
        }
        var names: [String: FilePosition] = [:]
        for item in items.prefix(Self.statementsMax) {
            guard let statement = statement(item) else { continue }
            if let first = names.updateValue(statement.position, forKey: statement.name) {
                problems.error(
                    statement.position,
                    "invariant `\(statement.name)` stands at \(first.text) already")
            }
            invariants.statements.append(statement)
        }
        return invariants
    }

    private static let demands = [
        "region_in", "never_keep", "outcome_in", "retention_max", "fields_max", "truncate_at_least",
        "pseudonym_max", "hears",
    ]

    private func statement(_ item: Item) -> Invariant? {
        guard let section = Section(item, keys: ["name", "source", "for"] + Self.demands) else {
            return nil
        }
        let name = section.required("name")?.text()
        if let name, name.utf8.count > Self.nameBytesMax || name.contains(where: \.isNewline) {
            section["name"]?.error("expected a name of one line and at most 80 bytes")
        }
        let source = section["source"].map { $0.text() ?? "" } ?? ""
        let scope: Invariant.Scope? = section["for"].map(readScope) ?? .init()
        if !Self.demands.contains(where: { section[$0] != nil }) {
            item.error(
                "the invariant asks for nothing: expected one of "
                    + Self.demands.map { "`\($0)`" }.joined(separator: ", "))
        }
        let demand = readDemand(section)
        guard let name, let position = section["name"]?.position, let scope else { return nil }
        return Invariant(
            name: name, source: source, position: position, scope: scope, demand: demand)
    }
}

extension InvariantReader {
    private func readScope(_ item: Item) -> Invariant.Scope? {
        guard let section = Section(item, keys: ["places", "sites", "consent", "lacking"]) else {
            return nil
        }
        var scope = Invariant.Scope()
        scope.places = section["places"].flatMap {
            placeSet($0, allowing: [Invariant.unknownPlace])
        }
        if let sites = texts(section["sites"], "site") {
            scope.sites = sites.compactMap { text, item in
                if let pattern = SitePattern(text) { return pattern }
                item.error(
                    "expected a site such as `example.org`, `*.example.org` or `*` in lowercase, found `\(text)`"
                )
                return nil
            }
        }
        if let states = texts(section["consent"], "consent state") {
            scope.consent = Set(
                words(
                    states,
                    Dictionary(uniqueKeysWithValues: ConsentState.allCases.map { ($0.text, $0) })))
        }
        if let names = texts(section["lacking"], "purpose") {
            for (text, item) in names {
                guard let purposes, !purposes.contains(text) else { continue }
                item.error(
                    "unknown purpose `\(text)`" + Spelling.suggestion(text, among: purposes))
            }
            if names.count > Self.lackingMax {
                section["lacking"]?.error("expected at most \(Self.lackingMax) purposes")
            }
            scope.lacking = names.map(\.text).sorted()
        }
        return scope
    }

    private func readDemand(_ section: Section) -> Invariant.Demand {
        var demand = Invariant.Demand()
        if let item = section["region_in"] { readRegions(item, &demand) }
        if let columns = texts(section["never_keep"], "column") {
            let known = FieldName.allCases.flatMap(\.columns)
            demand.neverKeep = words(
                columns, Dictionary(uniqueKeysWithValues: known.map { ($0, $0) }))
        }
        if let outcomes = texts(section["outcome_in"], "outcome") {
            let known: [Decision.Outcome] = [.keep, .count, .drop, .refuse]
            demand.outcomes = words(
                outcomes, Dictionary(uniqueKeysWithValues: known.map { ($0.text, $0) }))
        }
        demand.retentionDaysMax = section["retention_max"]?.days()
        for entry in entries(section["fields_max"], "field") {
            guard let field = FieldName(rawValue: entry.key) else {
                problems.error(
                    entry.keyPosition,
                    "unknown field `\(entry.key)`"
                        + Spelling.suggestion(
                            entry.key, among: FieldName.allCases.map(\.rawValue)))
                continue
            }
            demand.fieldDaysMax[field] = entry.value.days()
        }
        if !entries(section["truncate_at_least"], "of `ipv4` and `ipv6`").isEmpty,
            let bits = section["truncate_at_least"].flatMap({ Section($0, keys: ["ipv4", "ipv6"]) })
        {
            demand.ipv4BitsMax = bits["ipv4"]?.integer(in: 0...32)
            demand.ipv6BitsMax = bits["ipv6"]?.integer(in: 0...128)
        }
        if let item = section["pseudonym_max"], let text = item.text() {
            let known = KeyPeriod.allCases.map { ($0.text, $0) }
            demand.pseudonymMax =
                words(
                    [(text, item)], Dictionary(uniqueKeysWithValues: known)
                ).first
        }
        if let signals = texts(section["hears"], "signal") { demand.hears = signals.map(\.text) }
        return demand
    }

    private func readRegions(_ item: Item, _ demand: inout Invariant.Demand) {
        guard let texts = texts(item, "region or place") else { return }
        var places: [(text: String, item: Item)] = []
        for (text, item) in texts {
            guard regions.contains(text) else {
                places.append((text, item))
                continue
            }
            if atlas.groups[text] != nil {
                item.error("`\(text)` is a region and a group of the atlas: rename one of them")
            }
            demand.regions.append(text)
        }
        guard !places.isEmpty else { return }
        demand.jurisdictions = placeSet(places, suggesting: regions)
    }
}

extension InvariantReader {
    /// A list of distinct texts with one at least.
    private func texts(_ item: Item?, _ noun: String) -> [(text: String, item: Item)]? {
        guard let item, let texts = item.texts() else { return nil }
        if texts.isEmpty { item.error("expected at least one \(noun)") }
        return texts
    }

    /// The entries of a mapping, one at least: an empty one would ask for nothing and hold everywhere.
    private func entries(
        _ item: Item?, _ noun: String
    ) -> [(key: String, keyPosition: FilePosition, value: Item)] {
        guard let item, let entries = item.entries() else { return [] }
        if entries.isEmpty { item.error("expected at least one \(noun)") }
        return entries
    }

    private func words<Value>(
        _ texts: [(text: String, item: Item)], _ known: [String: Value]
    ) -> [Value] {
        texts.compactMap { text, item in
            if let value = known[text] { return value }
            let names = known.keys.sorted()
            item.error(
                "expected one of \(names.map { "`\($0)`" }.joined(separator: ", ")), found `\(text)`"
                    + Spelling.suggestion(text, among: names))
            return nil
        }
    }

    private func placeSet(_ item: Item, allowing words: Set<String>) -> PlaceSet? {
        texts(item, "place").map { placeSet($0, allowing: words) }
    }

    private func placeSet(
        _ texts: [(text: String, item: Item)], allowing words: Set<String> = [],
        suggesting names: [String] = []
    ) -> PlaceSet {
        var set = PlaceSet(names: texts.map(\.text), codes: [], isWorld: false)
        for (text, item) in texts {
            if words.contains(text) {
                set.codes.insert(text)
                continue
            }
            switch atlas.resolve(text) {
            case .success(.world): set.isWorld = true
            case .success(.group(let codes)): set.codes.formUnion(codes)
            case .success(.country), .success(.subdivision): set.codes.insert(text)
            case .failure(let mistake):
                let suggestion = Spelling.suggestion(text, among: names)
                item.error(
                    suggestion.isEmpty ? mistake.text : "unknown region `\(text)`\(suggestion)")
            }
        }
        return set
    }
}
