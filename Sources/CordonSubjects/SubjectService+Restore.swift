internal import CordonJournal
internal import CordonKeys
internal import CordonModel

/// What a look for people who were erased has found. It names no one.
package struct RestoreFinding: Equatable, Sendable {
    /// Records of the ledger.
    package var ledger = 0
    /// Data files that were looked through: all on disk, whether the table refers to them or not.
    package var files = 0
    /// Pseudonyms of people who were erased and who are there again.
    package var pseudonyms = 0
    /// User ids whose new hits would be kept although the people were erased.
    package var unsuppressed = 0
    /// Keys of their sealed columns that are there again.
    package var keys = 0

    package init() {}
    package var isClean: Bool { pseudonyms == 0 && unsuppressed == 0 && keys == 0 }
}

extension SubjectService {
    var ledger: ErasedLedger { ErasedLedger(path: place.ledgerPath, keys: keys) }

    /// Adds what a copy of the region's ledger has.
    package func mergeLedger(_ copy: String) throws -> Int {
        try alone { _ in try ledger.merge(copy, on: Day(clock.now())) }
    }

    /// Looks through the region for people who were erased, as a restored backup brings them back. Changes nothing.
    ///
    /// - Returns: what was found, and those people as one subject; nil when there are none.
    package func restoreCheck() throws -> (finding: RestoreFinding, subject: Subject?) {
        let contents = try ledger.contents()
        var finding = RestoreFinding()
        finding.ledger = contents.count
        guard !contents.isEmpty else { return (finding, nil) }
        var found: Set<Subject.EpochPseudonym> = []
        for field in PseudonymField.allCases {
            finding.files = try lake.forEachPseudonym(field) { pseudonym in
                if contents.contains(pseudonym, field) {
                    found.insert(.init(field: field, pseudonym: pseudonym))
                }
            }
        }
        let journal = try journal()
        try JournalSweep(journal: journal).forEachRecord(.erased(contents), after: 0) { record, _ in
            for (field, pseudonym) in [
                (PseudonymField.user, record.user), (.visitor, record.visitor),
            ] {
                if let pseudonym, contents.contains(pseudonym, field) {
                    found.insert(.init(field: field, pseudonym: pseudonym))
                }
            }
        }
        let listed = try journal.suppression().subjects
        let missing = contents.people.subtracting(listed)
        finding.pseudonyms = found.count
        finding.unsuppressed = missing.count
        finding.keys =
            try subjectKeys()?.count(of: .init(erased: contents.pseudonyms, keys)) ?? 0
        guard !finding.isClean else { return (finding, nil) }
        let pseudonyms = found.sorted {
            ($0.field.rawValue, $0.pseudonym.value) < ($1.field.rawValue, $1.pseudonym.value)
        }
        return (finding, NamedSubjectTransform(keys).erased(pseudonyms))
    }

    /// Erases again whom a restored backup brought back, and keeps their new hits out.
    ///
    /// - Returns: what was found, and the request that took them out; nil when nobody was there.
    package func replayLedger(
        request id: String
    ) throws -> (finding: RestoreFinding, request: SubjectRequest?) {
        let (finding, subject) = try restoreCheck()
        if finding.unsuppressed > 0 {
            try journal().suppress(
                subjects: Array(try ledger.contents().people), pseudonyms: [])
        }
        if finding.keys > 0 { try destroyErasedKeys(id) }
        guard finding.pseudonyms > 0, let subject else { return (finding, nil) }
        // Whoever stands in the ledger was erased on purpose: however many come back, all go.
        return (finding, try erase(request: id, percentMax: 100) { subject })
    }
}
