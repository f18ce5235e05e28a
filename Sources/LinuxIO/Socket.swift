package import Bytes
internal import CLinux
internal import Glibc

/// Why a socket, event or thread call of the system failed.
package struct NetworkError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Name of the system call.
    package let operation: String
    /// The C error number.
    package let code: Int32

    package init(operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    package var description: String {
        let text = unsafe String(cString: strerror(code))
        return "`\(operation)` failed: \(text)"
    }
}

/// What one non-blocking read or write came to.
package enum Transfer: Equatable, Sendable {
    case bytes(Int)
    /// Nothing can be moved until the next readiness event.
    case wouldBlock
    /// The peer has closed its side, or the connection is broken.
    case closed
}

/// A TCP socket; closed when the value goes.
package struct Socket: ~Copyable, Sendable {
    package let descriptor: Int32

    /// Takes over an open descriptor.
    package init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { _ = close(descriptor) }

    /// A non-blocking listener with `SO_REUSEPORT`, so that every loop has its own; port 0 lets the system choose.
    ///
    /// An IPv6 listener takes IPv6 alone (`IPV6_V6ONLY`), so one address means one listener.
    package static func listening(
        on address: IPAddress, port: UInt16, backlog: Int32
    ) throws(NetworkError) -> Socket {
        let socket = try bound(to: address, port: port, sharesPort: true)
        guard Glibc.listen(socket.descriptor, backlog) == 0 else {
            throw NetworkError(operation: "listen", code: errno)
        }
        try socket.setNonBlocking()
        return socket
    }

    /// Throws `EADDRINUSE` when any socket listens on `port` of `address`, one that would share it too.
    ///
    /// Sockets of one user may all share a port, so a second process would take half of the first one's connections
    /// without either noticing; a socket that does not share is refused.
    package static func requireFree(_ address: IPAddress, port: UInt16) throws(NetworkError) {
        _ = try bound(to: address, port: port, sharesPort: false)
    }

    private static func bound(
        to address: IPAddress, port: UInt16, sharesPort: Bool
    ) throws(NetworkError) -> Socket {
        let socket = try make(for: address)
        try socket.set(SOL_SOCKET, SO_REUSEADDR, 1)
        if sharesPort { try socket.set(SOL_SOCKET, SO_REUSEPORT, 1) }
        if address.isIPv6 { try socket.set(Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
        let result = unsafe SocketName(address, port: port).withPointer { name, size in
            unsafe Glibc.bind(socket.descriptor, name, size)
        }
        guard result == 0 else { throw NetworkError(operation: "bind", code: errno) }
        return socket
    }

    /// A blocking client connection, for load generators and tests.
    package static func connected(
        to address: IPAddress, port: UInt16
    ) throws(NetworkError) -> Socket {
        let socket = try make(for: address)
        let result = unsafe SocketName(address, port: port).withPointer { name, size in
            unsafe Glibc.connect(socket.descriptor, name, size)
        }
        guard result == 0 else { throw NetworkError(operation: "connect", code: errno) }
        try socket.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return socket
    }

    /// A non-blocking client connection, made before `deadline` by ``SystemClock/monotonicMilliseconds()``.
    package static func connected(
        to address: IPAddress, port: UInt16, until deadline: UInt64
    ) throws(NetworkError) -> Socket {
        let socket = try make(for: address)
        try socket.setNonBlocking()
        let result = unsafe SocketName(address, port: port).withPointer { name, size in
            unsafe Glibc.connect(socket.descriptor, name, size)
        }
        if result != 0 {
            guard errno == EINPROGRESS else {
                throw NetworkError(operation: "connect", code: errno)
            }
            try wait(socket.descriptor, POLLOUT, until: deadline)
            var failure: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            guard
                unsafe getsockopt(socket.descriptor, SOL_SOCKET, SO_ERROR, &failure, &size) == 0,
                failure == 0
            else { throw NetworkError(operation: "connect", code: failure) }
        }
        try socket.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return socket
    }

    /// Waits until the descriptor is ready for one of `events` (`poll`), or throws `ETIMEDOUT` at `deadline`.
    package static func wait(
        _ descriptor: Int32, _ events: Int32, until deadline: UInt64
    ) throws(NetworkError) {
        while true {
            let now = SystemClock.monotonicMilliseconds()
            guard now < deadline else { throw NetworkError(operation: "wait", code: ETIMEDOUT) }
            var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let ready = unsafe poll(&entry, 1, Int32(min(deadline - now, 60_000)))
            if ready > 0 { return }
            if ready < 0 && errno != EINTR { throw NetworkError(operation: "wait", code: errno) }
        }
    }

    private static func make(for address: IPAddress) throws(NetworkError) -> Socket {
        let family = address.isIPv6 ? AF_INET6 : AF_INET
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = Glibc.socket(family, type, 0)
        guard descriptor >= 0 else { throw NetworkError(operation: "socket", code: errno) }
        return Socket(owning: descriptor)
    }

    private func set(_ level: Int32, _ option: Int32, _ value: Int32) throws(NetworkError) {
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        guard unsafe setsockopt(descriptor, level, option, &value, size) == 0 else {
            throw NetworkError(operation: "setsockopt", code: errno)
        }
    }

    private func setNonBlocking() throws(NetworkError) {
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) >= 0 else {
            throw NetworkError(operation: "fcntl", code: errno)
        }
    }
}

extension Socket {
    /// One accepted connection, non-blocking and without Nagle's delay, with its peer's address; nil when none waits.
    ///
    /// Throws when the process is out of descriptors or memory; a connection that its peer has already given up
    /// is skipped.
    package func accept() throws(NetworkError) -> Accepted? {
        while true {
            var storage = sockaddr_storage()
            var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            let taken = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                    unsafe clinux_accept4(descriptor, name, &size, flags)
                }
            }
            if taken < 0 {
                switch errno {
                case EAGAIN: return nil
                case EINTR, ECONNABORTED, EPROTO: continue
                default: throw NetworkError(operation: "accept4", code: errno)
                }
            }
            let socket = Socket(owning: taken)
            guard let (address, _) = SocketName.parse(storage) else { continue }
            try socket.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            return Accepted(socket: socket, peer: address)
        }
    }

    /// The port that the socket is bound to.
    package var localPort: UInt16 {
        get throws(NetworkError) {
            var storage = sockaddr_storage()
            var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                    unsafe getsockname(descriptor, name, &size)
                }
            }
            guard result == 0, let (_, port) = SocketName.parse(storage) else {
                throw NetworkError(operation: "getsockname", code: errno)
            }
            return port
        }
    }

    /// Reads what is there, at most `buffer.count` bytes.
    package func read(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        unsafe receive(into: buffer, flags: 0)
    }

    /// Reads what is there, at most `buffer.count` bytes, and leaves it in the socket (`MSG_PEEK`).
    package func peek(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        unsafe receive(into: buffer, flags: Int32(MSG_PEEK))
    }

    private func receive(into buffer: UnsafeMutableRawBufferPointer, flags: Int32) -> Transfer {
        while true {
            let count = unsafe clinux_receive(
                descriptor, buffer.baseAddress, buffer.count, flags)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .closed }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            default: return .closed
            }
        }
    }

    /// Writes as much of `buffer` as the system takes.
    package func write(_ buffer: UnsafeRawBufferPointer) -> Transfer {
        while true {
            let count = unsafe clinux_send(
                descriptor, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return .bytes(count) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            default: return .closed
            }
        }
    }

    /// Tells the peer that nothing more will be written.
    package func shutdownWriting() {
        // A peer that is already gone needs no word, so the result carries nothing.
        _ = shutdown(descriptor, Int32(SHUT_WR))
    }
}

