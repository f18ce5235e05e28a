import Bytes
import Consent
import CordonModel
import Foundation

extension Command {
    static let consentDecode = Command(
        ["consent", "decode"],
        summary: "a TCF, GPP, us_privacy, gcs or gcd string, field by field",
        usage: "[--format FORMAT] STRING",
        options: [
            Option(
                name: "format", value: "FORMAT",
                help: "tcf, gpp, us_privacy, gcs or gcd (default: by how the string begins)")
        ],
        example: "cordon consent decode 'DBABBg~BUUAAAGA.QA'", arguments: 1...1
    ) { arguments, console in
        var text = arguments.free[0]
        if text == "-" {
            // Keeps a person's string out of the shell's history and the list of processes.
            text = (readLine() ?? "").trimmingCharacters(in: .whitespaces)
        }
        let decoded = try decode(text, arguments.value("format"))
        if arguments.wantsJSON {
            try console.print(json: DecodedConsentJSON(decoded))
        } else {
            print(decoded, console)
        }
        return decoded.isValid ? .done : .foundProblem
    }

    private static func decode(_ text: String, _ format: String?) throws -> DecodedConsent {
        if let format {
            guard let known = DecodedConsent.Format(rawValue: format) else {
                let names = DecodedConsent.Format.allCases.map(\.rawValue)
                throw UsageError(
                    text: "unknown format `\(format)`" + suggestion(format, among: names)
                        + "; the formats are \(names.joined(separator: ", "))")
            }
            return ConsentDecoder.decode(text, as: known)
        }
        guard let decoded = ConsentDecoder.decode(text) else {
            throw CommandFailure(
                text:
                    "this begins like no consent string: TCF begins with `C`, GPP with `D`, us_privacy "
                    + "with `1`, gcs with `G`, gcd with `1`; `--format` takes it as one of them",
                exitCode: .foundProblem)
        }
        return decoded
    }

    private static func print(_ decoded: DecodedConsent, _ console: Console) {
        console.print(
            "\(decoded.format.rawValue): \(decoded.fault.map { "invalid: \($0.text)" } ?? "valid")")
        var rows: [[String]] = []
        for segment in decoded.segments {
            for (place, field) in segment.fields.enumerated() {
                rows.append([
                    place == 0 ? segment.section + (segment.id.map { " (\($0))" } ?? "") : "",
                    place == 0 ? segment.name : "", field.name, field.value.shown,
                ])
            }
        }
        guard !rows.isEmpty else { return }
        console.print()
        console.table(["section", "segment", "field", "value"], rows)
    }
}

extension DecodedConsent.Value {
    /// The value as one cell; runs of ids are written as ranges.
    fileprivate var shown: String {
        switch self {
        case .integer(let number): "\(number)"
        case .flag(let isSet): isSet ? "yes" : "no"
        case .text(let text): text
        case .date(let deciseconds): Self.time(deciseconds)
        case .ids(let ids): Self.shown(DecodedConsent.IDRanges(ids.map { $0...$0 }))
        case .list(let values): values.map(String.init).joined(separator: " ")
        case .restrictions(let restrictions):
            restrictions.isEmpty
                ? "–"
                : restrictions.map {
                    "purpose \($0.purpose) \(Self.restrictionWord($0.type)): \(Self.shown($0.vendors))"
                }.joined(separator: "; ")
        }
    }

    private static func restrictionWord(_ type: Int) -> String {
        ["not allowed", "needs consent", "needs legitimate interest"][type]
    }

    fileprivate static func time(_ deciseconds: Int) -> String {
        Timestamp(microseconds: Int64(deciseconds) * 100_000).text
    }

    private static func shown(_ ids: DecodedConsent.IDRanges) -> String {
        let parts = ids.ranges.map {
            $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
        }
        return parts.isEmpty ? "–" : parts.joined(separator: ", ")
    }
}

/// `{"format","valid","error","segments":[{"section","id","segment","fields":{NAME: value}}]}`; a restriction's vendors are ranges of two
/// ids each.
private struct DecodedConsentJSON: Encodable {
    let decoded: DecodedConsent

    init(_ decoded: DecodedConsent) { self.decoded = decoded }

    private enum Key: String, CodingKey {
        case format, valid, error, segments, section, id, segment, fields, purpose, type, vendors
    }

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(decoded.format.rawValue, forKey: .format)
        try container.encode(decoded.isValid, forKey: .valid)
        try container.encode(decoded.fault?.text, forKey: .error)
        var list = container.nestedUnkeyedContainer(forKey: .segments)
        for segment in decoded.segments {
            var item = list.nestedContainer(keyedBy: Key.self)
            try item.encode(segment.section, forKey: .section)
            try item.encode(segment.id, forKey: .id)
            try item.encode(segment.name, forKey: .segment)
            var fields = item.nestedContainer(keyedBy: Name.self, forKey: .fields)
            for field in segment.fields {
                try Self.encode(field.value, Name(stringValue: field.name), &fields)
            }
        }
    }

    private static func encode(
        _ value: DecodedConsent.Value, _ name: Name, _ fields: inout KeyedEncodingContainer<Name>
    ) throws {
        switch value {
        case .integer(let number): try fields.encode(number, forKey: name)
        case .flag(let isSet): try fields.encode(isSet, forKey: name)
        case .text(let text): try fields.encode(text, forKey: name)
        case .date(let deciseconds):
            try fields.encode(DecodedConsent.Value.time(deciseconds), forKey: name)
        case .ids(let ids), .list(let ids): try fields.encode(ids, forKey: name)
        case .restrictions(let restrictions):
            var list = fields.nestedUnkeyedContainer(forKey: name)
            for restriction in restrictions {
                var item = list.nestedContainer(keyedBy: Key.self)
                try item.encode(restriction.purpose, forKey: .purpose)
                try item.encode(restriction.type, forKey: .type)
                try item.encode(
                    restriction.vendors.ranges.map { [$0.lowerBound, $0.upperBound] },
                    forKey: .vendors)
            }
        }
    }
}
