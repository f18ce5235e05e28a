internal import Bytes

/// A value of FlatBuffers: what the metadata of Arrow is made of.
indirect enum FlatValue {
    case bool(Bool)
    case uint8(UInt8)
    case int16(Int16)
    case int32(Int32)
    case int64(Int64)
    case text(String)
    /// Members by their number in the schema; nil for those that are left out.
    case table([FlatValue?])
    case tables([FlatValue])
    /// A vector of structures of two 64-bit integers.
    case pairs([(Int64, Int64)])
}

/// Encodes one FlatBuffers table with all that hangs on it.
///
/// Written front to back: an offset points forward to what is appended after it, as the format demands of all but the way from
/// a table to its list of places. A table and its eight-byte members begin at multiples of 8.
struct FlatBuffer {
    private var bytes: [UInt8] = [0, 0, 0, 0]

    /// The bytes of a buffer whose root is `table`.
    static func encode(_ table: FlatValue) -> [UInt8] {
        var buffer = FlatBuffer()
        buffer.append(table, linkedAt: 0)
        return buffer.bytes
    }

    /// Appends what stands by itself, and sets the offset at `place` to it.
    private mutating func append(_ value: FlatValue, linkedAt place: Int) {
        switch value {
        case .table(let members): append(table: members, linkedAt: place)
        case .text(let text):
            link(place, alignedTo: 4)
            append(UInt32(text.utf8.count))
            bytes += text.utf8
            bytes.append(0)
        case .tables(let tables):
            link(place, alignedTo: 4)
            append(UInt32(tables.count))
            let first = bytes.count
            bytes += repeatElement(0, count: 4 * tables.count)
            for (index, table) in tables.enumerated() {
                append(table, linkedAt: first + 4 * index)
            }
        case .pairs(let pairs):
            // The count stands before the first integer, which wants a multiple of 8.
            link(place, alignedTo: 8, behind: 4)
            append(UInt32(pairs.count))
            for (first, second) in pairs {
                append(first)
                append(second)
            }
        case .bool, .uint8, .int16, .int32, .int64:
            preconditionFailure("a number stands in its table")
        }
    }

    private mutating func append(table members: [FlatValue?], linkedAt place: Int) {
        let placesBytes = 4 + 2 * members.count
        var size = 4
        let offsets = members.map { member -> Int in
            guard let width = member.map(Self.width) else { return 0 }
            size = (size + width - 1) / width * width
            defer { size += width }
            return size
        }
        pad(to: 8, behind: placesBytes)
        for number in [placesBytes, size] + offsets { append(UInt16(number)) }
        let table = bytes.count
        set(UInt32(table - place), at: place)
        bytes += repeatElement(0, count: size)
        set(UInt32(placesBytes), at: table)
        for (member, offset) in zip(members, offsets) {
            guard let member else { continue }
            switch member {
            case .bool(let value): set(value ? 1 : 0 as UInt8, at: table + offset)
            case .uint8(let value): set(value, at: table + offset)
            case .int16(let value): set(value, at: table + offset)
            case .int32(let value): set(value, at: table + offset)
            case .int64(let value): set(value, at: table + offset)
            case .text, .table, .tables, .pairs: append(member, linkedAt: table + offset)
            }
        }
    }

    /// Bytes of a member in its table; also what it is aligned to there.
    private static func width(_ value: FlatValue) -> Int {
        switch value {
        case .bool, .uint8: 1
        case .int16: 2
        case .int32, .text, .table, .tables, .pairs: 4
        case .int64: 8
        }
    }

    /// Sets the offset at `place` to what comes next, aligned.
    private mutating func link(_ place: Int, alignedTo alignment: Int, behind count: Int = 0) {
        pad(to: alignment, behind: count)
        set(UInt32(bytes.count - place), at: place)
    }

    /// Pads so that what stands `count` bytes further on is aligned.
    private mutating func pad(to alignment: Int, behind count: Int) {
        while (bytes.count + count) % alignment != 0 { bytes.append(0) }
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        bytes.append(littleEndian: value)
    }

    private mutating func set<Value: FixedWidthInteger>(_ value: Value, at place: Int) {
        for index in 0..<Value.bitWidth / 8 {
            bytes[place + index] = UInt8(truncatingIfNeeded: value >> Value(8 * index))
        }
    }
}
