internal import Compression

/// What a column chunk holds, entry by entry: where it has a value, which, and how rows and lists are made of them.
///
/// Two chunks whose digests are equal hold the same, however their pages and dictionaries are made.
struct ColumnDigest: Equatable, Sendable {
    fileprivate(set) var entries = 0
    fileprivate(set) var nulls = 0
    /// A polynomial of 64 bits over the hashes of the entries, so that their order counts.
    fileprivate(set) var sum: UInt64 = 0

    /// The polynomial's variable.
    fileprivate static let base: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// Takes an entry up. Overflow is the working of the sum.
    fileprivate mutating func add(_ hash: UInt64) { sum = sum &* Self.base &+ hash }

    /// Takes the same entry up `count` times.
    fileprivate mutating func add(_ hash: UInt64, times count: Int) {
        // The step s → s·b + h, doubled as often as the count asks for.
        var (factor, term) = (Self.base, hash)
        var rest = count
        while rest > 0 {
            if rest & 1 == 1 { sum = sum &* factor &+ term }
            term = term &* factor &+ term
            factor = factor &* factor
            rest >>= 1
        }
    }
}

/// Reads column chunks value by value, to tell what they hold.
///
/// It has its own reader of levels and values, run by run, which shares nothing with the one that chunks are written anew from but the
/// frame of pages: a mistake of one is seen by the other. Used by one thread at a time.
final class ChunkDigester {
    private let frames: ZstdFrames
    private var raw: [UInt8] = []
    private var dictionary: [UInt8] = []
    /// Hash of each value of the dictionary, and whether an entry has it.
    private var hashes: [UInt64] = []
    private var isUsed: [Bool] = []

    init(_ frames: ZstdFrames) { self.frames = frames }

    /// Gives the page and the dictionary that were unpacked last, for other memory.
    func exchange(_ raw: inout [UInt8], _ dictionary: inout [UInt8]) {
        swap(&self.raw, &raw)
        swap(&self.dictionary, &dictionary)
    }

    /// What a chunk holds.
    ///
    /// - Parameters:
    ///   - kept: numbers of the rows that count, ascending; nil for all.
    ///   - rows: how many the row group has.
    ///   - ends: what the footer says of the chunk, to be held against its values; nil to look at none.
    /// - Throws: also when a value of the dictionary is of no entry, or the ends are not those of the values.
    func digest(
        _ chunk: ParquetChunk, keeping kept: [Range<Int>]?, of rows: Int, ends: ClaimedEnds? = nil
    ) throws(ParquetError) -> ColumnDigest {
        var ends = ends
        try openDictionary(chunk)
        var digest = ColumnDigest()
        var stay = RowRuns(kept ?? [0..<rows])
        for page in chunk.pages {
            try chunk.unpack(page, into: &raw, frames)
            try take(page, of: chunk, &stay, &digest, ends: &ends)
        }
        guard stay.row == rows else { throw .malformedPage }
        if kept == nil, !isUsed.allSatisfy(\.self) {
            throw ParquetError(.malformed, "a dictionary has a value that no row has")
        }
        if var ends {
            if chunk.dictionary != nil {
                let dictionary = dictionary
                let span = dictionary.span
                var place = 0
                for _ in hashes.indices {
                    let value = try Self.value(
                        chunk.leaf, span, place, chunk.dictionary?.rawBytes ?? 0)
                    ends.check(span, value)
                    place = value.upperBound
                }
            }
            guard ends.areMet, ends.nulls.map({ $0 == digest.nulls }) ?? true else {
                throw ParquetError(
                    .malformed, "the statistics of a column are not those of its values")
            }
        }
        return digest
    }

    /// A sum over bytes, which tells whether they are still what was written.
    static func sum(_ bytes: [UInt8]) -> UInt64 {
        let padded = bytes.count & ~7
        let hash = ValueHash.of(bytes.span, 0..<padded)
        // The last few have no eight bytes behind them.
        return bytes[padded...].reduce(hash) { ($0 ^ UInt64($1)) &* ColumnDigest.base }
    }

    /// Where the bytes of the plain value at `place` are.
    private static func value(
        _ leaf: ParquetLeaf, _ bytes: Span<UInt8>, _ place: Int, _ end: Int
    ) throws(ParquetError) -> Range<Int> {
        guard leaf.kind == .byteArray else {
            guard leaf.width > 0, end - place >= leaf.width else { throw .malformedPage }
            return place..<place + leaf.width
        }
        guard end - place >= 4 else { throw .malformedPage }
        let count = Int(truncatingIfNeeded: ValueHash.load(bytes, place, count: 4))
        guard count <= end - place - 4 else { throw .malformedPage }
        return place + 4..<place + 4 + count
    }

