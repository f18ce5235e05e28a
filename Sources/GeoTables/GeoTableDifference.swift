import Bytes

/// How many addresses have another place in one table than in another.
///
/// Places are compared by country and subdivision, because nothing else decides. Embedded IPv4 is counted once,
/// as IPv4.
package struct GeoTableDifference: Sendable {
    /// A change of place; nil is unknown.
    package struct Change: Hashable, Sendable {
        package let from: String?
        package let to: String?
    }

    /// Number of addresses of each family.
    package struct Count: Equatable, Sendable {
        package var ipv4: UInt128 = 0
        package var ipv6: UInt128 = 0

        package init() {}
    }

    /// Addresses by change of place, such as from `US-CA` to `DE`.
    package private(set) var changes: [Change: Count] = [:]
    /// Addresses whose place changed in any way.
    package private(set) var total = Count()

    /// Sweeps both tables once.
    package init(from old: GeoTable, to new: GeoTable) {
        for family in AddressFamily.allCases {
            let oldRanges = Self.ranges(of: old, in: family)
            let newRanges = Self.ranges(of: new, in: family)
            var left = 0
            var right = 0
            while left < oldRanges.count, right < newRanges.count {
                let (a, b) = (oldRanges[left], newRanges[right])
                let first = max(a.first.value, b.first.value)
                let last = min(a.last.value, b.last.value)
                if first <= last {
                    count(last - first + 1, family, old.places[a.place], new.places[b.place])
                }
                if a.last.value == last { left += 1 }
                if b.last.value == last { right += 1 }
            }
        }
    }

    private static func ranges(of table: GeoTable, in family: AddressFamily) -> [GeoRange] {
        var ranges: [GeoRange] = []
        table.forEachRange(in: family, includingEmbedded: false) { ranges.append($0) }
        return ranges
    }

    private mutating func count(
        _ addresses: UInt128, _ family: AddressFamily, _ old: GeoPlace, _ new: GeoPlace
    ) {
        let change = Change(
            from: old.subdivision ?? old.country, to: new.subdivision ?? new.country)
        guard change.from != change.to else { return }
        let field: WritableKeyPath<Count, UInt128> = family.isIPv6 ? \.ipv6 : \.ipv4
        changes[change, default: Count()][keyPath: field] += addresses
        total[keyPath: field] += addresses
    }
}
