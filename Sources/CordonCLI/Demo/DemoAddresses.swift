import Bytes
import GeoTables
import WorldTraffic

extension GeoTable {
    /// Every range that has a place: what the demo's visitors come from.
    var rangesWithPlace: [(range: AddressPool.Range, place: Int)] {
        var ranges: [(range: AddressPool.Range, place: Int)] = []
        for family in AddressFamily.allCases {
            forEachRange(in: family, includingEmbedded: false) { range in
                guard !places[range.place].isUnknown else { return }
                ranges.append((.init(first: range.first, last: range.last), range.place))
            }
        }
        return ranges
    }

    /// Some address of `country`: the second of its first range that has several.
    func someAddress(ofCountry country: String) -> IPAddress? {
        rangesWithPlace.first { entry in
            places[entry.place].country == country
                && entry.range.last.value > entry.range.first.value
        }.map { IPAddress(ipv4: UInt32(truncatingIfNeeded: $0.range.first.value + 1)) }
    }
}
