/// A consent string field by field under its specification's names: what `cordon consent decode` prints.
package struct DecodedConsent: Equatable, Sendable {
    package enum Format: String, CaseIterable, Sendable {
        case tcf, gpp
        case usPrivacy = "us_privacy"
        case gcs, gcd
    }

    /// One segment of a section.
    package struct Segment: Equatable, Sendable {
        /// The section's client-side prefix, such as `usca`.
        package var section: String
        /// The section's id in a GPP string; nil elsewhere.
        package var id: Int?
        package var name: String
        package var fields: [Field]
    }

    package struct Field: Equatable, Sendable {
        package var name: String
        package var value: Value
    }

    package enum Value: Equatable, Sendable {
        case integer(Int)
        case flag(Bool)
        case text(String)
        /// Tenths of a second since 1970.
        case date(Int)
        /// Ids that are set.
        case ids([Int])
        /// Values in order.
        case list([Int])
        case restrictions([Restriction])
    }

    package struct Restriction: Equatable, Sendable {
        package var purpose: Int
        package var type: Int
        /// There may be a thousand restrictions in one string, and each may name every vendor, so ids are not written out.
        package var vendors: IDRanges

        package init(purpose: Int, type: Int, vendors: IDRanges) {
            self.purpose = purpose
            self.type = type
            self.vendors = vendors
        }

        package init(purpose: Int, type: Int, vendors: [Int]) {
            self.init(purpose: purpose, type: type, vendors: IDRanges(vendors.map { $0...$0 }))
        }
    }

    /// A set of ids as runs.
    package struct IDRanges: Equatable, Sendable {
        /// Ascending, with a gap between any two.
        package private(set) var ranges: [ClosedRange<Int>] = []

        /// The ids of all of `parts`, which may overlap and stand in any order.
        package init(_ parts: [ClosedRange<Int>]) {
            for part in parts.sorted(by: { $0.lowerBound < $1.lowerBound }) {
                if let last = ranges.last, part.lowerBound <= last.upperBound + 1 {
                    ranges[ranges.count - 1] =
                        last.lowerBound...max(last.upperBound, part.upperBound)
                } else {
                    ranges.append(part)
                }
            }
        }

        package var ids: [Int] { ranges.flatMap { Array($0) } }

        package func contains(_ id: Int) -> Bool { ranges.contains { $0.contains(id) } }

        /// The ids from 1 to `greatest` that are not in the set, which holds no greater ones.
        func complement(upTo greatest: Int) -> [Int] {
            var ids: [Int] = []
            var next = 1
            for range in ranges {
                ids += next..<range.lowerBound
                next = range.upperBound + 1
            }
            if next <= greatest { ids += next...greatest }
            return ids
        }
    }

    package var format: Format
    /// What was read before the fault, if there is one.
    package var segments: [Segment] = []
    package var fault: ConsentFault?

    package var isValid: Bool { fault == nil }
}

/// Reads any consent string by the layouts of ``FieldLayout``, as plainly as possible. It takes its time and its memory, and is
/// what the hot path's ``ConsentScanner`` is held against.
package enum ConsentDecoder {
    /// Reads `text`, telling formats apart by how they begin; nil for what begins like none of them.
    package static func decode(_ text: String) -> DecodedConsent? {
        let units = Array(text.utf8)
        return switch units.first {
        case 0x31 where units.count == 4: decode(text, as: .usPrivacy)
        case 0x31: decode(text, as: .gcd)
        case 0x47: decode(text, as: .gcs)
        case 0x44: decode(text, as: .gpp)
        case 0x42, 0x43: decode(text, as: .tcf)
        default: nil
        }
    }

    package static func decode(_ text: String, as format: DecodedConsent.Format) -> DecodedConsent {
        var reading = Reading(format)
        do throws(ConsentFault) {
            guard text.utf8.count <= ConsentLimits.textBytesMax else {
                throw ConsentFault(.tooLong)
            }
            switch format {
            case .tcf: try reading.tcf(text)
            case .gpp: try reading.gpp(text)
            case .usPrivacy: try reading.usPrivacy(text, id: nil)
            case .gcs, .gcd: try reading.mode(text)
            }
        } catch {
            reading.result.fault = error
        }
        return reading.result
    }

    fileprivate struct Reading {
        var result: DecodedConsent

        init(_ format: DecodedConsent.Format) { result = DecodedConsent(format: format) }
    }
}

extension ConsentDecoder.Reading {
    mutating func tcf(_ text: String) throws(ConsentFault) {
        if text.hasPrefix("B") {
            try segment(text, TCFLayout.legacy, "tcfeuv1", nil)
        } else {
            try europe(text, id: nil)
        }
    }

