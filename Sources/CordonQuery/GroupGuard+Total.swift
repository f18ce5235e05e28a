/// Keeps errors from telling of single rows.
///
/// An expression that fails on one row and not on others is an oracle: whoever can choose the row sees one bit of it in the
/// error. So what a held principal computes of rows gives null where it would fail: casts become `TRY_CAST`, and calls and
/// comparisons that may fail stand in `TRY`. What cannot fail is left as it is, so that the engine still prunes files by it.
extension GroupGuard {
    /// Functions that give a value for every row when all arguments but one are constants.
    static let totalFunctions: Set<String> = [
        "!~~", "!~~*", "concat", "concat_ws", "contains", "date_part", "date_trunc", "datepart",
        "datetrunc", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "element_at",
        "ends_with", "epoch", "hour", "isodow", "lcase", "left", "len",
        "length", "lower", "ltrim", "map_extract",
        "map_extract_value", "map_keys", "map_values", "minute",
        "month", "monthname", "prefix", "quarter", "regexp_extract", "regexp_full_match",
        "regexp_matches", "replace", "reverse", "right", "rtrim", "second",
        "starts_with", "strlen", "substr", "substring", "suffix", "time_bucket",
        "timezone", "trim", "ucase", "unnest", "upper", "week", "weekday", "year", "||", "~~",
        "~~*", "~~~",
    ]

    /// Those of ``totalFunctions`` that give a value for times of the table's own.
    private static let timeFunctions: Set<String> = [
        "date_part", "date_trunc", "datepart", "datetrunc", "day", "dayname", "dayofmonth",
        "dayofweek", "dayofyear", "epoch", "hour", "isodow", "minute", "month", "monthname",
        "quarter", "second", "time_bucket", "timezone", "week", "weekday", "year",
    ]

    /// Types to which `TRY_CAST` gives null for whatever does not fit.
    private static let safeCasts: Set<String> = [
        "BIGINT", "BOOLEAN", "DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "INTEGER", "SMALLINT",
        "TINYINT", "UBIGINT", "UHUGEINT", "UINTEGER", "USMALLINT", "UTINYINT", "UUID", "VARCHAR",
    ]

    /// What `date_trunc` may cut to; it fails for other words when it comes to a row.
    private static let units: Set<String> = [
        "second", "minute", "hour", "day", "week", "month", "quarter", "year",
    ]

    /// Functions that are true or false.
    private static let predicates: Set<String> = [
        "!~~", "!~~*", "contains", "ends_with", "isfinite", "isinf", "isnan", "list_contains",
        "list_has", "map_contains", "prefix", "regexp_full_match", "regexp_matches", "starts_with",
        "suffix", "~~", "~~*", "~~~",
    ]

    /// The expression with null in the place of every error of its own.
    ///
    /// - Parameter isCondition: whether it stands where the engine would turn it into a truth value.
    func total(
        _ node: JSONTree, _ rows: Relation.Rows, isCondition: Bool = false
    ) throws -> JSONTree {
        let made = try totalParts(node, rows)
        return isCondition ? Self.condition(made, of: node, rows) : made
    }

    /// `made` of `node`, as a truth value.
    private static func condition(
        _ made: JSONTree, of node: JSONTree, _ rows: Relation.Rows
    ) -> JSONTree {
        isTruth(node, rows) ? made : tried(made, as: "BOOLEAN")
    }

    /// INVARIANT: each part is made once, or the time would double with each level.
    private func conditions(
        _ made: JSONTree, of node: JSONTree, _ rows: Relation.Rows
    ) -> JSONTree {
        .array(
            zip(made["children"].array, node["children"].array).map {
                Self.condition($0, of: $1, rows)
            })
    }

