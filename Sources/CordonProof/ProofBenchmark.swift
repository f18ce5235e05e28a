import Bytes
import CordonModel
package import CordonPolicy
package import GeoTables

/// What proving costs, and how it grows with policies.
package struct ProofBenchmark: Sendable {
    package let milliseconds: Double
    package let ranges: Int
    package let policies: Int
    package let statements: Int
    /// Sum over what was covered, so that the work cannot be optimised away.
    package let checksum: Int

    /// Proves `project` over `table`, compiling included.
    package static func run(_ project: ProjectConfiguration, table: GeoTable) -> ProofBenchmark {
        let begun = ContinuousClock.now
        let rules = project.ruleSet.bound(to: table.places)
        let proof = Prover(project, rules: rules, table: table).prove()
        let milliseconds = (ContinuousClock.now - begun) / .milliseconds(1)
        return ProofBenchmark(
            milliseconds: milliseconds, ranges: proof.rangeCount,
            policies: project.ruleSet.policies.count, statements: proof.results.count,
            checksum: proof.results.reduce(0) { $0 &+ $1.cases })
    }

    /// Writes a table of about `count` ranges of IPv4 addresses that go around some places.
    package static func writeTable(ranges count: Int, to path: String) throws(GeoTableError) {
        let places = ["DE", "US", "IN", "BR", "JP", "CN", "GB", "CH"].map {
            GeoPlace(country: $0)
        }
        var builder = GeoTableBuilder()
        for index in 0..<count {
            let first = 0x0B00_0000 + UInt32(index) * 16
            builder.add(
                first: IPAddress(ipv4: first), last: IPAddress(ipv4: first + 15),
                place: places[index % places.count])
        }
        try builder.write(to: path)
    }

    /// A project with `count` policies more than the world's, each for a site of its own in every place.
    package static func project(policies count: Int) throws(ConfigurationErrors)
        -> ProjectConfiguration
    {
        let region = """
            region: one
            title: One
            jurisdiction: DE
            collector: { listen: "127.0.0.1:8401" }

            """
        func policy(_ name: String, sites: String) -> String {
            """
            policy: \(name)
            title: \(name)
            source: benchmark
            applies_to: { places: [world], sites: ["\(sites)"] }
            route: { region: one, away: refuse }
            consent: { signals: [gpc], when_absent: denied, purposes: { measuring: }, denied: count }
            fields: { ip: { truncate: { ipv4: 24, ipv6: 48 } }, user: { pseudonym: day, needs: measuring }, place: country }
            retention: { hits: 30d }

            """
        }
        var texts = [
            "Regions/one.yaml": region, "Policies/atlas.yaml": "groups: {}\n",
            "Policies/world.yaml": policy("world", sites: "*"),
        ]
        for index in 0..<count {
            let name = "site-\(index)"
            texts["Policies/\(name).yaml"] = policy(name, sites: "\(name).example")
        }
        return try ProjectConfiguration.load(
            ProjectFiles(texts), layout: ProjectLayout(root: "/benchmark"), now: Day("2026-01-01")!)
    }
}
