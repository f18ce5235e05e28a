import Bytes
import Foundation
import TestSupport
import Testing

@testable import GeoTables

/// The MaxMind test databases, which stay beside the project and are not part of it.
enum MaxMindData {
    static let directory = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("../shared/data/maxmind").standardizedFileURL.path
    static let isThere = FileManager.default.fileExists(
        atPath: directory + "/GeoIP2-City-Test.mmdb")

    /// A network of the list that a database was written from, and the codes of its record.
    struct Expected {
        let first: IPAddress
        let last: IPAddress
        let place: GeoPlace
    }

    /// A network of the list of the Anonymous IP database, and the words of what its record sets.
    static func expectedFlags() throws -> [(first: IPAddress, last: IPAddress, words: [String])] {
        let path = "\(directory)/GeoIP2-Anonymous-IP-Test.json"
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        let list = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
        return try list.flatMap { entry in
            try entry.map { network, record in
                let span = try expected(network: network, record: [String: Any]())
                let record = try #require(record as? [String: Bool])
                let words = record.filter(\.value).keys.sorted().map {
                    $0.dropFirst("is_".count).replacingOccurrences(of: "_", with: "-")
                }
                return (span.first, span.last, words)
            }
        }
    }

    static func expected(_ name: String) throws -> [Expected] {
        let data = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name).json"))
        let list = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
        return try list.flatMap { try $0.map { try expected(network: $0, record: $1) } }
    }

    private static func expected(network: String, record: Any) throws -> Expected {
        let parts = network.split(separator: "/")
        var address = try #require(IPAddress(String(parts[0])))
        var length = try #require(Int(parts[1]))
        if address.isIPv6, address.value >> 32 == 0, length >= 96 {
            address = IPAddress(ipv4: UInt32(truncatingIfNeeded: address.value))
            length -= 96
        }
        let prefix = try #require(IPPrefix(address, length: length))
        let record = try #require(record as? [String: Any])
        func code(_ key: String) -> String? {
            (record[key] as? [String: Any])?["iso_code"] as? String
        }
        let country = code("country")
        let subdivisions = record["subdivisions"] as? [[String: Any]]
        let subdivision = subdivisions?.first?["iso_code"] as? String
        let family: AddressFamily = address.isIPv6 ? .ipv6 : .ipv4
        return Expected(
            first: family.address(prefix.span.first), last: family.address(prefix.span.last),
            place: GeoPlace(
                country: country,
                subdivision: country.flatMap { country in subdivision.map { "\(country)-\($0)" } },
                registeredCountry: code("registered_country")))
    }
}

@Suite struct `MaxMind sources` {
    let workshop: GeoWorkshop
    init() throws { workshop = try GeoWorkshop() }

    @Test(
        .enabled(if: MaxMindData.isThere, "needs ../shared/data/maxmind"),
        arguments: ["GeoIP2-Country-Test", "GeoIP2-City-Test"])
    func `a published test database gives every answer of its list`(_ name: String) throws {
        let table = try workshop.table(.maxMindDB, "\(MaxMindData.directory)/\(name).mmdb")
        let list = try MaxMindData.expected(name)
        #expect(list.count > 200)
        for network in list {
            for probe in [network.first, network.last] {
                #expect(table.place(of: probe) == network.place, "\(probe.text)")
            }
        }
    }

