/// One field of a segment, as its specification lists it.
struct FieldLayout: Sendable {
    var name: StaticString
    var kind: Kind
    var meaning = Meaning.none

    /// How the field is coded. All integers are big-endian, the first bit the most significant.
    enum Kind: Equatable, Sendable {
        case integer(Int)
        /// Tenths of a second since 1970 in 36 bits.
        case date
        /// Two letters of 6 bits each, `A` as 0.
        case letters
        case flag
        /// That many flags, the first for id 1.
        case bits(Int)
        /// Flags as many as the field before them says.
        case countedBits
        /// That many values of two bits, each 0, 1 or 2.
        case pairs(Int)
        /// `OptimizedIntRange`: greatest id, then a bit field or a list of ranges.
        case vendors
        /// `ArrayOfRanges` of TCF: purpose, type, ranges.
        case restrictions
        /// `Range(Fibonacci)`.
        case fibonacciRange
        /// TCF 1: greatest id, then a bit field, or exceptions from a default.
        case legacyVendors
    }

    /// What a field of a United States section says about the person's choices; 1 withholds.
    enum Meaning: UInt8, Sendable {
        case none, sale, sharing, targeted, sensitive, child, additional, gpc
    }
}

/// A segment's name and fields.
struct SegmentLayout: Sendable {
    var name: StaticString
    var fields: [FieldLayout]
}

// MARK: Transparency and Consent Framework

/// Layouts of TC strings: "Transparency and Consent String with Global Vendor & CMP List Formats" of IAB Tech Lab (TCF
/// 2.0 to 2.3; version 1.1 for the first), and "IAB Canada TCF Technical Specification" (GPP section 5).
enum TCFLayout {
    private static let opening: [FieldLayout] = [
        .init(name: "Version", kind: .integer(6)), .init(name: "Created", kind: .date),
        .init(name: "LastUpdated", kind: .date), .init(name: "CmpId", kind: .integer(12)),
        .init(name: "CmpVersion", kind: .integer(12)),
        .init(name: "ConsentScreen", kind: .integer(6)),
        .init(name: "ConsentLanguage", kind: .letters),
        .init(name: "VendorListVersion", kind: .integer(12)),
    ]

    static let core = SegmentLayout(
        name: "core",
        fields: opening + [
            .init(name: "TcfPolicyVersion", kind: .integer(6)),
            .init(name: "IsServiceSpecific", kind: .flag),
            .init(name: "UseNonStandardTexts", kind: .flag),
            .init(name: "SpecialFeatureOptIns", kind: .bits(12)),
            .init(name: "PurposesConsent", kind: .bits(24)),
            .init(name: "PurposesLITransparency", kind: .bits(24)),
            .init(name: "PurposeOneTreatment", kind: .flag),
            .init(name: "PublisherCC", kind: .letters),
            .init(name: "VendorConsent", kind: .vendors),
            .init(name: "VendorLegitimateInterest", kind: .vendors),
            .init(name: "PubRestrictions", kind: .restrictions),
        ])

    /// By segment type, from 1.
    static let optional: [SegmentLayout] = [
        .init(
            name: "disclosed vendors",
            fields: [
                .init(name: "SegmentType", kind: .integer(3)),
                .init(name: "DisclosedVendors", kind: .vendors),
            ]),
        .init(
            name: "allowed vendors",
            fields: [
                .init(name: "SegmentType", kind: .integer(3)),
                .init(name: "AllowedVendors", kind: .vendors),
            ]),
        .init(
            name: "publisher TC",
            fields: [
                .init(name: "SegmentType", kind: .integer(3)),
                .init(name: "PubPurposesConsent", kind: .bits(24)),
                .init(name: "PubPurposesLITransparency", kind: .bits(24)),
                .init(name: "NumCustomPurposes", kind: .integer(6)),
                .init(name: "CustomPurposesConsent", kind: .countedBits),
                .init(name: "CustomPurposesLITransparency", kind: .countedBits),
            ]),
    ]

    static let legacy = SegmentLayout(
        name: "core",
        fields: opening + [
            .init(name: "PurposesAllowed", kind: .bits(24)),
            .init(name: "VendorConsent", kind: .legacyVendors),
        ])

    /// Vendors and restrictions are coded as in the European string: the specification's page names other types, and every
    /// encoder that IAB Tech Lab publishes writes these.
    static let canada = SegmentLayout(
        name: "core",
        fields: opening + [
            .init(name: "TcfPolicyVersion", kind: .integer(6)),
            .init(name: "UseNonStandardStacks", kind: .flag),
            .init(name: "SpecialFeatureExpressConsent", kind: .bits(12)),
            .init(name: "PurposesExpressConsent", kind: .bits(24)),
            .init(name: "PurposesImpliedConsent", kind: .bits(24)),
            .init(name: "VendorExpressConsent", kind: .vendors),
            .init(name: "VendorImpliedConsent", kind: .vendors),
            .init(name: "PubRestrictions", kind: .restrictions),
        ])

