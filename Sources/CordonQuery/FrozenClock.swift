internal import CordonModel

/// The time of a question, put in for whatever asks the engine for it.
///
/// What an answer tells of people is found out before the answer. Were both to look at the clock, a hit that stands between the two
/// times would be in the one and not in the other, and whoever asks could choose it.
struct FrozenClock {
    /// What a name gives of the time.
    private enum Part { case instant, local, day, hour }

    private static let calls: [String: Part] = [
        "now": .instant, "get_current_timestamp": .instant, "transaction_timestamp": .instant,
        "today": .day, "current_date": .day, "current_localtimestamp": .local,
        "current_localtime": .hour,
    ]
    /// Names that are a call where nothing is called so.
    private static let bareNames: [String: Part] = [
        "current_timestamp": .instant, "current_date": .day, "localtimestamp": .local,
        "localtime": .hour,
    ]
    /// A call, and a name, for which no constant can stand.
    private static let (unknownCall, unknownName) = ("get_current_time", "current_time")

    /// All names by which the engine is asked for the time alone.
    static let names: Set<String> = Set(calls.keys).union(bareNames.keys).union([
        unknownCall, unknownName,
    ])

    private let values: [Part: QueryParameter]

    /// - Parameter time: in UTC, as every time of the engine here.
    init(at time: Timestamp) {
        let parts = time.text.dropLast().split(separator: "T").map(String.init)
        values = [
            .instant: .value(time.text, .timestamptz),
            .local: .value(parts.joined(separator: " "), .timestamp),
            .day: .value(parts[0], .date), .hour: .value(parts[1], .time),
        ]
    }

    /// The statement with constants of the time. Throws ``GroupGuard/Refused`` where it would look at the clock nevertheless.
    func freezing(_ tree: JSONTree) throws -> JSONTree {
        let named = Self.bareNames.keys.filter { FilePruning.hasOwn($0, in: tree) }
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
            if name == Self.unknownCall || (name == "age" && count == 1) {
                throw Self.refused(name)
            }
            return count == 0 ? Self.calls[name].flatMap { values[$0] } : nil
        case "COLUMN_REF":
            let names = node["column_names"].array
            guard names.count == 1, let name = names[0].string?.lowercased() else { return nil }
            if name == Self.unknownName || named.contains(name) { throw Self.refused(name) }
            return Self.bareNames[name].flatMap { values[$0] }
        default: return nil
        }
    }

    private static func refused(_ name: String) -> GroupGuard.Refused {
        GroupGuard.Refused(
            "`\(name)` may look at the clock while the answer is made; use `now()`, `current_date` or a literal, under another name than a column's"
        )
    }
}
