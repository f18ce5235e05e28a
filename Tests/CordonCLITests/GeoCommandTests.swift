import Bytes
import CordonModel
import Foundation
import GeoTables
import TestSupport
import Testing

@testable import CordonCLI

@Suite struct `Geo commands` {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func source(_ name: String, _ text: String) throws -> String {
        let path = directory.file(name)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test func `a table is built, described, asked and compared`() throws {
        let old = directory.file("old.cgt")
        let new = directory.file("new/places.cgt")
        let first = try source("a.csv", "1.0.0.0/24,US,CA\n")
        let second = try source("b.csv", "1.0.0.0/24,DE\n")
        #expect(CordonCLI.main(["geo", "build", "--format", "csv", "--out", old, first]) == 0)
        #expect(CordonCLI.main(["geo", "build", "--format", "csv", "--out", new, second]) == 0)
        #expect(CordonCLI.main(["geo", "info", old, "--json"]) == 0)
        #expect(CordonCLI.main(["geo", "lookup", "--table", old, "1.0.0.9", "::1"]) == 0)
        #expect(CordonCLI.main(["geo", "diff", old, new]) == 0)
    }

    @Test func `wrong use, wrong sources and missing tables have their own exit codes`() throws {
        let out = directory.file("places.cgt")
        let bad = try source("bad.csv", "1.0.0.0/24,usa\n")
        #expect(CordonCLI.main(["geo", "build", "--format", "cvs", "--out", out, bad]) == 2)
        #expect(CordonCLI.main(["geo", "build", "--format", "csv", "--out", out, bad]) == 1)
        #expect(!FileManager.default.fileExists(atPath: out))
        #expect(CordonCLI.main(["geo", "info", out]) == 4)
        #expect(CordonCLI.main(["geo", "lookup", "--table", out, "1.0.0.1"]) == 4)
        #expect(CordonCLI.main(["geo", "lookup", "--table", out, "1.0.0"]) == 2)
    }

    @Test func `an answer has all of its keys, null where nothing is known`() throws {
        var builder = GeoTableBuilder()
        try builder.add(.csv, path: source("a.csv", "1.0.0.0/24,US,CA\n"))
        try builder.write(to: directory.file("places.cgt"))
        let table = try GeoTable(mapping: directory.file("places.cgt"))
        let nowhere = ProjectLayout(root: directory.path)
        let regions = try HomeRegions(nowhere, table, Console())
        func keys(_ text: String) throws -> [String: Any] {
            let answer = GeoAnswer(try #require(IPAddress(text)), in: table, regions)
            let data = try JSONEncoder().encode(answer)
            return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        }
        let known = try keys("1.0.0.7")
        #expect(known["country"] as? String == "US")
        #expect(known["subdivision"] as? String == "US-CA")
        #expect(known["range"] as? String == "1.0.0.0/24")
        #expect(known["build"] as? String == table.build)
        #expect(known["registered_country"] is NSNull)
        #expect(known["region"] is NSNull)
        let unknown = try keys("10.0.0.1")
        #expect(unknown["country"] is NSNull)
        #expect(unknown["subdivision"] is NSNull)
        #expect(unknown["range"] as? String == "10.0.0.0/8")
    }

    @Test func `home regions are those of the project's policies`() throws {
        var builder = GeoTableBuilder()
        try builder.add(.csv, path: source("a.csv", "1.0.0.0/24,DE\n2.0.0.0/24,US\n"))
        try builder.write(to: directory.file("places.cgt"))
        let table = try GeoTable(mapping: directory.file("places.cgt"))
        let shipped = ProjectLayout(root: ShippedProject.root)
        let regions = try HomeRegions(shipped, table, Console())
        func region(_ text: String) throws -> String? {
            regions.names[table.placeIndex(of: try #require(IPAddress(text)))]
        }
        #expect(try region("1.0.0.1") == "eu-central")
        #expect(try region("2.0.0.1") != nil)
        #expect(try region("2.0.0.1") != region("1.0.0.1"))
    }
}
