internal import Bytes
internal import CordonAudit
internal import CordonJournal
internal import CordonKeys
internal import CordonModel

extension SubjectService {
    /// An erasure that would take more of a region's rows than this, in percent, is more likely an id that many share
    /// (an empty one, a test value) than a person; it is refused unless a larger share is allowed.
    package static let sharePercentMax = 10.0

    /// What became of one unfinished request.
    package struct Resumption {
        package let request: SubjectRequest
        /// Why it is still unfinished.
        package let failure: (any Error)?
    }

    /// Erases a person: on return nothing of the person is on disk in this region, and new hits are not kept.
    ///
    /// A request about the same person that is unfinished is gone on with instead of starting another.
    ///
    /// - Parameters:
    ///   - id: of the new request.
    ///   - percentMax: refuses when more of the region's rows than this would go.
    ///   - answer: by when the request is to be answered.
    ///   - identify: what the region knows of the person; asked again after the suppression, since keys may
    ///     have been made.
    /// - Throws: when something failed; then the request is kept and can be resumed, and nothing says "erased".
    package func erase(
        request id: String, percentMax: Double = SubjectService.sharePercentMax,
        answer: Answer? = nil, identify: () throws -> Subject
    ) throws -> SubjectRequest {
        try alone { store in
            let subject = try identify()
            if let open = try store.unfinished(.erase, of: subject) {
                return try run(open, in: store, identify: identify)
            }
            try checkShare(subject, percentMax: percentMax)
            var request = SubjectRequest(
                id: id, kind: .erase, subject: subject, at: clock.now())
            request.law = answer?.law
            request.due = answer?.due
            try store.insert(request, of: subject)
            return try run(request, in: store, identify: identify)
        }
    }

    /// Throws ``SubjectError/shareExceeded(region:rows:of:percentMax:)`` when more than this share of the region's rows
    /// is the person's.
    package func checkShare(_ subject: Subject, percentMax: Double) throws {
        let finding = try look(for: subject.erased)
        guard finding.percent <= percentMax else {
            throw SubjectError.shareExceeded(
                region: place.region, rows: finding.rows + finding.journalHits,
                of: finding.regionRows, percentMax: percentMax)
        }
    }

    /// Goes on with every unfinished request of the region: erasures, and ends of retention.
    ///
    /// - Returns: each with its outcome; one that fails does not hold up the others.
    package func resume() throws -> [Resumption] {
        guard try !requests(max: 1).isEmpty else { return [] }
        return try alone { store in
            let released = try (store.unfinished(.hold) + store.unfinished(.restriction)).filter {
                $0.step != .hold
            }
            let open =
                try released
                + [.erase, .rectification, .retention].flatMap { try store.unfinished($0) }
            return open.map { request in
                do {
                    return Resumption(
                        request: try run(request, in: store, identify: { nil }), failure: nil)
                } catch {
                    return Resumption(request: request, failure: error)
                }
            }
        }
    }

    /// Does the steps that are left, recording each.
    func run(
        _ given: SubjectRequest, in store: RequestStore, identify: () throws -> Subject?
    ) throws -> SubjectRequest {
        var request = given
        request.attempts += 1
        try save(&request, store)
        while !request.isFinished {
            let step = request.step
            try moment(step, .before)
            try awaitRelease(&request, store)
            try perform(step, &request, store, identify)
            try moment(step, .performed)
            request.step = step.next(request.kind)
            try save(&request, store)
            try moment(step, .recorded)
        }
        return request
    }

    private func save(_ request: inout SubjectRequest, _ store: RequestStore) throws {
        request.updatedAt = clock.now()
        try store.update(request)
    }

    private func perform(
        _ step: RequestStep, _ request: inout SubjectRequest, _ store: RequestStore,
        _ identify: () throws -> Subject?
    ) throws {
        switch step {
        case .intent: try announce(request, store)
        case .suppress: try suppress(&request, store, identify)
        case .keys: try destroyKeys(&request, store)
        case .journal: try purgeJournal(&request, store)
        case .deliver: try lake.deliver()
        case .rewrite: try rewrite(&request, store)
        case .correct: try correct(&request, store)
        case .drop: try drop(&request, store)
        case .expire: request.counts.filesDeleted += Int64(try lake.expire())
        case .release:
            try journal().release(
                pseudonyms: store.pseudonyms(of: request.id).map(Self.suppressed))
        case .verify: try verifyAbsence(&request, store)
        case .record: try conclude(request, store)
        case .wipe: try store.wipe(request.id)
        case .hold, .done: break
        }
    }

    private static func suppressed(
        _ entry: Subject.EpochPseudonym
    ) -> (field: SuppressedField, pseudonym: Pseudonym) {
        (entry.field.suppressed, entry.pseudonym)
    }

    /// The person's digest, then the pseudonyms of every key that could have made one until then.
    private func suppress(
        _ request: inout SubjectRequest, _ store: RequestStore, _ identify: () throws -> Subject?
    ) throws {
        guard request.subject != nil else {
            throw SubjectError.damagedStore(path: place.storePath)
        }
        let journal = try journal()
        let known = try store.pseudonyms(of: request.id)
        try journal.suppress(
            subjects: try store.suppressed(of: request).map(\.suppressed),
            pseudonyms: known.map(Self.suppressed))
        if request.isCovered { return try noteErased(request, store) }
        // From here on the edge keeps no hit of the person whatever key it uses. A key that was made since the
        // request was could have marked some before.
        if let subject = try identify() {
            request.isCovered = true
            try store.update(request, adding: subject.pseudonyms)
            try journal.suppress(
                subjects: [], pseudonyms: subject.pseudonyms.map(Self.suppressed))
        } else {
            let covered = Set(known.compactMap(\.epoch))
            guard
                try keys.epochs().allSatisfy({ !request.concerns($0) || covered.contains($0) })
            else {
                throw SubjectError.needsIdentifier(request: request.id)
            }
            request.isCovered = true
        }
        try noteErased(request, store)
    }

