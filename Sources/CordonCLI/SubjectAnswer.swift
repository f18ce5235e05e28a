import CordonModel
import CordonServer
import CordonSubjects
import LinuxIO

/// What a command says of one region.
struct SubjectAnswer {
    let region: String
    let state: String
    var rows: Int64 = 0
    var files: Int64 = 0
    var journalHits: Int64 = 0
    var unopenedValues = 0
    var pseudonyms = 0
    var filesRead = 0
    var traces: [SubjectTrace] = []
    var unread: [String] = []
    /// Where the certificate of an erasure lies.
    var certificate: String?
    /// A line about keys that are destroyed while later ones of their period are there; nil without such.
    private(set) var lostKeys: String?
    /// A line about sealed columns; nil where nothing of the person is sealed.
    private(set) var sealing: String?
    /// Members of the JSON object besides those that all have.
    private var details: [String: JSONValue] = [:]

    init(_ region: String, _ finding: SubjectFinding, state: String) {
        self.region = region
        self.state = state
        rows = finding.rows
        files = Int64(finding.files)
        journalHits = finding.journalHits
        unopenedValues = finding.unopenedValues
        if finding.unopenedValues > 0 {
            sealing =
                "\(region): \(finding.unopenedValues) sealed value(s) have no key any more and are left empty"
        } else if finding.sealedRows > 0 {
            sealing =
                "\(region): \(finding.sealedRows) of the rows have sealed values, which `subject export` opens"
        }
        func day(_ day: Day?) -> JSONValue { day.map { .text($0.text) } ?? .null }
        details = [
            "journal_hits": .integer(journalHits), "first_day": day(finding.firstDay),
            "last_day": day(finding.lastDay), "keys_from": day(finding.keysFrom),
            "region_rows": .integer(finding.regionRows), "bytes": .integer(finding.bytes),
            "erase_seconds": .number((finding.eraseSeconds * 10).rounded(.up) / 10),
            "sealed_rows": .integer(finding.sealedRows),
            "unopened_values": .integer(Int64(finding.unopenedValues)),
            "keys_lost": .list(finding.keysLost.map { .text($0.text) }),
        ]
        if !finding.keysLost.isEmpty {
            let days = finding.keysLost.map(\.text).joined(separator: ", ")
            lostKeys =
                "\(region): a key of the period from \(days) was rotated and destroyed: rows that it made can no longer be tied to anyone either"
        }
    }

    init(_ region: String, _ preview: SubjectService.RectificationPreview) {
        self.region = region
        state = SubjectRun.preview
        rows = preview.rows
        files = Int64(preview.files)
        journalHits = preview.journalHits
        details = ["journal_hits": .integer(journalHits)]
    }

    init(_ region: RegionSubjects, _ request: SubjectRequest) {
        self.region = region.region.name
        let path = region.certificatePath(of: request.id)
        // A missing one is of a version that made none, or cannot be seen: then nothing is said of it.
        if request.kind == .erase, request.isFinished, (try? File.exists(path)) == true {
            certificate = path
        }
        state = request.state
        rows = request.counts.rows
        files = request.counts.files
        journalHits = request.counts.journalHits
        if let since = request.unreadableSince {
            sealing =
                "\(self.region): the sealed columns of request \(request.id) are unreadable since \(since.text), "
                + "\(request.counts.keys) key(s) are destroyed"
        }
        details = [
            "kind": .text(request.kind.rawValue),
            "named_by": request.naming.map { .text($0.rawValue) } ?? .null,
            "people": .integer(Int64(request.people)),
            "held_by": .list(request.heldBy.split(separator: " ").map { .text(String($0)) }),
            "withdrawn": request.correction.map { .list($0.withdrawn.map { .text($0) }) } ?? .null,
            "law": request.law.map { .text($0) } ?? .null,
            "due": request.due.map { .text($0.text) } ?? .null,
            "first_day": request.days.map { .text($0.lowerBound.text) } ?? .null,
            "last_day": request.days.map { .text($0.upperBound.text) } ?? .null,
            "journal_hits": .integer(journalHits),
            "dead_letters": .integer(request.counts.deadLetters),
            "files_deleted": .integer(request.counts.filesDeleted),
            "keys_destroyed": .integer(request.counts.keys),
            "sealed_unreadable_since": request.unreadableSince.map { .text($0.text) } ?? .null,
            "attempts": .integer(Int64(request.attempts)),
            "created_at": .text(request.createdAt.text),
            "updated_at": .text(request.updatedAt.text),
        ]
    }

