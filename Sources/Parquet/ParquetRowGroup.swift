/// A row group as the footer describes it, checked as far as moving it to another place asks for.
///
/// What it has that would have to be moved and is not known here makes it unfit: a place that is not written anew would point to
/// other bytes.
struct ParquetRowGroup: Equatable, Sendable {
    /// `RowGroup`.
    private var fields: ThriftStruct
    /// `ColumnChunk`s, and the `ColumnMetaData` in each.
    private var chunks: [(chunk: ThriftStruct, column: ThriftStruct)]
    let rows: Int64
    /// The bytes of its column chunks, which lie one behind the other.
    let data: Range<Int>
    /// Bloom filters of its columns.
    let filters: [Range<Int>]

    static func == (left: ParquetRowGroup, right: ParquetRowGroup) -> Bool {
        left.fields == right.fields
    }

    /// Field numbers of `RowGroup`.
    enum Field {
        static let columns = 1
        static let rawBytes = 2
        static let rows = 3
        static let offset = 5
        static let packedBytes = 6
        static let ordinal = 7
        static let max = 7
    }

    /// Field numbers of `ColumnChunk`.
    private enum Chunk {
        static let filePath = 1
        static let fileOffset = 2
        static let column = 3
        static let indexes = 4...7
        static let encryption = 8...9
        static let max = 9
    }

    /// Field numbers of `ColumnMetaData`.
    private enum Column {
        static let type = 1
        static let encodings = 2
        static let path = 3
        static let codec = 4
        static let entries = 5
        static let rawBytes = 6
        static let compressedBytes = 7
        static let keyValues = 8
        static let dataPage = 9
        static let indexPage = 10
        static let dictionaryPage = 11
        static let statistics = 12
        static let encodingStatistics = 13
        static let filter = 14
        static let filterBytes = 15
        static let sizeStatistics = 16
        static let places = 17
        static let max = 17
    }

    /// - Parameter end: where what rows are made of ends in the file.
    init(_ fields: ThriftStruct, end: Int) throws(ParquetError) {
        self.fields = fields
        rows = try fields.required(Field.rows)
        guard rows >= 0, let columns = try fields.structures(Field.columns), !columns.isEmpty else {
            throw .malformed
        }
        try Self.requireKnown(fields, max: Field.max)
        chunks = []
        var extents: [Range<Int>] = []
        var filters: [Range<Int>] = []
        for chunk in columns {
            try Self.requireKnown(chunk, max: Chunk.max)
            guard let column = try chunk.structure(Chunk.column) else { throw .malformed }
            try Self.requireKnown(column, max: Column.max)
            for field in chunk.fields {
                switch field.id {
                case Chunk.filePath: throw Self.unfit("a column chunk lies in another file")
                case Chunk.indexes: throw Self.unfit("it has page indexes")
                case Chunk.encryption: throw Self.unfit("a column is encrypted")
                default: break
                }
            }
            extents.append(try Self.extent(of: column, end: end))
            if let offset = try column.integer(Column.filter) {
                guard let size = try column.integer(Column.filterBytes) else {
                    throw Self.unfit("a bloom filter has no length")
                }
                filters.append(try Self.range(offset, size, end: end))
            }
            chunks.append((chunk, column))
        }
        self.filters = filters
        data = try Self.span(of: extents)
        try requirePlaces()
    }

    private static func unfit(_ text: String) -> ParquetError {
        ParquetError(.unfit, "a row group cannot be moved: \(text)")
    }

    private static func requireKnown(_ fields: ThriftStruct, max: Int) throws(ParquetError) {
        guard fields.fields.allSatisfy({ (1...max).contains($0.id) }) else {
            throw unfit("it has a field that is not known")
        }
    }

