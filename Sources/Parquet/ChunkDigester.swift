internal import Compression

/// What a column chunk holds, entry by entry: where it has a value, which, and how rows and lists are made of them.
///
/// Two chunks whose digests are equal hold the same, however their pages and dictionaries are made.
struct ColumnDigest: Equatable, Sendable {
    fileprivate(set) var entries = 0
    fileprivate(set) var nulls = 0
    /// A polynomial of 64 bits over the hashes of the entries, so that their order counts.
    fileprivate(set) var sum: UInt64 = 0
    /// An entry's hash that is still to be taken up so often: the same entry mostly comes on behind rows that go.
    private var waiting: (hash: UInt64, count: Int) = (0, 0)

    /// The polynomial's variable.
    fileprivate static let base: UInt64 = 0x9E37_79B9_7F4A_7C15

    static func == (left: ColumnDigest, right: ColumnDigest) -> Bool {
        precondition(left.waiting.count == 0 && right.waiting.count == 0, "both are whole")
        return left.entries == right.entries && left.nulls == right.nulls && left.sum == right.sum
    }

    /// Takes the same entry up `count` times.
    fileprivate mutating func add(_ hash: UInt64, times count: Int) {
        if hash != waiting.hash { settle() }
        waiting = (hash, waiting.count + count)
    }

    /// Takes up what waits. Overflow is the working of the sum.
    fileprivate mutating func settle() {
        // The step s → s·b + h, doubled as often as the count asks for.
        var (factor, term) = (Self.base, waiting.hash)
        var rest = waiting.count
        waiting.count = 0
        while rest > 0 {
            if rest & 1 == 1 { sum = sum &* factor &+ term }
            term = term &* factor &+ term
            factor = factor &* factor
            rest >>= 1
        }
    }

