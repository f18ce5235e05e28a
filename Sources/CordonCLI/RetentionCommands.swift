import CordonLake
import CordonModel
import CordonPolicy
import CordonServer
import CordonSubjects

extension Command.Option {
    fileprivate static let asOf = Command.Option(
        name: "as-of", value: "DATE", help: "count from this day, YYYY-MM-DD (default: today, UTC)")
}

extension Command {
    static let retentionStatus = Command(
        ["retention", "status"],
        summary: "up to when what was due is gone, by region and field; exit 1 when that is late",
        usage: "[--region R]…", options: [.regions],
        example: "cordon retention status"
    ) { arguments, console in
        let configuration = try CordonCLI.configuration(arguments)
        let all = try CordonCLI.regions(arguments).map { region in
            try RegionWatermarks(
                region, ages: FieldAges(configuration.ruleSet, region: region.name),
                clock: SystemWallClock())
        }
        return try RetentionStatus(marks: all).show(arguments.wantsJSON, console)
    }

    static let retentionPlan = Command(
        ["retention", "plan"], summary: "what is due, by partition",
        usage: "[--region R]… [--as-of DATE]", options: [.regions, .asOf],
        example: "cordon retention plan --as-of 2027-12-31"
    ) { arguments, console in
        try RetentionRun(arguments, console).plan()
        return .done
    }

    static let retentionApply = Command(
        ["retention", "apply"], summary: "take away for good what is due",
        usage: "[--region R]… [--as-of DATE [--before-due]]",
        options: [
            .regions, .asOf,
            Option(
                name: "before-due", value: nil,
                help: "let DATE lie ahead: rows go that policy would still keep"),
        ],
        example: "cordon retention apply"
    ) { arguments, console in
        try RetentionRun(arguments, console).apply()
        return .done
    }
}

/// One retention command.
private struct RetentionRun {
    private let regions: [RegionMaintenance]
    private let day: Day
    private let isBeforeDueAllowed: Bool
    private let wantsJSON: Bool
    private let console: Console

    init(_ arguments: Arguments, _ console: Console) throws {
        self.console = console
        wantsJSON = arguments.wantsJSON
        isBeforeDueAllowed = arguments.has("before-due")
        day = try arguments.day("as-of") ?? Day(SystemWallClock().now())
        let ruleSet = try CordonCLI.configuration(arguments).ruleSet
        regions = try CordonCLI.regions(arguments).map {
            try RegionMaintenance($0, ruleSet, clock: SystemWallClock())
        }
    }

    func plan() throws {
        let due = try regions.map { ($0.region.name, try $0.due(asOf: day)) }
        guard !wantsJSON else {
            return try print(due.map { Self.json($0, $1.hits, $1.values) })
        }
        let plans = due.map { ($0, $1.hits) }
        guard due.contains(where: { !$1.hits.isEmpty || !$1.values.isEmpty }) else {
            console.print("nothing is due on \(day.text)")
            return printHeld(plans.map { ($0, $1.heldRows) })
        }
        if plans.contains(where: { !$1.partitions.isEmpty }) { printPartitions(plans) }
        let values = due.flatMap { region, due -> [[String]] in
            due.values.flatMap { group -> [[String]] in
                group.values.sorted { $0.key < $1.key }.map {
                    [
                        region, group.day.text, group.retainUntil.text, $0.key, "\($0.value)",
                        "\(group.files.count)",
                    ]
                }
            }
        }
        if !values.isEmpty {
            console.table(["region", "day", "retain until", "field", "values", "files"], values)
        }
        printWaiting(plans)
        printHeld(plans.map { ($0, $1.heldRows) })
    }

    /// Rows that would have gone but for a hold.
    private func printHeld(_ counts: [(region: String, rows: Int64)]) {
        for (region, rows) in counts where rows > 0 {
            console.print(
                "\(region): \(rows) due row(s) stay, since a hold keeps them; no query shows them")
        }
    }

    private func printPartitions(_ plans: [(String, RetentionPlan)]) {
        console.table(
            ["region", "day", "retain until", "files", "rows", "bytes"],
            plans.flatMap { region, plan in
                plan.partitions.map {
                    [
                        region, $0.day.text, $0.retainUntil.text, "\($0.files)", "\($0.rows)",
                        "\($0.bytes)",
                    ]
                }
            })
    }

    private func printWaiting(_ plans: [(String, RetentionPlan)]) {
        for (region, plan) in plans {
            if plan.journalHits > 0 {
                console.print("\(region): \(plan.journalHits) due hits wait in the journal")
            }
            if plan.unfinished > 0 {
                console.print("\(region): a sweep was cut and is ended by the next one")
            }
        }
    }

