internal import Bytes
internal import CordonJournal
internal import CordonModel
internal import LinuxIO
internal import Synchronization
internal import Telemetry

/// Commits the batches of all loops to one region's journal, on a thread of its own.
///
/// Each loop has at most one batch here; whatever has gathered while a commit ran goes into the next one, so batches
/// grow with load and a lone hit waits for nothing but its own sync.
final class RegionCommitter: Sendable {
    let region: String
    private let path: String
    private let journalBytesMax: Int
    private let logger: Logger
    private let wake: WakeSignal
    private let queue: Mutex<Queue>
    private let list = Mutex(Suppression())
    /// Generation of `list`; loops look here first.
    private let generation = Atomic<Int64>(0)
    private let tallies = Mutex(Tallies())

    private struct Queue {
        /// The batch of each loop, and whom to tell.
        var waiting: [Submission?]
        var isStopping = false
    }

    struct Submission {
        let batch: BatchBuffer
        let loop: LoopSignal
    }

    /// Commits so far.
    struct Tallies {
        var commits: UInt64 = 0
        var hits: UInt64 = 0
        var bytes: UInt64 = 0
        var failures = [UInt64](repeating: 0, count: JournalError.Code.allCases.count)
        /// Hits of those transactions.
        var failedHits = [UInt64](repeating: 0, count: JournalError.Code.allCases.count)
    }

    init(
        region: String, path: String, loops: Int, journalBytesMax: Int, logger: Logger
    ) throws(NetworkError) {
        self.region = region
        self.path = path
        self.journalBytesMax = journalBytesMax
        self.logger = logger
        wake = try WakeSignal()
        queue = Mutex(Queue(waiting: Array(repeating: nil, count: loops)))
    }

    /// Opens the journal once, to report at start what would fail later, and reads the suppression list.
    func prepare() throws(JournalError) {
        let journal = try Journal(path: path, bytesMax: journalBytesMax)
        publish(try journal.suppression())
    }

    /// The list that the loops filter by.
    func suppression(ifNewerThan known: Int64) -> Suppression? {
        guard generation.load(ordering: .acquiring) != known else { return nil }
        return list.withLock { $0 }
    }

    private func publish(_ suppression: Suppression) {
        list.withLock { $0 = suppression }
        generation.store(suppression.generation, ordering: .releasing)
    }

    func submit(_ submission: Submission, loop: Int) {
        submission.batch.phase = .submitted
        queue.withLock { queue in
            precondition(queue.waiting[loop] == nil, "a loop has one batch at the committer")
            queue.waiting[loop] = submission
        }
        wake.signal()
    }

    func stop() {
        queue.withLock { $0.isStopping = true }
        wake.signal()
    }

    var counts: Tallies { tallies.withLock { $0 } }

    /// How long hits that keep nothing wait for a place in the ledger, in milliseconds; a kill loses their count, never
    /// that of a hit in the journal.
    static let ledgerMilliseconds: Int32 = 250

    /// The thread's body: returns when it was stopped and nothing waits.
    ///
    /// - Parameter ledger: hits that keep nothing, as the loops count them.
    func run(_ ledger: UnkeptLedger) {
        var journal: Journal?
        var taken: [Submission] = []
        while true {
            var isStopping = false
            queue.withLock { queue in
                for index in queue.waiting.indices {
                    if let submission = queue.waiting[index] {
                        taken.append(submission)
                        queue.waiting[index] = nil
                    }
                }
                isStopping = queue.isStopping
            }
            if taken.isEmpty {
                if isStopping {
                    noteUnkept(ledger, &journal, isLast: true)
                    return
                }
                wake.wait(milliseconds: Self.ledgerMilliseconds)
                if ledger.isDue { noteUnkept(ledger, &journal) }
                continue
            }
            commit(taken, &journal, ledger)
            for submission in taken {
                submission.batch.phase = .answered
                submission.loop.wake()
            }
            taken.removeAll(keepingCapacity: true)
        }
    }

    private func opened(_ journal: inout Journal?) throws(JournalError) -> Journal {
        if let journal { return journal }
        let opened = try Journal(path: path, bytesMax: journalBytesMax)
        journal = opened
        return opened
    }

    /// Writes the counts of hits that keep nothing when no batch takes them along.
    private func noteUnkept(
        _ ledger: UnkeptLedger, _ journal: inout Journal?, isLast: Bool = false
    ) {
        let counts = ledger.take()
        guard !counts.isEmpty else { return }
        do throws(JournalError) {
            try opened(&journal).note(counts)
            ledger.settle()
        } catch {
            // They wait for the next commit; at the end there is none.
            guard isLast else { return }
            logger.error(
                "counts of hits that keep nothing are lost",
                [
                    "journal.region": .text(region), "journal.error": .text(error.code.rawValue),
                    "edge.hits": .count(counts.reduce(0) { $0 + $1.hits }),
                ])
        }
    }

