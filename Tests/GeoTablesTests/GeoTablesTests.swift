import Bytes
import Foundation
import TestSupport
import Testing

@testable import GeoTables

/// Writes sources and tables into one test's own folder.
struct GeoWorkshop {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    func source(_ name: String, _ text: String) throws -> String {
        try source(name, Array(text.utf8))
    }

    func source(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = directory.file(name)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    func table(
        _ format: GeoSourceFormat, _ sources: String..., name: String = "places.cgt"
    ) throws -> GeoTable {
        var builder = GeoTableBuilder()
        for source in sources { try builder.add(format, path: source) }
        return try table(builder, name: name)
    }

    func table(_ builder: GeoTableBuilder, name: String = "places.cgt") throws -> GeoTable {
        try builder.write(to: directory.file(name))
        return try GeoTable(mapping: directory.file(name))
    }

    func table(csv text: String) throws -> GeoTable { try table(.csv, source("places.csv", text)) }

    /// The error that building from `text` ends in.
    func failure(_ format: GeoSourceFormat, _ text: String) throws -> GeoTableError? {
        let path = try source("bad.txt", text)
        do throws(GeoTableError) {
            var builder = GeoTableBuilder()
            try builder.add(format, path: path)
            _ = try builder.encode()
            return nil
        } catch {
            return error
        }
    }
}

func address(_ text: String) -> IPAddress {
    guard let address = IPAddress(text) else { preconditionFailure("`\(text)` is no address") }
    return address
}

extension GeoTable {
    func country(_ text: String) -> String? { place(of: address(text)).country }
}

@Suite struct `Geo table lookup` {
    let workshop: GeoWorkshop
    init() throws { workshop = try GeoWorkshop() }

    @Test func `ranges, their gaps and both ends of both spaces are answered`() throws {
        let table = try workshop.table(
            csv: """
                1.0.0.0,1.0.0.255,AU
                1.0.1.0,1.0.3.255,CN
                8.8.8.8,8.8.8.8,US
                223.255.255.0,223.255.255.255,AU
                2000::,2000::ffff,FR
                2a00:1450::,2a00:1450:ffff:ffff:ffff:ffff:ffff:ffff,IE
                3fff:ffff::,3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,DE
                """)
        #expect(table.country("1.0.0.0") == "AU")
        #expect(table.country("1.0.0.255") == "AU")
        #expect(table.country("1.0.1.0") == "CN")
        #expect(table.country("1.0.4.0") == nil)
        #expect(table.country("8.8.8.7") == nil)
        #expect(table.country("8.8.8.8") == "US")
        #expect(table.country("8.8.8.9") == nil)
        #expect(table.country("223.255.255.255") == "AU")
        #expect(table.country("0.0.0.0") == nil)
        #expect(table.country("255.255.255.255") == nil)
        #expect(table.country("::") == nil)
        #expect(table.country("2000::") == "FR")
        #expect(table.country("2000::1:0") == nil)
        #expect(table.country("2a00:1450:4001::1") == "IE")
        #expect(table.country("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == "DE")
        #expect(table.country("4000::") == nil)
        #expect(table.country("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == nil)
        #expect(table.places[0] == .unknown)
        #expect(table.placeIndex(of: address("9.9.9.9")) == 0)
    }

    @Test func `random tables agree with a scan of their ranges`() throws {
        var generator = Generator()
        for _ in 0..<3 {
            let (builder, ranges) = RandomRanges.builder(using: &generator)
            let table = try workshop.table(builder)
            for _ in 0..<4000 {
                let probe = RandomRanges.probe(near: ranges, using: &generator)
                let expected = RandomRanges.country(of: probe, in: ranges)
                // What is asked for ahead lies within the table, and changes nothing.
                for step in [LookupStep.index, .deeperIndex, .ranges] {
                    table.fetch(step, for: probe)
                }
                #expect(
                    table.place(of: probe).country == expected,
                    "\(probe.text), CORDON_SEED=\(generator.seed)")
            }
        }
    }

    @Test func `the ranges cover each address once and agree with the lookup`() throws {
        var generator = Generator()
        let (builder, _) = RandomRanges.builder(using: &generator)
        let table = try workshop.table(builder)
        for family in AddressFamily.allCases {
            var next: UInt128? = 0
            table.forEachRange(in: family) { range in
                #expect(range.first.value == next, "CORDON_SEED=\(generator.seed)")
                #expect(range.first.value <= range.last.value)
                #expect(table.placeIndex(of: range.first) == range.place)
                #expect(table.placeIndex(of: range.last) == range.place)
                let (following, overflow) = range.last.value.addingReportingOverflow(1)
                next =
                    overflow || !family.isIPv6 && following > UInt128(UInt32.max) ? nil : following
            }
            #expect(next == nil)
        }
    }

    @Test func `neighbours with one place are merged and gaps are explicit`() throws {
        let table = try workshop.table(csv: "1.0.0.0/24,AU\n1.0.1.0/24,AU\n1.0.2.0/24,NZ\n")
        #expect(table.rangeCount(in: .ipv4) == 4)
        #expect(table.rangeCount(in: .ipv6) == 1)
        #expect(table.match(address("1.0.1.7")).text == "1.0.0.0/23")
        #expect(table.match(address("1.0.3.7")).text == "1.0.3.0-255.255.255.255")
    }

