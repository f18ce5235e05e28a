import CordonCatalog
package import CordonLake
package import CordonModel
package import CordonPolicy

/// Up to when a region's retention and field ages were seen to be carried out, by the region's own record.
package struct RegionWatermarks: Equatable, Sendable {
    /// What of the region may be due.
    package enum Matter: Hashable, Sendable {
        /// Rows by their `retain_until`.
        case hits
        case field(FieldAges.Rule)

        /// Under which the catalog has it. A rule with another age is another matter, about which nothing was seen yet.
        var name: String {
            switch self {
            case .hits: "hits"
            case .field(let rule): "\(rule.policy).\(rule.field) \(rule.days)d"
            }
        }
    }

    package struct Mark: Equatable, Sendable {
        package let matter: Matter
        /// What was due on this day was seen to be gone; nil when nothing was seen yet.
        package let asOf: Day?
        package let isLate: Bool

        /// There is nothing of hits before this day in the field; for whole hits, nothing that was due before it.
        package var nothingBefore: Day? {
            switch matter {
            case .hits: asOf
            case .field(let rule): asOf.map { rule.keptFrom(on: $0) }
            }
        }
    }

    /// Kind of the audit entry that stands before a mark.
    package static let kind = "retention-watermark"

    package let region: String
    /// The hits first, then fields by policy.
    package let marks: [Mark]

    package var late: [Mark] { marks.filter(\.isLate) }

    /// A mark is late when it is more than a day behind: everything that `cordon up` does every few minutes, or a timer once a
    /// day, has then failed or was not started.
    package static let lateDays = 1

    /// What may be due under these rules.
    static func matters(_ ages: FieldAges) -> [Matter] { [.hits] + ages.rules.map(Matter.field) }

    /// Reads what the region has recorded; a region without data is never late.
    package init(
        _ region: RegionConfiguration, ages: FieldAges, clock: any WallClock
    ) throws {
        self.region = region.name
        let matters = Self.matters(ages)
        guard let lake = try RegionLake.reading(region, clock: clock) else {
            marks = matters.map { Mark(matter: $0, asOf: nil, isLate: false) }
            return
        }
        let seen = Dictionary(
            uniqueKeysWithValues: try lake.catalog.watermarks().map { ($0.name, $0.asOf) })
        let oldest = try lake.table.snapshot().files.map(\.day).min()
        let expected = Day(clock.now()) + -Self.lateDays
        marks = matters.map { matter in
            let asOf = seen[matter.name]
            let isBehind = (asOf ?? oldest).map { $0 < expected } ?? false
            return Mark(matter: matter, asOf: asOf, isLate: oldest != nil && isBehind)
        }
    }
}

extension FieldAges {
    /// The ages that the policies of a region give.
    package init(_ ruleSet: RuleSet, region: String) {
        let policies = ruleSet.policies.filter { $0.route.region == region }
        self.init(
            rules: policies.flatMap { policy in
                policy.retention.fieldDays.map { field, days in
                    Rule(
                        policy: policy.name, field: field.rawValue, columns: field.columns,
                        days: days)
                }
            }, policies: Set(policies.map(\.name)))
    }
}
