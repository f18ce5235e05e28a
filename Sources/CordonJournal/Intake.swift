internal import Bytes
package import CordonModel
internal import LinuxIO
internal import SQLite

/// What a collector appends to: a file in front of the journal, in which a commit is one write.
///
/// A batch is durable once ``append(_:expecting:checking:milliseconds:)`` says so. ``Journal/takeIn()`` makes it a batch of
/// the journal, and so does whatever reads or changes the journal before it looks; nobody sees the one without the other.
///
/// One for each region at a time. Used by one thread at a time.
package final class Intake {
    /// The size of a new one, but for its first page: what a region of 100,000 hits a second writes in 80 ms.
    package static let bytes = 2 << 20
    /// The byte that is locked by who appends, and by who must not be appended beside.
    package static let appendLock = 1

    private let file: IntakeFile
    /// For frames; each write is synced when it returns.
    private let synced: File
    private var position: IntakeFile.Position
    /// A write failed; its turn takes no more.
    private var isSpoilt = false
    /// The journal has all that the other half held.
    private var isOtherHalfFree = true

    /// What became of batches that were to be appended.
    package enum Outcome: Sendable {
        /// They are on disk. `hasTurned`: what the other half holds is to be taken in before it is needed again.
        case kept(hasTurned: Bool)
        /// Both halves hold what the journal has not taken in yet.
        case full
        /// They are more than a half holds.
        case tooLarge
    }

    /// Opens or makes the intake of the journal at `path`, takes in what an earlier run left there, and becomes the one who
    /// appends; nil when another collector is.
    ///
    /// - Parameter bytes: size of one that is made here.
    package init?(journal path: String, bytes: Int = Intake.bytes) throws(JournalError) {
        do {
            let intakePath = Journal.intakePath(of: path)
            if try !File.exists(intakePath) {
                let page = IntakeFile.pageBytes
                try IntakeFile.create(
                    at: intakePath, halfBytes: max(page, bytes / 2 / page * page))
            }
            guard let file = try IntakeFile(opening: intakePath) else {
                throw JournalError(.unreadable)
            }
            guard try file.own() else { return nil }
            self.file = file
            synced = try File(opening: intakePath, [.write, .syncedData, .noFollow])
            let journal = try Journal(path: path)
            try journal.takeIn()
            // A new turn, so that what was torn in the last one is never taken for whole.
            position = .init(turn: try journal.intakePosition(of: file).turn + 1, offset: 0)
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Writes `batches`, synced when this returns `.kept`.
    ///
    /// - Parameters:
    ///   - generation: that of the suppression list that the batches were filtered by.
    ///   - journal: where the present generation stands.
    ///   - milliseconds: how long it waits while the intake is taken in or emptied.
    /// - Throws: `.suppressionChanged` when the list is another; `.locked` when it waited for too long.
    package func append(
        _ batches: borrowing [PendingBatch], expecting generation: Int64,
        checking journal: Journal, milliseconds: Int
    ) throws(JournalError) -> Outcome {
        do {
            guard try file.lock(milliseconds: milliseconds) else { throw JournalError(.locked) }
            defer { file.unlock() }
            guard try journal.generation() == generation else {
                throw JournalError(.suppressionChanged)
            }
            let tallies = unsafe batches.map { unsafe Array($0.tally.utf8) }
            var bytes = 0
            for index in tallies.indices {
                bytes += IntakeFile.roundUp(
                    IntakeFile.Head.bytes + tallies[index].count
                        + (unsafe batches[index].bytes.count), to: 8)
            }
            bytes = IntakeFile.roundUp(bytes, to: IntakeFile.pageBytes)
            guard bytes <= file.halfBytes else { return .tooLarge }
            var hasTurned = false
            if isSpoilt, position.offset == 0 {
                // The turn has nothing; its half goes on under another number.
                position.turn += 2
            } else if isSpoilt || position.offset + bytes > file.halfBytes {
                if !isOtherHalfFree {
                    let taken = try journal.intakePosition(of: file)
                    isOtherHalfFree = taken.turn >= position.turn
                }
                guard isOtherHalfFree else { return .full }
                position = .init(turn: position.turn + 1, offset: 0)
                isOtherHalfFree = false
                hasTurned = true
            }
            isSpoilt = false
            try unsafe write(batches, tallies)
            position.offset += bytes
            return .kept(hasTurned: hasTurned)
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    private func write(
        _ batches: borrowing [PendingBatch], _ tallies: [[UInt8]]
    ) throws(LinuxError) {
        let place = file.place(position)
        var heads: [[UInt8]] = []
        var gaps: [Int] = []
        var offset = position.offset
        let minute = Journal.minute
        for index in tallies.indices {
            let payload = unsafe batches[index].bytes
            let head = unsafe IntakeFile.Head(
                hits: UInt32(batches[index].hits), turn: position.turn, offset: offset,
                minute: minute, tallyBytes: tallies[index].count, payloadBytes: payload.count,
                payloadHash: XXH64.hash(payload.bytes))
            heads.append(file.headBytes(head, tally: tallies[index]))
            let isLast = index == tallies.count - 1
            let end = IntakeFile.roundUp(
                offset + head.frameBytes, to: isLast ? IntakeFile.pageBytes : 8)
            gaps.append(end - offset - head.frameBytes)
            offset = end
        }
        var failure: LinuxError?
        // The heads stand in one array, so that all parts lie still while they are written.
        let joined = Array(heads.joined())
        unsafe joined.withUnsafeBytes { joined in
            unsafe Self.zeros.withUnsafeBytes { zeros in
                var parts: [UnsafeRawBufferPointer] = unsafe []
                var start = 0
                for index in heads.indices {
                    let end = start + heads[index].count
                    unsafe parts.append(UnsafeRawBufferPointer(rebasing: joined[start..<end]))
                    unsafe parts.append(batches[index].bytes)
                    unsafe parts.append(UnsafeRawBufferPointer(rebasing: zeros[..<gaps[index]]))
                    start = end
                }
                do throws(LinuxError) { try unsafe synced.write(gathering: parts, at: place) } catch
                {
                    failure = error
                }
            }
        }
        guard let failure else { return }
        isSpoilt = true
        // It may be whole on disk all the same, and is to be answered as failed: then it must not be taken in.
        try? file.file.write(Self.zeros, at: place)
        throw failure
    }

    private static let zeros = [UInt8](repeating: 0, count: IntakeFile.pageBytes)
}

extension Intake: RestingWriter {
    package static let rests = [Rest(.intake, HitBatch.columns)]
}

// Taking in.
extension Journal {
    /// Where the intake of the journal at `path` is: `journal.intake` beside `journal.sqlite`.
    package static func intakePath(of path: String) -> String {
        let suffix = ".sqlite"
        return (path.hasSuffix(suffix) ? String(path.dropLast(suffix.count)) : path) + ".intake"
    }

    /// What happens to the bytes of an intake that the journal has taken in.
    enum Wiping {
        /// They are overwritten with zeros.
        case soon
        /// And the zeros are on disk.
        case synced
    }

    /// Makes what the intake holds batches of the journal, synced when this returns. Appending to it goes on meanwhile.
    package func takeIn() throws(JournalError) {
        do {
            try connection.transaction(.immediate) {
                if let intake = try openIntake() { try drain(intake, isLocked: false) }
            }
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// The same, and overwrites with zeros what the intake held.
    package func emptyIntake() throws(JournalError) {
        // Most of it comes in while appending goes on.
        try takeIn()
        do { try exclusively(.soon) {} } catch { throw JournalError(wrapping: error) }
    }

    /// The same as ``takeIn()`` before a look at the journal: where the journal is full, what it has comes first.
    func takeInBeforeLook() throws(JournalError) {
        guard !connection.isInTransaction else { return }
        do {
            guard let intake = try openIntake(),
                try intake.mayHold(behind: intakePosition(of: intake))
            else { return }
            try takeIn()
        } catch {
            let error = JournalError(wrapping: error)
            if error.code != .full { throw error }
        }
    }

    /// Runs `body` and takes in what the intake holds, in one transaction, while nobody appends to it.
    ///
    /// - Parameter wiping: whether what the intake held is overwritten, once the transaction is on disk.
    func exclusively<Result>(_ wiping: Wiping? = nil, _ body: () throws -> Result) throws -> Result
    {
        var locked: IntakeFile?
        defer { locked?.unlock() }
        let result = try connection.transaction(.immediate) {
            // Looked for in the transaction: who makes an intake appends to it after a transaction of its own.
            let result = try body()
            if let intake = try openIntake() {
                try lock(intake)
                locked = intake
                try drain(intake, isLocked: true)
            }
            return result
        }
        if let wiping { try locked?.wipe(syncing: wiping == .synced) }
        return result
    }

    private func lock(_ intake: IntakeFile) throws {
        guard try intake.lock(milliseconds: Int(lockMilliseconds)) else {
            throw JournalError(.locked)
        }
    }

    /// Appends what the intake holds. Runs within a transaction.
    ///
    /// A turn behind which another has begun is whole. The last one is read under the lock, so that nothing is taken in that
    /// is still on its way, and may fail.
    private func drain(_ intake: IntakeFile, isLocked: Bool) throws {
        let begun = try intakePosition(of: intake)
        var position = begun
        while true {
            var next = try intake.firstFrame(behind: position.turn)
            let mustLock = next == nil && !isLocked
            if mustLock {
                try lock(intake)
                next = try intake.firstFrame(behind: position.turn)
            }
            defer { if mustLock { intake.unlock() } }
            position.offset = try unsafe intake.forEachFrame(from: position) {
                hits, minute, tally, bytes in
                try unsafe add(PendingBatch(bytes: bytes, hits: hits, tally: tally), minute: minute)
            }
            guard let next else { break }
            position = next
        }
        let known = try state(Self.intakeID)
        guard position != begun || known != intake.id else { return }
        try setState(Self.intakeID, intake.id)
        try setState(Self.intakeTurn, position.turn)
        try setState(Self.intakeOffset, Int64(position.offset))
    }

    private static let intakeID = "intake"
    private static let intakeTurn = "intake-turn"
    private static let intakeOffset = "intake-offset"

    /// Where that begins which the journal has not taken in. Of an intake that it does not know, that is everything.
    func intakePosition(of intake: IntakeFile) throws -> IntakeFile.Position {
        guard try state(Self.intakeID) == intake.id else { return .init(turn: 0, offset: 0) }
        return .init(
            turn: try state(Self.intakeTurn), offset: Int(try state(Self.intakeOffset)))
    }

    /// The intake's file, opened again when another stands in its place; nil when there is none.
    private func openIntake() throws -> IntakeFile? {
        let path = Self.intakePath(of: path)
        guard let metadata = try File.metadata(path) else {
            intake = nil
            return nil
        }
        if let intake, intake.inode == metadata.inode { return intake }
        intake = try IntakeFile(opening: path)
        return intake
    }
}
