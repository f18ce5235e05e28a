import CordonModel
import CordonPolicy
import CordonServer
import CordonSubjects
import Crypto
import HPKE
import LinuxIO

extension Command.Option {
    fileprivate static let law = Command.Option(
        name: "law", value: "LAW",
        help:
            "the law that sets the day for the answer, by its policy's name (default: the strictest of the region's policies)"
    )
    fileprivate static let received = Command.Option(
        name: "received", value: "DATE", help: "the day on which the person asked (default: today)")
}

extension Command {
    static let subjectFind = Command(
        ["subject", "find"], summary: "what is held on a person",
        usage: "(\(SubjectNaming.usage)) [--region R]…",
        options: Option.naming + [.regions],
        example: "printf %s customer-4711 | cordon subject find --user -"
    ) { arguments, console in
        try SubjectRun(arguments, console).find(state: "done")
        return .done
    }

    static let subjectExport = Command(
        ["subject", "export"], summary: "everything held on a person, as JSON and CSV",
        usage: "(\(SubjectNaming.usage)) [--region R]… [--out DIR | --archive FILE [--to KEY]]",
        options: Option.naming + [
            .regions,
            Option(
                name: "archive", value: "FILE",
                help: "write one ZIP archive with a page to read, the JSON and the CSV files"),
            Option(
                name: "to", value: "KEY",
                help:
                    "seal the archive to this X25519 public key (PEM or 64 hexadecimal digits): `subject open` opens it"
            ),
            Option(
                name: "out", value: "DIR",
                help:
                    "write export.json and a CSV file a region there (default: JSON to standard output)"
            ),
        ],
        example: "cordon subject export --user customer-4711 --out export"
    ) { arguments, console in
        guard !arguments.has("archive") || !arguments.has("out") else {
            throw UsageError(text: "an export goes to `--out` or to `--archive`")
        }
        guard let archive = arguments.value("archive") else {
            guard !arguments.has("to") else {
                throw UsageError(text: "`--to` seals an archive: say where by `--archive`")
            }
            try SubjectRun(arguments, console).export(to: arguments.value("out"))
            return .done
        }
        let recipient = try arguments.value("to").map(ExportKeys.publicKey)
        try SubjectRun(arguments, console).export(archive: archive, recipient: recipient)
        return .done
    }

    static let subjectOpen = Command(
        ["subject", "open"], summary: "open an archive that was sealed to a key",
        usage: "FILE --key KEY --out FILE.zip",
        options: [
            Option(
                name: "key", value: "KEY",
                help: "the X25519 private key (PEM or 64 hexadecimal digits)"),
            Option(
                name: "out", value: "FILE", help: "where the archive goes; it must not be there"),
        ],
        example: "cordon subject open export.sealed --key recipient.pem --out export.zip",
        arguments: 1...1
    ) { arguments, console in
        let key = try ExportKeys.privateKey(try arguments.required("key"))
        let out = try arguments.required("out")
        do {
            try ExportArchive.open(arguments.free[0], with: key, to: out)
        } catch let error as SealedStreamError {
            throw CommandFailure(text: "`\(arguments.free[0])`: \(error)", exitCode: .foundProblem)
        }
        if arguments.wantsJSON {
            try console.print(json: JSONValue.object(["archive": .text(out)]))
        } else {
            console.print("opened: \(out)")
        }
        return .done
    }

