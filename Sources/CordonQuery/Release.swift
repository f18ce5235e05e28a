/// One aggregation of a statement: which rows each of its groups, and each call in them, tells of.
///
/// What is shown of it in the end (HAVING, LIMIT, what is computed of it) may be less; every group of enough people counts
/// as shown.
struct Release {
    /// A query node that gives, for each group and bucket of people, how many there are, how many there must be and the sum
    /// of the numbers of their rows; for each call with rows of its own the same.
    let node: JSONTree
    /// The same with lower bounds for people, which cost less, and the number of rows for an upper one.
    let quickNode: JSONTree
    /// A query node that gives the same by units of the table, so that what it tells of several adds up; see ``ReleasePart``.
    let partNode: JSONTree
    let keyCount: Int
    /// Whether no hit stands in two of the groups.
    let isPartition: Bool
    /// What is told of the rows, by call: nil how many there are, else something of their values.
    let calls: [String?]

    /// Columns of ``node``: `cordon_k0` … the keys, `cordon_b` the bucket, `cordon_p`, `cordon_g`, `cordon_s`, `cordon_n` people, people
    /// needed, sum and rows of the group, with a number behind them those of a call. Of ``partNode`` also `cordon_u` the unit and,
    /// instead of the people, least, most and sum of their numbers (`cordon_l`, `cordon_m`, `cordon_t`).
    static func isColumn(_ name: String) -> Bool {
        name.wholeMatch(of: #/cordon_(b|u|small|[kpgsnlmt]\d{0,4})/#) != nil
    }

    /// More calls with rows of their own in one SELECT are refused.
    static let callsMax = 64
    /// More keys are refused.
    static let keysMax = 16
    /// More groups of enough people in one SELECT are refused.
    static let groupsMax = 4096
    /// More groups than this are told apart by fewer buckets.
    static let finelyTold = 128

    /// The most rows of ``sql(_:)``.
    static let rowsMax =
        AnswerVector.bucketsMax + groupsMax * AnswerVector.bucketsMin

    /// What the child asks for: `rendered` is ``node`` or ``quickNode`` as text. Columns: whether the row is of a group (1) or of all (0), the bucket, the
    /// people needed, the sum of the group, those of the calls, and for each key its number, that of its day and that of its month.
    ///
    /// Groups of too few people are left out, and so are calls of too few in a group. Quick, it fails with ``GroupGuard/notProven``
    /// where the bounds do not tell which.
    func sql(_ rendered: String, salt: UInt64, isQuick: Bool = false) -> String {
        let keys = (0..<keyCount).map { "cordon_k\($0)" }
        let window = keys.isEmpty ? "()" : "(PARTITION BY \(keys.joined(separator: ", ")))"
        let numbers = calls.indices
        let parts =
            keys + ["cordon_b AS b", "cordon_s AS s"]
            + numbers.map {
                "CASE WHEN \(Self.isShown("\($0)", isQuick)) THEN cordon_s\($0) END AS s\($0)"
            } + ["\(Self.isShown("", isQuick)) AS shown", "max(cordon_g) OVER w AS needed"]
        let sums = (["s"] + numbers.map { "s\($0)" }).map {
            "(coalesce(sum(\($0)), 0) % \(AnswerVector.modulus))::BIGINT"
        }
        let none = keys.flatMap { _ in ["0::UBIGINT", "0::UBIGINT", "0::UBIGINT"] }
        var text = """
            WITH c AS MATERIALIZED (\(rendered)), \
            w AS MATERIALIZED (SELECT \(parts.joined(separator: ", ")) FROM c WINDOW w AS \(window)), \
            f AS MATERIALIZED (SELECT * FROM w WHERE shown AND b IS NOT NULL) \
            SELECT * FROM (SELECT 0 AS t, b, max(needed) AS needed, \((sums + none).joined(separator: ", ")) \
            FROM f GROUP BY b
            """
        if !keys.isEmpty {
            let told = keys.flatMap { Self.told(key: $0, salt) }
            let few =
                "(SELECT count(*) FROM (SELECT DISTINCT \(keys.joined(separator: ", ")) FROM f))"
            let bucket =
                "CASE WHEN \(few) > \(Self.finelyTold) THEN b % \(AnswerVector.bucketsMin) ELSE b END"
            text += """
                 UNION ALL SELECT 1, \(bucket) AS b, max(needed), \((sums + told).joined(separator: ", ")) \
                FROM f GROUP BY \(keys.joined(separator: ", ")), 2
                """
        }
        return text + ") LIMIT \(Self.rowsMax + 1)"
    }

    private static func isShown(_ number: String, _ isQuick: Bool) -> String {
        let people = "sum(cordon_p\(number)) OVER w"
        let needed = "max(cordon_g\(number)) OVER w"
        guard isQuick else { return "\(people) >= \(needed)" }
        return """
            CASE WHEN \(people) >= \(needed) THEN true WHEN \(needed) IS NULL OR sum(cordon_n\(number)) OVER w < \(needed) \
            THEN false ELSE error('\(GroupGuard.notProven)') END
            """
    }

    /// The numbers of a key, of its day and of its month; the latter are 0 where it is no time.
    ///
    /// A text's number is that of a keyed digest, since who knows how the engine's hash is made could ask for groups whose texts have one hash,
    /// and these would be taken for one group.
    private static func told(key: String, _ salt: UInt64) -> [String] {
        func digest(_ text: String) -> String {
            "system.main.md5_number_lower('\(salt) ' || \(text))"
        }
        func time(_ characters: Int) -> String {
            """
            CASE WHEN \(key) IS NOT NULL AND typeof(\(key)) IN ('DATE', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE') \
            THEN \(digest("left(CAST(\(key) AS VARCHAR), \(characters))")) ELSE 0::UBIGINT END
            """
        }
        // What is no text may be written in several ways, of which the engine's hash knows.
        let text =
            "CASE typeof(\(key)) WHEN 'VARCHAR' THEN 't' || CAST(\(key) AS VARCHAR) ELSE 'h' || system.main.hash(\(key)) END"
        return [
            "CASE WHEN \(key) IS NULL THEN 0::UBIGINT ELSE \(digest(text)) END", time(10), time(7),
        ]
    }

    /// More groups of one SELECT in the rows of one question are not told in parts.
    static let partGroupsMax = 16_384

    /// What the child asks for where the rows are told of by units: `rendered` is ``partNode`` as text. Columns: the unit, the numbers of each key as in
    /// ``sql(_:salt:isQuick:)``, the buckets as a list, and for the group and each call lists by bucket: people needed, rows, sum of the rows'
    /// numbers, least, most and sum of the people's numbers.
    func partSQL(_ rendered: String, salt: UInt64) -> String {
        let keys = (0..<keyCount).map { "cordon_k\($0)" }
        func sum(_ name: String) -> String {
            "(coalesce(\(name), 0) % \(AnswerVector.modulus))::UBIGINT"
        }
        let measures = ([""] + calls.indices.map { "\($0)" }).flatMap { number in
            [
                "coalesce(cordon_g\(number), 0)::UBIGINT", "cordon_n\(number)::UBIGINT",
                sum("cordon_s\(number)"), "coalesce(cordon_l\(number), 0)",
                "coalesce(cordon_m\(number), 0)", sum("cordon_t\(number)"),
            ].map { "list(\($0))" }
        }
        let columns =
            ["cordon_u"] + keys.flatMap { Self.told(key: $0, salt) } + ["list(cordon_b)"] + measures
        return """
            WITH c AS MATERIALIZED (\(rendered)) SELECT \(columns.joined(separator: ", ")) FROM c WHERE cordon_b IS NOT NULL \
            GROUP BY \((["cordon_u"] + keys).joined(separator: ", ")) LIMIT \(Self.partGroupsMax + 1)
            """
    }
}

/// Gathers the releases of a statement while its guards are put in.
final class ReleaseList {
    struct Call {
        let condition: JSONTree
        /// Nil for the number of the rows; else what is made of their values.
        let label: String?
    }

