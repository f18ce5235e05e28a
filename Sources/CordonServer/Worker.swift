import Dispatch
import Foundation

/// A thread that does something again and again until it is stopped.
final class Worker: Sendable {
    private let stopping = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// Starts at once; `work` runs after each pause of `seconds`.
    convenience init(
        name: String, everySeconds seconds: Int, _ work: @escaping @Sendable () -> Void
    ) {
        self.init(name: name, pauseMilliseconds: { Int64(seconds) * 1000 }, work)
    }

    /// Starts at once; `work` runs after each pause, which is asked for before it begins.
    init(
        name: String, pauseMilliseconds: @escaping @Sendable () -> Int64,
        _ work: @escaping @Sendable () -> Void
    ) {
        let stopping = stopping
        let ended = ended
        let thread = Thread {
            while stopping.wait(timeout: .now() + .milliseconds(Int(pauseMilliseconds())))
                == .timedOut
            {
                work()
            }
            ended.signal()
        }
        thread.name = name
        thread.start()
    }

    /// Waits until work under way has ended; no more begins.
    func stop() {
        stopping.signal()
        ended.wait()
    }
}
