import Crypto
import LinuxIO

extension MappedFile {
    /// Maps the file at `path`, which may have up to `GeoTableFormat.fileBytesMax` bytes.
    static func geo(_ path: String) throws(GeoTableError) -> MappedFile {
        let file: MappedFile
        do throws(LinuxError) {
            file = try MappedFile(path)
        } catch {
            throw GeoTableError(error, path: path)
        }
        guard file.count <= GeoTableFormat.fileBytesMax else {
            throw GeoTableError(
                .tooLarge, path: path,
                text: "expected at most \(GeoTableFormat.fileBytesMax) bytes, found \(file.count)")
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
