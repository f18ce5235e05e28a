internal import Engine

/// A query over several regions as two: one that each region answers, and one over their answers.
///
/// INVARIANT: the second gives what the query would give over all rows that the regions let into their answers. So only what
/// is known to add up is taken apart: one table `hits`, rows filtered one by one, groups that the result shows, and counts, sums,
/// averages and extremes. Everything else is answered region by region.
struct DecomposedQuery: Equatable {
    /// The parse tree that each region answers: keys as `g0`, `g1` …, parts of aggregates as `a0`, `a1` …, and types of sums as
    /// `t0`, `t1` ….
    let partial: JSONTree
    private let columns: [Column]
    /// The text behind the groups: ORDER BY and LIMIT.
    private let tail: String

    private struct Column: Equatable {
        enum Kind: Equatable {
            case key
            case count, sum, min, max, average
        }
        let kind: Kind
        let name: String
    }

    /// Indexes of the columns whose type the combination must know.
    var typedColumns: [Int] {
        columns.indices.filter { columns[$0].kind == .sum || columns[$0].kind == .average }
    }

    /// The query over the answers, which stand in the relation `hits`.
    ///
    /// - Parameter types: the engine's type of each sum, by index of its column.
    func combining(types: [Int: String]) -> String {
        let items = columns.enumerated().map { index, column in
            let sum = "sum(CAST(a\(index) AS \(types[index] ?? "DOUBLE")))"
            let text =
                switch column.kind {
                case .key: "g\(index)"
                case .count: "CAST(sum(a\(index)) AS BIGINT)"
                case .sum: sum
                case .min: "min(a\(index))"
                case .max: "max(a\(index))"
                // A region that keeps its sum to itself has no part in the count either.
                case .average:
                    "CAST(\(sum) AS DOUBLE) / sum(n\(index)) FILTER (WHERE a\(index) IS NOT NULL)"
                }
            return "\(text) AS \(EngineText.identifier(column.name))"
        }
        let keys = columns.indices.filter { columns[$0].kind == .key }.map { "g\($0)" }
        let groups = keys.isEmpty ? "" : " GROUP BY \(keys.joined(separator: ", "))"
        return "SELECT \(items.joined(separator: ", ")) FROM hits\(groups)\(tail)"
    }

    /// Takes a checked tree apart; nil where it does not add up over regions.
    ///
    /// - Parameter isHeld: whether the region leaves out of sums what ``GroupGuard`` does; counts beside them do the same.
    init?(_ tree: JSONTree, isHeld: Bool = false) {
        var statement = tree["statements"].array[0]
        var node = statement["node"]
        guard node["type"].string == "SELECT_NODE", node["cte_map"]["map"].array.isEmpty,
            node["having"].isNull, node["qualify"].isNull, node["group_sets"].array.count <= 1,
            Self.tables(node["from_table"]) == 1, !Self.holdsQuery(node["where_clause"]),
            !Self.holdsQuery(node["group_expressions"])
        else { return nil }
        let items = node["select_list"].array
        var columns: [Column] = []
        var parts: [JSONTree] = []
        var keys: [JSONTree] = []
        for (index, item) in items.enumerated() {
            guard !Self.holdsQuery(item), item["class"].string != "STAR" else { return nil }
            let alias = item["alias"].string ?? ""
            let name = alias.isEmpty ? GroupGuard.columnName(item) : alias
            guard GroupGuard.holdsAggregate(item) else {
                columns.append(Column(kind: .key, name: name))
                keys.append(item)
                parts.append(Self.named(item, "g\(index)"))
                continue
            }
            guard let (kind, made) = Self.parts(of: item, index, isHeld: isHeld) else { return nil }
            columns.append(Column(kind: kind, name: name))
            parts += made
        }
        guard keys.count < columns.count, Self.groups(of: node, are: keys, items),
            let tail = Self.tail(node["modifiers"].array, items)
        else { return nil }
        node["select_list"] = .array(parts)
        node["group_expressions"] = .array(keys.map { Self.named($0, "") })
        let indexes = keys.indices.map { JSONTree.number("\($0)") }
        node["group_sets"] = keys.isEmpty ? .array([]) : .array([.array(indexes)])
        node["aggregate_handling"] = .string("STANDARD_HANDLING")
        node["modifiers"] = .array([])
        statement["node"] = node
        var partial = tree
        partial["statements"] = .array([statement])
        self.partial = partial
        self.columns = columns
        self.tail = tail
    }

    // MARK: What adds up

    /// The tables `hits` that a source reads; nil where it holds anything whose rows depend on other rows.
    private static func tables(_ source: JSONTree) -> Int? {
        guard !holdsQuery(source) else { return nil }
        switch source["type"].string {
        case "BASE_TABLE": return 1
        case "EXPRESSION_LIST", "TABLE_FUNCTION": return 0
        case "SUBQUERY": return readsTable(source) ? nil : 0
        case "JOIN":
            guard source["join_type"].string == "INNER",
                ["REGULAR", "CROSS"].contains(source["ref_type"].string),
                let left = tables(source["left"]), let right = tables(source["right"])
            else { return nil }
            return left + right
        default: return nil
        }
    }

