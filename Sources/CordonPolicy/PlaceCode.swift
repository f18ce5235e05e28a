/// Codes of places: ISO 3166-1 alpha-2 for countries, ISO 3166-2 for their subdivisions.
package enum PlaceCode {
    package enum Shape: Sendable { case country, subdivision }

    /// What the form of `text` alone says: `DE`, or `DE-BY` with one to three letters or digits; nil otherwise.
    package static func shape(of text: String) -> Shape? {
        let units = Array(text.utf8)
        func isLetter(_ unit: UInt8) -> Bool { unit >= 0x41 && unit <= 0x5A }
        guard units.count >= 2, isLetter(units[0]), isLetter(units[1]) else { return nil }
        if units.count == 2 { return .country }
        guard (4...6).contains(units.count), units[2] == 0x2D,
            units[3...].allSatisfy({ isLetter($0) || $0 >= 0x30 && $0 <= 0x39 })
        else { return nil }
        return .subdivision
    }

    /// The country that `place` (`DE`, `US-CA`) is or lies in.
    package static func country(of place: String) -> String { String(place.prefix { $0 != "-" }) }

    /// Whether `place`, or the country that it lies in, is among `codes`.
    package static func holds(_ codes: Set<String>, _ place: String) -> Bool {
        holds(codes, country: country(of: place), subdivision: place)
    }

    /// The same of a place whose country, or whose subdivision, may be unknown.
    package static func holds(
        _ codes: Set<String>, country: String?, subdivision: String?
    ) -> Bool {
        country.map { codes.contains($0) } ?? false
            || subdivision.map { codes.contains($0) } ?? false
    }

    /// The places that lie in both sets: codes of either that are among the other's, or in a country that is.
    static func shared(_ left: Set<String>, _ right: Set<String>) -> Set<String> {
        func within(_ codes: Set<String>, _ other: Set<String>) -> Set<String> {
            codes.filter { $0.utf8.count > 2 && other.contains(country(of: $0)) }
        }
        return left.intersection(right).union(within(left, right)).union(within(right, left))
    }

    /// The officially assigned codes of ISO 3166-1, and `XK`, a user-assigned code that the European Commission, the IMF and the
    /// geolocation lists use for Kosovo.
    package static let countries = Set(
        """
        AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
        CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
        FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
        JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
        MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
        PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
        TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XK
        """.split(whereSeparator: \.isWhitespace).map(String.init))

    /// The parts that ISO 3166-2 lists for countries whose policies name parts; elsewhere the form alone is checked.
    package static let subdivisions: [String: Set<String>] = [
        "US": codes(
            """
            AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR
            PA RI SC SD TN TX UT VT VA WA WV WI WY DC AS GU MP PR UM VI
            """),
        "CA": codes("AB BC MB NB NL NS NT NU ON PE QC SK YT"),
    ]

    /// Countries of ISO 3166-1 that belong to another state but have a code of their own.
    static let territories: [String: [String]] = [
        "AU": ["CC", "CX", "HM", "NF"],
        "CN": ["HK", "MO"],
        "DK": ["FO", "GL"],
        "FI": ["AX"],
        "FR": ["BL", "GF", "GP", "MF", "MQ", "NC", "PF", "PM", "RE", "TF", "WF", "YT"],
        "GB": [
            "AI", "BM", "FK", "GG", "GI", "GS", "IM", "IO", "JE", "KY", "MS", "PN", "SH", "TC",
            "VG",
        ],
        "NL": ["AW", "BQ", "CW", "SX"],
        "NO": ["BV", "SJ"],
        "NZ": ["CK", "NU", "TK"],
        "US": ["AS", "GU", "MP", "PR", "UM", "VI"],
    ]

    private static func codes(_ text: String) -> Set<String> {
        Set(text.split(whereSeparator: \.isWhitespace).map(String.init))
    }
}
