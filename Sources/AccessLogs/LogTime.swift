internal import Bytes

/// Reads the times that logs are written with; each gives microseconds since 1970 in UTC, or nil.
enum LogTime {
    private static let perSecond: Int64 = 1_000_000
    private static let perDay: Int64 = 86_400 * perSecond

    /// Seconds with an optional fraction (`1573840000.123`), whole milliseconds or microseconds by their size, or ISO 8601.
    static func any(_ bytes: UnsafeBufferPointer<UInt8>, _ days: inout DayMemory) -> Int64? {
        if bytes.count > 10, unsafe bytes[4] == 0x2D { return unsafe iso(bytes, &days) }
        return unsafe epoch(bytes)
    }

    /// As a number: 11 digits and fewer are seconds (until the year 5138), 14 and fewer milliseconds, then microseconds.
    static func epoch(_ bytes: UnsafeBufferPointer<UInt8>) -> Int64? {
        var index = 0
        guard let whole = unsafe digits(bytes, &index, max: 17) else { return nil }
        let unit: Int64 = index <= 11 ? perSecond : index <= 14 ? 1000 : 1
        var value = whole * unit
        if index < bytes.count {
            guard unsafe bytes[index] == 0x2E, unit == perSecond else { return nil }
            index += 1
            guard let fraction = unsafe fraction(bytes, &index), index == bytes.count else {
                return nil
            }
            value += fraction
        }
        return value
    }

    static func milliseconds(_ bytes: UnsafeBufferPointer<UInt8>) -> Int64? {
        var index = 0
        guard let whole = unsafe digits(bytes, &index, max: 15), index == bytes.count else {
            return nil
        }
        return whole * 1000
    }

    /// `YYYY-MM-DDTHH:MM:SS[.fraction]` and `Z` or an offset; without one it is no instant.
    static func iso(_ bytes: UnsafeBufferPointer<UInt8>, _ days: inout DayMemory) -> Int64? {
        guard bytes.count >= 20, let day = unsafe days.day(bytes, count: 10, read: Self.day),
            unsafe bytes[10] | 0x20 == 0x74 || bytes[10] == 0x20,
            let seconds = unsafe clock(bytes, 11)
        else { return nil }
        var index = 19
        var value = day * perDay + seconds * perSecond
        if unsafe bytes[index] == 0x2E {
            index += 1
            guard let fraction = unsafe fraction(bytes, &index) else { return nil }
            value += fraction
        }
        guard index < bytes.count else { return nil }
        if unsafe bytes[index] | 0x20 == 0x7A {
            return index + 1 == bytes.count ? value : nil
        }
        guard let offset = unsafe offset(bytes, index) else { return nil }
        return value - offset * perSecond
    }

    /// `YYYY-MM-DD` and `HH:MM:SS` in UTC.
    static func standard(
        _ date: UnsafeBufferPointer<UInt8>, _ time: UnsafeBufferPointer<UInt8>,
        _ days: inout DayMemory
    ) -> Int64? {
        guard date.count == 10, time.count == 8,
            let day = unsafe days.day(date, count: 10, read: Self.day),
            let seconds = unsafe clock(time, 0)
        else { return nil }
        return day * perDay + seconds * perSecond
    }

    /// `10/Oct/2000:13:55:36 -0700`.
    static func combined(_ bytes: UnsafeBufferPointer<UInt8>, _ days: inout DayMemory) -> Int64? {
        guard bytes.count == 26, unsafe bytes[11] == 0x3A, unsafe bytes[20] == 0x20,
            let day = unsafe days.day(bytes, count: 11, read: namedDay),
            let seconds = unsafe clock(bytes, 12), let offset = unsafe offset(bytes, 21)
        else { return nil }
        return day * perDay + (seconds - offset) * perSecond
    }

    // MARK: Parts

    private static func digits(
        _ bytes: UnsafeBufferPointer<UInt8>, _ index: inout Int, max: Int
    ) -> Int64? {
        var value: Int64 = 0
        let start = index
        while index < bytes.count, unsafe bytes[index] >= 0x30, unsafe bytes[index] <= 0x39 {
            guard index - start < max else { return nil }
            value = unsafe value * 10 + Int64(bytes[index] - 0x30)
            index += 1
        }
        return index > start ? value : nil
    }

