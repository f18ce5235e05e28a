package import AccessLogs

/// Why a line of a log was not made into a hit, beyond what the line itself shows.
package enum ImportRefusal: Sendable, Hashable {
    /// The line cannot be read.
    case line(LogRefusal)
    /// It tells of a time that has not come.
    case future
    /// What its policy lets it be kept for has ended.
    case expired

    package static let all: [ImportRefusal] =
        LogRefusal.allCases.map { .line($0) } + [.future, .expired]

    /// The words of reports and of the audit log.
    package var text: String {
        switch self {
        case .line(let refusal): refusal.rawValue
        case .future: "in the future"
        case .expired: "outside retention"
        }
    }

    /// Its place in ``all``.
    var index: Int {
        switch self {
        case .line(let refusal): LogRefusal.allCases.firstIndex(of: refusal) ?? 0
        case .future: LogRefusal.allCases.count
        case .expired: LogRefusal.allCases.count + 1
        }
    }
}

/// What became of the lines of one file in one run.
package struct ImportReport: Equatable, Sendable {
    /// Lines that were read now; those of earlier runs are not among them.
    package var lines = 0
    /// Lines that an earlier run had brought into every journal.
    package var linesBefore = 0
    /// Headers, comments and empty lines.
    package var blank = 0
    /// Requests that are none for a pixel.
    package var notHits = 0
    /// By ``ImportRefusal/all``.
    package var refused = [Int](repeating: 0, count: ImportRefusal.all.count)
    /// Hits by region and policy, sorted.
    package var rules: [RuleCounts] = []
    /// Hits whose pseudonym was left out because its key is not there.
    package var keysMissing = 0
    /// Hits whose consent was taken for refused because the log does not show what the browser said of it.
    package var consentUnknown = 0

    package init() {}

    package var refusedLines: Int { refused.reduce(0, +) }
    package func total(_ fate: HitFate) -> Int { rules.reduce(0) { $0 + Int($1[fate]) } }

    mutating func add(_ rule: RuleCounts) {
        guard rule.received > 0 else { return }
        let index =
            rules.firstIndex { ($0.region, $0.policy) >= (rule.region, rule.policy) } ?? rules.count
        if index < rules.count, rules[index].region == rule.region,
            rules[index].policy == rule.policy
        {
            for fate in rule.fates.indices { rules[index].fates[fate] += rule.fates[fate] }
        } else {
            rules.insert(rule, at: index)
        }
    }

    /// Adds what another file, or another run, gave.
    package mutating func add(_ other: ImportReport) {
        lines += other.lines
        linesBefore += other.linesBefore
        blank += other.blank
        notHits += other.notHits
        keysMissing += other.keysMissing
        consentUnknown += other.consentUnknown
        for index in refused.indices { refused[index] += other.refused[index] }
        for rule in other.rules { add(rule) }
    }
}

/// Why an import ended before its file did. What was committed stays, and the next run goes on behind it.
package enum ImportError: Error, Sendable, CustomStringConvertible {
    /// The rules, the geo table or the options changed while some regions had lines that others had not, and those lines may
    /// have another home now.
    case decidedOtherwise(from: Int, to: Int)

    package var description: String {
        switch self {
        case .decidedOtherwise(let from, let to):
            "lines \(from) to \(to) of this file are in the journals of some of these regions and not of others, because an "
                + "earlier import was cut or had `--region`, under other rules, another geo table or other options: "
                + "finish it with those first, so that no line is taken twice"
        }
    }
}
