import Bytes
import Crypto

/// What does not add up in a certificate, or in what it was made for.
package struct CheckFailure: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
    init(_ text: String) { description = text }
}

/// A number of addresses up to 2^128, in two words of base 2^64.
struct Addresses: Equatable {
    private var high: UInt128 = 0
    private var low: UInt64 = 0

    init() {}
    /// Reads decimal digits.
    init?(decimal text: String) {
        guard (1...39).contains(text.utf8.count) else { return nil }
        for unit in text.utf8 {
            guard (0x30...0x39).contains(unit) else { return nil }
            let product = UInt128(low) * 10 + UInt128(unit - 0x30)
            low = UInt64(truncatingIfNeeded: product)
            high = high * 10 + product >> 64
        }
    }

    mutating func add(first: UInt128, last: UInt128) {
        let lessOne = last - first
        add(high: lessOne >> 64, low: UInt64(truncatingIfNeeded: lessOne))
        add(high: 0, low: 1)
    }

    mutating func add(_ other: Addresses) { add(high: other.high, low: other.low) }
    private mutating func add(high more: UInt128, low rest: UInt64) {
        let sum = low.addingReportingOverflow(rest)
        low = sum.partialValue
        high += more + (sum.overflow ? 1 : 0)
    }
}

/// How many addresses of either family each place has, counted from the bytes of a geo table's file.
struct GeoFile {
    private(set) var ipv4: [String: Addresses] = [:], ipv6: [String: Addresses] = [:]
    /// Hexadecimal SHA-256 of the content.
    let digest: String

    /// Blocks whose addresses hold an IPv4 address, and how far that is from the right end.
    private static let embedding: [(first: UInt128, last: UInt128, shift: UInt128)] = [
        (0xFFFF_0000_0000, 0xFFFF_FFFF_FFFF, 0),
        (0x0064_FF9B << 96, 0x0064_FF9B << 96 | 0xFFFF_FFFF, 0),
        (0x2002 << 112, (0x2003 << 112) - 1, 80),
    ]

    init(_ bytes: [UInt8]) throws(CheckFailure) {
        guard bytes.count >= 256, Array(bytes[..<8]) == Array("CORDONGT".utf8),
            Self.number(bytes, at: 8, width: 4) == 1
        else { throw CheckFailure("the geo table is no file of version 1") }
        digest = Bytes.hex(SHA256.hash(Array(bytes[48...])))
        guard digest == Bytes.hex(bytes[16..<48]) else {
            throw CheckFailure("the geo table does not have the digest in its header")
        }
        let starts4 = try Self.section(bytes, 1, width: 4)
        let places4 = try Self.section(bytes, 2, width: 2)
        let upper = try Self.section(bytes, 6, width: 8)
        let lower = try Self.section(bytes, 7, width: 8)
        let places6 = try Self.section(bytes, 8, width: 2)
        let codes = try Self.section(bytes, 9, width: 8).map(Self.code)
        let starts6 = zip(upper, lower).map { UInt128($0) << 64 | UInt128($1) }
        try Self.sweep(starts4.map { UInt128($0) }, places4, codes, last: 0xFFFF_FFFF) {
            code, first, last in
            ipv4[code, default: .init()].add(first: first, last: last)
            for block in Self.embedding {
                let rest = UInt128(1) << block.shift - 1
                ipv6[code, default: .init()].add(
                    first: block.first | first << block.shift,
                    last: block.first | last << block.shift | rest)
            }
        }
        try Self.sweep(starts6, places6, codes, last: .max) { code, first, last in
            var next = first
            for block in Self.embedding where block.last >= next && block.first <= last {
                if block.first > next {
                    ipv6[code, default: .init()].add(first: next, last: block.first - 1)
                }
                guard block.last < last else { return }
                next = block.last + 1
            }
            ipv6[code, default: .init()].add(first: next, last: last)
        }
    }

    private static func sweep(
        _ starts: [UInt128], _ places: [UInt64], _ codes: [String], last: UInt128,
        _ body: (String, UInt128, UInt128) -> Void
    ) throws(CheckFailure) {
        guard starts.first == 0, starts.count == places.count else {
            throw CheckFailure("the geo table does not begin at the first address")
        }
        for index in starts.indices {
            let end = index + 1 < starts.count ? starts[index + 1] &- 1 : last
            guard end >= starts[index], end <= last, Int(places[index]) < codes.count else {
                throw CheckFailure("the geo table's ranges do not ascend, or name no place")
            }
            body(codes[Int(places[index])], starts[index], end)
        }
    }

    /// The numbers of one section.
    private static func section(
        _ bytes: [UInt8], _ index: Int, width: Int
    ) throws(CheckFailure) -> [UInt64] {
        let entry = 64 + index * 16
        let offset = number(bytes, at: entry, width: 8)
        let count = number(bytes, at: entry + 8, width: 8)
        guard offset <= UInt64(bytes.count),
            count <= (UInt64(bytes.count) - offset) / UInt64(width)
        else { throw CheckFailure("section \(index) of the geo table lies outside of the file") }
        return (0..<Int(count)).map { number(bytes, at: Int(offset) + $0 * width, width: width) }
    }

    private static func number(_ bytes: [UInt8], at offset: Int, width: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in (0..<width).reversed() { value = value << 8 | UInt64(bytes[offset + index]) }
        return value
    }

    /// `US-CA`, `US` or `unknown` for eight bytes of section 9.
    private static func code(_ packed: UInt64) -> String {
        let units = (0..<8).map { UInt8(truncatingIfNeeded: packed >> (8 * $0)) }
        func text(_ range: Range<Int>) -> String {
            String(decoding: units[range].filter { $0 != 0 }, as: UTF8.self)
        }
        let (country, part) = (text(0..<2), text(2..<5))
        return country.isEmpty ? "unknown" : part.isEmpty ? country : "\(country)-\(part)"
    }
}
