internal import Compression
internal import LinuxIO

/// A data file without some of its rows: row groups that lose none are copied byte by byte, all others written anew page by page.
///
/// ```
/// "PAR1" │ row groups, copied or without the rows that go │ bloom filters of the copied │ footer │ its length │ "PAR1"
/// ```
/// The schema's bytes, the order of columns and rows, the encodings and the way of packing stay. What is not understood in full is refused
/// (``ParquetError/Code/unfit``) by the footer and the headers of the pages, before anything is written, and the caller takes the long
/// way: another codec or encoding, pages of another kind, encryption, page indexes, key-value metadata.
///
/// In memory is one column chunk at a time, before and after: ``ParquetChunk/rawBytesMax`` bounds both. Used by one thread at a time.
package final class ParquetRewrite {
    private let path: String
    private let file: ParquetSource
    private let leaves: [ParquetLeaf]
    private let groups: [ParquetRowGroup]
    package let footer: ParquetFooter
    private let tools: ParquetTools

    /// Opens the file at `path`.
    package init(of path: String, _ tools: ParquetTools) throws {
        self.path = path
        self.tools = tools
        file = try ParquetSource(path)
        footer = try file.footer()
        guard footer.fields.field(ParquetFooter.Field.keyValues) == nil else {
            throw ParquetError(
                .unfit, "the file has key-value metadata, which nobody reads through")
        }
        leaves = try tools.leaves(of: footer)
        groups = try footer.groups()
    }

    /// Rows of each row group.
    package var rowCounts: [Int] { groups.map { Int($0.rows) } }

    /// Whether the file has columns of these names of texts, one a row at most.
    package func hasTexts(_ columns: [String]) -> Bool {
        columns.allSatisfy { name in leaves.contains { $0.isSingleText(name) } }
    }

    /// Rows by number, ascending; none touches another.
    package typealias Rows = [Range<Int>]

    /// A row group of the new file.
    fileprivate enum Piece {
        case copied(group: Int)
        case rewritten(group: Int, kept: Rows, rows: Int)
    }

    /// What was written: what is looked for when it is read again.
    package struct Written {
        package let footer: ParquetFooter
        fileprivate let pieces: [Piece]
        /// Of the columns of each row group that was written anew, as they were to be, and a sum over the bytes of each.
        fileprivate let digests: [[(digest: ColumnDigest, sum: UInt64)]]
        package let fileBytes: Int

        /// Numbers of the new file's row groups that are copies.
        package var copiedGroups: [Int] {
            pieces.indices.filter { if case .copied = pieces[$0] { true } else { false } }
        }

        /// Numbers of the new file's rows whose row groups were written anew.
        package var rewrittenRows: [Range<Int64>] {
            get throws(ParquetError) {
                var first: Int64 = 0
                var ranges: [Range<Int64>] = []
                for (piece, rows) in zip(pieces, try footer.rowCounts()) {
                    if case .rewritten = piece { ranges.append(first..<first + rows) }
                    first += rows
                }
                return ranges
            }
        }
    }

    /// Row groups that lose rows and keep some, with the rows that stay, each row by its number in its group.
    private func pieces(without gone: Rows) throws(ParquetError) -> [Piece] {
        var pieces: [Piece] = []
        var next = 0
        var first = 0
        for (number, group) in groups.enumerated() {
            let all = first..<first + Int(group.rows)
            first = all.upperBound
            var kept: Rows = []
            var place = all.lowerBound
            var lost = 0
            while next < gone.count, gone[next].lowerBound < all.upperBound {
                let common = gone[next].clamped(to: all)
                if common.lowerBound > place {
                    kept.append(place - all.lowerBound..<common.lowerBound - all.lowerBound)
                }
                place = common.upperBound
                lost += common.count
                if gone[next].upperBound > all.upperBound { break }
                next += 1
            }
            if place < all.upperBound { kept.append(place - all.lowerBound..<all.count) }
            if lost == 0 {
                if all.count > 0 { pieces.append(.copied(group: number)) }
            } else if lost < all.count {
                pieces.append(.rewritten(group: number, kept: kept, rows: all.count - lost))
            }
        }
        guard gone.last?.upperBound ?? 0 <= first, !pieces.isEmpty else {
            throw ParquetError(.unfit, "no row stays, or one is to go that is not there")
        }
        return pieces
    }

    /// Column chunks of a small file, opened as far as the headers of their pages, by the numbers of their row groups.
    private var opened: [Int: [(chunk: ParquetChunk, statistics: ThriftStruct?)]] = [:]

    /// Opens the column chunks of a row group as far as the headers of their pages, one after the other; throws when one is not
    /// understood.
    private func forEachChunk(
        of group: Int, _ body: (ParquetChunk, ThriftStruct?) throws -> Void
    ) throws {
        if let opened = opened.removeValue(forKey: group) {
            for (chunk, statistics) in opened { try body(chunk, statistics) }
            return
        }
        for (place, leaf) in zip(try groups[group].chunks(of: leaves), leaves) {
            try body(try ParquetChunk(try file.bytes(place.data), place, leaf), place.statistics)
        }
    }

    /// Writes the file without the rows `gone`, at a path where nothing is yet. It is not synced.
    package func write(without gone: Rows, to newPath: String) throws -> Written {
        let pieces = try pieces(without: gone)
        for case .rewritten(let group, _, _) in pieces {
            var chunks: [(chunk: ParquetChunk, statistics: ThriftStruct?)] = []
            try forEachChunk(of: group) { if file.isWhole { chunks.append(($0, $1)) } }
            if file.isWhole { opened[group] = chunks }
        }
        let output = try ParquetOutput(newPath)
        try output.append(Parquet.magic)
        var places: [(offset: Int, columns: [RewrittenChunk.Description])] = []
        var digests: [[(digest: ColumnDigest, sum: UInt64)]] = []
        for piece in pieces {
            switch piece {
            case .copied(let group):
                places.append((output.count, []))
                try copy(groups[group].data, to: output)
            case .rewritten(let group, let kept, _):
                let rows = Int(groups[group].rows)
                var place = (offset: output.count, columns: [RewrittenChunk.Description]())
                var columns: [(digest: ColumnDigest, sum: UInt64)] = []
                try forEachChunk(of: group) { chunk, statistics in
                    let digest = try tools.digester.digest(chunk, keeping: kept, of: rows)
                    let new = try tools.rewriter.rewrite(
                        chunk, statistics, keeping: kept, of: rows, unpackedBy: tools.digester)
                    columns.append((digest, ChunkDigester.sum(new.bytes)))
                    try output.append(new.bytes)
                    place.columns.append(new.description)
                }
                places.append(place)
                digests.append(columns)
            }
        }
        var described: [ThriftStruct] = []
        for (piece, place) in zip(pieces, places) {
            switch piece {
            case .copied(let number):
                let group = groups[number]
                var filters: [Int] = []
                for filter in group.filters {
                    filters.append(output.count)
                    try copy(filter, to: output)
                }
                described.append(
                    group.moved(
                        to: place.offset, filterOffsets: filters, ordinal: described.count))
            case .rewritten(let number, _, let rows):
                described.append(
                    groups[number].rewritten(
                        place.columns, rows: rows, at: place.offset, ordinal: described.count))
            }
        }
        var fields = footer.fields
        fields.set(ParquetFooter.Field.rows, to: pieces.reduce(0) { $0 + Int64(rows(of: $1)) })
        fields.set(ParquetFooter.Field.rowGroups, to: described)
        let offset = output.count
        try output.append(try Parquet.ending(fields))
        try output.finish()
        return Written(
            footer: ParquetFooter(fields, offset: offset), pieces: pieces, digests: digests,
            fileBytes: output.count)
    }

    private func rows(of piece: Piece) -> Int {
        switch piece {
        case .copied(let group): Int(groups[group].rows)
        case .rewritten(_, _, let rows): rows
        }
    }

    private func copy(_ range: Range<Int>, to output: ParquetOutput) throws {
        try Parquet.forEachRun(range) { try output.append(try file.bytes($0)) }
    }

    /// Reads a file that was written from the disk again, and throws unless it holds what it was to hold.
    ///
    /// Its footer is the one that was planned; the bytes of copied row groups are those of this file; every column of the others has the
    /// digest that the rows which stay had and the bytes that were written, its dictionaries hold no value that no row has, and its
    /// statistics are those of its values.
    ///
    /// - Parameters:
    ///   - columns: names of columns of single texts, by their number for `text`.
    ///   - text: given each text that such a column has in row groups that were written anew, those of a dictionary once.
    /// - Returns: what the new footer says of each row group.
    @discardableResult
    package func verify(
        _ written: Written, at newPath: String, texts columns: [String] = [],
        _ text: (_ column: Int, _ text: Span<UInt8>) -> Void = { _, _ in }
    ) throws -> [ParquetFooter.GroupSummary] {
        precondition(hasTexts(columns), "texts are told of columns that have some")
        let told = columns.map { name in leaves.firstIndex { $0.isSingleText(name) } }
        let new = try ParquetSource(newPath)
        let found = try new.footer()
        guard found == written.footer, new.size == written.fileBytes else { throw Self.other }
        let newGroups = try found.groups()
        guard newGroups.count == written.pieces.count, try tools.leaves(of: found) == leaves else {
            throw Self.other
        }
        var digests = written.digests.makeIterator()
        for (piece, group) in zip(written.pieces, newGroups) {
            guard group.rows == rows(of: piece) else { throw Self.other }
            switch piece {
            case .copied(let number):
                let old = groups[number]
                for (one, two) in zip([old.data] + old.filters, [group.data] + group.filters) {
                    guard one.count == two.count else { throw Self.other }
                    try Parquet.forEachRun(two) { run in
                        let step = one.lowerBound - two.lowerBound
                        guard
                            try new.bytes(run)
                                == file.bytes(run.lowerBound + step..<run.upperBound + step)
                        else { throw Self.other }
                    }
                }
            case .rewritten:
                guard group.filters.isEmpty, let expected = digests.next() else { throw Self.other }
                for (column, place) in try group.chunks(of: leaves).enumerated() {
                    let leaf = leaves[column]
                    let bytes = try new.bytes(place.data)
                    let digest = try withoutActuallyEscaping(text) { text in
                        try tools.digester.digest(
                            try ParquetChunk(bytes, place, leaf), keeping: nil,
                            of: Int(group.rows), ends: try ClaimedEnds(place.statistics, leaf),
                            text: told.firstIndex(of: column).map { number in { text(number, $0) } }
                        )
                    }
                    guard digest == expected[column].digest,
                        ChunkDigester.sum(bytes) == expected[column].sum
                    else { throw Self.other }
                }
            }
        }
        return try newGroups.map { try $0.summary(leaves) }
    }

    private static var other: ParquetError {
        ParquetError(.malformed, "what was written is not what was to be written")
    }
}

