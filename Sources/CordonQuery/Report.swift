package import CordonModel

/// The standard questions about a region's hits, each an ordinary query that goes through the same gate as any other.
package struct Report: Sendable {
    /// One question, and how its answer is drawn.
    package struct Section: Sendable {
        package enum Chart: Sendable {
            /// A bar for each row, from the top.
            case bars
            /// A column for each row, from left to right: time.
            case columns
        }
        /// Which part of the report it belongs to.
        package let kind: Kind
        package let title: String
        package let sql: String
        package let chart: Chart
        /// Index of the column that is drawn; those before it name the row.
        package let value: Int
    }

    package enum Kind: String, CaseIterable, Sendable {
        case traffic, visitors, pages, referrers, browsers, languages, consent, routing, unusual
    }

    package let sections: [Section]

    /// Rows of a list that are shown.
    static let rowsMax = 20

    /// - Parameters:
    ///   - kinds: the parts wanted, in their own order.
    ///   - days: the first day that counts, and the first that does no more, in UTC.
    package init(_ kinds: [Kind], days: Range<Day>) {
        let range =
            "ts >= TIMESTAMPTZ '\(days.lowerBound.text) 00:00:00+00'"
            + " AND ts < TIMESTAMPTZ '\(days.upperBound.text) 00:00:00+00'"
        sections = Kind.allCases.filter(kinds.contains).flatMap { Self.sections($0, range) }
    }

    private static func sections(_ kind: Kind, _ range: String) -> [Section] {
        func counts(_ title: String, _ names: String, where condition: String? = nil) -> Section {
            let filter = condition.map { " AND \($0)" } ?? ""
            let count = names.split(separator: ", ").count
            let order = (1...count).map { ", \($0)" }.joined()
            return Section(
                kind: kind, title: title,
                sql: "SELECT \(names), count(*) AS events FROM hits WHERE \(range)\(filter)"
                    + " GROUP BY ALL ORDER BY events DESC\(order) LIMIT \(rowsMax)",
                chart: .bars, value: count)
        }
        func times(_ title: String, _ unit: String, _ value: String, _ name: String) -> Section {
            Section(
                kind: kind, title: title,
                sql: "SELECT date_trunc('\(unit)', ts) AS \(unit), \(value) AS \(name) FROM hits"
                    + " WHERE \(range) GROUP BY 1 ORDER BY 1", chart: .columns, value: 1)
        }
        switch kind {
        case .traffic:
            return [
                times("Events per hour", "hour", "count(*)", "events"), counts("Events", "event"),
                counts("Sites", "site"),
            ]
        case .visitors:
            return [times("Visitors per day", "day", "count(DISTINCT visitor)", "visitors")]
        case .pages:
            return [
                counts("Pages", "page_host, page_path", where: "page_path IS NOT NULL")
            ]
        case .referrers:
            return [counts("Referrers", "referrer_host", where: "referrer_host IS NOT NULL")]
        case .browsers:
            return [
                counts("Browsers", "browser"), counts("Systems", "os"), counts("Devices", "device"),
            ]
        case .languages: return [counts("Languages", "language")]
        case .consent:
            return [
                counts("Consent", "consent"),
                Section(
                    kind: kind, title: "Purposes granted",
                    sql: "SELECT purpose, count(*) AS events FROM"
                        + " (SELECT unnest(purposes) AS purpose FROM hits WHERE \(range))"
                        + " GROUP BY purpose ORDER BY events DESC, purpose LIMIT \(rowsMax)",
                    chart: .bars, value: 1),
            ]
        case .routing: return [counts("Policies", "policy"), counts("Countries", "country")]
        case .unusual:
            // A median and its deviation are not moved by what is unusual itself.
            return [
                Section(
                    kind: kind, title: "Unusual hours",
                    sql: """
                        WITH h AS (SELECT date_trunc('hour', ts) AS hour, event, count(*) AS events FROM hits \
                        WHERE \(range) GROUP BY 1, 2), \
                        m AS (SELECT event, median(events) AS usual, mad(events) AS spread FROM h GROUP BY event) \
                        SELECT h.hour, h.event, h.events, m.usual FROM h JOIN m ON h.event = m.event \
                        WHERE abs(h.events - m.usual) > 5 * greatest(m.spread, 1) \
                        ORDER BY abs(h.events - m.usual) DESC, h.hour, h.event LIMIT \(rowsMax)
                        """, chart: .bars, value: 2)
            ]
        }
    }
}

/// What came of one section.
package struct ReportAnswer: Sendable {
    package var section: Report.Section
    package var columns: [String] = []
    package var rows: [[String?]] = []
    /// Why there are no rows, when there is a reason.
    package var reason: String?

    package init(
        _ section: Report.Section, columns: [String] = [], rows: [[String?]] = [],
        reason: String? = nil
    ) {
        self.section = section
        self.columns = columns
        self.rows = rows
        self.reason = reason
    }

    /// What is said in the place of a chart none of whose values is shown.
    package static let withheld = "not shown: hidden from this role, or of too few people"

    /// Whether there are rows, and the value of each is withheld.
    package var showsNoValue: Bool {
        !rows.isEmpty && rows.allSatisfy { $0[section.value] == nil }
    }

    /// What each row is drawn as; zero where there is no number.
    package var values: [Double] {
        rows.map { row in max(row[section.value].flatMap { Double($0) } ?? 0, 0) }
    }

    /// The share of the largest value, by row.
    package var shares: [Double] {
        let values = values
        let largest = values.max() ?? 0
        return values.map { largest > 0 ? $0 / largest : 0 }
    }
}
