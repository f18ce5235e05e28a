internal import Bytes
internal import CordonJournal
internal import CordonModel
internal import LinuxIO
internal import Synchronization
internal import Telemetry

/// Commits the batches of all loops to one region's intake, in front of its journal.
///
/// Whoever comes first leads: a loop that hands in a batch of few hits while nobody is at the journal commits all that
/// waits, on its own thread, so a lone hit needs no other thread and no wake-up. A loop that finds the journal taken goes on; the leader
/// takes its batch along in the next pass. Where a commit would hold up a loop (the batch has many hits, syncs have become
/// slow, another process has the journal locked, a second region commits in the same round), the region's writer thread
/// leads instead.
/// Each loop has at most one batch here, and whatever has gathered while a commit ran goes into the next one, so batches
/// grow with load and a lone hit waits for nothing but its own sync.
final class RegionCommitter: Sendable {
    let region: String
    private let path: String
    private let journalBytesMax: Int
    private let intakeBytes: Int
    private let logger: Logger
    private let wake: WakeSignal
    private let keeperWake: WakeSignal
    private let queue: Mutex<Queue>
    private let desk: Mutex<Desk>
    private let list = Mutex(Suppression())
    /// Generation of `list`; loops look here first.
    private let generation = Atomic<Int64>(0)
    private let tallies = Mutex(Tallies())
    /// Syncs take so long that a loop should not wait for them.
    private let isSlow = Atomic<Bool>(false)
    /// A half of the intake waits to be taken in.
    private let needsTakingIn = Atomic<Bool>(false)
    /// The keeper is to end.
    private let isKeeperStopping = Atomic<Bool>(false)
    /// Whether the last commit failed, whichever loop's batch it took. Relaxed: it orders nothing.
    private let hasFailed = Atomic<Bool>(false)

    /// A commit that took longer makes the writer thread lead.
    private static let slowNanoseconds: UInt64 = 1_000_000
    /// So many quick commits in a row of the writer thread let loops lead again.
    private static let quickCommitsMin = 8
    /// How long the writer thread waits for another process that has the journal locked, in milliseconds.
    private static let writerWaitMilliseconds: Int32 = 2000
    /// Times that a leading loop takes along what others have handed in meanwhile, before the writer thread goes on.
    private static let passesMax = 2

    private struct Queue {
        /// The batch of each loop, and whom to tell.
        var waiting: [Submission?]
        var isStopping = false
    }

    /// What the leader works with.
    // SAFETY: `pending` points into batches of `taken`, which are the leader's until they are answered; it is filled
    // anew before each use.
    @safe private struct Desk {
        var journal: Journal?
        /// What commits go to; nil where there is none, and they go to the journal.
        var intake: Intake?
        /// Taken from the queue and not yet answered.
        var taken: [Submission] = []
        var pending: [PendingBatch] = unsafe []
        var quickCommits = 0
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
        region: String, path: String, loops: Int, journalBytesMax: Int,
        intakeBytes: Int = Intake.bytes, logger: Logger
    ) throws(NetworkError) {
        self.region = region
        self.path = path
        self.journalBytesMax = journalBytesMax
        self.intakeBytes = intakeBytes
        self.logger = logger
        wake = try WakeSignal()
        keeperWake = try WakeSignal()
        queue = Mutex(Queue(waiting: Array(repeating: nil, count: loops)))
        desk = Mutex(Desk())
    }

