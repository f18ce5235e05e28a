internal import Glibc

/// A system call that failed.
package struct LinuxError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was tried.
    package let operation: SystemOperation
    /// The file it was tried on; nil for calls that have none.
    package let path: String?
    /// The C error number.
    package let errno: Int32

    package init(operation: SystemOperation, path: String?, errno: Int32) {
        self.operation = operation
        self.path = path
        self.errno = errno
    }

    package var isMissing: Bool { errno == ENOENT }
    package var isExisting: Bool { errno == EEXIST }
    /// The file's permissions, or a file system that is mounted for reading, forbid it.
    package var isAccessDenied: Bool { errno == EACCES || errno == EPERM || errno == EROFS }
    /// The disk or the user's share of it is full.
    package var isFull: Bool { errno == ENOSPC || errno == EDQUOT }

    package var description: String {
        // SAFETY: the text is copied before another thread could change the buffer; glibc keeps it per thread.
        let meaning = unsafe String(cString: strerror(errno)).lowercased()
        return "cannot \(operation.rawValue) \(path.map { "`\($0)`" } ?? "descriptor"): \(meaning)"
    }
}

/// The system calls that errors and fault plans tell apart; the text completes "cannot …".
package enum SystemOperation: String, CaseIterable, Sendable {
    case open, read, write, sync, rename, link, remove, list, truncate, lock, map, inspect
    case makeDirectory = "make folder"
    case socket, bind, listen, accept, connect, poll
}
