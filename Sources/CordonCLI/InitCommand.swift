import CordonModel
import CordonPolicy
import CordonServer
import Foundation
import GeoTables
import LinuxIO

extension Command {
    static let initialize = Command(
        ["init"], summary: "make a working project: regions, policies, keys, geo table",
        usage: "[--geo-format FORMAT --geo FILE…] [DIR]",
        options: [
            Option(
                name: "geo", value: "FILE",
                help: "a source of the geo table (default: the two lists of tor-geoipdb)",
                repeats: true),
            Option(
                name: "geo-format", value: "FORMAT",
                help: "what --geo is: tor-geoipdb, mmdb or csv (default: tor-geoipdb)"),
        ],
        example: "cordon init my-project", arguments: 0...1
    ) { arguments, console in
        let layout =
            arguments.free.first.map { path in
                ProjectLayout(root: URL(fileURLWithPath: path).standardizedFileURL.path)
            } ?? CordonCLI.project(arguments)
        let name = arguments.value("geo-format") ?? GeoSourceFormat.torGeoIPDB.rawValue
        guard let format = GeoSourceFormat(rawValue: name) else {
            let names = GeoSourceFormat.allCases.map(\.rawValue)
            throw UsageError(
                text: "unknown format `\(name)`" + suggestion(name, among: names)
                    + "; the formats are \(names.joined(separator: ", "))")
        }
        let given = arguments.all("geo")
        guard !given.isEmpty || format == .torGeoIPDB else {
            throw UsageError(text: "--geo-format \(name) needs --geo FILE")
        }
        var lines: [String] = []
        let wantsJSON = arguments.wantsJSON
        let setup = ProjectSetup(layout: layout) { line in
            lines.append(line)
            if !wantsJSON { console.print(line) }
        }
        do {
            try setup.run(
                geoFormat: format,
                geoSources: given.isEmpty ? ProjectSetup.defaultGeoSources : given,
                clock: SystemWallClock())
        } catch let error as ConfigurationErrors {
            throw CommandFailure(
                text: "the configuration has mistakes\n" + error.description,
                exitCode: .foundProblem)
        } catch let error as GeoTableError where error.code != .systemCall {
            throw CommandFailure(text: error.description, exitCode: .foundProblem)
        }
        if wantsJSON {
            struct Answer: Encodable {
                let project: String
                let steps: [String]
            }
            try console.print(json: Answer(project: layout.root, steps: lines))
        } else {
            console.print("ready: `cordon up --project \(layout.root)` starts it")
        }
        return .done
    }
}
