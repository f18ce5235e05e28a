import CordonModel
import CordonPolicy
import CordonQuery
import CordonServer
import Foundation

extension Command {
    static let query = Command(
        ["query"],
        summary: "ask a region's hits in SQL, as far as its policies allow",
        usage:
            "[--region REGION] --role ROLE --purpose PURPOSE --from CC [--format FORM] [--out FILE] SQL",
        options: [
            Option(
                name: "region", value: "REGION",
                help: "the region to ask; needed where there are several",
                repeats: true),
            Option(name: "role", value: "ROLE", help: "in which role you ask"),
            Option(name: "purpose", value: "PURPOSE", help: "for which purpose you ask"),
            Option(
                name: "from", value: "CC",
                help: "ISO 3166 code of the country, or country-subdivision, you ask from"),
            Option(
                name: "format", value: "FORM",
                help: "table (default), csv, json (one object a line), parquet"
            ),
            Option(name: "out", value: "FILE", help: "where the result goes; needed for parquet"),
        ],
        example:
            "cordon query --region eu-central --role analyst --purpose audience-measurement --from DE"
            + " 'SELECT country, count(*) AS hits FROM hits GROUP BY country'",
        arguments: 1...1
    ) { arguments, console in
        let (request, destination) = try queryRequest(arguments)
        let project = try CordonCLI.configuration(arguments)
        let names = arguments.all("region")
        if Set(names).count > 1 {
            let text =
                "a query over several regions is not answered by this version; ask each by itself"
            return try refuse(Refusal(rule: "regions", text: text), arguments, console)
        }
        let region = try queryRegion(names.first, project.regions)
        let clock = SystemWallClock()
        let environment = ProcessInfo.processInfo.environment
        let service = try QueryService(
            policies: project.ruleSet.policies, clock: clock,
            allowsUnsandboxed: environment["CORDON_ALLOW_UNSANDBOXED"] == "1")
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
        case .answered(let answer): try show(answer, destination, console)
        }
        return .done
    }

    /// Runs in the child process of a query, under its restrictions; people have no use for it.
    static let queryWorker = Command(
        ["query-worker"], summary: "run one planned query from standard input",
        example: "cordon query --help"
    ) { _, _ in QueryWorker.run() == 0 ? .done : .worldFailed }

    private static func queryRequest(
        _ arguments: Arguments
    ) throws(UsageError) -> (QueryRequest, destination: String?) {
        let named = arguments.value("format") ?? (arguments.wantsJSON ? "json" : "table")
        guard let format = QueryFormat(rawValue: named) else {
            let forms = QueryFormat.allCases.map(\.rawValue)
            throw UsageError(
                text: "option `--format` takes \(forms.joined(separator: ", ")), found `\(named)`"
                    + suggestion(named, among: forms))
        }
        let destination = arguments.value("out")
        guard format != .parquet || destination != nil else {
            throw UsageError(text: "the form `parquet` needs a file: `--out FILE`")
        }
        let place = try arguments.required("from")
        guard RulePlace(code: place) != nil else {
            throw UsageError(
                text:
                    "option `--from` takes an ISO 3166 code such as `DE` or `US-CA`, found `\(place)`"
            )
        }
        let principal = Principal(
            role: try arguments.required("role"), purpose: try arguments.required("purpose"),
            place: place)
        return (
            QueryRequest(sql: arguments.free[0], principal: principal, format: format), destination
        )
    }

    private static func queryRegion(
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
        _ answer: QueryAnswer, _ destination: String?, _ console: Console
    ) throws {
        switch answer.body {
        case .cells(let rows):
            if let destination {
                let lines = [answer.columns] + rows.map { $0.map { $0 ?? "" } }
                let text = lines.map { $0.joined(separator: "\t") + "\n" }.joined()
                try put(Array(text.utf8), at: destination)
            } else {
                console.table(answer.columns, rows.map { $0.map { $0 ?? "" } })
            }
        case .text(let bytes):
            if let destination {
                try put(bytes, at: destination)
            } else {
                FileHandle.standardOutput.write(Data(bytes))
            }
        case .file: break
        }
        if answer.access.isHeldToGroups {
            let sizes = answer.access.grants.map {
                "\($0.minGroup) people under policy `\($0.policy)` (\($0.position.text))"
            }
            console.note("smaller groups are left out: at least \(sizes.joined(separator: ", "))")
        }
        if !answer.access.leftOut.isEmpty {
            let names = answer.access.leftOut.map { "`\($0)`" }.joined(separator: ", ")
            console.note("rows of \(names) are left out: they may be seen as aggregates only")
        }
        if answer.confinement.hasPrefix("without") {
            console.note("the query process ran \(answer.confinement)")
        }
    }

    private static func put(_ bytes: [UInt8], at path: String) throws {
        do {
            try Data(bytes).write(to: URL(fileURLWithPath: path), options: .withoutOverwriting)
        } catch {
            throw CommandFailure(
                text: "the result cannot be put at `\(path)`; is there a file already?")
        }
    }
}

/// The file that `--out` names.
enum QueryResultFile: RestingWriter {
    static let rests = [Rest(.queryResults, HitBatch.columns)]
}