    static let canadaDisclosed = SegmentLayout(
        name: "disclosed vendors",
        fields: [
            .init(name: "SubsectionType", kind: .integer(3)),
            .init(name: "DisclosedVendors", kind: .vendors),
        ])

    static let canadaPublisher = SegmentLayout(
        name: "publisher purposes",
        fields: [
            .init(name: "SubsectionType", kind: .integer(3)),
            .init(name: "PubPurposesExpressConsent", kind: .bits(24)),
            .init(name: "PubPurposesImpliedConsent", kind: .bits(24)),
            .init(name: "NumCustomPurposes", kind: .integer(6)),
            .init(name: "CustomPurposesExpressConsent", kind: .countedBits),
            .init(name: "CustomPurposesImpliedConsent", kind: .countedBits),
        ])
}

// MARK: Global Privacy Platform

/// Sections of the Global Privacy Platform, as "Section Information" of IAB Tech Lab registers them.
enum GPPSection {
    static let header = SegmentLayout(
        name: "header",
        fields: [
            .init(name: "Type", kind: .integer(6)), .init(name: "Version", kind: .integer(6)),
            .init(name: "Sections", kind: .fibonacciRange),
        ])

    static let tcfEU1 = 1
    static let tcfEU2 = 2
    static let tcfCA1 = 5
    static let usPrivacy = 6
    static let usFirst = 7
    static let usLast = 27
    /// The first section that has a header of its own.
    static let firstWithHeader = 24

    /// The client-side prefix of a section; nil for what is not registered or cannot stand in a string.
    static func name(_ id: Int) -> StaticString? {
        switch id {
        case tcfEU1: "tcfeuv1"
        case tcfEU2: "tcfeuv2"
        case tcfCA1: "tcfcav1"
        case usPrivacy: "uspv1"
        case usFirst...usLast: USLayout.all[id - usFirst].name
        default: nil
        }
    }
}

/// One United States section: the national one or a state's, each "Privacy Technical Specification" of IAB Tech Lab.
struct USLayout: Sendable {
    let name: StaticString
    let core: SegmentLayout
    /// The national section's first layout, before more kinds of sensitive data came to it.
    var coreBefore: SegmentLayout?
    /// The greatest section version that is defined.
    var versionMax = 1
    /// The one other segment that may follow; nil where there is none.
    var second: SegmentLayout?
    /// Whether a header with section id, version and subsections comes first (sections specified since October 2025). The encoders
    /// that IAB Tech Lab published in June 2026 (iabgpp-es, pull request 106) leave it out, and what they wrote is read too: a
    /// header begins with a section id, which is greater than any version of the agreement that the core begins with.
    var hasHeader = false

    /// From section 7 on.
    static let all: [USLayout] = [
        national, california,
        state("usva", "SharingNotice", sensitive: 8, child: 1, additional: false, gpc: false),
        state("usco", "SharingNotice", sensitive: 7, child: 1, additional: false),
        state(
            "usut", "SharingNotice", notice: "SensitiveDataProcessingOptOutNotice", sensitive: 8,
            child: 1, additional: false, gpc: false),
        state("usct", "SharingNotice", sensitive: 8, child: 3, additional: false),
        state("usfl", "ProcessingNotice", sensitive: 8, child: 3, gpc: false),
        state("usmt", "SharingNotice", sensitive: 8, child: 3),
        state("usor", "ProcessingNotice", sensitive: 11, child: 3),
        state("ustx", "ProcessingNotice", sensitive: 8, child: 1),
        state("usde", "ProcessingNotice", sensitive: 9, child: 5),
        state(
            "usia", "ProcessingNotice", notice: "SensitiveDataOptOutNotice", sensitive: 8, child: 1,
            additional: false),
        state("usne", "ProcessingNotice", sensitive: 8, child: 1),
        state("usnh", "ProcessingNotice", sensitive: 8, child: 3),
        state("usnj", "ProcessingNotice", sensitive: 10, child: 5),
        state("ustn", "ProcessingNotice", sensitive: 8, child: 1),
        state("usmn", "ProcessingNotice", sensitive: 8, child: 1),
        headed("usmd", hasChild: false, second: gpc),
        headed("usin", hasChild: true, second: sensitiveConsents),
        headed("usky", hasChild: true, second: sensitiveConsents),
        headed("usri", hasChild: true, second: sensitiveConsents),
    ]

    static let header = SegmentLayout(
        name: "header",
        fields: [
            .init(name: "SectionID", kind: .integer(6)), .init(name: "Version", kind: .integer(6)),
            .init(name: "SubSections", kind: .fibonacciRange),
        ])