    /// Digits behind a point as microseconds; what is finer is cut.
    private static func fraction(
        _ bytes: UnsafeBufferPointer<UInt8>, _ index: inout Int
    ) -> Int64? {
        var unit: Int64 = 100_000
        var value: Int64 = 0
        let start = index
        while index < bytes.count, unsafe bytes[index] >= 0x30, unsafe bytes[index] <= 0x39 {
            value += unsafe Int64(bytes[index] - 0x30) * unit
            unit /= 10
            index += 1
        }
        return index > start && index - start <= 9 ? value : nil
    }

    private static func two(_ bytes: UnsafeBufferPointer<UInt8>, _ index: Int) -> Int? {
        let high = unsafe bytes[index] &- 0x30
        let low = unsafe bytes[index + 1] &- 0x30
        return high <= 9 && low <= 9 ? Int(high) * 10 + Int(low) : nil
    }

    /// Seconds of a day; a leap second counts as the one before it.
    private static func clock(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int64? {
        guard unsafe bytes[start + 2] == 0x3A, unsafe bytes[start + 5] == 0x3A,
            let hour = unsafe two(bytes, start), let minute = unsafe two(bytes, start + 3),
            let second = unsafe two(bytes, start + 6), hour < 24, minute < 60, second <= 60
        else { return nil }
        return Int64(hour * 3600 + minute * 60 + min(second, 59))
    }

    /// `+HH:MM` or `+HHMM` to the end, in seconds.
    private static func offset(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int64? {
        let count = bytes.count - start
        guard count == 5 || count == 6, unsafe bytes[start] == 0x2B || bytes[start] == 0x2D,
            unsafe count == 5 || bytes[start + 3] == 0x3A,
            let hour = unsafe two(bytes, start + 1),
            let minute = unsafe two(bytes, start + (count == 5 ? 3 : 4)), hour < 24, minute < 60
        else { return nil }
        let seconds = Int64(hour * 3600 + minute * 60)
        return unsafe bytes[start] == 0x2D ? -seconds : seconds
    }

    /// `YYYY-MM-DD`.
    private static func day(_ bytes: UnsafeBufferPointer<UInt8>) -> Int64? {
        guard unsafe bytes[4] == 0x2D, unsafe bytes[7] == 0x2D,
            let century = unsafe two(bytes, 0), let year = unsafe two(bytes, 2),
            let month = unsafe two(bytes, 5), let day = unsafe two(bytes, 8)
        else { return nil }
        return number(century * 100 + year, month, day)
    }

    /// `10/Oct/2000`.
    private static func namedDay(_ bytes: UnsafeBufferPointer<UInt8>) -> Int64? {
        guard unsafe bytes[2] == 0x2F, unsafe bytes[6] == 0x2F,
            let day = unsafe two(bytes, 0), let month = unsafe month(bytes, 3),
            let century = unsafe two(bytes, 7), let year = unsafe two(bytes, 9)
        else { return nil }
        return number(century * 100 + year, month, day)
    }

    /// Days since 1970-01-01 of a date from then on.
    private static func number(_ year: Int, _ month: Int, _ day: Int) -> Int64? {
        guard year >= 1970, (1...12).contains(month), day >= 1, day <= length(of: month, year)
        else { return nil }
        return CivilDate.days(year: Int64(year), month: Int64(month), day: Int64(day))
    }

    private static func length(of month: Int, _ year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func month(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int? {
        var word: UInt32 = 0
        for offset in 0..<3 { word = unsafe word << 8 | UInt32(bytes[start + offset] | 0x20) }
        return months.firstIndex(of: word).map { $0 + 1 }
    }

    private static let months: [UInt32] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ].map { $0.utf8.reduce(0) { $0 << 8 | UInt32($1) } }
}

/// The day that was read last: lines of one file are mostly of one.
struct DayMemory {
    /// Its first eight bytes and its last.
    private var first: UInt64 = 0
    private var last: UInt64 = 0
    private var day: Int64?

    /// The day that the first `count` bytes (8 to 16, and one number of them for each form of a day) say.
    mutating func day(
        _ bytes: UnsafeBufferPointer<UInt8>, count: Int,
        read: (UnsafeBufferPointer<UInt8>) -> Int64?
    ) -> Int64? {
        precondition(count >= 8 && count <= bytes.count, "the caller has looked at the length")
        // SAFETY: both words lie within the bytes.
        let base = unsafe UnsafeRawPointer(bytes.baseAddress!)
        let first = unsafe base.loadUnaligned(as: UInt64.self)
        let last = unsafe base.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        if let day, first == self.first, last == self.last { return day }
        guard let day = unsafe read(bytes) else { return nil }
        self.first = first
        self.last = last
        self.day = day
        return day
    }
}