    @Test func `a match names its range, also through an embedded address`() throws {
        let table = try workshop.table(csv: "1.0.0.0,1.0.2.255,AU\n2a00::/16,DE\n")
        #expect(table.match(address("1.0.1.1")).text == "1.0.0.0-1.0.2.255")
        #expect(table.match(address("2a00::1")).text == "2a00::/16")
        #expect(table.match(address("::ffff:1.0.1.1")).text == "::ffff:100:0-::ffff:100:2ff")
        let tunnel = table.match(address("2002:100:101::1"))
        #expect(tunnel.text == "2002:100::-2002:100:2ff:ffff:ffff:ffff:ffff:ffff")
        #expect(table.places[tunnel.place].country == "AU")
        #expect(table.match(address("10.1.2.3")).text == "10.0.0.0/8")
    }

    @Test func `mapped, 6to4 and NAT64 addresses have the place of the address inside`() throws {
        // The source contradicts itself for the embedding blocks; only the inner address counts.
        let table = try workshop.table(
            csv: "8.8.8.0/24,US\n::ffff:0:0/96,FR\n2002::/16,JP\n64:ff9b::/96,BR\n")
        #expect(table.country("::ffff:8.8.8.8") == "US")
        #expect(table.country("64:ff9b::808:808") == "US")
        #expect(table.country("2002:808:808::1") == "US")
        #expect(table.country("2002:808:808:ffff:ffff:ffff:ffff:ffff") == "US")
        #expect(table.country("::ffff:9.9.9.9") == nil)
        #expect(table.country("2002:909:909::1") == nil)
        #expect(table.country("64:ff9b::909:909") == nil)
        #expect(table.country("2002:a00:1::1") == nil, "6to4 around a private address")
    }

    @Test func `special blocks have no place whatever a source says`() throws {
        let table = try workshop.table(csv: "0.0.0.0/0,US\n::/0,DE\n")
        for block in SpecialBlock.all {
            let prefix = block.prefix
            let family: AddressFamily = prefix.address.isIPv6 ? .ipv6 : .ipv4
            for value in [prefix.span.first, prefix.span.last] {
                let probe = family.address(value)
                if EmbeddedIPv4.inner(of: value) != nil, probe.isIPv6 { continue }
                #expect(table.placeIndex(of: probe) == 0, "\(probe.text)")
                #expect(SpecialBlock.containing(probe) != nil)
            }
        }
    }

    @Test func `beside the special blocks an all-covering source holds`() throws {
        let table = try workshop.table(csv: "0.0.0.0/0,US\n::/0,DE\n")
        for text in [
            "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
            "223.255.255.255",
        ] { #expect(table.country(text) == "US", "\(text)") }
        for text in [
            "2000::", "2001:200::", "2001:db7::1", "2001:db9::", "2003::", "3ffe::1", "3fff:1000::",
        ] {
            #expect(table.country(text) == "DE", "\(text)")
        }
    }
}

/// Disjoint random ranges, and a plain scan of them.
enum RandomRanges {
    typealias Range = (first: IPAddress, last: IPAddress, country: String)

    static func builder(using generator: inout Generator) -> (GeoTableBuilder, [Range]) {
        var builder = GeoTableBuilder()
        var ranges: [Range] = []
        let countries = ["US", "DE", "FR", "IN", "BR", "JP"]
        for isIPv6 in [false, true] {
            var next: UInt128 = isIPv6 ? 0x2000 << 112 : 1 << 24
            let end: UInt128 = isIPv6 ? 0x2003 << 112 : 224 << 24
            for _ in 0..<900 {
                // Runs of any length, many of them small, so that one /16 holds many ranges.
                let gapBits = Int.random(in: 0...(isIPv6 ? 104 : 20), using: &generator)
                let runBits = Int.random(in: 0...(isIPv6 ? 104 : 20), using: &generator)
                let first = generator.chance(0.3) ? next : next + (UInt128(1) << UInt128(gapBits))
                let last = first + (UInt128(1) << UInt128(runBits)) - 1
                guard last < end else { break }
                let country = countries.randomElement(using: &generator) ?? "US"
                let family: AddressFamily = isIPv6 ? .ipv6 : .ipv4
                ranges.append((family.address(first), family.address(last), country))
                next = last + 1
            }
        }
        for range in ranges.shuffled(using: &generator) {
            builder.add(
                first: range.first, last: range.last, place: GeoPlace(country: range.country))
        }
        return (builder, ranges)
    }

    static func probe(near ranges: [Range], using generator: inout Generator) -> IPAddress {
        let isIPv6 = generator.chance(0.5)
        let family: AddressFamily = isIPv6 ? .ipv6 : .ipv4
        guard generator.chance(0.8), let range = ranges.randomElement(using: &generator) else {
            let value = UInt128.random(in: 0 ... .max, using: &generator)
            return family.address(isIPv6 ? value : value & UInt128(UInt32.max))
        }
        let value = (generator.chance(0.5) ? range.first : range.last).value
        let offset = UInt128.random(in: 0...2, using: &generator)
        return (range.first.isIPv6 ? AddressFamily.ipv6 : .ipv4).address(
            value &+ offset &- 1)
    }

    static func country(of address: IPAddress, in ranges: [Range]) -> String? {
        guard SpecialBlock.containing(address) == nil else { return nil }
        var address = address
        if address.isIPv6, let inner = EmbeddedIPv4.inner(of: address.value) {
            address = IPAddress(ipv4: inner)
            guard SpecialBlock.containing(address) == nil else { return nil }
        }
        return ranges.first {
            $0.first.isIPv6 == address.isIPv6 && $0.first.value <= address.value
                && address.value <= $0.last.value
        }?.country
    }
}
