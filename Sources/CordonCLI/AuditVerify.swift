import CordonAudit
import CordonKeys
import CordonModel
import CordonPolicy
import CordonServer
import Crypto
import LinuxIO
import Merkle

extension Command {
    static let auditVerify = Command(
        ["audit", "verify"],
        summary: "recompute the audit logs from their entries and check their signatures",
        usage: "[--region REGION]… [--key VKEY] [--earlier CHECKPOINT]…",
        options: [
            .regions,
            .init(
                name: "key", value: "VKEY",
                help: "check against this verifier key and not the region's own keys"),
            .init(
                name: "earlier", value: "CHECKPOINT",
                help:
                    "a file with a checkpoint of before (`cordon audit checkpoint`): the log must continue it",
                repeats: true),
        ],
        example: "cordon audit verify --region eu-central"
    ) { arguments, console in
        let regions = try CordonCLI.regions(arguments)
        let readers = try regions.map { region in
            guard let key = arguments.value("key") else { return try CordonCLI.auditReader(region) }
            guard
                let reader = AuditReader(
                    directory: region.auditDirectory, region: region.name, verifierKey: key)
            else {
                throw UsageError(
                    text: "`--key` is no verifier key of the log `\(region.name)/audit`")
            }
            return reader
        }
        let earlier = try Self.earlier(arguments, readers)
        let witnesses = try Self.witnesses(arguments)
        var isSound = true
        for reader in readers {
            let found = try reader.verify()
            let kept = earlier.filter { $0.region == reader.region }
            let head = try reader.keptHead().map {
                Kept(region: reader.region, path: $0.path, bytes: $0.bytes)
            }
            let breaks =
                found.isCheckpointValid
                ? try (kept + [head].compactMap(\.self)).compactMap {
                    try Self.breach($0, in: reader)
                } : []
            let standings = witnesses?.standings(of: reader.region) ?? []
            let answer = AuditReport(found, breaks, earlier: kept.count, witnesses: standings)
            isSound = isSound && answer.isSound
            if arguments.wantsJSON {
                try console.print(json: answer)
            } else {
                print(found, answer, console)
            }
        }
        return isSound ? .done : .foundProblem
    }

    /// The project's regions as witnesses; nil for an auditor's copy of a log, where they are not at hand.
    private static func witnesses(_ arguments: Arguments) throws -> ProjectWitnesses? {
        do {
            return try ProjectWitnesses(
                CordonCLI.configuration(arguments).regions, creating: false)
        } catch {
            // The log is held against the key that was given, and no secret key of a region need be there or readable.
            guard arguments.has("key") else { throw error }
            return nil
        }
    }

    /// A checkpoint that somebody kept.
    private struct Kept {
        let region: String
        let path: String
        let bytes: [UInt8]
    }

    private static func earlier(
        _ arguments: Arguments, _ readers: [AuditReader]
    ) throws -> [Kept] {
        try arguments.all("earlier").map { path in
            let bytes = try File.read(path)
            let note = SignedNote(parsing: bytes)
            let origin = note.flatMap { Checkpoint($0.text) }?.origin
            guard let reader = readers.first(where: { $0.region + "/audit" == origin }) else {
                throw UsageError(text: "`\(path)` is no checkpoint of these regions' logs")
            }
            return Kept(region: reader.region, path: path, bytes: bytes)
        }
    }

    /// In what the log does not continue a checkpoint; nil when it does.
    private static func breach(_ kept: Kept, in reader: AuditReader) throws -> String? {
        switch try reader.continuation(from: kept.bytes) {
        case .continues: nil
        case .foreign: "`\(kept.path)` is not signed by the region's key"
        case .wentBack(let then, let now):
            "`\(kept.path)` has \(then) entries, the log has \(now): it went back"
        case .rewritten(let then):
            "`\(kept.path)`: the first \(then) entries are others than were signed"
        }
    }

    private static func print(
        _ found: AuditVerification, _ answer: AuditReport, _ console: Console
    ) {
        let entries = "\(found.size) \(found.size == 1 ? "entry" : "entries")"
        let root = found.root.isEmpty ? "no root" : "root \(found.root)"
        console.print(
            "\(found.region): \(answer.isSound ? "sound" : "NOT SOUND"), \(entries), \(root)"
                + (answer.earlier == 0
                    ? "" : ", held against \(answer.earlier) earlier checkpoint(s)"))
        for text in answer.rewritten { console.print("  rewritten: \(text)") }
        if !found.isCheckpointValid {
            console.print("  the checkpoint is missing or not signed by the region's key")
        }
        for (name, places) in [
            ("missing", found.missing), ("changed", found.changed), ("inserted", found.inserted),
            ("unpublished, from an interrupted append", found.unpublished),
        ] {
            for place in places { console.print("  \(name): \(place)") }
        }
        for seen in answer.witnesses {
            if let problem = seen.problem {
                console.print("  witness \(seen.witness): \(problem)")
            } else if let size = seen.size, let at = seen.at {
                console.print("  witness \(seen.witness): saw \(size) entries at \(at)")
            } else {
                console.print("  witness \(seen.witness): has not seen this log")
            }
        }
    }
}

/// One line of `audit verify --json`.
private struct AuditReport: Encodable {
    let region: String
    let size: Int
    let root: String
    let checkpointOK: Bool
    let consistent: Bool
    let missing: [String]
    let changed: [String]
    let inserted: [String]
    let unpublished: [String]
    /// How many checkpoints of before the log was held against, and which it does not continue.
    let earlier: Int
    let rewritten: [String]
    /// What the other regions saw.
    let witnesses: [ProjectWitnesses.Standing]

    /// Whether the log is sound and continues what others kept of it.
    let isSound: Bool

    private enum CodingKeys: String, CodingKey {
        case region, size, root, consistent, missing, changed, inserted, unpublished
        case earlier, rewritten, witnesses
        case checkpointOK = "checkpoint_ok"
    }

    init(
        _ found: AuditVerification, _ breaks: [String], earlier: Int,
        witnesses: [ProjectWitnesses.Standing]
    ) {
        self.earlier = earlier
        self.witnesses = witnesses
        rewritten = breaks
        isSound =
            found.isSound && breaks.isEmpty && witnesses.allSatisfy { $0.problem == nil }
        region = found.region
        size = found.size
        root = found.root
        checkpointOK = found.isCheckpointValid
        consistent = found.isConsistent
        missing = found.missing
        changed = found.changed
        inserted = found.inserted
        unpublished = found.unpublished
    }
}

extension Command.Option {
    /// The regions that a command is about; all when it is not given.
    static let regions = Command.Option(
        name: "region", value: "REGION", help: "the region's name (default: every region)",
        repeats: true)
}

extension CordonCLI {
    /// A reader of the region's log that trusts the region's own keys.
    static func auditReader(_ region: RegionConfiguration) throws -> AuditReader {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        return AuditReader(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey.publicKey)
    }
}
