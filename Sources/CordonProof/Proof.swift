package import CordonPolicy
package import GeoTables

/// What came of proving a rule set over a geo table: every statement with what it holds for, or where it does not.
package struct Proof: Sendable {
    /// Built-in statements first, then the project's own in their order.
    package let results: [Result]
    /// The decisions that were proved about, as another program can check them.
    package let decisions: DecisionTable
    /// Places of the table that have addresses.
    package let placeCount: Int
    /// Ranges of the table in both families, merged where neighbours agree.
    package let rangeCount: Int

    package var holds: Bool { results.allSatisfy { $0.counterexample == nil } }

    /// One statement.
    package struct Result: Sendable {
        package let name: String
        /// Where it is stated; nil when it is built in.
        package let position: FilePosition?
        /// Combinations of place, kind of site and consent that it covers.
        package var cases = 0
        /// Addresses that it covers and holds for.
        package var ipv4 = AddressCount.zero
        package var ipv6 = AddressCount.zero
        /// Addresses that it covers and does not hold for.
        package var violatedIPv4 = AddressCount.zero
        package var violatedIPv6 = AddressCount.zero
        package var counterexample: Counterexample?

        /// Whether it says something of no address at all, such as a state's law under a table that knows no states.
        package var isVacuous: Bool { cases == 0 }
    }

    /// The smallest range that a statement does not hold for: IPv4 before IPv6, then fewest addresses, then the lowest.
    package struct Counterexample: Sendable {
        package let range: GeoRange
        package let place: String
        /// A host for which it fails; `*` is any that no policy names.
        package let site: String
        /// State and granted purposes; nil when it fails whatever they are.
        package let consent: String?
        /// Nil when no policy claims the place.
        package let policy: String?
        package let expected: String
        package let found: String
        /// The rule at fault.
        package let position: FilePosition?
    }
}
