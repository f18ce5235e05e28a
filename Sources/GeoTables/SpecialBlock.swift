package import Bytes

/// A block of addresses without a place on purpose, whatever a source says of it.
///
/// Private, shared, loopback, link-local, documentation, benchmarking, multicast and reserved addresses
/// (IANA special-purpose registries, RFC 6890 and its updates) say nothing of where a client is. A source
/// that gives them a place is wrong, and believing it could choose the wrong law. The same holds for IPv6
/// outside of the global unicast space `2000::/3`, and for Teredo, whose inner address is the
/// outside of a translator seen by a relay: too unsure to choose a region by.
package struct SpecialBlock: Sendable {
    package let prefix: IPPrefix
    /// What the block is for, in a few words for people.
    package let name: String

    private init(_ prefix: IPPrefix, _ name: String) {
        self.prefix = prefix
        self.name = name
    }

    /// The most telling block that contains `address`, or nil for a place-bearing address.
    package static func containing(_ address: IPAddress) -> SpecialBlock? {
        if address.isIPv6, EmbeddedIPv4.inner(of: address.value) != nil { return nil }
        return all.first { $0.prefix.contains(address) }
    }

    /// All blocks; where they nest, the narrower one stands first.
    package static let all: [SpecialBlock] = ipv4 + ipv6

    private static func blocks(_ list: [(String, String)]) -> [SpecialBlock] {
        list.map { text, name in
            guard let prefix = IPPrefix(text) else {
                preconditionFailure("special block `\(text)` is no prefix")
            }
            return SpecialBlock(prefix, name)
        }
    }

    private static let ipv4 = blocks([
        ("0.0.0.0/8", "this network (RFC 791)"),
        ("10.0.0.0/8", "private use (RFC 1918)"),
        ("100.64.0.0/10", "shared by carrier-grade translators (RFC 6598)"),
        ("127.0.0.0/8", "loopback (RFC 1122)"),
        ("169.254.0.0/16", "link-local (RFC 3927)"),
        ("172.16.0.0/12", "private use (RFC 1918)"),
        ("192.0.0.0/24", "protocol assignments (RFC 6890)"),
        ("192.0.2.0/24", "documentation (RFC 5737)"),
        ("192.88.99.0/24", "former 6to4 relays (RFC 7526)"),
        ("192.168.0.0/16", "private use (RFC 1918)"),
        ("198.18.0.0/15", "benchmarking (RFC 2544)"),
        ("198.51.100.0/24", "documentation (RFC 5737)"),
        ("203.0.113.0/24", "documentation (RFC 5737)"),
        ("224.0.0.0/4", "multicast (RFC 5771)"),
        ("240.0.0.0/4", "reserved (RFC 1112)"),
    ])

    private static let ipv6 = blocks([
        ("::/128", "unspecified (RFC 4291)"),
        ("::1/128", "loopback (RFC 4291)"),
        ("::/96", "IPv4-compatible, deprecated (RFC 4291)"),
        ("64:ff9b:1::/48", "local translation (RFC 8215)"),
        ("100::/64", "discard only (RFC 6666)"),
        ("2001::/32", "Teredo tunnels (RFC 4380)"),
        ("2001:2::/48", "benchmarking (RFC 5180)"),
        ("2001:20::/28", "host identities (RFC 7343)"),
        ("2001::/23", "protocol assignments (RFC 2928)"),
        ("2001:db8::/32", "documentation (RFC 3849)"),
        ("2002::/16", "6to4 (RFC 3056)"),
        ("3fff::/20", "documentation (RFC 9637)"),
        ("5f00::/16", "segment routing (RFC 9602)"),
        ("fc00::/7", "unique local (RFC 4193)"),
        ("fe80::/10", "link-local (RFC 4291)"),
        ("fec0::/10", "site-local, deprecated (RFC 3879)"),
        ("ff00::/8", "multicast (RFC 4291)"),
        ("::/3", "outside of global unicast (RFC 4291)"),
        ("4000::/2", "outside of global unicast (RFC 4291)"),
        ("8000::/1", "outside of global unicast (RFC 4291)"),
    ])

    /// The blocks of one family as first and last address, sorted, nested ones left out.
    static func spans(isIPv6: Bool) -> [(first: UInt128, last: UInt128)] {
        var spans: [(first: UInt128, last: UInt128)] = []
        let blocks = (isIPv6 ? ipv6 : ipv4).map(\.prefix)
        for block in blocks.sorted(by: {
            ($0.address.value, $0.length) < ($1.address.value, $1.length)
        }) {
            let (first, last) = block.span
            if let end = spans.last?.last, first <= end { continue }
            spans.append((first, last))
        }
        return spans
    }
}

/// IPv6 addresses that stand for an IPv4 address, and are located by it.
package enum EmbeddedIPv4 {
    /// A block whose addresses hold an IPv4 address.
    struct Block {
        let first: UInt128
        /// How far the IPv4 address is from the right end, in bits.
        let shift: UInt128
        var last: UInt128 { first | (UInt128(UInt32.max) << shift | ((1 << shift) - 1)) }
    }

    /// IPv4-mapped `::ffff:0:0/96` (RFC 4291), NAT64 `64:ff9b::/96` (RFC 6052) and 6to4 `2002::/16` (RFC 3056),
    /// in the order of their addresses.
    static let blocks = [
        Block(first: 0xFFFF << 32, shift: 0),
        Block(first: 0x0064_FF9B << 96, shift: 0),
        Block(first: 0x2002 << 112, shift: 80),
    ]

    /// The IPv4 address inside an IPv6 address, or nil when it holds none.
    @inline(__always)
    package static func inner(of value: UInt128) -> UInt32? {
        let high = UInt64(truncatingIfNeeded: value >> 64)
        let low = UInt64(truncatingIfNeeded: value)
        if high >> 48 == 0x2002 { return UInt32(truncatingIfNeeded: high >> 16) }
        if high == 0 && low >> 32 == 0xFFFF || high == 0x0064_FF9B_0000_0000 && low >> 32 == 0 {
            return UInt32(truncatingIfNeeded: low)
        }
        return nil
    }
}

extension IPPrefix {
    /// The first and last address as numbers.
    package var span: (first: UInt128, last: UInt128) {
        let hostBits = UInt128(address.bitCount - length)
        let hosts = hostBits == 128 ? UInt128.max : (1 << hostBits) - 1
        return (address.value, address.value | hosts)
    }
}
