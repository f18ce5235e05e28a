internal import Compression

/// A column chunk without some of its rows.
struct RewrittenChunk: Sendable {
    /// What the footer says of it.
    struct Description: Equatable, Sendable {
        var entries = 0
        /// Of all pages, unpacked, their headers counted.
        var rawBytes = 0
        var bytes = 0
        /// Length of the dictionary's page, the first of the chunk.
        var dictionaryBytes: Int?
        /// Numbers of the encodings of its values.
        var encodings: [Int] = []
        /// `Statistics`.
        var statistics: ThriftStruct?
    }

    var bytes: [UInt8] = []
    var description = Description()
}

/// Writes column chunks anew without some of their rows, page for page, in the encodings that they have.
///
/// A dictionary keeps the values that a row which stays has, in their order, and no other. Least, greatest and counts are those of what
/// stays. Keeps its memory from chunk to chunk. Used by one thread at a time.
final class ChunkRewriter {
    private let frames: ZstdFrames
    private let reader: PageReader
    /// Places in the old dictionary of all values that stay, and of one page's values.
    private var indices: [UInt32] = []
    private var pageIndices: [UInt32] = []
    private var isUsed: [Bool] = []
    /// The place in the new dictionary of each value of the old one that stays.
    private var newPlaces: [UInt32] = []

    /// A page whose values wait for the new dictionary.
    private struct Page {
        let old: ParquetPage
        let entries: Int
        /// Its levels, and its values when they do not go by the dictionary.
        var raw: [UInt8]
        let places: Places

        var isByDictionary: Bool { if case .none = places { false } else { true } }
    }

    /// Where the values of a page stand in the dictionary.
    private enum Places {
        /// They are plain.
        case none
        /// All at the same place.
        case same(UInt32, count: Int)
        /// At these of ``indices``.
        case each(Range<Int>)
    }

    /// Longer values are left out of the statistics.
    private static let endBytesMax = 1 << 10

    init(_ frames: ZstdFrames) {
        self.frames = frames
        reader = PageReader(frames)
    }

    /// - Parameters:
    ///   - kept: numbers of the rows that stay, ascending; at least one.
    ///   - rows: how many the row group has.
    ///   - digester: who went over the chunk just before, so that a page is unpacked once; nil when nobody did.
    func rewrite(
        _ chunk: ParquetChunk, _ statistics: ThriftStruct?, keeping kept: [Range<Int>],
        of rows: Int, unpackedBy digester: ChunkDigester? = nil
    ) throws(ParquetError) -> RewrittenChunk {
        reader.takeUnpacked(chunk, from: digester)
        try reader.openDictionary(of: chunk)
        indices.removeAll(keepingCapacity: true)
        isUsed = [Bool](repeating: false, count: reader.dictionaryCount)
        var ends = ColumnEnds(chunk.leaf)
        var cursor = EntryCursor(kept)
        var new = RewrittenChunk()
        var pages: [Page] = []
        var nulls = 0
        for page in chunk.pages {
            try reader.open(page, of: chunk)
            let entries = try cursor.entries(of: page, reader)
            let count = entries.reduce(0) { $0 + $1.count }
            guard count > 0 else { continue }
            let values = values(of: entries, most: chunk.leaf.definitionMax)
            nulls += count - values.reduce(0) { $0 + $1.count }
            new.description.entries += count
            var raw: [UInt8] = []
            raw.reserveCapacity(page.isPlain ? page.rawBytes : reader.values.lowerBound + 64)
            appendLevels(
                max: chunk.leaf.repetitionMax, reader.repetition, reader.repetitions, entries,
                count, to: &raw)
            appendLevels(
                max: chunk.leaf.definitionMax, reader.definition, reader.definitions, entries,
                count, to: &raw)
            var places = Places.none
            if page.isPlain {
                try appendPlain(values, of: chunk.leaf, to: &raw, &ends)
            } else {
                places = try takeIndices(values)
            }
            pages.append(
                Page(old: page, entries: count, raw: raw, places: places))
        }
        guard cursor.rows == rows, !pages.isEmpty else { throw .malformedPage }
        let used = try appendDictionary(of: chunk, to: &new, &ends)
        for page in pages { try append(page, used: used, chunk.codec, to: &new) }
        new.description.bytes = new.bytes.count
        new.description.statistics = Self.statistics(
            statistics, nulls: nulls, distinct: pages.allSatisfy(\.isByDictionary) ? used : nil,
            ends: ends)
        return new
    }

    /// The values of entries, as ranges of their numbers among the page's values.
    private func values(of entries: [Range<Int>], most: Int) -> [Range<Int>] {
        if let definition = reader.definition { return definition == most ? entries : [] }
        let definitions = reader.definitions
        let levels = definitions.span
        var ranges: [Range<Int>] = []
        var (entry, value) = (0, 0)
        for range in entries {
            value += PageReader.count(of: UInt8(most), in: levels, entry..<range.lowerBound)
            let count = PageReader.count(of: UInt8(most), in: levels, range)
            if count > 0 { ranges.append(value..<value + count) }
            value += count
            entry = range.upperBound
        }
        return ranges
    }

