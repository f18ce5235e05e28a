package import CordonModel
import Iceberg
import LinuxIO

/// Small files of one partition that would become one.
package struct CompactionGroup: Equatable, Sendable {
    package let day: Day
    package let retainUntil: Day
    /// At least two, by path.
    package let files: [DataFileRef]

    package var rows: Int64 { files.reduce(0) { $0 + $1.records } }
    package var bytes: Int64 { files.reduce(0) { $0 + $1.bytes } }
}

/// When files become one.
///
/// Pure: what is to be done follows from the files, so a run that was killed goes on where it stood.
package struct CompactionRule: Equatable, Sendable {
    package var filesMin: Int
    package var smallBytes: Int64
    package var targetBytes: Int64
    /// Today in UTC. Days before yesterday get no hits any more but by import, so two files of them are enough.
    package var today: Day

    /// A file joins smaller ones only when together they are at least a fourth of it. So while a day grows each row is
    /// written again as often as its file grows fivefold, not once a run.
    private static let growthMin: Int64 = 4

    package init(filesMin: Int, smallBytes: Int64, targetBytes: Int64, today: Day) {
        self.filesMin = filesMin
        self.smallBytes = smallBytes
        self.targetBytes = targetBytes
        self.today = today
    }

    /// The groups among `files`, oldest day first. No file is in two.
    package func groups(_ files: [DataFileRef]) -> [CompactionGroup] {
        let small = files.filter { $0.bytes < smallBytes }
        let partitions = Dictionary(grouping: small) { [$0.day, $0.retainUntil] }
        return partitions.sorted { ($0.key[0], $0.key[1]) < ($1.key[0], $1.key[1]) }.flatMap {
            groups(of: $0.value, day: $0.key[0], retainUntil: $0.key[1])
        }
    }

    /// The files in their order, cut so that each part stays below so many bytes or is one file.
    static func bins(_ files: [DataFileRef], upTo bytesMax: Int64) -> [[DataFileRef]] {
        var bins: [[DataFileRef]] = []
        var bytes: Int64 = 0
        for file in files {
            if bins.isEmpty || bytes + file.bytes > bytesMax {
                bins.append([])
                bytes = 0
            }
            bins[bins.count - 1].append(file)
            bytes += file.bytes
        }
        return bins
    }

    private func groups(
        of files: [DataFileRef], day: Day, retainUntil: Day
    ) -> [CompactionGroup] {
        let isClosed = day + 1 < today
        var joining = files.sorted { ($0.bytes, $0.path) < ($1.bytes, $1.path) }
        if !isClosed {
            while let largest = joining.last, joining.count > 1,
                joining.dropLast().reduce(0, { $0 + $1.bytes }) * Self.growthMin < largest.bytes
            {
                joining.removeLast()
            }
        }
        guard joining.count >= (isClosed ? 2 : filesMin) else { return [] }
        return Self.bins(joining, upTo: targetBytes).filter { $0.count > 1 }.map {
            CompactionGroup(
                day: day, retainUntil: retainUntil, files: $0.sorted { $0.path < $1.path })
        }
    }
}

/// What compaction did.
package struct CompactionReport: Equatable, Sendable {
    package var commits = 0
    package var filesBefore = 0
    package var filesAfter = 0
    package var rows: Int64 = 0
    package var bytesBefore: Int64 = 0
    package var bytesAfter: Int64 = 0
    /// Groups that hold rows of people whose erasure is under way: their files are its to write anew.
    package var groupsLeft = 0

    package init() {}
}

extension HitsTable {
    /// When files of this table become one.
    package var compactionRule: CompactionRule {
        CompactionRule(
            filesMin: settings.compactFiles, smallBytes: settings.smallFileBytes,
            targetBytes: settings.compactedFileBytes, today: Day(clock.now()))
    }

    /// Makes few files of many, one commit a group.
    ///
    /// The lock is taken for one group at a time, so that deliveries and erasures need not wait long. The rows stay the same
    /// to the value; the old files stay on disk while a snapshot that is kept names them.
    ///
    /// - Parameters:
    ///   - suppressed: whose erasure is under way, asked for under the lock before each group. A group with a row of theirs is
    ///     left, so that no new file ever brings such a row along.
    ///   - progress: called with the totals after each commit.
    package func compact(
        suppressed: () throws -> SubjectFilter, progress: (CompactionReport) -> Void = { _ in }
    ) throws -> CompactionReport {
        let rule = compactionRule
        var total = CompactionReport()
        var left: Set<DataFileRef> = []
        while true {
            let isDone = try write { writer in
                let files = try writer.dataFiles().filter { !left.contains($0) }
                guard let group = rule.groups(files).first else { return true }
                let filter = try suppressed()
                if try !writer.count(filter, in: group.files.map(\.path)).isEmpty {
                    left.formUnion(group.files)
                    total.groupsLeft += 1
                    return false
                }
                try writer.compact(group, into: &total)
                return false
            }
            if isDone { return total }
            progress(total)
        }
    }
}

extension LakeWriter {
    /// Rows of each of these files that `filter` matches.
    package func count(
        _ filter: SubjectFilter, in paths: [String]
    ) throws -> [String: Int64] {
        filter.isEmpty ? [:] : try engine().count(filter, in: paths)
    }

    /// Writes the rows of a group as one file, in the table's order, and lets it take their place.
    fileprivate func compact(_ group: CompactionGroup, into total: inout CompactionReport) throws {
        let engine = try engine()
        let paths = group.files.map(\.path)
        let path = newDataPath(day: group.day)
        try catalog.noteWriting([TableFiles.uri(of: path)], table: name)
        try table.step(.dataFilesNoted)
        try Directory.create(File.parent(of: path))
        try engine.merge(paths, to: path)
        try table.step(.dataFileWritten)
        let made = try finishDataFiles([
            NewDataFile(
                path: path, day: group.day, retainUntil: group.retainUntil, rows: group.rows)
        ])[0]
        guard try engine.digest(of: [path]) == engine.digest(of: paths) else {
            throw LakeError(
                .unfitDataFile,
                "the rows of a compacted file are not those of the files it is made of; nothing was changed"
            )
        }
        _ = try commit(
            LakeChange(
                operation: .replace, added: [made], removed: Set(paths.map(TableFiles.uri)),
                event: LakeEvent(
                    kind: .compaction,
                    counts: [
                        "rows": Int(group.rows), "files-before": paths.count, "files-after": 1,
                        "bytes-before": Int(group.bytes), "bytes-after": Int(made.fileBytes),
                    ])))
        total.commits += 1
        total.filesBefore += paths.count
        total.filesAfter += 1
        total.rows += group.rows
        total.bytesBefore += group.bytes
        total.bytesAfter += made.fileBytes
    }
}