    static let subjectErase = Command(
        ["subject", "erase"],
        summary: "remove a person for good and keep no new hits of them",
        usage:
            "(\(SubjectNaming.usage)) [--region R]… --yes [--allow-share PERCENT] | --resume [--region R]…",
        options: Option.naming + [
            .regions,
            Option(name: "yes", value: nil, help: "do it; without it, only what would go is shown"),
            Option(
                name: "allow-share", value: "PERCENT",
                help:
                    "let so much of a region's rows go (default: \(Int(SubjectService.sharePercentMax)))"
            ),
            .law, .received,
            Option(name: "resume", value: nil, help: "go on with requests that were cut"),
        ],
        example: "cordon subject erase --user customer-4711 --yes"
    ) { arguments, console in
        if arguments.has("resume") {
            guard !SubjectNaming.isGiven(arguments) else {
                throw UsageError(
                    text: "`--resume` goes on with every request and takes no name of a person")
            }
            return try SubjectRun.resume(arguments, console)
        }
        let run = try SubjectRun(arguments, console)
        guard arguments.has("yes") else {
            try run.find(state: SubjectRun.preview)
            console.note("nothing was changed: `--yes` erases this for good")
            return .wrongUsage
        }
        let percent = try arguments.integer("allow-share", in: 1...100).map(Double.init)
        return try run.erase(percentMax: percent ?? SubjectService.sharePercentMax)
    }

    static let subjectObject = Command(
        ["subject", "object"],
        summary: "keep no new hits of a person, and leave those that are there",
        usage: "(--user ID | --file IDS) [--law LAW] [--received DATE] [--region R]…",
        options: Option.naming.filter { $0.name == "user" || $0.name == "file" }
            + [.law, .received, .regions],
        example: "cordon subject object --user customer-4711"
    ) { arguments, console in try SubjectRun(arguments, console).object() }

    static let subjectVerify = Command(
        ["subject", "verify"],
        summary: "read everything under a region and tell where a person is found",
        usage: "(\(SubjectNaming.usage)) [--region R]…", options: Option.naming + [.regions],
        example: "cordon subject verify --user customer-4711"
    ) { arguments, console in try SubjectRun(arguments, console).verify() }

    static let subjectStatus = Command(
        ["subject", "status"], summary: "where each request stands",
        usage: "[--region R]… [REQUEST]", options: [.regions],
        example: "cordon subject status", arguments: 0...1
    ) { arguments, console in try SubjectStatus.run(arguments, console) }
}

/// One command about a person, or the people of a list, in some regions. It holds what names them, and nothing it prints
/// comes from that.
private struct SubjectRun: ~Copyable {
    private let id: Sensitive<SubjectName>
    private let regions: [RegionSubjects]
    private let request = SubjectRequest.newID()
    private let arguments: Arguments
    private let console: Console

    init(_ arguments: Arguments, _ console: Console) throws {
        let name = try SubjectNaming.read(arguments)
        let regions = try Self.open(arguments)
        id = Sensitive(name)
        self.regions = regions
        self.arguments = arguments
        self.console = console
    }

    fileprivate static func open(_ arguments: Arguments) throws -> [RegionSubjects] {
        try CordonCLI.regions(arguments).map { try RegionSubjects($0, clock: SystemWallClock()) }
    }

    // MARK: Commands

    borrowing func find(state: String) throws {
        var answers: [SubjectAnswer] = []
        var rows: [[String]] = []
        var seconds = 0.0
        var namesKeys = false
        for region in regions {
            let service = region.service()
            var subject = try service.subject(id)
            // What an erasure would take is what its preview shows.
            if state == Self.preview { subject = subject.erased }
            let finding = try service.find(subject, request: request)
            answers.append(SubjectAnswer(region.region.name, finding, state: state))
            seconds += finding.eraseSeconds
            namesKeys = namesKeys || subject.naming != .pseudonym
            rows.append([
                region.region.name, "\(finding.rows)", "\(finding.files)", "\(finding.bytes)",
                "\(finding.journalHits)",
                finding.firstDay?.text ?? "", finding.lastDay?.text ?? "",
                finding.keysFrom?.text ?? (subject.naming == .pseudonym ? "" : "no keys"),
            ])
        }
        guard !arguments.wantsJSON else { return try print(answers) }
        console.table(
            [
                "region", "rows", "files", "bytes", "in journal", "first day", "last day",
                "keys from",
            ],
            rows)
        if state == Self.preview {
            console.print(
                "an erasure writes these files anew, reads everything once, and takes about \(Self.duration(seconds))"
            )
        }
        console.note(
            namesKeys
                ? "rows from before the day in the last column can no longer be tied to anyone; request \(request)"
                : "request \(request)")
    }

