internal import Bytes
package import CordonModel
internal import Crypto
package import Merkle

/// What a region states when a person was erased. It names no one: request and subject are digests under a key that the
/// region alone has, so the statements of two regions about one person have nothing in common.
package struct ErasureStatement: Equatable, Sendable {
    package let region: String
    /// Keyed digest of the request's id, in hexadecimal.
    package let request: String
    /// Keyed digest of the person, in hexadecimal.
    package let subject: String
    package let requestedAt: Timestamp
    /// When everything had been read and nothing was found.
    package let verifiedAt: Timestamp
    /// What went: rows, hits in the journal, dead letters, files deleted; how many keys of pseudonyms were tried.
    package let counts: [String: Int]
    /// Data files that held rows of the person, and those that took their place, by path below the table's folder.
    package let filesBefore: [String: File]
    package let filesAfter: [String: File]
    /// Snapshot of the table before the erasure and after it; 0 for a table without one.
    package let snapshotBefore: Int
    package let snapshotAfter: Int
    /// What was read to see that nothing is left: `files`, `bytes`, `pseudonyms` looked for, `traces` found.
    package let absence: [String: Int]
    /// Since when nobody can read the person's sealed columns, their keys being destroyed; nil where none was sealed.
    package let sealedUnreadableSince: Timestamp?
    package let scope: Scope

    /// One data file.
    package struct File: Hashable, Sendable {
        package let rows: Int
        /// SHA-256 of its bytes in hexadecimal.
        package let sha256: String
        package init(rows: Int, sha256: String) {
            self.rows = rows
            self.sha256 = sha256
        }
    }

    /// Whose hits were to go, and which new ones are kept out; the words are part of what is signed.
    package enum Scope: String, Sendable {
        case user =
            "all rows and waiting hits of one user id under the keys that still existed, and all hits of it from then on"
        case list =
            "all rows and waiting hits of the user ids of one list under the keys that still existed, and all hits of them from then on"
        case visitor =
            "all rows and waiting hits of one address, user agent and site in the periods that were asked for, under the keys that still existed, and its hits until the periods of these keys end"
        case pseudonym =
            "all rows and waiting hits of one pseudonym, and its hits until the period of its key ends"
        case ledger =
            "all rows and waiting hits of the people in the ledger of earlier erasures who had come back"
    }

    package init(
        region: String, request: String, subject: String, requestedAt: Timestamp,
        verifiedAt: Timestamp, counts: [String: Int], filesBefore: [String: File],
        filesAfter: [String: File], snapshotBefore: Int, snapshotAfter: Int,
        absence: [String: Int], sealedUnreadableSince: Timestamp? = nil, scope: Scope = .user
    ) {
        self.region = region
        self.request = request
        self.subject = subject
        self.requestedAt = requestedAt
        self.verifiedAt = verifiedAt
        self.counts = counts
        self.filesBefore = filesBefore
        self.filesAfter = filesAfter
        self.snapshotBefore = snapshotBefore
        self.snapshotAfter = snapshotAfter
        self.absence = absence
        self.sealedUnreadableSince = sealedUnreadableSince
        self.scope = scope
    }

    /// How absence was checked, in words that are part of what is signed.
    package static let method =
        "every file under the region was read after the last change, Parquet decoded, for each pseudonym "
        + "that a key which still existed could have made, in every form of the disk scan"

    var value: CanonicalJSON.Value {
        func numbers(_ numbers: [String: Int]) -> CanonicalJSON.Value {
            .object(numbers.mapValues { .integer($0) })
        }
        func files(_ files: [String: File]) -> CanonicalJSON.Value {
            .object(
                files.mapValues {
                    .object(["rows": .integer($0.rows), "sha256": .text($0.sha256)])
                })
        }
        // A member that is not there in statements about people of whom nothing was sealed.
        let sealed = sealedUnreadableSince.map {
            ["sealed_unreadable_since": CanonicalJSON.Value.text($0.text)]
        }
        let members: [String: CanonicalJSON.Value] = [
            "region": .text(region), "request": .text(request), "subject": .text(subject),
            "requested_at": .text(requestedAt.text), "verified_at": .text(verifiedAt.text),
            "scope": .text(scope.rawValue), "counts": numbers(counts),
            "files_before": files(filesBefore), "files_after": files(filesAfter),
            "snapshot_before": .integer(snapshotBefore), "snapshot_after": .integer(snapshotAfter),
            "absence": numbers(absence), "absence_checked_by": .text(Self.method),
        ]
        return .object(members.merging(sealed ?? [:]) { member, _ in member })
    }

    /// What is signed: canonical JSON in one line.
    package var text: String {
        String(decoding: CanonicalJSON.encode(value), as: UTF8.self) + "\n"
    }

    /// SHA-256 of ``text`` in hexadecimal, as the audit log's entry names it.
    package var digest: String { Bytes.hex(SHA256.hash(Array(text.utf8))) }
}

