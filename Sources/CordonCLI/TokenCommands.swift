import CordonModel
import CordonPolicy
import CordonServer
import CordonTokens
import Foundation

extension Command {
    private static let daysDefault = 30

    static let tokenIssue = Command(
        ["token", "issue"],
        summary: "make a token with which someone asks a region's service",
        usage:
            "--region R --subject NAME --role ROLE --purpose P… --from CC… [--write NAMESPACE]… [--days N]",
        options: [
            .region,
            Option(
                name: "subject", value: "NAME",
                help: "whose token it is: an account or a service, in lowercase"),
            Option(name: "role", value: "ROLE", help: "in which role its bearer asks"),
            Option(
                name: "purpose", value: "PURPOSE", help: "for which purpose its bearer may ask",
                repeats: true),
            Option(
                name: "from", value: "CC",
                help: "ISO 3166 code of a place that its bearer asks from", repeats: true),
            Option(
                name: "write", value: "NAMESPACE",
                help: "a namespace that its bearer may write tables in; never `pixels`",
                repeats: true),
            Option(
                name: "days", value: "N",
                help: "how long it holds, 1 to 366 (default: \(daysDefault))"
            ),
        ],
        example:
            "cordon token issue --region eu-central --subject dashboard --role analyst"
            + " --purpose audience-measurement --from DE"
    ) { arguments, console in
        let region = try tokenRegion(arguments)
        let grant = TokenGrant(
            subject: try arguments.required("subject"), role: try arguments.required("role"),
            purposes: try requiredAll("purpose", arguments),
            places: try requiredAll("from", arguments), writes: arguments.all("write"))
        try requireRule(for: grant, region, CordonCLI.configuration(arguments).ruleSet.policies)
        let days = try arguments.integer("days", in: 1...366) ?? daysDefault
        let issued: (text: String, token: IssuedToken)
        do {
            issued = try RegionTokens(region, clock: SystemWallClock())
                .issue(grant, lifeSeconds: Int64(days) * 86_400)
        } catch let error as TokenError {
            throw UsageError(text: error.description)
        }
        if arguments.wantsJSON {
            try console.print(
                json: IssuedLine(
                    id: issued.token.id, expires: issued.token.expiresAt.text, token: issued.text))
        } else {
            console.print(issued.text)
            console.note(
                "token \(issued.token.id) holds until \(issued.token.expiresAt.text); it is shown once and kept nowhere"
            )
        }
        return .done
    }

    static let tokenList = Command(
        ["token", "list"], summary: "the tokens of the regions and what each allows, never a token",
        usage: "[--region R]…", options: [.regions],
        example: "cordon token list --region eu-central"
    ) { arguments, console in
        let now = SystemWallClock().now()
        var lines: [TokenLine] = []
        for region in try CordonCLI.regions(arguments) {
            let tokens = try RegionTokens(region, clock: SystemWallClock()).authority.tokens()
            lines += tokens.map { TokenLine(region: region.name, $0, at: now) }
        }
        if arguments.wantsJSON {
            for line in lines { try console.print(json: line) }
        } else if lines.isEmpty {
            console.note("no token yet: `cordon token issue` makes one")
        } else {
            console.table(
                [
                    "region", "token", "subject", "role", "purposes", "from", "writes", "expires",
                    "state",
                ],
                lines.map {
                    [
                        $0.region, $0.token, $0.subject, $0.role,
                        $0.purposes.joined(separator: ", "), $0.places.joined(separator: ", "),
                        $0.writes.joined(separator: ", "), $0.expires, $0.state,
                    ]
                })
        }
        return .done
    }

    static let tokenRevoke = Command(
        ["token", "revoke"],
        summary: "end a token at once; of another issuer also all tokens of somebody",
        usage: "--region R (TOKEN | --issuer URL --sub SUB | --issuer URL --jti ID)",
        options: [
            .region,
            Option(
                name: "issuer", value: "URL",
                help: "the other issuer, as `service.issuers` of the region names it"),
            Option(
                name: "sub", value: "SUB",
                help: "somebody of that issuer, none of whose tokens is accepted any more"),
            Option(name: "jti", value: "ID", help: "one token of that issuer"),
        ],
        example: "cordon token revoke --region eu-central 0f3a5b6c7d8e9fa0b1c2d3e4f5061728",
        arguments: 0...1
    ) { arguments, console in
        let region = try tokenRegion(arguments)
        let tokens = try RegionTokens(region, clock: SystemWallClock())
        let id = try revokedName(arguments, region, tokens.authority)
        do {
            try tokens.revoke(id)
        } catch let error as TokenError {
            throw CommandFailure(text: error.description, exitCode: .foundProblem)
        }
        if arguments.wantsJSON {
            try console.print(json: ["revoked": id])
        } else {
            console.print("revoked \(id)")
        }
        return .done
    }

