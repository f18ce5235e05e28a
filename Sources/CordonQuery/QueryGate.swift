package import Engine

/// The gate: reads one SQL text and lets through a single SELECT made of known parts alone.
///
/// The text is parsed by the engine's own parser on a connection that has no data, which neither binds nor opens
/// anything (`json_serialize_sql`). Of the tree every node, every member and every function must be on a list here; what
/// is not is refused by name and position. The only tables are `hits` (also as `pixels.hits`) and the query's own common
/// tables. What runs later is text that the engine wrote from the checked tree, gone through the gate once more.
package final class QueryGate {
    /// Longer texts are refused before they are parsed; an analyst's query is some hundred bytes.
    package static let textBytesMax = 65_536
    /// More nodes than this are refused; it bounds the time of everything that follows.
    static let nodesMax = 20_000
    /// Deeper trees are refused: walks recurse here and in the engine.
    static let depthMax = 120

    /// Refused text, with the reason.
    struct Refused: Error {
        let refusal: Refusal
        init(_ text: String, at location: JSONTree = .null) {
            // The engine marks a node without a place by the largest number.
            let place = location.integer.map { " (at character \($0 + 1))" } ?? ""
            refusal = Refusal(rule: "gate", text: text + place)
        }
    }

    private let parser: EngineConnection

    package init() throws(EngineError) {
        parser = try EngineConnection(settings: [
            ("enable_external_access", "false"), ("threads", "1"), ("lock_configuration", "true"),
        ])
    }

    /// The checked tree of `sql`: the parser's object with one statement.
    ///
    /// - Parameter parameters: values that take the places of `$1` and so on before anything is checked.
    func check(_ sql: String, _ parameters: [QueryParameter] = []) throws -> JSONTree {
        var tree = try parsed(sql)
        if !parameters.isEmpty {
            let found = try StatementParameters(of: tree)
            tree = try StatementParameters.bound(tree, found.settled(parameters))
        }
        var walk = GateWalk()
        try walk.statement(tree["statements"].array[0])
        return tree
    }

    /// Lets a tree through that reads nothing but the catalog of a session.
    func checkCatalog(_ tree: JSONTree) throws {
        var walk = GateWalk(isCatalog: true)
        try walk.statement(tree["statements"].array[0])
    }

    /// The tree of `sql` as the parser gives it, of which nothing is checked.
    func parsed(_ sql: String) throws -> JSONTree {
        guard sql.utf8.count <= Self.textBytesMax else {
            throw Refused("the query is longer than \(Self.textBytesMax) bytes")
        }
        guard !sql.utf8.contains(0) else { throw Refused("the query contains a zero byte") }
        return try parse(sql)
    }

    /// The text of a checked, possibly rewritten tree, after it passed the gate again.
    func render(_ tree: JSONTree, isCatalog: Bool = false) throws -> String {
        guard
            let text = try parser.text(
                "json_deserialize_sql(\(EngineText.literal(tree.text))::JSON)")
        else {
            throw Refused("the query cannot be written back")
        }
        var walk = GateWalk(allowsGuards: !isCatalog, isCatalog: isCatalog)
        try walk.statement(parse(text)["statements"].array[0])
        return text
    }

    private func parse(_ sql: String) throws -> JSONTree {
        guard let json = try parser.text("json_serialize_sql(\(EngineText.literal(sql))::VARCHAR)"),
            let tree = try? JSONTree(parsing: json)
        else { throw Refused("the query nests too deeply") }
        if tree["error"] != .bool(false) {
            let message = tree["error_message"].string ?? ""
            if tree["error_type"].string == "parser" {
                throw Refused("\(Refusal.syntaxHead): \(message)")
            }
            throw Refused("only a single SELECT may be asked")
        }
        guard tree["statements"].array.count == 1 else {
            throw Refused(
                "only a single SELECT may be asked, found \(tree["statements"].array.count) statements"
            )
        }
        return tree
    }
}

/// One walk over a tree: counts nodes, knows which common tables are in scope.
private struct GateWalk {
    /// Whether the reserved columns of guards may appear: in text that Cordon wrote.
    var allowsGuards = false
    /// Whether the statement reads the catalog of a session instead of hits.
    var isCatalog = false
    private var nodeCount = 0
    private typealias Refused = QueryGate.Refused

    init(allowsGuards: Bool = false, isCatalog: Bool = false) {
        self.allowsGuards = allowsGuards
        self.isCatalog = isCatalog
    }

