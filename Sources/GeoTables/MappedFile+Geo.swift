import Crypto
import LinuxIO

extension MappedFile {
    /// Maps the file at `path`, which may have up to `GeoTableFormat.fileBytesMax` bytes.
    ///
    /// - Parameter copying: whether the mapping outlives changes of the file.
    static func geo(_ path: String, copying: Bool = false) throws(GeoTableError) -> MappedFile {
        let found: File.Metadata?
        do throws(LinuxError) { found = try File.metadata(path) } catch {
            throw GeoTableError(error, path: path)
        }
        // An empty file cannot be mapped, and the system's reason would not say so.
        guard found?.size != 0 else {
            throw GeoTableError(.malformedSource, path: path, text: "the file is empty")
        }
        let size = found?.size ?? 0
        let file: MappedFile
        do throws(LinuxError) {
            // Sizes beyond the bound are told apart before a copy is made of them.
            file =
                try copying && size <= GeoTableFormat.fileBytesMax
                ? MappedFile(copying: path) : MappedFile(path)
        } catch {
            throw GeoTableError(error, path: path)
        }
        guard size <= GeoTableFormat.fileBytesMax, file.count <= GeoTableFormat.fileBytesMax else {
            throw GeoTableError(
                .tooLarge, path: path,
                text: "expected at most \(GeoTableFormat.fileBytesMax) bytes, found \(size)")
        }
        return file
    }

    /// SHA-256 of the content from `offset` on.
    func digest(from offset: Int = 0) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes.extracting(offset..<count))
        return hash.finalize().bytes
    }
}

extension GeoTableError {
    init(_ error: LinuxError, path: String) {
        self.init(.systemCall, path: path, text: error.description, errno: error.errno)
    }
}
