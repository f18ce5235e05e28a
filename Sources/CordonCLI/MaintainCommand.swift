import CordonLake
import CordonModel
import CordonPolicy
import CordonServer
import CordonSubjects

extension Command {
    static let maintain = Command(
        ["maintain"],
        summary: "end what is due, make few files of many, delete what nothing refers to",
        usage: "[--region R]… [--dry-run]",
        options: [
            .regions,
            Option(name: "dry-run", value: nil, help: "say what would be done, and do nothing"),
        ],
        example: "cordon maintain --dry-run"
    ) { arguments, console in
        let run = MaintainRun(wantsJSON: arguments.wantsJSON, console: console)
        var isUnfinished = false
        let ruleSet = try CordonCLI.configuration(arguments).ruleSet
        for region in try CordonCLI.regions(arguments) {
            let maintenance = try RegionMaintenance(region, ruleSet, clock: SystemWallClock())
            if arguments.has("dry-run") {
                try run.plan(maintenance)
            } else {
                isUnfinished = try run.maintain(maintenance) || isUnfinished
            }
        }
        return isUnfinished ? .foundProblem : .done
    }
}

/// Maintenance of some regions for one command line.
private struct MaintainRun {
    let wantsJSON: Bool
    let console: Console

    func plan(_ maintenance: RegionMaintenance) throws {
        let lake = try maintenance.plan()
        let (due, dueValues) = try maintenance.due()
        let values = dueValues.reduce(0) { $0 + $1.values.values.reduce(0, +) }
        let agedFiles = dueValues.reduce(0) { $0 + $1.files.count }
        let files = lake.compactions.reduce(0) { $0 + $1.files.count }
        if wantsJSON {
            return try console.print(
                json: JSONValue.object([
                    "region": .text(maintenance.region.name), "dry_run": .bool(true),
                    "due_rows": .integer(due.rows), "due_files": .integer(Int64(due.files)),
                    "due_journal_hits": .integer(due.journalHits),
                    "due_values": .integer(values), "due_value_files": .integer(Int64(agedFiles)),
                    "compact_files": .integer(Int64(files)),
                    "compact_into": .integer(Int64(lake.compactions.count)),
                    "compact_bytes": .integer(lake.compactions.reduce(0) { $0 + $1.bytes }),
                    "manifests": .integer(Int64(lake.manifests)),
                    "snapshots": .integer(Int64(lake.snapshots)),
                    "orphans": .integer(Int64(lake.orphans)),
                    "orphan_bytes": .integer(Int64(lake.orphanBytes)),
                ]))
        }
        say(
            maintenance.region.name,
            [
                (due.files, "would drop \(due.files) files with \(due.rows) rows that are due"),
                (Int(due.journalHits), "would take \(due.journalHits) due hits out of the journal"),
                (agedFiles, "would take \(values) values past their age out of \(agedFiles) files"),
                (files, "would make \(lake.compactions.count) files of \(files)"),
                (lake.manifests, "would merge \(lake.manifests) manifests"),
                (lake.snapshots, "would forget \(lake.snapshots) snapshots"),
                (
                    lake.orphans,
                    "would delete \(lake.orphans) files that nothing refers to, \(lake.orphanBytes) bytes"
                ),
            ])
    }

    /// Returns whether something could not be ended.
    func maintain(_ maintenance: RegionMaintenance) throws -> Bool {
        let region = maintenance.region.name
        let outcome = try maintenance.run { report in
            guard console.isTerminal else { return }
            console.note(
                "\(region): \(report.filesBefore) files became \(report.filesAfter), \(report.rows) rows"
            )
        }
        let compaction = outcome.compaction
        let counts = outcome.retention?.counts ?? SubjectRequest.Counts()
        if wantsJSON {
            try console.print(
                json: JSONValue.object([
                    "region": .text(region), "dry_run": .bool(false),
                    "dropped_rows": .integer(counts.rows), "dropped_files": .integer(counts.files),
                    "aged_values": .integer(outcome.ageing.values.values.reduce(0, +)),
                    "aged_files": .integer(Int64(outcome.ageing.filesBefore)),
                    "aged_files_left": .integer(Int64(outcome.ageing.filesLeft)),
                    "watermark": outcome.watermark.map { JSONValue.text($0.text) } ?? .null,
                    "compacted_files": .integer(Int64(compaction.filesBefore)),
                    "compacted_into": .integer(Int64(compaction.filesAfter)),
                    "compacted_rows": .integer(compaction.rows),
                    "bytes_before": .integer(compaction.bytesBefore),
                    "bytes_after": .integer(compaction.bytesAfter),
                    "groups_left": .integer(Int64(compaction.groupsLeft)),
                    "waits_for_erasure": .bool(outcome.waitsForErasure),
                    "manifests": .integer(Int64(outcome.manifests)),
                    "snapshots": .integer(Int64(outcome.snapshots)),
                    "files_deleted": .integer(Int64(outcome.filesDeleted)),
                    "orphans": .integer(Int64(outcome.orphans)),
                    "orphan_bytes": .integer(Int64(outcome.orphanBytes)),
                    "dead_letters_ended": .integer(Int64(outcome.deadLettersEnded)),
                    "unfinished_requests": .integer(Int64(outcome.unfinished.count)),
                ]))
        } else {
            say(
                region,
                [
                    (
                        Int(counts.files),
                        "dropped \(counts.files) files with \(counts.rows) rows that were due"
                    ),
                    (
                        outcome.ageing.commits,
                        "took values past their age out of \(outcome.ageing.filesBefore) files: "
                            + outcome.ageing.values.sorted { $0.key < $1.key }.map {
                                "\($0.value) \($0.key)"
                            }.joined(separator: ", ")
                    ),
                    (
                        outcome.ageing.filesLeft,
                        "left \(outcome.ageing.filesLeft) files with values past their age to an erasure that is under way"
                    ),
                    (
                        compaction.commits,
                        "made \(compaction.filesAfter) files of \(compaction.filesBefore), \(compaction.rows) rows, "
                            + "\(compaction.bytesBefore) to \(compaction.bytesAfter) bytes"
                    ),
                    (
                        compaction.groupsLeft,
                        "left \(compaction.groupsLeft) groups of files to an erasure that is under way"
                    ),
                    (outcome.manifests, "merged \(outcome.manifests) manifests"),
                    (
                        outcome.snapshots,
                        "forgot \(outcome.snapshots) snapshots and deleted \(outcome.filesDeleted) files of theirs"
                    ),
                    (
                        outcome.deadLettersEnded,
                        "removed \(outcome.deadLettersEnded) dead letters because of their age"
                    ),
                    (
                        outcome.orphans,
                        "deleted \(outcome.orphans) files that nothing referred to, \(outcome.orphanBytes) bytes"
                    ),
                ])
        }
        for open in outcome.unfinished {
            console.note(
                "\(region): request \(open.request.id) is unfinished at `\(open.request.step.rawValue)`: "
                    + (open.failure.map { "\($0)" } ?? "no reason was given"))
        }
        if outcome.waitsForErasure {
            console.note("\(region): compaction waits until the erasure is ended")
        }
        return !outcome.unfinished.isEmpty
    }

    private func say(_ region: String, _ lines: [(count: Int, text: String)]) {
        let said = lines.filter { $0.count > 0 }
        for line in said { console.print("\(region): \(line.text)") }
        if said.isEmpty { console.print("\(region): nothing to do") }
    }
}
