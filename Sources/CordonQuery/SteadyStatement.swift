/// Statements whose answer is the same whenever they are asked over the same rows.
///
/// Such a one is one SELECT over `hits` whose parts are all known to depend on nothing but the row: no clock, no other source, no
/// subquery whose rows have no order. Of others nothing is remembered.
enum SteadyStatement {
    /// - Parameter tree: a checked statement with its values, without guards.
    static func isSteady(_ tree: JSONTree) -> Bool {
        let node = tree["statements"].array.first?["node"] ?? .null
        let source = node["from_table"]
        guard node["type"].string == "SELECT_NODE", node["cte_map"]["map"].array.isEmpty,
            source["type"].string == "BASE_TABLE",
            source["table_name"].string?.lowercased() == "hits",
            source["column_name_alias"].array.isEmpty, source["sample"].isNull,
            node["sample"].isNull, node["qualify"].isNull
        else { return false }
        let aliases = Set(node["select_list"].array.compactMap { $0["alias"].string?.lowercased() })
        let names = aliases.union(HitsColumn.all.map(\.name))
            .union([source["alias"].string?.lowercased() ?? "", "hits", "pixels"])
        // What the engine reads as the time where no column is called so.
        guard aliases.isDisjoint(with: FrozenClock.names) else { return false }
        return holds(node, names)
    }

    private static let aggregates = GroupGuard.counts.union(["avg", "max", "mean", "min", "sum"])

    private static let operators: Set<String> = ["%", "*", "+", "-", "/", "//"]

    private static func holds(_ value: JSONTree, _ names: Set<String>) -> Bool {
        let isKnown =
            switch value["class"].string {
            case nil, "BETWEEN", "CASE", "CAST", "COMPARISON", "CONJUNCTION", "CONSTANT",
                "OPERATOR", "STAR":
                true
            case "COLUMN_REF":
                value["column_names"].array.allSatisfy {
                    $0.string.map { names.contains($0.lowercased()) } ?? false
                }
            case "FUNCTION":
                value["function_name"].string.map { $0.lowercased() }.map {
                    aggregates.contains($0) || operators.contains($0)
                        || GroupGuard.totalFunctions.contains($0)
                } ?? false
            default: false
            }
        return isKnown && value.members.allSatisfy { holds($0.value, names) }
            && value.array.allSatisfy { holds($0, names) }
    }
}
