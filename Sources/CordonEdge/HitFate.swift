/// What became of one hit.
package enum HitFate: Int, CaseIterable, Sendable {
    case kept, counted, suppressed
    /// Nothing is kept, because of consent.
    case dropped
    /// Nothing is kept, because policy admits no hit of this place.
    case refused
    /// Its home region is not on this node.
    case away
    case sampledOut
    /// An earlier hit had its site and id, and is in the journal.
    case duplicate
    /// The journal or a queue could not take it; answered 503.
    case failed

    /// Whether the journal has a record of it.
    package var isStored: Bool { self == .kept || self == .counted || self == .suppressed }

    /// The value of the metric's label, and the name in the ledger.
    package var text: String {
        switch self {
        case .kept: "kept"
        case .counted: "counted"
        case .suppressed: "suppressed"
        case .dropped: "dropped"
        case .refused: "refused"
        case .away: "away"
        case .sampledOut: "sampled-out"
        case .duplicate: "duplicate"
        case .failed: "failed"
        }
    }
}