    private func openDictionary(_ chunk: ParquetChunk) throws(ParquetError) {
        hashes.removeAll(keepingCapacity: true)
        isUsed.removeAll(keepingCapacity: true)
        guard let page = chunk.dictionary else { return }
        try chunk.unpack(page, into: &dictionary, frames)
        let dictionary = dictionary
        let span = dictionary.span
        var place = 0
        for _ in 0..<page.count {
            let value = try Self.value(chunk.leaf, span, place, page.rawBytes)
            hashes.append(ValueHash.of(span, value))
            place = value.upperBound
        }
        isUsed.append(contentsOf: repeatElement(false, count: page.count))
    }

    private func take(
        _ page: ParquetPage, of chunk: ParquetChunk, _ stay: inout RowRuns,
        _ digest: inout ColumnDigest, ends: inout ClaimedEnds?
    ) throws(ParquetError) {
        let leaf = chunk.leaf
        let raw = raw
        let bytes = raw.span
        let end = page.rawBytes
        var place = 0
        var repetitions = try LevelRuns(leaf.repetitionMax, bytes, &place, end)
        var definitions = try LevelRuns(leaf.definitionMax, bytes, &place, end)
        var places: LevelRuns?
        if !page.isPlain, place < end {
            let width = Int(ValueHash.load(bytes, place, count: 1))
            places = try LevelRuns(width: width, place + 1..<end)
        }
        var boolean = 0
        var left = page.count
        while left > 0 {
            let (repetition, repeated) = try repetitions.peek(bytes, most: left)
            let (definition, defined) = try definitions.peek(bytes, most: left)
            guard repetition <= leaf.repetitionMax, definition <= leaf.definitionMax else {
                throw .malformedPage
            }
            var count = min(repeated, defined)
            let isKept: Bool
            if repetition == 0 {
                isKept = stay.take(&count)
            } else {
                guard stay.row > 0 else { throw .malformedPage }
                isKept = stay.isLastKept
            }
            repetitions.drop(count)
            definitions.drop(count)
            left -= count
            // The levels are part of each entry's hash. Overflow is the working of it.
            let level = (UInt64(repetition) << 8 | UInt64(definition)) &* 0xD6E8_FEB8_6659_FD93
            if isKept { digest.entries += count }
            if definition < leaf.definitionMax {
                if isKept {
                    digest.nulls += count
                    digest.add(level, times: count)
                }
            } else if places != nil {
                try takeIndices(count, &places!, bytes, isKept ? level : nil, &digest)
            } else if !page.isPlain {
                throw .malformedPage
            } else if leaf.kind == .boolean {
                guard end - place >= (boolean + count + 7) / 8 else { throw .malformedPage }
                for value in boolean..<boolean + count where isKept {
                    let isSet =
                        ValueHash.load(bytes, place + value / 8, count: 1) >> UInt64(value % 8) & 1
                    digest.add(level ^ (isSet &+ 1) &* ColumnDigest.base)
                    ends?.check(boolean: isSet == 1)
                }
                boolean += count
            } else {
                for _ in 0..<count {
                    let value = try Self.value(leaf, bytes, place, end)
                    place = value.upperBound
                    guard isKept else { continue }
                    digest.add(level ^ ValueHash.of(bytes, value))
                    ends?.check(bytes, value)
                }
            }
        }
    }

    /// Goes over the places in the dictionary of `count` entries, and takes their values up unless `level` is nil.
    private func takeIndices(
        _ count: Int, _ places: inout LevelRuns, _ bytes: Span<UInt8>, _ level: UInt64?,
        _ digest: inout ColumnDigest
    ) throws(ParquetError) {
        let hashes = hashes
        var left = count
        while left > 0 {
            let run = try places.open(bytes, most: left)
            left -= run.count
            guard let level else {
                places.drop(run.count)
                continue
            }
            if let value = run.value {
                guard value < hashes.count else { throw .malformedPage }
                isUsed[value] = true
                digest.add(level ^ hashes[value], times: run.count)
            } else {
                try Self.takePacked(
                    bytes, places.bit, run.count, width: places.width, hashes.span, &isUsed, level,
                    &digest)
            }
            places.drop(run.count)
        }
    }

    private static func takePacked(
        _ bytes: Span<UInt8>, _ bit: Int, _ count: Int, width: Int, _ hashes: Span<UInt64>,
        _ isUsed: inout [Bool], _ level: UInt64, _ digest: inout ColumnDigest
    ) throws(ParquetError) {
        let mask = UInt64.max >> UInt64(64 - width)
        var sum = digest.sum
        var marks = isUsed.mutableSpan
        var bit = bit
        for _ in 0..<count {
            let index = Int(truncatingIfNeeded: bytes.word(at: bit >> 3) >> UInt64(bit & 7) & mask)
            bit += width
            guard index < hashes.count else { throw .malformedPage }
            marks[index] = true
            // As in `ColumnDigest.add`.
            sum = sum &* ColumnDigest.base &+ (level ^ hashes[index])
        }
        digest.sum = sum
    }
}

