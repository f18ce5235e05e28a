internal import Glibc
package import LinuxIO

/// A way to end a query from another thread.
package final class QueryCancellation: Sendable {
    private let wake: WakeSignal

    package init() throws(NetworkError) { wake = try WakeSignal() }

    /// Readable from the moment on at which the query shall end.
    var descriptor: Int32 { wake.descriptor }

    /// Ends the query that waits for it, or the next.
    package func cancel() { wake.signal() }

    /// Whether the next query would end at once.
    package var isCancelled: Bool {
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&watched, 1, 0) > 0
    }

    /// Forgets what was cancelled, before the next query.
    package func renew() { wake.clear() }
}
