internal import Bytes
package import CordonKeys
package import CordonModel
internal import Crypto

/// One request in one region as the store holds it. It names no one.
package struct SubjectRequest: Equatable, Sendable {
    /// 32 hexadecimal digits; the same in every region that was asked together.
    package let id: String
    package let kind: RequestKind
    /// The person; nil for retention.
    package let subject: SubjectDigest?
    /// How the person was named; nil for retention.
    package let naming: Subject.Naming?
    /// How many people it is about.
    package let people: Int
    /// The days that it covers; nil means all.
    package let days: ClosedRange<Day>?
    /// The day that retention counts from; nil for requests about a person.
    package let asOf: Day?
    /// What is to be done next.
    package var step: RequestStep
    /// Whether the pseudonyms are those of every key that could have made one before the suppression.
    package var isCovered = false
    package var counts = Counts()
    /// Since when nobody can read the person's sealed columns; nil where nothing of them was sealed.
    package var unreadableSince: Timestamp?
    /// The column that a hold is about; nil means all.
    package var column: String?
    /// What a rectification is to do; nil for every other kind.
    package var correction: ConsentCorrection?
    /// Why a hold is there, in the words of whoever set it.
    package var reason: String?
    /// Ids of the holds that an erasure waits for, separated by spaces; empty when it waits for none.
    package var heldBy = ""
    /// The law that the request is answered under, and the day by which; nil where nobody said so.
    package var law: String?
    package var due: Day?
    /// How often the request was begun or resumed.
    package var attempts = 0
    package let createdAt: Timestamp
    package var updatedAt: Timestamp

    /// What went, or was found.
    package struct Counts: Equatable, Sendable {
        package var rows: Int64 = 0
        package var files: Int64 = 0
        /// Hits in the journal.
        package var journalHits: Int64 = 0
        package var deadLetters: Int64 = 0
        /// Files of all kinds that were deleted from the disk.
        package var filesDeleted: Int64 = 0
        /// Keys of sealed columns that were destroyed.
        package var keys: Int64 = 0
        package init() {}
    }

    /// A hold or a restriction.
    ///
    /// - Parameter subject: nil means everybody.
    package init(
        standing kind: RequestKind, id: String, subject: Subject?, days: ClosedRange<Day>?,
        at time: Timestamp
    ) {
        precondition(kind.isStanding)
        self.init(
            id: id, kind: kind, digest: subject?.digest, naming: subject?.naming,
            people: subject?.people ?? 0, days: days ?? subject?.days, asOf: nil, at: time)
    }

    /// A request about a person.
    package init(id: String, kind: RequestKind, subject: Subject, at time: Timestamp) {
        self.init(
            id: id, kind: kind, digest: subject.digest, naming: subject.naming,
            people: subject.people,
            days: kind == .erase ? subject.erasedDays : subject.days, asOf: nil, at: time)
    }

    /// The end of a retention.
    package init(retention id: String, asOf day: Day, at time: Timestamp) {
        self.init(
            id: id, kind: .retention, digest: nil, naming: nil, people: 0, days: nil, asOf: day,
            at: time)
    }

    init(
        id: String, kind: RequestKind, digest: SubjectDigest?, naming: Subject.Naming?,
        people: Int, days: ClosedRange<Day>?, asOf: Day?, at time: Timestamp
    ) {
        self.id = id
        self.kind = kind
        subject = digest
        self.naming = naming
        self.people = people
        self.days = days
        self.asOf = asOf
        step = RequestStep.sequence(kind)[0]
        createdAt = time
        updatedAt = time
    }

    package var isFinished: Bool { step == .done }

    /// Whether the key of an epoch may have made a pseudonym of the person that the request has to cover.
    func concerns(_ epoch: RegionKeys.Epoch) -> Bool {
        switch naming {
        case .user, .list: epoch.field == .user
        case .visitor:
            epoch.field == .visitor
                && days.map { epoch.start <= $0.upperBound && epoch.end > $0.lowerBound } ?? true
        case .pseudonym, .ledger, nil: false
        }
    }

    /// Days before the last one for the answer from which on `status` reminds of it.
    package static let reminderDays = 7

    /// What `status` says of an unfinished request whose answer is due soon, or late; nil while there is time.
    package func reminder(on today: Day) -> String? {
        guard !isFinished, let due else { return nil }
        let left = due - today
        if left < 0 { return "is \(-left) day(s) late: it was to be answered by \(due.text)" }
        return left <= Self.reminderDays
            ? "is to be answered by \(due.text), in \(left) day(s)" : nil
    }

    /// The word for people and in JSON.
    package var state: String {
        if !isFinished {
            if kind.isStanding, step == .hold { return "in force" }
            return heldBy.isEmpty ? "unfinished at \(step.rawValue)" : "held by \(heldBy)"
        }
        switch kind {
        case .erase: return "erased"
        case .rectification: return "rectified"
        case .retention: return "applied"
        case .hold, .restriction: return "released"
        case .find, .export, .verify, .objection: return "done"
        }
    }

    /// A new random id.
    package static func newID() -> String { Bytes.hex(SecureRandom.bytes(16)) }
}
