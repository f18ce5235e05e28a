internal import Bytes

/// Values in binary form: to what a client asked for, from what a client sent. Both go by way of the text form.
package enum PostgresBinary {
    /// Days from 1970-01-01 to 2000-01-01, from which times are counted on the wire.
    private static let epochDays: Int64 = 10_957
    private static let microsecondsPerDay: Int64 = 86_400_000_000
    /// What a server of PostgreSQL takes for a date and for an instant, from 4713 BC on, counted from 2000-01-01.
    private static let dates: ClosedRange<Int32> = -2_451_545...2_145_031_948
    private static let instants: ClosedRange<Int64> =
        -211_813_488_000_000_000...9_222_424_646_399_999_999

    /// A value that its type cannot have.
    package struct Malformed: Error, Equatable, Sendable {}

    /// Whether values of `type` can be given in binary form.
    package static func isKnown(_ type: PostgresType) -> Bool {
        type.element.map(isKnown) ?? (type != .unknown)
    }

    // MARK: To a client

    /// The binary form of a value that stands in the text form of ``PostgresText``.
    package static func bytes(_ text: String, _ type: PostgresType) throws(Malformed) -> [UInt8] {
        switch type {
        case .bool: return [text == "t" ? 1 : 0]
        case .int2: return bigEndian(try integer(text) as Int16)
        case .int4: return bigEndian(try integer(text) as Int32)
        case .int8: return bigEndian(try integer(text) as Int64)
        case .oid: return bigEndian(try integer(text) as UInt32)
        case .float4: return bigEndian(Float(try double(text)).bitPattern)
        case .float8: return bigEndian(try double(text).bitPattern)
        case .bytea: return try hex(text)
        case .uuid:
            let bytes = Bytes.bytes(hex: text.filter { $0 != "-" })
            guard let bytes, bytes.count == 16 else { throw Malformed() }
            return bytes
        case .date: return bigEndian(Int32(truncatingIfNeeded: try date(text)))
        case .timestamp, .timestamptz: return bigEndian(try instant(text))
        case .time: return bigEndian(try clock(text[...]))
        case .interval: return try interval(text)
        case .numeric: return try numeric(text)
        case .jsonb: return [1] + Array(text.utf8)
        default:
            guard let element = type.element else { return Array(text.utf8) }
            return try list(text, element)
        }
    }

    private static func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: value)
        return bytes
    }

    private static func integer<Value: FixedWidthInteger>(
        _ text: some StringProtocol
    ) throws(Malformed) -> Value {
        guard let value = Value(text) else { throw Malformed() }
        return value
    }

    private static func double(_ text: String) throws(Malformed) -> Double {
        guard let value = Double(text) else { throw Malformed() }
        return value
    }

    private static func hex(_ text: String) throws(Malformed) -> [UInt8] {
        guard text.hasPrefix("\\x"), let bytes = Bytes.bytes(hex: text.dropFirst(2)) else {
            throw Malformed()
        }
        return bytes
    }

    private static func date(_ text: String) throws(Malformed) -> Int64 {
        switch text {
        case "infinity": return Int64(Int32.max)
        case "-infinity": return Int64(Int32.min)
        default: break
        }
        var day = text[...]
        let isBeforeChrist = day.hasSuffix(" BC")
        if isBeforeChrist { day = day.dropLast(3) }
        let parts = day.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw Malformed() }
        let year: Int64 = try integer(parts[0])
        guard (1...6_000_000).contains(year) else { throw Malformed() }
        return CivilDate.days(
            year: isBeforeChrist ? 1 - year : year, month: try integer(parts[1]),
            day: try integer(parts[2])) - epochDays
    }

    private static func clock(_ text: Substring) throws(Malformed) -> Int64 {
        let halves = text.split(separator: ".", omittingEmptySubsequences: false)
        let parts = halves[0].split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, halves.count <= 2 else { throw Malformed() }
        let hours: Int64 = try integer(parts[0])
        let minutes: Int64 = try integer(parts[1])
        let seconds: Int64 = try integer(parts[2])
        guard (0...2_562_047_788).contains(hours), (0..<60).contains(minutes),
            (0...60).contains(seconds)
        else { throw Malformed() }
        var microseconds: Int64 = 0
        if halves.count == 2 {
            let digits = halves[1]
            guard (1...6).contains(digits.utf8.count) else { throw Malformed() }
            microseconds = try integer(digits + String(repeating: "0", count: 6 - digits.count))
        }
        let (whole, isTooLarge) = ((hours * 60 + minutes) * 60 + seconds)
            .multipliedReportingOverflow(by: 1_000_000)
        let (sum, overflow) = whole.addingReportingOverflow(microseconds)
        guard !isTooLarge, !overflow else { throw Malformed() }
        return sum
    }

    private static func instant(_ text: String) throws(Malformed) -> Int64 {
        switch text {
        case "infinity": return .max
        case "-infinity": return .min
        default: break
        }
        var rest = text[...]
        let isBeforeChrist = rest.hasSuffix(" BC")
        if isBeforeChrist { rest = rest.dropLast(3) }
        if rest.hasSuffix("+00") { rest = rest.dropLast(3) }
        let parts = rest.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw Malformed() }
        let days = try date(String(parts[0]) + (isBeforeChrist ? " BC" : ""))
        let (whole, isTooLarge) = days.multipliedReportingOverflow(by: microsecondsPerDay)
        let (sum, overflow) = whole.addingReportingOverflow(try clock(parts[1]))
        guard !isTooLarge, !overflow else { throw Malformed() }
        return sum
    }

    private static func interval(_ text: String) throws(Malformed) -> [UInt8] {
        var months: Int32 = 0
        var days: Int32 = 0
        var microseconds: Int64 = 0
        var words = text.split(separator: " ")[...]
        while let word = words.popFirst() {
            if word.contains(":") {
                let isNegative = word.hasPrefix("-")
                let clock = try clock(isNegative ? word.dropFirst() : word)
                microseconds = isNegative ? -clock : clock
                continue
            }
            let count: Int32 = try integer(word)
            switch words.popFirst() {
            case "year"?, "years"?: months &+= count &* 12
            case "mon"?, "mons"?: months &+= count
            case "day"?, "days"?: days = count
            default: throw Malformed()
            }
        }
        return bigEndian(microseconds) + bigEndian(days) + bigEndian(months)
    }

    /// Digits to the base 10,000, with the weight of the first and the digits shown behind the point.
    private static func numeric(_ text: String) throws(Malformed) -> [UInt8] {
        if text == "NaN" { return [0, 0, 0, 0, 0xC0, 0, 0, 0] }
        let isNegative = text.hasPrefix("-")
        let parts = text.drop { "+-".contains($0) }.split(
            separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count),
            parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
        else { throw Malformed() }
        let fraction = parts.count == 2 ? parts[1] : ""
        let whole = parts[0].drop { $0 == "0" }
        guard whole.utf8.count < 100_000, fraction.utf8.count < 16_384 else { throw Malformed() }
        func groups(_ digits: String) -> [Int16] {
            stride(from: 0, to: digits.utf8.count, by: 4).map { start in
                Array(digits.utf8)[start..<(start + 4)].reduce(0) { $0 * 10 + Int16($1 - 0x30) }
            }
        }
        let zeros = (4 - whole.utf8.count % 4) % 4
        let tail = (4 - fraction.utf8.count % 4) % 4
        var digits = groups(String(repeating: "0", count: zeros) + whole)
        var weight = digits.count - 1
        digits += groups(fraction + String(repeating: "0", count: tail))
        while digits.first == 0 {
            digits.removeFirst()
            weight -= 1
        }
        while digits.last == 0 { digits.removeLast() }
        if digits.isEmpty { weight = 0 }
        let sign: UInt16 = isNegative && !digits.isEmpty ? 0x4000 : 0
        return bigEndian(Int16(digits.count)) + bigEndian(Int16(weight)) + bigEndian(sign)
            + bigEndian(Int16(fraction.utf8.count)) + digits.flatMap { bigEndian($0) }
    }

    private static func list(
        _ text: String, _ element: PostgresType
    ) throws(Malformed) -> [UInt8] {
        guard let members = PostgresText.members(ofList: text) else { throw Malformed() }
        let hasNull: Int32 = members.contains(nil) ? 1 : 0
        guard !members.isEmpty else {
            return bigEndian(Int32(0)) + bigEndian(Int32(0)) + bigEndian(element.oid)
        }
        var bytes = bigEndian(Int32(1)) + bigEndian(hasNull) + bigEndian(element.oid)
        bytes += bigEndian(Int32(members.count)) + bigEndian(Int32(1))
        for member in members {
            guard let member else {
                bytes += bigEndian(Int32(-1))
                continue
            }
            let value = try self.bytes(member, element)
            bytes += bigEndian(Int32(value.count)) + value
        }
        return bytes
    }

    // MARK: From a client

    /// The text form of a value that a client sent in binary form.
    package static func text(_ bytes: [UInt8], _ type: PostgresType) throws(Malformed) -> String {
        switch type {
        case .bool:
            guard bytes.count == 1 else { throw Malformed() }
            return PostgresText.bool(bytes[0] != 0)
        case .int2: return String(Int16(truncatingIfNeeded: try number(bytes, 2)))
        case .int4: return String(Int32(truncatingIfNeeded: try number(bytes, 4)))
        case .int8: return String(try number(bytes, 8))
        case .oid: return String(UInt32(truncatingIfNeeded: try number(bytes, 4)))
        case .float4:
            return PostgresText.float(
                Float(bitPattern: UInt32(truncatingIfNeeded: try number(bytes, 4))))
        case .float8:
            return PostgresText.double(
                Double(bitPattern: UInt64(bitPattern: try number(bytes, 8))))
        case .bytea: return PostgresText.bytes(bytes)
        case .uuid:
            guard bytes.count == 16 else { throw Malformed() }
            let digits = Bytes.hex(bytes)
            var parts: [Substring] = []
            var rest = digits[...]
            for count in [8, 4, 4, 4, 12] {
                parts.append(rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            return parts.joined(separator: "-")
        case .date:
            let days = Int32(truncatingIfNeeded: try number(bytes, 4))
            if days == .max || days == .min {
                return PostgresText.date(days == .max ? .max : -.max)
            }
            guard dates.contains(days) else { throw Malformed() }
            return PostgresText.date(days + Int32(epochDays))
        case .timestamp, .timestamptz:
            let moment = try number(bytes, 8)
            let isUTC = type == .timestamptz
            if moment == .max || moment == .min {
                return PostgresText.timestamp(moment == .max ? .max : -.max, isUTC: isUTC)
            }
            guard instants.contains(moment) else { throw Malformed() }
            return PostgresText.timestamp(
                moment + epochDays * microsecondsPerDay, isUTC: isUTC)
        case .time:
            let microseconds = try number(bytes, 8)
            guard (0...microsecondsPerDay).contains(microseconds) else { throw Malformed() }
            return PostgresText.time(microseconds)
        case .interval:
            guard bytes.count == 16 else { throw Malformed() }
            let microseconds = try number(Array(bytes[..<8]), 8)
            guard microseconds != .min else { throw Malformed() }
            return PostgresText.interval(
                months: Int32(truncatingIfNeeded: try number(Array(bytes[12...]), 4)),
                days: Int32(truncatingIfNeeded: try number(Array(bytes[8..<12]), 4)),
                microseconds: microseconds)
        case .numeric: return try numeric(bytes)
        case .jsonb:
            guard bytes.first == 1 else { throw Malformed() }
            return try utf8(bytes.dropFirst())
        default:
            guard let element = type.element else { return try utf8(bytes[...]) }
            return try list(bytes, element)
        }
    }

    private static func number(_ bytes: [UInt8], _ count: Int) throws(Malformed) -> Int64 {
        guard bytes.count == count else { throw Malformed() }
        let sign: UInt64 = (bytes.first ?? 0) & 0x80 == 0 ? 0 : .max
        return Int64(bitPattern: bytes.reduce(sign) { $0 << 8 | UInt64($1) })
    }

    private static func utf8(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> String {
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw Malformed()
        }
        return text
    }

    private static func numeric(_ bytes: [UInt8]) throws(Malformed) -> String {
        guard bytes.count >= 8 else { throw Malformed() }
        let count = Int(try number(Array(bytes[0..<2]), 2))
        let weight = Int(try number(Array(bytes[2..<4]), 2))
        let sign = UInt16(bytes[4]) << 8 | UInt16(bytes[5])
        let scale = Int(try number(Array(bytes[6..<8]), 2))
        if sign == 0xC000 { return "NaN" }
        // What no decimal of the engine could hold is not written out at length.
        guard [0, 0x4000].contains(sign), (0...100).contains(count), (-100...100).contains(weight),
            (0...400).contains(scale), bytes.count == 8 + 2 * count
        else { throw Malformed() }
        var groups: [Int64] = []
        for index in 0..<count {
            let group = try number(Array(bytes[(8 + 2 * index)..<(10 + 2 * index)]), 2)
            guard (0..<10_000).contains(group) else { throw Malformed() }
            groups.append(group)
        }
        func group(_ position: Int) -> String {
            let index = weight - position
            return PostgresText.padded(groups.indices.contains(index) ? groups[index] : 0, 4)
        }
        var whole = ""
        if weight >= 0 { for position in (0...weight).reversed() { whole += group(position) } }
        whole = String(whole.drop { $0 == "0" })
        var fraction = ""
        var position = -1
        while fraction.utf8.count < scale {
            fraction += group(position)
            position -= 1
        }
        let text =
            (whole.isEmpty ? "0" : whole) + (scale == 0 ? "" : "." + fraction.prefix(scale))
        // There is one zero.
        let isNegative = sign != 0 && text.contains { ("1"..."9").contains($0) }
        return (isNegative ? "-" : "") + text
    }

    private static func list(
        _ bytes: [UInt8], _ element: PostgresType
    ) throws(Malformed) -> String {
        var reader = FieldReader(bytes[...])
        do {
            let dimensions = try reader.int32()
            _ = try reader.int32()
            let type = try reader.uint32()
            guard type == element.oid else { throw Malformed() }
            if dimensions == 0 { return "{}" }
            guard dimensions == 1 else { throw Malformed() }
            let count = try reader.int32()
            _ = try reader.int32()
            guard count >= 0 else { throw Malformed() }
            var members: [String?] = []
            for _ in 0..<count {
                let length = try reader.int32()
                members.append(
                    length < 0 ? nil : try text(try reader.bytes(Int(length)), element))
            }
            try reader.end()
            return PostgresText.list(members)
        } catch {
            throw Malformed()
        }
    }
}
