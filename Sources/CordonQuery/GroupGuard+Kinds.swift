/// How much an expression tells of one person; see ``HitsColumn/Kind``.
extension GroupGuard {
    /// How much an expression over rows tells of one person.
    func kind(_ node: JSONTree, _ rows: Relation.Rows) -> HitsColumn.Kind {
        switch node["class"].string {
        case "COLUMN_REF":
            let names = node["column_names"].array.compactMap { $0.string?.lowercased() }
            guard let name = names.last else { return .opaque }
            if names.count == 1 { return rows.kinds[name] ?? .opaque }
            let qualifier = names[names.count - 2]
            return rows.qualifiers.contains(qualifier) ? rows.kinds[name] ?? .opaque : .opaque
        case "CONSTANT":
            if case .number = node["value"]["value"] { return .measure }
            return .opaque
        case "CAST":
            let kind = kind(node["child"], rows)
            guard let type = node["cast_type"]["id"].string, Self.isTime(type) else { return kind }
            // A time that a text or a number is read as may be anybody's own.
            guard kind != .opaque, isTime(node["child"], rows) else { return .opaque }
            return type == "DATE" ? .coarse : kind
        case "OPERATOR":
            let children = node["children"].array
            switch node["type"].string {
            case "ARRAY_EXTRACT":
                guard children.count == 2, children[1]["class"].string == "CONSTANT" else {
                    return .opaque
                }
                return kind(children[0], rows)
            default: return .opaque
            }
        case "FUNCTION": return functionKind(node, rows)
        default: return .opaque
        }
    }

    private func functionKind(_ node: JSONTree, _ rows: Relation.Rows) -> HitsColumn.Kind {
        let name = node["function_name"].string?.lowercased() ?? ""
        let children = node["children"].array
        switch name {
        case "+", "-", "*", "/", "//", "abs", "round", "floor", "ceil", "ceiling", "least",
            "greatest":
            return measure(children, rows)
        case "element_at", "map_extract_value", "map_extract", "array_extract", "list_extract":
            guard children.count == 2, children[1]["class"].string == "CONSTANT" else {
                return .opaque
            }
            return kind(children[0], rows)
        case "date_trunc", "datetrunc", "date_part", "datepart", "time_bucket":
            guard children.count == 2, children[0]["class"].string == "CONSTANT",
                kind(children[1], rows) != .opaque
            else { return .opaque }
            let unit = children[0]["value"]["value"].string?.lowercased() ?? ""
            let isDay = ["day", "week", "month", "quarter", "year"].contains(unit)
            return isDay && name.hasSuffix("trunc") && isTime(children[1], rows) ? .coarse : .fine
        case "year", "quarter", "month", "week", "weekday", "dayofweek", "dayofyear", "isodow",
            "day", "dayofmonth", "dayname", "monthname", "hour", "lower", "upper", "lcase", "ucase",
            "unnest", "timezone":
            guard let last = children.last,
                children.dropLast().allSatisfy({ $0["class"].string == "CONSTANT" })
            else { return .opaque }
            let inner = kind(last, rows)
            return inner == .measure ? .fine : inner
        default: return .opaque
        }
    }

    static func isTime(_ type: String) -> Bool {
        type == "DATE" || type.hasPrefix("TIME")
    }

    /// Whether the engine takes it for a time without reading one out of something else.
    private func isTime(_ node: JSONTree, _ rows: Relation.Rows) -> Bool {
        if node["function_name"].string?.lowercased() == "timezone",
            let last = node["children"].array.last
        {
            return isTime(last, rows)
        }
        return type(node, rows).map(Self.isTime) ?? false
    }

    private func measure(_ nodes: [JSONTree], _ rows: Relation.Rows) -> HitsColumn.Kind {
        nodes.allSatisfy { kind($0, rows) == .measure } ? .measure : .opaque
    }
}
