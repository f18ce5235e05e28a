/// Groups of too few people put together to one, called `other`.
///
/// Each row is told whether its group is too small, by a window over the rows that WHERE leaves; the keys of such rows are
/// replaced, and what then is grouped goes through the same guards as any statement. So `other` is shown where it has enough people of
/// its own, and every aggregate is taken of its rows, not made of aggregates.
extension GroupGuard {
    /// The value of text keys in the group of what is too small; other keys are null there.
    private static let other = "other"
    private static let small = "cordon_small"

    private static let notMerged = Refused(
        "smaller groups are put together to `other` here, and that is known for one SELECT over `hits` alone, without joins, common tables and HAVING, whose columns have each key of GROUP BY; write the question so"
    )

    /// The guarded form of a statement with one group more.
    func mergedAtTop(_ node: JSONTree) throws -> JSONTree {
        var inner = self
        inner.mergesSmallGroups = false
        inner.releases = nil
        guard node["type"].string == "SELECT_NODE", node["cte_map"]["map"].array.isEmpty,
            node["from_table"]["type"].string == "BASE_TABLE",
            node["from_table"]["column_name_alias"].array.isEmpty,
            node["having"].isNull, node["qualify"].isNull, node["group_sets"].array.count <= 1
        else { throw Self.notMerged }
        var node = node
        let items = node["select_list"].array
        let keys: [Int]
        if node["aggregate_handling"].string == "FORCE_AGGREGATES" {
            keys = items.indices.filter { !Self.holdsAggregate(items[$0]) }
        } else {
            keys = try node["group_expressions"].array.map { group in
                guard let place = DecomposedQuery.position(group, items) else {
                    throw Self.notMerged
                }
                return place
            }
        }
        let (source, relation) = try inner.source(node["from_table"], Scope())
        guard let rows = relation.rows else { throw Self.notMerged }
        // One group of all rows has no smaller ones beside it.
        guard !keys.isEmpty else { return try query(node, Scope()).0 }
        guard keys.contains(where: { type(items[$0], rows) == "VARCHAR" }) else {
            throw Refused(
                "smaller groups are put together to `other` here, so one of the keys must be text")
        }
        for key in keys { try rowExpression(items[key]) }
        let partitions = try keys.map { index in
            var key = items[index]
            key["alias"] = .string("")
            return try total(key, rows)
        }
        var whereClause = node["where_clause"]
        if !whereClause.isNull {
            try mustBeOwn(whereClause, Scope(), rows)
            whereClause = try inner.total(inner.free(whereClause, Scope()), rows, isCondition: true)
        }
        let people = Self.window(
            "count", of: HitsColumn.person, isDistinct: true, over: partitions)
        let needed = Self.window("max", of: HitsColumn.group, isDistinct: false, over: partitions)
        var isSmall = Self.comparison("COMPARE_LESSTHAN", people, needed)
        isSmall["alias"] = .string(Self.small)
        var list = node
        list["select_list"] = .array([Self.star, isSmall])
        list["from_table"] = source
        list["where_clause"] = whereClause
        for part in ["group_expressions", "group_sets", "modifiers"] { list[part] = .array([]) }
        list["aggregate_handling"] = .string("STANDARD_HANDLING")
        let alias = source["alias"].string ?? ""
        let subquery = JSONTree.make([
            ("type", .string("SUBQUERY")),
            ("alias", .string(alias.isEmpty ? source["table_name"].string ?? "" : alias)),
            ("sample", .null), ("query_location", .number("18446744073709551615")),
            (
                "subquery",
                .make([("node", list), ("named_param_map", .array([]))])
            ), ("column_name_alias", .array([])),
        ])
        var shown = items
        for index in keys { shown[index] = merged(items[index], rows) }
        node["select_list"] = .array(shown)
        node["group_expressions"] = .array(
            keys.map(Self.position) + [Self.column(Self.small)])
        node["group_sets"] = .array([.array((0...keys.count).map { .number("\($0)") })])
        node["aggregate_handling"] = .string("STANDARD_HANDLING")
        node["from_table"] = subquery
        node["where_clause"] = .null
        return try aggregation(node, Scope(), rows)
    }

    /// A key, replaced in rows of small groups.
    private func merged(_ key: JSONTree, _ rows: Relation.Rows) -> JSONTree {
        var value = key
        value["alias"] = .string("")
        let name = key["alias"].string ?? ""
        let isText = type(key, rows) == "VARCHAR"
        return Self.when(
            Self.column(Self.small),
            then: isText
                ? Self.constant("VARCHAR", .string(Self.other)) : Self.null(alias: .string("")),
            alias: .string(name.isEmpty ? Self.columnName(key) : name), otherwise: value)
    }

    private static let star = expression(
        "STAR", "STAR",
        [
            ("relation_name", .string("")), ("exclude_list", .array([])),
            ("replace_list", .array([])), ("columns", .bool(false)), ("expr", .null),
            ("qualified_exclude_list", .array([])), ("rename_list", .array([])),
        ])

    private static func window(
        _ name: String, of column: String, isDistinct: Bool, over partitions: [JSONTree]
    ) -> JSONTree {
        expression(
            "WINDOW", "WINDOW_AGGREGATE",
            [
                ("function_name", .string(name)), ("schema", .string("")),
                ("catalog", .string("")), ("children", .array([Self.column(column)])),
                ("partitions", .array(partitions)), ("orders", .array([])),
                ("start", .string("UNBOUNDED_PRECEDING")), ("end", .string("CURRENT_ROW_RANGE")),
                ("start_expr", .null), ("end_expr", .null), ("offset_expr", .null),
                ("default_expr", .null), ("ignore_nulls", .bool(false)), ("filter_expr", .null),
                ("exclude_clause", .string("NO_OTHER")), ("distinct", .bool(isDistinct)),
                ("arg_orders", .array([])),
            ])
    }
}
