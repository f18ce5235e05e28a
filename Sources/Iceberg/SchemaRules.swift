/// What the format asks of a schema, and of one that follows another (specification, sections "Schemas and Data Types" and
/// "Schema Evolution").
enum SchemaRules {
    /// Fields of one schema with nested ones: far above what engines plan with, and a bound on work.
    static let fieldsMax = 2000
    /// Structs, lists and maps within one another.
    static let depthMax = 16
    static let nameBytesMax = 256

    /// A field wherever it stands, with its type and whether it must be there.
    struct Placed: Hashable {
        var id: Int
        var type: IcebergSchema.FieldType
        var isRequired: Bool
    }

    /// Every field of a schema that keeps the rules; elements, keys and values of lists and maps are fields too.
    static func fields(of schema: IcebergSchema) throws(CommitFailure) -> [Placed] {
        var found: [Placed] = []
        try visit(schema.fields, 1, &found)
        var seen: Set<Int> = []
        for field in found {
            guard field.id > 0, field.id < 1 << 30 else {
                throw CommitFailure(.invalid, "field id \(field.id) is not from 1 on")
            }
            guard seen.insert(field.id).inserted else {
                throw CommitFailure(.invalid, "field id \(field.id) stands twice in the schema")
            }
        }
        for id in schema.identifierFieldIDs ?? [] {
            guard let field = found.first(where: { $0.id == id }), field.isRequired,
                case .primitive(let word) = field.type, word != "float", word != "double"
            else {
                throw CommitFailure(
                    .invalid,
                    "identifier field \(id) is no required field of a type that can be compared")
            }
        }
        return found
    }

    private static func visit(
        _ fields: [IcebergSchema.Field], _ depth: Int, _ found: inout [Placed]
    ) throws(CommitFailure) {
        var names: Set<String> = []
        for field in fields {
            guard isName(field.name) else {
                throw CommitFailure(
                    .invalid,
                    "a field's name is empty, longer than \(nameBytesMax) bytes, or has control characters"
                )
            }
            guard names.insert(field.name).inserted else {
                throw CommitFailure(.invalid, "two fields are called `\(field.name)`")
            }
            found.append(Placed(id: field.id, type: field.type, isRequired: field.isRequired))
            try visit(field.type, depth, &found)
        }
    }

    private static func visit(
        _ type: IcebergSchema.FieldType, _ depth: Int, _ found: inout [Placed]
    ) throws(CommitFailure) {
        guard found.count <= fieldsMax, depth <= depthMax else {
            throw CommitFailure(
                .invalid, "the schema has more than \(fieldsMax) fields or \(depthMax) levels")
        }
        switch type {
        case .primitive(let word):
            guard isPrimitive(word) else {
                throw CommitFailure(.invalid, "unknown type `\(word.prefix(40))`")
            }
        case .list(let id, let element, let isRequired):
            found.append(Placed(id: id, type: element, isRequired: isRequired))
            try visit(element, depth + 1, &found)
        case .map(let keyID, let key, let valueID, let value, let isRequired):
            found.append(Placed(id: keyID, type: key, isRequired: true))
            try visit(key, depth + 1, &found)
            found.append(Placed(id: valueID, type: value, isRequired: isRequired))
            try visit(value, depth + 1, &found)
        case .structure(let fields): try visit(fields, depth + 1, &found)
        }
    }

    static func isName(_ text: String) -> Bool {
        (1...nameBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }

    private static let plain: Set<String> = [
        "boolean", "int", "long", "float", "double", "date", "time", "timestamp", "timestamptz",
        "string", "uuid", "binary",
    ]

    private static func isPrimitive(_ word: String) -> Bool {
        if plain.contains(word) { return true }
        if let (precision, scale) = decimal(word) {
            return (1...38).contains(precision) && (0...precision).contains(scale)
        }
        guard word.hasPrefix("fixed["), word.hasSuffix("]"),
            let count = Int(word.dropFirst("fixed[".count).dropLast())
        else { return false }
        return (1...1 << 20).contains(count)
    }

    /// Precision and scale of `decimal(P, S)`; writers differ in the space.
    private static func decimal(_ word: String) -> (Int, Int)? {
        guard word.hasPrefix("decimal("), word.hasSuffix(")") else { return nil }
        let parts = word.dropFirst("decimal(".count).dropLast().split(
            separator: ",", omittingEmptySubsequences: false)
        guard parts.count == 2, let precision = Int(parts[0].drop { $0 == " " }),
            let scale = Int(parts[1].drop { $0 == " " })
        else { return nil }
        return (precision, scale)
    }

    /// Whether files written as `old` can be read as `new`.
    static func canBecome(_ old: IcebergSchema.FieldType, _ new: IcebergSchema.FieldType) -> Bool {
        switch (old, new) {
        case (.primitive("int"), .primitive("long")), (.primitive("float"), .primitive("double")):
            return true
        case (.primitive(let before), .primitive(let after)):
            if before == after { return true }
            guard let old = decimal(before), let new = decimal(after) else { return false }
            return new.1 == old.1 && new.0 >= old.0
        // What is inside has ids of its own and is looked at by itself.
        case (.list(let before, _, _), .list(let after, _, _)): return before == after
        case (.map(let key, _, let value, _, _), .map(let newKey, _, let newValue, _, _)):
            return key == newKey && value == newValue
        case (.structure, .structure): return true
        default: return false
        }
    }
}
