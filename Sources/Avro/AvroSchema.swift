import FoundationEssentials

/// An Avro schema with the attributes that Iceberg relies on.
package indirect enum AvroSchema: Hashable, Sendable {
    case primitive(Primitive, logicalType: String? = nil)
    case fixed(name: String, size: Int, logicalType: String? = nil)
    case enumeration(name: String, symbols: [String])
    case array(AvroSchema, elementID: Int? = nil, logicalType: String? = nil)
    case map(AvroSchema)
    case union([AvroSchema])
    case record(Record)

    package enum Primitive: String, CaseIterable, Sendable {
        case null, boolean, int, long, float, double, bytes, string
    }

    package struct Record: Hashable, Sendable {
        package var name: String
        package var fields: [Field]
        package init(name: String, fields: [Field]) {
            self.name = name
            self.fields = fields
        }
    }

    package struct Field: Hashable, Sendable {
        package var name: String
        package var schema: AvroSchema
        /// Iceberg's `field-id`.
        package var id: Int?
        /// Whether the schema text says that the default is null.
        package var defaultsToNull: Bool
        package init(
            _ name: String, _ schema: AvroSchema, id: Int? = nil, defaultsToNull: Bool = false
        ) {
            self.name = name
            self.schema = schema
            self.id = id
            self.defaultsToNull = defaultsToNull
        }
    }

    package static let boolean = primitive(.boolean)
    package static let int = primitive(.int)
    package static let long = primitive(.long)
    package static let bytes = primitive(.bytes)
    package static let string = primitive(.string)
    package static let date = primitive(.int, logicalType: "date")

    /// The union of null and `schema`, null first.
    package static func optional(_ schema: AvroSchema) -> AvroSchema {
        .union([.primitive(.null), schema])
    }
}

extension AvroSchema {
    /// Reads schema text (JSON). A type may be named again after its definition, but not inside of it.
    package init(parsing text: String) throws(AvroError) {
        let tree: JSONTree
        do {
            tree = try JSONDecoder().decode(JSONTree.self, from: Data(text.utf8))
        } catch {
            throw AvroError.schema("the text is not JSON")
        }
        var named: [String: AvroSchema] = [:]
        self = try Self.schema(tree, &named, depth: 0)
    }

    private static func schema(
        _ tree: JSONTree, _ named: inout [String: AvroSchema], depth: Int
    ) throws(AvroError) -> AvroSchema {
        guard depth < Avro.nestingMax else { throw AvroError.schema("nested too deeply") }
        switch tree {
        case .string(let name):
            if let primitive = Primitive(rawValue: name) { return .primitive(primitive) }
            guard let known = named[name] else { throw AvroError.schema("unknown type `\(name)`") }
            return known
        case .array(let branches):
            var union: [AvroSchema] = []
            for branch in branches { union.append(try schema(branch, &named, depth: depth + 1)) }
            return .union(union)
        case .object(let object):
            return try complex(object, &named, depth: depth)
        default:
            throw AvroError.schema("expected a name, a list or an object")
        }
    }

    private static func complex(
        _ object: [String: JSONTree], _ named: inout [String: AvroSchema], depth: Int
    ) throws(AvroError) -> AvroSchema {
        let logicalType = object["logicalType"]?.text
        guard let type = object["type"] else { throw AvroError.schema("an object without `type`") }
        guard let word = type.text else { return try schema(type, &named, depth: depth + 1) }
        if let primitive = Primitive(rawValue: word) {
            return .primitive(primitive, logicalType: logicalType)
        }
        switch word {
        case "array":
            guard let items = object["items"] else {
                throw AvroError.schema("an array without `items`")
            }
            return .array(
                try schema(items, &named, depth: depth + 1),
                elementID: object["element-id"]?.number, logicalType: logicalType)
        case "map":
            guard let values = object["values"] else {
                throw AvroError.schema("a map without `values`")
            }
            return .map(try schema(values, &named, depth: depth + 1))
        case "record", "fixed", "enum":
            guard let name = object["name"]?.text else {
                throw AvroError.schema("a \(word) without `name`")
            }
            let made = try self.named(word, name, object, logicalType, &named, depth: depth)
            named[name] = made
            return made
        default:
            return try schema(type, &named, depth: depth + 1)
        }
    }

