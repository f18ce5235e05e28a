internal import Engine
internal import PostgresWire

/// A value for a parameter (`$1`) of a statement.
///
/// It takes the parameter's place in the tree of the statement, before the gate looks at it, as a constant of its type: so it is
/// never part of a text that is parsed as SQL, and gate and guards judge it as they judge any constant.
package enum QueryParameter: Equatable, Sendable {
    case null(Kind)
    case value(String, Kind)
    case list([String?], Kind)
    /// No value yet: a null that is exactly of its kind, for a statement that is described.
    case open(Kind)

    /// What a value is taken for.
    package enum Kind: String, CaseIterable, Sendable {
        case text = "VARCHAR"
        /// A text of which nobody has said what it is: a number where the statement wants one, else as a literal in quotes.
        case unknown = "UNKNOWN"
        case boolean = "BOOLEAN"
        case smallint = "SMALLINT"
        case integer = "INTEGER"
        case bigint = "BIGINT"
        case float = "FLOAT"
        case double = "DOUBLE"
        case decimal = "DECIMAL"
        case date = "DATE"
        case time = "TIME"
        case timestamp = "TIMESTAMP"
        case timestamptz = "TIMESTAMP WITH TIME ZONE"
        case interval = "INTERVAL"
        case uuid = "UUID"
        case blob = "BLOB"

        /// For a type as the engine writes it; what has no kind of its own is given as text.
        init(engineType: String) {
            let name = engineType.prefix { $0 != "(" }
            self = Kind(rawValue: String(name)) ?? .text
        }
    }

    /// A value that its kind cannot have.
    package struct Invalid: Error, Equatable, Sendable {
        package let kind: Kind
    }

    private static let decimalDigitsMax = 38

    /// The value as a node of a tree, in the place of `node`.
    func tree(for node: JSONTree) throws -> JSONTree {
        switch self {
        case .null(.text), .null(.unknown): return Self.null(node)
        // How many rows are wanted stands as a number alone.
        case .open(.bigint): return try Self.constant("1", .bigint, node)
        case .null(let kind), .open(let kind):
            return Self.cast(
                Self.null(node), node, kind, kind == .decimal ? Self.decimal(9) : .null)
        case .value(let text, let kind): return try Self.constant(text, kind, node)
        case .list(let members, let kind):
            let children = try members.map { member in
                var inner = node
                inner["alias"] = .string("")
                return try (member.map { QueryParameter.value($0, kind) } ?? .null(kind))
                    .tree(for: inner)
            }
            return Self.node(
                node, "OPERATOR", "ARRAY_CONSTRUCTOR", [("children", .array(children))])
        }
    }

    private static func node(
        _ node: JSONTree, _ kind: String, _ type: String, _ members: [(String, JSONTree)]
    ) -> JSONTree {
        let head: [(String, JSONTree)] = [
            ("class", .string(kind)), ("type", .string(type)), ("alias", node["alias"]),
            ("query_location", node["query_location"]),
        ]
        return .make(head + members)
    }

    private static let nullValue = JSONTree.make([
        ("type", .make([("id", .string("NULL")), ("type_info", .null)])), ("is_null", .bool(true)),
    ])

    private static func null(_ node: JSONTree) -> JSONTree {
        self.node(node, "CONSTANT", "VALUE_CONSTANT", [("value", nullValue)])
    }

    /// What the engine wants to know of a decimal with so many digits behind the point.
    private static func decimal(_ scale: Int) -> JSONTree {
        .make([
            ("type", .string("DECIMAL_TYPE_INFO")), ("alias", .string("")),
            ("extension_info", .null), ("width", .number("\(decimalDigitsMax)")),
            ("scale", .number("\(min(scale, decimalDigitsMax))")),
        ])
    }

    private static func literal(
        _ value: JSONTree, _ type: String, _ node: JSONTree
    ) -> JSONTree {
        self.node(
            node, "CONSTANT", "VALUE_CONSTANT",
            [
                (
                    "value",
                    .make([
                        ("type", .make([("id", .string(type)), ("type_info", .null)])),
                        ("is_null", .bool(false)), ("value", value),
                    ])
                )
            ])
    }

    private static func cast(
        _ child: JSONTree, _ node: JSONTree, _ kind: Kind, _ info: JSONTree
    ) -> JSONTree {
        var child = child
        child["alias"] = .string("")
        return self.node(
            node, "CAST", "OPERATOR_CAST",
            [
                ("child", child),
                ("cast_type", .make([("id", .string(kind.rawValue)), ("type_info", info)])),
                ("try_cast", .bool(false)),
            ])
    }

    private static func constant(
        _ text: String, _ kind: Kind, _ node: JSONTree
    ) throws -> JSONTree {
        // No text that the engine parses holds a zero.
        guard !text.utf8.contains(0) else { throw Invalid(kind: kind) }
        var info = JSONTree.null
        switch kind {
        case .text, .unknown: return literal(.string(text), "VARCHAR", node)
        case .smallint, .integer, .bigint:
            let range: ClosedRange<Int64> =
                kind == .smallint
                ? -32_768...32_767
                : kind == .integer ? -2_147_483_648...2_147_483_647 : Int64.min...Int64.max
            guard let number = Int64(text), range.contains(number) else {
                throw Invalid(kind: kind)
            }
            // The engine reads the smallest number as the opposite of one that is too large.
            guard number > .min else {
                return cast(literal(.string(text), "VARCHAR", node), node, kind, .null)
            }
            return literal(
                .number(String(number)), kind == .bigint ? "BIGINT" : "INTEGER", node)
        case .decimal:
            let digits = text.drop { "+-".contains($0) }
            let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count), digits.utf8.count <= decimalDigitsMax + 1,
                parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
                parts.contains(where: { !$0.isEmpty }),
                text.utf8.count - digits.utf8.count <= 1
            else { throw Invalid(kind: kind) }
            info = decimal(parts.count == 2 ? parts[1].utf8.count : 0)
        case .float, .double:
            guard Double(text) != nil else { throw Invalid(kind: kind) }
        case .boolean:
            guard ["t", "f", "true", "false", "1", "0"].contains(text.lowercased()) else {
                throw Invalid(kind: kind)
            }
        case .date, .timestamp, .timestamptz:
            // The engine would read on as if it were a year after Christ.
            guard !text.uppercased().hasSuffix("BC") else { throw Invalid(kind: kind) }
        case .time, .interval, .uuid, .blob: break
        }
        return cast(literal(.string(text), "VARCHAR", node), node, kind, info)
    }
}

