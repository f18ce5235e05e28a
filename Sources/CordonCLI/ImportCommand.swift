import AccessLogs
import Bytes
import CordonAuthoring
import CordonEdge
import CordonModel
import CordonPolicy
import CordonServer
import Foundation

extension Command {
    static let importLogs = Command(
        ["import"], summary: "bring access logs down the road of live hits, each line exactly once",
        usage: "--format F [--fields A,B,…] [--region R]… FILE…",
        options: [
            Option(
                name: "format", value: "F",
                help: LogFormat.allCases.map(\.rawValue).joined(separator: ", ")
                    + "; packed with gzip or zstd or not"),
            Option(
                name: "fields", value: "A,B,…",
                help: "the columns of a log without a header, in their order "
                    + "(default: all 40 of real-time logs)"),
            Option(
                name: "region", value: "REGION",
                help: "keep hits of this region alone (default: every region of the project)",
                repeats: true),
            Option(
                name: "path", value: "/PATH",
                help: "a path that is a pixel's (default: "
                    + HitImporter.pixelPaths.joined(separator: ", ") + ")", repeats: true),
            Option(
                name: "trusted-proxy", value: "CIDR",
                help: "a network whose `X-Forwarded-For` in the log is believed (default: none)",
                repeats: true),
            Option(
                name: "unlogged-signals", value: "deny|absent",
                help: "what it means that a log does not show cookies, Sec-GPC or DNT: consent is "
                    + "unknown and counts as refused, or none was sent (default: deny)"),
            Option(
                name: "batch", value: "LINES",
                help: "lines between two commits, 100 to 1000000 (default: "
                    + "\(HitImporter.windowLinesDefault))"),
        ],
        example: "cordon import --format cloudfront-standard logs/*.gz", arguments: 1...Int.max
    ) { arguments, console in
        try ImportRun(arguments, console).run()
    }
}

/// One import for one command line.
private struct ImportRun {
    private let arguments: Arguments
    private let console: Console
    private let options: LogImport.Options

    init(_ arguments: Arguments, _ console: Console) throws {
        self.arguments = arguments
        self.console = console
        var options = LogImport.Options(format: try Self.format(arguments.required("format")))
        options.columns = try Self.columns(arguments, options.format)
        let paths = arguments.all("path")
        for path in paths where !path.hasPrefix("/") || path.contains("?") {
            throw UsageError(text: "option `--path` takes a path such as /hit, found `\(path)`")
        }
        if !paths.isEmpty { options.settings = .init(paths: paths) }
        options.settings.trustedProxies = try arguments.all("trusted-proxy").map { text in
            guard let prefix = IPPrefix(text) else {
                throw UsageError(
                    text: "option `--trusted-proxy` takes a network such as 192.0.2.0/24, "
                        + "found `\(text)`")
            }
            return prefix.unmapped
        }
        switch arguments.value("unlogged-signals") ?? "deny" {
        case "deny": break
        case "absent": options.settings.takesUnloggedAsAbsent = true
        case let other:
            throw UsageError(
                text: "option `--unlogged-signals` takes `deny` or `absent`, found `\(other)`")
        }
        if let lines = try arguments.integer("batch", in: 100...1_000_000) {
            options.settings.windowLines = lines
        }
        self.options = options
    }

    private static func format(_ name: String) throws(UsageError) -> LogFormat {
        // Version 2 of the standard logs is told by its content.
        if name == "cloudfront-standard-v2" { return .cloudFrontStandard }
        guard let format = LogFormat(rawValue: name) else {
            let names = LogFormat.allCases.map(\.rawValue)
            throw UsageError(
                text: "unknown format `\(name)`" + suggestion(name, among: names)
                    + "; the formats are \(names.joined(separator: ", "))")
        }
        return format
    }

    private static func columns(
        _ arguments: Arguments, _ format: LogFormat
    ) throws(UsageError) -> [String]? {
        guard let text = arguments.value("fields") else { return nil }
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        let known: [String]
        switch format {
        case .cloudFrontRealTime: known = LogField.knownRealTimeNames
        case .cloudFrontStandard: known = LogField.knownStandardNames
        case .combined, .ndjson:
            throw UsageError(text: "the format `\(format.rawValue)` has no columns to name")
        }
        var seen: Set<String> = []
        for name in names {
            guard known.contains(where: { $0.lowercased() == name.lowercased() }) else {
                throw UsageError(
                    text: "unknown field `\(name)`" + suggestion(name, among: known))
            }
            guard seen.insert(name.lowercased()).inserted else {
                throw UsageError(text: "field `\(name)` is named twice")
            }
        }
        return names
    }

