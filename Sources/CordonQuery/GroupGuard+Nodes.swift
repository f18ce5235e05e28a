/// The parse tree nodes that guards are made of, and what is asked of nodes.
extension GroupGuard {
    static func expression(
        _ kind: String, _ type: String, alias: JSONTree = .string(""),
        _ members: [(String, JSONTree)]
    ) -> JSONTree {
        .make(
            [
                ("class", .string(kind)), ("type", .string(type)), ("alias", alias),
                ("query_location", .number("18446744073709551615")),
            ] + members)
    }

    static func column(_ name: String) -> JSONTree {
        expression("COLUMN_REF", "COLUMN_REF", [("column_names", .array([.string(name)]))])
    }

    /// `count(DISTINCT person) FILTER (WHERE condition) >= max(group) FILTER (WHERE condition)`: of the rows that fulfil the
    /// condition there are enough people; not true where there is no such row.
    ///
    /// Quick, the people are counted by how many of 64 bits they set, which is never more than they are; a group for
    /// which that is too few ends the statement.
    func holds(where condition: JSONTree?) -> JSONTree {
        if isProven { return Self.constant("BOOLEAN", .bool(true)) }
        let needed = Self.aggregate("max", of: HitsColumn.group, isDistinct: false, condition)
        guard isQuick else {
            let people = Self.aggregate("count", of: HitsColumn.person, isDistinct: true, condition)
            return Self.comparison("COMPARE_GREATERTHANOREQUALTO", people, needed)
        }
        return Self.when(
            Self.comparison(
                "COMPARE_GREATERTHANOREQUALTO", Self.bits(where: condition), needed),
            then: Self.constant("BOOLEAN", .bool(true)), alias: .string(""),
            otherwise: Self.call("error", [Self.constant("VARCHAR", .string(Self.notProven))]))
    }

    /// How many of 64 bits the people set: never more than they are.
    static func bits(where condition: JSONTree?) -> JSONTree {
        let place = call("&", [column(HitsColumn.person), number(63)])
        let bit = call("<<", [cast(number(1), as: "UBIGINT"), place])
        return call("bit_count", [call("bit_or", [bit], filter: condition)])
    }

    private static func aggregate(
        _ name: String, of column: String, isDistinct: Bool, _ condition: JSONTree?
    ) -> JSONTree {
        call(name, [Self.column(column)], isDistinct: isDistinct, filter: condition)
    }

    static func call(
        _ name: String, _ arguments: [JSONTree], isDistinct: Bool = false, filter: JSONTree? = nil
    ) -> JSONTree {
        expression(
            "FUNCTION", "FUNCTION",
            [
                ("function_name", .string(name)), ("schema", .string("")),
                ("children", .array(arguments)), ("filter", filter ?? .null),
                (
                    "order_bys",
                    .make([("type", .string("ORDER_MODIFIER")), ("orders", .array([]))])
                ),
                ("distinct", .bool(isDistinct)), ("is_operator", .bool(false)),
                ("export_state", .bool(false)), ("catalog", .string("")),
            ])
    }

    /// Whether a row adds anything to a sum; null does not.
    func isNotZero(_ node: JSONTree) -> JSONTree {
        var node = node
        node["alias"] = .string("")
        return Self.comparison("COMPARE_NOTEQUAL", node, 0)
    }

    static func comparison(_ type: String, _ left: JSONTree, _ right: JSONTree) -> JSONTree {
        expression("COMPARISON", type, [("left", left), ("right", right)])
    }

    static func comparison(_ type: String, _ left: JSONTree, _ number: Int) -> JSONTree {
        comparison(type, left, Self.number(number))
    }

    static func number(_ number: Int) -> JSONTree { constant("BIGINT", .number(String(number))) }

    /// What `GROUP BY` takes for the item of the result with the index.
    static func position(_ index: Int) -> JSONTree {
        constant("INTEGER", .number(String(index + 1)))
    }

    static func constant(_ type: String, _ value: JSONTree) -> JSONTree {
        let value = JSONTree.make([
            ("type", .make([("id", .string(type)), ("type_info", .null)])),
            ("is_null", .bool(false)), ("value", value),
        ])
        return expression("CONSTANT", "VALUE_CONSTANT", [("value", value)])
    }

    func conjunction(_ nodes: [JSONTree]) -> JSONTree {
        nodes.count == 1
            ? nodes[0]
            : Self.expression("CONJUNCTION", "CONJUNCTION_AND", [("children", .array(nodes))])
    }

