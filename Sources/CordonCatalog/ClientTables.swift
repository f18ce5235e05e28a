package import CordonModel
import SQLite

/// A table that clients of the catalog service made: in a namespace of theirs, never one of Cordon's own.
package struct ClientTable: Hashable, Sendable {
    package var namespace: String
    package var name: String
    /// Made by the service at creation; never changes.
    package var uuid: String
    /// URI of the table's folder; the service chose it, and no other table lies in it or around it.
    package var location: String
    /// URI of the current metadata file.
    package var metadataLocation: String

    package init(
        namespace: String, name: String, uuid: String, location: String, metadataLocation: String
    ) {
        self.namespace = namespace
        self.name = name
        self.uuid = uuid
        self.location = location
        self.metadataLocation = metadataLocation
    }

    package var fullName: String { "\(namespace).\(name)" }
}

/// The answer to a request that a client named by a key, so that the same request gets the same answer.
package struct AnsweredRequest: Hashable, Sendable {
    package var key: String
    /// Id of the token that asked: keys of different bearers never meet.
    package var bearer: String
    /// SHA-256 of method, path and body.
    package var digest: [UInt8]
    package var status: Int
    package var body: [UInt8]

    package init(key: String, bearer: String, digest: [UInt8], status: Int, body: [UInt8]) {
        self.key = key
        self.bearer = bearer
        self.digest = digest
        self.status = status
        self.body = body
    }

    /// How long an answer is kept, in microseconds; told to clients as `PT30M`.
    package static let lifeMicroseconds: Int64 = 30 * 60 * 1_000_000
}

/// What stands in one transaction with a change that a client asked for.
package struct ClientEffect: Sendable {
    /// Tells the audit log; what it throws prevents the change.
    package let audit: @Sendable () throws -> Void
    /// Kept with the change, when the client gave a key.
    package let answer: AnsweredRequest?

    package init(answer: AnsweredRequest? = nil, audit: @escaping @Sendable () throws -> Void) {
        self.answer = answer
        self.audit = audit
    }
}

/// Why a change that a client asked for is not made; nothing has changed then.
package enum ClientTableError: Error, Equatable, Sendable {
    case namespaceExists, noNamespace, namespaceNotEmpty
    case tableExists, noTable
    /// The table's pointer is not where the client's commit began.
    case conflict
    /// A table is to be made that the service has not prepared, or for another name.
    case notStaged
    /// The key was used before; its answer is to be looked up.
    case answered
    /// More than ``Catalog/stagedTablesMax`` tables are prepared and not made.
    case tooManyStaged
    /// More namespaces or tables than are kept.
    case tooMany
}

extension Catalog {
    /// Tables that are prepared and not made; older ones than ``stagedLifeMicroseconds`` are forgotten.
    package static let stagedTablesMax = 256
    package static let stagedLifeMicroseconds: Int64 = 24 * 3600 * 1_000_000
    package static let namespacesMax = 1000
    package static let clientTablesMax = 100_000

    static let clientTablesLayout = """
        CREATE TABLE namespaces (name TEXT PRIMARY KEY) STRICT;
        CREATE TABLE namespace_properties (
            namespace TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (namespace, name)) STRICT;
        CREATE TABLE client_tables (
            namespace TEXT NOT NULL, name TEXT NOT NULL, uuid TEXT NOT NULL UNIQUE,
            location TEXT NOT NULL UNIQUE, metadata_location TEXT NOT NULL,
            version INTEGER NOT NULL, updated_at INTEGER NOT NULL,
            PRIMARY KEY (namespace, name)) STRICT;
        CREATE TABLE staged_tables (
            uuid TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL,
            location TEXT NOT NULL, staged_at INTEGER NOT NULL) STRICT;
        CREATE TABLE doomed_folders (location TEXT PRIMARY KEY) STRICT;
        CREATE TABLE answered_requests (
            key TEXT NOT NULL, bearer TEXT NOT NULL, digest BLOB NOT NULL, status INTEGER NOT NULL,
            body BLOB NOT NULL, answered_at INTEGER NOT NULL, PRIMARY KEY (key, bearer)) STRICT;
        """

    /// Names of the namespaces that clients made, sorted.
    package func namespaces() throws -> [String] {
        try withConnection { connection in
            let statement = try connection.prepare("SELECT name FROM namespaces ORDER BY name")
            var names: [String] = []
            while try statement.step() { names.append(statement.text(0) ?? "") }
            return names
        }
    }

    /// A namespace's properties; nil when there is no such namespace.
    package func namespaceProperties(_ namespace: String) throws -> [String: String]? {
        try withConnection { connection in
            guard try Self.exists(connection, namespace: namespace) else { return nil }
            let statement = try connection.prepare(
                "SELECT name, value FROM namespace_properties WHERE namespace = ?")
            try statement.bind(1, namespace)
            var properties: [String: String] = [:]
            while try statement.step() {
                properties[statement.text(0) ?? ""] = statement.text(1) ?? ""
            }
            return properties
        }
    }

