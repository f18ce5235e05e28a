import ArrowIPC
import CordonModel
import CordonPolicy
import CordonQuery
import CordonServer
import Foundation

extension Command {
    static let query = Command(
        ["query"],
        summary: "ask the hits of one or several regions in SQL, as far as their policies allow",
        usage:
            "[--region REGION]… --role ROLE --purpose PURPOSE --from CC [--format FORM] [--out FILE] SQL",
        options: [
            Option(
                name: "region", value: "REGION",
                help:
                    "the region to ask; several are asked each under its own rules, and what adds up is summed",
                repeats: true),
            Option(name: "role", value: "ROLE", help: "in which role you ask"),
            Option(name: "purpose", value: "PURPOSE", help: "for which purpose you ask"),
            Option(
                name: "from", value: "CC",
                help: "ISO 3166 code of the country, or country-subdivision, you ask from"),
            Option(
                name: "format", value: "FORM",
                help:
                    "table (default), csv, json (one object a line), parquet, arrow (an Arrow IPC stream)"
            ),
            Option(
                name: "out", value: "FILE",
                help: "where the result goes; needed for parquet, and for arrow on a terminal"),
        ],
        example:
            "cordon query --region eu-central --role analyst --purpose audience-measurement --from DE"
            + " 'SELECT country, count(*) AS hits FROM hits GROUP BY country'",
        arguments: 1...1
    ) { arguments, console in
        let (request, destination) = try queryRequest(arguments, console)
        let project = try CordonCLI.configuration(arguments)
        var names: [String] = []
        for name in arguments.all("region") where !names.contains(name) { names.append(name) }
        let clock = SystemWallClock()
        let child = QueryChild()
        // It starts while the statement is looked at.
        child.prepare()
        let service = try QueryService(
            policies: project.ruleSet.policies, clock: clock, child: child,
            allowsUnsandboxed: QueryService.environmentAllowsUnsandboxed)
        if names.count > 1 {
            let regions = try names.map { name throws(UsageError) in
                try queryRegion(name, project.regions)
            }
            return try askTogether(
                service, request, regions, clock, destination, arguments, console)
        }
        let region = try queryRegion(names.first, project.regions)
        let outcome: QueryService.Outcome
        do {
            outcome = try service.run(
                request, in: RegionQueries(region, clock: clock),
                destination: request.format == .parquet ? destination : nil)
        } catch let error as QueryError {
            throw CommandFailure(
                text: error.text, exitCode: error.code == .query ? .wrongUsage : .worldFailed)
        }
        switch outcome {
        case .refused(let refusal): return try refuse(refusal, arguments, console)
        case .answered(let answer):
            try show(answer.columns, answer.body, destination, console)
            let remarks = QueryAnswer.remarks(asOf: answer.asOf, epsilon: answer.epsilon)
            note(answer.access, answer.confinement, remarks, console)
        }
        return .done
    }

    /// Asks several regions, shows what may be shown together, and says of each region what became of its part.
    private static func askTogether(
        _ service: QueryService, _ request: QueryRequest, _ regions: [RegionConfiguration],
        _ clock: any WallClock, _ destination: String?, _ arguments: Arguments, _ console: Console
    ) throws -> ExitCode {
        let together: QueryService.RegionalAnswer
        do {
            together = try service.runTogether(
                request, in: regions.map { LateRegion($0, clock: clock) },
                destination: request.format == .parquet ? destination : nil)
        } catch let error as QueryError {
            throw CommandFailure(
                text: error.text, exitCode: error.code == .query ? .wrongUsage : .worldFailed)
        }
        if let body = together.body {
            try show(together.columns, body, destination, console)
            if !together.isCombined {
                console.note("the query does not add up over regions: each row is of one region")
            }
        }
        var exitCode = ExitCode.done
        for (name, result) in together.regions {
            switch result {
            case .answered(let access, let confinement, let asOf, let epsilon):
                note(
                    access, confinement, QueryAnswer.remarks(asOf: asOf, epsilon: epsilon), console,
                    region: name)
            case .refused(let refusal):
                if exitCode == .done { exitCode = .refusedByPolicy }
                if arguments.wantsJSON && together.body == nil {
                    try console.print(json: ["refused": refusal])
                }
                console.note(
                    "region `\(name)` is not in the answer, refused (\(refusal.rule)): \(refusal.message)"
                )
            case .missing(let error):
                exitCode = .worldFailed
                console.note(
                    "region `\(name)` is missing from the answer, its hits are not counted: \(error.text)"
                )
            }
        }
        return exitCode
    }

    /// Runs in the child process of a query, under its restrictions; people have no use for it.
    static let queryWorker = Command(
        ["query-worker"], summary: "run one planned query from standard input",
        example: "cordon query --help"
    ) { _, _ in QueryWorker.run() == 0 ? .done : .worldFailed }

    private static func queryRequest(
        _ arguments: Arguments, _ console: Console
    ) throws(UsageError) -> (QueryRequest, destination: String?) {
        let named = arguments.value("format") ?? (arguments.wantsJSON ? "json" : "table")
        let forms = QueryFormat.named.map(\.rawValue)
        guard forms.contains(named), let format = QueryFormat(rawValue: named) else {
            throw UsageError(
                text: "option `--format` takes \(forms.joined(separator: ", ")), found `\(named)`"
                    + suggestion(named, among: forms))
        }
        let destination = arguments.value("out")
        guard format != .parquet || destination != nil else {
            throw UsageError(text: "the form `parquet` needs a file: `--out FILE`")
        }
        guard format != .arrow || destination != nil || !console.isTerminal else {
            throw UsageError(
                text: "the form `arrow` is nothing for a terminal: `--out FILE`, or a pipe")
        }
        let principal = try queryPrincipal(arguments)
        return (
            QueryRequest(sql: arguments.free[0], principal: principal, format: format), destination
        )
    }

