internal import CordonModel
internal import SQLite

/// How far a log file has come into one region's journal.
package struct ImportMark: Equatable, Sendable {
    package enum State: Int64, Sendable {
        case begun = 0
        /// Every line has been decided on.
        case whole = 1
        /// And the audit log says so.
        case told = 2
        /// Its rest comes with a longer file that begins with it, and has a mark of its own.
        case passedOn = 3
    }

    /// What the file's counts stand under: its digest. Older marks were moved on to a longer file, and kept the name.
    package var file: [UInt8]
    /// SHA-256 and size in bytes of the file.
    package var digest: [UInt8]
    package var bytes: Int
    /// Lines whose hits of this region are in the journal: all up to this number.
    package var lines: Int
    package var state: State
    /// Digest of everything that the lines were decided by.
    package var decidedBy: [UInt8]

    package init(
        file: [UInt8], digest: [UInt8], bytes: Int, lines: Int, state: State, decidedBy: [UInt8]
    ) {
        self.file = file
        self.digest = digest
        self.bytes = bytes
        self.lines = lines
        self.state = state
        self.decidedBy = decidedBy
    }
}

/// How many lines of a file had one outcome under one policy.
package struct ImportCount: Equatable, Sendable {
    /// Empty for lines that came before no policy.
    package var policy: String
    package var outcome: String
    package var lines: Int
    package init(policy: String, outcome: String, lines: Int) {
        self.policy = policy
        self.outcome = outcome
        self.lines = lines
    }
}

extension Journal {
    /// Makes the tables that imports need; a journal that never saw one has none.
    package func prepareImports() throws(JournalError) {
        do {
            try connection.execute(
                """
                CREATE TABLE IF NOT EXISTS imports (
                    file       BLOB PRIMARY KEY,
                    digest     BLOB NOT NULL,
                    bytes      INTEGER NOT NULL,
                    lines      INTEGER NOT NULL,
                    state      INTEGER NOT NULL,
                    decided_by BLOB NOT NULL
                ) STRICT, WITHOUT ROWID;
                CREATE TABLE IF NOT EXISTS import_counts (
                    file    BLOB NOT NULL,
                    policy  TEXT NOT NULL,
                    outcome TEXT NOT NULL,
                    lines   INTEGER NOT NULL,
                    PRIMARY KEY (file, policy, outcome)
                ) STRICT, WITHOUT ROWID
                """)
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// The marks of all files.
    package func importMarks() throws(JournalError) -> [ImportMark] {
        do {
            let query = try connection.prepare(
                "SELECT file, digest, bytes, lines, state, decided_by FROM imports")
            var marks: [ImportMark] = []
            while try query.step() {
                guard let state = ImportMark.State(rawValue: query.int64(4)) else {
                    throw JournalError(.unreadable)
                }
                marks.append(
                    ImportMark(
                        file: query.bytes(0), digest: query.bytes(1), bytes: Int(query.int64(2)),
                        lines: Int(query.int64(3)), state: state, decidedBy: query.bytes(5)))
            }
            return marks
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// What became of the lines of `file` so far, over all runs.
    package func importCounts(of file: [UInt8]) throws(JournalError) -> [ImportCount] {
        do {
            let query = try connection.prepare(
                "SELECT policy, outcome, lines FROM import_counts WHERE file = ? ORDER BY 1, 2")
            try query.bind(1, file)
            var counts: [ImportCount] = []
            while try query.step() {
                counts.append(
                    ImportCount(
                        policy: query.text(0) ?? "", outcome: query.text(1) ?? "",
                        lines: Int(query.int64(2))))
            }
            return counts
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Writes `batches`, moves the file's mark and adds to its counts and to the ledger in one transaction, synced when
    /// this returns.
    ///
    /// - Parameters:
    ///   - unkept: hits that keep nothing, for the ledger.
    ///   - expecting: the generation of the suppression list that the batches were filtered by.
    package func append(
        _ batches: borrowing [PendingBatch], mark: ImportMark, counts: [ImportCount],
        unkept: [LedgerCount], expecting generation: Int64
    ) throws(JournalError) {
        _ = try unsafe append(batches, expecting: generation, unkept: unkept) {
            try write(mark)
            try add(counts, to: mark.file)
        }
    }

    /// Moves the file's mark to a later state.
    package func put(_ mark: ImportMark) throws(JournalError) {
        do {
            try connection.transaction(.immediate) { try write(mark) }
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    /// Takes up a file that begins with the bytes of `beginning`, whose lines and counts are its own too. A beginning that is
    /// not whole ends there, so that no line of its rest comes in by both.
    package func put(_ mark: ImportMark, behind beginning: ImportMark) throws(JournalError) {
        do {
            try connection.transaction(.immediate) {
                try write(mark)
                let copy = try connection.prepare(
                    """
                    INSERT INTO import_counts
                    SELECT ?, policy, outcome, lines FROM import_counts WHERE file = ?
                    """)
                try copy.bind(1, mark.file)
                try copy.bind(2, beginning.file)
                try copy.run()
                guard beginning.state == .begun else { return }
                var ended = beginning
                ended.state = .passedOn
                try write(ended)
            }
        } catch {
            throw JournalError(wrapping: error)
        }
    }

    private func add(_ counts: [ImportCount], to file: [UInt8]) throws(SQLiteError) {
        let row = try connection.prepare(
            """
            INSERT INTO import_counts VALUES (?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET lines = lines + excluded.lines
            """)
        for count in counts {
            try row.bind(1, file)
            try row.bind(2, count.policy)
            try row.bind(3, count.outcome)
            try row.bind(4, count.lines)
            try row.run()
        }
    }

    private func write(_ mark: ImportMark) throws(SQLiteError) {
        let put = try connection.prepare(
            "INSERT OR REPLACE INTO imports VALUES (?, ?, ?, ?, ?, ?)")
        try put.bind(1, mark.file)
        try put.bind(2, mark.digest)
        try put.bind(3, mark.bytes)
        try put.bind(4, mark.lines)
        try put.bind(5, mark.state.rawValue)
        try put.bind(6, mark.decidedBy)
        try put.run()
    }
}

extension Journal {
    /// Marks hold digests of log files and numbers of lines.
    static let importsRest = Rest(.ledger, ["policy"])
}
