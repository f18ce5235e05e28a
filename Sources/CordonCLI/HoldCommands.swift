import CordonModel
import CordonServer
import CordonSubjects

extension Command.Option {
    static let reason = Command.Option(
        name: "reason", value: "TEXT",
        help: "why, such as a file number; it is kept and shown, so name no one")
}

extension Command {
    static let holdAdd = Command(
        ["hold", "add"], summary: "forbid to remove hits, whoever asks and whatever is due",
        usage:
            "[--user ID | --visitor-of ADDR,UA,SITE | --pseudonym P] [--field COLUMN] [--days FIRST[..LAST]] [--table pixels.hits] --reason TEXT [--region R]…",
        options: HoldRun.naming + [
            Option(
                name: "days", value: "FIRST[..LAST]",
                help: "hits of these days, YYYY-MM-DD in UTC (default: all)"),
            Option(
                name: "field", value: "COLUMN",
                help: "hits that have a value in this column (default: all)"),
            Option(
                name: "table", value: "TABLE",
                help: "everybody's hits of the table, which is `pixels.hits`"),
            .reason, .regions,
        ],
        example: "cordon hold add --user customer-4711 --reason 'case 12/26'"
    ) { arguments, console in try HoldRun(arguments, console).add() }

    static let holdList = Command(
        ["hold", "list"], summary: "holds and restrictions that are in force",
        usage: "[--region R]…", options: [.regions], example: "cordon hold list"
    ) { arguments, console in try HoldRun(arguments, console).list() }

    static let holdRelease = Command(
        ["hold", "release"], summary: "end a hold, and go on with what waited for it",
        usage: "HOLD [--region R]…", options: [.regions],
        example: "cordon hold release 5266ead0c2e27cbf5547e1488d846c79", arguments: 1...1
    ) { arguments, console in try HoldRun(arguments, console).release(.hold) }

    static let subjectRestrict = Command(
        ["subject", "restrict"],
        summary: "keep a person's hits and neither use nor remove them; keep no new ones",
        usage: "(\(SubjectNaming.usage)) [--reason TEXT] [--region R]…",
        options: Option.naming + [.reason, .regions],
        example: "cordon subject restrict --user customer-4711"
    ) { arguments, console in try HoldRun(arguments, console).restrict() }

    static let subjectUnrestrict = Command(
        ["subject", "unrestrict"], summary: "end a restriction",
        usage: "RESTRICTION [--region R]…", options: [.regions],
        example: "cordon subject unrestrict 5266ead0c2e27cbf5547e1488d846c79", arguments: 1...1
    ) { arguments, console in try HoldRun(arguments, console).release(.restriction) }
}

/// One command about holds or restrictions.
private struct HoldRun {
    /// The options that name whose hits are held.
    static let naming: [Command.Option] = [.user, .visitor, .pseudonym]

    private let arguments: Arguments
    private let console: Console
    private let regions: [RegionSubjects]

    init(_ arguments: Arguments, _ console: Console) throws {
        self.arguments = arguments
        self.console = console
        regions = try SubjectRun.open(arguments)
    }

    func add() throws -> ExitCode {
        let isNamed = Self.naming.contains { arguments.has($0.name) }
        let days = try SubjectNaming.days(arguments)
        guard isNamed || days != nil || arguments.has("field") || arguments.has("table") else {
            throw UsageError(
                text:
                    "say what to hold: a person, `--days`, `--field`, or `--table pixels.hits` for all of it"
            )
        }
        if let table = arguments.value("table"), table != "pixels.hits" {
            throw UsageError(text: "the only table is `pixels.hits`, found `\(table)`")
        }
        let reason = try arguments.required("reason")
        let name =
            isNamed
            ? Sensitive(try SubjectNaming.read(arguments, by: Self.naming, daysBoundAll: true))
            : nil
        let id = SubjectRequest.newID()
        var done: [(String, SubjectRequest)] = []
        for region in regions {
            let service = region.service()
            let subject: Subject? =
                switch name {
                case .some(let name): try service.subject(name)
                case .none: nil
                }
            do {
                let hold = try service.hold(
                    subject, column: arguments.value("field"), days: days, reason: reason, id: id)
                done.append((region.region.name, hold))
            } catch let error as SubjectError {
                guard case .unknownColumn = error else { throw error }
                throw UsageError(text: "\(error)")
            }
        }
        try show(done)
        if !arguments.wantsJSON { console.print("hold \(id)") }
        return .done
    }

    func restrict() throws -> ExitCode {
        let name = Sensitive(try SubjectNaming.read(arguments))
        let id = SubjectRequest.newID()
        var done: [(String, SubjectRequest)] = []
        for region in regions {
            let service = region.service()
            done.append(
                (
                    region.region.name,
                    try service.restrict(
                        try service.subject(name), reason: arguments.value("reason") ?? "", id: id)
                ))
        }
        try show(done)
        if !arguments.wantsJSON { console.print("restriction \(id)") }
        return .done
    }

    func list() throws -> ExitCode {
        try show(
            try regions.flatMap { region in
                try region.service().standing().map { (region.region.name, $0) }
            })
        return .done
    }

    func release(_ kind: RequestKind) throws -> ExitCode {
        var done: [(String, SubjectRequest)] = []
        for region in regions {
            let service = region.service()
            do {
                done.append(
                    (region.region.name, try service.release(arguments.free[0], kind: kind)))
            } catch SubjectError.notInForce {
                continue
            }
            for outcome in try service.resume() {
                console.note(
                    outcome.failure.map { "\(outcome.request.id): \($0)" }
                        ?? "\(outcome.request.id): \(outcome.request.state)")
            }
        }
        guard !done.isEmpty else {
            let id = arguments.free[0]
            let standing = try regions.flatMap { try $0.service().standing() }
            guard let other = standing.first(where: { $0.id == id }) else {
                throw UsageError(text: "\(SubjectError.notInForce(id: id))")
            }
            let command = other.kind == .hold ? "hold release" : "subject unrestrict"
            throw UsageError(
                text: "`\(id)` is a \(other.kind.rawValue): `cordon \(command)` ends it")
        }
        try show(done)
        return .done
    }

    private func show(_ found: [(region: String, request: SubjectRequest)]) throws {
        guard !arguments.wantsJSON else {
            for (region, request) in found {
                try console.print(json: Self.json(region, request))
            }
            return
        }
        guard !found.isEmpty else { return console.print("nothing is held") }
        console.table(
            ["id", "region", "kind", "state", "about", "column", "days", "since", "reason"],
            found.map { region, request in
                [
                    request.id, region, request.kind.rawValue, request.state,
                    request.naming.map { "a \($0.rawValue)" } ?? "everybody",
                    request.column ?? "all",
                    request.days.map { "\($0.lowerBound.text)..\($0.upperBound.text)" } ?? "all",
                    request.createdAt.text, request.reason ?? "",
                ]
            })
    }

    private static func json(_ region: String, _ request: SubjectRequest) -> JSONValue {
        .object([
            "hold": .text(request.id), "region": .text(region),
            "kind": .text(request.kind.rawValue), "state": .text(request.state),
            "named_by": request.naming.map { .text($0.rawValue) } ?? .null,
            "column": request.column.map { .text($0) } ?? .null,
            "first_day": request.days.map { .text($0.lowerBound.text) } ?? .null,
            "last_day": request.days.map { .text($0.upperBound.text) } ?? .null,
            "since": .text(request.createdAt.text),
            "reason": request.reason.map { .text($0) } ?? .null,
        ])
    }
}