    /// Who asks, by `--role`, `--purpose` and `--from`.
    static func queryPrincipal(_ arguments: Arguments) throws(UsageError) -> Principal {
        let place = try arguments.required("from")
        guard RulePlace(code: place) != nil else {
            throw UsageError(
                text:
                    "option `--from` takes an ISO 3166 code such as `DE` or `US-CA`, found `\(place)`"
            )
        }
        return Principal(
            role: try arguments.required("role"), purpose: try arguments.required("purpose"),
            place: place)
    }

    static func queryRegion(
        _ name: String?, _ regions: [RegionConfiguration]
    ) throws(UsageError) -> RegionConfiguration {
        let names = regions.map(\.name)
        guard let name else {
            guard regions.count == 1 else {
                throw UsageError(
                    text: "option `--region` is missing; there are \(names.joined(separator: ", "))"
                )
            }
            return regions[0]
        }
        guard let region = regions.first(where: { $0.name == name }) else {
            throw UsageError(text: "unknown region `\(name)`" + suggestion(name, among: names))
        }
        return region
    }

    private static func refuse(
        _ refusal: Refusal, _ arguments: Arguments, _ console: Console
    ) throws -> ExitCode {
        if arguments.wantsJSON {
            try console.print(json: ["refused": refusal])
        } else {
            console.note("refused (\(refusal.rule)): \(refusal.message)")
        }
        return .refusedByPolicy
    }

    private static func show(
        _ columns: [String], _ body: QueryAnswer.Body, _ destination: String?, _ console: Console
    ) throws {
        switch body {
        case .cells(let rows):
            if let destination {
                let lines = [columns] + rows.map { $0.map { $0 ?? "" } }
                let text = lines.map { $0.joined(separator: "\t") + "\n" }.joined()
                try put(Array(text.utf8), at: destination)
            } else {
                console.table(columns, rows.map { $0.map { $0 ?? "" } })
            }
        case .text(let bytes): try show(bytes, destination, console)
        case .arrow(let stream): try show(stream.bytes, destination, console)
        case .file: break
        }
    }

    private static func show(
        _ bytes: [UInt8], _ destination: String?, _ console: Console
    ) throws {
        if let destination {
            try put(bytes, at: destination)
        } else {
            console.write(Data(bytes))
        }
    }

    /// Says what an answer leaves out, and what did not hold the process that gave it.
    private static func note(
        _ access: Access, _ confinement: String, _ remarks: [String], _ console: Console,
        region: String? = nil
    ) {
        let place = region.map { "region `\($0)`: " } ?? ""
        if access.isHeldToGroups {
            let sizes = access.grants.map {
                "\($0.minGroup) people under policy `\($0.policy)` (\($0.position.text))"
            }
            let rest =
                access.mergesSmallGroups ? "put together to `other`, or left out" : "left out"
            console.note(
                "\(place)smaller groups are \(rest): at least \(sizes.joined(separator: ", "))")
        }
        for remark in remarks { console.note(place + remark) }
        if !access.leftOut.isEmpty {
            let names = access.leftOut.map { "`\($0)`" }.joined(separator: ", ")
            console.note(
                "\(place)rows of \(names) are left out: they may be seen as aggregates only")
        }
        if confinement.hasPrefix("without") {
            console.note("\(place)the query process ran \(confinement)")
        }
    }

    static func put(_ bytes: [UInt8], at path: String) throws {
        do {
            try Data(bytes).write(to: URL(fileURLWithPath: path), options: .withoutOverwriting)
        } catch {
            throw CommandFailure(
                text: "the result cannot be put at `\(path)`; is there a file already?")
        }
    }
}

/// A region that is opened when it is asked, so that one that cannot be opened is missing and the others answer.
private final class LateRegion: QueryRegion {
    private let region: RegionConfiguration
    private let clock: any WallClock
    private lazy var opening = Result { try RegionQueries(region, clock: clock) }

    init(_ region: RegionConfiguration, clock: any WallClock) {
        self.region = region
        self.clock = clock
    }

    var name: String { region.name }
    var jurisdiction: String { region.jurisdiction }
    var scratchDirectory: String { region.queryScratchDirectory }
    var sealedColumns: Set<String> { Set(region.sealedColumns.map(\.rawValue)) }
    func files() throws -> [QueryFile] { try opening.get().files() }
    func suppressedPseudonyms() throws -> [SuppressedPseudonym] {
        try opening.get().suppressedPseudonyms()
    }
    func asker(_ principal: Principal) -> String {
        // One that cannot be opened is not asked.
        (try? opening.get().asker(principal)) ?? "role:" + principal.role
    }
    func ledger() throws -> QueryLedger { try opening.get().ledger() }
    func record(_ entry: QueryAuditEntry) throws { try opening.get().record(entry) }
}

/// The file that `--out` names.
enum QueryResultFile: RestingWriter {
    static let rests = [Rest(.queryResults, HitBatch.columns)]
}
