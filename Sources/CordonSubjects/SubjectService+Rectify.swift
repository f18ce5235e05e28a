internal import CordonKeys
package import CordonModel
internal import Foundation

// Consent that was recorded and is taken back.
extension SubjectService {
    /// What a rectification would change.
    package struct RectificationPreview: Equatable, Sendable {
        package var rows: Int64 = 0
        package var files = 0
        /// Hits of the person that wait in the journal; those that have one of the purposes are changed too.
        package var journalHits: Int64 = 0
        package init() {}
    }

    /// What a rectification would change now. Changes nothing; the audit log knows before anybody sees it.
    package func preview(
        _ correction: ConsentCorrection, of subject: Subject, since first: Day?, request id: String
    ) throws -> RectificationPreview {
        var preview = RectificationPreview()
        let now = clock.now()
        var people = SubjectFilter(subject.pseudonyms)
        people.window = SubjectFilter.window(subject.days(since: first, at: now), before: now)
        let delivered = try lake.deliveredThrough()
        try JournalSweep(journal: journal()).forEachRecord(.people(people), after: delivered) {
            _, _ in preview.journalHits += 1
        }
        for match in try lake.matches(people, correction) {
            preview.rows += match.rows
            preview.files += 1
        }
        try audit(
            SubjectEvent(
                kind: .find, request: id, subject: subject.digest.hex, asOf: nil,
                counts: [
                    "rows": Int(preview.rows), "files": preview.files,
                    "journal-hits": Int(preview.journalHits),
                ], purposes: correction.withdrawn))
        return preview
    }

    /// Makes the person's hits of until now into what their policies keep without the purposes that are taken back; older
    /// snapshots, which had more, go from the disk.
    ///
    /// An equal request that is unfinished is gone on with instead of starting another.
    ///
    /// - Parameters:
    ///   - id: of the new request.
    ///   - first: the first day of the hits that it is about; nil means all, or the days that the person is named by.
    ///   - percentMax: refuses when more of the region's rows than this are the person's.
    ///   - answer: by when the request is to be answered.
    /// - Throws: when something failed; then the request is kept and can be resumed, and nothing says "rectified".
    package func rectify(
        request id: String, _ correction: ConsentCorrection, of subject: Subject, since first: Day?,
        percentMax: Double = SubjectService.sharePercentMax, answer: Answer? = nil
    ) throws -> SubjectRequest {
        try alone { store in
            let now = clock.now()
            let days = subject.days(since: first, at: now)
            let open = try store.unfinished(.rectification).first {
                $0.subject == subject.digest && $0.correction == correction
                    && $0.days?.lowerBound == days?.lowerBound
            }
            if let open { return try run(open, in: store, identify: { nil }) }
            try checkShare(subject, percentMax: percentMax)
            var request = SubjectRequest(
                id: id, kind: .rectification, digest: subject.digest, naming: subject.naming,
                people: subject.people, days: days, asOf: nil, at: now)
            request.correction = correction
            request.law = answer?.law
            request.due = answer?.due
            try store.insert(request, of: subject)
            return try run(request, in: store, identify: { nil })
        }
    }

    /// Hits of after the request have consent of their own.
    func correct(_ request: inout SubjectRequest, _ store: RequestStore) throws {
        guard let correction = request.correction else {
            throw SubjectError.damagedStore(path: place.storePath)
        }
        var people = SubjectFilter(try store.pseudonyms(of: request.id))
        people.window = SubjectFilter.window(request.days, before: request.createdAt)
        var counted = request
        let removal = try lake.correct(people, correction) { matches in
            counted.counts.rows = max(counted.counts.rows, matches.reduce(0) { $0 + $1.rows })
            counted.counts.files = max(counted.counts.files, Int64(matches.count))
            try store.update(counted)
        }
        request.counts = counted.counts
        request.counts.deadLetters += Int64(removal.deadLetters)
    }
}

extension Subject {
    fileprivate func days(since first: Day?, at now: Timestamp) -> ClosedRange<Day>? {
        days ?? first.map { $0...max($0, Day(now)) }
    }
}

extension SubjectFilter {
    /// The times of some days, all of them when there are none, up to an end.
    fileprivate static func window(
        _ days: ClosedRange<Day>?, before end: Timestamp
    ) -> Range<Timestamp> {
        let first = days?.lowerBound.start ?? Timestamp(microseconds: .min)
        let last = days.map { min(end, ($0.upperBound + 1).start) } ?? end
        return min(first, last)..<last
    }
}

extension ConsentCorrection {
    /// As the request store keeps it, so that a request that was cut goes on with what it was asked for.
    var encoded: String {
        get throws { try JSONValue.line(self) }
    }

    init?(encoded text: String) {
        guard let value = try? JSONDecoder().decode(Self.self, from: Data(text.utf8)),
            !value.withdrawn.isEmpty
        else { return nil }
        self = value
    }
}
