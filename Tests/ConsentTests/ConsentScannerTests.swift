import TestSupport
import Testing

@testable import Consent

private let vendors: [UInt16] = [1, 12, 755, 30]

/// What the hot path should have taken from a string, worked out from the plain decoder's fields.
private func expected(_ decoded: DecodedConsent) -> ConsentExtract {
    guard decoded.isValid else { return .invalid }
    var extract = ConsentExtract()
    var grants: TCFGrants?
    var section = ""
    func ids(_ value: DecodedConsent.Value) -> [Int] {
        if case .ids(let ids) = value { ids } else { [] }
    }
    func values(_ value: DecodedConsent.Value) -> [Int] {
        switch value {
        case .integer(let number): [number]
        case .list(let list): list
        default: []
        }
    }
    func purposes(_ value: DecodedConsent.Value) -> UInt32 {
        ids(value).reduce(0) { $0 | TCFGrants.bit(purpose: $1) }
    }
    func watched(_ ids: [Int]) -> UInt8 {
        vendors.enumerated().reduce(0) { mask, vendor in
            ids.contains(Int(vendor.element)) ? mask | 1 << UInt8(vendor.offset) : mask
        }
    }
    func close() {
        if let grants { extract.tcf = extract.tcf.met(with: grants) }
        grants = nil
    }
    for segment in decoded.segments {
        if segment.section != section { close() }
        section = segment.section
        if let id = segment.id { extract.sections |= 1 << UInt32(id) }
        if section.hasPrefix("us"), section != "uspv1" { extract.standing = .understood }
        if section == "tcfeuv2" || section == "tcfcav1" {
            extract.standing = .understood
            if grants == nil {
                grants = TCFGrants()
                grants!.vendorsDisclosed = .max
            }
        }
        for field in segment.fields {
            let value = field.value
            switch field.name {
            case "LastUpdated":
                if case .date(let updated) = value { grants?.updated = max(UInt64(updated), 1) }
            case "SpecialFeatureOptIns", "SpecialFeatureExpressConsent":
                grants?.specialFeatures = ids(value).reduce(0) {
                    $0 | TCFGrants.bit(specialFeature: $1)
                }
            case "PurposesConsent", "PurposesExpressConsent": grants?.consents = purposes(value)
            case "PurposesLITransparency", "PurposesImpliedConsent":
                grants?.interests = purposes(value)
            case "PubPurposesConsent", "PubPurposesExpressConsent":
                grants?.publisherConsents = purposes(value)
            case "PubPurposesLITransparency", "PubPurposesImpliedConsent":
                grants?.publisherInterests = purposes(value)
            case "VendorConsent", "VendorExpressConsent":
                grants?.vendorConsents = watched(ids(value))
            case "VendorLegitimateInterest", "VendorImpliedConsent":
                grants?.vendorInterests = watched(ids(value))
            case "DisclosedVendors": grants?.vendorsDisclosed = watched(ids(value))
            case "PubRestrictions":
                guard case .restrictions(let list) = value else { break }
                for entry in list {
                    let bit = TCFGrants.bit(purpose: entry.purpose)
                    for (place, vendor) in vendors.enumerated()
                    where entry.vendors.contains(Int(vendor)) {
                        switch entry.type {
                        case 0: grants?.forbidden[place] |= bit
                        case 1: grants?.consentOnly[place] |= bit
                        default: grants?.interestOnly[place] |= bit
                        }
                    }
                }
            case "SaleOptOut": if values(value).contains(1) { extract.optOuts |= OptOuts.sale }
            case "SharingOptOut":
                if values(value).contains(1) { extract.optOuts |= OptOuts.sharing }
            case "TargetedAdvertisingOptOut":
                if values(value).contains(1) { extract.optOuts |= OptOuts.targetedAdvertising }
            case "SensitiveDataProcessing":
                if values(value).contains(1) { extract.optOuts |= OptOuts.sensitiveData }
            case "KnownChildSensitiveDataConsents":
                if values(value).contains(1) { extract.optOuts |= OptOuts.knownChild }
            case "AdditionalDataProcessingConsent", "PersonalDataConsents":
                if values(value).contains(1) { extract.optOuts |= OptOuts.additionalProcessing }
            case "Gpc": if value == .flag(true) { extract.optOuts |= OptOuts.globalPrivacyControl }
            case "OptOutSale":
                if value != .text("-") { extract.standing = .understood }
                if value == .text("Y") { extract.optOuts |= OptOuts.sale }
            default: break
            }
        }
    }
    close()
    return extract
}

