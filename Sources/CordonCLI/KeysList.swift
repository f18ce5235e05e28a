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
        func id(_ protection: RegionKeys.Protection?) -> String? {
            guard case .wrapped(let id) = protection else { return nil }
            return id
        }
        func master(_ key: RegionKeys.LastingKey) throws -> String? {
            id(try keys.protection(of: key))
        }
        var lasting = [
            ListedKey(
                region: region.name, key: "audit-signing", verifierKey: reader.verifierKey,
                master: try master(.signing)),
            ListedKey(
                region: region.name, key: "subject-digest", master: try master(.subjectDigest)),
        ]
        if let next = try keys.protection(of: .nextSigning) {
            lasting.append(
                ListedKey(region: region.name, key: "audit-signing.next", master: id(next)))
        }
        let sealed = try SubjectKeys.existing(keys).map { sealed in
            ListedKey(
                region: region.name, key: "subject-wrap", master: try master(.subjectWrap),
                subjectKeys: try sealed.count())
        }
        let witness = try keys.witnessKey(creating: false).map { key in
            let verifier = AuditWitness.verifier(region: region.name, key: key.publicKey)
            return ListedKey(
                region: region.name, key: "witness", verifierKey: verifier.text,
                master: try master(.witness))
        }
        return lasting + [sealed, witness].compactMap(\.self)
            + (try keys.epochs().map {
                ListedKey(
                    region: region.name, key: $0.field.text, period: $0.period.text,
                    from: $0.start.text, rotation: $0.generation,
                    master: id(try keys.protection(of: $0)))
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
