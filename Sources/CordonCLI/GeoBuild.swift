import CordonModel
import GeoTables
import LinuxIO

extension Command {
    static let geoBuild = Command(
        ["geo", "build"], summary: "compile a geo table from sources",
        usage: "--format FORMAT [--out TABLE] SOURCE…",
        options: [
            Option(
                name: "format", value: "FORMAT",
                help:
                    "what the sources are: \(GeoSourceFormat.allCases.map(\.rawValue).joined(separator: ", "))"
            ),
            Option(
                name: "out", value: "TABLE",
                help: "the file to write (default: the project's table)"),
        ],
        example:
            "cordon geo build --format tor-geoipdb --out places.cgt /usr/share/tor/geoip /usr/share/tor/geoip6",
        arguments: 1 ... .max
    ) { arguments, console in
        let name = try arguments.required("format")
        guard let format = GeoSourceFormat(rawValue: name) else {
            let known = GeoSourceFormat.allCases.map(\.rawValue)
            throw UsageError(
                text: "unknown format `\(name)`\(suggestion(name, among: known)); expected one of "
                    + known.joined(separator: ", "))
        }
        let path = arguments.value("out") ?? CordonCLI.project(arguments).geoTablePath
        do {
            var builder = GeoTableBuilder()
            for source in arguments.free { try builder.add(format, path: source) }
            try Directory.create(File.parent(of: path), mode: 0o755)
            try builder.write(to: path)
        } catch let error as GeoTableError {
            let isInput = error.code != .systemCall
            throw CommandFailure(
                text: error.description, exitCode: isInput ? .foundProblem : .worldFailed)
        }
        let report = try GeoTableReport(openGeoTable(path))
        if arguments.wantsJSON {
            try console.print(json: report)
        } else {
            report.print(to: console)
        }
        return .done
    }
}
