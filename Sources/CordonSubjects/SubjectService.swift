package import CordonAudit
internal import CordonJournal
package import CordonKeys
package import CordonModel
internal import LinuxIO

/// Carries out requests in one region. Used by one thread at a time; it blocks that thread.
///
/// Any number of processes may do so: whoever changes something holds the region's request lock from the first
/// step to the last, so two erasures, or an erasure and the end of a retention, never work on one batch together.
package final class SubjectService {
    package let place: Place
    let keys: RegionKeys
    let lake: any SubjectLake
    let clock: any WallClock
    /// Tells the audit log; throws when it cannot be told, and then nothing happens.
    let audit: (SubjectEvent) throws -> Void
    /// Makes the certificate of an erasure whose statement the audit log has; may be asked again for the same one.
    let certify: (ErasureStatement) throws -> Void
    /// Called around each step; throws in tests to see what a kill there leaves behind.
    let moment: (RequestStep, StepMoment) throws -> Void

    /// Where a region keeps what requests touch.
    package struct Place: Equatable, Sendable {
        package var region: String
        package var storePath: String
        package var journalPath: String
        /// Locked by whoever carries out a request.
        package var lockPath: String
        /// The ledger of those who were erased.
        package var ledgerPath: String
        /// Folders and files that hold everything of the region; those that are missing are passed over.
        package var roots: [String]

        package init(
            region: String, storePath: String, journalPath: String, lockPath: String,
            ledger: String, roots: [String]
        ) {
            self.region = region
            self.storePath = storePath
            self.journalPath = journalPath
            self.lockPath = lockPath
            ledgerPath = ledger
            self.roots = roots
        }

        package init(_ region: RegionConfiguration) {
            let catalog = ["", "-wal", "-shm", "-journal"].map { region.catalogPath + $0 }
            let folders = [region.stateDirectory, region.lakeDirectory, region.keysDirectory]
            let roots = (folders + catalog).enumerated().filter { index, path in
                // What lies in another root is read with it.
                !folders.enumerated().contains { other, folder in
                    path.hasPrefix(folder + "/") || other < index && path == folder
                }
            }
            self.init(
                region: region.name, storePath: region.requestsPath,
                journalPath: region.journalPath,
                lockPath: region.requestsLockPath,
                ledger: region.erasedLedgerPath, roots: roots.map(\.element))
        }
    }

    /// Where in a step something may be cut.
    package enum StepMoment: CaseIterable, Sendable {
        case before
        /// The step has had its effect, which is not recorded yet.
        case performed
        case recorded
    }

    package init(
        _ place: Place, keys: RegionKeys, lake: any SubjectLake, clock: any WallClock,
        audit: @escaping (SubjectEvent) throws -> Void,
        certify: @escaping (ErasureStatement) throws -> Void = { _ in },
        moment: @escaping (RequestStep, StepMoment) throws -> Void = { _, _ in }
    ) {
        self.place = place
        self.keys = keys
        self.lake = lake
        self.clock = clock
        self.audit = audit
        self.certify = certify
        self.moment = moment
    }

    /// What the region knows of a person.
    package func subject(_ name: borrowing Sensitive<SubjectName>) throws(KeysError) -> Subject {
        try name.inspect(with: NamedSubjectTransform(keys)).get()
    }

    /// The newest requests first, at most `max`, those of some kinds left out.
    package func requests(
        max: Int, without kinds: [RequestKind] = []
    ) throws -> [SubjectRequest] {
        guard try File.exists(place.storePath) else { return [] }
        return try store().requests(max: max, without: kinds)
    }

    /// The request of this id; nil when the region has none.
    package func request(_ id: String) throws -> SubjectRequest? {
        guard try File.exists(place.storePath) else { return nil }
        return try store().request(id)
    }

    /// The oldest request of a kind about a person that is not done, with which a further one goes on.
    package func unfinished(
        _ kind: RequestKind, of subject: Subject
    ) throws -> SubjectRequest? {
        guard try File.exists(place.storePath) else { return nil }
        return try store().unfinished(kind, of: subject)
    }

    /// How many requests are not done, those of some kinds left out.
    package func unfinishedCount(without kinds: [RequestKind]) throws -> Int {
        guard try File.exists(place.storePath) else { return 0 }
        return try store().unfinishedCount(without: kinds)
    }

    func store() throws -> RequestStore {
        try Directory.create(File.parent(of: place.storePath))
        return try RequestStore(path: place.storePath, maskKey: keys.subjectDigestKey)
    }

    func journal() throws(JournalError) -> Journal { try Journal(path: place.journalPath) }

    /// Runs `body` while no other process carries out a request in this region.
    func alone<Result>(_ body: (RequestStore) throws -> Result) throws -> Result {
        let store = try store()
        let lock = try FileLock(waitingFor: place.lockPath)
        return try withExtendedLifetime(lock) { try body(store) }
    }

    /// Notes a request that is done in one step, for `status`.
    func note(
        _ kind: RequestKind, _ id: String, _ subject: Subject, _ counts: SubjectRequest.Counts
    ) throws {
        var request = SubjectRequest(id: id, kind: kind, subject: subject, at: clock.now())
        request.counts = counts
        request.attempts = 1
        request.step = .done
        try store().insert(request)
    }
}
