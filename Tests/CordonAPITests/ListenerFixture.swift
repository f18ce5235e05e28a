import Bytes
import CordonAPI
import Dispatch
import Foundation
import LinuxIO
import Synchronization
import TLS
import Telemetry
import TestSupport

/// A clock that tests move, and that tells them who waits in it.
final class ServiceTestClock: ServiceClock {
    private struct State {
        var now: UInt64 = 1_000_000
        /// Deadlines of the waits that have begun and of which the test has not heard yet.
        var begun: [UInt64] = []
        /// Those who wait, by number: until when, and the end of a pipe that tells them that it is over.
        var waiting: [Int: (deadline: UInt64, told: Int32)] = [:]
        var last = 0
    }

    private let state = Mutex(State())
    private let begun = DispatchSemaphore(value: 0)

    func now() -> UInt64 { state.withLock { $0.now } }

    func wait(
        _ descriptor: Int32, for events: Int32, until deadline: UInt64?, orWake wake: Int32?
    ) -> Readiness {
        var event: [Int32] = [-1, -1]
        precondition(pipe(&event) == 0, "no descriptors are left")
        let (heard, told) = (event[0], event[1])
        let number: Int? = state.withLock { state in
            if let deadline {
                guard state.now < deadline else { return nil }
                state.begun.append(deadline)
            }
            state.last += 1
            state.waiting[state.last] = (deadline ?? .max, told)
            return state.last
        }
        defer {
            // Nobody writes to who is not listed, so both ends can go.
            if let number { state.withLock { _ = $0.waiting.removeValue(forKey: number) } }
            close(heard)
            close(told)
        }
        guard number != nil else { return .timedOut }
        if deadline != nil { begun.signal() }
        while true {
            var watched = [
                pollfd(fd: descriptor, events: Int16(events), revents: 0),
                pollfd(fd: wake ?? -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: heard, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&watched, 3, -1) < 0 { continue }
            // Time goes first: what a test does after it has moved the clock comes too late.
            if watched[2].revents != 0 { return .timedOut }
            return watched[0].revents != 0 ? .ready : .woken
        }
    }

    /// The deadline of the next wait with one, in the order in which they began, as time from now; blocks until there is one.
    func nextWait() -> UInt64 {
        begun.wait()
        return state.withLock { $0.begun.removeFirst() &- $0.now }
    }

    /// Moves time on, and ends the waits that are due.
    func pass(_ milliseconds: UInt64) {
        state.withLock { state in
            state.now += milliseconds
            for waiter in state.waiting.values where waiter.deadline <= state.now {
                var byte: UInt8 = 1
                precondition(write(waiter.told, &byte, 1) == 1, "an empty pipe takes a byte")
            }
        }
    }
}

/// A service's listener on a port of the system's choice, under a clock of its own.
///
/// It answers with method, path and length of the body, but takes no large body at `/private`; `/held` when ``letGo()`` says so, and `/large` with ``largeBytes``.
final class ListenerFixture: Sendable {
    static let largeBytes = 48 << 20

    let clock = ServiceTestClock()
    let limits: ServiceLimits
    let listener: ServiceListener
    private let log = CapturedLog()
    private let held = DispatchSemaphore(value: 0)
    private let gate = DispatchSemaphore(value: 0)

    init(
        tls: TLSContext? = nil, tickets: TicketKeys? = nil,
        configure: (inout ServiceLimits) -> Void = { _ in }
    ) throws {
        var limits = ServiceLimits()
        configure(&limits)
        self.limits = limits
        let held = held
        let gate = gate
        listener = try ServiceListener(
            address: IPAddress(ipv4: 0x7F00_0001), port: 0, tls: tls, tickets: tickets,
            limits: limits, clock: clock, logger: Logger(level: .info, format: .json, sink: log),
            refusal: { request in
                guard request.segments == ["private"] else { return nil }
                return APIResponse(401, body: Array("who are you".utf8))
            },
            answer: { request in
                let path = request.segments.joined(separator: "/")
                switch path {
                case "large":
                    return APIResponse(200, body: [UInt8](repeating: 0x78, count: Self.largeBytes))
                case "held":
                    held.signal()
                    gate.wait()
                default: break
                }
                return APIResponse(
                    200, body: Array("\(request.method) \(path) \(request.body.count)\n".utf8))
            })
        listener.start()
    }

    /// Blocks until a request for `/held` has come.
    func awaitHeld() { held.wait() }

    func letGo() { gate.signal() }

    /// What the service complained of.
    var complaints: [String] { log.lines }

    /// A connection that is known to nobody yet.
    func connect() throws -> ServiceClient { try ServiceClient(port: listener.port) }

    /// A connection that the service waits for, and for how long.
    func client() throws -> (client: ServiceClient, wait: UInt64) {
        let client = try connect()
        return (client, clock.nextWait())
    }
}

/// A blocking client that sends and reads text as it is.
final class ServiceClient {
    private let socket: Socket
    private var received: [UInt8] = []

    init(port: UInt16) throws {
        socket = try Socket.connected(to: IPAddress(ipv4: 0x7F00_0001), port: port)
    }

    static func get(_ path: String, _ fields: String...) -> String {
        (["GET \(path) HTTP/1.1", "Host: x"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
    }

    static func post(_ path: String, _ body: String) -> String {
        "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    /// Sends all of `text`; false when the service has closed.
    @discardableResult
    func send(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            guard case .bytes(let count) = rest.withUnsafeBytes({ socket.write($0) }) else {
                return false
            }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private func receive() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        guard case .bytes(let count) = chunk.withUnsafeMutableBytes({ socket.read(into: $0) })
        else { return false }
        received += chunk.prefix(count)
        return true
    }

    /// The text up to and with `mark`; all that came when the connection ended before it.
    func text(until mark: String) -> String {
        while true {
            if let range = received.firstRange(of: Array(mark.utf8)) {
                defer { received.removeFirst(range.upperBound) }
                return String(decoding: received.prefix(range.upperBound), as: UTF8.self)
            }
            guard receive() else { return rest() }
        }
    }

    /// What comes until the connection ends.
    func rest() -> String {
        while receive() {}
        defer { received = [] }
        return String(decoding: received, as: UTF8.self)
    }

    /// The number of bytes that come until the connection ends.
    func restCount() -> Int {
        var count = received.count
        received = []
        while receive() {
            count += received.count
            received.removeAll(keepingCapacity: true)
        }
        return count
    }
}
