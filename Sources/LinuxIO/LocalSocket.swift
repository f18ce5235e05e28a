internal import CLinux
internal import Glibc

/// A listening Unix socket in a folder that its owner alone can enter; the name goes with the value.
///
/// The address is spelled through the open folder (`/proc/self/fd`), so the bound of 107 bytes on it does not bound the
/// folder's path.
package final class LocalListener: Sendable {
    private let descriptor: Int32
    private let path: String

    /// Makes the socket `name` in `directory`; a file of that name must not exist.
    package init(directory: String, name: String) throws(NetworkError) {
        path = directory + "/" + name
        let socket = try LocalConnection.makeSocket()
        do throws(NetworkError) {
            try unsafe LocalConnection.withAddress(directory, name) { address, size in
                unsafe Glibc.bind(socket, address, size)
            }
            guard unsafe chmod(path, 0o600) == 0 else {
                throw NetworkError(operation: "chmod", code: errno)
            }
            guard Glibc.listen(socket, 8) == 0 else {
                throw NetworkError(operation: "listen", code: errno)
            }
        } catch {
            close(socket)
            throw error
        }
        descriptor = socket
    }

    deinit {
        close(descriptor)
        // Whoever finds a name that nobody listens at removes it.
        unsafe unlink(path)
    }

    /// Waits for a connection; nil once ``shut()`` was called.
    package func accept() -> LocalConnection? {
        while true {
            var name = sockaddr()
            var size = socklen_t(MemoryLayout<sockaddr>.size)
            // SAFETY: the system writes no more of the name than `size` says.
            let taken = unsafe clinux_accept4(
                descriptor, &name, &size, Int32(SOCK_CLOEXEC.rawValue))
            if taken >= 0 { return LocalConnection(owning: taken) }
            switch errno {
            case EINTR, ECONNABORTED, EMFILE, ENFILE, ENOMEM, ENOBUFS:
                // Without descriptors or memory: another try a little later.
                if errno != EINTR { usleep(10_000) }
            default: return nil
            }
        }
    }

    /// Ends the waiting of ``accept()``.
    package func shut() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
}

/// One end of a connection over a Unix socket; closed when the value goes.
package struct LocalConnection: ~Copyable, Sendable {
    private let descriptor: Int32

    fileprivate init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Connects to the socket `name` in `directory`; `ECONNREFUSED` says that nobody listens there any more.
    package init(directory: String, name: String) throws(NetworkError) {
        let socket = try Self.makeSocket()
        do throws(NetworkError) {
            try unsafe Self.withAddress(directory, name) { address, size in
                unsafe Glibc.connect(socket, address, size)
            }
        } catch {
            close(socket)
            throw error
        }
        descriptor = socket
    }

    /// The process at the other end, as the system knows it (`SO_PEERCRED`).
    package var peer: (process: Int32, user: UInt32) {
        get throws(NetworkError) {
            // struct ucred: process, user and group, 32 bits each (unix(7)).
            var credentials: (Int32, UInt32, UInt32) = (0, 0, 0)
            var size = socklen_t(MemoryLayout<(Int32, UInt32, UInt32)>.size)
            guard
                unsafe getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0
            else { throw NetworkError(operation: "getsockopt", code: errno) }
            return (credentials.0, credentials.1)
        }
    }

    /// How long reading waits for the other end.
    package func setPatience(seconds: Int) throws(NetworkError) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        guard unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, size) == 0 else {
            throw NetworkError(operation: "setsockopt", code: errno)
        }
    }

    /// Reads up to and including `end`, or to the end of what comes when it is nil; at most `bytesMax` bytes.
    package func read(through end: UInt8?, bytesMax: Int) throws(NetworkError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < bytesMax {
            var chunk = [UInt8](repeating: 0, count: min(4096, bytesMax - bytes.count))
            let count = unsafe chunk.withUnsafeMutableBytes { buffer in
                unsafe recv(descriptor, buffer.baseAddress, end == nil ? buffer.count : 1, 0)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw NetworkError(operation: "recv", code: errno)
            }
            if count == 0 { return bytes }
            bytes += chunk.prefix(count)
            if let end, bytes.last == end { return bytes }
        }
        return bytes
    }

    package func write(_ bytes: [UInt8]) throws(NetworkError) {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                // SAFETY: `sent` stays below the buffer's count.
                unsafe send(
                    descriptor, buffer.baseAddress! + sent, buffer.count - sent,
                    Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw NetworkError(operation: "send", code: errno)
            }
            sent += count
        }
    }

    fileprivate static func makeSocket() throws(NetworkError) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { throw NetworkError(operation: "socket", code: errno) }
        return descriptor
    }

    /// Calls `body` with the address of `name` in `directory`.
    fileprivate static func withAddress(
        _ directory: String, _ name: String,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(NetworkError) {
        let folder = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw NetworkError(operation: "open", code: errno) }
        defer { close(folder) }
        let text = Array("/proc/self/fd/\(folder)/\(name)".utf8)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path) - 1
        guard text.count <= room else {
            throw NetworkError(operation: "bind", code: ENAMETOOLONG)
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { path in
            unsafe path.copyBytes(from: text)
        }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        // SAFETY: a sockaddr_un is what AF_UNIX expects behind the sockaddr pointer.
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, size)
            }
        }
        guard result == 0 else { throw NetworkError(operation: "connect or bind", code: errno) }
    }
}