    mutating func statement(_ statement: JSONTree) throws {
        try members(of: statement, are: ["node", "named_param_map"])
        guard statement["named_param_map"].array.isEmpty else {
            throw Refused("a parameter has no value")
        }
        try node(statement["node"], tables: [], depth: 0)
    }

    // MARK: Query nodes

    private mutating func node(_ node: JSONTree, tables outer: Set<String>, depth: Int) throws {
        try count(depth)
        var tables = outer
        try commonTables(node["cte_map"], tables: &tables, depth: depth)
        let common = ["type", "modifiers", "cte_map"]
        switch node["type"].string {
        case "SELECT_NODE":
            try members(
                of: node,
                are: common + [
                    "select_list", "from_table", "where_clause", "group_expressions", "group_sets",
                    "aggregate_handling", "having", "sample", "qualify",
                ])
            try noSample(node)
            try source(node["from_table"], tables: tables, depth: depth + 1)
            for part in node["select_list"].array + node["group_expressions"].array
                + [node["where_clause"], node["having"], node["qualify"]]
            {
                try optional(part, tables: tables, depth: depth + 1)
            }
        case "SET_OPERATION_NODE":
            try members(of: node, are: common + ["setop_type", "left", "right", "setop_all"])
            try self.node(node["left"], tables: tables, depth: depth + 1)
            try self.node(node["right"], tables: tables, depth: depth + 1)
        case "RECURSIVE_CTE_NODE":
            try members(
                of: node,
                are: common + ["cte_name", "union_all", "left", "right", "aliases", "key_targets"])
            guard node["key_targets"].array.isEmpty else {
                throw Refused("`USING KEY` is not supported")
            }
            try names(node["aliases"])
            try self.node(node["left"], tables: tables, depth: depth + 1)
            try self.node(node["right"], tables: tables, depth: depth + 1)
        default:
            throw Refused("the query has a part of an unknown kind")
        }
        for modifier in node["modifiers"].array {
            try self.modifier(modifier, tables: tables, depth: depth + 1)
        }
    }

    private mutating func commonTables(
        _ map: JSONTree, tables: inout Set<String>, depth: Int
    ) throws {
        for entry in map["map"].array {
            guard let name = entry["key"].string else {
                throw Refused("a common table has no name")
            }
            let lowered = name.lowercased()
            guard lowered != "hits", lowered != "pixels" else {
                throw Refused(
                    "a common table may not be called `\(name)`: it would hide the table `hits`")
            }
            guard isPlainName(name) else {
                throw Refused("the name of a common table may hold letters, digits and `_` only")
            }
            try self.name(name)
            let table = entry["value"]
            try members(of: table, are: ["aliases", "query", "materialized", "key_targets"])
            guard table["key_targets"].array.isEmpty else {
                throw Refused("`USING KEY` is not supported")
            }
            try names(table["aliases"])
            let query = table["query"]
            try members(of: query, are: ["node", "named_param_map"])
            // A recursive table sees itself, any other one those before it.
            let isRecursive = query["node"]["type"].string == "RECURSIVE_CTE_NODE"
            try node(
                query["node"], tables: isRecursive ? tables.union([lowered]) : tables,
                depth: depth + 1)
            tables.insert(lowered)
        }
    }

    private mutating func modifier(
        _ modifier: JSONTree, tables: Set<String>, depth: Int
    ) throws {
        try count(depth)
        switch modifier["type"].string {
        case "ORDER_MODIFIER":
            try members(of: modifier, are: ["type", "orders"])
            for order in modifier["orders"].array {
                try self.order(order, tables: tables, depth: depth)
            }
        case "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER":
            try members(of: modifier, are: ["type", "limit", "offset"])
            try optional(modifier["limit"], tables: tables, depth: depth)
            try optional(modifier["offset"], tables: tables, depth: depth)
        case "DISTINCT_MODIFIER":
            try members(of: modifier, are: ["type", "distinct_on_targets"])
            for target in modifier["distinct_on_targets"].array {
                try expression(target, tables: tables, depth: depth)
            }
        default: throw Refused("the query has a clause of an unknown kind")
        }
    }

    private mutating func order(_ order: JSONTree, tables: Set<String>, depth: Int) throws {
        try members(of: order, are: ["type", "null_order", "expression"])
        try expression(order["expression"], tables: tables, depth: depth + 1)
    }

    // MARK: Sources

