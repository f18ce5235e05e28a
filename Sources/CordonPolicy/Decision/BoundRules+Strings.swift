internal import Consent
internal import CordonModel

/// Parameters and cookies whose names the frameworks fix.
enum KnownName: Int, CaseIterable {
    case gdprConsent, gdpr, tcfCookie, gpp, gppSections, usPrivacy, usPrivacyCookie, gcs, gcd

    var text: String {
        switch self {
        case .gdprConsent: "gdpr_consent"
        case .gdpr: "gdpr"
        case .tcfCookie: "euconsent-v2"
        case .gpp: "gpp"
        case .gppSections: "gpp_sid"
        case .usPrivacy: "us_privacy"
        case .usPrivacyCookie: "usprivacy"
        case .gcs: "gcs"
        case .gcd: "gcd"
        }
    }

    var isCookie: Bool {
        switch self {
        case .tcfCookie, .usPrivacyCookie: true
        case .gdprConsent, .gdpr, .gpp, .gppSections, .usPrivacy, .gcs, .gcd: false
        }
    }

    static let parameters = Set(allCases.filter { !$0.isCookie }.map(\.text))
    static let cookies = Set(allCases.filter(\.isCookie).map(\.text))
    /// Parameters whose value a visitor's choices, and the time of them, make nearly one's own.
    static let consentStrings = Set([gdprConsent, gpp, usPrivacy].map(\.text))

    var bit: UInt16 { 1 << UInt16(rawValue) }

    /// The names that a signal is read from, as bits.
    static func names(of source: BoundRules.SignalSource) -> UInt16 {
        switch source {
        case .tcf: gdprConsent.bit | gdpr.bit | tcfCookie.bit
        case .gpp: gpp.bit | gppSections.bit
        case .usp: usPrivacy.bit | usPrivacyCookie.bit
        case .gcm: gcs.bit | gcd.bit
        case .gpc, .dnt, .parameter, .cookie: 0
        }
    }
}

/// Which of the names that signals are read from stand in a request, and where.
package struct PresentNames: Sendable, BitwiseCopyable {
    /// Of ``KnownName``, as bits.
    var known: UInt16 = 0
    /// Of the parameters that signals name, as bits of their positions.
    var parameters: UInt32 = 0
    /// Of the cookies that signals name.
    var cookies: UInt32 = 0
    /// The fields that have one of the names, in the order of their parts.
    private(set) var fields = InlineArray<8, Field>(repeating: Field())
    private(set) var fieldCount = 0
    /// There are more fields than ``fields`` holds, so the parts are walked for each name instead.
    private(set) var isOverfull = false

    /// A field with a name that was looked for.
    struct Field: BitwiseCopyable {
        var isCookie = false
        /// Of ``KnownName``; otherwise of the names of signals.
        var isKnown = false
        var name: UInt8 = 0
        var start: Int32 = 0
        var end: Int32 = 0

        var value: Range<Int> { Int(start)..<Int(end) }

        func stands(in form: FormFields.Form) -> Bool {
            if case .cookie = form { isCookie } else { !isCookie }
        }
    }

    /// Takes a field with a name that signals are read from.
    mutating func add(_ role: FieldNames.Role, _ form: FormFields.Form, _ value: Range<Int>) {
        if role.known != 0 {
            known |= role.known
            add(isKnown: true, name: role.known.trailingZeroBitCount, form, value)
        }
        var rest = role.sources
        if case .query = form { parameters |= rest } else { cookies |= rest }
        while rest != 0 {
            add(isKnown: false, name: rest.trailingZeroBitCount, form, value)
            rest &= rest - 1
        }
    }

    private mutating func add(
        isKnown: Bool, name: Int, _ form: FormFields.Form, _ value: Range<Int>
    ) {
        guard fieldCount < 8 else {
            isOverfull = true
            return
        }
        let isCookie = if case .cookie = form { true } else { false }
        fields[fieldCount] = Field(
            isCookie: isCookie, isKnown: isKnown, name: UInt8(name),
            start: Int32(value.lowerBound), end: Int32(value.upperBound))
        fieldCount += 1
    }
}

// Consent strings of a request.
extension BoundRules {
    /// The names that stand in the query or the cookies: most requests have none of them.
    package func presentNames(_ parts: RequestParts, _ bytes: Span<UInt8>) -> PresentNames {
        hasNamedSignals ? fields(parts, bytes).names : PresentNames()
    }

    func strings(
        _ signal: Int, _ rules: StringRules, _ parts: RequestParts, _ bytes: Span<UInt8>,
        _ names: PresentNames, _ reader: ConsentReader
    ) -> SignalReading {
        var rules = rules
        switch sources[signal] {
        case .gpc, .dnt, .parameter, .cookie: return .silent
        case .tcf:
            return flags(.gdpr, parts.query, .query, bytes, names)
                .combined(
                    with: strings(
                        .gdprConsent, .tcf, parts.query, .query, bytes, names, rules, reader)
                )
                .combined(
                    with: strings(
                        .tcfCookie, .tcf, parts.cookie, .cookie, bytes, names, rules, reader))
        case .gpp:
            rules.inForce = sections(parts.query, .query, bytes, names)
            if case .invalid = rules.inForce { return .invalid }
            return strings(.gpp, .gpp, parts.query, .query, bytes, names, rules, reader)
        case .usp:
            return strings(.usPrivacy, .usPrivacy, parts.query, .query, bytes, names, rules, reader)
                .combined(
                    with: strings(
                        .usPrivacyCookie, .usPrivacy, parts.cookie, .cookie, bytes, names, rules,
                        reader))
        case .gcm:
            return strings(.gcs, .gcs, parts.query, .query, bytes, names, rules, reader)
                .combined(
                    with: strings(.gcd, .gcd, parts.query, .query, bytes, names, rules, reader))
        }
    }

