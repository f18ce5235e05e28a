import CordonModel

extension SubjectFilter {
    /// Up to so many pseudonyms stand in a statement as they are, so that the engine can hold them against the statistics of
    /// row groups; more go into a table of their own, which is hashed once.
    static let literalsMax = 256

    /// Name of the engine's table of the pseudonyms of a column, where they are many.
    static func tableName(_ column: String) -> String { "sought_\(column)" }

    /// Columns and the pseudonyms that are sought in each.
    var columns: [(name: String, pseudonyms: Set<Pseudonym>)] {
        [("user", users), ("visitor", visitors)]
    }

    /// The filter as SQL that is true or false, never null. Pseudonyms are digits and letters by their type, so
    /// they stand in the text as they are.
    var condition: String { condition(inTables: count > Self.literalsMax) }

    /// The same with every pseudonym in it, so that it needs no table.
    var literalCondition: String { condition(inTables: false) }

    private func condition(inTables: Bool) -> String {
        let parts = columns.compactMap { name, pseudonyms -> String? in
            guard !pseudonyms.isEmpty else { return nil }
            let list =
                inTables
                ? "SELECT pseudonym FROM \(Self.tableName(name))"
                : pseudonyms.map { "'\($0.text)'" }.sorted().joined(separator: ", ")
            return "coalesce(\"\(name)\" IN (\(list)), false)"
        }
        guard !parts.isEmpty else { return "false" }
        let people = "(" + parts.joined(separator: " OR ") + ")"
        guard let window else { return people }
        return
            "(\(people) AND epoch_us(\"ts\") >= \(window.lowerBound.microseconds) AND epoch_us(\"ts\") < \(window.upperBound.microseconds))"
    }
}
