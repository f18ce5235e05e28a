import Bytes
import CordonEdge
import CordonModel
import CordonPolicy
import GeoTables
import HTTP

extension Command {
    static let doctorAddress = Command(
        ["doctor", "address"],
        summary: "which hop of a chain of proxies is taken for the client, and why",
        usage: "--region REGION --peer A [--header 'Name: value']… [--proxy-header LINE]",
        options: [
            .region,
            Option(name: "peer", value: "A", help: "the address that connects to the collector"),
            Option(
                name: "header", value: "LINE",
                help: "a header line of the request, such as 'X-Forwarded-For: 203.0.113.9'",
                repeats: true),
            Option(
                name: "proxy-header", value: "LINE",
                help: "the PROXY header of version 1 that the connection begins with"),
        ],
        example:
            "cordon doctor address --region eu-central --peer 127.0.0.1 --header 'X-Forwarded-For: 88.198.0.1, 127.0.0.2'"
    ) { arguments, console in
        let name = try arguments.required("region")
        let text = try arguments.required("peer")
        guard let peer = IPAddress(text) else {
            throw UsageError(text: "option `--peer` takes an IP address, found `\(text)`")
        }
        let statement = try statement(arguments)
        let project = try CordonCLI.configuration(arguments)
        guard let region = project.regions.first(where: { $0.name == name }) else {
            throw UsageError(
                text: "unknown region `\(name)`"
                    + suggestion(name, among: project.regions.map(\.name)))
        }
        let (head, bytes) = try request(arguments.all("header"))
        let trace = ClientAddressResolver(region.collector).trace(
            peer: peer, statement: statement, head: head, bytes: bytes.span)
        let table = try openGeoTable(CordonCLI.project(arguments).geoTablePath)
        let homes = try HomeRegions(CordonCLI.project(arguments), table, console)
        let address = trace.chosen.flatMap { trace.hops[$0].address }
        let place = address.map { table.placeIndex(of: $0) } ?? 0
        let answer = AddressAnswer(
            region.collector, trace, table.places[place], homes.names[place])
        if arguments.wantsJSON {
            try console.print(json: answer)
        } else {
            answer.print(to: console, build: table.build)
        }
        return trace.provenance.isKnown ? .done : .foundProblem
    }

    /// The headers as a collector's parser reads them.
    private static func request(_ headers: [String]) throws -> (RequestHead, [UInt8]) {
        let lines = ["GET / HTTP/1.1", "Host: localhost"] + headers + ["", ""]
        let bytes = Array(lines.joined(separator: "\r\n").utf8)
        var machine = ConnectionMachine(at: 0)
        switch machine.step(bytes.span, at: 0) {
        case .request where machine.head.byteCount == bytes.count: return (machine.head, bytes)
        case .refuse(let status):
            throw UsageError(
                text:
                    "a collector refuses these headers with \(status.rawValue) (\(status.reason))"
            )
        default:
            throw UsageError(text: "option `--header` takes a line such as `Forwarded: for=A`")
        }
    }

    private static func statement(
        _ arguments: Arguments
    ) throws(UsageError) -> ProxyHeader.Statement? {
        guard let line = arguments.value("proxy-header") else { return nil }
        let bytes = Array((line + "\r\n").utf8)
        guard case .header(bytes.count, let statement) = ProxyHeader.read(bytes.span) else {
            throw UsageError(
                text:
                    "option `--proxy-header` takes a line such as `PROXY TCP4 203.0.113.9 192.0.2.1 56324 443`"
            )
        }
        return statement
    }
}

/// What `doctor address` says.
private struct AddressAnswer: Encodable {
    struct Hop: Encodable {
        let hop: Int
        let from: String
        let address: String
        let standing: String
    }

    let clientAddress: String
    let provenance: String
    let reason: String
    let hops: [Hop]
    let chosen: Int?
    let address: String?
    let country: String?
    let subdivision: String?
    let region: String?

    init(
        _ collector: RegionConfiguration.Collector, _ trace: AddressTrace, _ place: GeoPlace,
        _ home: String?
    ) {
        clientAddress = collector.clientAddress.rawValue
        provenance = trace.provenance.text
        reason = trace.provenance.reason
        hops = trace.hops.enumerated().map { index, hop in
            Hop(hop: index, from: hop.source, address: hop.text, standing: hop.standing.rawValue)
        }
        chosen = trace.chosen
        address = trace.chosen.flatMap { trace.hops[$0].address?.text }
        country = place.country
        subdivision = place.subdivision
        region = home
    }

    func print(to console: Console, build: String) {
        console.print("\(address ?? "nobody"): \(reason)")
        console.print()
        console.table(
            ["hop", "from", "address", "standing"],
            hops.map { ["\($0.hop)", $0.from, $0.address, $0.standing] })
        console.print()
        console.print("source      client_address: \(clientAddress)")
        console.print("provenance  \(provenance)")
        console.print("place       \(subdivision ?? country ?? "unknown"), by geo table \(build)")
        console.print("region      \(region ?? "none")")
    }

    private enum CodingKeys: String, CodingKey {
        case provenance, reason, hops, chosen, address, country, subdivision, region
        case clientAddress = "client_address"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(clientAddress, forKey: .clientAddress)
        try container.encode(provenance, forKey: .provenance)
        try container.encode(reason, forKey: .reason)
        try container.encode(hops, forKey: .hops)
        try container.encode(chosen, forKey: .chosen)
        try container.encode(address, forKey: .address)
        try container.encode(country, forKey: .country)
        try container.encode(subdivision, forKey: .subdivision)
        try container.encode(region, forKey: .region)
    }
}
