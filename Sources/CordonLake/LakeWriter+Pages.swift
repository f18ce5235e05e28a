import CordonModel
import LinuxIO
import Parquet

/// People whose rows are looked for in the pages of data files.
struct SoughtPeople {
    let filter: SubjectFilter
    fileprivate let columns: [(name: String, people: PseudonymTable)]

    init(_ filter: SubjectFilter) {
        self.filter = filter
        columns = filter.columns.filter { !$0.pseudonyms.isEmpty }.map {
            ($0.name, PseudonymTable($0.pseudonyms))
        }
    }
}

/// Rows by their numbers in a file, as ascending ranges of which none touches another.
typealias RowNumbers = [Range<Int>]

/// Rows of files that a removal has found, so that they are not looked for again when the files are written.
struct FoundRows {
    private var byPath: [String: RowNumbers] = [:]
    private var ranges = 0

    /// Bounds the memory (16 bytes each); what is not kept is looked for again.
    private static let rangesMax = 1 << 20

    mutating func keep(_ rows: RowNumbers, of path: String) {
        guard ranges + rows.count <= Self.rangesMax else { return }
        ranges += rows.count
        byPath[path] = rows
    }

    /// What was kept of a file, which is forgotten.
    mutating func take(_ path: String) -> RowNumbers? {
        guard let rows = byPath.removeValue(forKey: path) else { return nil }
        ranges -= rows.count
        return rows
    }
}

// Data files written anew page by page.
extension LakeWriter {
    /// Writes the rows of a file that meet `condition` as a new file without the engine, and holds it against the old one.
    ///
    /// - Returns: nil when something of the file is not understood; then nothing is at `newPath`.
    func writePages(
        of path: String, where condition: String, but people: SoughtPeople?, to newPath: String
    ) throws -> WrittenRest? {
        guard settings.writesPages else { return nil }
        do {
            let rewrite = try ParquetRewrite(of: path, tools())
            guard try isOwn(rewrite.footer) else { return nil }
            let gone: RowNumbers
            if let people {
                if let known = found.take(path) {
                    gone = known
                } else if let rows = try rows(of: people, in: path) {
                    gone = rows.numbers
                } else {
                    return nil
                }
            } else {
                gone = try engine().rowsLost(
                    of: path, where: condition, rowCounts: rewrite.rowCounts.map { Int64($0) }
                ).numbers
            }
            var written: ParquetRewrite.Written?
            defer {
                // What is half written is nothing that another way could go on with; the writer knows the path and removes it too.
                if written == nil { _ = try? File.remove(newPath) }
            }
            let made = try rewrite.write(without: gone, to: newPath)
            let index =
                rewrite.hasTexts(PersonIndex.columns) ? try personIndex(restOf: path, made) : nil
            let groups: [ParquetFooter.GroupSummary]
            do {
                if let index {
                    groups = try rewrite.verify(made, at: newPath, texts: PersonIndex.columns) {
                        index.add($1, column: $0)
                    }
                } else {
                    groups = try rewrite.verify(made, at: newPath)
                }
            } catch is ParquetError {
                throw Self.otherRows
            }
            if let index { try finish(index, newPath, copied: made.copiedGroups) }
            written = made
            filesByPages += 1
            return WrittenRest(
                of: path, written: try made.rewrittenRows, groups: groups, isIndexed: index != nil)
        } catch is ParquetError {
            return nil
        }
    }

    /// The filter in the making of a file that has no more people than another; nil when that has none.
    private func personIndex(
        restOf path: String, _ made: ParquetRewrite.Written
    ) throws -> PersonIndex.Reading? {
        try personBlocks(of: path).map {
            PersonIndex.Reading(blocks: $0, fileBytes: Int64(made.fileBytes))
        }
    }

    /// Adds who is in the copied row groups of a file, and puts its filter beside it.
    private func finish(
        _ index: PersonIndex.Reading, _ path: String, copied groups: [Int]
    ) throws {
        if !groups.isEmpty {
            let texts = try ParquetTexts(of: path, tools())
            for group in groups {
                for (number, column) in PersonIndex.columns.enumerated() {
                    try texts.forEachValue(of: column, in: group) { index.add($0, column: number) }
                }
            }
        }
        if let bytes = index.finished() { try writePersonIndex(bytes, of: path) }
    }

    /// Whether a data file has the table's columns.
    private func isOwn(_ footer: ParquetFooter) throws -> Bool {
        if ownFooter?.hasSchema(of: footer) ?? false { return true }
        guard try HitsSchema.isOwn(footer) else { return false }
        ownFooter = footer
        return true
    }

