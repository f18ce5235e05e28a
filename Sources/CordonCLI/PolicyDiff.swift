import CordonAuthoring
import CordonModel
import CordonPolicy
import CordonServer
import Foundation
import GeoTables

extension Command {
    static let policyDiff = Command(
        ["policy", "diff"],
        summary:
            "what changes from one rule set to another: addresses, places, fields, ages, access",
        usage: "[--traffic] [--table TABLE] OLD [NEW]",
        options: [
            Option(
                name: "traffic", value: nil,
                help: "also the share of the hits in the lakes that each change would have met"),
            Option(
                name: "table", value: "TABLE", help: "the geo table (default: the project's)"),
        ],
        example: "cordon policy diff last-release my-project", arguments: 1...2
    ) { arguments, console in
        let layout = CordonCLI.project(arguments)
        let old = try RuleSource(arguments.free[0], arguments)
        let new = try RuleSource(
            arguments.free.count > 1 ? arguments.free[1] : layout.root, arguments)
        let table = try openGeoTable(
            arguments.value("table").map { URL(fileURLWithPath: $0).standardizedFileURL.path }
                ?? layout.geoTablePath)
        let difference = RuleSetDifference(
            from: old.project.ruleSet, to: new.project.ruleSet, table: table)
        let traffic =
            arguments.has("traffic")
            ? try StoredTraffic(
                try CordonCLI.configuration(arguments).regions, clock: SystemWallClock()) : nil
        let report = DifferenceReport(difference, old, new, table, traffic)
        if arguments.wantsJSON {
            try console.print(json: report)
        } else {
            report.print(to: console)
        }
        switch difference.strictness {
        case .equal: return .done
        case .stricter: return .stricter
        case .looser: return .looser
        case .mixed: return .mixed
        }
    }
}

/// Rules named on the command line: a folder with `Policies/`, or the digest of a rule set that was in force.
private struct RuleSource {
    let project: ProjectConfiguration

    init(_ name: String, _ arguments: Arguments) throws {
        let layout = CordonCLI.project(arguments)
        let folder = ProjectLayout(root: URL(fileURLWithPath: name).standardizedFileURL.path)
        if FileManager.default.fileExists(atPath: folder.policiesDirectory) {
            project = try CordonCLI.configuration(policiesOf: folder, for: layout)
            return
        }
        let kept = KeptRules(layout)
        guard let digest = try kept.digest(named: name) else {
            throw UsageError(
                text: "`\(name)` is neither a folder with `Policies/` nor the digest of a rule set "
                    + "that was in force here (at least \(KeptRules.prefixLengthMin) of its digits)"
            )
        }
        project = try kept.load(digest, now: CordonCLI.today)
    }
}

extension CordonCLI {
    /// The checked policies below `folder`, with the project's regions where it has none; mistakes end the command.
    static func configuration(
        policiesOf folder: ProjectLayout, for layout: ProjectLayout
    ) throws -> ProjectConfiguration {
        do throws(ConfigurationErrors) {
            return try ProjectConfiguration.load(policiesOf: folder, for: layout, now: today)
        } catch {
            throw CommandFailure(
                text: "`\(folder.root)` has mistakes\n" + error.description,
                exitCode: .foundProblem)
        }
    }
}

/// What `policy diff` prints.
private struct DifferenceReport: Encodable {
    struct Change: Encodable {
        let key: String
        let old: String
        let new: String
        let verdict: String
    }

    struct Group: Encodable {
        let oldPolicy: String
        let newPolicy: String
        let verdict: String
        let places: [String]
        let sites: [String]
        /// Decimal numbers.
        let ipv4: String
        let ipv6Networks: String
        /// Share of the stored hits, 0 to 1; null unless asked for, or where there is none.
        let traffic: Double?
        let changes: [Change]

        private enum CodingKeys: String, CodingKey {
            case verdict, places, sites, ipv4, traffic, changes
            case oldPolicy = "old_policy"
            case newPolicy = "new_policy"
            case ipv6Networks = "ipv6_64s"
        }
    }

    let verdict: String
    let oldRuleSet: String
    let newRuleSet: String
    let geoBuild: String
    let ipv4: String
    let ipv6Networks: String
    /// Stored hits that were looked at; null unless asked for.
    let hits: Double?
    let traffic: Double?
    /// Share of stored hits whose record holds no place: they are in none of the groups.
    let trafficUnplaced: Double?
    let groups: [Group]
    private let ipv4Share: Double

