internal import CordonJournal
internal import CordonKeys
package import CordonModel

/// By when a request is to be answered.
package struct Answer: Equatable, Sendable {
    /// The law's name.
    package let law: String
    package let due: Day
    package init(law: String, due: Day) {
        self.law = law
        self.due = due
    }
}

// Holds and restrictions: requests that stand until they are released.
extension SubjectService {
    var standingRequests: StandingRequests {
        StandingRequests(path: place.storePath, keys: keys)
    }

    /// What may not be removed now.
    package func gate() throws -> RemovalGate { try standingRequests.gate() }

    /// The holds and restrictions that are in force, oldest first.
    package func standing() throws -> [SubjectRequest] {
        try standingRequests.all()
    }

    func gate(_ store: RequestStore) throws -> RemovalGate { try StandingRequests.gate(store) }

    /// Forbids to remove what it names until it is released. The audit log knows before.
    ///
    /// - Parameters:
    ///   - subject: whose hits; nil means everybody's.
    ///   - column: hits that have a value there; nil means all.
    ///   - days: of the hits; nil means all.
    ///   - reason: kept for people; it must name no one.
    package func hold(
        _ subject: Subject?, column: String?, days: ClosedRange<Day>?, reason: String, id: String
    ) throws -> SubjectRequest {
        if let column, !lake.columns.contains(column) {
            throw SubjectError.unknownColumn(name: column, known: lake.columns)
        }
        return try stand(.hold, subject, column: column, days: days, reason: reason, id: id)
    }

    /// Keeps the person's hits from being used and from being removed until it is lifted, and keeps no new ones.
    package func restrict(_ subject: Subject, reason: String, id: String) throws -> SubjectRequest {
        try stand(.restriction, subject, column: nil, days: nil, reason: reason, id: id)
    }

    private func stand(
        _ kind: RequestKind, _ subject: Subject?, column: String?, days: ClosedRange<Day>?,
        reason: String, id: String
    ) throws -> SubjectRequest {
        try alone { store in
            // A visitor's days are those of the pseudonyms, whole periods: what cannot be told apart is held together.
            var request = SubjectRequest(
                standing: kind, id: id, subject: subject?.erased, days: days, at: clock.now())
            request.column = column
            request.reason = reason
            request.attempts = 1
            try audit(event(kind == .hold ? .holdAdded : .restricted, request))
            if kind == .restriction, let subject {
                try journal().suppress(
                    subjects: subject.suppressed.map(\.suppressed), pseudonyms: [])
            }
            try store.insert(request, of: subject)
            return request
        }
    }

    /// Ends a hold or a restriction; what waited for it goes on with the next sweep.
    ///
    /// The digest of a restricted person stays on the suppression list: consent is asked for anew, not presumed.
    package func release(_ id: String, kind: RequestKind) throws -> SubjectRequest {
        try alone { store in
            guard var request = try store.request(id), request.kind == kind, request.step == .hold
            else { throw SubjectError.notInForce(id: id) }
            try audit(event(kind == .hold ? .holdReleased : .restrictionLifted, request))
            request.step = .wipe
            try store.update(request)
            return try run(request, in: store, identify: { nil })
        }
    }

    private func event(_ kind: SubjectEvent.Kind, _ request: SubjectRequest) -> SubjectEvent {
        SubjectEvent(
            kind: kind, request: request.id, subject: request.subject?.hex, asOf: nil,
            counts: request.people > 1 ? ["people": request.people] : [:])
    }

    /// Keeps no new hits of the person, and leaves those that are there.
    ///
    /// Only a user id can be told among new hits for good, so a visitor or a pseudonym cannot object.
    package func object(_ subject: Subject, request id: String, answer: Answer?) throws
        -> SubjectRequest
    {
        guard !subject.suppressed.isEmpty else { throw SubjectError.namesNoUser }
        return try alone { store in
            var request = SubjectRequest(
                id: id, kind: .objection, subject: subject, at: clock.now())
            request.law = answer?.law
            request.due = answer?.due
            request.attempts = 1
            request.step = .done
            try audit(event(.objection, request))
            try journal().suppress(
                subjects: subject.suppressed.map(\.suppressed), pseudonyms: [])
            try store.insert(request)
            return request
        }
    }

    /// Throws ``SubjectError/held(region:holds:)`` while a hold forbids the next step of an erasure or a rectification; the
    /// request remembers which, and the audit log hears of it once.
    func awaitRelease(_ request: inout SubjectRequest, _ store: RequestStore) throws {
        let removing: Set<RequestStep> = [
            .intent, .suppress, .keys, .journal, .deliver, .rewrite, .correct,
        ]
        guard request.kind == .erase || request.kind == .rectification,
            removing.contains(request.step)
        else { return }
        let gate = try gate(store)
        guard !gate.isOpen || !request.heldBy.isEmpty else { return }
        let people = SubjectFilter(try store.pseudonyms(of: request.id))
        var holds = Set(gate.holds(of: people).map(\.id))
        try JournalSweep(journal: journal()).forEachRecord(.people(people), after: 0) { record, _ in
            for hold in gate.holds where hold.matches(record) { holds.insert(hold.id) }
        }
        if !gate.isOpen { holds.formUnion(try lake.holds(on: people)) }
        let found = holds.sorted()
        let heldBy = found.joined(separator: " ")
        if request.heldBy != heldBy {
            request.heldBy = heldBy
            if !found.isEmpty {
                try audit(
                    event(request.kind == .erase ? .erasureHeld : .rectificationHeld, request))
            }
            try store.update(request)
        }
        guard found.isEmpty else { throw SubjectError.held(region: place.region, holds: found) }
    }
}