/// An erasure's statement, signed, with the audit entry that names it and the proof that the entry is in the log.
///
/// One JSON object: `format`, `statement` to read, `note` (the statement's one line, signed), `entry` (as it is stored)
/// and `proof` (C2SP tlog-proof with its checkpoint). `Docs/formats/certificates.md` says how to check it.
package struct ErasureCertificate: Sendable {
    package let note: SignedNote
    package let entry: [UInt8]
    package let proof: InclusionProofFile

    package static let format = "cordon-erasure-certificate/1"
    /// Longest file that is read, in bytes.
    package static let byteCountMax = 4 << 20
    /// The entry's kind.
    package static let entryKind = "erased"
    /// The entry's field with the statement's digest.
    package static let entryField = "certificate"

    /// Signs `statement` and puts it together with its entry.
    package init(_ statement: ErasureStatement, signer: NoteSigner, proven: AuditReader.Proven) {
        note = SignedNote(signing: statement.text, with: signer)
        entry = proven.entry
        proof = proven.proof
    }

    /// The file's content.
    package var encoded: [UInt8] {
        CanonicalJSON.encode(
            .object([
                "format": .text(Self.format),
                "statement": CanonicalJSON.parse(Array(note.text.utf8), depthMax: 4) ?? .list([]),
                "note": .text(String(decoding: note.encoded, as: UTF8.self)),
                "entry": .text(String(decoding: entry, as: UTF8.self)),
                "proof": .text(proof.text),
            ])) + [0x0A]
    }

    /// What a certificate says once it has been checked.
    package struct Checked: Sendable {
        package let region: String
        package let request: String
        package let requestedAt: String
        package let verifiedAt: String
        package let counts: [String: Int]
        package let filesBefore: Int
        package let filesAfter: Int
        package let absence: [String: Int]
        /// Place of the entry in the log, and the log's size under the checkpoint.
        package let index: Int
        package let size: Int
        /// The proof's signed checkpoint.
        package let note: SignedNote
    }

    /// What is wrong with a certificate.
    package enum Refusal: Error, Equatable, CustomStringConvertible {
        case malformed
        case tooLong
        case noKeyFor(region: String)
        case notSigned
        case statementDiffers
        case entryDiffers
        case notInLog
        case otherCheckpoint
        case otherLog

        package var description: String {
            switch self {
            case .malformed: "this is no erasure certificate that this version can read"
            case .tooLong:
                "longer than the \(ErasureCertificate.byteCountMax) bytes of a certificate"
            case .noKeyFor(let region): "it is of `\(region)`, and no key of that region was given"
            case .notSigned: "the region's key did not sign this statement"
            case .statementDiffers: "`statement` is another than the one that was signed"
            case .entryDiffers: "its audit entry names another statement"
            case .notInLog:
                "the proof does not lead from its audit entry to a checkpoint of the region"
            case .otherCheckpoint:
                "the checkpoint at hand has the proof's size and another root: there are two logs"
            case .otherLog:
                "the log at hand does not continue the proof's checkpoint: there are two logs"
            }
        }
    }

    /// Checks a certificate against the region's key, and against `checkpoint` when the reader has one of their own.
    ///
    /// - Parameter chains: keys of regions that replaced one another, each good for the sizes at which it was in use.
    package static func check(
        _ bytes: [UInt8], keys: [NoteVerifier], chains: [AuditKeyChain] = [],
        checkpoint kept: [UInt8]? = nil
    ) throws(Refusal) -> Checked {
        guard bytes.count <= byteCountMax else { throw .tooLong }
        guard case .object(let members) = CanonicalJSON.parse(bytes, depthMax: 5),
            members["format"] == .text(format), case .text(let noteText) = members["note"],
            case .text(let entryText) = members["entry"],
            case .text(let proofText) = members["proof"],
            let note = SignedNote(parsing: Array(noteText.utf8), byteCountMax: byteCountMax),
            let proof = InclusionProofFile(proofText),
            let entry = AuditEntry(decoding: Array(entryText.utf8)),
            let signed = CanonicalJSON.parse(Array(note.text.utf8), depthMax: 4),
            case .object(let statement) = signed,
            case .text(let region) = statement["region"]
        else { throw .malformed }
        let origin = region + "/audit"
        let known =
            keys.map { AuditKeyChain($0, introductions: []) }.filter { $0.present.name == origin }
            + chains.filter { $0.present.name == origin }
        guard !known.isEmpty else { throw .noKeyFor(region: region) }
        let links = known.flatMap(\.links)
        guard let link = links.last(where: { note.isSigned(by: $0.verifier) }) else {
            throw .notSigned
        }
        let key = link.verifier
        guard members["statement"] == signed else { throw .statementDiffers }
        guard entry.kind == entryKind, entry.region == region,
            entry.fields[entryField] == .text(Bytes.hex(SHA256.hash(Array(note.text.utf8))))
        else { throw .entryDiffers }
        guard let checkpoint = proof.checkpoint(showing: Array(entryText.utf8), signedBy: key),
            link.sizes.contains(checkpoint.size)
        else {
            throw .notInLog
        }
        if let kept {
            guard let note = SignedNote(parsing: kept),
                let own = known.lazy.compactMap({ $0.checkpoint(note) }).first
            else { throw .notSigned }
            guard own.size != checkpoint.size || own.root == checkpoint.root else {
                throw .otherCheckpoint
            }
        }
        return try Checked(
            statement, region: region, proof: proof, size: checkpoint.size)
    }
}