    func apply() throws {
        var done: [(region: String, outcome: RegionMaintenance.Outcome)] = []
        for region in regions {
            do {
                let outcome = try region.endDue(asOf: day, beforeDue: isBeforeDueAllowed)
                if outcome.retention != nil || outcome.ageing.commits > 0 {
                    done.append((region.region.name, outcome))
                }
            } catch SubjectError.notDueYet(let day, let today) {
                throw UsageError(
                    text:
                        "\(day) lies ahead of today, \(today): `--before-due` drops rows that policy would still keep"
                )
            }
        }
        guard !wantsJSON else { return try print(done.map { Self.json($0.region, $0.outcome) }) }
        let held = try regions.map { ($0.region.name, try $0.heldRows(asOf: day)) }
        guard !done.isEmpty else {
            console.print("nothing is due on \(day.text)")
            return printHeld(held)
        }
        console.table(
            ["region", "state", "rows", "data files", "in journal", "values", "files deleted"],
            done.map { region, outcome in
                let counts = outcome.retention?.counts ?? SubjectRequest.Counts()
                let deleted = counts.filesDeleted + Int64(outcome.ageing.filesDeleted)
                return [
                    region, outcome.retention?.state ?? "applied", "\(counts.rows)",
                    "\(counts.files)", "\(counts.journalHits)",
                    "\(outcome.ageing.values.values.reduce(0, +))", "\(deleted)",
                ]
            })
        printHeld(held)
    }

    /// What `retention plan --json` says of one region.
    private static func json(
        _ region: String, _ plan: RetentionPlan, _ values: [DueValues]
    ) -> JSONValue {
        .object([
            "region": .text(region), "rows": .integer(plan.rows),
            "files": .integer(Int64(plan.files)), "bytes": .integer(plan.bytes),
            "journal_hits": .integer(plan.journalHits), "held_rows": .integer(plan.heldRows),
            "unfinished": .integer(Int64(plan.unfinished)),
            "values": .list(
                values.map { group in
                    .object([
                        "day": .text(group.day.text),
                        "retain_until": .text(group.retainUntil.text),
                        "files": .integer(Int64(group.files.count)),
                        "fields": .object(group.values.mapValues { .integer($0) }),
                    ])
                }),
            "partitions": .list(
                plan.partitions.map {
                    .object([
                        "day": .text($0.day.text), "retain_until": .text($0.retainUntil.text),
                        "files": .integer(Int64($0.files)), "rows": .integer($0.rows),
                        "bytes": .integer($0.bytes),
                    ])
                }),
        ])
    }

    /// What `retention apply --json` says of one region.
    private static func json(
        _ region: String, _ outcome: RegionMaintenance.Outcome
    ) -> JSONValue {
        let counts = outcome.retention?.counts ?? SubjectRequest.Counts()
        return .object([
            "region": .text(region),
            "request": outcome.retention.map { JSONValue.text($0.id) } ?? .null,
            "rows": .integer(counts.rows), "files": .integer(counts.files),
            "journal_hits": .integer(counts.journalHits),
            "fields": .object(outcome.ageing.values.mapValues { .integer($0) }),
            "files_left": .integer(Int64(outcome.ageing.filesLeft)),
            "files_deleted": .integer(
                counts.filesDeleted + Int64(outcome.ageing.filesDeleted)),
            "state": .text(outcome.retention?.state ?? "applied"),
        ])
    }

    private func print(_ regions: [JSONValue]) throws {
        try console.print(
            json: JSONValue.object(["as_of": .text(day.text), "regions": .list(regions)]))
    }
}

/// Watermarks of some regions for one command line.
private struct RetentionStatus {
    let marks: [RegionWatermarks]

    /// One line of `--json`.
    private struct Line: Encodable {
        let region: String
        /// Nil for whole hits.
        let policy: String?
        let field: String?
        let days: Int?
        let asOf: String?
        let nothingBefore: String?
        let late: Bool

        private enum CodingKeys: String, CodingKey {
            case region, policy, field, days, late
            case asOf = "as_of"
            case nothingBefore = "nothing_before"
        }

        init(_ region: String, _ mark: RegionWatermarks.Mark) {
            self.region = region
            if case .field(let rule) = mark.matter {
                policy = rule.policy
                field = rule.field
                days = rule.days
            } else {
                policy = nil
                field = nil
                days = nil
            }
            asOf = mark.asOf?.text
            nothingBefore = mark.nothingBefore?.text
            late = mark.isLate
        }
    }

    func show(_ wantsJSON: Bool, _ console: Console) throws -> ExitCode {
        let lines = marks.flatMap { region in region.marks.map { Line(region.region, $0) } }
        if wantsJSON {
            for line in lines { try console.print(json: line) }
        } else {
            console.table(
                ["region", "policy", "field", "kept", "nothing older than", "seen on", "state"],
                lines.map {
                    [
                        $0.region, $0.policy ?? "", $0.field ?? "whole hits",
                        $0.days.map { "\($0)d" } ?? "", $0.nothingBefore ?? "",
                        $0.asOf ?? "not yet", $0.late ? "LATE" : "well",
                    ]
                })
        }
        return lines.contains { $0.late } ? .foundProblem : .done
    }
}
