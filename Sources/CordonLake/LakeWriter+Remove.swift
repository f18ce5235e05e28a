package import CordonModel
import Iceberg
import LinuxIO

/// What a removal of rows or files did.
package struct RemovalReport: Equatable, Sendable {
    package var rowsRemoved: Int64 = 0
    /// Absolute paths of the files that are no longer in the table.
    package var filesBefore: [String] = []
    /// Absolute paths of the files that replaced them.
    package var filesAfter: [String] = []
    /// How many of them were written page by page, without the engine.
    package var filesByPages = 0
    /// The snapshot that the removal made; nil when there was nothing to remove.
    package var snapshotID: Int64?
    /// Dead letters that held one of the pseudonyms, or might have.
    package var deadLettersRemoved = 0

    package init() {}
}

extension LakeWriter {
    /// The data files of the current snapshot.
    package func dataFiles() throws -> [DataFileRef] {
        guard let current = try head()?.metadata.currentSnapshot else { return [] }
        return try files.dataFiles(of: current).map { try DataFileRef($0) }
    }

    /// Rows of each file (by absolute path) that `filter` matches, found by scanning those that may hold any.
    package func count(_ filter: SubjectFilter) throws -> [String: Int64] {
        guard !filter.isEmpty else { return [:] }
        let (counts, others) = try search(filter) { _, rows in Int64(rows.numbers.rows) }
        return others.isEmpty
            ? counts : try counts.merging(engine().count(filter, in: others)) { first, _ in first }
    }

    /// What `body` makes of the rows of each file that holds some of these people, and the files that only the engine can look through.
    private func search<Result>(
        _ filter: SubjectFilter, countingPolicies: Bool = false,
        _ body: (_ path: String, _ rows: PeopleRows) -> Result
    ) throws -> (results: [String: Result], others: [String]) {
        let sought = SoughtPeople(filter)
        var results: [String: Result] = [:]
        var others: [String] = []
        for path in try candidates(filter).files.map(\.path) {
            if let rows = try rows(of: sought, in: path, countingPolicies: countingPolicies) {
                if !rows.numbers.isEmpty { results[path] = body(path, rows) }
            } else {
                others.append(path)
            }
        }
        return (results, others)
    }

    /// The same by policy.
    private func countByPolicy(_ filter: SubjectFilter) throws -> [String: [String: Int64]] {
        let (counts, others) = try search(filter, countingPolicies: true) { path, rows in
            found.keep(rows.numbers, of: path)
            return rows.byPolicy
        }
        guard !others.isEmpty else { return counts }
        try engine().prepare(filter)
        return try counts.merging(engine().countByPolicy(where: filter.condition, in: others)) {
            first, _ in first
        }
    }

    /// The ids of the holds that forbid to remove a row that `filter` matches, or a dead letter that goes with it; empty when all may go.
    package func holds(on filter: SubjectFilter) throws -> [String] {
        let gate = try table.gate()
        guard !gate.isOpen, !filter.isEmpty else { return [] }
        let paths = try candidates(filter).files.map(\.path)
        try engine().prepare(filter)
        let inLetters = try deadLetterHolds(gate, on: filter)
        return try gate.holds.filter { hold in
            try inLetters.contains(hold.id)
                || !engine().count(where: "\(filter.condition) AND \(hold.condition)", in: paths)
                    .isEmpty
        }.map(\.id)
    }

    /// The holds that may be of a hit in a dead letter of these people, which would go as a whole: of a hold that names somebody,
    /// whether they are in it too can be told; of any other nothing can.
    private func deadLetterHolds(
        _ gate: RemovalGate, on filter: SubjectFilter
    ) throws -> Set<String> {
        let wanted = Set(filter.pseudonyms.map(\.value))
        let holds = gate.holds.map { hold in
            (id: hold.id, people: hold.people.map { Set($0.pseudonyms.map(\.value)) })
        }
        var found: Set<String> = []
        try forEachDeadLetter { _, bytes in
            guard Self.holds(bytes, wanted) else { return }
            for (id, people) in holds where people.map({ Self.holds(bytes, $0) }) ?? true {
                found.insert(id)
            }
        }
        return found
    }

    /// Rows of each of these files (absolute paths) that a hold forbids to remove; files without any are left out.
    package func held(in paths: [String]) throws -> [String: Int64] {
        try held(by: table.gate(), in: paths)
    }

    private func held(by gate: RemovalGate, in paths: [String]) throws -> [String: Int64] {
        try gate.isOpen ? [:] : engine().count(where: gate.condition, in: paths)
    }

