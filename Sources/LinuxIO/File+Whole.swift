internal import Glibc
internal import Synchronization

// Operations on whole files by path.
extension File {
    /// The content of the file at `path`.
    package static func read(_ path: String) throws(LinuxError) -> [UInt8] {
        try File(opening: path, .read).readToEnd()
    }

    /// The content of the file at `path`; nil when there is none.
    package static func readIfPresent(_ path: String) throws(LinuxError) -> [UInt8]? {
        do throws(LinuxError) { return try read(path) } catch {
            if error.isMissing { return nil }
            throw error
        }
    }

    /// Replaces the file at `path` by one with this content, or makes it: a reader, and a machine that
    /// lost its power, find the old content or the new, never a mixture.
    ///
    /// - Parameter sync: whether content and name are on disk when it returns. Without it a crash of the
    ///   machine may leave an empty file.
    package static func write(
        _ path: String, _ bytes: [UInt8], mode: UInt32 = 0o600, sync: Bool = true
    ) throws(LinuxError) {
        let temporary = try writeTemporary(beside: path, bytes, mode: mode, sync: sync)
        do throws(LinuxError) {
            try systemCall(.rename, path) { unsafe Glibc.rename(temporary, path) }
        } catch {
            discard(temporary)
            throw error
        }
        if sync { try Directory.sync(parent(of: path)) }
    }

    /// Makes the file at `path` with this content unless there is one; of two processes that try at the
    /// same time one wins, and its content is whole before the name appears.
    ///
    /// - Returns: whether this call made it. In both cases the name is on disk when it returns.
    package static func create(
        _ path: String, _ bytes: [UInt8], mode: UInt32 = 0o600
    ) throws(LinuxError) -> Bool {
        let temporary = try writeTemporary(beside: path, bytes, mode: mode, sync: true)
        defer { discard(temporary) }
        var made = true
        do throws(LinuxError) {
            try systemCall(.link, path) { unsafe Glibc.link(temporary, path) }
        } catch {
            guard error.isExisting else { throw error }
            made = false
        }
        try Directory.sync(parent(of: path))
        return made
    }

    /// Adds `bytes` to the end of the file at `path`, making it when it is missing.
    package static func append(
        _ path: String, _ bytes: [UInt8], mode: UInt32 = 0o600, sync: Bool = true
    ) throws(LinuxError) {
        let file = try File(opening: path, [.write, .append, .create], mode: mode)
        try file.write(bytes)
        if sync { try file.sync() }
    }

    /// Removes the file at `path`; its name comes back after a crash until the folder is synced.
    ///
    /// - Returns: false when there was none.
    @discardableResult
    package static func remove(_ path: String) throws(LinuxError) -> Bool {
        do throws(LinuxError) {
            try systemCall(.remove, path) { unsafe unlink(path) }
            return true
        } catch {
            if error.isMissing { return false }
            throw error
        }
    }

    /// Gives the file at `path` another name in the same file system, replacing what has that name.
    package static func rename(_ path: String, to other: String) throws(LinuxError) {
        try systemCall(.rename, path) { unsafe Glibc.rename(path, other) }
    }

    /// What `path` is; nil when there is nothing. A symbolic link is followed.
    package static func metadata(_ path: String) throws(LinuxError) -> Metadata? {
        var status = stat()
        do throws(LinuxError) {
            try systemCall(.inspect, path) { unsafe fstatat(AT_FDCWD, path, &status, 0) }
        } catch {
            if error.isMissing || error.errno == ENOTDIR { return nil }
            throw error
        }
        return Metadata(status)
    }

    package static func exists(_ path: String) throws(LinuxError) -> Bool {
        try metadata(path) != nil
    }

    /// An absolute path without links, repeated slashes and dots, as far as what it names exists; what does not exist keeps
    /// its names.
    package static func resolved(_ path: String) -> String {
        var known = path.split(separator: "/").filter { $0 != "." }
        var rest: [Substring] = []
        while !known.isEmpty {
            if let found = unsafe realpath("/" + known.joined(separator: "/"), nil) {
                // SAFETY: `realpath` made the text for the caller, who frees it once it is copied.
                defer { unsafe free(found) }
                let text = unsafe String(cString: found)
                return rest.isEmpty
                    ? text : (text == "/" ? "" : text) + "/" + rest.joined(separator: "/")
            }
            rest.insert(known.removeLast(), at: 0)
        }
        return "/" + rest.joined(separator: "/")
    }

    /// The folder that `path` lies in.
    package static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: 0x2F) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The last part of `path`.
    package static func name(of path: String) -> String {
        path.utf8.lastIndex(of: 0x2F).map { String(path[path.utf8.index(after: $0)...]) } ?? path
    }

    /// Whether `name` is that of a file that ``write(_:_:mode:sync:)`` or ``create(_:_:mode:)`` had not
    /// finished when its process died.
    package static func isTemporary(name: String) -> Bool {
        name.hasPrefix(".") && name.hasSuffix(temporarySuffix)
    }

    private static let temporarySuffix = ".cordon-tmp"
    private static let temporaryCount = Atomic<UInt64>(0)

    private static func writeTemporary(
        beside path: String, _ bytes: [UInt8], mode: UInt32, sync: Bool
    ) throws(LinuxError) -> String {
        // Relaxed: only distinct numbers are needed. The process number tells processes apart; a name
        // left by a dead process of the same number is overwritten.
        let number = temporaryCount.add(1, ordering: .relaxed).newValue
        let temporary =
            "\(parent(of: path))/.\(name(of: path)).\(getpid())-\(number)\(temporarySuffix)"
        try removeLeftover(temporary)
        let file = try File(opening: temporary, [.write, .create, .exclusive], mode: mode)
        do throws(LinuxError) {
            try file.write(bytes)
            if sync { try file.sync() }
        } catch {
            discard(temporary)
            throw error
        }
        return temporary
    }

    private static func removeLeftover(_ path: String) throws(LinuxError) {
        if try exists(path) { try remove(path) }
    }

    /// Best effort: the first error is the one to report, and a leftover is known by its name.
    private static func discard(_ temporary: String) { _ = try? remove(temporary) }
}
