import TestSupport
import Testing

@testable import Consent

/// The sections of the United States once more, from the writing side: copied from the tables of their specifications and not
/// from the layouts that are read by.
///
/// Origin: `Sections/US-National` and `Sections/US-States/*` of InteractiveAdvertisingBureau/Global-Privacy-Platform, section ids as
/// each page's summary registers them.
struct WrittenSection: CustomTestStringConvertible, Sendable {
    let id: Int
    let name: String
    /// Fields by their letters in ``names``, each with its number of values where that is not one; segments apart by a dot.
    let fields: String
    /// Whether the specification has a section header, which some encoders leave out.
    var hasHeader = false
    var version = 1
    var testDescription: String { "\(id) \(name), version \(version)" }

    static let all: [WrittenSection] = [
        .init(id: 7, name: "usnat", fields: "V H s h t n l S R T D12 K2 p M.G"),
        .init(id: 7, name: "usnat", fields: "V H s h t n l S R T D16 K3 p M.G", version: 2),
        .init(id: 8, name: "usca", fields: "V s h l S R D9 K2 p M.G"),
        .init(id: 9, name: "usva", fields: "V H s t S T D8 K M"),
        .init(id: 10, name: "usco", fields: "V H s t S T D7 K M.G"),
        .init(id: 11, name: "usut", fields: "V H s t n S T D8 K M"),
        .init(id: 12, name: "usct", fields: "V H s t S T D8 K3 M.G"),
        .init(id: 13, name: "usfl", fields: "V P s t S T D8 K3 A M"),
        .init(id: 14, name: "usmt", fields: "V H s t S T D8 K3 A M.G"),
        .init(id: 15, name: "usor", fields: "V P s t S T D11 K3 A M.G"),
        .init(id: 16, name: "ustx", fields: "V P s t S T D8 K A M.G"),
        .init(id: 17, name: "usde", fields: "V P s t S T D9 K5 A M.G"),
        .init(id: 18, name: "usia", fields: "V P s t o S T D8 K M.G"),
        .init(id: 19, name: "usne", fields: "V P s t S T D8 K A M.G"),
        .init(id: 20, name: "usnh", fields: "V P s t S T D8 K3 A M.G"),
        .init(id: 21, name: "usnj", fields: "V P s t S T D10 K5 A M.G"),
        .init(id: 22, name: "ustn", fields: "V P s t S T D8 K A M.G"),
        .init(id: 23, name: "usmn", fields: "V P s t S T D8 K A M.G"),
        .init(id: 24, name: "usmd", fields: "v c m P s t S T A.G", hasHeader: true),
        .init(id: 25, name: "usin", fields: "v c m P s t S T K A.D8", hasHeader: true),
        .init(id: 26, name: "usky", fields: "v c m P s t S T K A.D8", hasHeader: true),
        .init(id: 27, name: "usri", fields: "v c m P s t S T K A.D8", hasHeader: true),
    ]

    private static let names: [Character: [String]] = [
        "V": ["Version"], "v": ["MspaVersion"], "H": ["SharingNotice"], "P": ["ProcessingNotice"],
        "s": ["SaleOptOutNotice"], "h": ["SharingOptOutNotice"],
        "t": ["TargetedAdvertisingOptOutNotice"], "n": ["SensitiveDataProcessingOptOutNotice"],
        "o": ["SensitiveDataOptOutNotice"], "l": ["SensitiveDataLimitUseNotice"],
        "S": ["SaleOptOut"], "R": ["SharingOptOut"], "T": ["TargetedAdvertisingOptOut"],
        "D": ["SensitiveDataProcessing"], "K": ["KnownChildSensitiveDataConsents"],
        "A": ["AdditionalDataProcessingConsent"], "p": ["PersonalDataConsents"],
        "c": ["MspaCoveredTransaction"], "m": ["MspaMode"],
        "M": ["MspaCoveredTransaction", "MspaOptOutOptionMode", "MspaServiceProviderMode"],
        "G": ["SubsectionType", "Gpc"],
    ]

    /// Random values, and the string that holds them.
    func written(
        withHeader: Bool, withSecond: Bool, padding: Int, using random: inout Generator
    ) -> (text: String, segments: [[DecodedConsent.Field]]) {
        var texts: [String] = []
        var segments: [[DecodedConsent.Field]] = []
        func field(_ name: String, _ value: DecodedConsent.Value) -> DecodedConsent.Field {
            DecodedConsent.Field(name: name, value: value)
        }
        if hasHeader, withHeader {
            var writer = BitWriter()
            writer.put(id, 6)
            writer.put(1, 6)
            writer.put(fibonacciRanges: withSecond ? [1] : [])
            texts.append(writer.text(padding: padding))
            segments.append([
                field("SectionID", .integer(id)), field("Version", .integer(1)),
                field("SubSections", .ids(withSecond ? [1] : [])),
            ])
        }
        for segment in fields.split(separator: ".").prefix(withSecond ? 2 : 1) {
            var writer = BitWriter()
            var found: [DecodedConsent.Field] = []
            for code in segment.split(separator: " ") {
                let count = Int(code.dropFirst()) ?? 1
                for name in Self.names[code.first!]! {
                    switch name {
                    case "Version", "MspaVersion":
                        writer.put(version, 6)
                        found.append(field(name, .integer(version)))
                    case "SubsectionType":
                        writer.put(1, 2)
                        found.append(field(name, .integer(1)))
                    case "Gpc":
                        let value = random.chance(0.5)
                        writer.put(value)
                        found.append(field(name, .flag(value)))
                    default:
                        let values = (0..<count).map { _ in Int.random(in: 0...2, using: &random) }
                        for value in values { writer.put(value, 2) }
                        found.append(
                            field(name, count == 1 ? .integer(values[0]) : .list(values)))
                    }
                }
            }
            texts.append(writer.text(padding: padding))
            segments.append(found)
        }
        return (texts.joined(separator: "."), segments)
    }
}

@Suite struct `Written sections` {
    @Test func `are all that are registered`() {
        #expect(
            Set(WrittenSection.all.map(\.id)) == Set(GPPSection.usFirst...GPPSection.usLast))
        for section in WrittenSection.all {
            #expect(GPPSection.name(section.id)?.description == section.name)
        }
        #expect([1, 2, 5, 6].compactMap { GPPSection.name($0)?.description }.count == 4)
        #expect([0, 3, 4, 28].compactMap { GPPSection.name($0)?.description } == [])
    }

    @Test(arguments: WrittenSection.all)
    func `are read back value by value, and cut short they are faults`(_ section: WrittenSection) {
        var random = Generator()
        for round in 0..<24 {
            let hasSecond = section.fields.contains(".") && round.isMultiple(of: 2)
            let (text, segments) = section.written(
                withHeader: round % 4 > 1, withSecond: hasSecond, padding: round % 3 == 0 ? 8 : 6,
                using: &random)
            let decoded = ConsentDecoder.decode(SampleGPP.text([(section.id, text)]), as: .gpp)
            let comment: Comment = "seed \(random.seed): \(text)"
            #expect(decoded.fault == nil, comment)
            let found = decoded.segments.filter { $0.section == section.name }
            #expect(found.map(\.fields) == segments, comment)
            #expect(found.allSatisfy { $0.id == section.id }, comment)
            // Three characters are more than padding.
            let cut =
                hasSecond
                ? text.split(separator: ".").dropLast().joined(separator: ".") + "."
                : String(text.dropLast(3))
            let short = ConsentDecoder.decode(SampleGPP.text([(section.id, cut)]), as: .gpp)
            #expect(short.fault != nil, comment)
        }
    }
}