    @Test(
        .enabled(if: MaxMindData.isThere, "needs ../shared/data/maxmind"))
    func `a published test database gives nothing beyond its list`() throws {
        let table = try workshop.table(
            .maxMindDB, "\(MaxMindData.directory)/GeoIP2-City-Test.mmdb")
        let list = try MaxMindData.expected("GeoIP2-City-Test")
        for family in AddressFamily.allCases {
            table.forEachRange(in: family, includingEmbedded: false) { range in
                guard range.place != 0 else { return }
                for probe in [range.first, range.last] {
                    #expect(
                        list.contains {
                            $0.first.isIPv6 == probe.isIPv6 && $0.first.value <= probe.value
                                && probe.value <= $0.last.value
                        }, "\(probe.text)")
                }
            }
        }
    }

    @Test(
        .enabled(if: MaxMindData.isThere, "needs ../shared/data/maxmind"))
    func `the published Anonymous IP database gives every answer of its list`() throws {
        let table = try workshop.table(
            .maxMindDB, "\(MaxMindData.directory)/GeoIP2-Anonymous-IP-Test.mmdb",
            "\(MaxMindData.directory)/GeoIP2-City-Test.mmdb")
        let list = try MaxMindData.expectedFlags()
        #expect(list.count > 8)
        for network in list {
            for probe in [network.first, network.last] {
                let place = table.place(of: probe)
                #expect(place.network.words.sorted() == network.words, "\(probe.text)")
                #expect(table.places[table.match(probe).place] == place, "\(probe.text)")
            }
        }
        for network in try MaxMindData.expected("GeoIP2-City-Test") {
            let place = table.place(of: network.first)
            #expect(place.country == network.place.country, "\(network.first.text)")
            #expect(place.subdivision == network.place.subdivision, "\(network.first.text)")
        }
    }

    @Test(
        .enabled(if: MaxMindData.isThere, "needs ../shared/data/maxmind"))
    func `flags of networks alone make no table`() throws {
        var builder = GeoTableBuilder()
        try builder.add(
            .maxMindDB, path: "\(MaxMindData.directory)/GeoIP2-Anonymous-IP-Test.mmdb")
        let error = #expect(throws: GeoTableError.self) { try builder.encode() }
        #expect(error?.code == .nothingToBuild)
        #expect(error?.text.contains("add one that names countries") == true)
    }

    @Test func `a database without countries and flags is refused with its type`() throws {
        var writer = MaxMindWriter(type: "Test-ISP")
        writer.insert(
            try #require(IPPrefix("1.2.3.0/24")), .map([.init("isp", .text("somebody"))]))
        let path = try workshop.source("isp.mmdb", writer.encode(epoch: 1_767_225_600))
        var builder = GeoTableBuilder()
        let error = #expect(throws: GeoTableError.self) {
            try builder.add(.maxMindDB, path: path)
        }
        #expect(error?.code == .malformedSource)
        #expect(error?.text.contains("Test-ISP") == true)
    }

    @Test func `flags are laid over places, each address as if it were asked alone`() throws {
        var generator = Generator()
        for _ in 0..<40 {
            var builder = GeoTableBuilder()
            var places: [(first: UInt128, last: UInt128, country: String)] = []
            var flags: [(first: UInt128, last: UInt128, flags: NetworkFlags)] = []
            // Neither list overlaps itself; 2002::/16 is among the spans, and has the flags of the IPv4 address inside.
            let top = UInt128(0x2000) << 112
            let step = UInt128(1) << 110
            for slot in 0..<12 {
                let first = top + UInt128(slot) * step
                func span() -> (UInt128, UInt128) {
                    let start = UInt128.random(in: 0..<step / 2, using: &generator)
                    return (first + start, first + step / 2 + start)
                }
                if Bool.random(using: &generator) {
                    let (first, last) = span()
                    let country = ["DE", "FR"].randomElement(using: &generator) ?? "DE"
                    places.append((first, last, country))
                    builder.add(
                        first: IPAddress(ipv6: first), last: IPAddress(ipv6: last),
                        place: GeoPlace(country: country))
                }
                if Bool.random(using: &generator) {
                    let (first, last) = span()
                    let value = NetworkFlags(rawValue: UInt8.random(in: 1...63, using: &generator))
                    flags.append((first, last, value))
                    builder.append(first, last, isIPv6: true, flags: value)
                }
            }
            builder.add(
                first: address("9.0.0.0"), last: address("9.0.0.255"),
                place: GeoPlace(country: "US"))
            let table = try workshop.table(builder)
            let edges =
                places.flatMap { [$0.first, $0.last] } + flags.flatMap { [$0.first, $0.last] }
            for probe in edges.flatMap({ [$0 - 1, $0, $0 + 1] }) {
                let isEmbedded = probe >> 112 == 0x2002
                let country = places.first { $0.first <= probe && probe <= $0.last }?.country
                let network = flags.first { $0.first <= probe && probe <= $0.last }?.flags ?? []
                let address = IPAddress(ipv6: probe)
                let place = table.place(of: address)
                let isSpecial = SpecialBlock.containing(address) != nil
                #expect(
                    place.network == (isEmbedded ? [] : network),
                    "\(address.text) CORDON_SEED=\(generator.seed)")
                #expect(
                    place.country == (isEmbedded || isSpecial ? nil : country),
                    "\(address.text) CORDON_SEED=\(generator.seed)")
                #expect(table.places[table.match(address).place] == place)
            }
        }
    }

    /// A small database: places of each kind, and the mirrors of the IPv4 tree that real ones have.
    private func database() throws -> [UInt8] {
        var writer = MaxMindWriter(type: "Test-City")
        func insert(_ prefix: String, _ value: MaxMindWriter.Value) throws {
            writer.insert(try #require(IPPrefix(prefix)), value)
        }
        try insert("1.2.3.0/24", .place(GeoPlace(country: "US", subdivision: "US-CA")))
        try insert("1.2.4.0/24", .place(GeoPlace(country: "DE", registeredCountry: "US")))
        try insert("1.2.5.0/24", .place(GeoPlace(country: nil, registeredCountry: "FR")))
        let base = MaxMindWriter.Value.map([.init("iso_code", .text("US"))])
        try insert(
            "1.2.6.0/24",
            .map([
                .init("country", .map([.init("iso_code", .text("GB"))])),
                .init("represented_country", base),
            ]))
        try insert("1.2.7.0/24", .map([.init("represented_country", base)]))
        try insert("10.0.0.0/8", .place(GeoPlace(country: "US")))
        try insert("2a00::/20", .place(GeoPlace(country: "NL")))
        for mirror in ["::ffff:0:0/96", "2002::/16", "2001::/32"] {
            writer.alias(try #require(IPPrefix(mirror)))
        }
        return writer.encode(epoch: 1_767_225_600)
    }

    @Test func `country alone decides the place`() throws {
        let table = try workshop.table(.maxMindDB, workshop.source("city.mmdb", database()))
        #expect(
            table.place(of: address("1.2.3.4")) == GeoPlace(country: "US", subdivision: "US-CA"))
        let moved = table.place(of: address("1.2.4.4"))
        #expect(moved == GeoPlace(country: "DE", registeredCountry: "US"))
        let registeredOnly = table.place(of: address("1.2.5.4"))
        #expect(registeredOnly.isUnknown, "a registration is no place")
        #expect(registeredOnly.registeredCountry == "FR")
        #expect(table.country("1.2.6.4") == "GB", "the place of a base is where it stands")
        #expect(table.country("1.2.7.4") == nil)
        #expect(table.country("10.0.0.1") == nil, "private, whatever the database says")
        #expect(table.country("2a00:0fff::1") == "NL")
        #expect(table.build.hasPrefix("2026-01-01-"))
        #expect(table.sources.map(\.note) == ["Test-City"])
    }

    @Test func `mirrors of the IPv4 tree do not multiply its ranges`() throws {
        let table = try workshop.table(.maxMindDB, workshop.source("city.mmdb", database()))
        #expect(table.sources[0].rangeCount == 7)
        #expect(table.country("::ffff:1.2.3.4") == "US")
        #expect(table.country("2002:102:304::1") == "US")
        #expect(table.country("2001:0:102:304::1") == nil, "Teredo")
    }

    @Test func `a search tree with a cycle ends in an error`() throws {
        var bytes = try database()
        // The root's right record, made to lead back to the root.
        bytes.replaceSubrange(4..<8, with: [0, 0, 0, 0])
        let path = try workshop.source("cycle.mmdb", bytes)
        var builder = GeoTableBuilder()
        let error = #expect(throws: GeoTableError.self) {
            try builder.add(.maxMindDB, path: path)
        }
        #expect(error?.code == .malformedSource)
    }

    @Test(arguments: ["own", "GeoIP2-City-Test", "GeoIP2-Country-Test"])
    func `a damaged database is an error or a table, never a crash`(_ name: String) throws {
        let path = "\(MaxMindData.directory)/\(name).mmdb"
        // Without the published databases the one made here stands in for them.
        let published = try? Data(contentsOf: URL(fileURLWithPath: path))
        let whole = try published.map { Array($0) } ?? database()
        var generator = Generator()
        for round in 0..<150 {
            var bytes = whole
            if round % 4 == 0 {
                bytes.removeLast(Int.random(in: 1..<bytes.count, using: &generator))
            }
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                let index = Int.random(in: bytes.indices, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            let path = try workshop.source("damaged.mmdb", bytes)
            do throws(GeoTableError) {
                var builder = GeoTableBuilder()
                try builder.add(.maxMindDB, path: path)
                _ = try builder.encode()
            } catch {
                let expected: [GeoTableError.Code] = [
                    .malformedSource, .contradiction, .nothingToBuild,
                ]
                #expect(expected.contains(error.code), "CORDON_SEED=\(generator.seed)")
            }
        }
    }
}

