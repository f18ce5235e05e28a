/// Holds a query to aggregates over at least k people, by proof over its tree; what cannot be proven is refused.
///
/// Every SELECT is one of three things. *Open*: it reads no hits. *Rows*: each of its rows comes from one hit, and it carries
/// the column of the person along. *Guarded*: each value in it is an aggregate over at least k people; whatever is
/// computed from guarded values alone stays guarded. Hits are rows; rows become guarded only by aggregation, which gets
/// two guards: `HAVING` at least k people in the group, and around each aggregate with an argument or a filter of its own
/// at least k people whose rows count towards it. The query as a whole must be open or guarded.
///
/// How large k is stands in each row, so a group needs as many people as the strictest policy among its rows asks for.
struct GroupGuard {
    /// Whether the guards prove enough people by a lower bound, which costs no table of them, and fail with ``notProven``
    /// where it does not reach.
    var isQuick = false
    /// Whether every guard is known to hold, since the same statement over the same rows has been proven.
    var isProven = false
    /// Gathers what the statement tells of, for ``DifferenceAudit``; nil when nobody asks.
    var releases: ReleaseList?
    /// Whether groups of too few people are put together to one.
    var mergesSmallGroups = false
    /// The text of the failure; the statement with exact guards must run then.
    static let notProven = "cordon: not proven"
    /// Larger groups are not proven by 64 bits unless they are many times as large.
    static let quickGroupMax = 40

    /// A query that is not proven to keep to groups, and why.
    struct Refused: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    /// What a part of the query is made of.
    enum Relation: Equatable {
        case open
        case guarded
        case rows(Rows)

        struct Rows: Equatable {
            /// Kind by lowercase column name; columns not in here are opaque.
            var kinds: [String: HitsColumn.Kind]
            /// The engine's type by lowercase name, of the columns that still are the table's own.
            var types: [String: String] = [:]
            /// Lowercase names by which the rows are qualified here.
            var qualifiers: Set<String>
            /// Whether other sources stand beside them in the same FROM.
            var isJoined = false
            /// Whether one hit may stand in several of them, and so in several groups.
            var isRepeated = false
        }

        var rows: Rows? { if case .rows(let rows) = self { rows } else { nil } }

        /// What a combination of two parts without rows is.
        static func combined(_ left: Relation, _ right: Relation) -> Relation {
            left == .guarded || right == .guarded ? .guarded : .open
        }
    }

    /// The common tables at a place, by lowercase name.
    struct Scope {
        var relations: [String: Relation] = [:]
        /// The columns of each that are known by name.
        var columns: [String: Set<String>] = [:]
        /// Their definitions, with guards, from the outermost on.
        var definitions: [JSONTree] = []
    }

    /// The tree with its guards, or the reason why there can be none.
    func guarding(_ tree: JSONTree) throws -> JSONTree {
        var tree = tree
        var statement = tree["statements"].array[0]
        var (node, relation) = try query(statement["node"], Scope())
        guard relation.rows == nil else { throw Self.notAggregated }
        if relation == .guarded, mergesSmallGroups {
            // What the statement tells is what it tells with the group more.
            _ = releases?.all.popLast()
            node = try mergedAtTop(statement["node"])
        }
        statement["node"] = node
        tree["statements"] = .array([statement])
        return tree
    }

    private static let notAggregated = Refused(
        "the query shows rows of `hits`; aggregate them, for example with GROUP BY and count(*)")

    // MARK: Query nodes