    private mutating func source(_ source: JSONTree, tables: Set<String>, depth: Int) throws {
        try count(depth)
        let common = ["type", "alias", "sample", "query_location"]
        let location = source["query_location"]
        try noSample(source)
        try name(source["alias"].string ?? "")
        switch source["type"].string {
        case "EMPTY": try members(of: source, are: common)
        case "BASE_TABLE":
            try members(
                of: source,
                are: common + [
                    "schema_name", "table_name", "column_name_alias", "catalog_name", "at_clause",
                ])
            try names(source["column_name_alias"])
            guard source["at_clause"].isNull else {
                throw Refused("`AT` is not supported", at: location)
            }
            let schema = source["schema_name"].string?.lowercased() ?? ""
            let table = source["table_name"].string?.lowercased() ?? ""
            let isKnown =
                isCatalog
                ? schema.isEmpty
                    ? tables.contains(table)
                    : schema == SessionCatalog.schema && SessionCatalog.tableNames.contains(table)
                : schema.isEmpty
                    ? table == "hits" || tables.contains(table)
                    : schema == "pixels" && table == "hits"
            guard isKnown, source["catalog_name"].string == "" else {
                throw Refused(
                    "there is no table `\(source["table_name"].string ?? "")`; the table is `hits`",
                    at: location)
            }
        case "SUBQUERY":
            try members(of: source, are: common + ["subquery", "column_name_alias"])
            try names(source["column_name_alias"])
            try subquery(source["subquery"], tables: tables, depth: depth)
        case "JOIN":
            try members(
                of: source,
                are: common + [
                    "left", "right", "condition", "join_type", "ref_type", "using_columns",
                    "delim_flipped", "duplicate_eliminated_columns",
                ])
            guard source["duplicate_eliminated_columns"].array.isEmpty else {
                throw Refused("the query has a join of an unknown kind", at: location)
            }
            try self.source(source["left"], tables: tables, depth: depth + 1)
            try self.source(source["right"], tables: tables, depth: depth + 1)
            try optional(source["condition"], tables: tables, depth: depth + 1)
            try names(source["using_columns"])
        case "EXPRESSION_LIST":
            try members(of: source, are: common + ["expected_names", "expected_types", "values"])
            try names(source["expected_names"])
            for row in source["values"].array {
                for value in row.array { try expression(value, tables: tables, depth: depth + 1) }
            }
        case "TABLE_FUNCTION":
            try members(
                of: source, are: common + ["function", "column_name_alias", "with_ordinality"])
            try names(source["column_name_alias"])
            let name = source["function"]["function_name"].string?.lowercased() ?? ""
            guard GateLists.tableFunctions.contains(name) else {
                throw Refused("the table function `\(name)` is not allowed", at: location)
            }
            try function(source["function"], named: GateLists.tableFunctions, tables, depth + 1)
        case "SHOW_REF":
            throw Refused("DESCRIBE, SHOW and SUMMARIZE are not allowed", at: location)
        case "PIVOT":
            try members(
                of: source,
                are: common + [
                    "source", "aggregates", "unpivot_names", "pivots", "groups",
                    "column_name_alias", "include_nulls",
                ])
            try pivot(source, tables, depth)
        default: throw Refused("the query reads from a source of an unknown kind", at: location)
        }
    }

    private mutating func pivot(
        _ source: JSONTree, _ tables: Set<String>, _ depth: Int
    ) throws {
        try self.source(source["source"], tables: tables, depth: depth + 1)
        for list in ["unpivot_names", "groups", "column_name_alias"] { try names(source[list]) }
        try all(source["aggregates"].array, tables, depth)
        for pivot in source["pivots"].array {
            try members(
                of: pivot, are: ["pivot_expressions", "unpivot_names", "entries", "pivot_enum"])
            guard pivot["pivot_enum"].string == "" else {
                throw Refused(
                    "PIVOT needs its values named: `IN (…)`", at: source["query_location"])
            }
            try names(pivot["unpivot_names"])
            try all(pivot["pivot_expressions"].array, tables, depth)
            for entry in pivot["entries"].array {
                try members(of: entry, are: ["values", "star_expr", "alias"])
                try name(entry["alias"].string ?? "")
                // Of UNPIVOT the values are names of columns.
                for value in entry["values"].array { try name(value["value"].string ?? "") }
                try all([entry["star_expr"]], tables, depth)
            }
        }
    }

