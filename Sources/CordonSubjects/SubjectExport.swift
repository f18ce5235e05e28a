internal import CordonKeys
package import CordonModel

/// What stands before a region's rows in an export, so that the person can read them.
package struct ExportHeading: Codable, Equatable, Sendable {
    package var region: String
    package var title: String
    /// ISO 3166-1 code of the country in which the machines stand.
    package var jurisdiction: String
    package var policies: [Policy]

    /// One policy that sends hits to the region.
    package struct Policy: Codable, Equatable, Sendable {
        package var policy: String
        package var title: String
        /// The law or decision that it carries out.
        package var source: String
        package var purposes: [String]
        package var retentionDays: Int
        /// Days after which a field is no longer shown, by field.
        package var fieldDays: [String: Int]
        /// Who may see rows or aggregates, such as `analyst: aggregates for audience-measurement`.
        package var recipients: [String]

        enum CodingKeys: String, CodingKey {
            case policy, title, source, purposes, recipients
            case retentionDays = "retention_days"
            case fieldDays = "field_days"
        }

        package init(
            policy: String, title: String, source: String, purposes: [String], retentionDays: Int,
            fieldDays: [String: Int], recipients: [String]
        ) {
            self.policy = policy
            self.title = title
            self.source = source
            self.purposes = purposes
            self.retentionDays = retentionDays
            self.fieldDays = fieldDays
            self.recipients = recipients
        }
    }

    package init(region: String, title: String, jurisdiction: String, policies: [Policy]) {
        self.region = region
        self.title = title
        self.jurisdiction = jurisdiction
        self.policies = policies
    }
}

/// Writes one export as a JSON document, region by region and row by row, so that its size does not matter, and each
/// region's rows also as CSV (RFC 4180).
package struct SubjectExport {
    private let json: (String) throws -> Void
    private var isFirstRegion = true

    /// - Parameter json: takes the document's text piece by piece.
    package init(request: String, madeAt: Timestamp, json: @escaping (String) throws -> Void) throws
    {
        self.json = json
        let heading = [
            try JSONValue.line("about") + ":"
                + JSONValue.line(
                    "Everything that is held on one person, region by region. "
                        + "`columns` says what each value means; `policies`, what it is for and how long it stays."
                ),
            "\"request\":" + (try JSONValue.line(request)),
            "\"made_at\":" + (try JSONValue.line(madeAt.text)),
        ]
        try json("{\n" + heading.joined(separator: ",\n") + ",\n\"regions\":[")
    }

    /// Writes one region.
    ///
    /// - Parameters:
    ///   - csv: takes the lines of the region's table; nil when none is wanted.
    ///   - rows: gives each row to the function that it is called with.
    package mutating func region(
        _ heading: ExportHeading, columns: [String], keysFrom: Day?, keysLost: [Day] = [],
        csv: ((String) throws -> Void)?,
        rows: ((ExportRow) throws -> Void) throws -> Void
    ) throws {
        try json((isFirstRegion ? "\n" : ",\n") + "{")
        isFirstRegion = false
        try json("\"heading\":" + JSONValue.line(heading) + ",\n")
        try json("\"keys_from\":" + JSONValue.line(keysFrom?.text) + ",\n")
        try json("\"keys_lost\":" + JSONValue.line(keysLost.map(\.text)) + ",\n")
        let meanings = Dictionary(
            uniqueKeysWithValues: columns.map { ($0, Self.meanings[$0] ?? "") })
        try json("\"columns\":" + JSONValue.line(meanings) + ",\n\"rows\":[")
        try csv?(columns.joined(separator: ",") + "\r\n")
        var isFirst = true
        try rows { row in
            let members = try columns.map { column in
                try JSONValue.line(column) + ":" + JSONValue.line(row.values[column] ?? .null)
            }
            try json((isFirst ? "\n{" : ",\n{") + members.joined(separator: ",") + "}")
            isFirst = false
            guard let csv else { return }
            let cells = try columns.map { try Self.quoted((row.values[$0] ?? .null).cell()) }
            try csv(cells.joined(separator: ",") + "\r\n")
        }
        try json("]}")
    }

    package func finish() throws { try json("\n]}\n") }

    private static func quoted(_ cell: String) -> String {
        let isPlain = cell.utf8.allSatisfy {
            $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "\"") && $0 != 0x0A && $0 != 0x0D
        }
        if isPlain { return cell }
        return "\""
            + cell.split(separator: "\"", omittingEmptySubsequences: false).joined(
                separator: "\"\"")
            + "\""
    }

    /// What each column holds, for a reader who knows nothing of the system.
    static let meanings = [
        "hit_id": "number of this page view or event",
        "ts": "when it happened, in UTC",
        "site": "the site it happened on",
        "event": "what happened, such as a view",
        "page_host": "host of the page", "page_path": "path of the page",
        "referrer_host": "host of the page before",
        "visitor": "stand-in for address, browser and site; changes with its key",
        "user": "stand-in for the user id; changes with its key",
        "key_epoch": "day by which the stand-ins' keys are found, counted from 1970-01-01",
        "ip_prefix": "the shortened network address",
        "country": "country of the address (ISO 3166)",
        "subdivision": "state or province of the address (ISO 3166)",
        "browser": "family of the browser", "os": "family of the operating system",
        "device": "family of the device", "language": "first language that the browser asked for",
        "consent": "whether consent was granted, denied, absent or invalid",
        "bot": "whether the browser looked like a robot",
        "policy": "the policy under which it was kept",
        "rule_set": "digest of all policies at that moment",
        "geo_build": "version of the table that told the country",
        "sample_rate": "share of events that were kept; 1 is every one",
        "retain_until": "the day from which on it may no longer be kept",
        "purposes": "purposes that were consented to", "signals": "which signals said so",
        "params": "further values that the page sent and the policy allows",
    ]
}

extension SubjectService {
    /// Everything that the region holds of a person, each row given to `body`, its sealed values opened. The audit log knows
    /// before the first.
    ///
    /// - Returns: what there was.
    package func export(
        _ subject: Subject, request id: String, _ body: (ExportRow) throws -> Void
    ) throws -> SubjectFinding {
        var finding = try look(for: subject)
        finding.regionBytes = try regionBytes()
        let opener = try subjectKeys().map { SealedRowOpener(region: place.region, $0) }
        let counts = Self.counts(finding)
        try audit(
            SubjectEvent(
                kind: .export, request: id, subject: subject.digest.hex, asOf: nil,
                counts: [
                    "rows": Int(counts.rows), "files": Int(counts.files),
                    "journal-hits": Int(counts.journalHits),
                ]))
        // The journal first: what is delivered meanwhile is then met twice rather than missed, and told by its id.
        var waiting: [(id: JSONValue, row: ExportRow)] = []
        try JournalSweep(journal: try journal()).forEachRecord(
            .people(subject.filter), after: try lake.deliveredThrough()
        ) { record, batch in
            let row = ExportRow(record, ruleSet: batch.ruleSet, geoBuild: batch.geoBuild)
            waiting.append((row.values["hit_id"] ?? .null, row))
        }
        try lake.rows(of: subject.filter) { json in
            let stored = try ExportRow(lake: json)
            let row = try opener?.opened(stored) ?? stored
            let hit = row.values["hit_id"] ?? .null
            waiting.removeAll { $0.id == hit }
            try body(row)
        }
        for entry in waiting { try body(entry.row) }
        finding.unopenedValues = opener?.unopened ?? 0
        try note(.export, id, subject, counts)
        return finding
    }
}