    /// The state of what `erase` shows without `--yes`.
    static let preview = "preview"

    private static func duration(_ seconds: Double) -> String {
        let whole = max(1, Int(seconds.rounded(.up)))
        return whole < 120 ? "\(whole) s" : "\((whole + 59) / 60) min"
    }

    borrowing func export(to directory: String?) throws {
        let ruleSet = try CordonCLI.configuration(arguments).ruleSet
        let document = try ExportFile(directory.map { $0 + "/export.json" }, console)
        var export = try SubjectExport(
            request: request, madeAt: SystemWallClock().now(), json: document.write)
        var answers: [SubjectAnswer] = []
        for region in regions {
            let service = region.service()
            let subject = try service.subject(id)
            let table = try directory.map {
                try ExportFile($0 + "/\(region.region.name).csv", console)
            }
            var finding = SubjectFinding()
            try export.region(
                region.heading(ruleSet), columns: service.columns, keysFrom: subject.keysFrom,
                csv: table?.write
            ) { row in
                finding = try service.export(subject, request: request, row)
            }
            try table?.finish()
            answers.append(SubjectAnswer(region.region.name, finding, state: "exported"))
        }
        try export.finish()
        try document.finish()
        guard let directory else { return }
        guard !arguments.wantsJSON else { return try print(answers) }
        console.table(
            ["region", "rows", "in journal", "table"],
            answers.map {
                [$0.region, "\($0.rows)", "\($0.journalHits)", "\(directory)/\($0.region).csv"]
            })
        console.print("all regions in one document: \(directory)/export.json")
    }

    borrowing func export(archive path: String, recipient: X25519PublicKey?) throws {
        let ruleSet = try CordonCLI.configuration(arguments).ruleSet
        let now = SystemWallClock().now()
        var answers: [SubjectAnswer] = []
        var page = ExportPage(madeAt: now)
        // The closure below may not hold what cannot be copied.
        var subjects: [Subject] = []
        for region in regions { subjects.append(try region.service().subject(id)) }
        let regions = regions
        let request = request
        try ExportArchive.write(path, to: recipient, at: now) { archive in
            try archive.begin("export.json")
            var export = try SubjectExport(request: request, madeAt: now, json: archive.write)
            for (region, subject) in zip(regions, subjects) {
                let service = region.service()
                let heading = region.heading(ruleSet)
                var finding = SubjectFinding()
                try export.region(
                    heading, columns: service.columns, keysFrom: subject.keysFrom,
                    csv: try archive.spool(region.region.name + ".csv")
                ) { row in
                    finding = try service.export(subject, request: request, row)
                }
                page.add(heading, finding)
                answers.append(SubjectAnswer(region.region.name, finding, state: "exported"))
            }
            try export.finish()
            try archive.end()
            try archive.addSpools()
            try archive.begin(ExportPage.name)
            try archive.write(page.html)
            try archive.end()
        }
        guard !arguments.wantsJSON else { return try print(answers) }
        console.table(
            ["region", "rows", "in journal"],
            answers.map { [$0.region, "\($0.rows)", "\($0.journalHits)"] })
        console.print(recipient == nil ? "archive: \(path)" : "archive, sealed: \(path)")
    }

