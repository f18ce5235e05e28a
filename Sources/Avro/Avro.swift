/// Apache Avro (specification 1.11): schemas, the binary encoding, and object container files.
///
/// Knows nothing of who uses the files; schema attributes that Apache Iceberg adds (`field-id`, `element-id`,
/// `logicalType`) are kept because a reader finds its fields by them. Container files are written without
/// compression, and files compressed by others are refused with the codec's name: no compression library is
/// among the product's dependencies. Input is taken for hostile: every count, length and nesting is bounded.
/// Start at ``AvroFile``.
package enum Avro {
    /// Deepest nesting of a schema that is read.
    package static let nestingMax = 64
    /// Most elements that one array or map of elements without bytes (such as `null`) may claim.
    package static let emptyElementsMax = 1 << 16
}

/// Why bytes are not the Avro that was expected.
package enum AvroError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file does not begin as a container file does.
    case notAContainer
    /// The file is compressed with a codec other than `null`.
    case unsupportedCodec(String)
    /// The schema is no Avro schema; the text says where.
    case schema(String)
    /// The data ended early or do not fit the schema.
    case malformed(offset: Int)

    package var description: String {
        switch self {
        case .notAContainer: "this is no Avro container file"
        case .unsupportedCodec(let codec):
            "Avro codec `\(codec)` is not supported, expected `null`"
        case .schema(let text): "Avro schema: \(text)"
        case .malformed(let offset): "Avro data are malformed at byte \(offset)"
        }
    }
}