    private func appendLevels(
        max: Int, _ level: UInt8?, _ each: [UInt8], _ entries: [Range<Int>], _ count: Int,
        to raw: inout [UInt8]
    ) {
        guard max > 0 else { return }
        let start = raw.count
        raw += [0, 0, 0, 0]
        let width = HybridRuns.width(of: max)
        if let level {
            HybridRuns.append(UInt64(level), times: count, width: width, to: &raw)
        } else {
            var levels: [UInt8] = []
            levels.reserveCapacity(count)
            for range in entries { levels += each[range] }
            HybridRuns.append(levels.span, width: width, to: &raw)
        }
        let size = UInt32(raw.count - start - 4)
        for byte in 0..<4 {
            raw[start + byte] = UInt8(truncatingIfNeeded: size >> UInt32(8 * byte))
        }
    }

    // MARK: Values

    private func appendPlain(
        _ ranges: [Range<Int>], of leaf: ParquetLeaf, to raw: inout [UInt8],
        _ ends: inout ColumnEnds
    ) throws(ParquetError) {
        switch leaf.kind {
        case .boolean: try appendBooleans(ranges, to: &raw, &ends)
        case .byteArray: try appendTexts(ranges, to: &raw, &ends)
        default:
            let first = try reader.fixedValues(leaf).lowerBound
            let page = reader.raw
            let bytes = page.span
            for range in ranges {
                let place = first + range.lowerBound * leaf.width
                raw += page[place..<place + range.count * leaf.width]
                ends.noteAll(bytes, from: place, count: range.count)
            }
            ends.settle(bytes)
        }
    }

    private func appendTexts(
        _ ranges: [Range<Int>], to raw: inout [UInt8], _ ends: inout ColumnEnds
    ) throws(ParquetError) {
        let page = reader.raw
        let bytes = page.span
        var place = reader.values.lowerBound
        let end = reader.values.upperBound
        @inline(__always)
        func next() throws(ParquetError) -> Range<Int> {
            guard end - place >= 4 else { throw .malformedPage }
            let size = PageReader.length(bytes, place)
            guard size <= end - place - 4 else { throw .malformedPage }
            defer { place += 4 + size }
            return place + 4..<place + 4 + size
        }
        var value = 0
        for range in ranges {
            while value < range.lowerBound {
                _ = try next()
                value += 1
            }
            let start = place
            while value < range.upperBound {
                ends.note(bytes, try next())
                value += 1
            }
            raw += page[start..<place]
        }
        ends.settle(bytes)
    }

    private func appendBooleans(
        _ ranges: [Range<Int>], to raw: inout [UInt8], _ ends: inout ColumnEnds
    ) throws(ParquetError) {
        guard reader.values.count * 8 >= reader.defined else { throw .malformedPage }
        let page = reader.raw
        let bytes = page.span
        let first = reader.values.lowerBound
        var (byte, bit): (UInt8, UInt8) = (0, 0)
        for range in ranges {
            for value in range {
                let isSet = bytes[first + value >> 3] >> UInt8(value & 7) & 1
                ends.note(boolean: isSet == 1)
                byte |= isSet << bit
                bit += 1
                if bit == 8 {
                    raw.append(byte)
                    (byte, bit) = (0, 0)
                }
            }
        }
        if bit > 0 { raw.append(byte) }
    }

    /// Takes the dictionary's places of these values of the page over to ``indices``, and notes which are used.
    private func takeIndices(_ ranges: [Range<Int>]) throws(ParquetError) -> Places {
        let same = try reader.readIndices(into: &pageIndices)
        let count = ranges.reduce(0) { $0 + $1.count }
        if let same {
            if count > 0 { isUsed[Int(same)] = true }
            return .same(same, count: count)
        }
        let start = indices.count
        indices.reserveCapacity(start + count)
        for range in ranges { indices += pageIndices[range] }
        Self.mark(indices, from: start, in: &isUsed)
        return .each(start..<indices.count)
    }

    private static func mark(_ indices: [UInt32], from start: Int, in isUsed: inout [Bool]) {
        let indices = indices.span
        var marks = isUsed.mutableSpan
        for place in start..<indices.count { marks[Int(indices[place])] = true }
    }

