import Bytes
package import CordonPolicy
package import GeoTables

/// All addresses that a geo table puts into one place, as the rules see places.
package struct PlaceAddresses: Sendable {
    package let place: RulePlace
    /// The table's own places that are this one; they differ in what decides nothing.
    package let indices: [Int]
    package let ipv4: AddressCount
    package let ipv6: AddressCount
    /// The smallest range of either family: fewest addresses, then the lowest; IPv4 where the place has such addresses.
    package let smallest: GeoRange

    /// ISO 3166 code, or ``Invariant/unknownPlace``.
    package var code: String { place.subdivision ?? place.country ?? Invariant.unknownPlace }

    /// Sweeps both address spaces of `table` and gathers them by place, in the order of the table's places. Embedded
    /// IPv4 addresses count for the place of the address inside. Memory grows with places, not with ranges.
    package static func sweep(_ table: GeoTable) -> [PlaceAddresses] {
        let ipv4 = Tally(table, .ipv4)
        let ipv6 = Tally(table, .ipv6)
        var groups: [RulePlace: [Int]] = [:]
        var order: [RulePlace] = []
        for (index, place) in table.places.enumerated() {
            let place = RulePlace(place)
            if groups[place] == nil { order.append(place) }
            groups[place, default: []].append(index)
        }
        return order.compactMap { place in
            let indices = groups[place] ?? []
            // A place without an address is one that nobody can ask from.
            guard let smallest = ipv4.smallest(of: indices) ?? ipv6.smallest(of: indices) else {
                return nil
            }
            return PlaceAddresses(
                place: place, indices: indices, ipv4: ipv4.count(of: indices),
                ipv6: ipv6.count(of: indices), smallest: smallest)
        }
    }

    /// Addresses of one family by the table's places.
    private struct Tally {
        private var counts: [AddressCount]
        private var smallest: [GeoRange?]

        init(_ table: GeoTable, _ family: AddressFamily) {
            var counts = [AddressCount](repeating: .zero, count: table.places.count)
            var smallest = [GeoRange?](repeating: nil, count: table.places.count)
            table.forEachRange(in: family) { range in
                counts[range.place] += AddressCount(lessOne: range.countLessOne)
                // Ranges come in the order of their addresses, so an equal one is no better.
                if smallest[range.place].map({ range.countLessOne < $0.countLessOne }) ?? true {
                    smallest[range.place] = range
                }
            }
            self.counts = counts
            self.smallest = smallest
        }

        func count(of indices: [Int]) -> AddressCount {
            indices.reduce(into: .zero) { $0 += counts[$1] }
        }

        func smallest(of indices: [Int]) -> GeoRange? {
            indices.compactMap { smallest[$0] }.min(by: GeoRange.isSmaller)
        }
    }
}

extension GeoRange {
    /// The order of counterexamples: IPv4 first, then fewer addresses, then lower ones.
    static func isSmaller(_ left: GeoRange, _ right: GeoRange) -> Bool {
        (left.first.isIPv6 ? 1 : 0, left.countLessOne, left.first.value)
            < (right.first.isIPv6 ? 1 : 0, right.countLessOne, right.first.value)
    }
}
