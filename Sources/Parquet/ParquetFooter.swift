package import LinuxIO

/// The footer of a Parquet file (`FileMetaData`), and where in the file it lies.
package struct ParquetFooter: Equatable, Sendable {
    /// All of it, as it was written.
    package let fields: ThriftStruct
    /// Where it begins: what rows are made of lies before.
    package let offset: Int

    /// Field numbers of `FileMetaData`.
    enum Field {
        static let schema = 2
        static let rows = 3
        static let rowGroups = 4
        static let keyValues = 5
        static let encryption = 8
        static let signingKey = 9
    }

    package init(_ fields: ThriftStruct, offset: Int) {
        self.fields = fields
        self.offset = offset
    }

    /// Reads the footer of an open file of `bytes` bytes.
    package init(_ file: borrowing File, bytes: Int) throws {
        let ends = Parquet.magic.count
        guard bytes >= ends + Parquet.tailBytes else { throw Self.notParquet }
        let tail = try file.read(at: bytes - Parquet.tailBytes, count: Parquet.tailBytes)
        guard tail.count == Parquet.tailBytes, tail.suffix(ends).elementsEqual(Parquet.magic),
            try file.read(at: 0, count: ends) == Parquet.magic
        else { throw Self.notParquet }
        let size = (0..<4).reduce(0) { $0 | Int(tail[$1]) << (8 * $1) }
        guard size <= Parquet.footerBytesMax, size <= bytes - ends - Parquet.tailBytes else {
            throw ParquetError.malformed
        }
        offset = bytes - Parquet.tailBytes - size
        let footer = try file.read(at: offset, count: size)
        fields = try ThriftStruct(decoding: footer[...])
    }

    private static var notParquet: ParquetError {
        ParquetError(.notParquet, "the file does not begin and end as a Parquet file does")
    }

    /// One column or group of columns of the schema.
    package struct Element: Equatable, Sendable {
        package let name: String
        /// Columns and groups right below a group.
        package let children: Int
        package let fieldID: Int?
    }

    /// The columns and groups below the root.
    package func elements() throws(ParquetError) -> [Element] {
        guard let elements = try fields.structures(Field.schema), !elements.isEmpty else {
            throw .malformed
        }
        var found: [Element] = []
        // The first is the root, which is no column.
        for element in elements.dropFirst() {
            found.append(
                Element(
                    name: String(decoding: try element.binary(4) ?? [], as: UTF8.self),
                    children: Int(try element.integer(5) ?? 0),
                    fieldID: try element.integer(9).map { Int($0) }))
        }
        return found
    }

    /// Whether another file's schema is this one's byte for byte.
    package func hasSchema(of other: ParquetFooter) -> Bool {
        fields.field(Field.schema) == other.fields.field(Field.schema)
    }

    /// Rows of each row group, in order.
    package func rowCounts() throws(ParquetError) -> [Int64] {
        guard let groups = try fields.structures(Field.rowGroups) else { throw .malformed }
        var counts: [Int64] = []
        for group in groups { counts.append(try group.required(ParquetRowGroup.Field.rows)) }
        return counts
    }

    /// What is said of one column chunk.
    package struct ChunkSummary: Sendable {
        /// Names from below the root down to the leaf, a comma and a space between.
        package let path: String
        package let entries: Int64
        package let bytes: Int64
        package let nulls: Int64?
        /// Least and greatest as the format stores them; nil where they are not said, or cut short.
        package let ends: (least: [UInt8], greatest: [UInt8])?
    }

    /// What is said of one row group.
    package struct GroupSummary: Sendable {
        package let rows: Int64
        package let start: Int
        package let chunks: [ChunkSummary]
    }
}

extension ParquetRowGroup {
    func summary(_ leaves: [ParquetLeaf]) throws(ParquetError) -> ParquetFooter.GroupSummary {
        var summaries: [ParquetFooter.ChunkSummary] = []
        for (place, leaf) in zip(try chunks(of: leaves), leaves) {
            typealias Statistic = ChunkRewriter.Statistic
            var ends: (least: [UInt8], greatest: [UInt8])?
            if let statistics = place.statistics,
                let least = try statistics.binary(Statistic.least),
                let greatest = try statistics.binary(Statistic.greatest),
                try statistics.boolean(Statistic.isLeastExact) ?? false,
                try statistics.boolean(Statistic.isGreatestExact) ?? false
            {
                ends = (Array(least), Array(greatest))
            }
            summaries.append(
                ParquetFooter.ChunkSummary(
                    path: leaf.name, entries: Int64(place.entries), bytes: Int64(place.data.count),
                    nulls: try place.statistics?.integer(Statistic.nulls), ends: ends))
        }
        return ParquetFooter.GroupSummary(
            rows: rows, start: data.lowerBound, chunks: summaries)
    }
}
