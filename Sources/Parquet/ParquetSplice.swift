internal import LinuxIO

/// A new file made of row groups of others: their bytes as they are, and a footer that says where they lie now.
///
/// ```
/// "PAR1" │ row groups, one behind the other │ their bloom filters │ footer │ its length, 4 bytes │ "PAR1"
/// ```
/// All files must have the same schema, key-value metadata and writer; what cannot be moved safely is refused
/// (``ParquetError/Code/unfit``) before anything is written, and the caller takes the long way.
package struct ParquetSplice: Equatable, Sendable {
    /// A row group of one of the files, both counted from 0.
    package struct Piece: Equatable, Sendable {
        package let file: Int
        package let group: Int

        package init(file: Int, group: Int) {
            self.file = file
            self.group = group
        }
    }

    /// Bytes that go from one of the files into the new one.
    private struct Copy: Equatable, Sendable {
        let file: Int
        let source: Range<Int>
        let offset: Int
    }

    private let pieces: [Piece]
    private var copies: [Copy] = []
    /// Rows of each row group of the new file.
    package let rowCounts: [Int64]
    /// The new footer.
    package let footer: ParquetFooter
    /// What stands behind the row groups.
    private let ending: [UInt8]

    /// Row groups of one file: an ordinal has 16 bits.
    private static let groupsMax = Int(Int16.max)

    /// Plans a file of `pieces` in this order, each at most once.
    ///
    /// - Parameter footers: of the files; the first gives the schema.
    package init(_ pieces: [Piece], of footers: [ParquetFooter]) throws(ParquetError) {
        guard !pieces.isEmpty, pieces.count <= Self.groupsMax, let first = footers.first else {
            throw ParquetError(.unfit, "a file has no row groups, or too many")
        }
        var groups: [[ParquetRowGroup]] = []
        for footer in footers {
            guard Self.rest(of: footer) == Self.rest(of: first) else {
                throw ParquetError(.unfit, "the files differ in schema, metadata or writer")
            }
            groups.append(try footer.groups())
        }
        self.pieces = pieces
        var end = Parquet.magic.count
        func place(_ source: Range<Int>, of file: Int) -> Copy {
            defer { end += source.count }
            return Copy(file: file, source: source, offset: end)
        }
        let chosen = pieces.map { groups[$0.file][$0.group] }
        let data = zip(pieces, chosen).map { place($1.data, of: $0.file) }
        let filters = zip(pieces, chosen).map { piece, group in
            group.filters.map { place($0, of: piece.file) }
        }
        copies = data + filters.flatMap(\.self)
        rowCounts = chosen.map(\.rows)
        var fields = first.fields
        fields.set(ParquetFooter.Field.rows, to: rowCounts.reduce(0, +))
        fields.set(
            ParquetFooter.Field.rowGroups,
            to: chosen.indices.map { index in
                chosen[index].moved(
                    to: data[index].offset, filterOffsets: filters[index].map(\.offset),
                    ordinal: index)
            })
        footer = ParquetFooter(fields, offset: end)
        ending = try Parquet.ending(fields)
    }

    /// What the footers of files must have in common: everything but the rows.
    private static func rest(of footer: ParquetFooter) -> [ThriftStruct.Field] {
        footer.fields.fields.filter {
            $0.id != ParquetFooter.Field.rows && $0.id != ParquetFooter.Field.rowGroups
        }
    }

    /// Writes the new file, which must not be there yet. It is not synced.
    ///
    /// - Parameter paths: of the files, in the order of their footers.
    package func write(from paths: [String], to path: String) throws {
        let target = try File(opening: path, [.write, .create, .exclusive])
        try target.write(Parquet.magic, at: 0)
        for copy in copies {
            let source = try File(opening: paths[copy.file], .read)
            try Parquet.forEachRun(copy.source) { run in
                try target.write(
                    try source.bytes(run),
                    at: copy.offset + run.lowerBound - copy.source.lowerBound)
            }
        }
        try target.write(ending, at: footer.offset)
    }

    /// Whether the file at `path` has these row groups: its footer, read back, is the one that was planned, and at the places
    /// that it says lie the bytes of the files `paths`.
    package func isWritten(at path: String, from paths: [String]) throws -> Bool {
        let target = try File(opening: path, .read)
        let found = try ParquetFooter(target, bytes: try target.metadata().size)
        guard found == footer else { return false }
        let groups = try found.groups()
        guard groups.count == pieces.count, groups.map(\.rows) == rowCounts else { return false }
        let places = groups.map(\.data) + groups.flatMap(\.filters)
        guard places.count == copies.count else { return false }
        for (copy, place) in zip(copies, places) {
            guard copy.source.count == place.count else { return false }
            let source = try File(opening: paths[copy.file], .read)
            var isEqual = true
            try Parquet.forEachRun(place) { run in
                let step = copy.source.lowerBound - place.lowerBound
                let original = run.lowerBound + step..<run.upperBound + step
                if isEqual { isEqual = try target.bytes(run) == source.bytes(original) }
            }
            guard isEqual else { return false }
        }
        return true
    }
}

extension ParquetFooter {
    /// The row groups, checked as far as moving them asks for.
    func groups() throws(ParquetError) -> [ParquetRowGroup] {
        guard fields.field(Field.encryption) == nil, fields.field(Field.signingKey) == nil else {
            throw ParquetError(.unfit, "the file is encrypted or signed")
        }
        guard let structures = try fields.structures(Field.rowGroups) else { throw .malformed }
        var groups: [ParquetRowGroup] = []
        for structure in structures {
            groups.append(try ParquetRowGroup(structure, end: offset))
        }
        var rows: Int64 = 0
        for group in groups {
            let (sum, isOver) = rows.addingReportingOverflow(group.rows)
            guard !isOver else { throw .malformed }
            rows = sum
        }
        guard try fields.required(Field.rows) == rows else { throw .malformed }
        let places = groups.flatMap { [$0.data] + $0.filters }.sorted {
            $0.lowerBound < $1.lowerBound
        }
        for (one, next) in zip(places, places.dropFirst()) where one.upperBound > next.lowerBound {
            throw ParquetError(.unfit, "two parts of the file lie over each other")
        }
        return groups
    }
}
