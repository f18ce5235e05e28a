internal import Bytes
package import CordonModel
internal import Crypto
internal import SQLite

/// What a region's answers over groups have told each asker, so that a later answer is held against them.
///
/// One SQLite file (WAL, `synchronous=FULL`) in the region's state folder. It holds vectors (``AnswerVector``) and times: no text of
/// a question, no value of a group, no identifier. An answer is entered before it is shown. Any number of processes may use the file; an instance is used by one
/// thread at a time.
package final class QueryLedger {
    /// How long an answer counts, in days.
    package static let windowDays = 30
    /// Differing answers of one asker over one table that may be shown in a window; others are refused until one has gone.
    package static let answersMax = 1000

    private let connection: Connection
    private let path: String
    /// Called when an answer has been compared and before it is entered.
    var whenCompared: () throws -> Void = {}
    /// Questions of one asker that are known again; of more the oldest are forgotten.
    static let knownMax = 4096
    private static let layoutVersion: Int64 = 1
    private static let busyTimeoutMilliseconds: Int32 = 10_000

    /// The file is made when it is missing.
    ///
    /// - Parameter newSalt: of a file that is made; nil for a random one.
    package init(path: String, newSalt: UInt64? = nil) throws {
        self.path = path
        connection = try Connection(
            path: path, busyTimeoutMilliseconds: Self.busyTimeoutMilliseconds)
        try connection.execute(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON")
        try connection.transaction(.immediate) {
            let version = try connection.integer("PRAGMA user_version") ?? 0
            guard version <= Self.layoutVersion else {
                throw QueryError(
                    code: .world,
                    text: "`\(path)` has version \(version), written by a newer `cordon`")
            }
            guard version < 1 else { return }
            try connection.execute(
                """
                CREATE TABLE salt (value INTEGER NOT NULL) STRICT;
                CREATE TABLE answers (
                    id INTEGER PRIMARY KEY, asker TEXT NOT NULL, table_name TEXT NOT NULL, at INTEGER NOT NULL,
                    horizon INTEGER, digest BLOB NOT NULL, vectors BLOB NOT NULL,
                    UNIQUE (asker, table_name, digest)) STRICT;
                CREATE TABLE noise (
                    id INTEGER PRIMARY KEY, asker TEXT NOT NULL, table_name TEXT NOT NULL, at INTEGER NOT NULL,
                    epsilon INTEGER NOT NULL) STRICT;
                CREATE TABLE known (
                    asker TEXT NOT NULL, table_name TEXT NOT NULL, question BLOB NOT NULL, at INTEGER NOT NULL,
                    digest BLOB NOT NULL, is_proven INTEGER NOT NULL,
                    PRIMARY KEY (asker, table_name, question)) STRICT;
                PRAGMA user_version = \(Self.layoutVersion)
                """)
            let statement = try connection.prepare("INSERT INTO salt (value) VALUES (?)")
            try statement.bind(1, Int64(bitPattern: newSalt ?? SecureRandom.uint64()))
            try statement.run()
        }
    }

    /// Distinguishes the numbers of this ledger from those of any other.
    func salt() throws -> UInt64 {
        guard let value = try connection.integer("SELECT value FROM salt") else { throw damaged }
        return UInt64(bitPattern: value)
    }

    private var damaged: QueryError {
        QueryError(code: .world, text: "`\(path)` is damaged, so nothing can be held against it")
    }

    /// The times of the newest rows of earlier answers, the newest first.
    func horizons(of asker: String, table: String, at now: Timestamp, most: Int) throws
        -> [Timestamp]
    {
        let statement = try prepared(
            asker, table,
            """
            SELECT DISTINCT horizon FROM answers WHERE asker = ? AND table_name = ? AND at > ?
            AND horizon IS NOT NULL ORDER BY horizon DESC LIMIT ?
            """)
        try statement.bind(3, Self.start(of: now))
        try statement.bind(4, most)
        var found: [Timestamp] = []
        while try statement.step() { found.append(Timestamp(microseconds: statement.int64(0))) }
        return found
    }

    /// A statement whose first two parameters are whose answers it is about.
    private func prepared(
        _ asker: String, _ table: String, _ sql: String
    ) throws -> Statement {
        let statement = try connection.prepare(sql)
        try statement.bind(1, asker)
        try statement.bind(2, table)
        return statement
    }

    private static func start(of now: Timestamp) -> Int64 {
        now.microseconds - Int64(windowDays) * Timestamp.microsecondsPerDay
    }

    enum Entry: Equatable {
        /// It is in the ledger and may be shown.
        case entered
        case refused(DifferenceAudit.Verdict)
        /// The noise would cost more than is left, in ten-thousandths; more is left from then on.
        case overspent(spent: Int, budget: Int, until: Timestamp?)
        /// The window is full until then.
        case full(until: Timestamp)
    }

    /// What the noise of an answer costs, in ten-thousandths, and what may be spent in so many days.
    struct Spending {
        var epsilon: Int
        var budget: Int
        var days: Int
    }

    /// A question over certain rows, as a digest with this ledger's salt.
    struct Question: Equatable {
        var digest: [UInt8]
        /// Whether the quick guards have proven that all groups of its answer are of enough people.
        var isProven: Bool
    }

    /// Whether the question was answered over the same rows within the window, and proven then; nil when it was not answered.
    /// Its answer counts anew from now on. Durable when this returns.
    func known(
        _ question: [UInt8], of asker: String, table: String, at now: Timestamp
    ) throws -> Bool? {
        try connection.transaction(.immediate) {
            try forget(before: Self.start(of: now))
            let statement = try prepared(
                asker, table,
                """
                SELECT known.digest, is_proven FROM known JOIN answers USING (asker, table_name, digest)
                WHERE asker = ? AND table_name = ? AND question = ?
                """)
            try statement.bind(3, question)
            guard try statement.step() else { return nil }
            let isProven = statement.int64(1) != 0
            try renew(statement.bytes(0), asker, table, now)
            let known = try prepared(
                asker, table,
                "UPDATE known SET at = ?3 WHERE asker = ?1 AND table_name = ?2 AND question = ?4")
            try known.bind(3, now.microseconds)
            try known.bind(4, question)
            try known.run()
            return isProven
        }
    }

    /// What was told counts from when it was told last.
    private func renew(
        _ digest: [UInt8], _ asker: String, _ table: String, _ now: Timestamp
    ) throws {
        let statement = try prepared(
            asker, table,
            "UPDATE answers SET at = max(at, ?3) WHERE asker = ?1 AND table_name = ?2 AND digest = ?4"
        )
        try statement.bind(3, now.microseconds)
        try statement.bind(4, digest)
        try statement.run()
    }

    private func forget(before start: Int64) throws {
        for table in ["answers", "known"] {
            let old = try connection.prepare("DELETE FROM \(table) WHERE at <= ?")
            try old.bind(1, start)
            try old.run()
        }
    }

    private func remember(
        _ question: Question?, _ digest: [UInt8], _ asker: String, _ table: String,
        _ now: Timestamp
    ) throws {
        guard let question else { return }
        let statement = try prepared(
            asker, table,
            """
            INSERT OR REPLACE INTO known (asker, table_name, question, at, digest, is_proven)
            VALUES (?, ?, ?, ?, ?, ?)
            """)
        try statement.bind(3, question.digest)
        try statement.bind(4, now.microseconds)
        try statement.bind(5, digest)
        try statement.bind(6, question.isProven ? 1 : 0)
        try statement.run()
        let many = try prepared(
            asker, table,
            """
            DELETE FROM known WHERE asker = ?1 AND table_name = ?2 AND question IN (
                SELECT question FROM known WHERE asker = ?1 AND table_name = ?2
                ORDER BY at DESC, question LIMIT -1 OFFSET ?3)
            """)
        try many.bind(3, Self.knownMax)
        try many.run()
    }

    /// Spends what the noise of an answer costs that was entered before, if so much is left.
    func enterAgain(
        _ spending: Spending?, of asker: String, table: String, at now: Timestamp
    ) throws -> Entry {
        guard let spending else { return .entered }
        return try connection.transaction(.immediate) {
            if let refused = try overspent(spending, asker, table, now) { return refused }
            try spend(spending, asker, table, now)
            return .entered
        }
    }

    /// Enters an answer if it may be shown beside those before it. Durable when this returns.
    ///
    /// - Parameters:
    ///   - question: what it answers, when that is the same whenever it is asked over the same rows.
    ///   - horizon: the time of the newest row that it may tell of; nil when there is no row.
    func enter(
        _ vectors: [AnswerVector], of asker: String, table: String, at now: Timestamp,
        horizon: Timestamp?, spending: Spending? = nil, question: Question? = nil
    ) throws -> Entry {
        let bytes = AnswerVector.encoded(vectors)
        // The order of groups is nobody's choice.
        let digest = SHA256.digest(
            vectors.map { AnswerVector.encoded([$0]) }.sorted { $0.lexicographicallyPrecedes($1) }
                .flatMap { $0 })
        var entry: Entry?
        var compared = Compared()
        // Comparing takes long, so nobody else waits for it: what came meanwhile is compared too, and at last while others wait.
        for attempt in 1... {
            if attempt < Self.attemptsMax, try !isEntered(digest.bytes, asker, table) {
                try compare(vectors, with: try earlier(asker, table, now), &compared)
                try whenCompared()
            }
            entry = try connection.transaction(.immediate) {
                try forget(before: Self.start(of: now))
                if let spending, let refused = try overspent(spending, asker, table, now) {
                    return refused
                }
                if try isEntered(digest.bytes, asker, table) {
                    try renew(digest.bytes, asker, table, now)
                    try remember(question, digest.bytes, asker, table, now)
                    try spend(spending, asker, table, now)
                    return .entered
                }
                let present = try digests(asker, table)
                guard present.count < Self.answersMax else { return try full(asker, table, now) }
                if !compared.digests.isSuperset(of: present) {
                    guard attempt >= Self.attemptsMax else { return nil }
                    try compare(vectors, with: try earlier(asker, table, now), &compared)
                }
                guard compared.verdict == .safe else { return .refused(compared.verdict) }
                try insert(bytes, digest.bytes, of: asker, table: table, at: now, horizon: horizon)
                try remember(question, digest.bytes, asker, table, now)
                try spend(spending, asker, table, now)
                return .entered
            }
            if entry != nil { break }
        }
        guard let entry else { preconditionFailure("the last attempt has an outcome") }
        return entry
    }

    /// How often it is compared before others wait for it.
    private static let attemptsMax = 4

    /// What an answer was compared with.
    private struct Compared {
        var digests: Set<[UInt8]> = []
        var verdict = DifferenceAudit.Verdict.safe
    }

    private func compare(
        _ vectors: [AnswerVector], with earlier: [Earlier], _ compared: inout Compared
    ) throws {
        // What it was found safe beside, it is still.
        func isKnown(_ answer: Earlier) -> Bool {
            compared.verdict == .safe && compared.digests.contains(answer.digest)
        }
        let known = earlier.filter(isKnown)
        let all = earlier.filter { !isKnown($0) } + known
        compared.verdict = DifferenceAudit(earlier: all.map { ($0.at, $0.vectors) })
            .verdict(on: vectors, compared: known.count)
        compared.digests = Set(earlier.map(\.digest))
    }

    private func isEntered(_ digest: [UInt8], _ asker: String, _ table: String) throws -> Bool {
        let same = try prepared(
            asker, table, "SELECT 1 FROM answers WHERE asker = ? AND table_name = ? AND digest = ?")
        try same.bind(3, digest)
        return try same.step()
    }

    private func digests(_ asker: String, _ table: String) throws -> Set<[UInt8]> {
        let statement = try prepared(
            asker, table, "SELECT digest FROM answers WHERE asker = ? AND table_name = ?")
        var found: Set<[UInt8]> = []
        while try statement.step() { found.insert(statement.bytes(0)) }
        return found
    }

    private func full(_ asker: String, _ table: String, _ now: Timestamp) throws -> Entry {
        let statement = try prepared(
            asker, table, "SELECT min(at) FROM answers WHERE asker = ? AND table_name = ?")
        let first = try statement.step() ? statement.int64(0) : now.microseconds
        return .full(
            until: Timestamp(
                microseconds: first + Int64(Self.windowDays) * Timestamp.microsecondsPerDay))
    }

    private func insert(
        _ vectors: [UInt8], _ digest: [UInt8], of asker: String, table: String, at now: Timestamp,
        horizon: Timestamp?
    ) throws {
        let statement = try prepared(
            asker, table,
            """
            INSERT INTO answers (asker, table_name, at, horizon, digest, vectors)
            VALUES (?, ?, ?, ?, ?, ?)
            """)
        try statement.bind(3, now.microseconds)
        if let horizon {
            try statement.bind(4, horizon.microseconds)
        } else {
            try statement.bindNull(4)
        }
        try statement.bind(5, digest)
        try statement.bind(6, vectors)
        try statement.run()
    }

    private func overspent(
        _ spending: Spending, _ asker: String, _ table: String, _ now: Timestamp
    ) throws -> Entry? {
        let period = Int64(spending.days) * Timestamp.microsecondsPerDay
        let statement = try prepared(
            asker, table,
            "SELECT at, epsilon FROM noise WHERE asker = ? AND table_name = ? AND at > ? ORDER BY at"
        )
        try statement.bind(3, now.microseconds - period)
        var spent = 0
        var first: Int64?
        while try statement.step() {
            first = first ?? statement.int64(0)
            spent += Int(statement.int64(1))
        }
        guard spent + spending.epsilon > spending.budget else { return nil }
        return .overspent(
            spent: spent, budget: spending.budget,
            until: first.map { Timestamp(microseconds: $0 + period) })
    }

    private func spend(
        _ spending: Spending?, _ asker: String, _ table: String, _ now: Timestamp
    ) throws {
        guard let spending else { return }
        let old = try connection.prepare("DELETE FROM noise WHERE at <= ?")
        try old.bind(1, Self.start(of: now))
        try old.run()
        let statement = try prepared(
            asker, table,
            "INSERT INTO noise (asker, table_name, at, epsilon) VALUES (?, ?, ?, ?)")
        try statement.bind(3, now.microseconds)
        try statement.bind(4, spending.epsilon)
        try statement.run()
    }

    private typealias Earlier = (digest: [UInt8], at: Int64, vectors: [AnswerVector])

    private func earlier(_ asker: String, _ table: String, _ now: Timestamp) throws -> [Earlier] {
        let statement = try prepared(
            asker, table,
            """
            SELECT digest, at, vectors FROM answers WHERE asker = ? AND table_name = ? AND at > ?
            ORDER BY id DESC
            """)
        try statement.bind(3, Self.start(of: now))
        var found: [Earlier] = []
        while try statement.step() {
            guard let vectors = AnswerVector.decoded(statement.bytes(2)) else { throw damaged }
            found.append((statement.bytes(0), statement.int64(1), vectors))
        }
        return found
    }

    /// What an asker was told in the window.
    package struct Spent: Equatable, Sendable {
        package var asker: String
        package var table: String
        /// Differing answers that count.
        package var answers: Int
        package var newest: Timestamp
        /// When the oldest answer ceases to count.
        package var nextFree: Timestamp
        /// What the noise of answers spent in 1, 7 and 30 days, in ten-thousandths.
        package var epsilonDay = 0
        package var epsilonWeek = 0
        package var epsilonMonth = 0
    }

    private func epsilon(
        _ asker: String, _ table: String, _ days: Int, _ now: Timestamp
    ) throws -> Int {
        let statement = try prepared(
            asker, table,
            "SELECT coalesce(sum(epsilon), 0) FROM noise WHERE asker = ? AND table_name = ? AND at > ?"
        )
        try statement.bind(3, now.microseconds - Int64(days) * Timestamp.microsecondsPerDay)
        _ = try statement.step()
        return Int(statement.int64(0))
    }

    /// What each asker was told, by name.
    package func spent(at now: Timestamp) throws -> [Spent] {
        let statement = try connection.prepare(
            """
            SELECT asker, table_name, count(*), max(at), min(at) FROM answers WHERE at > ?
            GROUP BY asker, table_name ORDER BY asker, table_name
            """)
        try statement.bind(1, Self.start(of: now))
        var found: [Spent] = []
        while try statement.step() {
            found.append(
                Spent(
                    asker: statement.text(0) ?? "", table: statement.text(1) ?? "",
                    answers: Int(statement.int64(2)),
                    newest: Timestamp(microseconds: statement.int64(3)),
                    nextFree: Timestamp(
                        microseconds: statement.int64(4) + Int64(Self.windowDays)
                            * Timestamp.microsecondsPerDay)))
        }
        for index in found.indices {
            let (asker, table) = (found[index].asker, found[index].table)
            found[index].epsilonDay = try epsilon(asker, table, 1, now)
            found[index].epsilonWeek = try epsilon(asker, table, 7, now)
            found[index].epsilonMonth = try epsilon(asker, table, 30, now)
        }
        return found
    }
}
