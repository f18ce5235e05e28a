/// A JSON value whose members keep their order.
private indirect enum JSONText {
    case text(String)
    case number(String)
    case truth(Bool)
    case list([JSONText])
    case object([(String, JSONText)])

    func write(_ indent: Int, to out: inout String) {
        let pad = String(repeating: "  ", count: indent + 1)
        switch self {
        case .text(let text): out += Self.quoted(text)
        case .number(let text): out += text
        case .truth(let truth): out += truth ? "true" : "false"
        case .list(let items):
            if items.isEmpty {
                out += "[]"
                return
            }
            let isFlat = items.allSatisfy {
                switch $0 {
                case .list, .object: false
                default: true
                }
            }
            out += "["
            for (index, item) in items.enumerated() {
                out += isFlat ? (index == 0 ? "" : ", ") : (index == 0 ? "\n" : ",\n") + pad
                item.write(indent + 1, to: &out)
            }
            out += isFlat ? "]" : "\n" + pad.dropLast(2) + "]"
        case .object(let members):
            if members.isEmpty {
                out += "{}"
                return
            }
            out += "{"
            for (index, (key, value)) in members.enumerated() {
                out += (index == 0 ? "\n" : ",\n") + pad + Self.quoted(key) + ": "
                value.write(indent + 1, to: &out)
            }
            out += "\n" + pad.dropLast(2) + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}

extension SchemaFile {
    /// The file's JSON Schema (draft 2020-12) for editors, one that says no more than the readers do.
    package var jsonSchema: String {
        var members: [(String, JSONText)] = [
            ("$schema", .text("https://json-schema.org/draft/2020-12/schema")),
            ("title", .text("Cordon: \(path)")),
        ]
        members += shape.members
        var out = ""
        JSONText.object(members).write(0, to: &out)
        return out + "\n"
    }
}

extension SchemaShape {
    fileprivate var members: [(String, JSONText)] {
        switch self {
        case .text(let form):
            [
                ("type", .text("string")),
                form.map { ("pattern", .text($0)) } ?? ("minLength", .number("1")),
            ]
        case .word(let words):
            // A word such as `1.2` is a number to a reader of YAML that knows no better.
            [
                (
                    "enum",
                    .list(
                        words.map(JSONText.text)
                            + words.filter { Double($0) != nil }.map(JSONText.number))
                )
            ]
        case .integer(let range):
            [
                ("type", .text("integer")), ("minimum", .number("\(range.lowerBound)")),
                ("maximum", .number("\(range.upperBound)")),
            ]
        case .number(let above, let upTo):
            [
                ("type", .text("number")),
                above.map { ("exclusiveMinimum", .number("\($0)")) } ?? ("minimum", .number("0")),
                ("maximum", .number("\(upTo)")),
            ]
        case .days: [("type", .text("string")), ("pattern", .text("^[0-9]{1,4}d$"))]
        case .day:
            [("type", .text("string")), ("pattern", .text("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
        case .scalar:
            [("type", .list([.text("string"), .text("number"), .text("boolean")]))]
        case .nothing: [("type", .text("null"))]
        case .list(let item, let least):
            [
                ("type", .text("array")), ("items", .object(item.members)),
                ("uniqueItems", .truth(true)),
            ] + (least > 0 ? [("minItems", .number("\(least)"))] : [])
        case .dictionary(_, let form, let value):
            [
                ("type", .text("object")),
                ("propertyNames", .object([("pattern", .text(form))])),
                ("additionalProperties", .object(value.members)),
            ]
        case .anyOf(let shapes): [("anyOf", .list(shapes.map { .object($0.members) }))]
        case .mapping(let mapping): mapping.members
        }
    }
}

extension SchemaMapping {
    fileprivate var members: [(String, JSONText)] {
        let properties = keys.map { key in
            let more: [(String, JSONText)] =
                [("description", .text(key.text))]
                + (key.fallback.map { [("$comment", .text("default: \($0)"))] } ?? [])
            return (key.name, JSONText.object(more + key.shape.members))
        }
        var members: [(String, JSONText)] = [
            ("type", .text("object")), ("properties", .object(properties)),
            ("additionalProperties", .truth(false)),
        ]
        let required = keys.filter(\.isRequired).map { JSONText.text($0.name) }
        if !required.isEmpty { members.append(("required", .list(required))) }
        if !oneOf.isEmpty {
            members.append(
                ("oneOf", .list(oneOf.map { .object([("required", .list([.text($0)]))]) })))
        }
        if !anyOf.isEmpty {
            members.append(
                ("anyOf", .list(anyOf.map { .object([("required", .list([.text($0)]))]) })))
        }
        if let unless {
            let holds = JSONText.object([
                ("properties", .object([(unless.key, .object([("const", .text(unless.word))]))])),
                ("required", .list([.text(unless.key)])),
            ])
            let barred = unless.barred.map { JSONText.object([("required", .list([.text($0)]))]) }
            members.append(("if", holds))
            members.append(("then", .object([("not", .object([("anyOf", .list(barred))]))])))
            members.append(
                ("else", .object([("required", .list(unless.required.map(JSONText.text)))])))
        }
        return members
    }
}
