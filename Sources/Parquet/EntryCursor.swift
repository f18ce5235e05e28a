/// Which entries of a column's pages are of rows that stay, page after page.
struct EntryCursor {
    /// Rows that stay, ascending; none touches another.
    private let kept: [Range<Int>]
    private var next = 0
    /// Rows that have begun.
    private(set) var rows = 0
    /// Whether the last of them stays.
    private var isKept = false

    init(_ kept: [Range<Int>]) { self.kept = kept }

    /// The entries of the next page that stay, as ranges of their numbers in the page.
    mutating func entries(of page: ParquetPage, _ reader: PageReader) throws(ParquetError)
        -> [Range<Int>]
    {
        switch reader.repetition {
        case 0?: return takeRows(page.count)
        case _?:
            // The whole page goes on with the last row.
            guard rows > 0 || page.count == 0 else { throw .malformedPage }
            return isKept && page.count > 0 ? [0..<page.count] : []
        case nil: return try takeEntries(page.count, reader.repetitions)
        }
    }

    private mutating func takeRows(_ count: Int) -> [Range<Int>] {
        let page = rows..<rows + count
        var found: [Range<Int>] = []
        while next < kept.count, kept[next].lowerBound < page.upperBound {
            let common = kept[next].clamped(to: page)
            if !common.isEmpty {
                found.append(common.lowerBound - rows..<common.upperBound - rows)
            }
            if kept[next].upperBound > page.upperBound { break }
            next += 1
        }
        if count > 0 { isKept = found.last?.upperBound == count }
        rows = page.upperBound
        return found
    }

    private mutating func takeEntries(
        _ count: Int, _ repetitions: [UInt8]
    ) throws(ParquetError) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var start = 0
        for entry in 0..<count where repetitions[entry] == 0 {
            let row = rows
            rows += 1
            while next < kept.count, kept[next].upperBound <= row { next += 1 }
            let stays = next < kept.count && kept[next].contains(row)
            if stays != isKept {
                if isKept, entry > start { found.append(start..<entry) }
                start = entry
                isKept = stays
            }
        }
        guard rows > 0 else { throw .malformedPage }
        if isKept, count > start { found.append(start..<count) }
        return found
    }
}
