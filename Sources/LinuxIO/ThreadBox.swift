internal import Synchronization

/// A thread that someone else joins.
package final class ThreadBox: Sendable {
    private let thread: Mutex<SystemThread?>

    package init(_ thread: consuming SystemThread) { self.thread = Mutex(consume thread) }

    /// Waits until the thread has ended; at once when someone waited before.
    package func join() {
        if let thread = thread.withLock({ $0.take() }) { thread.join() }
    }
}
