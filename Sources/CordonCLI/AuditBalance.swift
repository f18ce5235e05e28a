import CordonModel
import CordonServer

extension Command {
    static let auditBalance = Command(
        ["audit", "balance"],
        summary: "where each hit is, from the edge's count to the lake, and where one went missing",
        usage: "[--region REGION]…", options: [.regions],
        example: "cordon audit balance --region eu-central"
    ) { arguments, console in
        var isBalanced = true
        for (index, region) in try CordonCLI.regions(arguments).enumerated() {
            let balance = try RegionBalance(region, clock: SystemWallClock())
            isBalanced = isBalanced && balance.isBalanced
            if arguments.wantsJSON {
                try console.print(json: BalanceReport(balance))
            } else {
                if index > 0 { console.print() }
                print(balance, console)
            }
        }
        return isBalanced ? .done : .foundProblem
    }

    private static func print(_ balance: RegionBalance, _ console: Console) {
        console.print("\(balance.region): \(balance.isBalanced ? "balanced" : "NOT BALANCED")")
        let fates = Set(balance.rules.flatMap { $0.fates.filter { $0.value != 0 }.keys }).sorted()
        var columns: [(String, (RegionBalance.Rule) -> Int64)] = [("received", { $0.received })]
        for fate in fates { columns.append((fate, { $0.fates[fate] ?? 0 })) }
        let others: [(String, (RegionBalance.Rule) -> Int64)] = [
            ("in journal", { $0.waiting }), ("erased there", { $0.removedWaiting }),
            ("delivered", { $0.delivered }), ("left out", { $0.leftOut }), ("dead", { $0.dead }),
            ("removed", { $0.removed }), ("in lake", { $0.present }),
        ]
        let total = balance.total
        let needed = ["in journal", "delivered", "in lake"]
        columns += others.filter { needed.contains($0.0) || $0.1(total) != 0 }
        if !balance.isBalanced {
            columns.append(("missing", { $0.missingBeforeLake + $0.missingInLake }))
        }
        func row(_ name: String, _ rule: RegionBalance.Rule) -> [String] {
            [name] + columns.map { "\($0.1(rule))" }
        }
        if !balance.rules.isEmpty {
            console.table(
                ["rule"] + columns.map(\.0),
                balance.rules.map { row($0.policy.isEmpty ? "(unknown)" : $0.policy, $0) }
                    + [row("all", total)])
        }
        for finding in balance.findings {
            let hits = finding.hits.map { ": \($0) \(abs($0) == 1 ? "hit" : "hits")" } ?? ""
            console.print("  \(finding.stage.rawValue): \(finding.text)\(hits)")
        }
        if balance.deadLetters > 0 {
            console.print("  \(balance.deadLetters) batches are kept aside as dead letters")
        }
        for note in balance.notes { console.print("  note: \(note)") }
    }
}

/// One line of `audit balance --json`.
private struct BalanceReport: Encodable {
    struct Rule: Encodable {
        let policy: String
        let received: Int64
        let fates: [String: Int64]
        let inJournal: Int64
        let erasedInJournal: Int64
        let delivered: Int64
        let leftOut: Int64
        let dead: Int64
        let removed: Int64
        let inLake: Int64
        let missingBeforeLake: Int64
        let missingInLake: Int64

        private enum CodingKeys: String, CodingKey {
            case policy, received, fates, delivered, dead, removed
            case inJournal = "in_journal"
            case erasedInJournal = "erased_in_journal"
            case leftOut = "left_out"
            case inLake = "in_lake"
            case missingBeforeLake = "missing_before_lake"
            case missingInLake = "missing_in_lake"
        }

        init(_ rule: RegionBalance.Rule) {
            policy = rule.policy
            received = rule.received
            fates = rule.fates
            inJournal = rule.waiting
            erasedInJournal = rule.removedWaiting
            delivered = rule.delivered
            leftOut = rule.leftOut
            dead = rule.dead
            removed = rule.removed
            inLake = rule.present
            missingBeforeLake = rule.missingBeforeLake
            missingInLake = rule.missingInLake
        }
    }

    struct Finding: Encodable {
        let stage: String
        let text: String
        let hits: Int64?
    }

    let region: String
    let balanced: Bool
    let rules: [Rule]
    let total: Rule
    let findings: [Finding]
    let deadLetters: Int
    let notes: [String]

    private enum CodingKeys: String, CodingKey {
        case region, balanced, rules, total, findings, notes
        case deadLetters = "dead_letters"
    }

    init(_ balance: RegionBalance) {
        region = balance.region
        balanced = balance.isBalanced
        rules = balance.rules.map(Rule.init)
        total = Rule(balance.total)
        findings = balance.findings.map {
            Finding(stage: $0.stage.rawValue, text: $0.text, hits: $0.hits)
        }
        deadLetters = balance.deadLetters
        notes = balance.notes
    }
}
