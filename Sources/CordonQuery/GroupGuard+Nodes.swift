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

    static let personColumn = expression(
        "COLUMN_REF", "COLUMN_REF", [("column_names", .array([.string(HitsColumn.person)]))])

    /// `count(DISTINCT person) FILTER (WHERE condition)`.
    func people(where condition: JSONTree?) -> JSONTree {
        Self.expression(
            "FUNCTION", "FUNCTION",
            [
                ("function_name", .string("count")), ("schema", .string("")),
                ("children", .array([Self.personColumn])), ("filter", condition ?? .null),
                (
                    "order_bys",
                    .make([("type", .string("ORDER_MODIFIER")), ("orders", .array([]))])
                ),
                ("distinct", .bool(true)), ("is_operator", .bool(false)),
                ("export_state", .bool(false)), ("catalog", .string("")),
            ])
    }

    func atLeast(_ people: JSONTree) -> JSONTree {
        Self.comparison("COMPARE_GREATERTHANOREQUALTO", people, minGroup)
    }

    /// Whether a row adds anything to a sum; null does not.
    func isNotZero(_ node: JSONTree) -> JSONTree {
        var node = node
        node["alias"] = .string("")
        return Self.comparison("COMPARE_NOTEQUAL", node, 0)
    }

    static func comparison(_ type: String, _ left: JSONTree, _ number: Int) -> JSONTree {
        let integer = JSONTree.make([("id", .string("INTEGER")), ("type_info", .null)])
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
