import CordonModel
import CordonPolicy
import CordonServer
import GeoTables

extension Command {
    static let geoDiff = Command(
        ["geo", "diff"],
        summary: "which addresses change place, home region and policy from one table to another",
        usage: "[--stored] [--hold-above PERCENT] OLD NEW",
        options: [
            Option(
                name: "stored", value: nil,
                help:
                    "also look through the lakes: which stored hits NEW puts into another region, and what share that is"
            ),
            Option(
                name: "hold-above", value: "PERCENT",
                help:
                    "end with 1 where more of the addresses get another home or policy (a reload is held above 2)"
            ),
        ],
        example: "cordon geo diff old.cgt var/geo/places.cgt", arguments: 2...2
    ) { arguments, console in
        let old = try openGeoTable(arguments.free[0])
        let new = try openGeoTable(arguments.free[1])
        let limit = try percent("hold-above", arguments)
        let configuration = try CordonCLI.configuration(arguments)
        let impact = GeoImpact(from: old, to: new, under: configuration.ruleSet)
        let stored =
            try arguments.has("stored")
            ? StoredPlaces(
                in: configuration.regions, under: configuration.ruleSet, table: new,
                clock: SystemWallClock()) : nil
        let report = GeoImpactReport(old, new, impact, configuration.ruleSet.digest, stored)
        if arguments.wantsJSON {
            try console.print(json: report)
        } else {
            report.print(to: console)
        }
        return limit.map { impact.isAbove(percent: $0) } == true ? .foundProblem : .done
    }
}

struct GeoImpactReport: Encodable {
    struct Stored: Encodable {
        let hits: Int
        let placed: Int
        /// Prefix dropped, or split between places.
        let untellable: Int
        let misplaced: [StoredPlaces.Row]
        /// Percent of the placed hits.
        let misplacedPercent: Double

        private enum CodingKeys: String, CodingKey {
            case hits, placed, untellable, misplaced
            case misplacedPercent = "misplaced_percent"
        }
    }

    let old: String
    let new: String
    let ruleSet: String
    /// Addresses of each family whose place changed.
    let ipv4: String
    let ipv6: String
    let homePercent: Double
    let protectionPercent: Double
    let changes: [GeoImpact.Change]
    let stored: Stored?

    private enum CodingKeys: String, CodingKey {
        case old, new, ipv4, ipv6, changes, stored
        case ruleSet = "rule_set"
        case homePercent = "home_percent"
        case protectionPercent = "protection_percent"
    }

    init(
        _ old: GeoTable, _ new: GeoTable, _ impact: GeoImpact, _ ruleSet: String,
        _ stored: StoredPlaces?
    ) {
        self.old = old.build
        self.new = new.build
        self.ruleSet = ruleSet
        ipv4 = "\(impact.changes.reduce(UInt128(0)) { $0 + (UInt128($1.ipv4) ?? 0) })"
        ipv6 = "\(impact.changes.reduce(UInt128(0)) { $0 + (UInt128($1.ipv6) ?? 0) })"
        homePercent = Self.percent(impact.homeShare)
        protectionPercent = Self.percent(impact.protectionShare)
        changes = impact.changes
        self.stored = stored.map { stored in
            let misplaced = stored.misplaced.reduce(0) { $0 + $1.hits }
            return Stored(
                hits: stored.hits, placed: stored.placed, untellable: stored.untellable,
                misplaced: stored.misplaced,
                misplacedPercent: Self.percent(
                    Double(misplaced) / Double(max(stored.placed, 1))))
        }
    }

    private static func percent(_ share: Double) -> Double {
        (share * 100_000).rounded() / 1_000
    }

    func print(to console: Console) {
        console.print("\(old) → \(new), under rule set \(ruleSet)")
        console.print("\(ipv4) IPv4 and \(ipv6) IPv6 addresses have another place")
        console.print(
            "of the addresses with a place, \(homePercent) % get another home region and \(protectionPercent) % another policy"
        )
        if !changes.isEmpty {
            console.print()
            console.table(
                ["from", "to", "home", "policy", "IPv4", "IPv6"], changes.map(Self.cells))
        }
        guard let stored else { return }
        console.print()
        console.print(
            "\(stored.hits) stored hits: \(stored.placed) can be placed by their prefix, and \(stored.misplacedPercent) % of "
                + "those lie in a region that is no home of theirs; of \(stored.untellable) the prefix was dropped or has several places"
        )
        guard !stored.misplaced.isEmpty else { return }
        console.print()
        console.table(
            ["region", "place", "now", "home", "hits"],
            stored.misplaced.map {
                [
                    $0.region, $0.place ?? "unknown", $0.newPlace ?? "unknown",
                    Self.names($0.homes), "\($0.hits)",
                ]
            })
    }

    /// One change as a row of the table; what stays the same is named once.
    static func cells(_ change: GeoImpact.Change) -> [String] {
        func both(_ before: [String], _ after: [String]) -> String {
            before == after ? names(after) : "\(names(before)) → \(names(after))"
        }
        return [
            change.from ?? "unknown", change.to ?? "unknown",
            both(change.homesBefore, change.homesAfter),
            both(change.policiesBefore, change.policiesAfter), change.ipv4, change.ipv6,
        ]
    }

    private static func names(_ names: [String]) -> String {
        names.isEmpty ? "refused" : names.joined(separator: ", ")
    }
}
