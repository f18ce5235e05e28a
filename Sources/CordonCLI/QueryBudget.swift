import CordonModel
import CordonPolicy
import CordonQuery
import CordonServer
import LinuxIO

extension Command {
    static let queryBudget = Command(
        ["query", "budget"],
        summary:
            "how many differing answers over groups each asker was given, and when that comes back",
        usage: "[--region REGION]…",
        options: [
            Option(
                name: "region", value: "REGION", help: "a region (default: all)", repeats: true)
        ],
        example: "cordon query budget --region eu-central"
    ) { arguments, console in
        let project = try CordonCLI.configuration(arguments)
        let named = arguments.all("region")
        let regions =
            try named.isEmpty
            ? project.regions : named.map { try queryRegion($0, project.regions) }
        let now = SystemWallClock().now()
        var lines: [BudgetLine] = []
        for region in regions where try File.exists(region.queryLedgerPath) {
            lines += try QueryLedger(path: region.queryLedgerPath).spent(at: now).map {
                BudgetLine(region.name, $0)
            }
        }
        if arguments.wantsJSON {
            for line in lines { try console.print(json: line) }
        } else if lines.isEmpty {
            console.note(
                "nobody who sees groups was given an answer in \(QueryLedger.windowDays) days")
        } else {
            console.table(
                [
                    "region", "asker", "table", "answers", "of", "newest", "next free",
                    "epsilon of a day", "a week", "a month",
                ],
                lines.map {
                    [
                        $0.region, $0.asker, $0.table, "\($0.answers)", "\($0.answersMax)",
                        $0.newest, $0.nextFree, $0.epsilon.day, $0.epsilon.week, $0.epsilon.month,
                    ]
                })
        }
        return .done
    }

    private struct BudgetLine: Encodable {
        let region: String
        let asker: String
        let table: String
        let answers: Int
        let answersMax = QueryLedger.answersMax
        let windowDays = QueryLedger.windowDays
        let newest: String
        let nextFree: String
        /// What noise spent in the last 1, 7 and 30 days.
        let epsilon: Epsilon

        struct Epsilon: Encodable {
            let day: String
            let week: String
            let month: String
        }

        init(_ region: String, _ spent: QueryLedger.Spent) {
            self.region = region
            asker = spent.asker
            table = spent.table
            answers = spent.answers
            newest = spent.newest.text
            nextFree = spent.nextFree.text
            epsilon = Epsilon(
                day: AccessRule.Noise.text(spent.epsilonDay),
                week: AccessRule.Noise.text(spent.epsilonWeek),
                month: AccessRule.Noise.text(spent.epsilonMonth))
        }

        private enum CodingKeys: String, CodingKey {
            case region, asker, table, answers, newest, epsilon
            case answersMax = "answers_max"
            case windowDays = "window_days"
            case nextFree = "next_free"
        }
    }
}
