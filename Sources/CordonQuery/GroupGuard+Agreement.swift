/// Sides of comparisons and results of choices, which the engine turns into one type.
///
/// It does so row by row, when it comes to a row at all, and a value that does not fit is an error. So sides stay bare where
/// no value of their types can fail to become the common one; constants are turned beforehand, with null for what does not fit.
extension GroupGuard {
    private static let timestamp = "TIMESTAMP WITH TIME ZONE"

    /// Numbers of which each becomes any other's common type with it.
    private static let numbers: Set<String> = [
        "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT",
        "DOUBLE",
    ]

    /// Types with one form only.
    private static let plainTypes: Set<String> = numbers.union([
        "BOOLEAN", "DATE", "HUGEINT", timestamp, "TIMESTAMP", "UUID", "VARCHAR",
    ])

    /// The node with its sides agreed, or tried.
    func agreed(
        _ made: JSONTree, of node: JSONTree, _ sides: [String], _ rows: Relation.Rows
    ) throws -> JSONTree {
        guard
            let agreed = try agreed(
                sides.map { made[$0] }, of: sides.map { node[$0] }, rows)
        else { return try tried(made) }
        var made = made
        for (side, value) in zip(sides, agreed) { made[side] = value }
        return made
    }

    /// The sides such that none can fail to become the common type; nil where that is not known.
    func agreed(
        _ made: [JSONTree], of sides: [JSONTree], _ rows: Relation.Rows
    ) throws -> [JSONTree]? {
        if sides.contains(where: { $0["class"].string == "SUBQUERY" }) {
            return try agreedWithSubqueries(made, of: sides, rows)
        }
        let types = sides.map { type($0, rows) }
        let places = sides.indices.filter { sides[$0]["class"].string != "CONSTANT" }
        let open = places.map { types[$0] }
        guard let first = open.first else {
            let known = Set(types.compactMap { $0 }).subtracting(["NULL"])
            return known.count <= 1 || known.isSubset(of: ["INTEGER", "BIGINT"]) ? made : nil
        }
        guard let common = first, Self.plainTypes.contains(common) else { return nil }
        let isSame = open.allSatisfy { $0 == common }
        let isNumber = open.allSatisfy { $0.map(Self.numbers.contains) ?? false }
        let areOwnTimes = places.allSatisfy { isOwnTime(sides[$0], rows) }
        guard isSame || isNumber || areOwnTimes else {
            return try agreedTimes(made, of: sides, rows)
        }
        var result = made
        for index in sides.indices where sides[index]["class"].string == "CONSTANT" {
            let constant = types[index] ?? ""
            if constant == common || constant == "NULL" { continue }
            if isNumber, Self.isOrdinaryNumber(sides[index]) { continue }
            // A number turns a text into a number.
            guard constant == "VARCHAR", isSame else { return nil }
            result[index] = try fitted(made[index], as: common)
        }
        return result
    }

    /// Days and times: all that are not the table's own as the widest of them.
    private func agreedTimes(
        _ made: [JSONTree], of sides: [JSONTree], _ rows: Relation.Rows
    ) throws -> [JSONTree]? {
        let types = sides.map { type($0, rows) ?? "" }
        guard types.allSatisfy({ ["DATE", "TIMESTAMP", Self.timestamp].contains($0) }) else {
            return nil
        }
        let common = types.contains(Self.timestamp) ? Self.timestamp : "TIMESTAMP"
        return try sides.indices.map { index in
            types[index] == common || isOwnTime(sides[index], rows)
                ? made[index] : try fitted(made[index], as: common)
        }
    }

    /// `TRY_CAST(node AS type)`. From a day to a time with a zone the engine's own fails for far days, and for the last
    /// millisecond of all times it lets the error through.
    func fitted(_ node: JSONTree, as type: String) throws -> JSONTree {
        guard type == Self.timestamp else { return Self.tried(node, as: type) }
        func time(_ node: JSONTree) throws -> JSONTree {
            try tried(Self.tried(Self.tried(node, as: "TIMESTAMP"), as: type))
        }
        guard node["class"].string == "SUBQUERY", node["subquery_type"].string == "SCALAR" else {
            return try time(node)
        }
        // The engine takes no subquery in `TRY`, so the value is turned inside of it.
        var node = node
        var inner = node["subquery"]
        inner["node"] = Self.selection(
            of: try time(Self.column(HitsColumn.person)), from: node["subquery"],
            column: HitsColumn.person)
        node["subquery"] = inner
        return node
    }

    /// A whole number, or one with so few places that the engine's 38 digits hold every other number with as many.
    private static func isOrdinaryNumber(_ node: JSONTree) -> Bool {
        switch node["value"]["type"]["id"].string {
        case "INTEGER", "BIGINT", "HUGEINT", "DOUBLE": true
        case "DECIMAL":
            node["value"]["type"]["type_info"]["scale"].integer.map { $0 <= 18 } ?? false
        default: false
        }
    }

    /// Subqueries beside rows name none of them, so they are given values, of a type that is not known here.
    private func agreedWithSubqueries(
        _ made: [JSONTree], of sides: [JSONTree], _ rows: Relation.Rows
    ) throws -> [JSONTree]? {
        let others = sides.filter { $0["class"].string != "SUBQUERY" }
        guard let common = others.first.flatMap({ form(of: $0, rows) }),
            others.allSatisfy({ form(of: $0, rows) == common })
        else { return nil }
        return try zip(made, sides).map { made, side in
            type(side, rows) == common || isOwnTime(side, rows)
                ? made : try fitted(made, as: common)
        }
    }

    /// The type that stands for a family of types, and takes each value that any of them may be compared with.
    private func form(of node: JSONTree, _ rows: Relation.Rows) -> String? {
        guard let type = type(node, rows) else { return nil }
        switch type {
        case "VARCHAR", "BOOLEAN", "UUID": return type
        case "DATE", "TIMESTAMP", Self.timestamp: return Self.timestamp
        case "DECIMAL", "HUGEINT": return "DOUBLE"
        default: return Self.numbers.contains(type) ? "DOUBLE" : nil
        }
    }

    /// A time that the table has, or a day or longer span of one: far from the ends of what the engine holds.
    func isOwnTime(_ node: JSONTree, _ rows: Relation.Rows) -> Bool {
        let kind = kind(node, rows)
        guard kind == .fine || kind == .coarse, let type = type(node, rows) else { return false }
        return ["DATE", "TIMESTAMP", Self.timestamp].contains(type)
    }

    /// `x IN (SELECT …)`, `x > ALL (SELECT …)`: `x` gives null where it fails, and has a type that is known.
    func totalSubquery(_ node: JSONTree, _ rows: Relation.Rows) throws -> JSONTree {
        let child = node["child"]
        guard !child.isNull else { return node }
        var made = node
        made["child"] = try total(child, rows)
        if isOwnTime(child, rows) { return made }
        guard let form = form(of: child, rows), form != "BOOLEAN" else {
            throw Refused(
                "what stands before `IN (SELECT …)` over rows of `hits` must be a column or have a type, as by CAST"
            )
        }
        // The engine refuses to compare text with anything else here.
        if type(child, rows) != form { made["child"] = try fitted(made["child"], as: form) }
        return made
    }
}
