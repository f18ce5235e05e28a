internal import Bytes
package import CordonPolicy
internal import CordonProof
package import GeoTables

/// What changes from one rule set to another, in places, addresses and what is kept of their hits.
///
/// Each place of a geo table, and each that a policy names, is decided under both for every kind of site; the policies found
/// are compared key by key. So a change counts where it has an effect, and what moves from one policy to another is
/// compared by what the two say.
package struct RuleSetDifference: Sendable {
    /// Places and sites that go from one policy to another (or the same) with the same changes.
    package struct Group: Sendable {
        package var oldPolicy: String
        package var newPolicy: String
        package var comparison: PolicyComparison
        /// Codes, ``Invariant/unknownPlace`` among them; sorted.
        package var places: [String]
        /// Hosts that stand for the sites; `*` for those that no policy names.
        package var sites: [String]
        package var addresses = AddressSum()
    }

    /// Number of addresses as people count them.
    package struct AddressSum: Equatable, Sendable {
        package var ipv4: UInt128 = 0
        /// Networks of 64 bits, one household or machine each.
        package var ipv6Networks: UInt128 = 0

        package init() {}

        package static func += (left: inout AddressSum, right: AddressSum) {
            left.ipv4 += right.ipv4
            left.ipv6Networks += right.ipv6Networks
        }
    }

    /// All of it taken together.
    package let strictness: Strictness
    /// Where something differs; most addresses first.
    package let groups: [Group]
    /// Addresses of places in which something differs for some site.
    package let changed: AddressSum
    package let total: AddressSum

    private let before: Layout
    private let after: Layout
    /// By code.
    private let placeIndices: [String: Int]
    private let groupIndices: [Key: Int]

    private struct Key: Hashable {
        var old: Int
        var new: Int
    }

    package init(from old: RuleSet, to new: RuleSet, table: GeoTable) {
        let addresses = Self.addresses(table)
        total = addresses.values.reduce(into: AddressSum()) { $0 += $1 }
        let places = Self.places(old, new, table)
        let hosts = SourceReading.exampleHosts(
            Set((old.policies + new.policies).flatMap(\.sites)))
        let (before, after) = (Layout(old, places, hosts), Layout(new, places, hosts))
        let (oldWords, newWords) = (Set(old.purposes), Set(new.purposes))
        var comparisons: [Key: PolicyComparison] = [:]
        var found: [Key: Group] = [:]
        var changed = AddressSum()
        var strictness = Strictness.equal
        for (index, place) in places.enumerated() {
            let code = place.code
            var seen: Set<Key> = []
            for (kind, host) in hosts.enumerated() {
                let key = Key(
                    old: before.policy(place: index, kind: kind),
                    new: after.policy(place: index, kind: kind))
                let comparison =
                    comparisons[key]
                    ?? PolicyComparison(
                        from: old.policies[key.old], to: new.policies[key.new],
                        oldWords: oldWords, newWords: newWords)
                comparisons[key] = comparison
                guard comparison.strictness != .equal else { continue }
                strictness = strictness.and(comparison.strictness)
                var group =
                    found[key]
                    ?? Group(
                        oldPolicy: old.policies[key.old].name,
                        newPolicy: new.policies[key.new].name, comparison: comparison,
                        places: [], sites: [])
                if seen.insert(key).inserted {
                    group.places.append(code)
                    group.addresses += addresses[place] ?? .init()
                }
                if !group.sites.contains(host ?? "*") { group.sites.append(host ?? "*") }
                found[key] = group
            }
            if !seen.isEmpty { changed += addresses[place] ?? .init() }
        }
        self.strictness = strictness
        self.changed = changed
        self.before = before
        self.after = after
        placeIndices = Dictionary(
            places.enumerated().map { ($0.element.code, $0.offset) }, uniquingKeysWith: { $1 })
        let sorted = found.sorted { left, right in
            let (a, b) = (left.value, right.value)
            return (b.addresses.ipv4, b.addresses.ipv6Networks, a.oldPolicy, a.newPolicy)
                < (a.addresses.ipv4, a.addresses.ipv6Networks, b.oldPolicy, b.newPolicy)
        }
        groups = sorted.map(\.value)
        groupIndices = Dictionary(
            sorted.enumerated().map { ($0.element.key, $0.offset) }, uniquingKeysWith: { $1 })
    }

    /// The group that hits of a place, given by its code, and a site belong to; nil where nothing differs.
    package func group(place: String, site: String) -> Int? {
        let known = placeIndices[place] ?? placeIndices[String(place.prefix { $0 != "-" })]
        guard let index = known ?? placeIndices[Invariant.unknownPlace] else { return nil }
        return groupIndices[
            Key(
                old: before.policy(place: index, site: site),
                new: after.policy(place: index, site: site))]
    }

    /// The policy of each place and kind of site under one rule set.
    private struct Layout: Sendable {
        private let rules: BoundRules
        private let classes: [Int]

        init(_ ruleSet: RuleSet, _ places: [RulePlace], _ hosts: [String?]) {
            let rules = ruleSet.bound(to: places)
            self.rules = rules
            classes = hosts.map { host in
                let bytes = Array((host ?? "").utf8)
                return host == nil ? 0 : rules.siteClass(of: bytes.span, 0..<bytes.count)
            }
        }

        func policy(place: Int, kind: Int) -> Int {
            rules.policyIndex(place: place, siteClass: classes[kind])
        }

        func policy(place: Int, site: String) -> Int {
            let bytes = Array(site.utf8)
            return rules.policyIndex(
                place: place, siteClass: rules.siteClass(of: bytes.span, 0..<bytes.count))
        }
    }

    /// The places of the table, and those that policies name, whether the table knows them or not.
    private static func places(_ old: RuleSet, _ new: RuleSet, _ table: GeoTable) -> [RulePlace] {
        var places = Set(table.places.map { RulePlace($0) })
        places.insert(RulePlace(country: nil))
        for claim in (old.policies + new.policies).flatMap(\.claims) {
            for code in claim.codes {
                if let place = RulePlace(code: code) { places.insert(place) }
            }
        }
        return places.sorted { $0.code < $1.code }
    }

    private static func addresses(_ table: GeoTable) -> [RulePlace: AddressSum] {
        var sums = [AddressSum](repeating: AddressSum(), count: table.places.count)
        for family in AddressFamily.allCases {
            table.forEachRange(in: family, includingEmbedded: false) { range in
                let (first, last) = (range.first.value, range.last.value)
                if family == .ipv4 {
                    sums[range.place].ipv4 += last - first + 1
                } else {
                    sums[range.place].ipv6Networks += (last >> 64) - (first >> 64) + 1
                }
            }
        }
        var found: [RulePlace: AddressSum] = [:]
        for (index, place) in table.places.enumerated() {
            found[RulePlace(place), default: AddressSum()] += sums[index]
        }
        return found
    }
}

extension RulePlace {
    /// Its code, or ``Invariant/unknownPlace``.
    package var code: String { subdivision ?? country ?? Invariant.unknownPlace }
}
