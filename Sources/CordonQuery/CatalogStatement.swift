internal import Engine
internal import PostgresWire

/// A statement over a ``SessionCatalog``: rewritten from the words of PostgreSQL into those of the engine.
///
/// What clients write is nearly what the engine reads. The rest is changed here: the schema `pg_catalog`, operators and
/// collations that are named with it, types that are names of things (`'hits'::regclass`), and names that are calls.
enum CatalogStatement {
    /// The text with what the engine's parser cannot read, or would read as something else, left out; nil when it names the table
    /// `hits`, whose rows are not the catalog's.
    static func text(_ sql: String) -> String? {
        guard let statements = try? SQLText.statements(in: sql), statements.count == 1,
            let statement = statements.first
        else { return nil }
        let tokens = statement.tokens
        var changes: [Range<Int>: String] = [:]
        var index = 0
        while index < tokens.count {
            if isWord(tokens[index], "hits") { return nil }
            if let end = defaultCollation(tokens, index) {
                changes[index..<end] = ""
                index = end
            } else if let (end, sign) = namedOperator(tokens, index) {
                changes[index..<end] = " \(sign) "
                index = end
            } else if let end = catalogSchema(tokens, index) {
                changes[index..<end] = ""
                index = end
            } else {
                index += 1
            }
        }
        return statement.replacing(changes)
    }

    private static func isWord(_ token: SQLText.Token?, _ word: String) -> Bool {
        token == .word(word) || token == .name(word)
    }

    private static func token(_ tokens: [SQLText.Token], _ index: Int) -> SQLText.Token? {
        tokens.indices.contains(index) ? tokens[index] : nil
    }

    /// The end of `pg_catalog.` at a place.
    private static func catalogSchema(_ tokens: [SQLText.Token], _ index: Int) -> Int? {
        isWord(token(tokens, index), "pg_catalog") && token(tokens, index + 1) == .symbol(".")
            ? index + 2 : nil
    }

    private static func defaultCollation(_ tokens: [SQLText.Token], _ index: Int) -> Int? {
        guard token(tokens, index) == .word("collate") else { return nil }
        let name = catalogSchema(tokens, index + 1) ?? index + 1
        return isWord(token(tokens, name), "default") ? name + 1 : nil
    }

    /// `OPERATOR(pg_catalog.~)`: of which the engine's parser loses the sign.
    private static func namedOperator(
        _ tokens: [SQLText.Token], _ index: Int
    ) -> (end: Int, sign: String)? {
        guard token(tokens, index) == .word("operator"), token(tokens, index + 1) == .symbol("(")
        else { return nil }
        var end = catalogSchema(tokens, index + 2) ?? index + 2
        var sign = ""
        while case .symbol(let symbol)? = token(tokens, end), symbol != ")" {
            sign.append(symbol)
            end += 1
        }
        guard !sign.isEmpty, token(tokens, end) == .symbol(")") else { return nil }
        return (end + 1, sign)
    }

    // MARK: The tree

    static func rewritten(_ tree: JSONTree, user: String, database: String) throws -> JSONTree {
        switch tree {
        case .array(let values):
            return .array(try values.map { try rewritten($0, user: user, database: database) })
        case .object(let members):
            let inner = JSONTree.object(
                try members.map {
                    .init(
                        name: $0.name,
                        value: try rewritten($0.value, user: user, database: database))
                })
            return node(inner, user, database)
        default: return tree
        }
    }

