import CordonModel
import Engine
import LinuxIO
import Parquet

// Data files without some of their rows.
extension LakeWriter {
    /// ``writeRests(_:where:but:)`` of one file.
    @discardableResult
    func writeRest(
        of path: String, where condition: String, to newPath: String
    ) throws -> WrittenRest {
        try writeRests([(path, newPath)], where: condition, steps: false)[0]
    }

    /// Writes the rows of data files that meet `condition` as new files, in their order, and holds them against the old ones.
    ///
    /// Row groups that lose no row are copied byte by byte, and read back. Those that lose some are written anew page by page, and read
    /// back with a digest of each column. Where a file does not allow that, its rows go through the engine: only those of the row groups
    /// that lose some, or all where no row group can be left as it is.
    ///
    /// - Parameters:
    ///   - condition: SQL that is true or false and never null; it may name `file_row_number`.
    ///   - people: whose rows the condition leaves out and no others; nil when it leaves out others.
    func writeRests(
        _ files: [(old: String, new: String)], where condition: String,
        but people: SoughtPeople? = nil, steps: Bool = true
    ) throws -> [WrittenRest] {
        var rests = try files.map { file in
            let rest = try writePages(of: file.old, where: condition, but: people, to: file.new)
            if steps, rest != nil { try table.step(.dataFileWritten) }
            return rest
        }
        let others = rests.indices.filter { rests[$0] == nil }
        if !others.isEmpty {
            if let people { try engine().prepare(people.filter) }
            try engine().whileRewriting {
                var whole: [(old: String, new: String)] = []
                for index in others {
                    let (old, new) = files[index]
                    let plan = try write(old, where: condition, to: new)
                    if plan == nil { whole.append((old, new)) }
                    if steps { try table.step(.dataFileWritten) }
                    rests[index] = WrittenRest(
                        of: old, origin: plan?.origin, written: plan?.written)
                }
                try requireSame(whole, where: condition)
            }
        }
        return rests.compactMap(\.self)
    }

    /// Writes the rest of one file through the engine; what was spliced is as before when it returns, what was not (nil) has yet to be
    /// compared.
    private func write(
        _ path: String, where condition: String, to newPath: String
    ) throws -> RestPlan? {
        let engine = try engine()
        guard let plan = try restPlan(of: path, where: condition) else {
            try engine.rewrite(path, where: condition, to: newPath)
            return nil
        }
        try writeSpliced(plan, path, to: newPath)
        guard
            try engine.restDigest(of: [path], where: condition, in: plan.losing)
                == engine.restDigest(of: [newPath], in: plan.written)
        else { throw Self.otherRows }
        return plan
    }

    /// Throws unless the rows that were to stay are those of the new files.
    private func requireSame(_ files: [(old: String, new: String)], where condition: String) throws
    {
        guard !files.isEmpty else { return }
        let engine = try engine()
        guard
            try engine.restDigest(of: files.map(\.old), where: condition)
                == engine.restDigest(of: files.map(\.new))
        else { throw Self.otherRows }
    }

    static var otherRows: LakeError {
        LakeError(
            .unfitDataFile,
            "the rows that stay are not those of the file before; nothing was changed")
    }

    /// How a file is made of row groups of another and of files that the engine wrote.
    private struct RestPlan {
        let splice: ParquetSplice
        /// Files of the engine, in the scratch folder.
        let parts: [String]
        /// Rows of the old file whose row groups lose some, by number.
        let losing: [Range<Int64>]
        /// Rows of the new file that went through the engine, by number.
        let written: [Range<Int64>]
        /// Who was in the rows that went; nil when they are many.
        let origin: RestOrigin?
    }

