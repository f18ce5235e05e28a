import TestSupport
import Testing

@testable import Consent

private func field(_ decoded: DecodedConsent, _ name: String, segment: String? = nil)
    -> DecodedConsent.Value?
{
    decoded.segments.filter { segment == nil || $0.name == segment }.flatMap(\.fields)
        .first { $0.name == name }?.value
}

private func decode(_ text: String) throws -> DecodedConsent {
    try #require(ConsentDecoder.decode(text))
}

/// Tenths of a second since 1970 of the start of 2022.
private let start2022 = 16_409_952_000

@Suite struct `TC strings` {
    /// Strings and values: test suite of IABTechLab/iabgpp-java, TcfEuV2Test.
    @Test func `the published examples decode field by field`() throws {
        let decoded = try decode(
            "COoC-kUOoC-kUAHABAENAwCoAIAAAELAAAwIF5wAoAAgAGAvMACX_ABBAAQAFA")
        #expect(decoded.fault == nil)
        #expect(field(decoded, "Version") == .integer(2))
        // 2019-10-07T05:17:54Z
        #expect(field(decoded, "Created") == .date(15_704_254_740))
        #expect(field(decoded, "LastUpdated") == .date(15_704_254_740))
        #expect(field(decoded, "CmpId") == .integer(7))
        #expect(field(decoded, "CmpVersion") == .integer(1))
        #expect(field(decoded, "ConsentScreen") == .integer(0))
        #expect(field(decoded, "ConsentLanguage") == .text("EN"))
        #expect(field(decoded, "VendorListVersion") == .integer(48))
        #expect(field(decoded, "TcfPolicyVersion") == .integer(2))
        #expect(field(decoded, "IsServiceSpecific") == .flag(true))
        #expect(field(decoded, "UseNonStandardTexts") == .flag(false))
        #expect(field(decoded, "SpecialFeatureOptIns") == .ids([1]))
        #expect(field(decoded, "PurposesConsent") == .ids([1]))
        #expect(field(decoded, "PurposesLITransparency") == .ids([2, 7, 9, 10]))
        #expect(field(decoded, "PurposeOneTreatment") == .flag(false))
        #expect(field(decoded, "PublisherCC") == .text("GB"))
        #expect(field(decoded, "VendorConsent") == .ids([1, 2, 3, 755]))
        #expect(field(decoded, "VendorLegitimateInterest") == .ids(Array(1...9)))
        #expect(
            field(decoded, "PubRestrictions")
                == .restrictions([.init(purpose: 1, type: 0, vendors: [10])]))
    }

    @Test func `bit fields and a padded publisher segment decode`() throws {
        let decoded = try decode(
            "COv_eg6Ov_eg6AOADBENAaCgAP_AAH_AACiQAVEUQQoAIQAqIoghAAQgAA.YAAAAAAAAAAAAAAAAAA")
        #expect(decoded.fault == nil)
        #expect(field(decoded, "CmpId") == .integer(14))
        #expect(field(decoded, "VendorListVersion") == .integer(26))
        #expect(field(decoded, "PublisherCC") == .text("US"))
        #expect(field(decoded, "PurposesConsent") == .ids(Array(1...10)))
        #expect(field(decoded, "PurposesLITransparency") == .ids(Array(2...10)))
        #expect(field(decoded, "VendorConsent") == .ids([2, 6, 8, 12, 18, 23, 25, 37, 42]))
        #expect(field(decoded, "VendorLegitimateInterest") == .ids([2, 6, 8, 12, 18, 23, 37, 42]))
        #expect(field(decoded, "NumCustomPurposes") == .integer(0))
    }

    @Test func `disclosed and allowed vendors decode in any order of segments`() throws {
        let decoded = try decode(
            "CPcqBNJPcqBNJNwAAAENAwCAAAAAAAAAAAAAAAAAAAAA.YAAAAAAAAAA.QGLtV_T9fb2vj-_Z99_tkeYwf95y3p-wzhheMs-8NyZeH_B4Wv2MyvBX4JiQKGRgksjLBAQdtHGlcTQgBwIlViTLMYk2MjzNKJrJEilsbO2dYGD9Pn8HT3ZCY70-vv__7v3ff_3g.IGLtV_T9fb2vj-_Z99_tkeYwf95y3p-wzhheMs-8NyZeH_B4Wv2MyvBX4JiQKGRgksjLBAQdtHGlcTQgBwIlViTLMYk2MjzNKJrJEilsbO2dYGD9Pn8HT3ZCY70-vv__7v3ff_3g"
        )
        #expect(decoded.fault == nil)
        #expect(
            decoded.segments.map(\.name) == [
                "core", "publisher TC", "allowed vendors", "disclosed vendors",
            ])
        #expect(field(decoded, "CmpId") == .integer(880))
        for name in ["DisclosedVendors", "AllowedVendors"] {
            guard case .ids(let ids)? = field(decoded, name) else {
                Issue.record("\(name) is missing")
                continue
            }
            #expect(ids.count == 434)
            #expect(ids.prefix(10) == [1, 2, 4, 6, 8, 10, 11, 12, 13, 14])
            #expect(ids.suffix(5) == [786, 788, 789, 790, 791])
        }
    }

    @Test func `a thousand restrictions of every vendor stay a thousand ranges`() throws {
        var sample = SampleTCF()
        sample.broadRestrictions = 900
        #expect(sample.text.utf8.count <= ConsentLimits.textBytesMax)
        let decoded = try decode(sample.text)
        #expect(decoded.fault == nil)
        guard case .restrictions(let restrictions)? = field(decoded, "PubRestrictions") else {
            Issue.record("PubRestrictions is missing")
            return
        }
        #expect(restrictions.count == 900)
        #expect(restrictions.allSatisfy { $0.vendors.ranges == [1...65535] })
    }

    @Test func `ranges that name the same vendors again and again are merged`() throws {
        var sample = SampleTCF()
        sample.broadVendorRuns = 1400
        #expect(sample.text.utf8.count <= ConsentLimits.textBytesMax)
        let decoded = try decode(sample.text)
        #expect(field(decoded, "VendorConsent") == .ids(Array(1...65535)))
    }

    @Test func `merged ranges hold what their parts hold`() {
        var random = Generator()
        for _ in 0..<300 {
            let parts = (0..<Int.random(in: 0...6, using: &random)).map { _ in
                let start = Int.random(in: 1...30, using: &random)
                return start...start + Int.random(in: 0...8, using: &random)
            }
            let merged = DecodedConsent.IDRanges(parts)
            let ids = Set(parts.flatMap { Array($0) })
            #expect(merged.ids == ids.sorted(), "seed \(random.seed)")
            #expect(merged.complement(upTo: 40) == (1...40).filter { !ids.contains($0) })
            #expect((1...40).allSatisfy { merged.contains($0) == ids.contains($0) })
            #expect(
                zip(merged.ranges, merged.ranges.dropFirst()).allSatisfy {
                    $0.upperBound + 1 < $1.lowerBound
                })
        }
    }

    @Test(arguments: [
        (
            "CPgA5EAPgA5EAAOACBENCuCoAP_AAEfAACiQI0Nd_H__bX9n-f7_6Pt0cY1f9_r3ruQzDhfFk-8F3L_W3LwX32E7NF36pq4KmR4ku1LBIQFtHMnUDUmxaokVrzHsak2cpyNKI7BkknsZe2dYGF9Pm5lD-QKZ7_5_d3f52T_9_9v-39z339V3v3d93-_12PjdV599H_v9fR_b8_Kf9_5-_4v8___4IQAAAAQQ_AJMNW4gC7EscCbQMIoAQIwrCQqAUAEFAMLRAYAODgpmVgEusIEACAUARgRAhxBRgQCAAACAJCIAJAiwQAIAiAQAAgARAIQAEDAIKACwMAgABANAxACgAECQgyICIpTAgIgSCAlsqEEoKpDTCAKssAKARGwUACIAABSAAICwcAwRICViwQJMUbwAw0AGAAIJHCIAMAAQSOFQAYAAgkcA",
            693, 254
        )
    ])
    func `long published strings hold their vendors`(
        _ text: String, _ consents: Int, _ interests: Int
    )
        throws
    {
        let decoded = try decode(text)
        #expect(decoded.fault == nil)
        guard case .ids(let consented)? = field(decoded, "VendorConsent"),
            case .ids(let interested)? = field(decoded, "VendorLegitimateInterest")
        else {
            Issue.record("vendors are missing")
            return
        }
        #expect(consented.count == consents)
        #expect(interested.count == interests)
        #expect(field(decoded, "PurposesConsent") == .ids(Array(1...10)))
        #expect(field(decoded, "PurposesLITransparency") == .ids([2, 6, 7, 8, 9, 10]))
    }

    /// From the specification of the GPP string of IAB Tech Lab, its first example.
    @Test func `the example of the GPP specification decodes`() throws {
        let decoded = try decode("DBABM~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA")
        #expect(decoded.fault == nil)
        #expect(field(decoded, "Sections") == .ids([2]))
        #expect(decoded.segments.map(\.section) == ["gpp", "tcfeuv2"])
    }

    @Test func `what is not padding is a fault`() throws {
        let good = "COoC-kUOoC-kUAHABAENAwCoAIAAAELAAAwIF5wAoAAgAGAvMACX_ABBAAQAFA"
        #expect(try decode(good + "AAAA").fault == nil)
        #expect(try decode(good + "AAAB").fault?.code == .trailingBits)
        #expect(try decode(good + String(repeating: "A", count: 11)).fault?.code == .trailingBits)
        #expect(try decode(good + "=").fault?.code == .badCharacter)
        #expect(try decode(good + ".").fault?.code == .emptySegment)
        #expect(try decode(String(good.dropLast(3))).fault?.code == .truncated)
        #expect(try decode(good + "~").fault?.code == .wrongDelimiter)
    }

    @Test func `fields outside their definition are faults`() {
        func fault(_ change: (inout SampleTCF) -> Void) -> ConsentFault.Code? {
            var sample = SampleTCF()
            change(&sample)
            return ConsentDecoder.decode(sample.text, as: .tcf).fault?.code
        }
        #expect(fault { _ in } == nil)
        #expect(fault { $0.updated = $0.created - 1 } == .datesReversed)
        #expect(fault { $0.language = "D[" } == .badValue)
        #expect(fault { $0.restrictions = [(0, 1, [1])] } == .badValue)
        #expect(fault { $0.restrictions = [(25, 1, [1])] } == .badValue)
        #expect(fault { $0.restrictions = [(2, 3, [1])] } == .badValue)
    }

    @Test func `since March 2026 the disclosed vendors must be there`() {
        var sample = SampleTCF()
        sample.updated = Int(ConsentLimits.disclosureDemandedSince) - 1
        #expect(ConsentDecoder.decode(sample.text, as: .tcf).isValid)
        sample.updated += 1
        #expect(ConsentDecoder.decode(sample.text, as: .tcf).fault?.code == .missingSegment)
        sample.disclosed = [1, 2]
        #expect(ConsentDecoder.decode(sample.text, as: .tcf).isValid)
    }

    @Test func `a segment that stands twice is a fault, and so is an unknown one`() {
        var sample = SampleTCF()
        sample.disclosed = [3]
        let parts = sample.text.split(separator: ".")
        #expect(
            ConsentDecoder.decode(sample.text + "." + parts[1], as: .tcf).fault?.code
                == .repeatedSegment)
        #expect(ConsentDecoder.decode(sample.text + ".AA", as: .tcf).fault?.code == .unknownSegment)
        #expect(ConsentDecoder.decode(sample.text + ".gA", as: .tcf).fault?.code == .unknownSegment)
    }

    /// "Consent string and vendor list formats v1.1" of IAB Europe, its example.
    @Test func `a version 1 string is told apart and held to its layout`() throws {
        let decoded = try decode("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA")
        #expect(decoded.fault == nil)
        #expect(field(decoded, "Version") == .integer(1))
        #expect(field(decoded, "CmpId") == .integer(7))
        #expect(field(decoded, "ConsentLanguage") == .text("EN"))
        #expect(field(decoded, "VendorListVersion") == .integer(8))
        #expect(field(decoded, "PurposesAllowed") == .ids([1, 2, 3]))
        // Everyone up to 2011 but vendor 9.
        #expect(field(decoded, "VendorConsent") == .ids((1...2011).filter { $0 != 9 }))
        #expect(try decode("BOEFEAyOEFEAyAHABDENAI4AAAB9").fault?.code == .truncated)
    }
}

