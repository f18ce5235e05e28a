internal import Bytes
package import CordonKeys
package import CordonModel
package import Crypto
internal import SQLite

/// A region's requests in one SQLite file, private to its owner.
///
/// It holds no id. The pseudonyms of an unfinished request are masked with a keystream of the region's digest key, so
/// that the file never shows one, and are wiped when the request ends. An instance is used by one thread
/// at a time.
package final class RequestStore {
    let connection: Connection
    let path: String
    private let maskKey: HMACKey

    /// Marks the file (`PRAGMA application_id`): "CDNR".
    package static let applicationID: Int64 = 0x4344_4E52
    package static let version: Int64 = 6
    private static let busyTimeoutMilliseconds: Int32 = 10_000
    /// How often emptying the write-ahead log is tried while readers are in the way.
    private static let truncationAttemptsMax = 20

    /// Opens the store at `path`, made when it is missing.
    ///
    /// - Parameter maskKey: masks pseudonyms at rest: the region's subject digest key.
    package init(path: String, maskKey: HMACKey) throws {
        self.path = path
        self.maskKey = maskKey
        connection = try Connection(
            path: path, busyTimeoutMilliseconds: Self.busyTimeoutMilliseconds)
        try connection.execute(
            """
            PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
            PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY
            """)
        try prepareFile()
    }

    private func prepareFile() throws {
        try connection.transaction(.immediate) {
            let identity = try connection.integer("PRAGMA application_id") ?? 0
            let found = try connection.integer("PRAGMA user_version") ?? 0
            if identity == Self.applicationID, found == Self.version { return }
            if identity == Self.applicationID, (1..<Self.version).contains(found) {
                if found < 2 { try connection.execute(Self.evidenceSchema) }
                if found < 3 { try connection.execute(Self.peopleUpgrade) }
                if found < 4 { try connection.execute(Self.adding(Self.rightsColumns)) }
                if found < 5 { try connection.execute(Self.adding([Self.correctionColumn])) }
                return try connection.execute(
                    Self.adding(Self.sealedColumns) + "PRAGMA user_version = \(Self.version)")
            }
            let tables = try connection.integer("SELECT count(*) FROM sqlite_schema") ?? 0
            guard identity == 0, found == 0, tables == 0 else {
                throw SubjectError.foreignStore(path: path)
            }
            try connection.execute(
                """
                CREATE TABLE requests (
                    number        INTEGER PRIMARY KEY AUTOINCREMENT,
                    id            TEXT NOT NULL UNIQUE,
                    kind          TEXT NOT NULL,
                    subject       BLOB,
                    as_of         INTEGER,
                    step          TEXT NOT NULL,
                    covered       INTEGER NOT NULL,
                    rows          INTEGER NOT NULL,
                    files         INTEGER NOT NULL,
                    journal_hits  INTEGER NOT NULL,
                    dead_letters  INTEGER NOT NULL,
                    files_deleted INTEGER NOT NULL,
                    attempts      INTEGER NOT NULL,
                    created_at    INTEGER NOT NULL,
                    updated_at    INTEGER NOT NULL,
                    \((Self.peopleColumns + Self.rightsColumns + [Self.correctionColumn] + Self.sealedColumns).joined(separator: ", "))
                ) STRICT;
                \(Self.pseudonymsSchema)
                \(Self.evidenceSchema)
                PRAGMA application_id = \(Self.applicationID);
                PRAGMA user_version = \(Self.version)
                """)
        }
    }
}

// The third version: requests about people who are named in other ways than by a user id, and about many at once.
extension RequestStore {
    private static let peopleColumns = [
        "naming TEXT", "people INTEGER NOT NULL DEFAULT 1", "first_day INTEGER", "last_day INTEGER",
    ]
    /// The fourth version: holds, and days by which requests are to be answered.
    private static let rightsColumns = [
        "column_name TEXT", "reason TEXT", "held_by TEXT NOT NULL DEFAULT ''", "law TEXT",
        "due INTEGER",
    ]

    /// The fifth version: what a rectification does, as JSON.
    private static let correctionColumn = "correction TEXT"
    /// The sixth version: keys of sealed columns that were destroyed, and since when nobody reads these.
    private static let sealedColumns = [
        "keys_destroyed INTEGER NOT NULL DEFAULT 0", "unreadable_since INTEGER",
    ]

    private static func adding(_ columns: [String]) -> String {
        columns.map { "ALTER TABLE requests ADD COLUMN \($0);\n" }.joined()
    }

