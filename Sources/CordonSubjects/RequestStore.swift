internal import Bytes
internal import CordonKeys
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
    package static let version: Int64 = 2
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
            if identity == Self.applicationID, found == 1 {
                return try connection.execute(
                    Self.evidenceSchema + "PRAGMA user_version = \(Self.version)")
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
                    updated_at    INTEGER NOT NULL
                ) STRICT;
                CREATE TABLE pending_pseudonyms (
                    request TEXT NOT NULL REFERENCES requests (id),
                    period  TEXT NOT NULL,
                    start   INTEGER NOT NULL,
                    masked  BLOB NOT NULL,
                    PRIMARY KEY (request, period, start)
                ) STRICT, WITHOUT ROWID;
                \(Self.evidenceSchema)
                PRAGMA application_id = \(Self.applicationID);
                PRAGMA user_version = \(Self.version)
                """)
        }
    }
}

// Writing.
extension RequestStore {
    /// Stores a new request with what is needed to go on with it.
    package func insert(
        _ request: SubjectRequest, pseudonyms: [Subject.EpochPseudonym] = []
    ) throws {
        try connection.transaction {
            let row = try connection.prepare(
                """
                INSERT INTO requests (step, covered, rows, files, journal_hits, dead_letters, files_deleted,
                    attempts, updated_at, id, kind, subject, as_of, created_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
                """)
            try bindState(request, to: row)
            try row.bind(10, request.id)
            try row.bind(11, request.kind.rawValue)
            if let subject = request.subject { try row.bind(12, subject.digest.bytes) }
            if let day = request.asOf { try row.bind(13, Int64(day.number)) }
            try row.bind(14, request.createdAt.microseconds)
            try row.run()
            try add(pseudonyms, to: request.id)
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
                    dead_letters = ?6, files_deleted = ?7, attempts = ?8, updated_at = ?9
                WHERE id = ?10
                """)
            try bindState(request, to: row)
            try row.bind(10, request.id)
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

    private func add(_ pseudonyms: [Subject.EpochPseudonym], to id: String) throws(SQLiteError) {
        let row = try connection.prepare(
            "INSERT OR IGNORE INTO pending_pseudonyms VALUES (?, ?, ?, ?)")
        for entry in pseudonyms {
            try row.bind(1, id)
            try row.bind(2, entry.epoch.periodText)
            try row.bind(3, Int64(entry.epoch.start.number))
            try row.bind(4, Self.bytes(entry.pseudonym.value ^ mask(id, entry.epoch)))
            try row.run()
        }
    }

    /// Removes the pseudonyms of a request, zeroing them in the file and emptying its write-ahead log.
    package func wipe(_ id: String) throws {
        try connection.transaction {
            let row = try connection.prepare("DELETE FROM pending_pseudonyms WHERE request = ?")
            try row.bind(1, id)
            try row.run()
            try removeEvidence(of: id)
        }
        try truncateLog()
    }

    /// Folds the write-ahead log into the file and cuts it to nothing.
    package func truncateLog() throws {
        for _ in 0..<Self.truncationAttemptsMax {
            let checkpoint = try connection.prepare("PRAGMA wal_checkpoint(TRUNCATE)")
            if try checkpoint.step(), checkpoint.int64(0) == 0 { return }
        }
        // What stays in the log is masked, and the next wipe or the last closing of the file removes it.
    }

    /// 16 bytes that are other ones for each request and epoch.
    private func mask(_ id: String, _ epoch: RegionKeys.Epoch) -> UInt128 {
        var code = maskKey.begin()
        code.update(Array("pending-pseudonym\u{0}\(id)\u{0}\(epoch.periodText)\u{0}".utf8))
        code.update(bigEndian: UInt32(bitPattern: epoch.start.number))
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
    /// The newest requests first, at most `max`.
    package func requests(max: Int) throws -> [SubjectRequest] {
        let rows = try connection.prepare(Self.selection + " ORDER BY number DESC LIMIT ?1")
        try rows.bind(1, max)
        return try read(rows)
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

    /// The pseudonyms of an unfinished request.
    package func pseudonyms(of id: String) throws -> [Subject.EpochPseudonym] {
        let rows = try connection.prepare(
            "SELECT period, start, masked FROM pending_pseudonyms WHERE request = ? ORDER BY start, period"
        )
        try rows.bind(1, id)
        var found: [Subject.EpochPseudonym] = []
        while try rows.step() {
            let masked = rows.bytes(2)
            guard let (period, generation) = RegionKeys.period(rows.text(0) ?? ""),
                masked.count == 16,
                let start = Int32(exactly: rows.int64(1))
            else { throw SubjectError.damagedStore(path: path) }
            let epoch = RegionKeys.Epoch(
                field: .user, period: period, start: Day(number: start), generation: generation)
            let number = masked.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
            found.append(
                .init(epoch: epoch, pseudonym: Pseudonym(value: number ^ mask(id, epoch))))
        }
        return found
    }

    private static let selection = """
        SELECT id, kind, subject, as_of, step, covered, rows, files, journal_hits, dead_letters,
            files_deleted, attempts, created_at, updated_at
        FROM requests
        """

    private func read(_ rows: Statement) throws -> [SubjectRequest] {
        var requests: [SubjectRequest] = []
        while try rows.step() {
            let digest = rows.isNull(2) ? nil : Digest(rows.bytes(2))
            let asOf = rows.isNull(3) ? nil : Int32(exactly: rows.int64(3))
            guard let kind = RequestKind(rawValue: rows.text(1) ?? ""),
                let step = RequestStep(rawValue: rows.text(4) ?? ""),
                rows.isNull(2) == (digest == nil), rows.isNull(3) == (asOf == nil)
            else { throw SubjectError.damagedStore(path: path) }
            var request = SubjectRequest(
                id: rows.text(0) ?? "", kind: kind,
                subject: digest.map { SubjectDigest(digest: $0) },
                asOf: asOf.map { Day(number: $0) }, at: Timestamp(microseconds: rows.int64(12)))
            request.step = step
            request.isCovered = rows.int64(5) != 0
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
