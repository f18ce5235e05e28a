import CordonModel
import CordonPolicy
import CordonServer
import CordonSubjects
import GeoTables

extension Command {
    static let relocate = Command(
        ["relocate"],
        summary: "move stored hits home that the geo table in force puts into another region",
        usage: "[--region R]… [--confirm]",
        options: [
            .regions,
            Option(
                name: "confirm", value: nil,
                help: "do it; without it, only what would be moved is shown"),
        ],
        example: "cordon relocate --region eu-central"
    ) { arguments, console in
        let isConfirmed = arguments.has("confirm")
        let configuration = try CordonCLI.configuration(arguments)
        let table = try openGeoTable(CordonCLI.project(arguments).geoTablePath)
        if isConfirmed { try requireInForce(configuration, table) }
        let rules = RelocationRules(
            configuration.ruleSet, table: table, regions: configuration.regions)
        let clock = SystemWallClock()
        var lines: [RelocationLine] = []
        for region in try CordonCLI.regions(arguments) {
            let report: Relocation.Report
            if isConfirmed {
                try endErasures(region, clock)
                let lake = try RegionLake(region, clock: clock)
                report = try Relocation(
                    out: lake, regions: configuration.regions, clock: clock
                ).run(rules)
            } else if let lake = try RegionLake.reading(region, clock: clock) {
                report = try Relocation(
                    out: lake, regions: configuration.regions, clock: clock
                ).preview(rules)
            } else {
                continue
            }
            lines.append(
                RelocationLine(region.name, report, rules, isConfirmed: isConfirmed))
        }
        if arguments.wantsJSON {
            for line in lines { try console.print(json: line) }
        } else {
            print(lines, rules, isConfirmed: isConfirmed, console)
        }
        let isRefused = lines.contains { !$0.refused.isEmpty }
        if isConfirmed { return isRefused ? .refusedByPolicy : .done }
        let isFound = lines.contains { !$0.moves.isEmpty || $0.unfinished > 0 }
        if isFound { console.note("nothing was changed: `--confirm` moves them") }
        return isFound ? .foundProblem : isRefused ? .refusedByPolicy : .done
    }

    /// Ends erasures that were cut: their certificates name the files that took the place of others, and a person's rows are
    /// to be found as long as they can be.
    private static func endErasures(_ region: RegionConfiguration, _ clock: any WallClock) throws {
        let open = try RegionSubjects(region, clock: clock).service().resume().filter {
            $0.request.kind == .erase && $0.failure != nil
        }
        guard open.isEmpty else {
            throw CommandFailure(
                text:
                    "region `\(region.name)` has an erasure that could not be ended, and hits are moved after it: `cordon subject erase --resume` says why"
            )
        }
    }

    /// Rows are moved by what decides about hits now, not by what lies on disk and is not taken up.
    private static func requireInForce(
        _ configuration: ProjectConfiguration, _ table: GeoTable
    ) throws {
        guard let reign = try RuleHistory(configuration.regions).reigns.last,
            reign.ruleSet != configuration.ruleSet.digest || reign.geoBuild != table.build
        else { return }
        throw CommandFailure(
            text:
                "hits were last decided by rule set \(reign.ruleSet) and geo table \(reign.geoBuild), and on disk are rule set "
                + "\(configuration.ruleSet.digest) and geo table \(table.build): `cordon reload` first (`--status` says whether one is held)",
            exitCode: .foundProblem)
    }

    private static func print(
        _ lines: [RelocationLine], _ rules: RelocationRules, isConfirmed: Bool,
        _ console: Console
    ) {
        console.print("geo table \(rules.geoBuild), rule set \(rules.rules.digest)")
        for line in lines {
            console.print()
            console.print(
                "\(line.region): \(line.rows) hits, of which \(line.placed) can be placed by their prefix"
            )
            for (count, text) in [
                (line.waiting, "wait in the journal and are looked at once they are delivered"),
                (line.unfinished, "were taken out by an earlier run and are not home yet"),
                (line.beingErased, "are being erased and stay until they are"),
                (line.held, "are held and stay until they are released"),
            ] where count > 0 {
                console.print("  \(count) \(text)")
            }
            if !line.moves.isEmpty {
                console.table(
                    [
                        "to", "place", "policy", isConfirmed ? "moved" : "would move", "counted",
                        "dropped",
                    ],
                    line.moves.map {
                        [
                            $0.to, $0.place ?? "unknown", "\($0.policy) → \($0.newPolicy)",
                            "\($0.moved)", "\($0.counted)", "\($0.dropped)",
                        ]
                    })
            }
            for refusal in line.refused {
                console.print(
                    "  refused (relocate): \(refusal.file):\(refusal.line): \(refusal.rows) hits of "
                        + "\(refusal.place ?? "an unknown place"): \(refusal.text)")
            }
        }
    }
}

/// What `relocate --json` says of one region.
private struct RelocationLine: Encodable {
    struct Move: Encodable {
        let to: String
        let place: String?
        let policy: String
        let newPolicy: String
        let moved: Int
        let counted: Int
        let dropped: Int

        private enum CodingKeys: String, CodingKey {
            case to, place, policy, moved, counted, dropped
            case newPolicy = "new_policy"
        }
    }

    struct Refused: Encodable {
        let to: String?
        let place: String?
        let policy: String
        let rows: Int
        let rule = "relocate"
        let file: String
        let line: Int
        let text: String
    }

    let region: String
    let confirmed: Bool
    let geoBuild: String
    let ruleSet: String
    let rows: Int
    let placed: Int
    let waiting: Int
    let unfinished: Int
    let beingErased: Int
    let held: Int
    let moves: [Move]
    let refused: [Refused]

    private enum CodingKeys: String, CodingKey {
        case region, confirmed, rows, placed, waiting, unfinished, held, moves, refused
        case geoBuild = "geo_build"
        case ruleSet = "rule_set"
        case beingErased = "being_erased"
    }

    init(
        _ region: String, _ report: Relocation.Report, _ rules: RelocationRules,
        isConfirmed: Bool
    ) {
        self.region = region
        confirmed = isConfirmed
        geoBuild = rules.geoBuild
        ruleSet = rules.rules.digest
        rows = report.rows
        placed = report.placed
        waiting = report.waiting
        unfinished = report.unfinished
        beingErased = report.beingErased
        held = report.held
        moves = report.moves.map { move, count in
            Move(
                to: move.destination.region, place: rules.code(move.destination.place),
                policy: move.policy,
                newPolicy: rules.rules.policies[move.destination.policy].name,
                moved: count.moved, counted: count.counted, dropped: count.dropped)
        }.sorted { ($0.to, $0.place ?? "", $0.policy) < ($1.to, $1.place ?? "", $1.policy) }
        refused = report.refused.map { refused, rows in
            let refusal = refused.refusal
            return Refused(
                to: refusal.region, place: rules.code(refusal.place), policy: refused.policy,
                rows: rows, file: refusal.file, line: refusal.line, text: refusal.text)
        }.sorted { ($0.file, $0.line, $0.place ?? "") < ($1.file, $1.line, $1.place ?? "") }
    }
}
