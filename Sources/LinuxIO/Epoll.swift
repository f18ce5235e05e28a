internal import CLinux
internal import Glibc

/// Waits for readiness of many descriptors at once (`epoll`, edge-triggered).
@safe package struct Epoll: ~Copyable {
    private let descriptor: Int32
    // SAFETY: allocated in `init`, freed in `deinit`, indexed within what `wait` reported.
    private let events: UnsafeMutableBufferPointer<epoll_event>

    /// What a descriptor is ready for.
    package struct Readiness: OptionSet, Sendable {
        package let rawValue: UInt32
        @inlinable
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        package static let read = Readiness(rawValue: 1)
        package static let write = Readiness(rawValue: 2)
        /// The peer closed its side or the connection broke: read until the end shows.
        package static let ended = Readiness(rawValue: 4)
        /// Reading will show something: bytes or the end. Asked for each event, so without the protocol's algebra.
        @inlinable
        package var showsInput: Bool { rawValue & 5 != 0 }
        @inlinable
        package var showsEnd: Bool { rawValue & 4 != 0 }
    }

    /// Takes at most `eventsMax` events a round.
    package init(eventsMax: Int) throws(NetworkError) {
        descriptor = epoll_create1(Int32(bitPattern: epollCloseOnExec))
        guard descriptor >= 0 else { throw NetworkError(operation: "epoll_create1", code: errno) }
        unsafe events = .allocate(capacity: eventsMax)
        unsafe events.initialize(repeating: epoll_event())
    }

    deinit {
        unsafe events.deallocate()
        _ = close(descriptor)
    }

    /// Watches `watched`; each change to ready is reported once under `token`.
    package func add(_ watched: Int32, token: UInt64, writing: Bool) throws(NetworkError) {
        var mask = EPOLLIN.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        if writing { mask |= EPOLLOUT.rawValue }
        var event = unsafe epoll_event()
        unsafe event.events = mask
        unsafe event.data.u64 = token
        guard unsafe epoll_ctl(descriptor, EPOLL_CTL_ADD, watched, &event) == 0 else {
            throw NetworkError(operation: "epoll_ctl", code: errno)
        }
    }

    /// Stops watching `watched`.
    package func remove(_ watched: Int32) {
        // The call fails only for a descriptor that is not watched, which is what was asked for.
        _ = epoll_ctl(descriptor, EPOLL_CTL_DEL, watched, nil)
    }

    /// Waits until something is ready, at most `milliseconds` (-1: without end), and returns how many events there are.
    package func wait(milliseconds: Int32) throws(NetworkError) -> Int {
        let count = unsafe epoll_wait(
            descriptor, events.baseAddress, Int32(events.count), milliseconds)
        if count >= 0 { return Int(count) }
        if errno == EINTR { return 0 }
        throw NetworkError(operation: "epoll_wait", code: errno)
    }

    /// As ``wait(milliseconds:)``, at most `nanoseconds` (`epoll_pwait2`, Linux 5.11).
    package func wait(nanoseconds: UInt64) throws(NetworkError) -> Int {
        var bound = timespec(
            tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        let count = unsafe epoll_pwait2(
            descriptor, events.baseAddress, Int32(events.count), &bound, nil)
        if count >= 0 { return Int(count) }
        if errno == EINTR { return 0 }
        throw NetworkError(operation: "epoll_pwait2", code: errno)
    }

    /// Lets ``wait(nanoseconds:)`` on this thread end when it is due: timed waits may end 50 µs late otherwise.
    package static func waitPrecisely() {
        // A kernel without that waits as it did.
        _ = clinux_thread_wait_precisely()
    }

    /// The event at `index` of the last round.
    package func event(_ index: Int) -> (token: UInt64, readiness: Readiness) {
        let event = unsafe events[index]
        let mask = unsafe event.events
        var bits: UInt32 = 0
        if mask & EPOLLIN.rawValue != 0 { bits |= Readiness.read.rawValue }
        if mask & EPOLLOUT.rawValue != 0 { bits |= Readiness.write.rawValue }
        if mask & (EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 {
            bits |= Readiness.ended.rawValue
        }
        return (unsafe event.data.u64, Readiness(rawValue: bits))
    }
}

/// `EPOLL_CLOEXEC`, which has the value of `O_CLOEXEC` (epoll_create1(2)).
private let epollCloseOnExec = UInt32(bitPattern: O_CLOEXEC)

/// Wakes a loop or thread from another one (`eventfd`).
package struct WakeSignal: ~Copyable, Sendable {
    package let descriptor: Int32

    package init() throws(NetworkError) {
        descriptor = eventfd(0, O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw NetworkError(operation: "eventfd", code: errno) }
    }

    deinit { _ = close(descriptor) }

    /// Wakes whoever waits, now or next.
    package func signal() {
        var one: UInt64 = 1
        // Fails only when the counter is full, and then the waiter is already woken.
        _ = unsafe write(descriptor, &one, 8)
    }

    /// Forgets the signals so far.
    package func clear() {
        var count: UInt64 = 0
        // Fails only when there was no signal.
        _ = unsafe read(descriptor, &count, 8)
    }

    /// Blocks until a signal comes, at most `milliseconds` (-1: without end), and forgets it.
    package func wait(milliseconds: Int32 = -1) {
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        // An interrupted or failed wait is a spurious wake-up; the caller looks at its state again.
        _ = unsafe poll(&watched, 1, milliseconds)
        clear()
    }
}
