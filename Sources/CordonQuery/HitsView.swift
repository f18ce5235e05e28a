internal import CordonModel
internal import CordonPolicy
internal import Engine

/// The SQL of the relation `hits` for one principal: rows of the policies that are granted, live, not suppressed, and
/// their columns masked row by row.
///
/// Made from constants, `system.main.*` functions and operators alone, and bound in the child before any text of the
/// principal is. It lists the exact files.
struct HitsView {
    let access: Access
    /// Absolute paths of Parquet files; may be empty.
    private(set) var files: [String]
    /// Columns that files have not, since they are older than the column, by path; files that have all are left out.
    var lacking: [String: Set<String>] = [:]
    /// Today in UTC: what is retained until today or before is not there.
    private(set) var today: Day
    /// Tables in the child that hold suppressed pseudonyms, by the column they forbid; only those that are not empty.
    let suppressionTables: [(column: String, table: String)]
    /// Columns that are null in every row, whoever asks.
    var sealed: Set<String> = []
    /// Files with many rows, of which only the first ``sampledRows`` bear a number for their person; none for the view in
    /// which every row does.
    ///
    /// The bits that some of the people set are never more than those that all of them set, so whatever is proven by a
    /// part is proven, and the columns that tell people apart, most of the bytes of a file, are read of that part alone.
    var sampled: [String] = []
    /// A row group of the lake's files.
    static let sampledRows = 122_880
    /// Distinguishes the numbers of rows and the buckets of people of this region from those of others.
    var salt: UInt64 = 0
    /// Rows after it are not there; nil when all are.
    var horizon: Timestamp?
    /// Which of the parts that are told of one by one each file stands in; nil where nobody asks for parts.
    ///
    /// Then people and rows are numbered for a ``ReleasePart`` at the least cost: a person's number is the rest of the number that
    /// chooses the bucket, and rows with an id are read apart from those that are only counted, whose columns the former do not need.
    var units: [String: Int]?

    /// The same over other files.
    func over(_ files: [String]) -> HitsView {
        var view = self
        view.files = files
        return view
    }

    /// The rows of some files for a ``ReleasePart``, with the numbers of their units.
    func told(of units: [String: Int]) -> HitsView {
        var view = over(files.filter { units[$0] != nil })
        view.units = units
        return view
    }

    /// The same without the columns that guards read.
    var unguarded: HitsView {
        var view = self
        view.isUnguarded = true
        return view
    }
    var isUnguarded = false
    private var hasGuards: Bool { access.isHeldToGroups && !isUnguarded }

    /// What it does with a row, whatever the file, today and ``horizon``.
    var withoutFiles: HitsView {
        var view = over([])
        view.lacking = [:]
        view.today = Day(number: 0)
        view.horizon = nil
        return view
    }

    var sql: String {
        if units != nil {
            return [true, false].map { partSelection(hasID: $0) }.joined(separator: "\nUNION ALL\n")
        }
        guard !sampled.isEmpty else { return selection(of: files, people: person, where: []) }
        let isFirst = "h.file_row_number < \(Self.sampledRows)"
        // A number is compared in the scan, which leaves nothing of a dictionary to whatever comes after it.
        let isRest =
            access.grants.count == 1
            ? "h.file_row_number >= \(Self.sampledRows)" : "NOT coalesce(\(isFirst), false)"
        return selection(of: files, people: person, where: [isFirst]) + "\nUNION ALL\n"
            + selection(of: sampled, people: "NULL::UBIGINT", where: [isRest])
    }

    private func selection(
        of files: [String], people: String, where further: [String]
    ) -> String {
        var columns = HitsColumn.all.map {
            "\(masked($0.name)) AS \(EngineText.identifier($0.name))"
        }
        if hasGuards {
            columns += [
                "\(people) AS \(HitsColumn.person)", "\(group) AS \(HitsColumn.group)",
                "\(bucket) AS \(HitsColumn.bucket)", "\(rowNumber) AS \(HitsColumn.row)",
                "0::UBIGINT AS \(HitsColumn.unit)",
            ]
        }
        return """
            SELECT \(columns.joined(separator: ", "))
            FROM \(source(files)) AS h
            WHERE \((conditions + further).joined(separator: " AND "))\(bound)
            """
    }

