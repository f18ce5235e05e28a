import CordonAudit
import CordonKeys
import CordonLake
package import CordonModel
package import CordonPolicy
import CordonQuery
import CordonSubjects
import Crypto

/// The record of processing activities (GDPR article 30) of a project: what the policies in force do, and what the audit logs
/// say was done in a period.
///
/// Everything in it is read from the rules, the regions and the logs. What no machine knows, such as who the controller is, is
/// given by the caller or left as a blank that says so. It holds counts and names of rules, and nothing about any person.
package struct ProcessingRecord: Encodable, Sendable {
    package struct Period: Encodable, Sendable {
        /// First day; nil for the beginning of the logs.
        package let since: String?
        /// Last day.
        package let until: String
    }

    /// What one policy does: one activity.
    package struct Activity: Encodable, Sendable {
        package struct Category: Encodable, Sendable {
            package let field: String
            package let columns: [String]
            package let form: String
            /// Purposes that must be granted first.
            package let needs: [String]
            /// Days after which it is gone; nil for as long as the hit.
            package let days: Int?
        }

        package struct Recipient: Encodable, Sendable {
            package let role: String
            package let purposes: [String]
            package let from: [String]
            package let sees: String
            /// Least number of people in a group.
            package let minGroup: Int
            package let hidden: [String]
            package let rule: String
        }

        package struct Transfer: Encodable, Sendable {
            package let to: [String]
            package let minGroup: Int
            package let rule: String
        }

        package let policy: String
        package let title: String
        /// The law it carries out.
        package let source: String
        package let rule: String
        package let places: [String]
        package let sites: [String]
        /// Where the data lie; nil when every hit is refused.
        package let region: String?
        package let purposes: [String]
        package let signals: [String]
        package let withoutConsent: String
        package let categories: [Category]
        package let recipients: [Recipient]
        package let transfers: [Transfer]
        package let retentionDays: Int
    }

    /// What the log of one region has of the period.
    package struct Region: Encodable, Sendable {
        package struct Answers: Encodable, Sendable {
            package let role: String
            package let purpose: String
            package let place: String
            package var answers: Int
            package var rows: Int
        }

        package let region: String
        package let title: String
        package let jurisdiction: String
        package var entries = 0
        /// Hits by what became of them; `received` is their sum.
        package var hits: [String: Int] = [:]
        /// Requests of persons by kind.
        package var requests: [String: Int] = [:]
        /// What was refused, by kind of entry.
        package var refusals: [String: Int] = [:]
        /// Queries that were answered to somebody whom an access rule lets ask from there.
        package var queries: [Answers] = []
        /// Queries that were answered to somebody elsewhere, under a transfer rule.
        package var transfers: [Answers] = []
        package var erasures = Erasures()
        /// Rows that went because their time was over or somebody asked.
        package var rowsRemoved = 0
        package var retentionRuns = 0
        package var keysDestroyed = 0
        /// Regions that witness the log.
        package var witnesses = 0
        package var keysAreWrapped = false
        package var collectorHasTLS = false
    }

    /// How requests for erasure stand to their time limit.
    package struct Erasures: Encodable, Sendable {
        package var done = 0
        /// The longest time from request to end, in days.
        package var daysMax = 0
        /// Done after the limit.
        package var late = 0
        /// Begun and not ended.
        package var open = 0
        /// Day by which the oldest open one is due.
        package var nextDue: String?
        /// Open, and the limit is over.
        package var overdue = 0
    }

    package let madeAt: String
    package let period: Period
    package let ruleSet: String
    package let controller: String?
    package let contact: String?
    package let deadlineDays: Int
    package let activities: [Activity]
    package let regions: [Region]

    /// Article 12(3) gives a month; the shortest has 28 days.
    package static let deadlineDaysDefault = 28

    /// What the caller says and chooses.
    package struct Options: Sendable {
        /// First day; nil for the beginning of the logs.
        package var since: Day?
        /// Last day; nil for today.
        package var until: Day?
        package var controller: String?
        package var contact: String?
        package var deadlineDays = ProcessingRecord.deadlineDaysDefault

        package init() {}
    }

    /// - Parameter regions: those whose logs and policies are told of.
    package init(
        _ project: ProjectConfiguration, regions: [RegionConfiguration], options: Options,
        clock: some WallClock
    ) throws {
        let now = clock.now()
        let last = options.until ?? Day(now)
        let names = Set(regions.map(\.name))
        madeAt = now.text
        period = Period(since: options.since?.text, until: last.text)
        ruleSet = project.ruleSet.digest
        controller = options.controller
        contact = options.contact
        deadlineDays = options.deadlineDays
        let policies = project.ruleSet.policies.filter {
            $0.route.region.map(names.contains) ?? true
        }
        activities = policies.map(Activity.init)
        let witnesses = try ProjectWitnesses(project.regions, creating: false)
        self.regions = try regions.map { region in
            var count = RegionCount(
                region, policies: policies.filter { $0.route.region == region.name },
                since: options.since?.start, until: (last + 1).start,
                asOf: min(Day(now), last), deadlineDays: options.deadlineDays)
            let keys = try RegionKeys(opening: region.keysDirectory, region: region.name)
            let reader = AuditReader(
                directory: region.auditDirectory, region: region.name,
                key: keys.signingKey.publicKey)
            try reader.visit { count.take($0.entry) }
            var told = count.finished
            told.witnesses = witnesses.standings(of: region.name).count { $0.size != nil }
            told.keysAreWrapped = try keys.masterSource() != nil
            told.collectorHasTLS = region.collector.tls != nil
            return told
        }
    }

    private enum CodingKeys: String, CodingKey {
        case period, controller, contact, activities, regions
        case madeAt = "made_at"
        case ruleSet = "rule_set"
        case deadlineDays = "deadline_days"
    }
}

