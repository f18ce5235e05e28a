internal import CLinux
internal import Glibc

/// A thread of the system with a name; ``join()`` must be called once.
package struct SystemThread: ~Copyable, Sendable {
    private let handle: pthread_t

    /// Starts `body` on a thread of its own. Names are cut at 15 bytes (pthread_setname_np(3)).
    package init(name: String, _ body: @escaping @Sendable () -> Void) throws(NetworkError) {
        let work = unsafe Unmanaged.passRetained(Work(name: String(name.prefix(15)), body: body))
        var handle = pthread_t()
        let code = unsafe pthread_create(
            &handle, nil,
            { argument in
                // SAFETY: the argument is the retained object that pthread_create was given below.
                let work = unsafe Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue()
                // A thread without a name works as well.
                _ = unsafe clinux_thread_set_name(work.name)
                work.body()
                return nil
            }, work.toOpaque())
        guard code == 0 else {
            unsafe work.release()
            throw NetworkError(operation: "pthread_create", code: code)
        }
        self.handle = handle
    }

    /// Waits until the thread's body has returned.
    package consuming func join() {
        let code = pthread_join(handle, nil)
        precondition(code == 0, "a thread is joined once, by another thread")
    }

    private final class Work: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
}
