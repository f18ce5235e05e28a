internal import Glibc
internal import LinuxIO

/// Time as the service's connections have it, and waiting for a socket in it.
package protocol ServiceClock: Sendable {
    /// Monotonic milliseconds.
    func now() -> UInt64

    /// Waits for `events` (poll(2)) of a descriptor, at most until a time in monotonic milliseconds.
    ///
    /// - Parameter wake: a descriptor whose readability ends the wait; what is ready itself goes before it.
    func wait(
        _ descriptor: Int32, for events: Int32, until deadline: UInt64?, orWake wake: Int32?
    ) -> Readiness
}

/// What waiting for a descriptor came to.
package enum Readiness: Equatable, Sendable {
    case ready, timedOut, woken
}

/// The system's own time.
package struct SystemServiceClock: ServiceClock {
    package init() {}

    package func now() -> UInt64 { SystemClock.monotonicMilliseconds() }

    package func wait(
        _ descriptor: Int32, for events: Int32, until deadline: UInt64?, orWake wake: Int32?
    ) -> Readiness {
        while true {
            var timeout: Int32 = -1
            if let deadline {
                let present = now()
                guard present < deadline else { return .timedOut }
                timeout = Int32(clamping: deadline - present)
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