    /// The rows that have an id, or those that have none, with the columns for parts.
    private func partSelection(hasID: Bool) -> String {
        let number = "\(HitsColumn.reservedPrefix)number"
        let row = hasID ? salted("h.hit_id") : salted(Self.counted)
        let kept = "h.\(number) & \(AnswerVector.bucketsMax - 1)::UBIGINT"
        let bucket =
            hasID
            ? kept
            : """
            CASE WHEN h."user" IS NULL AND h.visitor IS NULL THEN \(row) % \(AnswerVector.modulus)::UBIGINT \
            % \(AnswerVector.bucketsMax)::UBIGINT ELSE \(kept) END
            """
        let columns =
            HitsColumn.all.map { "\(masked($0.name)) AS \(EngineText.identifier($0.name))" } + [
                "h.\(number) >> \(AnswerVector.bucketBits)::UBIGINT AS \(HitsColumn.person)",
                "\(group) AS \(HitsColumn.group)", "\(bucket) AS \(HitsColumn.bucket)",
                "\(row) AS \(HitsColumn.row)", "h.\(HitsColumn.unit) AS \(HitsColumn.unit)",
            ]
        let conditions = conditions + ["h.hit_id IS \(hasID ? "NOT " : "")NULL"]
        return """
            SELECT \(columns.joined(separator: ", ")) \
            FROM (SELECT h.*, \(salted(hasID ? identified : unidentified)) AS \(number) \
            FROM \(source(files)) AS h WHERE \(conditions.joined(separator: " AND "))) AS h
            """
    }

    /// Leaves of each person no more rows than the noise is made for; which, is nobody's choice.
    private var bound: String {
        guard let noise = access.noise else { return "" }
        return """
             QUALIFY row_number() OVER (PARTITION BY \(person) ORDER BY \(rowNumber)) <= \(noise.rows)
            """
    }

    private func source(_ files: [String]) -> String {
        if files.isEmpty {
            let places = [
                "NULL::VARCHAR AS filename", "NULL::BIGINT AS file_row_number",
                "NULL::UBIGINT AS \(HitsColumn.unit)",
            ]
            let columns =
                HitsColumn.all.map { "NULL::\($0.type) AS \(EngineText.identifier($0.name))" }
                + places
            return "(SELECT \(columns.joined(separator: ", ")) WHERE false)"
        }
        // Files with the same columns are read together; each part of the union reads its own columns alone.
        let groups = Dictionary(grouping: files) { lacking[$0] ?? [] }
        guard groups.count > 1 || groups[[]] == nil else { return reader(files) }
        let places =
            (hasGuards ? ["filename", "file_row_number"] : [])
            + (units == nil ? [] : [HitsColumn.unit])
        let parts = groups.sorted { $0.value[0] < $1.value[0] }.map { lacking, files in
            let columns = HitsColumn.all.map {
                lacking.contains($0.name)
                    ? "NULL::\($0.type) AS \(EngineText.identifier($0.name))"
                    : EngineText.identifier($0.name)
            }
            let list = (columns + places).joined(separator: ", ")
            return "SELECT \(list) FROM \(reader(files))"
        }
        return "(" + parts.joined(separator: " UNION ALL ") + ")"
    }

    private func reader(_ files: [String]) -> String {
        let files =
            units.map { units in
                files.sorted { units[$0, default: 0] < units[$1, default: 0] }
            } ?? files
        let list = files.map(EngineText.literal).joined(separator: ", ")
        // A hit that is only counted has no id; its place in its file tells it from others.
        let places = hasGuards ? ", filename = true, file_row_number = true" : ""
        let reader =
            "read_parquet([\(list)], hive_partitioning = false, union_by_name = false\(places))"
        guard let units else { return reader }
        let unit = Self.unit(of: files.map { units[$0, default: 0] }[...])
        return "(SELECT *, \(unit) AS \(HitsColumn.unit) FROM \(reader))"
    }

    /// The unit of a row by the number of its file, which is one for all rows that the engine looks at together.
    ///
    /// - Parameter units: of the files, ascending; its indices are the numbers of the files.
    private static func unit(of units: ArraySlice<Int>) -> String {
        let first = units.first ?? 0
        let middle = units.isEmpty ? first : units[units.startIndex + units.count / 2]
        // Where another unit begins, as near to the middle as one does.
        guard let border = units.firstIndex(where: { $0 > first && $0 >= middle }) else {
            return "\(first)::UBIGINT"
        }
        return """
            CASE WHEN file_index < \(border)::UBIGINT THEN \(unit(of: units[..<border])) \
            ELSE \(unit(of: units[border...])) END
            """
    }

    private var conditions: [String] {
        var conditions = [isGranted, "h.retain_until > \(date(today))"]
        if let horizon {
            conditions.append(
                "h.ts <= system.main.make_timestamptz(\(horizon.microseconds)::BIGINT)")
        }
        for (column, table) in suppressionTables {
            let column = "h.\(EngineText.identifier(column))"
            conditions.append(
                "(\(column) IS NULL OR \(column) NOT IN (SELECT value FROM \(table)))")
        }
        return conditions
    }

