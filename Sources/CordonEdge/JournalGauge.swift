internal import CordonJournal
internal import LinuxIO
internal import Synchronization

/// What waits in one region's journal for its delivery, as `/metrics` tells it.
///
/// It is counted on a connection of its own and by a thread that nobody waits for, because counting a long journal takes
/// time; the longer it takes, the rarer it is done. One thread calls ``measure()``, any may read.
final class JournalGauge: Sendable {
    let region: String
    private let path: String
    private let tool = Mutex(Tool())
    private let last = Mutex<Reading?>(nil)

    struct Reading: Sendable {
        var depth: JournalDepth
        /// When the oldest batch was committed, in minutes since 1970; nil when none waits.
        var oldestMinute: Int64?

        /// How long the oldest batch has waited, in seconds, counted from the start of the minute of its commit.
        func age(at microseconds: Int64) -> Int64 {
            oldestMinute.map { max(0, microseconds / 1_000_000 - $0 * 60) } ?? 0
        }
    }

    private struct Tool {
        var journal: Journal?
        var counter = DepthCounter()
        var dueAt: UInt64 = 0
    }

    /// From one look to the next, in milliseconds.
    static let periodMilliseconds: UInt64 = 1000
    /// A look may take this share of the time at most: one in so many.
    private static let share: UInt64 = 200

    init(region: String, path: String) {
        self.region = region
        self.path = path
    }

    /// The last look; nil when the journal could not be read.
    var reading: Reading? { last.withLock { $0 } }

    /// Looks, when the last look is long enough ago.
    func measure() {
        tool.withLock { tool in
            let began = SystemClock.monotonicMilliseconds()
            guard began >= tool.dueAt else { return }
            do throws(JournalError) {
                let journal: Journal
                if let open = tool.journal {
                    journal = open
                } else {
                    journal = try Journal(path: path)
                    tool.journal = journal
                }
                let reading = Reading(
                    depth: try tool.counter.look(at: journal),
                    oldestMinute: try journal.oldestMinute())
                last.withLock { $0 = reading }
            } catch {
                // Whoever commits says what is wrong with it; a number that is not known is left out.
                tool.journal = nil
                tool.counter = DepthCounter()
                last.withLock { $0 = nil }
            }
            let now = SystemClock.monotonicMilliseconds()
            tool.dueAt = now + max(Self.periodMilliseconds, Self.share * (now - began))
        }
    }

    /// Lets go of the journal, so that the last who has it open can fold its log.
    func close() { tool.withLock { $0.journal = nil } }
}
