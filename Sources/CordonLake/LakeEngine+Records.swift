import Bytes
import CordonModel
import Engine

// Rows as records again.
extension LakeEngine {
    /// The groups of a file's rows, and how many rows each has.
    func groups(in path: String) throws -> [(RowTransfer.Group, Int64)] {
        let rows = try connection.query(
            """
            SELECT "ip_prefix", "site", "policy", count(*)
            FROM \(Self.source([path])) GROUP BY ALL
            """
        ).rows()
        return rows.map { row in
            (
                RowTransfer.Group(prefix: row[0], site: row[1] ?? "", policy: row[2] ?? ""),
                row[3].flatMap { Int64($0) } ?? 0
            )
        }
    }

    private static let wanted = "wanted_groups"
    private static let leaving = "leaving_rows"

    /// Calls `body` with the rows of `groups` and their numbers in the file, in its order, until it has taken `rowsMax` of them.
    func records(
        of groups: [RowTransfer.Group], in path: String, rowsMax: Int,
        _ body: (Int64, HitRecord) throws -> Bool
    ) throws {
        let table = IngestTable([("prefix", .utf8), ("site", .utf8), ("policy", .utf8)])
        for group in groups {
            table.columns[0].append(group.prefix)
            table.columns[1].append(group.site)
            table.columns[2].append(group.policy)
        }
        try connection.execute(
            "CREATE OR REPLACE TABLE \(Self.wanted) (prefix VARCHAR, site VARCHAR, policy VARCHAR)")
        try connection.ingest(table, into: Self.wanted)
        defer {
            // Made anew before each use; what stays meanwhile lies in memory alone.
            try? connection.execute("DROP TABLE IF EXISTS \(Self.wanted)")
        }
        let columns = HitsSchema.columns.map { column in
            column.engineType == "UUID"
                ? "CAST(h.\"\(column.name)\" AS VARCHAR)" : "h.\"\(column.name)\""
        }
        let rows = try connection.query(
            """
            SELECT h.file_row_number, \(columns.joined(separator: ", "))
            FROM \(Self.source([path], numberingRows: true)) AS h
            SEMI JOIN \(Self.wanted) AS w
                ON h."ip_prefix" IS NOT DISTINCT FROM w.prefix AND h."site" = w.site AND h."policy" = w.policy
            ORDER BY h.file_row_number
            """)
        var count = 0
        while count < rowsMax, let batch = try rows.next() {
            for row in 0..<batch.rowCount where count < rowsMax {
                let values = batch.columns.map { $0.value(at: row) }
                guard case .int(let number) = values[0],
                    let record = HitRecord(Array(values.dropFirst()))
                else {
                    throw LakeError(.damagedTable, "a row of a data file cannot be read")
                }
                if try body(number, record) { count += 1 }
            }
        }
    }

    /// Gives `body` the condition that all rows meet but those of these numbers.
    func withoutRows<Result>(
        _ numbers: [Int64], _ body: (String) throws -> Result
    ) throws -> Result {
        let table = IngestTable([("number", .int64)])
        for number in numbers { table.columns[0].append(number) }
        try connection.execute("CREATE OR REPLACE TABLE \(Self.leaving) (number BIGINT)")
        try connection.ingest(table, into: Self.leaving)
        let result = try body("file_row_number NOT IN (SELECT number FROM \(Self.leaving))")
        try connection.execute("DROP TABLE \(Self.leaving)")
        return result
    }
}

extension HitRecord {
    /// The record of a row whose values stand in the order of ``HitsSchema/columns``; nil when one of them cannot be.
    ///
    /// What a batch says of all its hits (rule set, geo table) is left out.
    fileprivate init?(_ values: [ColumnValue]) {
        func text(_ index: Int) -> String? {
            if case .text(let text) = values[index] { text } else { nil }
        }
        func number(_ index: Int) -> Int32? {
            if case .int(let number) = values[index] { Int32(exactly: number) } else { nil }
        }
        func list(_ index: Int) -> [String] {
            guard case .list(let items) = values[index] else { return [] }
            return items.map(\.text)
        }
        guard case .timestamp(let microseconds, _) = values[1], let site = text(2),
            let event = text(3),
            let consent = ConsentState.allCases.first(where: { $0.text == text(17) }),
            case .bool(let isBot) = values[18], let policy = text(19),
            case .float(let sampleRate) = values[22], case .date(let retainUntil) = values[23]
        else { return nil }
        self.init()
        if let id = text(0) {
            guard let bytes = Bytes.bytes(hex: id.replacing("-", with: "")), bytes.count == 16
            else { return nil }
            hitID = bytes.reduce(0) { $0 << 8 | UInt128($1) }
        }
        timestamp = Timestamp(microseconds: microseconds)
        self.site = site
        self.event = event
        pageHost = text(4)
        pagePath = text(5)
        referrerHost = text(6)
        visitor = text(7).flatMap { Pseudonym($0) }
        user = text(8).flatMap { Pseudonym($0) }
        keyEpoch = number(9).map { Day(number: $0) }
        ipPrefix = text(10)
        country = text(11)
        subdivision = text(12)
        browser = text(13)
        os = text(14)
        device = text(15)
        language = text(16)
        self.consent = consent
        self.isBot = isBot
        self.policy = policy
        self.sampleRate = sampleRate
        self.retainUntil = Day(number: retainUntil)
        purposes = list(24)
        signals = list(25)
        if case .map(let entries) = values[26] {
            parameters = entries.map { .init(key: $0.key.text, value: $0.value.text) }
        }
    }
}
