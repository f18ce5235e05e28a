import Bytes
import Glibc
import LinuxIO

/// Times lookups in a table against libmaxminddb on the same data, in one run.
///
/// The table is written out as a MaxMind DB file, so both sides answer the same question; each says how many
/// addresses it located, and the two numbers must agree.
package enum GeoBenchmark {
    /// One way of looking up, timed on one kind of addresses.
    package struct Measurement: Sendable {
        /// What was looked up, such as `IPv4, uniform`.
        package let addresses: String
        package let method: String
        package let nanosecondsPerLookup: Double
        package let lookups: Int
        /// How many of the addresses have a place; also keeps the work from being optimised away.
        package let located: Int
    }

    /// Rounds over the same addresses; the median counts.
    private static let rounds = 5
    private static let seed: UInt64 = 0x6765_6F74_6162_6C65

    /// Looks `count` addresses of each kind up in each way. `directory` takes a file of some 20 bytes a range for as
    /// long as it runs.
    package static func run(
        _ table: GeoTable, count: Int, directory: String
    ) throws(GeoTableError) -> [Measurement] {
        let path = directory + "/geo-benchmark-\(getpid()).mmdb"
        defer {
            // A file left in a temporary folder harms nobody.
            _ = try? File.remove(path)
        }
        var writer = MaxMindWriter(copying: table)
        if table.coverage(of: .ipv4).located > 0 { writer.aliasEmbeddedBlocks() }
        do throws(LinuxError) {
            try File.write(path, writer.encode(epoch: 1), sync: false)
        } catch {
            throw GeoTableError(error, path: path)
        }
        let database = try MaxMindDatabase(path: path)
        var random = SplitMix(state: seed)
        var measurements: [Measurement] = []
        for family in AddressFamily.allCases {
            for isUniform in [true, false] {
                let addresses =
                    isUniform
                    ? uniform(family, count, &random) : allocated(table, family, count, &random)
                guard !addresses.isEmpty else { continue }
                let kind = "\(family.rawValue), \(isUniform ? "uniform" : "in located ranges")"
                measurements.append(
                    measure(kind, "flat table", addresses.count) {
                        locatedByTable(table, addresses)
                    })
                measurements.append(
                    measure(kind, "libmaxminddb", addresses.count) {
                        database.locatedCount(addresses, readingCountry: false)
                    })
                measurements.append(
                    measure(kind, "libmaxminddb with country", addresses.count) {
                        database.locatedCount(addresses, readingCountry: true)
                    })
            }
        }
        return measurements
    }

    private static func measure(
        _ addresses: String, _ method: String, _ count: Int, _ work: () -> Int
    ) -> Measurement {
        var times: [UInt64] = []
        var located = 0
        for _ in 0..<rounds {
            let start = SystemClock.monotonicNanoseconds()
            located = work()
            times.append(SystemClock.monotonicNanoseconds() - start)
        }
        times.sort()
        return Measurement(
            addresses: addresses, method: method,
            nanosecondsPerLookup: Double(times[rounds / 2]) / Double(count), lookups: count,
            located: located)
    }

    @inline(never)
    private static func locatedByTable(_ table: GeoTable, _ addresses: [IPAddress]) -> Int {
        var located = 0
        for address in addresses where table.placeIndex(of: address) != 0 { located &+= 1 }
        return located
    }

    /// Any address of the family; in IPv6, of the global unicast space.
    private static func uniform(
        _ family: AddressFamily, _ count: Int, _ random: inout SplitMix
    ) -> [IPAddress] {
        (0..<count).map { _ in
            let low = UInt128(random.next())
            let high = UInt128(0x2000_0000_0000_0000 | random.next() >> 3)
            return family.isIPv6
                ? IPAddress(ipv6: high << 64 | low)
                : IPAddress(ipv4: UInt32(truncatingIfNeeded: low))
        }
    }

    /// A random address in a random located range: like real clients, where the table is most fragmented.
    private static func allocated(
        _ table: GeoTable, _ family: AddressFamily, _ count: Int, _ random: inout SplitMix
    ) -> [IPAddress] {
        var ranges: [GeoRange] = []
        table.forEachRange(in: family, includingEmbedded: false) { range in
            if range.place != 0 { ranges.append(range) }
        }
        guard !ranges.isEmpty else { return [] }
        return (0..<count).map { _ in
            let range = ranges[Int(random.next() % UInt64(ranges.count))]
            let offset = UInt128(random.next()) << 64 | UInt128(random.next())
            let size = range.countLessOne
            return family.address(range.first.value + (size == .max ? offset : offset % (size + 1)))
        }
    }
}

/// The SplitMix64 generator: the same addresses in each run.
private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

extension MaxMindWriter {
    /// Lets all blocks that embed IPv4 addresses repeat the IPv4 tree.
    mutating func aliasEmbeddedBlocks() {
        for block in EmbeddedIPv4.blocks {
            guard let prefix = IPPrefix(IPAddress(ipv6: block.first), length: 96 - Int(block.shift))
            else { preconditionFailure("an embedding block has a length below 96") }
            alias(prefix)
        }
    }
}
