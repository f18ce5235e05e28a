/// How much of one address family has a place.
package struct GeoCoverage: Equatable, Sendable {
    /// Addresses whose country is known.
    package let located: UInt128
    /// Addresses that could have a place: the family without its special blocks, and without embedded IPv4.
    package let possible: UInt128

    package var share: Double { Double(located) / Double(possible) }
}

extension GeoTable {
    /// Counts the addresses of `family` that have a place. Sweeps the table once.
    package func coverage(of family: AddressFamily) -> GeoCoverage {
        var located: UInt128 = 0
        forEachRange(in: family, includingEmbedded: false) { range in
            guard !places[range.place].isUnknown else { return }
            located += range.countLessOne + 1
        }
        var possible: UInt128 = family.isIPv6 ? .max : UInt128(UInt32.max) + 1
        for span in SpecialBlock.spans(isIPv6: family.isIPv6) {
            possible -= span.last - span.first + 1
        }
        // The whole IPv6 space has one address more than the number it was started from.
        return GeoCoverage(located: located, possible: family.isIPv6 ? possible + 1 : possible)
    }
}
