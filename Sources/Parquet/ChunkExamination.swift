/// A column chunk of any bytes, written anew without some rows and read by both readers: for whoever tries it with bytes of strangers.
package enum ChunkExamination {
    /// Entries of a chunk that is tried; more would only last.
    private static let entriesMax = 1 << 12
    /// Bytes of an input that say what the chunk is to be taken for.
    private static let shapeBytes = 4

    /// What went wrong with a chunk that is not packed; nil when it was refused, or both readers agree.
    ///
    /// - Parameter input: physical type, definition and repetition level, a number that chooses the rows, and the bytes of the chunk.
    package static func fault(in input: [UInt8]) -> String? {
        guard input.count >= shapeBytes, let kind = ParquetLeaf.Kind(rawValue: Int64(input[0] % 8))
        else { return nil }
        let leaf = ParquetLeaf(
            kind, definitionMax: Int(input[1] % 4), repetitionMax: Int(input[2] % 3))
        do {
            let chunk = try ParquetChunk(Array(input[shapeBytes...]), .none, leaf)
            guard chunk.entries <= entriesMax, chunk.dictionary?.count ?? 0 <= entriesMax else {
                return nil
            }
            let tools = try ParquetTools()
            let rows = try rows(of: chunk, tools)
            let kept = (0..<rows).filter { UInt8(truncatingIfNeeded: $0 &* 7) & input[3] == 0 }
                .map { $0..<$0 + 1 }
            guard !kept.isEmpty else { return nil }
            let new = try tools.rewriter.rewrite(chunk, nil, keeping: kept, of: rows)
            guard let expected = try? tools.digester.digest(chunk, keeping: kept, of: rows) else {
                return nil
            }
            guard let written = try? ParquetChunk(new.bytes, .none, leaf),
                let found = try? tools.digester.digest(written, keeping: nil, of: kept.count)
            else { return "what was written cannot be read" }
            return found == expected && written.entries == new.description.entries
                ? nil : "what was written is something else"
        } catch {
            return error is ParquetError ? nil : "\(error)"
        }
    }

    private static func rows(of chunk: ParquetChunk, _ tools: ParquetTools) throws -> Int {
        var cursor = EntryCursor([])
        for page in chunk.pages {
            try tools.reader.open(page, of: chunk)
            _ = try cursor.entries(of: page, tools.reader)
        }
        return cursor.rows
    }
}

extension ParquetLeaf {
    /// A column of no schema.
    fileprivate init(_ kind: Kind, definitionMax: Int, repetitionMax: Int) {
        path = []
        name = ""
        self.kind = kind
        width =
            switch kind {
            case .boolean, .byteArray: 0
            case .int32, .float: 4
            case .int64, .double: 8
            case .int96: 12
            case .fixed: 16
            }
        self.definitionMax = definitionMax
        self.repetitionMax = repetitionMax
        order = nil
    }
}
