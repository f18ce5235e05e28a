internal import Bytes
package import CordonModel
package import Crypto
internal import LinuxIO
internal import SQLite

/// The keys of a region's sealed columns: one for each pair of a user's and a visitor's pseudonym that hits have.
///
/// So the hits of a user, and those of a visitor alone, are each made unreadable by destroying keys that seal nothing
/// else. One SQLite file in the region's folder of keys; it holds keyed digests of pseudonyms, never a pseudonym, and
/// keys that are wrapped by a key file of their own. When a call that destroys keys returns, no copy of them is in the file
/// or its write-ahead log. An instance is used by one thread at a time; any number of processes may use the
/// file.
package final class SubjectKeys {
    private let connection: Connection
    private let keys: RegionKeys
    private let path: String
    /// Wraps every key in the file.
    private var wrapping: [UInt8]

    /// Marks the file (`PRAGMA application_id`): "CDNS".
    private static let applicationID: Int64 = 0x4344_4E53
    private static let version: Int64 = 1
    private static let busyTimeoutMilliseconds: Int32 = 10_000
    private static let fileName = "subject-keys.sqlite"

    /// Where a region's keys of persons lie.
    package static func path(in directory: String) -> String { directory + "/" + fileName }

    /// Opens the keys of a region, making their file and the key that wraps them when they are missing.
    package convenience init(creating keys: RegionKeys) throws {
        guard let wrapping = try keys.subjectWrapKey(creating: true) else {
            throw KeysError.missing(path: keys.directory + "/" + RegionKeys.subjectWrapName)
        }
        try self.init(keys, wrapping)
    }

    /// The keys of a region that has ever sealed a value; nil where there are none.
    package static func existing(_ keys: RegionKeys) throws -> SubjectKeys? {
        let path = path(in: keys.directory)
        guard try File.exists(path) else { return nil }
        guard let wrapping = try keys.subjectWrapKey(creating: false) else {
            throw KeysError.missing(path: keys.directory + "/" + RegionKeys.subjectWrapName)
        }
        return try SubjectKeys(keys, wrapping)
    }

    private init(_ keys: RegionKeys, _ wrapping: [UInt8]) throws {
        self.keys = keys
        self.wrapping = wrapping
        path = Self.path(in: keys.directory)
        if let permissions = try File.metadata(path)?.permissions,
            permissions & RegionKeys.othersMask != 0
        {
            throw KeysError.exposed(path: path, permissions: permissions, isDirectory: false)
        }
        connection = try Connection(
            path: path, busyTimeoutMilliseconds: Self.busyTimeoutMilliseconds)
        try connection.execute(
            """
            PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
            PRAGMA temp_store = MEMORY
            """)
        try prepareFile()
    }

    deinit { Secret.wipe(&wrapping) }

    /// `user` and `visitor` are 16 bytes, or none where the hits have no such pseudonym. `day` is one of the days of the
    /// pseudonyms' keys, `retain_until` the last end of a hit's retention.
    private func prepareFile() throws {
        try connection.transaction(.immediate) {
            let identity = try connection.integer("PRAGMA application_id") ?? 0
            let found = try connection.integer("PRAGMA user_version") ?? 0
            if identity == Self.applicationID, found == Self.version { return }
            let tables = try connection.integer("SELECT count(*) FROM sqlite_schema") ?? 0
            guard identity == 0, found == 0, tables == 0 else {
                throw KeysError.foreignSubjectKeys(path: path)
            }
            try connection.execute(
                """
                CREATE TABLE subject_keys (
                    user         BLOB NOT NULL,
                    visitor      BLOB NOT NULL,
                    day          INTEGER NOT NULL,
                    retain_until INTEGER NOT NULL,
                    wrapped      BLOB NOT NULL,
                    PRIMARY KEY (user, visitor)
                ) STRICT, WITHOUT ROWID;
                CREATE INDEX subject_keys_by_visitor ON subject_keys (visitor);
                PRAGMA application_id = \(Self.applicationID);
                PRAGMA user_version = \(Self.version)
                """)
        }
    }
}

