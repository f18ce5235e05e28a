/// The least and the greatest value of a column chunk, as far as its type's order is known.
struct ColumnEnds {
    private let leaf: ParquetLeaf
    private var integers: ClosedRange<Int64>?
    private var numbers: ClosedRange<Double>?
    private var least: [UInt8]?
    private var greatest: [UInt8]?
    /// Where they are in the bytes that values are taken from at present, instead: in sorted columns each value is the greatest yet, and
    /// none of them has to be copied.
    private var leastPlace: Range<Int>?
    private var greatestPlace: Range<Int>?
    /// The first eight bytes of each as a number, which tells most comparisons.
    private var leastHead: UInt64 = 0
    private var greatestHead: UInt64 = 0
    /// Whether there was a value that is no number.
    private var hasNaN = false

    init(_ leaf: ParquetLeaf) { self.leaf = leaf }

    /// Both as the format stores them; nil when there is no value, or they cannot be told.
    var found: (least: [UInt8], greatest: [UInt8])? {
        func bytes(_ number: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
        }
        switch leaf.order {
        case nil: return nil
        case .boolean, .int32, .int64:
            guard let integers else { return nil }
            let width = leaf.kind == .boolean ? 1 : leaf.width
            func stored(_ number: Int64) -> [UInt8] { bytes(UInt64(bitPattern: number), width) }
            return (stored(integers.lowerBound), stored(integers.upperBound))
        case .float, .double:
            guard let numbers, !hasNaN else { return nil }
            // Zeros are equal, so the least is the negative one and the greatest the other.
            let least = numbers.lowerBound == 0 ? -0.0 : numbers.lowerBound
            let greatest = numbers.upperBound == 0 ? 0.0 : numbers.upperBound
            func stored(_ number: Double) -> [UInt8] {
                leaf.kind == .float
                    ? bytes(UInt64(Float(number).bitPattern), 4) : bytes(number.bitPattern, 8)
            }
            return (stored(least), stored(greatest))
        case .bytes:
            guard let least, let greatest else { return nil }
            return (least.dropLast(8) + [], greatest.dropLast(8) + [])
        }
    }

    mutating func note(boolean: Bool) { note(integer: boolean ? 1 : 0) }

    private mutating func note(integer: Int64) {
        let found = integers ?? integer...integer
        if found.contains(integer), integers != nil { return }
        integers = min(found.lowerBound, integer)...max(found.upperBound, integer)
    }

    private mutating func note(number: Double) {
        guard !number.isNaN else {
            hasNaN = true
            return
        }
        let found = numbers ?? number...number
        numbers = min(found.lowerBound, number)...max(found.upperBound, number)
    }

    /// Takes `count` values of equal width up that lie one behind the other.
    mutating func noteAll(_ bytes: Span<UInt8>, from start: Int, count: Int) {
        guard let order = leaf.order, count > 0 else { return }
        switch order {
        case .int64:
            var (least, greatest) = (Int64.max, Int64.min)
            for index in 0..<count {
                let number = Int64(bitPattern: bytes.word(at: start + 8 * index))
                least = min(least, number)
                greatest = max(greatest, number)
            }
            note(integer: least)
            note(integer: greatest)
        default:
            for index in 0..<count {
                let place = start + index * leaf.width
                note(bytes, place..<place + leaf.width)
            }
        }
    }

    /// Takes a value up.
    ///
    /// - Parameter bytes: has eight more behind `range`.
    mutating func note(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        switch leaf.order {
        case nil, .boolean: break
        case .int32:
            note(integer: Int64(Int32(truncatingIfNeeded: bytes.word(at: range.lowerBound))))
        case .int64: note(integer: Int64(bitPattern: bytes.word(at: range.lowerBound)))
        case .float:
            note(
                number: Double(
                    Float(bitPattern: UInt32(truncatingIfNeeded: bytes.word(at: range.lowerBound))))
            )
        case .double: note(number: Double(bitPattern: bytes.word(at: range.lowerBound)))
        case .bytes: noteBytes(bytes, range)
        }
    }

    private mutating func noteBytes(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        let head = Self.head(bytes, range.lowerBound, count: range.count)
        // Most values lie well between both. Before the first there is nothing between.
        if head > leastHead, head < greatestHead { return }
        guard least != nil || leastPlace != nil else {
            (leastPlace, greatestPlace) = (range, range)
            (leastHead, greatestHead) = (head, head)
            return
        }
        if head < leastHead
            || head == leastHead && Self.order(bytes, range, leastPlace, least) < 0
        {
            leastPlace = range
            leastHead = head
        }
        if head > greatestHead
            || head == greatestHead && Self.order(bytes, range, greatestPlace, greatest) > 0
        {
            greatestPlace = range
            greatestHead = head
        }
    }

    /// Ends taking values from `bytes`.
    mutating func settle(_ bytes: Span<UInt8>) {
        if let place = leastPlace { least = Self.copy(bytes, place) }
        if let place = greatestPlace { greatest = Self.copy(bytes, place) }
        (leastPlace, greatestPlace) = (nil, nil)
    }

    /// Up to eight bytes as a number that sorts as they do; what is missing is zero.
    private static func head(_ bytes: Span<UInt8>, _ place: Int, count: Int) -> UInt64 {
        let word = bytes.word(at: place).byteSwapped
        return count >= 8 ? word : count == 0 ? 0 : word & ~(UInt64.max >> UInt64(8 * count))
    }

    /// The bytes, and eight zeros so that they can be loaded too.
    private static func copy(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
        var copy = [UInt8]()
        copy.reserveCapacity(range.count + 8)
        for place in range {
            copy.append(bytes[place])
        }
        return copy + [UInt8](repeating: 0, count: 8)
    }

    /// Below zero, zero or above, as the bytes are less than, equal to or greater than those at `place`, or `other`, which ends with eight
    /// zeros.
    private static func order(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ place: Range<Int>?, _ other: [UInt8]?
    ) -> Int {
        if let place { return order(bytes, range, bytes, place) }
        guard let other else { return 0 }
        return order(bytes, range, other.span, 0..<other.count - 8)
    }

    private static func order(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ others: Span<UInt8>, _ place: Range<Int>
    ) -> Int {
        for step in stride(from: 0, to: min(range.count, place.count), by: 8) {
            let one = head(bytes, range.lowerBound + step, count: range.count - step)
            let two = head(others, place.lowerBound + step, count: place.count - step)
            if one != two { return one < two ? -1 : 1 }
        }
        return range.count - place.count
    }
}
