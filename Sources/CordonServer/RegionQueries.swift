package import CordonAudit
import CordonJournal
import CordonKeys
import CordonLake
package import CordonModel
package import CordonQuery

/// One region as the query layer sees it: its lake's files, its suppressed pseudonyms, its audit log.
package struct RegionQueries: QueryRegion {
    private let region: RegionConfiguration
    private let clock: any WallClock
    private let log: AuditLog
    private let bearer: Bearer?

    /// Whose token asked, for the audit log.
    package struct Bearer: Sendable {
        package var token: String
        package var subject: String

        package init(token: String, subject: String) {
            self.token = token
            self.subject = subject
        }
    }

    /// - Parameter bearer: nil for whoever asks on the command line.
    package init(
        _ region: RegionConfiguration, clock: any WallClock, log: AuditLog, bearer: Bearer? = nil
    ) {
        self.region = region
        self.clock = clock
        self.log = log
        self.bearer = bearer
    }

    /// With the audit log and the signing key that stand beside the region's lake.
    package init(_ region: RegionConfiguration, clock: any WallClock) throws {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        self.init(region, clock: clock, log: log)
    }

    package var name: String { region.name }
    package var jurisdiction: String { region.jurisdiction }
    package var scratchDirectory: String { region.queryScratchDirectory }
    package var sealedColumns: Set<String> { Set(region.sealedColumns.map(\.rawValue)) }

    package func files() throws -> [QueryFile] {
        guard let lake = try RegionLake.reading(region, clock: clock) else { return [] }
        return try lake.table.snapshot().files.map {
            QueryFile(
                path: $0.path, retainUntil: $0.retainUntil, lacking: $0.lacking, day: $0.day,
                rows: Int($0.records), sites: $0.sites)
        }
    }

    package func asker(_ principal: Principal) -> String {
        bearer.map { "subject:" + $0.subject } ?? "role:" + principal.role
    }

    package func ledger() throws -> QueryLedger { try QueryLedger(path: region.queryLedgerPath) }

    package func suppressedPseudonyms() throws -> [SuppressedPseudonym] {
        var people = try RegionHolds(region).restricted()
        people.formUnion(try region.suppression().people)
        return people.users.map { SuppressedPseudonym(column: .user, pseudonym: $0) }
            + people.visitors.map { SuppressedPseudonym(column: .visitor, pseudonym: $0) }
    }

    /// Kind of the audit entry of a query that ended so.
    static func kind(_ outcome: QueryAuditEntry.Outcome) -> String { "query-" + outcome.rawValue }

    package func record(_ entry: QueryAuditEntry) throws {
        var fields: [String: AuditEntry.Value] = [
            "regions": .list([entry.region]), "rules": .list(entry.rules),
            "rows": .integer(entry.rowCount), "files": .integer(entry.fileCount),
            "format": .text(entry.format.rawValue),
            "statement_digest": .text(entry.statementDigest),
            "statement_salt": .text(entry.salt),
        ]
        if let bearer {
            fields["token"] = .text(bearer.token)
            fields["subject"] = .text(bearer.subject)
        }
        _ = try log.append(
            AuditEntry(
                at: entry.at, kind: Self.kind(entry.outcome), region: entry.region,
                principal: entry.principal, fields: fields))
    }
}
