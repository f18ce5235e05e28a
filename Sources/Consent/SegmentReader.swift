/// Unpacks one segment of a consent string at a time and reads its bits: the hot path's reader.
///
/// Owns the memory that it unpacks into, so that reading allocates nothing. A read beyond the segment throws.
struct SegmentReader {
    private var packed: [UInt8]
    /// By byte: its six bits, or a delimiter, or ``foreign``.
    private let values: [UInt8]
    private(set) var position = 0
    private(set) var bitCount = 0

    enum Delimiter: UInt8 { case end, dot, tilde }

    private static let dot: UInt8 = 64
    private static let tilde: UInt8 = 65
    private static let foreign: UInt8 = 66

    init() {
        packed = [UInt8](repeating: 0, count: ConsentLimits.textBytesMax * 6 / 8 + 8)
        var values = [UInt8](repeating: Self.foreign, count: 256)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for (value, byte) in alphabet.utf8.enumerated() { values[Int(byte)] = UInt8(value) }
        values[0x2E] = Self.dot
        values[0x7E] = Self.tilde
        self.values = values
    }

    /// A place in a value that may hold escapes.
    struct Cursor {
        var index: Int
        let end: Int
        init(_ range: Range<Int>) {
            index = range.lowerBound
            end = range.upperBound
        }
    }

    /// Unpacks up to the next delimiter, and starts reading at the segment's first bit.
    mutating func load(
        _ cursor: inout Cursor, _ bytes: Span<UInt8>
    ) throws(ConsentFault) -> Delimiter {
        position = 0
        bitCount = 0
        var count = 0
        var characters = 0
        var accumulator: UInt32 = 0
        var held = 0
        var delimiter = Delimiter.end
        var fault: ConsentFault.Code?
        do {
            // Locals and spans: stored arrays would be checked for uniqueness at each byte.
            let numbers = values
            let table = numbers.span
            var output = packed.mutableSpan
            var index = cursor.index
            scan: while index < cursor.end {
                // Four plain characters at a time, while there are so many: three bytes without a question asked.
                while held == 0, index &+ 4 <= cursor.end {
                    let one = table[Int(bytes[index])]
                    let two = table[Int(bytes[index &+ 1])]
                    let three = table[Int(bytes[index &+ 2])]
                    let four = table[Int(bytes[index &+ 3])]
                    guard one | two | three | four < Self.dot else { break }
                    output[count] = one &<< 2 | two &>> 4
                    output[count &+ 1] = two &<< 4 | three &>> 2
                    output[count &+ 2] = three &<< 6 | four
                    count &+= 3
                    characters &+= 4
                    index &+= 4
                }
                guard index < cursor.end else { break }
                var byte = bytes[index]
                index &+= 1  // Below `end`.
                if byte == 0x25 {
                    guard let decoded = Self.escape(bytes, index, cursor.end) else {
                        fault = .badEscape
                        break
                    }
                    byte = decoded
                    index &+= 2
                }
                let value = table[Int(byte)]
                if value >= Self.dot {
                    switch value {
                    case Self.dot: delimiter = .dot
                    case Self.tilde: delimiter = .tilde
                    default: fault = .badCharacter
                    }
                    break scan
                }
                characters &+= 1
                accumulator = accumulator &<< 6 | UInt32(value)
                held &+= 6
                if held >= 8 {
                    held &-= 8
                    output[count] = UInt8(truncatingIfNeeded: accumulator &>> UInt32(held))
                    count &+= 1
                }
            }
            if held > 0 {
                output[count] = UInt8(truncatingIfNeeded: accumulator &<< UInt32(8 - held))
            }
            cursor.index = index
        }
        if let fault { throw ConsentFault(fault) }
        guard characters > 0 else { throw ConsentFault(.emptySegment) }
        bitCount = characters * 6
        return delimiter
    }

    private static func escape(_ bytes: Span<UInt8>, _ index: Int, _ end: Int) -> UInt8? {
        guard index + 1 < end, let high = hexDigit(bytes[index]),
            let low = hexDigit(bytes[index + 1])
        else { return nil }
        return high << 4 | low
    }

    /// The next `width` bits, at most 36, as an integer.
    mutating func take(_ width: Int) throws(ConsentFault) -> UInt64 {
        guard width <= bitCount - position else { throw ConsentFault(.truncated) }
        guard width > 0 else { return 0 }
        var index = position >> 3
        let offset = position & 7
        let count = (offset + width + 7) >> 3
        var value: UInt64 = 0
        for _ in 0..<count {
            value = value &<< 8 | UInt64(packed[index])
            index &+= 1
        }
        position += width
        return (value &>> UInt64(count * 8 - offset - width)) & (1 &<< UInt64(width) &- 1)
    }

    /// Back to the segment's first bit.
    mutating func rewind() { position = 0 }

    mutating func flag() throws(ConsentFault) -> Bool { try take(1) == 1 }

    mutating func skip(_ width: Int) throws(ConsentFault) {
        guard width <= bitCount - position else { throw ConsentFault(.truncated) }
        position += width
    }

    /// The bit at `offset` from here, which must lie in what was skipped or is left.
    func bit(at index: Int) -> Bool { packed[index >> 3] >> UInt8(7 - index & 7) & 1 == 1 }

    /// A Fibonacci coded integer: the sum of the Fibonacci numbers of the bits that are set, up to two set bits in a row.
    mutating func fibonacci() throws(ConsentFault) -> Int {
        var sum = 0
        var (number, next) = (1, 2)
        var wasSet = false
        while true {
            let isSet = try flag()
            if isSet, wasSet { return sum }
            if isSet { sum += number }
            wasSet = isSet
            guard number < Self.fibonacciMax else { throw ConsentFault(.badRange) }
            (number, next) = (next, number + next)
        }
    }

    /// Ids have 16 bits, so a greater number is no id.
    static let fibonacciMax = 1 << 16

    /// Holds what is left of the segment to be padding.
    mutating func finish() throws(ConsentFault) {
        guard bitCount - position <= ConsentLimits.paddingBitsMax else {
            throw ConsentFault(.trailingBits)
        }
        while position < bitCount {
            guard try take(min(32, bitCount - position)) == 0 else {
                throw ConsentFault(.trailingBits)
            }
        }
    }
}

func hexDigit(_ unit: UInt8) -> UInt8? {
    switch unit {
    case 0x30...0x39: unit - 0x30
    case 0x61...0x66: unit - 0x61 + 10
    case 0x41...0x46: unit - 0x41 + 10
    default: nil
    }
}
