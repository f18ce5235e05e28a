/// For how long one key makes the pseudonyms of a field: a key's epoch is one such period in UTC.
package enum KeyPeriod: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    case day, week, month, year

    /// The first day of the period that contains `day`; weeks begin on Monday (ISO 8601).
    package func start(of day: Day) -> Day {
        switch self {
        case .day:
            return day
        case .week:
            // 1970-01-01 was a Thursday, three days after a Monday.
            let sinceMonday = (Int(day.number) + 3) % 7
            return day + -(sinceMonday < 0 ? sinceMonday + 7 : sinceMonday)
        case .month:
            return day + (1 - day.civil.day)
        case .year:
            return Day(year: day.civil.year, month: 1, day: 1)
        }
    }

    /// The word in policies and in key file names.
    package var text: String {
        switch self {
        case .day: "day"
        case .week: "week"
        case .month: "month"
        case .year: "year"
        }
    }

    /// The period that `text` names.
    package init?(text: some StringProtocol) {
        guard let period = Self.allCases.first(where: { $0.text == text }) else { return nil }
        self = period
    }
}