    func query(_ node: JSONTree, _ outer: Scope) throws -> (JSONTree, Relation) {
        var node = node
        var scope = outer
        var entries: [JSONTree] = []
        for entry in node["cte_map"]["map"].array {
            var entry = entry
            let name = (entry["key"].string ?? "").lowercased()
            var table = entry["value"]
            let columns = OwnColumns(common: scope.columns).of(table)
            var inner = table["query"]
            let (rewritten, relation) = try query(inner["node"], scope)
            inner["node"] = rewritten
            table["query"] = inner
            entry["value"] = table
            entries.append(entry)
            scope.definitions.append(entry)
            scope.relations[name] = renamed(relation, !table["aliases"].array.isEmpty)
            scope.columns[name] = columns
        }
        if !entries.isEmpty { node["cte_map"] = .make([("map", .array(entries))]) }
        switch node["type"].string {
        case "SELECT_NODE": return try select(node, scope)
        case "SET_OPERATION_NODE":
            let (left, leftRelation) = try query(node["left"], scope)
            let (right, rightRelation) = try query(node["right"], scope)
            guard leftRelation.rows == nil, rightRelation.rows == nil else {
                throw Refused(
                    "rows of `hits` may not be combined with UNION, INTERSECT or EXCEPT before they are aggregated"
                )
            }
            node["left"] = left
            node["right"] = right
            node["modifiers"] = try modifiers(node["modifiers"], scope, rows: nil)
            return (node, .combined(leftRelation, rightRelation))
        default:
            scope.relations[(node["cte_name"].string ?? "").lowercased()] = .open
            let (_, left) = try query(node["left"], scope)
            let (_, right) = try query(node["right"], scope)
            guard left == .open, right == .open else {
                throw Refused("a recursive common table may not read `hits`")
            }
            return (node, .open)
        }
    }

    private func renamed(_ relation: Relation, _ isRenamed: Bool) -> Relation {
        guard isRenamed, case .rows(var rows) = relation else { return relation }
        rows.kinds = [:]
        rows.types = [:]
        return .rows(rows)
    }

    private func select(_ node: JSONTree, _ scope: Scope) throws -> (JSONTree, Relation) {
        var node = node
        let (source, relation) = try source(node["from_table"], scope)
        node["from_table"] = source
        // A filter only takes rows away, and what is left is counted; so a guarded subquery may stand in it.
        if let rows = relation.rows { try mustBeOwn(node["where_clause"], scope, rows) }
        node["where_clause"] = try free(node["where_clause"], scope)
        if let rows = relation.rows {
            node["where_clause"] = try total(node["where_clause"], rows, isCondition: true)
        }
        guard let rows = relation.rows else {
            for name in ["having", "qualify"] { node[name] = try free(node[name], scope) }
            for name in ["select_list", "group_expressions"] {
                node[name] = .array(try node[name].array.map { try free($0, scope) })
            }
            node["modifiers"] = try modifiers(node["modifiers"], scope, rows: nil)
            return (node, relation)
        }
        let isAggregated =
            !node["group_expressions"].array.isEmpty || !node["having"].isNull
            || node["aggregate_handling"].string == "FORCE_AGGREGATES"
            || node["select_list"].array.contains { Self.holdsAggregate($0) }
        if isAggregated { return (try aggregation(node, scope, rows), .guarded) }
        return try rowSelect(node, rows)
    }

    /// A SELECT that gives one row for each hit: it gets the person's column.
    private func rowSelect(
        _ node: JSONTree, _ rows: Relation.Rows
    ) throws -> (JSONTree, Relation) {
        var node = node
        guard node["qualify"].isNull else { throw Self.noWindow }
        for modifier in node["modifiers"].array {
            guard modifier["type"].string == "ORDER_MODIFIER" else {
                throw Refused(
                    "DISTINCT and LIMIT over rows of `hits` are not allowed; use GROUP BY")
            }
            for order in modifier["orders"].array { try rowExpression(order["expression"]) }
        }
        var kinds: [String: HitsColumn.Kind] = [:]
        var types: [String: String] = [:]
        var items: [JSONTree] = []
        func put(_ name: String, _ kind: HitsColumn.Kind, _ type: String?) {
            // Of two columns with one name either may be meant later.
            types[name] = kinds[name] == nil ? type : nil
            kinds[name] = kinds[name] == nil ? kind : .opaque
        }
        for item in node["select_list"].array {
            guard item["class"].string == "STAR" else {
                try rowExpression(item)
                if let name = outputName(item) { put(name, kind(item, rows), type(item, rows)) }
                items.append(named(try total(item, rows), as: item))
                continue
            }
            let (star, names) = try self.star(item, rows)
            for (name, kind) in names { put(name, kind, rows.isJoined ? nil : rows.types[name]) }
            items.append(star)
        }
        node["modifiers"] = .array([])
        node["select_list"] = .array(items + HitsColumn.guards.map(Self.column))
        return (
            node,
            .rows(
                .init(
                    kinds: kinds, types: types, qualifiers: [],
                    isRepeated: rows.isRepeated || items.contains { Self.holdsCall("unnest", $0) }))
        )
    }