extension SubjectKeys {
    /// Whose key one is.
    package struct Owner: Hashable, Sendable {
        package let user: Pseudonym?
        package let visitor: Pseudonym?

        /// Nil when the hit is tied to nobody.
        package init?(user: Pseudonym?, visitor: Pseudonym?) {
            guard user != nil || visitor != nil else { return nil }
            self.user = user
            self.visitor = visitor
        }

        package init?(_ record: HitRecord) {
            self.init(user: record.user, visitor: record.visitor)
        }
    }

    /// For what a key is wanted.
    package struct Use: Equatable, Sendable {
        /// The day by which the pseudonyms' keys are found.
        package var day: Day
        /// The last end of retention of the hits.
        package var retainUntil: Day

        package init(day: Day, retainUntil: Day) {
            self.day = day
            self.retainUntil = retainUntil
        }
    }

    /// The key of each owner, made where there is none; on disk when this returns, in one transaction however many there
    /// are.
    package func keys(for uses: [Owner: Use]) throws -> [Owner: SubjectKey] {
        guard !uses.isEmpty else { return [:] }
        var found: [Owner: SubjectKey] = [:]
        found.reserveCapacity(uses.count)
        try connection.transaction(.immediate) {
            let look = try connection.prepare(
                "SELECT wrapped, retain_until FROM subject_keys WHERE user = ? AND visitor = ?")
            let extend = try connection.prepare(
                "UPDATE subject_keys SET retain_until = ?3 WHERE user = ?1 AND visitor = ?2")
            let insert = try connection.prepare(
                "INSERT INTO subject_keys (user, visitor, day, retain_until, wrapped) VALUES (?1, ?2, ?4, ?3, ?5)"
            )
            for (owner, use) in uses {
                let place = digests(owner)
                try bind(place, to: look)
                let isThere = try look.step()
                let wrapped = isThere ? look.bytes(0) : []
                let until = isThere ? look.int64(1) : .min
                look.reset()
                if isThere {
                    found[owner] = try unwrap(wrapped, place)
                    guard until < Int64(use.retainUntil.number) else { continue }
                    try bind(place, to: extend)
                    try extend.bind(3, Int64(use.retainUntil.number))
                    try extend.run()
                } else {
                    var bytes = SecureRandom.bytes(RegionKeys.keyBytes)
                    defer { Secret.wipe(&bytes) }
                    try bind(place, to: insert)
                    try insert.bind(3, Int64(use.retainUntil.number))
                    try insert.bind(4, Int64(use.day.number))
                    try insert.bind(5, wrap(bytes, place))
                    try insert.run()
                    found[owner] = SubjectKey(bytes)
                }
            }
        }
        return found
    }

    /// The keys that may have sealed a hit which has these pseudonyms by now: that of the pair, and, since a pseudonym goes
    /// when its age is over, every other that either of them has.
    package func keys(opening owner: Owner) throws -> [SubjectKey] {
        let place = digests(owner)
        var found: [SubjectKey] = []
        let rows = try connection.prepare(
            """
            SELECT user, visitor, wrapped FROM subject_keys
            WHERE (?1 <> x'' AND user = ?1) OR (?2 <> x'' AND visitor = ?2)
            ORDER BY user = ?1 AND visitor = ?2 DESC
            """)
        try bind(place, to: rows)
        while try rows.step() {
            found.append(try unwrap(rows.bytes(2), (rows.bytes(0), rows.bytes(1))))
        }
        return found
    }

    package func count() throws -> Int {
        Int(try connection.integer("SELECT count(*) FROM subject_keys") ?? 0)
    }

    // MARK: Digests

    /// The digests by which a pseudonym of unknown field would stand here: what a search of every byte looks for.
    package static func digests(of pseudonym: Pseudonym, _ keys: RegionKeys) -> [[UInt8]] {
        PseudonymField.allCases.map { bytes(keys.subjectKeyDigest(pseudonym, $0)) }
    }

    private func digests(_ owner: Owner) -> (user: [UInt8], visitor: [UInt8]) {
        func digest(_ pseudonym: Pseudonym?, _ field: PseudonymField) -> [UInt8] {
            pseudonym.map { Self.bytes(keys.subjectKeyDigest($0, field)) } ?? []
        }
        return (digest(owner.user, .user), digest(owner.visitor, .visitor))
    }

