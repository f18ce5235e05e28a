internal import CordonJournal
internal import CordonKeys
package import CordonModel
internal import LinuxIO

/// What a region holds of a person.
package struct SubjectFinding: Equatable, Sendable {
    package var rows: Int64 = 0
    package var files = 0
    /// Hits that wait in the journal, not in the lake yet.
    package var journalHits: Int64 = 0
    package var firstDay: Day?
    package var lastDay: Day?
    /// Rows of before this day can no longer be tied to anyone; nil when there is no key at all.
    package var keysFrom: Day?
    /// First days of the periods of which a key is destroyed and a later one is there: some of their rows cannot be tied either.
    package var keysLost: [Day] = []
    /// All rows of the region, those in the journal among them.
    package var regionRows: Int64 = 0
    /// Rows with a sealed value.
    package var sealedRows: Int64 = 0
    /// Sealed values that an export could not open, since there is no key any more.
    package var unopenedValues = 0
    /// Bytes of the files that hold rows of the person.
    package var bytes: Int64 = 0
    /// Bytes of everything under the region: what an erasure reads at its end.
    package var regionBytes: Int64 = 0

    package init() {}

    package var isEmpty: Bool { rows == 0 && journalHits == 0 }
    /// How many of the region's rows would go, in percent.
    package var percent: Double {
        regionRows == 0 ? 0 : Double(rows + journalHits) * 100 / Double(regionRows)
    }

    /// How long an erasure will take about, in seconds.
    ///
    /// Each file has a price of its own; all its bytes are copied and compared; the row groups that lose rows are written anew and
    /// digested; and at the end everything is read.
    package var eraseSeconds: Double {
        // A person's rows lie together in a file, so its first row stands for all; of a list, each tenth row may be another's.
        let groups = Double(files) + Double(rows) / 10
        let decoded = min(Double(bytes), groups * Self.rowGroupBytes)
        return Double(files) * Self.secondsPerFile + Double(bytes) / Self.copiedBytesPerSecond
            + decoded / Self.decodedBytesPerSecond + Double(regionBytes)
            / Self.verifiedBytesPerSecond
    }
    // As `cordon bench erase` measured them on two cores (Docs/operations/requests.md). What a small file costs is mostly the sync: the
    // model lies between a thousand of them on a machine that others kept busy (17 s) and one that they left more of (5 s).
    private static let secondsPerFile = 0.005
    private static let copiedBytesPerSecond = 300e6
    private static let rowGroupBytes = 3e6
    private static let decodedBytesPerSecond = 120e6
    private static let verifiedBytesPerSecond = 150e6
}

/// A place that holds a person: never the value.
package struct SubjectTrace: Hashable, Sendable {
    package let path: String
    /// How it is written there, such as `plain` or `plain in parquet`.
    package let kind: String
    package var places: Int
}

/// What was read to see that nothing is there.
package struct SubjectVerification: Equatable, Sendable {
    package var traces: [SubjectTrace] = []
    /// What could not be read, with the reason; nothing can be said of it.
    package var unread: [String] = []
    package var files = 0
    package var bytes = 0
    /// How many pseudonyms were looked for; none means that no key exists and no row can be tied to anyone.
    package var pseudonyms = 0

    package var isClean: Bool { traces.isEmpty && unread.isEmpty }
}

extension SubjectService {
    /// Names of the columns that rows have, in order.
    package var columns: [String] { lake.columns }

    /// What there is of a person. The audit log knows before anybody sees it.
    package func find(_ subject: Subject, request id: String) throws -> SubjectFinding {
        var finding = try look(for: subject)
        finding.regionBytes = try regionBytes()
        if try subjectKeys() != nil {
            finding.sealedRows = try lake.sealedRows(of: subject.filter)
        }
        let counts = Self.counts(finding)
        try audit(
            SubjectEvent(
                kind: .find, request: id, subject: subject.digest.hex, asOf: nil,
                counts: [
                    "rows": Int(counts.rows), "files": Int(counts.files),
                    "journal-hits": Int(counts.journalHits),
                ]))
        try note(.find, id, subject, counts)
        return finding
    }

    static func counts(_ finding: SubjectFinding) -> SubjectRequest.Counts {
        var counts = SubjectRequest.Counts()
        counts.rows = finding.rows
        counts.files = Int64(finding.files)
        counts.journalHits = finding.journalHits
        return counts
    }

