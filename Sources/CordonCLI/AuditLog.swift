import CordonAudit
import CordonModel

extension Command {
    private static let limitDefault = 50
    private static let limitMax = 1_000_000

    static let auditLog = Command(
        ["audit", "log"],
        summary: "the last entries of the audit logs",
        usage: "[--region REGION]… [--kind KIND] [--principal ROLE] [--since DAY] [--until DAY]",
        options: [
            .regions,
            .init(name: "kind", value: "KIND", help: "only entries of this kind, such as query"),
            .init(name: "principal", value: "ROLE", help: "only what this role asked for"),
            .init(name: "since", value: "DAY", help: "from this day on (YYYY-MM-DD, UTC)"),
            .init(name: "until", value: "DAY", help: "up to and with this day"),
            .init(
                name: "limit", value: "N",
                help: "at most so many entries a region (default \(limitDefault))"),
        ],
        example: "cordon audit log --region eu-central --kind query --limit 10"
    ) { arguments, console in
        var filter = AuditReader.Filter(
            kind: arguments.value("kind"), role: arguments.value("principal"))
        filter.since = try day("since", arguments)?.start
        filter.until = try day("until", arguments).map { ($0 + 1).start }
        let limit = try arguments.integer("limit", in: 1...limitMax) ?? limitDefault
        var found: [AuditReader.Stored] = []
        for region in try CordonCLI.regions(arguments) {
            let reader = try CordonCLI.auditReader(region)
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

    private static func day(_ name: String, _ arguments: Arguments) throws(UsageError) -> Day? {
        guard let text = arguments.value(name) else { return nil }
        guard let day = Day(text) else {
            throw UsageError(text: "option `--\(name)` takes a day as YYYY-MM-DD, found `\(text)`")
        }
        return day
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
