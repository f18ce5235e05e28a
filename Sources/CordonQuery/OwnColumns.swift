/// Holds what stands beside rows of `hits` to its own columns.
///
/// A subquery, a lateral source or a list of values that names a row's column is computed for each row, where the engine takes
/// no `TRY`: whether it fails would tell of the row. So each name in it must surely be one of its own sources' columns.
struct OwnColumns {
    /// Columns of the common tables, by lowercase name.
    var common: [String: Set<String>]
    /// The rows that it stands beside; nil where columns are only gathered.
    var rows: GroupGuard.Relation.Rows?

    init(common: [String: Set<String>], rows: GroupGuard.Relation.Rows? = nil) {
        self.common = common
        self.rows = rows
    }

    /// Names that are surely there at a place; all are lowercase.
    struct Names {
        var columns: Set<String> = []
        var qualified: [String: Set<String>] = [:]

        static func + (left: Names, right: Names) -> Names {
            Names(
                columns: left.columns.union(right.columns),
                qualified: left.qualified.merging(right.qualified) { $0.union($1) })
        }
    }

    /// The columns of a common table.
    func of(_ table: JSONTree) -> Set<String> {
        let columns = try? query(table["query"]["node"], Names())
        return renamed(columns ?? [], table["aliases"])
    }

    /// Checks the subqueries of an expression over the rows; what is outside of them is the rows' own matter.
    func check(subqueriesOf value: JSONTree) throws {
        if value["class"].string == "SUBQUERY" {
            try check(subqueriesOf: value["child"])
            _ = try query(value["subquery"]["node"], Names())
            return
        }
        for member in value.members { try check(subqueriesOf: member.value) }
        for element in value.array { try check(subqueriesOf: element) }
    }

    /// Checks a source beside the rows. A call that makes rows may read columns: its arguments are expressions over them.
    func check(source: JSONTree) throws {
        if source["type"].string == "TABLE_FUNCTION" { return }
        _ = try names(of: source, Names())
    }

    // MARK: Query nodes

    /// The columns that the query shows, where their names are known.
    private func query(_ node: JSONTree, _ outer: Names) throws -> Set<String> {
        var inner = self
        for entry in node["cte_map"]["map"].array {
            let table = entry["value"]
            let columns = try inner.query(table["query"]["node"], outer)
            inner.common[(entry["key"].string ?? "").lowercased()] = renamed(
                columns, table["aliases"])
        }
        switch node["type"].string {
        case "SELECT_NODE": return try inner.select(node, outer)
        case "SET_OPERATION_NODE":
            let columns = try inner.query(node["left"], outer)
            _ = try inner.query(node["right"], outer)
            try inner.check(modifiersOf: node, outer + Names(columns: columns), columns)
            return columns
        default:
            let columns = renamed(try inner.query(node["left"], outer), node["aliases"])
            inner.common[(node["cte_name"].string ?? "").lowercased()] = columns
            _ = try inner.query(node["right"], outer)
            try inner.check(modifiersOf: node, outer + Names(columns: columns), columns)
            return columns
        }
    }

    private func select(_ node: JSONTree, _ outer: Names) throws -> Set<String> {
        let source = try names(of: node["from_table"], outer)
        let visible = outer + source
        var columns: Set<String> = []
        for item in node["select_list"].array {
            if item["class"].string == "STAR" {
                try check(star: item, visible)
                columns.formUnion(shown(by: item, source))
                continue
            }
            try check(item, visible)
            let alias = (item["alias"].string ?? "").lowercased()
            if !alias.isEmpty {
                columns.insert(alias)
            } else if let name = item["column_names"].array.last?.string {
                columns.insert(name.lowercased())
            }
        }
        for part in ["where_clause", "having", "qualify"] { try check(node[part], visible) }
        for group in node["group_expressions"].array where !isName(group, among: columns) {
            try check(group, visible)
        }
        try check(modifiersOf: node, visible, columns)
        return columns
    }

    /// Orders and limits; an order may be a column of the result.
    private func check(
        modifiersOf node: JSONTree, _ visible: Names, _ columns: Set<String>
    ) throws {
        for modifier in node["modifiers"].array {
            for order in modifier["orders"].array {
                let expression = order["expression"]
                if isName(expression, among: columns) { continue }
                // `ORDER BY ALL` names what is shown.
                if expression["class"].string == "STAR", expression["expr"].isNull { continue }
                try check(expression, visible)
            }
            for part in ["limit", "offset"] { try check(modifier[part], visible) }
            for target in modifier["distinct_on_targets"].array { try check(target, visible) }
        }
    }

    private func isName(_ node: JSONTree, among columns: Set<String>) -> Bool {
        let names = node["column_names"].array
        return names.count == 1 && columns.contains(names[0].string?.lowercased() ?? "")
    }

    /// What a star shows of its sources; names that it gives anew are not among it.
    private func shown(by star: JSONTree, _ source: Names) -> Set<String> {
        guard star["columns"] == .bool(false), star["expr"].isNull,
            star["rename_list"].array.isEmpty
        else { return [] }
        let relation = (star["relation_name"].string ?? "").lowercased()
        let columns =
            relation.isEmpty ? source.columns : source.qualified[relation] ?? []
        let excluded =
            star["exclude_list"].array.compactMap(\.string)
            + star["qualified_exclude_list"].array.compactMap { $0["column"].string }
        return columns.subtracting(excluded.map { $0.lowercased() })
    }

    // MARK: Sources

