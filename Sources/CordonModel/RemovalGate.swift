/// The one gate that everything passes which removes hits or values of them: erasure, the end of a retention, the age of a
/// field, upkeep.
///
/// Whoever removes asks under the lake lock, and leaves what is held. Holds are few, so all are looked at each time.
package struct RemovalGate: Equatable, Sendable {
    package var holds: [Hold]

    package init(holds: [Hold] = []) { self.holds = holds }

    package var isOpen: Bool { holds.isEmpty }

    /// One reason to keep what would go: hits that meet all that it names. One that names nothing holds the whole table.
    package struct Hold: Equatable, Sendable {
        package let id: String
        /// Nil means everybody's hits.
        package var people: SubjectFilter?
        /// A column of the table: hits that have a value there. Nil means all.
        package var column: String?
        /// Days of the hits; nil means all.
        package var days: ClosedRange<Day>?

        package init(
            id: String, people: SubjectFilter? = nil, column: String? = nil,
            days: ClosedRange<Day>? = nil
        ) {
            self.id = id
            self.people = people
            self.column = column
            self.days = days
        }

        /// Whether the hit is held. A column's value is not looked at here, so a hold of a column holds more rather than less.
        package func matches(_ record: HitRecord) -> Bool {
            if let people, !people.matches(record) { return false }
            return days.map { $0.contains(Day(record.timestamp)) } ?? true
        }
    }

    /// Whether a hit may not be removed.
    package func holds(_ record: HitRecord) -> Bool { holds.contains { $0.matches(record) } }

    /// The holds that forbid to remove values of `column` from hits of `day`: for whoever removes them from all hits of a day
    /// at once.
    package func holds(column: String, on day: Day) -> [Hold] {
        holds.filter { hold in
            (hold.column.map { $0 == column } ?? true)
                && (hold.days.map { $0.contains(day) } ?? true)
        }
    }

    /// The holds that are about one of these people as a whole, whether or not they have hits.
    package func holds(of people: SubjectFilter) -> [Hold] {
        holds.filter { hold in
            guard hold.column == nil, hold.days == nil, let held = hold.people else { return false }
            return !held.users.isDisjoint(with: people.users)
                || !held.visitors.isDisjoint(with: people.visitors)
        }
    }
}
