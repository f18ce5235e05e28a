import CordonCatalog
import CordonModel
import Foundation
import TestSupport
import Testing

@Suite struct `Region catalog` {
    let directory: TemporaryDirectory
    let catalog: Catalog
    let table = "pixels.hits"

    init() throws {
        directory = try TemporaryDirectory()
        catalog = try Catalog(path: directory.file("catalog.sqlite"))
    }

    private func commit(
        expecting: String?, new: String, through: Int64? = nil, committed: [String] = [],
        unreferenced: [String] = [], letters: [DeadBatch] = []
    ) throws {
        try catalog.commit(
            table: table, expecting: expecting, new: new, deliveredThrough: through,
            committed: committed, unreferenced: unreferenced, deadLetters: letters,
            at: Timestamp(microseconds: 5))
    }

    @Test func `a commit moves the pointer and what was delivered together`() throws {
        #expect(try catalog.tableHead(table) == nil)
        try commit(expecting: nil, new: "a")
        try commit(expecting: "a", new: "b", through: 7)
        try commit(expecting: "b", new: "c")
        let head = try #require(try catalog.tableHead(table))
        #expect(head == ("c", 7))
        #expect(try catalog.tables().map(\.version) == [3])
    }

    @Test func `a commit from an old state is refused and changes nothing`() throws {
        try commit(expecting: nil, new: "a", through: 3)
        try catalog.noteWriting(["x"], table: table)
        #expect(throws: CatalogError.conflict(table: table)) {
            try commit(
                expecting: "elsewhere", new: "b", through: 9, committed: ["x"], unreferenced: ["y"],
                letters: [DeadBatch(batch: 1, reason: "damaged", bytes: [1])])
        }
        let head = try #require(try catalog.tableHead(table))
        #expect(head == ("a", 3))
        #expect(try catalog.writtenFiles(table: table) == ["x"])
        #expect(try catalog.unreferencedFiles(table: table).isEmpty)
        #expect(try catalog.deadLetterCount(table: table) == 0)
    }

    @Test func `a table is created once`() throws {
        try commit(expecting: nil, new: "a")
        #expect(throws: CatalogError.conflict(table: table)) {
            try commit(expecting: nil, new: "b")
        }
    }

    @Test func `written files are settled by a commit, unreferenced ones by deleting`() throws {
        try commit(expecting: nil, new: "a")
        try catalog.noteWriting(["one", "two"], table: table)
        try commit(expecting: "a", new: "b", committed: ["one"], unreferenced: ["old"])
        #expect(try catalog.writtenFiles(table: table) == ["two"])
        #expect(try catalog.unreferencedFiles(table: table) == ["old"])
        try catalog.forgetFiles(["two", "old"], table: table)
        #expect(try catalog.writtenFiles(table: table).isEmpty)
        #expect(try catalog.unreferencedFiles(table: table).isEmpty)
    }

    @Test func `a reopened catalog holds what was committed`() throws {
        try commit(
            expecting: nil, new: "a", through: 4,
            letters: [DeadBatch(batch: 4, reason: "damaged", bytes: [1, 2])])
        let again = try Catalog(path: directory.file("catalog.sqlite"))
        #expect(try again.tableHead(table)?.deliveredThrough == 4)
        #expect(try again.deadLetters(table: table, after: 0, max: 9).map(\.bytes) == [[1, 2]])
    }

    @Test func `of two writers at the same state one wins`() async throws {
        try commit(expecting: nil, new: "a")
        let path = directory.file("catalog.sqlite")
        let table = table
        let wins = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<4 {
                group.addTask {
                    do {
                        let own = try Catalog(path: path)
                        try own.commit(
                            table: table, expecting: "a", new: "b\(number)", deliveredThrough: nil,
                            committed: [], unreferenced: [], deadLetters: [],
                            at: Timestamp(microseconds: 1))
                        return true
                    } catch {
                        return false
                    }
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(wins == 1)
    }

    @Test func `a removed dead letter leaves no byte in the catalog's files`() throws {
        let planted = Array("planted-pseudonym-bytes".utf8)
        try commit(
            expecting: nil, new: "a",
            letters: [DeadBatch(batch: 1, reason: "damaged", bytes: planted)])
        let letters = try catalog.deadLetters(table: table, after: 0, max: 9)
        try catalog.removeDeadLetters(letters.map(\.id), table: table)
        for name in ["catalog.sqlite", "catalog.sqlite-wal"] {
            let bytes = try readFile(directory.file(name))
            #expect(!String(decoding: bytes, as: Unicode.ASCII.self).contains("planted-pseudonym"))
        }
    }
}

private func readFile(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: path)))
}