@Suite struct `GPP strings` {
    struct Section: CustomTestStringConvertible, Sendable {
        var id: Int
        var text: String
        var values: [String: DecodedConsent.Value]
        var testDescription: String { "\(GPPSection.name(id)!)" }
    }

    private static let answers: [String: DecodedConsent.Value] = [
        "SaleOptOutNotice": .integer(1), "TargetedAdvertisingOptOutNotice": .integer(1),
        "SaleOptOut": .integer(1), "TargetedAdvertisingOptOut": .integer(1),
    ]

    private static let agreed: [String: DecodedConsent.Value] = answers.merging([
        "MspaCoveredTransaction": .integer(1), "MspaOptOutOptionMode": .integer(1),
        "MspaServiceProviderMode": .integer(2),
    ]) { $1 }

    private static func section(
        _ id: Int, _ text: String, _ values: [String: DecodedConsent.Value]
    ) -> Section {
        Section(id: id, text: text, values: agreed.merging(values) { $1 })
    }

    private static let eight = [2, 1, 0, 2, 1, 0, 2, 1]

    /// Strings and values: test suites of IABTechLab/iabgpp-java, one for each section.
    static let sections: [Section] =
        [
            section(
                7, "BVVVkkkkkpFY.YA",
                [
                    "SharingNotice": .integer(1), "SharingOptOut": .integer(1), "Gpc": .flag(true),
                    "SensitiveDataProcessing": .list(eight + [0, 2, 1, 0, 2, 1, 0, 2]),
                    "KnownChildSensitiveDataConsents": .list([2, 1, 0]),
                    "PersonalDataConsents": .integer(1),
                ]),
            section(
                7, "BVVVkkkklWA.YA",
                [
                    "SensitiveDataProcessing": .list(eight + [0, 2, 1, 0]),
                    "KnownChildSensitiveDataConsents": .list([2, 1]),
                    "PersonalDataConsents": .integer(1), "Gpc": .flag(true),
                ]),
            Section(
                id: 8, text: "BVWSSSVY.YA",
                values: [
                    "SaleOptOutNotice": .integer(1), "SharingOptOutNotice": .integer(1),
                    "SensitiveDataLimitUseNotice": .integer(1), "SaleOptOut": .integer(1),
                    "SharingOptOut": .integer(1), "SensitiveDataProcessing": .list(eight + [0]),
                    "KnownChildSensitiveDataConsents": .list([2, 1]),
                    "PersonalDataConsents": .integer(1), "MspaCoveredTransaction": .integer(1),
                    "MspaOptOutOptionMode": .integer(1), "MspaServiceProviderMode": .integer(2),
                    "Gpc": .flag(true),
                ]),
            section(
                9, "BVWSSVY",
                [
                    "SensitiveDataProcessing": .list(eight),
                    "KnownChildSensitiveDataConsents": .integer(1),
                ]),
            section(
                10, "BVWSSVg.YA",
                [
                    "SharingNotice": .integer(1), "Gpc": .flag(true),
                    "SensitiveDataProcessing": .list([2, 1, 0, 2, 1, 0, 2]),
                    "KnownChildSensitiveDataConsents": .integer(1),
                ]),
            section(
                11, "BVVkklWA",
                [
                    "SharingNotice": .integer(1),
                    "SensitiveDataProcessingOptOutNotice": .integer(1),
                    "SensitiveDataProcessing": .list(eight),
                    "KnownChildSensitiveDataConsents": .integer(1),
                ]),
            section(
                12, "BVWSSZFg.YA",
                [
                    "SensitiveDataProcessing": .list(eight),
                    "KnownChildSensitiveDataConsents": .list([2, 1, 0]), "Gpc": .flag(true),
                ]),
            section(
                13, "BVWSSZlY",
                [
                    "ProcessingNotice": .integer(1), "SensitiveDataProcessing": .list(eight),
                    "KnownChildSensitiveDataConsents": .list([2, 1, 2]),
                    "AdditionalDataProcessingConsent": .integer(1),
                ]),
            section(
                14, "BVWSSZFY.YA",
                [
                    "SharingNotice": .integer(1), "SensitiveDataProcessing": .list(eight),
                    "KnownChildSensitiveDataConsents": .list([2, 1, 0]),
                    "AdditionalDataProcessingConsent": .integer(1), "Gpc": .flag(true),
                ]),
            section(
                15, "BVWSSRpFYA.YA",
                [
                    "ProcessingNotice": .integer(1),
                    "SensitiveDataProcessing": .list(eight + [0, 1, 2]),
                    "KnownChildSensitiveDataConsents": .list([2, 1, 0]),
                    "AdditionalDataProcessingConsent": .integer(1), "Gpc": .flag(true),
                ]),
            section(
                16, "BVWSSVWA.YA",
                [
                    "ProcessingNotice": .integer(1), "SensitiveDataProcessing": .list(eight),
                    "KnownChildSensitiveDataConsents": .integer(1),
                    "AdditionalDataProcessingConsent": .integer(1), "Gpc": .flag(true),
                ]),
            section(
                17, "BVWSSSSVYA.YA",
                [
                    "SensitiveDataProcessing": .list(eight + [0]),
                    "KnownChildSensitiveDataConsents": .list([2, 1, 0, 2, 1]),
                    "AdditionalDataProcessingConsent": .integer(1), "Gpc": .flag(true),
                ]),
            section(
                18, "BVVkklWA.YA",
                [
                    "ProcessingNotice": .integer(1), "SensitiveDataOptOutNotice": .integer(1),
                    "SensitiveDataProcessing": .list(eight), "Gpc": .flag(true),
                    "KnownChildSensitiveDataConsents": .integer(1),
                ]),
            section(
                19, "BVWSSVWA.YA",
                [
                    "ProcessingNotice": .integer(1), "SensitiveDataProcessing": .list(eight),
                    "KnownChildSensitiveDataConsents": .integer(1),
                    "AdditionalDataProcessingConsent": .integer(1), "Gpc": .flag(true),
                ]),
            section(
                20, "BVWSSZFY.YA",
                [
                    "ProcessingNotice": .integer(1), "SensitiveDataProcessing": .list(eight),
                    "KnownChildSensitiveDataConsents": .list([2, 1, 0]),
                    "AdditionalDataProcessingConsent": .integer(1), "Gpc": .flag(true),
                ]),
            section(
                21, "BVWSSRklWA.YA",
                [
                    "SensitiveDataProcessing": .list(eight + [0, 1]),
                    "KnownChildSensitiveDataConsents": .list([2, 1, 0, 2, 1]),
                    "AdditionalDataProcessingConsent": .integer(1), "Gpc": .flag(true),
                ]),
            section(
                22, "BVWSSVWA.YA",
                [
                    "ProcessingNotice": .integer(1), "SensitiveDataProcessing": .list(eight),
                    "KnownChildSensitiveDataConsents": .integer(1),
                    "AdditionalDataProcessingConsent": .integer(1), "Gpc": .flag(true),
                ]),
            section(
                23, "BVWSSVWA.YA",
                [
                    "SensitiveDataProcessing": .list(eight),
                    "KnownChildSensitiveDataConsents": .integer(1), "Gpc": .flag(true),
                ]),
        ]
        // The suite's own string, and with the section header of the specification, which the suite lacks.
        + ["BVVU.YA", "YBABYA.BVVU.YA"].map { text in
            Section(
                id: 24, text: text,
                values: answers.merging([
                    "MspaVersion": .integer(1),
                    "MspaMode": .integer(1), "MspaCoveredTransaction": .integer(1),
                    "ProcessingNotice": .integer(1),
                    "AdditionalDataProcessingConsent": .integer(1), "Gpc": .flag(true),
                ]) { $1 })
        }
        // With the header, and as the suites of June 2026 had them without.
        + [
            (25, "ZBABYA."), (26, "aBABYA."), (27, "bBABYA."), (25, ""), (26, ""), (27, ""),
        ].map { id, header in
            Section(
                id: id, text: "\(header)BVVV.kkk",
                values: answers.merging([
                    "MspaVersion": .integer(1), "MspaMode": .integer(1),
                    "MspaCoveredTransaction": .integer(1), "ProcessingNotice": .integer(1),
                    "KnownChildSensitiveDataConsents": .integer(1),
                    "AdditionalDataProcessingConsent": .integer(1),
                    "SensitiveDataProcessing": .list(eight),
                ]) { $1 })
        }