    private static func bytes(_ digest: UInt128) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: digest)
        return bytes
    }

    private func bind(
        _ place: (user: [UInt8], visitor: [UInt8]), to statement: Statement
    ) throws(SQLiteError) {
        try statement.bind(1, place.user)
        try statement.bind(2, place.visitor)
    }

    // MARK: Wrapping

    /// A wrapped key is bound to its row, so that rows cannot change places.
    private func context(_ place: (user: [UInt8], visitor: [UInt8])) -> [UInt8] {
        Array("\(keys.region)\u{0}subject-key\u{0}".utf8) + [UInt8(place.user.count)] + place.user
            + place.visitor
    }

    private func wrap(_ key: [UInt8], _ place: (user: [UInt8], visitor: [UInt8])) -> [UInt8] {
        let nonce = SecureRandom.bytes(AES256GCM.nonceBytes)
        return nonce
            + AES256GCM.seal(key, key: wrapping, nonce: nonce, authenticating: context(place))
    }

    private func unwrap(
        _ wrapped: [UInt8], _ place: (user: [UInt8], visitor: [UInt8])
    ) throws -> SubjectKey {
        guard wrapped.count == AES256GCM.nonceBytes + RegionKeys.keyBytes + AES256GCM.tagBytes,
            var key = AES256GCM.open(
                Array(wrapped[AES256GCM.nonceBytes...]), key: wrapping,
                nonce: Array(wrapped[..<AES256GCM.nonceBytes]), authenticating: context(place))
        else { throw KeysError.wrappedDamaged(path: path) }
        defer { Secret.wipe(&key) }
        return SubjectKey(key)
    }
}

// Destruction.
extension SubjectKeys {
    /// Digests of people's pseudonyms, by field.
    package struct Sought: Sendable {
        var users: Set<UInt128> = []
        var visitors: Set<UInt128> = []

        package var isEmpty: Bool { users.isEmpty && visitors.isEmpty }

        /// Whoever has one of these pseudonyms.
        package init(_ people: SubjectFilter, _ keys: RegionKeys) {
            users = Set(people.users.lazy.map { keys.subjectKeyDigest($0, .user) })
            visitors = Set(people.visitors.lazy.map { keys.subjectKeyDigest($0, .visitor) })
        }

        /// Whoever the ledger of the erased knows by one of these digests.
        package init(
            erased digests: some Sequence<(PseudonymField, UInt128)>, _ keys: RegionKeys
        ) {
            for (field, digest) in digests {
                let digest = keys.subjectKeyDigest(erased: digest, field)
                switch field {
                case .user: users.insert(digest)
                case .visitor: visitors.insert(digest)
                }
            }
        }
    }

    /// How many keys these people have.
    package func count(of people: Sought) throws -> Int {
        var counted = 0
        // A pair of two of them counts once.
        var pairs: Set<[UInt8]> = []
        for (column, digests) in Self.columns(people) {
            let rows = try connection.prepare(
                "SELECT user, visitor FROM subject_keys WHERE \(column) = ?")
            for digest in digests {
                try rows.bind(1, Self.bytes(digest))
                while try rows.step() {
                    let user = rows.bytes(0)
                    if pairs.insert([UInt8(user.count)] + user + rows.bytes(1)).inserted {
                        counted += 1
                    }
                }
                rows.reset()
            }
        }
        return counted
    }

    /// Destroys every key of these people; none of its bytes is in the file or beside it when this returns.
    ///
    /// May be repeated after it was cut at any point: then it finishes what was begun.
    ///
    /// - Returns: how many there were.
    @discardableResult
    package func destroy(_ people: Sought) throws -> Int {
        var destroyed: Int64 = 0
        try connection.transaction(.immediate) {
            for (column, digests) in Self.columns(people) {
                let row = try connection.prepare("DELETE FROM subject_keys WHERE \(column) = ?")
                for digest in digests {
                    try row.bind(1, Self.bytes(digest))
                    try row.run()
                    destroyed += connection.changes
                }
            }
        }
        try scrub()
        return Int(destroyed)
    }

    private static func columns(_ people: Sought) -> [(name: String, digests: Set<UInt128>)] {
        [("user", people.users), ("visitor", people.visitors)]
    }

