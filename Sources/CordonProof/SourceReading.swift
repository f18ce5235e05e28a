package import CordonPolicy

/// Which policy a place and site have, read from the policies as they are written and not from the compiled table.
package struct SourceReading {
    private let policies: [CompiledPolicy]
    private let atlas: Atlas

    package init(_ policies: [CompiledPolicy], atlas: Atlas) {
        self.policies = policies
        self.atlas = atlas
    }

    /// The policies that claim `place` at each level, closest level first, by the pattern of their sites.
    package func claims(on place: RulePlace) -> [[SitePattern: [Int]]] {
        var levels: [[SitePattern: [Int]]] = Array(repeating: [:], count: Self.levelCount)
        for (index, policy) in policies.enumerated() {
            for level in Set(policy.claims.compactMap { self.level(of: $0.text, claiming: place) })
            {
                for site in Set(policy.sites) { levels[level][site, default: []].append(index) }
            }
        }
        return levels.reversed().filter { !$0.isEmpty }
    }

    private static let levelCount = 4

    /// 3 for the subdivision, 2 for the country, 1 for a group, 0 for the world; nil when `claim` does not name `place`.
    private func level(of claim: String, claiming place: RulePlace) -> Int? {
        if claim == "world" { return 0 }
        if atlas.groups[claim] != nil {
            let codes = [place.country, place.subdivision].compactMap { $0 }
            return codes.contains { atlas.contains(group: claim, place: $0) } ? 1 : nil
        }
        if claim == place.subdivision { return 3 }
        return claim == place.country ? 2 : nil
    }

    /// The policies that are closest to `host` in `levels`: exactly one where the rules are total and unambiguous.
    package static func closest(_ levels: [[SitePattern: [Int]]], host: String?) -> [Int] {
        for level in levels {
            for pattern in patterns(of: host) {
                if let policies = level[pattern] { return policies }
            }
        }
        return []
    }

    /// All patterns that match `host`, closest first: its name, then wildcards from the longest on, then `*`.
    private static func patterns(of host: String?) -> [SitePattern] {
        guard let host else { return [.all] }
        var patterns = [SitePattern(host)]
        var rest = host[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            patterns.append(SitePattern("*." + rest))
        }
        return patterns.compactMap { $0 } + [.all]
    }

    /// One host for each set of patterns that a host can match, nil first: the hosts that `*` alone matches.
    ///
    /// A host matches the closest of its patterns and the wildcards that the closest one lies in. So what it matches
    /// is known from the closest one, and one host for each pattern stands for all.
    package static func exampleHosts(_ patterns: Set<SitePattern>) -> [String?] {
        let named = patterns.subtracting([.all]).sorted { $0.text < $1.text }
        return [nil]
            + named.map { pattern in
                guard pattern.isWildcard else { return pattern.suffix }
                var host = "any." + pattern.suffix
                while patterns.contains(where: {
                    $0.suffix == host
                        || $0.isWildcard && $0 != pattern && $0.matches(host: host)
                            && $0.suffix.utf8.count > pattern.suffix.utf8.count
                }) {
                    host = "any-" + host
                }
                return host
            }
    }
}