    package func createNamespace(
        _ namespace: String, properties: [String: String], at time: Timestamp,
        _ effect: ClientEffect
    ) throws {
        try change(effect, at: time) { connection in
            let count = try connection.integer("SELECT count(*) FROM namespaces") ?? 0
            guard count < Self.namespacesMax else { throw ClientTableError.tooMany }
            let statement = try connection.prepare(
                "INSERT INTO namespaces (name) VALUES (?) ON CONFLICT DO NOTHING")
            try statement.bind(1, namespace)
            try statement.run()
            guard connection.changes == 1 else { throw ClientTableError.namespaceExists }
            try Self.set(connection, namespace, properties)
        }
    }

    package func dropNamespace(
        _ namespace: String, at time: Timestamp, _ effect: ClientEffect
    ) throws {
        try change(effect, at: time) { connection in
            guard try Self.exists(connection, namespace: namespace) else {
                throw ClientTableError.noNamespace
            }
            let tables = try connection.prepare(
                "SELECT count(*) FROM client_tables WHERE namespace = ?")
            try tables.bind(1, namespace)
            guard try tables.step(), tables.int64(0) == 0 else {
                throw ClientTableError.namespaceNotEmpty
            }
            for sql in [
                "DELETE FROM namespace_properties WHERE namespace = ?",
                "DELETE FROM namespaces WHERE name = ?",
            ] {
                let statement = try connection.prepare(sql)
                try statement.bind(1, namespace)
                try statement.run()
            }
        }
    }

    package func changeNamespace(
        _ namespace: String, setting updates: [String: String], removing removals: [String],
        at time: Timestamp, _ effect: ClientEffect
    ) throws {
        try change(effect, at: time) { connection in
            guard try Self.exists(connection, namespace: namespace) else {
                throw ClientTableError.noNamespace
            }
            let statement = try connection.prepare(
                "DELETE FROM namespace_properties WHERE namespace = ? AND name = ?")
            for name in removals {
                try statement.bind(1, namespace)
                try statement.bind(2, name)
                try statement.run()
            }
            try Self.set(connection, namespace, updates)
        }
    }

    private static func set(
        _ connection: Connection, _ namespace: String, _ properties: [String: String]
    ) throws {
        let statement = try connection.prepare(
            """
            INSERT INTO namespace_properties (namespace, name, value) VALUES (?, ?, ?)
            ON CONFLICT (namespace, name) DO UPDATE SET value = excluded.value
            """)
        for (name, value) in properties {
            try statement.bind(1, namespace)
            try statement.bind(2, name)
            try statement.bind(3, value)
            try statement.run()
        }
    }

    private static func exists(_ connection: Connection, namespace: String) throws -> Bool {
        let statement = try connection.prepare("SELECT 1 FROM namespaces WHERE name = ?")
        try statement.bind(1, namespace)
        return try statement.step()
    }
}

extension Catalog {
    /// The tables of a namespace by name.
    package func clientTables(in namespace: String) throws -> [ClientTable] {
        try withConnection { connection in
            try Self.clientTables(connection, "WHERE namespace = ? ORDER BY name", [namespace])
        }
    }

    package func clientTable(_ namespace: String, _ name: String) throws -> ClientTable? {
        try withConnection { connection in
            try Self.clientTables(
                connection, "WHERE namespace = ? AND name = ?", [namespace, name]
            ).first
        }
    }

    private static func clientTables(
        _ connection: Connection, _ condition: String, _ values: [String]
    ) throws -> [ClientTable] {
        let statement = try connection.prepare(
            """
            SELECT namespace, name, uuid, location, metadata_location FROM client_tables \(condition)
            """)
        for (index, value) in values.enumerated() { try statement.bind(index + 1, value) }
        var tables: [ClientTable] = []
        while try statement.step() {
            tables.append(
                ClientTable(
                    namespace: statement.text(0) ?? "", name: statement.text(1) ?? "",
                    uuid: statement.text(2) ?? "", location: statement.text(3) ?? "",
                    metadataLocation: statement.text(4) ?? ""))
        }
        return tables
    }