extension ProcessingRecord.Activity {
    init(_ policy: CompiledPolicy) {
        self.policy = policy.name
        title = policy.title
        source = policy.source
        rule = policy.position.text
        places = policy.claims.map(\.text)
        sites = policy.sites.map(\.text)
        region = policy.route.region
        purposes = policy.consent.purposes
        signals = policy.consent.signals.map(\.text)
        withoutConsent =
            switch policy.consent.denied {
            case .count: "counted: time, site, event and country alone are kept"
            case .drop: "nothing is kept"
            case .keep: "kept, without the fields that need a purpose"
            }
        categories = Self.categories(policy)
        recipients = policy.access.map {
            Recipient(
                role: $0.role, purposes: $0.purposes, from: $0.from.names, sees: $0.see.rawValue,
                minGroup: $0.minGroup, hidden: $0.hide, rule: $0.position.text)
        }
        transfers = policy.transfer.map {
            Transfer(to: $0.to.names, minGroup: $0.minGroup, rule: $0.position.text)
        }
        retentionDays = policy.retention.hitsDays
    }

    private static func categories(_ policy: CompiledPolicy) -> [Category] {
        let fields = policy.fields
        var categories: [Category] = []
        func add<Keeping>(
            _ name: FieldName, _ rule: CompiledPolicy.FieldRules.Rule<Keeping>?,
            _ form: (Keeping) -> String
        ) {
            guard let rule else { return }
            categories.append(
                Category(
                    field: name.rawValue, columns: name.columns, form: form(rule.keeping),
                    needs: rule.needs, days: policy.retention.fieldDays[name]))
        }
        add(.ip, fields.ip) { "cut to /\($0.ipv4) (IPv4) and /\($0.ipv6) (IPv6)" }
        add(.user, fields.user) { "pseudonym under a key of one \($0.text)" }
        add(.visitor, fields.visitor) { "pseudonym under a key of one \($0.text)" }
        add(.userAgent, fields.userAgent) { _ in "families of browser, system and device" }
        add(.page, fields.page) { page in
            let words = page.detail == .path ? "host and path" : "host"
            return page.parameters.isEmpty
                ? words : "\(words), and the parameters \(page.parameters.joined(separator: ", "))"
        }
        add(.referrer, fields.referrer) { _ in "host" }
        add(.place, fields.place) { $0 == .subdivision ? "country and subdivision" : "country" }
        add(.language, fields.language) { _ in "primary language" }
        add(.parameters, fields.parameters) { "the parameters \($0.joined(separator: ", "))" }
        return categories
    }

    private enum CodingKeys: String, CodingKey {
        case policy, title, source, rule, places, sites, region, purposes, signals, categories
        case recipients, transfers
        case withoutConsent = "without_consent"
        case retentionDays = "retention_days"
    }
}

extension ProcessingRecord.Activity.Recipient {
    private enum CodingKeys: String, CodingKey {
        case role, purposes, from, sees, hidden, rule
        case minGroup = "min_group"
    }
}

extension ProcessingRecord.Activity.Transfer {
    private enum CodingKeys: String, CodingKey {
        case to, rule
        case minGroup = "min_group"
    }
}

extension ProcessingRecord.Region {
    private enum CodingKeys: String, CodingKey {
        case region, title, jurisdiction, entries, hits, requests, refusals, queries, transfers
        case erasures, witnesses
        case rowsRemoved = "rows_removed"
        case retentionRuns = "retention_runs"
        case keysDestroyed = "keys_destroyed"
        case keysAreWrapped = "keys_wrapped"
        case collectorHasTLS = "collector_tls"
    }
}

