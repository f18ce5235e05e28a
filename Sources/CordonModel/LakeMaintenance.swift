/// How a region's lake is kept in order: what a region file says under `maintenance`.
package struct LakeMaintenance: Equatable, Sendable {
    /// A hit can be read at most so long after it was answered, while the machine keeps up.
    package var freshnessSeconds = 60
    /// How often retention, field ages, compaction and what follows them are looked at.
    package var everyMinutes = 10
    /// Small files of one partition from which on they are made one.
    package var compactFiles = 8
    /// A file below it is small.
    package var smallMegabytes = 32
    /// Files are made one as long as they stay below it together.
    package var fileMegabytes = 128
    /// Small manifests from which on they are made few.
    package var manifests = 16
    /// A snapshot stays at least so long, so that whoever reads it finds its files to the end.
    package var snapshotMinutes = 10
    /// So many of the newest snapshots stay however old they are.
    package var snapshotsMin = 10
    /// A file that nothing refers to and nobody is writing goes when it is so old.
    package var orphanHours = 72
    /// A batch that could not be delivered goes when it is so old: nobody can tell when its hits are due.
    package var deadLetterDays = 30

    package static let freshnessSecondsRange = 2...3600
    package static let everyMinutesRange = 1...1440
    package static let compactFilesRange = 2...10_000
    package static let smallMegabytesRange = 1...1024
    package static let fileMegabytesRange = 2...4096
    package static let manifestsRange = 2...1000
    /// The least is twice what a query may run.
    package static let snapshotMinutesRange = 2...43_200
    package static let snapshotsMinRange = 1...1000
    package static let orphanHoursRange = 1...8760
    package static let deadLetterDaysRange = 1...3660

    package init() {}

    /// How long hits wait in the journal before the next delivery begins: a delivery that takes as long as five such
    /// pauses is still in time.
    package var deliverySeconds: Int { max(1, freshnessSeconds / 6) }
}
