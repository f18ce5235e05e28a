package import Bytes
import LinuxIO

/// Collects ranges from sources and compiles them into a table file.
///
/// Sources are one set: their order does not matter, and ranges that overlap must agree. What has no place on
/// purpose (``SpecialBlock``, embedded IPv4) is cut out, gaps become unknown ranges, network flags are laid over places,
/// equal neighbours merge.
/// The same sources give the same bytes.
package struct GeoTableBuilder: Sendable {
    /// Ranges of one family in the order they came.
    var v4: [SourceRange] = []
    var v6: [SourceRange] = []
    /// Ranges of networks with flags; `place` holds the flags.
    private var v4Networks: [SourceRange] = []
    private var v6Networks: [SourceRange] = []
    private(set) var sources: [GeoSource] = []
    /// Paths by source index, for messages.
    private var paths: [String] = []
    private var packed: [PackedPlace] = [.unknown]
    private var indexes: [PackedPlace: UInt32] = [.unknown: 0]

    package init() {}

    /// Reads the source file at `path`.
    package mutating func add(
        _ format: GeoSourceFormat, path: String
    ) throws(GeoTableError) {
        paths.append(path)
        let file = try MappedFile.geo(path)
        let before = v4.count + v6.count
        let about: SourceDescription
        switch format {
        case .torGeoIPDB: about = try addTorList(file, path: path)
        case .csv: about = try addCSV(file, path: path)
        case .maxMindDB: about = try addMaxMindDB(path: path)
        }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        sources.append(
            GeoSource(
                name: name, format: format, date: about.date, note: about.note,
                digest: Bytes.hex(file.digest()), byteCount: file.count,
                rangeCount: about.rangeCount ?? v4.count + v6.count - before))
    }

    /// Adds one range of a source that is not a file; `place` must have codes of the right form.
    package mutating func add(first: IPAddress, last: IPAddress, place: GeoPlace) {
        guard let packed = PackedPlace(place) else {
            preconditionFailure("a place to add has a code of the wrong form")
        }
        precondition(first.isIPv6 == last.isIPv6 && first.value <= last.value)
        precondition(place.network == [], "flags of a network are added apart from places")
        append(first.value, last.value, isIPv6: first.isIPv6, place: index(of: packed), line: 0)
    }

    /// Index of `place` among the places met so far.
    mutating func index(of place: PackedPlace) -> UInt32 {
        if let index = indexes[place] { return index }
        let index = UInt32(packed.count)
        packed.append(place)
        indexes[place] = index
        return index
    }

    mutating func append(
        _ first: UInt128, _ last: UInt128, isIPv6: Bool, place: UInt32, line: Int
    ) {
        let range = SourceRange(
            first: first, last: last, place: place, source: Int32(max(0, paths.count - 1)),
            line: Int32(clamping: line))
        if isIPv6 { v6.append(range) } else { v4.append(range) }
    }

    /// Adds the flags of one network.
    mutating func append(_ first: UInt128, _ last: UInt128, isIPv6: Bool, flags: NetworkFlags) {
        let range = SourceRange(
            first: first, last: last, place: UInt32(flags.rawValue),
            source: Int32(max(0, paths.count - 1)), line: 0)
        if isIPv6 { v6Networks.append(range) } else { v4Networks.append(range) }
    }

    /// The bytes of the table file.
    package func encode() throws(GeoTableError) -> [UInt8] {
        guard !v4.isEmpty || !v6.isEmpty else {
            throw GeoTableError(
                .nothingToBuild, path: paths.first ?? "",
                text: v4Networks.isEmpty && v6Networks.isEmpty
                    ? "the sources hold no range"
                    : "the sources hold flags of networks and no place; add one that names countries"
            )
        }
        let flatV4 = try overlay(v4Networks, on: flatten(v4, isIPv6: false), isIPv6: false)
        let flatV6 = try overlay(v6Networks, on: flatten(v6, isIPv6: true), isIPv6: true)
        var used = Set<UInt32>([0])
        for range in flatV4 { used.insert(range.place) }
        for range in flatV6 { used.insert(range.place) }
        let order = used.sorted { place(at: $0) < place(at: $1) }
        let largest = max(flatV4.count, flatV6.count)
        guard order.count <= GeoTableFormat.placesMax, largest <= GeoTableFormat.rangesMax else {
            throw GeoTableError(
                .tooLarge, path: paths.first ?? "",
                text: "expected at most \(GeoTableFormat.placesMax) places and "
                    + "\(GeoTableFormat.rangesMax) ranges, found \(order.count) and \(largest)")
        }
        var renumbered: [UInt32: UInt16] = [:]
        for (index, old) in order.enumerated() { renumbered[old] = UInt16(index) }
        let image = GeoTableImage(
            v4: flatV4.map { (UInt32($0.first), renumbered[$0.place, default: 0]) },
            v6: flatV6.map { ($0.first, renumbered[$0.place, default: 0]) },
            places: order.map(place(at:)),
            sources: sources.sorted { ($0.name, $0.digest) < ($1.name, $1.digest) })
        return image.encode()
    }

    /// Writes the table to `path`: wholly, or not at all.
    package func write(to path: String) throws(GeoTableError) {
        let bytes = try encode()
        do throws(LinuxError) {
            // The table holds no personal data, and collectors may run as another user.
            try File.write(path, bytes, mode: 0o644)
        } catch {
            throw GeoTableError(error, path: path)
        }
    }

    /// Start and provisional place of one range of a whole address space; after ``overlay(_:on:isIPv6:)`` the flags stand
    /// in the upper bits.
    private struct FlatRange {
        let first: UInt128
        let place: UInt32
    }

    private static let flagsShift: UInt32 = 24

    /// The place that a flat range's number stands for.
    private func place(at number: UInt32) -> PackedPlace {
        packed[Int(number & (1 << Self.flagsShift - 1))]
            .adding(NetworkFlags(rawValue: UInt8(number >> Self.flagsShift)))
    }

    /// Lays the flags of networks over the places of one family.
    ///
    /// They hold in special blocks too, since they are no places; but not in the blocks that embed IPv4 addresses, which
    /// have those of the address inside.
    private func overlay(
        _ networks: [SourceRange], on places: [FlatRange], isIPv6: Bool
    ) throws(GeoTableError) -> [FlatRange] {
        if networks.isEmpty { return places }
        precondition(packed.count < 1 << Self.flagsShift, "places leave room for flags")
        var flags: [FlatRange] = [FlatRange(first: 0, place: 0)]
        func set(_ first: UInt128, _ value: UInt32) {
            if flags.last?.first == first { flags.removeLast() }
            if flags.last?.place != value { flags.append(FlatRange(first: first, place: value)) }
        }
        let end: UInt128 = isIPv6 ? .max : UInt128(UInt32.max)
        let embedding = isIPv6 ? EmbeddedIPv4.blocks : []
        for network in try disjoint(sorted(networks), of: Self.flagWords) {
            var first = network.first
            for block in embedding where first <= network.last {
                guard block.first <= network.last, block.last >= first else { continue }
                if first < block.first {
                    set(first, network.place)
                    set(block.first, 0)
                }
                // No block reaches the last address.
                first = block.last + 1
            }
            guard first <= network.last else { continue }
            set(first, network.place)
            if network.last < end { set(network.last + 1, 0) }
        }
        var result: [FlatRange] = []
        result.reserveCapacity(places.count + flags.count)
        var place = 0
        var flag = 0
        while place < places.count, flag < flags.count {
            let first = max(places[place].first, flags[flag].first)
            let number = places[place].place | flags[flag].place << Self.flagsShift
            if result.last?.place != number {
                result.append(FlatRange(first: first, place: number))
            }
            let nextPlace = place + 1 < places.count ? places[place + 1].first : nil
            let nextFlag = flag + 1 < flags.count ? flags[flag + 1].first : nil
            switch (nextPlace, nextFlag) {
            case (let left?, let right?):
                if left <= right { place += 1 }
                if right <= left { flag += 1 }
            case (nil, _?): flag += 1
            default: place += 1
            }
        }
        return result
    }

    private static func flagWords(_ range: SourceRange) -> String {
        NetworkFlags(rawValue: UInt8(truncatingIfNeeded: range.place)).words.joined(separator: ", ")
    }

    private func placeCode(_ range: SourceRange) -> String {
        let place = packed[Int(range.place)].place
        return place?.subdivision ?? place?.country ?? "unknown"
    }

    /// Turns the ranges of one family into ranges that cover its whole space.
    private func flatten(
        _ ranges: [SourceRange], isIPv6: Bool
    ) throws(GeoTableError) -> [FlatRange] {
        let end: UInt128 = isIPv6 ? .max : UInt128(UInt32.max)
        let special = SpecialBlock.spans(isIPv6: isIPv6)
        var flat: [FlatRange] = []
        flat.reserveCapacity(ranges.count)
        /// First address that no range covers yet; nil once the last address is covered.
        var uncovered: UInt128? = 0
        var nextSpecial = 0
        func emit(_ first: UInt128, _ place: UInt32) {
            if let last = flat.last, last.place == place { return }
            flat.append(FlatRange(first: first, place: place))
        }
        func cover(_ first: UInt128, _ last: UInt128, _ place: UInt32) {
            guard let start = uncovered else { return }
            if first > start { emit(start, 0) }
            emit(first, place)
            uncovered = last == end ? nil : last + 1
        }
        for range in try disjoint(sorted(ranges), of: placeCode) {
            var first = range.first
            while nextSpecial < special.count, special[nextSpecial].last < first {
                nextSpecial += 1
            }
            var current = nextSpecial
            var isCut = false
            while current < special.count, special[current].first <= range.last {
                if first < special[current].first {
                    cover(first, special[current].first - 1, range.place)
                }
                if special[current].last >= range.last {
                    isCut = true
                    break
                }
                first = special[current].last + 1
                current += 1
            }
            if !isCut { cover(first, range.last, range.place) }
        }
        if let uncovered { emit(uncovered, 0) }
        return flat
    }

    private func sorted(_ ranges: [SourceRange]) -> [SourceRange] {
        // Real lists come sorted, and sorting 400,000 ranges that are in order already costs more than looking.
        for index in ranges.indices.dropFirst() where ranges[index - 1].first > ranges[index].first
        {
            return ranges.sorted { ($0.first, $0.last, $0.line) < ($1.first, $1.last, $1.line) }
        }
        return ranges
    }

    /// Cuts overlaps of ranges that agree, and throws at the first of two that do not; `text` says what a range has.
    private func disjoint(
        _ ranges: [SourceRange], of text: (SourceRange) -> String
    ) throws(GeoTableError) -> [SourceRange] {
        var result: [SourceRange] = []
        result.reserveCapacity(ranges.count)
        for var range in ranges {
            if let previous = result.last, range.first <= previous.last {
                guard previous.place == range.place else {
                    throw contradiction(previous, range, text)
                }
                if range.last <= previous.last { continue }
                range.first = previous.last + 1
            }
            result.append(range)
        }
        return result
    }

    private func contradiction(
        _ left: SourceRange, _ right: SourceRange, _ text: (SourceRange) -> String
    ) -> GeoTableError {
        func name(_ range: SourceRange) -> String {
            let path = paths.indices.contains(Int(range.source)) ? paths[Int(range.source)] : ""
            return range.line > 0 ? "\(path):\(range.line)" : path
        }
        let path = paths.indices.contains(Int(right.source)) ? paths[Int(right.source)] : ""
        return GeoTableError(
            .contradiction, path: path, line: right.line > 0 ? Int(right.line) : nil,
            text: "the range overlaps that of \(name(left)) and says something else: "
                + "\(text(right)), not \(text(left))")
    }
}

/// A range as a source gives it.
struct SourceRange: Sendable {
    var first: UInt128
    let last: UInt128
    /// Provisional index of the place.
    let place: UInt32
    let source: Int32
    /// Line of the source, 0 where it has none.
    let line: Int32
}

/// What a source says of itself.
struct SourceDescription {
    var date: String?
    var note = ""
    /// Ranges or networks, where they are not those that were added.
    var rangeCount: Int?
}
