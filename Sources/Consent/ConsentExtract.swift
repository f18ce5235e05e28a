/// All of a consent string that policy can ask about, in a few words of memory and without the string.
///
/// It does not depend on any policy but for the vendors that were watched, so that it can be kept by a hash of the string.
package struct ConsentExtract: Equatable, Sendable, BitwiseCopyable {
    package enum Standing: UInt8, Sendable, BitwiseCopyable {
        /// Nothing that counts: a TCF 1 string, a GPP string without sections.
        case silent
        case understood
        /// Corrupt, truncated, or of a kind that is not defined.
        case invalid
    }

    package var standing = Standing.silent
    /// Opt-outs of United States sections and strings; see ``OptOuts``.
    package var optOuts: UInt8 = 0
    /// Signals of Google's consent mode that are granted, and that are denied; see ``ModeSignals``.
    package var modeGranted: UInt8 = 0
    package var modeDenied: UInt8 = 0
    /// GPP sections that were read: bit `id`.
    package var sections: UInt32 = 0
    package var tcf = TCFGrants()

    package init() {}

    package static var invalid: ConsentExtract {
        var extract = ConsentExtract()
        extract.standing = .invalid
        return extract
    }

    /// Whether a TC string, of its own or as a GPP section, was read.
    package var hasTCF: Bool { tcf.updated != 0 }
}

/// The opt-outs of United States law as bits.
package enum OptOuts {
    package static let sale: UInt8 = 1 << 0
    package static let sharing: UInt8 = 1 << 1
    package static let targetedAdvertising: UInt8 = 1 << 2
    package static let sensitiveData: UInt8 = 1 << 3
    package static let knownChild: UInt8 = 1 << 4
    package static let additionalProcessing: UInt8 = 1 << 5
    /// The words of policies, in the order of the bits.
    package static let names = [
        "sale", "sharing", "targeted-advertising", "sensitive-data", "known-child",
        "additional-processing",
    ]
    /// What Global Privacy Control asks for where a section carries it (California Code of Regulations, title 11, section
    /// 7025; Colorado, 4 CCR 904-3, rule 5).
    package static let globalPrivacyControl = sale | sharing | targetedAdvertising
}

/// The signals of Google's consent mode as bits.
package enum ModeSignals {
    package static let adStorage: UInt8 = 1 << 0
    package static let analyticsStorage: UInt8 = 1 << 1
    package static let adUserData: UInt8 = 1 << 2
    package static let adPersonalization: UInt8 = 1 << 3
    /// The names in the order of the bits.
    package static let names = [
        "ad_storage", "analytics_storage", "ad_user_data", "ad_personalization",
    ]
}

/// What one or more TC strings grant: of several, what all of them do.
package struct TCFGrants: Equatable, Sendable, BitwiseCopyable {
    /// Tenths of a second since 1970 of the last update, of several the earliest; 0 when there is no TC string. A string
    /// from the epoch itself counts as one tenth later.
    package var updated: UInt64 = 0
    /// Purposes with consent; see ``bit(purpose:)``.
    package var consents: UInt32 = 0
    /// Purposes with legitimate interest that was not objected to.
    package var interests: UInt32 = 0
    package var publisherConsents: UInt32 = 0
    package var publisherInterests: UInt32 = 0
    /// Special features opted in to; see ``bit(specialFeature:)``.
    package var specialFeatures: UInt16 = 0
    /// Watched vendors with consent, with legitimate interest, and disclosed or not asked about: bit n is vendor n.
    package var vendorConsents: UInt8 = 0
    package var vendorInterests: UInt8 = 0
    package var vendorsDisclosed: UInt8 = 0
    /// By watched vendor the purposes that the publisher forbids, allows with consent alone, and allows with legitimate
    /// interest alone.
    package var forbidden = SIMD4<UInt32>()
    package var consentOnly = SIMD4<UInt32>()
    package var interestOnly = SIMD4<UInt32>()

    package init() {}

    /// The bit of a purpose from 1 to 24: the fields' own order, first purpose highest.
    package static func bit(purpose: Int) -> UInt32 { 1 << UInt32(24 - purpose) }

    /// The bit of a special feature from 1 to 12.
    package static func bit(specialFeature: Int) -> UInt16 { 1 << UInt16(12 - specialFeature) }

    /// Purposes that never rest on legitimate interest: storing on a device, and since TCF 2.2 profiles for advertising and
    /// for content, made or used.
    private static let consentOnlyPurposes =
        bit(purpose: 1) | bit(purpose: 3) | bit(purpose: 4) | bit(purpose: 5) | bit(purpose: 6)

    /// What both grant.
    func met(with other: TCFGrants) -> TCFGrants {
        if updated == 0 { return other }
        if other.updated == 0 { return self }
        var both = self
        both.updated = min(updated, other.updated)
        both.consents &= other.consents
        both.interests &= other.interests
        both.publisherConsents &= other.publisherConsents
        both.publisherInterests &= other.publisherInterests
        both.specialFeatures &= other.specialFeatures
        both.vendorConsents &= other.vendorConsents
        both.vendorInterests &= other.vendorInterests
        both.vendorsDisclosed &= other.vendorsDisclosed
        both.forbidden |= other.forbidden
        both.consentOnly |= other.consentOnly
        both.interestOnly |= other.interestOnly
        return both
    }

    /// Which legal basis is demanded.
    package enum Basis: UInt8, Sendable, BitwiseCopyable { case consent, interest, either }

    /// On whose behalf.
    package enum Holder: Equatable, Sendable, BitwiseCopyable {
        /// Nobody in particular: the purposes alone count.
        case anyone
        /// The publisher, whose purposes stand in a segment of their own.
        case publisher
        /// A watched vendor by its place.
        case vendor(Int)
    }

    /// Whether all of `purposes` (bits) are granted to `holder` on `basis`.
    ///
    /// A publisher's restrictions (TCF 2, "PubRestrictions") take a basis away from a vendor, and a vendor that was not
    /// disclosed has none (TCF 2.3).
    package func grants(_ purposes: UInt32, to holder: Holder, on basis: Basis) -> Bool {
        var consented = consents
        var interested = interests
        switch holder {
        case .anyone: break
        case .publisher:
            consented = publisherConsents
            interested = publisherInterests
        case .vendor(let place):
            let bit: UInt8 = 1 << UInt8(place)
            guard vendorsDisclosed & bit != 0 else { return false }
            let denied = forbidden[place]
            consented = vendorConsents & bit == 0 ? 0 : consented & ~denied & ~interestOnly[place]
            interested = vendorInterests & bit == 0 ? 0 : interested & ~denied & ~consentOnly[place]
        }
        interested &= ~Self.consentOnlyPurposes
        let held =
            switch basis {
            case .consent: consented
            case .interest: interested
            case .either: consented | interested
            }
        return purposes & ~held == 0
    }
}
