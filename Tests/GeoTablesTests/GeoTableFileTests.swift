import Bytes
import Foundation
import TestSupport
import Testing

@testable import GeoTables

@Suite struct `Geo table files` {
    let workshop: GeoWorkshop
    init() throws { workshop = try GeoWorkshop() }

    private static let csv = """
        # date: 2026-11-01
        1.0.0.0/24,US,CA
        1.0.1.0/24,DE
        2a00::/16,FR
        """

    private func bytes() throws -> [UInt8] {
        var builder = GeoTableBuilder()
        try builder.add(.csv, path: workshop.source("places.csv", Self.csv))
        return try builder.encode()
    }

    private func opening(_ bytes: [UInt8]) throws -> GeoTableError? {
        let path = try workshop.source("table.cgt", bytes)
        do throws(GeoTableError) {
            _ = try GeoTable(mapping: path)
            return nil
        } catch {
            return error
        }
    }

    @Test func `the same sources give the same bytes, and other sources another build`() throws {
        #expect(try bytes() == bytes())
        let one = try workshop.table(csv: Self.csv)
        let other = try workshop.table(csv: Self.csv + "\n3.0.0.0/24,BR\n")
        #expect(one.build != other.build)
        #expect(one.build == "2026-11-01-\(one.digest.prefix(12))")
    }

    @Test func `the order of the sources does not matter`() throws {
        let a = try workshop.source("a.csv", "1.0.0.0/24,US\n")
        let b = try workshop.source("b.csv", "2.0.0.0/24,DE\n")
        #expect(
            try workshop.table(.csv, a, b, name: "1").digest
                == workshop.table(.csv, b, a, name: "2").digest)
    }

    @Test func `damage anywhere in the file is found`() throws {
        let whole = try bytes()
        var generator = Generator()
        #expect(try opening(whole) == nil)
        let places =
            Array(0..<GeoTableFormat.headerBytes)
            + (0..<150).map { _ in
                Int.random(in: whole.indices, using: &generator)
            }
        for place in places {
            var damaged = whole
            damaged[place] ^= UInt8(1) << UInt8.random(in: 0...7, using: &generator)
            #expect(try opening(damaged) != nil, "byte \(place), CORDON_SEED=\(generator.seed)")
        }
    }

    @Test func `a truncated or lengthened file is found`() throws {
        let whole = try bytes()
        for count in [0, 1, 15, 16, 47, 48, 63, 255, 256, 4096, whole.count - 1] {
            #expect(try opening(Array(whole[..<count])) != nil, "\(count) bytes")
        }
        #expect(try opening(whole + [0])?.code == .wrongLength)
    }

    @Test func `foreign files, folders and missing files are named as such`() throws {
        #expect(try opening(Array("SQLite format 3\u{0}".utf8))?.code == .foreignFile)
        var later = try bytes()
        later[8] = 2
        #expect(try opening(later)?.code == .unsupportedVersion)
        #expect(throws: GeoTableError.self) { try GeoTable(mapping: workshop.directory.path) }
        let missing = workshop.directory.file("missing")
        let error = #expect(throws: GeoTableError.self) { try GeoTable(mapping: missing) }
        #expect(error?.code == .systemCall)
        #expect(error?.errno == ENOENT)
    }

    @Test func `content that no builder makes is refused though its digest is right`() throws {
        let whole = try bytes()
        var generator = Generator()
        var refused = 0
        for _ in 0..<120 {
            var forged = whole
            // Indexes and starts are large; the rest must be hit too, so half of the damage goes to the tail.
            let from = generator.chance(0.5) ? whole.count - 700 : GeoTableFormat.digestedOffset
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: from..<whole.count, using: &generator)
                forged[place] = UInt8.random(in: 0...255, using: &generator)
            }
            GeoTableImage.seal(&forged)
            let path = try workshop.source("forged.cgt", forged)
            do throws(GeoTableError) {
                let table = try GeoTable(mapping: path)
                // What was let through must be safe to use.
                for _ in 0..<100 {
                    let isIPv6 = generator.chance(0.5)
                    let value = UInt128.random(in: 0 ... .max, using: &generator)
                    let family: AddressFamily = isIPv6 ? .ipv6 : .ipv4
                    let probe = family.address(isIPv6 ? value : value & UInt128(UInt32.max))
                    #expect(table.placeIndex(of: probe) < table.places.count)
                }
            } catch {
                refused += 1
            }
        }
        #expect(refused > 40)
    }

    @Test func `replacing the file leaves an open table as it is`() throws {
        let table = try workshop.table(csv: "1.0.0.0/24,US\n")
        let other = try workshop.table(csv: "1.0.0.0/24,DE\n")
        #expect(table.path == other.path)
        #expect(table.country("1.0.0.1") == "US")
        #expect(other.country("1.0.0.1") == "DE")
    }

    @Test func `overwriting or cutting the file in place leaves an open table as it is`() throws {
        let path = try workshop.source("table.cgt", bytes())
        let table = try GeoTable(mapping: path)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.write(contentsOf: Data(repeating: 0xFF, count: 4096))
        try handle.truncate(atOffset: 10)
        try handle.close()
        #expect(table.place(of: try #require(IPAddress("1.0.1.7"))).country == "DE")
        #expect(table.place(of: try #require(IPAddress("2a00::1"))).country == "FR")
        #expect(throws: GeoTableError.self) { try GeoTable(mapping: path) }
    }

    @Test func `a failed build leaves the table that was there`() throws {
        let table = try workshop.table(csv: "1.0.0.0/24,US\n")
        let bad = try workshop.source("bad.csv", "1.0.0.0/24,US\n1.0.0.0/25,DE\n")
        #expect(throws: GeoTableError.self) { try workshop.table(.csv, bad) }
        #expect(try GeoTable(mapping: table.path).digest == table.digest)
    }

    @Test func `more places than an index can hold are refused`() throws {
        var builder = GeoTableBuilder()
        var value: UInt32 = 1 << 24
        let letters = (0..<26).map { String(UnicodeScalar(UInt8(65 + $0))) }
        let codes = letters.flatMap { first in letters.map { first + $0 } }
        for country in codes.prefix(100) {
            for registered in codes.prefix(656) {
                builder.add(
                    first: IPAddress(ipv4: value), last: IPAddress(ipv4: value),
                    place: GeoPlace(country: country, registeredCountry: registered))
                value += 1
            }
        }
        let error = #expect(throws: GeoTableError.self) { _ = try builder.encode() }
        #expect(error?.code == .tooLarge)
    }

    @Test(arguments: ["US", nil] as [String?], ["CA", "1", "ENG", nil] as [String?])
    func `codes survive packing`(_ country: String?, _ subdivision: String?) {
        let place = GeoPlace(
            country: country,
            subdivision: country.flatMap { country in subdivision.map { "\(country)-\($0)" } },
            registeredCountry: country == nil ? "DE" : nil)
        #expect(PackedPlace(place)?.place == place)
    }

    @Test func `dates are counted as calendars do`() {
        #expect(GeoDate.fromEpoch(seconds: 0) == "1970-01-01")
        #expect(GeoDate.fromEpoch(seconds: 951_782_400) == "2000-02-29")
        #expect(GeoDate.fromEpoch(seconds: 1_767_225_599) == "2025-12-31")
        #expect(GeoDate.fromEpoch(seconds: .max) == nil)
        #expect(GeoDate.fromMail("Thu, 25 Jun 2026 04:33:59 GMT") == "2026-06-25")
        #expect(GeoDate.fromMail("soon") == nil)
    }
}
