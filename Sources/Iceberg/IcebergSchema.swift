/// The columns of a table at one time.
package struct IcebergSchema: Codable, Hashable, Sendable {
    package var schemaID: Int
    package var fields: [Field]
    /// Ids of the fields that together name a row; nil where the writer says nothing.
    package var identifierFieldIDs: [Int]?

    package init(schemaID: Int, fields: [Field], identifierFieldIDs: [Int]? = nil) {
        self.schemaID = schemaID
        self.fields = fields
        self.identifierFieldIDs = identifierFieldIDs
    }

    /// One column or one field of a struct.
    package struct Field: Codable, Hashable, Sendable {
        package var id: Int
        package var name: String
        package var isRequired: Bool
        package var type: FieldType
        package var doc: String?

        package init(
            id: Int, name: String, type: FieldType, isRequired: Bool = false, doc: String? = nil
        ) {
            self.id = id
            self.name = name
            self.type = type
            self.isRequired = isRequired
            self.doc = doc
        }

        private enum CodingKeys: String, CodingKey {
            case id, name, type, doc
            case isRequired = "required"
        }
    }

    /// A type; primitives stand under their word, such as `timestamptz` or `decimal(9, 2)`.
    package indirect enum FieldType: Hashable, Sendable {
        case primitive(String)
        case list(elementID: Int, element: FieldType, elementRequired: Bool)
        case map(keyID: Int, key: FieldType, valueID: Int, value: FieldType, valueRequired: Bool)
        case structure([Field])
    }

    /// The column of that name.
    package func field(named name: String) -> Field? { fields.first { $0.name == name } }

    /// The largest id of any field, nested ones included.
    package var lastColumnID: Int { fields.map { max($0.id, $0.type.lastID) }.max() ?? 0 }

    private enum CodingKeys: String, CodingKey {
        case type, fields
        case schemaID = "schema-id"
        case identifierFieldIDs = "identifier-field-ids"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        schemaID = try container.decodeIfPresent(Int.self, forKey: .schemaID) ?? 0
        fields = try container.decode([Field].self, forKey: .fields)
        identifierFieldIDs = try container.decodeIfPresent([Int].self, forKey: .identifierFieldIDs)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode("struct", forKey: .type)
        try container.encode(schemaID, forKey: .schemaID)
        try container.encode(fields, forKey: .fields)
        try container.encodeIfPresent(identifierFieldIDs, forKey: .identifierFieldIDs)
    }
}

extension IcebergSchema.FieldType {
    /// The largest id inside of the type, or 0.
    fileprivate var lastID: Int {
        switch self {
        case .primitive: 0
        case .list(let id, let element, _): max(id, element.lastID)
        case .map(let keyID, let key, let valueID, let value, _):
            max(max(keyID, valueID), max(key.lastID, value.lastID))
        case .structure(let fields): fields.map { max($0.id, $0.type.lastID) }.max() ?? 0
        }
    }
}

extension IcebergSchema.FieldType: Codable {
    private enum CodingKeys: String, CodingKey {
        case type, element, key, value, fields
        case elementID = "element-id"
        case elementRequired = "element-required"
        case keyID = "key-id"
        case valueID = "value-id"
        case valueRequired = "value-required"
    }

    package init(from decoder: any Decoder) throws {
        // A primitive is a bare word; when it is none, the object form reports what is wrong.
        if let word = try? decoder.singleValueContainer().decode(String.self) {
            self = .primitive(word)
            return
        }
        let container = try decoder.container(keyedBy: CodingKeys.self)
        switch try container.decode(String.self, forKey: .type) {
        case "list":
            self = .list(
                elementID: try container.decode(Int.self, forKey: .elementID),
                element: try container.decode(Self.self, forKey: .element),
                elementRequired: try container.decode(Bool.self, forKey: .elementRequired))
        case "map":
            self = .map(
                keyID: try container.decode(Int.self, forKey: .keyID),
                key: try container.decode(Self.self, forKey: .key),
                valueID: try container.decode(Int.self, forKey: .valueID),
                value: try container.decode(Self.self, forKey: .value),
                valueRequired: try container.decode(Bool.self, forKey: .valueRequired))
        case "struct":
            self = .structure(try container.decode([IcebergSchema.Field].self, forKey: .fields))
        case let other:
            throw DecodingError.dataCorruptedError(
                forKey: .type, in: container, debugDescription: "unknown nested type `\(other)`")
        }
    }

    package func encode(to encoder: any Encoder) throws {
        if case .primitive(let word) = self {
            var container = encoder.singleValueContainer()
            return try container.encode(word)
        }
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .primitive: break
        case .list(let elementID, let element, let elementRequired):
            try container.encode("list", forKey: .type)
            try container.encode(elementID, forKey: .elementID)
            try container.encode(element, forKey: .element)
            try container.encode(elementRequired, forKey: .elementRequired)
        case .map(let keyID, let key, let valueID, let value, let valueRequired):
            try container.encode("map", forKey: .type)
            try container.encode(keyID, forKey: .keyID)
            try container.encode(key, forKey: .key)
            try container.encode(valueID, forKey: .valueID)
            try container.encode(value, forKey: .value)
            try container.encode(valueRequired, forKey: .valueRequired)
        case .structure(let fields):
            try container.encode("struct", forKey: .type)
            try container.encode(fields, forKey: .fields)
        }
    }
}

extension IcebergSchema.FieldType {
    /// The type in words, such as `map<string, string>`.
    package var text: String {
        switch self {
        case .primitive(let word): word
        case .list(_, let element, _): "list<\(element.text)>"
        case .map(_, let key, _, let value, _): "map<\(key.text), \(value.text)>"
        case .structure(let fields):
            "struct<" + fields.map { "\($0.name): \($0.type.text)" }.joined(separator: ", ") + ">"
        }
    }
}
