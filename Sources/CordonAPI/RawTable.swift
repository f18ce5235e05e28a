package import CordonLake
package import CordonModel
package import CordonPolicy
package import CordonQuery

/// Whether a principal may read the files of `pixels.hits` themselves.
///
/// A file holds whole rows of every policy of the region, and no client applies masks, group sizes or ages that a catalog asks for. So
/// the files are for those alone to whom every policy of the region shows whole rows, and only while nothing in
/// them is due: what is past its retention, a field past its age, or a person's rows whose erasure is not finished
/// is refused to everybody until it is gone. All others are answered through the region's queries.
package enum RawTable: Equatable, Sendable {
    /// With the rules that grant, as `file:line`.
    case open([String])
    case refused(Refusal)

    package init(
        for principal: Principal, in region: String, jurisdiction: String,
        under policies: [CompiledPolicy], files: [DataFileRef], openErasures: Int, today: Day
    ) {
        let decision = AccessDecision(
            for: principal, in: region, jurisdiction: jurisdiction, under: policies)
        guard case .granted(let access) = decision else {
            guard case .refused(let refusal) = decision else { preconditionFailure("two cases") }
            self = .refused(refusal)
            return
        }
        if let refusal = Self.partial(access, principal, region, policies) {
            self = .refused(refusal)
        } else if let refusal = Self.due(access, files, openErasures, today) {
            self = .refused(refusal)
        } else {
            self = .open(access.rules)
        }
    }

    /// Why less than whole rows of all policies may be seen.
    private static func partial(
        _ access: Access, _ principal: Principal, _ region: String, _ policies: [CompiledPolicy]
    ) -> Refusal? {
        if access.isHeldToGroups {
            let grant = access.grants[0]
            return Refusal(
                rule: "access", file: grant.position.file, line: grant.position.line,
                text:
                    "role `\(principal.role)` sees aggregates alone under policy `\(grant.policy)`")
        }
        if let masked = access.grants.first(where: { !$0.hidden.isEmpty }) {
            let columns = masked.hidden.sorted().map { "`\($0)`" }.joined(separator: ", ")
            return Refusal(
                rule: "access", file: masked.position.file, line: masked.position.line,
                text: "policy `\(masked.policy)` hides \(columns) from role `\(principal.role)`")
        }
        let granted = Set(access.grants.map(\.policy))
        for policy in policies
        where policy.route.region == region && !granted.contains(policy.name) {
            return Refusal(
                rule: "access", file: policy.position.file, line: policy.position.line,
                text:
                    "policy `\(policy.name)` keeps rows in the same files and shows role `\(principal.role)` none of them"
            )
        }
        return nil
    }

    /// Why nobody may read the files now.
    private static func due(
        _ access: Access, _ files: [DataFileRef], _ openErasures: Int, _ today: Day
    ) -> Refusal? {
        if openErasures > 0 {
            return Refusal(
                rule: "erasure",
                text: "an erasure is under way, and rows of the person may still be in the files")
        }
        if files.contains(where: { $0.retainUntil <= today }) {
            return Refusal(
                rule: "retention",
                text: "rows past their retention are in the files until the next sweep"
            )
        }
        guard let oldest = files.map(\.day).min() else { return nil }
        for grant in access.grants {
            for (field, days) in grant.fieldDays.sorted(by: { $0.key < $1.key })
            where oldest + days <= today {
                return Refusal(
                    rule: "retention.fields", file: grant.position.file, line: grant.position.line,
                    text:
                        "policy `\(grant.policy)` hides `\(field.rawValue)` after \(days) days, and the files reach back to \(oldest.text)"
                )
            }
        }
        return nil
    }
}
