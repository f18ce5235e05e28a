package import CordonAudit
package import CordonKeys
import CordonLake
package import CordonModel
package import CordonPolicy
package import CordonSubjects
import Iceberg
import LinuxIO
import Merkle

/// Requests about persons and the end of retention in one region, over its lake, journal, keys and audit log.
package struct RegionSubjects: Sendable {
    package let region: RegionConfiguration
    private let keys: RegionKeys
    private let lake: RegionLake
    private let log: AuditLog
    private let clock: any WallClock

    package init(
        _ lake: RegionLake, keys: RegionKeys, log: AuditLog, clock: any WallClock
    ) {
        region = lake.region
        self.lake = lake
        self.keys = keys
        self.log = log
        self.clock = clock
    }

    /// Opens what stands beside the region's lake.
    package init(_ region: RegionConfiguration, clock: any WallClock) throws {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        let lake = try RegionLake(region, clock: clock, log: log)
        self.init(lake, keys: keys, log: log, clock: clock)
    }

    /// A service for the calling thread.
    ///
    /// - Parameter moment: told of each step of a request.
    package func service(
        moment: @escaping (RequestStep, SubjectService.StepMoment) throws -> Void = { _, _ in }
    ) -> SubjectService {
        SubjectService(
            .init(region), keys: keys,
            lake: SubjectTable(lake: lake, directory: region.hitsTableDirectory),
            clock: clock,
            audit: { event in try log.append(entry(event)) }, certify: certify, moment: moment)
    }

    /// Where the certificate of an erasure lies, whether or not it was made yet.
    package func certificatePath(of request: String) -> String {
        certificatePath(digest: keys.requestDigest(request))
    }

    private func certificatePath(digest: String) -> String {
        region.certificatesDirectory + "/erasure-\(digest).json"
    }

    /// Signs what the audit log has, proves its place there, and brings both to disk.
    private func certify(_ statement: ErasureStatement) throws {
        let reader = log.reader
        let entries = try reader.entries(
            matching: .init(
                kind: ErasureCertificate.entryKind, subject: statement.subject,
                certificate: statement.digest), limit: 1)
        guard let entry = entries.first else {
            preconditionFailure("the log was told of the statement before it is certified")
        }
        let certificate = ErasureCertificate(
            statement,
            signer: NoteSigner(name: region.name + "/audit", key: keys.signingKey),
            proven: try reader.prove(entry.index))
        try Directory.create(region.certificatesDirectory)
        try File.write(
            certificatePath(digest: statement.request), certificate.encoded, mode: 0o600,
            sync: true)
    }

    /// Finishes requests that were cut, and takes away what is due today.
    ///
    /// - Returns: the requests that are still unfinished, with the reason, and the retention that was applied.
    package func sweep() throws -> (
        unfinished: [SubjectService.Resumption], retention: SubjectRequest?
    ) {
        let service = service()
        let unfinished = try service.resume().filter { $0.failure != nil }
        let retention = try service.applyRetention()
        // Behind the end of retention, so that a key never goes before its hits.
        _ = try service.sweepKeys()
        return (unfinished, retention)
    }

    /// How many requests were cut, or wait for a hold.
    func unfinishedCount() throws -> Int {
        try service().unfinishedCount(without: RequestKind.standing)
    }

    /// How many requests have rows in the files that nobody may use: erasures on their way, and restrictions.
    package func unusableCount() throws -> Int {
        try service().unfinishedCount(without: [.hold])
    }

    private func entry(_ event: SubjectEvent) -> AuditEntry {
        var fields = event.counts.mapValues { AuditEntry.Value.integer($0) }
        fields["request"] = .text(keys.requestDigest(event.request))
        if let digest = event.certificate {
            fields[ErasureCertificate.entryField] = .text(digest)
        }
        if let subject = event.subject { fields["subject"] = .text(subject) }
        if let day = event.asOf { fields["as-of"] = .text(day) }
        if let purposes = event.purposes { fields["purposes"] = .list(purposes) }
        return AuditEntry(
            at: clock.now(), kind: event.kind.rawValue, region: region.name, fields: fields)
    }

    /// What stands before the region's rows in an export, by the present policies.
    package func heading(_ ruleSet: RuleSet) -> ExportHeading {
        let policies = ruleSet.policies.filter { $0.route.region == region.name }
        return ExportHeading(
            region: region.name, title: region.title, jurisdiction: region.jurisdiction,
            policies: policies.map { policy in
                ExportHeading.Policy(
                    policy: policy.name, title: policy.title, source: policy.source,
                    purposes: policy.consent.purposes, retentionDays: policy.retention.hitsDays,
                    fieldDays: Dictionary(
                        uniqueKeysWithValues: policy.retention.fieldDays.map {
                            ($0.key.rawValue, $0.value)
                        }),
                    recipients: policy.access.map {
                        "\($0.role): \($0.see.rawValue) for \($0.purposes.joined(separator: ", "))"
                    })
            })
    }
}

