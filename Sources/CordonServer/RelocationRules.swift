import Bytes
package import CordonModel
package import CordonPolicy
package import GeoTables

/// Whether a stored hit belongs to another region under the rules and the geo table in force, whether it may go there,
/// and what of it may arrive.
///
/// Of two answers the stricter is taken: what the policy that kept the hit has left out stays out, and what the policy of
/// its new home would not have kept goes. What only the first region could make (pseudonyms, the hit's id) goes always.
package struct RelocationRules: Sendable {
    package let rules: RuleSet
    package let geoBuild: String
    private let bound: BoundRules
    private let table: GeoTable
    private let jurisdictions: [String: String]

    package init(_ rules: RuleSet, table: GeoTable, regions: [RegionConfiguration]) {
        self.rules = rules
        self.table = table
        geoBuild = table.build
        bound = rules.bound(to: table.places)
        jurisdictions = Dictionary(
            uniqueKeysWithValues: regions.map { ($0.name, $0.jurisdiction) })
    }

    /// Where hits belong that share prefix, site and policy.
    package enum Verdict: Equatable, Sendable {
        /// The prefix was dropped, or has several places.
        case untellable
        /// The region that holds it is its home.
        case home
        case belongs(Destination)
        case refused(Refusal)
    }

    package struct Destination: Hashable, Sendable {
        package let region: String
        /// Index of the geo table's place.
        package let place: Int
        /// Index of the policy that would decide the hit now.
        package let policy: Int
    }

    /// Why hits that belong elsewhere stay.
    package struct Refusal: Hashable, Sendable {
        /// Name of the region that they belong to; nil where none may hold them.
        package let region: String?
        package let place: Int
        package let file: String
        package let line: Int
        package let text: String
    }

    /// - Parameter region: that holds the hits.
    package func verdict(
        prefix: String?, site: String, policy name: String, in region: String
    ) -> Verdict {
        guard let prefix = prefix.flatMap({ IPPrefix($0) }) else { return .untellable }
        let range = table.match(prefix.address)
        guard prefix.span.last <= range.last.value else { return .untellable }
        let place = Int(range.place)
        let site = Array(site.utf8)
        let index = bound.policyIndex(
            place: place, siteClass: bound.siteClass(of: site.span, 0..<site.count))
        let policy = rules.policies[index]
        guard policy.route.region != region else { return .home }
        func refused(_ position: FilePosition, _ text: String) -> Verdict {
            .refused(
                Refusal(
                    region: policy.route.region, place: place, file: position.file,
                    line: position.line, text: text))
        }
        guard let home = policy.route.region, let jurisdiction = jurisdictions[home] else {
            return refused(
                policy.route.position,
                "policy `\(policy.name)` lets no region here hold hits of their place")
        }
        guard let keeper = rules.policies.first(where: { $0.name == name }) else {
            return refused(
                policy.position,
                "policy `\(name)`, which kept them, is gone, so nothing says that they may leave")
        }
        guard
            keeper.route.region == home || jurisdictions[region] == jurisdiction
                || keeper.route.relocate?.contains(jurisdiction) == true
        else {
            let places = keeper.route.relocate?.names.joined(separator: ", ") ?? "nowhere"
            return refused(
                keeper.route.position,
                "policy `\(name)` lets its rows be moved to \(places)\(keeper.route.relocate == nil ? "" : " only"), not "
                    + "to `\(jurisdiction)`, where region `\(home)` stands")
        }
        return .belongs(Destination(region: home, place: place, policy: index))
    }

    /// What arrives of a hit; nil when nothing may.
    package func arriving(
        _ record: HitRecord, at destination: Destination, today: Day
    ) -> HitRecord? {
        let policy = rules.policies[destination.policy]
        let consent = consent(of: record, under: policy)
        let decision = bound.decision(policy: destination.policy, consent: consent)
        var moved = record
        moved.policy = policy.name
        moved.consent = consent.state
        moved.visitor = nil
        moved.user = nil
        moved.keyEpoch = nil
        moved.retainUntil = min(
            record.retainUntil, Day(record.timestamp) + Int(decision.retainDays))
        guard moved.retainUntil > today, isSampled(&moved, decision) else { return nil }
        setPlace(&moved, decision, destination.place)
        switch decision.outcome {
        case .drop, .refuse: return nil
        case .count: moved.becomeCount()
        case .keep:
            moved.hitID = Self.newID(at: record.timestamp)
            cut(&moved, decision, policy)
            for (field, days) in policy.retention.fieldDays
            where Day(record.timestamp) + days <= today {
                Self.drop(field, from: &moved)
            }
        }
        return moved
    }

    /// Takes away a field that is past its age at the new home, where nobody waits for it any more.
    private static func drop(_ field: FieldName, from record: inout HitRecord) {
        switch field {
        case .ip: record.ipPrefix = nil
        case .user: record.user = nil
        case .visitor: record.visitor = nil
        case .userAgent:
            record.browser = nil
            record.os = nil
            record.device = nil
        case .page:
            record.pageHost = nil
            record.pagePath = nil
        case .referrer: record.referrerHost = nil
        case .place:
            record.country = nil
            record.subdivision = nil
        case .language: record.language = nil
        case .parameters: record.parameters = []
        }
    }

    /// The consent that the hit's own purposes amount to under `policy`. A purpose that means something else there is none.
    private func consent(of record: HitRecord, under policy: CompiledPolicy) -> ConsentOutcome {
        let keeper = rules.policies.first { $0.name == record.policy }
        func meaning(_ purpose: String, _ policy: CompiledPolicy?) -> CompiledPolicy.Meaning? {
            guard let policy, policy.consent.purposes.contains(purpose) else { return nil }
            var meaning = policy.consent.meanings[purpose] ?? .init()
            meaning.lastsDays = nil
            return meaning
        }
        var purposes: UInt32 = 0
        for (index, purpose) in rules.purposes.enumerated()
        where record.purposes.contains(purpose) {
            let wanted = meaning(purpose, policy)
            if wanted != nil, wanted == meaning(purpose, keeper) {
                purposes |= 1 << UInt32(index)
            }
        }
        switch record.consent {
        case .granted:
            return ConsentOutcome(
                state: purposes == 0 ? .denied : .granted, purposes: purposes, signals: 0)
        case .absent:
            return ConsentOutcome(
                state: .absent, purposes: policy.consent.absentGrants ? purposes : 0, signals: 0)
        case .denied, .invalid:
            return ConsentOutcome(state: record.consent, purposes: 0, signals: 0)
        }
    }

    /// Draws the hit again where its new home samples more sparsely; by its id, so that every run draws alike.
    private func isSampled(_ record: inout HitRecord, _ decision: Decision) -> Bool {
        guard decision.sampleRate < record.sampleRate else { return true }
        let share = Double(decision.sampleRate / record.sampleRate)
        record.sampleRate = decision.sampleRate
        let draw = Double(UInt64(truncatingIfNeeded: record.hitID) & 0xFFFF_FFFF) / 0x1_0000_0000
        return draw < share
    }

    private func setPlace(_ record: inout HitRecord, _ decision: Decision, _ index: Int) {
        let place = table.places[index]
        let keepsCountry = decision.place != .drop && record.country != nil
        let keepsSubdivision = decision.place == .subdivision && record.subdivision != nil
        record.country = keepsCountry ? place.country : nil
        record.subdivision = keepsSubdivision ? place.subdivision : nil
    }

    /// Takes away what the new home's policy does not keep under this decision.
    private func cut(
        _ record: inout HitRecord, _ decision: Decision, _ policy: CompiledPolicy
    ) {
        record.ipPrefix = record.ipPrefix.flatMap { IPPrefix($0) }.flatMap { prefix in
            // The edge keeps an IPv4 address as such; a prefix that hides one has more of it than is allowed.
            if prefix.address.isIPv6, EmbeddedIPv4.inner(of: prefix.address.value) != nil {
                return nil
            }
            let bits = Int(prefix.address.isIPv6 ? decision.ipv6Bits : decision.ipv4Bits)
            return bits == 0
                ? nil : IPPrefix(prefix.address, length: min(bits, prefix.length))?.text
        }
        if !decision.keepsUserAgentFamily {
            record.browser = nil
            record.os = nil
            record.device = nil
        }
        if !decision.keepsReferrerHost { record.referrerHost = nil }
        if !decision.keepsLanguage { record.language = nil }
        if decision.page == .drop { record.pageHost = nil }
        record.pagePath =
            decision.page == .path
            ? record.pagePath.map {
                Self.path($0, keeping: policy.fields.page?.keeping.parameters ?? [])
            } : nil
        let allowed = decision.parameters.isEmpty ? [] : policy.fields.parameters?.keeping ?? []
        record.parameters.removeAll { !allowed.contains($0.key) }
        record.purposes = rules.purposes.indices.compactMap {
            decision.consent.purposes & 1 << UInt32($0) == 0 ? nil : rules.purposes[$0]
        }
        let heard = policy.consent.signals.map(\.text)
        record.signals.removeAll { !heard.contains($0) }
    }

    /// A page's path with those of its parameters whose names stand there plainly and are allowed.
    static func path(_ path: String, keeping names: [String]) -> String {
        guard let mark = path.firstIndex(of: "?") else { return path }
        let fields = path[path.index(after: mark)...].split(separator: "&").filter { field in
            names.contains(String(field.prefix { $0 != "=" }))
        }
        return path[..<mark] + (fields.isEmpty ? "" : "?" + fields.joined(separator: "&"))
    }

    /// A UUID of version 7 (RFC 9562 section 5.7) of the hit's own time, which shares nothing else with its old one.
    private static func newID(at time: Timestamp) -> UInt128 {
        let milliseconds = UInt128(UInt64(clamping: time.microseconds / 1000) & 0xFFFF_FFFF_FFFF)
        let random = UInt128.random(in: .min ... .max)
        let high = milliseconds << 16 | 0x7000 | random >> 64 & 0xFFF
        let low = 0x8000_0000_0000_0000 | random & 0x3FFF_FFFF_FFFF_FFFF
        return high << 64 | low
    }

    /// The finest code of a place; nil when it is unknown.
    package func code(_ place: Int) -> String? {
        table.places[place].subdivision ?? table.places[place].country
    }
}
