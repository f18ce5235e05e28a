internal import Glibc

/// A lock on a file (`flock(2)`) that other processes, and other holders in this process, respect; let go
/// when the value goes or the process dies.
package struct FileLock: ~Copyable, Sendable {
    private let file: File

    package enum Kind: Sendable {
        /// Together with others that only read.
        case shared
        case exclusive

        fileprivate var operation: Int32 { self == .shared ? LOCK_SH : LOCK_EX }
    }

    /// Waits until the lock is free. The file at `path` is made when it is missing and never removed.
    package init(waitingFor path: String, _ kind: Kind = .exclusive) throws(LinuxError) {
        let file = try File(opening: path, [.readWrite, .create])
        try systemCall(.lock, path) { flock(file.descriptor.rawValue, kind.operation) }
        self.file = file
    }

    /// Takes the lock at once; nil when somebody else holds it.
    package init?(trying path: String, _ kind: Kind = .exclusive) throws(LinuxError) {
        let file = try File(opening: path, [.readWrite, .create])
        do throws(LinuxError) {
            try systemCall(.lock, path) {
                flock(file.descriptor.rawValue, kind.operation | LOCK_NB)
            }
        } catch {
            if error.errno == EWOULDBLOCK { return nil }
            throw error
        }
        self.file = file
    }
}