    /// `number` counts the pseudonyms of one request under one key.
    private static let pseudonymsSchema = """
        CREATE TABLE pending_pseudonyms (
            request TEXT NOT NULL REFERENCES requests (id),
            field   TEXT NOT NULL,
            period  TEXT NOT NULL,
            start   INTEGER NOT NULL,
            number  INTEGER NOT NULL,
            masked  BLOB NOT NULL,
            PRIMARY KEY (request, field, period, start, number)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE pending_subjects (
            request TEXT NOT NULL REFERENCES requests (id),
            digest  BLOB NOT NULL,
            PRIMARY KEY (request, digest)
        ) STRICT, WITHOUT ROWID;
        """

    private static var peopleUpgrade: String {
        adding(peopleColumns) + """
            UPDATE requests SET naming = 'user' WHERE subject IS NOT NULL;
            ALTER TABLE pending_pseudonyms RENAME TO former_pseudonyms;
            \(pseudonymsSchema)
            INSERT INTO pending_pseudonyms
                SELECT request, 'user', period, start, 0, masked FROM former_pseudonyms;
            INSERT INTO pending_subjects
                SELECT id, subject FROM requests WHERE kind = 'erase' AND step <> 'done';
            DROP TABLE former_pseudonyms;

            """
    }
}

// Writing.
extension RequestStore {
    /// Stores a new request with what is needed to go on with it.
    package func insert(_ request: SubjectRequest, of subject: Subject? = nil) throws {
        try connection.transaction {
            let row = try connection.prepare(
                """
                INSERT INTO requests (step, covered, rows, files, journal_hits, dead_letters, files_deleted,
                    attempts, updated_at, id, kind, subject, as_of, created_at, naming, people, first_day,
                    last_day, column_name, reason, held_by, law, due, correction)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
                    ?20, ?21, ?22, ?23, ?24)
                """)
            try bindState(request, to: row)
            try row.bind(10, request.id)
            try row.bind(11, request.kind.rawValue)
            if let subject = request.subject { try row.bind(12, subject.digest.bytes) }
            if let day = request.asOf { try row.bind(13, Int64(day.number)) }
            try row.bind(14, request.createdAt.microseconds)
            if let naming = request.naming { try row.bind(15, naming.rawValue) }
            try row.bind(16, Int64(request.people))
            if let days = request.days {
                try row.bind(17, Int64(days.lowerBound.number))
                try row.bind(18, Int64(days.upperBound.number))
            }
            if let column = request.column { try row.bind(19, column) }
            if let reason = request.reason { try row.bind(20, reason) }
            try row.bind(21, request.heldBy)
            if let law = request.law { try row.bind(22, law) }
            if let due = request.due { try row.bind(23, Int64(due.number)) }
            if let correction = request.correction { try row.bind(24, try correction.encoded) }
            try row.run()
            guard let subject else { return }
            let digest = try connection.prepare("INSERT INTO pending_subjects VALUES (?, ?)")
            for suppressed in subject.suppressed {
                try digest.bind(1, request.id)
                try digest.bind(2, suppressed.digest.bytes)
                try digest.run()
            }
            try add(subject.pseudonyms, to: request.id)
        }
    }

    /// Stores the request's state; `pseudonyms` are added to those it has.
    package func update(
        _ request: SubjectRequest, adding pseudonyms: [Subject.EpochPseudonym] = []
    ) throws {
        try connection.transaction {
            let row = try connection.prepare(
                """
                UPDATE requests SET step = ?1, covered = ?2, rows = ?3, files = ?4, journal_hits = ?5,
                    dead_letters = ?6, files_deleted = ?7, attempts = ?8, updated_at = ?9, held_by = ?11,
                    keys_destroyed = ?12, unreadable_since = ?13
                WHERE id = ?10
                """)
            try bindState(request, to: row)
            try row.bind(10, request.id)
            try row.bind(11, request.heldBy)
            try row.bind(12, request.counts.keys)
            if let time = request.unreadableSince { try row.bind(13, time.microseconds) }
            try row.run()
            guard connection.changes == 1 else { throw SubjectError.damagedStore(path: path) }
            try add(pseudonyms, to: request.id)
        }
    }

    private func bindState(_ request: SubjectRequest, to row: Statement) throws(SQLiteError) {
        try row.bind(1, request.step.rawValue)
        try row.bind(2, request.isCovered ? 1 : 0)
        try row.bind(3, request.counts.rows)
        try row.bind(4, request.counts.files)
        try row.bind(5, request.counts.journalHits)
        try row.bind(6, request.counts.deadLetters)
        try row.bind(7, request.counts.filesDeleted)
        try row.bind(8, request.attempts)
        try row.bind(9, request.updatedAt.microseconds)
    }

