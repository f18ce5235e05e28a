/// Reads a consent string for what policy can ask, and holds everything else in it to its specification: the hot path's
/// half of the decoder. ``ConsentDecoder`` is the other half; a test holds them to the same verdict on every string.
struct ConsentScanner {
    private var reader = SegmentReader()
    /// Vendor ids that policies ask about.
    private let vendors: [UInt16]

    init(vendors: [UInt16]) {
        precondition(
            vendors.count <= ConsentLimits.vendorsMax, "no more vendors than there are bits")
        self.vendors = vendors
    }

    private typealias Fault = ConsentFault

    /// The TC string in `range` of `bytes`, a query's or cookie's value.
    mutating func tcf(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(ConsentFault)
        -> ConsentExtract
    {
        guard range.count <= ConsentLimits.textBytesMax else { throw Fault(.tooLong) }
        var cursor = SegmentReader.Cursor(range)
        let delimiter = try reader.load(&cursor, bytes)
        var extract = ConsentExtract()
        if try reader.take(6) == 1 {
            guard delimiter == .end else { throw Fault(.wrongDelimiter) }
            try legacy()
            return extract
        }
        extract.standing = .understood
        guard try europe(&cursor, bytes, delimiter, &extract.tcf) == .end else {
            throw Fault(.wrongDelimiter)
        }
        return extract
    }

    /// The GPP string in `range` of `bytes`.
    mutating func gpp(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(ConsentFault)
        -> ConsentExtract
    {
        guard range.count <= ConsentLimits.textBytesMax else { throw Fault(.tooLong) }
        var cursor = SegmentReader.Cursor(range)
        var delimiter = try reader.load(&cursor, bytes)
        guard try reader.take(6) == 3 else { throw Fault(.badValue, "Type") }
        guard try reader.take(6) == 1 else { throw Fault(.unknownVersion, "Version") }
        let ids = try sectionIDs()
        try reader.finish()
        guard delimiter != .dot else { throw Fault(.wrongDelimiter) }
        var extract = ConsentExtract()
        for place in 0..<ids.count {
            guard delimiter == .tilde else { throw Fault(.sectionCount, "Sections") }
            let id = Int(ids.values[place])
            delimiter = try section(id, &cursor, bytes, &extract)
            extract.sections |= 1 << UInt32(id)
        }
        guard delimiter == .end else { throw Fault(.sectionCount, "Sections") }
        return extract
    }

    /// The string of the parameter `us_privacy` in `range` of `bytes`.
    mutating func usPrivacy(
        _ bytes: Span<UInt8>, _ range: Range<Int>
    ) throws(ConsentFault) -> ConsentExtract {
        guard range.count <= ConsentLimits.textBytesMax else { throw Fault(.tooLong) }
        var cursor = SegmentReader.Cursor(range)
        var extract = ConsentExtract()
        let delimiter = try reader.load(&cursor, bytes)
        try usPrivacy(&extract)
        guard delimiter == .end else { throw Fault(.wrongDelimiter) }
        return extract
    }
}

// MARK: sections

extension ConsentScanner {
    private struct SectionIDs {
        var values = InlineArray<32, UInt8>(repeating: 0)
        var count = 0

        mutating func append(_ id: Int) throws(ConsentFault) {
            guard count < ConsentLimits.sectionsMax else {
                throw ConsentFault(.badRange, "Sections")
            }
            guard GPPSection.name(id) != nil else {
                throw ConsentFault(.unknownSection, "Sections")
            }
            values[count] = UInt8(id)
            count += 1
        }
    }

    private mutating func sectionIDs() throws(ConsentFault) -> SectionIDs {
        var ids = SectionIDs()
        var last = 0
        for _ in 0..<Int(try reader.take(12)) {
            let isGroup = try reader.flag()
            last += try reader.fibonacci()
            try ids.append(last)
            guard isGroup else { continue }
            for _ in 0..<(try reader.fibonacci()) {
                last += 1
                try ids.append(last)
            }
        }
        return ids
    }

    private mutating func section(
        _ id: Int, _ cursor: inout SegmentReader.Cursor, _ bytes: Span<UInt8>,
        _ extract: inout ConsentExtract
    ) throws(ConsentFault) -> SegmentReader.Delimiter {
        let delimiter = try reader.load(&cursor, bytes)
        switch id {
        case GPPSection.tcfEU1:
            guard try reader.take(6) == 1 else { throw Fault(.unknownVersion, "Version") }
            guard delimiter != .dot else { throw Fault(.wrongDelimiter) }
            try legacy()
            return delimiter
        case GPPSection.tcfEU2, GPPSection.tcfCA1:
            extract.standing = .understood
            var grants = TCFGrants()
            let version = try reader.take(6)
            let after: SegmentReader.Delimiter
            if id == GPPSection.tcfEU2 {
                after = try europe(&cursor, bytes, delimiter, &grants)
            } else {
                guard version == 1 else { throw Fault(.unknownVersion, "Version") }
                after = try canada(&cursor, bytes, delimiter, &grants)
            }
            extract.tcf = extract.tcf.met(with: grants)
            return after
        case GPPSection.usPrivacy:
            guard delimiter != .dot else { throw Fault(.wrongDelimiter) }
            try usPrivacy(&extract)
            return delimiter
        default:
            extract.standing = .understood
            return try unitedStates(
                USLayout.all[id - GPPSection.usFirst], id, &cursor, bytes, delimiter, &extract)
        }
    }

    /// Four characters, which the segment holds as their base64 values.
    private mutating func usPrivacy(_ extract: inout ConsentExtract) throws(ConsentFault) {
        guard reader.bitCount == 24 else { throw Fault(.badValue) }
        guard try reader.take(6) == Self.one else { throw Fault(.unknownVersion, "Version") }
        _ = try answer("Notice")
        let sale = try answer("OptOutSale")
        _ = try answer("LSPACovered")
        if sale != nil { extract.standing = .understood }
        if sale == true { extract.optOuts |= OptOuts.sale }
    }

    /// Base64 values of `1`, `Y`, `y`, `N`, `n` and `-`.
    private static let one: UInt64 = 53
    private mutating func answer(_ field: StaticString) throws(ConsentFault) -> Bool? {
        switch try reader.take(6) {
        case 24, 50: true
        case 13, 39: false
        case 62: nil
        default: throw Fault(.badValue, field)
        }
    }

    private mutating func unitedStates(
        _ layout: USLayout, _ id: Int, _ cursor: inout SegmentReader.Cursor, _ bytes: Span<UInt8>,
        _ first: SegmentReader.Delimiter, _ extract: inout ConsentExtract
    ) throws(ConsentFault) -> SegmentReader.Delimiter {
        var delimiter = first
        var wantsSecond: Bool?
        let opening = layout.hasHeader ? Int(try reader.take(6)) : 0
        if opening < GPPSection.firstWithHeader {
            reader.rewind()
        } else {
            guard opening == id else { throw Fault(.badValue, "SectionID") }
            guard try reader.take(6) == 1 else { throw Fault(.unknownVersion, "Version") }
            wantsSecond = try hasSecondSubsection()
            try reader.finish()
            guard delimiter == .dot else { throw Fault(.sectionCount, "SubSections") }
            delimiter = try reader.load(&cursor, bytes)
        }
        try core(layout, &extract)
        if delimiter == .dot {
            guard let second = layout.second else { throw Fault(.unknownSegment) }
            guard wantsSecond != false else { throw Fault(.sectionCount, "SubSections") }
            delimiter = try reader.load(&cursor, bytes)
            try fields(second, &extract)
            guard delimiter != .dot else { throw Fault(.unknownSegment) }
        } else if wantsSecond == true {
            throw Fault(.sectionCount, "SubSections")
        }
        return delimiter
    }

    private mutating func core(
        _ layout: USLayout, _ extract: inout ConsentExtract
    ) throws(ConsentFault) {
        let version = layout.hasHeader ? 1 : Int(try reader.take(6))
        reader.rewind()
        guard (1...layout.versionMax).contains(version) else {
            throw Fault(.unknownVersion, "Version")
        }
        // The first national layout was written with the same version number as the second for a while; its
        // length tells them apart.
        if let before = layout.coreBefore, version == 1, reader.bitCount < layout.core.fixedBits {
            return try fields(before, &extract)
        }
        try fields(layout.core, &extract)
    }

    private mutating func fields(
        _ layout: SegmentLayout, _ extract: inout ConsentExtract
    ) throws(ConsentFault) {
        for field in layout.fields {
            switch field.kind {
            case .integer(let width):
                let value = try reader.take(width)
                if width == 2, value != 1 { throw Fault(.unknownSegment) }
            case .flag:
                if try reader.flag(), field.meaning == .gpc {
                    extract.optOuts |= OptOuts.globalPrivacyControl
                }
            case .pairs(let count):
                // All values at once: `low` has the lower bit of each, `high` the upper one in its place.
                let values = try reader.take(2 * count)
                let low = values & 0x5555_5555
                let high = values &>> 1 & 0x5555_5555
                guard low & high == 0 else { throw Fault(.badValue, field.name) }
                if low & ~high != 0 { extract.optOuts |= Self.optOut(field.meaning) }
            default: preconditionFailure("no such field in these sections")
            }
        }
        try reader.finish()
    }

    private static func optOut(_ meaning: FieldLayout.Meaning) -> UInt8 {
        switch meaning {
        case .none, .gpc: 0
        case .sale: OptOuts.sale
        case .sharing: OptOuts.sharing
        case .targeted: OptOuts.targetedAdvertising
        case .sensitive: OptOuts.sensitiveData
        case .child: OptOuts.knownChild
        case .additional: OptOuts.additionalProcessing
        }
    }

    /// The subsections behind the core: none, or the one with id 1.
    private mutating func hasSecondSubsection() throws(ConsentFault) -> Bool {
        let count = try reader.take(12)
        guard count > 0 else { return false }
        guard count == 1, !(try reader.flag()), try reader.fibonacci() == 1 else {
            throw Fault(.unknownSegment, "SubSections")
        }
        return true
    }
}

// MARK: Transparency and Consent Framework

extension ConsentScanner {
    /// TCF 1 from behind the version: held to its layout, though it says nothing any more.
    private mutating func legacy() throws(ConsentFault) {
        _ = try opening()
        try reader.skip(24)
        let greatest = try reader.take(16)
        if try reader.flag() {
            try reader.skip(1)
            try ranges(upTo: greatest) { _, _ in }
        } else {
            try reader.skip(Int(greatest))
        }
        try reader.finish()
    }

    /// What all versions begin with, from behind the version; the time of the last update.
    private mutating func opening() throws(ConsentFault) -> UInt64 {
        let created = try reader.take(36)
        let updated = try reader.take(36)
        guard updated >= created else { throw Fault(.datesReversed, "LastUpdated") }
        try reader.skip(30)
        try letters("ConsentLanguage")
        try reader.skip(12)
        return updated
    }

    private mutating func letters(_ field: StaticString) throws(ConsentFault) {
        for _ in 0..<2 where try reader.take(6) > 25 { throw Fault(.badValue, field) }
    }

    /// A TC string from behind the core's version up to the delimiter that ends it.
    private mutating func europe(
        _ cursor: inout SegmentReader.Cursor, _ bytes: Span<UInt8>,
        _ first: SegmentReader.Delimiter, _ grants: inout TCFGrants
    ) throws(ConsentFault) -> SegmentReader.Delimiter {
        reader.rewind()
        guard try reader.take(6) == 2 else { throw Fault(.unknownVersion, "Version") }
        let updated = try opening()
        grants.updated = max(updated, 1)
        try reader.skip(6)
        let isServiceSpecific = try reader.flag()
        try reader.skip(1)
        grants.specialFeatures = UInt16(try reader.take(12))
        grants.consents = UInt32(try reader.take(24))
        grants.interests = UInt32(try reader.take(24))
        let isDisclosedElsewhere = try reader.flag()
        guard isServiceSpecific || !isDisclosedElsewhere else {
            throw Fault(.badValue, "PurposeOneTreatment")
        }
        try letters("PublisherCC")
        grants.vendorConsents = try vendorSet()
        grants.vendorInterests = try vendorSet()
        try restrictions(&grants)
        try reader.finish()
        grants.vendorsDisclosed = .max
        var delimiter = first
        var seen: UInt8 = 0
        while delimiter == .dot {
            delimiter = try reader.load(&cursor, bytes)
            let type = try reader.take(3)
            guard (1...3).contains(type) else { throw Fault(.unknownSegment, "SegmentType") }
            guard seen & 1 << UInt8(type) == 0 else { throw Fault(.repeatedSegment, "SegmentType") }
            seen |= 1 << UInt8(type)
            switch type {
            case 1: grants.vendorsDisclosed = try vendorSet()
            case 2: _ = try vendorSet()
            default: try publisher(&grants)
            }
            try reader.finish()
        }
        if updated >= ConsentLimits.disclosureDemandedSince, seen & 0b10 == 0 {
            throw Fault(.missingSegment)
        }
        return delimiter
    }

    private mutating func publisher(_ grants: inout TCFGrants) throws(ConsentFault) {
        grants.publisherConsents = UInt32(try reader.take(24))
        grants.publisherInterests = UInt32(try reader.take(24))
        try reader.skip(2 * Int(try reader.take(6)))
    }

    private mutating func canada(
        _ cursor: inout SegmentReader.Cursor, _ bytes: Span<UInt8>,
        _ first: SegmentReader.Delimiter, _ grants: inout TCFGrants
    ) throws(ConsentFault) -> SegmentReader.Delimiter {
        grants.updated = max(try opening(), 1)
        try reader.skip(7)
        grants.specialFeatures = UInt16(try reader.take(12))
        grants.consents = UInt32(try reader.take(24))
        grants.interests = UInt32(try reader.take(24))
        grants.vendorConsents = try vendorSet()
        grants.vendorInterests = try vendorSet()
        try restrictions(&grants)
        try reader.finish()
        grants.vendorsDisclosed = .max
        var delimiter = first
        var seen: UInt8 = 0
        while delimiter == .dot {
            delimiter = try reader.load(&cursor, bytes)
            let type = try reader.take(3)
            guard type == 1 || type == 3 else { throw Fault(.unknownSegment, "SubsectionType") }
            guard seen & 1 << UInt8(type) == 0 else {
                throw Fault(.repeatedSegment, "SubsectionType")
            }
            seen |= 1 << UInt8(type)
            if type == 1 {
                grants.vendorsDisclosed = try vendorSet()
            } else {
                try publisher(&grants)
            }
            try reader.finish()
        }
        return delimiter
    }

    /// The watched vendors that are in an `OptimizedIntRange`.
    private mutating func vendorSet() throws(ConsentFault) -> UInt8 {
        let greatest = try reader.take(16)
        return try reader.flag() ? intRanges(upTo: greatest) : bitField(Int(greatest))
    }

    private mutating func bitField(_ count: Int) throws(ConsentFault) -> UInt8 {
        let start = reader.position
        try reader.skip(count)
        var found: UInt8 = 0
        for place in vendors.indices {
            let vendor = Int(vendors[place])
            if vendor <= count, reader.bit(at: start + vendor - 1) { found |= 1 << UInt8(place) }
        }
        return found
    }

    private mutating func intRanges(upTo greatest: UInt64) throws(ConsentFault) -> UInt8 {
        var found: UInt8 = 0
        let watched = vendors
        try ranges(upTo: greatest) { start, end in
            found |= Self.watched(watched, start, end)
        }
        return found
    }

    private static func watched(_ vendors: [UInt16], _ start: UInt64, _ end: UInt64) -> UInt8 {
        var found: UInt8 = 0
        for place in vendors.indices {
            let vendor = UInt64(vendors[place])
            if start <= vendor, vendor <= end { found |= 1 << UInt8(place) }
        }
        return found
    }

    /// `Range(Int)`; entries may stand in any order.
    private mutating func ranges(
        upTo greatest: UInt64, _ body: (UInt64, UInt64) -> Void
    ) throws(ConsentFault) {
        for _ in 0..<Int(try reader.take(12)) {
            let isGroup = try reader.flag()
            let start = try reader.take(16)
            let end = isGroup ? try reader.take(16) : start
            guard start >= 1, start <= end, end <= greatest else { throw Fault(.badRange) }
            body(start, end)
        }
    }

    private mutating func restrictions(_ grants: inout TCFGrants) throws(ConsentFault) {
        for _ in 0..<Int(try reader.take(12)) {
            let purpose = Int(try reader.take(6))
            guard (1...24).contains(purpose) else { throw Fault(.badValue, "PurposeId") }
            let type = try reader.take(2)
            guard type < 3 else { throw Fault(.badValue, "RestrictionType") }
            let found = try intRanges(upTo: .max)
            let bit = TCFGrants.bit(purpose: purpose)
            for place in vendors.indices where found & 1 << UInt8(place) != 0 {
                switch type {
                case 0: grants.forbidden[place] |= bit
                case 1: grants.consentOnly[place] |= bit
                default: grants.interestOnly[place] |= bit
                }
            }
        }
    }
}