    /// Destroys keys that nobody needs any more: those whose last hit is due on `day`, and those whose pseudonyms can no longer
    /// be tied to anyone, because the keys which made these are destroyed.
    ///
    /// Safe beside a delivery: that one takes or makes its keys in one transaction, which says until when they are needed.
    ///
    /// - Parameter tell: called with how many go before any does, unless it is none; what it throws keeps them all.
    /// - Returns: how many there were.
    @discardableResult
    package func sweep(
        dueOn day: Day, foreseen tell: (Int) throws -> Void = { _ in }
    ) throws -> Int {
        let condition = """
            retain_until <= \(day.number)
            OR \(try untied(.user)) AND \(try untied(.visitor))
            """
        let selection = "FROM subject_keys WHERE \(condition)"
        guard try connection.integer("SELECT 1 \(selection) LIMIT 1") != nil else { return 0 }
        let destroyed = try connection.transaction(.immediate) {
            let count = Int(try connection.integer("SELECT count(*) \(selection)") ?? 0)
            if count > 0 { try tell(count) }
            try connection.execute("DELETE \(selection)")
            return count
        }
        try scrub()
        return destroyed
    }

    /// SQL that is true for keys whose pseudonym of `field` no key that exists can have made, or that have none.
    private func untied(_ field: PseudonymField) throws -> String {
        var ranges: [Range<Int32>] = []
        let epochs = try keys.epochs().filter { $0.field == field }.sorted { $0.start < $1.start }
        for epoch in epochs {
            if let last = ranges.last, epoch.start.number <= last.upperBound {
                ranges[ranges.count - 1] =
                    last.lowerBound..<max(last.upperBound, epoch.end.number)
            } else {
                ranges.append(epoch.start.number..<epoch.end.number)
            }
        }
        let covered = ranges.map { "day >= \($0.lowerBound) AND day < \($0.upperBound)" }
        let isCovered = covered.isEmpty ? "false" : "(\(covered.joined(separator: " OR ")))"
        return "(\(field.text) = x'' OR NOT \(isCovered))"
    }

    /// Leaves no copy of a destroyed key in the file or its log.
    private func scrub() throws {
        do {
            try connection.scrub(attemptsMax: Self.scrubAttemptsMax)
        } catch  where error.isBusy {
            throw KeysError.subjectKeysBusy(path: path)
        }
    }

    /// How often scrubbing is tried while others are in the way; each waits up to the busy timeout.
    private static let scrubAttemptsMax = 3
}

extension RegionKeys {
    static let subjectWrapName = "subject-wrap.key"

    /// The key that wraps the keys of persons; nil when there is none and none was to be made. The caller wipes it.
    func subjectWrapKey(creating: Bool) throws(KeysError) -> [UInt8]? {
        if let key = try Self.key(Self.subjectWrapName, directory, region) { return key }
        guard creating else { return nil }
        try locked { () throws(KeysError) in try createKey(Self.subjectWrapName) }
        return try Self.key(Self.subjectWrapName, directory, region)
    }

    /// By what the ledger of the erased knows a pseudonym.
    package func erasedDigest(_ pseudonym: Pseudonym, _ field: PseudonymField) -> UInt128 {
        Self.erasedDigest(pseudonym, field, subjectDigestKey)
    }

    /// The same for who has the key alone.
    package static func erasedDigest(
        _ pseudonym: Pseudonym, _ field: PseudonymField, _ key: HMACKey
    ) -> UInt128 {
        var code = key.begin()
        code.update(Array("\u{0}erased\u{0}\(field.text)\u{0}".utf8))
        code.update(bigEndian: pseudonym.value, lastBytes: 16)
        return code.finalize().leading128
    }

    /// By what the keys of persons know a pseudonym.
    package func subjectKeyDigest(_ pseudonym: Pseudonym, _ field: PseudonymField) -> UInt128 {
        subjectKeyDigest(erased: erasedDigest(pseudonym, field), field)
    }

    /// The same from what the ledger of the erased has, so that keys which a backup brings back are found by it; another
    /// value, so that what the ledger holds for good is not taken for a key that was left behind.
    func subjectKeyDigest(erased digest: UInt128, _ field: PseudonymField) -> UInt128 {
        var code = subjectDigestKey.begin()
        code.update(Array("\u{0}subject-key\u{0}\(field.text)\u{0}".utf8))
        code.update(bigEndian: digest, lastBytes: 16)
        return code.finalize().leading128
    }
}

extension SubjectKeys: RestingWriter {
    /// Keyed digests, and keys.
    package static let rests = [Rest(.subjectKeys, [])]
}
