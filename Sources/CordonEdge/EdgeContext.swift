internal import Consent
package import CordonKeys
package import CordonModel
package import CordonPolicy
internal import Crypto
package import GeoTables
package import UserAgents

/// Everything that a hit is decided by: immutable, shared by all loops, replaced as a whole between batches.
package final class EdgeContext: Sendable {
    package let ruleSet: RuleSet
    package let rules: BoundRules
    package let geoTable: GeoTable
    package let userAgents: UserAgentRules?
    /// Names of the regions of this collector in its order.
    package let localRegions: [String]
    /// Day (UTC) for which the keys were made; hits of the next day find theirs too.
    package let keyDay: Day
    let keys: [RegionKeys]
    /// For each region of the rule set its place in ``localRegions``; -1 when it is not here.
    let slots: [Int]
    let policyNames: [String]
    /// For each policy the region that it keeps hits in; empty when it refuses them.
    let policyRegions: [String]
    /// Names as records have them: of the places, null where they have none, and of the rules, by the same indices as there.
    let countries: RecordNames
    let subdivisions: RecordNames
    let policies: RecordNames
    let purposes: RecordNames
    let signals: RecordNames
    let parameterNames: RecordNames
    /// First bytes of each batch.
    let batchHeader: [UInt8]
    let keyrings: [Keyring]
    /// A candidate that is asked beside the rules; nil when there is none.
    package let shadow: ShadowRules?

    /// The keys of one region for two days; a class, so that a hit looks at its region's without taking hold of each.
    final class Keyring: Sendable {
        /// By field, period, and whether it is the day after ``EdgeContext/keyDay``.
        let pseudonyms: [PseudonymKey?]
        let subjectDigestKey: HMACKey
        let sample: VisitorSample

        init(pseudonyms: [PseudonymKey?], subjectDigestKey: HMACKey, sample: VisitorSample) {
            self.pseudonyms = pseudonyms
            self.subjectDigestKey = subjectDigestKey
            self.sample = sample
        }

        func key(_ field: PseudonymField, _ period: KeyPeriod, daysAhead: Int) -> PseudonymKey? {
            guard daysAhead == 0 || daysAhead == 1 else { return nil }
            return pseudonyms[Self.index(field, period, daysAhead)]
        }

        static let count = 16

        static func index(_ field: PseudonymField, _ period: KeyPeriod, _ daysAhead: Int) -> Int {
            // Bits, because a number of cases would be asked for at each hit.
            Int(field.rawValue) << 3 | Int(period.rawValue) << 1 | daysAhead
        }
    }

    /// - Parameters:
    ///   - keys: one region's keys each; their regions are those of this collector, in its order.
    ///   - userAgents: nil makes every user agent `Other`.
    ///   - today: the day whose pseudonym keys are opened, and made where they are missing, with those of the next day.
    package init(
        ruleSet: RuleSet, geoTable: GeoTable, userAgents: UserAgentRules?, keys: [RegionKeys],
        today: Day
    ) throws(KeysError) {
        self.ruleSet = ruleSet
        self.geoTable = geoTable
        self.userAgents = userAgents
        self.keys = keys
        keyDay = today
        localRegions = keys.map(\.region)
        rules = ruleSet.bound(to: geoTable.places)
        slots = ruleSet.regions.map { name in keys.firstIndex { $0.region == name } ?? -1 }
        policyNames = ruleSet.policies.map(\.name)
        policyRegions = ruleSet.policies.map { $0.route.region ?? "" }
        countries = RecordNames(
            NameList(geoTable.places.map { $0.country ?? "" }), emptyIsNull: true)
        subdivisions = RecordNames(
            NameList(geoTable.places.map { $0.subdivision ?? "" }), emptyIsNull: true)
        policies = RecordNames(rules.policies)
        purposes = RecordNames(rules.purposes)
        signals = RecordNames(rules.signals)
        parameterNames = RecordNames(rules.parameterNames)
        batchHeader = HitBatch.header(ruleSet: ruleSet.digest, geoBuild: geoTable.build)
        var keyrings: [Keyring] = []
        for regionKeys in keys {
            keyrings.append(try Self.keyring(regionKeys, ruleSet: ruleSet, today: today))
        }
        self.keyrings = keyrings
        shadow = nil
    }

    /// The same for hits of `day`, with whatever keys of that day are still there: none is made.
    package func dated(_ day: Day) throws(KeysError) -> EdgeContext {
        var keyrings: [Keyring] = []
        for regionKeys in keys {
            keyrings.append(
                try Self.keyring(
                    regionKeys, ruleSet: ruleSet, today: day, days: 0...0, creating: false))
        }
        return EdgeContext(self, keyDay: day, keyrings: keyrings, shadow: nil)
    }

    /// The same with the keys of another day.
    package func renewed(today: Day) throws(KeysError) -> EdgeContext {
        var keyrings: [Keyring] = []
        for regionKeys in keys {
            keyrings.append(try Self.keyring(regionKeys, ruleSet: ruleSet, today: today))
        }
        return EdgeContext(self, keyDay: today, keyrings: keyrings, shadow: shadow)
    }

    /// The same with a candidate that is asked beside the rules, and decides nothing.
    ///
    /// - Parameter loops: threads that decide by the context.
    package func shadowed(by candidate: RuleSet, loops: Int) -> EdgeContext {
        EdgeContext(
            self, keyDay: keyDay, keyrings: keyrings,
            shadow: ShadowRules(
                candidate, beside: ruleSet, rules, table: geoTable, loops: loops))
    }

    private init(
        _ other: EdgeContext, keyDay: Day, keyrings: [Keyring], shadow: ShadowRules?
    ) {
        ruleSet = other.ruleSet
        rules = other.rules
        geoTable = other.geoTable
        userAgents = other.userAgents
        localRegions = other.localRegions
        keys = other.keys
        slots = other.slots
        policyNames = other.policyNames
        policyRegions = other.policyRegions
        countries = other.countries
        subdivisions = other.subdivisions
        policies = other.policies
        purposes = other.purposes
        signals = other.signals
        parameterNames = other.parameterNames
        batchHeader = other.batchHeader
        self.keyDay = keyDay
        self.keyrings = keyrings
        self.shadow = shadow
    }

    /// Opens the keys that the region's policies use, and no others.
    private static func keyring(
        _ keys: RegionKeys, ruleSet: RuleSet, today: Day, days: ClosedRange<Int> = 0...1,
        creating: Bool = true
    ) throws(KeysError) -> Keyring {
        var pseudonyms = [PseudonymKey?](repeating: nil, count: Keyring.count)
        for policy in ruleSet.policies where policy.route.region == keys.region {
            let used: [(PseudonymField, KeyPeriod?)] = [
                (.user, policy.fields.user?.keeping), (.visitor, policy.fields.visitor?.keeping),
            ]
            for (field, period) in used {
                guard let period else { continue }
                for ahead in days {
                    pseudonyms[Keyring.index(field, period, ahead)] =
                        try keys.pseudonymKey(field, period, today + ahead, creating: creating)
                }
            }
        }
        return Keyring(
            pseudonyms: pseudonyms, subjectDigestKey: keys.subjectDigestKey,
            sample: VisitorSample(root: keys.subjectDigestKey))
    }
}
