import Bytes
import CLinux
import LinuxIO

/// The arrays of a mapped table, verified.
///
/// Unchecked pointers, because the bounds checks and the indirection of arrays doubled the time of a lookup.
/// SAFETY: the pointers lead into `file`, which lives as long as this object. `verify()` has shown that the
/// indexes ascend, end at the last range, and that every place is below the count of places; so each search stays
/// within the arrays.
@safe final class GeoArrays: @unchecked Sendable {
    // The memory is mapped read-only and never written, so threads may share it.
    private let file: MappedFile
    let v4Count: Int
    let v6Count: Int
    private let v4Index: UnsafePointer<UInt32>
    private let v4Starts: UnsafePointer<UInt32>
    private let v4Places: UnsafePointer<UInt16>
    private let v6Index: UnsafePointer<UInt32>
    private let v6Dense: UnsafePointer<UInt16>
    private let v6Second: UnsafePointer<UInt32>
    private let v6Highs: UnsafePointer<UInt64>
    private let v6Lows: UnsafePointer<UInt64>
    private let v6Places: UnsafePointer<UInt16>
    private let secondLevels: Int
    private let placesSection: UnsafeRawBufferPointer
    private let sourcesSection: UnsafeRawBufferPointer
    let digest: [UInt8]

    var byteCount: Int { file.count }

    init(file: consuming MappedFile, path: String) throws(GeoTableError) {
        typealias Format = GeoTableFormat
        let bytes = unsafe file.unsafeBytes
        try unsafe Self.checkHeader(bytes, path: path)
        digest = unsafe Array(bytes[Format.digestOffset..<Format.digestedOffset])
        guard file.digest(from: Format.digestedOffset) == digest else {
            throw GeoTableError(
                .digestMismatch, path: path,
                text: "the geo table is damaged: its content does not have the digest in its header"
            )
        }
        var sections: [UnsafeRawBufferPointer] = unsafe []
        var end = Format.headerBytes
        for section in Format.Section.allCases {
            let entry = Format.sectionListOffset + section.rawValue * 16
            let offset = unsafe UInt64(
                littleEndian: bytes.load(fromByteOffset: entry, as: UInt64.self))
            let count = unsafe UInt64(
                littleEndian: bytes.load(fromByteOffset: entry + 8, as: UInt64.self))
            guard offset % UInt64(Format.alignment) == 0, offset >= UInt64(end),
                offset <= UInt64(bytes.count),
                count <= (UInt64(bytes.count) - offset) / UInt64(section.elementBytes)
            else { throw Self.malformed("section \(section) does not lie in the file", path) }
            let length = Int(count) * section.elementBytes
            unsafe sections.append(
                UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset) + length]))
            end = Int(offset) + length
        }
        func count(_ section: Format.Section) -> Int {
            unsafe sections[section.rawValue].count / section.elementBytes
        }
        func pointer<Element>(_ section: Format.Section, _: Element.Type) -> UnsafePointer<Element>
        {
            // An empty section has no address; it is never read, so the start of the file may stand for it.
            return unsafe (sections[section.rawValue].baseAddress ?? bytes.baseAddress!)
                .assumingMemoryBound(to: Element.self)
        }
        guard count(.v4Index) == Format.firstLevelCount, count(.v6Index) == Format.firstLevelCount,
            count(.v6Dense) == Format.firstLevelCount - 1,
            count(.v6Second) % Format.secondLevelCount == 0,
            (1...Format.rangesMax).contains(count(.v4Starts)),
            count(.v4Places) == count(.v4Starts),
            (1...Format.rangesMax).contains(count(.v6Highs)),
            count(.v6Lows) == count(.v6Highs), count(.v6Places) == count(.v6Highs),
            (1...Format.placesMax).contains(count(.places))
        else { throw Self.malformed("the sections do not fit together", path) }
        v4Count = count(.v4Starts)
        v6Count = count(.v6Highs)
        secondLevels = count(.v6Second) / Format.secondLevelCount
        unsafe v4Index = pointer(.v4Index, UInt32.self)
        unsafe v4Starts = pointer(.v4Starts, UInt32.self)
        unsafe v4Places = pointer(.v4Places, UInt16.self)
        unsafe v6Index = pointer(.v6Index, UInt32.self)
        unsafe v6Dense = pointer(.v6Dense, UInt16.self)
        unsafe v6Second = pointer(.v6Second, UInt32.self)
        unsafe v6Highs = pointer(.v6Highs, UInt64.self)
        unsafe v6Lows = pointer(.v6Lows, UInt64.self)
        unsafe v6Places = pointer(.v6Places, UInt16.self)
        unsafe placesSection = sections[Format.Section.places.rawValue]
        unsafe sourcesSection = sections[Format.Section.sources.rawValue]
        self.file = file
        try verify(path: path)
    }

    private static func malformed(_ what: String, _ path: String) -> GeoTableError {
        GeoTableError(.malformedTable, path: path, text: "not a valid geo table: \(what)")
    }

    private static func checkHeader(
        _ bytes: UnsafeRawBufferPointer, path: String
    ) throws(GeoTableError) {
        typealias Format = GeoTableFormat
        guard bytes.count >= 16, unsafe bytes.prefix(8).elementsEqual(Format.magic) else {
            throw GeoTableError(
                .foreignFile, path: path,
                text: "not a geo table; `cordon geo build` makes one")
        }
        let version = unsafe UInt32(littleEndian: bytes.load(fromByteOffset: 8, as: UInt32.self))
        guard version == Format.version else {
            throw GeoTableError(
                .unsupportedVersion, path: path,
                text: "expected version \(Format.version) of the geo table format, found \(version)"
            )
        }
        guard bytes.count >= Format.headerBytes else {
            throw GeoTableError(
                .wrongLength, path: path, text: "the geo table ends within its header")
        }
        let header = unsafe UInt32(littleEndian: bytes.load(fromByteOffset: 12, as: UInt32.self))
        guard header == UInt32(Format.headerBytes) else {
            throw malformed("expected a header of \(Format.headerBytes) bytes", path)
        }
        let length = unsafe UInt64(littleEndian: bytes.load(fromByteOffset: 48, as: UInt64.self))
        guard length == UInt64(bytes.count) else {
            throw GeoTableError(
                .wrongLength, path: path,
                text: "the header states \(length) bytes, the file has \(bytes.count)")
        }
    }
}

