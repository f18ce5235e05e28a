import CordonKeys
package import CordonModel
import CordonSubjects
import LinuxIO

/// What holds and restrictions of one region forbid, read from its files each time that somebody asks.
package struct RegionHolds: Sendable {
    private let region: RegionConfiguration

    package init(_ region: RegionConfiguration) { self.region = region }

    /// What may not be removed now. A store that cannot be read lets nothing through.
    package func gate() throws -> RemovalGate { try store()?.gate() ?? RemovalGate() }

    /// The people whose hits are kept and not used.
    package func restricted() throws -> SubjectFilter {
        try store()?.restricted() ?? SubjectFilter()
    }

    /// Nil in a region that never had a request; its keys need not be there yet.
    private func store() throws -> StandingRequests? {
        guard try File.exists(region.requestsPath) else { return nil }
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        return StandingRequests(path: region.requestsPath, keys: keys)
    }
}
