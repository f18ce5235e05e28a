package import CordonAudit
import CordonKeys
package import CordonModel
package import CordonTokens

/// One region's tokens, each issue and revocation of which its audit log hears before it holds.
package struct RegionTokens: Sendable {
    package let authority: TokenAuthority
    private let log: AuditLog
    private let clock: any WallClock

    /// - Parameter issuers: whose tokens are accepted beside the region's own.
    package init(
        _ region: RegionConfiguration, log: AuditLog, clock: any WallClock,
        issuers: [IssuerKeys] = []
    ) throws {
        authority = try TokenAuthority(
            region: region.name, keysDirectory: region.keysDirectory,
            registerPath: region.tokensPath, issuers: issuers)
        self.log = log
        self.clock = clock
    }

    /// With the audit log and the signing key that stand beside the region's lake.
    package init(_ region: RegionConfiguration, clock: any WallClock) throws {
        let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
        let log = try AuditLog(
            directory: region.auditDirectory, region: region.name, key: keys.signingKey)
        try self.init(region, log: log, clock: clock)
    }

    package func issue(
        _ grant: TokenGrant, lifeSeconds: Int64
    ) throws -> (text: String, token: IssuedToken) {
        try authority.issue(grant, lifeSeconds: lifeSeconds, at: clock.now()) { token in
            try tell(
                "token.issued",
                [
                    "token": .text(token.id), "subject": .text(grant.subject),
                    "role": .text(grant.role), "purposes": .list(grant.purposes),
                    "places": .list(grant.places), "writes": .list(grant.writes),
                    "expires": .text(token.expiresAt.text),
                ])
        }
    }

    package func revoke(_ id: String) throws {
        try authority.revoke(id, at: clock.now()) {
            try tell("token.revoked", ["token": .text(id)])
        }
    }

    private func tell(_ kind: String, _ fields: [String: AuditEntry.Value]) throws {
        try log.append(
            AuditEntry(at: clock.now(), kind: kind, region: authority.region, fields: fields))
    }
}
