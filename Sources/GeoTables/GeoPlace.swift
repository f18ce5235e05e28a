/// Where an address is, as far as the sources know.
package struct GeoPlace: Hashable, Sendable {
    /// ISO 3166-1 code of the country in which the address is, such as `US`. Nil means that the place is
    /// unknown, also where a registered country stands.
    package let country: String?
    /// ISO 3166-2 code of the first subdivision in that country, such as `US-CA`.
    package let subdivision: String?
    /// ISO 3166-1 code of the country in which the network's holder registered it. It decides nothing:
    /// a network registered in one country may be used in another.
    package let registeredCountry: String?
    /// What is known of the network; known places and the unknown one may have it. It decides nothing.
    package let network: NetworkFlags

    package init(
        country: String?, subdivision: String? = nil, registeredCountry: String? = nil,
        network: NetworkFlags = []
    ) {
        self.country = country
        self.subdivision = subdivision
        self.registeredCountry = registeredCountry
        self.network = network
    }

    /// The place with index 0 in every table.
    package static let unknown = GeoPlace(country: nil)

    package var isUnknown: Bool { country == nil }
}

/// The codes of a place in eight bytes, as the table file holds them: two bytes country, three subdivision
/// (without its country), two registered country, one ``NetworkFlags``. Absent codes are zero bytes.
///
/// The integer has the first byte in its most significant place, so sorting integers sorts codes.
struct PackedPlace: Hashable, Sendable, Comparable {
    let bits: UInt64

    init(bits: UInt64) { self.bits = bits }

    /// Packs codes; a subdivision without a country is left out, because alone it says nothing.
    init(country: CountryCode?, subdivision: SubdivisionCode? = nil, registered: CountryCode? = nil)
    {
        let countryBits = UInt64(country?.bits ?? 0) << 48
        let subdivisionBits = country == nil ? 0 : UInt64(subdivision?.bits ?? 0) << 24
        bits = countryBits | subdivisionBits | UInt64(registered?.bits ?? 0) << 8
    }

    /// The same place in a network of these flags.
    func adding(_ flags: NetworkFlags) -> PackedPlace {
        PackedPlace(bits: bits | UInt64(flags.rawValue))
    }

    static let unknown = PackedPlace(bits: 0)

    static func < (left: PackedPlace, right: PackedPlace) -> Bool { left.bits < right.bits }

    /// The codes as text, or nil when the bytes are not what ``init(country:subdivision:registered:)`` and
    /// ``adding(_:)`` make.
    var place: GeoPlace? {
        let countryBits = UInt16(truncatingIfNeeded: bits >> 48)
        let subdivisionBits = UInt32(truncatingIfNeeded: bits >> 24) & 0xFF_FFFF
        let registeredBits = UInt16(truncatingIfNeeded: bits >> 8)
        let flags = NetworkFlags(rawValue: UInt8(truncatingIfNeeded: bits))
        let country = CountryCode(bits: countryBits)
        let subdivision = SubdivisionCode(bits: subdivisionBits)
        let registered = CountryCode(bits: registeredBits)
        guard NetworkFlags.all.isSuperset(of: flags),
            countryBits == 0 || country != nil,
            subdivisionBits == 0 || (subdivision != nil && country != nil),
            registeredBits == 0 || registered != nil
        else { return nil }
        return GeoPlace(
            country: country?.text,
            subdivision: country.flatMap { country in
                subdivision.map { country.text + "-" + $0.text }
            },
            registeredCountry: registered?.text, network: flags)
    }

    /// The packed form of `place`, or nil when a code has a wrong form.
    init?(_ place: GeoPlace) {
        func country(_ text: String?) -> CountryCode?? {
            guard let text else { return .some(nil) }
            let code = CountryCode(Array(text.utf8).span)
            return code.map { .some($0) }
        }
        guard let countryCode = country(place.country),
            let registered = country(place.registeredCountry)
        else { return nil }
        var subdivision: SubdivisionCode?
        if let text = place.subdivision {
            guard let countryCode, text.hasPrefix(countryCode.text + "-"),
                let code = SubdivisionCode(Array(text.utf8.dropFirst(3)).span)
            else { return nil }
            subdivision = code
        }
        self = PackedPlace(
            country: countryCode, subdivision: subdivision, registered: registered
        ).adding(place.network)
    }
}

/// Two capital letters. Whether ISO 3166-1 assigns them is for the reader of the table to say.
struct CountryCode: Hashable, Sendable {
    let bits: UInt16

    init?(_ text: Span<UInt8>) {
        guard text.count == 2 else { return nil }
        self.init(bits: UInt16(text[0]) << 8 | UInt16(text[1]))
    }

    init?(bits: UInt16) {
        guard Self.isLetter(UInt8(bits >> 8)), Self.isLetter(UInt8(bits & 0xFF)) else { return nil }
        self.bits = bits
    }

    private static func isLetter(_ unit: UInt8) -> Bool { unit >= 0x41 && unit <= 0x5A }

    var text: String { String(decoding: [UInt8(bits >> 8), UInt8(bits & 0xFF)], as: UTF8.self) }
}

/// One to three capital letters or digits, left-justified in three bytes.
struct SubdivisionCode: Hashable, Sendable {
    let bits: UInt32

    init?(_ text: Span<UInt8>) {
        guard text.count >= 1, text.count <= 3 else { return nil }
        var bits: UInt32 = 0
        for index in 0..<3 { bits = bits << 8 | (index < text.count ? UInt32(text[index]) : 0) }
        self.init(bits: bits)
    }

    init?(bits: UInt32) {
        guard bits > 0xFFFF, bits <= 0xFF_FFFF else { return nil }
        var ended = false
        for shift in [UInt32(16), 8, 0] {
            switch bits >> shift & 0xFF {
            case 0: ended = true
            case 0x30...0x39, 0x41...0x5A: guard !ended else { return nil }
            default: return nil
            }
        }
        self.bits = bits
    }

    var text: String {
        let units = [16, 8, 0].map { UInt8(truncatingIfNeeded: bits >> UInt32($0)) }
        return String(decoding: units.filter { $0 != 0 }, as: UTF8.self)
    }
}
