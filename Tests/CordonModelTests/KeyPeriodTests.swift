import CordonModel
import Testing

@Suite struct `Key periods` {
    @Test(arguments: [
        (KeyPeriod.day, "2026-11-23", "2026-11-23"), (.week, "2026-11-23", "2026-11-23"),
        (.week, "2026-11-29", "2026-11-23"), (.week, "1969-12-30", "1969-12-29"),
        (.month, "2024-02-29", "2024-02-01"), (.year, "2026-11-23", "2026-01-01"),
    ])
    func `a period begins on its first day`(
        _ period: KeyPeriod, _ day: String, _ start: String
    ) throws {
        #expect(period.start(of: try #require(Day(day))).text == start)
    }

    @Test func `every day of a period has the same start, which starts itself`() {
        for period in KeyPeriod.allCases {
            for number in Int32(-800)...Int32(40_000) {
                let start = period.start(of: Day(number: number))
                #expect(start <= Day(number: number))
                #expect(period.start(of: start) == start)
            }
            #expect(KeyPeriod(text: period.text) == period)
        }
    }
}
