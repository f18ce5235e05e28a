import Bytes
import CordonAudit
import CordonKeys
import CordonModel
import CordonPolicy

extension Command {
    private static let limitDefault = 50
    private static let limitMax = 1_000_000

    static let auditLog = Command(
        ["audit", "log"],
        summary: "the last entries of the audit logs",
        usage:
            "[--region REGION]… [--kind KIND] [--principal ROLE] [--subject DIGEST] [--request ID] "
            + "[--since TIME] [--until TIME]",
        options: [
            .regions,
            .init(name: "kind", value: "KIND", help: "only entries of this kind, such as query"),
            .init(name: "principal", value: "ROLE", help: "only what this role asked for"),
            .init(
                name: "subject", value: "DIGEST",
                help:
                    "only entries about this person: the region's keyed digest or its first digits, at least "
                    + "\(subjectDigitsMin)"),
            .init(
                name: "request", value: "ID",
                help: "only entries about this request, by the id that `cordon subject` printed"),
            .init(
                name: "since", value: "TIME",
                help: "from this day or time on (YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ, UTC)"),
            .init(
                name: "until", value: "TIME", help: "up to and with this day, or before this time"),
            .init(
                name: "limit", value: "N",
                help: "at most so many entries a region (default \(limitDefault))"),
        ],
        example: "cordon audit log --region eu-central --kind query --limit 10"
    ) { arguments, console in
        var filter = AuditReader.Filter(
            kind: arguments.value("kind"), role: arguments.value("principal"),
            subject: try subject(arguments))
        filter.since = try time("since", arguments)?.start
        filter.until = try time("until", arguments)?.end
        let limit = try arguments.integer("limit", in: 1...limitMax) ?? limitDefault
        var found: [AuditReader.Stored] = []
        for region in try CordonCLI.regions(arguments) {
            let reader = try CordonCLI.auditReader(region)
            // Each region knows the request by another digest.
            if let id = arguments.value("request") {
                filter.request = try RegionKeys(
                    opening: region.keysDirectory, region: region.name
                ).requestDigest(id)
            }
            found += try reader.entries(matching: filter, limit: limit)
        }
        found.sort {
            ($0.entry.at, $0.entry.region, $0.index) < ($1.entry.at, $1.entry.region, $1.index)
        }
        if arguments.wantsJSON {
            for stored in found { try console.print(json: AuditLogLine(stored)) }
        } else {
            print(found, console)
        }
        return .done
    }

    /// Fewer digits than this fit too many people by chance.
    private static let subjectDigitsMin = 8

    private static func subject(_ arguments: Arguments) throws(UsageError) -> String? {
        guard let text = arguments.value("subject")?.lowercased() else { return nil }
        guard (subjectDigitsMin...64).contains(text.utf8.count),
            text.utf8.allSatisfy({ Bytes.hexDigit($0) != nil })
        else {
            throw UsageError(
                text:
                    "option `--subject` takes \(subjectDigitsMin) to 64 hexadecimal digits, as entries have them"
            )
        }
        return text
    }

    /// A day or a moment: where it begins, and where what it names has ended.
    private static func time(
        _ name: String, _ arguments: Arguments
    ) throws(UsageError) -> (start: Timestamp, end: Timestamp)? {
        guard let text = arguments.value(name) else { return nil }
        if let day = Day(text) { return (day.start, (day + 1).start) }
        guard let moment = moment(text) else {
            throw UsageError(
                text:
                    "option `--\(name)` takes a day as YYYY-MM-DD or a time as YYYY-MM-DDTHH:MM:SSZ, "
                    + "found `\(text)`")
        }
        return (moment, moment)
    }

    /// Reads `YYYY-MM-DDTHH:MM:SSZ`.
    private static func moment(_ text: String) -> Timestamp? {
        guard let match = text.wholeMatch(of: #/([0-9-]{10})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z/#),
            let day = Day(match.1), let hour = Int64(match.2), let minute = Int64(match.3),
            let second = Int64(match.4), hour < 24, minute < 60, second < 60
        else { return nil }
        let seconds = (hour * 60 + minute) * 60 + second
        return Timestamp(microseconds: day.start.microseconds + seconds * 1_000_000)
    }

    private static func print(_ found: [AuditReader.Stored], _ console: Console) {
        guard !found.isEmpty else { return console.note("no entries") }
        console.table(
            ["time", "region", "entry", "kind", "by", "details"],
            found.map { stored in
                let entry = stored.entry
                let by = entry.principal.map { "\($0.role) (\($0.purpose), \($0.place))" } ?? ""
                return [
                    entry.at.text, entry.region, String(stored.index), entry.kind, by,
                    details(entry.fields),
                ]
            })
    }

    private static func details(_ fields: [String: AuditEntry.Value]) -> String {
        fields.sorted { $0.key < $1.key }.map { name, value in
            switch value {
            case .text(let text): "\(name)=\(text)"
            case .integer(let number): "\(name)=\(number)"
            case .list(let texts): "\(name)=\(texts.joined(separator: ","))"
            }
        }.joined(separator: " ")
    }
}

/// One line of `audit log --json`: the entry with its index.
private struct AuditLogLine: Encodable {
    struct By: Encodable {
        let role: String
        let purpose: String
        let place: String
    }

    struct FieldValue: Encodable {
        let value: AuditEntry.Value

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch value {
            case .text(let text): try container.encode(text)
            case .integer(let number): try container.encode(number)
            case .list(let texts): try container.encode(texts)
            }
        }
    }

    let index: Int
    let at: String
    let kind: String
    let region: String
    let principal: By?
    let fields: [String: FieldValue]

    init(_ stored: AuditReader.Stored) {
        index = stored.index
        at = stored.entry.at.text
        kind = stored.entry.kind
        region = stored.entry.region
        principal = stored.entry.principal.map {
            By(role: $0.role, purpose: $0.purpose, place: $0.place)
        }
        fields = stored.entry.fields.mapValues(FieldValue.init)
    }
}
