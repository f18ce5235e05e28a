import CordonEdge
import CordonServer
import Foundation

extension Command {
    static let policyShadow = Command(
        ["policy", "shadow"],
        summary: "what a candidate that collectors ask beside their rules decided otherwise",
        usage: "[--candidate DIGEST] [--rule-set DIGEST]",
        options: [
            Option(
                name: "candidate", value: "DIGEST",
                help: "the candidate, by the first digits of its digest (default: the latest)"),
            Option(
                name: "rule-set", value: "DIGEST",
                help: "the rules in force that it was held against (default: the latest)"),
        ],
        example: "cordon policy shadow --project my-project"
    ) { arguments, console in
        let layout = CordonCLI.project(arguments)
        // Running nodes write their counts before they answer; without one the files say what there was.
        _ = try RunningNodes.status(layout)
        func isMeant(_ digest: String, _ option: String) -> Bool {
            arguments.value(option).map { !$0.isEmpty && digest.hasPrefix($0) } ?? true
        }
        let all = try ShadowRecords(layout).read()
        let found = all.filter {
            isMeant($0.counts.candidate, "candidate") && isMeant($0.counts.ruleSet, "rule-set")
        }
        guard let record = found.first else {
            throw CommandFailure(
                text: all.isEmpty
                    ? "no collector of this project has compared a hit yet: start it with `--shadow DIR`"
                    : "no comparison is kept of these rule sets; there are "
                        + all.map {
                            "\($0.counts.ruleSet.prefix(12)) beside \($0.counts.candidate.prefix(12))"
                        }.joined(separator: ", "))
        }
        if arguments.wantsJSON {
            try console.print(json: record)
        } else {
            print(record, console)
            for other in found.dropFirst() {
                console.note(
                    "also kept: rule set \(other.counts.ruleSet.prefix(12)) with candidate "
                        + "\(other.counts.candidate.prefix(12)), until \(other.to)")
            }
        }
        return record.counts.differing == 0 ? .done : .foundProblem
    }

    private static func print(_ record: ShadowRecords.Record, _ console: Console) {
        let counts = record.counts
        func share(_ hits: UInt64) -> String {
            String(format: "%.2f", Double(hits) / Double(max(counts.compared, 1)) * 100)
        }
        func digits(_ hits: UInt64) -> String { groupedDigits(Int(clamping: hits)) }
        console.print(
            "rule set \(counts.ruleSet.prefix(12)), candidate \(counts.candidate.prefix(12)), geo table \(counts.geoBuild)"
        )
        console.print(
            "\(digits(counts.compared)) hits of \(record.regions.joined(separator: ", ")) from \(record.from) to \(record.to): "
                + "\(digits(counts.differing)) (\(share(counts.differing)) %) would have been decided otherwise"
        )
        guard counts.differing > 0 else { return }
        console.print()
        console.table(
            ["policy", "candidate", "what", "how", "hits", "%"],
            counts.pairs.flatMap { pair in
                [
                    [
                        pair.policy, pair.candidate, "any", "", digits(pair.hits), share(pair.hits),
                    ]
                ]
                    + pair.differences.map {
                        ["", "", $0.kind, $0.change, digits($0.hits), share($0.hits)]
                    }
            })
        if counts.unlisted > 0 {
            console.print("\(digits(counts.unlisted)) of them are not told apart by policy")
        }
    }
}