    private mutating func subquery(_ query: JSONTree, tables: Set<String>, depth: Int) throws {
        try members(of: query, are: ["node", "named_param_map"])
        try node(query["node"], tables: tables, depth: depth + 1)
    }

    private func noSample(_ node: JSONTree) throws {
        guard node["sample"].isNull else {
            throw Refused("sampling is not allowed", at: node["query_location"])
        }
    }

    // MARK: Expressions

    private mutating func optional(
        _ expression: JSONTree, tables: Set<String>, depth: Int
    ) throws {
        if !expression.isNull { try self.expression(expression, tables: tables, depth: depth) }
    }

    private mutating func all(
        _ expressions: [JSONTree], _ tables: Set<String>, _ depth: Int
    ) throws {
        for expression in expressions {
            try optional(expression, tables: tables, depth: depth + 1)
        }
    }

    private mutating func expression(
        _ node: JSONTree, tables: Set<String>, depth: Int
    ) throws {
        try count(depth)
        try name(node["alias"].string ?? "")
        let common = ["class", "type", "alias", "query_location"]
        let location = node["query_location"]
        switch node["class"].string {
        case "CONSTANT": try members(of: node, are: common + ["value"])
        case "COLUMN_REF":
            try members(of: node, are: common + ["column_names"])
            try names(node["column_names"])
            // The engine reads these as calls where there is no such column.
            if let name = node["column_names"].array.first?.string?.lowercased(),
                GateLists.callsWithoutParentheses.contains(name)
            {
                throw Refused("the function `\(name)` is not allowed", at: location)
            }
        case "POSITIONAL_REFERENCE": try members(of: node, are: common + ["index"])
        case "CAST":
            try members(of: node, are: common + ["child", "cast_type", "try_cast"])
            try type(node["cast_type"], at: location)
            try all([node["child"]], tables, depth)
        case "COMPARISON":
            try members(of: node, are: common + ["left", "right"])
            try all([node["left"], node["right"]], tables, depth)
        case "BETWEEN":
            try members(of: node, are: common + ["input", "lower", "upper"])
            try all([node["input"], node["lower"], node["upper"]], tables, depth)
        case "CONJUNCTION":
            try members(of: node, are: common + ["children"])
            try all(node["children"].array, tables, depth)
        case "OPERATOR":
            try members(of: node, are: common + ["children"])
            guard let type = node["type"].string, GateLists.operators.contains(type) else {
                throw Refused("the query has an operator of an unknown kind", at: location)
            }
            try all(node["children"].array, tables, depth)
        case "CASE":
            try members(of: node, are: common + ["case_checks", "else_expr"])
            for check in node["case_checks"].array {
                try members(of: check, are: ["when_expr", "then_expr"])
                try all([check["when_expr"], check["then_expr"]], tables, depth)
            }
            try all([node["else_expr"]], tables, depth)
        case "FUNCTION": try function(node, named: GateLists.functions, tables, depth)
        case "WINDOW": try window(node, tables, depth)
        case "LAMBDA":
            try members(of: node, are: common + ["lhs", "expr"])
            try all([node["lhs"], node["expr"]], tables, depth)
        case "SUBQUERY":
            try members(
                of: node, are: common + ["subquery_type", "subquery", "child", "comparison_type"])
            try subquery(node["subquery"], tables: tables, depth: depth)
            try all([node["child"]], tables, depth)
        case "COLLATE":
            try members(of: node, are: common + ["child", "collation"])
            guard ["nocase", "noaccent", "nfc"].contains(node["collation"].string?.lowercased())
            else {
                throw Refused("the collation is not allowed", at: location)
            }
            try all([node["child"]], tables, depth)
        case "STAR": try star(node, tables, depth)
        default:
            throw Refused("the query has an expression of an unknown kind", at: location)
        }
    }

    private mutating func function(
        _ node: JSONTree, named allowed: Set<String>, _ tables: Set<String>, _ depth: Int
    ) throws {
        try count(depth)
        try members(
            of: node,
            are: [
                "class", "type", "alias", "query_location", "function_name", "schema", "children",
                "filter", "order_bys", "distinct", "is_operator", "export_state", "catalog",
            ])
        try functionName(node, allowed: allowed)
        guard node["export_state"] == .bool(false) else {
            throw Refused("`EXPORT_STATE` is not allowed", at: node["query_location"])
        }
        try all(node["children"].array + [node["filter"]], tables, depth)
        for order in node["order_bys"]["orders"].array {
            try self.order(order, tables: tables, depth: depth)
        }
    }