    private enum CodingKeys: String, CodingKey {
        case verdict, ipv4, hits, traffic, groups
        case oldRuleSet = "old_rule_set"
        case newRuleSet = "new_rule_set"
        case geoBuild = "geo_build"
        case ipv6Networks = "ipv6_64s"
        case trafficUnplaced = "traffic_unplaced"
    }

    init(
        _ difference: RuleSetDifference, _ old: RuleSource, _ new: RuleSource, _ table: GeoTable,
        _ stored: StoredTraffic?
    ) {
        verdict = difference.strictness.rawValue
        oldRuleSet = old.project.ruleSet.digest
        newRuleSet = new.project.ruleSet.digest
        geoBuild = table.build
        ipv4 = "\(difference.changed.ipv4)"
        ipv6Networks = "\(difference.changed.ipv6Networks)"
        ipv4Share =
            Double(difference.changed.ipv4) / Double(max(difference.total.ipv4, 1))
        var byGroup = [Double](repeating: 0, count: difference.groups.count)
        var unplaced = 0.0
        for row in stored?.rows ?? [] {
            guard let place = row.place else {
                unplaced += row.hits
                continue
            }
            if let group = difference.group(place: place, site: row.site) {
                byGroup[group] += row.hits
            }
        }
        hits = stored?.hits
        let total = stored.map(\.hits).flatMap { $0 > 0 ? $0 : nil }
        traffic = total.map { byGroup.reduce(0, +) / $0 }
        trafficUnplaced = total.map { unplaced / $0 }
        groups = difference.groups.enumerated().map { index, group in
            Group(
                oldPolicy: group.oldPolicy, newPolicy: group.newPolicy,
                verdict: group.comparison.strictness.rawValue, places: group.places,
                sites: group.sites, ipv4: "\(group.addresses.ipv4)",
                ipv6Networks: "\(group.addresses.ipv6Networks)",
                traffic: total.map { byGroup[index] / $0 },
                changes: group.comparison.changes.map {
                    Change(
                        key: $0.key, old: $0.old, new: $0.new, verdict: $0.strictness.rawValue)
                })
        }
    }

    func print(to console: Console) {
        console.print(
            "\(verdict): rule set \(oldRuleSet.prefix(12)) → \(newRuleSet.prefix(12)), geo table \(geoBuild)"
        )
        guard !groups.isEmpty else { return }
        console.print(
            "\(Self.digits(ipv4)) IPv4 addresses (\(Self.percent(ipv4Share))) and \(Self.digits(ipv6Networks)) IPv6 /64 networks are decided otherwise"
        )
        if let hits {
            guard let traffic, let trafficUnplaced else {
                console.print("the lakes hold no hits")
                return printGroups(console)
            }
            console.print(
                "\(Self.percent(traffic)) of \(Self.digits("\(Int(hits))")) stored hits; \(Self.percent(trafficUnplaced)) have no place in their record"
            )
        }
        printGroups(console)
    }

    private func printGroups(_ console: Console) {
        for group in groups {
            console.print()
            let name =
                group.oldPolicy == group.newPolicy
                ? "policy `\(group.oldPolicy)`"
                : "from policy `\(group.oldPolicy)` to `\(group.newPolicy)`"
            let traffic = group.traffic.map { ", \(Self.percent($0)) of stored hits" } ?? ""
            console.print(
                "\(name): \(group.verdict), \(Self.digits(group.ipv4)) IPv4, \(Self.digits(group.ipv6Networks)) IPv6 /64\(traffic)"
            )
            let places = group.places.prefix(Self.placesMax).joined(separator: " ")
            let more = group.places.count - Self.placesMax
            console.print("  places  \(places)\(more > 0 ? " and \(more) more" : "")")
            if group.sites != ["*"] {
                console.print("  sites   \(group.sites.joined(separator: " "))")
            }
            for change in group.changes {
                console.print(
                    "  \(change.key): \(change.old) → \(change.new) (\(change.verdict))")
            }
        }
    }

    private static let placesMax = 20

    private static func digits(_ number: String) -> String {
        Int(number).map(groupedDigits) ?? number
    }

    private static func percent(_ share: Double) -> String {
        String(format: "%.2f %%", share * 100)
    }
}