    /// Remembers what a table that a client is about to make will be called and where it lies.
    ///
    /// - Returns: locations that were remembered too long and are forgotten now; their folders are to be deleted.
    package func stage(_ table: ClientTable, at time: Timestamp) throws -> [String] {
        try withConnection { connection in
            try connection.transaction(.immediate) {
                let old = time.microseconds - Self.stagedLifeMicroseconds
                let stale = try connection.prepare(
                    "DELETE FROM staged_tables WHERE staged_at < ? RETURNING location")
                try stale.bind(1, old)
                var forgotten: [String] = []
                while try stale.step() { forgotten.append(stale.text(0) ?? "") }
                let count = try connection.integer("SELECT count(*) FROM staged_tables") ?? 0
                guard count < Self.stagedTablesMax else { throw ClientTableError.tooManyStaged }
                guard try Self.exists(connection, namespace: table.namespace) else {
                    throw ClientTableError.noNamespace
                }
                let statement = try connection.prepare(
                    """
                    INSERT INTO staged_tables (uuid, namespace, name, location, staged_at)
                    VALUES (?, ?, ?, ?, ?)
                    """)
                try statement.bind(1, table.uuid)
                try statement.bind(2, table.namespace)
                try statement.bind(3, table.name)
                try statement.bind(4, table.location)
                try statement.bind(5, time.microseconds)
                try statement.run()
                try Self.doom(connection, forgotten)
                return forgotten
            }
        }
    }

    /// Where the service said that a table of this UUID and name would lie; nil when it never did.
    package func stagedLocation(_ uuid: String, _ namespace: String, _ name: String) throws
        -> String?
    {
        try withConnection { connection in
            let statement = try connection.prepare(
                "SELECT location FROM staged_tables WHERE uuid = ? AND namespace = ? AND name = ?")
            try statement.bind(1, uuid)
            try statement.bind(2, namespace)
            try statement.bind(3, name)
            return try statement.step() ? statement.text(0) : nil
        }
    }

    /// One table's part in a commit.
    package struct ClientChange: Hashable, Sendable {
        /// With the new metadata location.
        package var table: ClientTable
        /// Where the pointer must stand; nil for a table that is made, which must have been staged.
        package var expecting: String?

        package init(table: ClientTable, expecting: String?) {
            self.table = table
            self.expecting = expecting
        }
    }

    /// Moves the pointers of all tables, or of none, in one transaction.
    package func commit(
        _ changes: [ClientChange], at time: Timestamp, _ effect: ClientEffect
    ) throws {
        try change(effect, at: time) { connection in
            for change in changes {
                if let expected = change.expecting {
                    try Self.move(connection, change.table, from: expected, at: time)
                } else {
                    try Self.insert(connection, change.table, at: time)
                }
            }
        }
    }

    private static func move(
        _ connection: Connection, _ table: ClientTable, from expected: String, at time: Timestamp
    ) throws {
        let statement = try connection.prepare(
            """
            UPDATE client_tables SET metadata_location = ?, version = version + 1, updated_at = ?
            WHERE namespace = ? AND name = ? AND uuid = ? AND metadata_location = ?
            """)
        try statement.bind(1, table.metadataLocation)
        try statement.bind(2, time.microseconds)
        try statement.bind(3, table.namespace)
        try statement.bind(4, table.name)
        try statement.bind(5, table.uuid)
        try statement.bind(6, expected)
        try statement.run()
        guard connection.changes == 1 else { throw ClientTableError.conflict }
    }

    private static func insert(
        _ connection: Connection, _ table: ClientTable, at time: Timestamp
    ) throws {
        guard try exists(connection, namespace: table.namespace) else {
            throw ClientTableError.noNamespace
        }
        let count = try connection.integer("SELECT count(*) FROM client_tables") ?? 0
        guard count < clientTablesMax else { throw ClientTableError.tooMany }
        let staged = try connection.prepare(
            "DELETE FROM staged_tables WHERE uuid = ? AND namespace = ? AND name = ? AND location = ?"
        )
        try staged.bind(1, table.uuid)
        try staged.bind(2, table.namespace)
        try staged.bind(3, table.name)
        try staged.bind(4, table.location)
        try staged.run()
        guard connection.changes == 1 else { throw ClientTableError.notStaged }
        let statement = try connection.prepare(
            """
            INSERT INTO client_tables
                (namespace, name, uuid, location, metadata_location, version, updated_at)
            VALUES (?, ?, ?, ?, ?, 1, ?) ON CONFLICT (namespace, name) DO NOTHING
            """)
        try statement.bind(1, table.namespace)
        try statement.bind(2, table.name)
        try statement.bind(3, table.uuid)
        try statement.bind(4, table.location)
        try statement.bind(5, table.metadataLocation)
        try statement.bind(6, time.microseconds)
        try statement.run()
        guard connection.changes == 1 else { throw ClientTableError.tableExists }
    }

