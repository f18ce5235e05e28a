import Dispatch
import Foundation

/// A thread that does something again and again until it is stopped.
final class Worker: Sendable {
    private let stopping = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// Starts at once; `work` runs after each pause of `seconds`, and gets whether it is the first time.
    init(name: String, everySeconds seconds: Int, _ work: @escaping @Sendable (Bool) -> Void) {
        let stopping = stopping
        let ended = ended
        let thread = Thread {
            var isFirst = true
            while stopping.wait(timeout: .now() + .seconds(seconds)) == .timedOut {
                work(isFirst)
                isFirst = false
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