    mutating func gpp(_ text: String) throws(ConsentFault) {
        let parts = text.split(separator: "~", omittingEmptySubsequences: false).map(String.init)
        try segment(parts[0], GPPSection.header, "gpp", nil)
        guard value("Type") == .integer(3) else { throw ConsentFault(.badValue, "Type") }
        guard value("Version") == .integer(1) else {
            throw ConsentFault(.unknownVersion, "Version")
        }
        guard case .ids(let ids)? = value("Sections") else { return }
        guard ids.count <= ConsentLimits.sectionsMax else {
            throw ConsentFault(.badRange, "Sections")
        }
        guard ids.allSatisfy({ GPPSection.name($0) != nil }) else {
            throw ConsentFault(.unknownSection, "Sections")
        }
        for (id, part) in zip(ids, parts.dropFirst()) { try section(id, part) }
        guard ids.count == parts.count - 1 else { throw ConsentFault(.sectionCount, "Sections") }
    }

    private mutating func section(_ id: Int, _ text: String) throws(ConsentFault) {
        switch id {
        case GPPSection.tcfEU1:
            try segment(text, TCFLayout.legacy, "tcfeuv1", id)
            guard value("Version") == .integer(1) else {
                throw ConsentFault(.unknownVersion, "Version")
            }
        case GPPSection.tcfEU2: try europe(text, id: id)
        case GPPSection.tcfCA1: try canada(text, id: id)
        case GPPSection.usPrivacy: try usPrivacy(text, id: id)
        default: try unitedStates(USLayout.all[id - GPPSection.usFirst], text, id: id)
        }
    }

    private mutating func europe(_ text: String, id: Int?) throws(ConsentFault) {
        let parts = Self.segments(text)
        try segment(parts[0], TCFLayout.core, "tcfeuv2", id)
        guard value("Version") == .integer(2) else {
            throw ConsentFault(.unknownVersion, "Version")
        }
        if value("IsServiceSpecific") == .flag(false), value("PurposeOneTreatment") == .flag(true) {
            throw ConsentFault(.badValue, "PurposeOneTreatment")
        }
        guard case .date(let updated)? = value("LastUpdated") else { return }
        var seen: Set<Int> = []
        for part in parts.dropFirst() {
            let type = try Self.bits(part).integer(3)
            guard (1...3).contains(type) else { throw ConsentFault(.unknownSegment, "SegmentType") }
            guard seen.insert(type).inserted else {
                throw ConsentFault(.repeatedSegment, "SegmentType")
            }
            try segment(part, TCFLayout.optional[type - 1], "tcfeuv2", id)
        }
        if updated >= Int(ConsentLimits.disclosureDemandedSince), !seen.contains(1) {
            throw ConsentFault(.missingSegment)
        }
    }

    private mutating func canada(_ text: String, id: Int) throws(ConsentFault) {
        let parts = Self.segments(text)
        try segment(parts[0], TCFLayout.canada, "tcfcav1", id)
        guard value("Version") == .integer(1) else {
            throw ConsentFault(.unknownVersion, "Version")
        }
        var seen: Set<Int> = []
        for part in parts.dropFirst() {
            let type = try Self.bits(part).integer(3)
            guard type == 1 || type == 3 else {
                throw ConsentFault(.unknownSegment, "SubsectionType")
            }
            guard seen.insert(type).inserted else {
                throw ConsentFault(.repeatedSegment, "SubsectionType")
            }
            let layout = type == 1 ? TCFLayout.canadaDisclosed : TCFLayout.canadaPublisher
            try segment(part, layout, "tcfcav1", id)
        }
    }

    private mutating func unitedStates(
        _ layout: USLayout, _ text: String, id: Int
    ) throws(ConsentFault) {
        var parts = Self.segments(text)
        let name = layout.name.description
        var wantsSecond: Bool?
        if layout.hasHeader, try Self.bits(parts[0]).integer(6) >= GPPSection.firstWithHeader {
            try segment(parts.removeFirst(), USLayout.header, name, id)
            guard value("SectionID") == .integer(id) else {
                throw ConsentFault(.badValue, "SectionID")
            }
            guard value("Version") == .integer(1) else {
                throw ConsentFault(.unknownVersion, "Version")
            }
            guard value("SubSections") == .ids([]) || value("SubSections") == .ids([1]) else {
                throw ConsentFault(.unknownSegment, "SubSections")
            }
            wantsSecond = value("SubSections") == .ids([1])
        }
        guard let first = parts.first else { throw ConsentFault(.sectionCount, "SubSections") }
        try segment(first, try Self.core(layout, first), name, id)
        guard parts.count <= 2, parts.count == 1 || layout.second != nil else {
            throw ConsentFault(.unknownSegment)
        }
        if let wantsSecond, wantsSecond != (parts.count == 2) {
            throw ConsentFault(.sectionCount, "SubSections")
        }
        if parts.count == 2, let second = layout.second {
            try segment(parts[1], second, name, id)
            if let type = value("SubsectionType"), type != .integer(1) {
                throw ConsentFault(.unknownSegment)
            }
        }
    }