    var all: [Release] = []
    /// The calls of the aggregation that is being looked at.
    var calls: [Call] = []
}

extension GroupGuard {
    /// Notes what an aggregation tells of.
    ///
    /// - Parameters:
    ///   - node: with its calls held, before it gets a HAVING.
    ///   - items: the columns of the result before their calls were held.
    func release(
        _ node: JSONTree, _ scope: Scope, _ rows: Relation.Rows, items: [JSONTree]
    ) throws {
        guard let releases else { return }
        var calls: [ReleaseList.Call] = []
        for call in releases.calls {
            let isKnown = calls.contains {
                $0.condition == call.condition && $0.label == call.label
            }
            if !isKnown { calls.append(call) }
        }
        let groups = node["group_expressions"].array
        guard calls.count <= Release.callsMax, groups.count <= Release.keysMax else {
            throw Refused(
                "one SELECT over `hits` may have \(Release.keysMax) keys and \(Release.callsMax) aggregates"
            )
        }
        var made = node
        let shown = zip(node["select_list"].array, items).map { item, original in
            Self.holdsAggregate(original) ? Self.null(alias: original["alias"]) : item
        }
        func named(_ node: JSONTree, _ name: String) -> JSONTree {
            var node = node
            node["alias"] = .string("cordon_" + name)
            return node
        }
        func parts(_ number: String, _ condition: JSONTree?) -> [JSONTree] {
            [
                ("g", "max", HitsColumn.group), ("n", "count", HitsColumn.row),
                ("s", "sum", HitsColumn.row), ("l", "min", HitsColumn.person),
                ("m", "max", HitsColumn.person), ("t", "sum", HitsColumn.person),
            ].map { name, aggregate, column in
                named(
                    Self.call(aggregate, [Self.column(column)], filter: condition), name + number)
            }
        }
        func measures(_ number: String, _ condition: JSONTree?, _ isQuick: Bool) -> [JSONTree] {
            let people =
                isQuick
                ? Self.bits(where: condition)
                : Self.call(
                    "count", [Self.column(HitsColumn.person)], isDistinct: true, filter: condition)
            let needed = Self.call("max", [Self.column(HitsColumn.group)], filter: condition)
            let sum = Self.call("sum", [Self.column(HitsColumn.row)], filter: condition)
            let count = Self.call("count", [Self.column(HitsColumn.row)], filter: condition)
            return [
                named(people, "p" + number), named(needed, "g" + number), named(sum, "s" + number),
                named(count, "n" + number),
            ]
        }
        let conditions = try calls.map { try total($0.condition, rows, isCondition: true) }
        let keys =
            groups.enumerated().map { index, group in
                named(Self.key(group, shown, rows), "k\(index)")
            } + [named(Self.column(HitsColumn.bucket), "b")]
        func columns(_ isQuick: Bool) -> [JSONTree] {
            keys + measures("", nil, isQuick)
                + conditions.enumerated().flatMap { measures("\($0)", $1, isQuick) }
        }
        func group(by columns: [JSONTree]) {
            made["group_expressions"] = .array(groups + columns)
            let indexes = (0..<groups.count + columns.count).map { JSONTree.number("\($0)") }
            made["group_sets"] = .array([.array(indexes)])
        }
        for part in ["having", "qualify"] { made[part] = .null }
        made["modifiers"] = .array([])
        let names = scope.definitions.map { ($0["key"].string ?? "").lowercased() }
        guard Set(names).count == names.count else {
            throw Refused("two common tables have one name; give each a name of its own")
        }
        made["cte_map"] = .make([("map", .array(scope.definitions))])
        group(by: [Self.column(HitsColumn.bucket), Self.column(HitsColumn.unit)])
        made["select_list"] = .array(
            shown + keys + [named(Self.column(HitsColumn.unit), "u")] + parts("", nil)
                + conditions.enumerated().flatMap { parts("\($0)", $1) })
        let part = made
        group(by: [Self.column(HitsColumn.bucket)])
        made["select_list"] = .array(shown + columns(false))
        var quick = made
        quick["select_list"] = .array(shown + columns(true))
        releases.all.append(
            Release(
                node: made, quickNode: quick, partNode: part, keyCount: groups.count,
                isPartition: !rows.isRepeated && !Self.holdsCall("unnest", made),
                calls: calls.map(\.label)))
    }

