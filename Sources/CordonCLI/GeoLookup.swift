import Bytes
import CordonModel
import CordonPolicy
import GeoTables
import LinuxIO

extension Command {
    static let geoLookup = Command(
        ["geo", "lookup"], summary: "the place of addresses, and their home region",
        usage: "[--table TABLE] ADDR…",
        options: [
            Option(name: "table", value: "TABLE", help: "the table (default: the project's table)")
        ],
        example: "cordon geo lookup 203.0.113.9 2a00:1450:4001::1", arguments: 1 ... .max
    ) { arguments, console in
        let addresses = try arguments.free.map { text throws(UsageError) in
            guard let address = IPAddress(text) else {
                throw UsageError(text: "`\(text)` is no IPv4 or IPv6 address")
            }
            return address
        }
        let path = arguments.value("table") ?? CordonCLI.project(arguments).geoTablePath
        let table = try openGeoTable(path)
        let regions = try HomeRegions(CordonCLI.project(arguments), table, console)
        let answers = addresses.map { GeoAnswer($0, in: table, regions) }
        if arguments.wantsJSON {
            for answer in answers { try console.print(json: answer) }
            return .done
        }
        console.table(
            [
                "address", "range", "country", "subdivision", "registered", "network", "region",
                "note",
            ],
            answers.map(\.cells))
        console.print()
        console.print("build \(table.build)")
        return .done
    }
}

/// The region in which a hit from each place of a table is at home, for a site that no policy names.
struct HomeRegions {
    /// By place index; nil where hits are refused, or where there are no policies to ask.
    let names: [String?]

    init(_ project: ProjectLayout, _ table: GeoTable, _ console: Console) throws {
        guard try File.exists(project.atlasPath) else {
            names = table.places.map { _ in nil }
            return
        }
        do throws(ConfigurationErrors) {
            let now = Timestamp(microseconds: SystemClock.realtimeMicroseconds())
            let rules = try ProjectConfiguration.load(project, now: Day(now)).ruleSet
            let bound = rules.bound(
                to: table.places.map {
                    RulePlace(country: $0.country, subdivision: $0.subdivision)
                })
            names = table.places.indices.map { place in
                rules.policies[bound.policyIndex(place: place, siteClass: 0)].route.region
            }
        } catch {
            console.note(
                "home regions are left out: the policies have \(error.problems.count) mistake(s), which `cordon check` lists"
            )
            names = table.places.map { _ in nil }
        }
    }
}

/// What `geo lookup` says of one address; keys stand also where nothing is known.
struct GeoAnswer: Encodable {
    let address: String
    let range: String
    let place: GeoPlace
    let region: String?
    let build: String
    /// Why the address has no place on purpose.
    let special: String?

    init(_ address: IPAddress, in table: GeoTable, _ regions: HomeRegions) {
        let match = table.match(address)
        self.address = address.text
        range = match.text
        place = table.places[match.place]
        region = regions.names[match.place]
        build = table.build
        special = SpecialBlock.containing(address)?.name
    }

    var cells: [String] {
        [
            address, range, place.country ?? "–", place.subdivision ?? "–",
            place.registeredCountry ?? "–",
            place.network.isEmpty ? "–" : place.network.words.joined(separator: " "),
            region ?? "–", special ?? "",
        ]
    }

    private enum CodingKeys: String, CodingKey {
        case address, range, country, subdivision, network, region, build, special
        case registeredCountry = "registered_country"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(address, forKey: .address)
        try container.encode(range, forKey: .range)
        try container.encode(place.country, forKey: .country)
        try container.encode(place.subdivision, forKey: .subdivision)
        try container.encode(place.registeredCountry, forKey: .registeredCountry)
        try container.encode(place.network.words, forKey: .network)
        try container.encode(region, forKey: .region)
        try container.encode(build, forKey: .build)
        try container.encode(special, forKey: .special)
    }
}
