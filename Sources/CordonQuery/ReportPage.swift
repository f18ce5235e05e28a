internal import Bytes
internal import CordonModel

/// A report as one HTML page that needs nothing else: no script, no font, no image from anywhere.
///
/// INVARIANT: whatever stands in a hit is text here. Every value is escaped, and the page's own policy
/// (`Content-Security-Policy`) forbids scripts and connections should one slip through.
package struct ReportPage {
    private let title: String
    private let subtitle: String
    private let answers: [ReportAnswer]

    package init(title: String, subtitle: String, answers: [ReportAnswer]) {
        self.title = title
        self.subtitle = subtitle
        self.answers = answers
    }

    package var html: String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(Bytes.htmlText(title))</title>
        <style>
        :root { color-scheme: light dark; --bar: #2f6f9f; --line: #8884; }
        body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
        p { margin: .25rem 0 1rem; opacity: .75; }
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
        th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line); }
        td { overflow-wrap: anywhere; }
        td.bar { width: 40%; } .number { text-align: right; white-space: nowrap; }
        @media (max-width: 40rem) { td.bar { width: 15%; } }
        svg { display: block; width: 100%; } svg rect { fill: var(--bar); }
        figure svg { border-bottom: 1px solid var(--line); }
        figure { margin: 0 0 .5rem; } figcaption { display: flex; justify-content: space-between; font-size: .8rem; opacity: .75; }
        </style>
        </head>
        <body>
        <h1>\(Bytes.htmlText(title))</h1>
        <p>\(Bytes.htmlText(subtitle))</p>
        \(answers.map(section).joined(separator: "\n"))
        </body>
        </html>

        """
    }

    private func section(_ answer: ReportAnswer) -> String {
        let heading = "<section><h2>\(Bytes.htmlText(answer.section.title))</h2>"
        if answer.rows.isEmpty {
            let reason = answer.reason.map { "not shown: \($0)" } ?? "nothing"
            return "\(heading)<p>\(Bytes.htmlText(reason))</p></section>"
        }
        if answer.showsNoValue {
            return "\(heading)<p>\(ReportAnswer.withheld)</p></section>"
        }
        switch answer.section.chart {
        case .columns: return heading + columns(answer) + "</section>"
        case .bars: return heading + table(answer) + "</section>"
        }
    }

    /// Height of a column chart, in its own units.
    private static let height = 120.0
    /// A chart of fewer columns leaves room to the right, so that a lone one is no wall.
    private static let columnsMin = 24

    /// More hours than a report can have, and columns than can be told apart.
    private static let slotsMax = 10_000

    /// The hour or day that a column is for, counted from some day; nil for any other text.
    private static func slot(_ name: String) -> Int? {
        if let day = Day(name) { return Int(day.number) }
        let parts = name.split(separator: "T", omittingEmptySubsequences: false)
        guard parts.count == 2, let day = Day(parts[0]), parts[1].hasSuffix(":00:00Z"),
            let hour = Int(parts[1].dropLast(7)), (0..<24).contains(hour)
        else { return nil }
        return Int(day.number) * 24 + hour
    }

    /// Where each column stands: by its time, so that an hour of which nothing is shown leaves a gap; in their order when
    /// the names are no times.
    private static func places(_ rows: [[String?]]) -> [Int] {
        let slots = rows.compactMap { $0.first.flatMap { $0 }.flatMap(slot) }
        guard slots.count == rows.count, let first = slots.first, let last = slots.last,
            zip(slots, slots.dropFirst()).allSatisfy({ $0 < $1 }), last - first < slotsMax
        else { return Array(rows.indices) }
        return slots.map { $0 - first }
    }

    private func columns(_ answer: ReportAnswer) -> String {
        let count = answer.rows.count
        let places = Self.places(answer.rows)
        let label = Bytes.htmlText(
            "\(answer.section.title): \(count) columns, highest \(Self.highest(answer))")
        let rects = zip(zip(answer.rows, answer.shares), places).map { entry, place in
            let (row, share) = entry
            let height = share * Self.height
            let name = row.map { $0 ?? "not shown" }.joined(separator: ": ")
            return
                "<rect x=\"\(place * 10)\" y=\"\(Self.number(Self.height - height))\" width=\"8\" height=\"\(Self.number(height))\"><title>\(Bytes.htmlText(name))</title></rect>"
        }
        let ends = [answer.rows.first, answer.rows.last].map { row in
            Bytes.htmlText(row?.first.flatMap { $0 } ?? "")
        }
        let slots = max((places.last ?? 0) + 1, Self.columnsMin)
        return """
            <figure><svg viewBox="0 0 \(slots * 10) \(Int(Self.height))" preserveAspectRatio="none" height="120" role="img" aria-label="\(label)">\(rects.joined())</svg>
            <figcaption><span>\(ends[0])</span><span>highest \(Bytes.htmlText(Self.highest(answer)))</span><span>\(count > 1 ? ends[1] : "")</span></figcaption></figure>
            """
    }

    private static func highest(_ answer: ReportAnswer) -> String {
        let values = answer.values
        guard let index = values.indices.max(by: { values[$0] < values[$1] }) else { return "" }
        return answer.rows[index][answer.section.value] ?? "not shown"
    }

    private func table(_ answer: ReportAnswer) -> String {
        let value = answer.section.value
        func line(_ tag: String, _ cells: [String?], _ bar: String) -> String {
            let texts = cells.enumerated().map { index, cell in
                "<\(tag)\(index >= value ? " class=\"number\"" : "")>\(Bytes.htmlText(cell ?? "—"))</\(tag)>"
            }
            return "<tr>\(texts.joined())<\(tag) class=\"bar\">\(bar)</\(tag)></tr>"
        }
        let rows = zip(answer.rows, answer.shares).map { row, share in
            line(
                "td", row,
                "<svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" height=\"12\" aria-hidden=\"true\"><rect width=\"\(Self.number(share * 100))\" height=\"10\"/></svg>"
            )
        }
        return "<table>\(line("th", answer.columns, ""))\(rows.joined())</table>"
    }

    private static func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