    @Test(arguments: sections)
    func `a section decodes to its published values`(_ section: Section) throws {
        let decoded = try decode(SampleGPP.text([(section.id, section.text)]))
        #expect(decoded.fault == nil)
        for (name, value) in section.values.sorted(by: { $0.key < $1.key }) {
            #expect(field(decoded, name) == value, "\(name)")
        }
    }

    /// Default strings of the same test suites: no answer, no opt-out, Global Privacy Control off.
    @Test(arguments: [
        (7, "BAAAAAAAAABA.QA"), (7, "BAAAAAAAAQA.QA"), (8, "BAAAAABA.QA"), (9, "BAAAABA"),
        (10, "BAAAAEA.QA"), (18, "BAAAAAQA.QA"), (19, "BAAAAAQA.QA"), (20, "BAAAAABA.QA"),
        (22, "BAAAAAQA.QA"), (24, "YBAA.AQAA"), (24, "BQAA.QA"), (25, "BQAA.AAA"), (27, "BQAA"),
        (11, "BAAAAAQA"), (12, "BAAAAAEA.QA"), (13, "BAAAAABA"), (14, "BAAAAABA.QA"),
        (15, "BAAAAAABAA.QA"), (16, "BAAAAAQA.QA"), (17, "BAAAAAABAA.QA"), (21, "BAAAAAAAQA.QA"),
        (23, "BAAAAAQA.QA"), (25, "ZBAA.AQAA"), (26, "aBAA.AQAA"), (27, "bBAA.AQAA"),
    ])
    func `a section without answers withholds nothing`(_ id: Int, _ text: String) throws {
        let whole = SampleGPP.text([(id, text)])
        #expect(try decode(whole).fault == nil)
        let units = Array(whole.utf8)
        var scanner = ConsentScanner(vendors: [])
        let extract = try scanner.gpp(units.span, 0..<units.count)
        #expect(extract.standing == .understood)
        #expect(extract.optOuts == 0)
        #expect(extract.sections == 1 << UInt32(id))
    }

