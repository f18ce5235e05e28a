import Bytes

/// A value of a column as bounds and partitions hold it, with the byte form of the specification's appendix D.
package enum SingleValue: Hashable, Sendable {
    case boolean(Bool)
    case int(Int32)
    case long(Int64)
    /// Days since 1970-01-01.
    case date(Int32)
    /// Microseconds since 1970-01-01T00:00:00Z.
    case timestamptz(Int64)
    case string(String)

    /// The bytes in a bounds map or partition summary.
    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .boolean(let value): bytes.append(value ? 1 : 0)
        case .int(let value), .date(let value): bytes.append(littleEndian: value)
        case .long(let value), .timestamptz(let value): bytes.append(littleEndian: value)
        case .string(let value): bytes = Array(value.utf8)
        }
        return bytes
    }

    /// Longest text of a string bound, in Unicode scalars: Iceberg's default metrics mode `truncate(16)`.
    package static let boundScalarsMax = 16

    /// A text that sorts at or below `text` and has at most `boundScalarsMax` scalars.
    package static func lowerBound(of text: String) -> SingleValue {
        .string(String(String.UnicodeScalarView(text.unicodeScalars.prefix(boundScalarsMax))))
    }

    /// A text that sorts at or above every text that starts like `text`; nil when there is none.
    ///
    /// A longer text is cut, and its last scalar that can grow is raised by one (skipping the surrogates), as
    /// an upper bound must not be below what it bounds.
    package static func upperBound(of text: String) -> SingleValue? {
        guard text.unicodeScalars.count > boundScalarsMax else { return .string(text) }
        var scalars = Array(text.unicodeScalars.prefix(boundScalarsMax))
        while let last = scalars.popLast() {
            let raised = last.value == 0xD7FF ? 0xE000 : last.value + 1
            guard let scalar = Unicode.Scalar(raised) else { continue }
            scalars.append(scalar)
            return .string(String(String.UnicodeScalarView(scalars)))
        }
        return nil
    }
}
