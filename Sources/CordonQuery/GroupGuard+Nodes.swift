/// The parse tree nodes that guards are made of.
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
    func holds(where condition: JSONTree?) -> JSONTree {
        let people = Self.aggregate("count", of: HitsColumn.person, isDistinct: true, condition)
        let needed = Self.aggregate("max", of: HitsColumn.group, isDistinct: false, condition)
        return Self.expression(
            "COMPARISON", "COMPARE_GREATERTHANOREQUALTO", [("left", people), ("right", needed)])
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

    static func comparison(_ type: String, _ left: JSONTree, _ number: Int) -> JSONTree {
        let integer = JSONTree.make([("id", .string("BIGINT")), ("type_info", .null)])
        let value = JSONTree.make([
            ("type", integer), ("is_null", .bool(false)), ("value", .number(String(number))),
        ])
        return expression(
            "COMPARISON", type,
            [
                ("left", left),
                ("right", expression("CONSTANT", "VALUE_CONSTANT", [("value", value)])),
            ])
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

    static func when(_ condition: JSONTree, then: JSONTree, alias: JSONTree) -> JSONTree {
        let null = JSONTree.make([
            ("type", .make([("id", .string("NULL")), ("type_info", .null)])),
            ("is_null", .bool(true)),
        ])
        return expression(
            "CASE", "CASE_EXPR", alias: alias,
            [
                (
                    "case_checks",
                    .array([.make([("when_expr", condition), ("then_expr", then)])])
                ),
                ("else_expr", expression("CONSTANT", "VALUE_CONSTANT", [("value", null)])),
            ])
    }
}