    /// The core layout of the version that the segment says it has.
    private static func core(_ layout: USLayout, _ text: String) throws(ConsentFault)
        -> SegmentLayout
    {
        if layout.hasHeader { return layout.core }
        let bits = try bits(text)
        let version = try bits.integer(6)
        guard (1...layout.versionMax).contains(version) else {
            throw ConsentFault(.unknownVersion, "Version")
        }
        if let before = layout.coreBefore, version == 1, bits.count < layout.core.fixedBits {
            return before
        }
        return layout.core
    }

    mutating func usPrivacy(_ text: String, id: Int?) throws(ConsentFault) {
        let units = Array(text.utf8)
        guard units.allSatisfy(BitList.isCharacter) else { throw ConsentFault(.badCharacter) }
        guard units.count == 4 else { throw ConsentFault(.badValue) }
        guard units[0] == 0x31 else { throw ConsentFault(.unknownVersion, "Version") }
        var fields = [DecodedConsent.Field(name: "Version", value: .integer(1))]
        for (name, unit) in zip(
            ["Notice", "OptOutSale", "LSPACovered"] as [StaticString], units[1...])
        {
            guard "YyNn-".utf8.contains(unit) else { throw ConsentFault(.badValue, name) }
            let word = String(UnicodeScalar(unit)).uppercased()
            fields.append(.init(name: name.description, value: .text(word)))
        }
        result.segments.append(.init(section: "uspv1", id: id, name: "core", fields: fields))
    }

    mutating func mode(_ text: String) throws(ConsentFault) {
        let units = Array(text.utf8)
        let isStatus = result.format == .gcs
        let extract =
            isStatus
            ? try ConsentMode.gcs(units.span, 0..<units.count, form: .cookie)
            : try ConsentMode.gcd(units.span, 0..<units.count, form: .cookie)
        let fields = ModeSignals.names.prefix(isStatus ? 2 : 4).enumerated().map { place, name in
            let bit: UInt8 = 1 << UInt8(place)
            let word =
                extract.modeGranted & bit != 0
                ? "granted" : extract.modeDenied & bit != 0 ? "denied" : "unset"
            return DecodedConsent.Field(name: name, value: .text(word))
        }
        result.segments.append(
            .init(section: result.format.rawValue, id: nil, name: "core", fields: fields))
    }
}

// MARK: reading by layout

extension ConsentDecoder.Reading {
    private static func segments(_ text: String) -> [String] {
        text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    }

    private static func bits(_ text: String) throws(ConsentFault) -> BitList { try BitList(text) }

    /// The value of a field of the segment read last.
    private func value(_ name: String) -> DecodedConsent.Value? {
        result.segments.last?.fields.first { $0.name == name }?.value
    }

    /// Reads one segment whole; its fields stand in the result as far as they could be read.
    private mutating func segment(
        _ text: String, _ layout: SegmentLayout, _ section: String, _ id: Int?
    ) throws(ConsentFault) {
        var bits = try Self.bits(text)
        result.segments.append(
            .init(section: section, id: id, name: layout.name.description, fields: []))
        for field in layout.fields {
            do throws(ConsentFault) {
                let value = try read(field.kind, &bits)
                result.segments[result.segments.count - 1].fields.append(
                    .init(name: field.name.description, value: value))
            } catch {
                throw error.field.utf8CodeUnitCount == 0
                    ? ConsentFault(error.code, field.name) : error
            }
        }
        if case .date(let created)? = value("Created"),
            case .date(let updated)? = value("LastUpdated"),
            updated < created
        {
            throw ConsentFault(.datesReversed, "LastUpdated")
        }
        try bits.finish()
    }