/// What works on pages, with the memory that it keeps from one file to the next. Used by one thread at a time.
package final class ParquetTools {
    let rewriter: ChunkRewriter
    let digester: ChunkDigester
    let reader: PageReader

    /// The level at which pages are packed. On pages of hits the library's first level gives files that are at most 2 % larger than those
    /// of its third, which is the engine's, in less than half of the time.
    private static let level: Int32 = 1

    /// The schema that was read last, as it stands in its footer, and its leaves: files of one table have the same.
    private var schema: (field: ThriftStruct.Field, leaves: [ParquetLeaf])?

    /// The leaves of a file's schema.
    func leaves(of footer: ParquetFooter) throws(ParquetError) -> [ParquetLeaf] {
        guard let field = footer.fields.field(ParquetFooter.Field.schema) else { throw .malformed }
        if let schema, schema.field == field { return schema.leaves }
        let leaves = try footer.leaves()
        schema = (field, leaves)
        return leaves
    }

    package init() throws {
        let frames = try ZstdFrames(level: Self.level)
        rewriter = ChunkRewriter(frames)
        digester = ChunkDigester(frames)
        reader = PageReader(frames)
    }
}

/// A file that is read in pieces, or a small one once.
final class ParquetSource {
    private let file: File
    let size: Int
    private let whole: [UInt8]?
    /// Whether all of it is in memory.
    var isWhole: Bool { whole != nil }