    /// Rows of some people in a file.
    struct PeopleRows {
        fileprivate(set) var numbers: RowNumbers = []
        /// How many there are, by policy.
        fileprivate(set) var byPolicy: [String: Int64] = [:]
    }

    /// The rows of these people in a file; nil when its pages are not understood.
    ///
    /// - Parameter countingPolicies: whether they are counted by policy.
    func rows(
        of people: SoughtPeople, in path: String, countingPolicies: Bool = false
    ) throws -> PeopleRows? {
        guard settings.writesPages else { return nil }
        do {
            let texts = try ParquetTexts(of: path, tools())
            guard try isOwn(texts.footer) else { return nil }
            var rows = PeopleRows()
            var first = 0
            for (group, groupRows) in texts.rowCounts.enumerated() {
                var numbers: RowNumbers = []
                for (column, table) in people.columns {
                    numbers = numbers.union(
                        try texts.rows(of: group, where: column) { table.contains($0) })
                }
                if let window = people.filter.window, !numbers.isEmpty {
                    let inside = try texts.rows(of: group, where: "ts") { bytes in
                        window.contains(Timestamp(storedBytes: bytes))
                    }
                    numbers = numbers.intersection(inside)
                }
                if countingPolicies, !numbers.isEmpty {
                    try count(numbers, of: group, in: texts, &rows.byPolicy)
                }
                // A person's rows may go on in the next row group.
                for range in numbers {
                    rows.numbers.join(first + range.lowerBound..<first + range.upperBound)
                }
                first += groupRows
            }
            return rows
        } catch is ParquetError {
            return nil
        }
    }

    private func count(
        _ numbers: RowNumbers, of group: Int, in texts: ParquetTexts,
        _ byPolicy: inout [String: Int64]
    ) throws {
        var policies: Set<String> = []
        try texts.forEachValue(of: "policy", in: group) { policy in
            policies.insert(policy.text)
        }
        var left = numbers.rows
        for policy in policies {
            let bytes = Array(policy.utf8)
            let rows = try texts.rows(of: group, where: "policy") { $0.isEqual(to: bytes) }
            let count = numbers.intersection(rows).rows
            if count > 0 { byPolicy[policy, default: 0] += Int64(count) }
            left -= count
        }
        if left > 0 { byPolicy["", default: 0] += Int64(left) }
    }
}

extension Timestamp {
    /// Eight bytes, the least significant first.
    fileprivate init(storedBytes bytes: Span<UInt8>) {
        var number: UInt64 = 0
        for index in bytes.indices.reversed() { number = number << 8 | UInt64(bytes[index]) }
        self.init(microseconds: Int64(bitPattern: number))
    }
}

extension Span<UInt8> {
    fileprivate var text: String {
        String(decoding: indices.map { self[$0] }, as: UTF8.self)
    }

    fileprivate func isEqual(to bytes: [UInt8]) -> Bool {
        count == bytes.count && indices.allSatisfy { self[$0] == bytes[$0] }
    }
}

extension RowNumbers {
    /// How many rows they are.
    var rows: Int { reduce(0) { $0 + $1.count } }

    /// Takes rows up that begin no sooner than the last range does.
    mutating func join(_ rows: Range<Int>) {
        if let last, last.upperBound >= rows.lowerBound {
            self[count - 1] = last.lowerBound..<Swift.max(last.upperBound, rows.upperBound)
        } else {
            append(rows)
        }
    }

    /// The same rows in order, whatever the order of these.
    var ordered: RowNumbers {
        var all: RowNumbers = []
        for range in sorted(by: { $0.lowerBound < $1.lowerBound }) { all.join(range) }
        return all
    }

    /// The rows of either.
    func union(_ others: RowNumbers) -> RowNumbers {
        isEmpty ? others : (self + others).ordered
    }

    /// The rows of both.
    func intersection(_ others: RowNumbers) -> RowNumbers {
        var common: RowNumbers = []
        var (one, two) = (0, 0)
        while one < count, two < others.count {
            let both = self[one].clamped(to: others[two])
            if !both.isEmpty { common.append(both) }
            if self[one].upperBound < others[two].upperBound { one += 1 } else { two += 1 }
        }
        return common
    }
}

extension HitsSchema {
    /// Whether a data file has the table's columns with their field ids, and no other.
    static func isOwn(_ footer: ParquetFooter) throws -> Bool {
        let found = try footer.elements().filter { $0.fieldID != nil || $0.children == 0 }
        return found.count == fields.count
            && zip(found, fields).allSatisfy { $0.name == $1.name && $0.fieldID == $1.id }
    }
}
