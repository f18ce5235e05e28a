package import CordonKeys
package import CordonModel
internal import LinuxIO

/// The holds and restrictions of one region that are in force.
package struct StandingRequests: Sendable {
    private let path: String
    private let keys: RegionKeys

    /// - Parameter path: of the region's request store; one that is missing has none.
    package init(path: String, keys: RegionKeys) {
        self.path = path
        self.keys = keys
    }

    private func store() throws -> RequestStore? {
        guard try File.exists(path) else { return nil }
        return try RequestStore(path: path, maskKey: keys.subjectDigestKey)
    }

    /// All of them, holds first, each kind oldest first.
    package func all() throws -> [SubjectRequest] {
        try store().map { try Self.standing(RequestKind.standing, $0) } ?? []
    }

    /// What may not be removed now.
    package func gate() throws -> RemovalGate { try store().map(Self.gate) ?? RemovalGate() }

    static func gate(_ store: RequestStore) throws -> RemovalGate {
        RemovalGate(
            holds: try standing(RequestKind.standing, store).map { request in
                RemovalGate.Hold(
                    id: request.id,
                    people: request.subject == nil
                        ? nil : SubjectFilter(try store.pseudonyms(of: request.id)),
                    column: request.column, days: request.days)
            })
    }

    /// The people whose hits are kept and not used.
    package func restricted() throws -> SubjectFilter {
        var people = SubjectFilter()
        guard let store = try store() else { return people }
        for request in try Self.standing([.restriction], store) {
            people.formUnion(SubjectFilter(try store.pseudonyms(of: request.id)))
        }
        return people
    }

    private static func standing(
        _ kinds: [RequestKind], _ store: RequestStore
    ) throws -> [SubjectRequest] {
        try kinds.flatMap { try store.unfinished($0) }.filter { $0.step == .hold }
    }
}