/// A connection that a listener took, and who is at its other end.
package struct Accepted: ~Copyable {
    package var socket: Socket
    package let peer: IPAddress

    /// Parts with the address and keeps the socket.
    package consuming func take() -> Socket { socket }
}

/// A socket address of either family in the form of the C calls.
private struct SocketName {
    private let address: IPAddress
    private let port: UInt16

    init(_ address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    func withPointer(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        if address.isIPv6 {
            var name = sockaddr_in6()
            name.sin6_family = sa_family_t(AF_INET6)
            name.sin6_port = port.bigEndian
            unsafe withUnsafeMutableBytes(of: &name.sin6_addr) { bytes in
                unsafe bytes.storeBytes(of: address.value.bigEndian, as: UInt128.self)
            }
            return unsafe withUnsafePointer(to: &name) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.value).bigEndian
        return unsafe withUnsafePointer(to: &name) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    static func parse(_ storage: sockaddr_storage) -> (IPAddress, UInt16)? {
        unsafe withUnsafePointer(to: storage) { pointer in
            switch Int32(storage.ss_family) {
            case AF_INET:
                let name = unsafe UnsafeRawPointer(pointer).loadUnaligned(as: sockaddr_in.self)
                return (
                    IPAddress(ipv4: UInt32(bigEndian: name.sin_addr.s_addr)),
                    UInt16(bigEndian: name.sin_port)
                )
            case AF_INET6:
                let name = unsafe UnsafeRawPointer(pointer).loadUnaligned(as: sockaddr_in6.self)
                let value = unsafe withUnsafeBytes(of: name.sin6_addr) {
                    unsafe $0.loadUnaligned(as: UInt128.self)
                }
                return (
                    IPAddress(ipv6: UInt128(bigEndian: value)).unmapped,
                    UInt16(bigEndian: name.sin6_port)
                )
            default: return nil
            }
        }
    }
}