extension ProcessingRecord.Erasures {
    private enum CodingKeys: String, CodingKey {
        case done, late, open, overdue
        case daysMax = "days_max"
        case nextDue = "next_due"
    }
}

/// Counts one log's entries of a period.
private struct RegionCount {
    private var told: ProcessingRecord.Region
    private let policies: [CompiledPolicy]
    private let since: Timestamp?
    private let until: Timestamp
    /// The day that what is open is looked at on: the period's last, or today while it goes on.
    private let asOf: Day
    private let deadlineDays: Int
    /// Day on which each erasure was asked for, by the digest of its request.
    private var asked: [String: Day] = [:]
    private var ended: [String: Day] = [:]

    init(
        _ region: RegionConfiguration, policies: [CompiledPolicy], since: Timestamp?,
        until: Timestamp, asOf: Day, deadlineDays: Int
    ) {
        told = .init(
            region: region.name, title: region.title, jurisdiction: region.jurisdiction)
        self.policies = policies
        self.since = since
        self.until = until
        self.asOf = asOf
        self.deadlineDays = deadlineDays
    }

    mutating func take(_ entry: AuditEntry) {
        guard entry.at < until else { return }
        // Also those from before the period: what is open stays open.
        if case .text(let request) = entry.fields["request"] {
            switch SubjectEvent.Kind(rawValue: entry.kind) {
            case .erasureIntent: asked[request] = asked[request] ?? Day(entry.at)
            case .erased: ended[request] = ended[request] ?? Day(entry.at)
            default: break
            }
        }
        if let since, entry.at < since { return }
        told.entries += 1
        switch entry.kind {
        case RegionLedger.kind:
            for (name, value) in entry.fields where name != RegionLedger.reportField {
                if case .integer(let hits) = value { told.hits[name, default: 0] += hits }
            }
        case RegionQueries.kind(.answered): takeAnswer(entry)
        case LakeEvent.Kind.rewrite.rawValue, LakeEvent.Kind.drop.rawValue,
            LakeEvent.Kind.consent.rawValue:
            if case .integer(let rows) = entry.fields["rows-removed"] { told.rowsRemoved += rows }
        case "keys.destroyed": told.keysDestroyed += 1
        default: takeRequest(entry)
        }
        if entry.kind.hasSuffix("refused") { told.refusals[entry.kind, default: 0] += 1 }
    }

    private mutating func takeRequest(_ entry: AuditEntry) {
        switch SubjectEvent.Kind(rawValue: entry.kind) {
        case .find, .export, .verify, .erasureIntent, .erased, .rectified, .objection, .restricted:
            told.requests[entry.kind, default: 0] += 1
        case .retentionApplied: told.retentionRuns += 1
        default: break
        }
    }

    private mutating func takeAnswer(_ entry: AuditEntry) {
        guard let principal = entry.principal else { return }
        let isAtHome = policies.contains { policy in
            policy.access.contains {
                $0.role == principal.role && $0.purposes.contains(principal.purpose)
                    && $0.from.contains(principal.place)
            }
        }
        var rows = 0
        if case .integer(let count) = entry.fields["rows"] { rows = count }
        let path: WritableKeyPath<ProcessingRecord.Region, [ProcessingRecord.Region.Answers]> =
            isAtHome ? \.queries : \.transfers
        let known = told[keyPath: path].firstIndex {
            ($0.role, $0.purpose, $0.place)
                == (principal.role, principal.purpose, principal.place)
        }
        if let known {
            told[keyPath: path][known].answers += 1
            told[keyPath: path][known].rows += rows
        } else {
            told[keyPath: path].append(
                .init(
                    role: principal.role, purpose: principal.purpose, place: principal.place,
                    answers: 1, rows: rows))
        }
    }

    /// What was counted, with the erasures that the period saw end or that are open.
    var finished: ProcessingRecord.Region {
        var told = told
        for path in [\ProcessingRecord.Region.queries, \.transfers] {
            told[keyPath: path].sort {
                ($0.place, $0.role, $0.purpose) < ($1.place, $1.role, $1.purpose)
            }
        }
        let first = since.map { Day($0) }
        var oldest: Day?
        for (request, begun) in asked {
            guard let end = ended[request] else {
                told.erasures.open += 1
                if begun + deadlineDays < asOf { told.erasures.overdue += 1 }
                oldest = min(oldest ?? begun, begun)
                continue
            }
            if let first, end < first { continue }
            told.erasures.done += 1
            told.erasures.daysMax = max(told.erasures.daysMax, end - begun)
            if end - begun > deadlineDays { told.erasures.late += 1 }
        }
        told.erasures.nextDue = oldest.map { ($0 + deadlineDays).text }
        return told
    }
}