    private func commit(
        _ taken: [Submission], _ journal: inout Journal?, _ ledger: UnkeptLedger
    ) {
        var failure: JournalError?
        do throws(JournalError) {
            try append(taken, opened(&journal), unkept: ledger.isDue ? ledger.take() : [])
            ledger.settle()
        } catch {
            ledger.keep()
            failure = error
            // A damaged or vanished file is opened anew the next time; a lock or a full disk keeps its connection, and so
            // does a failed write or sync: that connection alone knows that what it wrote was not committed, and writes
            // over it, while a new one may find it whole and take it for committed, after it was answered 503.
            if error.code == .unreadable || error.code == .store && !error.isInputOutput {
                journal = nil
            }
            logger.error(
                "commit failed",
                [
                    "journal.region": .text(region), "journal.error": .text(error.code.rawValue),
                    "journal.store_code": .count(error.storeCode),
                ])
        }
        for submission in taken { submission.batch.failure = failure }
        let hits = taken.reduce(0) { $0 + UInt64($1.batch.hits) }
        let bytes = taken.reduce(0) { $0 + UInt64($1.batch.count) }
        tallies.withLock { tallies in
            if let failure, let index = JournalError.Code.allCases.firstIndex(of: failure.code) {
                tallies.failures[index] += 1
                tallies.failedHits[index] += hits
            } else {
                tallies.commits += 1
                tallies.hits += hits
                tallies.bytes += bytes
            }
        }
    }

    /// Appends; when the suppression list has changed, filters by the new one and tries again.
    private func append(
        _ taken: [Submission], _ journal: Journal, unkept: [LedgerCount]
    ) throws(JournalError) {
        var expected = list.withLock { $0.generation }
        var attempts = 0
        while true {
            let current = list.withLock { $0 }
            for submission in taken where submission.batch.generation != current.generation {
                SuppressionFilter.apply(current, to: submission.batch)
            }
            expected = current.generation
            var batches = unsafe [PendingBatch]()
            unsafe batches.reserveCapacity(taken.count)
            for submission in taken {
                let batch = submission.batch
                // SAFETY: the batch is submitted, so its memory is this thread's until it is answered.
                unsafe batches.append(
                    PendingBatch(
                        bytes: UnsafeRawBufferPointer(start: batch.bytes, count: batch.count),
                        hits: batch.hits, tally: LedgerTally.text(batch.ledgerCounts)))
            }
            do throws(JournalError) {
                _ = try unsafe journal.append(batches, expecting: expected, unkept: unkept)
                return
            } catch {
                attempts += 1
                guard error.code == .suppressionChanged, attempts < 10 else { throw error }
                publish(try journal.suppression())
            }
        }
    }
}

/// How a loop is woken.
final class LoopSignal: Sendable {
    private let signal: WakeSignal
    var descriptor: Int32 { signal.descriptor }
    init() throws(NetworkError) { signal = try WakeSignal() }
    func wake() { signal.signal() }
    func clear() { signal.clear() }
}

/// Takes what was kept of a suppressed subject out of a batch that was made before the suppression.
enum SuppressionFilter {
    static func apply(_ suppression: Suppression, to batch: BatchBuffer) {
        // Pseudonyms that have left the list since tell nothing any more, and the id is forgotten: then each hit of a
        // user is only counted. It meets the first batch after an erasure that this collector did not see run.
        let isBlind = batch.generation < suppression.releaseGeneration
        defer { batch.generation = suppression.generation }
        if !isBlind, suppression.users.isEmpty, suppression.visitors.isEmpty { return }
        let content = unsafe Array(UnsafeBufferPointer(start: batch.bytes, count: batch.count))
        guard var decoded = try? HitBatch(decoding: content) else {
            preconditionFailure("the edge reads what it wrote")
        }
        var changed = 0
        for index in decoded.records.indices {
            let record = decoded.records[index]
            guard
                isBlind && record.user != nil
                    || suppression.contains(user: record.user, visitor: record.visitor)
            else { continue }
            decoded.records[index].becomeCount()
            batch.moveToSuppressed(policy: record.policy)
            changed += 1
        }
        if changed > 0 { batch.replace(decoded.encoded) }
    }
}

extension HitRecord {
    /// Keeps time, site, event, country and what is always filled.
    fileprivate mutating func becomeCount() {
        pageHost = nil
        pagePath = nil
        referrerHost = nil
        visitor = nil
        user = nil
        keyEpoch = nil
        ipPrefix = nil
        subdivision = nil
        browser = nil
        os = nil
        device = nil
        language = nil
        purposes = []
        signals = []
        parameters = []
    }
}
