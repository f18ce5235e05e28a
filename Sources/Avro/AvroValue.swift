package import Bytes

/// A value under some ``AvroSchema``.
package indirect enum AvroValue: Hashable, Sendable {
    case null
    case boolean(Bool)
    case int(Int32)
    case long(Int64)
    case float(Float)
    case double(Double)
    case bytes([UInt8])
    case string(String)
    /// Index of the symbol.
    case enumeration(Int)
    case array([AvroValue])
    /// Entries in the order written.
    case map([Entry])
    /// Index of the branch and the value in it.
    case union(Int, AvroValue)
    /// Values in the order of the record's fields.
    case record([AvroValue])

    package struct Entry: Hashable, Sendable {
        package var key: String
        package var value: AvroValue
        package init(key: String, value: AvroValue) {
            self.key = key
            self.value = value
        }
    }

    /// A value of an optional schema (null first, as ``AvroSchema/optional(_:)`` makes it).
    package static func optional(_ value: AvroValue?) -> AvroValue {
        value.map { .union(1, $0) } ?? .union(0, .null)
    }

    /// The value without the union around it; nil for null.
    package var unwrapped: AvroValue? {
        switch self {
        case .union(_, let value): value.unwrapped
        case .null: nil
        default: self
        }
    }
}

extension AvroValue {
    /// Appends the binary encoding of the value.
    ///
    /// - Precondition: the value fits `schema`; values are made by the program, so another is a mistake in it.
    package func encode(as schema: AvroSchema, to output: inout [UInt8]) {
        switch (schema, self) {
        case (.primitive(.null, _), .null): break
        case (.primitive(.boolean, _), .boolean(let value)): output.append(value ? 1 : 0)
        case (.primitive(.int, _), .int(let value)): output.append(avroLong: Int64(value))
        case (.primitive(.long, _), .long(let value)): output.append(avroLong: value)
        case (.primitive(.float, _), .float(let value)):
            output.append(littleEndian: value.bitPattern)
        case (.primitive(.double, _), .double(let value)):
            output.append(littleEndian: value.bitPattern)
        case (.primitive(.bytes, _), .bytes(let value)):
            output.append(avroLong: Int64(value.count))
            output += value
        case (.primitive(.string, _), .string(let value)): output.append(avroString: value)
        case (.fixed(_, let size, _), .bytes(let value)):
            precondition(value.count == size, "a fixed value has its schema's size")
            output += value
        case (.enumeration(_, let symbols), .enumeration(let index)):
            precondition(symbols.indices.contains(index), "an enum value is one of its symbols")
            output.append(avroLong: Int64(index))
        case (.array(let items, _, _), .array(let values)):
            if !values.isEmpty {
                output.append(avroLong: Int64(values.count))
                for value in values { value.encode(as: items, to: &output) }
            }
            output.append(avroLong: 0)
        case (.map(let items), .map(let entries)):
            if !entries.isEmpty {
                output.append(avroLong: Int64(entries.count))
                for entry in entries {
                    output.append(avroString: entry.key)
                    entry.value.encode(as: items, to: &output)
                }
            }
            output.append(avroLong: 0)
        case (.union(let branches), .union(let index, let value)):
            precondition(
                branches.indices.contains(index), "a union value names one of its branches")
            output.append(avroLong: Int64(index))
            value.encode(as: branches[index], to: &output)
        case (.record(let record), .record(let values)):
            precondition(values.count == record.fields.count, "a record has a value for each field")
            for (field, value) in zip(record.fields, values) {
                value.encode(as: field.schema, to: &output)
            }
        default:
            preconditionFailure("an Avro value fits the schema it is encoded under")
        }
    }