    borrowing func erase(percentMax: Double) throws -> ExitCode {
        do {
            // Everywhere before anywhere: a refusal leaves no region half-asked.
            for region in regions {
                let service = region.service()
                try service.checkShare(try service.subject(id), percentMax: percentMax)
            }
        } catch let refusal as SubjectError {
            console.note("cordon subject erase: \(refusal)")
            return .refusedByPolicy
        }
        var answers: [SubjectAnswer] = []
        var isDone = true
        var isHeld = false
        let terms = try answerTerms()
        for region in regions {
            let service = Self.service(region, console)
            do {
                let done = try service.erase(
                    request: request, percentMax: percentMax, answer: terms[region.region.name]
                ) {
                    try service.subject(id)
                }
                answers.append(SubjectAnswer(region, done))
            } catch {
                console.note("cordon subject erase: region `\(region.region.name)`: \(error)")
                if case SubjectError.held = error { isHeld = true } else { isDone = false }
                let open = try service.requests(max: 1).first { !$0.isFinished }
                answers.append(
                    open.map { SubjectAnswer(region, $0) }
                        ?? SubjectAnswer(region.region.name, SubjectFinding(), state: "not begun"))
            }
            for other in try service.resume() where other.failure != nil {
                console.note(
                    "an older request is still unfinished: \(other.request.id) in `\(region.region.name)`"
                )
            }
        }
        try show(answers)
        if !isDone {
            console.note("not erased everywhere: `cordon subject erase --resume` goes on")
        }
        return !isDone ? .worldFailed : isHeld ? .refusedByPolicy : .done
    }

    /// By when each region has to answer.
    private borrowing func answerTerms() throws -> [String: Answer] {
        let today = Day(SystemWallClock().now())
        var received = today
        if let text = arguments.value("received") {
            guard let day = Day(text), day <= today else {
                throw UsageError(
                    text:
                        "option `--received` takes a day up to today as YYYY-MM-DD, found `\(text)`"
                )
            }
            received = day
        }
        if let law = arguments.value("law") {
            guard let term = AnswerTerm.named(law) else {
                throw UsageError(
                    text: "no law `\(law)` is known"
                        + suggestion(law, among: AnswerTerm.all.map(\.law)))
            }
            let answer = Answer(law: law, due: term.due(from: received))
            return Dictionary(uniqueKeysWithValues: regions.map { ($0.region.name, answer) })
        }
        let policies = try CordonCLI.configuration(arguments).ruleSet.policies
        var terms: [String: Answer] = [:]
        for region in regions {
            let here = policies.filter { $0.route.region == region.region.name }.map(\.name)
            terms[region.region.name] = AnswerTerm.answer(under: here, receivedOn: received)
        }
        return terms
    }

    borrowing func object() throws -> ExitCode {
        var answers: [SubjectAnswer] = []
        let terms = try answerTerms()
        for region in regions {
            let service = region.service()
            let done = try service.object(
                try service.subject(id), request: request, answer: terms[region.region.name])
            answers.append(SubjectAnswer(region, done))
        }
        try show(answers)
        return .done
    }

    borrowing func verify() throws -> ExitCode {
        var answers: [SubjectAnswer] = []
        var verdict = ExitCode.done
        for region in regions {
            let service = region.service()
            let found = try service.verify(try service.subject(id), request: request)
            answers.append(SubjectAnswer(region.region.name, found))
            if !found.traces.isEmpty {
                verdict = .foundProblem
            } else if !found.unread.isEmpty, verdict == .done {
                verdict = .worldFailed
            }
        }
        guard !arguments.wantsJSON else {
            try print(answers)
            return verdict
        }
        console.table(
            ["region", "state", "files read", "pseudonyms sought", "places"],
            answers.map {
                ["\($0.region)", $0.state, "\($0.filesRead)", "\($0.pseudonyms)", "\($0.rows)"]
            })
        for trace in answers.flatMap(\.traces) {
            console.print("found: \(trace.path) (\(trace.kind), \(trace.places) times)")
        }
        for reason in answers.flatMap(\.unread) { console.note("not read: \(reason)") }
        return verdict
    }

