package import Bytes

/// A run of addresses of one family that share a place.
package struct GeoRange: Hashable, Sendable {
    package let first: IPAddress
    package let last: IPAddress
    /// Index into the table's places.
    package let place: Int

    package init(first: IPAddress, last: IPAddress, place: Int) {
        self.first = first
        self.last = last
        self.place = place
    }

    /// Number of addresses, less one: the whole IPv6 space has one more than a number of 128 bits holds.
    package var countLessOne: UInt128 { last.value - first.value }

    /// `first/length` where the range is one prefix, else `first-last`.
    package var text: String {
        let size = countLessOne
        let isPower = size & (size &+ 1) == 0
        guard isPower, first.value & size == 0 else { return "\(first.text)-\(last.text)" }
        return "\(first.text)/\(first.bitCount - size.nonzeroBitCount)"
    }
}

/// The two address families.
package enum AddressFamily: String, CaseIterable, Sendable {
    case ipv4 = "IPv4"
    case ipv6 = "IPv6"

    var isIPv6: Bool { self == .ipv6 }

    func address(_ value: UInt128) -> IPAddress {
        isIPv6 ? IPAddress(ipv6: value) : IPAddress(ipv4: UInt32(truncatingIfNeeded: value))
    }
}

extension GeoTable {
    /// The range that decides the place of `address`, in the address's own family. In a ``SpecialBlock`` it is the block,
    /// or the part of it with the same network flags.
    package func match(_ address: IPAddress) -> GeoRange {
        let range = storedMatch(address)
        guard let block = SpecialBlock.containing(address) else { return range }
        let (first, last) = block.prefix.span
        let family: AddressFamily = address.isIPv6 ? .ipv6 : .ipv4
        return GeoRange(
            first: family.address(max(first, range.first.value)),
            last: family.address(min(last, range.last.value)), place: range.place)
    }

    private func storedMatch(_ address: IPAddress) -> GeoRange {
        guard address.isIPv6 else {
            let range = arrays.v4Range(
                at: arrays.v4Position(of: UInt32(truncatingIfNeeded: address.value)))
            return AddressFamily.ipv4.range(range)
        }
        guard let inner = EmbeddedIPv4.inner(of: address.value),
            let block = EmbeddedIPv4.blocks.first(where: {
                $0.first <= address.value && address.value <= $0.last
            })
        else {
            return AddressFamily.ipv6.range(
                arrays.v6Range(at: arrays.v6Position(of: address.value)))
        }
        return block.embed(match(IPAddress(ipv4: inner)))
    }

    /// Number of ranges stored for `family`, merged where neighbours agree.
    package func rangeCount(in family: AddressFamily) -> Int {
        family.isIPv6 ? arrays.v6Count : arrays.v4Count
    }

    /// Calls `body` with ranges that cover the whole space of `family` in order, each address once, and agree with
    /// ``placeIndex(of:)`` everywhere.
    ///
    /// In IPv6 the blocks that embed IPv4 addresses are given range by range too. With
    /// `includingEmbedded` false they are left out, which leaves three gaps: for callers that look at the
    /// IPv4 space already, or that want addresses people really have.
    package func forEachRange<Failure: Error>(
        in family: AddressFamily, includingEmbedded: Bool = true,
        _ body: (GeoRange) throws(Failure) -> Void
    ) throws(Failure) {
        guard family == .ipv6 else {
            for position in 0..<arrays.v4Count {
                try body(family.range(arrays.v4Range(at: position)))
            }
            return
        }
        var blocks = EmbeddedIPv4.blocks[...]
        for position in 0..<arrays.v6Count {
            let (first, last, place) = arrays.v6Range(at: position)
            var next = first
            // INVARIANT: the builder makes each embedding block unknown, so it lies within one range.
            while let block = blocks.first, block.first <= last {
                blocks.removeFirst()
                if next < block.first { try body(family.range((next, block.first - 1, place))) }
                if includingEmbedded {
                    for inner in 0..<arrays.v4Count {
                        let range = AddressFamily.ipv4.range(arrays.v4Range(at: inner))
                        try body(block.embed(range))
                    }
                }
                next = block.last + 1
            }
            if next <= last { try body(family.range((next, last, place))) }
        }
    }
}

extension AddressFamily {
    fileprivate func range(_ range: (first: UInt128, last: UInt128, place: Int)) -> GeoRange {
        GeoRange(first: address(range.first), last: address(range.last), place: range.place)
    }
}

extension EmbeddedIPv4.Block {
    /// The IPv6 addresses of this block that embed the addresses of `range`.
    fileprivate func embed(_ range: GeoRange) -> GeoRange {
        let rest = (UInt128(1) << shift) - 1
        return GeoRange(
            first: IPAddress(ipv6: first | range.first.value << shift),
            last: IPAddress(ipv6: first | range.last.value << shift | rest), place: range.place)
    }
}