    private func functionName(_ node: JSONTree, allowed: Set<String>) throws {
        let name = node["function_name"].string?.lowercased() ?? ""
        // The parser itself qualifies some calls, such as `extract` and list literals, with `main`.
        guard ["", "main"].contains(node["schema"].string), node["catalog"].string == "",
            allowed.contains(name) || allowsGuards && name == "error"
                || isCatalog && SessionCatalog.functionNames.contains(name)
        else {
            throw Refused(
                "the function `\(node["function_name"].string ?? "")` is not allowed",
                at: node["query_location"])
        }
    }

    private mutating func window(_ node: JSONTree, _ tables: Set<String>, _ depth: Int) throws {
        try members(
            of: node,
            are: [
                "class", "type", "alias", "query_location", "function_name", "schema", "catalog",
                "children", "partitions", "orders", "start", "end", "start_expr", "end_expr",
                "offset_expr", "default_expr", "ignore_nulls", "filter_expr", "exclude_clause",
                "distinct", "arg_orders",
            ])
        try functionName(node, allowed: GateLists.windowFunctions.union(GateLists.aggregates))
        try all(
            node["children"].array + node["partitions"].array
                + ["start_expr", "end_expr", "offset_expr", "default_expr", "filter_expr"].map {
                    node[$0]
                }, tables, depth)
        for order in node["orders"].array + node["arg_orders"].array {
            try self.order(order, tables: tables, depth: depth)
        }
    }

    private mutating func star(_ node: JSONTree, _ tables: Set<String>, _ depth: Int) throws {
        try members(
            of: node,
            are: [
                "class", "type", "alias", "query_location", "relation_name", "exclude_list",
                "replace_list", "columns", "expr", "qualified_exclude_list", "rename_list",
            ])
        try name(node["relation_name"].string ?? "")
        try names(node["exclude_list"])
        for entry in node["replace_list"].array {
            try name(entry["key"].string ?? "")
            try all([entry["value"]], tables, depth)
        }
        for entry in node["rename_list"].array {
            try name(entry["key"]["column"].string ?? "")
            try name(entry["value"].string ?? "")
        }
        for entry in node["qualified_exclude_list"].array {
            try name(entry["column"].string ?? "")
        }
        try all([node["expr"]], tables, depth)
    }

    private mutating func type(_ type: JSONTree, at location: JSONTree) throws {
        nodeCount += 1
        let id = type["id"].string ?? ""
        let info = type["type_info"]
        switch id {
        case "UNBOUND":
            guard GateLists.unboundTypes.contains(info["name"].string?.lowercased() ?? ""),
                info["schema"].string == "", info["catalog"].string == ""
            else { throw Refused("the type is not allowed", at: location) }
        case "LIST", "ARRAY": try self.type(info["child_type"], at: location)
        case "STRUCT", "MAP":
            if id == "STRUCT" {
                for child in info["child_types"].array {
                    try name(child["first"].string ?? "")
                    try self.type(child["second"], at: location)
                }
            } else {
                try self.type(info["child_type"], at: location)
            }
        default:
            guard GateLists.types.contains(id) else {
                throw Refused("the type is not allowed", at: location)
            }
        }
    }

    // MARK: Helpers

    private mutating func count(_ depth: Int) throws {
        nodeCount += 1
        guard nodeCount <= QueryGate.nodesMax else { throw Refused("the query has too many parts") }
        guard depth <= QueryGate.depthMax else { throw Refused("the query nests too deeply") }
    }

    /// Members that a newer engine adds must be understood before they may pass.
    private func members(of node: JSONTree, are known: [String]) throws {
        for member in node.members where !known.contains(member.name) {
            throw Refused("the query has a part of an unknown kind", at: node["query_location"])
        }
    }

    private func names(_ list: JSONTree) throws {
        for entry in list.array { try name(entry.string ?? "") }
    }

    private func name(_ name: String) throws {
        let lowered = name.lowercased()
        if allowsGuards
            && (HitsColumn.guards.contains(lowered) || Release.isColumn(lowered))
        {
            return
        }
        guard !lowered.hasPrefix(HitsColumn.reservedPrefix) else {
            throw Refused("names that begin with `\(HitsColumn.reservedPrefix)` are reserved")
        }
    }

    private func isPlainName(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0)
                    || (0x61...0x7A).contains($0) || $0 == 0x5F
            }
    }
}