    static func resume(_ arguments: Arguments, _ console: Console) throws -> ExitCode {
        var answers: [(request: String, answer: SubjectAnswer)] = []
        var isDone = true
        for region in try open(arguments) {
            for outcome in try service(region, console).resume() {
                if let failure = outcome.failure {
                    isDone = false
                    console.note(
                        "cordon subject erase: region `\(region.region.name)`: \(failure)")
                }
                answers.append(
                    (outcome.request.id, SubjectAnswer(region, outcome.request)))
            }
        }
        if arguments.wantsJSON {
            for (request, answer) in answers {
                try console.print(json: SubjectAnswer.json(request, [answer]))
            }
        } else if answers.isEmpty {
            console.print("nothing was left unfinished")
        } else {
            console.table(
                SubjectAnswer.heading + ["request"], answers.map { $0.answer.cells + [$0.request] })
        }
        return isDone ? .done : .worldFailed
    }

    /// A service that tells each step where somebody watches.
    private static func service(_ region: RegionSubjects, _ console: Console) -> SubjectService {
        region.service { step, moment in
            if console.isTerminal, moment == .before {
                console.note("\(region.region.name): \(step.rawValue)")
            }
        }
    }

    // MARK: Printing

    private borrowing func show(_ answers: [SubjectAnswer]) throws {
        guard !arguments.wantsJSON else { return try print(answers) }
        console.table(SubjectAnswer.heading, answers.map(\.cells))
        console.print("request \(request)")
        for path in answers.compactMap(\.certificate) { console.print("certificate \(path)") }
    }

    private borrowing func print(_ answers: [SubjectAnswer]) throws {
        try console.print(json: SubjectAnswer.json(request, answers))
    }
}

/// What a command says of one region.
struct SubjectAnswer {
    let region: String
    let state: String
    var rows: Int64 = 0
    var files: Int64 = 0
    var journalHits: Int64 = 0
    var pseudonyms = 0
    var filesRead = 0
    var traces: [SubjectTrace] = []
    var unread: [String] = []
    /// Where the certificate of an erasure lies.
    var certificate: String?
    /// Members of the JSON object besides those that all have.
    private var details: [String: JSONValue] = [:]

    init(_ region: String, _ finding: SubjectFinding, state: String) {
        self.region = region
        self.state = state
        rows = finding.rows
        files = Int64(finding.files)
        journalHits = finding.journalHits
        func day(_ day: Day?) -> JSONValue { day.map { .text($0.text) } ?? .null }
        details = [
            "journal_hits": .integer(journalHits), "first_day": day(finding.firstDay),
            "last_day": day(finding.lastDay), "keys_from": day(finding.keysFrom),
            "region_rows": .integer(finding.regionRows), "bytes": .integer(finding.bytes),
            "erase_seconds": .number((finding.eraseSeconds * 10).rounded(.up) / 10),
        ]
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
        details = [
            "kind": .text(request.kind.rawValue),
            "named_by": request.naming.map { .text($0.rawValue) } ?? .null,
            "people": .integer(Int64(request.people)),
            "held_by": .list(request.heldBy.split(separator: " ").map { .text(String($0)) }),
            "law": request.law.map { .text($0) } ?? .null,
            "due": request.due.map { .text($0.text) } ?? .null,
            "first_day": request.days.map { .text($0.lowerBound.text) } ?? .null,
            "last_day": request.days.map { .text($0.upperBound.text) } ?? .null,
            "journal_hits": .integer(journalHits),
            "dead_letters": .integer(request.counts.deadLetters),
            "files_deleted": .integer(request.counts.filesDeleted),
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
private enum SubjectStatus {
    /// Requests shown of each region.
    static let requestsMax = 100

    static func run(_ arguments: Arguments, _ console: Console) throws -> ExitCode {
        var found: [(request: SubjectRequest, region: RegionSubjects)] = []
        for region in try SubjectRun.open(arguments) {
            for request in try region.service().requests(max: requestsMax)
            where !request.kind.isStanding || arguments.free.first == request.id {
                guard arguments.free.first.map({ request.id == $0 }) ?? true else { continue }
                found.append((request, region))
            }
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
                if let reminder = request.reminder(on: today) {
                    console.note("\(region.region.name): request \(request.id) \(reminder)")
                }
            }
        }
        return found.contains { !$0.request.isFinished } ? .foundProblem : .done
    }
}