    private func read(
        _ kind: FieldLayout.Kind, _ bits: inout BitList
    ) throws(ConsentFault) -> DecodedConsent.Value {
        switch kind {
        case .integer(let width): return .integer(try bits.take(width))
        case .date: return .date(try bits.take(36))
        case .flag: return .flag(try bits.take(1) == 1)
        case .bits(let count): return .ids(try bits.ids(count))
        case .letters:
            var text = ""
            for _ in 0..<2 {
                let letter = try bits.take(6)
                guard letter < 26 else { throw ConsentFault(.badValue) }
                text.unicodeScalars.append(UnicodeScalar(UInt8(0x41 + letter)))
            }
            return .text(text)
        case .countedBits:
            guard case .integer(let count)? = value("NumCustomPurposes") else { return .ids([]) }
            return .ids(try bits.ids(count))
        case .pairs(let count):
            var values: [Int] = []
            for _ in 0..<count {
                let value = try bits.take(2)
                guard value < 3 else { throw ConsentFault(.badValue) }
                values.append(value)
            }
            return count == 1 ? .integer(values[0]) : .list(values)
        case .vendors:
            let greatest = try bits.take(16)
            guard try bits.take(1) == 1 else { return .ids(try bits.ids(greatest)) }
            return .ids(try bits.ranges(upTo: greatest).ids)
        case .legacyVendors:
            let greatest = try bits.take(16)
            guard try bits.take(1) == 1 else { return .ids(try bits.ids(greatest)) }
            let isDefault = try bits.take(1) == 1
            let exceptions = try bits.ranges(upTo: greatest)
            return .ids(isDefault ? exceptions.complement(upTo: greatest) : exceptions.ids)
        case .fibonacciRange: return .ids(try bits.fibonacciRanges())
        case .restrictions:
            var restrictions: [DecodedConsent.Restriction] = []
            for _ in 0..<(try bits.take(12)) {
                let purpose = try bits.take(6)
                guard (1...24).contains(purpose) else { throw ConsentFault(.badValue, "PurposeId") }
                let type = try bits.take(2)
                guard type < 3 else { throw ConsentFault(.badValue, "RestrictionType") }
                let vendors = try bits.ranges(upTo: .max)
                restrictions.append(.init(purpose: purpose, type: type, vendors: vendors))
            }
            return .restrictions(restrictions)
        }
    }
}

/// A segment's bits, one a byte.
struct BitList {
    private let bits: [UInt8]
    private var position = 0

    var count: Int { bits.count }

    init(_ text: String) throws(ConsentFault) {
        var bits: [UInt8] = []
        for unit in text.utf8 {
            guard let value = Self.alphabet.firstIndex(of: unit) else {
                // A delimiter here belongs to a form that has none at this place.
                throw ConsentFault(unit == 0x2E || unit == 0x7E ? .wrongDelimiter : .badCharacter)
            }
            for shift in stride(from: 5, through: 0, by: -1) {
                bits.append(UInt8(value >> shift & 1))
            }
        }
        guard !bits.isEmpty else { throw ConsentFault(.emptySegment) }
        self.bits = bits
    }

    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    static func isCharacter(_ unit: UInt8) -> Bool { alphabet.contains(unit) }

    mutating func take(_ width: Int) throws(ConsentFault) -> Int {
        guard width <= bits.count - position else { throw ConsentFault(.truncated) }
        defer { position += width }
        return bits[position..<position + width].reduce(0) { $0 << 1 | Int($1) }
    }

    /// The first `width` bits.
    func integer(_ width: Int) throws(ConsentFault) -> Int {
        var copy = self
        copy.position = 0
        return try copy.take(width)
    }

    mutating func ids(_ count: Int) throws(ConsentFault) -> [Int] {
        guard count <= bits.count - position else { throw ConsentFault(.truncated) }
        defer { position += count }
        return (0..<count).filter { bits[position + $0] == 1 }.map { $0 + 1 }
    }

    mutating func ranges(upTo greatest: Int) throws(ConsentFault) -> DecodedConsent.IDRanges {
        var parts: [ClosedRange<Int>] = []
        for _ in 0..<(try take(12)) {
            let isGroup = try take(1) == 1
            let start = try take(16)
            let end = isGroup ? try take(16) : start
            guard start >= 1, start <= end, end <= greatest else { throw ConsentFault(.badRange) }
            parts.append(start...end)
        }
        return DecodedConsent.IDRanges(parts)
    }

    mutating func fibonacci() throws(ConsentFault) -> Int {
        var numbers = [1, 2]
        var sum = 0
        var before = 0
        for index in 0... {
            let bit = try take(1)
            if bit == 1, before == 1 { return sum }
            if index >= numbers.count { numbers.append(numbers[index - 1] + numbers[index - 2]) }
            sum += bit * numbers[index]
            before = bit
            guard numbers[index] < SegmentReader.fibonacciMax else { throw ConsentFault(.badRange) }
        }
        throw ConsentFault(.truncated)
    }

    mutating func fibonacciRanges() throws(ConsentFault) -> [Int] {
        var ids: [Int] = []
        var last = 0
        for _ in 0..<(try take(12)) {
            let isGroup = try take(1) == 1
            let start = last + (try fibonacci())
            last = isGroup ? start + (try fibonacci()) : start
            guard last < SegmentReader.fibonacciMax else { throw ConsentFault(.badRange) }
            ids += start...last
        }
        return ids
    }

    func finish() throws(ConsentFault) {
        let rest = bits[position...]
        guard rest.count <= ConsentLimits.paddingBitsMax, !rest.contains(1) else {
            throw ConsentFault(.trailingBits)
        }
    }
}