    /// Headers: the three examples of the GPP specification.
    @Test func `headers name their sections`() throws {
        #expect(SampleGPP.header([2]) == "DBABM")
        #expect(SampleGPP.header([2, 6]) == "DBACNY")
        #expect(SampleGPP.header([5, 6]) == "DBABjw")
        let decoded = try decode("DBACNY~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN")
        #expect(decoded.fault == nil)
        #expect(field(decoded, "Sections") == .ids([2, 6]))
        #expect(field(decoded, "OptOutSale") == .text("N"))
        #expect(try decode("DBAA").fault == nil)
    }

    /// String and values: test suite of IABTechLab/iabgpp-java, TcfCaV1Test.
    @Test func `a Canadian section decodes field by field`() throws {
        let decoded = try decode(
            SampleGPP.text([
                (5, "BPSG_8APSG_8AAyACAENGdCgf_gfgAfgfgBgABABAAABAB4AACACAAA.fHHHA4444ao")
            ]))
        #expect(decoded.fault == nil)
        #expect(field(decoded, "Created") == .date(start2022))
        #expect(field(decoded, "CmpId") == .integer(50))
        #expect(field(decoded, "CmpVersion") == .integer(2))
        #expect(field(decoded, "VendorListVersion") == .integer(413))
        #expect(field(decoded, "UseNonStandardStacks") == .flag(true))
        #expect(field(decoded, "SpecialFeatureExpressConsent") == .ids(Array(7...12)))
        #expect(
            field(decoded, "PurposesExpressConsent") == .ids(Array(1...6) + Array(13...18)))
        #expect(
            field(decoded, "PurposesImpliedConsent") == .ids(Array(7...12) + Array(19...24)))
        #expect(field(decoded, "VendorExpressConsent") == .ids([12, 24, 48]))
        #expect(field(decoded, "VendorImpliedConsent") == .ids([18, 30]))
        #expect(field(decoded, "NumCustomPurposes") == .integer(3))
        #expect(field(decoded, "CustomPurposesExpressConsent") == .ids([2]))
        #expect(field(decoded, "CustomPurposesImpliedConsent") == .ids([1, 3]))
        let restricted = try decode(
            SampleGPP.text([
                (5, "BPSG_8APSG_8AAAAAAENAACAAAAAAAAAAAAAAAAACCgBwABAAOAAoADgAJA.YAAAAAAAAAA")
            ]))
        #expect(restricted.fault == nil)
        #expect(
            field(restricted, "PubRestrictions")
                == .restrictions([.init(purpose: 1, type: 1, vendors: [1, 2, 3, 5, 6, 7, 9])]))
        let disclosed = try decode(
            SampleGPP.text([
                (5, "BPSG_8APSG_8AAAAAAENAACAAAAAAAAAAAAAAAAAAA.YAAAAAAAAAA.IAGO5w")
            ]))
        #expect(field(disclosed, "DisclosedVendors") == .ids([1, 2, 3, 5, 6, 7, 10, 11, 12]))
    }

    @Test(arguments: [
        ("DBABM", ConsentFault.Code.sectionCount), ("DBAA~1YNN", .sectionCount),
        ("DBACNY~1YNN", .truncated), ("DBABM~", .emptySegment), ("DCABM~A", .unknownVersion),
        ("DBABMAAAAAAAAAAAAAAAA", .trailingBits), ("DBABN", .trailingBits), ("DB", .truncated),
        ("DBABM.AA", .wrongDelimiter), ("DBABB", .truncated),
    ])
    func `a header that does not fit is a fault`(_ text: String, _ code: ConsentFault.Code) throws {
        #expect(try decode(text).fault?.code == code)
    }

    @Test
    func `sections that nobody registered, values and segments that nobody defined are faults`()
        throws
    {
        func fault(_ id: Int, _ text: String) throws -> ConsentFault.Code? {
            try decode(SampleGPP.text([(id, text)])).fault?.code
        }
        #expect(try fault(28, "BAAA") == .unknownSection)
        #expect(try fault(3, "BAAA") == .unknownSection)
        #expect(try fault(8, "CAAAAABA") == .unknownVersion)
        #expect(try fault(8, "B_WSSSVY") == .badValue)
        #expect(try fault(8, "BVWSSSVY.gA") == .unknownSegment)
        #expect(try fault(8, "BVWSSSVY.YA.YA") == .unknownSegment)
        #expect(try fault(9, "BVWSSVY.YA") == .unknownSegment)
        #expect(try fault(8, "BVWSSS") == .truncated)
        #expect(try fault(27, "aBABYA.BVVV.kkk") == .badValue)
        #expect(try fault(27, "bBABYA.BVVV") == .sectionCount)
        #expect(try fault(27, "bBAA.BVVV.kkk") == .sectionCount)
        #expect(try fault(27, "BQAAAAA.QA") == .truncated)
        #expect(try fault(27, "BVVVkkk.YA") == .trailingBits)
        #expect(try fault(27, "ZBAA.AQAA") == .badValue)
    }
}