    private static let wholeBytesMax = 4 << 20

    /// - Parameter isRead: whether most of it will be asked for.
    init(_ path: String, whole isRead: Bool = true) throws {
        file = try File(opening: path, .read)
        size = try file.metadata().size
        whole = isRead && size <= Self.wholeBytesMax ? try file.read(at: 0, count: size) : nil
    }

    func footer() throws -> ParquetFooter { try ParquetFooter(file, bytes: size) }

    func bytes(_ range: Range<Int>) throws -> [UInt8] {
        if let whole, range.upperBound <= whole.count { return Array(whole[range]) }
        return try file.bytes(range)
    }
}

/// A new file, written front to back.
private final class ParquetOutput {
    private let file: File
    private var waiting: [UInt8] = []
    private(set) var count = 0

    private static let waitingBytesMax = 1 << 20

    init(_ path: String) throws {
        file = try File(opening: path, [.write, .create, .exclusive])
    }

    func append(_ bytes: [UInt8]) throws {
        waiting += bytes
        count += bytes.count
        if waiting.count >= Self.waitingBytesMax { try finish() }
    }

    func finish() throws {
        guard !waiting.isEmpty else { return }
        try file.write(waiting, at: count - waiting.count)
        waiting.removeAll(keepingCapacity: true)
    }
}
