package import CordonModel
import Engine
import Iceberg
import LinuxIO

/// What a correction of consent did.
package struct CorrectionReport: Equatable, Sendable {
    /// Rows that were made into less, those that went among them.
    package var rows: Int64 = 0
    /// Rows that went, because their policy keeps nothing without consent.
    package var rowsRemoved: Int64 = 0
    package var filesBefore = 0
    package var filesAfter = 0
    /// Dead letters that held one of the pseudonyms, or might have: they cannot be corrected.
    package var deadLettersRemoved = 0

    package init() {}
}

extension LakeWriter {
    /// Rows of each file (by absolute path) that the correction would change.
    package func count(
        _ correction: ConsentCorrection, of people: SubjectFilter
    ) throws -> [String: Int64] {
        guard !people.isEmpty else { return [:] }
        let paths = try candidates(people).files.map(\.path)
        try engine().prepare(people)
        return try engine().count(where: correction.condition(of: people), in: paths)
    }

    /// Makes the people's rows into what their policies would have kept without the purposes that are taken back.
    ///
    /// All other rows keep their values; a file's rows are sorted anew, so that the place of one that is only counted now does not
    /// tell whose it was. The former rows stay on disk, reachable by older snapshots, until ``expireAllButCurrent()``.
    ///
    /// - Throws: ``LakeError`` (`held`) before anything changes when a hold forbids to remove one of the rows.
    package func correct(
        _ correction: ConsentCorrection, of people: SubjectFilter
    ) throws -> CorrectionReport {
        var report = CorrectionReport()
        guard !people.isEmpty else { return report }
        report.deadLettersRemoved = try removeDeadLettersUnlessHeld(people)
        let changed = try count(correction, of: people)
        let touched = try dataFiles().filter { changed[$0.path] != nil }.sorted {
            $0.path < $1.path
        }
        guard !touched.isEmpty else { return report }
        let paths = touched.map(\.path)
        let gone = try engine().count(where: correction.dropped(of: people), in: paths)
        let removed = try engine().rowsByPolicy(in: paths, where: correction.dropped(of: people))
        report.rows = changed.values.reduce(0, +)
        report.rowsRemoved = gone.values.reduce(0, +)
        report.filesBefore = touched.count
        let replaced = touched.filter { $0.records > gone[$0.path] ?? 0 }
        let added = try writeCorrected(replaced, correction, people) {
            $0.records - (gone[$0.path] ?? 0)
        }
        report.filesAfter = added.count
        _ = try commit(
            LakeChange(
                operation: added.isEmpty ? .delete : .overwrite, added: added,
                removed: Set(paths.map(TableFiles.uri)),
                event: LakeEvent(
                    kind: .consent,
                    counts: [
                        "rows": Int(report.rows), "rows-removed": Int(report.rowsRemoved),
                        "files-before": touched.count, "files-after": added.count,
                    ].merging(removed) { count, _ in count })))
        return report
    }

    private func writeCorrected(
        _ replaced: [DataFileRef], _ correction: ConsentCorrection, _ people: SubjectFilter,
        rows: (DataFileRef) -> Int64
    ) throws -> [DataFile] {
        let engine = try engine()
        return try writeFiles(for: replaced, rows: rows) { pairs in
            for (old, new) in pairs {
                let expected = try engine.write(corrected: old, correction, people, to: new)
                try table.step(.dataFileWritten)
                guard try engine.digest(of: [new]) == expected,
                    try engine.count(where: correction.condition(of: people), in: [new]).isEmpty
                else {
                    throw LakeError(
                        .unfitDataFile,
                        "a file that was to hold corrected rows has other values than it should; nothing was changed"
                    )
                }
            }
            return pairs.map { _ in nil }
        }.map(\.file)
    }
}

extension LakeEngine {
    /// Writes a file's rows as they are after the correction, in the table's order; the filter was prepared.
    ///
    /// - Returns: what the new file has to hold.
    fileprivate func write(
        corrected path: String, _ correction: ConsentCorrection, _ people: SubjectFilter,
        to newPath: String
    ) throws -> RowsDigest {
        let rows = "(\(correction.rows(of: Self.source([path]), people)))"
        try connection.execute(
            """
            COPY (SELECT \(HitsSchema.columnList) FROM \(rows) ORDER BY \(HitsSchema.orderList))
            TO \(EngineText.literal(newPath)) (\(copyOptions))
            """)
        return try digest(in: rows)
    }
}

extension LakeWriter {
    /// Rows with less than they had.
    static let correctedRest = Rest(.dataFiles, Set(HitsSchema.columns.map(\.name)))
}

// The correction as SQL. Names of policies and purposes are texts of the policy files, quoted like any other.
extension ConsentCorrection {
    private static func list(_ names: some Sequence<String>) -> String {
        names.map(EngineText.literal).joined(separator: ", ")
    }

    /// True for the rows that it changes: those that have one of the purposes; never null.
    func condition(of people: SubjectFilter) -> String {
        "coalesce(\(people.condition) AND list_has_any(\"purposes\", [\(Self.list(withdrawn))]), false)"
    }

