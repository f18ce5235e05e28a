import CordonModel
import LinuxIO

extension HitsTable.Settings {
    /// A region, and the file in its lake's folder that says so.
    ///
    /// Two regions that deliver into one folder would each take the other's files for nobody's and delete them. The
    /// configuration is checked against that; the mark also tells what no configuration shows, such as a folder that is
    /// mounted in two places.
    package struct Owner: Sendable {
        package var region: String
        package var markPath: String

        package init(region: String, markPath: String) {
            self.region = region
            self.markPath = markPath
        }
    }
}

extension HitsTable {
    /// Throws when the lake's folder is marked as another region's.
    package func requireNotForeign() throws { _ = try isMarked() }

    /// Whether the folder is marked as this region's, or need not be.
    func isMarked() throws -> Bool {
        guard let owner = settings.owner else { return true }
        guard let mark = try File.readIfPresent(owner.markPath) else { return false }
        guard mark == Array((owner.region + "\n").utf8) else {
            let other = String(decoding: mark.prefix { $0 != 0x0A }.prefix(40), as: UTF8.self)
            throw LakeError(
                .foreignLake,
                "`\(File.parent(of: owner.markPath))` is marked as the lake of region `\(other)`, so region `\(owner.region)` "
                    + "does not write there: name another `lake.location` in one of their files")
        }
        return true
    }
}

extension LakeWriter {
    /// Marks the lake's folder as this region's; throws when it is another's.
    ///
    /// A lake of an earlier version has no mark. It is this region's when the region's catalog knows it.
    func requireOwnFolder() throws {
        guard try !table.isMarked(), let owner = settings.owner else { return }
        if let head = try catalog.tableHead(name) {
            try files.requireOwn(try TableFiles.path(of: head.metadataLocation))
        } else {
            try requireNoTable(owner)
        }
        try Directory.create(File.parent(of: owner.markPath))
        _ = try File.create(owner.markPath, Array((owner.region + "\n").utf8))
        // Another region may have been faster.
        _ = try table.isMarked()
    }

    /// Throws when there is a table's metadata in the folder that this region's catalog, which has no table, did not write.
    private func requireNoTable(_ owner: HitsTable.Settings.Owner) throws {
        guard try File.exists(files.metadataDirectory) else { return }
        let own = try Set(
            catalog.writtenFiles(table: name) + catalog.unreferencedFiles(table: name))
        let isForeign = try Directory.list(files.metadataDirectory).contains { file in
            file.hasSuffix(".metadata.json")
                && !own.contains(TableFiles.uri(of: files.metadataDirectory + "/" + file))
        }
        guard !isForeign else {
            throw LakeError(
                .foreignLake,
                "`\(settings.directory)` holds a table that the catalog of region `\(owner.region)` does not know: it is another "
                    + "region's, or the catalog is not the one that the lake was written with")
        }
    }
}