    init(_ region: String, _ found: SubjectVerification) {
        self.region = region
        state = !found.traces.isEmpty ? "found" : found.unread.isEmpty ? "clean" : "unread"
        rows = Int64(found.traces.reduce(0) { $0 + $1.places })
        files = Int64(Set(found.traces.map(\.path)).count)
        pseudonyms = found.pseudonyms
        filesRead = found.files
        traces = found.traces
        unread = found.unread
        details = [
            "files_read": .integer(Int64(filesRead)), "bytes_read": .integer(Int64(found.bytes)),
            "pseudonyms": .integer(Int64(pseudonyms)),
            "traces": .list(
                traces.map {
                    .object([
                        "path": .text($0.path), "kind": .text($0.kind),
                        "places": .integer(Int64($0.places)),
                    ])
                }),
            "unread": .list(unread.map { .text($0) }),
        ]
    }

    static let heading = ["region", "state", "rows", "files", "in journal"]
    var cells: [String] { [region, state, "\(rows)", "\(files)", "\(journalHits)"] }

    private var json: JSONValue {
        let members: [String: JSONValue] = [
            "region": .text(region), "rows": .integer(rows), "files": .integer(files),
            "state": .text(state), "certificate": certificate.map { .text($0) } ?? .null,
        ]
        return .object(details.merging(members) { _, member in member })
    }

    /// The object that every command about a person prints.
    static func json(_ request: String, _ answers: [SubjectAnswer]) -> JSONValue {
        let certificates = answers.compactMap(\.certificate)
        return .object([
            "request": .text(request), "regions": .list(answers.map(\.json)),
            "certificate": certificates.isEmpty ? .null : .list(certificates.map { .text($0) }),
        ])
    }
}

/// `subject status`: requests of all regions by id, newest first.
enum SubjectStatus {
    /// Requests shown of each region.
    static let requestsMax = 100

    static func run(_ arguments: Arguments, _ console: Console) throws -> ExitCode {
        var found: [(request: SubjectRequest, region: RegionSubjects)] = []
        for region in try SubjectRun.open(arguments) {
            let service = region.service()
            let requests =
                if let wanted = arguments.free.first {
                    try [service.request(wanted)].compactMap(\.self)
                } else {
                    try service.requests(max: requestsMax, without: RequestKind.standing)
                }
            found += requests.map { ($0, region) }
        }
        found.sort {
            ($1.request.createdAt, $0.region.region.name)
                < ($0.request.createdAt, $1.region.region.name)
        }
        if let wanted = arguments.free.first, found.isEmpty {
            throw UsageError(text: "no request `\(wanted)` in these regions")
        }
        if arguments.wantsJSON {
            var seen: Set<String> = []
            for (request, _) in found where seen.insert(request.id).inserted {
                let parts = found.filter { $0.request.id == request.id }
                try console.print(
                    json: SubjectAnswer.json(
                        request.id, parts.map { SubjectAnswer($0.region, $0.request) }))
            }
        } else if found.isEmpty {
            console.print("no requests yet")
        } else {
            console.table(
                ["request", "kind"] + SubjectAnswer.heading + ["since", "answer by"],
                found.map { request, region in
                    [request.id, request.kind.rawValue] + SubjectAnswer(region, request).cells
                        + [
                            request.createdAt.text,
                            request.due.map { "\($0.text) (\(request.law ?? ""))" } ?? "",
                        ]
                })
            let today = Day(SystemWallClock().now())
            for (request, region) in found {
                if let text = SubjectAnswer(region, request).sealing { console.note(text) }
                if let reminder = request.reminder(on: today) {
                    console.note("\(region.region.name): request \(request.id) \(reminder)")
                }
            }
        }
        return found.contains { !$0.request.isFinished } ? .foundProblem : .done
    }
}
