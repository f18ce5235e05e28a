internal import Bytes

/// One value out of a result.
package indirect enum ColumnValue {
    case null
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case float(Float)
    case double(Double)
    case decimal(Int128, scale: Int)
    case text(String)
    case bytes([UInt8])
    /// Days from 1970-01-01.
    case date(Int32)
    case time(microseconds: Int64)
    /// From 1970-01-01T00:00:00; `isUTC` says that it is an instant.
    case timestamp(microseconds: Int64, isUTC: Bool)
    case interval(months: Int32, days: Int32, nanoseconds: Int64)
    case list([ColumnValue])
    case map([(key: ColumnValue, value: ColumnValue)])
    case structure([(name: String, value: ColumnValue)])

    /// The value in the form that tables and CSV show: ISO 8601 dates and times, hexadecimal bytes, JSON for what has
    /// parts; the empty text for a null.
    package var text: String {
        switch self {
        case .null: ""
        case .text(let text): text
        case .list, .map, .structure: json
        default: plain
        }
    }

    /// The value as JSON. Numbers that JSON readers would round (beyond 2^53) stay digits; dates, times, bytes,
    /// not-a-number and infinities are strings.
    package var json: String {
        switch self {
        case .null: return "null"
        case .bool, .int, .uint, .decimal: return plain
        case .float(let value): return value.isFinite ? plain : Self.quoted(plain)
        case .double(let value): return value.isFinite ? plain : Self.quoted(plain)
        case .text(let text): return Self.quoted(text)
        case .bytes, .date, .time, .timestamp, .interval: return Self.quoted(plain)
        case .list(let values): return "[" + values.map(\.json).joined(separator: ",") + "]"
        case .map(let entries):
            let members = entries.map { Self.quoted($0.key.text) + ":" + $0.value.json }
            return "{" + members.joined(separator: ",") + "}"
        case .structure(let entries):
            let members = entries.map { Self.quoted($0.name) + ":" + $0.value.json }
            return "{" + members.joined(separator: ",") + "}"
        }
    }

    private var plain: String {
        switch self {
        case .null, .list, .map, .structure: return ""
        case .text(let text): return text
        case .bool(let value): return value ? "true" : "false"
        case .int(let value): return String(value)
        case .uint(let value): return String(value)
        case .float(let value): return String(value)
        case .double(let value): return String(value)
        case .decimal(let digits, let scale): return Self.decimal(digits, scale: scale)
        case .bytes(let bytes): return Bytes.hex(bytes)
        case .date(let days): return Self.date(Int(days))
        case .time(let microseconds): return Self.clock(microseconds)
        case .timestamp(let microseconds, let isUTC):
            let perDay: Int64 = 86_400_000_000
            let rest = (microseconds % perDay + perDay) % perDay
            return Self.date(Int((microseconds - rest) / perDay)) + "T" + Self.clock(rest)
                + (isUTC ? "Z" : "")
        case .interval(let months, let days, let nanoseconds):
            let seconds = Double(nanoseconds) / 1e9
            return "P\(months)M\(days)DT\(seconds)S"
        }
    }

    private static func decimal(_ digits: Int128, scale: Int) -> String {
        guard scale > 0 else { return String(digits) }
        let magnitude = padded(String(digits.magnitude), scale + 1)
        let point = magnitude.index(magnitude.endIndex, offsetBy: -scale)
        return (digits < 0 ? "-" : "") + magnitude[..<point] + "." + magnitude[point...]
    }

    private static func clock(_ microseconds: Int64) -> String {
        let seconds = microseconds / 1_000_000
        let rest = microseconds % 1_000_000
        let parts = [seconds / 3600, seconds / 60 % 60, seconds % 60].map { padded(String($0), 2) }
        let fraction = rest == 0 ? "" : "." + padded(String(rest), 6)
        return parts.joined(separator: ":") + fraction
    }

    /// `YYYY-MM-DD` of the proleptic Gregorian calendar.
    private static func date(_ days: Int) -> String {
        let (year, month, day) = CivilDate.civil(Int64(days))
        return "\(padded(String(year), 4))-\(padded(String(month), 2))-\(padded(String(day), 2))"
    }

    private static func padded(_ digits: String, _ width: Int) -> String {
        String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// A JSON string (RFC 8259 section 7).
    package static func quoted(_ text: String) -> String {
        var units: [UInt8] = [0x22]
        for unit in text.utf8 {
            switch unit {
            case 0x22, 0x5C: units += [0x5C, unit]
            case 0x0A: units += Array("\\n".utf8)
            case 0x0D: units += Array("\\r".utf8)
            case 0x09: units += Array("\\t".utf8)
            case 0..<0x20: units += Array("\\u00\(Bytes.hex([unit]))".utf8)
            default: units.append(unit)
            }
        }
        units.append(0x22)
        return String(decoding: units, as: UTF8.self)
    }
}
