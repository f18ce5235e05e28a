import CordonCatalog
import CordonModel
import SQLite
import TestSupport
import Testing

@Suite struct `Tables of clients` {
    let directory: TemporaryDirectory
    let catalog: Catalog
    let now = Timestamp(microseconds: 1_790_000_000_000_000)

    init() throws {
        directory = try TemporaryDirectory()
        catalog = try Catalog(path: directory.file("catalog.sqlite"))
        try catalog.createNamespace("sandbox", properties: ["a": "b"], at: now, Self.unheard)
    }

    private static let unheard = ClientEffect {}

    private func table(_ name: String, _ number: Int = 0) -> ClientTable {
        ClientTable(
            namespace: "sandbox", name: name, uuid: "uuid-\(name)",
            location: "file:///lake/\(name)",
            metadataLocation: "file:///lake/\(name)/\(number)")
    }

    private func create(_ name: String) throws {
        _ = try catalog.stage(table(name), at: now)
        try catalog.commit(
            [.init(table: table(name), expecting: nil)], at: now, Self.unheard)
    }

    private func move(_ names: [String], from: Int, to: Int, _ effect: ClientEffect = unheard)
        throws
    {
        try catalog.commit(
            names.map {
                .init(table: table($0, to), expecting: table($0, from).metadataLocation)
            }, at: now, effect)
    }