    /// Takes a table out of the catalog; its folder is to be deleted from then on.
    package func dropTable(
        _ table: ClientTable, at time: Timestamp, _ effect: ClientEffect
    ) throws {
        try change(effect, at: time) { connection in
            let statement = try connection.prepare(
                "DELETE FROM client_tables WHERE namespace = ? AND name = ? AND uuid = ?")
            try statement.bind(1, table.namespace)
            try statement.bind(2, table.name)
            try statement.bind(3, table.uuid)
            try statement.run()
            guard connection.changes == 1 else { throw ClientTableError.noTable }
            try Self.doom(connection, [table.location])
        }
    }

    package func renameTable(
        _ table: ClientTable, to namespace: String, _ name: String, at time: Timestamp,
        _ effect: ClientEffect
    ) throws {
        try change(effect, at: time) { connection in
            guard try Self.exists(connection, namespace: namespace) else {
                throw ClientTableError.noNamespace
            }
            let taken = try connection.prepare(
                "SELECT 1 FROM client_tables WHERE namespace = ? AND name = ?")
            try taken.bind(1, namespace)
            try taken.bind(2, name)
            guard try !taken.step() else { throw ClientTableError.tableExists }
            let statement = try connection.prepare(
                """
                UPDATE client_tables SET namespace = ?, name = ?, version = version + 1, updated_at = ?
                WHERE namespace = ? AND name = ? AND uuid = ?
                """)
            try statement.bind(1, namespace)
            try statement.bind(2, name)
            try statement.bind(3, time.microseconds)
            try statement.bind(4, table.namespace)
            try statement.bind(5, table.name)
            try statement.bind(6, table.uuid)
            try statement.run()
            guard connection.changes == 1 else { throw ClientTableError.noTable }
        }
    }

    /// Locations of folders that belong to no table any more and may still be on disk.
    package func doomedFolders() throws -> [String] {
        try withConnection { connection in
            let statement = try connection.prepare(
                "SELECT location FROM doomed_folders ORDER BY location")
            var found: [String] = []
            while try statement.step() { found.append(statement.text(0) ?? "") }
            return found
        }
    }

    /// Says that a folder is gone from the disk for good.
    package func forgetFolder(_ location: String) throws {
        try withConnection { connection in
            let statement = try connection.prepare(
                "DELETE FROM doomed_folders WHERE location = ?")
            try statement.bind(1, location)
            try statement.run()
        }
    }

    private static func doom(_ connection: Connection, _ locations: [String]) throws {
        let statement = try connection.prepare(
            "INSERT OR IGNORE INTO doomed_folders (location) VALUES (?)")
        for location in locations {
            try statement.bind(1, location)
            try statement.run()
        }
    }
}

extension Catalog {
    /// What a request of this key was answered with, within the last half hour.
    package func answer(
        key: String, bearer: String, at time: Timestamp
    ) throws -> AnsweredRequest? {
        try withConnection { connection in
            let statement = try connection.prepare(
                """
                SELECT digest, status, body FROM answered_requests
                WHERE key = ? AND bearer = ? AND answered_at >= ?
                """)
            try statement.bind(1, key)
            try statement.bind(2, bearer)
            try statement.bind(3, time.microseconds - AnsweredRequest.lifeMicroseconds)
            guard try statement.step() else { return nil }
            return AnsweredRequest(
                key: key, bearer: bearer, digest: statement.bytes(0),
                status: Int(statement.int64(1)), body: statement.bytes(2))
        }
    }

    /// Keeps an answer that changed nothing, such as a refusal.
    package func keep(_ answer: AnsweredRequest, at time: Timestamp) throws {
        try change(ClientEffect(answer: answer) {}, at: time) { _ in }
    }

    /// One change with its audit entry and its answer: all are there, or none.
    private func change(
        _ effect: ClientEffect, at time: Timestamp,
        _ body: @Sendable (Connection) throws -> Void
    ) throws {
        try withConnection { connection in
            try connection.transaction(.immediate) {
                if let answer = effect.answer { try Self.keep(connection, answer, at: time) }
                try body(connection)
                try effect.audit()
            }
        }
    }

    private static func keep(
        _ connection: Connection, _ answer: AnsweredRequest, at time: Timestamp
    ) throws {
        let stale = try connection.prepare(
            "DELETE FROM answered_requests WHERE answered_at < ?")
        try stale.bind(1, time.microseconds - AnsweredRequest.lifeMicroseconds)
        try stale.run()
        let statement = try connection.prepare(
            """
            INSERT INTO answered_requests (key, bearer, digest, status, body, answered_at)
            VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
            """)
        try statement.bind(1, answer.key)
        try statement.bind(2, answer.bearer)
        try statement.bind(3, answer.digest)
        try statement.bind(4, answer.status)
        try statement.bind(5, answer.body)
        try statement.bind(6, time.microseconds)
        try statement.run()
        guard connection.changes == 1 else { throw ClientTableError.answered }
    }
}
