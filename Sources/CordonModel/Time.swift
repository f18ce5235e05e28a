internal import Bytes

/// A calendar day in UTC, counted from 1970-01-01.
package struct Day: Hashable, Comparable, Sendable, BitwiseCopyable {
    package let number: Int32

    @inlinable
    package init(number: Int32) { self.number = number }

    /// The day that contains `timestamp`.
    @inlinable
    package init(_ timestamp: Timestamp) {
        let perDay = Timestamp.microsecondsPerDay
        var day = timestamp.microseconds / perDay
        if timestamp.microseconds % perDay < 0 { day -= 1 }
        number = Int32(clamping: day)
    }

    /// Parses `YYYY-MM-DD`; nil unless it is a day of the proleptic Gregorian calendar.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].utf8.count == 4, parts[1].utf8.count == 2,
            parts[2].utf8.count == 2,
            parts.allSatisfy({ $0.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } }),
            let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]),
            (1...12).contains(month), day >= 1
        else { return nil }
        self.init(year: year, month: month, day: day)
        guard civil == (year, month, day) else { return nil }
    }

    /// The day of a proleptic Gregorian date.
    package init(year: Int, month: Int, day: Int) {
        number = Int32(
            clamping: CivilDate.days(year: Int64(year), month: Int64(month), day: Int64(day)))
    }

    /// Year, month and day of the month.
    package var civil: (year: Int, month: Int, day: Int) {
        let (year, month, day) = CivilDate.civil(Int64(number))
        return (Int(year), Int(month), Int(day))
    }

    /// `YYYY-MM-DD`.
    package var text: String {
        let (year, month, day) = civil
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    }

    /// Midnight UTC at which the day begins.
    package var start: Timestamp {
        Timestamp(microseconds: Int64(number) * Timestamp.microsecondsPerDay)
    }

    package static func < (left: Day, right: Day) -> Bool { left.number < right.number }
    package static func + (day: Day, count: Int) -> Day {
        Day(number: Int32(clamping: Int(day.number) + count))
    }
    package static func - (left: Day, right: Day) -> Int { Int(left.number) - Int(right.number) }
}

/// An instant in UTC, in microseconds since 1970-01-01T00:00:00Z.
package struct Timestamp: Hashable, Comparable, Sendable, BitwiseCopyable {
    package let microseconds: Int64
    package static let microsecondsPerDay: Int64 = 86_400_000_000

    @inlinable
    package init(microseconds: Int64) { self.microseconds = microseconds }

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microseconds < right.microseconds
    }

    /// RFC 3339 text with microseconds, such as `2026-11-23T22:20:37.000001Z`.
    package var text: String {
        let day = Day(self)
        let rest = microseconds - day.start.microseconds
        let seconds = Int(rest / 1_000_000)
        let clock = [seconds / 3600, seconds / 60 % 60, seconds % 60].map { padded($0, 2) }
            .joined(separator: ":")
        return "\(day.text)T\(clock).\(padded(Int(rest % 1_000_000), 6))Z"
    }
}

/// Where the time comes from; tests give a fake one.
package protocol WallClock: Sendable {
    func now() -> Timestamp
}

private func padded(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
