internal import Bytes
package import CordonModel

extension RegionConfiguration {
    /// A region with all of its files below `state`, whose collector listens on a port of the system's choice.
    package static func forTest(
        _ name: String = "r1", jurisdiction: String = "DE", in state: String,
        maintenance: LakeMaintenance = LakeMaintenance()
    ) -> RegionConfiguration {
        RegionConfiguration(
            name: name, title: name, jurisdiction: jurisdiction,
            collector: .init(
                listen: .init(address: IPAddress(ipv4: 0x7F00_0001), port: 0), trustedProxies: [],
                clientAddress: .peer, durability: .durable),
            lakeDirectory: state + "/lake", catalogPath: state + "/catalog.sqlite",
            keysDirectory: state + "/keys", stateDirectory: state, maintenance: maintenance)
    }
}
