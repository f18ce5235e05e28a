internal import CordonModel
internal import HTTPSFetch

// Other issuers whose tokens a region's service accepts.
extension RegionReader {
    private static let issuerKeys = [
        "issuer", "audience", "jwks", "authorities", "type", "role", "purposes", "places",
    ]
    private static let textBytesMax = 256
    /// As many as one token may hold.
    private static let wordsMax = 16

    /// Nil after a mistake, which is noted.
    func issuers(_ item: Item) -> [TrustedIssuer]? {
        guard let items = item.list() else { return nil }
        var issuers: [TrustedIssuer] = []
        for item in items {
            guard let issuer = issuer(item) else { continue }
            if issuers.contains(where: { $0.issuer == issuer.issuer }) {
                item.error("the issuer `\(issuer.issuer)` stands twice")
                return nil
            }
            issuers.append(issuer)
        }
        return issuers.count == items.count ? issuers : nil
    }

    private func issuer(_ item: Item) -> TrustedIssuer? {
        guard let section = Section(item, keys: Self.issuerKeys) else { return nil }
        let name = section.required("issuer").flatMap(issuerName)
        let audience = section.required("audience").flatMap(shortText)
        let keys = section["jwks"].map(self.keys) ?? .discovery
        let authorities = section["authorities"].map(namedFile)
        let type = section["type"].map { $0.word(TrustedIssuer.TokenType.self) } ?? .accessToken
        let role = section.required("role").flatMap { item in
            item.isMapping
                ? mapped(item) { $0.name() } : item.name().map { .fixed([$0]) }
        }
        let purposes = section.required("purposes").flatMap { grant($0) { $0.name() } }
        let places = section.required("places").flatMap { grant($0, place) }
        guard let name, let audience, let keys, let type, let role, let purposes, let places else {
            return nil
        }
        if case .some(.none) = authorities { return nil }
        if let item = section["authorities"], case .file = keys {
            item.error(
                "nothing is fetched where `jwks` is a file, so nobody's certificate is looked at")
            return nil
        }
        if keys == .discovery, HTTPSAddress(name) == nil {
            (section["issuer"] ?? item).error(
                "no description can be fetched from `\(name)`: say in `jwks` where the keys are")
            return nil
        }
        let position = (section["jwks"] ?? section["issuer"] ?? item).position
        return TrustedIssuer(
            issuer: name, audience: audience, keys: keys,
            keysPlace: "\(position.line):\(position.column)", authorities: authorities ?? nil,
            type: type, role: role, purposes: purposes, places: places)
    }

    /// A file, or an address of HTTPS.
    private func keys(_ item: Item) -> TrustedIssuer.Keys? {
        guard let text = item.text() else { return nil }
        guard text.contains("://") else { return namedFile(item).map { .file($0) } }
        guard HTTPSAddress(text) != nil else {
            item.error(
                "expected a file, or an address such as `https://login.example/keys`, found `\(text)`"
            )
            return nil
        }
        return .address(text)
    }

    /// An issuer's identifier: HTTPS without query and fragment (RFC 8414 section 2).
    private func issuerName(_ item: Item) -> String? {
        guard let text = item.text() else { return nil }
        let rest = text.dropFirst("https://".count)
        guard text.hasPrefix("https://"), !rest.isEmpty, text.utf8.count <= Self.textBytesMax,
            !text.contains(where: { "?#".contains($0) || $0.isWhitespace })
        else {
            item.error(
                "expected the issuer as its tokens name it, such as `https://login.example/realm`, found `\(text)`"
            )
            return nil
        }
        return text
    }

    private func shortText(_ item: Item) -> String? {
        guard let text = item.text() else { return nil }
        guard (1...Self.textBytesMax).contains(text.utf8.count) else {
            item.error("expected 1 to \(Self.textBytesMax) bytes of text")
            return nil
        }
        return text
    }

    private func place(_ item: Item) -> String? {
        guard let text = item.text() else { return nil }
        guard RulePlace(code: text) != nil else {
            item.error("expected an ISO 3166 code such as `DE` or `US-CA`, found `\(text)`")
            return nil
        }
        return text
    }

    /// A list of words, or what a claim's values are worth.
    private func grant(_ item: Item, _ word: (Item) -> String?) -> TrustedIssuer.Grant? {
        if item.isMapping { return mapped(item, word) }
        guard let texts = item.texts() else { return nil }
        let words = texts.compactMap { word($0.item) }
        guard words.count == texts.count else { return nil }
        guard (1...Self.wordsMax).contains(words.count) else {
            item.error("expected 1 to \(Self.wordsMax) of them")
            return nil
        }
        return .fixed(words)
    }

    private func mapped(_ item: Item, _ word: (Item) -> String?) -> TrustedIssuer.Grant? {
        guard let section = Section(item, keys: ["claim", "map"]) else { return nil }
        let claim = section.required("claim").flatMap(shortText)
        guard let map = section.required("map"), let entries = map.entries(), let claim else {
            return nil
        }
        guard !entries.isEmpty else {
            map.error("expected at least one value of the claim, and what it is worth")
            return nil
        }
        var words: [String: String] = [:]
        for entry in entries {
            guard let word = word(entry.value) else { return nil }
            words[entry.key] = word
        }
        return .claim(claim, words)
    }
}