    /// Opens the journal once, to report at start what would fail later, reads the suppression list, and opens the intake.
    func prepare() throws(JournalError) {
        let journal = try Journal(path: path, bytesMax: journalBytesMax)
        publish(try journal.suppression())
        do throws(JournalError) {
            let isOurs = try desk.withLock { desk throws(JournalError) in
                desk.intake = try Intake(journal: path, bytes: intakeBytes)
                return desk.intake != nil
            }
            if isOurs { return }
            logger.info(
                "another collector has the journal's intake; commits go to the journal itself",
                ["journal.region": .text(region)])
        } catch {
            logger.warning(
                "the journal's intake cannot be used; commits go to the journal itself",
                [
                    "journal.region": .text(region), "journal.error": .text(error.code.rawValue),
                    "journal.store_code": .count(error.storeCode),
                ])
        }
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

    /// Takes a loop's batch; ``lead()`` or ``wakeWriter()`` must follow.
    func submit(_ submission: Submission, loop: Int) {
        submission.batch.phase = .submitted
        queue.withLock { queue in
            precondition(queue.waiting[loop] == nil, "a loop has one batch at the committer")
            queue.waiting[loop] = submission
        }
    }

    /// Lets the writer thread commit what waits.
    func wakeWriter() { wake.signal() }

    /// Commits what waits on the calling loop's thread, where nobody else does and it does not take long.
    func lead() {
        if isSlow.load(ordering: .relaxed) { return wake.signal() }
        var passes = 0
        // Who hands in a batch looks at the desk afterwards, and who leaves the desk looks at the queue, so none is
        // forgotten whichever comes first.
        while passes < Self.passesMax {
            let isAllDone = desk.withLockIfAvailable { commitWaiting(&$0, isWriter: false) }
            guard let isAllDone else { return }
            guard isAllDone else { break }
            if !hasWaiting { return }
            passes += 1
        }
        wake.signal()
    }

    private var hasWaiting: Bool {
        queue.withLock { queue in queue.waiting.contains { $0 != nil } }
    }

    func stop() {
        queue.withLock { $0.isStopping = true }
        wake.signal()
    }

    var counts: Tallies { tallies.withLock { $0 } }

    /// Whether the last commit went well; so it is while there was none.
    var isWell: Bool { !hasFailed.load(ordering: .relaxed) }

    /// How long hits that keep nothing wait for a place in the ledger, in milliseconds; a kill loses their count, never
    /// that of a hit in the journal.
    static let ledgerMilliseconds: Int32 = 250

    /// The writer thread's body: returns when it was stopped and nothing waits.
    func run() {
        while true {
            _ = desk.withLock { commitWaiting(&$0, isWriter: true) }
            if hasWaiting { continue }
            if queue.withLock({ $0.isStopping }) { break }
            wake.wait()
        }
        desk.withLock { desk in
            desk.journal = nil
            desk.intake = nil
        }
    }

    /// The keeper thread's body: takes in what the intake holds before it is full, and writes the counts of hits that keep
    /// nothing, so that no commit waits for either. To be ended, by ``stopKeeping()``, after the writer.
    ///
    /// - Parameter ledger: hits that keep nothing, as the loops count them.
    func keep(_ ledger: UnkeptLedger) {
        var journal: Journal?
        while !isKeeperStopping.load(ordering: .acquiring) {
            if needsTakingIn.exchange(false, ordering: .acquiringAndReleasing) {
                takeIn(&journal)
            }
            if ledger.isDue { noteUnkept(ledger, &journal) }
            keeperWake.wait(milliseconds: Self.ledgerMilliseconds)
        }
        noteUnkept(ledger, &journal, isLast: true)
        takeIn(&journal, isLast: true)
    }

    func stopKeeping() {
        isKeeperStopping.store(true, ordering: .releasing)
        keeperWake.signal()
    }

    private func keptJournal(_ journal: inout Journal?) throws(JournalError) -> Journal {
        if let journal { return journal }
        let opened = try Journal(path: path, bytesMax: journalBytesMax)
        journal = opened
        return opened
    }

    private func takeIn(_ journal: inout Journal?, isLast: Bool = false) {
        do throws(JournalError) {
            let journal = try keptJournal(&journal)
            try isLast ? journal.emptyIntake() : journal.takeIn()
        } catch {
            // Commits go on until both halves are full, and then try it themselves.
            if error.code != .locked { journal = nil }
            logger.warning(
                "what the journal's intake holds was not taken in",
                ["journal.region": .text(region), "journal.error": .text(error.code.rawValue)])
        }
    }

    /// Writes the counts of hits that keep nothing.
    private func noteUnkept(
        _ ledger: UnkeptLedger, _ journal: inout Journal?, isLast: Bool = false
    ) {
        let counts = ledger.take()
        guard !counts.isEmpty else { return }
        do throws(JournalError) {
            try keptJournal(&journal).note(counts)
            ledger.settle()
        } catch {
            ledger.keep()
            if error.code != .locked, error.code != .full { journal = nil }
            // They wait for the next time; at the end there is none.
            guard isLast else { return }
            logger.error(
                "counts of hits that keep nothing are lost",
                [
                    "journal.region": .text(region), "journal.error": .text(error.code.rawValue),
                    "edge.hits": .count(counts.reduce(0) { $0 + $1.hits }),
                ])
        }
    }

    private func opened(_ desk: inout Desk) throws(JournalError) -> Journal {
        if let journal = desk.journal { return journal }
        let journal = try Journal(path: path, bytesMax: journalBytesMax)
        desk.journal = journal
        return journal
    }

    /// Commits what the queue holds. False when a loop leads and the journal is locked by another process: then the
    /// batches stay on the desk for the writer thread, which can wait.
    private func commitWaiting(_ desk: inout Desk, isWriter: Bool) -> Bool {
        queue.withLock { queue in
            for index in queue.waiting.indices {
                if let submission = queue.waiting[index] {
                    desk.taken.append(submission)
                    queue.waiting[index] = nil
                }
            }
        }
        if desk.taken.isEmpty { return true }
        let began = SystemClock.monotonicNanoseconds()
        guard commit(&desk, isWriter: isWriter) else { return false }
        judge(SystemClock.monotonicNanoseconds() - began, &desk, isWriter: isWriter)
        for submission in desk.taken {
            submission.batch.phase = .answered
            submission.loop.wake()
        }
        desk.taken.removeAll(keepingCapacity: true)
        return true
    }

    /// Decides who leads the next commits, by how long the last one took.
    private func judge(_ nanoseconds: UInt64, _ desk: inout Desk, isWriter: Bool) {
        if nanoseconds > Self.slowNanoseconds {
            desk.quickCommits = 0
            isSlow.store(true, ordering: .relaxed)
        } else if isSlow.load(ordering: .relaxed) {
            desk.quickCommits += 1
            if desk.quickCommits >= Self.quickCommitsMin { isSlow.store(false, ordering: .relaxed) }
        }
    }

    private func commit(_ desk: inout Desk, isWriter: Bool) -> Bool {
        var failure: JournalError?
        do throws(JournalError) {
            let journal = try opened(&desk)
            journal.waitForLocks(milliseconds: isWriter ? Self.writerWaitMilliseconds : 0)
            try append(&desk, journal, isWriter: isWriter)
        } catch {
            if error.code == .locked, !isWriter { return false }
            failure = error
            // A damaged or vanished file is opened anew the next time; a lock or a full disk keeps its connection, and so
            // does a failed write or sync: that connection alone knows that what it wrote was not committed, and writes
            // over it, while a new one may find it whole and take it for committed, after it was answered 503.
            if error.code == .unreadable || error.code == .store && !error.isInputOutput {
                desk.journal = nil
            }
            logger.error(
                "commit failed",
                [
                    "journal.region": .text(region), "journal.error": .text(error.code.rawValue),
                    "journal.store_code": .count(error.storeCode),
                ])
        }
        var hits: UInt64 = 0
        var bytes: UInt64 = 0
        for submission in desk.taken {
            submission.batch.failure = failure
            hits += UInt64(submission.batch.hits)
            bytes += UInt64(submission.batch.count)
        }
        hasFailed.store(failure != nil, ordering: .relaxed)
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
        return true
    }

    /// Appends; when the suppression list has changed, filters by the new one and tries again.
    private func append(
        _ desk: inout Desk, _ journal: Journal, isWriter: Bool
    ) throws(JournalError) {
        var attempts = 0
        while true {
            let current = generation.load(ordering: .acquiring)
            for submission in desk.taken where submission.batch.generation != current {
                SuppressionFilter.apply(list.withLock { $0 }, to: submission.batch)
            }
            unsafe desk.pending.removeAll(keepingCapacity: true)
            for submission in desk.taken {
                let batch = submission.batch
                // SAFETY: the batch is submitted, so its memory is the leader's until it is answered.
                unsafe desk.pending.append(
                    PendingBatch(
                        bytes: UnsafeRawBufferPointer(start: batch.bytes, count: batch.count),
                        hits: batch.hits, tally: LedgerTally.text(batch.ledgerCounts)))
            }
            do throws(JournalError) {
                try unsafe append(desk.pending, current, desk.intake, journal, isWriter: isWriter)
                return
            } catch {
                attempts += 1
                guard error.code == .suppressionChanged, attempts < 10 else { throw error }
                publish(try journal.suppression())
            }
        }
    }

    private func append(
        _ pending: borrowing [PendingBatch], _ generation: Int64, _ intake: Intake?,
        _ journal: Journal, isWriter: Bool
    ) throws(JournalError) {
        while let intake {
            let outcome = try unsafe intake.append(
                pending, expecting: generation, checking: journal,
                milliseconds: isWriter ? Int(Self.writerWaitMilliseconds) : 0)
            switch outcome {
            case .kept(let hasTurned):
                if hasTurned {
                    needsTakingIn.store(true, ordering: .releasing)
                    keeperWake.signal()
                }
                return
            case .full:
                // It takes a while, so no loop does it.
                guard isWriter else { throw JournalError(.locked) }
                try journal.takeIn()
                continue
            case .tooLarge: break
            }
            break
        }
        _ = try unsafe journal.append(pending, expecting: generation)
    }
}

/// How a loop is woken.
///
/// A loop that is awake looks around by itself before it sleeps, so only one that sleeps costs a system call.
final class LoopSignal: Sendable {
    private let signal: WakeSignal
    private let isAsleep = Atomic<Bool>(false)
    var descriptor: Int32 { signal.descriptor }

    init() throws(NetworkError) { signal = try WakeSignal() }

    /// Tells of something that the loop can see in memory by now.
    func wake() {
        // The fence stands between what the loop shall see and the look at its sleep; `prepareToSleep` has its
        // counterpart. So either the loop sees the news, or it is seen to be asleep.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if isAsleep.load(ordering: .relaxed), isAsleep.exchange(false, ordering: .relaxed) {
            signal.signal()
        }
    }

    /// Said by the loop before its last look around; it may sleep when that shows nothing.
    func prepareToSleep() {
        isAsleep.store(true, ordering: .relaxed)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
    }

    /// Said by the loop when it is awake.
    func awake() { isAsleep.store(false, ordering: .relaxed) }

    func clear() { signal.clear() }
}

/// Takes what was kept of a suppressed subject out of a batch that was made before the suppression.
enum SuppressionFilter {
    static func apply(_ suppression: Suppression, to batch: BatchBuffer) {
        // Pseudonyms that have left the list since tell nothing any more, nor does a digest that came without any, and the id is
        // forgotten: then each hit of a user is only counted. It meets the first batch after an erasure that this collector did
        // not see run, and after an objection or a restriction.
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
