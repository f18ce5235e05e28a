package import CordonModel

/// Ages that somebody who may say so has named, under a name that policies refer to: dated and cited like the atlas's groups.
///
/// A preset is an upper bound. A policy that names one takes its ages and may keep everything for a shorter time, and for a
/// longer one it is refused.
package struct RetentionPreset: Equatable, Sendable {
    package var name: String
    package var title: String
    package var source: String
    /// The day on which the ages were last held against the source.
    package var checked: Day
    package var hitsDays: Int
    /// Fields that go before the hit does.
    package var fieldDays: [FieldName: Int]

    /// The ages of the fields that a policy keeps, as far as they say more than the hit's own age of `days`.
    func fieldDays(
        within days: Int, of fields: CompiledPolicy.FieldRules?
    ) -> [FieldName: Int] {
        fieldDays.filter { field, age in
            age < days && fields.map { $0.kept.contains(field) } ?? true
        }
    }

    /// Notes at `item` that `days` is longer than the preset's age.
    func mustHold(_ days: Int, _ bound: Int, _ what: String, _ item: Item) {
        guard days > bound else { return }
        item.error(
            "preset `\(name)` lets \(what) be kept for \(bound)d at the most (\(source)); "
                + "shorten it, or leave the preset out and name the source that allows it")
    }
}

extension Item {
    /// Ages by field, where each stands, and a note at each that is longer than its hit's, `days`.
    func ages(
        within days: Int?
    ) -> [FieldName: (days: Int, position: FilePosition, item: Item)] {
        var ages: [FieldName: (days: Int, position: FilePosition, item: Item)] = [:]
        for entry in entries() ?? [] {
            guard let field = FieldName(rawValue: entry.key) else {
                problems.error(
                    entry.keyPosition,
                    "unknown field `\(entry.key)`"
                        + Spelling.suggestion(entry.key, among: FieldName.allCases.map(\.rawValue)))
                continue
            }
            guard let age = entry.value.days() else { continue }
            ages[field] = (age, entry.keyPosition, entry.value)
            if let days, age > days {
                entry.value.error(
                    "`\(entry.key)` would outlive its hit, which is kept for \(days)d")
            }
        }
        return ages
    }
}
