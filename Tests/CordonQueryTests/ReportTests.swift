import CordonModel
import Foundation
import TestSupport
import Testing

@testable import CordonQuery

@Suite struct `Reports` {
    let fixture: QueryFixture
    init() throws { fixture = try QueryFixture() }

    private static let days =
        Day(
            year: 2026, month: 11, day: 20)..<Day(year: 2026, month: 11, day: 22)

    private func answers(_ principal: Principal) throws -> [ReportAnswer] {
        try Report(Report.Kind.allCases, days: Self.days).sections.map { section in
            switch try fixture.ask(section.sql, as: principal) {
            case .refused(let refusal): ReportAnswer(section, reason: refusal.rule)
            case .answered(let answer):
                if case .cells(let rows) = answer.body {
                    ReportAnswer(section, columns: answer.columns, rows: rows)
                } else {
                    ReportAnswer(section)
                }
            }
        }
    }

    @Test func `each question passes the gate for who sees rows, and counts every hit`() throws {
        let answers = try answers(QueryFixture.officer)
        for answer in answers {
            #expect(answer.reason == nil, "\(answer.section.title)")
            if answer.section.kind == .unusual { continue }
            #expect(!answer.rows.isEmpty, "\(answer.section.title)")
            #expect(answer.columns.count == answer.section.value + 1, "\(answer.section.title)")
        }
        let traffic = try #require(answers.first { $0.section.title == "Events per hour" })
        // 400 hits of one policy and 100 of another.
        #expect(traffic.values.reduce(0, +) == 500)
        #expect(traffic.shares.max() == 1)
    }

    @Test func `who sees groups is shown those that are large enough, or why there are none`()
        throws
    {
        for answer in try answers(QueryFixture.analyst) {
            #expect(answer.reason == nil || answer.reason == "min_group", "\(answer.section.title)")
            #expect(!answer.rows.contains { $0.contains("tiny.example") })
        }
    }

    @Test func `an hour far from the usual is named`() throws {
        // 180 hits in one hour of a day that has one hit a minute.
        let rows = QueryFixture.rows(
            "180", day: "2026-11-21", policy: "gdpr", retainUntil: "2027-12-21")
        let file = fixture.folder.file("burst.parquet")
        try QueryFixture.write(
            "SELECT * REPLACE (TIMESTAMPTZ '2026-11-21 20:00:00+00' AS ts, 'view' AS event) FROM (\(rows))",
            to: file)
        fixture.setFiles(try fixture.files() + [QueryFile(path: file, retainUntil: nil)])
        let report = Report([.unusual], days: Self.days)
        let answer = try fixture.ask(report.sections[0].sql, as: QueryFixture.officer)
        #expect(answer.cells?.first?[0...2] == ["2026-11-21T20:00:00Z", "view", "180"])
    }

    /// Values that would be markup, as a hostile page could send them.
    private static let hostile =
        "</title><script>document.title='taken'</script>\"'&<img src=x onerror=alert(1)>"

    private var page: String {
        let sections = Report([.traffic], days: Self.days).sections
        let rows: [[String?]] = [[Self.hostile, "12"], ["plain", "6"], [nil, nil]]
        return ReportPage(
            title: "Region \(Self.hostile)", subtitle: Self.hostile,
            answers: sections.map { ReportAnswer($0, columns: ["name", "events"], rows: rows) }
                + [ReportAnswer(sections[0], reason: Self.hostile)]
        ).html
    }

    @Test func `the page is whole by itself and holds values as text`() {
        #expect(!page.contains("<script") && !page.contains("<img") && !page.contains("http://"))
        #expect(!page.contains("https://") && !page.contains("url("))
        #expect(page.contains("&lt;script&gt;"))
        #expect(page.contains("<rect width=\"50.0\""))
    }

    @Test func `values that are withheld are said to be, and are not drawn as none`() throws {
        let section = try #require(Report([.visitors], days: Self.days).sections.first)
        func page(_ rows: [[String?]]) -> String {
            let answer = ReportAnswer(section, columns: ["day", "visitors"], rows: rows)
            return ReportPage(title: "R", subtitle: "S", answers: [answer]).html
        }
        let withheld = page([["2026-11-20", nil], ["2026-11-21", nil]])
        #expect(withheld.contains(ReportAnswer.withheld) && !withheld.contains("<rect"))
        let drawn = page([["2026-11-20", nil], ["2026-11-21", "7"]])
        #expect(!drawn.contains(ReportAnswer.withheld) && drawn.contains("<rect"))
    }

    @Test(arguments: [
        (["2026-11-20T22:00:00Z", "2026-11-20T23:00:00Z", "2026-11-21T02:00:00Z"], [0, 10, 40]),
        (["2026-11-20", "2026-11-23"], [0, 30]), (["2026-11-20"], [0]),
        // What is no time, or out of order, stands one after the other.
        (["2026-11-20T22:30:00Z", "2026-11-21T02:00:00Z"], [0, 10]),
        (["2026-11-23", "2026-11-20"], [0, 10]), (["0001-01-01", "9999-12-31"], [0, 10]),
        (["2026-11-20T24:00:00Z", "x"], [0, 10]),
    ])
    func `hours of which nothing is shown leave a gap`(_ names: [String], _ places: [Int]) throws {
        let section = try #require(Report([.traffic], days: Self.days).sections.first)
        let answer = ReportAnswer(
            section, columns: ["hour", "events"], rows: names.map { [$0, "5"] })
        let page = ReportPage(title: "R", subtitle: "S", answers: [answer]).html
        #expect(page.matches(of: #/<rect x="(\d+)"/#).compactMap { Int($0.1) } == places)
        // The name of a lone column stands once below it.
        #expect(page.matches(of: #/<span>[0-9x][^<]*</span>/#).count == min(names.count, 2))
    }

    private static let browser = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    @Test(.enabled(if: browser != nil, "no chromium: run scripts/setup --tests"))
    func `a browser draws the page and runs nothing of it`() throws {
        let file = fixture.folder.file("report.html")
        try page.write(toFile: file, atomically: true, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.browser ?? "")
        process.arguments = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--user-data-dir=\(fixture.folder.file("browser"))", "--dump-dom", "file://\(file)",
        ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(text.contains("<svg") && text.contains("<rect"))
        #expect(text.contains("Events per hour"))
        #expect(!text.contains("<title>taken</title>"))
        #expect(!text.contains("<script>"))
    }
}
