internal import CordonPolicy

/// A statement of a principal who is shown counts and sums with noise: which of its columns get how much.
///
/// It is one SELECT over `hits`, so that each hit counts in one group alone, whose columns are keys of its groups, counts and sums as they
/// are; what chooses or orders rows of the result by a count is refused, for it would tell of the count without noise.
struct NoisyStatement {
    /// The tree with what is summed held to the bound of a hit.
    let tree: JSONTree
    let columns: [NoisyColumn]

    private static let refused = GroupGuard.Refused(
        "counts and sums have noise here, which is known for one SELECT over `hits`, without joins, common tables, HAVING and LIMIT, whose columns are its keys, `count` and `sum`, and whose ORDER BY names keys; write the question so"
    )

    /// Throws ``GroupGuard/Refused`` where the noise that is due is not known.
    init(_ tree: JSONTree, _ noise: AccessRule.Noise) throws {
        var statement = tree["statements"].array[0]
        var node = statement["node"]
        guard node["type"].string == "SELECT_NODE", node["cte_map"]["map"].array.isEmpty,
            node["from_table"]["type"].string == "BASE_TABLE", node["having"].isNull,
            node["qualify"].isNull, node["group_sets"].array.count <= 1,
            !Self.holdsSubquery(node)
        else { throw Self.refused }
        var items = node["select_list"].array
        var columns: [NoisyColumn] = []
        for index in items.indices where GroupGuard.holdsAggregate(items[index]) {
            let name = items[index]["function_name"].string?.lowercased() ?? ""
            guard items[index]["class"].string == "FUNCTION", GroupGuard.isAggregate(items[index]),
                items[index]["distinct"] != .bool(true)
            else { throw Self.refused }
            var sensitivity = noise.rows
            switch name {
            case let name where GroupGuard.counts.contains(name): break
            case "sum":
                guard let value = noise.value else {
                    throw GroupGuard.Refused(
                        "sums have noise here and no bound for what a hit adds (`noise` has no `value`)"
                    )
                }
                guard let argument = items[index]["children"].array.first else {
                    throw Self.refused
                }
                let alias = items[index]["alias"].string ?? ""
                if alias.isEmpty {
                    items[index]["alias"] = .string(GroupGuard.columnName(items[index]))
                }
                items[index]["children"] = .array([Self.held(argument, to: value)])
                // Sums are shown as whole numbers, which may move each by one.
                sensitivity = noise.rows * value + 1
            default: throw Self.refused
            }
            columns.append(
                NoisyColumn(index: index, sensitivity: sensitivity, epsilon: noise.epsilon))
        }
        guard !columns.isEmpty else { throw Self.refused }
        let keys = items.indices.filter { !GroupGuard.holdsAggregate(items[$0]) }
        for group in node["group_expressions"].array {
            guard let place = DecomposedQuery.position(group, items), keys.contains(place) else {
                throw Self.refused
            }
        }
        for modifier in node["modifiers"].array {
            guard modifier["type"].string == "ORDER_MODIFIER" else { throw Self.refused }
            for order in modifier["orders"].array {
                guard let place = DecomposedQuery.orderPosition(order["expression"], items),
                    keys.contains(place)
                else { throw Self.refused }
            }
        }
        node["select_list"] = .array(items)
        statement["node"] = node
        var made = tree
        made["statements"] = .array([statement])
        self.tree = made
        self.columns = columns
    }

    /// `greatest(least(CAST(argument AS DOUBLE), value), -value)`.
    private static func held(_ argument: JSONTree, to value: Int) -> JSONTree {
        let number = GroupGuard.cast(argument, as: "DOUBLE")
        let least = GroupGuard.call("least", [number, GroupGuard.number(value)])
        return GroupGuard.call("greatest", [least, GroupGuard.number(-value)])
    }

    private static func holdsSubquery(_ value: JSONTree) -> Bool {
        switch value {
        case .object(let members):
            ["SUBQUERY", "WINDOW"].contains(value["class"].string)
                || members.contains { holdsSubquery($0.value) }
        case .array(let values): values.contains(where: holdsSubquery)
        default: false
        }
    }
}

/// A column of a result whose numbers get noise.
struct NoisyColumn: Codable, Equatable, Sendable {
    let index: Int
    /// How much one person changes all numbers of the column together.
    let sensitivity: Int
    /// In ten-thousandths.
    let epsilon: Int

    var noise: DiscreteLaplace {
        DiscreteLaplace(scale: sensitivity * 10_000, over: epsilon)
    }
}
