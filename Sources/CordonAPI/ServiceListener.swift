package import Bytes
internal import Foundation
internal import Glibc
internal import HTTP
internal import LinuxIO
internal import Synchronization
package import TLS
package import Telemetry

/// Takes connections and serves each on a thread of its own, in the protocol that it was made for.
///
/// ``start()`` once, ``stop()`` once: requests under way are answered, no new one is taken.
package final class ServiceListener: Sendable {
    /// Where it listens; the port is known even when the system chose it.
    package let port: UInt16
    private let socket: Socket
    private let tickets: TicketKeys?
    private let limits: ServiceLimits
    private let clock: any ServiceClock
    private let connection: @Sendable (consuming Socket, _ wake: Int32) -> any ServedConnection
    private let logger: Logger
    private let wake: WakeSignal
    private let isStopping = Atomic<Bool>(false)
    private let open = Atomic<Int>(0)
    private let threads = DispatchGroup()

    private static let backlog: Int32 = 128
    /// JSON is read by functions that call themselves; ``APILimits/nestingMax`` bounds how deep.
    private static let stackBytes = 4 << 20
    /// How often the ticket keys are looked at, in milliseconds: a small part of their life.
    package static let ticketLookMilliseconds: UInt64 = 60_000

    /// Opens the socket for HTTP; nothing is accepted yet.
    ///
    /// - Parameters:
    ///   - tickets: the ticket keys of `tls`, which are renewed here while it listens.
    ///   - refusal: asked before a large body is read, with the request but for its body; nil lets it be read.
    package convenience init(
        address: IPAddress, port: UInt16, tls: TLSContext?, tickets: TicketKeys? = nil,
        limits: ServiceLimits = ServiceLimits(), clock: any ServiceClock = SystemServiceClock(),
        logger: Logger, refusal: @escaping @Sendable (APIRequest) -> APIResponse? = { _ in nil },
        answer: @escaping @Sendable (APIRequest) -> APIResponse
    ) throws {
        try self.init(
            address: address, port: port, tickets: tickets, limits: limits, clock: clock,
            logger: logger
        ) { socket, wake in
            ServiceConnection(
                socket, tls, wake, limits, clock, refusal: refusal, answer: answer)
        }
    }

    init(
        address: IPAddress, port: UInt16, tickets: TicketKeys?, limits: ServiceLimits,
        clock: any ServiceClock, logger: Logger,
        connection: @escaping @Sendable (consuming Socket, _ wake: Int32) -> any ServedConnection
    ) throws {
        if port != 0 { try Socket.requireFree(address, port: port) }
        socket = try Socket.listening(on: address, port: port, backlog: Self.backlog)
        self.port = try socket.localPort
        wake = try WakeSignal()
        self.tickets = tickets
        self.limits = limits
        self.clock = clock
        self.logger = logger
        self.connection = connection
    }

    package func start() {
        run("service") { [self] in
            while !isStopping.load(ordering: .acquiring) {
                let now = clock.now()
                tickets?.rotateIfDue(at: now)
                // Old keys go at their time, also while nobody connects.
                let look = tickets.map { _ in now + Self.ticketLookMilliseconds }
                let isReady = clock.wait(
                    socket.descriptor, for: POLLIN, until: look, orWake: wake.descriptor)
                guard isReady == .ready else { continue }
                accept()
            }
            // Whoever comes now, or is in the system's queue, is refused instead of left to wait.
            _ = shutdown(socket.descriptor, Int32(SHUT_RDWR))
        }
    }

    private func accept() {
        do {
            while let accepted = try socket.accept() {
                let connection = self.connection(accepted.take(), wake.descriptor)
                guard open.add(1, ordering: .relaxed).newValue <= limits.connections else {
                    open.subtract(1, ordering: .relaxed)
                    connection.refuse()
                    continue
                }
                run("service-client") { [self] in
                    connection.serve { [self] in isStopping.load(ordering: .acquiring) }
                    open.subtract(1, ordering: .relaxed)
                }
            }
        } catch {
            logger.error("a connection was not accepted", ["error": .text("\(error)")])
            // Out of descriptors: whoever holds them gets time to let go, and the loop does not spin.
            _ = clock.wait(
                wake.descriptor, for: POLLIN, until: clock.now() + 100, orWake: nil)
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

    /// Refuses new connections, ends silent ones, and waits for requests that have begun, at most ``ServiceLimits/stopMilliseconds``.
    package func stop() {
        isStopping.store(true, ordering: .releasing)
        wake.signal()
        if threads.wait(timeout: .now() + .milliseconds(limits.stopMilliseconds)) == .timedOut {
            logger.error("a request was still under way when the service stopped")
        }
    }
}
