package import CordonModel
import Engine
import Iceberg
import LinuxIO
import Synchronization

/// After how many days which columns of a policy's rows are to hold nothing any more.
package struct FieldAges: Equatable, Sendable {
    /// One field of one policy.
    package struct Rule: Hashable, Sendable {
        package let policy: String
        /// As policy files call it, such as `visitor`.
        package let field: String
        package let columns: [String]
        /// A hit's values may be read on its own day and so many days less one after it.
        package let days: Int

        package init(policy: String, field: String, columns: [String], days: Int) {
            self.policy = policy
            self.field = field
            self.columns = columns
            self.days = days
        }

        /// The first day of hits whose values may still be there on `today`.
        package func keptFrom(on today: Day) -> Day { today + (1 - days) }
    }

    package let rules: [Rule]
    /// Policies whose rows keep what no rule ends.
    package let policies: Set<String>

    package init(rules: [Rule], policies: Set<String>) {
        self.rules = rules.sorted { ($0.policy, $0.field) < ($1.policy, $1.field) }
        self.policies = policies.union(rules.map(\.policy))
    }

    /// A column that must hold nothing in some rows of a day.
    struct Due: Hashable, Sendable {
        let column: String
        let field: String
        /// SQL that is true for the rows, never null.
        let condition: String
    }

    /// What is due in rows of `day` on `today`, by column.
    ///
    /// Rows of a policy that is not known any more fall under the shortest age that any policy gives the field: an age
    /// cannot be escaped by giving a policy another name.
    ///
    /// - Parameter gate: values in rows that it holds stay.
    func due(in day: Day, on today: Day, leaving gate: RemovalGate = RemovalGate()) -> [Due] {
        let fields = Dictionary(grouping: rules) { $0.field }
        return fields.sorted { $0.key < $1.key }.flatMap { field, rules in
            let over = rules.filter { day < $0.keptFrom(on: today) }
            guard !over.isEmpty else { return [Due]() }
            func list(_ names: some Sequence<String>) -> String {
                names.sorted().map(EngineText.literal).joined(separator: ", ")
            }
            let condition =
                "coalesce(policy IN (\(list(over.map(\.policy)))) "
                + "OR policy NOT IN (\(list(policies))), true)"
            let columns = Set(over.flatMap(\.columns))
            return columns.sorted().map { column in
                let held = gate.condition(of: column)
                return Due(
                    column: column, field: field,
                    condition: held.map { "(\(condition)) AND NOT \($0)" } ?? condition)
            }
        }
    }
}

/// What came of letting values go that are past their age.
package struct AgeingReport: Equatable, Sendable {
    package var commits = 0
    package var filesBefore = 0
    package var filesAfter = 0
    /// Rows of the files that were written anew.
    package var rows: Int64 = 0
    /// Values that went, by field.
    package var values: [String: Int64] = [:]
    /// Files with due values that may not be written anew now.
    package var filesLeft = 0
    /// Files that went from the disk with the snapshots that still had the values.
    package var filesDeleted = 0

    package init() {}
}

/// Values of a partition's files that are past their age.
package struct DueValues: Equatable, Sendable {
    package let day: Day
    package let retainUntil: Day
    package let files: [DataFileRef]
    /// By field.
    package let values: [String: Int64]
}

extension HitsTable {
    /// Values that are past their age on `today`, by partition. Changes nothing.
    package func dueValues(_ ages: FieldAges, on today: Day) throws -> [DueValues] {
        try look { try $0.dueValues(ages, on: today) }
    }

    /// Lets every value go that is past its age on `today`, from the table and then from the disk.
    ///
    /// The files of a day that hold such values are written anew as one, without them; all other values stay. The lock is taken
    /// for one such group at a time. At the end every older snapshot goes, for it would bring them back.
    ///
    /// - Parameters:
    ///   - mayChange: which of these files may be written anew, asked under the lock.
    ///   - progress: called with the totals after each group.
    package func age(
        _ ages: FieldAges, on today: Day,
        mayChange: ([DataFileRef], LakeWriter) throws -> Set<DataFileRef>,
        progress: (AgeingReport) -> Void = { _ in }
    ) throws -> AgeingReport {
        var total = AgeingReport()
        guard !ages.rules.isEmpty else { return total }
        var left: Set<DataFileRef> = []
        while true {
            let isDone = try write { writer in
                let due = try writer.dueValues(ages, on: today, except: left, max: 1)
                guard let group = due.first else { return true }
                let free = try mayChange(group.files, writer)
                left.formUnion(group.files.filter { !free.contains($0) })
                for files in CompactionRule.bins(
                    group.files.filter(free.contains), upTo: settings.compactedFileBytes)
                {
                    try writer.age(
                        files, ages.due(in: group.day, on: today, leaving: gate()), into: &total)
                }
                return false
            }
            if isDone { break }
            progress(total)
        }
        total.filesLeft = left.count
        total.filesDeleted = try write { try $0.expireAged(ages, on: today) }
        return total
    }
}

