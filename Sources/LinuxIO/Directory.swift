internal import Glibc

/// Folders by path.
package enum Directory {
    /// Makes the folder and those above it that are missing; one that is there stays as it is.
    package static func create(_ path: String, mode: UInt32 = 0o700) throws(LinuxError) {
        if let found = try File.metadata(path) {
            guard found.isDirectory else {
                throw LinuxError(operation: .makeDirectory, path: path, errno: ENOTDIR)
            }
            return
        }
        let parent = File.parent(of: path)
        if parent != path { try create(parent, mode: mode) }
        do throws(LinuxError) {
            try systemCall(.makeDirectory, path) { unsafe mkdir(path, mode) }
        } catch {
            // Another process was faster.
            if error.isExisting { return }
            throw error
        }
        try sync(parent)
    }

    /// Names in the folder, sorted, without `.` and `..`.
    package static func list(_ path: String) throws(LinuxError) -> [String] {
        if case .error(let number) = FaultPlan.fault(for: .list) {
            throw LinuxError(operation: .list, path: path, errno: number)
        }
        guard let stream = unsafe opendir(path) else {
            throw LinuxError(operation: .list, path: path, errno: errno)
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = unsafe readdir(stream) {
            // SAFETY: the name ends in a zero byte and is copied before the next call.
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { text in
                    unsafe String(cString: text)
                }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        let number = errno
        guard number == 0 else { throw LinuxError(operation: .list, path: path, errno: number) }
        return names.sorted()
    }

    /// Names made, changed or removed in the folder are on disk when it returns.
    package static func sync(_ path: String) throws(LinuxError) {
        try File(opening: path, [.read, .directory]).sync()
    }

    /// Removes an empty folder.
    package static func removeEmpty(_ path: String) throws(LinuxError) {
        try systemCall(.remove, path) { unsafe rmdir(path) }
    }

    /// Removes unfinished files of dead processes. Only for who holds the lock that every writer of the
    /// folder takes: a file still being written would go too.
    package static func removeTemporaryFiles(in path: String) throws(LinuxError) {
        for name in try list(path) where File.isTemporary(name: name) {
            try File.remove(path + "/" + name)
        }
    }
}
