import CordonModel
import GeoTables

extension Command {
    static let geoDiff = Command(
        ["geo", "diff"], summary: "which addresses change their place from one table to another",
        usage: "OLD NEW", example: "cordon geo diff old.cgt var/geo/places.cgt", arguments: 2...2
    ) { arguments, console in
        let old = try openGeoTable(arguments.free[0])
        let new = try openGeoTable(arguments.free[1])
        let report = GeoDifferenceReport(old, new)
        if arguments.wantsJSON {
            try console.print(json: report)
        } else {
            report.print(to: console)
        }
        return .done
    }
}

private struct GeoDifferenceReport: Encodable {
    struct Row: Encodable {
        let from: String?
        let to: String?
        /// Addresses, decimal numbers: those of IPv6 do not fit a JSON number.
        let ipv4: String
        let ipv6: String

        private enum CodingKeys: String, CodingKey { case from, to, ipv4, ipv6 }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(from, forKey: .from)
            try container.encode(to, forKey: .to)
            try container.encode(ipv4, forKey: .ipv4)
            try container.encode(ipv6, forKey: .ipv6)
        }
    }

    let old: String
    let new: String
    let ipv4: String
    let ipv6: String
    let changes: [Row]

    init(_ oldTable: GeoTable, _ newTable: GeoTable) {
        let difference = GeoTableDifference(from: oldTable, to: newTable)
        old = oldTable.build
        new = newTable.build
        ipv4 = "\(difference.total.ipv4)"
        ipv6 = "\(difference.total.ipv6)"
        // IPv4 first: an IPv6 address is one of far too many to compare by number.
        changes = difference.changes.sorted { left, right in
            let (a, b) = (left.value, right.value)
            if (a.ipv4, a.ipv6) != (b.ipv4, b.ipv6) { return (a.ipv4, a.ipv6) > (b.ipv4, b.ipv6) }
            return (left.key.from ?? "", left.key.to ?? "") < (
                right.key.from ?? "", right.key.to ?? ""
            )
        }.map { change, count in
            Row(from: change.from, to: change.to, ipv4: "\(count.ipv4)", ipv6: "\(count.ipv6)")
        }
    }

    func print(to console: Console) {
        console.print("\(old) → \(new)")
        console.print("\(ipv4) IPv4 and \(ipv6) IPv6 addresses have another place")
        guard !changes.isEmpty else { return }
        console.print()
        console.table(
            ["from", "to", "IPv4", "IPv6"],
            changes.map { [$0.from ?? "unknown", $0.to ?? "unknown", $0.ipv4, $0.ipv6] })
    }
}
