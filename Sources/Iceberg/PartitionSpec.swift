/// How a table's files are partitioned.
package struct PartitionSpec: Codable, Hashable, Sendable {
    package var specID: Int
    package var fields: [Field]

    package init(specID: Int, fields: [Field]) {
        self.specID = specID
        self.fields = fields
    }

    package struct Field: Codable, Hashable, Sendable {
        /// Id of the column that the value is made from.
        package var sourceID: Int
        /// 1000 and up.
        package var fieldID: Int
        package var name: String
        package var transform: Transform

        package init(sourceID: Int, fieldID: Int, name: String, transform: Transform) {
            self.sourceID = sourceID
            self.fieldID = fieldID
            self.name = name
            self.transform = transform
        }

        private enum CodingKeys: String, CodingKey {
            case name, transform
            case sourceID = "source-id"
            case fieldID = "field-id"
        }
    }

    private enum CodingKeys: String, CodingKey {
        case fields
        case specID = "spec-id"
    }
}

/// A partition or sort transform.
package enum Transform: Hashable, Sendable {
    case identity, year, month, day, hour, void
    case bucket(Int)
    case truncate(Int)

    package var text: String {
        switch self {
        case .identity: "identity"
        case .year: "year"
        case .month: "month"
        case .day: "day"
        case .hour: "hour"
        case .void: "void"
        case .bucket(let count): "bucket[\(count)]"
        case .truncate(let width): "truncate[\(width)]"
        }
    }

    package init(parsing text: String) throws(IcebergError) {
        let plain: [Transform] = [.identity, .year, .month, .day, .hour, .void]
        if let known = plain.first(where: { $0.text == text }) {
            self = known
            return
        }
        let parts = text.split(whereSeparator: { $0 == "[" || $0 == "]" })
        guard parts.count == 2, text.hasSuffix("]"), let number = Int(parts[1]), number > 0 else {
            throw IcebergError(.unknownTransform, "unknown transform `\(text)`")
        }
        switch parts[0] {
        case "bucket": self = .bucket(number)
        case "truncate": self = .truncate(number)
        default: throw IcebergError(.unknownTransform, "unknown transform `\(text)`")
        }
    }
}

extension Transform: Codable {
    package init(from decoder: any Decoder) throws {
        try self.init(parsing: decoder.singleValueContainer().decode(String.self))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// In which order the rows of a file stand.
package struct SortOrder: Codable, Hashable, Sendable {
    /// 0 is reserved for "unsorted".
    package var orderID: Int
    package var fields: [Field]

    package init(orderID: Int, fields: [Field]) {
        self.orderID = orderID
        self.fields = fields
    }

    package struct Field: Codable, Hashable, Sendable {
        package var sourceID: Int
        package var transform: Transform
        package var direction: Direction
        package var nullOrder: NullOrder

        package init(
            sourceID: Int, transform: Transform = .identity, direction: Direction = .ascending,
            nullOrder: NullOrder = .last
        ) {
            self.sourceID = sourceID
            self.transform = transform
            self.direction = direction
            self.nullOrder = nullOrder
        }

        private enum CodingKeys: String, CodingKey {
            case transform, direction
            case sourceID = "source-id"
            case nullOrder = "null-order"
        }
    }

    package enum Direction: String, Codable, Sendable {
        case ascending = "asc"
        case descending = "desc"
    }

    package enum NullOrder: String, Codable, Sendable {
        case first = "nulls-first"
        case last = "nulls-last"
    }

    private enum CodingKeys: String, CodingKey {
        case fields
        case orderID = "order-id"
    }
}
