package import CordonModel

/// What the lake needs of a catalog; `CordonCatalog` supplies it.
package protocol TableCatalog: Sendable {
    /// Where a table stands; nil when there is no such table.
    func tableHead(_ table: String) throws -> (metadataLocation: String, deliveredThrough: Int64)?

    /// Moves a table's pointer from `expected` (nil: the table must not exist) to `new` in one transaction, together
    /// with how far the journal is delivered, which noted files are now owned, which files are now
    /// unreferenced, which batches are dead letters, which dead letters (by id) no longer are, and which hits are on their way to
    /// other regions. Throws, changing nothing, when the pointer stands elsewhere.
    func commit(
        table: String, expecting expected: String?, new location: String, deliveredThrough: Int64?,
        committed: [String], unreferenced: [String],
        deadLetters: [DeadBatch], resolved: [Int64], outgoing: [OutgoingBatch],
        at time: Timestamp) throws

    /// Notes files that are about to be written.
    func noteWriting(_ paths: [String], table: String) throws
    /// Noted files that no commit has taken over.
    func writtenFiles(table: String) throws -> [String]
    /// Files that a commit made unreferenced and that may still be on disk.
    func unreferencedFiles(table: String) throws -> [String]
    /// Notes files that no state of the table refers to and that are about to be deleted.
    func noteUnreferenced(_ paths: [String], table: String) throws
    /// Says that these files are gone from the disk for good.
    func forgetFiles(_ paths: [String], table: String) throws

    /// The ids of the dead letters, oldest first; of those from before `time` when that is given.
    func deadLetterIDs(table: String, before time: Timestamp?) throws -> [Int64]
    /// One dead letter; nil when there is none of that id any more.
    func storedDeadLetter(
        _ id: Int64, table: String
    ) throws -> (batch: Int64, bytes: [UInt8], at: Timestamp)?
    /// Removes dead letters so that no byte stays on disk of them and of those that were removed before.
    func removeDeadLetters(_ ids: [Int64], table: String) throws
}
