internal import Bytes
package import CordonModel
internal import SQLite

/// Who may no longer be kept: keyed digests of user ids, and pseudonyms that were made before the erasure.
///
/// Immutable; loops share one and look up in it without a lock.
package struct Suppression: Equatable, Sendable {
    /// Grows by one with each change; an append names the generation that its batches were filtered by.
    package let generation: Int64
    /// The generation in which pseudonyms last left the list, or somebody came onto it without any. A batch that was filtered by
    /// an older one may hold a subject whom only the digest of the id, which a batch has not, would tell.
    package let releaseGeneration: Int64
    /// First 16 bytes of the keyed digest of each suppressed user id.
    package let subjects: Set<UInt128>
    package let users: Set<Pseudonym>
    package let visitors: Set<Pseudonym>

    package init(
        generation: Int64 = 0, releaseGeneration: Int64 = 0, subjects: Set<UInt128> = [],
        users: Set<Pseudonym> = [], visitors: Set<Pseudonym> = []
    ) {
        self.generation = generation
        self.releaseGeneration = releaseGeneration
        self.subjects = subjects
        self.users = users
        self.visitors = visitors
    }

    /// Those who are told by their pseudonyms.
    package var people: SubjectFilter { SubjectFilter(users: users, visitors: visitors) }

    @inlinable
    package var isEmpty: Bool { subjects.isEmpty && users.isEmpty && visitors.isEmpty }

    /// Whether a record with these pseudonyms must not be kept.
    package func contains(user: Pseudonym?, visitor: Pseudonym?) -> Bool {
        if let user, users.contains(user) { return true }
        if let visitor, visitors.contains(visitor) { return true }
        return false
    }
}

/// Columns that hold a pseudonym; the numbers stand in the journal file.
package enum SuppressedField: Int64, Sendable {
    case user = 1
    case visitor = 2
}

extension Journal {
    /// The present list.
    package func suppression() throws(JournalError) -> Suppression {
        do {
            return try connection.transaction(.deferred) {
                let generation =
                    try connection.integer(
                        "SELECT value FROM state WHERE name = 'suppression-generation'") ?? 0
                let released =
                    try connection.integer(
                        "SELECT value FROM state WHERE name = 'release-generation'") ?? 0
                var subjects: Set<UInt128> = []
                let digests = try connection.prepare("SELECT digest FROM suppressed_subjects")
                while try digests.step() { subjects.insert(try Self.number(digests.bytes(0))) }
                var users: Set<Pseudonym> = []
                var visitors: Set<Pseudonym> = []
                let rows = try connection.prepare(
                    "SELECT field, pseudonym FROM suppressed_pseudonyms")
                while try rows.step() {
                    let pseudonym = Pseudonym(value: try Self.number(rows.bytes(1)))
                    switch SuppressedField(rawValue: rows.int64(0)) {
                    case .user: users.insert(pseudonym)
                    case .visitor: visitors.insert(pseudonym)
                    case nil: throw JournalError(.unreadable)
                    }
                }
                return Suppression(
                    generation: generation, releaseGeneration: released, subjects: subjects,
                    users: users, visitors: visitors)
            }
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Adds to the list; from its return on, no append that was filtered by an older list succeeds. Without pseudonyms nothing in a
    /// batch of before tells who was added, so of that batch hits of users are only counted.
    package func suppress(
        subjects: [UInt128], pseudonyms: [(field: SuppressedField, pseudonym: Pseudonym)]
    ) throws(JournalError) {
        do {
            try exclusively {
                var changes: Int64 = 0
                let subject = try connection.prepare(
                    "INSERT OR IGNORE INTO suppressed_subjects VALUES (?)")
                for digest in subjects {
                    try subject.bind(1, Self.bytes(digest))
                    try subject.run()
                    changes += connection.changes
                }
                let row = try connection.prepare(
                    "INSERT OR IGNORE INTO suppressed_pseudonyms VALUES (?, ?)")
                for (field, pseudonym) in pseudonyms {
                    try row.bind(1, field.rawValue)
                    try row.bind(2, Self.bytes(pseudonym.value))
                    try row.run()
                    changes += connection.changes
                }
                guard changes > 0 else { return }
                try connection.execute(
                    "UPDATE state SET value = value + 1 WHERE name = 'suppression-generation'")
                if pseudonyms.isEmpty { try connection.execute(Self.releaseStatement) }
            }
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Takes pseudonyms off the list once nothing holds them any more, and leaves no copy of them in the file or its
    /// log; the subjects' digests stay and keep new hits out.
    package func release(
        pseudonyms: [(field: SuppressedField, pseudonym: Pseudonym)]
    ) throws(JournalError) {
        do {
            try exclusively {
                var changes: Int64 = 0
                let row = try connection.prepare(
                    "DELETE FROM suppressed_pseudonyms WHERE field = ? AND pseudonym = ?")
                for (field, pseudonym) in pseudonyms {
                    try row.bind(1, field.rawValue)
                    try row.bind(2, Self.bytes(pseudonym.value))
                    try row.run()
                    changes += connection.changes
                }
                guard changes > 0 else { return }
                try connection.execute(
                    "UPDATE state SET value = value + 1 WHERE name = 'suppression-generation'")
                try connection.execute(Self.releaseStatement)
            }
        } catch {
            throw JournalError(wrapping: error)
        }
        try scrub()
    }

    /// Batches of before the present generation are not to be told apart by pseudonyms.
    private static let releaseStatement = """
        INSERT OR REPLACE INTO state SELECT 'release-generation', value FROM state
            WHERE name = 'suppression-generation'
        """

    private static func number(_ bytes: [UInt8]) throws(JournalError) -> UInt128 {
        guard bytes.count == 16 else { throw JournalError(.unreadable) }
        return bytes.reduce(0) { $0 << 8 | UInt128($1) }
    }

    private static func bytes(_ number: UInt128) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: number)
        return bytes
    }
}

extension Journal {
    static let suppressionRest = Rest(.suppression, ["user", "visitor"])
}