    /// Notes the rows of a call: those that count, those that its FILTER or its CASE chooses, and those whose values add to it.
    ///
    /// - Parameter conditions: under which a row adds to it, the FILTER first.
    func note(call: JSONTree, _ conditions: [JSONTree], _ rows: Relation.Rows) {
        guard let releases, !conditions.isEmpty else { return }
        let name = call["function_name"].string?.lowercased() ?? ""
        let argument = call["children"].array.first ?? .null
        let isCount =
            Self.counts.contains(name) && call["distinct"] != .bool(true)
        if isCount || !Self.isPlain(argument) {
            releases.calls.append(.init(condition: conjunction(conditions), label: nil))
            if isCount { return }
        }
        var chosen = call["filter"].isNull ? [] : [call["filter"]]
        if let check = argument["case_checks"].array.first { chosen.append(check["when_expr"]) }
        if !chosen.isEmpty {
            releases.calls.append(.init(condition: conjunction(chosen), label: nil))
        }
        releases.calls.append(
            .init(condition: conjunction(conditions), label: DecomposedQuery.bare(argument).text))
    }

    /// Whether the value of an argument does not choose rows by itself, as rounding to zero would.
    private static func isPlain(_ node: JSONTree) -> Bool {
        switch node["class"].string {
        case "COLUMN_REF", "CONSTANT", "OPERATOR": return true
        case "CASE": return node["case_checks"].array.allSatisfy { isPlain($0["then_expr"]) }
        case "CAST":
            let child = node["child"]
            if ["DOUBLE", "FLOAT"].contains(node["cast_type"]["id"].string) {
                return isPlain(child)
            }
            return child["class"].string != "FUNCTION" || !isComputed(child)
        case "FUNCTION":
            if let inner = held(node) { return isPlain(inner) }
            let isSum = ["+", "-", "*", "/"].contains(node["function_name"].string)
            return !isComputed(node) || isSum && node["children"].array.allSatisfy(isPlain)
        default: return false
        }
    }