    /// `*` or `t.*` without the person's column, which is put in by itself, and the columns it gives.
    private func star(
        _ item: JSONTree, _ rows: Relation.Rows
    ) throws -> (JSONTree, [String: HitsColumn.Kind]) {
        var item = item
        guard item["columns"] == .bool(false), item["expr"].isNull,
            item["replace_list"].array.isEmpty, item["rename_list"].array.isEmpty,
            item["qualified_exclude_list"].array.isEmpty
        else { throw Refused("COLUMNS, REPLACE and RENAME are not allowed over rows of `hits`") }
        let relation = (item["relation_name"].string ?? "").lowercased()
        guard relation.isEmpty || rows.qualifiers.contains(relation) else { return (item, [:]) }
        let excluded = item["exclude_list"].array
        item["exclude_list"] = .array(excluded + HitsColumn.guards.map { .string($0) })
        let names = Set(excluded.compactMap { $0.string?.lowercased() })
        if rows.isJoined && relation.isEmpty {
            return (item, rows.kinds.mapValues { _ in .opaque })
        }
        return (item, rows.kinds.filter { !names.contains($0.key) })
    }

    private func outputName(_ item: JSONTree) -> String? {
        let alias = item["alias"].string ?? ""
        if !alias.isEmpty { return alias.lowercased() }
        return item["column_names"].array.last?.string?.lowercased()
    }

    // MARK: Sources

    func source(_ source: JSONTree, _ scope: Scope) throws -> (JSONTree, Relation) {
        var source = source
        let alias = (source["alias"].string ?? "").lowercased()
        let isRenamed = !source["column_name_alias"].array.isEmpty
        switch source["type"].string {
        case "BASE_TABLE":
            let name = (source["table_name"].string ?? "").lowercased()
            var relation: Relation
            if name == "hits" {
                let kinds = Dictionary(
                    uniqueKeysWithValues: HitsColumn.all.map { ($0.name, $0.kind) })
                let types = Dictionary(
                    uniqueKeysWithValues: HitsColumn.all.map { ($0.name, $0.type) })
                relation = .rows(.init(kinds: kinds, types: types, qualifiers: []))
            } else {
                relation = scope.relations[name] ?? .guarded
            }
            relation = renamed(relation, isRenamed)
            if case .rows(var rows) = relation {
                rows.qualifiers = [alias.isEmpty ? name : alias]
                relation = .rows(rows)
            }
            return (source, relation)
        case "SUBQUERY":
            var inner = source["subquery"]
            var (node, relation) = try query(inner["node"], scope)
            inner["node"] = node
            source["subquery"] = inner
            relation = renamed(relation, isRenamed)
            if case .rows(var rows) = relation {
                rows.qualifiers = alias.isEmpty ? [] : [alias]
                relation = .rows(rows)
            }
            return (source, relation)
        case "JOIN": return try join(source, scope)
        case "TABLE_FUNCTION":
            for child in source["function"]["children"].array { try rowExpression(child) }
            var function = source["function"]
            function["children"] = .array(
                try function["children"].array.map {
                    try total($0, .init(kinds: [:], qualifiers: []))
                })
            source["function"] = function
            return (source, .open)
        case "EXPRESSION_LIST":
            for row in source["values"].array {
                for value in row.array { try rowExpression(value) }
            }
            return (source, .open)
        case "PIVOT":
            let (inner, relation) = try self.source(source["source"], scope)
            guard relation.rows == nil else {
                throw Refused(
                    "PIVOT and UNPIVOT read rows of `hits` here; aggregate them first, with GROUP BY, then turn the result"
                )
            }
            source["source"] = inner
            source["aggregates"] = .array(
                try source["aggregates"].array.map { try free($0, scope) })
            return (source, relation)
        default: return (source, .open)
        }
    }

