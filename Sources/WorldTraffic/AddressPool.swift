package import Bytes

/// Ranges of addresses to draw clients from, grouped by place.
package struct AddressPool: Sendable {
    /// First and last address of one range, of one family.
    package struct Range: Sendable {
        package let first: IPAddress
        package let last: IPAddress
        package init(first: IPAddress, last: IPAddress) {
            self.first = first
            self.last = last
        }
    }

    private let ranges: [Range]
    /// Indices into `ranges`, by place.
    private let byPlace: [[Int]]

    /// Takes ranges with the number of the place each belongs to; there must be at least one.
    package init(_ placed: [(range: Range, place: Int)]) {
        precondition(!placed.isEmpty, "traffic needs addresses to come from")
        ranges = placed.map(\.range)
        var byPlace: [Int: [Int]] = [:]
        for (index, entry) in placed.enumerated() {
            byPlace[entry.place, default: []].append(index)
        }
        self.byPlace = byPlace.sorted { $0.key < $1.key }.map(\.value)
    }

    /// Number of places.
    package var placeCount: Int { byPlace.count }

    /// An address: in a third of the draws of a place chosen evenly, so that small countries are seen too, else of a
    /// range chosen evenly, which follows how the address space is divided.
    package func draw(using random: inout SplitMix) -> IPAddress {
        let index: Int
        if random.percent(33) {
            let ranges = byPlace[random.below(byPlace.count)]
            index = ranges[random.below(ranges.count)]
        } else {
            index = random.below(ranges.count)
        }
        let range = ranges[index]
        let span = range.last.value - range.first.value
        let offset = UInt128.random(in: 0...span, using: &random)
        return range.first.isIPv6
            ? IPAddress(ipv6: range.first.value + offset)
            : IPAddress(ipv4: UInt32(range.first.value + offset))
    }
}
