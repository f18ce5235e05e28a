import CordonKeys
package import CordonModel
import CordonSubjects
import LinuxIO
import Synchronization

/// Who was erased in one region, as every delivery asks.
///
/// Each record of the ledger is checked by a keyed hash when it is read, so what was read is kept in memory for as long as
/// the file stays the same.
package final class ErasedPeople: Sendable {
    private let region: RegionConfiguration
    private let latest = Mutex<Reading?>(nil)

    private struct Reading {
        /// The file as it was before it was read: a ledger that grows meanwhile is read again next time.
        let file: File.Metadata
        let contents: ErasedLedger.Contents
    }

    package init(_ region: RegionConfiguration) { self.region = region }

    /// What tells the hits of people who were erased.
    package func filter() throws -> @Sendable (HitRecord) -> Bool {
        guard let file = try File.metadata(region.erasedLedgerPath) else { return { _ in false } }
        let contents = try contents(of: file)
        return { contents.contains($0) }
    }

    private func contents(of file: File.Metadata) throws -> ErasedLedger.Contents {
        if let latest = latest.withLock({ $0 }), latest.file == file { return latest.contents }
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let contents = try ErasedLedger(path: region.erasedLedgerPath, keys: keys).contents()
        latest.withLock { $0 = Reading(file: file, contents: contents) }
        return contents
    }
}
