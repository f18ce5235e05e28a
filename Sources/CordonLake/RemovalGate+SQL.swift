import CordonModel

extension RemovalGate {
    /// The rows that are held as SQL that is true or false, never null.
    var condition: String {
        holds.isEmpty ? "false" : "(" + holds.map(\.condition).joined(separator: " OR ") + ")"
    }

    /// The rows whose value of `column` is held; nil when none is.
    func condition(of column: String) -> String? {
        let parts = holds.filter { $0.column == nil || $0.column == column }.map(\.condition)
        return parts.isEmpty ? nil : "(" + parts.joined(separator: " OR ") + ")"
    }
}

extension RemovalGate.Hold {
    /// The rows that this one holds.
    var condition: String {
        var parts: [String] = []
        if let people { parts.append(people.literalCondition) }
        if let column { parts.append("\"\(column)\" IS NOT NULL") }
        if let days {
            let end = (days.upperBound + 1).start.microseconds
            parts.append(
                "epoch_us(\"ts\") >= \(days.lowerBound.start.microseconds) AND epoch_us(\"ts\") < \(end)"
            )
        }
        return parts.isEmpty ? "true" : "(" + parts.joined(separator: " AND ") + ")"
    }
}