    func isNotNull(_ node: JSONTree) -> JSONTree {
        var node = node
        node["alias"] = .string("")
        return Self.expression(
            "OPERATOR", "OPERATOR_IS_NOT_NULL", [("children", .array([node]))])
    }

    /// `CASE WHEN condition THEN value ELSE otherwise END`; null where `otherwise` is not given.
    static func when(
        _ condition: JSONTree, then: JSONTree, alias: JSONTree, otherwise: JSONTree? = nil
    ) -> JSONTree {
        expression(
            "CASE", "CASE_EXPR", alias: alias,
            [
                (
                    "case_checks",
                    .array([.make([("when_expr", condition), ("then_expr", then)])])
                ),
                (
                    "else_expr",
                    otherwise ?? null(alias: .string(""))
                ),
            ])
    }

    /// The constant `NULL`.
    static func null(alias: JSONTree) -> JSONTree {
        let value = JSONTree.make([
            ("type", .make([("id", .string("NULL")), ("type_info", .null)])),
            ("is_null", .bool(true)),
        ])
        return expression("CONSTANT", "VALUE_CONSTANT", alias: alias, [("value", value)])
    }

    /// `SELECT expression FROM (query) AS column(column)`.
    static func selection(
        of expression: JSONTree, from query: JSONTree, column: String
    ) -> JSONTree {
        let none = JSONTree.array([])
        let nowhere = JSONTree.number("18446744073709551615")
        return .make([
            ("type", .string("SELECT_NODE")), ("modifiers", none),
            ("cte_map", .make([("map", none)])), ("select_list", .array([expression])),
            (
                "from_table",
                .make([
                    ("type", .string("SUBQUERY")), ("alias", .string(column)), ("sample", .null),
                    ("query_location", nowhere), ("subquery", query),
                    ("column_name_alias", .array([.string(column)])),
                ])
            ),
            ("where_clause", .null), ("group_expressions", none), ("group_sets", none),
            ("aggregate_handling", .string("STANDARD_HANDLING")), ("having", .null),
            ("sample", .null), ("qualify", .null),
        ])
    }

    /// `CAST(node AS type)`, or `TRY_CAST`.
    static func cast(_ node: JSONTree, as type: String, tries: Bool = false) -> JSONTree {
        var inner = node
        let alias = node["alias"]
        inner["alias"] = .string("")
        return expression(
            "CAST", "OPERATOR_CAST", alias: alias,
            [
                ("child", inner),
                ("cast_type", .make([("id", .string(type)), ("type_info", .null)])),
                ("try_cast", .bool(tries)),
            ])
    }

    /// What a column without a name of its own is called: the expression, in short.
    static func columnName(_ node: JSONTree) -> String {
        switch node["class"].string {
        case "COLUMN_REF":
            return node["column_names"].array.compactMap(\.string).joined(separator: ".")
        case "FUNCTION":
            let name = node["function_name"].string ?? ""
            let arguments = node["children"].array.map(columnName)
            if node["is_operator"] == .bool(true), arguments.count == 2 {
                return "(\(arguments[0]) \(name) \(arguments[1]))"
            }
            let distinct = node["distinct"] == .bool(true) ? "DISTINCT " : ""
            return "\(name)(\(distinct)\(arguments.joined(separator: ", ")))"
        case "CAST": return columnName(node["child"])
        default: return "…"
        }
    }

    static func isAggregate(_ node: JSONTree) -> Bool {
        GateLists.aggregates.contains(node["function_name"].string?.lowercased() ?? "")
    }

    /// Aggregates that tell how many rows there are, unless they are DISTINCT.
    static let counts: Set<String> = ["count", "count_if", "count_star", "countif"]

    /// Whether a call of the function stands anywhere in the expression.
    static func holdsCall(_ name: String, _ value: JSONTree) -> Bool {
        value["class"].string == "FUNCTION" && value["function_name"].string?.lowercased() == name
            || value.members.contains { holdsCall(name, $0.value) }
            || value.array.contains { holdsCall(name, $0) }
    }

    /// Whether an aggregate call stands in the expression outside of subqueries.
    static func holdsAggregate(_ value: JSONTree) -> Bool {
        switch value {
        case .object(let members):
            switch value["class"].string {
            case "SUBQUERY": return false
            case "FUNCTION" where isAggregate(value): return true
            default: return members.contains { holdsAggregate($0.value) }
            }
        case .array(let values): return values.contains { holdsAggregate($0) }
        default: return false
        }
    }
}