private func scanned(
    _ text: String, _ kind: ConsentReader.Kind, _ reader: ConsentReader
) -> ConsentExtract {
    let units = Array(text.utf8)
    return reader.extract(kind, units.span, 0..<units.count, form: .query)
}

/// A string at random and what it is.
private func sample(using generator: inout Generator) -> (text: String, kind: ConsentReader.Kind) {
    if generator.chance(0.4) { return (SampleTCF(using: &generator).text, .tcf) }
    if generator.chance(0.1) {
        let units = ["Y", "N", "-", "y", "n"]
        return (
            "1" + (0..<3).map { _ in units.randomElement(using: &generator)! }.joined(), .usPrivacy
        )
    }
    let ids = ([2, 5, 6] + Array(7...27)).filter { _ in generator.chance(0.15) }
    let sections = ids.map { id -> (id: Int, text: String) in
        switch id {
        case 2: (id, SampleTCF(using: &generator).text)
        case 5: (id, SampleTCF(using: &generator).canadianText)
        case 6: (id, "1YN-")
        default: (id, SampleGPP.section(id, using: &generator))
        }
    }
    return (SampleGPP.text(sections), .gpp)
}

private func format(_ kind: ConsentReader.Kind) -> DecodedConsent.Format {
    switch kind {
    case .tcf: .tcf
    case .gpp: .gpp
    case .usPrivacy: .usPrivacy
    case .gcs: .gcs
    case .gcd: .gcd
    }
}

@Suite struct `Consent scanner` {
    private let reader = ConsentReader(vendors: vendors, key: nil)

