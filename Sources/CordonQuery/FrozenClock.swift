internal import CordonModel

/// The time of a question, put in for whatever asks the engine for it.
///
/// What an answer tells of people is found out before the answer. Were both to look at the clock, a hit that stands between the two
/// times would be in the one and not in the other, and whoever asks could choose it.
struct FrozenClock {
    let time: Timestamp
    /// Names that are a call where nothing is called so, and what the call gives.
    private let bareNames: [String: QueryParameter]
    private let calls: [String: QueryParameter]

    /// - Parameter time: in UTC, as every time of the engine here.
    init(at time: Timestamp) {
        self.time = time
        let parts = time.text.dropLast().split(separator: "T").map(String.init)
        let instant = QueryParameter.value(time.text, .timestamptz)
        let local = QueryParameter.value(parts.joined(separator: " "), .timestamp)
        let day = QueryParameter.value(parts[0], .date)
        let hour = QueryParameter.value(parts[1], .time)
        calls = [
            "now": instant, "get_current_timestamp": instant, "transaction_timestamp": instant,
            "today": day, "current_date": day, "current_localtimestamp": local,
            "current_localtime": hour,
        ]
        bareNames = [
            "current_timestamp": instant, "current_date": day, "localtimestamp": local,
            "localtime": hour,
        ]
    }

    /// The statement with constants of the time. Throws ``GroupGuard/Refused`` where it would look at the clock nevertheless.
    func freezing(_ tree: JSONTree) throws -> JSONTree {
        let named = bareNames.keys.filter { FilePruning.hasOwn($0, in: tree) }
        return try frozen(tree, named: Set(named))
    }

    private func frozen(_ value: JSONTree, named: Set<String>) throws -> JSONTree {
        switch value {
        case .array(let values): return .array(try values.map { try frozen($0, named: named) })
        case .object(let members):
            if let constant = try constant(value, named) { return try constant.tree(for: value) }
            return .object(
                try members.map { member in
                    let made = try frozen(member.value, named: named)
                    return .init(
                        name: member.name,
                        value: member.name == "select_list"
                            ? Self.named(made, as: member.value) : made)
                })
        default: return value
        }
    }

    /// Columns are called as before.
    private static func named(_ made: JSONTree, as items: JSONTree) -> JSONTree {
        .array(
            zip(made.array, items.array).map { made, item in
                guard made != item, (item["alias"].string ?? "").isEmpty else { return made }
                var made = made
                made["alias"] = .string(GroupGuard.columnName(item))
                return made
            })
    }

    private func constant(_ node: JSONTree, _ named: Set<String>) throws -> QueryParameter? {
        switch node["class"].string {
        case "FUNCTION":
            let name = node["function_name"].string?.lowercased() ?? ""
            let count = node["children"].array.count
            if name == "get_current_time" || (name == "age" && count == 1) {
                throw Self.refused(name)
            }
            return count == 0 ? calls[name] : nil
        case "COLUMN_REF":
            let names = node["column_names"].array
            guard names.count == 1, let name = names[0].string?.lowercased() else { return nil }
            if name == "current_time" || named.contains(name) { throw Self.refused(name) }
            return bareNames[name]
        default: return nil
        }
    }

    private static func refused(_ name: String) -> GroupGuard.Refused {
        GroupGuard.Refused(
            "`\(name)` may look at the clock while the answer is made; use `now()`, `current_date` or a literal, under another name than a column's"
        )
    }
}
