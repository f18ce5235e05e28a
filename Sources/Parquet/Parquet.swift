internal import Bytes
internal import LinuxIO

/// Apache Parquet files from outside: their footers, row groups moved from file to file without being decoded, and pages without some of
/// their rows.
///
/// Knows the file's frame and the footer (parquet-format, `parquet.thrift`, in Thrift's compact protocol), and of pages those that files
/// of hits have: plain or by dictionary, packed with Zstandard or not at all. What values mean it does not know. A footer is carried as
/// the bytes it has, and only what changes is written anew, so what this version does not know of (logical types, metadata) stays as it
/// is. Input is taken for hostile: every count, length and nesting is bounded.
///
/// INVARIANT: what is not understood in full is refused before anything is written.
///
/// Start at ``ParquetRewrite``; ``ParquetSplice`` puts row groups of several files together.
package enum Parquet {
    /// What a file begins and ends with.
    static let magic = Array("PAR1".utf8)
    /// The length of the footer and the magic behind it.
    static let tailBytes = 8
    /// Larger footers are of files with more columns and row groups than any file here has.
    package static let footerBytesMax = 16 << 20

    /// What stands behind the row groups: the footer, its length and the magic.
    static func ending(_ footer: ThriftStruct) throws(ParquetError) -> [UInt8] {
        var bytes = footer.encoded
        guard bytes.count <= footerBytesMax else {
            throw ParquetError(.unfit, "the new footer is too large")
        }
        bytes.append(littleEndian: UInt32(bytes.count))
        return bytes + magic
    }

    /// Bytes that are copied or compared at a time.
    private static let runBytes = 1 << 20

    /// Goes over bytes of a file that are copied or compared, in runs that fit the memory.
    static func forEachRun(_ range: Range<Int>, _ body: (Range<Int>) throws -> Void) rethrows {
        for start in stride(from: range.lowerBound, to: range.upperBound, by: runBytes) {
            try body(start..<min(start + runBytes, range.upperBound))
        }
    }
}

extension File {
    /// The bytes of `range`, which the file must have.
    func bytes(_ range: Range<Int>) throws -> [UInt8] {
        let bytes = try read(at: range.lowerBound, count: range.count)
        guard bytes.count == range.count else {
            throw ParquetError(.malformed, "the file ends before its row groups do")
        }
        return bytes
    }
}

/// Why a file cannot be read, or its row groups not be moved.
package struct ParquetError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The file does not begin and end as a Parquet file does.
        case notParquet
        /// The footer ends early, or is not what the format says.
        case malformed
        /// The file is sound as far as was looked, but has something that cannot be moved safely.
        case unfit
    }
    package let code: Code
    /// What was found; it has no value of any row.
    package let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    static var malformed: ParquetError { ParquetError(.malformed, "the footer is malformed") }
    static var malformedPage: ParquetError { ParquetError(.malformed, "a page is malformed") }
}
