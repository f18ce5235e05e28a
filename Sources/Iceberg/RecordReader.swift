import Avro

/// An Avro record whose fields are found by Iceberg's field ids.
struct RecordReader {
    private let values: [AvroValue]
    private let record: AvroSchema.Record

    init(_ value: AvroValue, _ schema: AvroSchema) throws {
        guard case .record(let values) = value, case .record(let record) = schema else {
            throw IcebergError(.notAManifest, "expected Avro records")
        }
        self.values = values
        self.record = record
    }

    private init(values: [AvroValue], record: AvroSchema.Record) {
        self.values = values
        self.record = record
    }

    var count: Int { values.count }

    private func value(_ id: Int) -> AvroValue? {
        record.index(ofFieldID: id).flatMap { values[$0].unwrapped }
    }

    func long(_ id: Int) -> Int64? { value(id)?.wholeNumber }

    func string(_ id: Int) -> String? {
        if case .string(let text)? = value(id) { text } else { nil }
    }

    func boolean(_ id: Int) -> Bool? {
        if case .boolean(let value)? = value(id) { value } else { nil }
    }

    func bytes(_ id: Int) -> [UInt8]? {
        if case .bytes(let bytes)? = value(id) { bytes } else { nil }
    }

    func record(_ id: Int) -> RecordReader? {
        guard let index = record.index(ofFieldID: id),
            case .record(let values)? = values[index].unwrapped,
            let schema = record.fields[index].schema.recordInside
        else { return nil }
        return RecordReader(values: values, record: schema)
    }

    /// The records of a list field.
    func records(_ id: Int) -> [RecordReader] {
        guard let index = record.index(ofFieldID: id),
            case .array(let items)? = values[index].unwrapped,
            let schema = record.fields[index].schema.recordInside
        else { return [] }
        return items.compactMap { item in
            guard case .record(let values)? = item.unwrapped else { return nil }
            return RecordReader(values: values, record: schema)
        }
    }

    /// All fields as whole numbers, in order.
    var longs: [Int64?] { values.map { $0.unwrapped?.wholeNumber } }

    func longList(_ id: Int) -> [Int64] {
        guard case .array(let items)? = value(id) else { return [] }
        return items.compactMap { $0.unwrapped?.wholeNumber }
    }

    func longMap(_ id: Int) -> [Int: Int64] {
        pairs(id).reduce(into: [:]) { map, pair in
            if let number = pair.1.wholeNumber { map[pair.0] = number }
        }
    }

    func bytesMap(_ id: Int) -> [Int: [UInt8]] {
        pairs(id).reduce(into: [:]) { map, pair in
            if case .bytes(let bytes) = pair.1 { map[pair.0] = bytes }
        }
    }

    /// Key and value of a map that is an array of records, as maps with whole-number keys are.
    private func pairs(_ id: Int) -> [(Int, AvroValue)] {
        guard case .array(let items)? = value(id) else { return [] }
        return items.compactMap { item in
            guard case .record(let pair)? = item.unwrapped, pair.count == 2,
                let key = pair[0].wholeNumber, let value = pair[1].unwrapped
            else { return nil }
            return (Int(key), value)
        }
    }
}

extension AvroValue {
    fileprivate var wholeNumber: Int64? {
        switch self {
        case .int(let value): Int64(value)
        case .long(let value): value
        default: nil
        }
    }
}

extension AvroSchema {
    /// The record that this is, or that is in its union or list.
    fileprivate var recordInside: Record? {
        switch self {
        case .record(let record): record
        case .union(let branches): branches.lazy.compactMap(\.recordInside).first
        case .array(let items, _, _): items.recordInside
        default: nil
        }
    }
}
