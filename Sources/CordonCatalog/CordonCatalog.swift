/// A region's catalog: which metadata file each table is at, in one SQLite file beside the lake.
///
/// A commit is one transaction: it moves a table's pointer if nobody else has, records how far the journal has been
/// delivered, keeps dead letters, and settles which files are owed to the disk or to the bin. It reads and writes no
/// table file, and it never holds a value of a row except inside dead letters. Start at ``Catalog``.
package enum CordonCatalog {}

/// Why the catalog refused a change.
package enum CatalogError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The table's pointer is not where the writer expected it.
    case conflict(table: String)
    /// The file was made by a later version.
    case unsupportedVersion(Int64)

    package var description: String {
        switch self {
        case .conflict(let table):
            "table `\(table)` was changed by another writer; nothing was committed"
        case .unsupportedVersion(let version):
            "the catalog has layout version \(version), this program knows up to \(Catalog.layoutVersion)"
        }
    }
}