    /// Takes up `count` entries, each given by its hash.
    @inline(__always)
    fileprivate mutating func add(
        _ count: Int, _ hash: (_ index: Int) throws(ParquetError) -> UInt64
    ) throws(ParquetError) {
        settle()
        let (one, two) = (Self.base, Self.base &* Self.base)
        var sum = sum
        var index = 0
        // Two steps at once, so that one does not wait for the other.
        while index &+ 1 < count {
            let (first, second) = (try hash(index), try hash(index &+ 1))
            sum = sum &* two &+ (first &* one &+ second)
            index &+= 2
        }
        if index < count { sum = sum &* one &+ (try hash(index)) }
        self.sum = sum
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
    ///   - hasIdleValues: whether the dictionary may have values that no entry has.
    ///   - page: given the bytes of the dictionary and of each page, unpacked.
    ///   - text: given each text, those of a dictionary once.
    /// - Throws: also when a value of the dictionary is of no entry, or the ends are not those of the values.
    func digest(
        _ chunk: ParquetChunk, keeping kept: [Range<Int>]?, of rows: Int, ends: ClaimedEnds? = nil,
        hasIdleValues: Bool = false, page tell: ((Span<UInt8>) -> Void)? = nil,
        text: ((Span<UInt8>) -> Void)? = nil
    ) throws(ParquetError) -> ColumnDigest {
        var ends = ends
        try openDictionary(chunk)
        if let tell, let page = chunk.dictionary {
            let dictionary = dictionary
            tell(dictionary.span.extracting(first: page.rawBytes))
        }
        var digest = ColumnDigest()
        var stay = RowRuns(kept ?? [0..<rows])
        for page in chunk.pages {
            try chunk.unpack(page, into: &raw, frames)
            try take(page, of: chunk, &stay, &digest, ends: &ends, text)
            if let tell {
                let raw = raw
                tell(raw.span.extracting(first: page.rawBytes))
            }
        }
        digest.settle()
        guard stay.row == rows else { throw .malformedPage }
        if kept == nil, !hasIdleValues, !isUsed.allSatisfy(\.self) {
            throw ParquetError(.malformed, "a dictionary has a value that no row has")
        }
        if ends != nil || text != nil, let page = chunk.dictionary {
            let dictionary = dictionary
            let span = dictionary.span
            var place = 0
            for _ in hashes.indices {
                let value = try Self.value(chunk.leaf, span, place, page.rawBytes)
                ends?.check(span, value)
                text?(span.extracting(value))
                place = value.upperBound
            }
        }
        if let ends {
            guard ends.areMet, ends.nulls.map({ $0 == digest.nulls }) ?? true else {
                throw ParquetError(
                    .malformed, "the statistics of a column are not those of its values")
            }
        }
        return digest
    }

    /// A sum over bytes, which tells whether they are still what was written.
    static func sum(_ bytes: [UInt8]) -> UInt64 {
        let span = bytes.span
        // Four at a time, so that one does not wait for the other.
        var (one, two) = (UInt64(bytes.count), UInt64(1))
        var (three, four) = (UInt64(2), UInt64(3))
        var place = 0
        while place + 32 <= bytes.count {
            one = ValueHash.mixed(one, span.word(at: place))
            two = ValueHash.mixed(two, span.word(at: place + 8))
            three = ValueHash.mixed(three, span.word(at: place + 16))
            four = ValueHash.mixed(four, span.word(at: place + 24))
            place += 32
        }
        let sum = [two, three, four].reduce(one, ValueHash.mixed)
        // The last few may have no eight bytes behind them.
        return bytes[place...].reduce(sum) { ($0 ^ UInt64($1)) &* ColumnDigest.base }
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
        _ digest: inout ColumnDigest, ends: inout ClaimedEnds?, _ text: ((Span<UInt8>) -> Void)?
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
        let hashes = hashes
        // Taken out while the page is gone over, so that nothing else has it.
        var marks: [Bool] = []
        swap(&marks, &isUsed)
        defer { swap(&marks, &isUsed) }
        var boolean = 0
        var left = page.count
        while left > 0 {
            let (repetition, repeated) = try repetitions.peek(bytes, most: left)
            let (definition, defined) = try definitions.peek(bytes, most: left)
            guard repetition <= leaf.repetitionMax, definition <= leaf.definitionMax else {
                throw .malformedPage
            }
            guard repetition == 0 || stay.row > 0 else { throw .malformedPage }
            var run = min(repeated, defined)
            repetitions.drop(run)
            definitions.drop(run)
            left -= run
            // The levels are part of each entry's hash. Overflow is the working of it.
            let level = (UInt64(repetition) << 8 | UInt64(definition)) &* 0xD6E8_FEB8_6659_FD93
            while run > 0 {
                var count = run
                let isKept = repetition == 0 ? stay.take(&count) : stay.isLastKept
                run -= count
                if isKept { digest.entries += count }
                if definition < leaf.definitionMax {
                    if isKept {
                        digest.nulls += count
                        digest.add(level, times: count)
                    }
                } else if places != nil {
                    try Self.takeIndices(
                        count, &places!, bytes, hashes.span, &marks, isKept ? level : nil, &digest)
                } else if !page.isPlain {
                    throw .malformedPage
                } else if leaf.kind == .boolean {
                    guard end - place >= (boolean + count + 7) / 8 else { throw .malformedPage }
                    for value in boolean..<boolean + count where isKept {
                        let byte = ValueHash.load(bytes, place + value / 8, count: 1)
                        let isSet = byte >> UInt64(value % 8) & 1
                        digest.add(level ^ (isSet &+ 1) &* ColumnDigest.base, times: 1)
                        ends?.check(boolean: isSet == 1)
                    }
                    boolean += count
                } else if leaf.kind == .byteArray {
                    try Self.takeTexts(
                        count, &place, bytes, end, isKept ? level : nil, &digest, &ends,
                        text)
                } else {
                    guard leaf.width > 0, (end - place) / leaf.width >= count else {
                        throw .malformedPage
                    }
                    if isKept {
                        try Self.takeFixed(count, place, leaf.width, bytes, level, &digest)
                        ends?.check(bytes, from: place, count: count)
                    }
                    place += count * leaf.width
                }
            }
        }
    }

    /// Takes up `count` values of `width` bytes each, all of which are there.
    private static func takeFixed(
        _ count: Int, _ place: Int, _ width: Int, _ bytes: Span<UInt8>, _ level: UInt64,
        _ digest: inout ColumnDigest
    ) throws(ParquetError) {
        switch width {
        case 8:
            try digest.add(count) { index throws(ParquetError) in
                level ^ ValueHash.mixed(ValueHash.start(8), bytes.word(at: place + 8 * index))
            }
        case 16:
            try digest.add(count) { index throws(ParquetError) in
                let first = place + 16 * index
                let half = ValueHash.mixed(ValueHash.start(16), bytes.word(at: first))
                return level ^ ValueHash.mixed(half, bytes.word(at: first + 8))
            }
        default:
            try digest.add(count) { index throws(ParquetError) in
                let first = place + width * index
                return level ^ ValueHash.of(bytes, first..<first + width)
            }
        }
    }

    /// Goes over `count` texts, and takes them up unless `level` is nil.
    private static func takeTexts(
        _ count: Int, _ start: inout Int, _ bytes: Span<UInt8>, _ end: Int, _ level: UInt64?,
        _ digest: inout ColumnDigest, _ ends: inout ClaimedEnds?, _ text: ((Span<UInt8>) -> Void)?
    ) throws(ParquetError) {
        var place = start
        @inline(__always)
        func next() throws(ParquetError) -> Range<Int> {
            guard end - place >= 4 else { throw .malformedPage }
            let size = Int(truncatingIfNeeded: bytes.word(at: place) & 0xFFFF_FFFF)
            guard size <= end - place - 4 else { throw .malformedPage }
            defer { place += 4 + size }
            return place + 4..<place + 4 + size
        }
        guard let level else {
            for _ in 0..<count { _ = try next() }
            start = place
            return
        }
        try digest.add(count) { _ throws(ParquetError) in
            let value = try next()
            ends?.check(bytes, value)
            text?(bytes.extracting(value))
            return level ^ ValueHash.of(bytes, value)
        }
        start = place
    }

    /// Goes over the places in the dictionary of `count` entries, and takes their values up unless `level` is nil.
    private static func takeIndices(
        _ count: Int, _ places: inout LevelRuns, _ bytes: Span<UInt8>, _ hashes: Span<UInt64>,
        _ isUsed: inout [Bool], _ level: UInt64?, _ digest: inout ColumnDigest
    ) throws(ParquetError) {
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
                try takePacked(
                    bytes, places.bit, run.count, width: places.width, hashes, &isUsed, level,
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
        var marks = isUsed.mutableSpan
        precondition(marks.count == hashes.count && (bit + count * width) >> 3 + 8 <= bytes.count)
        try digest.add(count) { number throws(ParquetError) in
            let bit = bit &+ number &* width
            // SAFETY: the number begins before the run ends, behind which eight bytes are.
            let word = unsafe bytes.uncheckedWord(at: bit >> 3)
            let index = Int(truncatingIfNeeded: word >> UInt64(bit & 7) & mask)
            guard index < hashes.count else { throw .malformedPage }
            // SAFETY: there is a mark for each hash, and the index is one of a hash.
            unsafe marks[unchecked: index] = true
            return unsafe level ^ hashes[unchecked: index]
        }
    }
}