    private func totalParts(_ node: JSONTree, _ rows: Relation.Rows) throws -> JSONTree {
        let kind = node["class"].string
        // A lambda is tried as part of the call that it stands in.
        if kind == "LAMBDA" { return Self.withoutCoalesce(node) }
        if kind == "SUBQUERY" { return try totalSubquery(node, rows) }
        var made = try mapped(node) { try total($0, rows) }
        switch kind {
        case "CAST":
            made["try_cast"] = .bool(true)
            // The engine lets some errors of times and nested values through `TRY_CAST`.
            let isSafe = Self.safeCasts.contains(node["cast_type"]["id"].string ?? "")
            return isSafe || isOwnTime(node, rows) ? made : try tried(made)
        case "CONJUNCTION":
            made["children"] = conditions(made, of: node, rows)
            return made
        case "CASE":
            made["case_checks"] = .array(
                zip(made["case_checks"].array, node["case_checks"].array).map { check, original in
                    var check = check
                    // `CASE x WHEN y` is a comparison already.
                    check["when_expr"] = Self.condition(
                        check["when_expr"], of: original["when_expr"], rows)
                    return check
                })
            let originals = node["case_checks"].array.map { $0["then_expr"] } + [node["else_expr"]]
            let results = made["case_checks"].array.map { $0["then_expr"] } + [made["else_expr"]]
            guard let agreed = try agreed(results, of: originals, rows) else {
                return try tried(made)
            }
            made["case_checks"] = .array(
                zip(made["case_checks"].array, agreed).map { check, result in
                    var check = check
                    check["then_expr"] = result
                    return check
                })
            made["else_expr"] = agreed[agreed.count - 1]
            return made
        case "COMPARISON": return try agreed(made, of: node, ["left", "right"], rows)
        case "BETWEEN": return try agreed(made, of: node, ["input", "lower", "upper"], rows)
        case "OPERATOR":
            switch node["type"].string {
            case "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_COALESCE", "ARRAY_CONSTRUCTOR":
                let children = made["children"].array
                guard let agreed = try agreed(children, of: node["children"].array, rows) else {
                    let isCoalesce = node["type"].string == "OPERATOR_COALESCE"
                    let isOfGroups = Self.holdsAggregate(node)
                    return try tried(isCoalesce && !isOfGroups ? Self.firstValue(made) : made)
                }
                made["children"] = .array(agreed)
                return made
            case "ARRAY_EXTRACT", "ARRAY_SLICE":
                return isOwnElement(node, rows) ? made : try tried(made)
            case "OPERATOR_NOT":
                made["children"] = conditions(made, of: node, rows)
                return made
            default: return made
            }
        case "FUNCTION":
            made = try untriable(made, of: node, rows)
            return Self.isAggregate(node) || isTotalCall(node, rows) ? made : try tried(made)
        default: return made
        }
    }

    /// Whether an expression names no column.
    static func isConstant(_ value: JSONTree) -> Bool {
        switch value {
        case .object(let members):
            value["class"].string != "COLUMN_REF" && value["class"].string != "SUBQUERY"
                && members.allSatisfy { isConstant($0.value) }
        case .array(let values): values.allSatisfy { isConstant($0) }
        default: true
        }
    }

    private func isTotalCall(_ node: JSONTree, _ rows: Relation.Rows) -> Bool {
        let name = node["function_name"].string?.lowercased() ?? ""
        guard Self.totalFunctions.contains(name) else { return false }
        let arguments = node["children"].array
        if ["concat", "concat_ws", "||", "unnest"].contains(name) { return true }
        let open = arguments.filter { !Self.isConstant($0) }
        guard open.count <= 1 else { return false }
        // Times far from the table's own may have no part, span or zone.
        if Self.timeFunctions.contains(name) { return open.allSatisfy { isOwnTime($0, rows) } }
        return arguments.indices.allSatisfy { index in
            !Self.isConstant(arguments[index])
                || Self.isArgument(arguments[index], at: index, of: name)
        }
    }

    /// Whether a constant has the type of the argument, so that the engine need not turn it into one.
    private static func isArgument(_ node: JSONTree, at index: Int, of name: String) -> Bool {
        guard node["class"].string == "CONSTANT" else { return false }
        let takesNumber =
            index > 0 && ["left", "right", "substr", "substring"].contains(name)
            || index == 2 && name == "regexp_extract"
        return node["value"]["type"]["id"].string == (takesNumber ? "INTEGER" : "VARCHAR")
    }

    /// The engine's type of an expression, where it is known.
    func type(_ node: JSONTree, _ rows: Relation.Rows) -> String? {
        switch node["class"].string {
        case "CONSTANT": return node["value"]["type"]["id"].string
        case "CAST": return node["cast_type"]["id"].string
        case "COLUMN_REF":
            let names = node["column_names"].array.compactMap { $0.string?.lowercased() }
            guard let name = names.last else { return nil }
            if names.count > 1, !rows.qualifiers.contains(names[names.count - 2]) { return nil }
            return rows.types[name]
        case "FUNCTION":
            let name = node["function_name"].string?.lowercased() ?? ""
            if ["lower", "upper", "lcase", "ucase", "split_part", "strftime"].contains(name) {
                return "VARCHAR"
            }
            if ["date_trunc", "datetrunc", "time_bucket"].contains(name),
                let last = node["children"].array.last, let type = type(last, rows)
            {
                return type == "TIMESTAMP WITH TIME ZONE" ? type : "TIMESTAMP"
            }
            if name == "timezone", let last = node["children"].array.last,
                let type = type(last, rows)
            {
                return type == "TIMESTAMP WITH TIME ZONE" ? "TIMESTAMP" : "TIMESTAMP WITH TIME ZONE"
            }
            if ["now", "get_current_timestamp", "transaction_timestamp"].contains(name) {
                return "TIMESTAMP WITH TIME ZONE"
            }
            if name == "+" || name == "-" { return shifted(node["children"].array, rows) }
            if GateLists.intervals.contains(name) { return "INTERVAL" }
            let numbers = ["hour", "minute", "second", "year", "month", "week", "isodow", "length"]
            return numbers.contains(name) || name == "date_part" ? "BIGINT" : nil
        case "CASE":
            let results = node["case_checks"].array.map { $0["then_expr"] } + [node["else_expr"]]
            let types = Set(results.map { type($0, rows) })
            return types.count == 1 ? types.first! : nil
        default: return nil
        }
    }

