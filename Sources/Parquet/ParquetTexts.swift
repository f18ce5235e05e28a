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
        var found: [Range<Int>] = []
        var first = 0
        for page in chunk.pages {
            defer { first += page.count }
            guard page.isPlain || isAnyWanted else { continue }
            try reader.open(page, of: chunk)
            var values: [Int] = []
            if page.isPlain {
                let raw = reader.raw
                let span = raw.span
                let prefix = chunk.leaf.kind == .byteArray ? 4 : 0
                var value = 0
                try PageReader.forEachValue(chunk.leaf, span, reader.values, count: reader.defined)
                {
                    if test(span.extracting($0 + prefix..<$1)) { values.append(value) }
                    value += 1
                }
            } else if let same = try reader.readIndices(into: &indices) {
                if reader.defined > 0, isWanted[Int(same)] { values = Array(0..<reader.defined) }
            } else {
                let indices = indices
                for value in 0..<reader.defined where isWanted[Int(indices[value])] {
                    values.append(value)
                }
            }
            collect(values, of: page, from: first, chunk.leaf, &found)
        }
        return found
    }

    /// Takes up the rows of a page that have the values of these numbers, ascending.
    private func collect(
        _ values: [Int], of page: ParquetPage, from first: Int, _ leaf: ParquetLeaf,
        _ found: inout [Range<Int>]
    ) {
        func take(_ row: Int) {
            if let last = found.last, last.upperBound == row {
                found[found.count - 1] = last.lowerBound..<row + 1
            } else {
                found.append(row..<row + 1)
            }
        }
        guard reader.definition == nil else {
            // Every entry has a value.
            for value in values { take(first + value) }
            return
        }
        let most = UInt8(leaf.definitionMax)
        var (next, value) = (0, 0)
        for entry in 0..<page.count where reader.definitions[entry] == most {
            guard next < values.count else { return }
            if values[next] == value {
                take(first + entry)
                next += 1
            }
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