    static let gpc = SegmentLayout(
        name: "GPC",
        fields: [
            .init(name: "SubsectionType", kind: .integer(2)),
            .init(name: "Gpc", kind: .flag, meaning: .gpc),
        ])

    private static let sensitiveConsents = SegmentLayout(
        name: "sensitive data consents",
        fields: [.init(name: "SensitiveDataProcessing", kind: .pairs(8), meaning: .sensitive)])

    private static func pair(
        _ name: StaticString, _ meaning: FieldLayout.Meaning = .none, count: Int = 1
    ) -> FieldLayout {
        .init(name: name, kind: .pairs(count), meaning: meaning)
    }

    private static let version = FieldLayout(name: "Version", kind: .integer(6))
    private static let saleNotice = pair("SaleOptOutNotice")
    private static let targetedNotice = pair("TargetedAdvertisingOptOutNotice")
    private static let sale = pair("SaleOptOut", .sale)
    private static let sharing = pair("SharingOptOut", .sharing)
    private static let targeted = pair("TargetedAdvertisingOptOut", .targeted)
    private static let additional = pair("AdditionalDataProcessingConsent", .additional)
    private static let agreement = [
        pair("MspaCoveredTransaction"), pair("MspaOptOutOptionMode"),
        pair("MspaServiceProviderMode"),
    ]

    private static func sensitive(_ count: Int) -> FieldLayout {
        pair("SensitiveDataProcessing", .sensitive, count: count)
    }

    private static func child(_ count: Int) -> FieldLayout {
        pair("KnownChildSensitiveDataConsents", .child, count: count)
    }

    private static let national: USLayout = {
        func core(sensitive: Int, child: Int) -> SegmentLayout {
            .init(
                name: "core",
                fields: [
                    version, pair("SharingNotice"), saleNotice, pair("SharingOptOutNotice"),
                    targetedNotice, pair("SensitiveDataProcessingOptOutNotice"),
                    pair("SensitiveDataLimitUseNotice"), sale, sharing, targeted,
                    Self.sensitive(sensitive), Self.child(child),
                    pair("PersonalDataConsents", .additional),
                ] + agreement)
        }
        return USLayout(
            name: "usnat", core: core(sensitive: 16, child: 3),
            coreBefore: core(sensitive: 12, child: 2), versionMax: 2, second: gpc)
    }()

    private static let california = USLayout(
        name: "usca",
        core: .init(
            name: "core",
            fields: [
                version, saleNotice, pair("SharingOptOutNotice"),
                pair("SensitiveDataLimitUseNotice"), sale, sharing, sensitive(9), child(2),
                pair("PersonalDataConsents", .additional),
            ] + agreement), second: gpc)

    private static func state(
        _ name: StaticString, _ first: StaticString, notice: StaticString? = nil, sensitive: Int,
        child: Int, additional hasAdditional: Bool = true, gpc hasGPC: Bool = true
    ) -> USLayout {
        let notices = notice.map { [pair($0)] } ?? []
        let fields =
            [version, pair(first), saleNotice, targetedNotice] + notices
            + [sale, targeted, Self.sensitive(sensitive), Self.child(child)]
            + (hasAdditional ? [additional] : []) + agreement
        return USLayout(
            name: name, core: .init(name: "core", fields: fields), second: hasGPC ? gpc : nil)
    }

    private static func headed(
        _ name: StaticString, hasChild: Bool, second: SegmentLayout
    ) -> USLayout {
        let fields =
            [
                FieldLayout(name: "MspaVersion", kind: .integer(6)), pair("MspaCoveredTransaction"),
                pair("MspaMode"), pair("ProcessingNotice"), saleNotice, targetedNotice, sale,
                targeted,
            ] + (hasChild ? [child(1)] : []) + [additional]
        return USLayout(
            name: name, core: .init(name: "core", fields: fields), second: second, hasHeader: true)
    }

    init(
        name: StaticString, core: SegmentLayout, coreBefore: SegmentLayout? = nil,
        versionMax: Int = 1, second: SegmentLayout? = nil, hasHeader: Bool = false
    ) {
        self.name = name
        self.core = core
        self.coreBefore = coreBefore
        self.versionMax = versionMax
        self.second = second
        self.hasHeader = hasHeader
    }
}

extension SegmentLayout {
    /// Bits of a segment whose fields are all of fixed width.
    var fixedBits: Int {
        fields.reduce(0) { sum, field in
            switch field.kind {
            case .integer(let width), .bits(let width): sum + width
            case .pairs(let count): sum + 2 * count
            case .flag: sum + 1
            case .date: sum + 36
            case .letters: sum + 12
            default: preconditionFailure("a field of variable width")
            }
        }
    }
}
