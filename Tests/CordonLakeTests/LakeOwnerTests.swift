import CordonCatalog
import CordonModel
import Foundation
import TestSupport
import Testing

@testable import CordonLake

@Suite struct `A lake's mark` {
    let fixture: LakeFixture

    init() throws { fixture = try LakeFixture() }

    private var mark: String { fixture.directory.file("lake-mark") }

    private func own(by region: String) {
        fixture.settings.owner = .init(region: region, markPath: mark)
    }

    @Test func `keeps a second region from delivering into the folder`() throws {
        var generator = Generator()
        own(by: "one")
        try fixture.append(HitRecord.random(count: 20, &generator))
        _ = try fixture.table().deliver(from: fixture.journal)
        #expect(FileManager.default.contents(atPath: mark) == Data("one\n".utf8))
        let before = try fixture.filesOnDisk()
        own(by: "two")
        try fixture.append(HitRecord.random(count: 20, &generator))
        let (table, journal) = (fixture.table(), fixture.journal)
        for use in [
            { try table.requireNotForeign() }, { _ = try table.deliver(from: journal) },
        ] {
            let error = #expect(throws: LakeError.self) { try use() }
            #expect(error?.code == .foreignLake)
            #expect(error?.detail.contains("`one`") == true)
        }
        #expect(try fixture.filesOnDisk() == before)
        own(by: "one")
        #expect(try fixture.table().deliver(from: journal).rows == 20)
    }

    @Test func `comes to a lake that the region's catalog knows, and to no other`() throws {
        var generator = Generator()
        try fixture.append(HitRecord.random(count: 20, &generator))
        _ = try fixture.table().deliver(from: fixture.journal)
        #expect(!FileManager.default.fileExists(atPath: mark))
        own(by: "two")
        let stranger = HitsTable(
            fixture.settings, catalog: try Catalog(path: fixture.directory.file("other.sqlite")),
            clock: SteppingClock(), audit: { _ in })
        let error = #expect(throws: LakeError.self) { try stranger.write { _ in } }
        #expect(error?.code == .foreignLake)
        #expect(!FileManager.default.fileExists(atPath: mark))
        own(by: "one")
        try fixture.table().write { _ in }
        #expect(FileManager.default.contents(atPath: mark) == Data("one\n".utf8))
        #expect(try fixture.table().snapshot().records == 20)
    }
}
