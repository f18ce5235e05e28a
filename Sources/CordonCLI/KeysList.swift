import CordonAudit
import CordonKeys
import CordonModel

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
                ["region", "key", "period", "from", "verifier key"],
                keys.map {
                    [$0.region, $0.key, $0.period ?? "", $0.from ?? "", $0.verifierKey ?? ""]
                })
        }
        return .done
    }

    private static func listedKeys(_ region: RegionConfiguration) throws -> [ListedKey] {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let reader = try CordonCLI.auditReader(region)
        let lasting = [
            ListedKey(region: region.name, key: "audit-signing", verifierKey: reader.verifierKey),
            ListedKey(region: region.name, key: "subject-digest"),
        ]
        return lasting
            + (try keys.epochs()).map {
                ListedKey(
                    region: region.name, key: $0.field.text, period: $0.period.text,
                    from: $0.start.text)
            }
    }
}

/// One key, without its bytes.
private struct ListedKey: Encodable {
    let region: String
    /// What it is for: a field of pseudonyms, `subject-digest` or `audit-signing`.
    let key: String
    /// How long it makes pseudonyms; nil for keys that last.
    var period: String?
    /// First day of its epoch.
    var from: String?
    /// The public half, for keys that sign.
    var verifierKey: String?

    private enum CodingKeys: String, CodingKey {
        case region, key, period, from
        case verifierKey = "verifier_key"
    }
}
