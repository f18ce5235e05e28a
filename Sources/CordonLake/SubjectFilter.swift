package import CordonModel

/// The rows of some people: those whose user or visitor pseudonym is among these.
package struct SubjectFilter: Equatable, Sendable {
    package var users: Set<Pseudonym>
    package var visitors: Set<Pseudonym>

    package init(users: Set<Pseudonym> = [], visitors: Set<Pseudonym> = []) {
        self.users = users
        self.visitors = visitors
    }

    package var isEmpty: Bool { users.isEmpty && visitors.isEmpty }

    /// The filter as SQL that is true or false, never null. Pseudonyms are digits and letters by their type, so
    /// they stand in the text as they are.
    var condition: String {
        let parts = [("user", users), ("visitor", visitors)].compactMap { name, pseudonyms in
            pseudonyms.isEmpty
                ? nil
                : "coalesce(\"\(name)\" IN ("
                    + pseudonyms.map { "'\($0.text)'" }.sorted().joined(separator: ", ")
                    + "), false)"
        }
        return parts.isEmpty ? "false" : "(" + parts.joined(separator: " OR ") + ")"
    }
}
