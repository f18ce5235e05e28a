import Bytes
import CordonAuthoring
import CordonModel
import CordonPolicy
import CordonServer
import Foundation
import GeoTables

extension Command {
    static let policyExplain = Command(
        ["policy", "explain"],
        summary: "why a request gets what it gets",
        usage:
            "--address A --url URL [--method M] [--header 'Name: value']… [--as-of DAY|RULESET] [--table TABLE]",
        options: [
            Option(name: "address", value: "A", help: "the client's address"),
            Option(name: "url", value: "URL", help: "what the browser asks for"),
            Option(
                name: "method", value: "M", help: "GET (default) or HEAD; bodies are not explained"),
            Option(
                name: "header", value: "LINE", help: "a header line of the request", repeats: true),
            Option(
                name: "region", value: "COLLECTOR",
                help: "the region whose collector receives it; a home on the same node admits all"),
            Option(
                name: "as-of", value: "DAY|RULESET",
                help:
                    "by the rules that were in force on a day (YYYY-MM-DD, UTC), or by those of a "
                    + "digest that stands in a record"),
            Option(
                name: "table", value: "TABLE",
                help: "the geo table (default: the project's present one)"),
        ],
        example:
            "cordon policy explain --address 88.198.0.1 --header 'Sec-GPC: 1' --url 'https://example.org/pixel.gif?consent=granted'"
    ) { arguments, console in
        let text = try arguments.required("address")
        guard let address = IPAddress(text) else {
            throw UsageError(text: "option `--address` takes an IP address")
        }
        let request = try request(arguments)
        let chosen = try chosenRules(arguments)
        let project = chosen.project
        if let region = arguments.value("region") {
            let names = project.regions.map(\.name)
            guard names.contains(region) else {
                throw UsageError(
                    text: "unknown region `\(region)`" + suggestion(region, among: names))
            }
        }
        let table: GeoTable
        do throws(GeoTableError) {
            table = try GeoTable(
                mapping: arguments.value("table").map {
                    URL(fileURLWithPath: $0).standardizedFileURL.path
                } ?? CordonCLI.project(arguments).geoTablePath)
        } catch {
            throw CommandFailure(text: "\(error)\n`cordon geo build` makes the project's geo table")
        }
        let place = RulePlace(table.place(of: address))
        let explanation = project.ruleSet.explain(request, at: place, on: chosen.day)
        for note in chosen.notes { console.note("note: \(note)") }
        if let build = chosen.geoBuild, build != table.build {
            console.note(
                "note: the geo table then was \(build), this is \(table.build); `--table` takes another"
            )
        }
        if arguments.wantsJSON {
            try console.print(json: explanation)
        } else {
            print(explanation, place, table.build, arguments.value("region"), console)
        }
        return .done
    }

    /// What a request is explained by.
    private struct ChosenRules {
        var project: ProjectConfiguration
        var day: Day
        /// The geo table that went with the rules, if that is known.
        var geoBuild: String?
        var notes: [String] = []
    }

    private static func chosenRules(_ arguments: Arguments) throws -> ChosenRules {
        guard let name = arguments.value("as-of") else {
            return ChosenRules(
                project: try CordonCLI.configuration(arguments), day: CordonCLI.today)
        }
        let kept = KeptRules(CordonCLI.project(arguments))
        guard let day = Day(name) else {
            let mistake =
                "`\(name)` is neither a day (YYYY-MM-DD) nor the digest of a rule set that "
                + "was in force here: at least \(KeptRules.prefixLengthMin) of its digits"
            guard KeptRules.isDigest(name) else { throw UsageError(text: mistake) }
            guard let digest = try kept.digest(named: name) else {
                throw CommandFailure(text: mistake, exitCode: .foundProblem)
            }
            return ChosenRules(
                project: try kept.load(digest, now: CordonCLI.today), day: CordonCLI.today)
        }
        guard day <= CordonCLI.today else {
            throw UsageError(text: "`--as-of \(name)` is still to come")
        }
        let history = try RuleHistory(try CordonCLI.configuration(arguments).regions)
        let (inForce, before) = history.reigns(on: day)
        guard let reign = inForce.last ?? before else {
            throw CommandFailure(
                text: "the audit logs know of no rules in force on \(name) or before",
                exitCode: .foundProblem)
        }
        var notes: [String] = []
        if inForce.isEmpty {
            notes.append(
                "nothing collected on \(name); these rules ended \(reign.until?.text ?? "")")
        }
        for other in inForce.dropLast() where other.ruleSet != reign.ruleSet {
            notes.append(
                "until \(other.until?.text ?? "") of that day rule set \(other.ruleSet) was in force"
            )
        }
        return ChosenRules(
            project: try kept.load(reign.ruleSet, now: day), day: day, geoBuild: reign.geoBuild,
            notes: notes)
    }

    private static func request(_ arguments: Arguments) throws(UsageError) -> SyntheticRequest {
        var headers: [(name: String, value: String)] = []
        for line in arguments.all("header") {
            guard let colon = line.firstIndex(of: ":") else {
                throw UsageError(text: "option `--header` takes a line such as `Sec-GPC: 1`")
            }
            headers.append((String(line[..<colon]), String(line[line.index(after: colon)...])))
        }
        let url = try arguments.required("url")
        do throws(SyntheticRequest.Mistake) {
            return try SyntheticRequest(
                method: arguments.value("method") ?? "GET", url: url, headers: headers)
        } catch {
            throw UsageError(text: error.text)
        }
    }

    private static func print(
        _ explanation: Explanation, _ place: RulePlace, _ build: String, _ collector: String?,
        _ console: Console
    ) {
        let home = explanation.region.map { " in region `\($0)`" } ?? ""
        console.print("\(explanation.outcome)\(home) under policy `\(explanation.policy)`")
        console.print()
        let reason = explanation.reason
        var facts = [
            ("reason", "\(reason.text) (\(reason.file):\(reason.line))"),
            ("place", "\(place.subdivision ?? place.country ?? "unknown"), by geo table \(build)"),
        ]
        if let collector { facts.append(("collector", collector)) }
        let purposes = explanation.consent.purposes.joined(separator: ", ")
        facts.append(
            ("consent", explanation.consent.state + (purposes.isEmpty ? "" : ", for " + purposes)))
        for signal in explanation.consent.signals {
            facts.append(("", "\(signal.signal) is \(signal.state): \(signal.detail)"))
        }
        facts.append(("kept until", explanation.retainUntil ?? "nothing is kept"))
        if let preset = explanation.retentionPreset {
            facts.append(
                (
                    "",
                    "within preset `\(preset.name)`: \(preset.source), checked \(preset.checked)"
                ))
        }
        facts.append(("sample rate", "\(explanation.sampleRate)"))
        facts.append(("rule set", explanation.ruleSet))
        for (name, value) in facts {
            let padding = String(repeating: " ", count: 13 - name.count)
            console.print(name + padding + value)
        }
        console.print()
        console.table(
            ["field", "action", "reason"],
            explanation.fields.sorted { $0.key < $1.key }
                .map { [$0.key, $0.value.action, $0.value.reason] })
    }
}