    private static func node(_ node: JSONTree, _ user: String, _ database: String) -> JSONTree {
        var node = node
        switch node["class"].string ?? node["type"].string {
        case "BASE_TABLE":
            let table = node["table_name"].string?.lowercased() ?? ""
            let schema = node["schema_name"].string?.lowercased() ?? ""
            let name = schema.isEmpty ? table : schema + "." + table
            guard SessionCatalog.tableNames.contains(name) else { return node }
            if node["alias"].string == "" { node["alias"] = .string(table) }
            node["schema_name"] = .string(SessionCatalog.schema)
            node["table_name"] = .string(name)
        case "TABLE_FUNCTION":
            // A function's alias is the name of its column too.
            if let alias = node["alias"].string, !alias.isEmpty,
                node["column_name_alias"].array.isEmpty
            {
                node["column_name_alias"] = .array([.string(alias)])
            }
        case "COLUMN_REF":
            guard node["column_names"].array.count == 1,
                let name = node["column_names"].array[0].string?.lowercased(),
                let value = [
                    "current_user": user, "session_user": user, "user": user, "current_role": user,
                    "current_catalog": database, "current_schema": "pixels",
                ][name]
            else { return node }
            return literal(value, name, node)
        case "CONSTANT":
            // A list of numbers as PostgreSQL writes it.
            guard let text = node["value"]["value"].string, text.hasPrefix("{"),
                text.hasSuffix("}"),
                text.dropFirst().dropLast().utf8.allSatisfy({ "0123456789,".utf8.contains($0) })
            else { return node }
            node["value"]["value"] = .string("[\(text.dropFirst().dropLast())]")
        case "FUNCTION":
            let name = node["function_name"].string?.lowercased() ?? ""
            // The engine's `~` wants the whole text to fit, that of PostgreSQL any part of it.
            node["function_name"] = .string(name == "regexp_full_match" ? "regexp_matches" : name)
            if node["schema"].string == "information_schema", name == "_pg_expandarray" {
                node["schema"] = .string("")
            }
        case "CAST": return cast(node)
        default: break
        }
        return node
    }

    private static func literal(_ text: String, _ alias: String, _ node: JSONTree) -> JSONTree {
        var place = node
        if place["alias"].string == "" { place["alias"] = .string(alias) }
        // A text without a zero is always a constant.
        return (try? QueryParameter.value(text, .text).tree(for: place)) ?? node
    }

    /// Types whose values are names of things.
    private static func cast(_ node: JSONTree) -> JSONTree {
        guard node["cast_type"]["id"].string == "UNBOUND" else { return node }
        let type = node["cast_type"]["type_info"]["name"].string?.lowercased() ?? ""
        let child = node["child"]
        let name =
            child["class"].string == "CONSTANT"
            ? child["value"]["value"].string?.replacing("pg_catalog.", with: "") : nil
        switch (type, name) {
        case ("regclass", let name?): return call("to_regclass", name, node)
        case ("regtype", let name?): return call("to_regtype", name, node)
        case ("regproc", let name?): return literal(name, "regproc", node)
        case ("regclass", nil): return call("cordon_regclass_name", [child], node)
        case ("regnamespace", nil): return call("cordon_regnamespace_name", [child], node)
        case ("regrole", nil): return call("pg_get_userbyid", [child], node)
        case ("regtype", nil):
            var none = child
            none["alias"] = .string("")
            let modifier = (try? QueryParameter.value("-1", .integer).tree(for: none)) ?? none
            return call("format_type", [child, modifier], node)
        case ("name", _), ("regproc", _), ("cstring", _):
            var node = node
            node["cast_type"] = .make([("id", .string("VARCHAR")), ("type_info", .null)])
            return node
        default: return node
        }
    }

    private static func call(_ function: String, _ name: String, _ node: JSONTree) -> JSONTree {
        var place = node
        place["alias"] = .string("")
        guard let argument = try? QueryParameter.value(name, .text).tree(for: place) else {
            return node
        }
        return call(function, [argument], node)
    }

    private static func call(
        _ function: String, _ arguments: [JSONTree], _ node: JSONTree
    ) -> JSONTree {
        .make([
            ("class", .string("FUNCTION")), ("type", .string("FUNCTION")), ("alias", node["alias"]),
            ("query_location", node["query_location"]), ("function_name", .string(function)),
            ("schema", .string("")), ("children", .array(arguments)), ("filter", .null),
            (
                "order_bys",
                .make([("type", .string("ORDER_MODIFIER")), ("orders", .array([]))])
            ), ("distinct", .bool(false)), ("is_operator", .bool(false)),
            ("export_state", .bool(false)), ("catalog", .string("")),
        ])
    }
}