@Suite struct `Text sources` {
    let workshop: GeoWorkshop
    init() throws { workshop = try GeoWorkshop() }

    @Test func `a Tor list has IPv4 as integers, IPv6 as text, and its date and licence`() throws {
        let table = try workshop.table(
            .torGeoIPDB,
            workshop.source(
                "geoip",
                """
                # Generated: Thu, 25 Jun 2026 04:33:59 GMT
                # Vendor:    IPFire Project
                # License:   CC BY-SA 4.0
                15726992,15726999,??
                16777216,16777471,AU
                16777472,16778239,CN
                134744072,134744072,A1
                """),
            workshop.source("geoip6", "2001:200::,2001:200:134:ffff:ffff:ffff:ffff:ffff,JP\r\n"))
        #expect(table.country("1.0.0.255") == "AU")
        #expect(table.country("1.0.3.255") == "CN")
        #expect(table.country("1.0.4.0") == nil)
        #expect(table.country("0.239.247.208") == nil)
        #expect(table.country("8.8.8.8") == nil)
        #expect(table.country("2001:200:134::1") == "JP")
        #expect(table.build.hasPrefix("2026-06-25-"))
        #expect(table.sources.map(\.note) == ["IPFire Project, CC BY-SA 4.0", ""])
        #expect(table.sources.map(\.rangeCount) == [4, 1])
    }

