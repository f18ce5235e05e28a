internal import Bytes
internal import CordonModel
internal import LinuxIO

/// What must hold between regions, each of which is right by itself: none takes the port or the files of another, or those that
/// the project keeps for all.
struct RegionChecks {
    let problems: ProblemList
    private var listeners: [(region: String, listener: RegionConfiguration.Listener)] = []
    private var places: [Place] = []
    /// Kept for the project itself, by the text for people.
    private let fixed: [(name: String, path: FilePath)]

    init(problems: ProblemList, layout: ProjectLayout) {
        self.problems = problems
        fixed = layout.ownDirectories.map { ($0, FilePath(layout.absolute($0))) }
    }

    /// Checks `region` against the project and against those that were checked before it.
    mutating func check(_ region: RegionConfiguration, at position: FilePosition) {
        checkListeners(region, at: position)
        checkPlaces(region, at: position)
    }
}

// MARK: Ports

extension RegionChecks {
    private mutating func checkListeners(_ region: RegionConfiguration, at position: FilePosition) {
        for listener in region.listeners where listener.address.port != 0 {
            let address = listener.address
            if let other = listeners.first(where: { $0.listener.address.meets(address) }) {
                let taken = other.listener.address
                let text =
                    if other.region == region.name {
                        "region `\(region.name)` listens on \(taken.text) for its \(other.listener.name) and on \(address.text) for "
                            + "its \(listener.name): each needs a port of its own"
                    } else if taken == address {
                        "region `\(region.name)` listens on \(address.text), as region `\(other.region)` does"
                    } else {
                        "region `\(region.name)` listens on \(address.text), and region `\(other.region)` on \(taken.text): one "
                            + "takes in the other"
                    }
                problems.error(position, text)
            }
            listeners.append((region.name, listener))
        }
    }
}

extension RegionConfiguration.SocketAddress {
    /// Whether a connection to some address may come to both. An IPv6 listener takes IPv6 alone.
    fileprivate func meets(_ other: Self) -> Bool {
        port == other.port && address.isIPv6 == other.address.isIPv6
            && (address == other.address || isWildcard || other.isWildcard)
    }

    /// Whether it stands for every address of the machine.
    private var isWildcard: Bool { ["0.0.0.0", "::"].contains(address.text) }
}

// MARK: Files

extension RegionChecks {
    /// A path by which two texts of one file are one: without links, as far as there are any, and without repeated slashes.
    fileprivate struct FilePath: Hashable {
        let parts: [Substring]

        static let same = "in the place of"

        init(_ path: String) { parts = File.resolved(path).split(separator: "/") }

        /// How it lies to `other`, in words; nil when the two have nothing in common.
        func relation(to other: FilePath) -> String? {
            if parts == other.parts { return Self.same }
            if parts.starts(with: other.parts) { return "inside of" }
            return other.parts.starts(with: parts) ? "around" : nil
        }
    }

    /// Where a region keeps something that nothing else may lie in.
    fileprivate struct Place {
        let region: String
        /// What is kept there, for people.
        let name: String
        let path: FilePath
    }

    private mutating func checkPlaces(_ region: RegionConfiguration, at position: FilePosition) {
        func place(_ name: String, _ path: String) -> Place {
            Place(region: region.name, name: name, path: FilePath(path))
        }
        let named = [
            place("lake", region.lakeDirectory), place("catalog", region.catalogPath),
            place("keys", region.keysDirectory),
        ]
        let state = region.statePaths.map { place($0.name, $0.path) }
        let own = [place("state folder", region.stateDirectory)] + named
        checkWithin(named, state, at: position)
        for (name, path) in fixed {
            for place in own {
                guard let relation = place.path.relation(to: path) else { continue }
                problems.error(
                    position,
                    "region `\(region.name)` keeps its \(place.name) \(relation) `\(name)`, which is the project's own"
                )
                break
            }
        }
        checkAgainstOthers(own, at: position)
        places += own
    }

    /// The places that a region's file names lie beside one another, and beside what its state folder holds.
    private func checkWithin(_ named: [Place], _ state: [Place], at position: FilePosition) {
        for (index, place) in named.enumerated() {
            for other in named[(index + 1)...] + state {
                guard let relation = place.path.relation(to: other.path) else { continue }
                problems.error(
                    position,
                    "region `\(place.region)` keeps its \(place.name) \(relation) its \(other.name)"
                )
                break
            }
        }
    }

    /// One message for each other region that shares something.
    private func checkAgainstOthers(_ own: [Place], at position: FilePosition) {
        var found: [String: String] = [:]
        for place in own {
            for other in places {
                guard let relation = place.path.relation(to: other.path) else { continue }
                if relation == FilePath.same {
                    found[other.region] =
                        "region `\(place.region)` keeps files where `\(other.region)` does: a region shares nothing"
                } else if found[other.region] == nil {
                    found[other.region] =
                        "region `\(place.region)` keeps its \(place.name) \(relation) the \(other.name) of `\(other.region)`: "
                        + "a region shares nothing"
                }
            }
        }
        for text in found.values { problems.error(position, text) }
    }
}