    private func add(_ pseudonyms: [Subject.EpochPseudonym], to id: String) throws {
        guard !pseudonyms.isEmpty else { return }
        let row = try connection.prepare(
            "INSERT INTO pending_pseudonyms VALUES (?, ?, ?, ?, ?, ?)")
        var known = Set(try self.pseudonyms(of: id))
        var numbers: [Slot: Int64] = [:]
        for entry in known { numbers[Slot(entry, 0), default: 0] += 1 }
        for entry in pseudonyms where known.insert(entry).inserted {
            var slot = Slot(entry, 0)
            let number = numbers[slot, default: 0]
            numbers[slot] = number + 1
            slot.number = number
            try row.bind(1, id)
            try row.bind(2, slot.field.text)
            try row.bind(3, slot.period)
            try row.bind(4, Int64(slot.start))
            try row.bind(5, slot.number)
            try row.bind(6, Self.bytes(entry.pseudonym.value ^ mask(id, slot)))
            try row.run()
        }
    }

    /// Where a pseudonym of a request stands.
    private struct Slot: Hashable {
        let field: PseudonymField
        /// Empty where the pseudonym itself was given.
        let period: String
        let start: Int32
        var number: Int64

        init(field: PseudonymField, period: String, start: Int32, number: Int64) {
            self.field = field
            self.period = period
            self.start = start
            self.number = number
        }

        init(_ entry: Subject.EpochPseudonym, _ number: Int64) {
            self.init(
                field: entry.field, period: entry.epoch?.periodText ?? "",
                start: entry.epoch?.start.number ?? 0, number: number)
        }
    }

    /// Removes the pseudonyms of a request, zeroing them in the file and emptying its write-ahead log.
    package func wipe(_ id: String) throws {
        try connection.transaction {
            for table in ["pending_pseudonyms", "pending_subjects"] {
                let row = try connection.prepare("DELETE FROM \(table) WHERE request = ?")
                try row.bind(1, id)
                try row.run()
            }
            try removeEvidence(of: id)
        }
        try truncateLog()
    }

    /// Folds the write-ahead log into the file and cuts it to nothing.
    package func truncateLog() throws {
        // What stays in the log is masked, and the next wipe or the last closing of the file removes it.
        _ = try connection.emptyLog(attemptsMax: Self.truncationAttemptsMax)
    }

    /// 16 bytes that are other ones for each pseudonym of each request.
    private func mask(_ id: String, _ slot: Slot) -> UInt128 {
        var code = maskKey.begin()
        code.update(Array("pending-pseudonym\u{0}\(id)\u{0}\(slot.period)\u{0}".utf8))
        code.update(bigEndian: UInt32(bitPattern: slot.start))
        // The second version had one pseudonym of a user for each key, and no more to tell them apart by.
        if slot.field != .user || slot.number != 0 {
            code.update(Array("\(slot.field.text)\u{0}".utf8))
            code.update(bigEndian: UInt32(truncatingIfNeeded: slot.number))
        }
        return code.finalize().leading128
    }

    private static func bytes(_ number: UInt128) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: number)
        return bytes
    }
}

// Reading.
extension RequestStore {
    /// The newest requests first, at most `max`, those of some kinds left out.
    package func requests(
        max: Int, without kinds: [RequestKind] = []
    ) throws -> [SubjectRequest] {
        let rows = try connection.prepare(
            Self.selection + " WHERE \(Self.isNone(of: kinds)) ORDER BY number DESC LIMIT ?1")
        try rows.bind(1, max)
        return try read(rows)
    }

    /// How many requests are not done, those of some kinds left out.
    package func unfinishedCount(without kinds: [RequestKind]) throws -> Int {
        let count = try connection.integer(
            "SELECT count(*) FROM requests WHERE step <> 'done' AND \(Self.isNone(of: kinds))")
        return Int(count ?? 0)
    }

    /// A condition that a kind which this version does not know meets too.
    private static func isNone(of kinds: [RequestKind]) -> String {
        "kind NOT IN (\(kinds.map { "'\($0.rawValue)'" }.joined(separator: ", ")))"
    }

    /// The request of this id; nil when the region has none.
    package func request(_ id: String) throws -> SubjectRequest? {
        let rows = try connection.prepare(Self.selection + " WHERE id = ?1")
        try rows.bind(1, id)
        return try read(rows).first
    }

    /// Requests of a kind that are not done, oldest first.
    package func unfinished(_ kind: RequestKind) throws -> [SubjectRequest] {
        let rows = try connection.prepare(
            Self.selection + " WHERE kind = ?1 AND step <> 'done' ORDER BY number")
        try rows.bind(1, kind.rawValue)
        return try read(rows)
    }

    /// The oldest request of a kind about a person that is not done; nil when there is none.
    func unfinished(_ kind: RequestKind, of subject: Subject) throws -> SubjectRequest? {
        try unfinished(kind).first { $0.subject == subject.digest }
    }

