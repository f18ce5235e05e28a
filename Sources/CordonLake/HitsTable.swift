package import CordonModel
package import Iceberg
import LinuxIO
import Synchronization

/// The table `pixels.hits` of one region.
///
/// Any thread may use it. Reading takes no lock; ``write(_:)`` waits for the region's lake lock.
package final class HitsTable: Sendable {
    package let settings: Settings
    let catalog: any TableCatalog
    let clock: any WallClock
    /// Tells the audit log; throws when it cannot be told, and then nothing happens.
    let audit: @Sendable (LakeEvent) throws -> Void
    /// What may not be removed; asked under the lake lock by whoever removes.
    let gate: @Sendable () throws -> RemovalGate
    /// Asked at each delivery for what tells the hits of people who were erased: a journal from a backup may hold them.
    let erased: @Sendable () throws -> @Sendable (HitRecord) -> Bool
    /// Seals hits on their way into the table; asked for under the lake lock. Nil where no column is sealed.
    let sealer: @Sendable () throws -> (any HitSealer)?
    /// Called between effects; throws in tests.
    let step: @Sendable (LakeStep) throws -> Void
    /// Files in which nothing of what is due was found.
    let settled = Mutex<Set<SettledFile>>([])

    /// Where the table is and what its work may cost.
    package struct Settings: Sendable {
        /// Folder of the table, absolute; `data` and `metadata` lie in it.
        package var directory: String
        /// Locked by whoever writes.
        package var lockPath: String
        /// For what the engine cannot hold in memory; emptied before and after each use.
        package var scratchDirectory: String
        /// Folder of the filters of who is in each data file.
        package var personIndexDirectory: String
        /// Whose the lake is; nil where its folder is not marked.
        package var owner: Owner?
        /// Bound on the engine's memory.
        package var engineMegabytesMax = 768
        package var engineThreads = 2
        /// The same while it writes files without rows that go: with what the process has itself, an erasure stays below 512 MB.
        package var rewriteMegabytesMax = 192
        /// Whether files that lose rows are written anew page by page where that can be; else the engine writes all that lose some.
        package var writesPages = true
        /// Rows of a row group.
        package var rowGroupRows = HitsSchema.rowGroupRows
        /// Most hits that one commit delivers: bounds memory, and how long the lock is held.
        package var deliveryRowsMax = 400_000
        /// Journal bytes read, decoded and given to the engine at a time.
        package var journalBytesPerRead = 16 << 20
        /// A snapshot stays at least so long after another took its place, for whoever reads it.
        package var snapshotSecondsMin = 600
        /// So many of the newest snapshots stay however old they are.
        package var snapshotsMin = 10
        /// Older metadata files that the newest names.
        package var metadataLogMax = 10
        /// A snapshot of more manifests than this gets its small ones merged.
        package var manifestsMax = 32
        /// A manifest above this size is left out of merging.
        package var mergedManifestBytesMax = 8 << 20
        /// So many manifests that could be merged make maintenance merge them.
        package var manifestsToMerge = 16
        /// So many small files of a partition are made one.
        package var compactFiles = 8
        /// A file below it is small.
        package var smallFileBytes: Int64 = 32 << 20
        /// Files are made one as long as they stay below it together.
        package var compactedFileBytes: Int64 = 128 << 20
        /// A file that nothing refers to goes when it was not changed for so long.
        package var orphanSecondsMin = 72 * 3600

        package init(directory: String, lockPath: String, scratchDirectory: String) {
            self.directory = directory
            self.lockPath = lockPath
            self.scratchDirectory = scratchDirectory
            personIndexDirectory = File.parent(of: lockPath) + "/lake-index"
        }

        /// The settings for a region's table.
        package init(_ region: RegionConfiguration) {
            self.init(
                directory: region.hitsTableDirectory, lockPath: region.lakeLockPath,
                scratchDirectory: region.lakeScratchDirectory)
            owner = Owner(region: region.name, markPath: region.lakeMarkPath)
            let maintenance = region.maintenance
            snapshotSecondsMin = maintenance.snapshotMinutes * 60
            snapshotsMin = maintenance.snapshotsMin
            manifestsToMerge = maintenance.manifests
            compactFiles = maintenance.compactFiles
            smallFileBytes = Int64(maintenance.smallMegabytes) << 20
            compactedFileBytes = Int64(maintenance.fileMegabytes) << 20
            orphanSecondsMin = maintenance.orphanHours * 3600
        }
    }

    package init(
        _ settings: Settings, catalog: any TableCatalog, clock: any WallClock,
        audit: @escaping @Sendable (LakeEvent) throws -> Void,
        gate: @escaping @Sendable () throws -> RemovalGate = { RemovalGate() },
        erased: @escaping @Sendable () throws -> @Sendable (HitRecord) -> Bool = { { _ in false } },
        sealer: @escaping @Sendable () throws -> (any HitSealer)? = { nil },
        step: @escaping @Sendable (LakeStep) throws -> Void = { _ in }
    ) {
        self.settings = settings
        self.catalog = catalog
        self.clock = clock
        self.audit = audit
        self.gate = gate
        self.erased = erased
        self.sealer = sealer
        self.step = step
    }

    /// The same table, worked on with other settings.
    package func with(_ change: (inout Settings) -> Void) -> HitsTable {
        var settings = settings
        change(&settings)
        return HitsTable(
            settings, catalog: catalog, clock: clock, audit: audit, gate: gate, erased: erased,
            sealer: sealer, step: step)
    }
}