/// The parameters of a parsed statement: which there are, what they are compared with, and values in their places.
struct StatementParameters {
    /// Numbers beyond this are refused.
    static let countMax = 1000

    /// What each is taken for, by number from 1; those that nothing tells of are texts.
    private(set) var kinds: [Int: QueryParameter.Kind] = [:]

    /// Those whose members are wanted, as in `= ANY($1)`.
    private var lists: Set<Int> = []

    /// The largest number.
    var count: Int { kinds.keys.max() ?? 0 }

    init(of tree: JSONTree) throws {
        try note(tree)
    }

    private mutating func note(_ tree: JSONTree) throws {
        switch tree {
        case .array(let values): for value in values { try note(value) }
        case .object(let members):
            if tree["class"].string == "PARAMETER" {
                let number = try Self.number(tree)
                if kinds[number] == nil { kinds[number] = .text }
            }
            for member in members { try note(member.value) }
            // After what is within, so that what is known goes before what is not.
            try infer(tree)
        default: break
        }
    }

    private static func number(_ node: JSONTree) throws -> Int {
        guard let number = node["identifier"].string.flatMap({ Int($0) }),
            (1...countMax).contains(number)
        else {
            throw QueryGate.Refused(
                "parameters are numbered from `$1` to `$\(countMax)`", at: node["query_location"])
        }
        return number
    }