    /// Calls `body` with each string of a signal in one part of the request; empty values are none.
    private func eachString(
        _ name: KnownName, _ part: RequestParts.Part, _ form: FormFields.Form, _ bytes: Span<UInt8>,
        _ names: PresentNames, _ body: (Range<Int>) -> Void
    ) {
        guard names.known & name.bit != 0 else { return }
        eachValue(name.rawValue, isKnown: true, part, form, bytes, names) { value in
            if !value.isEmpty { body(value) }
        }
    }

    /// Calls `body` with the value of each field of one name in one part of the request.
    ///
    /// - Parameter isKnown: whether `name` is one of ``KnownName``; otherwise of the names of signals.
    @inline(__always)
    func eachValue(
        _ name: Int, isKnown: Bool, _ part: RequestParts.Part, _ form: FormFields.Form,
        _ bytes: Span<UInt8>, _ present: PresentNames, _ body: (Range<Int>) -> Void
    ) {
        guard let range = part.range else { return }
        if !present.isOverfull {
            for index in 0..<present.fieldCount {
                let field = present.fields[index]
                if field.isKnown == isKnown, Int(field.name) == name, field.stands(in: form) {
                    body(field.value)
                }
            }
            return
        }
        let names = isKnown ? knownNames : sourceNames
        var fields = FormFields(range, form: form)
        while let field = fields.next(in: bytes) {
            if names.equals(name, EncodedName(field.name, form: form, in: bytes), in: bytes) {
                body(field.value)
            }
        }
    }

    private func strings(
        _ name: KnownName, _ kind: ConsentReader.Kind, _ part: RequestParts.Part,
        _ form: FormFields.Form, _ bytes: Span<UInt8>, _ names: PresentNames, _ rules: StringRules,
        _ reader: ConsentReader
    ) -> SignalReading {
        var combined = SignalReading.silent
        eachString(name, part, form, bytes, names) { range in
            combined = combined.combined(
                with: rules.reading(reader.extract(kind, bytes, range, form: form)))
        }
        return combined
    }

    /// `gdpr` says whether that law applies, which the place has decided already: it grants nothing and refuses nothing, but what
    /// is neither 0 nor 1 (a macro that nobody filled in) casts doubt on the string beside it.
    private func flags(
        _ name: KnownName, _ part: RequestParts.Part, _ form: FormFields.Form, _ bytes: Span<UInt8>,
        _ names: PresentNames
    ) -> SignalReading {
        var combined = SignalReading.silent
        eachString(name, part, form, bytes, names) { range in
            let isFlag =
                range.count == 1
                && (bytes[range.lowerBound] == 0x30 || bytes[range.lowerBound] == 0x31)
            if !isFlag { combined = .invalid }
        }
        return combined
    }

    private func sections(
        _ part: RequestParts.Part, _ form: FormFields.Form, _ bytes: Span<UInt8>,
        _ names: PresentNames
    ) -> SectionList.Reading {
        var found = SectionList.Reading.absent
        eachString(.gppSections, part, form, bytes, names) { range in
            let reading = SectionList.read(bytes, range, form: form)
            switch (found, reading) {
            case (.absent, _): found = reading
            case (.sections(let left), .sections(let right)) where left == right: break
            default: found = .invalid
            }
        }
        return found
    }

    /// The extracts of one signal's strings, for explanations.
    func extracts(
        signal: Int, parts: RequestParts, bytes: Span<UInt8>, reader: ConsentReader
    ) -> [ConsentExtract] {
        let names = presentNames(parts, bytes)
        return switch sources[signal] {
        case .tcf:
            extracts(.gdprConsent, .tcf, parts.query, .query, bytes, names, reader)
                + extracts(.tcfCookie, .tcf, parts.cookie, .cookie, bytes, names, reader)
        case .gpp: extracts(.gpp, .gpp, parts.query, .query, bytes, names, reader)
        case .usp:
            extracts(.usPrivacy, .usPrivacy, parts.query, .query, bytes, names, reader)
                + extracts(
                    .usPrivacyCookie, .usPrivacy, parts.cookie, .cookie, bytes, names, reader)
        case .gcm:
            extracts(.gcs, .gcs, parts.query, .query, bytes, names, reader)
                + extracts(.gcd, .gcd, parts.query, .query, bytes, names, reader)
        case .gpc, .dnt, .parameter, .cookie: []
        }
    }

    private func extracts(
        _ name: KnownName, _ kind: ConsentReader.Kind, _ part: RequestParts.Part,
        _ form: FormFields.Form, _ bytes: Span<UInt8>, _ names: PresentNames,
        _ reader: ConsentReader
    ) -> [ConsentExtract] {
        var extracts: [ConsentExtract] = []
        eachString(name, part, form, bytes, names) { range in
            extracts.append(reader.extract(kind, bytes, range, form: form))
        }
        return extracts
    }
}
