package import Bytes
internal import Foundation
internal import Glibc
internal import HTTP
internal import LinuxIO
internal import Synchronization
package import TLS
package import Telemetry

/// Takes connections and hands their requests to a ``RegionAPI``, each connection on a thread of its own.
///
/// ``start()`` once, ``stop()`` once: requests under way are answered, no new one is taken.
package final class ServiceListener: Sendable {
    /// Where it listens; the port is known even when the system chose it.
    package let port: UInt16
    private let socket: Socket
    private let tls: TLSContext?
    private let answer: @Sendable (APIRequest) -> APIResponse
    private let logger: Logger
    private let wake: WakeSignal
    private let isStopping = Atomic<Bool>(false)
    private let open = Atomic<Int>(0)
    private let threads = DispatchGroup()

    private static let backlog: Int32 = 128
    /// JSON is read by functions that call themselves; ``APILimits/nestingMax`` bounds how deep.
    private static let stackBytes = 4 << 20
    /// How long stopping waits for requests under way: a query's own bound and some more.
    private static let stopSeconds = 75

    /// Opens the socket; nothing is accepted yet.
    package init(
        address: IPAddress, port: UInt16, tls: TLSContext?, logger: Logger,
        answer: @escaping @Sendable (APIRequest) -> APIResponse
    ) throws {
        if port != 0 { try Socket.requireFree(address, port: port) }
        socket = try Socket.listening(on: address, port: port, backlog: Self.backlog)
        self.port = try socket.localPort
        wake = try WakeSignal()
        self.tls = tls
        self.logger = logger
        self.answer = answer
    }

    package func start() {
        run("service") { [self] in
            while !isStopping.load(ordering: .acquiring) {
                let isReady = Readiness.wait(
                    socket.descriptor, for: POLLIN, until: nil, orWake: wake.descriptor)
                guard isReady == .ready else { continue }
                accept()
            }
        }
    }

    private func accept() {
        do {
            while let accepted = try socket.accept() {
                let connection = ServiceConnection(accepted.take(), tls, wake.descriptor)
                guard open.add(1, ordering: .relaxed).newValue <= APILimits.connectionsMax else {
                    open.subtract(1, ordering: .relaxed)
                    if tls == nil {
                        connection.refuse(
                            RegionAPI.response(.unavailable("too many connections; try again")))
                    }
                    continue
                }
                run("service-client") { [self] in
                    connection.serve(answer) { [self] in isStopping.load(ordering: .acquiring) }
                    open.subtract(1, ordering: .relaxed)
                }
            }
        } catch {
            logger.error("a connection was not accepted", ["error": .text("\(error)")])
            // Out of descriptors: whoever holds them gets time to let go, and the loop does not spin.
            _ = Readiness.wait(
                wake.descriptor, for: POLLIN, until: SystemClock.monotonicMilliseconds() + 100,
                orWake: nil)
        }
    }

    private func run(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let threads = threads
        threads.enter()
        let thread = Thread {
            body()
            threads.leave()
        }
        thread.name = name
        thread.stackSize = Self.stackBytes
        thread.start()
    }

    package func stop() {
        isStopping.store(true, ordering: .releasing)
        wake.signal()
        if threads.wait(timeout: .now() + .seconds(Self.stopSeconds)) == .timedOut {
            logger.error("a request was still under way when the service stopped")
        }
    }
}

/// What waiting for a descriptor came to.
enum Readiness: Equatable {
    case ready, timedOut, woken

    /// Waits for `events` (poll(2)) of a descriptor, at most until a time in monotonic milliseconds.
    ///
    /// - Parameter wake: a descriptor whose readability ends the wait; what is ready itself goes before it.
    static func wait(
        _ descriptor: Int32, for events: Int32, until deadline: UInt64?, orWake wake: Int32?
    ) -> Readiness {
        while true {
            var timeout: Int32 = -1
            if let deadline {
                let now = SystemClock.monotonicMilliseconds()
                guard now < deadline else { return .timedOut }
                timeout = Int32(clamping: deadline - now)
            }
            // A negative descriptor is passed over (poll(2)).
            var watched = [
                pollfd(fd: descriptor, events: Int16(events), revents: 0),
                pollfd(fd: wake ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            let count = unsafe poll(&watched, 2, timeout)
            // An interrupted wait goes on; any other failure shows at the next read or write.
            if count < 0, errno == EINTR { continue }
            if count < 0 || watched[0].revents != 0 { return .ready }
            if watched[1].revents != 0 { return .woken }
        }
    }
}