    private static func named(
        _ word: String, _ name: String, _ object: [String: JSONTree], _ logicalType: String?,
        _ named: inout [String: AvroSchema], depth: Int
    ) throws(AvroError) -> AvroSchema {
        switch word {
        case "fixed":
            guard let size = object["size"]?.number, size >= 0 else {
                throw AvroError.schema("fixed `\(name)` without `size`")
            }
            return .fixed(name: name, size: size, logicalType: logicalType)
        case "enum":
            guard case .array(let symbols)? = object["symbols"] else {
                throw AvroError.schema("enum `\(name)` without `symbols`")
            }
            return .enumeration(name: name, symbols: symbols.compactMap(\.text))
        default:
            guard case .array(let list)? = object["fields"] else {
                throw AvroError.schema("record `\(name)` without `fields`")
            }
            var fields: [Field] = []
            for item in list {
                guard case .object(let field) = item, let fieldName = field["name"]?.text,
                    let type = field["type"]
                else { throw AvroError.schema("a field of `\(name)` without name or type") }
                fields.append(
                    Field(
                        fieldName, try schema(type, &named, depth: depth + 1),
                        id: field["field-id"]?.number, defaultsToNull: field["default"] == .null))
            }
            return .record(Record(name: name, fields: fields))
        }
    }
}

extension AvroSchema {
    /// The schema as JSON text with sorted keys.
    package var text: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var named: Set<String> = []
        guard let data = try? encoder.encode(tree(&named)) else {
            preconditionFailure("a tree of texts, whole numbers and nulls is always JSON")
        }
        return String(decoding: data, as: UTF8.self)
    }

    /// A named type stands in full where it is met first and by its name afterwards, as the specification asks.
    private func tree(_ named: inout Set<String>) -> JSONTree {
        switch self {
        case .primitive(let primitive, let logicalType):
            guard let logicalType else { return .string(primitive.rawValue) }
            return .object([
                "type": .string(primitive.rawValue), "logicalType": .string(logicalType),
            ])
        case .fixed(let name, let size, let logicalType):
            guard named.insert(name).inserted else { return .string(name) }
            return .object(
                ["type": .string("fixed"), "name": .string(name), "size": .integer(size)],
                and: ["logicalType": logicalType.map(JSONTree.string)])
        case .enumeration(let name, let symbols):
            guard named.insert(name).inserted else { return .string(name) }
            return .object([
                "type": .string("enum"), "name": .string(name),
                "symbols": .array(symbols.map(JSONTree.string)),
            ])
        case .array(let items, let elementID, let logicalType):
            return .object(
                ["type": .string("array"), "items": items.tree(&named)],
                and: [
                    "element-id": elementID.map(JSONTree.integer),
                    "logicalType": logicalType.map(JSONTree.string),
                ])
        case .map(let values):
            return .object(["type": .string("map"), "values": values.tree(&named)])
        case .union(let branches):
            var trees: [JSONTree] = []
            for branch in branches { trees.append(branch.tree(&named)) }
            return .array(trees)
        case .record(let record):
            guard named.insert(record.name).inserted else { return .string(record.name) }
            var fields: [JSONTree] = []
            for field in record.fields {
                fields.append(
                    .object(
                        ["name": .string(field.name), "type": field.schema.tree(&named)],
                        and: [
                            "field-id": field.id.map(JSONTree.integer),
                            "default": field.defaultsToNull ? .null : nil,
                        ]))
            }
            return .object([
                "type": .string("record"), "name": .string(record.name), "fields": .array(fields),
            ])
        }
    }
}

/// JSON of any shape, as far as schemas need it.
private indirect enum JSONTree: Codable, Equatable {
    case null
    case boolean(Bool)
    case integer(Int)
    case fraction(Double)
    case string(String)
    case array([JSONTree])
    case object([String: JSONTree])

    /// An object with those of `optional` that are there.
    static func object(_ members: [String: JSONTree], and optional: [String: JSONTree?]) -> JSONTree
    {
        var all = members
        for (name, value) in optional { if let value { all[name] = value } }
        return .object(all)
    }

    var text: String? { if case .string(let text) = self { text } else { nil } }
    var number: Int? { if case .integer(let number) = self { number } else { nil } }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        // Each failed attempt only says that the value is of another kind; the last one reports.
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .boolean(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .fraction(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONTree].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONTree].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .boolean(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .fraction(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}