@Suite struct `Short strings` {
    @Test func `us_privacy says whether sale is opted out of`() throws {
        let decoded = try decode("1YYN")
        #expect(decoded.format == .usPrivacy)
        #expect(field(decoded, "Notice") == .text("Y"))
        #expect(field(decoded, "OptOutSale") == .text("Y"))
        #expect(field(decoded, "LSPACovered") == .text("N"))
        #expect(try decode("1---").fault == nil)
        for text in ["2YNN", "1YN", "1YNNN", "1YXN", "1Y.N", ""] {
            #expect(!ConsentDecoder.decode(text, as: .usPrivacy).isValid, "\(text)")
        }
    }

    @Test func `gcs names two signals and gcd four`() throws {
        #expect(field(try decode("G101"), "ad_storage") == .text("denied"))
        #expect(field(try decode("G101"), "analytics_storage") == .text("granted"))
        #expect(field(try decode("G1--"), "analytics_storage") == .text("unset"))
        let decoded = try decode("11p1t1q1v5")
        #expect(decoded.format == .gcd)
        #expect(
            decoded.segments[0].fields.map(\.value) == [
                .text("denied"), .text("granted"), .text("denied"), .text("granted"),
            ])
        #expect(try decode("13l3l3l3l1l1").fault == nil)
        for text in ["G1", "G2xx", "G1xx", "G1000"] {
            #expect(!ConsentDecoder.decode(text, as: .gcs).isValid, "\(text)")
        }
        for text in ["11p1t1q1", "11p1t1q1x5", "21p1t1q1v5", "11p1t1q1vv", "11p1t1q1v"] {
            #expect(!ConsentDecoder.decode(text, as: .gcd).isValid, "\(text)")
        }
    }

    @Test func `gpp_sid lists sections by commas or underscores`() {
        func read(_ text: String) -> SectionList.Reading {
            let units = Array(text.utf8)
            return SectionList.read(units.span, 0..<units.count, form: .query)
        }
        #expect(read("") == .absent)
        #expect(read("7") == .sections(1 << 7))
        #expect(read("2,8") == .sections(1 << 2 | 1 << 8))
        #expect(read("2%2C8") == .sections(1 << 2 | 1 << 8))
        #expect(read("2_8") == .sections(1 << 2 | 1 << 8))
        #expect(read("-1") == .sections(0))
        #expect(read("0") == .sections(0))
        for text in ["x", "7,", ",7", "-2", "32", "7;8", "--1", "${GPP_SID}", "7%"] {
            #expect(read(text) == .invalid, "\(text)")
        }
    }
}
