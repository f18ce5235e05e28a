internal import CordonModel
internal import Crypto
internal import FoundationEssentials
internal import SQLite
internal import Synchronization

/// The tokens that a region has issued, in one SQLite file; any thread and process may use it.
///
/// It holds grants and times, no token: who steals it can ask for nothing.
final class TokenRegister: Sendable {
    static let layoutVersion: Int64 = 2
    private static let busyTimeoutMilliseconds: Int32 = 10_000

    // Protected by the mutex: a connection serves one thread at a time.
    private let connection: Mutex<Connection>
    /// Makes names of people and tokens of other issuers.
    private let nameKey: HMACKey
    private static let namePrefix = "oidc-"

    init(path: String) throws {
        let opened = try Connection(
            path: path, busyTimeoutMilliseconds: Self.busyTimeoutMilliseconds)
        try opened.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        try opened.transaction(.immediate) {
            let version = try opened.integer("PRAGMA user_version") ?? 0
            guard version <= Self.layoutVersion else {
                throw TokenError.unsupportedVersion(version)
            }
            if version < 1 {
                try opened.execute(
                    """
                    CREATE TABLE tokens (
                        id TEXT PRIMARY KEY, subject TEXT NOT NULL, role TEXT NOT NULL,
                        purposes TEXT NOT NULL, places TEXT NOT NULL, writes TEXT NOT NULL,
                        issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, revoked_at INTEGER) STRICT
                    """)
            }
            if version < 2 {
                try opened.execute(
                    """
                    CREATE TABLE ended (name TEXT PRIMARY KEY, ended_at INTEGER NOT NULL) STRICT;
                    CREATE TABLE name_key (key BLOB NOT NULL) STRICT
                    """)
                let statement = try opened.prepare("INSERT INTO name_key (key) VALUES (?)")
                try statement.bind(1, SecureRandom.bytes(32))
                try statement.run()
            }
            try opened.execute("PRAGMA user_version = \(Self.layoutVersion)")
        }
        let statement = try opened.prepare("SELECT key FROM name_key")
        guard try statement.step() else { throw TokenError.damagedRegister }
        nameKey = HMACKey(statement.bytes(0).span)
        connection = Mutex(opened)
    }

    // MARK: Other issuers

    /// The name of what an issuer calls `value`; the same value of two issuers has two names.
    func name(_ kind: String, _ issuer: String, _ value: String) -> String {
        let digest = nameKey.authenticate(Array("\(kind)\n\(issuer)\n\(value)".utf8))
        return "\(Self.namePrefix)\(kind)-\(digest.hex.prefix(32))"
    }

    static func isForeignName(_ text: String) -> Bool {
        text.wholeMatch(of: #/oidc-(sub|jti)-[0-9a-f]{32}/#) != nil
    }

    /// Marks a name as ended; the first time counts.
    func end(_ name: String, at time: Timestamp, before effect: @Sendable () throws -> Void) throws
    {
        try connection.withLock { connection in
            try connection.transaction(.immediate) {
                let statement = try connection.prepare(
                    "INSERT OR IGNORE INTO ended (name, ended_at) VALUES (?, ?)")
                try statement.bind(1, name)
                try statement.bind(2, time.microseconds)
                try statement.run()
                try effect()
            }
        }
    }

    func isEnded(anyOf names: [String]) throws -> Bool {
        try connection.withLock { connection in
            for name in names {
                let statement = try connection.prepare("SELECT 1 FROM ended WHERE name = ?")
                try statement.bind(1, name)
                if try statement.step() { return true }
            }
            return false
        }
    }

    // MARK: The region's own

    func insert(_ token: IssuedToken, before effect: @Sendable () throws -> Void) throws {
        try connection.withLock { connection in
            try connection.transaction(.immediate) {
                let statement = try connection.prepare(
                    """
                    INSERT INTO tokens (id, subject, role, purposes, places, writes, issued_at, expires_at)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """)
                try statement.bind(1, token.id)
                try statement.bind(2, token.grant.subject)
                try statement.bind(3, token.grant.role)
                try statement.bind(4, token.grant.purposes.joined(separator: " "))
                try statement.bind(5, token.grant.places.joined(separator: " "))
                try statement.bind(6, token.grant.writes.joined(separator: " "))
                try statement.bind(7, token.issuedAt.microseconds)
                try statement.bind(8, token.expiresAt.microseconds)
                try statement.run()
                try effect()
            }
        }
    }

    /// Marks a token as revoked; the first time counts. Throws when it was never issued.
    func revoke(_ id: String, at time: Timestamp, before effect: @Sendable () throws -> Void) throws
    {
        try connection.withLock { connection in
            try connection.transaction(.immediate) {
                let statement = try connection.prepare(
                    "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1")
                try statement.bind(1, id)
                try statement.bind(2, time.microseconds)
                try statement.run()
                guard connection.changes == 1 else { throw TokenError.unknownToken(id: id) }
                try effect()
            }
        }
    }

    func token(_ id: String) throws -> IssuedToken? { try tokens("WHERE id = ?", id).first }

    /// All, oldest first.
    func tokens() throws -> [IssuedToken] { try tokens("ORDER BY issued_at, rowid", nil) }

    private func tokens(_ condition: String, _ id: String?) throws -> [IssuedToken] {
        try connection.withLock { connection in
            let statement = try connection.prepare(
                """
                SELECT id, subject, role, purposes, places, writes, issued_at, expires_at, revoked_at
                FROM tokens \(condition)
                """)
            if let id { try statement.bind(1, id) }
            var found: [IssuedToken] = []
            while try statement.step() {
                func words(_ column: Int) -> [String] {
                    (statement.text(column) ?? "").split(separator: " ").map(String.init)
                }
                found.append(
                    IssuedToken(
                        id: statement.text(0) ?? "",
                        grant: TokenGrant(
                            subject: statement.text(1) ?? "", role: statement.text(2) ?? "",
                            purposes: words(3), places: words(4), writes: words(5)),
                        issuedAt: Timestamp(microseconds: statement.int64(6)),
                        expiresAt: Timestamp(microseconds: statement.int64(7)),
                        revokedAt: statement.isNull(8)
                            ? nil : Timestamp(microseconds: statement.int64(8))))
            }
            return found
        }
    }
}
