internal import Compression

/// The pages of a column chunk, one after the other: their levels, and where their values are.
///
/// Keeps its memory from page to page and from chunk to chunk. Used by one thread at a time.
final class PageReader {
    private let frames: ZstdFrames
    /// The page, unpacked.
    private(set) var raw: [UInt8] = []
    /// The dictionary, unpacked, and where each of its values begins: the bytes of a text lie behind its length.
    private(set) var dictionary: [UInt8] = []
    private(set) var dictionaryStarts: [Int] = []
    /// Levels of the page's entries, where they differ.
    private(set) var repetitions: [UInt8] = []
    private(set) var definitions: [UInt8] = []
    /// The level that all entries have; nil where they differ.
    private(set) var repetition: UInt8?
    private(set) var definition: UInt8?
    /// Where the values begin in the page and where they end.
    private(set) var values = 0..<0
    /// Entries of the page that have a value.
    private(set) var defined = 0

    /// Whether the dictionary and the one data page of the chunk that comes are unpacked already.
    private var isUnpacked = false

    init(_ frames: ZstdFrames) { self.frames = frames }

    /// Takes over what a digester has unpacked of a chunk of one data page, which is opened next; nil when none went over it.
    func takeUnpacked(_ chunk: ParquetChunk, from digester: ChunkDigester?) {
        isUnpacked = digester != nil && chunk.pages.count == 1
        if isUnpacked { digester?.exchange(&raw, &dictionary) }
    }

    var dictionaryCount: Int { max(0, dictionaryStarts.count - 1) }

    /// Opens the dictionary of a chunk that has one.
    func openDictionary(of chunk: ParquetChunk) throws(ParquetError) {
        dictionaryStarts.removeAll(keepingCapacity: true)
        guard let page = chunk.dictionary else { return }
        if !isUnpacked { try chunk.unpack(page, into: &dictionary, frames) }
        dictionaryStarts.append(0)
        var place = 0
        let dictionary = dictionary
        try Self.forEachValue(
            chunk.leaf, dictionary.span, 0..<page.rawBytes, count: page.count
        ) { _, end in
            dictionaryStarts.append(end)
            place = end
        }
        guard place == page.rawBytes else { throw .malformedPage }
    }

    /// The bytes of a value of the dictionary, without the length of a text.
    func dictionaryValue(_ index: Int, of leaf: ParquetLeaf) -> Range<Int> {
        dictionaryStarts[index] + (leaf.kind == .byteArray ? 4 : 0)..<dictionaryStarts[index + 1]
    }

    /// Opens a data page.
    func open(_ page: ParquetPage, of chunk: ParquetChunk) throws(ParquetError) {
        if !isUnpacked { try chunk.unpack(page, into: &raw, frames) }
        isUnpacked = false
        var place = 0
        repetition = try levels(
            max: chunk.leaf.repetitionMax, page, &place, into: &repetitions)
        definition = try levels(
            max: chunk.leaf.definitionMax, page, &place, into: &definitions)
        values = place..<page.rawBytes
        let most = UInt8(chunk.leaf.definitionMax)
        if let definition {
            defined = definition == most ? page.count : 0
        } else {
            defined = Self.count(of: most, in: definitions.span, 0..<page.count)
        }
    }

    private func levels(
        max: Int, _ page: ParquetPage, _ place: inout Int, into levels: inout [UInt8]
    ) throws(ParquetError) -> UInt8? {
        guard max > 0 else { return 0 }
        guard page.rawBytes - place >= 4 else { throw .malformedPage }
        let raw = raw
        let size = Self.length(raw.span, place)
        place += 4
        guard size <= page.rawBytes - place else { throw .malformedPage }
        let range = place..<place + size
        place = range.upperBound
        let same = try HybridRuns.read(
            raw.span, range, width: HybridRuns.width(of: max), count: page.count,
            into: &levels)
        if let same {
            guard same <= max else { throw .malformedPage }
        } else {
            guard Self.greatest(of: levels.span, page.count) <= max else { throw .malformedPage }
        }
        return same
    }

    /// Reads the places in the dictionary that the page's values are given by.
    ///
    /// - Returns: the place, when all are the same; then `indices` stay as they were.
    func readIndices(into indices: inout [UInt32]) throws(ParquetError) -> UInt32? {
        guard defined > 0 else { return 0 }
        guard !values.isEmpty else { throw .malformedPage }
        let raw = raw
        let width = Int(raw[values.lowerBound])
        let same = try HybridRuns.read(
            raw.span, values.lowerBound + 1..<values.upperBound, width: width, count: defined,
            into: &indices)
        let greatest = same.map { Int($0) } ?? Self.greatest(of: indices.span, defined)
        guard greatest < dictionaryCount else { throw .malformedPage }
        return same
    }

    /// Where the values of a page begin and end that are no texts and no booleans.
    func fixedValues(_ leaf: ParquetLeaf) throws(ParquetError) -> Range<Int> {
        guard values.count / leaf.width >= defined else { throw .malformedPage }
        return values.lowerBound..<values.lowerBound + defined * leaf.width
    }

    // MARK: Loops over numbers

    static func length(_ bytes: Span<UInt8>, _ place: Int) -> Int {
        Int(UInt32(truncatingIfNeeded: bytes.word(at: place)))
    }

    /// Gives where each of `count` plain values begins and ends, the length of a text being its own.
    static func forEachValue(
        _ leaf: ParquetLeaf, _ bytes: Span<UInt8>, _ range: Range<Int>, count: Int,
        _ body: (_ start: Int, _ end: Int) -> Void
    ) throws(ParquetError) {
        var place = range.lowerBound
        if leaf.kind == .byteArray {
            for _ in 0..<count {
                guard range.upperBound - place >= 4 else { throw .malformedPage }
                let size = length(bytes, place)
                guard size <= range.upperBound - place - 4 else { throw .malformedPage }
                body(place, place + 4 + size)
                place += 4 + size
            }
        } else {
            guard leaf.width > 0, range.count / leaf.width >= count else { throw .malformedPage }
            for _ in 0..<count {
                body(place, place + leaf.width)
                place += leaf.width
            }
        }
    }

    static func count(of level: UInt8, in levels: Span<UInt8>, _ range: Range<Int>) -> Int {
        var count = 0
        for index in range where levels[index] == level { count += 1 }
        return count
    }

    private static func greatest<Value: FixedWidthInteger>(
        of values: Span<Value>, _ count: Int
    ) -> Int {
        var greatest: Value = 0
        for index in 0..<count { greatest = max(greatest, values[index]) }
        return Int(greatest)
    }
}
