/// A column that has values: a leaf of the schema.
package struct ParquetLeaf: Equatable, Sendable {
    /// Physical types, by their numbers in the format.
    enum Kind: Int64, Sendable {
        case boolean, int32, int64, int96, float, double, byteArray, fixed
    }

    /// How least and greatest are told.
    enum Order: Sendable {
        case boolean, int32, int64, float, double
        /// Byte by byte, without sign.
        case bytes
    }

    /// Names from below the root down to it.
    package let path: [[UInt8]]
    /// The same as text, a comma and a space between.
    let name: String
    let kind: Kind
    /// Bytes of a value; 0 where they differ, and for booleans.
    let width: Int
    /// Definition level of a value that is there.
    let definitionMax: Int
    /// How many of the groups above it, itself counted, repeat.
    let repetitionMax: Int
    /// Nil for a type whose order is not known here.
    let order: Order?

    /// Whether it is a column of this name of texts, one a row at most.
    func isSingleText(_ name: String) -> Bool {
        kind == .byteArray && repetitionMax == 0 && path.count == 1
            && path[0].elementsEqual(name.utf8)
    }

    /// Levels above it: deeper than any column that is written here.
    private static let nestingMax = 16
    private static let widthMax = 1 << 16

    /// Field numbers of `SchemaElement`.
    enum Element {
        static let type = 1
        static let typeLength = 2
        static let repetition = 3
        static let name = 4
        static let children = 5
        static let converted = 6
        static let fieldID = 9
        static let logical = 10
    }

    /// The leaves of a schema, in the order of the column chunks.
    static func leaves(of elements: [ThriftStruct]) throws(ParquetError) -> [ParquetLeaf] {
        struct Open {
            var left: Int
            let path: [[UInt8]]
            let definition: Int
            let repetition: Int
        }
        guard let root = elements.first else { throw .malformed }
        func children(_ element: ThriftStruct) throws(ParquetError) -> Int {
            guard let count = Int(exactly: try element.integer(Element.children) ?? 0), count >= 0,
                count < elements.count
            else { throw .malformed }
            return count
        }
        var open = [Open(left: try children(root), path: [], definition: 0, repetition: 0)]
        var leaves: [ParquetLeaf] = []
        for element in elements.dropFirst() {
            while let last = open.last, last.left == 0 { open.removeLast() }
            guard let above = open.last, open.count <= nestingMax,
                let name = try element.binary(Element.name)
            else { throw .malformed }
            open[open.count - 1].left -= 1
            let path = above.path + [Array(name)]
            let repetition = try element.required(Element.repetition)
            guard (0...2).contains(repetition) else { throw .malformed }
            let levels = (
                above.definition + (repetition == 0 ? 0 : 1),
                above.repetition + (repetition == 2 ? 1 : 0)
            )
            let count = try children(element)
            if let type = try element.integer(Element.type) {
                guard count == 0 else { throw .malformed }
                leaves.append(try leaf(element, type, path, levels))
            } else {
                guard count > 0 else { throw .malformed }
                open.append(
                    Open(left: count, path: path, definition: levels.0, repetition: levels.1))
            }
        }
        guard open.allSatisfy({ $0.left == 0 }), !leaves.isEmpty else { throw .malformed }
        return leaves
    }

    private static func leaf(
        _ element: ThriftStruct, _ type: Int64, _ path: [[UInt8]], _ levels: (Int, Int)
    ) throws(ParquetError) -> ParquetLeaf {
        guard let kind = Kind(rawValue: type) else {
            throw ParquetError(.unfit, "a column has a physical type that is not known")
        }
        var width = 0
        switch kind {
        case .boolean, .byteArray: break
        case .int32, .float: width = 4
        case .int64, .double: width = 8
        case .int96: width = 12
        case .fixed:
            guard let length = Int(exactly: try element.required(Element.typeLength)),
                (1...widthMax).contains(length)
            else { throw .malformed }
            width = length
        }
        return ParquetLeaf(
            path: path,
            name: path.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ", "),
            kind: kind, width: width, definitionMax: levels.0, repetitionMax: levels.1,
            order: order(
                kind, converted: try element.integer(Element.converted),
                logical: try element.structure(Element.logical)?.fields.first?.id))
    }

    /// The order that the format gives to a type (`parquet.thrift`, `ColumnOrder`), for those types that are surely understood.
    private static func order(_ kind: Kind, converted: Int64?, logical: Int?) -> Order? {
        /// Numbers of `LogicalType`.
        enum Logical {
            static let (string, decimal, date, time, timestamp, uuid) = (1, 5, 6, 7, 8, 14)
        }
        /// Numbers of `ConvertedType`.
        enum Converted {
            static let utf8: Int64 = 0
            static let signed: Set<Int64> = [5, 6, 7, 8, 9, 10, 15, 16, 17, 18]
        }
        switch kind {
        case .boolean: return .boolean
        case .float: return .float
        case .double: return .double
        case .int96: return nil
        case .int32, .int64:
            let isSigned =
                converted.map(Converted.signed.contains)
                ?? logical.map(
                    [Logical.decimal, Logical.date, Logical.time, Logical.timestamp].contains)
                ?? true
            return isSigned ? (kind == .int32 ? .int32 : .int64) : nil
        case .byteArray:
            let isText =
                converted.map { $0 == Converted.utf8 } ?? logical.map { $0 == Logical.string }
                ?? true
            return isText ? .bytes : nil
        case .fixed:
            return converted == nil && (logical == nil || logical == Logical.uuid) ? .bytes : nil
        }
    }
}

extension ParquetFooter {
    /// The columns that have values, in the order of the column chunks.
    package func leaves() throws(ParquetError) -> [ParquetLeaf] {
        guard let elements = try fields.structures(Field.schema) else { throw .malformed }
        return try ParquetLeaf.leaves(of: elements)
    }
}