    private func join(_ source: JSONTree, _ scope: Scope) throws -> (JSONTree, Relation) {
        let original = source
        var source = source
        let (left, leftRelation) = try self.source(source["left"], scope)
        let (right, rightRelation) = try self.source(source["right"], scope)
        source["left"] = left
        source["right"] = right
        source["condition"] = try free(source["condition"], scope)
        let type = source["join_type"].string ?? ""
        switch (leftRelation.rows, rightRelation.rows) {
        case (nil, nil): return (source, .combined(leftRelation, rightRelation))
        case (.some, .some):
            throw Refused(
                "rows of `hits` may not be joined with rows of `hits`; aggregate one side first")
        case (let left, let right):
            guard ["REGULAR", "CROSS", "NATURAL", "DEPENDENT"].contains(source["ref_type"].string),
                ["INNER", "LEFT", "RIGHT", "OUTER", "FULL"].contains(type)
                    || (left != nil && ["SEMI", "ANTI"].contains(type))
            else { throw Refused("this kind of join is not allowed over rows of `hits`") }
            var rows = left ?? right!
            try OwnColumns(common: scope.columns, rows: rows).check(
                source: original[left == nil ? "left" : "right"])
            try mustBeOwn(original["condition"], scope, rows)
            try mustAgree(original, rows, isLeft: left != nil)
            rows.isJoined = true
            rows.isRepeated = true
            source["condition"] = try total(source["condition"], rows, isCondition: true)
            return (source, .rows(rows))
        }
    }

    // MARK: Aggregation

    func aggregation(
        _ node: JSONTree, _ scope: Scope, _ rows: Relation.Rows
    ) throws -> JSONTree {
        var node = node
        guard node["group_sets"].array.count <= 1 else {
            throw Refused(
                "ROLLUP, CUBE and GROUPING SETS are not allowed: totals beside groups show the groups that are left out"
            )
        }
        if node["aggregate_handling"].string == "FORCE_AGGREGATES" {
            // The engine does not survive `TRY` in what `GROUP BY ALL` finds by itself.
            let keys = node["select_list"].array.enumerated().filter {
                !Self.holdsAggregate($0.element)
            }
            node["group_expressions"] = .array(keys.map { Self.position($0.offset) })
            let indexes = keys.indices.map { JSONTree.number("\($0)") }
            node["group_sets"] = .array(keys.isEmpty ? [] : [.array(indexes)])
            node["aggregate_handling"] = .string("STANDARD_HANDLING")
        }
        releases?.calls = []
        let shown = node["select_list"].array
        node["select_list"] = .array(
            try shown.map { item in
                named(try held(item, rows), as: item)
            })
        node["group_expressions"] = .array(
            try node["group_expressions"].array.map { group in
                try rowExpression(group)
                return try total(group, rows)
            })
        node["qualify"] = try held(node["qualify"], rows)
        node["modifiers"] = try modifiers(node["modifiers"], scope, rows: rows)
        // It is computed of the groups that vanish too, so no count of theirs may stand in it.
        let having = try held(node["having"], rows, guardsEveryCall: true)
        try release(node, scope, rows, items: shown)
        let people = holds(where: nil)
        // Where the call of a small group is null, what is computed of it must not fail either: it is not computed.
        node["having"] =
            having.isNull ? people : Self.when(people, then: having, alias: .string(""))
        return node
    }

    /// What is put in for `item` keeps the name that the column would have had.
    private func named(_ made: JSONTree, as item: JSONTree) -> JSONTree {
        guard made != item, (item["alias"].string ?? "").isEmpty else { return made }
        var made = made
        made["alias"] = .string(Self.columnName(item))
        return made
    }