/// The region's table as requests see it.
private struct SubjectTable: SubjectLake {
    let lake: RegionLake
    /// Folder of the table.
    let directory: String
    private var table: HitsTable { lake.table }

    var columns: [String] { HitsSchema.iceberg.fields.map(\.name) }

    func files() throws -> [LakeFile] { try table.snapshot().files.map(LakeFile.init) }

    func deliveredThrough() throws -> Int64 { try table.deliveredThrough() }

    func matches(_ people: SubjectFilter) throws -> [LakeMatch] {
        try table.write { try Self.matches(people, $0) }
    }

    private static func matches(
        _ people: SubjectFilter, _ writer: LakeWriter
    ) throws -> [LakeMatch] {
        try matches(try writer.count(people), writer)
    }

    private static func matches(
        _ counts: [String: Int64], _ writer: LakeWriter
    ) throws -> [LakeMatch] {
        try writer.dataFiles().compactMap { file in
            counts[file.path].map { LakeMatch(file: LakeFile(file), rows: $0) }
        }
    }

    func sealedRows(of people: SubjectFilter) throws -> Int64 {
        try table.write { try $0.sealedRows(of: people) }
    }

    func rows(of people: SubjectFilter, _ body: (String) throws -> Void) throws {
        try table.write { try $0.rows(people, body) }
    }

    func deliver() throws { _ = try table.deliver(from: lake.journal()) }

    func matches(
        _ people: SubjectFilter, _ correction: ConsentCorrection
    ) throws -> [LakeMatch] {
        try table.write { try Self.matches($0.count(correction, of: people), $0) }
    }

    func correct(
        _ people: SubjectFilter, _ correction: ConsentCorrection,
        foreseen: ([LakeMatch]) throws -> Void
    ) throws -> LakeRemoval {
        try table.write { writer in
            try foreseen(try Self.matches(writer.count(correction, of: people), writer))
            let report = try writer.correct(correction, of: people)
            return LakeRemoval(
                rows: report.rows, filesReplaced: report.filesBefore,
                deadLetters: report.deadLettersRemoved)
        }
    }

    func snapshotID() throws -> Int64? { try table.snapshot().snapshotID }

    func name(of path: String) -> String {
        path.hasPrefix(directory + "/") ? String(path.dropFirst(directory.utf8.count + 1)) : path
    }

    func remove(
        _ people: SubjectFilter, foreseen: ([LakeMatch]) throws -> Void,
        written: ([(path: String, rows: Int64)]) throws -> Void
    ) throws -> LakeRemoval {
        try table.write { writer in
            try foreseen(try Self.matches(people, writer))
            let report = try writer.rewrite(removing: people, written: written)
            return LakeRemoval(
                rows: report.rowsRemoved, filesReplaced: report.filesBefore.count,
                deadLetters: report.deadLettersRemoved)
        }
    }

    func forEachPseudonym(_ field: PseudonymField, _ body: (Pseudonym) -> Void) throws -> Int {
        try table.write { writer in
            try writer.forEachDeadLetterWindow(body)
            return try writer.forEachPseudonym(in: field.text, body)
        }
    }

    func holds(on people: SubjectFilter) throws -> [String] {
        try table.write { try $0.holds(on: people) }
    }

    func held(in files: [LakeFile]) throws -> [String: Int64] {
        try table.write { try $0.held(in: files.map(\.path)) }
    }

    func drop(dueOn day: Day, foreseen: ([LakeFile]) throws -> Void) throws {
        try table.write { writer in
            let candidates = try writer.dataFiles().map(LakeFile.init).filter { $0.isDue(on: day) }
            let held = try writer.held(in: candidates.map(\.path))
            let due = candidates.compactMap { $0.leaving(held[$0.path] ?? 0) }
            try foreseen(due)
            _ = try writer.drop(due.map(\.path))
        }
    }

    func expire() throws -> Int { try table.write { try $0.expireAllButCurrent() } }

    func decoded(holding pseudonyms: Set<Pseudonym>) -> any DecodedContent {
        ParquetTraces(pseudonyms)
    }

    func quietly<Result>(_ body: () throws -> Result) throws -> Result {
        try table.write { _ in try body() }
    }
}

extension LakeFile {
    init(_ file: DataFileRef) {
        self.init(
            path: file.path, rows: file.records, bytes: file.bytes, day: file.day,
            retainUntil: file.retainUntil)
    }
}

extension RegionSubjects: RestingWriter {
    /// A certificate names no one.
    package static let rests = [Rest(.certificates, [])]
}
