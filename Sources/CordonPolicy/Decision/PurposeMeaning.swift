internal import Consent

/// What one purpose of one policy stands for in the consent strings, as numbers.
struct PurposeMeaning: Sendable, BitwiseCopyable {
    /// The purpose's bit.
    var purpose: UInt32
    /// TCF purposes that must all be granted; 0 when TC strings say nothing about this purpose.
    var tcf: UInt32 = 0
    /// Special features that must all be opted in to.
    var specialFeatures: UInt16 = 0
    var basis = TCFGrants.Basis.consent
    var holder = TCFGrants.Holder.anyone
    /// Opt-outs of United States law that end it.
    var optOuts: UInt8 = 0
    /// Signals of consent mode that must all be granted; 0 when consent mode says nothing about it.
    var mode: UInt8 = 0

    /// Whether a TC string grants it, nil when it says nothing about it.
    func granted(by grants: TCFGrants) -> Bool? {
        guard tcf != 0 || specialFeatures != 0 else { return nil }
        return grants.grants(tcf, to: holder, on: basis)
            && specialFeatures & ~grants.specialFeatures == 0
    }

    /// Whether consent mode grants it, nil when it says nothing about it or leaves a signal open.
    func granted(by extract: ConsentExtract) -> Bool? {
        guard mode != 0 else { return nil }
        if mode & extract.modeDenied != 0 { return false }
        return mode & ~extract.modeGranted == 0 ? true : nil
    }
}

/// The strings of one signal under one policy: how extracts become a reading.
struct StringRules {
    let meanings: ArraySlice<PurposeMeaning>
    /// Longest age of a TC string in days; 0 when any age is good.
    let maxAgeDays: Int
    /// Microseconds since 1970.
    let now: Int64
    /// Sections in force by `gpp_sid`.
    var inForce = SectionList.Reading.absent

    private static let microsecondsPerDay: Int64 = 86_400_000_000
    /// GPP sections that are TC strings.
    private static let tcfSections: UInt32 = 1 << 2 | 1 << 5

    /// What became of a TC string's age.
    enum Age { case good, tooOld, ahead }

    func age(_ extract: ConsentExtract) -> Age {
        guard extract.hasTCF else { return .good }
        let updated = Int64(extract.tcf.updated) * 100_000
        // Clocks differ, and TCF 2.2 rounds to whole days.
        if updated > now + Self.microsecondsPerDay { return .ahead }
        let isTooOld =
            maxAgeDays > 0 && now - updated > Int64(maxAgeDays) * Self.microsecondsPerDay
        return isTooOld ? .tooOld : .good
    }

    /// Whether `gpp_sid` fits the string: it may only name sections that are there.
    func isInForce(_ extract: ConsentExtract) -> Bool? {
        switch inForce {
        case .absent: return true
        case .invalid: return nil
        case .sections(let named):
            guard named & ~extract.sections == 0 else { return nil }
            return extract.sections & Self.tcfSections & ~named == 0
        }
    }

    /// A string that is corrupt, or from the future, is a fault; one that is too old refuses. A section that is not in force
    /// may refuse and grants nothing.
    func reading(_ extract: ConsentExtract) -> SignalReading {
        if case .invalid = extract.standing { return .invalid }
        guard let mayGrant = isInForce(extract) else { return .invalid }
        if case .silent = extract.standing { return .silent }
        switch age(extract) {
        case .good: break
        case .tooOld: return .denied
        case .ahead: return .invalid
        }
        var granted: UInt32 = 0
        var denied: UInt32 = 0
        for place in meanings.indices {
            let meaning = meanings[place]
            if extract.hasTCF, let isGranted = meaning.granted(by: extract.tcf) {
                if !isGranted {
                    denied |= meaning.purpose
                } else if mayGrant {
                    granted |= meaning.purpose
                }
            }
            if extract.optOuts & meaning.optOuts != 0 { denied |= meaning.purpose }
            if let isGranted = meaning.granted(by: extract) {
                if isGranted { granted |= meaning.purpose } else { denied |= meaning.purpose }
            }
        }
        return .says(granted: granted, denied: denied)
    }
}