    /// An expression of an aggregation, with each aggregate call held to k people of its own, and no errors but those of
    /// numbers that enough people make.
    ///
    /// - Parameter guardsEveryCall: whether calls that need no guard in a group that is shown get one nevertheless.
    private func held(
        _ node: JSONTree, _ rows: Relation.Rows, guardsEveryCall: Bool = false
    ) throws -> JSONTree {
        try total(calls(node, rows, guardsEveryCall), rows)
    }

    private func calls(
        _ node: JSONTree, _ rows: Relation.Rows, _ guardsEveryCall: Bool
    ) throws -> JSONTree {
        switch node["class"].string {
        case "SUBQUERY":
            throw Refused(
                "a subquery may not stand beside aggregates over `hits`; make it a common table")
        case "STAR": throw Refused("`*` is not allowed beside aggregates over `hits`")
        case "FUNCTION" where Self.isAggregate(node):
            return try heldAggregate(node, rows, isGuarded: guardsEveryCall)
        default: return try mapped(node) { try calls($0, rows, guardsEveryCall) }
        }
    }

    private func heldAggregate(
        _ node: JSONTree, _ rows: Relation.Rows, isGuarded: Bool
    ) throws -> JSONTree {
        let name = node["function_name"].string!.lowercased()
        let arguments = node["children"].array
        for argument in arguments { try rowExpression(argument) }
        if !node["filter"].isNull { try rowExpression(node["filter"]) }
        guard node["order_bys"]["orders"].array.isEmpty else {
            throw Refused("ORDER BY inside `\(name)` is not allowed")
        }
        let isDistinct = node["distinct"] == .bool(true)
        var call = node
        var conditions = node["filter"].isNull ? [] : [node["filter"]]
        if name == "count_star" || (name == "count" && arguments.isEmpty) {
        } else if arguments.count == 1 {
            let argument = arguments[0]
            switch name {
            case "count":
                if isDistinct { try mustBePlain(argument, rows, name) }
                conditions.append(isNotNull(argument))
            case "approx_count_distinct":
                try mustBePlain(argument, rows, name)
                conditions.append(isNotNull(argument))
            case "count_if", "countif": conditions.append(argument)
            case "sum", "fsum", "kahan_sum", "sumkahan", "avg", "mean", "favg", "stddev",
                "stddev_pop", "stddev_samp", "var_pop", "var_samp", "variance", "sem":
                guard !isDistinct else { throw Refused("`\(name)(DISTINCT …)` is not allowed") }
                conditions.append(try contribution(of: argument, rows, name))
                if let bound = isBounded(argument) { conditions.append(bound) }
                call = bounded(call, of: argument)
            case "min", "max", "mode":
                guard isDay(argument, rows) else {
                    throw Refused(
                        "`\(name)` would show a value of one row; it may be taken of days only; for the most frequent value use GROUP BY and count(*)"
                    )
                }
                conditions.append(isNotNull(argument))
            default: throw notAllowed(name)
            }
        } else {
            throw notAllowed(name)
        }
        note(call: node, conditions, rows)
        if conditions.isEmpty && !isGuarded { return node }
        let alias = node["alias"]
        call["alias"] = .string("")
        let condition = conditions.isEmpty ? nil : conjunction(conditions)
        return Self.when(holds(where: condition), then: call, alias: alias)
    }

    /// Whether the values are days, or longer spans, of the table's own times.
    private func isDay(_ node: JSONTree, _ rows: Relation.Rows) -> Bool {
        guard kind(node, rows) == .coarse else { return false }
        return type(node, rows).map(Self.isTime) ?? false
    }

    private func notAllowed(_ name: String) -> Refused {
        Refused(
            "`\(name)` may show values of single rows; allowed are count, sum, avg, min, max, mode and deviations"
        )
    }

    private func mustBePlain(
        _ argument: JSONTree, _ rows: Relation.Rows, _ name: String
    ) throws {
        guard kind(argument, rows) != .opaque else {
            throw Refused("distinct values may be counted of columns only, not of computed values")
        }
    }