    @Test func `a commit moves all tables or none`() throws {
        try create("one")
        try create("two")
        try move(["one", "two"], from: 0, to: 1)
        #expect(throws: ClientTableError.conflict) {
            try catalog.commit(
                [
                    .init(table: table("one", 2), expecting: table("one", 1).metadataLocation),
                    .init(table: table("two", 2), expecting: table("two", 0).metadataLocation),
                ], at: now, Self.unheard)
        }
        #expect(
            try catalog.clientTables(in: "sandbox") == [table("one", 1), table("two", 1)])
    }

    @Test func `only a table that was prepared is made, once, where it was prepared`() throws {
        #expect(throws: ClientTableError.notStaged) {
            try catalog.commit(
                [.init(table: table("one"), expecting: nil)], at: now, Self.unheard)
        }
        _ = try catalog.stage(table("one"), at: now)
        var elsewhere = table("one")
        elsewhere.location = "file:///etc"
        #expect(throws: ClientTableError.notStaged) {
            try catalog.commit(
                [.init(table: elsewhere, expecting: nil)], at: now, Self.unheard)
        }
        #expect(try catalog.stagedLocation("uuid-one", "sandbox", "one") == "file:///lake/one")
        #expect(try catalog.stagedLocation("uuid-one", "sandbox", "two") == nil)
        try catalog.commit([.init(table: table("one"), expecting: nil)], at: now, Self.unheard)
        #expect(throws: ClientTableError.notStaged) {
            try catalog.commit(
                [.init(table: table("one"), expecting: nil)], at: now, Self.unheard)
        }
    }

    @Test func `without an audit entry nothing changes`() throws {
        struct Silent: Error {}
        let silent = ClientEffect { throw Silent() }
        try create("one")
        #expect(throws: Silent.self) { try move(["one"], from: 0, to: 1, silent) }
        #expect(throws: Silent.self) { try catalog.dropTable(table("one"), at: now, silent) }
        #expect(throws: Silent.self) {
            try catalog.renameTable(table("one"), to: "sandbox", "two", at: now, silent)
        }
        #expect(throws: Silent.self) {
            try catalog.createNamespace("other", properties: [:], at: now, silent)
        }
        #expect(try catalog.clientTables(in: "sandbox") == [table("one")])
        #expect(try catalog.namespaces() == ["sandbox"])
        #expect(try catalog.doomedFolders().isEmpty)
    }

    @Test func `an answer is kept with its change, once, for half an hour, for its bearer alone`()
        throws
    {
        try create("one")
        let answer = AnsweredRequest(
            key: "k", bearer: "b", digest: [1], status: 200, body: [2, 3])
        #expect(throws: ClientTableError.conflict) {
            try move(["one"], from: 5, to: 6, ClientEffect(answer: answer) {})
        }
        #expect(try catalog.answer(key: "k", bearer: "b", at: now) == nil)
        try move(["one"], from: 0, to: 1, ClientEffect(answer: answer) {})
        #expect(throws: ClientTableError.answered) {
            try move(["one"], from: 1, to: 2, ClientEffect(answer: answer) {})
        }
        #expect(try catalog.clientTables(in: "sandbox") == [table("one", 1)])
        #expect(try catalog.answer(key: "k", bearer: "b", at: now) == answer)
        #expect(try catalog.answer(key: "k", bearer: "c", at: now) == nil)
        let late = Timestamp(
            microseconds: now.microseconds + AnsweredRequest.lifeMicroseconds + 1)
        #expect(try catalog.answer(key: "k", bearer: "b", at: late) == nil)
        try catalog.keep(answer, at: late)
        #expect(try catalog.answer(key: "k", bearer: "b", at: late) == answer)
    }

    @Test func `a dropped table leaves its folder to be deleted, and a full namespace stays`()
        throws
    {
        try create("one")
        #expect(throws: ClientTableError.namespaceNotEmpty) {
            try catalog.dropNamespace("sandbox", at: now, Self.unheard)
        }
        try catalog.dropTable(table("one"), at: now, Self.unheard)
        #expect(try catalog.doomedFolders() == ["file:///lake/one"])
        try catalog.forgetFolder("file:///lake/one")
        #expect(try catalog.doomedFolders().isEmpty)
        try catalog.dropNamespace("sandbox", at: now, Self.unheard)
        #expect(try catalog.namespaces().isEmpty)
        #expect(try catalog.namespaceProperties("sandbox") == nil)
    }

    @Test func `prepared tables are bounded, and forgotten after a day`() throws {
        for number in 0..<Catalog.stagedTablesMax {
            _ = try catalog.stage(table("t\(number)"), at: now)
        }
        #expect(throws: ClientTableError.tooManyStaged) {
            try catalog.stage(table("more"), at: now)
        }
        let late = Timestamp(
            microseconds: now.microseconds + Catalog.stagedLifeMicroseconds + 1)
        let forgotten = try catalog.stage(table("more"), at: late)
        #expect(forgotten.count == Catalog.stagedTablesMax)
        #expect(try catalog.doomedFolders().count == Catalog.stagedTablesMax)
    }

    @Test func `a catalog of the first layout is taken over with what is in it`() throws {
        let path = directory.file("old.sqlite")
        do {
            let connection = try Connection(path: path)
            try connection.execute(
                """
                CREATE TABLE tables (
                    name TEXT PRIMARY KEY, metadata_location TEXT NOT NULL,
                    delivered_through INTEGER NOT NULL, version INTEGER NOT NULL,
                    updated_at INTEGER NOT NULL) STRICT;
                CREATE TABLE written_files (path TEXT PRIMARY KEY, table_name TEXT NOT NULL) STRICT;
                CREATE TABLE unreferenced_files (path TEXT PRIMARY KEY, table_name TEXT NOT NULL) STRICT;
                CREATE TABLE dead_letters (
                    id INTEGER PRIMARY KEY AUTOINCREMENT, table_name TEXT NOT NULL,
                    batch INTEGER NOT NULL, reason TEXT NOT NULL, bytes BLOB NOT NULL) STRICT;
                INSERT INTO tables VALUES ('pixels.hits', 'file:///m', 7, 3, 5);
                PRAGMA user_version = 1
                """)
        }
        let taken = try Catalog(path: path)
        #expect(try taken.tableHead("pixels.hits")?.deliveredThrough == 7)
        try taken.createNamespace("sandbox", properties: [:], at: now, Self.unheard)
        #expect(try Catalog(path: path).namespaces() == ["sandbox"])
    }
}
