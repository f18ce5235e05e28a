/// Runs of repeated and of bit-packed numbers (parquet-format, `Encodings.md`, RLE/bit-packing hybrid), for levels and for places in a
/// dictionary.
///
/// ```
/// run := count << 1: varint, value: ceil(width / 8) bytes, least significant first
///      | groups << 1 | 1: varint, groups × 8 values of width bits, from the least significant bit on
/// ```
enum HybridRuns {
    /// Bytes behind what is unpacked, because eight are loaded at a time.
    static let paddingBytes = 8
    /// Runs of fewer values are packed with their neighbours.
    private static let repeatsMin = 16
    static let widthMax = 32

    /// Reads `count` numbers of `width` bits over the first places of `values`, which grow when they are too few.
    ///
    /// - Parameters:
    ///   - bytes: has ``paddingBytes`` more behind `range`.
    ///   - range: where the runs stand.
    /// - Returns: the number, when all are the same; then `values` stay as they were.
    static func read<Value: FixedWidthInteger & UnsignedInteger>(
        _ bytes: Span<UInt8>, _ range: Range<Int>, width: Int, count: Int,
        into values: inout [Value]
    ) throws(ParquetError) -> Value? {
        guard width <= widthMax, width <= Value.bitWidth else { throw .malformedPage }
        guard width > 0 else { return 0 }
        precondition(range.upperBound + paddingBytes <= bytes.count)
        if values.count < count {
            values.append(contentsOf: repeatElement(0, count: count - values.count))
        }
        var out = values.mutableSpan
        let mask = UInt64.max >> UInt64(64 - width)
        let valueBytes = (width + 7) / 8
        var place = range.lowerBound
        var done = 0
        while done < count {
            var head: UInt64 = 0
            var shift: UInt64 = 0
            while true {
                guard place < range.upperBound, shift < 63 else { throw .malformedPage }
                let byte = bytes[place]
                place += 1
                head |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { break }
                shift += 7
            }
            let left = range.upperBound - place
            if head & 1 == 0 {
                guard left >= valueBytes, head > 1 else { throw .malformedPage }
                // The bytes behind the value are not its own.
                let value = Value(
                    truncatingIfNeeded: bytes.word(at: place)
                        & (UInt64.max >> UInt64(64 - 8 * valueBytes)))
                place += valueBytes
                let run = Int(min(head >> 1, UInt64(count - done)))
                if done == 0, run == count { return value }
                for index in done..<done + run { out[index] = value }
                done += run
            } else {
                let groups = head >> 1
                guard groups > 0, groups <= UInt64(left / width) else { throw .malformedPage }
                let run = min(Int(groups) * 8, count - done)
                var bit = place * 8
                // SAFETY: the run ends inside of `range`, which has the bytes behind it that the last word reaches into, and `out` has
                // room for `count` numbers.
                for index in done..<done + run {
                    // A number of at most 32 bits ends within 39 bits of the byte that it begins in.
                    unsafe out[unchecked: index] = Value(
                        truncatingIfNeeded: bytes.uncheckedWord(at: bit >> 3) >> UInt64(bit & 7)
                            & mask)
                    bit &+= width
                }
                place += Int(groups) * width
                done += run
            }
        }
        return nil
    }

    /// Bits that numbers from 0 to `greatest` need.
    static func width(of greatest: Int) -> Int { Int.bitWidth - greatest.leadingZeroBitCount }

    /// Appends one run of a number that is repeated `count` times.
    static func append(_ value: UInt64, times count: Int, width: Int, to output: inout [UInt8]) {
        appendHead(UInt64(count) << 1, to: &output)
        for byte in 0..<(width + 7) / 8 {
            output.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte)))
        }
    }

    private static func appendHead(_ head: UInt64, to output: inout [UInt8]) {
        var rest = head
        while rest >= 0x80 {
            output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(rest))
    }

    /// Appends the numbers `values` as runs of `width` bits each.
    ///
    /// Packed values come in groups of eight, so a run of repeated ones is looked for from one group's start to the next: what it has
    /// before its first whole group is packed.
    static func append<Value: FixedWidthInteger & UnsignedInteger>(
        _ values: Span<Value>, width: Int, to output: inout [UInt8]
    ) {
        var packed = 0
        var index = 0
        while index + repeatsMin <= values.count {
            let value = values[index]
            guard values[index + 7] == value, values[index + repeatsMin - 1] == value else {
                index += 8
                continue
            }
            var end = index + 1
            while end < values.count, values[end] == value { end += 1 }
            guard end - index >= repeatsMin else {
                index += 8
                continue
            }
            appendPacked(values, packed..<index, width: width, to: &output)
            append(UInt64(value), times: end - index, width: width, to: &output)
            packed = end
            index = end
        }
        appendPacked(values, packed..<values.count, width: width, to: &output)
    }

    private static func appendPacked<Value: FixedWidthInteger & UnsignedInteger>(
        _ values: Span<Value>, _ range: Range<Int>, width: Int, to output: inout [UInt8]
    ) {
        guard !range.isEmpty else { return }
        let groups = (range.count + 7) / 8
        appendHead(UInt64(groups) << 1 | 1, to: &output)
        let start = output.count
        let bytes = groups * width
        // Eight bytes are stored at a time, and what is over is taken off again.
        output.append(contentsOf: repeatElement(0, count: bytes + paddingBytes))
        var room = output.mutableSpan
        var word: UInt64 = 0
        var bits = 0
        var place = start
        for index in range {
            let value = UInt64(truncatingIfNeeded: values[index])
            word |= value << UInt64(bits)
            bits += width
            if bits >= 64 {
                room.store(word, at: place)
                place += 8
                bits -= 64
                // What did not fit; a number has at most 32 bits, so the shift is below 64.
                word = bits == 0 ? 0 : value >> UInt64(width - bits)
            }
        }
        // The rest of the last group is zero.
        room.store(word, at: place)
        output.removeLast(output.count - start - bytes)
    }
}