    /// Writes the dictionary of what stays and gives all values their places in it.
    ///
    /// - Returns: how many values it has.
    private func appendDictionary(
        of chunk: ParquetChunk, to new: inout RewrittenChunk, _ ends: inout ColumnEnds
    ) throws(ParquetError) -> Int {
        guard let page = chunk.dictionary, isUsed.contains(true) else { return 0 }
        let dictionary = reader.dictionary
        let bytes = dictionary.span
        var places = [UInt32](repeating: 0, count: isUsed.count)
        var used = 0
        /// Values that stay, of which none touches another.
        var runs: [Range<Int>] = []
        for index in isUsed.indices where isUsed[index] {
            places[index] = UInt32(used)
            used += 1
            ends.note(bytes, reader.dictionaryValue(index, of: chunk.leaf))
            if let last = runs.last, last.upperBound == index {
                runs[runs.count - 1] = last.lowerBound..<index + 1
            } else {
                runs.append(index..<index + 1)
            }
        }
        ends.settle(bytes)
        if used == isUsed.count {
            // All of it stays, and so do its bytes.
            new.bytes += chunk.bytes[..<page.body.upperBound]
            new.description.rawBytes += page.body.lowerBound + page.rawBytes
        } else {
            var raw: [UInt8] = []
            raw.reserveCapacity(page.rawBytes)
            let starts = reader.dictionaryStarts
            for run in runs { raw += dictionary[starts[run.lowerBound]..<starts[run.upperBound]] }
            try append(
                raw, count: used, encoding: page.encoding, for: page, chunk.codec, to: &new)
        }
        newPlaces = places
        new.description.dictionaryBytes = new.bytes.count
        return used
    }

    private static func replace(
        _ range: Range<Int>, of indices: inout [UInt32], by places: Span<UInt32>
    ) {
        var span = indices.mutableSpan
        for index in range { span[index] = places[Int(span[index])] }
    }

    // MARK: Pages

    private func append(
        _ page: Page, used: Int, _ codec: ParquetChunk.Codec, to new: inout RewrittenChunk
    ) throws(ParquetError) {
        var raw = page.raw
        var encoding = page.old.encoding
        let width = max(1, HybridRuns.width(of: used - 1))
        switch page.places {
        case .same(let place, let count) where used > 0:
            raw.append(UInt8(width))
            if count > 0 {
                HybridRuns.append(
                    UInt64(newPlaces[Int(place)]), times: count, width: width, to: &raw)
            }
        case .each(let range) where used > 0:
            if used < newPlaces.count {
                Self.replace(range, of: &indices, by: newPlaces.span)
            }
            raw.reserveCapacity(raw.count + range.count * width / 8 + 64)
            raw.append(UInt8(width))
            let indices = indices
            HybridRuns.append(indices.span.extracting(range), width: width, to: &raw)
        case .none, .same, .each:
            // No value of the chunk goes by a dictionary any more: there is none.
            encoding = ParquetPage.plainEncoding
        }
        if !new.description.encodings.contains(Int(encoding)) {
            new.description.encodings.append(Int(encoding))
        }
        try append(
            raw, count: page.entries, encoding: encoding, for: page.old, codec, to: &new)
    }

    /// - Parameter old: the page that it takes the place of.
    private func append(
        _ raw: [UInt8], count: Int, encoding: Int64, for old: ParquetPage,
        _ codec: ParquetChunk.Codec, to new: inout RewrittenChunk
    ) throws(ParquetError) {
        var packedBytes = raw.count
        if codec == .zstd {
            do { packedBytes = try frames.pack(raw.span, quickly: old.isDense) } catch {
                throw ParquetError(.unfit, "a page could not be packed: \(error)")
            }
        }
        let headerBytes = ParquetPage.appendHeader(
            dictionary: old.isDictionary, count: count, encoding: encoding, rawBytes: raw.count,
            packedBytes: packedBytes, to: &new.bytes)
        switch codec {
        case .none: new.bytes += raw
        case .zstd: frames.appendPacked(to: &new.bytes)
        }
        new.description.rawBytes += headerBytes + raw.count
    }

    // MARK: Statistics

    /// Field numbers of `Statistics`.
    enum Statistic {
        static let (oldGreatest, oldLeast, nulls, distinct) = (1, 2, 3, 4)
        static let (greatest, least, isGreatestExact, isLeastExact) = (5, 6, 7, 8)
    }

    /// What the footer said of the chunk before, said of what stays; what cannot be told is left out.
    private static func statistics(
        _ old: ThriftStruct?, nulls: Int, distinct: Int?, ends: ColumnEnds
    ) -> ThriftStruct? {
        guard let old else { return nil }
        var new = ThriftStruct()
        func had(_ id: Int) -> Bool { old.field(id) != nil }
        if let (least, greatest) = ends.found, least.count <= endBytesMax,
            greatest.count <= endBytesMax
        {
            if had(Statistic.oldGreatest) { new.put(Statistic.oldGreatest, binary: greatest) }
            if had(Statistic.oldLeast) { new.put(Statistic.oldLeast, binary: least) }
            if had(Statistic.greatest) { new.put(Statistic.greatest, binary: greatest) }
            if had(Statistic.least) { new.put(Statistic.least, binary: least) }
            if had(Statistic.isGreatestExact) { new.put(Statistic.isGreatestExact, true) }
            if had(Statistic.isLeastExact) { new.put(Statistic.isLeastExact, true) }
        }
        if had(Statistic.nulls) { new.put(Statistic.nulls, i64: Int64(nulls)) }
        if had(Statistic.distinct), let distinct {
            new.put(Statistic.distinct, i64: Int64(distinct))
        }
        return new.fields.isEmpty ? nil : new
    }
}