    /// The columns of a source, checked with those that stand before it in the same FROM.
    private func names(of source: JSONTree, _ before: Names) throws -> Names {
        let alias = (source["alias"].string ?? "").lowercased()
        func called(_ columns: Set<String>, _ name: String) -> Names {
            let columns = renamed(columns, source["column_name_alias"])
            return Names(columns: columns, qualified: name.isEmpty ? [:] : [name: columns])
        }
        switch source["type"].string {
        case "EMPTY": return Names()
        case "BASE_TABLE":
            let table = (source["table_name"].string ?? "").lowercased()
            let columns =
                table == "hits" ? Set(HitsColumn.all.map(\.name)) : common[table] ?? []
            return called(columns, alias.isEmpty ? table : alias)
        case "SUBQUERY": return called(try query(source["subquery"]["node"], before), alias)
        case "EXPRESSION_LIST":
            let values = source["values"].array
            for row in values { for value in row.array { try check(value, before) } }
            return called(Set((values.first?.array ?? []).indices.map { "col\($0)" }), alias)
        case "TABLE_FUNCTION":
            try check(source["function"], before)
            let name = (source["function"]["function_name"].string ?? "").lowercased()
            return called([name], alias.isEmpty ? name : alias)
        case "JOIN":
            let left = try names(of: source["left"], before)
            let right = try names(of: source["right"], before + left)
            try check(source["condition"], before + left + right)
            return ["SEMI", "ANTI"].contains(source["join_type"].string) ? left : left + right
        default:
            // What PIVOT and UNPIVOT show is known by the names that are given to it.
            let inner = try names(of: source["source"], before)
            for member in source.members where member.name != "source" {
                try check(member.value, before + inner)
            }
            return called(Set(source["groups"].array.compactMap { $0.string?.lowercased() }), alias)
        }
    }

    private func renamed(_ columns: Set<String>, _ aliases: JSONTree) -> Set<String> {
        let names = aliases.array.compactMap { $0.string?.lowercased() }
        return names.isEmpty ? columns : Set(names)
    }

    // MARK: Expressions

    private func check(_ value: JSONTree, _ visible: Names) throws {
        switch value["class"].string {
        case "COLUMN_REF": try check(column: value, visible)
        case "SUBQUERY":
            try check(value["child"], visible)
            _ = try query(value["subquery"]["node"], visible)
        case "STAR": try check(star: value, visible)
        case "LAMBDA":
            var inner = visible
            inner.columns.formUnion(Self.columns(in: value["lhs"]))
            try check(value["expr"], inner)
        default:
            for member in value.members { try check(member.value, visible) }
            for element in value.array { try check(element, visible) }
        }
    }

    private func check(star: JSONTree, _ visible: Names) throws {
        let relation = (star["relation_name"].string ?? "").lowercased()
        if !relation.isEmpty, visible.qualified[relation] == nil { try refuse(star, relation) }
        for entry in star["replace_list"].array { try check(entry["value"], visible) }
        try check(star["expr"], visible)
    }

    private func check(column: JSONTree, _ visible: Names) throws {
        var names = column["column_names"].array.compactMap { $0.string?.lowercased() }
        if names.count > 2, names[0] == "pixels" { names.removeFirst() }
        guard let first = names.first else { return }
        if names.count > 1, visible.qualified[first]?.contains(names[1]) == true { return }
        if visible.columns.contains(first),
            names.count == 1 || rows?.qualifiers.contains(first) == false
        {
            return
        }
        try refuse(column, names.joined(separator: "."))
    }

    private func refuse(_ node: JSONTree, _ name: String) throws {
        guard let rows else { return }
        // Some names without a source are calls.
        let isCall = ["current_date", "current_time", "current_timestamp"].contains(name)
        if isCall, !rows.isJoined, !rows.kinds.isEmpty, rows.kinds[name] == nil { return }
        throw GroupGuard.Refused(
            "`\(name)` is not surely a column of the part that names it; beside rows of `hits` a subquery, a joined source or a list of values may name its own columns only"
        )
    }

    private static func columns(in value: JSONTree) -> [String] {
        if let name = value["column_names"].array.last?.string { return [name.lowercased()] }
        return value.members.flatMap { columns(in: $0.value) }
            + value.array.flatMap { columns(in: $0) }
    }
}

extension GroupGuard {
    /// Subqueries in an expression over rows name none of the rows' columns.
    func mustBeOwn(_ expression: JSONTree, _ scope: Scope, _ rows: Relation.Rows) throws {
        try OwnColumns(common: scope.columns, rows: rows).check(subqueriesOf: expression)
    }

    /// Columns that a join names once for both sides are of one type, or the engine would turn the rows' values into another.
    func mustAgree(_ join: JSONTree, _ rows: Relation.Rows, isLeft: Bool) throws {
        guard join["ref_type"].string != "NATURAL" else {
            throw Refused("NATURAL joins are not allowed over rows of `hits`; write `ON`")
        }
        let other = join[isLeft ? "right" : "left"]
        for name in join["using_columns"].array.compactMap({ $0.string?.lowercased() }) {
            guard rows.types[name] == "VARCHAR", Self.isText(name, of: other) else {
                throw Refused(
                    "USING (\(name)) is allowed over rows of `hits` where both sides are known to be text; write `ON`"
                )
            }
        }
    }

    /// Whether a source is a list of values with text in the column.
    private static func isText(_ name: String, of source: JSONTree) -> Bool {
        let list = source["subquery"]["node"]["from_table"]
        let node = source["subquery"]["node"]
        guard source["type"].string == "SUBQUERY", list["type"].string == "EXPRESSION_LIST",
            node["select_list"].array.count == 1,
            node["select_list"].array[0]["class"].string == "STAR",
            let place = source["column_name_alias"].array.firstIndex(where: {
                $0.string?.lowercased() == name
            })
        else { return false }
        return list["values"].array.allSatisfy { row in
            row.array.indices.contains(place)
                && row.array[place]["value"]["type"]["id"].string == "VARCHAR"
        }
    }
}
