/// All that a file's rows are made of, decoded: for who looks for bytes in whatever column holds them.
///
/// Refuses what it does not understand as ``ParquetRewrite`` does, and what is damaged. Values are plain, in a page or in a dictionary,
/// so whatever is in one lies in one piece in the bytes that are given. Used by one thread at a time.
package enum ParquetReading {
    /// Decodes every page of the file at `path`.
    ///
    /// - Parameter body: given the number of the first row of its row group and the bytes of a dictionary or page, unpacked.
    package static func forEachPage(
        of path: String, _ tools: ParquetTools, _ body: (_ row: Int, _ bytes: Span<UInt8>) -> Void
    ) throws {
        let file = try ParquetSource(path)
        let footer = try file.footer()
        let leaves = try tools.leaves(of: footer)
        var row = 0
        for group in try footer.groups() {
            for (place, leaf) in zip(try group.chunks(of: leaves), leaves) {
                let chunk = try ParquetChunk(try file.bytes(place.data), place, leaf)
                try withoutActuallyEscaping(body) { body in
                    _ = try tools.digester.digest(
                        chunk, keeping: nil, of: Int(group.rows), hasIdleValues: true
                    ) { body(row, $0) }
                }
            }
            row += Int(group.rows)
        }
    }
}