    /// The purposes that a row keeps.
    private var remaining: String {
        "[purpose FOR purpose IN \"purposes\" IF purpose NOT IN (\(Self.list(withdrawn)))]"
    }

    /// True for the rows that go.
    func dropped(of people: SubjectFilter) -> String {
        let policies = rules.filter { $0.remainder == .drop }.map(\.policy)
        guard !policies.isEmpty else { return "false" }
        return
            "(\(condition(of: people)) AND len(\(remaining)) = 0 AND \"policy\" IN (\(Self.list(policies))))"
    }

    /// True, among the rows that it changes, for those that are only counted afterwards.
    private var isCounted: String {
        let counting = rules.filter { $0.remainder == .count }.map(\.policy)
        var parts: [String] = []
        if !counting.isEmpty {
            parts.append("len(\(remaining)) = 0 AND \"policy\" IN (\(Self.list(counting)))")
        }
        parts.append(
            rules.isEmpty ? "true" : "\"policy\" NOT IN (\(Self.list(rules.map(\.policy))))")
        return parts.map { "(\($0))" }.joined(separator: " OR ")
    }

    /// The rows of `source` after it, as a query with the table's columns.
    func rows(of source: String, _ people: SubjectFilter) -> String {
        let columns = HitsSchema.columns.map { column in
            let name = "\"\(column.name)\""
            let value = value(of: column)
            return value == name
                ? name : "CASE WHEN is_changed THEN \(value) ELSE \(name) END AS \(name)"
        }
        return """
            SELECT \(columns.joined(separator: ", "))
            FROM (SELECT *, \(condition(of: people)) AS is_changed, \(isCounted) AS is_counted,
                         \(remaining) AS remaining
                  FROM \(source) WHERE NOT \(dropped(of: people)))
            """
    }

    /// The value of a column in a row that it changes.
    private func value(of column: HitsSchema.Column) -> String {
        let name = "\"\(column.name)\""
        switch column.name {
        case "ts":
            return
                "CASE WHEN is_counted THEN make_timestamptz(epoch_us(\(name)) - (epoch_us(\(name)) % \(Self.step) + \(Self.step)) % \(Self.step)) ELSE \(name) END"
        case "event": return "CASE WHEN is_counted THEN \(Self.countedEvent) ELSE \(name) END"
        case "consent":
            return
                "CASE WHEN is_counted OR len(remaining) = 0 THEN '\(ConsentState.denied.text)' ELSE \(name) END"
        case "purposes": return "CASE WHEN is_counted THEN [] ELSE remaining END"
        case "signals":
            return
                "CASE WHEN is_counted THEN [] ELSE list_distinct(list_append(\(name), '\(Self.signal)')) END"
        case "key_epoch":
            let emptied = ["visitor", "user"].map { field in
                let gone = policies(emptying: field)
                return gone.isEmpty
                    ? "\"\(field)\" IS NULL"
                    : "(\"\(field)\" IS NULL OR \"policy\" IN (\(Self.list(gone))))"
            }.joined(separator: " AND ")
            return "CASE WHEN is_counted OR \(emptied) THEN NULL ELSE \(name) END"
        case "country":
            // A count keeps it only where it needs no purpose at all.
            let free = rules.filter { ($0.needs[column.name] ?? []).isEmpty }.map(\.policy)
            let gone = policies(emptying: column.name)
            let isKept = free.isEmpty ? "false" : "\"policy\" IN (\(Self.list(free)))"
            let isGone = gone.isEmpty ? "false" : "\"policy\" IN (\(Self.list(gone)))"
            return
                "CASE WHEN \(isGone) OR is_counted AND NOT \(isKept) THEN NULL ELSE \(name) END"
        case let other where Self.counted.contains(other): return name
        default:
            let empty = column.engineType.hasPrefix("MAP") ? "MAP {}" : "NULL"
            let gone = policies(emptying: column.name)
            let condition =
                gone.isEmpty ? "is_counted" : "is_counted OR \"policy\" IN (\(Self.list(gone)))"
            return "CASE WHEN \(condition) THEN \(empty) ELSE \(name) END"
        }
    }

    private static let step = CountedHit.microsecondsPerStep

    /// Columns that stay as they are in a hit that is only counted, as ``HitRecord/becomeCount()`` leaves them; `ts` and `event`
    /// become coarser.
    private static let counted: Set<String> = [
        "site", "bot", "policy", "rule_set", "geo_build", "sample_rate", "retain_until",
    ]

    /// ``CountedHit/keeps(event:)`` in SQL.
    private static let countedEvent: String = {
        let prefixes = CountedHit.aheadPrefixes.map {
            "WHEN starts_with(\"event\", '\($0)') THEN '\($0)'"
        }
        let ahead = "CASE \(prefixes.joined(separator: " ")) ELSE '' END"
        let name = "substr(\"event\", length(\(ahead)) + 1)"
        return """
            CASE WHEN strlen(\(name)) <= \(CountedHit.eventBytesMax)
                      AND length(regexp_replace(\(name), '[^0-9]', '', 'g')) <= \(CountedHit.eventDigitsMax)
                 THEN "event" ELSE \(ahead) || '\(CountedHit.otherEvent)' END
            """
    }()
}
