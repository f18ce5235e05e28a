import CordonModel
import CordonServer
import CordonSubjects

extension Command {
    static let restoreCheck = Command(
        ["restore-check"],
        summary: "after a restore: find people who were erased, and erase them again",
        usage: "[--region R]… [--ledger FILE] [--yes]",
        options: [
            .regions,
            Option(
                name: "ledger", value: "FILE",
                help:
                    "a copy of the region's `erased.ledger` that the restore did not reach; needs one `--region`"
            ),
            Option(name: "yes", value: nil, help: "erase them; without it, they are only counted"),
        ],
        example: "cordon restore-check --yes"
    ) { arguments, console in
        let regions = try SubjectRun.open(arguments)
        if let copy = arguments.value("ledger") {
            guard regions.count == 1, let region = regions.first else {
                throw UsageError(text: "a ledger is of one region: say which by `--region`")
            }
            let added = try region.service().mergeLedger(copy)
            console.note("\(region.region.name): \(added) record(s) of the copy were missing")
        }
        let id = SubjectRequest.newID()
        var verdict = ExitCode.done
        var rows: [[String]] = []
        for region in regions {
            let name = region.region.name
            var request: SubjectRequest?
            let finding: RestoreFinding
            if arguments.has("yes") {
                do {
                    (finding, request) = try region.service().replayLedger(request: id)
                } catch let error as SubjectError {
                    console.note("cordon restore-check: \(error)")
                    verdict = .worldFailed
                    continue
                }
            } else {
                finding = try region.service().restoreCheck().finding
                if !finding.isClean, verdict == .done { verdict = .foundProblem }
            }
            let state = finding.isClean ? "clean" : arguments.has("yes") ? "erased again" : "found"
            if arguments.wantsJSON {
                try console.print(
                    json: JSONValue.object([
                        "region": .text(name), "state": .text(state),
                        "ledger": .integer(Int64(finding.ledger)),
                        "files": .integer(Int64(finding.files)),
                        "pseudonyms": .integer(Int64(finding.pseudonyms)),
                        "unsuppressed": .integer(Int64(finding.unsuppressed)),
                        "keys": .integer(Int64(finding.keys)),
                        "rows": .integer(request?.counts.rows ?? 0),
                        "request": request.map { .text($0.id) } ?? .null,
                    ]))
            }
            rows.append([
                name, state, "\(finding.ledger)", "\(finding.files)", "\(finding.pseudonyms)",
                "\(finding.unsuppressed)", "\(finding.keys)",
                request.map { "\($0.counts.rows)" } ?? "",
            ])
        }
        if !arguments.wantsJSON {
            console.table(
                [
                    "region", "state", "in ledger", "files read", "pseudonyms back",
                    "ids not kept out", "keys back", "rows erased",
                ], rows)
            if verdict == .foundProblem {
                console.note("people who were erased are back: `--yes` erases them again")
            }
        }
        return verdict
    }
}
