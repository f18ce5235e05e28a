import CordonAudit
import CordonKeys
import CordonModel
import CordonPolicy
import Crypto

extension Command {
    static let auditVerify = Command(
        ["audit", "verify"],
        summary: "recompute the audit logs from their entries and check their signatures",
        usage: "[--region REGION]… [--key VKEY]",
        options: [
            .regions,
            .init(
                name: "key", value: "VKEY",
                help: "check against this verifier key and not the region's own keys"),
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
        var isSound = true
        for reader in readers {
            let found = try reader.verify()
            isSound = isSound && found.isSound
            if arguments.wantsJSON {
                try console.print(json: AuditReport(found))
            } else {
                print(found, console)
            }
        }
        return isSound ? .done : .foundProblem
    }

    private static func print(_ found: AuditVerification, _ console: Console) {
        let entries = "\(found.size) \(found.size == 1 ? "entry" : "entries")"
        let root = found.root.isEmpty ? "no root" : "root \(found.root)"
        console.print(
            "\(found.region): \(found.isSound ? "sound" : "NOT SOUND"), \(entries), \(root)")
        if !found.isCheckpointValid {
            console.print("  the checkpoint is missing or not signed by the region's key")
        }
        for (name, places) in [
            ("missing", found.missing), ("changed", found.changed), ("inserted", found.inserted),
            ("unpublished, from an interrupted append", found.unpublished),
        ] {
            for place in places { console.print("  \(name): \(place)") }
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

    private enum CodingKeys: String, CodingKey {
        case region, size, root, consistent, missing, changed, inserted, unpublished
        case checkpointOK = "checkpoint_ok"
    }

    init(_ found: AuditVerification) {
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