    private static func range(
        _ offset: Int64, _ size: Int64, end: Int
    ) throws(ParquetError) -> Range<Int> {
        let (last, isOver) = offset.addingReportingOverflow(size)
        guard offset >= Int64(Parquet.magic.count), size > 0, !isOver, last <= Int64(end) else {
            throw unfit("a place lies outside of what the file has for rows")
        }
        return Int(offset)..<Int(last)
    }

    /// The bytes of a column chunk: its dictionary page, where it has one, and its data pages.
    private static func extent(
        of column: ThriftStruct, end: Int
    ) throws(ParquetError) -> Range<Int> {
        let first = try column.required(Column.dataPage)
        // Some writers say 0 for "none".
        let dictionary = try column.integer(Column.dictionaryPage).flatMap { $0 == 0 ? nil : $0 }
        let extent = try range(
            min(first, dictionary ?? first), try column.required(Column.compressedBytes), end: end)
        guard extent.contains(Int(first)) else {
            throw unfit("a column's pages lie outside of its bytes")
        }
        return extent
    }

    /// Chunks that lie one behind the other, without a gap, have the lengths that the footer says.
    private static func span(of extents: [Range<Int>]) throws(ParquetError) -> Range<Int> {
        let sorted = extents.sorted { $0.lowerBound < $1.lowerBound }
        for (one, next) in zip(sorted, sorted.dropFirst()) where one.upperBound != next.lowerBound {
            throw unfit("its column chunks do not lie one behind the other")
        }
        return sorted[0].lowerBound..<sorted[sorted.count - 1].upperBound
    }

    /// Every place that is said lies in bytes that are moved along.
    private func requirePlaces() throws(ParquetError) {
        func check(_ fields: ThriftStruct, _ ids: [Int]) throws(ParquetError) {
            for id in ids {
                guard let place = try fields.integer(id), place != 0 else { continue }
                guard let offset = Int(exactly: place), data.contains(offset) else {
                    throw Self.unfit("a place lies outside of its bytes")
                }
            }
        }
        try check(fields, [Field.offset])
        for (chunk, column) in chunks {
            try check(chunk, [Chunk.fileOffset])
            try check(column, [Column.dataPage, Column.indexPage, Column.dictionaryPage])
        }
        _ = try fields.integer(Field.ordinal)
    }

    /// The group as the footer of another file describes it.
    ///
    /// - Parameters:
    ///   - offset: where its bytes begin there.
    ///   - filterOffsets: where its bloom filters begin there, one for each.
    ///   - ordinal: how many row groups stand before it.
    func moved(to offset: Int, filterOffsets: [Int], ordinal: Int) -> ThriftStruct {
        let step = Int64(offset - data.lowerBound)
        func move(_ fields: inout ThriftStruct, _ ids: [Int]) {
            for id in ids {
                // What is no number was refused when the group was read.
                guard let place = try? fields.integer(id), place != 0 else { continue }
                fields.set(id, to: place + step)
            }
        }
        var group = fields
        var filters = filterOffsets.makeIterator()
        let columns = chunks.map { chunk, column in
            var (chunk, column) = (chunk, column)
            move(&column, [Column.dataPage, Column.indexPage, Column.dictionaryPage])
            if column.field(Column.filter) != nil, let place = filters.next() {
                column.set(Column.filter, to: Int64(place))
            }
            move(&chunk, [Chunk.fileOffset])
            chunk.set(Chunk.column, to: column)
            return chunk
        }
        group.set(Field.columns, to: columns)
        move(&group, [Field.offset])
        if group.field(Field.ordinal) != nil { group.set(Field.ordinal, to: Int64(ordinal)) }
        return group
    }
    /// Where a column chunk lies and how it is packed, as far as opening it asks for.
    struct ChunkPlace: Equatable, Sendable {
        let data: Range<Int>
        let codec: ParquetChunk.Codec
        let entries: Int
        /// `Statistics`, where it has any.
        let statistics: ThriftStruct?
    }