    private mutating func set(_ node: JSONTree, _ kind: QueryParameter.Kind) throws {
        guard node["class"].string == "PARAMETER" else { return }
        let number = try Self.number(node)
        if kinds[number] ?? .text == .text { kinds[number] = kind }
    }

    private mutating func infer(_ node: JSONTree) throws {
        switch node["class"].string {
        case "COMPARISON":
            let (left, right) = (node["left"], node["right"])
            if let kind = Self.kind(of: right) { try set(left, kind) }
            if let kind = Self.kind(of: left) { try set(right, kind) }
        case "BETWEEN":
            guard let kind = Self.kind(of: node["input"]) else { return }
            try set(node["lower"], kind)
            try set(node["upper"], kind)
        case "OPERATOR":
            guard ["COMPARE_IN", "COMPARE_NOT_IN"].contains(node["type"].string),
                let first = node["children"].array.first, let kind = Self.kind(of: first)
            else { return }
            for child in node["children"].array.dropFirst() { try set(child, kind) }
        case "CAST":
            try set(
                node["child"], QueryParameter.Kind(engineType: node["cast_type"]["id"].string ?? "")
            )
        case "FUNCTION":
            guard node["function_name"].string == "unnest",
                let list = node["children"].array.first, list["class"].string == "PARAMETER"
            else { return }
            lists.insert(try Self.number(list))
        default:
            guard node["type"].string == "LIMIT_MODIFIER" else { return }
            try set(node["limit"], .bigint)
            try set(node["offset"], .bigint)
        }
    }

    /// What an expression is, where that can be seen at once.
    private static func kind(of node: JSONTree) -> QueryParameter.Kind? {
        switch node["class"].string {
        case "COLUMN_REF":
            let name = node["column_names"].array.last?.string?.lowercased()
            guard let column = HitsColumn.all.first(where: { $0.name == name }) else { return nil }
            return QueryParameter.Kind(engineType: column.type)
        case "FUNCTION":
            let name = node["function_name"].string?.lowercased() ?? ""
            if name.hasPrefix("count") { return .bigint }
            guard ["min", "max", "date_trunc"].contains(name) else { return nil }
            return node["children"].array.last.flatMap(kind)
        case "CAST": return QueryParameter.Kind(engineType: node["cast_type"]["id"].string ?? "")
        case "CONSTANT":
            let kind = QueryParameter.Kind(engineType: node["value"]["type"]["id"].string ?? "")
            return kind == .text ? nil : kind
        default: return nil
        }
    }

    /// The values, those of unknown type settled by what they are compared with where a literal in quotes would not do.
    func settled(_ values: [QueryParameter]) -> [QueryParameter] {
        values.enumerated().map { index, value in
            guard case .value(let text, .unknown) = value else { return value }
            if lists.contains(index + 1), let members = PostgresText.members(ofList: text) {
                return .list(members, .text)
            }
            guard let kind = kinds[index + 1],
                [.smallint, .integer, .bigint].contains(kind), Int64(text) != nil
            else { return value }
            return .value(text, .bigint)
        }
    }

    /// What each is taken for, where the caller has said nothing else.
    func settled(_ declared: [QueryParameter.Kind?]) -> [QueryParameter.Kind] {
        (0..<max(declared.count, count)).map { index in
            (declared.indices.contains(index) ? declared[index] : nil) ?? kinds[index + 1] ?? .text
        }
    }

    /// The tree with a value in the place of every parameter.
    static func bound(_ tree: JSONTree, _ values: [QueryParameter]) throws -> JSONTree {
        switch tree {
        case .array(let items): return .array(try items.map { try bound($0, values) })
        case .object(let members):
            if tree["class"].string == "PARAMETER" {
                let number = try number(tree)
                guard number <= values.count else {
                    throw QueryGate.Refused(
                        "parameter `$\(number)` has no value", at: tree["query_location"])
                }
                return try values[number - 1].tree(for: tree)
            }
            return .object(
                try members.map {
                    let isMap = $0.name == "named_param_map"
                    return .init(
                        name: $0.name, value: isMap ? .array([]) : try bound($0.value, values))
                })
        default: return tree
        }
    }
}
