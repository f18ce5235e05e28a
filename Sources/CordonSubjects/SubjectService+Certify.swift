package import CordonAudit
internal import CordonKeys
internal import CordonModel
internal import Crypto
internal import LinuxIO

// What an erasure remembers for its certificate, step by step, so that a kill loses none of it.
extension SubjectService {
    /// Remembers the files that hold the person's rows, before they change.
    func noteBefore(
        _ matches: [LakeMatch], _ request: SubjectRequest, _ store: RequestStore
    ) throws {
        var evidence = try store.evidence(of: request.id)
        if evidence.numbers[.snapshotBefore] == nil {
            evidence.numbers[.snapshotBefore] = try lake.snapshotID() ?? 0
        }
        for match in matches {
            evidence.before[lake.name(of: match.file.path)] = .init(
                rows: Int(match.file.rows), sha256: try Self.sha256(match.file.path))
        }
        // New files of an attempt that was cut before the table had them are no part of what is done now.
        let present = Set(try lake.files().map { lake.name(of: $0.path) })
        evidence.after = evidence.after.filter { present.contains($0.key) }
        try store.setEvidence(evidence, of: request.id)
    }

    /// Remembers the files that take their place.
    func noteAfter(
        _ files: [(path: String, rows: Int64)], _ request: SubjectRequest, _ store: RequestStore
    ) throws {
        var evidence = try store.evidence(of: request.id)
        for file in files {
            evidence.after[lake.name(of: file.path)] = .init(
                rows: Int(file.rows), sha256: try Self.sha256(file.path))
        }
        try store.setEvidence(evidence, of: request.id)
    }

    /// Remembers what was read to see that nothing is left.
    func noteAbsence(
        _ verification: SubjectVerification, _ request: SubjectRequest, _ store: RequestStore
    ) throws {
        var evidence = try store.evidence(of: request.id)
        evidence.numbers[.snapshotAfter] = try lake.snapshotID() ?? 0
        evidence.numbers[.filesRead] = Int64(verification.files)
        evidence.numbers[.bytesRead] = Int64(verification.bytes)
        evidence.numbers[.pseudonyms] = Int64(verification.pseudonyms)
        evidence.numbers[.verifiedAt] = clock.now().microseconds
        try store.setEvidence(evidence, of: request.id)
    }

    /// What the certificate of an erasure will state: the same however often it is asked for; nil for retention.
    func statement(
        of request: SubjectRequest, _ counts: [String: Int], _ store: RequestStore
    ) throws -> ErasureStatement? {
        guard request.kind == .erase, let subject = request.subject else { return nil }
        let evidence = try store.evidence(of: request.id)
        func number(_ name: RequestEvidence.Number) -> Int { Int(evidence.numbers[name] ?? 0) }
        return ErasureStatement(
            region: place.region, request: keys.requestDigest(request.id), subject: subject.hex,
            requestedAt: request.createdAt,
            verifiedAt: Timestamp(microseconds: evidence.numbers[.verifiedAt] ?? 0), counts: counts,
            filesBefore: evidence.before, filesAfter: evidence.after,
            snapshotBefore: number(.snapshotBefore), snapshotAfter: number(.snapshotAfter),
            absence: [
                "files": number(.filesRead), "bytes": number(.bytesRead),
                "pseudonyms": number(.pseudonyms), "traces": 0,
            ], sealedUnreadableSince: request.unreadableSince,
            scope: request.naming.map(Self.scope) ?? .user)
    }

    private static func scope(_ naming: Subject.Naming) -> ErasureStatement.Scope {
        switch naming {
        case .user: .user
        case .list: .list
        case .visitor: .visitor
        case .pseudonym: .pseudonym
        case .ledger: .ledger
        }
    }

    /// Whether new files of the table may be named by the certificate of an erasure, which is not made yet. One that a hold
    /// stopped before it wrote any has named none.
    package func mayHaveNamedFiles(_ id: String) throws -> Bool {
        let store = try store()
        guard let request = try store.request(id), request.kind == .erase, !request.isFinished
        else { return false }
        return try request.heldBy.isEmpty || !store.evidence(of: id).after.isEmpty
    }

    private static let pieceBytes = 1 << 20

    private static func sha256(_ path: String) throws -> String {
        let file = try File(opening: path, [.read])
        var hash = SHA256()
        while true {
            let piece = try file.readNext(pieceBytes)
            if piece.isEmpty { break }
            hash.update(piece)
        }
        return hash.finalize().hex
    }
}

/// What a request keeps for its certificate. It names files and numbers, and no one.
package struct RequestEvidence: Equatable, Sendable {
    package var before: [String: ErasureStatement.File] = [:]
    package var after: [String: ErasureStatement.File] = [:]
    package var numbers: [Number: Int64] = [:]

    package init() {}

    package enum Number: String, CaseIterable, Sendable {
        case snapshotBefore = "snapshot-before"
        case snapshotAfter = "snapshot-after"
        case filesRead = "files-read"
        case bytesRead = "bytes-read"
        case pseudonyms
        case verifiedAt = "verified-at"
    }
}