extension LakeWriter {
    /// Values that are past their age, by partition, oldest day first.
    fileprivate func dueValues(
        _ ages: FieldAges, on today: Day, except left: Set<DataFileRef> = [], max: Int = .max
    ) throws -> [DueValues] {
        let partitions = Dictionary(grouping: try dataFiles().filter { !left.contains($0) }) {
            [$0.day, $0.retainUntil]
        }
        let gate = try table.gate()
        var found: [DueValues] = []
        for (key, files) in partitions.sorted(by: {
            ($0.key[0], $0.key[1]) < ($1.key[0], $1.key[1])
        }) {
            let due = ages.due(in: key[0], on: today, leaving: gate)
            guard !due.isEmpty else { continue }
            var values: [String: Int64] = [:]
            var holding: [DataFileRef] = []
            for file in files.sorted(by: { $0.path < $1.path }) {
                let counts = try counts(of: due, in: file)
                guard !counts.isEmpty else { continue }
                holding.append(file)
                values.merge(counts, uniquingKeysWith: +)
            }
            guard !holding.isEmpty else { continue }
            found.append(
                DueValues(day: key[0], retainUntil: key[1], files: holding, values: values))
            if found.count == max { break }
        }
        return found
    }

    /// How many due values a file holds, by field; fields without any are left out.
    ///
    /// A file never changes, so what was found free of them once is not read again while the process lives.
    private func counts(
        of due: [FieldAges.Due], in file: DataFileRef
    ) throws -> [String: Int64] {
        let key = SettledFile(path: file.path, due: due)
        if table.settled.withLock({ $0.contains(key) }) { return [:] }
        let counts = try engine().dueValues(due, in: [file.path])
        if counts.isEmpty {
            table.settled.withLock { settled in
                if settled.count >= SettledFile.countMax { settled.removeAll() }
                settled.insert(key)
            }
        }
        return counts
    }

    /// Writes the files of one partition anew as one, without the due values.
    fileprivate func age(
        _ files: [DataFileRef], _ due: [FieldAges.Due], into total: inout AgeingReport
    ) throws {
        let engine = try engine()
        let paths = files.map(\.path)
        let values = try engine.dueValues(due, in: paths)
        let path = newDataPath(day: files[0].day)
        try catalog.noteWriting([TableFiles.uri(of: path)], table: name)
        try table.step(.dataFilesNoted)
        try Directory.create(File.parent(of: path))
        try engine.merge(paths, without: due, to: path)
        try table.step(.dataFileWritten)
        let rows = files.reduce(0) { $0 + $1.records }
        let made = try finishDataFiles([
            NewDataFile(
                path: path, day: files[0].day, retainUntil: files[0].retainUntil, rows: rows)
        ])[0]
        let others = HitsSchema.columns.map(\.name).filter { name in
            !due.contains { $0.column == name }
        }
        guard try engine.dueValues(due, in: [path]).isEmpty,
            try engine.digest(of: [path], columns: others)
                == engine.digest(of: paths, columns: others)
        else {
            throw LakeError(
                .unfitDataFile,
                "a file that was to lose values past their age has other values than it should; nothing was changed"
            )
        }
        var counts = ["rows": Int(rows), "files-before": paths.count, "files-after": 1]
        for (field, count) in values { counts[LakeEvent.fieldPrefix + field] = Int(count) }
        _ = try commit(
            LakeChange(
                operation: .overwrite, added: [made], removed: Set(paths.map(TableFiles.uri)),
                event: LakeEvent(kind: .fieldAges, counts: counts)))
        total.commits += 1
        total.filesBefore += paths.count
        total.filesAfter += 1
        total.rows += rows
        total.values.merge(values, uniquingKeysWith: +)
    }

    /// Forgets every older snapshot when one of them still has a file that may hold due values.
    ///
    /// Told from the metadata alone, so that a run that was killed before it is made up for by the next.
    fileprivate func expireAged(_ ages: FieldAges, on today: Day) throws -> Int {
        guard let metadata = try head()?.metadata else { return 0 }
        // What the current snapshot lists too names no file that is not in the table.
        let listed = try Set(metadata.currentSnapshot.map(files.manifests(of:))?.map(\.path) ?? [])
        var older: [String: ManifestFile] = [:]
        for snapshot in metadata.snapshots where snapshot.snapshotID != metadata.currentSnapshotID {
            for file in try files.manifests(of: snapshot) where !listed.contains(file.path) {
                older[file.path] = file
            }
        }
        guard !older.isEmpty else { return 0 }
        let current = try Set(dataFiles().map(\.path))
        for manifest in older.values {
            for entry in try files.manifest(manifest).entries {
                let file = try DataFileRef(entry.file)
                if !current.contains(file.path), !ages.due(in: file.day, on: today).isEmpty {
                    return try expireAllButCurrent()
                }
            }
        }
        return 0
    }
}

/// A file in which nothing of what is due was found.
struct SettledFile: Hashable, Sendable {
    /// Some tens of megabytes; what is forgotten is read again.
    static let countMax = 100_000

    let path: String
    let due: [FieldAges.Due]
}
