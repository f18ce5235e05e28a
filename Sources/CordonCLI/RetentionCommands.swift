import CordonModel
import CordonServer
import CordonSubjects

extension Command.Option {
    fileprivate static let asOf = Command.Option(
        name: "as-of", value: "DATE", help: "count from this day, YYYY-MM-DD (default: today, UTC)")
}

extension Command {
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
    private let regions: [RegionSubjects]
    private let day: Day
    private let isBeforeDueAllowed: Bool
    private let wantsJSON: Bool
    private let console: Console

    init(_ arguments: Arguments, _ console: Console) throws {
        self.console = console
        wantsJSON = arguments.wantsJSON
        isBeforeDueAllowed = arguments.has("before-due")
        let today = Day(SystemWallClock().now())
        if let text = arguments.value("as-of") {
            guard let day = Day(text) else {
                throw UsageError(
                    text: "option `--as-of` takes a day as YYYY-MM-DD, found `\(text)`")
            }
            self.day = day
        } else {
            day = today
        }
        regions = try CordonCLI.regions(arguments).map {
            try RegionSubjects($0, clock: SystemWallClock())
        }
    }

    func plan() throws {
        let plans = try regions.map { ($0.region.name, try $0.service().retentionPlan(asOf: day)) }
        guard !wantsJSON else { return try print(plans.map { Self.json($0, $1) }) }
        guard plans.contains(where: { !$1.isEmpty }) else {
            return console.print("nothing is due on \(day.text)")
        }
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
        var done: [(region: String, request: SubjectRequest)] = []
        for region in regions {
            do {
                let request = try region.service().applyRetention(
                    asOf: day, beforeDue: isBeforeDueAllowed)
                if let request { done.append((region.region.name, request)) }
            } catch SubjectError.notDueYet(let day, let today) {
                throw UsageError(
                    text:
                        "\(day) lies ahead of today, \(today): `--before-due` drops rows that policy would still keep"
                )
            }
        }
        guard !wantsJSON else { return try print(done.map { Self.json($0.region, $0.request) }) }
        guard !done.isEmpty else { return console.print("nothing is due on \(day.text)") }
        console.table(
            ["region", "state", "rows", "data files", "in journal", "files deleted"],
            done.map { region, request in
                let counts = request.counts
                return [
                    region, request.state, "\(counts.rows)", "\(counts.files)",
                    "\(counts.journalHits)", "\(counts.filesDeleted)",
                ]
            })
    }

    /// What `retention plan --json` says of one region.
    private static func json(_ region: String, _ plan: RetentionPlan) -> JSONValue {
        .object([
            "region": .text(region), "rows": .integer(plan.rows),
            "files": .integer(Int64(plan.files)), "bytes": .integer(plan.bytes),
            "journal_hits": .integer(plan.journalHits),
            "unfinished": .integer(Int64(plan.unfinished)),
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
    private static func json(_ region: String, _ request: SubjectRequest) -> JSONValue {
        .object([
            "region": .text(region), "request": .text(request.id),
            "rows": .integer(request.counts.rows), "files": .integer(request.counts.files),
            "journal_hits": .integer(request.counts.journalHits),
            "files_deleted": .integer(request.counts.filesDeleted), "state": .text(request.state),
        ])
    }

    private func print(_ regions: [JSONValue]) throws {
        try console.print(
            json: JSONValue.object(["as_of": .text(day.text), "regions": .list(regions)]))
    }
}