    /// Reads one value that was written under `schema`.
    package init(
        decoding reader: inout ByteReader, as schema: AvroSchema
    ) throws(ByteReader.Malformed) {
        switch schema {
        case .primitive(let primitive, _): self = try Self.primitive(primitive, &reader)
        case .fixed(_, let size, _): self = .bytes(Array(try reader.take(size)))
        case .enumeration(_, let symbols):
            self = .enumeration(try Self.index(in: symbols.count, &reader))
        case .array(let items, _, _):
            var values: [AvroValue] = []
            try Self.blocks(&reader) { (reader) throws(ByteReader.Malformed) in
                values.append(try AvroValue(decoding: &reader, as: items))
            }
            self = .array(values)
        case .map(let items):
            var entries: [Entry] = []
            try Self.blocks(&reader) { (reader) throws(ByteReader.Malformed) in
                let key = try reader.avroString()
                entries.append(Entry(key: key, value: try AvroValue(decoding: &reader, as: items)))
            }
            self = .map(entries)
        case .union(let branches):
            let index = try Self.index(in: branches.count, &reader)
            self = .union(index, try AvroValue(decoding: &reader, as: branches[index]))
        case .record(let record):
            var values: [AvroValue] = []
            values.reserveCapacity(record.fields.count)
            for field in record.fields {
                values.append(try AvroValue(decoding: &reader, as: field.schema))
            }
            self = .record(values)
        }
    }

    private static func primitive(
        _ primitive: AvroSchema.Primitive, _ reader: inout ByteReader
    ) throws(ByteReader.Malformed) -> AvroValue {
        switch primitive {
        case .null: return .null
        case .boolean:
            let byte = try reader.byte()
            guard byte <= 1 else { throw reader.malformed }
            return .boolean(byte == 1)
        case .int:
            guard let value = Int32(exactly: try reader.avroLong()) else { throw reader.malformed }
            return .int(value)
        case .long: return .long(try reader.avroLong())
        case .float: return .float(Float(bitPattern: try reader.littleEndian(UInt32.self)))
        case .double: return .double(Double(bitPattern: try reader.littleEndian(UInt64.self)))
        case .bytes: return .bytes(Array(try reader.take(try reader.avroCount())))
        case .string: return .string(try reader.avroString())
        }
    }

    private static func index(
        in count: Int, _ reader: inout ByteReader
    ) throws(ByteReader.Malformed) -> Int {
        let index = try reader.avroCount()
        guard index < count else { throw reader.malformed }
        return index
    }

    /// Calls `body` for each element of the blocks of an array or map.
    private static func blocks(
        _ reader: inout ByteReader, _ body: (inout ByteReader) throws(ByteReader.Malformed) -> Void
    ) throws(ByteReader.Malformed) {
        var withoutBytes = 0
        while true {
            var count = try reader.avroLong()
            if count == 0 { return }
            if count < 0 {
                guard count != .min else { throw reader.malformed }
                count = -count
                _ = try reader.avroCount()
            }
            for _ in 0..<count {
                let before = reader.position
                try body(&reader)
                if reader.position == before {
                    withoutBytes += 1
                    guard withoutBytes <= Avro.emptyElementsMax else { throw reader.malformed }
                }
            }
        }
    }
}

extension [UInt8] {
    /// Appends `value` as a zig-zag variable-length integer.
    package mutating func append(avroLong value: Int64) {
        var rest = UInt64(bitPattern: (value << 1) ^ (value >> 63))
        while rest > 0x7F {
            append(UInt8(truncatingIfNeeded: rest & 0x7F | 0x80))
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    package mutating func append(avroString text: String) {
        append(avroLong: Int64(text.utf8.count))
        append(contentsOf: text.utf8)
    }
}

extension ByteReader {
    /// Reads a zig-zag variable-length integer of at most ten bytes.
    package mutating func avroLong() throws(Malformed) -> Int64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let byte = try self.byte()
            guard shift < 63 || byte <= 1 else { throw malformed }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return Int64(bitPattern: value >> 1) ^ -Int64(value & 1) }
        }
        throw malformed
    }

    /// Reads an integer that counts something.
    package mutating func avroCount() throws(Malformed) -> Int {
        let value = try avroLong()
        guard value >= 0 else { throw malformed }
        return Int(value)
    }

    package mutating func avroString() throws(Malformed) -> String {
        let bytes = try take(try avroCount())
        guard let text = String(validating: bytes, as: UTF8.self) else { throw malformed }
        return text
    }
}
