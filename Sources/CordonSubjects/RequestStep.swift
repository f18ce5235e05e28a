/// One step of a request; the store holds the one to be done next.
///
/// INVARIANT: a step may be done again from its start, whatever a kill left of it; none says what is not true yet.
package enum RequestStep: String, CaseIterable, Sendable {
    /// The audit log learns of the request before anything changes.
    case intent
    /// New hits of the person are counted, not kept, and queries no longer see the old ones.
    case suppress
    /// The keys of the person's sealed columns are destroyed, so that nobody reads these any more while the rest goes on.
    case keys
    /// The journal's batches lose the records.
    case journal
    /// What waits in the journal comes into the table.
    case deliver
    /// The data files lose the rows, in one snapshot.
    case rewrite
    /// The rows become what is kept without the consent that was taken back, in one snapshot.
    case correct
    /// Whole data files leave the table, in one snapshot.
    case drop
    /// Older snapshots and all that only they reach are deleted.
    case expire
    /// The pseudonyms leave the suppression list; the person's digest stays.
    case release
    /// Everything under the region is read, and holds nothing.
    case verify
    /// The audit log says so.
    case record
    /// In force until it is released: what it names is not removed.
    case hold
    /// The request's own pseudonyms are wiped.
    case wipe
    case done

    /// The steps of a kind of request in order, ``done`` left out. Verification stands behind ``release`` so that it
    /// covers the journal file whole.
    package static func sequence(_ kind: RequestKind) -> [RequestStep] {
        switch kind {
        case .erase:
            [
                .intent, .suppress, .keys, .journal, .rewrite, .expire, .release, .verify, .record,
                .wipe,
            ]
        case .rectification: [.intent, .deliver, .correct, .expire, .record, .wipe]
        case .retention: [.intent, .journal, .drop, .expire, .record]
        case .find, .export, .verify, .objection: [.record]
        case .hold, .restriction: [.hold, .wipe]
        }
    }

    func next(_ kind: RequestKind) -> RequestStep {
        let sequence = Self.sequence(kind)
        guard let index = sequence.firstIndex(of: self), index + 1 < sequence.count else {
            return .done
        }
        return sequence[index + 1]
    }
}

/// What is asked for.
package enum RequestKind: String, CaseIterable, Sendable {
    case find, export, erase, verify, retention
    /// New hits of the person are not kept; what there is stays.
    case objection
    /// What is there is kept, and neither used nor removed.
    case restriction
    /// What is there is not removed, whoever asks.
    case hold
    /// What is there becomes what is kept without consent that was taken back.
    case rectification

    /// Whether it stands until it is released, and nothing goes on by itself.
    package var isStanding: Bool { Self.standing.contains(self) }
    /// Those that stand until they are released.
    package static let standing: [RequestKind] = [.hold, .restriction]
}
