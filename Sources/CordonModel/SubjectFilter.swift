/// The hits of some people: those whose user or visitor pseudonym is among these.
package struct SubjectFilter: Equatable, Sendable {
    package var users: Set<Pseudonym>
    package var visitors: Set<Pseudonym>
    /// Hits from outside of it are left out; nil bounds nothing.
    package var window: Range<Timestamp>?

    package init(
        users: Set<Pseudonym> = [], visitors: Set<Pseudonym> = [], window: Range<Timestamp>? = nil
    ) {
        self.users = users
        self.visitors = visitors
        self.window = window
    }

    package var isEmpty: Bool { users.isEmpty && visitors.isEmpty }
    /// Every pseudonym, of whichever field.
    package var pseudonyms: Set<Pseudonym> { users.union(visitors) }
    /// How many pseudonyms there are.
    package var count: Int { users.count + visitors.count }

    /// Adds the pseudonyms of others; the window stays as it is.
    package mutating func formUnion(_ others: SubjectFilter) {
        users.formUnion(others.users)
        visitors.formUnion(others.visitors)
    }

    /// Whether a hit is one of theirs.
    package func matches(_ record: HitRecord) -> Bool {
        if let window, !window.contains(record.timestamp) { return false }
        if let user = record.user, users.contains(user) { return true }
        if let visitor = record.visitor, visitors.contains(visitor) { return true }
        return false
    }
}
