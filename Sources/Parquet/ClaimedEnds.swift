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
        /// With the first eight bytes of each as a number that sorts as they do, which tells most comparisons.
        case bytes([UInt8], [UInt8], heads: (UInt64, UInt64))
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
        case .bytes, nil:
            let padding = [UInt8](repeating: 0, count: 8)
            ends = .bytes(
                least, greatest,
                heads: (
                    Self.head((least + padding).span, 0..<least.count),
                    Self.head((greatest + padding).span, 0..<greatest.count)
                ))
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
        case .bytes(let least, let greatest, let heads)?:
            let head = Self.head(bytes, range)
            if head > heads.0, head < heads.1 { return }
            note(Self.order(bytes, range, least), Self.order(bytes, range, greatest))
        }
    }

    /// Checks `count` values of equal width that lie one behind the other.
    mutating func check(_ bytes: Span<UInt8>, from start: Int, count: Int) {
        let width = leaf.width
        switch ends {
        case nil: break
        case .integers(let least, let greatest)? where width == 8:
            var (first, last) = (Int64.max, Int64.min)
            for index in 0..<count {
                let number = Int64(bitPattern: bytes.word(at: start + 8 * index))
                first = min(first, number)
                last = max(last, number)
            }
            guard count > 0 else { return }
            note(Self.order(first, least), Self.order(first, greatest))
            note(Self.order(last, least), Self.order(last, greatest))
        case .bytes(_, _, let heads)? where width >= 8:
            for place in stride(from: start, to: start + count * width, by: width) {
                let head = bytes.word(at: place).byteSwapped
                if head <= heads.0 || head >= heads.1 { check(bytes, place..<place + width) }
            }
        default:
            for place in stride(from: start, to: start + count * width, by: width) {
                check(bytes, place..<place + width)
            }
        }
    }

    /// Up to eight bytes as a number that sorts as they do; what is missing is zero.
    private static func head(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64 {
        ValueHash.load(bytes, range.lowerBound, count: range.count).byteSwapped
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
        while step + 8 <= common, bytes.word(at: range.lowerBound + step) == end.word(at: step) {
            step += 8
        }
        while step < common, bytes[range.lowerBound + step] == end[step] { step += 1 }
        guard step < common else { return range.count - end.count }
        return bytes[range.lowerBound + step] < end[step] ? -1 : 1
    }
}