/// Which rows of a group count, run by run.
private struct RowRuns {
    private let kept: [Range<Int>]
    private var next = 0
    /// Rows that have begun.
    private(set) var row = 0
    private(set) var isLastKept = false

    init(_ kept: [Range<Int>]) { self.kept = kept }

    /// Begins up to `count` rows that are alike, says in `count` how many, and gives whether they count.
    mutating func take(_ count: inout Int) -> Bool {
        while next < kept.count, kept[next].upperBound <= row { next += 1 }
        if next == kept.count {
            isLastKept = false
        } else if row < kept[next].lowerBound {
            isLastKept = false
            count = min(count, kept[next].lowerBound - row)
        } else {
            isLastKept = true
            count = min(count, kept[next].upperBound - row)
        }
        row += count
        return isLastKept
    }
}

/// Numbers of levels or places in a dictionary, run by run.
private struct LevelRuns {
    let width: Int
    private var place: Int
    private let end: Int
    /// Numbers that are left of the run.
    private var left = 0
    /// What the run repeats; nil when it is packed.
    private var repeated: Int?
    /// Where the next number of a packed run begins.
    private(set) var bit = 0

    init(width: Int, _ range: Range<Int>) throws(ParquetError) {
        guard width <= 32 else { throw .malformedPage }
        self.width = width
        place = range.lowerBound
        end = range.upperBound
    }

    /// Levels up to `max`, behind their length.
    init(_ max: Int, _ bytes: Span<UInt8>, _ start: inout Int, _ end: Int) throws(ParquetError) {
        guard max > 0 else {
            try self.init(width: 0, 0..<0)
            return
        }
        guard end - start >= 4 else { throw .malformedPage }
        let size = Int(truncatingIfNeeded: ValueHash.load(bytes, start, count: 4))
        start += 4
        guard size <= end - start else { throw .malformedPage }
        let range = start..<start + size
        start = range.upperBound
        var bits = 0
        while max >> bits > 0 { bits += 1 }
        try self.init(width: bits, range)
    }

    private mutating func number(_ bytes: Span<UInt8>) throws(ParquetError) -> UInt64 {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 63, by: 7) {
            guard place < end else { throw .malformedPage }
            let byte = ValueHash.load(bytes, place, count: 1)
            place += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80 { return number }
        }
        throw .malformedPage
    }

    /// The run that comes: how many numbers are left of it, `most` at most, and what they all are when they are repeated.
    mutating func open(
        _ bytes: Span<UInt8>, most: Int
    ) throws(ParquetError) -> (value: Int?, count: Int) {
        if width == 0 { return (0, most) }
        if left == 0 {
            let head = try number(bytes)
            if head & 1 == 1 {
                let groups = head >> 1
                guard groups > 0, groups <= UInt64((end - place) / width) else {
                    throw .malformedPage
                }
                repeated = nil
                bit = place * 8
                left = Int(groups) * 8
                place += Int(groups) * width
            } else {
                let size = (width + 7) / 8
                guard head > 1, end - place >= size else { throw .malformedPage }
                repeated = Int(truncatingIfNeeded: ValueHash.load(bytes, place, count: size))
                place += size
                left = Int(min(head >> 1, UInt64(Int32.max)))
            }
        }
        return (repeated, min(left, most))
    }

    /// The number that comes, and how often in a row, `most` at most.
    mutating func peek(_ bytes: Span<UInt8>, most: Int) throws(ParquetError) -> (Int, Int) {
        let run = try open(bytes, most: most)
        if let value = run.value { return (value, run.count) }
        func packed(_ index: Int) -> UInt64 {
            let bit = bit + index * width
            return bytes.word(at: bit >> 3) >> UInt64(bit & 7) & (UInt64.max >> UInt64(64 - width))
        }
        let value = packed(0)
        var count = 1
        while count < run.count, packed(count) == value { count += 1 }
        return (Int(value), count)
    }

    /// Goes behind `count` numbers of the run that comes.
    mutating func drop(_ count: Int) {
        guard width > 0 else { return }
        left -= count
        if repeated == nil { bit += count * width }
    }
}

/// Hashes of values, which are alike in dictionaries and pages.
private enum ValueHash {
    /// The first `count` of eight bytes as a number. What is read has eight bytes more behind it.
    @inline(__always)
    static func load(_ bytes: Span<UInt8>, _ place: Int, count: Int) -> UInt64 {
        count == 0 ? 0 : bytes.word(at: place) & (UInt64.max >> UInt64(64 - 8 * min(8, count)))
    }