    /// The condition under which a row counts towards a sum: its measure is there, or its CASE chooses it.
    private func contribution(
        of argument: JSONTree, _ rows: Relation.Rows, _ name: String
    ) throws -> JSONTree {
        if kind(argument, rows) == .measure { return isNotZero(argument) }
        let parts = argument["children"].array
        if argument["type"].string == "OPERATOR_COALESCE", parts.count == 2,
            kind(parts[0], rows) == .measure, Self.isNothing(parts[1])
        {
            return isNotZero(argument)
        }
        let checks = argument["case_checks"].array
        if argument["class"].string == "CASE", checks.count == 1,
            kind(checks[0]["then_expr"], rows) == .measure,
            Self.isNothing(argument["else_expr"])
        {
            return conjunction([checks[0]["when_expr"], isNotZero(checks[0]["then_expr"])])
        }
        throw Refused(
            "`\(name)` may be taken of measures only (`params`, `sample_rate`, numbers) or of one CASE over them with ELSE 0; write conditions as FILTER (WHERE …)"
        )
    }

    /// Absent, null or zero.
    private static func isNothing(_ node: JSONTree) -> Bool {
        if node.isNull { return true }
        guard node["class"].string == "CONSTANT" else { return false }
        let value = node["value"]
        return value["is_null"] == .bool(true) || value["value"] == .number("0")
            || value["value"] == .number("0.0")
    }

    // MARK: Expressions

    private static let noWindow = Refused(
        "window functions over rows of `hits` are not allowed; aggregate first")

    /// An expression that may hold neither subqueries, windows nor aggregates.
    func rowExpression(_ node: JSONTree) throws {
        switch node["class"].string {
        case "WINDOW": throw Self.noWindow
        case "SUBQUERY":
            throw Refused("a subquery may not stand in an expression over rows of `hits`")
        case "STAR": throw Refused("`*` is not allowed in an expression over rows of `hits`")
        case "FUNCTION" where Self.isAggregate(node):
            throw Refused("aggregates may not be nested")
        default: break
        }
        _ = try mapped(node) {
            try rowExpression($0)
            return $0
        }
    }

    /// An expression where subqueries may stand, if they are open or guarded.
    func free(_ node: JSONTree, _ scope: Scope) throws -> JSONTree {
        guard node["class"].string == "SUBQUERY" else {
            return try mapped(node) { try free($0, scope) }
        }
        var node = node
        var inner = node["subquery"]
        let (rewritten, relation) = try query(inner["node"], scope)
        guard relation.rows == nil else {
            throw Refused("a subquery shows rows of `hits`; it must aggregate them")
        }
        inner["node"] = rewritten
        node["subquery"] = inner
        node["child"] = try free(node["child"], scope)
        return node
    }

    private func modifiers(
        _ modifiers: JSONTree, _ scope: Scope, rows: Relation.Rows?
    ) throws -> JSONTree {
        .array(
            try modifiers.array.map { modifier in
                try mappedMembers(modifier) { value in
                    // `ORDER BY ALL` stands as a star; it names what the query shows anyway.
                    if value["class"].string == "STAR", value["expr"].isNull { return value }
                    return try rows.map { try held(value, $0) } ?? free(value, scope)
                }
            })
    }

    /// The node with `transform` applied to each expression directly below it.
    func mapped(
        _ node: JSONTree, _ transform: (JSONTree) throws -> JSONTree
    ) throws -> JSONTree {
        guard !node["class"].isNull else { return node }
        return try mappedMembers(node, transform)
    }

    private func mappedMembers(
        _ value: JSONTree, _ transform: (JSONTree) throws -> JSONTree
    ) throws -> JSONTree {
        switch value {
        case .object(let members):
            return .object(
                try members.map {
                    .init(name: $0.name, value: try mappedValue($0.value, transform))
                })
        default: return value
        }
    }

    private func mappedValue(
        _ value: JSONTree, _ transform: (JSONTree) throws -> JSONTree
    ) throws -> JSONTree {
        switch value {
        case .object where !value["class"].isNull: return try transform(value)
        case .object: return try mappedMembers(value, transform)
        case .array(let values): return .array(try values.map { try mappedValue($0, transform) })
        default: return value
        }
    }
}
