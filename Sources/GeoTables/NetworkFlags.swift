/// What a source says of the network of an address beside its place: that its users are hidden behind it.
///
/// The names are those of MaxMind's Anonymous IP database. They are shown by `geo lookup` and decide nothing.
package struct NetworkFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let anonymous = NetworkFlags(rawValue: 1 << 0)
    package static let anonymousVPN = NetworkFlags(rawValue: 1 << 1)
    package static let hostingProvider = NetworkFlags(rawValue: 1 << 2)
    package static let publicProxy = NetworkFlags(rawValue: 1 << 3)
    package static let residentialProxy = NetworkFlags(rawValue: 1 << 4)
    package static let torExitNode = NetworkFlags(rawValue: 1 << 5)
    package static let all = NetworkFlags(rawValue: (1 << 6) - 1)

    /// Each flag with the key of a MaxMind DB record that sets it.
    static let keys: [(flag: NetworkFlags, key: StaticString)] = [
        (.anonymous, "is_anonymous"), (.anonymousVPN, "is_anonymous_vpn"),
        (.hostingProvider, "is_hosting_provider"), (.publicProxy, "is_public_proxy"),
        (.residentialProxy, "is_residential_proxy"), (.torExitNode, "is_tor_exit_node"),
    ]

    /// A word for each flag that is set, such as `anonymous-vpn`.
    package var words: [String] {
        Self.keys.filter { contains($0.flag) }.map { _, key in
            key.description.dropFirst(3).map { $0 == "_" ? "-" : String($0) }.joined()
        }
    }
}
