import CordonModel
import CordonPolicy
import CordonServer
import CordonSubjects
import Crypto
import LinuxIO

/// One command about a person, or the people of a list, in some regions. It holds what names them, and nothing it prints
/// comes from that.
struct SubjectRun: ~Copyable {
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

    static func open(_ arguments: Arguments) throws -> [RegionSubjects] {
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
        for text in answers.compactMap(\.lostKeys) { console.note(text) }
        noteSealing(answers)
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
                keysLost: subject.periodsWithLostKeys(on: Day(SystemWallClock().now())),
                csv: table?.write
            ) { row in
                finding = try service.export(subject, request: request, row)
            }
            try table?.finish()
            answers.append(SubjectAnswer(region.region.name, finding, state: "exported"))
        }
        try export.finish()
        try document.finish()
        guard let directory else {
            return noteSealing(answers.filter { $0.unopenedValues > 0 })
        }
        guard !arguments.wantsJSON else { return try print(answers) }
        console.table(
            ["region", "rows", "in journal", "table"],
            answers.map {
                [$0.region, "\($0.rows)", "\($0.journalHits)", "\(directory)/\($0.region).csv"]
            })
        console.print("all regions in one document: \(directory)/export.json")
        noteSealing(answers.filter { $0.unopenedValues > 0 })
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
                    keysLost: subject.periodsWithLostKeys(on: Day(now)),
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
        noteSealing(answers.filter { $0.unopenedValues > 0 })
    }

    borrowing func erase(percentMax: Double) throws -> ExitCode {
        let terms = try answerTerms()
        return try carryOut(.erase, percentMax: percentMax) { service, region in
            try service.erase(request: request, percentMax: percentMax, answer: terms[region]) {
                try service.subject(id)
            }
        }
    }

    /// Does in each region what changes the person's hits for good.
    ///
    /// - Parameter body: does it in one region, which is given by its name too.
    private borrowing func carryOut(
        _ kind: RequestKind, percentMax: Double,
        _ body: (SubjectService, String) throws -> SubjectRequest
    ) throws -> ExitCode {
        let verb = kind == .erase ? "erase" : "rectify"
        var subjects: [Subject] = []
        do {
            // Everywhere before anywhere: a refusal leaves no region half-asked.
            for region in regions {
                let service = region.service()
                let subject = try service.subject(id)
                try service.checkShare(subject, percentMax: percentMax)
                subjects.append(subject)
            }
        } catch let refusal as SubjectError {
            console.note("cordon subject \(verb): \(refusal)")
            return .refusedByPolicy
        }
        var answers: [SubjectAnswer] = []
        var isDone = true
        var isHeld = false
        for (region, subject) in zip(regions, subjects) {
            let service = Self.service(region, console)
            do {
                answers.append(SubjectAnswer(region, try body(service, region.region.name)))
            } catch {
                console.note(Self.told(error, of: region, verb))
                if case SubjectError.held = error { isHeld = true } else { isDone = false }
                let open = try service.unfinished(kind, of: subject)
                answers.append(
                    open.map { SubjectAnswer(region, $0) }
                        ?? SubjectAnswer(region.region.name, SubjectFinding(), state: "not begun"))
            }
            for other in try service.resume()
            where other.failure != nil && other.request.id != request {
                console.note(
                    "an older request is still unfinished: \(other.request.id) in `\(region.region.name)`"
                )
            }
        }
        try show(answers)
        if !isDone {
            console.note(
                "not \(kind == .erase ? "erased" : "rectified") everywhere: `cordon subject erase --resume` goes on"
            )
        }
        return !isDone ? .worldFailed : isHeld ? .refusedByPolicy : .done
    }

    /// A failure with its region, which some name themselves.
    private static func told(
        _ failure: any Error, of region: RegionSubjects, _ verb: String = "erase"
    ) -> String {
        let text = "\(failure)"
        let name = text.hasPrefix("region `") ? "" : "region `\(region.region.name)`: "
        return "cordon subject \(verb): \(name)\(text)"
    }

    /// By when each region has to answer.
    private borrowing func answerTerms() throws -> [String: Answer] {
        let today = Day(SystemWallClock().now())
        let received = try arguments.day("received") ?? today
        guard received <= today else {
            throw UsageError(text: "`--received` lies ahead: `\(received.text)`")
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

    borrowing func rectify(percentMax: Double) throws -> ExitCode {
        let today = Day(SystemWallClock().now())
        let first = try arguments.value("since").map { text in
            guard let day = Day(text), day <= today else {
                throw UsageError(
                    text: "option `--since` takes a day up to today as YYYY-MM-DD, found `\(text)`")
            }
            return day
        }
        guard first == nil || !arguments.has("days") else {
            throw UsageError(text: "`--since` and `--days` both say which hits: give one")
        }
        let correction = try correction()
        guard arguments.has("yes") else {
            var answers: [SubjectAnswer] = []
            for region in regions {
                let service = region.service()
                let preview = try service.preview(
                    correction, of: try service.subject(id), since: first, request: request)
                answers.append(SubjectAnswer(region.region.name, preview))
            }
            try show(answers)
            console.note(
                "nothing was changed: `--yes` does it, and what these rows lose cannot be brought back"
            )
            return .wrongUsage
        }
        let terms = try answerTerms()
        return try carryOut(.rectification, percentMax: percentMax) { service, region in
            try service.rectify(
                request: request, correction, of: try service.subject(id), since: first,
                percentMax: percentMax, answer: terms[region])
        }
    }

    /// What `--withdraw` means, under all policies: hits that moved to another region keep the name of theirs.
    private borrowing func correction() throws -> ConsentCorrection {
        let policies = try CordonCLI.configuration(arguments).ruleSet.policies
        let known = Set(policies.flatMap(\.consent.purposes)).sorted()
        let text = try arguments.required("withdraw")
        let names = text == "all" ? known : text.split(separator: ",").map(String.init)
        for name in names where !known.contains(name) {
            throw UsageError(
                text: "no policy knows the purpose `\(name)`" + suggestion(name, among: known)
                    + "; they know \(known.joined(separator: ", "))")
        }
        guard !names.isEmpty else { throw UsageError(text: "`--withdraw` names no purpose") }
        return ConsentCorrection(withdrawing: Set(names), under: policies)
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
        var isHeld = false
        for region in try open(arguments) {
            for outcome in try service(region, console).resume() {
                if let failure = outcome.failure {
                    if case SubjectError.held = failure { isHeld = true } else { isDone = false }
                    console.note(told(failure, of: region))
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
        return !isDone ? .worldFailed : isHeld ? .refusedByPolicy : .done
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

    /// What is to be said of sealed columns.
    private borrowing func noteSealing(_ answers: [SubjectAnswer]) {
        for text in answers.compactMap(\.sealing) { console.note(text) }
    }

    private borrowing func show(_ answers: [SubjectAnswer]) throws {
        guard !arguments.wantsJSON else { return try print(answers) }
        console.table(SubjectAnswer.heading, answers.map(\.cells))
        noteSealing(answers)
        console.print("request \(request)")
        for path in answers.compactMap(\.certificate) { console.print("certificate \(path)") }
    }

    private borrowing func print(_ answers: [SubjectAnswer]) throws {
        try console.print(json: SubjectAnswer.json(request, answers))
    }
}