    @Test func `CSV has ranges or prefixes, a heading, subdivisions and unknown places`() throws {
        let table = try workshop.table(
            csv: """
                # date: 2026-11-01
                # note: made by hand
                network,country,subdivision
                1.0.0.0/24,US,CA
                1.0.1.0/24,US,US-NY

                "1.0.2.0","1.0.2.255","CA","QC"
                16777984,16778239,FR,
                2a00::/16, DE
                2a01::/16,
                2a02::/16,??
                """)
        #expect(table.place(of: address("1.0.0.1")).subdivision == "US-CA")
        #expect(table.place(of: address("1.0.1.1")).subdivision == "US-NY")
        #expect(
            table.place(of: address("1.0.2.1")) == GeoPlace(country: "CA", subdivision: "CA-QC"))
        #expect(table.place(of: address("1.0.3.1")) == GeoPlace(country: "FR"))
        #expect(table.country("2a00::1") == "DE")
        #expect(table.country("2a01::1") == nil)
        #expect(table.country("2a02::1") == nil)
        #expect(table.build.hasPrefix("2026-11-01-"))
        #expect(table.sources[0].note == "made by hand")
    }

    struct BadLine: CustomTestStringConvertible {
        let format: GeoSourceFormat
        let text: String
        let line: Int
        let expected: String
        var testDescription: String { text }
    }

    @Test(arguments: [
        BadLine(format: .csv, text: "1.0.0.0/24,us", line: 1, expected: "capital letters"),
        BadLine(format: .csv, text: "1.0.0.0/24,US\n1.0.0.1/24,US", line: 2, expected: "bits set"),
        BadLine(format: .csv, text: "1.0.0.0,US", line: 1, expected: "expected `first,last"),
        BadLine(format: .csv, text: "a,b\n1.0.1.0,1.0.0.0,US", line: 2, expected: "not after"),
        BadLine(format: .csv, text: "1.0.0.0,2a00::,US", line: 1, expected: "same family"),
        BadLine(format: .csv, text: "1.0.0.0/24,US,DE-BY", line: 1, expected: "not one of US"),
        BadLine(format: .csv, text: "1.0.0.0/24,US,C.A", line: 1, expected: "such as `CA`"),
        BadLine(format: .csv, text: "1.0.0.0/24,,CA", line: 1, expected: "needs a country"),
        BadLine(
            format: .csv, text: "1.0.0.0/24,US,CA,x", line: 1, expected: "at most a subdivision"),
        BadLine(format: .csv, text: "# date: soon", line: 1, expected: "YYYY-MM-DD"),
        BadLine(
            format: .csv, text: String(repeating: "x", count: 1001), line: 1, expected: "1000 bytes"
        ),
        BadLine(format: .torGeoIPDB, text: "#\n1,2", line: 2, expected: "first,last,country"),
        BadLine(format: .torGeoIPDB, text: "1,2,USA", line: 1, expected: "two capital letters"),
        BadLine(format: .torGeoIPDB, text: "1,4294967296,US", line: 1, expected: "two addresses"),
        BadLine(format: .torGeoIPDB, text: "3,2,US", line: 1, expected: "not after"),
        BadLine(format: .torGeoIPDB, text: "1,2,US,", line: 1, expected: "first,last,country"),
    ])
    func `a wrong line is named with what was expected`(_ bad: BadLine) throws {
        let error = try #require(try workshop.failure(bad.format, bad.text))
        #expect(error.code == .malformedSource)
        #expect(error.line == bad.line)
        #expect(error.text.contains(bad.expected), "\(error.text)")
        #expect(error.description.contains("bad.txt:\(bad.line): "))
    }

    @Test func `ranges that overlap must agree`() throws {
        let table = try workshop.table(csv: "1.0.0.0/16,US\n1.0.4.0/24,US\n")
        #expect(table.match(address("1.0.4.1")).text == "1.0.0.0/16")
        let error = try #require(try workshop.failure(.csv, "1.0.0.0/16,US\n\n1.0.4.0/24,DE\n"))
        #expect(error.code == .contradiction)
        #expect(error.line == 3)
        #expect(error.text.contains("bad.txt:1 "))
        #expect(error.text.contains("DE, not US"))
    }

    @Test(arguments: GeoSourceFormat.allCases)
    func `an empty file is said to be empty`(_ format: GeoSourceFormat) throws {
        let error = try #require(try workshop.failure(format, ""))
        #expect(error.code == .malformedSource)
        #expect(error.text == "the file is empty")
    }

    @Test func `a source without ranges is no table`() throws {
        #expect(try workshop.failure(.csv, "# nothing\n")?.code == .nothingToBuild)
    }

    @Test func `random text is an error or a table, never a crash`() throws {
        var generator = Generator()
        let line = Array("1.0.0.0,1.0.0.255,AU\n2a00::/16,DE,BY\n16777216,16777471,AU\n".utf8)
        for format in [GeoSourceFormat.csv, .torGeoIPDB] {
            for _ in 0..<500 {
                var bytes = line
                for _ in 0..<Int.random(in: 1...6, using: &generator) {
                    let index = Int.random(in: bytes.indices, using: &generator)
                    bytes[index] = UInt8.random(in: 0...255, using: &generator)
                }
                let path = try workshop.source("random", bytes)
                do throws(GeoTableError) {
                    var builder = GeoTableBuilder()
                    try builder.add(format, path: path)
                } catch {
                    #expect(error.code == .malformedSource, "CORDON_SEED=\(generator.seed)")
                }
            }
        }
    }
}