    /// Writes what the engine has to write; nil when the whole file must go through it.
    private func restPlan(of path: String, where condition: String) throws -> RestPlan? {
        let footer: ParquetFooter
        let counts: [Int64]
        do {
            footer = try parquetFooter(path)
            counts = try footer.rowCounts()
            guard counts.count > 1 else { return nil }
            let all = counts.indices.map { ParquetSplice.Piece(file: 0, group: $0) }
            // Whether they can be moved at all is known before the engine writes any.
            _ = try ParquetSplice(all, of: [footer])
        } catch is ParquetError {
            return nil
        }
        let lost = try engine().rowsLost(of: path, where: condition, rowCounts: counts)
        guard lost.byGroup.count < counts.count else { return nil }

        var parts: [String] = []
        var isPlanned = false
        defer { if !isPlanned { discard(parts) } }
        var footers = [footer]
        var pieces: [ParquetSplice.Piece] = []
        var losing: [Range<Int64>] = []
        var first: Int64 = 0
        var index = 0
        while index < counts.count {
            guard lost.byGroup[index] != nil else {
                pieces.append(.init(file: 0, group: index))
                first += counts[index]
                index += 1
                continue
            }
            // Neighbours that lose rows are written as one, in their order.
            var rows: Int64 = 0
            var rest: Int64 = 0
            while index < counts.count, let gone = lost.byGroup[index] {
                rows += counts[index]
                rest += counts[index] - gone
                index += 1
            }
            let run = first..<first + rows
            losing.append(run)
            first = run.upperBound
            guard rest > 0 else { continue }
            try Directory.create(settings.scratchDirectory)
            let part = settings.scratchDirectory + "/" + Self.uuid() + ".parquet"
            parts.append(part)
            try engine().rewrite(path, where: condition, in: [run], to: part)
            let written = try parquetFooter(part)
            for (group, count) in try written.rowCounts().enumerated() where count > 0 {
                pieces.append(.init(file: footers.count, group: group))
            }
            footers.append(written)
        }
        let splice: ParquetSplice
        do { splice = try ParquetSplice(pieces, of: footers) } catch { return nil }
        var written: [Range<Int64>] = []
        first = 0
        for (piece, count) in zip(pieces, splice.rowCounts) {
            if piece.file > 0 { written.append(first..<first + count) }
            first += count
        }
        isPlanned = true
        return RestPlan(
            splice: splice, parts: parts, losing: losing, written: written, origin: lost.origin)
    }

    private func writeSpliced(_ plan: RestPlan, _ path: String, to newPath: String) throws {
        defer { discard(plan.parts) }
        let sources = [path] + plan.parts
        try plan.splice.write(from: sources, to: newPath)
        guard try plan.splice.isWritten(at: newPath, from: sources) else {
            throw LakeError(
                .unfitDataFile, "the row groups that were copied are not those of the file before")
        }
    }

    private func parquetFooter(_ path: String) throws -> ParquetFooter {
        let file = try File(opening: path, .read)
        return try ParquetFooter(file, bytes: try file.metadata().size)
    }

    /// Best effort: what stays in the scratch folder is removed by the next writer before it starts.
    private func discard(_ parts: [String]) {
        for part in parts { _ = try? File.remove(part) }
    }
}

/// What is known of a data file that was made from another.
struct WrittenRest {
    /// Path of the other.
    let path: String
    /// What it is the rest of, and who went; nil when they are many.
    let origin: RestOrigin?
    /// The row numbers that were not copied with their row groups; nil for all.
    let written: [Range<Int64>]?
    /// What the new file's footer says of its row groups, when its pages were written here and read back.
    let groups: [ParquetFooter.GroupSummary]?
    /// Whether who is in it is settled already: its filter is made, or it can have none.
    let isIndexed: Bool

    init(
        of path: String, origin: RestOrigin? = nil, written: [Range<Int64>]?,
        groups: [ParquetFooter.GroupSummary]? = nil, isIndexed: Bool = false
    ) {
        self.path = path
        self.origin = origin
        self.written = written
        self.groups = groups
        self.isIndexed = isIndexed
    }
}

/// A file whose rows another has, but for those of these people.
struct RestOrigin {
    let path: String
    fileprivate(set) var users: Set<Pseudonym> = []
    fileprivate(set) var visitors: Set<Pseudonym> = []

    /// More people are not told one by one.
    fileprivate static let peopleMax = 256
}

extension LakeEngine {
    /// Rows of a file that are to go.
    struct LostRows {
        /// How many each row group has; groups without any are left out.
        fileprivate(set) var byGroup: [Int: Int64] = [:]
        /// Their numbers, ascending.
        fileprivate(set) var numbers: RowNumbers = []
        /// Who is in them; nil when they are many, or one cannot be told.
        fileprivate(set) var origin: RestOrigin?

        /// Takes a row up, behind those before.
        fileprivate mutating func add(_ number: Int) {
            if numbers.last?.upperBound == number, let last = numbers.popLast() {
                numbers.append(last.lowerBound..<number + 1)
            } else {
                numbers.append(number..<number + 1)
            }
        }