    /// The pseudonyms of an unfinished request.
    package func pseudonyms(of id: String) throws -> [Subject.EpochPseudonym] {
        let rows = try connection.prepare(
            """
            SELECT field, period, start, number, masked FROM pending_pseudonyms WHERE request = ?
            ORDER BY start, period, field, number
            """)
        try rows.bind(1, id)
        var found: [Subject.EpochPseudonym] = []
        while try rows.step() {
            let masked = rows.bytes(4)
            guard let field = PseudonymField(text: rows.text(0) ?? ""), let text = rows.text(1),
                masked.count == 16, let start = Int32(exactly: rows.int64(2))
            else { throw SubjectError.damagedStore(path: path) }
            let slot = Slot(field: field, period: text, start: start, number: rows.int64(3))
            let value = masked.reduce(UInt128(0)) { $0 << 8 | UInt128($1) } ^ mask(id, slot)
            let pseudonym = Pseudonym(value: value)
            if text.isEmpty {
                found.append(.init(field: field, pseudonym: pseudonym))
            } else if let (period, generation) = RegionKeys.period(text) {
                let epoch = RegionKeys.Epoch(
                    field: field, period: period, start: Day(number: start), generation: generation)
                found.append(.init(epoch: epoch, pseudonym: pseudonym))
            } else {
                throw SubjectError.damagedStore(path: path)
            }
        }
        return found
    }

    /// Digests of the user ids of an unfinished request, for the suppression list.
    package func suppressed(of request: SubjectRequest) throws -> [SubjectDigest] {
        let rows = try connection.prepare("SELECT digest FROM pending_subjects WHERE request = ?")
        try rows.bind(1, request.id)
        var found: [SubjectDigest] = []
        while try rows.step() {
            guard let digest = Digest(rows.bytes(0)) else {
                throw SubjectError.damagedStore(path: path)
            }
            found.append(SubjectDigest(digest: digest))
        }
        return found
    }

    private static let selection = """
        SELECT id, kind, subject, as_of, step, covered, rows, files, journal_hits, dead_letters,
            files_deleted, attempts, created_at, updated_at, naming, people, first_day, last_day,
            column_name, reason, held_by, law, due, correction, keys_destroyed, unreadable_since
        FROM requests
        """

    private func read(_ rows: Statement) throws -> [SubjectRequest] {
        var requests: [SubjectRequest] = []
        while try rows.step() {
            let digest = rows.isNull(2) ? nil : Digest(rows.bytes(2))
            let asOf = rows.isNull(3) ? nil : Int32(exactly: rows.int64(3))
            let naming = rows.text(14).flatMap { Subject.Naming(rawValue: $0) }
            guard let kind = RequestKind(rawValue: rows.text(1) ?? ""),
                let step = RequestStep(rawValue: rows.text(4) ?? ""),
                rows.isNull(2) == (digest == nil), rows.isNull(3) == (asOf == nil),
                rows.isNull(14) == (naming == nil), rows.isNull(16) == rows.isNull(17)
            else { throw SubjectError.damagedStore(path: path) }
            var days: ClosedRange<Day>?
            if !rows.isNull(16) {
                guard let first = Int32(exactly: rows.int64(16)),
                    let last = Int32(exactly: rows.int64(17)), first <= last
                else { throw SubjectError.damagedStore(path: path) }
                days = Day(number: first)...Day(number: last)
            }
            var request = SubjectRequest(
                id: rows.text(0) ?? "", kind: kind,
                digest: digest.map { SubjectDigest(digest: $0) }, naming: naming,
                people: Int(rows.int64(15)), days: days,
                asOf: asOf.map { Day(number: $0) }, at: Timestamp(microseconds: rows.int64(12)))
            request.step = step
            request.column = rows.text(18)
            request.reason = rows.text(19)
            request.heldBy = rows.text(20) ?? ""
            request.law = rows.text(21)
            if !rows.isNull(22) {
                guard let due = Int32(exactly: rows.int64(22)) else {
                    throw SubjectError.damagedStore(path: path)
                }
                request.due = Day(number: due)
            }
            if let text = rows.text(23) {
                guard let correction = ConsentCorrection(encoded: text) else {
                    throw SubjectError.damagedStore(path: path)
                }
                request.correction = correction
            }
            request.isCovered = rows.int64(5) != 0
            request.counts.keys = rows.int64(24)
            if !rows.isNull(25) {
                request.unreadableSince = Timestamp(microseconds: rows.int64(25))
            }
            request.counts.rows = rows.int64(6)
            request.counts.files = rows.int64(7)
            request.counts.journalHits = rows.int64(8)
            request.counts.deadLetters = rows.int64(9)
            request.counts.filesDeleted = rows.int64(10)
            request.attempts = Int(rows.int64(11))
            request.updatedAt = Timestamp(microseconds: rows.int64(13))
            requests.append(request)
        }
        return requests
    }
}

extension RequestStore: RestingWriter {
    /// Masked while a request runs.
    private static let pendingRest = Rest(.requests, ["user", "visitor"])

    package static let rests = [pendingRest, evidenceRest]
}