    func run() throws -> ExitCode {
        let configuration = try CordonCLI.configuration(arguments)
        let regions = try CordonCLI.regions(arguments)
        let files = arguments.free
        if files.contains("-") {
            console.note(
                "cordon import: standard input has no name to know it by: a run that is cut "
                    + "cannot be gone on with, and the same lines given again are taken again")
        }
        // Each file is read twice: for its digest, and line by line.
        let total = files.reduce(0) { sum, path in
            sum + 2
                * ((try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0)
        }
        let progress = ImportProgress()
        // Records name their rule set by digest, which must be found for as long as they are there.
        try KeptRules(CordonCLI.project(arguments)).keep(configuration)
        let work = try LogImport(
            layout: CordonCLI.project(arguments), ruleSet: configuration.ruleSet, regions: regions,
            options: options, progress: progress)
        var sum = ImportReport()
        var hasFailed = false
        let clock = ContinuousClock()
        let begun = clock.now
        for path in files {
            let fileBegun = clock.now
            let shown = Progress(console: console, total: total, unit: "bytes")
            let result = try shown.follow({ progress.bytesRead }, { try work.run(path) })
            sum.add(result.report)
            hasFailed = hasFailed || result.failure != nil
            if arguments.wantsJSON {
                try console.print(
                    json: FileLine(path, result, seconds: (clock.now - fileBegun) / .seconds(1)))
            } else {
                show(path, result)
            }
        }
        if !arguments.wantsJSON { show(sum, seconds: (clock.now - begun) / .seconds(1)) }
        if hasFailed { return .worldFailed }
        return sum.refusedLines > 0 ? .foundProblem : .done
    }

    private func show(_ path: String, _ result: LogImport.FileResult) {
        let report = result.report
        if let failure = result.failure {
            console.note("cordon import: \(path): \(failure)")
            console.note(
                "\(path): \(groupedDigits(report.lines)) lines are in; the next import goes on behind them"
            )
        } else if result.isKnown {
            console.print(
                "\(path): imported before, \(groupedDigits(report.linesBefore)) lines: nothing to do"
            )
        } else {
            let before =
                report.linesBefore > 0
                ? ", behind \(groupedDigits(report.linesBefore)) that were in" : ""
            console.print(
                "\(path): \(groupedDigits(report.lines)) lines\(before), file \(result.name)")
        }
    }

    private func show(_ sum: ImportReport, seconds: Double) {
        if !sum.rules.isEmpty {
            console.print()
            let fates = HitFate.allCases.filter { $0 != .failed }
            console.table(
                ["region", "policy"] + fates.map(\.text),
                sum.rules.map { rule in
                    [rule.region.isEmpty ? "none" : rule.region, rule.policy]
                        + fates.map { String(rule[$0]) }
                })
        }
        let refused = zip(ImportRefusal.all, sum.refused).filter { $0.1 > 0 }
        if !refused.isEmpty {
            console.print()
            console.table(["lines refused", "reason"], refused.map { [String($0.1), $0.0.text] })
        }
        console.print()
        let rate = Int(Double(sum.lines) / max(seconds, 0.001))
        console.print(
            "\(groupedDigits(sum.lines)) lines in \(String(format: "%.1f", seconds)) s, \(groupedDigits(rate))/s: "
                + "\(groupedDigits(sum.lines - sum.notHits - sum.blank - sum.refusedLines)) hits, "
                + "\(groupedDigits(sum.notHits)) requests for something else, "
                + "\(groupedDigits(sum.blank)) without a request, "
                + "\(groupedDigits(sum.refusedLines)) refused")
        if sum.consentUnknown > 0 {
            console.print(
                "\(groupedDigits(sum.consentUnknown)) hits count as without consent, because the log does not show "
                    + "whether cookies, Sec-GPC or DNT were sent (see --unlogged-signals)")
        }
        if sum.keysMissing > 0 {
            console.print(
                "\(groupedDigits(sum.keysMissing)) hits have no pseudonym, because the key of their day is not there"
            )
        }
    }
}

/// One line of `--json`.
private struct FileLine: Encodable {
    struct Rule: Encodable {
        let region: String?
        let policy: String
        let fates: [String: UInt64]
    }

    let path: String
    let file: String
    let state: String
    let error: String?
    let lines: Int
    let linesBefore: Int
    let notHits: Int
    let noRequest: Int
    let refused: [String: Int]
    let hits: [Rule]
    let consentUnknown: Int
    let keysMissing: Int
    let seconds: Double
    let linesPerSecond: Int

    private enum CodingKeys: String, CodingKey {
        case path, file, state, error, lines, refused, hits, seconds
        case linesBefore = "lines_before"
        case notHits = "not_hits"
        case noRequest = "no_request"
        case consentUnknown = "consent_unknown"
        case keysMissing = "keys_missing"
        case linesPerSecond = "lines_per_second"
    }

    init(_ path: String, _ result: LogImport.FileResult, seconds: Double) {
        let report = result.report
        self.path = path
        file = result.name
        state = result.failure != nil ? "cut" : result.isKnown ? "known" : "imported"
        error = result.failure
        lines = report.lines
        linesBefore = report.linesBefore
        notHits = report.notHits
        noRequest = report.blank
        refused = Dictionary(
            uniqueKeysWithValues: zip(ImportRefusal.all, report.refused).filter { $0.1 > 0 }
                .map { ($0.0.text, $0.1) })
        hits = report.rules.map { rule in
            Rule(
                region: rule.region.isEmpty ? nil : rule.region, policy: rule.policy,
                fates: Dictionary(
                    uniqueKeysWithValues: HitFate.allCases.filter { rule[$0] > 0 }
                        .map { ($0.text, rule[$0]) }))
        }
        consentUnknown = report.consentUnknown
        keysMissing = report.keysMissing
        self.seconds = seconds
        linesPerSecond = Int(Double(report.lines) / max(seconds, 0.001))
    }
}