    @Test func `whatever is written is read back, and read alike by both readers`() {
        var generator = Generator()
        for _ in 0..<150 {
            let (text, kind) = sample(using: &generator)
            let decoded = ConsentDecoder.decode(text, as: format(kind))
            #expect(
                decoded.fault == nil,
                "seed \(generator.seed): \(text): \(decoded.fault?.text ?? "")")
            #expect(
                scanned(text, kind, reader) == expected(decoded), "seed \(generator.seed): \(text)")
        }
    }

    @Test func `a TC string's choices survive writing and reading`() {
        var generator = Generator()
        for _ in 0..<60 {
            let sample = SampleTCF(using: &generator)
            let decoded = ConsentDecoder.decode(sample.text, as: .tcf)
            let fields = Dictionary(
                decoded.segments.flatMap(\.fields).map { ($0.name, $0.value) },
                uniquingKeysWith: { first, _ in first })
            let comment: Comment = "seed \(generator.seed): \(sample.text)"
            #expect(fields["Created"] == .date(sample.created), comment)
            #expect(fields["SpecialFeatureOptIns"] == .ids(sample.specialFeatures), comment)
            #expect(fields["PurposesConsent"] == .ids(sample.consents), comment)
            #expect(fields["PurposesLITransparency"] == .ids(sample.interests), comment)
            #expect(fields["VendorConsent"] == .ids(sample.vendorConsents), comment)
            #expect(fields["VendorLegitimateInterest"] == .ids(sample.vendorInterests), comment)
            #expect(fields["DisclosedVendors"] == sample.disclosed.map { .ids($0) }, comment)
            #expect(fields["AllowedVendors"] == sample.allowed.map { .ids($0) }, comment)
            #expect(
                fields["PubRestrictions"]
                    == .restrictions(
                        sample.restrictions.map {
                            .init(purpose: $0.purpose, type: $0.type, vendors: $0.vendors)
                        }), comment)
        }
    }

    @Test func `damaged strings crash neither reader, and both give the same verdict`() {
        var generator = Generator()
        let characters = Array(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~=+ \u{0}é")
        var invalid = 0
        for _ in 0..<600 {
            let (whole, kind) = sample(using: &generator)
            var text = Array(whole)
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0...text.count, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: text.removeSubrange(place...)
                case 1: text.insert(characters.randomElement(using: &generator)!, at: place)
                case 2 where place < text.count: text.remove(at: place)
                case 3 where place < text.count:
                    text[place] = characters.randomElement(using: &generator)!
                default: text += text[place...]
                }
            }
            let decoded = ConsentDecoder.decode(String(text), as: format(kind))
            if !decoded.isValid { invalid += 1 }
            #expect(
                scanned(String(text), kind, reader) == expected(decoded),
                "seed \(generator.seed): \(String(text)): \(decoded.fault?.text ?? "valid")")
        }
        // Most damage is seen; what is left changed a value to another that is defined.
        #expect(invalid > 300, "seed \(generator.seed)")
    }

    @Test func `any bytes at all are read without a crash`() {
        var generator = Generator()
        for _ in 0..<800 {
            let units = generator.bytes(count: Int.random(in: 0...80, using: &generator))
            for kind in [ConsentReader.Kind.tcf, .gpp, .usPrivacy, .gcs, .gcd] {
                let extract = reader.extract(kind, units.span, 0..<units.count, form: .query)
                #expect(
                    extract.standing != .understood || units.count >= 4,
                    "seed \(generator.seed): \(units)")
            }
        }
    }

    @Test func `escapes are taken out, and a broken one is a fault`() {
        let text = "DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN"
        let escaped = text.replacing("~", with: "%7E").replacing("-", with: "%2d")
        #expect(scanned(escaped, .gpp, reader) == scanned(text, .gpp, reader))
        #expect(scanned(escaped, .gpp, reader).standing == .understood)
        #expect(scanned(text + "%", .gpp, reader).standing == .invalid)
        #expect(scanned(text.replacing("~", with: "%7"), .gpp, reader).standing == .invalid)
        #expect(scanned(text.replacing("-", with: "+"), .gpp, reader).standing == .invalid)
    }

    @Test func `length is bounded`() {
        let longest = String(repeating: "A", count: ConsentLimits.textBytesMax)
        #expect(scanned("C" + longest.dropFirst(), .tcf, reader).standing == .invalid)
        #expect(
            ConsentDecoder.decode("C" + longest, as: .tcf).fault?.code == .tooLong)
        #expect(scanned("C" + longest, .tcf, reader).standing == .invalid)
    }

    @Test func `a TCF 1 string says nothing, and a corrupt one is a fault`() {
        #expect(scanned("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA", .tcf, reader).standing == .silent)
        #expect(scanned("BOEFEAyOEFEAyAHABDENAI4AAAB9", .tcf, reader).standing == .invalid)
    }
}

@Suite struct `Grants of TC strings` {
    private func grants(_ change: (inout SampleTCF) -> Void) -> TCFGrants {
        var sample = SampleTCF()
        sample.consents = [1, 2, 8]
        sample.interests = [1, 7, 8]
        sample.vendorConsents = [1, 12]
        sample.vendorInterests = [12, 30]
        change(&sample)
        return scanned(sample.text, .tcf, ConsentReader(vendors: vendors, key: nil)).tcf
    }

    private func mask(_ purposes: [Int]) -> UInt32 {
        purposes.reduce(0) { $0 | TCFGrants.bit(purpose: $1) }
    }

    @Test func `a purpose needs its bit on the basis that is asked for`() {
        let grants = grants { _ in }
        #expect(grants.grants(mask([2, 8]), to: .anyone, on: .consent))
        #expect(!grants.grants(mask([7]), to: .anyone, on: .consent))
        #expect(grants.grants(mask([7]), to: .anyone, on: .interest))
        #expect(!grants.grants(mask([2]), to: .anyone, on: .interest))
        #expect(grants.grants(mask([2, 7, 8]), to: .anyone, on: .either))
        #expect(!grants.grants(mask([3]), to: .anyone, on: .either))
    }