    /// The type of a time and an interval, added.
    private func shifted(_ sides: [JSONTree], _ rows: Relation.Rows) -> String? {
        let types = sides.map { type($0, rows) }
        guard types.count == 2, types.contains("INTERVAL"),
            let time = types.first(where: { $0 != "INTERVAL" })?.flatMap({ $0 }), Self.isTime(time)
        else { return nil }
        return time == "DATE" ? "TIMESTAMP" : time
    }

    /// `purposes[1]` or `params['value']`: an element of the table's own list or map, by what it is found by.
    private func isOwnElement(_ node: JSONTree, _ rows: Relation.Rows) -> Bool {
        let children = node["children"].array
        guard node["type"].string == "ARRAY_EXTRACT", children.count == 2,
            children[1]["class"].string == "CONSTANT"
        else { return false }
        let key = children[1]["value"]["type"]["id"].string
        switch type(children[0], rows) {
        case "VARCHAR[]": return key == "INTEGER"
        case "MAP(VARCHAR, VARCHAR)": return key == "VARCHAR"
        default: return false
        }
    }

    private static func isTruth(_ node: JSONTree, _ rows: Relation.Rows) -> Bool {
        if node.isNull { return true }
        switch node["class"].string {
        case "COMPARISON", "BETWEEN", "CONJUNCTION": return true
        case "SUBQUERY": return node["subquery_type"].string != "SCALAR"
        case "CONSTANT":
            return ["BOOLEAN", "NULL"].contains(node["value"]["type"]["id"].string)
        case "OPERATOR":
            return [
                "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_NOT", "OPERATOR_IS_NULL",
                "OPERATOR_IS_NOT_NULL",
            ].contains(node["type"].string)
        case "FUNCTION":
            return predicates.contains(node["function_name"].string?.lowercased() ?? "")
        case "COLUMN_REF":
            guard node["column_names"].array.count == 1,
                let name = node["column_names"].array.last?.string?.lowercased()
            else { return false }
            return rows.types[name] == "BOOLEAN"
        default: return false
        }
    }

    /// `TRY(node)`; the engine takes neither aggregates nor subqueries in it. Aggregates are of enough people.
    func tried(_ node: JSONTree) throws -> JSONTree {
        guard !Self.holdsAggregate(node), !Self.isFailure(node) else { return node }
        guard !Self.holdsSubquery(node) else {
            throw Refused(
                "a subquery may not stand in a computation over rows of `hits` that may fail; compute inside of it, and say with CAST which type stands beside it"
            )
        }
        var inner = node
        let alias = node["alias"]
        inner["alias"] = .string("")
        return Self.expression(
            "OPERATOR", "OPERATOR_TRY", alias: alias, [("children", .array([inner]))])
    }

    /// `TRY_CAST(node AS type)`.
    static func tried(_ node: JSONTree, as type: String) -> JSONTree {
        cast(node, as: type, tries: true)
    }

    /// Whether it is the end of a quick guard, which is meant to fail.
    private static func isFailure(_ node: JSONTree) -> Bool {
        node["function_name"].string == "error"
    }

    private static func holdsSubquery(_ value: JSONTree) -> Bool {
        switch value {
        case .object(let members):
            value["class"].string == "SUBQUERY" || members.contains { holdsSubquery($0.value) }
        case .array(let values): values.contains { holdsSubquery($0) }
        default: false
        }
    }

    /// Measures beyond this are left out of sums and deviations, whose overflow would be an error that one row decides.
    static let measureMax = 1_000_000_000_000_000

    /// `abs(TRY_CAST(node AS DOUBLE)) < measureMax`; nil where the value is a constant below it.
    func isBounded(_ node: JSONTree) -> JSONTree? {
        let checks = node["case_checks"].array
        if checks.count == 1, Self.isSmallConstant(checks[0]["then_expr"]) { return nil }
        if Self.isSmallConstant(node) { return nil }
        let size = Self.call("abs", [Self.tried(node, as: "DOUBLE")])
        return Self.comparison("COMPARE_LESSTHAN", size, Self.measureMax)
    }

    /// The call without the rows in which its argument is not bounded.
    func bounded(_ call: JSONTree, of argument: JSONTree) -> JSONTree {
        guard let bound = isBounded(argument) else { return call }
        var call = call
        let filter = call["filter"]
        call["filter"] = filter.isNull ? bound : conjunction([filter, bound])
        return call
    }

    private static func isSmallConstant(_ node: JSONTree) -> Bool {
        guard node["class"].string == "CONSTANT", case .number(let digits) = node["value"]["value"]
        else { return false }
        return digits.count < 15
    }
}