    /// Before the first row goes, so that nobody who was erased is ever missing in the ledger.
    private func noteErased(_ request: SubjectRequest, _ store: RequestStore) throws {
        try ledger.add(
            people: try store.suppressed(of: request),
            pseudonyms: try store.pseudonyms(of: request.id), on: Day(clock.now()))
    }

    private func people(
        _ request: SubjectRequest, _ store: RequestStore
    ) throws -> SubjectFilter {
        SubjectFilter(try store.pseudonyms(of: request.id))
    }

    private func sought(
        _ request: SubjectRequest, _ store: RequestStore
    ) throws -> JournalSweep.Sought {
        if let day = request.asOf { return .due(on: day) }
        return .people(try people(request, store))
    }

    private func purgeJournal(_ request: inout SubjectRequest, _ store: RequestStore) throws {
        let sweep = JournalSweep(journal: try journal())
        let sought = try sought(request, store)
        // Counted and stored first: after a kill the second run would count what is left.
        let earlier = request.counts.journalHits
        var foreseen: Int64 = 0
        let gate = try gate(store)
        try sweep.forEachRecord(sought, after: 0) { record, _ in
            if !gate.holds(record) { foreseen += 1 }
        }
        request.counts.journalHits = max(earlier, foreseen)
        try store.update(request)
        let outcome = try sweep.purge(sought, leaving: gate)
        if earlier == 0 { request.counts.journalHits = outcome.hits }
        request.counts.deadLetters += outcome.undecodable
    }

    private func rewrite(_ request: inout SubjectRequest, _ store: RequestStore) throws {
        var counted = request
        let removal = try lake.remove(
            try people(request, store),
            foreseen: { matches in
                counted.counts.rows = max(counted.counts.rows, matches.reduce(0) { $0 + $1.rows })
                counted.counts.files = max(counted.counts.files, Int64(matches.count))
                try store.update(counted)
                try noteBefore(matches, request, store)
            },
            written: { try noteAfter($0, request, store) })
        request.counts = counted.counts
        request.counts.deadLetters += Int64(removal.deadLetters)
    }

    private func drop(_ request: inout SubjectRequest, _ store: RequestStore) throws {
        guard let day = request.asOf else { throw SubjectError.damagedStore(path: place.storePath) }
        var counted = request
        try lake.drop(dueOn: day) { files in
            counted.counts.rows = max(counted.counts.rows, files.reduce(0) { $0 + $1.rows })
            counted.counts.files = max(counted.counts.files, Int64(files.count))
            try store.update(counted)
        }
        request.counts = counted.counts
    }

    /// A trace sends the request back to the suppression, whose pseudonyms had left the list.
    private func verifyAbsence(_ request: inout SubjectRequest, _ store: RequestStore) throws {
        let verification = try search(for: try people(request, store).pseudonyms)
        if verification.isClean { return try noteAbsence(verification, request, store) }
        request.step = .suppress
        try save(&request, store)
        if verification.traces.isEmpty {
            throw SubjectError.unread(region: place.region, paths: verification.unread)
        }
        throw SubjectError.tracesLeft(
            region: place.region, paths: Array(Set(verification.traces.map(\.path))).sorted())
    }

    private func announce(_ request: SubjectRequest, _ store: RequestStore) throws {
        var counts: [String: Int] = [:]
        if request.subject != nil {
            counts["keys"] = try store.pseudonyms(of: request.id).count
            if request.people > 1 { counts["people"] = request.people }
        }
        let kind: SubjectEvent.Kind =
            switch request.kind {
            case .erase: .erasureIntent
            case .rectification: .rectificationIntent
            default: .retentionIntent
            }
        try audit(event(kind, request, counts))
    }

    private func event(
        _ kind: SubjectEvent.Kind, _ request: SubjectRequest, _ counts: [String: Int]
    ) -> SubjectEvent {
        SubjectEvent(
            kind: kind, request: request.id, subject: request.subject?.hex,
            asOf: request.asOf?.text, counts: counts, purposes: request.correction?.withdrawn)
    }

    private func conclude(_ request: SubjectRequest, _ store: RequestStore) throws {
        var counts = [
            "rows": Int(request.counts.rows), "files": Int(request.counts.files),
            "journal-hits": Int(request.counts.journalHits),
            "dead-letters": Int(request.counts.deadLetters),
            "files-deleted": Int(request.counts.filesDeleted),
        ]
        if request.people > 1 { counts["people"] = request.people }
        if request.counts.keys > 0 { counts[Self.keysDestroyed] = Int(request.counts.keys) }
        let kind: SubjectEvent.Kind =
            switch request.kind {
            case .erase: .erased
            case .rectification: .rectified
            default: .retentionApplied
            }
        let statement = try statement(of: request, counts, store)
        var event = event(kind, request, counts)
        event.certificate = statement?.digest
        try audit(event)
        if let statement { try certify(statement) }
    }
}
