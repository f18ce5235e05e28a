internal import Compression
internal import CordonCatalog
internal import Foundation
internal import Iceberg
internal import LinuxIO
internal import Parquet

/// The folders of clients' tables, and the files that clients put there, which may be anything.
///
/// A table lies in `<lake>/<namespace>/<table>-<uuid>`, a folder that the service chooses once and no other table shares. What a
/// snapshot names must lie below it, be a plain file reached through no link, and be what it is said to be.
struct ClientFiles: Sendable {
    /// Folder of the region's lake.
    let root: String

    private static let scheme = "file://"
    /// A manifest list or manifest, packed and unpacked, in bytes.
    static let avroBytesMax = 32 << 20
    /// Manifests that a snapshot may list, and files that it may add.
    static let manifestsMax = 5000
    static let filesMax = 50_000

    func location(_ namespace: String, _ name: String, _ uuid: String) -> String {
        Self.scheme + "\(root)/\(namespace)/\(name)-\(uuid)"
    }

    func isSame(_ uri: String, _ location: String) -> Bool {
        var path = Self.bare(uri)
        if path.hasSuffix("/") { path = path.dropLast() }
        return path == Self.bare(location)
    }

    private static func bare(_ uri: String) -> Substring {
        uri.hasPrefix(scheme + "/") ? uri.dropFirst(scheme.count) : uri[...]
    }

    func makeFolders(_ location: String) throws {
        for folder in ["metadata", "data"] {
            try Directory.create(String(Self.bare(location)) + "/" + folder)
        }
    }

    /// Writes a metadata file under a name that no other has.
    ///
    /// - Parameter previous: the file that it follows; its number goes up by one.
    func write(_ bytes: [UInt8], of location: String, after previous: String?) throws -> String {
        let name = previous.map { File.name(of: $0) } ?? ""
        let number = (Int(name.prefix { $0 != "-" }) ?? -1) + 1
        let digits = String(number)
        let padded = String(repeating: "0", count: max(0, 5 - digits.count)) + digits
        let file = "\(padded)-\(UUID().uuidString.lowercased()).metadata.json"
        let folder = String(Self.bare(location)) + "/metadata"
        // The client may have removed what it did not write to.
        try Directory.create(folder)
        try File.write(folder + "/" + file, bytes)
        return "\(location)/metadata/\(file)"
    }

    /// Deletes a metadata file that no commit took.
    func discard(_ metadataLocation: String) {
        // A file that stays is one that nothing names.
        _ = try? File.remove(String(Self.bare(metadataLocation)))
    }

    /// Deletes a table's folder with all in it; links in it are deleted and not followed.
    func remove(_ location: String) -> Bool {
        let path = String(Self.bare(location))
        guard path.hasPrefix(root + "/"), !path.contains("/../"),
            path.dropFirst(root.count).split(separator: "/").count == 2
        else { return false }
        guard FileManager.default.fileExists(atPath: path) else { return true }
        do {
            try FileManager.default.removeItem(atPath: path)
            return true
        } catch { return false }
    }

    func metadata(_ table: ClientTable) throws -> TableMetadata {
        let bytes = try read(String(Self.bare(table.metadataLocation)))
        let metadata = try TableMetadata(decoding: bytes)
        // The file lies where its owner writes: one that is no longer what was committed is not passed on.
        guard metadata.tableUUID == table.uuid, isSame(metadata.location, table.location) else {
            throw IcebergError(.notMetadata, "the metadata file of a client's table was changed")
        }
        return metadata
    }

    private func read(_ path: String) throws -> [UInt8] {
        let file = try File(opening: path, [.read, .noFollow])
        let found = try file.metadata()
        guard found.isRegularFile, found.size <= Self.avroBytesMax else {
            throw IcebergError(
                .notMetadata, "a file of a client's table is no plain file or too large")
        }
        return try file.readToEnd()
    }
}

// What a snapshot names.
extension ClientFiles {
    private static func forged(_ message: String) -> APIError {
        .hostile(message, reason: "forged-files")
    }

