internal import Glibc
internal import LinuxIO
internal import TLS

/// Bytes over a socket, with TLS or without.
struct ServiceStream {
    let descriptor: Int32
    private var tls: TLSConnection?
    private let clock: any ServiceClock
    private static let readBytes = 1 << 16

    /// What reading came to.
    enum Arrival {
        case arrived, timedOut
        /// The client is gone, or the service stops.
        case ended
    }

    init(_ descriptor: Int32, _ context: TLSContext?, _ clock: any ServiceClock) {
        self.descriptor = descriptor
        self.clock = clock
        tls = context.map { TLSConnection($0, descriptor: descriptor) }
    }

    /// Speaks TLS from here on, of which ``handshake(until:orWake:)`` comes first; nothing may have been read beyond.
    mutating func begin(_ context: TLSContext) {
        precondition(tls == nil, "once")
        tls = TLSConnection(context, descriptor: descriptor)
    }

    var isEncrypted: Bool { tls != nil }

    mutating func handshake(until deadline: UInt64, orWake wake: Int32) -> Bool {
        guard let tls else { return true }
        while true {
            switch tls.handshake() {
            case .done: return true
            case .failed: return false
            case .wouldBlock:
                // The client's part is what is waited for; what is written here fits into a new socket.
                guard
                    clock.wait(descriptor, for: POLLIN, until: deadline, orWake: wake) == .ready
                else { return false }
            }
        }
    }

    /// Adds what comes to `input`.
    mutating func read(into input: inout [UInt8], until deadline: UInt64, orWake wake: Int32?)
        -> Arrival
    {
        var chunk = [UInt8](repeating: 0, count: Self.readBytes)
        while true {
            let transfer = unsafe chunk.withUnsafeMutableBytes { buffer in
                if let tls { return unsafe tls.read(into: buffer) }
                return unsafe receive(into: buffer)
            }
            switch transfer {
            case .bytes(let count):
                input += chunk.prefix(count)
                return .arrived
            case .closed: return .ended
            case .wouldBlock:
                switch clock.wait(descriptor, for: POLLIN, until: deadline, orWake: wake) {
                case .ready: break
                case .timedOut: return .timedOut
                case .woken: return .ended
                }
            }
        }
    }

    private func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        while true {
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .closed }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .closed
        }
    }

    /// Writes all; false when the client is gone or does not take it in time.
    mutating func write(_ bytes: [UInt8], until deadline: UInt64) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let transfer = unsafe bytes.withUnsafeBytes { buffer in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[sent...])
                if let tls { return unsafe tls.write(rest) }
                while true {
                    let count = unsafe send(
                        descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
                    if count >= 0 { return Transfer.bytes(count) }
                    if errno == EINTR { continue }
                    return errno == EAGAIN ? Transfer.wouldBlock : Transfer.closed
                }
            }
            switch transfer {
            case .bytes(let count): sent += count
            case .closed: return false
            case .wouldBlock:
                guard
                    clock.wait(descriptor, for: POLLOUT, until: deadline, orWake: nil) == .ready
                else { return false }
            }
        }
        return true
    }

    mutating func finish() {
        tls?.finish()
        // Told that nothing more comes; the socket itself closes with its owner.
        _ = shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Reads on and forgets it, until the client closes too.
    ///
    /// A socket that is closed with bytes unread is reset, and many a client then loses the answer it has not read yet.
    func linger(until deadline: UInt64, orWake wake: Int32) {
        var chunk = [UInt8](repeating: 0, count: Self.readBytes)
        while clock.now() < deadline {
            switch unsafe chunk.withUnsafeMutableBytes({ unsafe receive(into: $0) }) {
            case .bytes: break
            case .closed: return
            case .wouldBlock:
                guard
                    clock.wait(descriptor, for: POLLIN, until: deadline, orWake: wake) == .ready
                else { return }
            }
        }
    }
}