// Lookup.
extension GeoArrays {
    /// So many ranges lie in one or two lines of the processor's cache, where nothing is gained by looking ahead.
    private static let fewRanges = 12

    @inline(__always)
    func place(of address: IPAddress) -> Int {
        if address.isIPv6 {
            if let inner = EmbeddedIPv4.inner(of: address.value) {
                return unsafe Int(v4Places[v4Position(of: inner)])
            }
            return unsafe Int(v6Places[v6Position(of: address.value)])
        }
        let value = UInt32(truncatingIfNeeded: address.value)
        return unsafe Int(v4Places[v4Position(of: value)])
    }

    /// Asks for the memory that a step of a later ``place(of:)`` reads.
    @inline(__always)
    func fetch(_ step: LookupStep, for address: IPAddress) {
        if address.isIPv6 {
            if let inner = EmbeddedIPv4.inner(of: address.value) { return fetchV4(step, inner) }
            fetchV6(step, UInt64(truncatingIfNeeded: address.value >> 64))
        } else {
            fetchV4(step, UInt32(truncatingIfNeeded: address.value))
        }
    }

    @inline(__always)
    private func fetchV4(_ step: LookupStep, _ value: UInt32) {
        let group = Int(value >> 16)
        switch step {
        case .index: unsafe clinux_prefetch(v4Index + group)
        case .deeperIndex:
            let position = unsafe Int(v4Index[group])
            unsafe fetchProbes(v4Starts, v4Places, position, Int(v4Index[group &+ 1]))
        case .ranges: break
        }
    }

    @inline(__always)
    private func fetchV6(_ step: LookupStep, _ high: UInt64) {
        let group = Int(high >> 48)
        if case .index = step {
            unsafe clinux_prefetch(v6Dense + group)
            unsafe clinux_prefetch(v6Index + group)
            return
        }
        let dense = unsafe Int(v6Dense[group])
        if dense == 0 {
            if case .ranges = step { return }
            let first = unsafe Int(v6Index[group])
            return unsafe fetchProbes(v6Highs, v6Places, first, Int(v6Index[group &+ 1]))
        }
        let entry = Self.entry(dense, high)
        guard case .ranges = step else { return unsafe clinux_prefetch(v6Second + entry) }
        unsafe fetchProbes(
            v6Highs, v6Places, Int(v6Second[entry]), Int(v6Second[entry &+ 1]))
    }

    /// Asks for what ``lastStart(_:_:_:_:)`` looks at first, and for the places around.
    @inline(__always)
    private func fetchProbes<Start>(
        _ starts: UnsafePointer<Start>, _ places: UnsafePointer<UInt16>, _ first: Int, _ last: Int
    ) {
        // INVARIANT: `first` and `last` are positions of ranges, so all between them are.
        let half = (last &- first) >> 1
        unsafe clinux_prefetch(starts + (first &+ half))
        unsafe clinux_prefetch(places + (first &+ half))
        if half > Self.fewRanges {
            unsafe clinux_prefetch(starts + (first &+ half >> 1))
            unsafe clinux_prefetch(starts + (first &+ half &+ half >> 1))
        }
    }