    /// The path of a file that `uri` names below `folder` of the table at `location`, after a look at every step of it.
    @discardableResult
    func requireFile(
        _ uri: String, of location: String, in folder: String?
    ) throws(APIError) -> String {
        let path = Self.bare(uri)
        let top = Self.bare(location) + (folder.map { "/" + $0 } ?? "")
        guard path.hasPrefix(top + "/"), path.utf8.count <= 1024,
            path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F && $0 != 0x5C })
        else {
            throw Self.forged("a file is named that does not lie in the table's own folder")
        }
        var walked = String(Self.bare(location))
        let steps = path.dropFirst(walked.count + 1).split(
            separator: "/", omittingEmptySubsequences: false)
        for (index, step) in steps.enumerated() {
            guard !step.isEmpty, step != ".", step != ".." else {
                throw Self.forged("the path of a file has a step that leads elsewhere")
            }
            walked += "/" + step
            // Looks at the link itself, not at what it points to.
            let attributes = try? FileManager.default.attributesOfItem(atPath: walked)
            let kind = attributes?[.type] as? FileAttributeType
            let expected: FileAttributeType =
                index == steps.count - 1 ? .typeRegular : .typeDirectory
            guard kind == expected else {
                throw Self.forged("a file is named that is not there, or is reached through a link")
            }
        }
        return walked
    }

    /// Throws unless the snapshot's files are what it says.
    ///
    /// - Parameter base: the table before; manifests that its snapshots list were looked at then.
    func require(_ snapshot: Snapshot, of location: String, base: TableMetadata?) throws {
        let list = try self.list(snapshot.manifestList, location)
        guard list.entries.count <= Self.manifestsMax else {
            throw Self.forged("the snapshot lists more than \(Self.manifestsMax) manifests")
        }
        var known: Set<ForeignManifestList.Entry> = []
        if let base,
            let parent = base.snapshots.first(where: {
                $0.snapshotID == snapshot.parentSnapshotID
            })
        {
            known = Set(try self.list(parent.manifestList, location).entries)
        }
        var files = 0
        for entry in list.entries {
            guard entry.content == 0 else {
                throw APIError.bad(
                    "the snapshot has delete files, which leave the rows where they are: rewrite the files instead"
                )
            }
            if known.contains(entry) { continue }
            let path = try requireFile(entry.path, of: location, in: "metadata")
            let manifest: ForeignManifest
            do {
                let bytes = try read(path)
                guard bytes.count == entry.bytes else {
                    throw Self.forged("a manifest has another length than its list says")
                }
                manifest = try ForeignManifest(decoding: bytes, inflate: Self.inflate)
            } catch let error as APIError {
                throw error
            } catch {
                throw Self.forged("a manifest of the snapshot cannot be read: \(error)")
            }
            for file in manifest.entries where file.status != 2 {
                files += 1
                guard files <= Self.filesMax else {
                    throw Self.forged("the snapshot adds more than \(Self.filesMax) files")
                }
                try require(file, location)
            }
        }
    }

    private func list(_ uri: String, _ location: String) throws -> ForeignManifestList {
        let path = try requireFile(uri, of: location, in: "metadata")
        do {
            return try ForeignManifestList(decoding: read(path), inflate: Self.inflate)
        } catch {
            throw Self.forged("the manifest list of the snapshot cannot be read: \(error)")
        }
    }

    private func require(
        _ entry: ForeignManifest.Entry, _ location: String
    ) throws(APIError) {
        guard entry.content == 0, entry.format.uppercased() == "PARQUET" else {
            throw Self.forged("a data file is not said to be Parquet")
        }
        guard entry.recordCount >= 0 else {
            throw Self.forged("a data file has fewer than no rows")
        }
        let path = try requireFile(entry.path, of: location, in: nil)
        do {
            let file = try File(opening: path, [.read, .noFollow])
            guard try file.metadata().size == entry.fileBytes else {
                throw Self.forged("a data file has another length than its manifest says")
            }
            let footer = try ParquetFooter(file, bytes: Int(entry.fileBytes))
            // Every column has one; of groups only those of lists and maps may lack it, which Iceberg gives none.
            guard try footer.elements().allSatisfy({ $0.children > 0 || $0.fieldID != nil }) else {
                throw Self.forged(
                    "a data file has columns without field ids, which some readers read as no rows at all"
                )
            }
        } catch let error as APIError {
            throw error
        } catch is ParquetError {
            throw Self.forged("a data file is no Parquet file")
        } catch {
            throw Self.forged("a data file cannot be read")
        }
    }

    private static func inflate(_ packed: [UInt8]) throws -> [UInt8] {
        try RawDeflate.unpack(packed, bytesMax: avroBytesMax)
    }
}
