import Bytes
import TestSupport
import Testing

@testable import GeoTables

@Suite struct `Geo benchmark` {
    @Test func `the table and the library locate the same addresses`() throws {
        let workshop = try GeoWorkshop()
        var generator = Generator()
        let (builder, _) = RandomRanges.builder(using: &generator)
        let table = try workshop.table(builder)
        let results = try GeoBenchmark.run(
            table, count: 3000, directory: workshop.directory.path)
        #expect(results.count == 12)
        for kind in Set(results.map(\.addresses)) {
            let located = results.filter { $0.addresses == kind }.map(\.located)
            #expect(Set(located).count == 1, "\(kind): \(located), CORDON_SEED=\(generator.seed)")
            if kind.hasSuffix("located ranges") { #expect(located.allSatisfy { $0 == 3000 }) }
        }
    }

    @Test func `a table written as a database and read again is the same`() throws {
        let workshop = try GeoWorkshop()
        var generator = Generator()
        let (builder, _) = RandomRanges.builder(using: &generator)
        let table = try workshop.table(builder, name: "one.cgt")
        var writer = MaxMindWriter(copying: table)
        writer.aliasEmbeddedBlocks()
        let path = try workshop.source("copy.mmdb", writer.encode(epoch: 1))
        let copy = try workshop.table(.maxMindDB, path, name: "two.cgt")
        let difference = GeoTableDifference(from: table, to: copy)
        #expect(difference.changes.isEmpty, "CORDON_SEED=\(generator.seed)")
        for family in AddressFamily.allCases {
            #expect(copy.rangeCount(in: family) == table.rangeCount(in: family))
        }
    }

    @Test func `a difference counts the addresses whose place changed`() throws {
        let workshop = try GeoWorkshop()
        let old = try workshop.table(
            .csv, workshop.source("a.csv", "1.0.0.0/23,US,CA\n2a00::/64,FR\n"), name: "old.cgt")
        let new = try workshop.table(
            .csv, workshop.source("b.csv", "1.0.0.0/24,US,CA\n1.0.1.0/24,DE\n2a00::/65,FR\n"),
            name: "new.cgt")
        let difference = GeoTableDifference(from: old, to: new)
        #expect(difference.total.ipv4 == 256)
        #expect(difference.total.ipv6 == 1 << 63)
        #expect(difference.changes.count == 2)
        #expect(difference.changes[.init(from: "US-CA", to: "DE")]?.ipv4 == 256)
        #expect(difference.changes[.init(from: "FR", to: nil)]?.ipv6 == 1 << 63)
    }

    @Test func `coverage counts located addresses against those that can have a place`() throws {
        let workshop = try GeoWorkshop()
        let table = try workshop.table(csv: "0.0.0.0/0,US\n2000::/4,DE\n")
        #expect(table.coverage(of: .ipv4).share == 1)
        let ipv6 = table.coverage(of: .ipv6)
        #expect(ipv6.possible < 1 << 125)
        #expect(ipv6.share > 0.49 && ipv6.share < 0.5)
    }
}
