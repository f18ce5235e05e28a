package import CordonModel
internal import SQLite

/// One region's journal file. An instance is used by one thread at a time; processes and threads each open their own.
package final class Journal {
    let connection: Connection
    private let begin: Statement
    private let commit: Statement
    private let generationQuery: Statement
    private let insert: Statement
    private let insertTally: Statement
    let path: String
    /// What is appended to in front of this journal, as ``openIntake()`` found it last.
    var intake: IntakeFile?
    /// How long an operation waits while another connection writes, or somebody is at the intake.
    private(set) var lockMilliseconds: Int32

    /// Marks the file as a journal (`PRAGMA application_id`): "CDNJ".
    package static let applicationID: Int64 = 0x4344_4E4A
    package static let version: Int64 = 2
    /// Page size for a new file. What an intake held comes in many batches at once, and costs less in large pages: at 27 KB a
    /// batch and 40 of them 1.8 µs of processor a KiB in pages of 8 KiB, 1.0 in these.
    package static let pageBytes = 65_536
    /// Pages that a connection keeps: few are looked at twice.
    static let cacheBytes = 1 << 20
    /// The write-ahead log is folded into the file when it has this many bytes, so that a read of it stays short.
    package static let logBytesMax = 48 << 20
    /// How often scrubbing is tried while readers or writers are in the way.
    package static let scrubAttemptsMax = 20

    /// Opens or makes the journal at `path`.
    ///
    /// - Parameters:
    ///   - busyTimeoutMilliseconds: how long an operation waits while another connection writes.
    ///   - bytesMax: bound on the file's size, rounded down to pages; 0 leaves it unbounded.
    ///   - logBytesMax: the write-ahead log is folded into the file when it is so long.
    package init(
        path: String, busyTimeoutMilliseconds: Int32 = 2000, bytesMax: Int = 0,
        logBytesMax: Int = Journal.logBytesMax
    ) throws(JournalError) {
        self.path = path
        lockMilliseconds = busyTimeoutMilliseconds
        do {
            connection = try Connection(
                path: path, mode: .readWriteCreate, busyTimeoutMilliseconds: busyTimeoutMilliseconds
            )
            // The page size must be chosen before the first page is written; later it is ignored.
            try connection.execute("PRAGMA page_size = \(Self.pageBytes)")
            try connection.execute("PRAGMA journal_mode = WAL")
            try connection.execute("PRAGMA synchronous = FULL")
            try connection.execute("PRAGMA secure_delete = ON")
            try connection.execute("PRAGMA temp_store = MEMORY")
            try connection.execute("PRAGMA cache_size = -\(Self.cacheBytes >> 10)")
            try connection.execute("PRAGMA wal_autocheckpoint = \(logBytesMax / Self.pageBytes)")
            if bytesMax > 0 {
                try connection.execute(
                    "PRAGMA max_page_count = \(max(16, bytesMax / Self.pageBytes))")
            }
            try Self.prepareFile(connection)
            begin = try connection.prepare("BEGIN IMMEDIATE")
            commit = try connection.prepare("COMMIT")
            generationQuery = try connection.prepare(
                "SELECT value FROM state WHERE name = 'suppression-generation'")
            insert = try connection.prepare("INSERT INTO batches (hits, bytes) VALUES (?, ?)")
            insertTally = try connection.prepare(
                "INSERT INTO tallies (batch, minute, hits, counts) VALUES (?, ?, ?, ?)")
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    private static func prepareFile(_ connection: Connection) throws {
        let identity = try connection.integer("PRAGMA application_id") ?? 0
        let found = try connection.integer("PRAGMA user_version") ?? 0
        if identity == applicationID, found == version { return }
        try connection.transaction(.immediate) {
            // Another process may have made the file since it was looked at.
            let identity = try connection.integer("PRAGMA application_id") ?? 0
            let found = try connection.integer("PRAGMA user_version") ?? 0
            if identity == applicationID, found == version { return }
            if identity == applicationID, found == 1 { return try addLedger(connection) }
            let tables = try connection.integer("SELECT count(*) FROM sqlite_schema") ?? 0
            guard identity == 0, found == 0, tables == 0 else { throw JournalError(.unreadable) }
            try connection.execute(
                """
                CREATE TABLE batches (
                    number INTEGER PRIMARY KEY AUTOINCREMENT,
                    hits   INTEGER NOT NULL,
                    bytes  BLOB NOT NULL
                ) STRICT;
                CREATE TABLE state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
                INSERT INTO state VALUES ('suppression-generation', 0);
                CREATE TABLE suppressed_subjects (digest BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
                CREATE TABLE suppressed_pseudonyms (
                    field     INTEGER NOT NULL,
                    pseudonym BLOB NOT NULL,
                    PRIMARY KEY (field, pseudonym)
                ) STRICT, WITHOUT ROWID;
                PRAGMA application_id = \(applicationID);
                """)
            try addLedger(connection)
        }
    }

    /// Makes the ledger's tables, in a new file or in one of version 1. The batches that wait in that one are tallied
    /// without a policy, and the ledger begins with them.
    private static func addLedger(_ connection: Connection) throws {
        try connection.execute(
            """
            CREATE TABLE tallies (
                batch   INTEGER PRIMARY KEY,
                minute  INTEGER NOT NULL,
                hits    INTEGER NOT NULL,
                removed INTEGER NOT NULL DEFAULT 0,
                counts  TEXT NOT NULL
            ) STRICT;
            CREATE TABLE ledger (
                report INTEGER NOT NULL,
                minute INTEGER NOT NULL,
                policy TEXT NOT NULL,
                fate   TEXT NOT NULL,
                hits   INTEGER NOT NULL,
                PRIMARY KEY (report, minute, policy, fate)
            ) STRICT, WITHOUT ROWID;
            CREATE TABLE removed (policy TEXT PRIMARY KEY, hits INTEGER NOT NULL) STRICT, WITHOUT ROWID;
            INSERT INTO tallies (batch, minute, hits, counts)
                SELECT number, \(minute), hits, '- kept ' || hits || char(10) FROM batches;
            INSERT INTO state VALUES ('ledger-batch', 0), ('ledger-told', 0);
            INSERT INTO state SELECT 'ledger-from',
                coalesce((SELECT min(number) - 1 FROM batches),
                         (SELECT seq FROM sqlite_sequence WHERE name = 'batches'), 0);
            PRAGMA user_version = \(version);
            """)
    }
}

extension Journal {
    /// Sets how long an operation waits while another connection writes; 0 makes it fail with `.locked` at once.
    package func waitForLocks(milliseconds: Int32) {
        lockMilliseconds = milliseconds
        connection.setBusyTimeout(milliseconds: milliseconds)
    }

    /// The generation of the present suppression list.
    func generation() throws -> Int64 {
        defer { generationQuery.reset() }
        return try generationQuery.step() ? generationQuery.int64(0) : -1
    }
}

/// A batch on its way into the journal, where it lies.
@unsafe
package struct PendingBatch {
    package let bytes: UnsafeRawBufferPointer
    package let hits: Int
    /// Its hits by policy and fate, as ``LedgerTally`` writes them.
    package let tally: String
    package init(bytes: UnsafeRawBufferPointer, hits: Int, tally: String? = nil) {
        unsafe self.bytes = unsafe bytes
        unsafe self.hits = hits
        unsafe self.tally = tally ?? "- kept \(hits)\n"
    }
}

extension Journal {
    /// Writes `batches` in one transaction, synced when this returns; their numbers are consecutive.
    ///
    /// - Parameters:
    ///   - generation: that of the suppression list that the batches were filtered by.
    ///   - unkept: hits that keep nothing, for the ledger.
    ///   - minute: minutes since 1970 under which the ledger counts them; nil for now.
    ///   - work: writes more in the same transaction.
    /// - Returns: the number of the last batch.
    package func append(
        _ batches: borrowing [PendingBatch], expecting generation: Int64,
        unkept: [LedgerCount] = [], minute: Int64? = nil, alongside work: () throws -> Void = {}
    ) throws(JournalError) -> BatchNumber {
        let minute = minute ?? Self.minute
        do {
            try begin.run()
            guard try self.generation() == generation else {
                throw JournalError(.suppressionChanged)
            }
            for index in unsafe 0..<batches.count {
                try unsafe add(batches[index], minute: minute)
            }
            let last = BatchNumber(connection.lastInsertRowID)
            try add(unkept, minute: minute)
            try work()
            try commit.run()
            return last
        } catch {
            // After a full disk SQLite may have rolled back by itself; the first error is the one to report.
            if connection.isInTransaction { try? connection.execute("ROLLBACK") }
            throw JournalError(wrapping: error)
        }
    }

    /// Writes one batch. Runs within a transaction.
    func add(_ batch: PendingBatch, minute: Int64) throws {
        defer { insert.clearBindings() }
        try unsafe insert.bind(1, batch.hits)
        // SAFETY: the caller's bytes outlive the run, and the binding goes with it.
        try unsafe insert.bind(2, borrowing: batch.bytes)
        try insert.run()
        try insertTally.bind(1, connection.lastInsertRowID)
        try insertTally.bind(2, minute)
        try unsafe insertTally.bind(3, batch.hits)
        try unsafe insertTally.bind(4, batch.tally)
        try insertTally.run()
    }

    /// Writes one batch that stands in an array: for tools and tests.
    package func append(
        _ bytes: [UInt8], hits: Int, expecting generation: Int64, tally: String? = nil
    ) throws(JournalError) -> BatchNumber {
        var result: Result<BatchNumber, JournalError>?
        unsafe bytes.withUnsafeBytes { pointer in
            let batch = unsafe PendingBatch(bytes: pointer, hits: hits, tally: tally)
            do throws(JournalError) {
                result = .success(try unsafe append([batch], expecting: generation))
            } catch {
                result = .failure(error)
            }
        }
        return try result!.get()
    }

    /// The batches after `number` in order, until `bytesMax` bytes have been gathered; at least one when there is any.
    package func read(
        after number: BatchNumber, bytesMax: Int
    ) throws(JournalError) -> [StoredBatch] {
        try takeInBeforeLook()
        do {
            let query = try connection.prepare(
                "SELECT number, hits, bytes FROM batches WHERE number > ? ORDER BY number")
            try query.bind(1, number.value)
            var batches: [StoredBatch] = []
            var total = 0
            while total < bytesMax, try query.step() {
                let batch = StoredBatch(
                    number: BatchNumber(query.int64(0)), hits: Int(query.int64(1)),
                    bytes: query.bytes(2))
                total += batch.bytes.count
                batches.append(batch)
            }
            return batches
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// How many batches, hits and bytes wait behind `number`, and the highest number ever given.
    package func depth(after number: BatchNumber = .none) throws(JournalError) -> JournalDepth {
        try takeInBeforeLook()
        do {
            let query = try connection.prepare(
                """
                SELECT count(*), coalesce(sum(hits), 0), coalesce(sum(length(bytes)), 0),
                       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'batches'), 0)
                FROM batches WHERE number > ?
                """)
            try query.bind(1, number.value)
            _ = try query.step()
            return JournalDepth(
                batches: Int(query.int64(0)), hits: Int(query.int64(1)), bytes: Int(query.int64(2)),
                last: BatchNumber(query.int64(3)))
        } catch {
            throw JournalError(wrapping: error)
        }
    }
}

extension Journal {
    /// The first batch that waits; `.none` when none does.
    func firstNumber() throws(JournalError) -> BatchNumber {
        try takeInBeforeLook()
        do {
            return BatchNumber(try connection.integer("SELECT min(number) FROM batches") ?? 0)
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// When the oldest batch that waits was committed, in minutes since 1970; nil when none waits.
    package func oldestMinute() throws(JournalError) -> Int64? {
        try takeInBeforeLook()
        do {
            return try connection.integer(
                "SELECT minute FROM tallies WHERE batch = (SELECT min(number) FROM batches)")
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Removes the batches up to and including `number`, zeroing their bytes where they lie (`secure_delete`).
    ///
    /// Copies may stand in the file and its write-ahead log until ``scrub()``.
    package func delete(through number: BatchNumber) throws(JournalError) {
        do {
            try connection.transaction(.immediate) { try remove(through: number) }
        } catch {
            throw JournalError(wrapping: error)
        }
        do throws(JournalError) { try emptyIntake() } catch {
            // There is no room yet for what it holds, or somebody is at it: the next delivery empties it.
            if error.code != .full, error.code != .locked { throw error }
        }
    }

    private func remove(through number: BatchNumber) throws {
        let delete = try connection.prepare("DELETE FROM batches WHERE number <= ?")
        try delete.bind(1, number.value)
        try delete.run()
        try foldTallies(through: number.value)
        let forget = try connection.prepare("DELETE FROM tallies WHERE batch <= ?")
        try forget.bind(1, number.value)
        try forget.run()
    }

    /// Puts `bytes` in the place of a batch's bytes; the old ones are zeroed. Empty `bytes` remove the batch.
    ///
    /// Copies of the old bytes may stand in the file and its write-ahead log until ``scrub()``.
    ///
    /// - Parameter removed: what went, by policy, for the ledger; nil takes it that all of its hits went.
    package func rewrite(
        _ number: BatchNumber, bytes: [UInt8], hits: Int, removed: [String: Int64]? = nil
    ) throws(JournalError) {
        do {
            try connection.transaction(.immediate) {
                let update =
                    hits == 0
                    ? try connection.prepare("DELETE FROM batches WHERE number = ?1")
                    : try connection.prepare(
                        "UPDATE batches SET hits = ?2, bytes = ?3 WHERE number = ?1")
                try update.bind(1, number.value)
                if hits != 0 {
                    try update.bind(2, hits)
                    try update.bind(3, bytes)
                }
                try update.run()
                guard connection.changes == 1 else { throw JournalError(.unknownBatch) }
                try noteRemoval(from: number, removed)
            }
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Counts what was taken out of a batch. Runs within a transaction.
    private func noteRemoval(from number: BatchNumber, _ removed: [String: Int64]?) throws {
        var removed = removed ?? [:]
        if removed.isEmpty {
            for count in try tally(of: number) { removed[count.policy, default: 0] += count.hits }
        }
        let update = try connection.prepare(
            "UPDATE tallies SET removed = removed + ? WHERE batch = ?")
        try update.bind(1, removed.values.reduce(0, +))
        try update.bind(2, number.value)
        try update.run()
        let row = try connection.prepare(
            """
            INSERT INTO removed (policy, hits) VALUES (?, ?)
            ON CONFLICT DO UPDATE SET hits = hits + excluded.hits
            """)
        for (policy, hits) in removed {
            try row.bind(1, policy)
            try row.bind(2, hits)
            try row.run()
        }
    }

    /// Leaves no copy of a removed hit or pseudonym in the intake, the file or its log
    /// (``Connection/scrub(attemptsMax:)``); `.locked` when others were in the way all the time.
    ///
    /// Commits wait while what waits for delivery is written anew.
    package func scrub() throws(JournalError) {
        do {
            try exclusively(.synced) {}
            try connection.scrub(attemptsMax: Self.scrubAttemptsMax)
        } catch {
            throw JournalError(wrapping: error)
        }
    }
}

/// Number of a batch in one region's journal: grows by one a batch and is never used again.
package struct BatchNumber: Hashable, Comparable, Sendable {
    package let value: Int64
    package init(_ value: Int64) { self.value = value }
    /// Before every batch.
    package static let none = BatchNumber(0)
    package static func < (left: BatchNumber, right: BatchNumber) -> Bool {
        left.value < right.value
    }
}

/// A batch as the journal holds it; `bytes` are those of a `HitBatch`.
package struct StoredBatch: Equatable, Sendable {
    package let number: BatchNumber
    package let hits: Int
    package let bytes: [UInt8]
    package init(number: BatchNumber, hits: Int, bytes: [UInt8]) {
        self.number = number
        self.hits = hits
        self.bytes = bytes
    }
}

/// What waits in a journal.
package struct JournalDepth: Equatable, Sendable {
    package private(set) var batches: Int
    package private(set) var hits: Int
    package private(set) var bytes: Int
    /// The highest number ever given; `.none` when none was.
    package let last: BatchNumber
    package init(batches: Int, hits: Int, bytes: Int, last: BatchNumber) {
        self.batches = batches
        self.hits = hits
        self.bytes = bytes
        self.last = last
    }

    /// Counts in what stands before it.
    mutating func add(_ earlier: JournalDepth) {
        batches += earlier.batches
        hits += earlier.hits
        bytes += earlier.bytes
    }
}

extension Journal: RestingWriter {
    private static let batchesRest = Rest(.journal, HitBatch.columns)

    package static let rests = [
        batchesRest, ledgerRest, suppressionRest, importsRest, relocationsRest,
    ]
}
