import CordonAudit
import CordonCatalog
import CordonJournal
import CordonKeys
import CordonLake
import CordonModel
import CordonPolicy
import CordonQuery
import CordonServer
import CordonSubjects

extension Command {
    static let policyReach = Command(
        ["policy", "reach"],
        summary: "every place where a field can come to rest, what ends it there, and who keeps it",
        usage: "FIELD", example: "cordon policy reach user", arguments: 1...1
    ) { arguments, console in
        let report = try ReachReport(
            arguments.free[0], CordonCLI.configuration(arguments).ruleSet)
        if arguments.wantsJSON {
            try console.print(json: report)
        } else {
            report.print(to: console)
        }
        return .done
    }
}

/// Where columns of the record can come to rest, from what each writer says of itself.
enum ReachGraph {
    /// All code that writes something of a hit; a test finds files that write and are none of theirs.
    static var writers: [any RestingWriter.Type] {
        [
            Intake.self, Journal.self, Catalog.self, HitsTable.self, AuditLog.self,
            RequestStore.self,
            RegionSubjects.self, ExportFile.self, QueryWorker.self, QueryResultFile.self,
            ErasedLedger.self, SubjectKeys.self,
        ]
    }

    /// The columns that can rest at each place.
    static let columns: [RestingPlace: Set<String>] = writers.flatMap { $0.rests }
        .reduce(into: [:]) { $0[$1.place, default: []].formUnion($1.columns) }
}

private struct ReachReport: Encodable {
    struct Place: Encodable {
        let place: String
        let path: String
        let columns: [String]
        let erasure: String
        let end: String
    }

    struct Keeper: Encodable {
        let policy: String
        let form: String
        let needs: [String]
        let days: Int
        let file: String
        let line: Int
    }

    let field: String
    let columns: [String]
    /// What of it is never anywhere but in memory.
    let raw: String
    let places: [Place]
    let keepers: [Keeper]

    init(_ name: String, _ rules: RuleSet) throws {
        let field = FieldName(rawValue: name)
        let columns = field?.columns ?? [name]
        guard field != nil || HitBatch.columns.contains(name) else {
            let known = FieldName.allCases.map(\.rawValue) + HitBatch.columns.sorted()
            throw UsageError(
                text: "unknown field or column `\(name)`" + suggestion(name, among: known)
                    + "; fields are \(FieldName.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self.field = name
        self.columns = columns
        let kept = field ?? FieldName.allCases.first { $0.columns.contains(name) }
        raw = Self.raw(kept)
        places = RestingPlace.allCases.compactMap { place in
            let here = columns.filter { ReachGraph.columns[place]?.contains($0) == true }
            guard !here.isEmpty else { return nil }
            return Place(
                place: place.rawValue, path: place.path, columns: here, erasure: place.erasure,
                end: place.end)
        }
        keepers = kept.map { field in rules.policies.compactMap { Self.keeper(field, $0) } } ?? []
    }

    /// What a field is made from, which rests nowhere.
    private static func raw(_ field: FieldName?) -> String {
        let raw =
            switch field {
            case .ip, .place: "the address"
            case .user: "the user id"
            case .visitor: "address and user agent"
            case .userAgent: "the user agent"
            case .page: "the page's URL"
            case .referrer: "the referrer's URL"
            case .language: "the header Accept-Language"
            case .parameters: "parameters that no policy allows"
            case nil: ""
            }
        return raw.isEmpty
            ? ""
            : "\(raw) itself: in the connection's buffer until the hit is transformed, and at rest nowhere"
    }

    private static func keeper(_ field: FieldName, _ policy: CompiledPolicy) -> Keeper? {
        let rules = policy.fields
        func keeper<Keeping>(
            _ rule: CompiledPolicy.FieldRules.Rule<Keeping>?, _ form: (Keeping) -> String
        ) -> Keeper? {
            rule.map { rule in
                Keeper(
                    policy: policy.name, form: form(rule.keeping), needs: rule.needs,
                    days: policy.retention.fieldDays[field] ?? policy.retention.hitsDays,
                    file: rule.position.file, line: rule.position.line)
            }
        }
        return switch field {
        case .ip: keeper(rules.ip) { "truncated to /\($0.ipv4), /\($0.ipv6)" }
        case .user: keeper(rules.user) { "pseudonym, key of one \($0.text)" }
        case .visitor: keeper(rules.visitor) { "pseudonym, key of one \($0.text)" }
        case .userAgent: keeper(rules.userAgent) { _ in "families" }
        case .page: keeper(rules.page) { $0.detail == .host ? "host" : "host and path" }
        case .referrer: keeper(rules.referrer) { _ in "host" }
        case .place: keeper(rules.place) { $0 == .country ? "country" : "subdivision" }
        case .language: keeper(rules.language) { _ in "primary tag" }
        case .parameters: keeper(rules.parameters) { $0.joined(separator: ", ") }
        }
    }

    func print(to console: Console) {
        console.print("\(field): columns \(columns.joined(separator: ", "))")
        if !raw.isEmpty { console.print(raw) }
        console.print()
        console.table(
            ["place", "where", "an erasure", "ends with"],
            places.map { [$0.place, $0.path, $0.erasure, $0.end] })
        console.print()
        guard !keepers.isEmpty else {
            console.print("every policy that keeps or counts a hit fills it")
            return
        }
        console.table(
            ["kept by", "as", "needs", "days", "rule"],
            keepers.map {
                [
                    $0.policy, $0.form, $0.needs.isEmpty ? "–" : $0.needs.joined(separator: ", "),
                    "\($0.days)", "\($0.file):\($0.line)",
                ]
            })
    }
}