    static func of(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64 {
        var hash = UInt64(range.count) &+ 0x2545_F491_4F6C_DD1D
        var place = range.lowerBound
        while place < range.upperBound {
            // The halves of a product of 128 bits, folded.
            let word = load(bytes, place, count: range.upperBound - place)
            let product = (hash ^ word).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
            hash = product.high ^ product.low ^ word
            place += 8
        }
        return hash
    }
}

/// What a footer says of a column chunk's values, held against them one by one.
struct ClaimedEnds {
    /// Entries without a value; nil where it is not said.
    let nulls: Int?
    private let leaf: ParquetLeaf
    private let ends: Ends?
    private var isLeastSeen = false
    private var isGreatestSeen = false
    private var isOutside = false

    private enum Ends {
        case integers(Int64, Int64)
        case numbers(Double, Double)
        case bytes([UInt8], [UInt8])
    }

    init(_ statistics: ThriftStruct?, _ leaf: ParquetLeaf) throws(ParquetError) {
        self.leaf = leaf
        nulls = try statistics?.integer(3).map { Int($0) }
        let least = try statistics?.binary(6).map { Array($0) }
        let greatest = try statistics?.binary(5).map { Array($0) }
        guard (least == nil) == (greatest == nil),
            try statistics?.binary(1).map({ $0.elementsEqual(greatest ?? []) }) ?? true,
            try statistics?.binary(2).map({ $0.elementsEqual(least ?? []) }) ?? true
        else {
            throw ParquetError(.malformed, "the statistics of a column contradict each other")
        }
        guard let least, let greatest else {
            ends = nil
            return
        }
        let width = leaf.kind == .boolean ? 1 : leaf.width
        switch leaf.order {
        case .bytes, nil: ends = .bytes(least, greatest)
        case .boolean, .int32, .int64, .float, .double:
            guard least.count == width, greatest.count == width else {
                throw ParquetError(.malformed, "the statistics of a column are of another type")
            }
            // What is loaded has eight bytes more behind it.
            let padding = [UInt8](repeating: 0, count: 8)
            let (one, two) = (least + padding, greatest + padding)
            ends =
                leaf.order == .float || leaf.order == .double
                ? .numbers(
                    Self.number(one.span, 0, width), Self.number(two.span, 0, width))
                : .integers(Self.integer(one.span, 0, width), Self.integer(two.span, 0, width))
        }
    }

    /// Whether all values lie between the ends, and both ends are values.
    var areMet: Bool { ends == nil || !isOutside && isLeastSeen && isGreatestSeen }

    mutating func check(boolean: Bool) {
        guard case .integers(let least, let greatest)? = ends else { return }
        let value: Int64 = boolean ? 1 : 0
        note(Self.order(value, least), Self.order(value, greatest))
    }

    /// - Parameter bytes: has eight more behind `range`.
    mutating func check(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        switch ends {
        case nil: break
        case .integers(let least, let greatest)?:
            let value = Self.integer(bytes, range.lowerBound, leaf.width)
            note(Self.order(value, least), Self.order(value, greatest))
        case .numbers(let least, let greatest)?:
            let value = Self.number(bytes, range.lowerBound, leaf.width)
            note(Self.order(value, least), Self.order(value, greatest))
        case .bytes(let least, let greatest)?:
            note(Self.order(bytes, range, least), Self.order(bytes, range, greatest))
        }
    }

    private static func integer(_ bytes: Span<UInt8>, _ place: Int, _ width: Int) -> Int64 {
        let word = ValueHash.load(bytes, place, count: width)
        return width == 4 ? Int64(Int32(truncatingIfNeeded: word)) : Int64(bitPattern: word)
    }

    private static func number(_ bytes: Span<UInt8>, _ place: Int, _ width: Int) -> Double {
        let word = ValueHash.load(bytes, place, count: width)
        return width == 4
            ? Double(Float(bitPattern: UInt32(truncatingIfNeeded: word)))
            : Double(bitPattern: word)
    }

    private static func order<Number: Comparable>(_ one: Number, _ two: Number) -> Int {
        one < two ? -1 : one == two ? 0 : 1
    }

    private mutating func note(_ least: Int, _ greatest: Int) {
        if least < 0 || greatest > 0 { isOutside = true }
        if least == 0 { isLeastSeen = true }
        if greatest == 0 { isGreatestSeen = true }
    }

    private static func order(_ bytes: Span<UInt8>, _ range: Range<Int>, _ end: [UInt8]) -> Int {
        let end = end.span
        let common = min(range.count, end.count)
        var step = 0
        while step < common, bytes[range.lowerBound + step] == end[step] { step += 1 }
        guard step < common else { return range.count - end.count }
        return bytes[range.lowerBound + step] < end[step] ? -1 : 1
    }
}