    /// Where a second-level index has the entry of an upper half.
    @inline(__always)
    private static func entry(_ dense: Int, _ high: UInt64) -> Int {
        let shift = UInt64(48 - GeoTableFormat.secondLevelBits)
        let mask = UInt64(1 << GeoTableFormat.secondLevelBits) - 1
        return (dense &- 1) &* GeoTableFormat.secondLevelCount &+ Int(high >> shift & mask)
    }

    /// Position of the range that contains `value`: the last that starts at or before it.
    @inline(__always)
    func v4Position(of value: UInt32) -> Int {
        let group = Int(value >> 16)
        let position = unsafe Int(v4Index[group])
        let count = unsafe Int(v4Index[group &+ 1]) &- position &+ 1
        return unsafe Self.lastStart(v4Starts, position, count, value)
    }

    /// The last of the `count` starts from `position` on that is not above `value`.
    ///
    /// Three comparisons a step, because under load the table is not in the processor's near caches: their loads wait for
    /// memory together, while those of a search by halves wait one after the other.
    @inline(__always)
    private static func lastStart<Start: FixedWidthInteger>(
        _ starts: UnsafePointer<Start>, _ position: Int, _ count: Int, _ value: Start
    ) -> Int {
        // INVARIANT: the start sought is one of the `count` from `position` on; wrapping cannot occur in
        // numbers below `rangesMax`.
        var position = position
        var count = count
        while count > fewRanges {
            let quarter = count >> 2
            let middle = position &+ quarter &+ quarter
            let first = unsafe starts[position &+ quarter] <= value
            let second = unsafe starts[middle] <= value
            let third = unsafe starts[middle &+ quarter] <= value
            let steps = (first ? 1 : 0) &+ (second ? 1 : 0) &+ (third ? 1 : 0)
            position &+= steps &* quarter
            count = third ? count &- 3 &* quarter : quarter
        }
        while count > 1 {
            let half = count >> 1
            if unsafe starts[position &+ half] <= value { position &+= half }
            count &-= half
        }
        return position
    }

    @inline(__always)
    func v6Position(of value: UInt128) -> Int {
        let high = UInt64(truncatingIfNeeded: value >> 64)
        let group = Int(high >> 48)
        let first: Int
        let count: Int
        let dense = unsafe Int(v6Dense[group])
        if dense == 0 {
            first = unsafe Int(v6Index[group])
            count = unsafe Int(v6Index[group &+ 1]) &- first &+ 1
        } else {
            let entry = Self.entry(dense, high)
            first = unsafe Int(v6Second[entry])
            count = unsafe Int(v6Second[entry &+ 1]) &- first &+ 1
        }
        // Upper halves alone, because a loop with one comparison runs without jumps that the processor would guess.
        let position = unsafe Self.lastStart(v6Highs, first, count, high)
        let low = UInt64(truncatingIfNeeded: value)
        if unsafe v6Highs[position] == high, unsafe v6Lows[position] > low {
            return v6Position(of: value, from: first, through: first &+ count &- 1)
        }
        return position
    }

    /// The search by whole addresses, for the few /64 in which a range starts.
    @inline(never)
    private func v6Position(of value: UInt128, from first: Int, through last: Int) -> Int {
        var position = first
        var count = last - first + 1
        while count > 1 {
            let half = count >> 1
            if v6Start(position + half) <= value { position += half }
            count -= half
        }
        return position
    }

    /// The range at `position` as numbers.
    func v4Range(at position: Int) -> (first: UInt128, last: UInt128, place: Int) {
        let first = unsafe v4Starts[position]
        let last = position + 1 < v4Count ? unsafe v4Starts[position + 1] - 1 : .max
        return unsafe (UInt128(first), UInt128(last), Int(v4Places[position]))
    }

    func v6Range(at position: Int) -> (first: UInt128, last: UInt128, place: Int) {
        let last = position + 1 < v6Count ? v6Start(position + 1) - 1 : .max
        return unsafe (v6Start(position), last, Int(v6Places[position]))
    }

    private func v6Start(_ position: Int) -> UInt128 {
        unsafe UInt128(v6Highs[position]) << 64 | UInt128(v6Lows[position])
    }
}

