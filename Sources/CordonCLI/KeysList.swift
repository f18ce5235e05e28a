import CordonAudit
import CordonKeys
import CordonModel
import Crypto
import Merkle

extension Command {
    static let keysList = Command(
        ["keys", "list"],
        summary: "the keys of the regions: what they are for and since when, never the keys",
        usage: "[--region REGION]…", options: [.regions],
        example: "cordon keys list --region eu-central"
    ) { arguments, console in
        var keys: [ListedKey] = []
        for region in try CordonCLI.regions(arguments) {
            keys += try listedKeys(region)
        }
        if arguments.wantsJSON {
            for key in keys { try console.print(json: key) }
        } else {
            console.table(
                ["region", "key", "period", "from", "rotation", "on disk", "verifier key"],
                keys.map {
                    [
                        $0.region, $0.key, $0.period ?? "", $0.from ?? "",
                        $0.rotation.map(String.init) ?? "",
                        $0.master.map { "wrapped by \($0)" } ?? "plain", $0.verifierKey ?? "",
                    ]
                })
            for key in keys {
                guard let count = key.subjectKeys else { continue }
                console.note(
                    "\(key.region): \(count) key(s) of sealed columns are wrapped by `\(key.key)`")
            }
        }
        return .done
    }

    private static func listedKeys(_ region: RegionConfiguration) throws -> [ListedKey] {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let reader = try CordonCLI.auditReader(region)
        func master(_ epoch: RegionKeys.Epoch?) throws -> String? {
            guard case .wrapped(let id) = try keys.protection(of: epoch) else { return nil }
            return id
        }
        let lasting = [
            ListedKey(
                region: region.name, key: "audit-signing", verifierKey: reader.verifierKey,
                master: try master(nil)),
            ListedKey(region: region.name, key: "subject-digest", master: try master(nil)),
        ]
        let sealed = try SubjectKeys.existing(keys).map { sealed in
            ListedKey(
                region: region.name, key: "subject-wrap", master: try master(nil),
                subjectKeys: try sealed.count())
        }
        let witness = try keys.witnessKey(creating: false).map { key in
            let verifier = AuditWitness.verifier(region: region.name, key: key.publicKey)
            return ListedKey(
                region: region.name, key: "witness", verifierKey: verifier.text,
                master: try master(nil))
        }
        return lasting + [sealed, witness].compactMap(\.self)
            + (try keys.epochs().map {
                ListedKey(
                    region: region.name, key: $0.field.text, period: $0.period.text,
                    from: $0.start.text, rotation: $0.generation, master: try master($0))
            })
    }
}

/// One key, without its bytes.
private struct ListedKey: Encodable {
    let region: String
    /// What it is for: a field of pseudonyms, `subject-digest`, `subject-wrap`, `audit-signing` or `witness`.
    let key: String
    /// How long it makes pseudonyms; nil for keys that last.
    var period: String?
    /// First day of its epoch.
    var from: String?
    /// How often its epoch had been rotated before it.
    var rotation: Int?
    /// The public half, for keys that sign.
    var verifierKey: String?
    /// Id of the master key that wraps it; nil when it lies there as it is.
    var master: String?
    /// How many keys of sealed columns it wraps.
    var subjectKeys: Int?

    private enum CodingKeys: String, CodingKey {
        case region, key, period, from, rotation, master
        case verifierKey = "verifier_key"
        case subjectKeys = "subject_keys"
    }
}