    /// The token that is named by itself, or what the region calls somebody or a token of another issuer.
    private static func revokedName(
        _ arguments: Arguments, _ region: RegionConfiguration, _ authority: TokenAuthority
    ) throws(UsageError) -> String {
        let issuer = arguments.value("issuer")
        let names = [issuer, arguments.value("sub"), arguments.value("jti")].compactMap { $0 }
        if let id = arguments.free.first {
            guard names.isEmpty else {
                throw UsageError(
                    text: "a token is named by itself, or by `--issuer` with `--sub` or `--jti`")
            }
            return id
        }
        guard let issuer, names.count == 2 else {
            throw UsageError(
                text: "name a token, or `--issuer` with one of `--sub` and `--jti`")
        }
        let known = region.service?.issuers.map(\.issuer) ?? []
        guard known.contains(issuer) else {
            throw UsageError(
                text: "region `\(region.name)` trusts no issuer `\(issuer)`"
                    + suggestion(issuer, among: known))
        }
        if let subject = arguments.value("sub") {
            return authority.name(ofSubject: subject, issuer: issuer)
        }
        return authority.name(ofToken: arguments.value("jti") ?? "", issuer: issuer)
    }

    private static func tokenRegion(_ arguments: Arguments) throws -> RegionConfiguration {
        _ = try arguments.required("region")
        guard let region = try CordonCLI.regions(arguments).first else {
            throw CommandFailure(text: "there is no region")
        }
        return region
    }

    private static func requiredAll(
        _ name: String, _ arguments: Arguments
    ) throws(UsageError) -> [String] {
        _ = try arguments.required(name)
        return arguments.all(name)
    }

    /// Refuses a token that no policy of the region could ever grant anything to: most likely a slip of the pen.
    private static func requireRule(
        for grant: TokenGrant, _ region: RegionConfiguration, _ policies: [CompiledPolicy]
    ) throws(UsageError) {
        let rules = policies.filter { $0.route.region == region.name }.flatMap(\.access)
        let roles = Set(rules.map(\.role))
        guard roles.contains(grant.role) else {
            throw UsageError(
                text:
                    "no policy of region `\(region.name)` has an access rule for role `\(grant.role)`"
                    + suggestion(grant.role, among: roles.sorted()))
        }
        let purposes = Set(rules.filter { $0.role == grant.role }.flatMap(\.purposes))
        for purpose in grant.purposes where !purposes.contains(purpose) {
            throw UsageError(
                text:
                    "role `\(grant.role)` has no access rule for the purpose `\(purpose)` in region"
                    + " `\(region.name)`" + suggestion(purpose, among: purposes.sorted()))
        }
        for place in grant.places where RulePlace(code: place) == nil {
            throw UsageError(
                text:
                    "option `--from` takes an ISO 3166 code such as `DE` or `US-CA`, found `\(place)`"
            )
        }
    }
}

private struct IssuedLine: Encodable {
    let id: String
    let expires: String
    let token: String
}

/// A token of the register, as a line.
private struct TokenLine: Encodable {
    let region: String
    let token: String
    let subject: String
    let role: String
    let purposes: [String]
    let places: [String]
    let writes: [String]
    let issued: String
    let expires: String
    let revoked: String?
    let state: String

    init(region: String, _ token: IssuedToken, at now: Timestamp) {
        self.region = region
        self.token = token.id
        subject = token.grant.subject
        role = token.grant.role
        purposes = token.grant.purposes
        places = token.grant.places
        writes = token.grant.writes
        issued = token.issuedAt.text
        expires = token.expiresAt.text
        revoked = token.revokedAt?.text
        state = token.revokedAt != nil ? "revoked" : now >= token.expiresAt ? "expired" : "holds"
    }
}