// Verification, once, at opening.
extension GeoArrays {
    /// Throws unless the arrays are what the encoder makes of some list of ranges.
    private func verify(path: String) throws(GeoTableError) {
        let placeCount = unsafe placesSection.count / 8
        guard unsafe v4Starts[0] == 0, v6Start(0) == 0 else {
            throw Self.malformed("the first range does not start at the first address", path)
        }
        for position in 0..<v4Count {
            guard unsafe position == 0 || v4Starts[position - 1] < v4Starts[position],
                unsafe Int(v4Places[position]) < placeCount
            else { throw Self.malformed("IPv4 range \(position) is out of order", path) }
        }
        for position in 0..<v6Count {
            guard position == 0 || v6Start(position - 1) < v6Start(position),
                unsafe Int(v6Places[position]) < placeCount
            else { throw Self.malformed("IPv6 range \(position) is out of order", path) }
        }
        var v4Fits = true
        var v6Fits = true
        for group in 0..<GeoTableFormat.firstLevelCount {
            v4Fits = unsafe v4Fits && isLastV4(Int(v4Index[group]), atOrBefore: UInt64(group) << 16)
            v6Fits =
                unsafe v6Fits
                && isLastV6(
                    Int(v6Index[group]), atOrBefore: UInt128(group) << 112,
                    overflow: group >> 16 == 1)
        }
        guard v4Fits, v6Fits else { throw Self.malformed("an index does not fit its ranges", path) }
        for block in EmbeddedIPv4.blocks {
            guard holdsInOneRange(block) else {
                throw Self.malformed(
                    "a block that embeds IPv4 addresses has places of its own", path)
            }
        }
        for group in 0..<GeoTableFormat.firstLevelCount - 1 {
            let dense = unsafe Int(v6Dense[group])
            guard dense <= secondLevels else {
                throw Self.malformed("a second-level index is missing", path)
            }
            guard dense > 0 else { continue }
            for slot in 0..<GeoTableFormat.secondLevelCount {
                let position = unsafe Int(
                    v6Second[(dense - 1) * GeoTableFormat.secondLevelCount + slot])
                let shift = UInt128(112 - GeoTableFormat.secondLevelBits)
                let (start, overflow) = (UInt128(group) << 112).addingReportingOverflow(
                    UInt128(slot) << shift)
                guard isLastV6(position, atOrBefore: start, overflow: overflow) else {
                    throw Self.malformed("a second-level index does not fit its ranges", path)
                }
            }
        }
    }

    /// Whether one unknown range holds all of `block`, looked for without the indexes.
    private func holdsInOneRange(_ block: EmbeddedIPv4.Block) -> Bool {
        var low = 0
        var high = v6Count
        while high - low > 1 {
            let middle = (low + high) / 2
            if v6Start(middle) <= block.first { low = middle } else { high = middle }
        }
        let range = v6Range(at: low)
        return range.place == 0 && range.last >= block.last
    }

    /// Whether `position` is that of the last range that starts at or before `value`, which may be one past the end.
    private func isLastV4(_ position: Int, atOrBefore value: UInt64) -> Bool {
        guard position < v4Count, unsafe UInt64(v4Starts[position]) <= value else { return false }
        return unsafe position + 1 == v4Count || UInt64(v4Starts[position + 1]) > value
    }

    private func isLastV6(_ position: Int, atOrBefore value: UInt128, overflow: Bool) -> Bool {
        guard position < v6Count else { return false }
        if overflow { return position + 1 == v6Count }
        return v6Start(position) <= value
            && (position + 1 == v6Count || v6Start(position + 1) > value)
    }

    func readPlaces(path: String) throws(GeoTableError) -> [GeoPlace] {
        var places: [GeoPlace] = []
        var previous: PackedPlace?
        for offset in unsafe stride(from: 0, to: placesSection.count, by: 8) {
            let packed = unsafe PackedPlace(
                bits: UInt64(bigEndian: placesSection.load(fromByteOffset: offset, as: UInt64.self))
            )
            guard let place = packed.place, previous.map({ $0 < packed }) ?? (packed == .unknown)
            else { throw Self.malformed("place \(offset / 8) has no valid codes", path) }
            places.append(place)
            previous = packed
        }
        return places
    }

    func readSources(path: String) throws(GeoTableError) -> [GeoSource] {
        let text = unsafe String(decoding: sourcesSection, as: UTF8.self)
        var sources: [GeoSource] = []
        for line in text.split(separator: "\n") {
            guard let source = GeoSource(line: line) else {
                throw Self.malformed("a source is not described", path)
            }
            sources.append(source)
        }
        return sources
    }
}
