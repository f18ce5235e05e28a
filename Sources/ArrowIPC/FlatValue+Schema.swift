internal import Engine

// The tables of Arrow's `Schema.fbs` and `Message.fbs`, with their members by number.
extension FlatValue {
    /// Which table the member `header` of a message is.
    enum Header: UInt8 {
        case schema = 1
        case recordBatch = 3
    }

    /// A `Message` of metadata version 5.
    static func message(_ header: Header, _ table: FlatValue, bodyBytes: Int) -> FlatValue {
        .table([.int16(4), .uint8(header.rawValue), table, .int64(Int64(bodyBytes))])
    }

    /// A `Schema` in little-endian order.
    static func schema(_ fields: [ColumnType.Field]) -> FlatValue {
        .table([.int16(0), .tables(fields.map { field($0.name, $0.type) })])
    }

    /// A `RecordBatch`, uncompressed.
    static func recordBatch(
        rows: Int, nodes: [(Int64, Int64)], buffers: [(Int64, Int64)]
    ) -> FlatValue {
        .table([.int64(Int64(rows)), .pairs(nodes), .pairs(buffers)])
    }

    /// A `Field`: name, nullable, type, (dictionary), children.
    private static func field(
        _ name: String, _ type: ColumnType, isNullable: Bool = true
    ) -> FlatValue {
        // A dictionary's values stand in its place.
        if case .dictionary(_, _, let values) = type {
            return field(name, values, isNullable: isNullable)
        }
        let (number, table) = member(type)
        return .table([
            .text(name), .bool(isNullable), .uint8(number), .table(table), nil,
            .tables(children(type)),
        ])
    }

    private static func children(_ type: ColumnType) -> [FlatValue] {
        switch type {
        case .list(let element, _), .fixedList(let element, _): [field("item", element)]
        case .structure(let fields): fields.map { field($0.name, $0.type) }
        case .map(let key, let value): [entries(key, value)]
        default: []
        }
    }

    /// The only child of a map: its entries and their keys are never null.
    private static func entries(_ key: ColumnType, _ value: ColumnType) -> FlatValue {
        .table([
            .text("entries"), .bool(false), .uint8(13), .table([]), nil,
            .tables([field("key", key, isNullable: false), field("value", value)]),
        ])
    }

    /// The number of a type in the union `Type`, and the members of its table.
    private static func member(_ type: ColumnType) -> (UInt8, [FlatValue?]) {
        switch type {
        case .null: (1, [])
        case .int(let bits): (2, [.int32(Int32(bits)), .bool(true)])
        case .uint(let bits): (2, [.int32(Int32(bits)), .bool(false)])
        case .float: (3, [.int16(1)])
        case .double: (3, [.int16(2)])
        case .binary(large: false): (4, [])
        case .utf8(large: false): (5, [])
        case .bool: (6, [])
        case .decimal(let bits, let precision, let scale):
            (7, [.int32(Int32(precision)), .int32(Int32(scale)), .int32(Int32(bits))])
        // Days; milliseconds would be the default.
        case .date: (8, [.int16(0)])
        case .time(let bits, let perSecond): (9, [.int16(unit(perSecond)), .int32(Int32(bits))])
        case .timestamp(let perSecond, let zone):
            (10, [.int16(unit(perSecond)), zone.isEmpty ? nil : .text(zone)])
        // Months, days and nanoseconds.
        case .interval: (11, [.int16(2)])
        case .list(_, large: false): (12, [])
        case .structure: (13, [])
        case .fixedBinary(let width): (15, [.int32(Int32(width))])
        case .fixedList(_, let count): (16, [.int32(Int32(count))])
        case .map: (17, [.bool(false)])
        case .binary(large: true): (19, [])
        case .utf8(large: true): (20, [])
        case .list(_, large: true): (21, [])
        case .dictionary: preconditionFailure("a dictionary's values stand in its place")
        }
    }

    /// A `TimeUnit`.
    private static func unit(_ perSecond: Int64) -> Int16 {
        switch perSecond {
        case 1: 0
        case 1000: 1
        case 1_000_000: 2
        default: 3
        }
    }
}