    /// What there is, but for the bytes of the region, which only an estimate needs.
    func look(for subject: Subject) throws -> SubjectFinding {
        var finding = SubjectFinding()
        finding.keysFrom = subject.keysFrom
        finding.keysLost = subject.periodsWithLostKeys(on: Day(clock.now()))
        // The journal first: a hit that is delivered meanwhile is then counted twice rather than missed.
        let journal = try journal()
        let delivered = try lake.deliveredThrough()
        var days: [Day] = []
        let people = subject.filter
        try JournalSweep(journal: journal).forEachRecord(.people(people), after: delivered) {
            record, _ in
            finding.journalHits += 1
            days.append(Day(record.timestamp))
        }
        finding.regionRows = Int64(try journal.depth().hits)
        for match in try lake.matches(people) {
            finding.rows += match.rows
            finding.files += 1
            finding.bytes += match.file.bytes
            days.append(match.file.day)
        }
        finding.regionRows += try lake.files().reduce(0) { $0 + $1.rows }
        finding.firstDay = days.min()
        finding.lastDay = days.max()
        return finding
    }

    func regionBytes() throws -> Int64 {
        var sum: Int64 = 0
        var paths = place.roots
        while let path = paths.popLast() {
            do throws(LinuxError) {
                guard let metadata = try File.metadata(path) else { continue }
                guard metadata.isDirectory else {
                    sum += Int64(metadata.size)
                    continue
                }
                for entry in try Directory.entries(path) where entry.kind != .other {
                    if case .link = entry.kind { continue }
                    paths.append(path + "/" + entry.name)
                }
            } catch {
                // What another process removed meanwhile has no bytes.
                guard error.isMissing else { throw error }
            }
        }
        return sum
    }

    /// Reads everything that lies under the region and tells where the person is found.
    package func verify(_ subject: Subject, request id: String) throws -> SubjectVerification {
        let verification = try search(for: SubjectFilter(subject.pseudonyms).pseudonyms)
        var counts = SubjectRequest.Counts()
        counts.rows = Int64(verification.traces.reduce(0) { $0 + $1.places })
        counts.files = Int64(Set(verification.traces.map(\.path)).count)
        try audit(
            SubjectEvent(
                kind: .verify, request: id, subject: subject.digest.hex, asOf: nil,
                counts: [
                    "traces": Int(counts.rows), "files-with-traces": Int(counts.files),
                    "files-read": verification.files, "unread": verification.unread.count,
                ]))
        try note(.verify, id, subject, counts)
        return verification
    }

    /// Looks for pseudonyms, and for keys of sealed columns, in every byte under the region, data files decoded, while nobody
    /// writes the lake.
    func search(for pseudonyms: Set<Pseudonym>) throws -> SubjectVerification {
        var verification = SubjectVerification()
        verification.pseudonyms = pseudonyms.count
        guard !pseudonyms.isEmpty else { return verification }
        // As the lake writes them and as the journal does; every other form is made from these. The dozens of forms of
        // thousands of pseudonyms would fill the memory: of so many, those two alone are sought.
        var values = pseudonyms.flatMap { [Array($0.text.utf8), $0.bytes] }
        // Behind those of the pseudonyms: the digests by which the keys of sealed columns would know them.
        let firstDigest = values.count
        if try subjectKeys() != nil {
            values += pseudonyms.flatMap { SubjectKeys.digests(of: $0, keys) }
        }
        let scan = try DiskScan(
            values: values, plainOnly: pseudonyms.count > Self.everyFormMax)
        let content = lake.decoded(holding: pseudonyms)
        var found: [SubjectTrace: Int] = [:]
        try lake.quietly {
            for root in place.roots where try File.exists(root) {
                let report = try scan.run(root: root, decoding: [content]) { match in
                    let kind =
                        match.value < firstDigest
                        ? match.encoding : "subject key, \(match.encoding)"
                    let key = SubjectTrace(path: match.path, kind: kind, places: 0)
                    found[key, default: 0] += 1
                }
                verification.files += report.files
                verification.bytes += report.bytes
                verification.unread += report.unread
            }
        }
        verification.traces = found.map {
            SubjectTrace(path: $0.key.path, kind: $0.key.kind, places: $0.value)
        }.sorted { ($0.path, $0.kind) < ($1.path, $1.kind) }
        return verification
    }
}

extension SubjectService {
    /// Up to so many pseudonyms are sought in every form that a program might give them.
    static let everyFormMax = 1000
}

extension Pseudonym {
    /// The 16 bytes as the journal holds them.
    var bytes: [UInt8] {
        (0..<16).map { UInt8(truncatingIfNeeded: value >> UInt128(120 - 8 * $0)) }
    }
}
