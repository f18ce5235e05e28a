import Bytes

/// The layout of a table file, version 1; `Docs/formats/geo-table.md` draws it. All integers are little-endian.
///
/// ```
///    0  magic "CORDONGT"
///    8  u32 version       12  u32 header bytes
///   16  SHA-256 of everything from byte 48 on
///   48  u64 file bytes    56  u64 zero
///   64  11 × { u64 offset, u64 count of elements }, in the order of `Section`
///  240  zero up to 256
///  256  the sections, each at a multiple of 64, zero between them
/// ```
enum GeoTableFormat {
    static let magic = Array("CORDONGT".utf8)
    static let version: UInt32 = 1
    static let headerBytes = 256
    static let digestOffset = 16
    /// Everything from here on is under the digest; what is before is compared byte by byte.
    static let digestedOffset = 48
    static let sectionListOffset = 64
    static let alignment = 64

    /// Most places a table can tell apart, with the unknown one: an index has 16 bits.
    static let placesMax = 65_536
    /// Most ranges of one family; the whole IPv4 space has 2³² addresses and real tables 400,000 ranges.
    static let rangesMax = 1 << 26
    /// Largest file that is read, in bytes.
    static let fileBytesMax = 2 << 30

    /// The parallel arrays of a table, in file order.
    enum Section: Int, CaseIterable {
        /// 65,537 × u32: where the range of the first address of each /16 stands; the last is the last range.
        case v4Index
        /// n × u32: first addresses, ascending from 0.
        case v4Starts
        /// n × u16: places.
        case v4Places
        /// 65,537 × u32: as `v4Index`, for the first 16 bits of IPv6.
        case v6Index
        /// 65,536 × u16: 0, or 1 + the number of the second-level index of this /16.
        case v6Dense
        /// k × 65,537 × u32: second-level indexes, for the next 16 bits.
        case v6Second
        /// m × u64: upper halves of first addresses.
        case v6Highs
        /// m × u64: their lower halves.
        case v6Lows
        /// m × u16: places.
        case v6Places
        /// p × 8 bytes: codes of the places, `PackedPlace`; the first is eight zero bytes.
        case places
        /// UTF-8 text: one line a source, `SourceRecord`.
        case sources

        var elementBytes: Int {
            switch self {
            case .v4Index, .v4Starts, .v6Index, .v6Second: 4
            case .v4Places, .v6Dense, .v6Places: 2
            case .v6Highs, .v6Lows, .places: 8
            case .sources: 1
            }
        }
    }

    static let firstLevelCount = 65_537
    /// Entries of one second-level index.
    static let secondLevelCount = (1 << secondLevelBits) + 1
    static let secondLevelBits = 12
    /// A /16 of IPv6 with more ranges than this gets a second-level index.
    static let denseRangesMin = 64
}

/// One source of a table, as the file records it.
package struct GeoSource: Equatable, Sendable {
    /// The file's name without its folder.
    package let name: String
    package let format: GeoSourceFormat
    /// Day on which the data was made, `YYYY-MM-DD`, where the source states it.
    package let date: String?
    /// What the source says of its maker and licence.
    package let note: String
    /// SHA-256 of the file, hexadecimal.
    package let digest: String
    package let byteCount: Int
    /// Ranges or networks read from it.
    package let rangeCount: Int

    /// One line of seven fields between tabs.
    var line: String {
        let fields = [
            name, format.rawValue, date ?? "", note, digest, "\(byteCount)", "\(rangeCount)",
        ]
        return fields.map(Self.withoutControls).joined(separator: "\t") + "\n"
    }

    private static func withoutControls(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 32 ? " " : $0 }))
    }

    package init(
        name: String, format: GeoSourceFormat, date: String?, note: String, digest: String,
        byteCount: Int, rangeCount: Int
    ) {
        self.name = name
        self.format = format
        self.date = date
        self.note = note
        self.digest = digest
        self.byteCount = byteCount
        self.rangeCount = rangeCount
    }

    init?(line: some StringProtocol) {
        let fields = line.split(omittingEmptySubsequences: false) { $0 == "\t" }.map { String($0) }
        guard fields.count == 7, let format = GeoSourceFormat(rawValue: fields[1]),
            let byteCount = Int(fields[5]), let rangeCount = Int(fields[6])
        else { return nil }
        self.init(
            name: fields[0], format: format, date: fields[2].isEmpty ? nil : fields[2],
            note: fields[3], digest: fields[4], byteCount: byteCount, rangeCount: rangeCount)
    }
}

/// What a source file can be.
package enum GeoSourceFormat: String, CaseIterable, Sendable {
    /// The lists of Debian's `tor-geoipdb`: IPv4 as integers, IPv6 as text.
    case torGeoIPDB = "tor-geoipdb"
    /// A MaxMind DB file of the Country or City kind.
    case maxMindDB = "mmdb"
    /// `start,end,country[,subdivision]` or `prefix,country[,subdivision]`.
    case csv
}