        /// Sorts what came out of order.
        fileprivate mutating func order() {
            guard
                zip(numbers, numbers.dropFirst()).contains(where: { $0.upperBound > $1.lowerBound })
            else { return }
            numbers = numbers.ordered
        }
    }

    /// The rows of a file that do not meet `condition`.
    ///
    /// - Parameter counts: rows of each row group.
    func rowsLost(
        of path: String, where condition: String, rowCounts counts: [Int64]
    ) throws -> LostRows {
        var ends: [Int64] = []
        for count in counts { ends.append((ends.last ?? 0) + count) }
        let rows = try connection.query(
            """
            SELECT file_row_number, "user", "visitor" FROM \(Self.source([path], numberingRows: true))
            WHERE NOT (\(condition))
            """)
        var lost = LostRows(origin: RestOrigin(path: path))
        var group = 0
        while let batch = try rows.next() {
            for row in 0..<batch.rowCount {
                guard case .int(let number) = batch.columns[0].value(at: row), number >= 0,
                    number < ends.last ?? 0
                else {
                    throw LakeError(
                        .damagedTable, "a data file has other rows than its footer says")
                }
                // Rows come nearly in order, so the group is mostly that of the row before.
                while number >= ends[group] { group += 1 }
                while group > 0, number < ends[group - 1] { group -= 1 }
                lost.byGroup[group, default: 0] += 1
                lost.add(Int(number))
                for (column, people) in [(1, \RestOrigin.users), (2, \RestOrigin.visitors)] {
                    guard lost.origin != nil, !batch.columns[column].isNull(at: row) else {
                        continue
                    }
                    guard let person = Pseudonym(digits: batch.columns[column].bytes(at: row)),
                        lost.origin?[keyPath: people].count ?? 0 < RestOrigin.peopleMax
                    else {
                        lost.origin = nil
                        continue
                    }
                    lost.origin?[keyPath: people].insert(person)
                }
            }
        }
        lost.order()
        return lost
    }

    /// Writes the rows of a file that meet `condition` as a new file, in their order.
    ///
    /// - Parameter ranges: row numbers; nil for all rows.
    func rewrite(
        _ path: String, where condition: String, in ranges: [Range<Int64>]? = nil,
        to newPath: String
    ) throws {
        try connection.execute(
            """
            COPY (SELECT \(HitsSchema.columnList)
                  FROM \(Self.source([path], numberingRows: true))
                  WHERE (\(condition)) AND \(Self.condition(ranges)))
            TO \(EngineText.literal(newPath)) (\(copyOptions))
            """)
    }

    /// What rows of files are, in their order: their number, and for each column a combination of the hashes of each value with its
    /// place. A place comes once, so no two hashes are of the same and undo each other.
    struct RestDigest: Equatable {
        let values: [String]
    }

    /// - Parameters:
    ///   - paths: places count on from file to file, in this order.
    ///   - ranges: row numbers; nil for all rows.
    func restDigest(
        of paths: [String], where condition: String = "true", in ranges: [Range<Int64>]? = nil
    ) throws -> RestDigest {
        let sums = HitsSchema.columns.map {
            "CAST(bit_xor(hash(hash(\"\($0.name)\", place))) AS VARCHAR)"
        }
        let rows = try connection.query(
            """
            SELECT count(*), \(sums.joined(separator: ", "))
            FROM (SELECT \(HitsSchema.columnList), row_number() OVER () AS place
                  FROM \(Self.source(paths, numberingRows: true))
                  WHERE (\(condition)) AND \(Self.condition(ranges)))
            """
        ).rows()
        guard let row = rows.first, row.count == 1 + sums.count else {
            throw LakeError(.unfitDataFile, "the rows of a data file cannot be summed")
        }
        return RestDigest(values: row.map { $0 ?? "" })
    }

    /// Row groups outside of the ranges are not read: the engine knows the numbers of their rows.
    static func condition(_ ranges: [Range<Int64>]?) -> String {
        guard let ranges else { return "true" }
        let parts = ranges.map {
            "file_row_number BETWEEN \($0.lowerBound) AND \($0.upperBound - 1)"
        }
        return parts.isEmpty ? "false" : "(\(parts.joined(separator: " OR ")))"
    }
}

extension LakeWriter {
    /// Files without the rows that went, and parts of them on their way.
    static let restRests = [
        Rest(.dataFiles, Set(HitsSchema.columns.map(\.name))),
        Rest(.scratch, Set(HitsSchema.columns.map(\.name))),
    ]
}
