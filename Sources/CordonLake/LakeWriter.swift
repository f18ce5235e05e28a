import Bytes
package import CordonModel
import Iceberg
import LinuxIO
import Parquet

extension HitsTable {
    /// Waits for the lake lock, puts the table's files in order after what may have happened to the last writer, and
    /// lets `body` change the table. Blocks its thread.
    package func write<Result>(_ body: (LakeWriter) throws -> Result) throws -> Result {
        try alone { writer in
            try writer.requireOwnFolder()
            try writer.recover()
            return try body(writer)
        }
    }

    /// Lets `body` look at the table while nobody changes it. It deletes nothing of the table that a killed writer left.
    ///
    /// Others that look wait too: its engine empties the scratch folder, which is for who holds the lock alone.
    func look<Result>(_ body: (LakeWriter) throws -> Result) throws -> Result { try alone(body) }

    private func alone<Result>(_ body: (LakeWriter) throws -> Result) throws -> Result {
        try Directory.create(File.parent(of: settings.lockPath))
        // Who waits for the lock holds its door. So whoever takes the lock again and again (a compaction of many groups) lets
        // those that wait go first, and a delivery is not kept from being in time.
        let door = try FileLock(waitingFor: settings.lockPath + ".door")
        let lock = try FileLock(waitingFor: settings.lockPath)
        _ = consume door
        return try withExtendedLifetime(lock) { try body(LakeWriter(self)) }
    }
}

/// Changes the table while the lake lock is held. Only ``HitsTable/write(_:)`` and ``HitsTable/look(_:)`` make one.
///
/// When a change throws, the table is as before or as after; what it left on disk besides is removed by the next
/// writer. So each operation may simply be asked for again.
package final class LakeWriter {
    let table: HitsTable
    let files: TableFiles
    private var startedEngine: LakeEngine?
    private var madeTools: ParquetTools?
    /// Rows that a removal has found, as far as they are few.
    var found = FoundRows()
    /// A footer whose schema is the table's, by which others are told.
    var ownFooter: ParquetFooter?
    /// Files that were written page by page.
    var filesByPages = 0

    fileprivate init(_ table: HitsTable) {
        self.table = table
        files = TableFiles(directory: table.settings.directory, manifests: ReadManifests())
    }

    var settings: HitsTable.Settings { table.settings }
    var catalog: any TableCatalog { table.catalog }
    let name = HitsSchema.tableName

    /// The engine, started on first use.
    func engine() throws -> LakeEngine {
        if let startedEngine { return startedEngine }
        let engine = try LakeEngine(settings)
        startedEngine = engine
        return engine
    }

    /// What opens and writes pages of data files, made on first use.
    func tools() throws -> ParquetTools {
        if let madeTools { return madeTools }
        let tools = try ParquetTools()
        madeTools = tools
        return tools
    }

    /// Deletes what belongs to nobody: files that a killed writer had noted, and files that its commit had
    /// made unreferenced.
    fileprivate func recover() throws {
        try LakeEngine.clearScratch(settings.scratchDirectory)
        try deleteFiles(try catalog.writtenFiles(table: name))
        try deleteFiles(try catalog.unreferencedFiles(table: name))
    }

    /// Deletes files for good: unlinks them, syncs their folders, and only then forgets them.
    ///
    /// - Parameter uris: `file:///` locations inside of the table.
    /// - Returns: how many there were.
    @discardableResult
    func deleteFiles(_ uris: [String]) throws -> Int {
        guard !uris.isEmpty else { return 0 }
        let paths = try uris.map { uri in
            let path = try TableFiles.path(of: uri)
            guard path.hasPrefix(settings.directory + "/"), !path.contains("/../") else {
                throw LakeError(.foreignPath, "a file to delete is outside of the table's folder")
            }
            return path
        }
        try removePersonIndexes(of: paths)
        var folders: Set<String> = []
        for path in paths {
            try File.remove(path)
            folders.insert(File.parent(of: path))
            try table.step(.fileDeleted)
        }
        for folder in folders where try File.exists(folder) { try Directory.sync(folder) }
        for folder in folders { try removeEmptyFolders(from: folder) }
        try catalog.forgetFiles(uris, table: name)
        try table.step(.deletedFilesForgotten)
        return uris.count
    }

    /// Removes a partition's folder and those above it as far as they are empty.
    private func removeEmptyFolders(from folder: String) throws {
        var folder = folder
        while folder.hasPrefix(files.dataDirectory + "/"), try File.exists(folder),
            try Directory.list(folder).isEmpty
        {
            try Directory.removeEmpty(folder)
            folder = File.parent(of: folder)
            try Directory.sync(folder)
        }
    }

    /// Writes a new file and syncs it; its name is on disk once its folder is synced.
    func writeNew(_ path: String, _ bytes: [UInt8]) throws {
        let file = try File(opening: path, [.write, .create, .exclusive])
        try file.write(bytes)
        try file.sync()
    }

    /// A random UUID (version 4) as text.
    static func uuid() -> String {
        var value = UInt128.random(in: .min ... .max)
        value &= ~(UInt128(0xF) << 76) & ~(UInt128(3) << 62)
        value |= UInt128(4) << 76 | UInt128(2) << 62
        var bytes: [UInt8] = []
        bytes.append(bigEndian: value)
        let text = Array(Bytes.hex(bytes))
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(text[$0]) }
            .joined(separator: "-")
    }

    /// Path of a new data file.
    func newDataPath(day: Day) -> String {
        let (year, month, dayOfMonth) = day.civil
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return
            "\(files.dataDirectory)/year=\(year)/month=\(two(month))/day=\(two(dayOfMonth))/\(Self.uuid()).parquet"
    }
}

extension HitsTable: RestingWriter {
    package static let rests: [Rest] =
        LakeEngine.rests + PersonIndex.rests + LakeWriter.restRests
        + [LakeWriter.correctedRest, LakeWriter.manifestsRest]
}
