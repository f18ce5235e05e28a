internal import CordonModel

/// Reads the `fields` of a policy: each is `drop`, one word, or a mapping with `needs`.
struct FieldReader {
    typealias Rules = CompiledPolicy.FieldRules

    let problems: ProblemList
    /// What `needs` may name; nil when the policy's consent could not be read.
    let purposes: [String]?
    let denied: CompiledPolicy.ConsentRule.Denied?

    func read(_ item: Item) -> Rules? {
        guard let section = Section(item, keys: FieldName.allCases.map(\.rawValue)) else {
            return nil
        }
        var rules = Rules(position: item.position)
        rules.ip = address(section, &rules)
        rules.user = pseudonym(.user, section, &rules)
        rules.visitor = pseudonym(.visitor, section, &rules)
        rules.userAgent = kept(.userAgent, "family", section, &rules)
        rules.page = page(section, &rules)
        rules.referrer = kept(.referrer, "host", section, &rules)
        rules.place = place(section, &rules)
        rules.language = kept(.language, "primary", section, &rules)
        rules.parameters = parameters(section, &rules)
        return rules
    }

    /// The value of a field that is not dropped.
    private func value(_ field: FieldName, _ section: Section, _ rules: inout Rules) -> Item? {
        guard let item = section[field.rawValue] else { return nil }
        guard item.scalar == "drop" else { return item }
        rules.dropped[field] = item.position
        return nil
    }

    private func needs(_ section: Section) -> [String]? {
        guard let item = section["needs"] else { return [] }
        let texts: [(text: String, item: Item)]? =
            if item.isList { item.texts() } else {
                item.text().map { [($0, item)] }
            }
        guard let texts else { return nil }
        if texts.isEmpty { item.error("expected at least one purpose") }
        if let purposes {
            for (text, item) in texts where !purposes.contains(text) {
                item.error("unknown purpose `\(text)`" + Spelling.suggestion(text, among: purposes))
            }
        }
        return texts.map(\.text).sorted()
    }

    private func address(
        _ fields: Section, _ rules: inout Rules
    ) -> Rules.Rule<Rules.AddressBits>? {
        guard let item = value(.ip, fields, &rules) else { return nil }
        guard item.isMapping else {
            item.error("expected `drop` or a mapping with `truncate`, found \(item.found)")
            return nil
        }
        guard let section = Section(item, keys: ["truncate", "needs"]) else { return nil }
        let needs = needs(section)
        guard let truncate = section.required("truncate"),
            let bits = Section(truncate, keys: ["ipv4", "ipv6"])
        else { return nil }
        let ipv4 = bits.required("ipv4").flatMap { self.bits($0, floor: Self.ipv4BitsMax) }
        let ipv6 = bits.required("ipv6").flatMap { self.bits($0, floor: Self.ipv6BitsMax) }
        if denied == .keep, needs?.isEmpty == true {
            item.error("`denied: keep` keeps `ip` without consent: say which purpose it `needs`")
        }
        guard let needs, let ipv4, let ipv6 else { return nil }
        return .init(.init(ipv4: ipv4, ipv6: ipv6), needs: needs, position: item.position)
    }

    /// An IPv4 prefix of 24 bits spans 256 addresses.
    private static let ipv4BitsMax = 24
    /// An IPv6 prefix of 48 bits is one site's usual allocation (RFC 6177): less would name a household.
    private static let ipv6BitsMax = 48

    private func bits(_ item: Item, floor: Int) -> UInt8? {
        guard let bits = item.integer(in: 1...128) else { return nil }
        guard bits <= floor else {
            item.error(
                "\(bits) bits say more than the floor of this version lets: at most \(floor)")
            return nil
        }
        return UInt8(bits)
    }

    private func pseudonym(
        _ field: FieldName, _ fields: Section, _ rules: inout Rules
    ) -> Rules.Rule<KeyPeriod>? {
        guard let item = value(field, fields, &rules) else { return nil }
        guard item.isMapping else {
            item.error("expected `drop` or a mapping with `pseudonym`, found \(item.found)")
            return nil
        }
        guard let section = Section(item, keys: ["pseudonym", "needs"]) else { return nil }
        let period = section.required("pseudonym").flatMap(readPeriod)
        let needs = needs(section)
        if section["needs"] == nil {
            item.error("`\(field.rawValue)` identifies a person: say which purpose it `needs`")
        }
        guard let period, let needs, !needs.isEmpty else { return nil }
        return .init(period, needs: needs, position: item.position)
    }

