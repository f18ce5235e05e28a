import Bytes
import CordonModel
import CordonPolicy
import GeoTables

extension Command {
    static let policyExplain = Command(
        ["policy", "explain"],
        summary: "why a request gets what it gets",
        usage: "--address A --url URL [--method M] [--header 'Name: value']… [--region COLLECTOR]",
        options: [
            Option(name: "address", value: "A", help: "the client's address"),
            Option(name: "url", value: "URL", help: "what the browser asks for"),
            Option(name: "method", value: "M", help: "GET (default) or HEAD"),
            Option(
                name: "header", value: "LINE", help: "a header line of the request", repeats: true),
            Option(
                name: "region", value: "COLLECTOR",
                help: "the region whose collector receives it; a home on the same node admits all"),
        ],
        example:
            "cordon policy explain --address 88.198.0.1 --header 'Sec-GPC: 1' --url 'https://example.org/pixel.gif?consent=granted'"
    ) { arguments, console in
        let text = try arguments.required("address")
        guard let address = IPAddress(text) else {
            throw UsageError(text: "option `--address` takes an IP address")
        }
        let request = try request(arguments)
        let project = try CordonCLI.configuration(arguments)
        if let region = arguments.value("region") {
            let names = project.regions.map(\.name)
            guard names.contains(region) else {
                throw UsageError(
                    text: "unknown region `\(region)`" + suggestion(region, among: names))
            }
        }
        let table: GeoTable
        do throws(GeoTableError) {
            table = try GeoTable(mapping: CordonCLI.project(arguments).geoTablePath)
        } catch {
            throw CommandFailure(text: "\(error)\n`cordon geo build` makes the project's geo table")
        }
        let place = RulePlace(table.place(of: address))
        let explanation = project.ruleSet.explain(request, at: place, on: CordonCLI.today)
        if arguments.wantsJSON {
            try console.print(json: explanation)
        } else {
            print(explanation, place, table.build, arguments.value("region"), console)
        }
        return .done
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
