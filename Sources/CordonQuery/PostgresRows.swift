internal import Engine
package import PostgresWire

/// A column of a result, with its type as the engine writes it, such as `DECIMAL(18,3)` or `VARCHAR[]`.
package struct QueryColumn: Equatable, Sendable, Codable {
    package var name: String
    package var type: String

    package init(name: String, type: String) {
        self.name = name
        self.type = type
    }
}

extension ColumnValue {
    /// The value in the text form of PostgreSQL; nil for null.
    var postgresText: String? {
        switch self {
        case .null: nil
        case .bool(let value): PostgresText.bool(value)
        case .float(let value): PostgresText.float(value)
        case .double(let value): PostgresText.double(value)
        case .bytes(let value): PostgresText.bytes(value)
        case .date(let days): PostgresText.date(days)
        case .time(let microseconds): PostgresText.time(microseconds)
        case .timestamp(let microseconds, let isUTC):
            PostgresText.timestamp(microseconds, isUTC: isUTC)
        case .interval(let months, let days, let nanoseconds):
            PostgresText.interval(
                months: months, days: days, microseconds: nanoseconds / 1000)
        case .list(let values) where !values.contains(where: \.hasParts):
            PostgresText.list(values.map(\.postgresText))
        default: text
        }
    }

    private var hasParts: Bool {
        switch self {
        case .list, .map, .structure: true
        default: false
        }
    }
}

extension PostgresColumn {
    /// A column of a result; what has parts within parts is JSON.
    package init(_ column: QueryColumn, format: FrontendMessage.Format = .text) {
        let (type, modifier) = Self.type(column.type)
        self.init(name: column.name, type: type, modifier: modifier, format: format)
    }

    private static func type(_ text: String) -> (PostgresType, modifier: Int32) {
        if text.hasSuffix("]"), let bracket = text.lastIndex(of: "[") {
            let (element, _) = type(String(text[..<bracket]))
            let isPlain = element != .json && element.element == nil
            return (isPlain ? element.list ?? .json : .json, -1)
        }
        let head = text.prefix { $0 != "(" }
        switch head {
        case "BOOLEAN": return (.bool, -1)
        case "TINYINT", "SMALLINT", "UTINYINT": return (.int2, -1)
        case "INTEGER", "USMALLINT": return (.int4, -1)
        case "BIGINT", "UINTEGER": return (.int8, -1)
        case "UBIGINT", "HUGEINT", "UHUGEINT": return (.numeric, -1)
        case "FLOAT": return (.float4, -1)
        case "DOUBLE": return (.float8, -1)
        case "DECIMAL":
            let numbers = text.dropFirst(head.count + 1).dropLast().split(separator: ",").compactMap
            {
                Int32($0.filter { $0 != " " })
            }
            // Precision in the upper half, scale in the lower, both after the four bytes of a length.
            return (.numeric, numbers.count == 2 ? (numbers[0] << 16 | numbers[1]) + 4 : -1)
        case "BLOB": return (.bytea, -1)
        case "DATE": return (.date, -1)
        case "TIME": return (.time, -1)
        case "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS": return (.timestamp, -1)
        case "TIMESTAMP WITH TIME ZONE": return (.timestamptz, -1)
        case "INTERVAL": return (.interval, -1)
        case "UUID": return (.uuid, -1)
        case "JSON", "MAP", "STRUCT", "UNION": return (.json, -1)
        default: return (.text, -1)
        }
    }
}