    private static func parts(
        of item: JSONTree, _ index: Int, isHeld: Bool
    ) -> (Column.Kind, [JSONTree])? {
        guard item["class"].string == "FUNCTION", GroupGuard.isAggregate(item),
            item["distinct"] != .bool(true), item["order_bys"]["orders"].array.isEmpty
        else { return nil }
        var item = item
        switch item["function_name"].string?.lowercased() {
        case let name? where GroupGuard.counts.contains(name):
            return (.count, [named(item, "a\(index)")])
        case "min":
            return item["children"].array.count == 1 ? (.min, [named(item, "a\(index)")]) : nil
        case "max":
            return item["children"].array.count == 1 ? (.max, [named(item, "a\(index)")]) : nil
        case "sum": return (.sum, sum(item, index))
        case "avg", "mean":
            item["function_name"] = .string("sum")
            var count = item
            count["function_name"] = .string("count")
            if isHeld, let argument = item["children"].array.first {
                count = GroupGuard().bounded(count, of: argument)
            }
            return (.average, sum(item, index) + [named(count, "n\(index)")])
        default: return nil
        }
    }

    /// A sum as text, and its type: a file of results has no whole numbers beyond 64 bits.
    private static func sum(_ item: JSONTree, _ index: Int) -> [JSONTree] {
        let bare = named(item, "")
        return [
            named(GroupGuard.tried(bare, as: "VARCHAR"), "a\(index)"),
            named(GroupGuard.call("typeof", [bare]), "t\(index)"),
        ]
    }

    /// Whether the groups are exactly the columns that are no aggregates.
    private static func groups(
        of node: JSONTree, are keys: [JSONTree], _ items: [JSONTree]
    ) -> Bool {
        if node["aggregate_handling"].string == "FORCE_AGGREGATES" { return true }
        let groups = node["group_expressions"].array.map { resolved($0, items) }
        let shown = keys.map(bare)
        return groups.allSatisfy { group in group.map(shown.contains) ?? false }
            && shown.allSatisfy { groups.contains($0) }
    }

    /// The expression that a position, a name of the result, or an expression stands for; nil where it may be either of two.
    private static func resolved(_ node: JSONTree, _ items: [JSONTree]) -> JSONTree? {
        if let position = position(node, items) { return bare(items[position]) }
        return bare(node)
    }

    /// Index of the result's column that a group or order names.
    static func position(_ node: JSONTree, _ items: [JSONTree]) -> Int? {
        if node["class"].string == "CONSTANT", let number = node["value"]["value"].integer {
            return items.indices.contains(number - 1) ? number - 1 : nil
        }
        if let same = items.firstIndex(where: { bare($0) == bare(node) }) { return same }
        guard node["class"].string == "COLUMN_REF", node["column_names"].array.count == 1,
            let name = node["column_names"].array[0].string?.lowercased(),
            !HitsColumn.all.contains(where: { $0.name == name })
        else { return nil }
        return items.firstIndex { $0["alias"].string?.lowercased() == name }
    }

    private static func tail(_ modifiers: [JSONTree], _ items: [JSONTree]) -> String? {
        var text = ""
        for modifier in modifiers {
            switch modifier["type"].string {
            case "ORDER_MODIFIER":
                var orders: [String] = []
                for order in modifier["orders"].array {
                    let expression = order["expression"]
                    let direction = order["type"].string == "DESCENDING" ? " DESC" : ""
                    let nulls =
                        switch order["null_order"].string {
                        case "NULLS_FIRST", "NULLS FIRST": " NULLS FIRST"
                        case "NULLS_LAST", "NULLS LAST": " NULLS LAST"
                        default: ""
                        }
                    if expression["class"].string == "STAR" {
                        orders += items.indices.map { "\($0 + 1)\(direction)\(nulls)" }
                    } else if let position = orderPosition(expression, items) {
                        orders.append("\(position + 1)\(direction)\(nulls)")
                    } else {
                        return nil
                    }
                }
                text += " ORDER BY " + orders.joined(separator: ", ")
            case "LIMIT_MODIFIER":
                for (word, part) in [("LIMIT", modifier["limit"]), ("OFFSET", modifier["offset"])]
                where !part.isNull {
                    guard let number = part["value"]["value"].integer else { return nil }
                    text += " \(word) \(number)"
                }
            default: return nil
            }
        }
        return text
    }

    /// An order names the result's columns first.
    static func orderPosition(_ node: JSONTree, _ items: [JSONTree]) -> Int? {
        if node["class"].string == "COLUMN_REF", node["column_names"].array.count == 1,
            let name = node["column_names"].array[0].string?.lowercased(),
            let index = items.firstIndex(where: { $0["alias"].string?.lowercased() == name })
        {
            return index
        }
        return position(node, items)
    }

    /// Whether a subquery or a window stands in it.
    private static func holdsQuery(_ value: JSONTree) -> Bool {
        switch value {
        case .object(let members):
            ["SUBQUERY", "WINDOW"].contains(value["class"].string)
                || members.contains { holdsQuery($0.value) }
        case .array(let values): values.contains(where: holdsQuery)
        default: false
        }
    }

    private static func readsTable(_ value: JSONTree) -> Bool {
        switch value {
        case .object(let members):
            value["type"].string == "BASE_TABLE" || members.contains { readsTable($0.value) }
        case .array(let values): values.contains(where: readsTable)
        default: false
        }
    }

    private static func named(_ node: JSONTree, _ alias: String) -> JSONTree {
        var node = node
        node["alias"] = .string(alias)
        return node
    }

    /// The expression without its name and places, to compare it.
    static func bare(_ value: JSONTree) -> JSONTree {
        value.without(["alias", "query_location"])
    }
}