    private func readPeriod(_ item: Item) -> KeyPeriod? {
        guard let text = item.text() else { return nil }
        if let period = KeyPeriod(text: text) { return period }
        let words = KeyPeriod.allCases.map(\.text)
        item.error(
            "expected one of \(words.map { "`\($0)`" }.joined(separator: ", ")), found `\(text)`"
                + Spelling.suggestion(text, among: words))
        return nil
    }

    /// A field with one form, `word`.
    private func kept(
        _ field: FieldName, _ word: String, _ fields: Section, _ rules: inout Rules
    ) -> Rules.Rule<Rules.Kept>? {
        guard let item = value(field, fields, &rules) else { return nil }
        guard let (keep, needs) = keeping(item, words: [word]), keep == word, let needs else {
            return nil
        }
        return .init(.init(), needs: needs, position: item.position)
    }

    private func place(_ fields: Section, _ rules: inout Rules) -> Rules.Rule<Decision.Place>? {
        guard let item = value(.place, fields, &rules),
            let (keep, needs) = keeping(item, words: ["subdivision", "country"]), let needs
        else { return nil }
        return .init(
            keep == "country" ? .country : .subdivision, needs: needs, position: item.position)
    }

    private func page(_ fields: Section, _ rules: inout Rules) -> Rules.Rule<Rules.PageDetail>? {
        guard let item = value(.page, fields, &rules),
            let (keep, needs) = keeping(item, words: ["path", "host"], more: ["params"])
        else { return nil }
        var names: [String]? = []
        if item.isMapping,
            let list = Section(item, keys: ["keep", "needs", "params"])?["params"]
        {
            names = parameterNames(list, reserving: [])
            if keep == "host" {
                list.error("`params` has no meaning where the page's host is kept alone")
            }
        }
        guard let needs, let names else { return nil }
        return .init(
            .init(detail: keep == "host" ? .host : .path, parameters: names), needs: needs,
            position: item.position)
    }

    private func parameters(_ fields: Section, _ rules: inout Rules) -> Rules.Rule<[String]>? {
        guard let item = value(.parameters, fields, &rules) else { return nil }
        guard item.isMapping else {
            item.error("expected `drop` or a mapping with `allow`, found \(item.found)")
            return nil
        }
        guard let section = Section(item, keys: ["allow", "needs"]) else { return nil }
        let needs = needs(section)
        let names = section.required("allow").flatMap {
            parameterNames($0, reserving: HitParameter.reserved)
        }
        guard let needs, let names else { return nil }
        return .init(names, needs: needs, position: item.position)
    }

    /// - Parameter reserved: names, in lowercase, that no spelling of may be kept: what the collector reads fills columns of its
    ///   own, transformed, and is personal as it comes, whichever letters of its name are large.
    private func parameterNames(_ list: Item, reserving reserved: Set<String>) -> [String]? {
        guard let texts = list.texts() else { return nil }
        var isWhole = true
        if texts.count > Self.parametersMax {
            list.error("expected at most \(Self.parametersMax) names, found \(texts.count)")
            isWhole = false
        }
        for (text, item) in texts {
            let name = text.lowercased()
            if reserved.contains(name) {
                item.error(
                    name == HitParameter.eventID.text
                        ? "`\(text)` tells one event from another and is not kept"
                        : "`\(text)` has a column of its own and is not kept as it comes")
                isWhole = false
            } else if !(1...64).contains(text.utf8.count)
                || !text.utf8.allSatisfy(PolicyReader.isParameterUnit)
            {
                item.error(
                    "expected a name of 1 to 64 letters, digits, `.`, `_` and `-`, found `\(text)`")
                isWhole = false
            }
        }
        return isWhole
            ? texts.map(\.text).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) } : nil
    }

    /// Most names in one list: each is searched for in every hit.
    private static let parametersMax = 64

    /// `word`, or `{ keep: word, needs: … }`.
    private func keeping(
        _ item: Item, words: [String], more: [String] = []
    ) -> (keep: String, needs: [String]?)? {
        if let word = item.scalar {
            guard words.contains(word) else {
                let all = words + ["drop"]
                item.error(
                    "expected one of \(all.map { "`\($0)`" }.joined(separator: ", ")), found `\(word)`"
                        + Spelling.suggestion(word, among: all))
                return nil
            }
            return (word, [])
        }
        guard let section = Section(item, keys: ["keep", "needs"] + more) else { return nil }
        let needs = needs(section)
        guard let keep = section.required("keep"), let word = keep.text() else { return nil }
        guard words.contains(word) else {
            keep.error(
                "expected one of \(words.map { "`\($0)`" }.joined(separator: ", ")), found `\(word)`"
                    + Spelling.suggestion(word, among: words))
            return nil
        }
        return (word, needs)
    }
}
