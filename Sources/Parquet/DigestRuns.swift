// What the second reader of pages goes by; the first has none of it.

/// Which rows of a group count, run by run.
struct RowRuns {
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
struct LevelRuns {
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
enum ValueHash {
    /// The first `count` of eight bytes as a number. What is read has eight bytes more behind it.
    @inline(__always)
    static func load(_ bytes: Span<UInt8>, _ place: Int, count: Int) -> UInt64 {
        count == 0 ? 0 : bytes.word(at: place) & (UInt64.max >> UInt64(64 - 8 * min(8, count)))
    }

    /// What the hash of a value of `count` bytes begins with.
    @inline(__always)
    static func start(_ count: Int) -> UInt64 { UInt64(count) &+ 0x2545_F491_4F6C_DD1D }

    /// The hash with a word more: the halves of a product of 128 bits, folded.
    @inline(__always)
    static func mixed(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        let product = (hash ^ word).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        return product.high ^ product.low ^ word
    }

    static func of(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64 {
        var hash = start(range.count)
        var place = range.lowerBound
        while place + 8 <= range.upperBound {
            hash = mixed(hash, bytes.word(at: place))
            place += 8
        }
        if place < range.upperBound {
            hash = mixed(hash, load(bytes, place, count: range.upperBound - place))
        }
        return hash
    }
}
