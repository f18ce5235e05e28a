internal import Bytes

/// Values in the text form that a server of PostgreSQL shows with `DateStyle` ISO and `IntervalStyle` postgres.
package enum PostgresText {
    private static let microsecondsPerDay: Int64 = 86_400_000_000
    /// The engine's largest instant stands for the end of time, and its opposite for the beginning.
    private static let infinite = Int64.max
    private static let infiniteDays = Int32.max

    package static func bool(_ value: Bool) -> String { value ? "t" : "f" }

    package static func double(_ value: Double) -> String {
        guard value.isFinite else {
            return value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
        }
        return shortened("\(value)")
    }

    package static func float(_ value: Float) -> String {
        value.isFinite ? shortened("\(value)") : double(Double(value))
    }

    /// Whole numbers stand without a fraction.
    private static func shortened(_ text: String) -> String {
        text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    package static func bytes(_ value: [UInt8]) -> String { "\\x" + Bytes.hex(value) }

    /// - Parameter days: from 1970-01-01.
    package static func date(_ days: Int32) -> String {
        if days.magnitude == infiniteDays.magnitude { return days < 0 ? "-infinity" : "infinity" }
        let (text, isBeforeChrist) = calendar(Int64(days))
        return text + (isBeforeChrist ? " BC" : "")
    }

    /// - Parameter microseconds: from 1970-01-01 00:00:00.
    package static func timestamp(_ microseconds: Int64, isUTC: Bool) -> String {
        if microseconds.magnitude >= infinite.magnitude {
            return microseconds < 0 ? "-infinity" : "infinity"
        }
        var (days, rest) = microseconds.quotientAndRemainder(dividingBy: microsecondsPerDay)
        if rest < 0 {
            days -= 1
            rest += microsecondsPerDay
        }
        let (text, isBeforeChrist) = calendar(days)
        return text + " " + time(rest) + (isUTC ? "+00" : "") + (isBeforeChrist ? " BC" : "")
    }

    package static func time(_ microseconds: Int64) -> String {
        let seconds = microseconds / 1_000_000
        let parts = [seconds / 3600, seconds / 60 % 60, seconds % 60].map { padded($0, 2) }
        return parts.joined(separator: ":") + fraction(microseconds % 1_000_000)
    }

    package static func interval(months: Int32, days: Int32, microseconds: Int64) -> String {
        var parts: [String] = []
        func put(_ count: Int32, _ word: String) {
            if count != 0 { parts.append("\(count) \(word)\(count == 1 ? "" : "s")") }
        }
        put(months / 12, "year")
        put(months % 12, "mon")
        put(days, "day")
        if microseconds != 0 || parts.isEmpty {
            let magnitude = microseconds.magnitude
            let seconds = Int64(magnitude / 1_000_000)
            let clock = [seconds / 3600, seconds / 60 % 60, seconds % 60].map { padded($0, 2) }
            parts.append(
                (microseconds < 0 ? "-" : "") + clock.joined(separator: ":")
                    + fraction(Int64(magnitude % 1_000_000)))
        }
        return parts.joined(separator: " ")
    }

    /// A list in braces, every text in quotes that would not stand for itself.
    package static func list(_ values: [String?]) -> String {
        let members = values.map { value in
            guard let value else { return "NULL" }
            let isPlain =
                !value.isEmpty && value.lowercased() != "null"
                && !value.utf8.contains { " \t\n\r\u{0B}\u{0C}{},\"\\".utf8.contains($0) }
            if isPlain { return value }
            return "\"" + value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    /// The members of a list of one dimension in braces; nil for anything else.
    package static func members(ofList text: String) -> [String?]? {
        var rest = Array(text.utf8)[...]
        guard rest.popFirst() == UInt8(ascii: "{"), rest.popLast() == UInt8(ascii: "}") else {
            return nil
        }
        if rest.isEmpty { return [] }
        var members: [String?] = []
        while true {
            var member: [UInt8] = []
            var isQuoted = false
            if rest.first == UInt8(ascii: "\"") {
                isQuoted = true
                rest.removeFirst()
                while let unit = rest.popFirst(), unit != UInt8(ascii: "\"") {
                    guard unit == UInt8(ascii: "\\") else {
                        member.append(unit)
                        continue
                    }
                    guard let next = rest.popFirst() else { return nil }
                    member.append(next)
                }
            } else {
                while let unit = rest.first, unit != UInt8(ascii: ",") {
                    // Lists within lists, and quotes within a member, are not read.
                    if "{}\"\\".utf8.contains(unit) { return nil }
                    member.append(unit)
                    rest.removeFirst()
                }
            }
            let value = String(decoding: member, as: UTF8.self)
            if !isQuoted && value.isEmpty { return nil }
            members.append(!isQuoted && value.lowercased() == "null" ? nil : value)
            guard let separator = rest.popFirst() else { return members }
            guard separator == UInt8(ascii: ",") else { return nil }
        }
    }

    // MARK: Helpers

    private static func fraction(_ microseconds: Int64) -> String {
        guard microseconds != 0 else { return "" }
        var digits = padded(microseconds, 6)
        while digits.hasSuffix("0") { digits.removeLast() }
        return "." + digits
    }

    static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    private static func calendar(_ days: Int64) -> (text: String, isBeforeChrist: Bool) {
        let (year, month, day) = CivilDate.civil(days)
        let shown = year > 0 ? year : 1 - year
        return ("\(padded(shown, 4))-\(padded(month, 2))-\(padded(day, 2))", year <= 0)
    }
}