/// One data file as readers need it.
package struct DataFileRef: Hashable, Sendable {
    /// Absolute path.
    package let path: String
    package let records: Int64
    package let bytes: Int64
    /// Day of every hit in it.
    package let day: Day
    /// The first day on which its hits may no longer be read.
    package let retainUntil: Day
    /// Columns that there were not yet when it was written: null in all of its rows.
    package var lacking: Set<String> = []
    /// Between which every `site` lies; nil where the manifest does not say so.
    package var sites: TextBounds?
}

/// The data files of one state of the table.
package struct LakeSnapshot: Equatable, Sendable {
    /// URI of the metadata file; nil when nothing was ever delivered.
    package let metadataLocation: String?
    package let snapshotID: Int64?
    package let sequenceNumber: Int64
    /// Ascending by day, end of retention and path.
    package let files: [DataFileRef]

    package var records: Int64 { files.reduce(0) { $0 + $1.records } }
    package var bytes: Int64 { files.reduce(0) { $0 + $1.bytes } }
}

/// The table with all that a reader of its metadata can reach.
package struct OpenTable: Sendable {
    /// URI of the metadata file.
    package let metadataLocation: String
    package let metadata: TableMetadata
    package let files: [DataFileRef]
}

extension HitsTable {
    /// How often a reader starts over when a writer deleted a metadata file under it.
    private static let readAttemptsMax = 5

    /// The data files of the current snapshot.
    package func snapshot() throws -> LakeSnapshot {
        try reading { metadata, location, files in
            guard let metadata, let current = metadata.currentSnapshot else {
                return LakeSnapshot(
                    metadataLocation: location, snapshotID: nil,
                    sequenceNumber: metadata?.lastSequenceNumber ?? 0, files: [])
            }
            let refs = try files.dataFiles(of: current).map { try DataFileRef($0) }
            return LakeSnapshot(
                metadataLocation: location, snapshotID: current.snapshotID,
                sequenceNumber: current.sequenceNumber,
                files: refs.sorted {
                    ($0.day, $0.retainUntil, $0.path) < ($1.day, $1.retainUntil, $1.path)
                })
        }
    }

    /// The table as outside readers see it; nil when there is no table yet.
    ///
    /// Its files are those of every snapshot that the metadata names, since a reader may go back to any.
    package func open() throws -> OpenTable? {
        try reading { metadata, location, files in
            guard let metadata, let location else { return nil }
            var manifests: [String: ManifestFile] = [:]
            for snapshot in metadata.snapshots {
                for file in try files.manifests(of: snapshot) { manifests[file.path] = file }
            }
            var found: Set<DataFileRef> = []
            for manifest in manifests.values {
                for entry in try files.manifest(manifest).entries where entry.status != .deleted {
                    found.insert(try DataFileRef(entry.file))
                }
            }
            return OpenTable(metadataLocation: location, metadata: metadata, files: Array(found))
        }
    }

    /// The table's metadata; nil when there is no table yet.
    package func metadata() throws -> TableMetadata? {
        try reading { metadata, _, _ in metadata }
    }

    /// Number of the last journal batch that is in the table.
    package func deliveredThrough() throws -> Int64 {
        try catalog.tableHead(HitsSchema.tableName)?.deliveredThrough ?? 0
    }

    /// The catalog's head may move, and files behind it go, while they are read; then all is read again.
    private func reading<Result>(
        _ body: (TableMetadata?, String?, TableFiles) throws -> Result
    ) throws -> Result {
        let files = TableFiles(directory: settings.directory)
        var attempt = 1
        while true {
            let head = try catalog.tableHead(HitsSchema.tableName)
            do {
                let metadata = try head.map { try files.metadata($0.metadataLocation) }
                return try body(metadata, head?.metadataLocation, files)
            } catch let error as LinuxError where error.isMissing && attempt < Self.readAttemptsMax
            {
                attempt += 1
            }
        }
    }
}

extension DataFileRef {
    init(_ file: DataFile) throws {
        guard file.partition.count == 2, let day = file.partition[0], let due = file.partition[1]
        else {
            throw LakeError(.damagedTable, "a data file has no day or no end of retention")
        }
        path = try TableFiles.path(of: file.path)
        records = file.recordCount
        bytes = file.fileBytes
        self.day = Day(number: day)
        retainUntil = Day(number: due)
        lacking = HitsSchema.lacking(file.valueCounts.keys)
        sites = file.lowerBounds[HitsSchema.siteID].map {
            TextBounds(lower: $0, upper: file.upperBounds[HitsSchema.siteID])
        }
    }
}
