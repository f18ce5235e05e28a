internal import CADBC

/// The type of a result column, as Arrow names it.
package indirect enum ColumnType: Equatable, Sendable {
    case null
    case bool
    /// Width in bits: 8, 16, 32 or 64.
    case int(Int)
    case uint(Int)
    case float
    case double
    /// A decimal in `bits` bits with `scale` digits behind the point.
    case decimal(bits: Int, precision: Int, scale: Int)
    /// Text; `large` has 64-bit offsets.
    case utf8(large: Bool)
    case binary(large: Bool)
    case fixedBinary(Int)
    /// Days from 1970-01-01.
    case date
    /// Units of a time of day or an instant, per second.
    case time(bits: Int, perSecond: Int64)
    case timestamp(perSecond: Int64, zone: String)
    /// Months, days and nanoseconds.
    case interval
    case list(ColumnType, large: Bool)
    case fixedList(ColumnType, count: Int)
    case structure([Field])
    /// Entries of a key and a value.
    case map(key: ColumnType, value: ColumnType)
    /// Indexes into a list of values.
    case dictionary(index: Int, signed: Bool, ColumnType)

    package struct Field: Equatable, Sendable {
        package let name: String
        package let type: ColumnType

        package init(name: String, type: ColumnType) {
            self.name = name
            self.type = type
        }
    }

    /// Bytes of one value, where all have the same number of them; nil for booleans, texts and what has parts.
    package var slotBytes: Int? {
        switch self {
        case .int(let bits), .uint(let bits), .time(let bits, _), .decimal(let bits, _, _): bits / 8
        case .float, .date: 4
        case .double, .timestamp: 8
        case .interval: 16
        case .fixedBinary(let width): width
        case .null, .bool, .utf8, .binary, .list, .fixedList, .structure, .map, .dictionary: nil
        }
    }

    /// Nesting deeper than this is refused, so reading a schema needs bounded stack.
    private static let depthMax = 32

    /// Reads an Arrow schema; nil for a type that is not held here.
    init?(_ schema: UnsafePointer<ArrowSchema>, depth: Int = 0) {
        guard depth < Self.depthMax, let format = unsafe schema.pointee.format else { return nil }
        let text = unsafe String(cString: format)
        if let dictionary = unsafe schema.pointee.dictionary {
            guard let values = unsafe ColumnType(dictionary, depth: depth + 1) else { return nil }
            switch Self.plain(text) {
            case .int(let bits): self = .dictionary(index: bits, signed: true, values)
            case .uint(let bits): self = .dictionary(index: bits, signed: false, values)
            default: return nil
            }
            return
        }
        if let plain = Self.plain(text) {
            self = plain
            return
        }
        var fields: [Field] = []
        for index in 0..<Int(unsafe schema.pointee.n_children) {
            guard let child = unsafe schema.pointee.children?[index],
                let type = unsafe ColumnType(child, depth: depth + 1)
            else { return nil }
            let name = unsafe child.pointee.name.map { unsafe String(cString: $0) } ?? ""
            fields.append(Field(name: name, type: type))
        }
        switch text {
        case "+s": self = .structure(fields)
        case "+l" where fields.count == 1: self = .list(fields[0].type, large: false)
        case "+L" where fields.count == 1: self = .list(fields[0].type, large: true)
        case "+m":
            guard case .structure(let entry)? = fields.first?.type, entry.count == 2 else {
                return nil
            }
            self = .map(key: entry[0].type, value: entry[1].type)
        default:
            guard text.hasPrefix("+w:"), let count = Int(text.dropFirst(3)), fields.count == 1
            else { return nil }
            self = .fixedList(fields[0].type, count: count)
        }
    }

    /// The types that have no children, by their format text.
    private static func plain(_ format: String) -> ColumnType? {
        switch format {
        case "n": return .null
        case "b": return .bool
        case "c": return .int(8)
        case "s": return .int(16)
        case "i": return .int(32)
        case "l": return .int(64)
        case "C": return .uint(8)
        case "S": return .uint(16)
        case "I": return .uint(32)
        case "L": return .uint(64)
        case "f": return .float
        case "g": return .double
        case "u": return .utf8(large: false)
        case "U": return .utf8(large: true)
        case "z": return .binary(large: false)
        case "Z": return .binary(large: true)
        case "tdD": return .date
        case "tts": return .time(bits: 32, perSecond: 1)
        case "ttm": return .time(bits: 32, perSecond: 1000)
        case "ttu": return .time(bits: 64, perSecond: 1_000_000)
        case "ttn": return .time(bits: 64, perSecond: 1_000_000_000)
        case "tin": return .interval
        default: break
        }
        let parts = format.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        switch parts[0] {
        case "w": return Int(parts[1]).map { .fixedBinary($0) }
        case "tss": return .timestamp(perSecond: 1, zone: String(parts[1]))
        case "tsm": return .timestamp(perSecond: 1000, zone: String(parts[1]))
        case "tsu": return .timestamp(perSecond: 1_000_000, zone: String(parts[1]))
        case "tsn": return .timestamp(perSecond: 1_000_000_000, zone: String(parts[1]))
        case "d":
            let numbers = parts[1].split(separator: ",").compactMap { Int($0) }
            let bits = numbers.count > 2 ? numbers[2] : 128
            guard numbers.count >= 2, [32, 64, 128].contains(bits) else { return nil }
            return .decimal(bits: bits, precision: numbers[0], scale: numbers[1])
        default: return nil
        }
    }
}