    @Test func `storage and profiles never rest on legitimate interest`() {
        let grants = grants { $0.interests = Array(1...11) }
        for purpose in 1...11 {
            #expect(
                grants.grants(mask([purpose]), to: .anyone, on: .interest)
                    == ![1, 3, 4, 5, 6].contains(purpose))
        }
    }

    @Test func `a vendor needs its own bit as well`() {
        let grants = grants { _ in }
        #expect(grants.grants(mask([2]), to: .vendor(0), on: .consent))
        #expect(!grants.grants(mask([8]), to: .vendor(0), on: .interest))
        #expect(!grants.grants(mask([2]), to: .vendor(2), on: .either))
        #expect(grants.grants(mask([7]), to: .vendor(3), on: .interest))
    }

    @Test func `a publisher's restriction takes a basis from a vendor`() {
        for type in 0...2 {
            let grants = grants { $0.restrictions = [(8, type, [12])] }
            #expect(grants.grants(mask([8]), to: .vendor(1), on: .consent) == (type == 1))
            #expect(grants.grants(mask([8]), to: .vendor(1), on: .interest) == (type == 2))
            #expect(grants.grants(mask([8]), to: .vendor(1), on: .either) == (type != 0))
            #expect(grants.grants(mask([8]), to: .vendor(0), on: .consent))
            #expect(grants.grants(mask([8]), to: .anyone, on: .consent))
        }
    }

    @Test func `a vendor that was not disclosed has no basis`() {
        let grants = grants { $0.disclosed = [12] }
        #expect(grants.grants(mask([2]), to: .vendor(1), on: .consent))
        #expect(!grants.grants(mask([2]), to: .vendor(0), on: .consent))
    }

    @Test func `the publisher has purposes of its own`() {
        let grants = grants { $0.publisher = ([9], [10], 2) }
        #expect(grants.grants(mask([9]), to: .publisher, on: .consent))
        #expect(grants.grants(mask([10]), to: .publisher, on: .interest))
        #expect(!grants.grants(mask([2]), to: .publisher, on: .either))
    }

    @Test func `of two strings only what both grant is granted`() {
        var generator = Generator()
        let reader = ConsentReader(vendors: vendors, key: nil)
        for _ in 0..<60 {
            let one = scanned(SampleTCF(using: &generator).text, .tcf, reader).tcf
            let two = scanned(SampleTCF(using: &generator).text, .tcf, reader).tcf
            let both = one.met(with: two)
            #expect(both == two.met(with: one))
            for holder in [TCFGrants.Holder.anyone, .publisher, .vendor(0), .vendor(3)] {
                for basis in [TCFGrants.Basis.consent, .interest, .either] {
                    let purposes = mask([Int.random(in: 1...24, using: &generator)])
                    if both.grants(purposes, to: holder, on: basis) {
                        #expect(
                            one.grants(purposes, to: holder, on: basis), "seed \(generator.seed)")
                        #expect(
                            two.grants(purposes, to: holder, on: basis), "seed \(generator.seed)")
                    }
                }
            }
        }
    }
}

@Suite struct `Consent reader's table` {
    @Test func `a string read before is found, under its kind alone`() {
        let reader = ConsentReader(vendors: vendors, key: (1, 2))
        let fresh = ConsentReader(vendors: vendors, key: nil)
        var generator = Generator()
        var texts: [(String, ConsentReader.Kind)] = []
        for _ in 0..<100 { texts.append(sample(using: &generator)) }
        for (text, kind) in texts + texts {
            for asked in [kind, .tcf, .gpp] {
                #expect(
                    scanned(text, asked, reader) == scanned(text, asked, fresh),
                    "seed \(generator.seed): \(text)")
            }
        }
        #expect(reader.hits > reader.misses)
    }

    @Test func `more strings than there are slots still read right`() {
        let reader = ConsentReader(vendors: vendors, key: (3, 4))
        var sample = SampleTCF()
        for round in 0..<2 {
            for number in 0..<ConsentReader.slotCount + 100 {
                sample.created = 1_000_000 + number
                sample.consents = [1 + number % 24]
                let extract = scanned(sample.text, .tcf, reader)
                #expect(
                    extract.tcf.consents == TCFGrants.bit(purpose: 1 + number % 24), "\(round)")
            }
        }
    }
}
