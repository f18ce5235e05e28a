import CordonModel

extension Command {
    static let geoInfo = Command(
        ["geo", "info"], summary: "what a geo table holds and what it was made from",
        usage: "[TABLE]", example: "cordon geo info", arguments: 0...1
    ) { arguments, console in
        let path = arguments.free.first ?? CordonCLI.project(arguments).geoTablePath
        let report = try GeoTableReport(openGeoTable(path))
        if arguments.wantsJSON {
            try console.print(json: report)
        } else {
            report.print(to: console)
        }
        return .done
    }
}
