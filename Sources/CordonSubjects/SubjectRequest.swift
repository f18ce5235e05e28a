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
    /// The day that retention counts from; nil for requests about a person.
    package let asOf: Day?
    /// What is to be done next.
    package var step: RequestStep
    /// Whether the pseudonyms are those of every key that could have made one before the suppression.
    package var isCovered = false
    package var counts = Counts()
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
        package init() {}
    }

    package init(
        id: String, kind: RequestKind, subject: SubjectDigest? = nil, asOf: Day? = nil,
        at time: Timestamp
    ) {
        self.id = id
        self.kind = kind
        self.subject = subject
        self.asOf = asOf
        step = RequestStep.sequence(kind)[0]
        createdAt = time
        updatedAt = time
    }

    package var isFinished: Bool { step == .done }

    /// The word for people and in JSON.
    package var state: String {
        if !isFinished { return "unfinished at \(step.rawValue)" }
        switch kind {
        case .erase: return "erased"
        case .retention: return "applied"
        case .find, .export, .verify: return "done"
        }
    }

    /// A new random id.
    package static func newID() -> String { Bytes.hex(SecureRandom.bytes(16)) }
}
