import Foundation
import Synchronization

/// A line on a terminal that says how far long work is: share done, rate, time left. Silent in a pipe.
struct Progress: Sendable {
    let total: Int
    let unit: String
    private let console: Console
    private let isShown: Bool

    private static let intervalMilliseconds: UInt32 = 200

    init(console: Console, total: Int, unit: String) {
        self.console = console
        self.total = total
        self.unit = unit
        isShown = isatty(2) == 1
    }

    /// Runs `work` while another thread shows what `count` says.
    func follow<Output>(_ count: @escaping @Sendable () -> Int, _ work: () throws -> Output)
        rethrows -> Output
    {
        guard isShown else { return try work() }
        let isDone = Flag()
        let finished = DispatchSemaphore(value: 0)
        let thread = Thread {
            let begun = ContinuousClock.now
            while !isDone.isSet {
                show(count(), after: (ContinuousClock.now - begun) / .seconds(1))
                usleep(Self.intervalMilliseconds * 1000)
            }
            console.note(Data("\r\u{1B}[K".utf8))
            finished.signal()
        }
        thread.start()
        defer {
            isDone.set()
            finished.wait()
        }
        return try work()
    }

    private func show(_ done: Int, after seconds: Double) {
        let text = Self.text(done, of: total, unit, after: seconds)
        console.note(Data("\r\u{1B}[K\(text)".utf8))
    }

    /// How far work is that has taken `seconds` so far; of what has not begun nothing is foretold.
    static func text(_ done: Int, of total: Int, _ unit: String, after seconds: Double) -> String {
        let rate = seconds > 0 ? Double(done) / seconds : 0
        let left = rate > 0 ? Int((Double(total - done) / rate).rounded(.up)) : 0
        return "\(groupedDigits(done)) of \(groupedDigits(total)) \(unit), "
            + "\(done * 100 / max(total, 1)) %, \(groupedDigits(Int(rate)))/s, \(left) s left"
    }
}

/// A mark that one thread sets and another reads.
private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    // Relaxed: nothing is published with the mark.
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}
