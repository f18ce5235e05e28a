/// The values of text columns of a data file, column by column and row group by row group.
///
/// Where a column has a dictionary each of its values is looked at once, and the rows only when one of them is wanted. Refuses what it
/// does not understand as ``ParquetRewrite`` does. Used by one thread at a time.
package final class ParquetTexts {
    private let file: ParquetSource
    private let leaves: [ParquetLeaf]
    private let groups: [ParquetRowGroup]
    private let reader: PageReader
    private var indices: [UInt32] = []
    package let rowCounts: [Int]
    package let footer: ParquetFooter
    package var fileBytes: Int { file.size }

    /// Opens the file at `path`.
    package init(of path: String, _ tools: ParquetTools) throws {
        file = try ParquetSource(path, whole: false)
        footer = try file.footer()
        leaves = try tools.leaves(of: footer)
        groups = try footer.groups()
        reader = tools.reader
        rowCounts = groups.map { Int($0.rows) }
    }

    /// A value: the bytes of a text, or of a fixed width.
    package typealias Test = (Span<UInt8>) -> Bool

    private func chunk(_ column: String, _ group: Int) throws -> ParquetChunk {
        let name = Array(column.utf8)
        guard let index = leaves.firstIndex(where: { $0.path == [name] }),
            leaves[index].kind != .boolean, leaves[index].repetitionMax == 0
        else { throw ParquetError(.unfit, "the file has no such column of single values") }
        let place = try groups[group].chunk(index, of: leaves)
        return try ParquetChunk(try file.bytes(place.data), place, leaves[index])
    }

    /// The rows of a group, by their numbers in it and ascending, whose value in `column` passes a test; those without a value do not.
    package func rows(
        of group: Int, where column: String, _ test: Test
    ) throws -> [Range<Int>] {
        let chunk = try chunk(column, group)
        try reader.openDictionary(of: chunk)
        var isWanted: [Bool] = []
        var isAnyWanted = false
        let dictionary = reader.dictionary
        for index in 0..<reader.dictionaryCount {
            let passes = test(
                dictionary.span.extracting(reader.dictionaryValue(index, of: chunk.leaf)))
            isWanted.append(passes)
            isAnyWanted = isAnyWanted || passes
        }
        var found = RowCollector()
        for page in chunk.pages {
            guard page.isPlain || isAnyWanted else {
                found.pass(page.count)
                continue
            }
            try reader.open(page, of: chunk)
            if page.isPlain {
                let raw = reader.raw
                let span = raw.span
                let prefix = chunk.leaf.kind == .byteArray ? 4 : 0
                var passes: [Bool] = []
                passes.reserveCapacity(reader.defined)
                try PageReader.forEachValue(chunk.leaf, span, reader.values, count: reader.defined)
                {
                    passes.append(test(span.extracting($0 + prefix..<$1)))
                }
                collect(page, chunk.leaf, &found) { passes[$0] }
            } else if let same = try reader.readIndices(into: &indices) {
                let passes = reader.defined > 0 && isWanted[Int(same)]
                collect(page, chunk.leaf, &found) { _ in passes }
            } else {
                let indices = indices
                collect(page, chunk.leaf, &found) { isWanted[Int(indices[$0])] }
            }
        }
        return found.finished()
    }

    private func collect(
        _ page: ParquetPage, _ leaf: ParquetLeaf, _ found: inout RowCollector,
        _ passes: (_ value: Int) -> Bool
    ) {
        let most = UInt8(leaf.definitionMax)
        var value = 0
        for entry in 0..<page.count {
            guard reader.definition ?? reader.definitions[entry] == most else {
                found.take(false)
                continue
            }
            found.take(passes(value))
            value += 1
        }
    }

    /// Gives every value that a column has in a row group, those of a dictionary once.
    package func forEachValue(
        of column: String, in group: Int, _ body: (Span<UInt8>) -> Void
    ) throws {
        let chunk = try chunk(column, group)
        try reader.openDictionary(of: chunk)
        let dictionary = reader.dictionary
        for index in 0..<reader.dictionaryCount {
            body(dictionary.span.extracting(reader.dictionaryValue(index, of: chunk.leaf)))
        }
        let prefix = chunk.leaf.kind == .byteArray ? 4 : 0
        for page in chunk.pages where page.isPlain {
            try reader.open(page, of: chunk)
            let raw = reader.raw
            let span = raw.span
            try PageReader.forEachValue(chunk.leaf, span, reader.values, count: reader.defined) {
                body(span.extracting($0 + prefix..<$1))
            }
        }
    }
}

/// Gathers the rows that were asked for as ranges.
private struct RowCollector {
    private var ranges: [Range<Int>] = []
    private var row = 0
    private var start: Int?

    mutating func take(_ isWanted: Bool) {
        if isWanted {
            if start == nil { start = row }
        } else {
            end()
        }
        row += 1
    }

    mutating func pass(_ count: Int) {
        end()
        row += count
    }

    private mutating func end() {
        if let start { ranges.append(start..<row) }
        start = nil
    }

    consuming func finished() -> [Range<Int>] {
        end()
        return ranges
    }
}
