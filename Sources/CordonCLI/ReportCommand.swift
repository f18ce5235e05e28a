import CordonModel
import CordonPolicy
import CordonQuery
import CordonServer
import Foundation

extension Command {
    static let report = Command(
        ["report"],
        summary:
            "the standard questions about a region's hits, as tables and as a page with charts",
        usage:
            "[--region REGION] --role ROLE --purpose PURPOSE --from CC [--since DAY] [--until DAY] [--html FILE] [PART…]",
        options: [
            Option(
                name: "region", value: "REGION",
                help: "the region to ask; needed where there are several"),
            Option(name: "role", value: "ROLE", help: "in which role you ask"),
            Option(name: "purpose", value: "PURPOSE", help: "for which purpose you ask"),
            Option(
                name: "from", value: "CC",
                help: "ISO 3166 code of the country, or country-subdivision, you ask from"),
            Option(
                name: "since", value: "DAY", help: "the first day (default: six days before until)"),
            Option(name: "until", value: "DAY", help: "the last day, in UTC (default: today)"),
            Option(
                name: "html", value: "FILE",
                help: "also write one page with charts, which needs nothing else"),
        ],
        example:
            "cordon report --region eu-central --role analyst --purpose audience-measurement --from DE"
            + " --html report.html traffic pages",
        arguments: 0...Report.Kind.allCases.count
    ) { arguments, console in
        let principal = try queryPrincipal(arguments)
        let clock = SystemWallClock()
        let days = try reportDays(arguments, today: Day(clock.now()))
        let report = Report(try reportKinds(arguments.free), days: days)
        let project = try CordonCLI.configuration(arguments)
        let region = try queryRegion(arguments.value("region"), project.regions)
        let service = try QueryService(
            policies: project.ruleSet.policies, clock: clock,
            allowsUnsandboxed: QueryService.environmentAllowsUnsandboxed)
        let queries = try RegionQueries(region, clock: clock)
        var answers: [ReportAnswer] = []
        var refusals: [Refusal] = []
        for section in report.sections {
            let (answer, refusal) = try reportAnswer(section, service, principal, queries)
            answers.append(answer)
            if let refusal { refusals.append(refusal) }
            try show(answer, refusal, arguments, console)
        }
        if let file = arguments.value("html") {
            let page = ReportPage(
                title: "Region \(region.name)",
                subtitle:
                    "\(days.lowerBound.text) to \((days.upperBound + -1).text), UTC; as \(principal.role) for \(principal.purpose) from \(principal.place)",
                answers: answers)
            try put(Array(page.html.utf8), at: file)
            console.note("the page is `\(file)`")
        }
        // A part without large enough groups is part of the answer; a report that may not be seen at all is not.
        let isRefused = refusals.count == report.sections.count
        return isRefused ? .refusedByPolicy : .done
    }

    private static func reportKinds(_ names: [String]) throws(UsageError) -> [Report.Kind] {
        var kinds: [Report.Kind] = []
        for name in names {
            guard let kind = Report.Kind(rawValue: name) else {
                let known = Report.Kind.allCases.map(\.rawValue)
                throw UsageError(
                    text: "a report has the parts \(known.joined(separator: ", ")), found `\(name)`"
                        + suggestion(name, among: known))
            }
            kinds.append(kind)
        }
        return kinds.isEmpty ? Report.Kind.allCases : kinds
    }

    private static func reportDays(
        _ arguments: Arguments, today: Day
    ) throws(UsageError) -> Range<Day> {
        let last = try arguments.day("until") ?? today
        let first = try arguments.day("since") ?? last + -6
        guard first <= last else {
            throw UsageError(text: "`--since` is after `--until`")
        }
        return first..<(last + 1)
    }

    private static func reportAnswer(
        _ section: Report.Section, _ service: QueryService, _ principal: Principal,
        _ region: RegionQueries
    ) throws -> (ReportAnswer, Refusal?) {
        do {
            switch try service.run(
                QueryRequest(sql: section.sql, principal: principal), in: region)
            {
            case .refused(let refusal):
                return (ReportAnswer(section, reason: refusal.message), refusal)
            case .answered(let answer):
                guard case .cells(let rows) = answer.body else {
                    preconditionFailure("cells were asked for")
                }
                return (ReportAnswer(section, columns: answer.columns, rows: rows), nil)
            }
        } catch let error as QueryError {
            throw CommandFailure(text: error.text)
        }
    }

    private struct ReportLine: Encodable {
        let part: String
        let title: String
        let columns: [String]
        let rows: [[String?]]
        let refused: Refusal?
    }

    /// Longest bar, in characters.
    private static let barWidth = 30.0

    private static func show(
        _ answer: ReportAnswer, _ refusal: Refusal?, _ arguments: Arguments, _ console: Console
    ) throws {
        let section = answer.section
        if arguments.wantsJSON {
            return try console.print(
                json: ReportLine(
                    part: section.kind.rawValue, title: section.title, columns: answer.columns,
                    rows: answer.rows, refused: refusal))
        }
        console.print(section.title)
        console.print()
        if answer.rows.isEmpty {
            console.print(answer.reason.map { "not shown: \($0)" } ?? "nothing")
        } else if answer.showsNoValue {
            console.print(ReportAnswer.withheld)
        } else {
            let rows = zip(answer.rows, answer.shares).map { row, share in
                row.enumerated().map { $1 ?? ($0 < section.value ? "—" : "not shown") }
                    + [String(repeating: "█", count: Int((share * barWidth).rounded()))]
            }
            console.table(answer.columns + [""], rows)
        }
        console.print()
    }
}