extension ErasureCertificate.Checked {
    fileprivate init(
        _ statement: [String: CanonicalJSON.Value], region: String, proof: InclusionProofFile,
        size: Int
    ) throws(ErasureCertificate.Refusal) {
        func numbers(_ name: String) -> [String: Int]? {
            guard case .object(let members) = statement[name] else { return nil }
            return members.compactMapValues { value in
                guard case .integer(let number) = value else { return nil }
                return number
            }
        }
        guard case .text(let request) = statement["request"],
            case .text(let requestedAt) = statement["requested_at"],
            case .text(let verifiedAt) = statement["verified_at"],
            let counts = numbers("counts"), let absence = numbers("absence"),
            case .object(let before) = statement["files_before"],
            case .object(let after) = statement["files_after"]
        else { throw .malformed }
        self.region = region
        self.request = request
        self.requestedAt = requestedAt
        self.verifiedAt = verifiedAt
        self.counts = counts
        self.absence = absence
        filesBefore = before.count
        filesAfter = after.count
        index = proof.index
        self.size = size
        note = proof.note
    }
}

extension AuditReader {
    /// Refuses a certificate whose proof is of another log than this one; takes it where the log has no checkpoint by now.
    ///
    /// A former key in wrong hands signs any checkpoint of a size at which it was in use; only the log shows that it is none of its own.
    package func require(_ certificate: ErasureCertificate.Checked) throws {
        let found: Continuation
        do throws(AuditError) {
            found = try continuation(from: certificate.note.encoded)
        } catch .checkpointMissing { return }
        guard case .continues = found else { throw ErasureCertificate.Refusal.otherLog }
    }
}
