internal import CordonPolicy

/// A column of the table `pixels.hits`, as the engine reads it.
struct HitsColumn: Sendable {
    /// How much a value tells of one person: what an aggregate may do with it.
    enum Kind: Sendable {
        /// A day or a longer span of the table's own times, shared by many hits: may be the result of `min`, `max` and `mode`.
        case coarse
        /// A number that is measured, not a description of somebody: may be summed and averaged.
        case measure
        /// Everything else that a hit has: may group, filter and be counted.
        case fine
        /// Computed by the query in a way that may single somebody out: may group and filter.
        case opaque
    }

    let name: String
    let type: String
    let kind: Kind

    static let all: [HitsColumn] = [
        .init(name: "hit_id", type: "UUID", kind: .fine),
        .init(name: "ts", type: "TIMESTAMP WITH TIME ZONE", kind: .fine),
        .init(name: "site", type: "VARCHAR", kind: .fine),
        .init(name: "event", type: "VARCHAR", kind: .fine),
        .init(name: "page_host", type: "VARCHAR", kind: .fine),
        .init(name: "page_path", type: "VARCHAR", kind: .fine),
        .init(name: "referrer_host", type: "VARCHAR", kind: .fine),
        .init(name: "visitor", type: "VARCHAR", kind: .fine),
        .init(name: "user", type: "VARCHAR", kind: .fine),
        .init(name: "key_epoch", type: "INTEGER", kind: .fine),
        .init(name: "ip_prefix", type: "VARCHAR", kind: .fine),
        .init(name: "country", type: "VARCHAR", kind: .fine),
        .init(name: "subdivision", type: "VARCHAR", kind: .fine),
        .init(name: "browser", type: "VARCHAR", kind: .fine),
        .init(name: "os", type: "VARCHAR", kind: .fine),
        .init(name: "device", type: "VARCHAR", kind: .fine),
        .init(name: "language", type: "VARCHAR", kind: .fine),
        .init(name: "consent", type: "VARCHAR", kind: .fine),
        .init(name: "purposes", type: "VARCHAR[]", kind: .fine),
        .init(name: "signals", type: "VARCHAR[]", kind: .fine),
        .init(name: "bot", type: "BOOLEAN", kind: .fine),
        .init(name: "policy", type: "VARCHAR", kind: .fine),
        .init(name: "rule_set", type: "VARCHAR", kind: .fine),
        .init(name: "geo_build", type: "VARCHAR", kind: .fine),
        .init(name: "sample_rate", type: "FLOAT", kind: .measure),
        .init(name: "retain_until", type: "DATE", kind: .coarse),
        .init(name: "params", type: "MAP(VARCHAR, VARCHAR)", kind: .measure),
    ]

    /// The column that stands for the person of a row in the view of a principal who sees aggregates. No query may name
    /// it, nor anything else that begins with ``reservedPrefix``.
    static let person = "cordon_person"
    /// The column that says how many people a group with the row must have, in the same view.
    static let group = "cordon_group"
    /// Which of ``AnswerVector/bucketsMax`` buckets the person of the row is counted in, in the same view.
    static let bucket = "cordon_bucket"
    /// A number that stands for the row in sums over rows, in the same view.
    static let row = "cordon_row"
    /// Which of the parts of the table that are told of one by one the row stands in, in the same view.
    static let unit = "cordon_unit"
    static let guards = [person, group, bucket, row, unit]
    static let reservedPrefix = "cordon_"
}