    /// What `greatest(least(inner, most), least)` with bounds on both sides of zero holds to them: zero stays zero.
    private static func held(_ call: JSONTree) -> JSONTree? {
        let outer = call["children"].array
        guard call["function_name"].string == "greatest", outer.count == 2,
            outer[0]["function_name"].string == "least", outer[0]["children"].array.count == 2,
            outer[1]["value"]["value"].integer.map({ $0 < 0 }) ?? false,
            outer[0]["children"].array[1]["value"]["value"].integer.map({ $0 > 0 }) ?? false
        else { return nil }
        return outer[0]["children"].array[0]
    }

    /// Whether a call does more than to take an element out.
    private static func isComputed(_ call: JSONTree) -> Bool {
        ![
            "element_at", "map_extract", "map_extract_value", "array_extract", "list_extract",
            "date_trunc", "lower", "upper",
        ].contains(call["function_name"].string?.lowercased())
    }

    /// The expression that a group stands for: a position and a name of the result mean a column of it.
    private static func key(
        _ group: JSONTree, _ items: [JSONTree], _ rows: Relation.Rows
    ) -> JSONTree {
        if group["class"].string == "CONSTANT", let number = group["value"]["value"].integer,
            items.indices.contains(number - 1)
        {
            return items[number - 1]
        }
        let names = group["column_names"].array
        if names.count == 1, let name = names[0].string?.lowercased(), rows.kinds[name] == nil,
            let item = items.first(where: { $0["alias"].string?.lowercased() == name })
        {
            return item
        }
        return group
    }
}