    /// The chunks, one for each leaf, when they can be opened and written anew.
    func chunks(of leaves: [ParquetLeaf]) throws(ParquetError) -> [ChunkPlace] {
        var places: [ChunkPlace] = []
        places.reserveCapacity(leaves.count)
        for index in leaves.indices { places.append(try chunk(index, of: leaves)) }
        return places
    }

    /// The chunk of one leaf, by its number.
    func chunk(_ index: Int, of leaves: [ParquetLeaf]) throws(ParquetError) -> ChunkPlace {
        guard chunks.count == leaves.count, rows <= Self.rowsMax else {
            throw Self.unfit("it has other columns than the schema, or too many rows")
        }
        let (column, leaf) = (chunks[index].column, leaves[index])
        guard try column.integer(Column.type) == leaf.kind.rawValue,
            try column.binaries(Column.path)?.elementsEqual(
                leaf.path, by: { $0.elementsEqual($1) })
                ?? false
        else { throw Self.unfit("its columns are not in the order of the schema") }
        guard let codec = ParquetChunk.Codec(rawValue: try column.required(Column.codec)) else {
            throw Self.unfit("a column is packed in a way that is not known here")
        }
        guard column.field(Column.keyValues) == nil, column.field(Column.places) == nil,
            try column.integer(Column.indexPage) ?? 0 == 0
        else { throw Self.unfit("a column has what cannot be written anew") }
        guard let entries = Int(exactly: try column.required(Column.entries)), entries >= 0,
            entries <= ParquetChunk.entriesMax
        else { throw .malformed }
        return ChunkPlace(
            data: try Self.extent(of: column, end: data.upperBound), codec: codec,
            entries: entries, statistics: try column.structure(Column.statistics))
    }

    /// Rows of a row group that is written anew.
    private static let rowsMax: Int64 = 1 << 24

    /// The group with fewer rows and other pages, as the new footer describes it.
    ///
    /// - Parameters:
    ///   - written: its column chunks, which lie one behind the other.
    ///   - offset: where the first begins.
    ///   - ordinal: how many row groups stand before it.
    func rewritten(
        _ written: [RewrittenChunk.Description], rows: Int, at offset: Int, ordinal: Int
    ) -> ThriftStruct {
        var group = fields
        var place = Int64(offset)
        var raw: Int64 = 0
        let columns = zip(chunks, written).map { pair, new in
            var (chunk, column) = pair
            column.put(Column.entries, i64: Int64(new.entries))
            column.put(Column.rawBytes, i64: Int64(new.rawBytes))
            column.put(Column.compressedBytes, i64: Int64(new.bytes))
            column.put(Column.dataPage, i64: place + Int64(new.dictionaryBytes ?? 0))
            column.remove(Column.dictionaryPage)
            if new.dictionaryBytes != nil { column.put(Column.dictionaryPage, i64: place) }
            column.put(Column.encodings, i32s: new.encodings)
            column.remove(Column.statistics)
            if let statistics = new.statistics { column.put(Column.statistics, statistics) }
            // Filters, and sums over the pages that were, are left out: readers do without.
            for id in [
                Column.encodingStatistics, Column.filter, Column.filterBytes, Column.sizeStatistics,
            ] { column.remove(id) }
            if let offset = try? chunk.integer(Chunk.fileOffset), offset != 0 {
                chunk.set(Chunk.fileOffset, to: place)
            }
            chunk.set(Chunk.column, to: column)
            place += Int64(new.bytes)
            raw += Int64(new.rawBytes)
            return chunk
        }
        group.set(Field.columns, to: columns)
        group.put(Field.rows, i64: Int64(rows))
        group.put(Field.rawBytes, i64: raw)
        if group.field(Field.packedBytes) != nil {
            group.put(Field.packedBytes, i64: place - Int64(offset))
        }
        if group.field(Field.offset) != nil { group.put(Field.offset, i64: Int64(offset)) }
        if group.field(Field.ordinal) != nil { group.set(Field.ordinal, to: Int64(ordinal)) }
        return group
    }
}