    /// The rows of the policies that are granted.
    ///
    /// A plain comparison is the scan's own and comes before anything else that could fail on a row. Nothing fails on a row
    /// for who is held to groups, so there several policies may stand in a form that the engine computes for each text of a
    /// column's dictionary and not for each row, in half of the time.
    private var isGranted: String {
        let names = access.grants.map { EngineText.literal($0.policy) }
        if names.count == 1 { return "h.policy = \(names[0])" }
        let isOne = "h.policy IN (\(names.joined(separator: ", ")))"
        return access.isHeldToGroups ? "coalesce(\(isOne), false)" : isOne
    }

    /// The column, with null in the rows of policies that hide it and where it is past its age.
    private func masked(_ name: String) -> String {
        let column = "h.\(EngineText.identifier(name))"
        let type = HitsColumn.all.first { $0.name == name }?.type ?? "VARCHAR"
        if sealed.contains(name) { return "NULL::\(type)" }
        var conditions: [String] = []
        var restricts = false
        for grant in access.grants {
            let isPolicy = "h.policy = \(EngineText.literal(grant.policy))"
            if grant.hidden.contains(name) {
                restricts = true
                continue
            }
            let ages = grant.fieldDays.filter { $0.key.columns.contains(name) }.values
            if let days = ages.min() {
                restricts = true
                conditions.append("(\(isPolicy) AND h.ts >= \(timestamp(today + (1 - days))))")
            } else {
                conditions.append(isPolicy)
            }
        }
        if !restricts { return column }
        if conditions.isEmpty { return "NULL::\(type)" }
        return "CASE WHEN \(conditions.joined(separator: " OR ")) THEN \(column) END"
    }

    /// A number for the person of the row, from the unmasked columns: the user, else the visitor, else the hit by itself.
    /// Two people with one number make a group look smaller, never larger.
    private var person: String {
        "CASE \(Self.byPseudonym) WHEN h.hit_id IS NOT NULL THEN \(Self.byID) ELSE \(Self.byPlace) END"
    }
    /// The same of rows that have an id, and of those that have none.
    private var identified: String { "CASE \(Self.byPseudonym) ELSE \(Self.byID) END" }
    private var unidentified: String { "CASE \(Self.byPseudonym) ELSE \(Self.byPlace) END" }

    private static let byPseudonym = """
        WHEN h."user" IS NOT NULL THEN system.main.xor(system.main.hash(h."user"), 1::UBIGINT) \
        WHEN h.visitor IS NOT NULL THEN system.main.hash(h.visitor)
        """
    private static let byID = "system.main.xor(system.main.hash(h.hit_id), 2::UBIGINT)"
    private static let byPlace =
        "system.main.xor(system.main.hash(h.file_row_number, h.filename), 3::UBIGINT)"
    /// What tells counted hits apart.
    private static let counted = "h.ts, h.site, h.event, h.country, h.policy"

    /// The engine's hash of several values combines their hashes by a fixed rule, so the salt goes through a hash of its own.
    private func salted(_ values: String) -> String {
        "system.main.hash(system.main.xor(system.main.hash(\(values)), \(salt)::UBIGINT))"
    }

    /// The same row has the same number in whichever file it stands. Counted hits have no id, so those that are alike share one.
    private var rowNumber: String {
        """
        (CASE WHEN h.hit_id IS NOT NULL THEN \(salted("h.hit_id")) \
        ELSE \(salted(Self.counted)) END \
        % \(AnswerVector.modulus)::UBIGINT)
        """
    }

    /// People of one bucket count as one, so that two of them make a difference look smaller, never larger.
    private var bucket: String {
        """
        CASE WHEN h."user" IS NULL AND h.visitor IS NULL AND h.hit_id IS NULL THEN \(rowNumber) \
        ELSE \(salted(person)) END % \(AnswerVector.bucketsMax)::UBIGINT
        """
    }

    /// How many people a group with the row must have: what the row's policy asks for.
    private var group: String {
        let sizes = Set(access.grants.map(\.minGroup))
        // Rows of no other policy are there.
        if let size = sizes.first, sizes.count == 1 { return "\(size)" }
        let cases = access.grants.map {
            "WHEN \(EngineText.literal($0.policy)) THEN \($0.minGroup)"
        }
        return "CASE h.policy \(cases.joined(separator: " ")) END"
    }

    private func date(_ day: Day) -> String { "DATE '\(day.text)'" }
    private func timestamp(_ day: Day) -> String { "TIMESTAMPTZ '\(day.text) 00:00:00+00'" }
}
