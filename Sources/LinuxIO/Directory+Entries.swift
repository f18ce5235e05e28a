internal import Glibc

extension Directory {
    /// A name in a folder and what stands behind it; a symbolic link is not followed.
    package struct Entry: Equatable, Sendable {
        package let name: String
        package let kind: Kind

        package enum Kind: Equatable, Sendable {
            case file
            case directory
            case link(target: String)
            /// A socket, a pipe or a device.
            case other
        }
    }

    /// What is in the folder, sorted by name. What another process removes meanwhile is left out.
    package static func entries(_ path: String) throws(LinuxError) -> [Entry] {
        var entries: [Entry] = []
        for name in try list(path) {
            let child = path + "/" + name
            var status = stat()
            do throws(LinuxError) {
                try systemCall(.inspect, child) { unsafe lstat(child, &status) }
            } catch {
                if error.isMissing { continue }
                throw error
            }
            let kind: Entry.Kind =
                switch status.st_mode & S_IFMT {
                case S_IFREG: .file
                case S_IFDIR: .directory
                case S_IFLNK: .link(target: target(of: child))
                default: .other
                }
            entries.append(Entry(name: name, kind: kind))
        }
        return entries
    }

    /// What a symbolic link points at; empty when it was removed meanwhile.
    private static func target(of path: String) -> String {
        let pathBytesMax = 4096
        var units = [CChar](repeating: 0, count: pathBytesMax)
        let count = unsafe readlink(path, &units, pathBytesMax)
        return String(
            decoding: units[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
