/// The lake of one region: the table `pixels.hits` as Parquet data files under Apache Iceberg metadata.
///
/// Delivery takes batches from the journal and makes them readable exactly once; rewriting, dropping, expiring and
/// deleting take rows and files away for good; maintenance makes
/// few files of many and lets values go whose age is over. Every change is one catalog commit. A file is noted in the catalog
/// before it is written and again before it is deleted, so after a kill at any point the next writer knows which files
/// belong to nobody and removes them.
///
/// INVARIANT: no manifest of the table holds a bound of a personal column or an entry of a removed file, and no
/// data file lacks a field id.
///
/// Writers hold the region's lake lock. The lake does not decide who may read, and knows the catalog only as
/// ``TableCatalog``. Start at ``HitsTable``.
package enum CordonLake {}

/// Why the lake could not be read or changed. Holds no value of a row.
package struct LakeError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// A file of the table is not what the table's metadata say.
        case damagedTable
        /// A data file was not written as it must be; it is not committed.
        case unfitDataFile
        /// The journal has numbered fewer batches than the table says it has taken.
        case foreignJournal
        /// The table was made in another folder than the one in which it is looked for.
        case movedTable
        /// The lake's folder is marked as another region's, or holds a table that is not this region's.
        case foreignLake
        /// The table has a column that only a later version knows.
        case laterTable
        /// A path is outside of the table's folder.
        case foreignPath
        /// A change was asked of a lake that was opened for reading.
        case openedForReading
        /// A hold forbids to remove what was to go.
        case held
    }
    package let code: Code
    package let detail: String

    package init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    package var description: String { detail }
}

/// Points between the effects of a change; a test throws at one to see what a kill there leaves behind.
package enum LakeStep: String, CaseIterable, Sendable {
    /// The catalog knows of data files that do not exist yet.
    case dataFilesNoted
    case dataFileWritten
    case dataFileSynced
    /// The catalog knows of metadata files that do not exist yet.
    case metadataFilesNoted
    case manifestWritten
    case manifestListWritten
    case metadataWritten
    /// The audit log has the entry; nothing is visible yet.
    case audited
    /// The catalog's pointer has moved.
    case committed
    case journalTrimmed
    case fileDeleted
    case deletedFilesForgotten
    case deadLettersRemoved
    /// The catalog knows which files that nothing refers to are to be deleted.
    case orphansNoted
}

/// What the lake says to the audit log before an effect is visible.
package struct LakeEvent: Equatable, Sendable {
    package enum Kind: String, Sendable {
        case delivery
        case rewrite = "lake-rewrite"
        case drop = "lake-drop"
        case expiry = "lake-expiry"
        /// Small files became one; no row came or went.
        case compaction = "lake-compaction"
        case manifests = "lake-manifests"
        /// Values past their age are gone; no row came or went.
        case fieldAges = "lake-field-ages"
        /// Rows became what is kept without consent that was taken back.
        case consent = "lake-consent"
        /// Files that nothing refers to are deleted; the table stays as it is.
        case orphans = "lake-orphans"
        case relocation = "lake-relocation"
        /// A dead letter became rows.
        case deadLetters = "lake-dead-letters"
        /// Dead letters were removed because of their age.
        case deadLettersEnded = "lake-dead-letters-ended"
    }
    package let kind: Kind
    /// Counts by name, such as `rows` or `policy gdpr`.
    package internal(set) var counts: [String: Int]

    /// The batch behind which a delivery began.
    package static let afterBatch = "after-batch"
    /// The last batch of a delivery. The entry stands before the change; one that a kill left without its change has the
    /// same `after-batch` as the one that followed.
    package static let throughBatch = "through-batch"
    /// Number of the metadata file that the change makes; equally repeated when a kill came between.
    package static let tableVersion = "table-version"
    /// Before a policy's name: rows that came or went.
    package static let rowsPrefix = "policy "
    /// Before a policy's name: hits that a delivery left out because their person was erased.
    package static let leftOutPrefix = "left-out "
    /// Before a region's name: rows that left for it.
    package static let destinationPrefix = "to "
    /// Before a policy's name: hits of batches that went to the dead letters.
    package static let deadPrefix = "dead "

    /// Before a field's name: values of it that went.
    package static let fieldPrefix = "field "

    /// The number of a metadata file; -1 when its name has none.
    package static func version(of metadataLocation: String) -> Int64 {
        Int64(metadataLocation.split(separator: "/").last?.prefix { $0 != "-" } ?? "") ?? -1
    }
}