    /// Takes the rows that `filter` matches out of the table: rewrites the files that hold any, in one snapshot.
    ///
    /// All other rows keep their values, types, field ids and order. The rows stay on disk, reachable by older
    /// snapshots, until ``expireAllButCurrent()``. Dead letters that hold one of the pseudonyms are removed for good.
    ///
    /// - Parameter tell: called with the new files when they are on disk, before the table has them.
    /// - Throws: ``LakeError`` (`held`) before anything changes when a hold forbids to remove one of the rows.
    package func rewrite(
        removing filter: SubjectFilter,
        written tell: ([(path: String, rows: Int64)]) throws -> Void = { _ in }
    ) throws -> RemovalReport {
        var report = RemovalReport()
        guard !filter.isEmpty else { return report }
        report.deadLettersRemoved = try removeDeadLettersUnlessHeld(filter)
        let counts = try countByPolicy(filter)
        let matches = counts.mapValues { $0.values.reduce(0, +) }
        let touched = try dataFiles().filter { matches[$0.path] != nil }.sorted {
            $0.path < $1.path
        }
        guard !touched.isEmpty else { return report }
        let replaced = touched.filter { $0.records > matches[$0.path] ?? 0 }
        defer { found = FoundRows() }
        let before = filesByPages
        let written = try writeAnew(replaced, where: "NOT \(filter.condition)", but: filter) {
            $0.records - (matches[$0.path] ?? 0)
        }
        let paths = written.map(\.path)
        let added = written.map(\.file)
        report.rowsRemoved = matches.values.reduce(0, +)
        report.filesBefore = touched.map(\.path)
        let removed = LakeEngine.rowsByPolicy(counts)
        report.filesAfter = paths
        report.filesByPages = filesByPages - before
        try tell(
            zip(replaced, paths).map { old, path in
                (path, old.records - (matches[old.path] ?? 0))
            })
        report.snapshotID = try commit(
            LakeChange(
                operation: added.isEmpty ? .delete : .overwrite, added: added,
                removed: Set(touched.map { TableFiles.uri(of: $0.path) }),
                event: LakeEvent(
                    kind: .rewrite,
                    counts: [
                        "rows-removed": Int(report.rowsRemoved), "files-before": touched.count,
                        "files-after": paths.count,
                    ].merging(removed) { count, _ in count })))
        return report
    }

    /// The rows that `filter` matches, each as a JSON object, handed to `body` file by file.
    package func rows(_ filter: SubjectFilter, _ body: (String) throws -> Void) throws {
        guard !filter.isEmpty else { return }
        let matches = try count(filter)
        let files = try dataFiles().filter { matches[$0.path] != nil }
        try engine().prepare(filter)
        for file in files.sorted(by: { ($0.day, $0.path) < ($1.day, $1.path) }) {
            for row in try engine().rows(filter, in: file.path) { try body(row) }
        }
    }

    /// Takes whole files (absolute paths; those no longer in the table are passed over) out of the table.
    ///
    /// Rows that are held stay, in a file of their own. What went stays on disk until ``expireAllButCurrent()``.
    package func drop(_ paths: [String]) throws -> RemovalReport {
        var report = RemovalReport()
        let wanted = Set(paths)
        let gate = try table.gate()
        let candidates = try dataFiles().filter { wanted.contains($0.path) }
        let held = try held(by: gate, in: candidates.map(\.path))
        let touched = candidates.filter { $0.records > held[$0.path] ?? 0 }
        guard !touched.isEmpty else { return report }
        report.rowsRemoved = touched.reduce(0) { $0 + $1.records - (held[$1.path] ?? 0) }
        report.filesBefore = touched.map(\.path).sorted()
        let kept = touched.filter { held[$0.path] != nil }
        let added = try writeAnew(kept, where: gate.condition) { held[$0.path] ?? 0 }
        report.filesAfter = added.map(\.path)
        // What is due goes also when it cannot be read: then the audit log has the sum alone.
        let removed =
            (try? engine().rowsByPolicy(in: report.filesBefore, where: "NOT \(gate.condition)"))
            ?? [:]
        report.snapshotID = try commit(
            LakeChange(
                operation: added.isEmpty ? .delete : .overwrite, added: added.map(\.file),
                removed: Set(touched.map { TableFiles.uri(of: $0.path) }),
                event: LakeEvent(
                    kind: .drop,
                    counts: ["rows-removed": Int(report.rowsRemoved), "files": touched.count]
                        .merging(removed) { count, _ in count })))
        return report
    }

    /// Writes the rows of each file that meet `condition` as a new file of the same partition, in their order.
    ///
    /// - Parameter people: whose rows the condition leaves out and no others; nil when it leaves out others.
    private func writeAnew(
        _ replaced: [DataFileRef], where condition: String, but people: SubjectFilter? = nil,
        rows: (DataFileRef) -> Int64
    ) throws -> [(path: String, file: DataFile)] {
        guard !replaced.isEmpty else { return [] }
        let sought = people.map(SoughtPeople.init)
        return try writeFiles(for: replaced, rows: rows) {
            try writeRests($0, where: condition, but: sought)
        }
    }

    /// Writes a new file of the same partition for each of these, all of them noted before any is there.
    ///
    /// - Parameters:
    ///   - rows: how many rows the new file has.
    ///   - write: writes some of them, given the paths of both, and takes the step ``LakeStep/dataFileWritten`` behind each; what it
    ///     gives says how each new one is the rest of the old one, if it is.
    func writeFiles(
        for replaced: [DataFileRef], rows: (DataFileRef) -> Int64,
        _ write: ([(old: String, new: String)]) throws -> [WrittenRest?]
    ) throws -> [(path: String, file: DataFile)] {
        let paths = replaced.map { newDataPath(day: $0.day) }
        if !paths.isEmpty {
            try catalog.noteWriting(paths.map(TableFiles.uri), table: name)
            try table.step(.dataFilesNoted)
        }
        var files: [DataFile] = []
        for batch in Array(zip(replaced, paths)).batches(of: Self.filesAtATimeMax) {
            for folder in Set(batch.map { File.parent(of: $0.1) }) { try Directory.create(folder) }
            let rests = try write(batch.map { ($0.path, $1) })
            files += try finishDataFiles(
                zip(batch, rests).map { pair, rest in
                    NewDataFile(
                        path: pair.1, day: pair.0.day, retainUntil: pair.0.retainUntil,
                        rows: rows(pair.0), rest: rest)
                })
        }
        return Array(zip(paths, files))
    }

    /// Makes the current snapshot the only one, names no older metadata, and deletes every file that only they
    /// reached. Afterwards nothing on disk holds what the current snapshot does not.
    ///
    /// - Returns: the number of files deleted.
    @discardableResult
    package func expireAllButCurrent() throws -> Int {
        try removeForeignPersonIndexes()
        guard let head = try head() else { return 0 }
        let kept = head.metadata.keepingCurrentSnapshotOnly(
            updatedMilliseconds: table.clock.now().microseconds / 1000)
        var compared = kept
        compared.lastUpdatedMilliseconds = head.metadata.lastUpdatedMilliseconds
        guard compared != head.metadata else { return 0 }
        return try publishExpiry(
            kept, after: head, snapshots: head.metadata.snapshots.count - kept.snapshots.count)
    }

    /// Each pseudonym that stands in a column of any data file on disk, whether the table refers to it or not.
    ///
    /// - Returns: how many files were read.
    package func forEachPseudonym(
        in column: String, _ body: (Pseudonym) -> Void
    ) throws -> Int {
        var read = 0
        var folders = [files.dataDirectory]
        while let folder = folders.popLast() {
            guard try File.exists(folder) else { continue }
            for entry in try Directory.list(folder) {
                let path = folder + "/" + entry
                if try File.metadata(path)?.isDirectory == true {
                    folders.append(path)
                } else if path.hasSuffix(".parquet") {
                    try engine().forEachValue(of: column, in: path) { digits in
                        if let pseudonym = Pseudonym(digits: digits) { body(pseudonym) }
                    }
                    read += 1
                }
            }
        }
        return read
    }

    /// Every 16 bytes in a row of a dead letter: where in it a pseudonym stands cannot be told.
    package func forEachDeadLetterWindow(_ body: (Pseudonym) -> Void) throws {
        try forEachDeadLetter { _, bytes in
            var window: UInt128 = 0
            for (index, byte) in bytes.enumerated() {
                window = window << 8 | UInt128(byte)
                if index >= 15 { body(Pseudonym(value: window)) }
            }
        }
    }

    /// Asks the gate before anything of these people changes, and removes their dead letters.
    func removeDeadLettersUnlessHeld(_ filter: SubjectFilter) throws -> Int {
        let holds = try holds(on: filter)
        guard holds.isEmpty else {
            throw LakeError(.held, "rows are held by \(holds.joined(separator: ", "))")
        }
        return try removeDeadLetters(filter)
    }

    /// Dead letters cannot be decoded, so they are searched byte by byte for each pseudonym as a batch holds it;
    /// one that holds any goes as a whole.
    private func removeDeadLetters(_ filter: SubjectFilter) throws -> Int {
        let wanted = Set(filter.pseudonyms.map(\.value))
        var found: [Int64] = []
        try forEachDeadLetter { id, bytes in
            if Self.holds(bytes, wanted) { found.append(id) }
        }
        // Also with none: of letters that a retry brought in, or that a run which was cut removed, copies may stand there.
        try catalog.removeDeadLetters(found, table: name)
        if !found.isEmpty { try table.step(.deadLettersRemoved) }
        return found.count
    }

    private static func holds(_ bytes: [UInt8], _ wanted: Set<UInt128>) -> Bool {
        var window: UInt128 = 0
        for (index, byte) in bytes.enumerated() {
            window = window << 8 | UInt128(byte)
            if index >= 15, wanted.contains(window) { return true }
        }
        return false
    }
}
